//! Responses with bytes that some readers take for an event and others don't. The filter evaluates what any client may
//! read, or denies the response. Chunk boundaries change neither the outcome nor the bytes for the client.

use super::stream::LOOKS;
use super::*;
use crate::wire::frame::{Framing, compose};

/// Expected outcome of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The denied call or text was found.
    Seen,
    /// The response can't be read, and none of the hidden content reaches the client.
    Refused(&'static str),
    /// The client receives the same bytes.
    Untouched,
}

use Outcome::{Refused, Seen, Untouched};

/// A response: description, `content-type`, bytes, and outcome.
pub(super) type Case<'a> = (&'a str, Option<&'a str>, String, Outcome);

pub(super) const SSE: Option<&str> = Some("text/event-stream");
const LINES: Option<&str> = Some("application/x-ndjson");
const JSON: Option<&str> = Some("application/json");
const TEXT: Option<&str> = Some("text/plain");
const AMAZON: Option<&str> = Some("application/vnd.amazon.eventstream");

pub(super) fn asks(path: &str, body: Value) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", "model.internal"),
            ("content-type", "application/json"),
            ("x-request-id", "r-1"),
        ],
        body.to_string().as_bytes(),
    )
}

fn becomes(request: &HttpMessage, cases: &[Case<'_>]) {
    becomes_under(LOOKS, request, cases);
}

/// Evaluates responses. The policies deny a tool `delete_customer`, or an amount of 4242.
pub(super) fn becomes_under(policy: &str, request: &HttpMessage, cases: &[Case<'_>]) {
    let guard = guard(policy);
    for (what, media, body, expected) in cases {
        let run = |size: usize| {
            let mut half = HttpMessage::new(&[(":status", "200")], b"");
            if let Some(media) = media {
                let header = (b"content-type".to_vec(), media.as_bytes().to_vec());
                half.headers.push(header);
            }
            let chunks = body.as_bytes().chunks(size);
            half.chunks = chunks.map(<[u8]>::to_vec).collect();
            let seen = exchange(&guard, request, half);
            let record = record(&seen);
            let (client, is_denied) = (seen.client.body(), record["decision"] == "deny");
            let code = record["code"].as_str().unwrap_or("").to_owned();
            let told = String::from_utf8_lossy(&client);
            let hidden = ["delete_customer", "4242"]
                .iter()
                .any(|word| told.contains(word));
            let is_same = client == body.as_bytes();
            (is_denied, code, hidden, is_same, client)
        };
        let whole = run(body.len().max(1));
        for size in [1, 7] {
            assert_eq!(run(size), whole, "{what}, in pieces of {size}");
        }
        let (is_denied, code, hidden, is_same, client) = whole;
        let client = String::from_utf8_lossy(&client).into_owned();
        match expected {
            Seen => assert!(
                is_denied && code == "AG3001" && !hidden,
                "{what}: {code} {client}"
            ),
            Refused(expected) => {
                assert!(
                    is_denied && code == *expected && !hidden,
                    "{what}: {code} {client}"
                );
            }
            Untouched => assert!(!is_denied && is_same, "{what}: {code} {client}"),
        }
    }
}

fn chunk(delta: &Value, finish: &str) -> String {
    json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
    .to_string()
}

#[test]
fn a_chat_hides_no_call_in_server_sent_events() {
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "delete_customer", "arguments": "{}"}}]});
    let call = chunk(&call, "tool_calls");
    let hello = chunk(&json!({"content": "Hello"}), "stop");
    let unread = Refused("AG2014");
    let broken = Refused("AG2001");
    becomes(
        &chat_request(&says("hi")),
        &[
            (
                "as it should be",
                SSE,
                format!("data: {call}\n\ndata: [DONE]\n\n"),
                Seen,
            ),
            (
                "an honest comment",
                SSE,
                format!(": Grüße\n\ndata: {hello}\n\n"),
                Untouched,
            ),
            (
                "a name",
                SSE,
                format!("event: chunk\ndata: {hello}\n\n"),
                Untouched,
            ),
            (
                "a name twice",
                SSE,
                format!("event: chunk\nevent: chunk\ndata: {hello}\n\n"),
                Untouched,
            ),
            (
                "two names",
                SSE,
                format!("event: a\nevent: b\ndata: {hello}\n\n"),
                unread,
            ),
            (
                "no blank line at the end",
                SSE,
                format!("data: {call}"),
                Seen,
            ),
            ("CR alone", SSE, format!("data: {call}\r\r"), Seen),
            (
                "behind U+2028 of a comment",
                SSE,
                format!(": x\u{2028}data: {call}\n\n"),
                unread,
            ),
            (
                "behind U+0085 of an id",
                SSE,
                format!("id: x\u{85}data: {call}\n\n"),
                unread,
            ),
            (
                "behind a tab of a name",
                SSE,
                format!("event: x\u{B}data: {call}\n\n"),
                unread,
            ),
            ("behind NUL", SSE, format!("\0data: {call}\n\n"), unread),
            (
                "behind a BOM",
                SSE,
                format!("data: {hello}\n\n\u{FEFF}data: {call}\n\n"),
                unread,
            ),
            (
                "in one of three lines",
                SSE,
                format!("data: {{\"x\":\ndata: {call}\ndata: }}\n\n"),
                unread,
            ),
            (
                "beside another",
                SSE,
                format!("data: {hello}\ndata: {call}\n\n"),
                unread,
            ),
            (
                "beside the end",
                SSE,
                format!("data: [DONE]\ndata: {call}\n\n"),
                unread,
            ),
            ("in a list", SSE, format!("data: [{call}]\n\n"), unread),
            (
                "RS before it",
                SSE,
                format!("data: \u{1E}{call}\n\n"),
                unread,
            ),
            (
                "a key twice",
                SSE,
                format!(
                    "data: {}\n\n",
                    call.replace("\"choices\"", "\"choices\":[],\"choices\"")
                ),
                unread,
            ),
            ("lines of JSON", SSE, format!("{call}\n{call}\n"), unread),
            ("JSON", SSE, call.clone(), unread),
            ("as JSON lines", LINES, format!("data: {call}\n\n"), unread),
            ("as JSON", JSON, format!("data: {call}\n\n"), broken),
            (
                "as text",
                TEXT,
                format!("Hello\n\ndata: {call}\n\n"),
                broken,
            ),
            (
                "as text, behind a blank",
                TEXT,
                format!("Hello\n\n data: {call}\n\n"),
                broken,
            ),
            (
                "as text, behind a BOM",
                TEXT,
                format!("Hello\n\u{FEFF}data: {call}\n\n"),
                broken,
            ),
            (
                "as text, behind U+2028",
                TEXT,
                format!("Hello\u{2028}data: {call}\n\n"),
                broken,
            ),
            (
                "as text, in capitals",
                TEXT,
                format!("Hello\n\nDATA : {call}\n\n"),
                broken,
            ),
            (
                "without a type",
                None,
                format!(": hi\r\rdata: {call}\r\r"),
                broken,
            ),
            (
                "a page",
                TEXT,
                "<p>\nData: none\n{ color: red }\n</p>".to_owned(),
                Untouched,
            ),
            (
                "another charset",
                Some("text/event-stream; charset=utf-16"),
                format!("data: {call}\n\n"),
                Refused("AG2009"),
            ),
            (
                "two types",
                Some("text/event-stream, application/json"),
                format!("data: {call}\n\n"),
                broken,
            ),
            (
                "capitals",
                Some("TEXT/Event-Stream ; charset=UTF-8"),
                format!("data: {call}\n\n"),
                Seen,
            ),
        ],
    );
}

