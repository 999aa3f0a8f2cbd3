//! Streamed runs of assistants.

use super::*;

const LOOKS: &str = "defaults: { action: allow, uninspectable: allow }
rules:
  - id: pii
    match: { event: response }
    when: { text: { detects: [pii, secrets] } }
    action: redact
  - id: no-deleting
    match: { tool: delete_customer }
    action: deny
    reason: Customers stay.
";

fn sse(events: &[(&str, Value)]) -> Vec<u8> {
    let mut out = String::new();
    for (name, event) in events {
        out.push_str(&format!("event: {name}\ndata: {event}\n\n"));
    }
    out.push_str("event: done\ndata: [DONE]\n\n");
    out.into_bytes()
}

fn ask(guard: &Rc<Guard>, body: &[u8]) -> SimulatedResult {
    let question = json!({"assistant_id": "asst_1", "stream": true});
    let place = ("api.openai.com", "/v1/threads/thread_1/runs");
    asks_for_stream(guard, place, &question, body)
}

fn events(seen: &SimulatedResult) -> Vec<Value> {
    let body = String::from_utf8(seen.client.body()).unwrap();
    body.split("\n\n")
        .filter_map(|event| event.split_once("data: "))
        .filter(|(_, data)| *data != "[DONE]")
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect()
}

fn run(status: &str, more: Value) -> Value {
    let mut run = json!({
        "id": "run_1", "object": "thread.run", "status": status, "assistant_id": "asst_1", "model": "gpt-4o",
        "instructions": "Be kind.", "tools": [],
    });
    run.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    run
}

fn content(text: &str, annotations: Value) -> Value {
    json!([{"index": 0, "type": "text", "text": {"value": text, "annotations": annotations}}])
}

fn delta(text: &str) -> (&'static str, Value) {
    let content = content(text, json!([]));
    (
        "thread.message.delta",
        json!({"id": "msg_1", "object": "thread.message.delta", "delta": {"content": content}}),
    )
}

fn message(text: &str, annotations: Value) -> (&'static str, Value) {
    (
        "thread.message.completed",
        json!({
            "id": "msg_1", "object": "thread.message", "role": "assistant", "status": "completed",
            "content": content(text, annotations),
        }),
    )
}

fn call_delta(call: Value) -> (&'static str, Value) {
    let details = json!({"type": "tool_calls", "tool_calls": [call]});
    (
        "thread.run.step.delta",
        json!({"id": "step_1", "object": "thread.run.step.delta", "delta": {"step_details": details}}),
    )
}

/// Returns a run that requests a call.
fn asking(name: &str, parts: &[&str], whole: &str) -> Vec<u8> {
    let mut events = vec![("thread.run.created", run("queued", json!({})))];
    events.push(call_delta(
        json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": "", "output": null}}),
    ));
    for part in parts {
        events.push(call_delta(
            json!({"index": 0, "type": "function", "function": {"arguments": part}}),
        ));
    }
    let call =
        json!({"id": "call_1", "type": "function", "function": {"name": name, "arguments": whole}});
    let action =
        json!({"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [call]}});
    events.push((
        "thread.run.requires_action",
        run("requires_action", json!({"required_action": action})),
    ));
    sse(&events)
}

#[test]
fn the_copy_of_a_message_at_its_end_is_edited_alike() {
    let guard = guard(LOOKS);
    let cites = json!([{"type": "file_citation", "text": "【1】", "start_index": 24, "end_index": 27, "file_citation": {"file_id": "f"}}]);
    let seen = ask(
        &guard,
        &sse(&[
            ("thread.run.created", run("queued", json!({}))),
            delta("mail anna@ex"),
            delta("ample.com now 【1】"),
            message("mail anna@example.com now 【1】", cites),
        ]),
    );
    let events = events(&seen);
    let text = |at: usize, of: &str| {
        let holder = if of.is_empty() {
            &events[at]
        } else {
            &events[at][of]
        };
        holder["content"][0]["text"].clone()
    };
    assert_eq!(text(1, "delta")["value"], "mail [EMAIL]");
    assert_eq!(text(2, "delta")["value"], " now 【1】");
    assert_eq!(text(3, "")["value"], "mail [EMAIL] now 【1】");
    assert_eq!(text(3, "")["annotations"][0]["start_index"], 15);
    assert_eq!(record(&seen)["findings"], json!({"email": 1}));
    assert_eq!(record(&seen)["rules"][0]["at"], "#msg_1/content/0");
}

#[test]
fn calls_are_held_until_they_are_complete() {
    let guard = guard(LOOKS);
    let seen = ask(
        &guard,
        &asking("delete_customer", &["{\"id\":", "1}"], "{\"id\":1}"),
    );
    let told = events(&seen);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1]["error"]["message"], "Customers stay.");
    assert_eq!(record(&seen)["decision"], "deny");
    let policy = LOOKS.replace(
        "match: { event: response }",
        "match: { event: response, part: arguments }",
    );
    let guard = super::guard(&policy);
    let body = asking(
        "send",
        &["{\"to\":\"anna@ex", "ample.com\"}"],
        "{\"to\":\"anna@example.com\"}",
    );
    let told = events(&ask(&guard, &body));
    let arguments = |event: &Value| {
        let calls = &event["delta"]["step_details"]["tool_calls"][0];
        calls["function"]["arguments"].as_str().unwrap().to_owned()
    };
    let joined: String = told[1..4].iter().map(arguments).collect();
    assert_eq!(joined, "{\"to\":\"[EMAIL]\"}");
    let asked = &told[4]["required_action"]["submit_tool_outputs"]["tool_calls"][0];
    assert_eq!(asked["function"]["arguments"], "{\"to\":\"[EMAIL]\"}");
}

