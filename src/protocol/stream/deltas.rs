//! Pieces that the readers of several streams share.

use super::{Delta, TextDelta, TextKey};
use crate::event::{Class, Part};
use crate::protocol::reader::{Origin, Reader, Row};
use crate::wire::json::{self, Value};
use crate::wire::span::offset;

/// What reading a frame finds that correcting it needs again: the JSON need not be searched a second time, and where the
/// framing names the event, the payload does not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameMark {
    /// What the frame is.
    pub event: FrameEvent,
    /// Number of its block; in the beginning of a response, how many blocks stand in that.
    pub block: Option<u32>,
    /// The text in it is empty.
    pub is_blank: bool,
}

/// What a frame is in a response of numbered blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameEvent {
    /// Nothing that matters for what may follow.
    #[default]
    Other,
    /// The response begins.
    Begin,
    /// A block begins.
    BlockStart,
    /// A block goes on.
    BlockDelta,
    /// A block ends.
    BlockStop,
    /// Why the response ended.
    End,
}

/// A text of a choice that goes on until another kind of text begins.
#[derive(Debug, Default)]
pub struct TextRun {
    /// What goes on.
    part: Option<Part>,
    /// Which text it is, or the next one will be.
    number: u32,
}

impl TextRun {
    /// The text that goes on.
    pub fn key(&self, choice: u32) -> Option<TextKey> {
        let item = self.number;
        let part = self.part?;
        Some(TextKey { choice, part, item })
    }

    /// Goes on with a part; gives which text that is. Another part before it has ended.
    pub fn go_on(&mut self, part: Part, choice: u32, pieces: &mut Vec<Delta>) -> u32 {
        if self.part != Some(part) {
            self.end(choice, pieces);
            self.part = Some(part);
        }
        self.number
    }

    /// Nothing goes on with the text so far.
    pub fn end(&mut self, choice: u32, pieces: &mut Vec<Delta>) {
        if let Some(key) = self.key(choice) {
            pieces.push(Delta::TextEnd(key));
            self.part = None;
            self.number = self.number.saturating_add(1);
        }
    }
}

/// Texts under names that nobody knows.
#[derive(Debug, Default)]
pub struct UnknownTexts {
    names: Vec<Box<str>>,
}

impl UnknownTexts {
    /// Above the numbers of all texts that have a place in a table.
    const FIRST: u32 = 1_000_000;
    /// More of them are no text that goes on.
    const MAX: usize = 64;

    /// Reads the strings of an object that its tables do not know.
    pub(in crate::protocol) fn read(
        &mut self,
        reader: &mut Reader<'static>,
        object: Value<'_>,
        tables: &[&[Row]],
        choice: u32,
    ) {
        reader.unknown_texts(object, &mut |name| {
            let mut known = tables.iter().copied().flatten();
            if known.any(|(known, _)| *known == name) {
                return None;
            }
            Some(TextKey {
                choice,
                part: Part::Other,
                item: self.item(name)?,
            })
        });
    }

    /// Number of the text under a name.
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
    /// A text of the only response that goes on in other frames: which of several texts of its part.
    pub fn piece(number: u32) -> Origin {
        Origin {
            piece_of: Some(number),
            ..Origin::answer(0)
        }
    }
}

impl Reader<'static> {
    /// Reads the strings of a delta that its table does not know: who says a text under a name of its own says it in pieces,
    /// too. `text` gives the text that a member goes on with, by the member's name.
    pub fn unknown_texts(
        &mut self,
        delta: Value<'_>,
        text: &mut dyn FnMut(&str) -> Option<TextKey>,
    ) {
        for (key, value) in delta.members() {
            if value.kind() != json::ValueKind::String || self.is_claimed_value(value) {
                continue;
            }
            let Some(channel) = key.text().and_then(|name| text(&name)) else {
                continue;
            };
            self.claim(value);
            let piece = TextDelta::new(channel, value.place(), Class::Unknown);
            self.piece(Delta::Text(piece));
        }
    }
}
