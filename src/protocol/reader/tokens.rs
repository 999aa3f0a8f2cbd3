//! A text once more, token by token, with probabilities.
//!
//! ```text
//! {"content":[{"token":"Ra","logprob":-0.1,"bytes":[82,97],"top_logprobs":[{"token":"Sn","logprob":-2.3}]},…]}
//! {"tokens":["Ra","in"],"token_logprobs":[-0.1,-0.2],"top_logprobs":[{"Sn":-2.3},{"ow":-1.9}]}
//! ```

use super::{Origin, Reader};
use crate::event::Class;
use crate::protocol::stream::{Delta, TOKENS};
use crate::wire::json::{self, Value};
use crate::wire::span::index;

/// Minimum bytes of an alternative, or of a name, that is evaluated. No vocabulary has tokens so long that mean anything, and the
/// names of members are shorter.
const LONG: usize = 24;

/// Texts before the tokens of which one may be the same text: content, refusal, reasoning.
const BEFORE: usize = 4;

impl Reader<'_> {
    /// Reads the tokens of a text that stands beside them. Tokens of another text (reasoning that the server left out, a word at
    /// which it stopped) are a text of their own, in which an edit removes them all.
    #[inline(never)]
    pub(super) fn tokens(&mut self, value: Value<'_>, origin: &Origin) {
        let (joined, others) = joined(value);
        let is_known = joined.trim().is_empty() || self.is_beside(value, &joined, origin.choice);
        let text = match (is_known, others.is_empty()) {
            (true, true) => return self.claim_all(value),
            (true, false) => others,
            (false, _) => joined + &others,
        };
        // What has no document of its own stays unclaimed: each token is a text.
        let Ok(doc) = self.json.copied(value, &text) else {
            return;
        };
        self.claim_all(value);
        let texts = self.register_text(doc.root(), Class::Text);
        let first = self.frame.pieces.len();
        let mut origin = origin.clone();
        if self.is_frame {
            origin.piece_of = Some(TOKENS);
        }
        self.emit_duplicate(value, texts, &origin);
        for piece in self.frame.pieces.iter_mut().skip(first) {
            if let Delta::Text(piece) = piece {
                piece.is_duplicate = true;
            }
        }
    }

    /// Whether one of the last texts of the same choice is the same text: its edits remove the tokens as well.
    fn is_beside(&self, value: Value<'_>, tokens: &str, choice: u32) -> bool {
        let texts = &self.reading.texts;
        let events = self.reading.events.iter().rev().take(BEFORE);
        let of_events = events
            .filter(|event| event.choice == choice)
            .filter_map(|event| Some(texts.get(index(event.texts.start))?.place));
        let pieces = self.frame.pieces.iter().rev().take(BEFORE);
        let of_pieces = pieces.filter_map(|piece| match piece {
            Delta::Text(piece) if piece.channel.choice == choice => Some(piece.place),
            _ => None,
        });
        let tokens = tokens.trim();
        let mut beside = of_events.chain(of_pieces);
        beside.any(|place| {
            if place.doc != value.place().doc {
                return false;
            }
            let other = value.doc().value(place.node);
            // A text is decoded if it can be as long.
            let length = other.raw_content().len();
            length >= tokens.len()
                && length / 8 <= tokens.len()
                && other.text().is_some_and(|text| text.trim() == tokens)
        })
    }
}

/// Joins the tokens of a text; and the long alternatives and names beside them, each on a line.
fn joined(value: Value<'_>) -> (String, String) {
    let (mut joined, mut others) = (String::new(), String::new());
    let (mut is_alternative, mut until) = (false, 0);
    for node in value.descendants() {
        let place = node.value.place().node;
        if node.value.kind() != json::ValueKind::String {
            // Behind the name of alternatives stands all of them.
            if is_alternative {
                until = until.max(node.value.end_node());
            }
            is_alternative = false;
            continue;
        }
        let Some(text) = node.value.text() else {
            continue;
        };
        is_alternative = node.is_key && text.starts_with("top");
        if !node.is_key && place >= until {
            joined.push_str(&text);
        } else if text.len() > LONG {
            others.push('\n');
            others.push_str(&text);
        }
    }
    (joined, others)
}