#[test]
fn required_calls_are_evaluated_whatever_the_deltas() {
    let policy = "defaults: { action: allow, uninspectable: allow }
rules:
  - id: amount
    match: { tool: pay }
    when: { args.amount: { greater_than: 100 } }
    action: deny
    reason: Too much.
";
    let guard = guard(policy);
    let body = asking("pay", &["{\"amount\":1}"], "{\"amount\":1000}");
    let told = events(&ask(&guard, &body));
    assert_eq!(told.last().unwrap()["error"]["message"], "Too much.");
    let body = asking("pay", &["{\"amount\":1}"], "{\"amount\":1}");
    assert_eq!(ask(&guard, &body).client.body(), body);
}

#[test]
fn calls_of_a_finished_step_are_evaluated_and_recorded_as_calls() {
    let policy = "defaults: { action: allow, uninspectable: allow }
rules:
  - id: amount
    match: { tool: pay }
    when: { args.amount: { greater_than: 100 } }
    action: deny
    reason: Too much.
  - id: no-sockets
    match: { tool: code_interpreter, event: tool_call }
    when: { args.input: { contains: socket } }
    action: deny
    reason: No sockets.
";
    let guard = guard(policy);
    let step = |amount: u32, output: Value, code: &str| {
        json!({"id": "step_1", "object": "thread.run.step", "status": "completed", "step_details": {"type": "tool_calls", "tool_calls": [
            {"id": "call_1", "type": "function",
                "function": {"name": "pay", "arguments": json!({"amount": amount}).to_string(), "output": output}},
            {"id": "call_2", "type": "code_interpreter",
                "code_interpreter": {"input": code, "outputs": [{"type": "logs", "logs": "1"}]}}]}})
    };
    let stored = |step: Value| {
        let request = HttpMessage::new(
            &[
                (":method", "GET"),
                (":path", "/v1/threads/thread_1/runs/run_1/steps"),
                (":authority", "api.openai.com"),
            ],
            b"",
        );
        let list = json!({"object": "list", "data": [step], "has_more": false});
        let headers = [(":status", "200"), ("content-type", "application/json")];
        let answer = HttpMessage::new(&headers, list.to_string().as_bytes());
        record(&exchange(&guard, &request, answer))
    };
    let streamed = |step: Value| record(&ask(&guard, &sse(&[("thread.run.step.completed", step)])));
    for ask in [&stored as &dyn Fn(Value) -> Value, &streamed] {
        let allowed = ask(step(1, Value::Null, "print(1)"));
        assert_eq!(allowed["decision"], "allow", "{allowed}");
        assert_eq!(allowed["tools"], json!(["pay"]));
        assert_eq!(allowed["events"]["tool_call"], 2);
        for (denied, rule) in [
            (step(1000, Value::Null, "print(1)"), "amount"),
            (step(1, Value::Null, "import socket"), "no-sockets"),
        ] {
            let denied = ask(denied);
            assert_eq!(denied["decision"], "deny", "{rule} {denied}");
            assert_eq!(denied["rules"][0]["id"], rule);
        }
        // A call with a result belongs to an earlier turn, which a rule has to name.
        let answered = ask(step(1000, json!("paid"), "print(1)"));
        assert_eq!(answered["decision"], "allow", "{answered}");
    }
}
