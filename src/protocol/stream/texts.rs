//! Texts that are told in deltas, and then again as a whole. A copy that says what the deltas said is part of the same
//! text: evaluated once, and edited alike wherever it stands.

use super::{ChangesByText, Delta, TextChanges, TextDelta, TextKey};
use crate::diag::codes;
use crate::event::{Direction, Event, Kind, Part, Problem};
use crate::protocol::Reader;
use crate::wire::span::{index, offset};
use sha2::{Digest, Sha256};

/// Most texts of a response. None has as many; each costs memory.
pub const MAX_TEXTS: usize = 4_096;

/// Where a text stands in its response, in numbers of the protocol's own.
pub type TextPath = [u32; 3];

/// A text so far, without the text: enough to tell whether a copy of it says the same. Answers repeat long texts, and to
/// keep each of them costs memory.
#[derive(Clone, Debug, Default)]
pub struct TextPrefixHash {
    length: usize,
    digest: Sha256,
}

impl TextPrefixHash {
    /// Adds what goes on.
    pub fn push(&mut self, text: &str) {
        self.length = self.length.saturating_add(text.len());
        self.digest.update(text);
    }

    /// Bytes so far.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether a copy begins with all that came so far.
    pub fn begins(&self, copy: &str) -> bool {
        copy.get(..self.length)
            .is_some_and(|same| Sha256::digest(same) == self.digest.clone().finalize())
    }
}

#[derive(Debug)]
struct SnapshotText {
    choice: u32,
    spot: TextPath,
    part: Part,
    so_far: TextPrefixHash,
    has_ended: bool,
}

/// All texts of a response. The item of their channels is their number here.
#[derive(Debug, Default)]
pub struct SnapshotTexts {
    list: Vec<SnapshotText>,
}

/// How a text is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// What goes on.
    Delta,
    /// All of it so far, perhaps with more.
    Whole,
}

impl SnapshotTexts {
    /// Finds out of which text the pieces since `first` are pieces, and what of them repeats what came before. They were
    /// read with an origin that says so of them.
    pub fn told(
        &mut self,
        reader: &mut Reader<'static>,
        first: usize,
        spot: TextPath,
        how: Update,
    ) {
        let pieces = reader.frame.pieces.split_off(first);
        for piece in pieces {
            match piece {
                Delta::Text(piece) => self.piece(reader, piece, spot, how),
                other => reader.piece(other),
            }
        }
    }

    /// The same for one piece.
    pub fn piece(
        &mut self,
        reader: &mut Reader<'static>,
        piece: TextDelta,
        spot: TextPath,
        how: Update,
    ) {
        let value = reader.json.value(piece.place);
        let Some(said) = value.and_then(|value| value.text()) else {
            return;
        };
        let (part, choice) = (piece.channel.part, piece.channel.choice);
        if said.is_empty() && how == Update::Whole {
            return;
        }
        let known = self
            .list
            .iter()
            .rposition(|text| text.spot == spot && text.part == part);
        let has_ended = known
            .and_then(|known| self.list.get(known))
            .is_some_and(|text| text.has_ended);
        if how == Update::Delta && has_ended && !said.is_empty() {
            // Clients go on with the text, all of which has left.
            let what = "a text that goes on after its end".to_owned();
            drop(said);
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
                spot,
                part,
                so_far: TextPrefixHash::default(),
                has_ended: false,
            });
        }
        let Some(text) = self.list.get_mut(number) else {
            drop(said);
            too_many(reader);
            return;
        };
        let repeats = match how {
            Update::Delta => Some(0),
            Update::Whole => text.so_far.begins(&said).then_some(text.so_far.length()),
        };
        match repeats {
            Some(repeats) if !text.has_ended || (repeats == said.len() && repeats > 0) => {
                text.so_far.push(said.get(repeats..).unwrap_or_default());
                drop(said);
                let channel = TextKey {
                    choice,
                    part,
                    item: offset(number),
                };
                reader.piece(Delta::Text(TextDelta {
                    channel,
                    repeats,
                    ..piece
                }));
            }
            // It says something else: evaluated on its own.
            _ => {
                drop(said);
                alone(reader, &piece);
            }
        }
    }

    /// These texts have ended.
    pub fn end(&mut self, reader: &mut Reader<'static>, which: &dyn Fn(TextPath) -> bool) {
        for (number, text) in self.list.iter_mut().enumerate() {
            if !text.has_ended && which(text.spot) {
                text.has_ended = true;
                reader.piece(Delta::TextEnd(TextKey {
                    choice: text.choice,
                    part: text.part,
                    item: offset(number),
                }));
            }
        }
    }

    /// Where a text stands.
    pub fn spot(&self, channel: &TextKey) -> Option<TextPath> {
        Some(self.list.get(index(channel.item))?.spot)
    }

    /// What was changed so far in the response's text at a place.
    pub fn changes_at<'c>(
        &self,
        spot: TextPath,
        changes: &'c ChangesByText,
    ) -> Option<&'c TextChanges> {
        let is_it = |text: &SnapshotText| text.spot == spot && text.part == Part::Text;
        let number = self.list.iter().rposition(is_it)?;
        changes.get(&TextKey {
            choice: self.list.get(number)?.choice,
            part: Part::Text,
            item: offset(number),
        })
    }
}

/// A text that no other text repeats or goes on with.
fn alone(reader: &mut Reader<'static>, piece: &TextDelta) {
    let texts = &reader.reading.texts;
    let Some(number) = texts.iter().rposition(|text| text.place == piece.place) else {
        return;
    };
    let mut event = Event::new(Kind::Response, Direction::Response, piece.place);
    event.part = piece.channel.part;
    event.choice = piece.channel.choice;
    event.texts = offset(number)..offset(number).saturating_add(1);
    event.retold = true;
    reader.reading.add(event);
}

/// Notes that a response has more texts or calls than any has.
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
        // Its length is inside a character of the other.
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
