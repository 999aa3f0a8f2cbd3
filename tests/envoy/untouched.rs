//! Traffic that no rule matches passes unchanged.

use crate::scene::{
    Mode, answers, case, completion, in_every_way, in_mode, mask_cards, no_weapons, policy, says,
    sites, with,
};
use harness::{Answer, Ended, Envoy, Http, Listening, Request, Response, Setup, Site, Version};
use serde_json::{Value, json};

in_both_envoys![
    an_exchange_that_no_rule_touches_is_the_same_bit_for_bit,
    bodies_of_several_megabytes_pass_unchanged,
    trailers_pass_in_both_directions,
    what_the_policy_is_not_about_is_not_even_looked_at,
    a_stream_that_no_rule_looks_at_flows_as_it_comes,
    slow_uploads_and_responses_pass_completely,
    many_exchanges_share_a_connection,
];

/// Headers that differ between exchanges, with or without the filter.
const FLEETING: [&str; 3] = ["x-request-id", "date", "x-envoy-upstream-service-time"];

fn lasting(headers: &[(String, Vec<u8>)]) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| !FLEETING.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    headers.sort();
    headers
}

/// Exchange as both sides received it.
#[derive(Debug, PartialEq)]
struct Both {
    method: String,
    path: String,
    request_headers: Vec<(String, String)>,
    request_body: Vec<u8>,
    request_trailers: Vec<(String, String)>,
    status: u16,
    response_headers: Vec<(String, String)>,
    response_body: Vec<u8>,
    response_trailers: Vec<(String, String)>,
    broken: bool,
}

fn exchange(envoy: &Envoy, site: &Listening, http: Http, request: &Request) -> Both {
    let response: Response = site.send(http, request);
    let received = envoy.provider.last();
    assert_eq!(received.ended, Ended::Whole);
    Both {
        method: received.method,
        path: received.path,
        request_headers: lasting(&received.headers),
        request_body: received.body,
        request_trailers: lasting(&received.trailers),
        status: response.status,
        response_headers: lasting(&response.headers),
        response_body: response.body,
        response_trailers: lasting(&response.trailers),
        broken: response.broken.is_some(),
    }
}

/// Returns rules that inspect all request content and match nothing here.
fn watchful() -> Value {
    policy(json!([
        no_weapons(),
        {"id": "no-ssn", "match": {"event": "message"}, "when": {"text": {"detects": "us_ssn"}}, "action": "deny"},
        {"id": "no-shell", "match": {"event": "tool_offer", "tool": "shell"}, "action": "deny"},
    ]))
}

/// Returns an Envoy with the sites of a policy, and one without the filter, which shows Envoy's own
/// changes.
fn beside_a_bare_one(version: Version, policy: &Value) -> Envoy {
    let mut sites = sites(policy);
    sites.push(Site::bare("bare"));
    Setup::new(version, sites).lease()
}

fn an_exchange_that_no_rule_touches_is_the_same_bit_for_bit(version: Version) {
    let envoy = beside_a_bare_one(version, &watchful());
    let odd = br#"{ "messages":[ {"content":"h\u0069 \ud83d\ude00 \/","role":"user"} ],
        "model" : "gpt-4o" , "x":1.0e2, "y":-0.0 , "future":{"z":[1 ,2]}}  "#;
    let answer = completion(
        json!({"role": "assistant", "content": "caf\u{e9} \u{1F600}"}),
        "stop",
    );
    let requests = [
        Request::chat(odd.to_vec()),
        Request::chat(says("hello"))
            .header("accept-encoding", "gzip, br")
            .header("x-twice", "one")
            .header("x-twice", "two")
            .header("content-md5", "AAAA")
            .header("authorization", "Bearer sk-not-a-key"),
        Request::chat(says("hello"))
            .without("content-length")
            .chunks(
                says("hello in pieces")
                    .chunks(7)
                    .map(<[u8]>::to_vec)
                    .collect(),
            ),
        Request::new("GET", "/v1/models?limit=2"),
        Request::new("OPTIONS", "/v1/chat/completions").header("origin", "https://example.com"),
    ];
    let answers = [
        Answer::new(
            200,
            &[
                ("content-type", "application/json"),
                ("etag", "\"abc\""),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("openai-version", "2020-10-01"),
            ],
            &answer,
        ),
        Answer::chunked(200, &[("content-type", "application/json; charset=utf-8")])
            .chunk(&answer[..10])
            .chunk(&answer[10..])
            .end(),
        Answer::json(
            429,
            br#"{"error": {"message":"slow down" ,"type":"rate_limit"}}"#,
        ),
        Answer::new(
            200,
            &[("content-type", "image/png")],
            &[0x89, b'P', 0xff, 0, 1],
        ),
        Answer::new(204, &[], b""),
    ];
    for (number, request) in requests.iter().enumerate() {
        for (with, answer) in answers.iter().enumerate() {
            case(&format!("request {number}, answer {with}"), || {
                envoy.provider.answer_always(answer.clone());
                for http in Http::BOTH {
                    let expected = exchange(&envoy, envoy.site("bare"), http, request);
                    for mode in Mode::BOTH {
                        let site = envoy.site(mode.word());
                        assert_eq!(
                            exchange(&envoy, site, http, request),
                            expected,
                            "{mode:?}, HTTP/{http:?}"
                        );
                        let record = site.records.next();
                        assert_eq!(record["decision"], "allow");
                        assert_eq!(record["status"], expected.status);
                    }
                }
            });
        }
    }
}

