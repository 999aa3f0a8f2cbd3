//! Every way in which an exchange can end: its audit event, compared with what the client and the provider received.
#![expect(
    clippy::disallowed_methods,
    reason = "the time that an exchange took is compared with what its audit event says"
)]

use crate::scene::{
    Mode, answers, calls, case, in_every_way, in_mode, mask_cards, no_recipes, no_weapons, policy,
    says, sites, with,
};
use agentguard::approval::SigningKey;
use harness::{
    Answer, CLOSED, Envoy, Gate, Http, Listening, Request, Setup, Site, Version, wait_for,
};
use serde_json::{Value, json};
use std::time::Instant;

in_both_envoys![
    every_whole_response_is_recorded_as_it_was,
    every_end_by_envoy_is_recorded_with_its_reason,
    every_broken_stream_is_recorded_with_its_reason,
    a_denied_stream_is_recorded_at_once,
    what_no_policy_saw_is_recorded_as_far_as_it_is_known,
];

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const CARD: &str = "4111 1111 1111 1111";

/// Returns a policy with every kind of decision.
fn everything() -> Value {
    let limited = json!({
        "id": "only-one", "match": {"event": "request", "host": "limited.example"}, "action": "deny",
        "limit": {"count": "requests", "max": 1, "window": "24h"},
    });
    let no_delete =
        json!({"id": "no-delete", "match": {"tool": "delete_customer"}, "action": "deny"});
    let refund = json!({
        "id": "refund", "match": {"tool": "refund"}, "action": "require_approval",
        "approval": {"by": "manager"},
    });
    let manager = SigningKey::from_seed("manager", [1; 32]).public();
    with(
        policy(json!([
            no_weapons(),
            mask_cards(),
            no_recipes(),
            no_delete,
            limited,
            refund
        ])),
        json!({"approvers": {"manager": manager.expect("a public key")}}),
    )
}

fn traced(request: Request) -> Request {
    request.header("traceparent", TRACE)
}

fn asks(text: &str) -> Request {
    traced(Request::chat(says(text)))
}

/// Returns a request for a stream.
fn streams() -> Request {
    let body = json!({
        "model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hello"}],
    });
    traced(Request::chat(body.to_string()))
}

fn frame(text: &str) -> Vec<u8> {
    let chunk = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": null}],
    });
    format!("data: {chunk}\n\n").into_bytes()
}

fn stream() -> Answer {
    Answer::chunked(200, &[("content-type", "text/event-stream")])
}

/// Returns routes with timeouts; everything else is as in other tests.
fn routes() -> Value {
    let with = |header: &str, action: &str, route: Value| {
        json!({
            "match": {"prefix": "/", "headers": [{"name": header, "present_match": true}]},
            action: route,
        })
    };
    let route = |header: &str, route: Value| with(header, "route", route);
    json!({"route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        route("x-test-timeout", json!({"cluster": "provider", "timeout": "0.3s"})),
        route("x-test-idle", json!({"cluster": "provider", "timeout": "0s", "idle_timeout": "0.3s"})),
        route("x-test-no-endpoint", json!({"cluster": "nowhere", "timeout": "0s"})),
        route("x-test-duration", json!({"cluster": "provider", "timeout": "0s",
            "max_stream_duration": {"max_stream_duration": "0.3s"}})),
        route("x-test-try", json!({"cluster": "provider", "timeout": "0s",
            "retry_policy": {"retry_on": "connect-failure", "per_try_timeout": "0.3s"}})),
        with("x-test-direct", "direct_response", json!({"status": 418})),
        with("x-test-redirect", "redirect", json!({"host_redirect": "elsewhere.example"})),
        {"match": {"prefix": "/v1/", "headers": [
            {"name": "x-test-no-route", "present_match": true, "invert_match": true},
        ]}, "route": {"cluster": "provider", "timeout": "0s"}},
    ]}]}})
}

fn start(version: Version, policy: &Value) -> Envoy {
    let sites = Mode::BOTH
        .map(|mode| Site::new(mode.word(), &in_mode(policy, mode)).manager(routes()))
        .to_vec();
    Setup::new(version, sites).lease()
}

