//! Responses of models.

use crate::scene::{
    Mode, answers, both_modes, calls, case, completion, in_every_way, policy, refusal, says, with,
};
use harness::{Answer, Envoy, Gate, Http, Listening, Request, Response, Version, gzip};
use serde_json::{Value, json};

in_both_envoys![
    a_denied_text_has_its_own_status_with_held_headers_and_is_a_refusal_without,
    a_denied_call_is_removed_from_the_response,
    of_several_calls_only_the_denied_one_is_taken_out,
    a_forced_call_that_is_denied_becomes_an_error,
    a_stream_of_an_endpoint_without_streams_is_denied_at_once,
    a_stream_is_released_while_it_is_evaluated,
    a_policy_may_let_pass_what_can_t_be_read,
    an_unreadable_response_is_denied,
    an_error_of_the_provider_s_passes_as_it_came,
    a_response_without_a_body_passes_response_rules,
    a_call_that_needs_an_approval_is_not_made,
];

/// Returns a rule against a tool.
pub(crate) fn no_delete() -> Value {
    json!({
        "id": "no-delete",
        "match": {"tool": "delete_customer"},
        "action": "deny",
        "reason": "Customers are deleted by a person.",
    })
}

fn no_recipes() -> Value {
    json!({
        "id": "no-recipes",
        "match": {"event": "response"},
        "when": {"text": {"contains": "secret recipe"}},
        "action": "deny",
        "reason": "The recipe stays here.",
    })
}

fn ask(site: &Listening, http: Http) -> Response {
    site.send(http, &Request::chat(says("hello")))
}

fn a_denied_text_has_its_own_status_with_held_headers_and_is_a_refusal_without(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_recipes()])));
    envoy
        .provider
        .answer_always(answers("Sure, the Secret Recipe is salt."));
    in_every_way(&envoy, |site, mode, http| {
        let response = ask(site, http);
        assert!(!String::from_utf8_lossy(&response.body).contains("salt"));
        let record = site.records.next();
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["code"], "AG3001");
        assert_eq!(record["rules"][0]["event"], "response");
        match mode {
            Mode::Hold => {
                let error = refusal(&response, 400, "AG3001");
                assert_eq!(error["message"], "The recipe stays here.");
                assert_eq!(record["status"], 400);
            }
            Mode::Portable => {
                assert_eq!(response.status, 200);
                assert_eq!(response.length, None);
                let body = response.json();
                let choice = &body["choices"][0];
                assert_eq!(choice["finish_reason"], "content_filter");
                assert_eq!(choice["message"]["refusal"], "The recipe stays here.");
                assert_eq!(choice["message"]["role"], "assistant");
                assert_eq!(record["status"], 200);
            }
        }
    });
}

fn a_denied_call_is_removed_from_the_response(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_delete()])));
    envoy
        .provider
        .answer_always(calls(&[("delete_customer", "{\"id\":\"c-7\"}")]));
    in_every_way(&envoy, |site, mode, http| {
        let response = ask(site, http);
        assert_eq!(response.status, 200);
        let body = response.json();
        let choice = &body["choices"][0];
        assert_eq!(choice["message"].get("tool_calls"), None);
        assert_eq!(
            choice["message"]["content"],
            "Customers are deleted by a person."
        );
        assert_eq!(choice["finish_reason"], "stop");
        assert!(!body.to_string().contains("c-7"));
        let (length, decision) = match mode {
            Mode::Hold => (Some(response.body.len()), Some("deny")),
            Mode::Portable => (None, None),
        };
        assert_eq!(response.length, length);
        assert_eq!(response.header("x-agentguard-decision"), decision);
        let record = site.records.next();
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["tools"], json!(["delete_customer"]));
        assert_eq!(record["status"], 200);
    });
}

fn of_several_calls_only_the_denied_one_is_taken_out(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_delete()])));
    envoy.provider.answer_always(calls(&[
        ("get_customer", "{\"id\":1}"),
        ("delete_customer", "{\"id\":2}"),
        ("get_orders", "{\"id\":3}"),
    ]));
    in_every_way(&envoy, |site, _, http| {
        let body = ask(site, http).json();
        let choice = &body["choices"][0];
        let names: Vec<&str> = choice["message"]["tool_calls"]
            .as_array()
            .expect("two calls are left")
            .iter()
            .filter_map(|call| call["function"]["name"].as_str())
            .collect();
        assert_eq!(names, ["get_customer", "get_orders"]);
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(site.records.next()["decision"], "deny");
    });
}

