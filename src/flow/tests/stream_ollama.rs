//! Ollama's answers, line by line.

use super::stream::LOOKS;
use super::*;

fn asks(path: &str, body: Value) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", "ollama.internal"),
            ("content-type", "application/json"),
            ("x-request-id", "r-1"),
        ],
        body.to_string().as_bytes(),
    )
}

fn chat() -> HttpMessage {
    asks(
        "/api/chat",
        json!({"model": "qwen3", "messages": [{"role": "user", "content": "hi"}]}),
    )
}

fn generate() -> HttpMessage {
    asks("/api/generate", json!({"model": "qwen3", "prompt": "hi"}))
}

fn lines(lines: &[Value]) -> Vec<u8> {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    lines.into_bytes()
}

fn answered(body: &[u8], size: usize) -> HttpMessage {
    let headers = [(":status", "200"), ("content-type", "application/x-ndjson")];
    let mut half = HttpMessage::new(&headers, b"");
    half.chunks = body.chunks(size.max(1)).map(<[u8]>::to_vec).collect();
    half
}

fn ask(guard: &Rc<Guard>, request: &HttpMessage, body: &[u8]) -> SimulatedResult {
    let at_once = exchange(guard, request, answered(body, body.len()));
    let in_pieces = exchange(guard, request, answered(body, 7));
    assert_eq!(
        String::from_utf8(at_once.client.body()),
        String::from_utf8(in_pieces.client.body())
    );
    at_once
}

