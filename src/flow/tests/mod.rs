use super::simulation::{self, HttpMessage, SimulatedResult, run};
use super::*;
use crate::author::parse_yaml;
use crate::policy::load;
use proptest::prelude::*;
use serde_json::{Value, json};

mod a2a;
mod approval_service;
mod approvals;
mod beyond_limits;
mod code_assist;
mod content;
mod contradictions;
mod conversations;
mod data;
mod disguise;
mod documents;
mod framing;
mod generic;
mod history;
mod identifiers;
mod identity;
mod kill;
mod known_texts;
mod known_tools;
mod known_turns;
mod limits;
mod mcp;
mod memory;
mod metrics;
mod models;
mod oauth;
mod plumbing;
mod provider_run;
mod pseudonym;
mod request_forms;
mod spelling;
mod unnamed_calls;
mod unread;
mod work;
mod work_of_json;

const NOW: u64 = 1_763_622_245_000_000_000;

fn guard(policy: &str) -> Rc<Guard> {
    guard_of(&format!(
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: test }}\n{policy}"
    ))
}

fn guard_of(text: &str) -> Rc<Guard> {
    let root = parse_yaml(text).unwrap_or_else(|errors| panic!("{errors:?}"));
    let loaded = load(&root);
    let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
    let Some(policy) = loaded.policy else {
        panic!("{errors:?}")
    };
    simulation::guard(policy).unwrap()
}

fn chat_request(body: &[u8]) -> HttpMessage {
    let length = body.len().to_string();
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/v1/chat/completions"),
            (":authority", "api.openai.com"),
            ("content-type", "application/json"),
            ("content-length", &length),
            ("x-request-id", "r-1"),
        ],
        body,
    )
}

fn says(text: &str) -> Vec<u8> {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})
        .to_string()
        .into_bytes()
}

/// Passes the headers of a request whose body follows to the flow.
fn sends_head(flow: &mut Flow, request: &HttpMessage) -> Step {
    let headers = request.header_slices();
    flow.request_headers(&RequestHead {
        headers: &headers,
        end: false,
        properties: &crate::proxy::MemoryProperties::default(),
        now: NOW,
    })
}

/// Returns the actions for the pieces of a slow response. Each piece has the second at which it arrives.
fn slowly(
    guard: &Rc<Guard>,
    request: &HttpMessage,
    media: &str,
    pieces: &[(&[u8], u64)],
) -> Vec<Action> {
    let mut flow = Flow::new(Rc::clone(guard));
    let _ = sends_head(&mut flow, request);
    let _ = flow.request_body(&mut request.body().as_slice(), true, NOW);
    let _ = flow.response_headers(&ResponseHead {
        headers: &[
            (b":status".as_slice(), b"200".as_slice()),
            (b"content-type", media.as_bytes()),
        ],
        end: false,
        now: NOW,
    });
    pieces
        .iter()
        .map(|(bytes, seconds)| {
            let mut bytes = *bytes;
            let step = flow.response_body(&mut bytes, false, NOW + seconds * 1_000_000_000);
            step.action
        })
        .collect()
}

fn answer(message: Value, finish: &str) -> HttpMessage {
    let body = json!({
        "id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": null}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    })
    .to_string();
    let length = body.len().to_string();
    HttpMessage::new(
        &[
            (":status", "200"),
            ("content-type", "application/json"),
            ("content-length", &length),
            ("etag", "\"x\""),
        ],
        body.as_bytes(),
    )
}

fn hello() -> HttpMessage {
    answer(json!({"role": "assistant", "content": "Hello"}), "stop")
}

fn exchange(guard: &Rc<Guard>, request: &HttpMessage, response: HttpMessage) -> SimulatedResult {
    run(guard, request, |_| response, NOW)
}

fn record(seen: &SimulatedResult) -> Value {
    serde_json::from_slice(&seen.finished.line).unwrap()
}

fn client_json(seen: &SimulatedResult) -> Value {
    serde_json::from_slice(&seen.client.body()).unwrap()
}

/// Runs a test with a policy in both header modes of the filter.
fn in_both_modes(policy: &str, mut test: impl FnMut(&Rc<Guard>, bool)) {
    test(&guard(policy), false);
    test(
        &guard(&format!("envoy: {{ headers: hold }}\n{policy}")),
        true,
    );
}

/// Sends a request whose response streams, at once and in pieces, and asserts that the client receives the same.
fn asks_for_stream(
    guard: &Rc<Guard>,
    (provider, path): (&str, &str),
    question: &Value,
    answer: &[u8],
) -> SimulatedResult {
    let request = HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", provider),
            ("content-type", "application/json"),
            ("x-request-id", "r-1"),
        ],
        question.to_string().as_bytes(),
    );
    let answered = |size: usize| {
        let headers = [(":status", "200"), ("content-type", "text/event-stream")];
        let mut half = HttpMessage::new(&headers, b"");
        half.chunks = answer.chunks(size).map(<[u8]>::to_vec).collect();
        exchange(guard, &request, half)
    };
    let (at_once, in_pieces) = (answered(answer.len()), answered(9));
    assert_eq!(
        String::from_utf8(at_once.client.body()),
        String::from_utf8(in_pieces.client.body())
    );
    at_once
}

mod kept;
mod stream;
mod stream_anthropic;
mod stream_bedrock;
mod stream_cohere;
mod stream_entries;
mod stream_gemini;
mod stream_ollama;
mod stream_responses;
mod stream_runs;
mod stream_texts;
mod tokens;
mod trailers;
mod withheld;
mod written_calls;

const ALLOW: &str = "defaults: { action: allow }\n";

#[test]
fn content_that_no_rule_matches_passes_unchanged() {
    in_both_modes(ALLOW, |guard, _| {
        let body = br#"{ "messages":[ {"content":"h\u0069","role":"user"} ],"model" : "gpt-4o" , "x":1.0e2}"#;
        let request = chat_request(body);
        let seen = exchange(guard, &request, hello());
        let upstream = seen.upstream.clone().unwrap();
        assert_eq!(upstream.body(), body);
        assert_eq!(upstream.headers, request.headers);
        assert_eq!(seen.client, hello());
        let record = record(&seen);
        assert_eq!(record["decision"], "allow");
        assert_eq!(record["coverage"], json!({"level": "full", "reasons": []}));
        assert_eq!(
            record["usage"],
            json!({"input_tokens": 3, "output_tokens": 4})
        );
        assert_eq!(record["status"], 200);
    });
}

#[test]
fn a_denied_request_gets_an_error_in_the_provider_s_form() {
    let policy = "defaults: { action: allow }
rules:
  - id: no-weapons
    match: { event: message, from: user }
    when: { text: { contains: forbidden } }
    action: deny
    reason: We don't talk about this.
    remedy: Ask something else.
";
    in_both_modes(policy, |guard, hold| {
        let seen = exchange(guard, &chat_request(&says("the FORBIDDEN word")), hello());
        assert!(!seen.upstream_complete);
        match &seen.upstream {
            None => assert!(hold, "only headers that are held stay here"),
            Some(upstream) => assert!(
                !hold && upstream.body().is_empty(),
                "no byte of the body may leave"
            ),
        }
        assert_eq!(seen.client.status(), Some(400));
        let error = &client_json(&seen)["error"];
        assert_eq!(
            error["message"],
            "We don't talk about this. Ask something else."
        );
        assert_eq!(error["code"], "agentguard_denied");
        assert_eq!(error["agentguard"]["rule"], "no-weapons");
        assert_eq!(error["agentguard"]["at"], json!(["/messages/0/content"]));
        assert_eq!(
            seen.client.header("x-agentguard-rule"),
            Some(&b"no-weapons"[..])
        );
        let record = record(&seen);
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["code"], "AG3001");
        assert_eq!(record["status"], 400);
        assert_eq!(
            record["rules"],
            json!([{"id": "no-weapons", "action": "deny", "event": "message", "at": "/messages/0/content",
                    "mode": "enforce"}])
        );
        assert!(!String::from_utf8_lossy(&seen.finished.line).contains("FORBIDDEN"));
    });
}

