//! Calls that a model writes as text, and calls of undefined tools.

use super::*;

const NO_PAY: &str = "defaults: { action: allow }
rules:
  - { id: no-big-pay, match: { tool: pay }, when: { args.amount: { greater_than: 100 } }, action: deny, reason: Too much. }
";

fn says_so(text: &str) -> HttpMessage {
    answer(json!({"role": "assistant", "content": text}), "stop")
}

fn streamed(text: &str, size: usize) -> HttpMessage {
    streamed_until(text, size, &Value::Null)
}

/// Returns a stream that has a finish reason in each frame.
fn streamed_until(text: &str, size: usize, reason: &Value) -> HttpMessage {
    let mut body = String::new();
    let chars: Vec<char> = text.chars().collect();
    for piece in chars.chunks(size) {
        let piece: String = piece.iter().collect();
        let frame = json!({"id": "c", "object": "chat.completion.chunk", "model": "m",
            "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": reason}]});
        body.push_str(&format!("data: {frame}\n\n"));
    }
    let last = json!({"id": "c", "object": "chat.completion.chunk", "model": "m",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    body.push_str(&format!("data: {last}\n\ndata: [DONE]\n\n"));
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "text/event-stream")],
        body.as_bytes(),
    )
}

fn asks(stream: bool, tools: &[&str]) -> HttpMessage {
    let tools: Vec<Value> = tools
        .iter()
        .map(|name| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}))
        .collect();
    let mut body = json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "pay"}]});
    if !tools.is_empty() {
        body["tools"] = json!(tools);
    }
    chat_request(body.to_string().as_bytes())
}

/// Returns the same call in the templates of current models.
fn written(amount: u32) -> Vec<String> {
    [
        "<tool_call>\n{\"name\": \"pay\", \"arguments\": {\"amount\": N}}\n</tool_call>",
        "<tool_call>\n<function=pay>\n<parameter=amount>\nN\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>pay\n<arg_key>amount</arg_key>\n<arg_value>N</arg_value>\n</tool_call>",
        "<|python_tag|>{\"name\": \"pay\", \"parameters\": {\"amount\": N}}",
        "{\"name\": \"pay\", \"parameters\": {\"amount\": N}}",
        "[TOOL_CALLS][{\"name\": \"pay\", \"arguments\": {\"amount\": N}}]",
        "[TOOL_CALLS]pay[ARGS]{\"amount\": N}",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>pay\n```json\n{\"amount\": N}\n```<｜tool▁call▁end｜>",
        "<|tool_call|>[{\"name\": \"pay\", \"arguments\": {\"amount\": N}}]",
        ">>>pay\n{\"amount\": N}",
        "Action: ```json\n[{\"tool_name\": \"pay\", \"parameters\": {\"amount\": N}}]\n```",
        "Action: pay\nAction Input: {\"amount\": N}",
        "Thought: yes. Action 2 : pay\nAction 2 Input : {\"amount\": N}",
        "**Action:** pay\n**Action Input:** {\"amount\": N}",
        "Sure.\n```json\n{\n  \"action\": \"pay\",\n  \"action_input\": {\"amount\": N}\n}\n```",
        "Sure: {  \"action_input\": {\"amount\": N}, \"action\": \"pay\"}",
        "<tool>pay</tool><tool_input>{\"amount\": N}</tool_input>",
        "[[ ## next_tool_name ## ]]\npay\n[[ ## next_tool_args ## ]]\n{\"amount\": N}",
        "<function_calls>\n<invoke name=\"pay\">\n<parameter name=\"amount\">N</parameter>\n</invoke>\n</function_calls>",
        "<|channel|>commentary to=functions.pay <|constrain|>json<|message|>{\"amount\": N}<|call|>",
        "<|tool_call_begin|>functions.pay:0<|tool_call_argument_begin|>{\"amount\": N}<|tool_call_end|>",
    ]
    .iter()
    .map(|text| text.replace('N', &amount.to_string()))
    .collect()
}