fn a_forced_call_that_is_denied_becomes_an_error(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_delete()])));
    envoy
        .provider
        .answer_always(calls(&[("delete_customer", "{}")]));
    let question = json!({
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "do it"}],
        "tools": [{"type": "function", "function": {"name": "delete_customer", "parameters": {}}}],
        "tool_choice": "required",
    });
    in_every_way(&envoy, |site, mode, http| {
        let response = site.send(http, &Request::chat(question.to_string()));
        match mode {
            Mode::Hold => {
                let error = refusal(&response, 400, "AG3001");
                assert_eq!(error["agentguard"]["rule"], "no-delete");
            }
            Mode::Portable => {
                let message = &response.json()["choices"][0]["message"];
                assert_eq!(message.get("tool_calls"), None);
                assert_eq!(message["refusal"], "Customers are deleted by a person.");
            }
        }
        assert_eq!(site.records.next()["decision"], "deny");
    });
}

fn a_stream(gate: &Gate) -> Answer {
    Answer::chunked(200, &[("content-type", "text/event-stream")])
        .chunk(b"data: {\"choices\":[]}\n\n")
        .wait(gate)
        .chunk(b"data: [DONE]\n\n")
        .end()
}

/// Returns a request whose response is never streamed.
fn embedding() -> Request {
    let body = json!({"model": "text-embedding-3-small", "input": "hi"});
    Request::chat(body.to_string()).path("/v1/embeddings")
}

fn a_stream_of_an_endpoint_without_streams_is_denied_at_once(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_recipes()])));
    in_every_way(&envoy, |site, _, http| {
        let gate = Gate::default();
        envoy.provider.answer_next(a_stream(&gate));
        // The response is denied by its headers, so it has its own status in either mode, at once.
        let error = refusal(&site.send(http, &embedding()), 400, "AG2014");
        assert!(error["agentguard"].get("rule").is_none());
        gate.open();
        let record = site.records.next();
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["coverage"]["level"], "none");
        assert_eq!(record["coverage"]["reasons"], json!(["response:AG2014"]));
    });
}

fn a_stream_is_released_while_it_is_evaluated(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_recipes()])));
    let piece = |text: &str| {
        let chunk =
            json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
        format!("data: {chunk}\n\n").into_bytes()
    };
    let (first, second) = (piece(&"Salt and pepper. ".repeat(20)), piece("Enjoy."));
    let end = b"data: [DONE]\n\n";
    let request =
        json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = Request::chat(request.to_string());
    in_every_way(&envoy, |site, _, http| {
        let gate = Gate::default();
        envoy.provider.answer_next(
            Answer::chunked(200, &[("content-type", "text/event-stream")])
                .chunk(&first)
                .chunk(&second)
                .wait(&gate)
                .chunk(end)
                .end(),
        );
        let mut live = site.open(http, &request);
        // The provider hasn't ended yet, and most of its response has arrived.
        let mut seen = Vec::new();
        while seen.len() < first.len() {
            seen.extend(live.next_bytes().expect("an event").expect("an event"));
        }
        gate.open();
        seen.extend(live.rest().body);
        assert_eq!(seen, [&first[..], &second, end].concat());
        assert_eq!(site.records.next()["decision"], "allow");
    });
}

fn a_policy_may_let_pass_what_can_t_be_read(version: Version) {
    let lenient = with(
        policy(json!([no_recipes()])),
        json!({"defaults": {"action": "allow", "uninspectable": "allow"}}),
    );
    let envoy = both_modes(version, &lenient);
    in_every_way(&envoy, |site, _, http| {
        let gate = Gate::default();
        envoy.provider.answer_next(a_stream(&gate));
        let mut live = site.open(http, &embedding());
        let first = live.next_bytes().expect("an event").expect("an event");
        assert_eq!(first, b"data: {\"choices\":[]}\n\n");
        gate.open();
        assert_eq!(live.rest().body, b"data: [DONE]\n\n");
        let record = site.records.next();
        assert_eq!(record["decision"], "allow");
        assert_eq!(record["coverage"]["level"], "none");
        assert_eq!(record["coverage"]["reasons"], json!(["response:AG2014"]));
    });
}

fn denied_in_its_mode(response: &Response, mode: Mode, status: u16, code: &str) {
    match mode {
        Mode::Hold => {
            refusal(response, status, code);
        }
        Mode::Portable => {
            let body = response.json();
            assert_eq!(response.status, 200);
            assert_eq!(body["choices"][0]["finish_reason"], "content_filter");
        }
    }
}