const CARDS: &str = "defaults: { action: allow }
rules:
  - id: mask-cards
    match: { event: [message, response] }
    when: { text: { detects: credit_card } }
    action: redact
";

#[test]
fn a_finding_is_replaced_in_both_directions_also_after_escapes() {
    in_both_modes(CARDS, |guard, hold| {
        let body = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"card \u0034111 1111 1111 1111, \"ok\""}]}"#;
        let response = answer(
            json!({"role": "assistant", "content": "4111 1111 1111 1111 is yours"}),
            "stop",
        );
        let seen = exchange(guard, &chat_request(body), response);
        let upstream = seen.upstream.clone().unwrap();
        assert_eq!(
            String::from_utf8(upstream.body()).unwrap(),
            r#"{"model":"gpt-4o","messages":[{"role":"user","content":"card [CREDIT_CARD], \"ok\""}]}"#
        );
        let length = upstream.header("content-length").map(<[u8]>::to_vec);
        let expected = upstream.body().len().to_string().into_bytes();
        assert_eq!(length, hold.then_some(expected));
        assert_eq!(
            client_json(&seen)["choices"][0]["message"]["content"],
            "[CREDIT_CARD] is yours"
        );
        assert!(seen.client.header("etag").is_none());
        let record = record(&seen);
        assert_eq!(record["decision"], "redact");
        assert_eq!(record["findings"], json!({"credit_card": 2}));
    });
}

/// Clients retry by the status and the type of an error.
#[test]
fn a_finding_in_an_error_of_the_provider_is_replaced_and_the_error_stays() {
    let text = "Try again, or call 4111 1111 1111 1111";
    let error = json!({"error": {"message": text, "code": 429}});
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    for (host, path, asked, error) in [
        ("api.openai.com", "/v1/chat/completions", &chat, &error),
        (
            "api.openai.com",
            "/v1/completions",
            &json!({"model": "m", "prompt": "hi"}),
            &error,
        ),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-2.5-pro:generateContent",
            &contents,
            &error,
        ),
        (
            "api.cloudflare.com",
            "/client/v4/accounts/a/ai/run/@cf/meta/llama",
            &chat,
            &json!({"success": false, "errors": [{"message": text}]}),
        ),
        (
            "dashscope.aliyuncs.com",
            "/api/v1/services/aigc/text-generation/generation",
            &json!({"model": "m", "input": chat}),
            &json!({"code": "Throttling", "message": text}),
        ),
        (
            "bedrock-runtime.eu-west-1.amazonaws.com",
            "/model/meta.llama3/invoke",
            &json!({"prompt": "hi"}),
            &json!({"message": text}),
        ),
    ] {
        in_both_modes(CARDS, |guard, _| {
            let mut request = chat_request(asked.to_string().as_bytes());
            for (name, value) in &mut request.headers {
                match name.as_slice() {
                    b":path" => *value = path.into(),
                    b":authority" => *value = host.into(),
                    _ => {}
                }
            }
            let headers = [(":status", "429"), ("content-type", "application/json")];
            let response = HttpMessage::new(&headers, error.to_string().as_bytes());
            let seen = exchange(guard, &request, response);
            let replaced = error
                .to_string()
                .replace("4111 1111 1111 1111", "[CREDIT_CARD]");
            assert_eq!(
                String::from_utf8(seen.client.body()).unwrap(),
                replaced,
                "{path}"
            );
            assert_eq!(seen.client.status(), Some(429), "{path}");
        });
    }
}

#[test]
fn a_length_is_corrected_and_never_added() {
    // Over HTTP/1.1 a body with a length has no trailers: adding one would lose them.
    in_both_modes(CARDS, |guard, _| {
        let unsized_half = |mut half: HttpMessage| {
            half.headers.retain(|(name, _)| name != b"content-length");
            half
        };
        let request = unsized_half(chat_request(&says("4111 1111 1111 1111")));
        let response = answer(
            json!({"role": "assistant", "content": "4111 1111 1111 1111"}),
            "stop",
        );
        let seen = exchange(guard, &request, unsized_half(response));
        let upstream = seen.upstream.clone().unwrap();
        assert_eq!(upstream.body(), says("[CREDIT_CARD]"));
        assert_eq!(upstream.header("content-length"), None);
        assert_eq!(seen.client.header("content-length"), None);
    });
}

#[test]
fn a_finding_that_can_t_be_edited_is_a_denial() {
    for body in [
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"vendor":{"n":4111111111111111}}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"vendor":"4111 1111 1111 1111"}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"4111 1111 1111 1111":true}"#,
        r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"1","type":"function",
            "function":{"name":"pay","arguments":"{\"n\":4111111111111111}"}}]}]}"#,
    ] {
        let seen = exchange(&guard(CARDS), &chat_request(body.as_bytes()), hello());
        assert_eq!(
            client_json(&seen)["error"]["agentguard"]["code"],
            "AG3005",
            "{body}"
        );
        assert_eq!(seen.client.status(), Some(400));
    }
}

#[test]
fn arguments_in_the_history_are_edited_inside_their_string() {
    let body = r#"{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"pay","arguments":"{\"card\":\"4111 1111 1111 1111\",\"q\":\"\\\"\"}"}}]}]}"#;
    let seen = exchange(&guard(CARDS), &chat_request(body.as_bytes()), hello());
    assert_eq!(
        String::from_utf8(seen.upstream.unwrap().body()).unwrap(),
        body.replace("4111 1111 1111 1111", "[CREDIT_CARD]")
    );
}

#[test]
fn calls_of_the_history_are_evaluated_if_a_rule_names_their_turn() {
    let body = r#"{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"pay","arguments":"{\"card\":\"4111 1111 1111 1111\"}"}}]},{"role":"tool","tool_call_id":"1","content":"done"},{"role":"assistant","content":"Paid."},{"role":"user","content":"Again."}]}"#;
    let told = |turn: &str| {
        let policy = format!(
            "defaults: {{ action: allow }}
rules:
  - id: cards
    match: {{ event: tool_call{turn} }}
    when: {{ text: {{ detects: credit_card }} }}
    action: tag
    tags: [card]
"
        );
        let seen = exchange(&guard(&policy), &chat_request(body.as_bytes()), hello());
        let record = record(&seen);
        (record["tags"].clone(), record["findings"].clone())
    };
    assert_eq!(told(""), (Value::Null, Value::Null));
    let found = (json!(["card"]), json!({"credit_card": 1}));
    assert_eq!(told(", turn: earlier"), found);
    assert_eq!(told(", turn: [latest, earlier]"), found);
}

const TOOLS: &str = "defaults: { action: allow }
rules:
  - id: no-delete
    match: { tool: delete_customer }
    action: deny
    reason: Customers are never deleted.
";

fn calls(names: &[&str]) -> Value {
    let calls: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            json!({"id": format!("call_{at}"), "type": "function",
                   "function": {"name": name, "arguments": "{\"id\": 7}"}})
        })
        .collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

#[test]
fn a_denied_call_is_removed_from_the_response() {
    in_both_modes(TOOLS, |guard, _| {
        let seen = exchange(
            guard,
            &chat_request(&says("hi")),
            answer(calls(&["delete_customer"]), "tool_calls"),
        );
        assert_eq!(seen.client.status(), Some(200));
        let choice = &client_json(&seen)["choices"][0];
        assert_eq!(
            choice["message"],
            json!({"role": "assistant", "content": "Customers are never deleted."})
        );
        assert_eq!(choice["finish_reason"], "stop");
        let record = record(&seen);
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["tools"], json!(["delete_customer"]));
    });
}

