//! Texts that arrive in deltas, and then again as a whole. A copy that equals the deltas is part of the same text: it
//! is evaluated once, and edited alike at every position.

use super::{ChangesByText, Delta, TextChanges, TextDelta, TextKey};
use crate::diag::codes;
use crate::event::{Direction, Event, Kind, Part, Problem};
use crate::protocol::Reader;
use crate::wire::span::{index, offset};
use crate::wire::work;
use sha2::{Digest, Sha256};

/// Maximum texts of a response. Real responses have fewer; each text costs memory.
pub const MAX_TEXTS: usize = 4_096;

/// Position of a text in its response, in the protocol's own numbers.
pub type TextPath = [u32; 3];

/// Length and digest of a text so far, without the text. They show whether a copy is the same. Responses repeat long
/// texts, and keeping each of them costs memory.
#[derive(Clone, Debug, Default)]
pub struct TextPrefixHash {
    length: usize,
    digest: Sha256,
}

impl TextPrefixHash {
    /// Appends a piece.
    pub fn push(&mut self, text: &str) {
        self.length = self.length.saturating_add(text.len());
        self.digest.update(text);
    }

    /// Returns the bytes so far.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Returns whether a copy begins with the whole text so far.
    pub fn begins(&self, copy: &str) -> bool {
        copy.get(..self.length)
            .is_some_and(|same| Sha256::digest(same) == self.digest.clone().finalize())
    }
}

#[derive(Debug)]
struct SnapshotText {
    choice: u32,
    path: TextPath,
    part: Part,
    so_far: TextPrefixHash,
    has_ended: bool,
}

/// Texts of a response. The `item` of a text's key is its index here.
#[derive(Debug, Default)]
pub struct SnapshotTexts {
    list: Vec<SnapshotText>,
}

/// Update of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// The next piece.
    Delta,
    /// All of the text so far, possibly with more.
    Whole,
}

impl SnapshotTexts {
    /// Assigns the pieces since `first` to their texts, and determines the bytes that repeat earlier ones. Their
    /// origin marks them as pieces.
    pub fn assign(
        &mut self,
        reader: &mut Reader<'static>,
        first: usize,
        text_of: &mut dyn FnMut(&TextDelta) -> (TextPath, Update),
    ) {
        for piece in reader.frame.pieces.split_off(first) {
            match piece {
                Delta::Text(piece) => {
                    let (path, update) = text_of(&piece);
                    self.piece(reader, piece, path, update);
                }
                other => reader.piece(other),
            }
        }
    }

    /// Assigns the pieces since `first` to one text in the same way.
    pub fn assign_all(
        &mut self,
        reader: &mut Reader<'static>,
        first: usize,
        path: TextPath,
        update: Update,
    ) {
        self.assign(reader, first, &mut |_| (path, update));
    }

    /// Assigns one piece to its text in the same way.
    pub fn piece(
        &mut self,
        reader: &mut Reader<'static>,
        piece: TextDelta,
        path: TextPath,
        update: Update,
    ) {
        let value = reader.json.value(piece.place);
        let Some(content) = value.and_then(|value| value.text()) else {
            return;
        };
        let (part, choice) = (piece.text_key.part, piece.text_key.choice);
        if content.is_empty() && update == Update::Whole {
            return;
        }
        work::spend(self.list.len());
        let known = self
            .list
            .iter()
            .rposition(|text| text.path == path && text.part == part);
        let has_ended = known
            .and_then(|known| self.list.get(known))
            .is_some_and(|text| text.has_ended);
        if update == Update::Delta && has_ended && !content.is_empty() {
            // Clients continue the text, which was forwarded completely.
            let what = "a text that goes on after its end".to_owned();
            drop(content);
            if let Some(value) = value {
                reader.reading.problems.push(Problem {
                    code: codes::AG2014,
                    at: reader.json.pointer(value.place()),
                    what,
                });
            }
            return;
        }
        let number = known.unwrap_or(self.list.len());
        if known.is_none() && number < MAX_TEXTS {
            self.list.push(SnapshotText {
                choice,
                path,
                part,
                so_far: TextPrefixHash::default(),
                has_ended: false,
            });
        }
        let Some(text) = self.list.get_mut(number) else {
            drop(content);
            too_many(reader);
            return;
        };
        let repeats = match update {
            Update::Delta => Some(0),
            Update::Whole => text.so_far.begins(&content).then_some(text.so_far.length()),
        };
        match repeats {
            Some(repeats) if !text.has_ended || (repeats == content.len() && repeats > 0) => {
                text.so_far.push(content.get(repeats..).unwrap_or_default());
                drop(content);
                let text_key = TextKey {
                    choice,
                    part,
                    item: offset(number),
                };
                reader.piece(Delta::Text(TextDelta {
                    text_key,
                    repeats,
                    ..piece
                }));
            }
            // The copy is different: it is evaluated on its own.
            _ => {
                drop(content);
                alone(reader, &piece);
            }
        }
    }

