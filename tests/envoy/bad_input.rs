//! Requests that no honest client sends, or that cannot be parsed safely. Each is denied with its code and recorded.

use crate::scene::{
    Mode, answers, both_modes, case, forbidden, in_every_way, in_mode, no_weapons, policy, refusal,
    says, sites,
};
use harness::{Http, Request, Setup, Site, Version, gzip};
use serde_json::json;

in_both_envoys![
    each_is_denied_with_its_code_and_recorded,
    a_body_without_a_content_type_is_read_all_the_same,
    no_spelling_of_the_path_lets_a_forbidden_text_pass,
    no_spelling_of_the_text_lets_it_pass,
    upgrades_are_denied,
    requests_rejected_by_envoy_never_reach_the_provider,
];

/// Bad request, with the status and code of its denial.
pub struct Bad {
    /// Description of the fault.
    pub name: &'static str,
    /// Request.
    pub request: Request,
    /// Status.
    pub status: u16,
    /// Code.
    pub code: &'static str,
}

fn bad(name: &'static str, body: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Bad {
    Bad {
        name,
        request: Request::chat(body),
        status,
        code,
    }
}

fn utf16(text: &[u8], mark: bool) -> Vec<u8> {
    let mut out = if mark { vec![0xff, 0xfe] } else { Vec::new() };
    for byte in text {
        out.extend_from_slice(&[*byte, 0]);
    }
    out
}

/// Returns all kinds of bad requests except the very large ones.
pub fn small() -> Vec<Bad> {
    let body = says("hello");
    let nested = |depth: usize| {
        let messages = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!("{{\"model\":\"gpt-4o\",\"messages\":{messages}}}")
    };
    let followed_by = |tail: &[u8]| [&body, tail].concat();
    let typed = |name, media: &str, status, code| Bad {
        request: Request::chat(body.clone())
            .without("content-type")
            .header("content-type", media),
        ..bad(name, "", status, code)
    };
    let encoded = |name, encoding: &str, body: Vec<u8>| Bad {
        request: Request::chat(body).header("content-encoding", encoding),
        ..bad(name, "", 415, "AG2005")
    };
    let to = |name, method: &str, path: &str| Bad {
        request: Request::new(method, path)
            .header("content-type", "application/json")
            .header("content-length", body.len().to_string())
            .body(body.clone()),
        ..bad(name, "", 400, "AG2007")
    };
    let mut twice = typed("two content types", "application/json", 415, "AG2006");
    twice.request = twice.request.header("content-type", "text/xml");
    vec![
        bad("half a document", b"{\"model\":".to_vec(), 400, "AG2001"),
        bad("no JSON", "model=gpt-4o", 400, "AG2001"),
        bad("single quotes", "{'model':'gpt-4o'}", 400, "AG2001"),
        bad("a comment", "{\"model\":\"gpt-4o\"/* x */}", 400, "AG2001"),
        bad(
            "no number",
            "{\"model\":\"gpt-4o\",\"temperature\":NaN}",
            400,
            "AG2001",
        ),
        bad(
            "a bare control character",
            "{\"model\":\"a\u{1}\"}",
            400,
            "AG2001",
        ),
        bad("half a pair as a key", "{\"\\ud800\":1}", 400, "AG2001"),
        bad("bytes behind the end", followed_by(b"x"), 400, "AG2001"),
        bad("a second document", followed_by(&body), 400, "AG2001"),
        bad("a NUL behind the end", followed_by(b"\0"), 400, "AG2001"),
        bad("an empty body", Vec::new(), 400, "AG2001"),
        bad("nothing but space", "  \n ", 400, "AG2001"),
        bad("a list", "[]", 400, "AG2001"),
        bad(
            "a model that is a number",
            "{\"model\":5,\"messages\":[]}",
            400,
            "AG2001",
        ),
        bad(
            "messages that are a text",
            "{\"model\":\"a\",\"messages\":\"hi\"}",
            400,
            "AG2001",
        ),
        bad(
            "a key twice",
            "{\"model\":\"a\",\"model\":\"b\",\"messages\":[]}",
            400,
            "AG2002",
        ),
        bad(
            "a key twice by an escape",
            "{\"model\":\"a\",\"mode\\u006c\":\"b\"}",
            400,
            "AG2002",
        ),
        bad(
            "a key twice deep inside",
            "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"content\":\"b\"}]}",
            400,
            "AG2002",
        ),
        bad(
            "a key in another case",
            "{\"model\":\"a\",\"Model\":\"b\",\"messages\":[]}",
            400,
            "AG2002",
        ),
        bad("1,000 levels", nested(1_000), 413, "AG2003"),
        bad("100,000 levels", nested(100_000), 413, "AG2003"),
        bad(
            "100,000 levels without an end",
            "[".repeat(100_000),
            413,
            "AG2003",
        ),
        bad(
            "no UTF-8",
            b"{\"model\":\"\xff\xfe\"}".to_vec(),
            400,
            "AG2009",
        ),
        bad(
            "half a character",
            b"{\"model\":\"\xe2\x82\"}".to_vec(),
            400,
            "AG2009",
        ),
        bad(
            "an overlong character",
            b"{\"model\":\"\xc0\xaf\"}".to_vec(),
            400,
            "AG2009",
        ),
        bad(
            "a mark of UTF-8 before",
            [b"\xef\xbb\xbf", &body[..]].concat(),
            400,
            "AG2009",
        ),
        bad("UTF-16 with a mark", utf16(&body, true), 400, "AG2009"),
        bad("UTF-16 without a mark", utf16(&body, false), 400, "AG2009"),
        typed(
            "another charset",
            "application/json; charset=utf-16",
            400,
            "AG2009",
        ),
        typed("a form", "application/x-www-form-urlencoded", 415, "AG2006"),
        typed(
            "several parts",
            "multipart/form-data; boundary=x",
            415,
            "AG2006",
        ),
        typed("XML", "application/xml", 415, "AG2006"),
        twice,
        encoded("packed", "gzip", gzip(&body)),
        encoded("said to be packed", "gzip", body.clone()),
        encoded("packed otherwise", "br", body.clone()),
        encoded("packed twice", "gzip, identity", gzip(&body)),
        to("an unknown path", "POST", "/v1/unheard-of"),
        to("another method", "PUT", "/v1/chat/completions"),
        to("a third method", "DELETE", "/v1/chat/completions"),
        to("a body where none belongs", "GET", "/v1/models"),
    ]
}