#[test]
fn of_several_calls_only_the_denied_one_is_removed() {
    in_both_modes(TOOLS, |guard, _| {
        let seen = exchange(
            guard,
            &chat_request(&says("hi")),
            answer(calls(&["look_up", "delete_customer", "send"]), "tool_calls"),
        );
        let choice = &client_json(&seen)["choices"][0];
        let names: Vec<&str> = choice["message"]["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| call["function"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["look_up", "send"]);
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(choice["message"]["content"], "Customers are never deleted.");
    });
}

#[test]
fn a_forced_call_that_is_denied_is_an_error_instead_of_a_text() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "tool_choice": "required"});
    in_both_modes(TOOLS, |guard, hold| {
        let seen = exchange(
            guard,
            &chat_request(body.to_string().as_bytes()),
            answer(calls(&["delete_customer"]), "tool_calls"),
        );
        let body = client_json(&seen);
        if hold {
            assert_eq!(seen.client.status(), Some(400));
            assert_eq!(body["error"]["agentguard"]["rule"], "no-delete");
        } else {
            assert_eq!(seen.client.status(), Some(200));
            assert_eq!(
                body["choices"][0]["message"]["refusal"],
                "Customers are never deleted."
            );
            assert_eq!(body["choices"][0]["finish_reason"], "content_filter");
        }
    });
}

#[test]
fn a_denied_call_in_the_history_is_denied_only_in_the_latest_turn() {
    let call = json!({"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
        "function": {"name": "delete_customer", "arguments": "{}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "c", "content": "done"});
    let latest = json!({"model": "m", "messages": [call, result]});
    let earlier =
        json!({"model": "m", "messages": [call, result, {"role": "user", "content": "and now?"}]});
    let guard = guard(TOOLS);
    let status = |body: &Value| {
        exchange(&guard, &chat_request(body.to_string().as_bytes()), hello())
            .client
            .status()
    };
    assert_eq!(status(&latest), Some(400));
    assert_eq!(status(&earlier), Some(200));
}

#[test]
fn denied_text_of_a_response_becomes_a_refusal() {
    let policy = "defaults: { action: allow }
rules:
  - { id: no-secret, match: { event: response }, when: { text: { contains: swan } }, action: deny, reason: No. }
";
    in_both_modes(policy, |guard, hold| {
        let response = answer(
            json!({"role": "assistant", "content": "the SWAN sings"}),
            "stop",
        );
        let seen = exchange(guard, &chat_request(&says("hi")), response);
        let body = client_json(&seen);
        if hold {
            assert_eq!(seen.client.status(), Some(400));
            assert_eq!(body["error"]["message"], "No.");
        } else {
            assert_eq!(seen.client.status(), Some(200));
            assert_eq!(
                body["choices"][0]["message"],
                json!({"role": "assistant", "content": null, "refusal": "No."})
            );
        }
        assert!(!String::from_utf8_lossy(&seen.client.body()).contains("SWAN"));
    });
}

#[test]
fn globs_match_some_names_and_not_others() {
    let policy = "defaults: { action: allow }
rules:
  - { id: no-pro, match: { model: ['*-pro*', o1] }, action: deny }
  - { id: no-files, match: { event: tool_offer, tool: 'file_*' }, action: deny }
";
    let guard = guard(policy);
    let status = |model: &str, tool: &str| {
        let body = json!({"model": model, "messages": [], "tools": [
            {"type": "function", "function": {"name": tool}}]});
        exchange(&guard, &chat_request(body.to_string().as_bytes()), hello())
            .client
            .status()
    };
    assert_eq!(status("gpt-4o-mini", "look_up"), Some(200));
    for (model, tool) in [
        ("o1-pro", "look_up"),
        ("O1", "look_up"),
        ("openai/o1-PRO:free", "look_up"),
        ("gpt-4o", "file_delete"),
        ("gpt-4o", "FILE_read"),
    ] {
        assert_eq!(status(model, tool), Some(400), "{model} {tool}");
    }
}

/// Rules on one author don't search the texts of other authors, but always those of unknown authors.
#[test]
fn words_and_patterns_are_searched_in_texts_of_the_authors_that_rules_name() {
    let policy = "defaults: { action: allow }
rules:
  - { id: ticket, match: { event: message, from: user }, when: { text: { matches: 'T-[0-9]{4}' } }, action: deny }
  - { id: draft, match: { event: message, from: tool }, when: { text: { contains: draft } }, action: deny }
  - { id: ssn, match: { event: message, from: user }, when: { text: { detects: us_ssn } }, action: deny }
  - id: named
    match: { event: message, from: system, model: gpt-4o }
    when: { text: { contains: basilisk, matches: 'B-[0-9]' } }
    action: deny
";
    let guard = guard(policy);
    let held = |role: &str, text: &str| {
        let body = json!({"model": "gpt-4o", "messages": [
            {"role": role, "content": text, "tool_call_id": "c"}]});
        let seen = exchange(&guard, &chat_request(body.to_string().as_bytes()), hello());
        let record = record(&seen);
        let rules = record["rules"].as_array().into_iter().flatten();
        rules
            .map(|rule| rule["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let everything = "draft of T-2087, basilisk B-7, SSN 219-09-9998";
    assert_eq!(held("user", everything), ["ssn", "ticket"]);
    assert_eq!(held("tool", everything), ["draft"]);
    assert_eq!(held("system", everything), ["named"]);
    assert_eq!(held("assistant", everything), [""; 0]);
    assert_eq!(held("system", "basilisk, no number"), [""; 0]);
    assert_eq!(
        held("critic", everything),
        ["draft", "named", "ssn", "ticket"]
    );
}

#[test]
fn observe_changes_nothing_and_records_what_it_would_have_done() {
    for rules in [CARDS, TOOLS] {
        let policy = format!("mode: observe\n{rules}");
        in_both_modes(&policy, |guard, _| {
            let body = says("4111 1111 1111 1111");
            let response = answer(calls(&["delete_customer"]), "tool_calls");
            let request = chat_request(&body);
            let seen = exchange(guard, &request, response.clone());
            assert_eq!(seen.upstream.clone().unwrap(), request);
            assert_eq!(seen.client, response);
            let record = record(&seen);
            assert_eq!(record["decision"], "allow");
            assert!(
                record["would"] == "redact" || record["would"] == "deny",
                "{record}"
            );
            assert_eq!(record["rules"][0]["mode"], "observe");
        });
    }
}

#[test]
fn bad_input_is_denied_with_its_code() {
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    let large = format!("{{\"model\":\"{}\"}}", "m".repeat(9 << 20));
    let cases: &[(&[u8], &str, u16)] = &[
        (b"{\"messages\":", "AG2001", 400),
        (b"{} {}", "AG2001", 400),
        (b"[]", "AG2001", 400),
        (b"{\"messages\":{}}", "AG2001", 400),
        (b"{\"messages\":[],\"model\":[\"a\"]}", "AG2001", 400),
        (
            b"{\"messages\":[{\"role\":1,\"content\":\"x\"}]}",
            "AG2001",
            400,
        ),
        (b"{\"messages\":[{\"content\":\"x\"}]}", "AG2001", 400),
        (b"{\"messages\":[],\"messages\":[]}", "AG2002", 400),
        (b"{\"messages\":[],\"Model\":\"x\"}", "AG2002", 400),
        (b"{\"messages\":[],\"mode\\u006c\":\"x\"}", "AG2002", 400),
        (deep.as_bytes(), "AG2003", 413),
        (large.as_bytes(), "AG2004", 413),
        (
            b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
            "AG2009",
            400,
        ),
        (b"\xef\xbb\xbf{}", "AG2009", 400),
        (b"{\0}\0", "AG2009", 400),
    ];
    in_both_modes(ALLOW, |guard, _| {
        for (body, code, status) in cases {
            let seen = exchange(guard, &chat_request(body), hello());
            let shown =
                String::from_utf8_lossy(body.get(..60.min(body.len())).unwrap()).into_owned();
            assert_eq!(
                client_json(&seen)["error"]["agentguard"]["code"],
                *code,
                "{shown}"
            );
            assert_eq!(seen.client.status(), Some(*status), "{shown}");
            let record = record(&seen);
            assert_eq!(record["code"], *code);
            assert_eq!(record["coverage"]["level"], "none");
        }
    });
}

/// An evaluation that is quadratic in the messages would not end here.
#[test]
fn a_hundred_thousand_messages_are_evaluated_and_edited() {
    let guard = guard(
        "defaults: { action: allow }\nrules:\n  - { id: mask, match: { event: message }, \
         when: { text: { detects: credit_card } }, action: redact }",
    );
    let text = |n: usize| {
        if n.is_multiple_of(10) {
            format!("{n}: 4111 1111 1111 1111")
        } else {
            format!("{n}: hi")
        }
    };
    let messages: Vec<Value> = (0..100_000)
        .map(|n| json!({"role": "user", "content": text(n)}))
        .collect();
    let body = json!({"model": "gpt-4o", "messages": messages}).to_string();
    let seen = exchange(&guard, &chat_request(body.as_bytes()), hello());
    let sent = seen.upstream.as_ref().unwrap().body();
    let expected = body.replace("4111 1111 1111 1111", "[CREDIT_CARD]");
    assert!(sent == expected.as_bytes(), "edited otherwise");
    assert_eq!(record(&seen)["events"]["message"], 100_000);
    assert_eq!(record(&seen)["findings"]["credit_card"], 10_000);
}

/// A removal that is quadratic in the parts of a response would not end here.
#[test]
fn thousands_of_parts_of_a_response_are_edited_and_taken_out() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: mask, match: { event: response }, when: { text: { detects: email } }, action: redact }
  - { id: drop, match: { tool: drop }, action: deny, reason: No. }
  - { id: word, match: { event: response }, when: { text: { contains: forbidden } }, action: deny, reason: No. }
",
    );
    const PARTS: usize = 5_000;
    let becomes = |path: &str, asked: Value, answered: Value| {
        let request = framing::asks(path, asked);
        let answer = HttpMessage::new(
            &[(":status", "200"), ("content-type", "application/json")],
            answered.to_string().as_bytes(),
        );
        let seen = run(&guard, &request, |_| answer, NOW);
        client_json(&seen)
    };
    let asks =
        json!({"model": "gpt-4o", "n": PARTS, "messages": [{"role": "user", "content": "hi"}]});
    let says = |number: usize| match number % 5 {
        0 => json!({"role": "assistant", "content": format!("Ask ann@example.org about {number}"),
                    "annotations": [{"start_index": 22, "end_index": 25}]}),
        1 => json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "drop", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "keep", "arguments": "{}"}}]}),
        2 => json!({"role": "assistant", "content": "a forbidden word"}),
        _ => json!({"role": "assistant", "content": "Hello"}),
    };
    let choices: Vec<Value> = (0..PARTS)
        .map(|number| json!({"index": number, "message": says(number), "finish_reason": "stop"}))
        .collect();
    let chat =
        json!({"id": "c", "object": "chat.completion", "model": "gpt-4o", "choices": choices});
    let seen = becomes("/v1/chat/completions", asks.clone(), chat);
    for (number, choice) in seen["choices"].as_array().unwrap().iter().enumerate() {
        let message = &choice["message"];
        match number % 5 {
            0 => {
                assert_eq!(message["content"], format!("Ask [EMAIL] about {number}"));
                assert_eq!(message["annotations"][0]["start_index"], 14);
            }
            1 => {
                let calls = message["tool_calls"].as_array().unwrap();
                assert_eq!((calls.len(), &calls[0]["id"]), (1, &json!("b")));
                assert_eq!(message["content"], "No.");
            }
            2 => assert_eq!(choice["finish_reason"], "content_filter"),
            _ => assert_eq!(*message, says(number)),
        }
    }
    let output: Vec<Value> = (0..PARTS)
        .map(|number| match number % 2 {
            0 => json!({"type": "message", "id": format!("m{number}"), "role": "assistant", "content": [
                {"type": "output_text", "text": "Ask ann@example.org", "annotations": [{"start_index": 4, "end_index": 19}]}]}),
            _ => json!({"type": "function_call", "id": format!("f{number}"), "call_id": "c", "name": "drop", "arguments": "{}"}),
        })
        .collect();
    let response = json!({"id": "r", "object": "response", "model": "gpt-4o", "store": false, "output": output});
    let seen = becomes(
        "/v1/responses",
        json!({"model": "gpt-4o", "input": "hi", "store": false}),
        response,
    );
    for (number, item) in seen["output"].as_array().unwrap().iter().enumerate() {
        let text = &item["content"][0]["text"];
        match number % 2 {
            0 => {
                assert_eq!(text, "Ask [EMAIL]");
                assert_eq!(item["content"][0]["annotations"][0]["end_index"], 11);
            }
            _ => assert_eq!((&item["type"], text), (&json!("message"), &json!("No."))),
        }
    }
    let call = |number: usize| {
        let name = if number.is_multiple_of(2) {
            "drop"
        } else {
            "keep"
        };
        json!({"function": {"index": number, "name": name, "arguments": {"n": number}}})
    };
    let calls: Vec<Value> = (0..PARTS).map(call).collect();
    let message = json!({"role": "assistant", "content": "", "tool_calls": calls});
    let line = json!({"model": "l", "created_at": "t", "message": message, "done": true});
    let asked =
        json!({"model": "l", "stream": false, "messages": [{"role": "user", "content": "hi"}]});
    let seen = becomes("/api/chat", asked, line);
    let calls = seen["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), PARTS / 2);
    for (number, call) in calls.iter().enumerate() {
        assert_eq!(call["function"]["index"], number);
        assert_eq!(call["function"]["arguments"]["n"], 2 * number + 1);
    }
}