/// Returns the next event, after checking its members about the request.
#[track_caller]
fn next(site: &Listening, since: Instant, status: u16) -> Value {
    let record = site.records.next();
    assert_eq!(record["method"], "POST", "{record:#}");
    assert_eq!(record["host"], "api.openai.com");
    assert_eq!(record["path"], "/v1/chat/completions");
    assert_eq!(record["client"], "127.0.0.1");
    assert_eq!(record["traceparent"], TRACE);
    assert_eq!(record["status"], status, "{record:#}");
    let most = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let duration = record["duration_ms"].as_u64().expect("a duration");
    assert!(duration <= most + 1, "{duration} ms of {most}");
    record
}

#[track_caller]
fn check(record: &Value, decision: &str, code: Option<&str>, ended: Option<&str>, gaps: &[&str]) {
    assert_eq!(record["decision"], decision, "{record:#}");
    assert_eq!(record["code"].as_str(), code, "{record:#}");
    let told = record["ended"].as_str();
    assert!(
        match (told, ended) {
            (Some(told), Some(ended)) => told.starts_with(ended),
            (told, ended) => told == ended,
        },
        "{record:#}"
    );
    assert_eq!(record["coverage"]["reasons"], json!(gaps), "{record:#}");
}

fn every_whole_response_is_recorded_as_it_was(version: Version) {
    let envoy = start(version, &everything());
    let limited = asks("hello").authority("limited.example");
    let site = envoy.site("hold");
    assert_eq!(site.send(Http::One, &limited).status, 200);
    assert_eq!(site.records.next()["host"], "limited.example");
    let error = br#"{"error":{"message":"no","type":"server_error"}}"#;
    in_every_way(&envoy, |site, mode, http| {
        // Request and response; status at the client; decision, code, gaps; whether the request reached the provider
        // unchanged, and whether the response reached the client unchanged.
        let cases = [
            ("hello", answers("Hello"), 200, "allow", None, true, true),
            (CARD, answers("Hello"), 200, "redact", None, false, true),
            ("hello", answers(CARD), 200, "redact", None, true, false),
            (
                "hello",
                Answer::json(500, error),
                500,
                "allow",
                None,
                true,
                true,
            ),
            (
                "hello",
                calls(&[("delete_customer", "{}")]),
                200,
                "deny",
                Some("AG3001"),
                true,
                false,
            ),
            (
                "hello",
                calls(&[("refund", "{}")]),
                200,
                "require_approval",
                Some("AG3003"),
                true,
                false,
            ),
        ];
        for (text, answer, status, decision, code, is_sent, is_returned) in cases {
            case(&format!("{text}, {decision}"), || {
                let since = Instant::now();
                envoy.provider.answer_next(answer.clone());
                let response = site.send(http, &asks(text));
                let upstream = envoy.provider.last();
                let record = next(site, since, response.status);
                assert_eq!(response.status, status);
                check(&record, decision, code, None, &[]);
                assert_eq!(record["coverage"]["level"], "full");
                assert_eq!(
                    upstream.header("x-request-id"),
                    record["request_id"].as_str()
                );
                assert_eq!(upstream.header("traceparent"), Some(TRACE));
                assert_eq!(upstream.body == says(text), is_sent);
                assert_eq!(response.body == answer.body(), is_returned);
            });
        }
        // Requests that never reach the provider.
        let packed = asks("hello").header("content-encoding", "br");
        let unread = traced(Request::chat(b"{\"model\":".to_vec()));
        for (name, request, status, code, gap) in [
            ("denied", asks("the forbidden word"), 400, "AG3001", None),
            ("limited", limited.clone(), 403, "AG5001", None),
            ("encoded", packed, 415, "AG2005", Some("request:AG2005")),
            ("malformed", unread, 400, "AG2001", Some("request:AG2001")),
        ] {
            case(name, || {
                let since = Instant::now();
                let before = envoy.provider.received().len();
                let response = site.send(http, &request);
                let record = site.records.next();
                assert_eq!(response.status, status, "{record:#}");
                assert_eq!(record["status"], status);
                assert_eq!(record["method"], "POST");
                assert_eq!(record["traceparent"], TRACE);
                let gaps: Vec<&str> = gap.into_iter().collect();
                check(&record, "deny", Some(code), None, &gaps);
                assert_eq!(
                    response.header("x-agentguard-request-id"),
                    record["request_id"].as_str()
                );
                let most = u64::try_from(since.elapsed().as_millis()).unwrap_or(0) + 1;
                assert!(record["duration_ms"].as_u64() <= Some(most));
                let arrived = envoy.provider.received();
                assert!(
                    arrived[before..]
                        .iter()
                        .all(|request| request.body.is_empty())
                );
                assert!(mode == Mode::Portable || arrived.len() == before);
            });
        }
        // Other methods and endpoints; identifiers and queries are left out.
        let key = concat!(
            "sk-proj-",
            "T3BlbkFJabcdefghijklmnopqrstuvwxyz0123456789ABCD"
        );
        envoy.provider.answer_always(Answer::new(200, &[], b""));
        for (method, path, recorded, status, code) in [
            ("HEAD", "/v1/models", "/v1/models", 200, None),
            ("GET", "/v1/models?after=jane", "/v1/models", 200, None),
            (
                "GET",
                "/v1/orders/4711/jane%40example.com?token=secret",
                "/v1/orders/{id}/[EMAIL]",
                400,
                Some("AG2007"),
            ),
            (
                "DELETE",
                &format!("/v1/keys/{key}"),
                "/v1/keys/sk-proj-{id}",
                400,
                Some("AG2007"),
            ),
        ] {
            case(&format!("{method} {path}"), || {
                let response = site.send(http, &traced(Request::new(method, path)));
                let record = site.records.next();
                assert_eq!(response.status, status, "{record:#}");
                assert_eq!(record["status"], status);
                assert_eq!(record["method"], method);
                assert_eq!(record["path"], recorded);
                assert_eq!(record["code"].as_str(), code);
                assert_eq!(record["client"], "127.0.0.1");
            });
        }
    });
}

