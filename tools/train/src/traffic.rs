//! Traffic for training: recorded exchanges, labelled texts, and long conversations made of them.

use crate::module::Exchange;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read;

/// Bytes of each part of a streamed response that has no lines as events.
const PIECE: usize = 700;
/// Number of texts of a long conversation: about 60 KB.
const TEXTS_OF_CONVERSATION: usize = 400;
/// Number of long conversations. Each costs as much as a hundred short ones.
const CONVERSATIONS: usize = 6;

fn read(file: &str) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn lines(text: &str) -> impl Iterator<Item = Value> {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).expect("a line is JSON"))
}

fn text_of<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// Recorded exchange.
pub struct Recorded(Value);

/// Returns the recorded exchanges of a file.
pub fn exchanges(file: &str) -> Vec<Recorded> {
    let text = String::from_utf8(read(file)).expect("traffic is text");
    lines(&text).map(Recorded).collect()
}

/// Returns the labelled texts of a file.
pub fn texts(file: &str) -> Vec<String> {
    let mut text = String::new();
    let mut unpacked = GzDecoder::new(std::io::Cursor::new(read(file)));
    unpacked.read_to_string(&mut text).expect("texts are text");
    lines(&text)
        .map(|line| text_of(&line, "text").to_owned())
        .collect()
}

/// Returns the policies of a file, each once with headers that are forwarded at once and once with
/// headers that are held.
pub fn policies(file: &str) -> Vec<String> {
    let policies: Vec<Value> = serde_json::from_slice(&read(file)).expect("policies are JSON");
    let both = policies.into_iter().flat_map(|policy| {
        ["portable", "hold"].map(|headers| {
            let mut policy = policy.clone();
            policy["envoy"] = json!({ "headers": headers });
            policy.to_string()
        })
    });
    both.collect()
}

fn body(message: &Value) -> Vec<u8> {
    let text = text_of(message, "body");
    match text_of(message, "body_encoding") {
        "base64" => STANDARD.decode(text).expect("base64"),
        _ => text.as_bytes().to_vec(),
    }
}

fn headers(message: &Value, pseudo: &[(&str, String)]) -> Vec<(String, String)> {
    let own = message["headers"].as_object().into_iter().flatten();
    let pseudo = pseudo
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    pseudo
        .chain(
            own.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())),
        )
        .collect()
}

/// Returns the parts of a response: one for a plain response, several for a stream.
fn parts(answer: &[u8], is_stream: bool) -> Vec<Vec<u8>> {
    if !is_stream {
        return Some(answer.to_vec())
            .filter(|answer| !answer.is_empty())
            .into_iter()
            .collect();
    }
    let mut events = Vec::new();
    let mut event = Vec::new();
    for line in answer.split_inclusive(|byte| *byte == b'\n') {
        event.extend_from_slice(line);
        if line == b"\n" || line == b"\r\n" {
            events.push(std::mem::take(&mut event));
        }
    }
    if events.is_empty() {
        return event.chunks(PIECE).map(<[u8]>::to_vec).collect();
    }
    events.extend(Some(event).filter(|event| !event.is_empty()));
    events
}

impl Recorded {
    /// Returns the exchange as it passes through a proxy.
    pub fn exchange(&self) -> Exchange {
        let (request, response) = (&self.0["request"], &self.0["response"]);
        let pseudo = |name: &str| text_of(request, name).to_owned();
        let head = [
            (":authority", pseudo("host")),
            (":path", pseudo("path")),
            (":method", pseudo("method")),
            (":scheme", "https".to_owned()),
        ];
        let kind = text_of(&response["headers"], "content-type");
        Exchange {
            request: headers(request, &head),
            question: parts(&body(request), false),
            response: headers(response, &[(":status", response["status"].to_string())]),
            answer: parts(&body(response), kind.contains("event")),
        }
    }
}

/// Returns an exchange with a text in its request, and in its response.
pub fn asked(text: &str) -> Exchange {
    talked(&[text.to_owned()])
}

/// Returns long conversations of the labelled texts. They arrive in several parts.
pub fn conversations(texts: &[String]) -> Vec<Exchange> {
    let conversations = texts.chunks(TEXTS_OF_CONVERSATION).take(CONVERSATIONS);
    let exchanges = conversations.map(|texts| {
        let mut exchange = talked(texts);
        exchange.question = exchange
            .question
            .iter()
            .flat_map(|question| question.chunks(16 << 10))
            .map(<[u8]>::to_vec)
            .collect();
        exchange
    });
    exchanges.collect()
}

fn talked(texts: &[String]) -> Exchange {
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let messages: Vec<Value> = texts
        .iter()
        .map(|text| json!({"role": "user", "content": text}))
        .collect();
    let answer = json!({
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": texts.last()}, "finish_reason": "stop"}],
    });
    Exchange {
        request: vec![
            own(":authority", "api.openai.com"),
            own(":path", "/v1/chat/completions"),
            own(":method", "POST"),
            kind.clone(),
        ],
        question: vec![
            json!({"model": "gpt-4o-mini", "messages": messages})
                .to_string()
                .into_bytes(),
        ],
        response: vec![own(":status", "200"), kind],
        answer: vec![answer.to_string().into_bytes()],
    }
}