#[test]
fn a_problem_of_the_headers_is_denied_before_anything_is_forwarded() {
    type Case = (&'static [(&'static str, &'static str)], &'static str, u16);
    let cases: &[Case] = &[
        (&[("content-encoding", "gzip")], "AG2005", 415),
        (
            &[("content-encoding", "identity"), ("content-encoding", "br")],
            "AG2005",
            415,
        ),
        (&[("content-type", "image/png")], "AG2006", 415),
        (
            &[("content-type", "multipart/form-data; boundary=x")],
            "AG2006",
            415,
        ),
        (
            &[("content-type", "application/json; charset=utf-16")],
            "AG2009",
            400,
        ),
        (&[(":path", "/v1/unknown")], "AG2007", 400),
        (&[(":method", "PUT")], "AG2007", 400),
        (
            &[
                ("content-type", "application/json"),
                ("content-type", "application/json"),
            ],
            "AG2006",
            415,
        ),
        (&[("upgrade", "websocket")], "AG2008", 426),
        // RFC 8441.
        (&[(":protocol", "websocket")], "AG2008", 426),
        (&[("x-http-method-override", "DELETE")], "AG2012", 400),
        (&[("content-length", "99999999")], "AG2004", 413),
    ];
    in_both_modes(ALLOW, |guard, _| {
        for (changed, code, status) in cases {
            let mut request = chat_request(&says("hi"));
            for (name, _) in *changed {
                request
                    .headers
                    .retain(|(known, _)| known != name.as_bytes());
            }
            for (name, value) in *changed {
                request
                    .headers
                    .push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
            }
            let seen = exchange(guard, &request, hello());
            assert!(seen.upstream.is_none(), "{changed:?}");
            assert_eq!(seen.client.status(), Some(*status), "{changed:?}");
            assert_eq!(
                seen.client.header("x-agentguard-code"),
                Some(code.as_bytes()),
                "{changed:?}"
            );
        }
    });
}

