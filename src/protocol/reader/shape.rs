//! Shapes: what the members of a known object are, as tables. Most of a format is such tables; code is left for what has
//! a meaning of its own: models, offers, calls, results.

use super::{Names, Origin, Reader, VisitField};
use crate::event::{Direction, Part};
use crate::wire::json::{self, Value};

/// A member of a known object: its key and what stands under it.
pub type Member = (&'static str, Shape);

/// What a value is. `null` always counts as absent. A value of another type is AG2001 in a request, where two readers could
/// disagree about it; in a response it is left to what finds unknown texts.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A word out of a closed list. Another word is evaluated as text.
    Word(&'static [&'static str]),
    /// An identifier, a version, a date: a string or a number that no rule reads.
    Id,
    /// A name that is compared.
    Name,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A number, or `true` or `false`: servers differ.
    Setting,
    /// Numbers, also as names (`logit_bias` is keyed by token).
    Numbers,
    /// Signed, encrypted or otherwise unreadable.
    Opaque,
    /// Bytes of an image, audio or file.
    Media,
    /// An identifier of something that the provider keeps, and that the model reads unseen by us.
    State,
    /// Where something is: media bytes if it is a `data:` URL, otherwise words that may carry something out.
    Url,
    /// One text.
    Text(Part),
    /// Whatever structure, each string in it a text, told as one.
    Tree(Part),
    /// Structure that holds numbers, flags and the provider's own names for them.
    Counts,
    /// An object of these.
    Object(&'static [Member]),
    /// A list of these.
    List(&'static Shape),
    /// Left to the reader's own code.
    Own,
}

/// What reads the members that are [`Shape::Own`]: the key and the value.
pub type OwnMember<'b, 'v, 'f> = &'f mut (dyn VisitField<'b, 'v, &'static str> + 'f);

impl<'b> Reader<'b> {
    /// Reads an object by its tables; what is [`Shape::Own`] goes to `own`. A key in another letter case or with escapes is
    /// AG2002, as in [`object`](Reader::object).
    #[inline(always)]
    pub fn shaped<'v, F: FnMut(&mut Self, &'static str, Value<'v>)>(
        &mut self,
        value: Value<'v>,
        tables: &[&'static [Member]],
        origin: &Origin,
        own: &mut F,
    ) {
        self.shaped_by(value, tables, origin, own);
    }

    #[inline(never)]
    fn shaped_by<'v>(
        &mut self,
        value: Value<'v>,
        tables: &[&'static [Member]],
        origin: &Origin,
        own: OwnMember<'b, 'v, '_>,
    ) {
        if !self.is_kind(value, json::ValueKind::Object, "an object") {
            return;
        }
        let mut read = |reader: &mut Self, at: usize, value: Value<'v>| {
            let mut at_in = at;
            let member = tables.iter().find_map(|table| {
                let member = table.get(at_in);
                at_in = at_in.saturating_sub(table.len());
                member
            });
            let Some((key, shape)) = member else {
                return;
            };
            if origin.piece_of.is_some() {
                reader.by_shape(value, *shape, key, &origin.member(at), own);
            } else {
                reader.by_shape(value, *shape, key, origin, own);
            }
        };
        self.members(value, Names::Shapes(tables), &mut read);
    }

    /// Reads an object that holds nothing but what its table says.
    pub fn plain(&mut self, value: Value<'_>, members: &'static [Member], origin: &Origin) {
        self.shaped(value, &[members], origin, &mut |_, _, _| {});
    }

    /// Reads one member by what its table says of it.
    pub fn by_shape<'v>(
        &mut self,
        value: Value<'v>,
        shape: Shape,
        key: &'static str,
        origin: &Origin,
        own: OwnMember<'b, 'v, '_>,
    ) {
        match shape {
            Shape::Own => own.take(self, key, value),
            _ if value.is_null() => self.claim(value),
            Shape::Word(words) => self.word(value, words),
            Shape::Id => match value.kind() {
                json::ValueKind::String => self.id(value),
                json::ValueKind::Array | json::ValueKind::Object => {
                    self.is_kind(value, json::ValueKind::String, "a string");
                }
                _ => self.claim(value),
            },
            Shape::Name => {
                if self.is_string(value) {
                    self.name(value);
                }
            }
            Shape::Number | Shape::Setting if self.is_form => {
                if self.number(value).is_none() && shape_is_setting(shape) {
                    self.boolean(value);
                }
            }
            Shape::Flag if self.is_form => {
                self.boolean(value);
            }
            Shape::Number => {
                self.is_kind(value, json::ValueKind::Number, "a number");
            }
            Shape::Flag | Shape::Setting => match value.kind() {
                json::ValueKind::Bool(_) => self.claim(value),
                json::ValueKind::Number if shape_is_setting(shape) => self.claim(value),
                _ => {
                    self.is_kind(value, json::ValueKind::Bool(true), "a boolean");
                }
            },
            Shape::Numbers => self.claim_numbers(value),
            Shape::Opaque => {
                if self.is_string(value) {
                    self.opaque(value, "opaque");
                }
            }
            Shape::Media => {
                if self.is_string(value) {
                    self.media(value);
                }
            }
            Shape::State => {
                if self.is_string(value) {
                    self.id(value);
                    self.uninspectable(value, "provider_state");
                }
            }
            Shape::Url => {
                if self.is_string(value) {
                    self.url(value, origin);
                }
            }
            Shape::Text(part) => {
                if self.is_string(value) {
                    self.text(value, &origin.with_part(part));
                }
            }
            Shape::Tree(part) => {
                let texts = self.tree(value);
                self.emit_text(value, texts, &origin.with_part(part).whole());
            }
            Shape::Counts => self.counts(value),
            Shape::Object(members) => self.shaped_by(value, &[members], origin, own),
            Shape::List(shape) => {
                if self.is_kind(value, json::ValueKind::Array, "an array") {
                    for element in value.elements() {
                        self.by_shape(element, *shape, key, origin, own);
                    }
                }
            }
        }
    }

    /// Claims structure that holds no text: numbers and flags under names that the provider gives them. Strings in it
    /// stay unknown.
    pub fn counts(&mut self, value: Value<'_>) {
        for node in value.descendants() {
            if node.is_key || node.value.kind() != json::ValueKind::String {
                self.claim(node.value);
            }
        }
    }

    fn is_string(&mut self, value: Value<'_>) -> bool {
        value.kind() == json::ValueKind::String
            || self.is_kind(value, json::ValueKind::String, "a string")
    }

    /// Claims a value if it has this kind or is `null`; whether it has.
    fn is_kind(&mut self, value: Value<'_>, kind: json::ValueKind, expected: &str) -> bool {
        let fits = value.kind() == kind;
        if fits || value.is_null() {
            self.claim(value);
        } else if self.direction == Direction::Request {
            self.wrong_type(value, expected);
        }
        fits
    }
}

fn shape_is_setting(shape: Shape) -> bool {
    matches!(shape, Shape::Setting)
}
