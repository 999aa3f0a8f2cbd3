//! Ollama's streamed responses, line by line.

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
fn reasoning_is_a_separate_text() {
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
fn words_of_an_unknown_member_are_one_text() {
    let verse = |part: &str| says(json!({"role": "assistant", "content": "", "verse": part}));
    let body = ["the forbid", "den wo", "rd"].map(verse);
    let seen = ask(
        &guard(LOOKS),
        &chat(),
        &lines(&[&body[..], &[end()]].concat()),
    );
    assert_eq!(record(&seen)["decision"], "deny");
    let left = String::from_utf8(seen.client.body()).unwrap();
    assert!(!left.contains("den wo"), "{left}");
}

#[test]
fn tokens_that_repeat_an_edited_text_are_removed() {
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
fn denied_calls_are_removed_and_the_others_are_numbered_without_a_gap() {
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
    // Several calls in one line.
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
    fn progress_of_a_download_is_not_text() {
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