#[test]
fn a_body_of_the_largest_size_is_read_and_one_byte_more_is_denied() {
    let guard = guard(&format!("inspect: {{ max_body: 1KiB }}\n{ALLOW}"));
    for (size, is_denied) in [(1_024, false), (1_025, true)] {
        let mut body = says("hi");
        body.resize(size, b' ');
        let mut request = chat_request(&body);
        for announced in [true, false] {
            if !announced {
                request
                    .headers
                    .retain(|(name, _)| name != b"content-length");
            }
            let record = record(&exchange(&guard, &request, hello()));
            let code = is_denied.then_some("AG2004");
            assert_eq!(record["code"].as_str(), code, "{size} {announced}");
        }
    }
}

#[test]
fn an_empty_body_is_denied_and_an_empty_get_is_not() {
    let guard = guard(ALLOW);
    let mut empty = chat_request(b"");
    assert_eq!(exchange(&guard, &empty, hello()).client.status(), Some(400));
    empty.trailers = true;
    assert_eq!(exchange(&guard, &empty, hello()).client.status(), Some(400));
    let models = HttpMessage::new(
        &[
            (":method", "GET"),
            (":path", "/v1/models"),
            (":authority", "api.openai.com"),
        ],
        b"",
    );
    let seen = exchange(&guard, &models, hello());
    assert_eq!(seen.client, hello());
    assert_eq!(record(&seen)["endpoint"], "models");
    let mut with_body = models;
    with_body.chunks.push(b"{}".to_vec());
    assert_eq!(
        exchange(&guard, &with_body, hello()).client.status(),
        Some(400)
    );
}

/// In HTTP/2 the end of a stream may come behind headers that announce an empty body. A server may respond to these.
#[test]
fn a_body_that_is_announced_to_be_empty_is_denied_before_it_ends() {
    let announced = |body: &[u8]| {
        let mut request = chat_request(body);
        request
            .headers
            .retain(|(name, _)| name != b"content-length");
        request
            .headers
            .push((b"content-length".to_vec(), b"0".to_vec()));
        request
    };
    let mut flow = Flow::new(guard(ALLOW));
    let step = sends_head(&mut flow, &announced(b""));
    assert!(matches!(step.action, Action::Reply(_)), "{step:?}");
    // Where the policy allows it, what comes all the same is read.
    let rules = "defaults: { action: allow }
rules:
  - { id: broken-client, match: { event: uninspectable, code: AG2001 }, action: allow }
  - { id: weapons, match: { event: message }, when: { text: { contains: weapon } }, action: deny }
";
    let mut flow = Flow::new(guard(rules));
    let body = br#"{"model":"m","messages":[{"role":"user","content":"a weapon"}]}"#;
    let step = sends_head(&mut flow, &announced(body));
    assert!(!matches!(step.action, Action::Reply(_)), "{step:?}");
    let step = flow.request_body(&mut body.as_slice(), true, NOW);
    assert!(matches!(step.action, Action::Reply(_)), "{step:?}");
}

#[test]
fn only_a_rule_that_names_the_code_allows_a_malformed_body() {
    let default = guard("defaults: { action: allow, uninspectable: allow }\n");
    let named = guard(
        "defaults: { action: allow }
rules:
  - { id: broken-client, match: { event: uninspectable, code: AG2001 }, action: allow }
",
    );
    let request = chat_request(b"{\"messages\":");
    assert_eq!(
        exchange(&default, &request, hello()).client.status(),
        Some(400)
    );
    let seen = exchange(&named, &request, hello());
    assert_eq!(seen.upstream.clone().unwrap().body(), request.body());
    let record = record(&seen);
    assert_eq!(
        record["coverage"],
        json!({"level": "none", "reasons": ["request:AG2001"]})
    );
    let unknown = HttpMessage::new(
        &[(":method", "POST"), (":path", "/x"), (":authority", "h")],
        b"anything",
    );
    assert_eq!(
        exchange(&default, &unknown, hello()).client.status(),
        Some(200)
    );
}

#[test]
fn an_unreadable_response_is_denied_if_a_rule_inspects_responses() {
    let cases: &[(&str, &str, &str)] = &[
        ("content-encoding", "gzip", "AG2005"),
        ("content-type", "image/png", "AG2006"),
        ("content-length", "99999999", "AG2004"),
        (":status", "206", "AG2006"),
    ];
    for (name, value, code) in cases {
        let mut response = hello();
        response
            .headers
            .retain(|(known, _)| known != name.as_bytes());
        response
            .headers
            .push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        in_both_modes(TOOLS, |guard, _| {
            let seen = exchange(guard, &chat_request(&says("hi")), response.clone());
            assert_eq!(
                seen.client.header("x-agentguard-code"),
                Some(code.as_bytes())
            );
            let upstream = seen.upstream.clone().unwrap();
            assert_eq!(upstream.header("accept-encoding"), Some(&b"identity"[..]));
        });
        let seen = exchange(&guard(ALLOW), &chat_request(&says("hi")), response.clone());
        assert_eq!(
            seen.client, response,
            "no rule looks at answers: {name} {value}"
        );
    }
}

/// `content-encoding: none` is common at servers of event streams.
#[test]
fn a_response_whose_coding_is_none_is_read() {
    for (coding, code) in [
        ("none", ""),
        ("None", ""),
        ("identity", ""),
        ("none, gzip", "AG2005"),
    ] {
        let mut response = hello();
        response
            .headers
            .push((b"content-encoding".to_vec(), coding.into()));
        in_both_modes(TOOLS, |guard, _| {
            let seen = exchange(guard, &chat_request(&says("hi")), response.clone());
            let found = seen.client.header("x-agentguard-code").unwrap_or_default();
            assert_eq!(found, code.as_bytes(), "{coding}");
            if code.is_empty() {
                assert_eq!(seen.client.body(), response.body());
                assert_eq!(record(&seen)["coverage"]["level"], "full");
            }
        });
    }
}

/// SDKs accept compressed responses with every request, also with those that have no body.
#[test]
fn an_inspected_response_is_asked_for_uncompressed_with_and_without_a_body() {
    for (method, path, is_inspected) in [
        ("GET", "/v1/responses/resp_1", true),
        ("POST", "/v1/responses/resp_1/cancel", true),
        ("DELETE", "/v1/responses/resp_1", true),
        ("GET", "/v1/files/file-1/content", true),
        ("GET", "/v1/models", false),
    ] {
        let mut request = HttpMessage::new(
            &[
                (":method", method),
                (":path", path),
                (":authority", "api.openai.com"),
                ("accept-encoding", "gzip, deflate"),
            ],
            b"",
        );
        let asked = |policy: &str, request: &HttpMessage| {
            let seen = exchange(&guard(policy), request, hello());
            let upstream = seen.upstream.unwrap();
            let values = upstream.headers.into_iter();
            let mut values = values.filter(|(name, _)| name == b"accept-encoding");
            let value = String::from_utf8(values.next().unwrap().1).unwrap();
            assert_eq!(values.next(), None);
            value
        };
        let expected = if is_inspected {
            "identity"
        } else {
            "gzip, deflate"
        };
        assert_eq!(asked(CARDS, &request), expected, "{method} {path}");
        assert_eq!(asked(ALLOW, &request), "gzip, deflate", "{method} {path}");
        // A changed header would break the client's signature.
        let signature =
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=accept-encoding;host, Signature=b";
        request
            .headers
            .push((b"authorization".to_vec(), signature.into()));
        assert_eq!(asked(CARDS, &request), "gzip, deflate", "{method} {path}");
    }
}