fn seen_lines(seen: &SimulatedResult) -> Vec<Value> {
    String::from_utf8(seen.client.body())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn says(message: Value) -> Value {
    json!({"model": "qwen3", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": false})
}

fn text(text: &str) -> Value {
    says(json!({"role": "assistant", "content": text}))
}

fn call(index: u32, name: &str, arguments: Value) -> Value {
    let call = json!({"id": format!("call_{index}"), "function": {"index": index, "name": name, "arguments": arguments}});
    says(json!({"role": "assistant", "content": "", "tool_calls": [call]}))
}

fn end() -> Value {
    json!({
        "model": "qwen3", "created_at": "2026-01-01T00:00:01Z", "message": {"role": "assistant", "content": ""},
        "done": true, "done_reason": "stop", "total_duration": 12345678901u64, "prompt_eval_count": 3, "eval_count": 4,
    })
}

fn joined(lines: &[Value], member: &str) -> String {
    lines
        .iter()
        .filter_map(|line| line["message"][member].as_str().or(line[member].as_str()))
        .collect()
}

fn calls(lines: &[Value]) -> Vec<(u64, String)> {
    lines
        .iter()
        .flat_map(|line| {
            line["message"]["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
        })
        .map(|call| {
            let function = &call["function"];
            (
                function["index"].as_u64().unwrap(),
                function["name"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn what_no_rule_touches_streams_bit_for_bit() {
    let body = lines(&[
        says(json!({"role": "assistant", "content": "", "thinking": "Well"})),
        text("Good "),
        text("morn\u{1F600}"),
        call(0, "find", json!({"q": "a\nb"})),
        end(),
    ]);
    in_both_modes(LOOKS, |guard, _| {
        let seen = ask(guard, &chat(), &body);
        assert_eq!(seen.client.body(), body);
        let record = record(&seen);
        assert_eq!(record["decision"], "allow");
        assert_eq!(
            record["usage"],
            json!({"input_tokens": 3, "output_tokens": 4})
        );
        assert_eq!(record["tools"], json!(["find"]));
        assert_eq!(
            record["events"],
            json!({"message": 1, "request": 1, "response": 2, "tool_call": 1})
        );
    });
}

#[test]
fn a_card_number_over_many_lines_is_replaced_once() {
    let guard = guard(LOOKS);
    let parts = ["pay 41", "11 11", "11", "", " 1111 1111 to", "day"];
    let mut body: Vec<Value> = parts.map(text).to_vec();
    body.push(end());
    let seen = ask(&guard, &chat(), &lines(&body));
    let seen_lines = seen_lines(&seen);
    assert_eq!(joined(&seen_lines, "content"), "pay [CREDIT_CARD] today");
    assert_eq!(seen_lines.len(), body.len());
    assert_eq!(record(&seen)["findings"], json!({"credit_card": 1}));
    assert_eq!(record(&seen)["rules"][0]["at"], "#text");
}

#[test]
fn thoughts_are_a_text_of_their_own() {
    let guard = guard(LOOKS);
    let thinks = |part: &str| says(json!({"role": "assistant", "content": "", "thinking": part}));
    let body = [
        thinks("ask anna@ex"),
        text("Hello"),
        thinks("ample.com"),
        end(),
    ];
    let seen_lines = seen_lines(&ask(&guard, &chat(), &lines(&body)));
    assert_eq!(joined(&seen_lines, "thinking"), "ask [EMAIL]");
    assert_eq!(joined(&seen_lines, "content"), "Hello");
}

#[test]
fn tokens_that_repeat_an_edited_text_go() {
    let guard = guard(LOOKS);
    let part = |text: &str| {
        json!({
            "model": "m", "response": text, "done": false,
            "logprobs": [{"token": text, "logprob": -0.1}],
        })
    };
    let mut last = end();
    last.as_object_mut().unwrap().remove("message");
    last["response"] = json!("");
    last["context"] = json!([1, 2, 3]);
    let body = [
        part("anna@ex"),
        part("ample.com"),
        part(" and so on, for a while"),
        last.clone(),
    ];
    let seen = seen_lines(&ask(&guard, &generate(), &lines(&body)));
    assert_eq!(joined(&seen, "response"), "[EMAIL] and so on, for a while");
    assert_eq!(seen[0]["logprobs"], json!([]));
    assert_eq!(seen[1]["logprobs"], json!([]));
    assert_eq!(seen[3]["context"], json!([]));
    let untouched = lines(&[part("Hello"), last]);
    assert_eq!(
        ask(&guard, &generate(), &untouched).client.body(),
        untouched
    );
}

#[test]
fn a_denied_text_ends_the_stream_as_a_refusal() {
    let guard = guard(LOOKS);
    let body = lines(&[
        text("Well, "),
        text("this is the forb"),
        text("idden wo"),
        text("rd and more"),
        end(),
    ]);
    let seen = ask(&guard, &chat(), &body);
    let seen_lines = seen_lines(&seen);
    assert_eq!(joined(&seen_lines, "content"), "Well, Not that word.");
    let last = seen_lines.last().unwrap();
    assert_eq!(last["done"], true);
    assert_eq!(last["done_reason"], "stop");
    assert_eq!(last["model"], "qwen3");
    assert_eq!(last["created_at"], "2026-01-01T00:00:00Z");
    assert_eq!(record(&seen)["code"], "AG3001");
}

#[test]
fn an_error_is_one_that_clients_raise() {
    let guard = guard(&LOOKS.replace("    reason: Not that word.\n", "    on_deny: error\n"));
    let seen = ask(
        &guard,
        &generate(),
        &lines(&[json!({"response": "forbidden word", "done": true})]),
    );
    let [line] = &seen_lines(&seen)[..] else {
        panic!()
    };
    assert_eq!(line["error"], "Blocked by rule `swan`.");
}

#[test]
fn denied_calls_are_taken_out_and_the_others_are_numbered_without_a_gap() {
    let guard = guard(LOOKS);
    let body = lines(&[
        text("Let me see."),
        call(0, "find", json!({"q": "x"})),
        call(1, "delete_customer", json!({"id": 1})),
        call(2, "find", json!({"q": "y"})),
        end(),
    ]);
    let seen = ask(&guard, &chat(), &body);
    let seen_lines = seen_lines(&seen);
    assert_eq!(
        calls(&seen_lines),
        [(0, "find".to_owned()), (1, "find".to_owned())]
    );
    assert_eq!(joined(&seen_lines, "content"), "Let me see.Customers stay.");
    assert_eq!(record(&seen)["decision"], "deny");
    assert_eq!(record(&seen)["code"], "AG3001");
    // Several in one line.
    let function = |name: &str, index: u32| json!({"function": {"index": index, "name": name, "arguments": {}}});
    let several = says(json!({
        "role": "assistant", "content": "",
        "tool_calls": [function("delete_customer", 0), function("find", 1), function("seek", 2)],
    }));
    let seen = ask(
        &guard,
        &chat(),
        &lines(&[several, call(3, "look", json!({})), end()]),
    );
    assert_eq!(
        calls(&self::seen_lines(&seen)),
        [
            (0, "find".to_owned()),
            (1, "seek".to_owned()),
            (2, "look".to_owned())
        ]
    );
}

mod faults {
    use super::*;

    #[test]
    fn a_line_that_is_no_json_ends_the_stream() {
        let guard = guard(LOOKS);
        let mut body = lines(&[text("Good morning")]);
        body.extend_from_slice(b"{\"message\":\n");
        let seen = ask(&guard, &chat(), &body);
        assert!(seen_lines(&seen).last().unwrap()["error"].is_string());
        assert_eq!(record(&seen)["code"], "AG2014");
    }

    #[test]
    fn an_end_in_the_middle_of_a_line_is_an_error() {
        let guard = guard(LOOKS);
        let body = lines(&[text("Good morning")]);
        let seen = ask(&guard, &chat(), &body[..30]);
        assert!(seen_lines(&seen)[0]["error"].is_string());
    }

    #[test]
    fn an_error_of_the_provider_passes_and_so_do_empty_lines_and_a_missing_end() {
        let guard = guard(LOOKS);
        for body in [
            lines(&[text("Well, "), json!({"error": "out of memory"})]),
            [
                lines(&[text("Well, ")]),
                b"\n\r\n".to_vec(),
                lines(&[end()]),
            ]
            .concat(),
            lines(&[text("Well, ")]),
        ] {
            assert_eq!(
                String::from_utf8(ask(&guard, &chat(), &body).client.body()),
                String::from_utf8(body)
            );
        }
    }

    #[test]
    fn lines_after_the_end_are_dropped() {
        let guard = guard(LOOKS);
        let body = lines(&[text("Hello"), end(), text("forbidden word")]);
        let seen = ask(&guard, &chat(), &body);
        assert_eq!(seen.client.body(), lines(&[text("Hello"), end()]));
        assert_eq!(
            record(&seen)["coverage"]["reasons"],
            json!(["response:after_end"])
        );
    }

    #[test]
    fn progress_of_a_download_is_no_text() {
        let guard = guard(LOOKS);
        let body = lines(&[
            json!({"status": "pulling manifest"}),
            json!({"status": "pulling dd084c7d92a3", "digest": "sha256:dd084c7d92a3c1c14cc09ae77153b903fd2024b64a100a0cc8ec9316063d2dbc", "total": 4_109_853_248u64, "completed": 12}),
            json!({"status": "success"}),
        ]);
        let pull = asks("/api/pull", json!({"model": "qwen3"}));
        assert_eq!(ask(&guard, &pull, &body).client.body(), body);
    }
}

#[test]
fn an_empty_line_of_text_keeps_a_connection_alive() {
    let policy = "defaults: { action: allow }
rules:
  - { id: long, match: { event: response }, when: { text: { length_greater_than: 1000 } }, action: deny }
";
    let part = lines(&[says(json!({"role": "assistant", "content": "Hello"}))]);
    let left = slowly(
        &guard(policy),
        &chat(),
        "application/x-ndjson",
        &[(&part, 1), (&part, 12)],
    );
    assert_eq!(left[0], Action::Replace(Vec::new()));
    let Action::Replace(line) = &left[1] else {
        panic!("{left:?}");
    };
    let line: Value = serde_json::from_slice(line.strip_suffix(b"\n").unwrap()).unwrap();
    assert_eq!(
        (&line["message"]["content"], &line["done"]),
        (&json!(""), &json!(false))
    );
}
