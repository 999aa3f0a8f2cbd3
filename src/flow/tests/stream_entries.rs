//! Mistral's streamed conversations.

use super::*;

const LOOKS: &str = "defaults: { action: allow, uninspectable: allow }
rules:
  - id: pii
    match: { event: response }
    when: { text: { detects: [pii, secrets] } }
    action: redact
  - id: amount
    match: { tool: pay }
    when: { args.amount: { greater_than: 100 } }
    action: deny
    reason: Too much.
  - id: searches
    match: { tool: web_search, event: tool_call }
    when: { args.query: { contains: swan } }
    action: deny
    reason: No swans.
";

fn sse(events: &[Value]) -> Vec<u8> {
    let mut out = String::new();
    for event in events {
        out.push_str(&format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        ));
    }
    out.into_bytes()
}

fn ask(guard: &Rc<Guard>, body: &[u8]) -> SimulatedResult {
    let question = json!({"model": "mistral-medium", "inputs": "hi", "stream": true});
    let place = ("api.mistral.ai", "/v1/conversations");
    asks_for_stream(guard, place, &question, body)
}

fn started() -> Value {
    json!({"type": "conversation.response.started", "conversation_id": "conv_1", "created_at": "2026-01-01T00:00:00Z"})
}

fn says(content: Value, at: u32) -> Value {
    json!({"type": "message.output.delta", "id": "msg_1", "output_index": 1, "content_index": at, "content": content,
        "model": "mistral-medium-latest", "role": "assistant"})
}

fn calls(name: &str, arguments: &str) -> Value {
    json!({"type": "function.call.delta", "id": "fc_1", "tool_call_id": "call_1", "output_index": 2, "name": name, "arguments": arguments})
}

fn runs(what: &str, arguments: &str) -> Value {
    json!({"type": format!("tool.execution.{what}"), "id": "tool_1", "output_index": 0, "name": "web_search", "arguments": arguments})
}

fn done() -> Value {
    json!({"type": "conversation.response.done", "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
        "connector_tokens": null}})
}

fn told(seen: &SimulatedResult) -> Vec<Value> {
    let body = String::from_utf8(seen.client.body()).unwrap();
    body.split("\n\n")
        .filter_map(|event| event.split_once("data: "))
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect()
}

#[test]
fn a_denied_response_ends_with_an_error_that_clients_know() {
    let policy = LOOKS.replace("action: redact", "action: deny\n    reason: Not this.");
    let seen = ask(
        &guard(&policy),
        &sse(&[started(), says(json!("anna@example.com now"), 0), done()]),
    );
    assert_eq!(
        told(&seen)[1..],
        [json!({"type": "conversation.response.error", "message": "Not this.", "code": 400})]
    );
}

#[test]
fn a_call_is_evaluated_when_it_is_complete() {
    let guard = guard(LOOKS);
    let ended_by = |events: [Value; 2]| {
        let [first, second] = events;
        let seen = ask(&guard, &sse(&[started(), first, second, done()]));
        assert_eq!(record(&seen)["decision"], "deny");
        told(&seen)[1..].to_vec()
    };
    // A text replaces the call.
    let client = ended_by([calls("pay", "{\"amount\": 1"), calls("pay", "000}")]);
    assert_eq!(
        client,
        [
            json!({"type": "message.output.delta", "id": "agentguard-0", "output_index": 2, "role": "assistant",
                "content": "Too much."}),
            done()
        ]
    );
    // A call that Mistral has run can't be removed.
    let client = ended_by([runs("started", "{\"query\": \"a sw"), runs("done", "an\"}")]);
    assert_eq!(
        client,
        [json!({"type": "conversation.response.error", "message": "No swans.", "code": 400})]
    );
}

#[test]
fn entries_that_clients_distinguish_differently_can_not_be_read() {
    let guard = guard(&LOOKS.replace(", uninspectable: allow", ""));
    let mut same_number = calls("pay", "{}");
    same_number["id"] = json!("fc_2");
    let in_a_message = json!({"type": "function.call.delta", "id": "msg_1", "output_index": 1, "name": "pay", "arguments": "{}"});
    let no_text = json!({"type": "function.call.delta", "id": "fc_1", "name": "pay", "arguments": {"amount": 1}});
    for events in [
        [calls("pay", "{"), same_number],
        [calls("pay", "{"), calls("find", "}")],
        [says(json!("x"), 0), in_a_message],
        [started(), no_text],
    ] {
        let mut all = events.to_vec();
        all.push(done());
        let seen = ask(&guard, &sse(&all));
        assert_eq!(record(&seen)["code"], "AG2014", "{all:?}");
    }
}