#[test]
fn a_broken_response_becomes_a_refusal_and_a_sentence_is_evaluated_as_text() {
    in_both_modes(TOOLS, |guard, hold| {
        let mut broken = hello();
        broken.chunks = vec![b"{\"choices\":[".to_vec()];
        let seen = exchange(guard, &chat_request(&says("hi")), broken);
        let status = if hold { 400 } else { 200 };
        assert_eq!(seen.client.status(), Some(status));
        assert_eq!(record(&seen)["code"], "AG2001");
        let mut sentence = hello();
        sentence.headers[0].1 = b"502".to_vec();
        for text in [
            "upstream connect error",
            "<style>body\n{ color: red }</style>\n  data: {}",
        ] {
            sentence.chunks = vec![text.as_bytes().to_vec()];
            let seen = exchange(guard, &chat_request(&says("hi")), sentence.clone());
            assert_eq!(seen.client.body(), sentence.body());
            assert_eq!(seen.client.status(), Some(502));
        }
    });
}

#[test]
fn a_stream_with_another_type_and_a_response_that_claims_to_be_one_are_denied() {
    let call = calls(&["delete_customer"]);
    let chunk = json!({"choices": [{"index": 0, "delta": call, "finish_reason": "tool_calls"}]});
    let stream = format!(": hi\n\ndata: {chunk}\n\ndata: [DONE]\n\n");
    let whole = String::from_utf8(answer(call, "tool_calls").body()).unwrap();
    for (body, media, code) in [
        (&stream, "application/json", "AG2001"),
        (&stream, "text/plain", "AG2001"),
        (&stream.replace('\n', "\r"), "text/html", "AG2001"),
        (&format!("hi\n{whole}"), "text/plain", "AG2001"),
        (&whole, "text/event-stream", "AG2014"),
    ] {
        in_both_modes(TOOLS, |guard, _| {
            let headers = [(":status", "200"), ("content-type", media)];
            let answer = HttpMessage::new(&headers, body.as_bytes());
            let seen = exchange(guard, &chat_request(&says("hi")), answer);
            let told = String::from_utf8(seen.client.body()).unwrap();
            assert!(!told.contains("delete_customer"), "{media}: {told}");
            assert_eq!(record(&seen)["code"], code, "{media}: {body}");
        });
    }
}

#[test]
fn an_unknown_stream_is_denied_if_a_rule_inspects_responses() {
    let get = HttpMessage::new(
        &[
            (":method", "GET"),
            (":path", "/v1/models"),
            (":authority", "tools.example"),
        ],
        b"",
    );
    let headers = [(":status", "200"), ("content-type", "text/event-stream")];
    let stream = HttpMessage::new(&headers, b"data: {}\n\n");
    in_both_modes(TOOLS, |guard, _| {
        let seen = exchange(guard, &get, stream.clone());
        assert_eq!(record(&seen)["code"], "AG2007");
        assert_eq!(seen.client.status(), Some(400));
    });
    let seen = exchange(&guard(ALLOW), &get, stream.clone());
    assert_eq!(seen.client, stream, "no rule looks at answers");
}

#[test]
fn an_upstream_that_does_not_wait_for_the_request_is_evaluated_too() {
    let answer = answer(calls(&["delete_customer"]), "tool_calls");
    let headers = answer.header_slices();
    in_both_modes(TOOLS, |guard, _| {
        let mut flow = Flow::new(Rc::clone(guard));
        let _ = sends_head(&mut flow, &chat_request(&says("hi")));
        let _ = flow.response_headers(&ResponseHead {
            headers: &headers,
            end: false,
            now: NOW,
        });
        let step = flow.response_body(&mut answer.body().as_slice(), true, NOW);
        let Action::Replace(body) = step.action else {
            panic!("{step:?}")
        };
        assert!(!String::from_utf8(body).unwrap().contains("delete_customer"));
    });
}

#[test]
fn a_key_that_could_be_the_finding_is_in_no_pointer() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - id: no-data
    match: { event: message }
    when: { text: { detects: [credit_card, email] } }
    action: deny
",
    );
    for (key, told) in [
        ("4111 1111 1111 1111", "/…"),
        ("me@example.com", "/…"),
        ("line_2", "/line_2"),
    ] {
        let mut body = json!({"model": "gpt-4o", "messages": []});
        body[key] = json!("4111 1111 1111 1111");
        let seen = exchange(&guard, &chat_request(body.to_string().as_bytes()), hello());
        assert_eq!(
            client_json(&seen)["error"]["agentguard"]["at"],
            json!([told])
        );
        assert_eq!(record(&seen)["rules"][0]["at"], told);
    }
}

#[test]
fn headers_that_only_the_filter_writes_are_removed() {
    in_both_modes(ALLOW, |guard, _| {
        let mut request = chat_request(&says("hi"));
        let mut response = hello();
        // Servers with CGI or WSGI read `_` as `-`.
        let forged = [
            "x-agentguard-tags",
            "x_agentguard_tags",
            "x-agentguard_approval",
        ]
        .map(|name| (name.as_bytes().to_vec(), b"trusted".to_vec()));
        let foreign = (b"x-agentguardian".to_vec(), b"theirs".to_vec());
        for headers in [&mut request.headers, &mut response.headers] {
            headers.extend(forged.clone());
            headers.push(foreign.clone());
        }
        let seen = exchange(guard, &request, response);
        for headers in [seen.upstream.unwrap().headers, seen.client.headers] {
            assert!(!headers.iter().any(|header| forged.contains(header)));
            assert!(headers.contains(&foreign));
        }
    });
}

#[test]
fn nothing_is_changed_where_the_policy_does_not_apply() {
    let guard = guard("applies_to: { paths: [\"/v1/chat/*\"] }\ndefaults: { action: deny }\n");
    let mut outside = chat_request(b"not json");
    outside.headers[1].1 = b"/v2/other".to_vec();
    outside
        .headers
        .push((b"x-agentguard-tags".to_vec(), b"x".to_vec()));
    let seen = exchange(&guard, &outside, hello());
    assert_eq!(seen.upstream.clone().unwrap(), outside);
    assert_eq!(record(&seen)["coverage"]["level"], "ignored");
    for path in [
        "/v1/chat/completions",
        "//v1/chat/completions",
        "/v1/%63hat/completions",
        "/v1/x/../chat/completions",
    ] {
        let mut inside = chat_request(&says("hi"));
        inside.headers[1].1 = path.as_bytes().to_vec();
        assert_eq!(
            exchange(&guard, &inside, hello()).client.status(),
            Some(400),
            "{path}"
        );
    }
}

#[test]
fn an_exchange_that_never_began_or_broke_off_is_recorded() {
    let guard = guard(TOOLS);
    let end = End {
        now: NOW,
        status: Some(400),
        ..End::default()
    };
    let never: Value =
        serde_json::from_slice(&Flow::new(Rc::clone(&guard)).finish(&end).line).unwrap();
    assert_eq!(never["decision"], "not_evaluated");
    assert_eq!(never["status"], 400);
    assert_eq!(never["coverage"]["level"], "none");

    let mut flow = Flow::new(Rc::clone(&guard));
    let request = chat_request(&says("hi"));
    let _ = sends_head(&mut flow, &request);
    let _ = flow.request_body(&mut &b"{\"mess"[..], false, NOW);
    let broken: Value = serde_json::from_slice(
        &flow
            .finish(&End {
                now: NOW,
                ..End::default()
            })
            .line,
    )
    .unwrap();
    assert_eq!(broken["decision"], "not_evaluated");
    assert_eq!(broken["status"], 0);
    assert_eq!(broken["coverage"]["reasons"], json!(["request:incomplete"]));
}