fn bodies_of_several_megabytes_pass_unchanged(version: Version) {
    let both = with(
        policy(json!([no_weapons(), mask_cards()])),
        json!({"inspect": {"max_body": "8MiB", "max_text": "16MiB"}}),
    );
    let envoy = beside_a_bare_one(version, &both);
    // Neither text repeats within a network read, so that a lost, doubled or moved chunk is detected.
    let text: String = (0..600_000).map(|n| format!("{n:x}.")).collect();
    let question = says(&text);
    let answer = completion(json!({"role": "assistant", "content": text}), "stop");
    assert!(question.len() > 3 << 20 && answer.len() > 3 << 20);
    let pieces = answer
        .chunks(60_001)
        .fold(
            Answer::chunked(200, &[("content-type", "application/json")]),
            Answer::chunk,
        )
        .end();
    in_every_way(&envoy, |site, _, http| {
        for (request, response) in [
            (Request::chat(question.clone()), Answer::json(200, &answer)),
            (
                Request::chat(Vec::new())
                    .without("content-length")
                    .chunks(question.chunks(70_001).map(<[u8]>::to_vec).collect()),
                pieces.clone(),
            ),
        ] {
            envoy.provider.answer_next(response);
            let seen = exchange(&envoy, site, http, &request);
            assert!(!seen.broken);
            assert!(seen.request_body == question, "the request differs");
            assert!(seen.response_body == answer, "the answer differs");
            let record = site.records.next();
            assert_eq!(record["decision"], "allow");
            assert_eq!(record["coverage"]["level"], "full");
            envoy.provider.forget();
        }
    });
}

fn trailers_pass_in_both_directions(version: Version) {
    let envoy = beside_a_bare_one(version, &policy(json!([no_weapons(), mask_cards()])));
    let body = completion(json!({"role": "assistant", "content": "Hello"}), "stop");
    envoy.provider.answer_always(
        Answer::chunked(
            200,
            &[("content-type", "application/json"), ("trailer", "x-sum")],
        )
        .chunk(&body)
        .end_with_trailer("x-sum", "42"),
    );
    in_every_way(&envoy, |site, _, http| {
        let request = Request::chat(says("hello")).trailer("x-check", "7");
        let seen = exchange(&envoy, site, http, &request);
        assert_eq!(seen.request_body, says("hello"));
        assert_eq!(seen.request_trailers, [("x-check".into(), "7".into())]);
        assert_eq!(seen.response_body, body);
        assert_eq!(seen.response_trailers, [("x-sum".into(), "42".into())]);
        assert_eq!(site.records.next()["coverage"]["level"], "full");
    });
}