fn an_unreadable_response_is_denied(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_recipes()])));
    let json = [("content-type", "application/json")];
    let text = completion(json!({"role": "assistant", "content": "Hello"}), "stop");
    let large = completion(
        json!({"role": "assistant", "content": "a".repeat(9 << 20)}),
        "stop",
    );
    let from_headers = [
        (
            "packed",
            Answer::new(200, &[json[0], ("content-encoding", "gzip")], &gzip(&text)),
            415,
            "AG2005",
        ),
        (
            "an image",
            Answer::new(200, &[("content-type", "image/png")], b"\x89PNG"),
            415,
            "AG2006",
        ),
        (
            "another charset",
            Answer::new(
                200,
                &[("content-type", "application/json; charset=utf-16")],
                &text,
            ),
            400,
            "AG2009",
        ),
        ("too large", Answer::json(200, &large), 413, "AG2004"),
    ];
    let from_bodies = [
        (
            "malformed",
            Answer::json(200, b"{\"choices\":"),
            400,
            "AG2001",
        ),
        (
            "a key twice",
            Answer::json(200, b"{\"choices\":[],\"choices\":[]}"),
            400,
            "AG2002",
        ),
        (
            "no UTF-8",
            Answer::json(200, b"{\"id\":\"\xff\"}"),
            400,
            "AG2009",
        ),
        (
            "too large, by and by",
            large
                .chunks(1 << 20)
                .fold(Answer::chunked(200, &json), Answer::chunk)
                .end(),
            413,
            "AG2004",
        ),
    ];
    let check = |envoy: &Envoy, site: &Listening, code: &str| {
        let record = site.records.next();
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["code"], code);
        assert_eq!(
            record["coverage"]["reasons"],
            json!([format!("response:{code}")])
        );
        envoy.provider.forget();
    };
    in_every_way(&envoy, |site, mode, http| {
        for (name, answer, status, code) in &from_headers {
            case(name, || {
                envoy.provider.answer_next(answer.clone());
                refusal(&ask(site, http), *status, code);
                check(&envoy, site, code);
            });
        }
        for (name, answer, status, code) in &from_bodies {
            case(name, || {
                envoy.provider.answer_next(answer.clone());
                denied_in_its_mode(&ask(site, http), mode, *status, code);
                check(&envoy, site, code);
            });
        }
    });
}

fn an_error_of_the_provider_s_passes_as_it_came(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_recipes(), no_delete()])));
    let answers = [
        (
            401,
            "application/json",
            r#"{"error":{"message":"bad key","type":"invalid_request_error","code":"invalid_api_key"}}"#,
        ),
        (
            429,
            "application/json",
            r#"{"error": {"message":"slow down","type":"rate_limit_exceeded"}}"#,
        ),
        (
            500,
            "application/json",
            r#"{"error":{"message":"oops","type":"server_error"}}"#,
        ),
        (502, "text/html", "<html><body>Bad gateway</body></html>"),
        (503, "text/plain", "upstream connect error"),
    ];
    in_every_way(&envoy, |site, _, http| {
        for (status, media, body) in answers {
            envoy.provider.answer_next(Answer::new(
                status,
                &[("content-type", media), ("retry-after", "7")],
                body.as_bytes(),
            ));
            let response = ask(site, http);
            assert_eq!(response.status, status);
            assert_eq!(String::from_utf8_lossy(&response.body), body);
            assert_eq!(response.header("retry-after"), Some("7"));
            let record = site.records.next();
            assert_eq!(record["decision"], "allow", "{status}");
            assert_eq!(record["status"], status);
        }
    });
}

fn a_response_without_a_body_passes_response_rules(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_recipes()])));
    in_every_way(&envoy, |site, _, http| {
        let empty = Answer::start(
            200,
            &[
                ("content-type", "application/json"),
                ("content-length", "7"),
            ],
        );
        envoy.provider.answer_next(empty);
        let response = site.send(http, &Request::new("HEAD", "/v1/models"));
        assert_eq!((response.status, response.length), (200, Some(7)));
        envoy.provider.answer_next(Answer::start(204, &[]));
        assert_eq!(ask(site, http).status, 204);
        envoy
            .provider
            .answer_next(Answer::json(200, b"{\"object\":\"list\",\"data\":[]}"));
        let models = site.send(http, &Request::new("GET", "/v1/models"));
        assert_eq!(models.body, b"{\"object\":\"list\",\"data\":[]}");
        for status in [200, 204, 200] {
            let record = site.records.next();
            assert_eq!(record["decision"], "allow");
            assert_eq!(record["status"], status);
        }
    });
}

fn a_call_that_needs_an_approval_is_not_made(version: Version) {
    let rule = json!({
        "id": "large-refunds",
        "match": {"tool": "issue_refund"},
        "when": {"args.amount": {"greater_than": 100}},
        "action": "require_approval",
        "approval": {"by": ["manager"], "valid_for": "10m"},
    });
    let envoy = both_modes(version, &policy(json!([rule])));
    in_every_way(&envoy, |site, _, http| {
        for (amount, decision) in [
            ("100", "allow"),
            ("100.01", "require_approval"),
            ("\"1e3\"", "require_approval"),
        ] {
            let arguments = format!("{{\"amount\":{amount}}}");
            envoy
                .provider
                .answer_next(calls(&[("issue_refund", &arguments)]));
            let message = &ask(site, http).json()["choices"][0]["message"];
            assert_eq!(
                message.get("tool_calls").is_some(),
                decision == "allow",
                "{amount}"
            );
            assert_eq!(site.records.next()["decision"], decision, "{amount}");
        }
    });
}