#[test]
fn an_observed_request_is_evaluated_even_if_its_response_arrives_before_its_end() {
    let mut flow = Flow::new(guard(
        "mode: observe
defaults: { action: allow }
rules:
  - id: no-weapons
    match: { event: message }
    when: { text: { contains: forbidden } }
    action: deny
",
    ));
    let body = says("forbidden");
    let request = chat_request(&body);
    assert_eq!(sends_head(&mut flow, &request), Step::go_on());
    let (first, second) = body.split_at(9);
    for mut piece in [first, second] {
        assert_eq!(flow.request_body(&mut piece, false, NOW), Step::go_on());
    }
    let end = End {
        now: NOW,
        status: Some(200),
        ..End::default()
    };
    let record: Value = serde_json::from_slice(&flow.finish(&end).line).unwrap();
    assert_eq!(record["would"], "deny");
    assert_eq!(record["coverage"], json!({"level": "full", "reasons": []}));
}

#[test]
fn the_chain_links_every_audit_event_to_the_one_before() {
    let guard = guard(ALLOW);
    let mut before: Option<SimulatedResult> = None;
    for seq in 0..3 {
        let seen = exchange(&guard, &chat_request(&says("hi")), hello());
        let chain = record(&seen)["chain"].clone();
        assert_eq!(chain["seq"], seq);
        if let Some(before) = before {
            use sha2::Digest;
            let hash = sha2::Sha256::digest(&before.finished.line);
            assert_eq!(chain["prev"], crate::wire::hex::encode(&hash));
        }
        before = Some(seen);
    }
}

#[test]
fn require_identity_denies_unknown_callers() {
    let seen = exchange(
        &guard("require: identity\ndefaults: { action: allow }\n"),
        &chat_request(&says("hi")),
        hello(),
    );
    assert_eq!(seen.client.status(), Some(401));
    assert!(seen.client.header("www-authenticate").is_some());
    let observed = exchange(
        &guard("mode: observe\nrequire: identity\ndefaults: { action: allow }\n"),
        &chat_request(&says("hi")),
        hello(),
    );
    assert_eq!(observed.client.status(), Some(200));
    assert_eq!(record(&observed)["would"], "deny");
}

/// Returns the outcome, which must not depend on chunk boundaries.
fn outcome(seen: &SimulatedResult) -> (Option<Vec<u8>>, Vec<u8>, Option<u16>, Value) {
    let mut record = record(seen);
    record["timing"] = Value::Null;
    record["chain"] = Value::Null;
    (
        seen.upstream.as_ref().map(HttpMessage::body),
        seen.client.body(),
        seen.client.status(),
        record,
    )
}

