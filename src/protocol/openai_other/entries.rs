//! Streamed responses of Mistral's conversations. Each event adds to an entry: a message, a call of the client's
//! function, or a tool that Mistral runs. No event repeats another.
//!
//! ```text
//! {"type":"conversation.response.started","conversation_id":"conv_1","created_at":"2026-01-01T00:00:00Z"}
//! {"type":"message.output.delta","id":"msg_1","output_index":0,"content_index":0,"content":"Rain","role":"assistant"}
//! {"type":"function.call.delta","id":"fc_1","tool_call_id":"call_1","output_index":1,"name":"weather","arguments":"{\"city\""}
//! {"type":"conversation.response.done","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}
//! ```
//!
//! Source: Mistral's published SDK types.

use crate::diag::codes;
use crate::event::Part;
use crate::protocol::json_edit::{self, ObjectWriter};
use crate::protocol::openai_shapes::{ANSWER, beside, content_part};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::stream::{
    CallDelta, CallKey, Delta, EvaluatedCall, HeldFrames, KeepAlive, MAX_TEXTS, OrderingGroups,
    SnapshotTexts, StreamReader, SyntheticFrame, TextKey, Update, too_many,
};
use crate::protocol::{CannotRemove, Denial};
use crate::wire::json::{Value, ValueKind};
use crate::wire::span::{index, offset};

const EVENT: &[Row] = &[
    ("type", Type::Read(|reader, value| reader.claim(value))),
    ("object", Type::Id),
    ("id", Type::Id),
    ("tool_call_id", Type::Id),
    ("conversation_id", Type::Id),
    ("output_index", Type::Number),
    ("content_index", Type::Number),
    ("created_at", Type::Id),
    ("completed_at", Type::Id),
    ("agent_id", Type::Id),
    ("previous_agent_id", Type::Id),
    ("previous_agent_name", Type::Text(Part::Other)),
    ("next_agent_id", Type::Id),
    ("next_agent_name", Type::Text(Part::Other)),
    ("role", Type::Id),
    ("confirmation_status", Type::Id),
    ("function", Type::Text(Part::Other)),
    ("content", Type::Custom),
    ("name", Type::Read(|reader, value| reader.claim(value))),
    ("arguments", Type::Read(|reader, value| reader.claim(value))),
    ("info", Type::Tree(Part::Other)),
];

/// Entry so far.
#[derive(Debug)]
struct StreamedEntry {
    /// Names of the entry in events: its id, the id of its call, its number. Clients use any of them.
    names: [Box<[u8]>; 3],
    /// Tool of a call.
    tool: Option<Box<str>>,
    is_call: bool,
    has_ended: bool,
}

/// Streamed response of a conversation.
#[derive(Debug, Default)]
pub(super) struct EntryStream {
    entries: Vec<StreamedEntry>,
    texts: SnapshotTexts,
}

impl EntryStream {
    /// Returns the number of the entry of an event, and whether the entry is new.
    fn entry(&mut self, reader: &mut Reader<'static>, event: Value<'_>) -> Option<(usize, bool)> {
        let names = ["id", "tool_call_id", "output_index"].map(|name| -> Box<[u8]> {
            let name = event.get(name).filter(|name| !name.is_null());
            name.map_or_else(Box::default, |name| name.raw().into())
        });
        let known = self.entries.iter().position(|entry| entry.names == names);
        if let Some(known) = known {
            return Some((known, false));
        }
        let is_another = self.entries.iter().any(|entry| {
            let mut pairs = entry.names.iter().zip(&names);
            pairs.any(|(known, name)| known == name && !name.is_empty())
        });
        if is_another {
            let what = "an entry with a name of another one";
            reader.problem(codes::AG2014, event, what);
        }
        if self.entries.len() >= MAX_TEXTS {
            too_many(reader);
            return None;
        }
        self.entries.push(StreamedEntry {
            names,
            tool: None,
            is_call: false,
            has_ended: false,
        });
        Some((self.entries.len().saturating_sub(1), true))
    }