#[test]
fn a_denied_call_that_is_written_as_text_is_withheld_with_its_text() {
    in_both_modes(NO_PAY, |guard, _| {
        for text in written(500) {
            for lead in ["", "I will pay now.\n"] {
                if !lead.is_empty() && text.starts_with('{') {
                    continue;
                }
                let text = format!("{lead}{text}");
                let seen = exchange(guard, &asks(false, &["pay"]), says_so(&text));
                let told = String::from_utf8(seen.client.body()).unwrap();
                assert!(
                    !told.contains("500") && told.contains("Too much."),
                    "{text}: {told}"
                );
                let whole = record(&seen);
                // The agent goes on, as after a call that is not written as text.
                assert_eq!(seen.client.status(), Some(200), "{text}: {told}");
                assert_eq!(whole["decision"], "deny", "{text}");
                assert_eq!(whole["code"], "AG3001", "{text}");
                assert_eq!(whole["tools"], json!(["pay"]), "{text}");
                assert_eq!(
                    whole["coverage"],
                    json!({"level": "partial", "reasons": ["response:text_tools"]})
                );
                for size in [1, 3, 7, 1000] {
                    let seen = exchange(guard, &asks(true, &["pay"]), streamed(&text, size));
                    let told = String::from_utf8(seen.client.body()).unwrap();
                    assert!(
                        !told.contains("500") && !told.contains("amount"),
                        "{text} {size}: {told}"
                    );
                    assert!(told.contains("Too much."), "{text} {size}: {told}");
                    let line = record(&seen);
                    for key in ["decision", "code", "tools"] {
                        assert_eq!(line[key], whole[key], "{text} {size}");
                    }
                    assert_eq!(line["rules"][0]["id"], "no-big-pay");
                    assert_eq!(line["coverage"]["level"], "partial");
                }
            }
        }
    });
}

#[test]
fn a_denied_call_that_is_written_in_the_reasoning_is_withheld_too() {
    let guard = guard(NO_PAY);
    for text in written(500) {
        let said = json!({"role": "assistant", "content": "Done.", "reasoning_content": text});
        let seen = exchange(&guard, &asks(false, &["pay"]), answer(said, "stop"));
        let told = String::from_utf8(seen.client.body()).unwrap();
        assert!(!told.contains("500"), "{text}: {told}");
        assert_eq!(record(&seen)["code"], "AG3001", "{text}");
    }
}

#[test]
fn a_label_is_followed_over_any_white_space() {
    let guard = guard(NO_PAY);
    let gap = " ".repeat(5_000);
    let text = format!("I will. Action{gap}:{gap}pay{gap}Action{gap}Input: {{\"amount\": 500}}");
    for response in [says_so(&text), streamed(&text, 1), streamed(&text, 997)] {
        let stream = response.header("content-type") == Some(&b"text/event-stream"[..]);
        let seen = exchange(&guard, &asks(stream, &["pay"]), response);
        let told = String::from_utf8(seen.client.body()).unwrap();
        assert!(
            !told.contains("500") && told.contains("Too much."),
            "{told}"
        );
        assert_eq!(record(&seen)["tools"], json!(["pay"]));
    }
}

#[test]
fn a_mark_in_the_middle_of_a_line_is_none_however_the_line_is_cut() {
    let guard = guard("defaults: { action: allow, tool_call: deny }\nrules: []\n");
    for mark in ["Action: ", ">>>"] {
        let text =
            format!("The next {mark}call the customer, and ask for the number of the order.");
        for size in 1..=text.len() {
            let seen = exchange(&guard, &asks(true, &[]), streamed(&text, size));
            assert_eq!(
                record(&seen)["decision"],
                "allow",
                "{text} in pieces of {size}"
            );
        }
    }
}

#[test]
fn a_mark_of_a_call_is_found_where_each_frame_has_a_finish_reason() {
    let guard = guard(NO_PAY);
    for text in written(500) {
        for text in [format!("Well.\n{text}"), text] {
            let whole = exchange(&guard, &asks(false, &["pay"]), says_so(&text));
            let expected = record(&whole)["decision"].clone();
            for size in [1, 2, 5, 9] {
                let answer = streamed_until(&text, size, &json!("stop"));
                let seen = exchange(&guard, &asks(true, &["pay"]), answer);
                assert_eq!(
                    record(&seen)["decision"],
                    expected,
                    "{text} in pieces of {size}"
                );
            }
        }
    }
}