    /// Ends these texts.
    pub fn end(&mut self, reader: &mut Reader<'static>, which: &dyn Fn(TextPath) -> bool) {
        for (number, text) in self.list.iter_mut().enumerate() {
            if !text.has_ended && which(text.path) {
                text.has_ended = true;
                reader.piece(Delta::TextEnd(TextKey {
                    choice: text.choice,
                    part: text.part,
                    item: offset(number),
                }));
            }
        }
    }

    /// Returns the position of a text.
    pub fn path(&self, text_key: &TextKey) -> Option<TextPath> {
        Some(self.list.get(index(text_key.item))?.path)
    }

    /// Returns the changes so far in the response's text at a position.
    pub fn changes_at<'c>(
        &self,
        path: TextPath,
        changes: &'c ChangesByText,
    ) -> Option<&'c TextChanges> {
        let is_it = |text: &SnapshotText| text.path == path && text.part == Part::Text;
        let number = self.list.iter().rposition(is_it)?;
        changes.get(&TextKey {
            choice: self.list.get(number)?.choice,
            part: Part::Text,
            item: offset(number),
        })
    }
}

/// Makes a piece a text of its own, which no other piece repeats or continues.
fn alone(reader: &mut Reader<'static>, piece: &TextDelta) {
    let texts = &reader.reading.texts;
    let Some(number) = texts.iter().rposition(|text| text.place == piece.place) else {
        return;
    };
    let mut event = Event::new(Kind::Response, Direction::Response, piece.place);
    event.part = piece.text_key.part;
    event.choice = piece.text_key.choice;
    event.texts = offset(number)..offset(number).saturating_add(1);
    event.is_duplicate = true;
    reader.reading.add(event);
}

/// Reports a response with more texts or calls than the maximum.
pub fn too_many(reader: &mut Reader<'static>) {
    if let Some(body) = reader.body() {
        let what = "more texts and calls than an answer has";
        reader.problem(codes::AG2014, body.root(), what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_copy_begins_with_what_came_or_does_not() {
        let mut so_far = TextPrefixHash::default();
        assert!(so_far.begins("") && so_far.begins("anything"));
        so_far.push("gr");
        so_far.push("ün");
        assert_eq!(so_far.length(), 5);
        assert!(so_far.begins("grün") && so_far.begins("grünlich"));
        assert!(!so_far.begins("gr") && !so_far.begins("groß") && !so_far.begins("Grün"));
        // The length is inside a character of the copy.
        assert!(!so_far.begins("abcdü"));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_text_is_cut(parts in prop::collection::vec("\\PC{0,40}", 0..8), more in "\\PC{0,9}") {
            let mut so_far = TextPrefixHash::default();
            for part in &parts {
                so_far.push(part);
            }
            let whole = parts.concat();
            let longer = whole.clone() + &more;
            prop_assert!(so_far.begins(&whole));
            prop_assert!(so_far.begins(&longer));
            let mut other = TextPrefixHash::default();
            other.push(&longer);
            prop_assert_eq!(other.begins(&whole), more.is_empty());
        }
    }
}