/// Returns requests larger than the policy's limits.
fn large() -> Vec<Bad> {
    let body = says(&"a".repeat(9 << 20));
    let in_pieces = Request::chat(Vec::new())
        .without("content-length")
        .chunks(body.chunks(1 << 20).map(<[u8]>::to_vec).collect());
    vec![
        bad("9 MB", body, 413, "AG2004"),
        Bad {
            request: in_pieces,
            ..bad("9 MB that are not announced", "", 413, "AG2004")
        },
    ]
}

fn each_is_denied_with_its_code_and_recorded(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons()])));
    envoy.provider.answer_always(answers("Hello"));
    let mut all = small();
    all.extend(large());
    in_every_way(&envoy, |site, _, http| {
        for bad in &all {
            case(bad.name, || {
                let error = refusal(&site.send(http, &bad.request), bad.status, bad.code);
                assert!(error["agentguard"].get("rule").is_none());
                let record = site.records.next();
                assert_eq!(record["decision"], "deny");
                assert_eq!(record["code"], bad.code);
                assert_eq!(record["status"], bad.status);
                assert_eq!(record["coverage"]["level"], "none");
                assert_eq!(
                    record["coverage"]["reasons"],
                    json!([format!("request:{}", bad.code)])
                );
            });
        }
        assert_eq!(site.send(http, &Request::chat(says("hello"))).status, 200);
        assert_eq!(site.records.next()["decision"], "allow");
    });
    let bodies = envoy.provider.received();
    assert!(
        bodies
            .iter()
            .all(|received| received.body.is_empty() || received.body == says("hello"))
    );
}

fn a_body_without_a_content_type_is_read_all_the_same(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons()])));
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        for media in [
            None,
            Some("text/plain"),
            Some("application/problem+json"),
            Some("Application/JSON;charset=\"UTF-8\""),
        ] {
            let typed = |request: Request| match media {
                Some(media) => request
                    .without("content-type")
                    .header("content-type", media),
                None => request.without("content-type"),
            };
            refusal(&site.send(http, &typed(forbidden())), 400, "AG3001");
            assert_eq!(site.records.next()["coverage"]["level"], "full");
            assert_eq!(
                site.send(http, &typed(Request::chat(says("hello")))).status,
                200
            );
            assert_eq!(site.records.next()["decision"], "allow");
        }
    });
}

fn no_spelling_of_the_path_lets_a_forbidden_text_pass(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons()])));
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        for path in [
            "/v1/chat/completions/",
            "/v1/chat/completions?api-version=1",
            "/v1/chat/completions;a=b",
            "//v1//chat///completions",
            "/v1/./chat/../chat/completions",
            "/v1/chat%2Fcompletions",
            "/v1/ch%61t/completions",
            "/V1/Chat/Completions",
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            "/api/v1/chat/completions",
            "/healthz/../v1/chat/completions",
            "/health",
            "/v1/models",
            "/",
            "/v1/chat/completions%00",
            "/v1/chat/completions%0d%0a",
            "*",
        ] {
            case(path, || {
                let body = says("the forbidden word");
                let request = Request::new("POST", path)
                    .header("content-type", "application/json")
                    .header("content-length", body.len().to_string())
                    .body(body);
                // A request that hyper itself rejects cannot pass either.
                if let Ok(response) = site.try_send(http, &request) {
                    assert!(matches!(response.status, 400 | 404), "{}", response.status);
                }
            });
        }
    });
    assert!(
        envoy
            .provider
            .received()
            .iter()
            .all(|received| received.body.is_empty())
    );
}