/// Runs a test that waits for Envoy's timers once in each header mode and over each protocol.
fn in_two_ways(envoy: &Envoy, mut test: impl FnMut(&Listening, Mode, Http)) {
    for (mode, http) in [(Mode::Portable, Http::One), (Mode::Hold, Http::Two)] {
        case(&format!("{mode:?}, HTTP/{http:?}"), || {
            test(envoy.site(mode.word()), mode, http);
        });
    }
}

fn every_end_by_envoy_is_recorded_with_its_reason(version: Version) {
    let envoy = start(version, &everything());
    let dead = Setup::new(version, sites(&everything()))
        .upstream(CLOSED)
        .lease();
    in_two_ways(&envoy, |site, mode, http| {
        let gate = Gate::default();
        let late = || answers("late").after(&gate);
        let reset = "upstream_reset_before_response_started{";
        for (header, answer, status, ended) in [
            ("x-test-timeout", Some(late()), 504, "response_timeout"),
            ("x-test-idle", Some(late()), 504, "stream_idle_timeout"),
            ("x-test-no-route", None, 404, "route_not_found"),
            ("x-test-no-endpoint", None, 503, "no_healthy_upstream"),
            ("x-test-nothing", Some(Answer::none()), 503, reset),
            ("x-test-duration", Some(late()), 504, "max_duration_timeout"),
            ("x-test-try", Some(late()), 504, "upstream_per_try_timeout"),
            ("x-test-direct", None, 418, "direct_response"),
            ("x-test-redirect", None, 301, "direct_response"),
        ] {
            case(header, || {
                let since = Instant::now();
                let before = envoy.provider.count();
                let is_asked = answer.is_some();
                if let Some(answer) = answer {
                    envoy.provider.answer_next(answer);
                }
                let response = site.send(http, &asks("hello").header(header, "1"));
                assert_eq!(response.status, status);
                let record = next(site, since, status);
                // Where headers are forwarded at once, Envoy replies before the body has arrived.
                let is_evaluated = is_asked || mode == Mode::Hold;
                let decision = match record["events"].is_object() {
                    true => "allow",
                    false => "not_evaluated",
                };
                let gaps: &[&str] = if is_evaluated {
                    &[]
                } else {
                    &["request:incomplete"]
                };
                check(&record, decision, None, Some(ended), gaps);
                assert_eq!(envoy.provider.count() > before, is_asked);
            });
        }
        gate.open();
        let since = Instant::now();
        let site = dead.site(mode.word());
        assert_eq!(site.send(http, &asks("hello")).status, 503);
        let record = next(site, since, 503);
        let told = record["ended"].as_str().unwrap_or_default();
        assert!(told.starts_with(reset), "{told}");
        assert!(!told.contains(' '), "{told}");
    });
}