#[test]
fn an_allowed_call_that_is_written_as_text_passes_as_it_came() {
    in_both_modes(NO_PAY, |guard, _| {
        for text in written(5) {
            let response = says_so(&text);
            let seen = exchange(guard, &asks(false, &["pay"]), response.clone());
            assert_eq!(seen.client.body(), response.body(), "{text}");
            assert_eq!(record(&seen)["tools"], json!(["pay"]));
            for size in [1, 5, 1000] {
                let response = streamed(&text, size);
                let seen = exchange(guard, &asks(true, &["pay"]), response.clone());
                assert_eq!(seen.client.body(), response.body(), "{text} {size}");
                assert_eq!(record(&seen)["decision"], "allow");
                assert_eq!(record(&seen)["tools"], json!(["pay"]));
            }
        }
    });
}

#[test]
fn prose_with_marks_and_answers_in_json_pass_and_flow() {
    let guard = guard(NO_PAY);
    for text in [
        "Compare a < b, x >> y and [TOOL] with care: Action is all.",
        "{\"result\": \"a long answer in JSON\", \"name\": \"Jane\"}",
        "{\"name\": \"Jane\", \"age\": 5}",
        "To call it, write `<tool_call>` and then JSON.",
    ] {
        for size in [1, 4] {
            let response = streamed(text, size);
            let seen = exchange(&guard, &asks(true, &[]), response.clone());
            assert_eq!(seen.client.body(), response.body(), "{text}");
            assert_eq!(record(&seen)["coverage"]["level"], "full", "{text}");
        }
    }
    // Text that can't begin a call is not held.
    let frames: Vec<Vec<u8>> = ["One ", "two ", "three"]
        .iter()
        .map(|text| {
            let frame = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]});
            format!("data: {frame}\n\n").into_bytes()
        })
        .collect();
    let pieces: Vec<(&[u8], u64)> = frames.iter().map(|frame| (frame.as_slice(), 1)).collect();
    for action in slowly(&guard, &asks(true, &[]), "text/event-stream", &pieces) {
        assert_eq!(action, Action::Continue);
    }
}

#[test]
fn a_default_of_deny_for_calls_applies_to_written_ones() {
    let policy = "defaults: { action: allow, tool_call: deny }
rules:
  - { id: look, match: { tool: look }, action: allow }
";
    in_both_modes(policy, |guard, _| {
        for (text, decision) in [
            (
                "<tool_call>{\"name\": \"look\", \"arguments\": {}}</tool_call>",
                "allow",
            ),
            (
                "<tool_call>{\"name\": \"pay\", \"arguments\": {}}</tool_call>",
                "deny",
            ),
            (
                "<tool_call>{\"name\": \"look\", \"arguments\": {}}</tool_call><tool_call>{\"name\": \"pay\"}</tool_call>",
                "deny",
            ),
        ] {
            let seen = exchange(guard, &asks(false, &[]), says_so(text));
            assert_eq!(record(&seen)["decision"], decision, "{text}");
            let seen = exchange(guard, &asks(true, &[]), streamed(text, 4));
            assert_eq!(record(&seen)["decision"], decision, "{text}");
        }
    });
}

#[test]
fn a_written_call_that_would_have_to_be_edited_is_denied() {
    let policy = "defaults: { action: allow }
rules:
  - { id: cards, match: { event: tool_call }, when: { text: { detects: credit_card } }, action: redact, redact: { what: args.card } }
";
    let text = "<tool_call>{\"name\": \"pay\", \"arguments\": {\"card\": \"4111 1111 1111 1111\"}}</tool_call>";
    in_both_modes(policy, |guard, _| {
        for (stream, response) in [(false, says_so(text)), (true, streamed(text, 6))] {
            let seen = exchange(guard, &asks(stream, &[]), response);
            assert_eq!(record(&seen)["code"], "AG3005");
            assert!(
                !String::from_utf8(seen.client.body())
                    .unwrap()
                    .contains("4111")
            );
        }
    });
}

#[test]
fn observed_written_calls_are_recorded() {
    let guard = guard(&format!("mode: observe\n{NO_PAY}"));
    for text in written(500) {
        for (stream, response) in [(false, says_so(&text)), (true, streamed(&text, 5))] {
            let seen = exchange(&guard, &asks(stream, &[]), response.clone());
            assert_eq!(seen.client.body(), response.body());
            assert_eq!(record(&seen)["would"], "deny", "{text} {stream}");
        }
    }
}