    fn call(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        (number, is_new): (usize, bool),
        kind: &str,
    ) {
        let provider_run = kind != "function.call.delta";
        let Some(entry) = self.entries.get_mut(number) else {
            return;
        };
        let element = event.place();
        let key = key(number);
        let add = |reader: &mut Reader<'static>, what| reader.call_piece(element, key, what);
        if is_new {
            entry.is_call = true;
            add(reader, CallDelta::Begin { provider_run });
        } else if !entry.is_call || entry.has_ended {
            let what = "a call in an entry that is none";
            reader.problem(codes::AG2014, event, what);
        }
        // Each piece repeats the name.
        if let Some(value) = event.get("name").filter(|name| !name.is_null()) {
            let name = reader.name(value);
            match (&entry.tool, name) {
                (None, Some(name)) => {
                    entry.tool = Some(name.into());
                    add(reader, CallDelta::Name(value.place()));
                }
                (Some(known), Some(name)) if **known == *name => {}
                _ => {
                    let what = "a call of two tools";
                    reader.problem(codes::AG2014, value, what);
                }
            }
        }
        if let Some(value) = event.get("arguments").filter(|given| !given.is_null()) {
            reader.claim(value);
            if value.kind() == ValueKind::String {
                add(reader, CallDelta::Arguments(value.place()));
            } else {
                let what = "arguments that are no piece of a text".to_owned();
                reader.problem(codes::AG2014, value, &what);
            }
        }
        if kind == "tool.execution.done" && !entry.has_ended {
            entry.has_ended = true;
            reader.piece(Delta::CallsEnd(vec![key]));
        }
    }

    fn end(&mut self, reader: &mut Reader<'static>) {
        self.texts.end(reader, &|_| true);
        let mut ended = Vec::new();
        for (number, entry) in self.entries.iter_mut().enumerate() {
            if entry.is_call && !std::mem::replace(&mut entry.has_ended, true) {
                ended.push(key(number));
            }
        }
        reader.piece(Delta::CallsEnd(ended));
        reader.frame.last = true;
    }
}

fn key(number: usize) -> CallKey {
    CallKey::block(offset(number))
}

/// Returns an entry with a text that the filter adds; `number` is JSON, or empty.
fn message(text: &str, entry: u32, number: &[u8]) -> SyntheticFrame {
    const DELTA: &str = "message.output.delta";
    let mut out = Vec::new();
    let mut event = ObjectWriter::begin(&mut out);
    event.text("type", DELTA);
    event.text("id", &format!("agentguard-{entry}"));
    if !number.is_empty() {
        event.member("output_index", |out| out.extend_from_slice(number));
    }
    event.text("role", "assistant");
    event.text("content", text);
    event.end();
    SyntheticFrame::new(Some(DELTA), out)
}

impl StreamReader for EntryStream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, event: Option<&str>) {
        reader.frame.lanes = OrderingGroups::ALL;
        let kind = reader.event_type(event);
        let is_call = kind == "function.call.delta" || kind.starts_with("tool.execution.");
        let entry = match is_call || kind == "message.output.delta" {
            true => self.entry(reader, root),
            false => None,
        };
        let number = entry.map_or(0, |(number, _)| offset(number));
        let at = json_edit::number(root, "content_index").unwrap_or(0);
        let tables = [EVENT, ANSWER];
        reader.row_lists(root, &tables, &beside(), &mut |reader, _, content| {
            if content.is_null() {
                reader.claim(content);
                return;
            }
            let first = reader.frame.pieces.len();
            content_part(reader, content, &Origin::piece(0), false);
            self.texts
                .assign_all(reader, first, [number, at, 0], Update::Delta);
        });
        match entry {
            Some(entry) if is_call => self.call(reader, root, entry, &kind),
            _ => {}
        }
        match &*kind {
            "conversation.response.done" => self.end(reader),
            "conversation.response.error" => {
                reader.reading.error = Some("error".into());
                self.end(reader);
            }
            _ => {}
        }
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        match self.texts.path(text_key) {
            Some([entry, at, _]) => format!("#outputs/{entry}/content/{at}"),
            None => String::new(),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#outputs/{}", index(key.item))
    }

    /// Replaces a call by a message.
    fn remove_calls(
        &mut self,
        calls: &[EvaluatedCall],
        _: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        for call in calls {
            let Some(text) = &call.denied else { continue };
            let number = self.entries.get(index(call.key.item));
            let number = number.map_or(&[][..], |entry| &*entry.names[2]);
            let mut message = Some(message(text, call.key.item, number));
            for (frame, _) in &call.pieces {
                let frame = frames.get(*frame).ok_or(CannotRemove)?;
                frame.dropped = true;
                frame.before.extend(message.take());
            }
        }
        Ok(())
    }

    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        const ERROR: &str = "conversation.response.error";
        let mut out = Vec::new();
        let mut event = ObjectWriter::begin(&mut out);
        event.text("type", ERROR);
        event.text("message", &denial.message());
        event.number("code", u64::from(denial.status));
        event.end();
        vec![SyntheticFrame::new(Some(ERROR), out)]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