fn every_broken_stream_is_recorded_with_its_reason(version: Version) {
    let envoy = start(version, &everything());
    in_two_ways(&envoy, |site, _, http| {
        let incomplete: &[&str] = &["response:incomplete"];
        let first = |answer: Answer, header: &str| {
            envoy.provider.answer_next(answer);
            let request = streams().header(header, "1");
            let mut live = site.open(http, &request);
            let bytes = live.next_bytes().ok().flatten().unwrap_or_default();
            (live, String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = "One word after another. ".repeat(20);
        let begun = || stream().chunk(&frame(&text)).chunk(&frame(&text));

        // The client closes the connection.
        let (gate, since) = (Gate::default(), Instant::now());
        let (live, seen) = first(begun().wait(&gate).end(), "x-test-none");
        assert!(seen.contains("One word"), "{seen}");
        drop(live);
        let record = next(site, since, 200);
        gate.open();
        check(
            &record,
            "allow",
            None,
            Some("downstream_remote_disconnect"),
            incomplete,
        );
        assert_eq!(record["stream"], true);

        // The upstream closes the connection.
        let (gate, since) = (Gate::default(), Instant::now());
        let (live, _) = first(begun().wait(&gate).hang_up(), "x-test-none");
        gate.open();
        let rest = live.rest();
        // hyper treats some of Envoy's reset reasons of HTTP/2 streams as a clean end.
        assert!(rest.broken.is_some() || http == Http::Two);
        let record = next(site, since, 200);
        check(
            &record,
            "allow",
            None,
            Some("upstream_reset_after_response_started{"),
            incomplete,
        );

        // The upstream sends nothing more, and the route's timeout ends the exchange.
        for (header, ended) in [
            ("x-test-idle", "stream_idle_timeout"),
            ("x-test-timeout", "response_timeout"),
        ] {
            let (gate, since) = (Gate::default(), Instant::now());
            let (live, _) = first(begun().wait(&gate).end(), header);
            let rest = live.rest();
            assert!(rest.broken.is_some() || http == Http::Two);
            let record = next(site, since, 200);
            gate.open();
            check(&record, "allow", None, Some(ended), incomplete);
        }

        // The client closes the connection while it sends.
        let since = Instant::now();
        let request = traced(
            Request::chat(Vec::new())
                .chunks(Vec::new())
                .without("content-length"),
        );
        let before = envoy.stat(&format!("http.{}.downstream_rq_total", site.name()));
        let upload = site.begin(http, &request);
        upload.send(b"{\"model\":");
        wait_for("Envoy to begin the exchange", || {
            (envoy.stat(&format!("http.{}.downstream_rq_total", site.name())) > before)
                .then_some(())
        });
        drop(upload);
        let record = next(site, since, 0);
        let left = Some("downstream_remote_disconnect");
        check(
            &record,
            "not_evaluated",
            None,
            left,
            &["request:incomplete"],
        );

        // The client stops sending.
        let since = Instant::now();
        let upload = site.begin(http, &request.header("x-test-idle", "1"));
        upload.send(b"{\"model\":");
        let response = upload.answered().expect("Envoy's answer").rest();
        assert_eq!(response.status, 408);
        let record = next(site, since, 408);
        let slow = Some("stream_idle_timeout");
        // Of such an exchange, only Envoy's own response was evaluated, if the filter reads responses at all.
        let decision = match record["events"].is_object() {
            true => "allow",
            false => "not_evaluated",
        };
        check(&record, decision, None, slow, &["request:incomplete"]);
        assert_eq!(record["coverage"]["level"], "none");
    });
}

/// Returns the interim events in Envoy's log.
fn interim(envoy: &Envoy) -> Vec<String> {
    let printed = envoy.printed();
    let lines = printed.lines();
    lines
        .filter_map(|line| line.split_once("agentguard: interim "))
        .map(|(_, line)| line.to_owned())
        .collect()
}

fn a_denied_stream_is_recorded_at_once(version: Version) {
    let envoy = start(version, &everything());
    let mut told = 0;
    in_two_ways(&envoy, |site, _, http| {
        let gate = Gate::default();
        let since = Instant::now();
        let lines = site.records.lines().len();
        let text = "One word after another. ".repeat(20);
        let answer = stream()
            .chunk(&frame(&text))
            .chunk(&frame("here is the secret recipe"))
            .chunk(&frame(&text))
            .wait(&gate)
            .end();
        envoy.provider.answer_next(answer);
        let live = site.open(http, &streams());
        let early = wait_for("an interim event", || interim(&envoy).get(told).cloned());
        told += 1;
        let early: Value = serde_json::from_str(&early).expect("an event");
        harness::check(&early);
        assert_eq!(early["interim"], true);
        assert_eq!(early["status"], 200);
        assert_eq!(early["decision"], "deny");
        assert_eq!(early["code"], "AG3001");
        assert_eq!(early["rules"][0]["id"], "no-recipes");
        assert_eq!(early["path"], "/v1/chat/completions");
        // The upstream has not ended.
        let open = site.records.lines().len() == lines;
        gate.open();
        let rest = live.rest();
        assert!(!String::from_utf8_lossy(&rest.body).contains("secret recipe"));
        let record = next(site, since, 200);
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["code"], "AG3001");
        assert_eq!(record["request_id"], early["request_id"]);
        assert_ne!(record["chain"]["id"], early["chain"]["id"]);
        assert!(open || record["ended"].is_string(), "{record:#}");
        assert!(record.get("interim").is_none());
    });
    assert_eq!(interim(&envoy).len(), told);
}

fn what_no_policy_saw_is_recorded_as_far_as_it_is_known(version: Version) {
    let policy = policy(json!([no_weapons()]));
    let fault = json!({
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 401, "percentage": {"numerator": 100}},
        },
    });
    let mut all = Vec::new();
    for mode in Mode::BOTH {
        let site =
            |name: &str| Site::new(&format!("{name}-{}", mode.word()), &in_mode(&policy, mode));
        all.push(site("open").upgrades());
        all.push(site("denied").behind_filters(vec![fault.clone()]));
        let broken = harness::Configuration::Text("{\"apiVersion\": 1}".to_owned());
        all.push(site("refused").configured(broken).watched());
    }
    let envoy = Setup::new(version, all).lease();
    for mode in Mode::BOTH {
        for http in Http::BOTH {
            // Another filter before this one.
            let site = envoy.site(&format!("denied-{}", mode.word()));
            let response = site.send(http, &asks("hello"));
            assert_eq!(response.status, 401);
            let record = site.records.next();
            check(
                &record,
                "not_evaluated",
                None,
                Some("fault_filter_abort"),
                &[],
            );
            assert_eq!(record["status"], 401);
            assert_eq!(record["method"], "POST");
            assert_eq!(record["host"], "api.openai.com");
            assert_eq!(record["path"], "/v1/chat/completions");
            assert_eq!(record["client"], "127.0.0.1");
            assert_eq!(record["traceparent"], TRACE);
            // With a rejected configuration there is no filter: Envoy denies everything.
            let site = envoy.site(&format!("refused-{}", mode.word()));
            assert_eq!(site.send(http, &asks("hello")).status, 500);
            assert_eq!(site.records.next_line(), "-");
        }
        let site = envoy.site(&format!("open-{}", mode.word()));
        let socket = "GET /v1/realtime HTTP/1.1\r\nhost: api.openai.com\r\nconnection: Upgrade\r\n\
                      upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                      sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        let connect = "CONNECT api.openai.com:443 HTTP/1.1\r\nhost: api.openai.com:443\r\n\r\n";
        let nameless = "GET /v1/models HTTP/1.1\r\n\r\n";
        // Envoy parses no headers of these.
        let unknown = "FOO /v1/models HTTP/1.1\r\nhost: api.openai.com\r\n\r\n";
        let two_lengths = "POST /v1/models HTTP/1.1\r\nhost: api.openai.com\r\ncontent-length: 2\r\n\
                           content-length: 3\r\n\r\n{}";
        for (bytes, method, status, code) in [
            (socket, Some("GET"), 426, Some("AG2008")),
            (connect, Some("CONNECT"), 426, Some("AG2008")),
            (nameless, Some("GET"), 400, None),
            (unknown, None, 400, None),
            (two_lengths, None, 400, None),
        ] {
            case(bytes, || {
                let mut connection = site.raw();
                connection.send(bytes.as_bytes());
                let response = connection.response().expect("a response");
                let record = site.records.next();
                assert_eq!(response.status, status, "{record:#}");
                assert_eq!(record["status"], status);
                assert_eq!(record["method"].as_str(), method, "{record:#}");
                assert_eq!(record["code"].as_str(), code, "{record:#}");
                assert_eq!(record["client"], "127.0.0.1", "{record:#}");
            });
        }
    }
    assert_eq!(envoy.provider.count(), 0);
}
