//! How events become the bytes of a stream, and how a client takes them out again: written without the code that is tested,
//! but for Amazon's binary framing.

use agentguard::wire::frame::{Frames, Framing, compose};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// An event: its name in the framing, and its payload. A string is written as it is: `[DONE]`.
pub type Event = (String, Value);

/// How events stand in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `data: {…}`; a name only where there is one.
    Sse,
    /// `{…}` and the end of a line.
    Lines,
    /// `[{…}`, `,{…}`, `]`: the last event is the bracket.
    Array,
    /// Amazon's event stream.
    Amazon,
    /// The same, with the event in base64 inside a chunk.
    AmazonChunks,
}

impl Wire {
    /// `content-type` of such a stream.
    pub fn media(self) -> &'static str {
        match self {
            Wire::Sse => "text/event-stream",
            Wire::Lines => "application/x-ndjson",
            Wire::Array => "application/json",
            Wire::Amazon | Wire::AmazonChunks => "application/vnd.amazon.eventstream",
        }
    }

    /// The framing that the product reads.
    pub fn framing(self) -> Framing {
        match self {
            Wire::Sse => Framing::Sse,
            Wire::Lines => Framing::Lines,
            Wire::Array => Framing::Array,
            Wire::Amazon | Wire::AmazonChunks => Framing::Amazon,
        }
    }

    /// One frame for each event; together they are the stream.
    pub fn frames(self, events: &[Event]) -> Vec<Vec<u8>> {
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for (at, (name, payload)) in events.iter().enumerate() {
            let text = match payload {
                Value::String(text) => text.clone(),
                payload => payload.to_string(),
            };
            frames.push(match self {
                Wire::Sse if name.is_empty() => format!("data: {text}\n\n").into_bytes(),
                Wire::Sse => format!("event: {name}\ndata: {text}\n\n").into_bytes(),
                Wire::Lines => format!("{text}\n").into_bytes(),
                Wire::Array => {
                    format!("{}{text}", if at == 0 { "[" } else { "\n,\r\n" }).into_bytes()
                }
                Wire::Amazon => compose(Framing::Amazon, Some(name), text.as_bytes()),
                Wire::AmazonChunks => {
                    let chunk = json!({"bytes": STANDARD.encode(text), "p": "abcdef"});
                    compose(Framing::Amazon, Some("chunk"), chunk.to_string().as_bytes())
                }
            });
        }
        if self == Wire::Array {
            frames.push(b"\n]\n".to_vec());
        }
        frames
    }

    /// The events of a stream, as far as it goes. What is no event fails the test.
    pub fn events(self, bytes: &[u8]) -> Vec<Event> {
        if matches!(self, Wire::Amazon | Wire::AmazonChunks) {
            return self.messages(bytes);
        }
        let text = std::str::from_utf8(bytes).unwrap().replace("\r\n", "\n");
        let read = |payload: &str| {
            serde_json::from_str(payload).unwrap_or_else(|_| Value::String(payload.to_owned()))
        };
        match self {
            Wire::Lines => {
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                lines.map(|line| (String::new(), read(line))).collect()
            }
            Wire::Array if text.trim().is_empty() => Vec::new(),
            Wire::Array => {
                let closed = text.trim_end();
                let closed = closed.trim_end_matches(']').trim_end();
                let closed = format!("{}]", closed.trim_end_matches(','));
                let all: Vec<Value> =
                    serde_json::from_str(&closed).unwrap_or_else(|_| panic!("{text}"));
                all.into_iter()
                    .map(|event| (String::new(), event))
                    .collect()
            }
            _ => text
                .split("\n\n")
                .filter_map(|event| {
                    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                    let data = field("data: ").or_else(|| field("data:"))?;
                    (!data.is_empty()).then(|| {
                        let name = field("event: ").unwrap_or_default();
                        (name.to_owned(), read(data))
                    })
                })
                .collect(),
        }
    }

    fn messages(self, bytes: &[u8]) -> Vec<Event> {
        let mut frames = Frames::new(Framing::Amazon, 1 << 20);
        frames.push(bytes);
        let mut events = Vec::new();
        while let Some(frame) = frames.next_frame().unwrap() {
            let name = frame.event.unwrap_or_default();
            let mut payload: Value = serde_json::from_slice(&frame.payload.unwrap()).unwrap();
            if let Some(inside) = payload["bytes"].as_str() {
                payload = serde_json::from_slice(&STANDARD.decode(inside).unwrap()).unwrap();
            }
            events.push((name, payload));
        }
        assert_eq!(frames.held(), 0, "half a message");
        events
    }
}