fn no_spelling_of_the_text_lets_it_pass(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons()])));
    envoy.provider.answer_always(answers("Hello"));
    let escaped: String = "forbidden"
        .chars()
        .map(|c| format!("\\u{:04x}", u32::from(c)))
        .collect();
    let user = |content: &str| {
        format!(
            "{{\"model\":\"gpt-4o\",\"messages\":[{{\"role\":\"user\",\"content\":{content}}}]}}"
        )
    };
    let bodies = [
        user(&format!("\"{escaped}\"")),
        user("\"FORBIDDEN\""),
        user("\"for\u{ad}bid\u{200b}den\""),
        user("\"\u{ff46}orbidden\""),
        user("[{\"type\":\"text\",\"text\":\"hi\"},{\"type\":\"text\",\"text\":\"forbidden\"}]"),
        user("[{\"type\":\"not-yet-invented\",\"words\":{\"deep\":[\"forbidden\"]}}]"),
    ];
    in_every_way(&envoy, |site, _, http| {
        for body in &bodies {
            case(body, || {
                refusal(
                    &site.send(http, &Request::chat(body.clone())),
                    400,
                    "AG3001",
                );
            });
        }
    });
}

fn upgrades_are_denied(version: Version) {
    let policy = policy(json!([no_weapons()]));
    let mut all = sites(&policy);
    for mode in Mode::BOTH {
        all.push(Site::new(&format!("open-{}", mode.word()), &in_mode(&policy, mode)).upgrades());
    }
    let envoy = Setup::new(version, all).lease();
    for mode in Mode::BOTH {
        for (site, ours) in [
            (mode.word().to_owned(), false),
            (format!("open-{}", mode.word()), true),
        ] {
            for path in ["/v1/realtime", "/v1/chat/completions", "/healthz"] {
                case(&format!("{site} {path}"), || {
                    let site = envoy.site(&site);
                    let mut connection = site.raw();
                    connection.send(
                        format!(
                            "GET {path} HTTP/1.1\r\nhost: api.openai.com\r\nconnection: Upgrade\r\n\
                             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                             sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                        )
                        .as_bytes(),
                    );
                    let response = connection.response().expect("a refusal");
                    // Where upgrades are not enabled, Envoy rejects them before any filter.
                    let status = if ours { 426 } else { 403 };
                    assert_eq!(response.status, status);
                    let record = site.records.next();
                    assert_eq!(record["status"], status);
                    let code = ours.then_some("AG2008");
                    assert_eq!(response.header("x-agentguard-code"), code);
                    assert_eq!(record["code"].as_str(), code);
                });
            }
        }
    }
    assert_eq!(envoy.provider.count(), 0);
}

fn requests_rejected_by_envoy_never_reach_the_provider(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons()])));
    envoy.provider.answer_always(answers("Hello"));
    let start = "POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\ncontent-type: application/json\r\n";
    let body = String::from_utf8(says("the forbidden word")).expect("JSON is text");
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let smuggled = [
        format!("{start}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"),
        format!(
            "{start}content-length: 4\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
        format!("{start}transfer-encoding: identity, chunked\r\n\r\n{chunk}"),
        format!("{start}content-length: -1\r\n\r\n{body}"),
        format!(
            "{start}x-null: a\0b\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
        "\u{16}\u{3}\u{1}\u{0}garbage\r\n\r\n".to_owned(),
        format!("POST http://api.openai.com/v1/chat/completions HTTP/0.9\r\n\r\n{body}"),
    ];
    for mode in Mode::BOTH {
        let site = envoy.site(mode.word());
        for bytes in &smuggled {
            let mut connection = site.raw();
            connection.send(bytes.as_bytes());
            connection.finish();
            if let Some(response) = connection.response() {
                // 426: Envoy's response to versions before HTTP/1.1, if it reads that far.
                assert!(
                    matches!(response.status, 400 | 426 | 501),
                    "{} for {bytes:?}",
                    response.status
                );
            }
        }
        assert_eq!(
            site.send(Http::One, &Request::chat(says("hello"))).status,
            200
        );
    }
    for received in envoy.provider.received() {
        assert!(received.body.is_empty() || received.body == says("hello"));
    }
}
