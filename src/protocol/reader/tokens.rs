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
        let tokens = Tokens::of(value);
        let mut text = String::new();
        // Some clients put the text together from the bytes, because a character may be several tokens.
        let spelled = String::from_utf8_lossy(&tokens.bytes);
        let spelled = (spelled != tokens.joined).then_some(&*spelled);
        for said in [&*tokens.joined].into_iter().chain(spelled) {
            if !said.trim().is_empty() && !self.is_beside(value, said, origin.choice) {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(said);
            }
        }
        text.push_str(&tokens.others);
        if text.is_empty() {
            return self.claim_all(value);
        }
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
            Delta::Text(piece) if piece.text_key.choice == choice => Some(piece.place),
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

/// Tokens of a text, put together.
#[derive(Default)]
struct Tokens {
    joined: String,
    /// Long alternatives and names beside them, each on a line.
    others: String,
    /// The bytes that they say they are.
    bytes: Vec<u8>,
}

impl Tokens {
    fn of(value: Value<'_>) -> Tokens {
        let mut tokens = Tokens::default();
        let (mut is_alternative, mut until) = (false, 0);
        let (mut is_bytes, mut bytes_until) = (false, 0);
        for node in value.descendants() {
            let place = node.value.place().node;
            if node.value.kind() != json::ValueKind::String {
                // Behind the name of alternatives stands all of them.
                if is_alternative {
                    until = until.max(node.value.end_node());
                }
                if is_bytes {
                    bytes_until = node.value.end_node();
                } else if place < bytes_until && place >= until {
                    let byte = node.value.as_u64().and_then(|byte| u8::try_from(byte).ok());
                    tokens.bytes.extend(byte);
                }
                (is_alternative, is_bytes) = (false, false);
                continue;
            }
            let Some(text) = node.value.text() else {
                continue;
            };
            is_alternative = node.is_key && text.starts_with("top");
            is_bytes = node.is_key && text == "bytes";
            if !node.is_key && place >= until {
                tokens.joined.push_str(&text);
            } else if text.len() > LONG {
                tokens.others.push('\n');
                tokens.others.push_str(&text);
            }
        }
        tokens
    }
}
