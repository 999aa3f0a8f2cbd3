//! Exchanges whose costs are counted instead of timed, each with its policy and its outcome.

use super::workload;
use serde_json::{Value, json};

/// Headers, by name and value.
pub type Headers = &'static [(&'static [u8], &'static [u8])];

/// Headers of an agent's request.
pub const REQUEST: Headers = &[
    (b":authority", b"api.openai.com"),
    (b":path", b"/v1/chat/completions"),
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.51.0"),
    (b"authorization", b"Bearer sk-0123456789"),
    (b"x-forwarded-proto", b"http"),
    (b"x-request-id", b"7f6c2f86-0c0c-4a55-9d0a-0d2f0f7bb9a1"),
    (b"x-stainless-lang", b"python"),
];

/// Headers of a plain response.
pub const RESPONSE: Headers = &[
    (b":status", b"200"),
    (b"content-type", b"application/json"),
    (b"content-length", b"800"),
    (b"date", b"Fri, 20 Nov 2026 10:00:00 GMT"),
];

/// Headers of a streamed response.
pub const STREAM: Headers = &[
    (b":status", b"200"),
    (b"content-type", b"text/event-stream"),
    (b"date", b"Fri, 20 Nov 2026 10:00:00 GMT"),
];

/// End of a stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// Counted exchange.
pub struct Exchange {
    /// Name in tables.
    pub name: &'static str,
    /// Policy in force.
    pub policy: Value,
    /// Outcome: `passed`, `rewritten` or `denied`.
    pub outcome: &'static str,
    /// Body of the request.
    pub question: Vec<u8>,
    /// Headers of the response.
    pub head: Headers,
    /// Body of the response, in the parts in which it arrives.
    pub answer: Vec<Vec<u8>>,
    /// Whether [`workload::NEW_WORD`] is replaced by another word in each exchange.
    pub is_new: bool,
    /// Number of the first part of the response that is counted, each part on its own; `None` if whole
    /// exchanges are counted.
    pub part: Option<usize>,
}

/// Returns all exchanges.
pub fn exchanges() -> Vec<Exchange> {
    const KIB: usize = 1 << 10;
    let policy = |rules| workload::policy(&workload::rules(rules), false);
    let clean = |name, rules, size| Exchange {
        name,
        policy: policy(rules),
        outcome: "passed",
        question: workload::question(size),
        head: RESPONSE,
        answer: vec![workload::answer()],
        is_new: false,
        part: None,
    };
    let four = |name| clean(name, 100, 4 * KIB);
    let mut frames = workload::frames();
    frames.push(DONE.to_vec());
    vec![
        clean("4 KB, 1 rule", 1, 4 * KIB),
        clean("4 KB, 100 rules", 100, 4 * KIB),
        Exchange {
            is_new: true,
            ..four("4 KB, 100 rules, new texts")
        },
        Exchange {
            outcome: "rewritten",
            question: asking(
                4 * KIB,
                "My card is 4111 1111 1111 1111. Where is my order?",
            ),
            answer: vec![answering(json!({
                "role": "assistant",
                "content": "It was paid with 4111 1111 1111 1111 and is on its way.",
            }))],
            ..four("4 KB, redacted")
        },
        Exchange {
            outcome: "denied",
            question: asking(4 * KIB, "What became of project basilisk 13?"),
            ..four("4 KB, denied")
        },
        Exchange {
            answer: vec![answering(json!({
                "role": "assistant",
                "content": null,
                "tool_calls": [{"id": "call_2", "type": "function", "function": {
                    "name": "get_customer", "arguments": "{\"id\":\"a-1042\",\"with\":[\"address\"]}",
                }}],
            }))],
            ..four("4 KB, tool call")
        },
        clean("64 KB, 100 rules", 100, 64 * KIB),
        Exchange {
            question: workload::question_with_tools(24),
            ..four("24 tools, 100 rules")
        },
        Exchange {
            question: workload::question_after_turns(40),
            ..four("40 turns, 100 rules")
        },
        Exchange {
            // The last words of a frame are held until the next frame.
            outcome: "rewritten",
            question: streamed(KIB),
            head: STREAM,
            answer: frames,
            part: Some(workload::FRAMES / 2),
            ..four("stream, one frame")
        },
    ]
}

/// Returns the request with another text of the user.
fn asking(size: usize, text: &str) -> Vec<u8> {
    changed(&workload::question(size), |question| {
        question["messages"][1]["content"] = json!(text);
    })
}

/// Returns the response with another message.
fn answering(message: Value) -> Vec<u8> {
    changed(&workload::answer(), |answer| {
        answer["choices"][0]["message"] = message;
    })
}

/// Returns the request for a streamed response.
pub fn streamed(size: usize) -> Vec<u8> {
    changed(&workload::question(size), |question| {
        question["stream"] = json!(true);
    })
}

fn changed(body: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(body).expect("a body is JSON");
    change(&mut body);
    body.to_string().into_bytes()
}