#[test]
fn ollama_hides_no_call_in_lines() {
    let line = |message: &str| {
        format!(
            r#"{{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{{"role":"assistant",{message}}},"done":true}}"#
        )
    };
    let call = line(
        r#""content":"","tool_calls":[{"function":{"name":"delete_customer","arguments":{}}}]"#,
    );
    let hello = line(r#""content":"Hello""#).replace("true", "false");
    let unread = Refused("AG2014");
    let question = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    becomes(
        &asks("/api/chat", question),
        &[
            ("as it should be", LINES, format!("{hello}\n{call}\n"), Seen),
            ("CR LF", LINES, format!("{hello}\r\n{call}\r\n"), Seen),
            (
                "blank lines",
                LINES,
                format!("\n{hello}\n\n \n{call}"),
                Seen,
            ),
            (
                "a form feed",
                LINES,
                format!("{hello}\n\u{C}{call}\n"),
                Seen,
            ),
            (
                "JSON lines under another name",
                Some("application/jsonl"),
                format!("{hello}\n{call}\n"),
                Seen,
            ),
            ("one document", JSON, format!("{call}\n"), Seen),
            ("no type", None, format!("{call}\n"), Seen),
            (
                "U+2028 in a text",
                LINES,
                format!("{}\n", hello.replace("Hello", "a\u{2028}b")),
                Untouched,
            ),
            (
                "two documents",
                JSON,
                format!("{hello}\n{call}\n"),
                Refused("AG2001"),
            ),
            ("two on a line", LINES, format!("{hello}{call}\n"), unread),
            (
                "one over two lines",
                LINES,
                format!("{}\n", call.replacen(',', ",\n", 1)),
                unread,
            ),
            (
                "CR between them",
                LINES,
                format!("{hello}\r{call}\n"),
                unread,
            ),
            (
                "CR around it",
                LINES,
                format!("{{\"x\":\r{call}\r}}\n"),
                unread,
            ),
            ("a BOM", LINES, format!("{hello}\n\u{FEFF}{call}\n"), unread),
            ("RS", LINES, format!("\u{1E}{call}\n"), unread),
            ("NUL", LINES, format!("{call}\0\n"), unread),
            ("a list", LINES, format!("[{call}]\n"), unread),
            (
                "a key twice",
                LINES,
                format!(
                    "{}\n",
                    call.replace("\"message\"", "\"message\":{},\"message\"")
                ),
                unread,
            ),
            (
                "an escaped key",
                LINES,
                format!("{}\n", call.replace("\"message\"", "\"mess\\u0061ge\"")),
                unread,
            ),
            (
                "a key in other letters",
                LINES,
                format!("{}\n", call.replace("\"message\"", "\"Message\"")),
                unread,
            ),
            (
                "server-sent events",
                LINES,
                format!("data: {call}\n\n"),
                unread,
            ),
            (
                "lines as server-sent events",
                SSE,
                format!("{call}\n"),
                unread,
            ),
            (
                "lines as messages of AWS's",
                AMAZON,
                format!("{call}\n"),
                unread,
            ),
            (
                "lines as text",
                TEXT,
                format!("Hello\n\u{FEFF}{call}\n"),
                Refused("AG2001"),
            ),
        ],
    );
}

#[test]
fn gemini_hides_no_call_in_an_array() {
    let part = |part: Value| {
        json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]})
            .to_string()
    };
    let call = part(json!({"functionCall": {"name": "delete_customer", "args": {}}}));
    let hello = part(json!({"text": "Hello"}));
    let unread = Refused("AG2014");
    let question = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let path = "/v1beta/models/gemini-x:streamGenerateContent";
    let in_array: &[Case<'_>] = &[
        (
            "as it should be",
            JSON,
            format!("[{hello}\n,\r\n{call}\n]"),
            Seen,
        ),
        ("no type", None, format!("[{hello},{call}]"), Seen),
        ("no comma", JSON, format!("[{hello}{call}]"), Seen),
        ("no end", JSON, format!("[{call}"), Seen),
        ("no array", JSON, call.clone(), Seen),
        ("behind the end", JSON, format!("[{hello}]{call}"), unread),
        ("in two", JSON, format!("[[{call}]]"), unread),
        ("behind a BOM", JSON, format!("\u{FEFF}[{call}]"), unread),
        (
            "server-sent events",
            JSON,
            format!("data: {call}\n\n"),
            unread,
        ),
        ("as server-sent events", SSE, format!("[{call}]"), unread),
        ("as text", TEXT, format!("[{hello},{call}]"), unread),
    ];
    becomes(&asks(path, question.clone()), in_array);
    let as_events: &[Case<'_>] = &[
        (
            "as it should be",
            SSE,
            format!("data: {hello}\r\n\r\ndata: {call}\r\n\r\n"),
            Seen,
        ),
        ("an array", JSON, format!("[{hello},{call}]"), unread),
        ("an array of one", JSON, format!("[{call}]"), Seen),
        (
            "an array in an event",
            SSE,
            format!("data: [{call}]\n\n"),
            unread,
        ),
    ];
    for alt in ["?alt=sse", "?alt=SSE", "?$alt=sse", "?%24alt=s%73e"] {
        becomes(&asks(&format!("{path}{alt}"), question.clone()), as_events);
    }
}

#[test]
fn other_clients_do_not_read_an_amazon_event_stream() {
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "delete_customer", "arguments": "{}"}}]});
    let call = chunk(&call, "tool_calls");
    let message = compose(Framing::Amazon, Some(&format!("\ndata: {call}\n\n")), b"{}");
    let message = String::from_utf8_lossy(&message).into_owned();
    let unread = Refused("AG2014");
    becomes(
        &chat_request(&says("hi")),
        &[
            ("in a header of a message", AMAZON, message, unread),
            (
                "events as messages",
                AMAZON,
                format!("data: {call}\n\n"),
                unread,
            ),
        ],
    );
}