fn what_the_policy_is_not_about_is_not_even_looked_at(version: Version) {
    let narrow = with(
        policy(json!([no_weapons(), mask_cards()])),
        json!({"applies_to": {"paths": ["/v1/*"]}}),
    );
    let envoy = beside_a_bare_one(version, &narrow);
    envoy.provider.answer_always(answers("4111 1111 1111 1111"));
    let request = Request::new("POST", "/internal/upload")
        .header("content-type", "application/json")
        .header("x-agentguard-approval", "not ours to take")
        .body(b"{\"forbidden\": 4111 1111".to_vec());
    for http in Http::BOTH {
        let expected = exchange(&envoy, envoy.site("bare"), http, &request);
        for mode in Mode::BOTH {
            let site = envoy.site(mode.word());
            assert_eq!(exchange(&envoy, site, http, &request), expected);
            let record = site.records.next();
            assert_eq!(record["decision"], "allow");
            assert_eq!(record["coverage"]["level"], "ignored");
        }
    }
}

fn a_stream_that_no_rule_looks_at_flows_as_it_comes(version: Version) {
    let envoy = beside_a_bare_one(version, &watchful());
    in_every_way(&envoy, |site, _, http| {
        let gates = [harness::Gate::default(), harness::Gate::default()];
        let events = [
            &b"data: {\"a\":1}\n\n"[..],
            b"data: {\"b\":2}\n\n",
            b"data: [DONE]\n\n",
        ];
        envoy.provider.answer_next(
            Answer::chunked(200, &[("content-type", "text/event-stream")])
                .chunk(events[0])
                .wait(&gates[0])
                .chunk(events[1])
                .wait(&gates[1])
                .chunk(events[2])
                .end(),
        );
        let body = json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
        let mut live = site.open(http, &Request::chat(body.to_string()));
        assert_eq!(live.status, 200);
        // The provider continues only when the client has received the previous part.
        assert_eq!(
            live.next_bytes().expect("an event").as_deref(),
            Some(events[0])
        );
        gates[0].open();
        assert_eq!(
            live.next_bytes().expect("an event").as_deref(),
            Some(events[1])
        );
        gates[1].open();
        let rest = live.rest();
        assert_eq!((rest.body.as_slice(), rest.broken), (events[2], None));
        let record = site.records.next();
        assert_eq!(record["decision"], "allow");
        assert_eq!(record["stream"], true);
    });
}

fn slow_uploads_and_responses_pass_completely(version: Version) {
    let envoy = beside_a_bare_one(version, &policy(json!([no_weapons(), mask_cards()])));
    in_every_way(&envoy, |site, _, http| {
        let gate = harness::Gate::default();
        let body = completion(json!({"role": "assistant", "content": "Hello"}), "stop");
        envoy.provider.answer_next(
            Answer::start(
                200,
                &[
                    ("content-type", "application/json"),
                    ("content-length", &body.len().to_string()),
                ],
            )
            .bytes(&body[..20])
            .wait(&gate)
            .bytes(&body[20..]),
        );
        let question = says("hello");
        let number = envoy.provider.count();
        let upload = site.begin(http, &Request::chat(question.clone()).chunks(Vec::new()));
        for piece in question.chunks(1) {
            upload.send(piece);
        }
        let open = gate.clone();
        let provider = envoy.provider.clone();
        // The second half of the response is sent only when the whole request has arrived.
        let opener = std::thread::spawn(move || {
            provider.ended(number);
            open.open();
        });
        let response = upload.finish().expect("a response").rest();
        opener.join().expect("the provider saw the request");
        assert_eq!(response.body, body);
        assert_eq!(envoy.provider.last().body, question);
        assert_eq!(site.records.next()["decision"], "allow");
    });
}

fn many_exchanges_share_a_connection(version: Version) {
    let policy = policy(json!([no_weapons(), mask_cards()]));
    let envoy = Setup::new(
        version,
        Mode::BOTH
            .map(|mode| Site::new(mode.word(), &in_mode(&policy, mode)))
            .to_vec(),
    )
    .lease();
    for mode in Mode::BOTH {
        let site = envoy.site(mode.word());
        let mut connection = site.raw();
        for number in 0..50 {
            let (question, answer) = (format!("question {number}"), format!("answer {number}"));
            envoy.provider.answer_next(answers(&answer));
            let body = says(&question);
            let head = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            connection.send(&[head.as_bytes(), &body].concat());
            let response = connection.response().expect("the connection is kept");
            assert!(response.whole);
            assert!(String::from_utf8_lossy(&response.body).contains(&answer));
            assert_eq!(envoy.provider.last().body, body);
        }
        site.records.skip_to(50);
    }
}
