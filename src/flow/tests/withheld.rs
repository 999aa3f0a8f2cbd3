//! Denied texts of a response: no copy of them reaches the client, wherever it is.

use super::*;

const POLICY: &str = r#"
defaults: { action: allow }
rules:
  - { id: r, match: { event: response }, when: { text: { contains: forbidden } }, action: deny, reason: No. }
  - { id: cards, match: { event: response }, when: { text: { detects: credit_card } }, action: redact }
"#;

/// Sends a request, to which the provider responds with `answer`.
fn answers(guard: &Rc<Guard>, (path, question): (&str, &Value), answer: &Value) -> SimulatedResult {
    let request = HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", "llm.example"),
            ("content-type", "application/json"),
            ("x-request-id", "r-1"),
        ],
        question.to_string().as_bytes(),
    );
    let response = HttpMessage::new(
        &[(":status", "200"), ("content-type", "application/json")],
        answer.to_string().as_bytes(),
    );
    exchange(guard, &request, response)
}

/// Returns the response with an additional member in an object.
fn with(answer: &Value, holder: &str, name: &str, value: Value) -> Value {
    let mut answer = answer.clone();
    answer.pointer_mut(holder).unwrap()[name] = value;
    answer
}

fn asks() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
}

#[test]
fn a_denied_text_is_removed_wherever_it_is() {
    let chat = json!({"id": "c", "object": "chat.completion", "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"},
    ]});
    let completions = json!({"id": "c", "object": "text_completion", "model": "m", "choices": [
        {"index": 0, "text": "fine", "finish_reason": "stop"},
    ]});
    let responses = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "fine"}]},
    ]});
    let ollama =
        json!({"model": "m", "message": {"role": "assistant", "content": "fine"}, "done": true});
    let cohere = json!({"id": "c", "finish_reason": "COMPLETE", "message": {
        "role": "assistant", "content": [{"type": "text", "text": "fine"}],
    }});
    let cohere_v1 = json!({"text": "fine", "generation_id": "g", "finish_reason": "COMPLETE"});
    let gemini = json!({"candidates": [{
        "index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [{"text": "fine"}]},
    }]});
    let anthropic = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "fine"}], "stop_reason": "end_turn"});
    let input = json!({"model": "m", "input": "hi"});
    let prompt = json!({"model": "m", "prompt": "hi"});
    let message = json!({"model": "m", "message": "hi"});
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let anthropic_asks =
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]});
    let chat_path = ("/v1/chat/completions", &asks());
    let places = [
        (chat_path, &chat, "", "x_trace"),
        (chat_path, &chat, "", "citations"),
        (chat_path, &chat, "/choices/0", "x_trace"),
        (chat_path, &chat, "/choices/1/message", "x_trace"),
        (("/v1/completions", &prompt), &completions, "", "x_trace"),
        (("/v1/responses", &input), &responses, "", "instructions"),
        (("/v1/responses", &input), &responses, "", "x_trace"),
        (("/api/chat", &asks()), &ollama, "", "x_trace"),
        (("/v2/chat", &asks()), &cohere, "", "x_trace"),
        (("/v1/chat", &message), &cohere_v1, "", "documents"),
        (
            ("/v1beta/models/g:generateContent", &contents),
            &gemini,
            "",
            "x_trace",
        ),
        (("/v1/messages", &anthropic_asks), &anthropic, "", "x_trace"),
    ];
    for on_deny in ["", "on_deny: replace, "] {
        let policy = POLICY.replace("reason:", &format!("{on_deny}reason:"));
        in_both_modes(&policy, |guard, _| {
            for (asked, answer, holder, name) in &places {
                for secret in ["a forbidden text", "card 4111 1111 1111 1111"] {
                    let answer = with(answer, holder, name, json!([{"text": secret}]));
                    let seen = answers(guard, *asked, &answer);
                    let client = String::from_utf8(seen.client.body()).unwrap();
                    assert!(
                        !client.contains(secret),
                        "{asked:?} {holder}/{name}: {client}"
                    );
                    let _: Value = serde_json::from_str(&client).unwrap();
                }
            }
        });
    }
}

