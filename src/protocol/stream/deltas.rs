//! Pieces that the readers of several streams share.

use super::{CallDelta, CallKey, Delta, TextDelta, TextKey};
use crate::event::{Class, Part};
use crate::protocol::reader::{Origin, Reader, Row};
use crate::wire::json::{self, NodeId, Value};
use crate::wire::span::offset;

/// Data from reading a frame that its correction needs again. The JSON need not be searched a second time, and where
/// the framing names the event, the payload does not contain it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameMark {
    /// Event in the frame.
    pub event: FrameEvent,
    /// Number of its block; at the beginning of a response, the number of blocks in it.
    pub block: Option<u32>,
    /// Whether its text is empty.
    pub is_blank: bool,
}

/// Event of a response in numbered blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameEvent {
    /// Event without effect on what may follow.
    #[default]
    Other,
    /// Beginning of the response.
    Begin,
    /// Beginning of a block.
    BlockStart,
    /// Continuation of a block.
    BlockDelta,
    /// End of a block.
    BlockStop,
    /// Finish reason of the response.
    End,
}

/// Text of a choice that continues until another part begins.
#[derive(Debug, Default)]
pub struct TextRun {
    /// Part of the text.
    part: Option<Part>,
    /// Number of the text, or of the next one.
    number: u32,
}

impl TextRun {
    /// Returns the key of the current text.
    pub fn key(&self, choice: u32) -> Option<TextKey> {
        let item = self.number;
        let part = self.part?;
        Some(TextKey { choice, part, item })
    }

    /// Continues with a part and returns the number of the text. The text of another part ends.
    pub fn go_on(&mut self, part: Part, choice: u32, pieces: &mut Vec<Delta>) -> u32 {
        if self.part != Some(part) {
            self.end(choice, pieces);
            self.part = Some(part);
        }
        self.number
    }

    /// Ends the current text.
    pub fn end(&mut self, choice: u32, pieces: &mut Vec<Delta>) {
        if let Some(key) = self.key(choice) {
            pieces.push(Delta::TextEnd(key));
            self.part = None;
            self.number = self.number.saturating_add(1);
        }
    }
}

/// Texts in unknown members.
#[derive(Debug, Default)]
pub struct UnknownTexts {
    names: Vec<Box<str>>,
}

impl UnknownTexts {
    /// First number, above the numbers of all texts in a table.
    const FIRST: u32 = 1_000_000;
    /// Maximum unknown members whose texts are continued, and bytes of the place of one.
    const MAX: usize = 64;
    const LONGEST: usize = 256;

    /// Reads the strings of an object that its tables do not contain, and those that nothing has read inside of its members.
    /// Strings at the same place in several frames are one text, as OpenAI's libraries join them.
    pub(in crate::protocol) fn read(
        &mut self,
        reader: &mut Reader<'static>,
        object: Value<'_>,
        tables: &[&[Row]],
        choice: u32,
    ) {
        let mut place = String::new();
        for (key, value) in object.members() {
            let Some(name) = key.text() else { continue };
            let mut known = tables.iter().copied().flatten();
            let is_text = value.kind() == json::ValueKind::String;
            if !(is_text && known.any(|(known, _)| *known == name)) {
                self.read_at(reader, value, &name, &mut place, choice);
            }
        }
    }

    /// Reads a value; `holder` is the place of what holds it, by this name.
    fn read_at(
        &mut self,
        reader: &mut Reader<'static>,
        value: Value<'_>,
        name: &str,
        holder: &mut String,
        choice: u32,
    ) {
        let is_text = value.kind() == json::ValueKind::String;
        let may_hold_text = match value.kind() {
            json::ValueKind::String => !reader.is_claimed_value(value),
            kind => matches!(kind, json::ValueKind::Object | json::ValueKind::Array),
        };
        let length = holder.len();
        if !may_hold_text || length.saturating_add(name.len()) >= UnknownTexts::LONGEST {
            return;
        }
        holder.push_str(name);
        if is_text && let Some(item) = self.item(holder) {
            let part = Part::Other;
            let text_key = TextKey { choice, part, item };
            if length == 0 {
                reader.claim(value);
                reader.piece(Delta::Text(TextDelta {
                    is_named: true,
                    ..TextDelta::new(text_key, value.place(), Class::Unknown)
                }));
            } else {
                // Its name says what it is, so that each string is evaluated by itself, too.
                let piece = TextDelta::joined(text_key, value.place(), Class::Unknown);
                reader.piece(Delta::Text(piece));
                reader.piece(Delta::TextRest(text_key));
            }
        }
        holder.push('/');
        for (key, member) in value.members() {
            let name = key.text().unwrap_or_default();
            self.read_at(reader, member, &name, holder, choice);
        }
        for (at, element) in (0u64..).zip(value.elements()) {
            if element.kind() == json::ValueKind::String {
                // A list of texts grows, and none of them goes on.
                continue;
            }
            let index = element.get("index").and_then(|index| index.as_u64());
            let name = index.unwrap_or(at).to_string();
            self.read_at(reader, element, &name, holder, choice);
        }
        holder.truncate(length);
    }

    /// Returns the number of the text at this place.
    fn item(&mut self, name: &str) -> Option<u32> {
        let known = self.names.iter().position(|known| **known == *name);
        let at = known.unwrap_or(self.names.len());
        if at >= UnknownTexts::MAX {
            return None;
        }
        if known.is_none() {
            self.names.push(name.into());
        }
        Some(UnknownTexts::FIRST.saturating_add(offset(at)))
    }
}

impl Origin {
    /// Returns the origin of a text of the only response that continues in other frames, with its number.
    pub fn piece(number: u32) -> Origin {
        Origin::piece_in(0, number)
    }

    /// Returns the origin of a text of a choice that continues in other frames, with its number.
    pub fn piece_in(choice: u32, number: u32) -> Origin {
        Origin {
            piece_of: Some(number),
            ..Origin::answer(choice)
        }
    }
}

impl Reader<'static> {
    /// Adds a piece of a call; `element` is the value of the frame that contains this call and nothing else.
    #[inline(never)]
    pub fn call_piece(&mut self, element: NodeId, key: CallKey, what: CallDelta) {
        self.piece(Delta::Call { key, element, what });
    }

    /// Reads the strings of a delta that its table does not contain: a server with its own name for a text sends that
    /// text in pieces, too. `text` returns the key of the text that a member continues, by the name of the member.
    pub fn unknown_texts(
        &mut self,
        delta: Value<'_>,
        text: &mut dyn FnMut(&str) -> Option<TextKey>,
    ) {
        for (key, value) in delta.members() {
            if value.kind() != json::ValueKind::String || self.is_claimed_value(value) {
                continue;
            }
            let Some(text_key) = key.text().and_then(|name| text(&name)) else {
                continue;
            };
            self.claim(value);
            let piece = TextDelta::new(text_key, value.place(), Class::Unknown);
            self.piece(Delta::Text(piece));
        }
    }
}