#[test]
fn servers_of_plain_completions_are_read_likewise() {
    let text = &written(500)[0];
    let body = json!({"id": "c", "object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]});
    for (host, path, body) in [
        ("vllm.internal", "/v1/completions", body),
        (
            "ollama.internal:11434",
            "/api/generate",
            json!({"model": "m", "response": text, "done": true}),
        ),
    ] {
        let request = HttpMessage::new(
            &[
                (":method", "POST"),
                (":path", path),
                (":authority", host),
                ("content-type", "application/json"),
            ],
            br#"{"model":"m","prompt":"pay","stream":false}"#,
        );
        let answer = HttpMessage::new(
            &[(":status", "200"), ("content-type", "application/json")],
            body.to_string().as_bytes(),
        );
        let seen = exchange(&guard(NO_PAY), &request, answer);
        assert_eq!(record(&seen)["decision"], "deny", "{path}");
    }
}

const UNOFFERED: &str = "defaults: { action: allow }
rules:
  - { id: unoffered, when: { unoffered: true }, action: deny, reason: Nobody offered it. }
";

fn calls(tool: &str) -> HttpMessage {
    let call =
        json!({"id": "c1", "type": "function", "function": {"name": tool, "arguments": "{}"}});
    answer(
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        "tool_calls",
    )
}

#[test]
fn a_call_of_an_undefined_tool_can_be_denied() {
    in_both_modes(UNOFFERED, |guard, _| {
        for (offered, called, decision) in [
            (&["look", "pay"][..], "pay", "allow"),
            (&["look", "Pay"], "pay", "allow"),
            (&["look"], "pay", "deny"),
            (&[], "pay", "deny"),
        ] {
            let seen = exchange(guard, &asks(false, offered), calls(called));
            assert_eq!(record(&seen)["decision"], decision, "{offered:?} {called}");
            let written = "<tool_call>{\"name\": \"pay\", \"arguments\": {}}</tool_call>";
            let seen = exchange(guard, &asks(true, offered), streamed(written, 6));
            assert_eq!(record(&seen)["decision"], decision, "{offered:?} {called}");
        }
        // The same applies to the history.
        let call =
            json!({"id": "c1", "type": "function", "function": {"name": "pay", "arguments": "{}"}});
        let body = json!({"model": "gpt-4o", "messages": [
            {"role": "user", "content": "pay"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
        ]});
        let seen = exchange(guard, &chat_request(body.to_string().as_bytes()), hello());
        assert_eq!(record(&seen)["decision"], "deny");
    });
}

#[test]
fn a_call_is_resolved_toward_denial_if_the_definitions_are_unknown() {
    let lenient = "defaults: { action: allow, tool_call: deny }
rules:
  - { id: offered, when: { unoffered: false }, action: allow }
";
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay", "arguments": {}}});
    let mcp = HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/mcp"),
            (":authority", "tools.example"),
            ("content-type", "application/json"),
        ],
        call.to_string().as_bytes(),
    );
    for policy in [UNOFFERED, lenient] {
        let seen = exchange(&guard(policy), &mcp, hello());
        assert_eq!(record(&seen)["decision"], "deny");
    }
    // Stored content of the provider may define other tools.
    let asked = |member: &str| {
        let mut body = json!({"model": "gpt-4o", "input": "pay"});
        if !member.is_empty() {
            body[member] = match member {
                "prompt" => json!({"id": "pmpt_1"}),
                _ => json!("resp_1"),
            };
        }
        body["tools"] =
            json!([{"type": "function", "name": "look", "parameters": {"type": "object"}}]);
        let headers = [
            (":method", "POST"),
            (":path", "/v1/responses"),
            (":authority", "api.openai.com"),
            ("content-type", "application/json"),
        ];
        HttpMessage::new(&headers, body.to_string().as_bytes())
    };
    let answered = |tool: &str| {
        let body = json!({"id": "resp_2", "object": "response", "status": "completed", "model": "gpt-4o", "output": [
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": tool, "arguments": "{}", "status": "completed"}]});
        HttpMessage::new(
            &[(":status", "200"), ("content-type", "application/json")],
            body.to_string().as_bytes(),
        )
    };
    for (member, tool, decision) in [
        ("", "look", "allow"),
        ("", "pay", "deny"),
        ("previous_response_id", "look", "deny"),
        ("prompt", "look", "deny"),
    ] {
        for policy in [UNOFFERED, lenient] {
            let seen = exchange(&guard(policy), &asked(member), answered(tool));
            assert_eq!(record(&seen)["decision"], decision, "{member} {tool}");
        }
    }
}