#[test]
fn only_the_choice_with_the_denied_text_is_removed() {
    let guard = guard(POLICY);
    let answer = json!({"id": "c", "object": "chat.completion", "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": "forbidden"}, "finish_reason": "stop"},
    ]});
    let seen = answers(&guard, ("/v1/chat/completions", &asks()), &answer);
    let client = client_json(&seen);
    assert_eq!(client["choices"][0]["message"]["content"], "fine");
    assert_eq!(client["choices"][1]["message"]["refusal"], "No.");
}

#[test]
fn results_of_the_provider_s_tools_are_evaluated_even_if_no_other_rule_inspects_responses() {
    let policy = "defaults: { action: allow }
rules:
  - { id: r, match: { event: tool_result }, when: { text: { contains: forbidden } }, action: deny }
";
    let results = json!([
        {"type": "mcp_tool_use", "id": "t", "name": "look", "server_name": "s", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "forbidden"}]},
    ]);
    let anthropic = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": results, "stop_reason": "end_turn"});
    let parts = json!([{"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "forbidden"}}]);
    let gemini = json!({"candidates": [{"content": {"role": "model", "parts": parts}}]});
    let result = json!({"toolResult": {"toolUseId": "t", "content": [{"text": "forbidden"}]}});
    let converse = json!({"output": {"message": {"role": "assistant", "content": [result]}},
        "stopReason": "end_turn"});
    let found = |item: Value| json!({"id": "resp_1", "object": "response", "status": "completed", "output": [item]});
    let mcp = found(
        json!({"type": "mcp_call", "id": "mcp_1", "server_label": "s", "name": "look",
        "arguments": "{}", "output": "forbidden", "error": null}),
    );
    let failed = found(
        json!({"type": "mcp_call", "id": "mcp_1", "server_label": "s", "name": "look",
        "arguments": "{}", "output": null, "error": {"message": "forbidden"}}),
    );
    let code = found(
        json!({"type": "code_interpreter_call", "id": "ci_1", "code": "1", "container_id": "c",
        "outputs": [{"type": "logs", "logs": "forbidden"}]}),
    );
    let shell = found(
        json!({"type": "shell_call_output", "id": "sho_1", "call_id": "call_1", "output": [
        {"stdout": "forbidden", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]}),
    );
    let said = json!([{"role": "user", "content": [{"text": "hi"}]}]);
    let question = json!({"model": "m", "max_tokens": 9, "messages": said, "input": "hi",
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let asked = |names: &[&str]| {
        let mut asked = serde_json::Map::new();
        for name in names {
            asked.insert((*name).to_owned(), question[*name].clone());
        }
        Value::Object(asked)
    };
    let mut messages = asked(&["model", "max_tokens", "messages"]);
    messages["messages"][0]["content"] = json!("hi");
    in_both_modes(policy, |guard, _| {
        for (path, question, answer) in [
            ("/v1/messages", &messages, &anthropic),
            (
                "/v1beta/models/g:generateContent",
                &asked(&["contents"]),
                &gemini,
            ),
            (
                "/model/amazon.nova/converse",
                &asked(&["messages"]),
                &converse,
            ),
            ("/v1/responses", &asked(&["model", "input"]), &mcp),
            ("/v1/responses", &asked(&["model", "input"]), &failed),
            ("/v1/responses", &asked(&["model", "input"]), &code),
            ("/v1/responses", &asked(&["model", "input"]), &shell),
        ] {
            let seen = answers(guard, (path, question), answer);
            assert_eq!(record(&seen)["decision"], "deny", "{path}: {answer}");
            let client = String::from_utf8(seen.client.body()).unwrap();
            assert!(!client.contains("forbidden"), "{path}: {client}");
        }
    });
}