fn cut(body: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<usize> = at.iter().map(|at| at % (body.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(body.len());
    let mut chunks = Vec::new();
    let mut start = 0;
    for end in cuts {
        chunks.push(body[start..end].to_vec());
        start = end;
    }
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_chunking_of_the_bytes_gives_the_same_outcome(
        cuts in prop::collection::vec(any::<usize>(), 0..6),
        trailers in any::<bool>(),
        text in prop_oneof!["[a-z ]{0,20}", Just("4111 1111 1111 1111".to_owned()), Just("forbidden".to_owned())],
        tool in prop_oneof![Just("look_up"), Just("delete_customer")],
        policy in prop_oneof![Just(CARDS), Just(TOOLS), Just(ALLOW)],
        hold in any::<bool>(),
        observe in any::<bool>(),
    ) {
        let hold = if hold { "envoy: { headers: hold }\n" } else { "" };
        let observe = if observe { "mode: observe\n" } else { "" };
        let policy = format!("{hold}{observe}{policy}");
        let request = chat_request(&says(&text));
        let response = answer(calls(&["x", tool]), "tool_calls");
        let whole = outcome(&exchange(&guard(&policy), &request, response.clone()));
        let cut_request = HttpMessage { chunks: cut(&request.body(), &cuts), trailers, ..request.clone() };
        let cut_response = HttpMessage { chunks: cut(&response.body(), &cuts), trailers, ..response };
        let pieces = outcome(&exchange(&guard(&policy), &cut_request, cut_response));
        prop_assert_eq!(whole, pieces);
    }
}

mod bounds {
    use super::*;

    const LOOKS: &str = "defaults: { action: allow }
inspect: { max_text: 1000 }
rules:
  - id: cards
    match: { event: [message, response] }
    when: { text: { detects: [credit_card] } }
    action: redact
";

    #[test]
    fn more_text_than_detectors_may_inspect_is_denied_as_too_large() {
        let guard = guard(LOOKS);
        let seen = exchange(&guard, &chat_request(&says(&"word ".repeat(150))), hello());
        assert_eq!(record(&seen)["decision"], "allow");
        let seen = exchange(&guard, &chat_request(&says(&"word ".repeat(250))), hello());
        assert_eq!(seen.client.status(), Some(413));
        assert_eq!(record(&seen)["code"], "AG2004");
        assert_eq!(
            record(&seen)["coverage"],
            json!({"level": "none", "reasons": ["request:AG2004"]})
        );
        let long = answer(
            json!({"role": "assistant", "content": "word ".repeat(150)}),
            "stop",
        );
        let seen = exchange(&guard, &chat_request(&says(&"word ".repeat(150))), long);
        assert_eq!(
            record(&seen)["coverage"]["reasons"],
            json!(["response:AG2004"]),
            "request and answer count together"
        );
    }

    #[test]
    fn a_policy_may_allow_it_and_the_audit_event_reports_it() {
        let policy = format!(
            "{LOOKS}  - id: long
    match: {{ event: uninspectable, code: AG2004 }}
    action: allow
"
        );
        let text = format!("{} 4111 1111 1111 1111", "word ".repeat(250));
        let seen = exchange(&guard(&policy), &chat_request(&says(&text)), hello());
        assert_eq!(seen.upstream.clone().unwrap().body(), says(&text));
        assert_eq!(
            record(&seen)["coverage"],
            json!({"level": "none", "reasons": ["request:AG2004", "response:AG2004"]})
        );
    }

    #[test]
    fn text_that_no_detector_inspects_does_not_count() {
        let policy = "defaults: { action: allow }
inspect: { max_text: 1000 }
rules:
  - id: word
    match: { event: message }
    when: { text: { contains: forbidden } }
    action: deny
";
        let seen = exchange(
            &guard(policy),
            &chat_request(&says(&"word ".repeat(250))),
            hello(),
        );
        assert_eq!(record(&seen)["decision"], "allow");
    }

    #[test]
    fn more_findings_than_are_reported_of_one_text_are_not_left_in_it() {
        let policy = LOOKS.replace("max_text: 1000", "max_text: 8MiB");
        let seen = exchange(
            &guard(&policy),
            &chat_request(&says(&"4111 1111 1111 1111, ".repeat(50_001))),
            hello(),
        );
        assert!(!seen.upstream_complete);
        assert_eq!(record(&seen)["code"], "AG3005");
    }
}

mod seams {
    use super::*;

    fn policy(form: &str) -> Rc<Guard> {
        guard(&format!(
            "defaults: {{ action: allow }}
rules:
  - id: cards
    match: {{ event: message }}
    when: {{ text: {{ detects: [credit_card, email] }} }}
    action: redact
    redact: {{ with: {form} }}
"
        ))
    }

    /// Returns the texts that the model receives for these parts of one message, and the findings.
    fn parts(form: &str, parts: &[&str]) -> (Vec<String>, Value) {
        let content: Vec<Value> = parts
            .iter()
            .map(|part| json!({"type": "text", "text": part}))
            .collect();
        let body = json!({"model": "m", "messages": [{"role": "user", "content": content}]});
        let request = chat_request(body.to_string().as_bytes());
        let seen = exchange(&policy(form), &request, hello());
        let body: Value = serde_json::from_slice(&seen.upstream.clone().unwrap().body()).unwrap();
        let texts = body["messages"][0]["content"].as_array().unwrap().iter();
        let texts = texts.map(|part| part["text"].as_str().unwrap().to_owned());
        (texts.collect(), record(&seen)["findings"].clone())
    }

    #[test]
    fn a_value_that_is_split_over_parts_is_replaced_in_each() {
        for (given, expected) in [
            (
                vec!["pay 4111 1111 ", "1111 1111 now"],
                vec!["pay [CREDIT_CARD]", " now"],
            ),
            (
                vec!["pay 4111 1111", "1111 1111 now"],
                vec!["pay [CREDIT_CARD]", " now"],
            ),
            (
                vec!["pay 411111", "111111", "1111 now"],
                vec!["pay [CREDIT_CARD]", "", " now"],
            ),
            // After its context word, the detector accepts more characters between the groups of a number, and also the
            // boundary between the parts.
            (
                vec!["card 4111 1111 ", "1111 1111 now"],
                vec!["card [CREDIT_CARD]", " now"],
            ),
            (
                vec!["write to ann.lee@con", "toso.com"],
                vec!["write to [EMAIL]", ""],
            ),
        ] {
            assert_eq!(
                parts("label", &given),
                (expected.iter().map(ToString::to_string).collect(), {
                    let kind = if given[0].contains('@') {
                        "email"
                    } else {
                        "credit_card"
                    };
                    json!({ kind: 1 })
                }),
                "{given:?}"
            );
        }
    }

    #[test]
    fn no_part_shows_more_than_the_form_allows() {
        assert_eq!(
            parts("last4", &["pay 4111 1111 ", "1111 1111"]).0,
            ["pay **** **** ", "**** ****"]
        );
        assert_eq!(
            parts("pseudonym", &["pay 4111 1111 ", "1111 1111"]).0,
            ["pay [CREDIT_CARD]", ""]
        );
    }

    #[test]
    fn single_digits_are_found_too() {
        let digits: Vec<String> = "4111111111111111".chars().map(String::from).collect();
        let digits: Vec<&str> = digits.iter().map(String::as_str).collect();
        let (texts, _) = parts("label", &digits);
        assert_eq!(texts.concat(), "[CREDIT_CARD]");
    }

    #[test]
    fn the_middle_of_long_texts_is_not_joined() {
        let long = format!("4111 1111 {}", "word ".repeat(400));
        let given = [long.as_str(), "1111 1111"];
        assert_eq!(parts("label", &given).0, given);
    }

    #[test]
    fn a_word_before_an_address_is_not_part_of_it() {
        assert_eq!(
            parts("label", &["Mail", "me@contoso.com", "soon"]).0,
            ["Mail", "[EMAIL]", "soon"]
        );
    }

    #[test]
    fn a_text_of_a_rule_is_found_over_parts() {
        let policy = guard(
            "defaults: { action: allow }
rules:
  - id: words
    match: { event: message }
    when: { text: { contains_any: [ignore previous orders, no way] } }
    action: redact
",
        );
        for (given, expected) in [
            (
                ["Please ignore prev", "ious orders now"],
                ["Please [REDACTED]", " now"],
            ),
            (
                ["Please Ignore previous", "ORDERS now"],
                ["Please [REDACTED]", " now"],
            ),
            (["ignore previous orders", "x"], ["[REDACTED]", "x"]),
            // Short texts match by chance, unless a space is between their words.
            (["there is no", "way"], ["there is [REDACTED]", ""]),
            (["piano w", "ay out"], ["piano w", "ay out"]),
        ] {
            let content = given.map(|part| json!({"type": "text", "text": part}));
            let body = json!({"model": "m", "messages": [{"role": "user", "content": content}]});
            let request = chat_request(body.to_string().as_bytes());
            let seen = exchange(&policy, &request, hello());
            let body: Value = serde_json::from_slice(&seen.upstream.unwrap().body()).unwrap();
            let content = &body["messages"][0]["content"];
            let texts = [&content[0]["text"], &content[1]["text"]];
            assert_eq!(texts, expected, "{given:?}");
        }
    }

    #[test]
    fn a_value_that_is_split_over_a_response_s_parts_is_found_in_whole_ones_as_in_streams() {
        let policy = guard(
            "defaults: { action: allow }
rules:
  - id: cards
    match: { event: response }
    when: { text: { detects: credit_card } }
    action: redact
  - { id: words, match: { event: response }, when: { text: { contains: top secret } }, action: redact }
",
        );
        let answers = |path: &str, question: Value, answer: Value| {
            let request = HttpMessage::new(
                &[
                    (":method", "POST"),
                    (":path", path),
                    (":authority", "llm.example"),
                    ("content-type", "application/json"),
                ],
                question.to_string().as_bytes(),
            );
            let headers = [(":status", "200"), ("content-type", "application/json")];
            let response = HttpMessage::new(&headers, answer.to_string().as_bytes());
            client_json(&exchange(&policy, &request, response))
        };
        let anthropic = |between: Value| {
            let text = |text: &str| json!({"type": "text", "text": text});
            let mut cited = text("pay 4111 1111 ");
            cited["citations"] = json!([{"type": "char_location", "cited_text": "pay",
                "document_index": 0, "start_char_index": 0, "end_char_index": 3}]);
            let mut content = vec![cited];
            content.extend(between.as_array().cloned().unwrap_or_default());
            content.extend([text("1111 1111, it is top s"), text("ecret")]);
            let question = json!({"model": "m", "max_tokens": 9,
                "messages": [{"role": "user", "content": "hi"}]});
            let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                "content": content, "stop_reason": "end_turn"});
            let client = answers("/v1/messages", question, answer);
            let texts = client["content"].as_array().unwrap().iter();
            texts
                .filter_map(|block| Some(block["text"].as_str()?.to_owned()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            anthropic(json!([])),
            ["pay [CREDIT_CARD]", ", it is [REDACTED]", ""]
        );
        // Clients that don't show the reasoning show these texts as one.
        let thought = json!([{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]);
        assert_eq!(
            anthropic(thought),
            ["pay [CREDIT_CARD]", ", it is [REDACTED]", ""]
        );
        // A call separates the texts, even for clients that don't show it.
        let call = json!([{"type": "tool_use", "id": "t", "name": "look", "input": {}}]);
        assert_eq!(
            anthropic(call),
            ["pay 4111 1111 ", "1111 1111, it is [REDACTED]", ""]
        );
        let question = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
        let parts = json!([{"text": "pay 4111 1111 "}, {"text": "1111 1111"}]);
        let answer = json!({"candidates": [{"content": {"role": "model", "parts": parts}}]});
        let client = answers("/v1beta/models/g:generateContent", question, answer);
        let parts = &client["candidates"][0]["content"]["parts"];
        assert_eq!(parts, &json!([{"text": "pay [CREDIT_CARD]"}, {"text": ""}]));
    }

    #[test]
    fn messages_of_different_authors_are_not_joined() {
        let messages = json!([
            {"role": "user", "content": "4111 1111 "},
            {"role": "assistant", "content": "1111 1111"},
        ]);
        let body = json!({"model": "m", "messages": messages}).to_string();
        let request = chat_request(body.as_bytes());
        let seen = exchange(&policy("label"), &request, hello());
        assert_eq!(seen.upstream.unwrap().body(), body.as_bytes());
        let messages = json!([
            {"role": "user", "content": "4111 1111 "},
            {"role": "user", "content": "1111 1111"},
        ]);
        let body = json!({"model": "m", "messages": messages}).to_string();
        let seen = exchange(&policy("label"), &chat_request(body.as_bytes()), hello());
        assert_eq!(record(&seen)["findings"], json!({"credit_card": 1}));
    }
}
