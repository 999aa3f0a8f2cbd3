//! Objects that a table describes: which members there are, and what each of them holds.

use super::tools::is_data_url;
use super::{Names, Origin, Reader, VisitField, telling_form};
use crate::event::{Class, Part, each_named};
use crate::wire::json::{self, Value};
use std::ops::Range;

/// Shorter identifiers hold no unmistakable secret.
const SHORTEST_SECRET: usize = 16;

/// One member of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key.
    pub key: &'static str,
    /// What it holds.
    pub how: How,
}

/// Shorthand, so that a table reads as one.
pub const fn field(key: &'static str, how: How) -> Field {
    Field { key, how }
}

/// What a member holds.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// An identifier, a token, a cursor: a string, or a whole number.
    Id,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A word out of a closed list; another one is evaluated as text.
    Word(&'static [&'static str]),
    /// A media type (`text/plain; charset=utf-8`); anything else is evaluated as text.
    MediaType,
    /// A text of the part that the voice speaks.
    Text,
    /// A text of another part.
    Part(Part),
    /// A name that is compared: evaluated as text, never edited.
    Name,
    /// A URI or path: evaluated as text, never edited.
    Reference,
    /// A URL that may hold the medium itself (`data:`).
    Url,
    /// Free structure: every string in it is a text of this part.
    Tree(Part),
    /// Signed or encrypted: counted as not inspected.
    Opaque,
    /// What grants access: a code, a token, a password. No text of any event, if it could be one.
    Secret,
    /// Bytes of an image, a sound, a file.
    Media,
    /// Switches: objects of words and booleans. Words that are not in the list are evaluated as text.
    Switches(&'static [&'static str]),
    /// An object.
    Object(&'static [Field]),
    /// A list.
    List(&'static How),
    /// What the format's own reader reads.
    Own,
}

/// How texts that a table finds are told of.
#[derive(Clone, Debug)]
pub struct Voice {
    /// Whose they are.
    pub origin: Origin,
    /// By which events.
    pub told: Told,
}

/// Which events tell of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// One of its own.
    Once,
    /// One of its own, and that of the result which it is part of.
    Again,
    /// Only that of what it is part of.
    Within,
}

impl Voice {
    /// Texts with an event of their own.
    pub fn of(origin: Origin) -> Voice {
        Voice {
            origin,
            told: Told::Once,
        }
    }

    /// The same voice, another part.
    pub fn with_part(&self, part: Part) -> Voice {
        Voice {
            origin: self.origin.with_part(part),
            told: self.told,
        }
    }
}

impl<'b> Reader<'b> {
    /// Reads an object by its table; `own` reads the members that the table leaves to it.
    #[inline(always)]
    pub fn table<'v, F: FnMut(&mut Self, &'static str, Value<'v>)>(
        &mut self,
        value: Value<'v>,
        fields: &'static [Field],
        voice: &Voice,
        own: &mut F,
    ) {
        self.table_by(value, fields, voice, own);
    }

    #[inline(never)]
    fn table_by<'v>(
        &mut self,
        value: Value<'v>,
        fields: &'static [Field],
        voice: &Voice,
        own: &mut dyn VisitField<'b, 'v, &'static str>,
    ) {
        let mut read = |reader: &mut Self, at: usize, value: Value<'v>| {
            if let Some(field) = fields.get(at) {
                reader.member(field.key, field.how, value, voice, own);
            }
        };
        self.members(value, Names::Fields(fields), &mut read);
    }

    fn member<'v>(
        &mut self,
        key: &'static str,
        how: How,
        value: Value<'v>,
        voice: &Voice,
        own: &mut dyn VisitField<'b, 'v, &'static str>,
    ) {
        match how {
            How::Id if voice.told == Told::Within => self.identifier(value),
            How::Id => self.emit_identifier(value, &voice.origin),
            How::Number => {
                self.number(value);
            }
            How::Flag => {
                self.boolean(value);
            }
            How::Word(words) => self.word(value, words),
            How::MediaType if is_media_type(value) => self.claim(value),
            How::MediaType => self.voiced(value, Class::Unknown, &voice.with_part(Part::Other)),
            How::Text => self.voiced(value, Class::Text, voice),
            How::Part(part) => self.voiced(value, Class::Text, &voice.with_part(part)),
            How::Name => self.voiced(value, Class::Name, &voice.with_part(Part::Name)),
            How::Reference => self.voiced(value, Class::Unknown, &voice.with_part(Part::Other)),
            How::Url if is_data_url(value) => self.media(value),
            How::Url => self.voiced(value, Class::Unknown, &voice.with_part(Part::Other)),
            How::Tree(part) => {
                let texts = self.tree(value);
                self.emit_voiced(value, texts, &voice.with_part(part));
            }
            How::Opaque if value.is_null() => self.claim(value),
            How::Opaque => self.opaque(value, "opaque"),
            How::Secret if could_grant_access(value) => self.claim(value),
            How::Secret => self.voiced(value, Class::Unknown, &voice.with_part(Part::Other)),
            How::Media => self.media(value),
            How::Switches(words) => self.switches(value, words),
            How::Object(fields) => self.table_by(value, fields, voice, own),
            How::List(inner) => {
                let inner = *inner;
                self.array(value, |reader, element| {
                    reader.member(key, inner, element, voice, own);
                });
            }
            How::Own => own.take(self, key, value),
        }
    }

    /// An identifier that may be a whole number.
    pub fn identifier(&mut self, value: Value<'_>) {
        match value.kind() {
            json::ValueKind::Number => self.claim(value),
            _ => self.id(value),
        }
    }

    /// An identifier with an event that tells of it, so that a secret in it is found.
    pub fn emit_identifier(&mut self, value: Value<'_>, origin: &Origin) {
        let start = self.text_count();
        self.identifier(value);
        if value.raw_content().len() >= SHORTEST_SECRET {
            let texts = start..self.text_count();
            self.emit_duplicate(value, texts, &origin.with_part(Part::Other));
        }
    }

    fn voiced(&mut self, value: Value<'_>, class: Class, voice: &Voice) {
        let texts = self.register_text(value, class);
        self.emit_voiced(value, texts, voice);
    }

    /// Tells of texts as the voice does.
    pub fn emit_voiced(&mut self, at: Value<'_>, texts: Range<u32>, voice: &Voice) {
        match voice.told {
            Told::Once => self.emit_text(at, texts, &voice.origin),
            Told::Again => self.emit_duplicate(at, texts, &voice.origin),
            Told::Within => {}
        }
    }

    fn switches(&mut self, value: Value<'_>, words: &[&str]) {
        for node in value.descendants() {
            let is_known = match node.value.kind() {
                json::ValueKind::String => words.iter().any(|word| node.value.is_text(word)),
                // A long number is looked at as one that nobody knows.
                json::ValueKind::Number => false,
                _ => true,
            };
            if is_known {
                self.claim(node.value);
            }
        }
    }

    /// What nobody claimed in a value is text of class `unknown`, here and now: it belongs to what the value is. Gives
    /// the numbers of its texts.
    #[inline(never)]
    pub fn rest(&mut self, value: Value<'_>) -> Range<u32> {
        let start = self.text_count();
        each_named(value, &mut |named| {
            if self.is_claimed_value(named.value) {
                return;
            }
            self.claim(named.value);
            if let Some(form) = telling_form(named.is_key, named.value) {
                self.register_named(named, Class::Unknown, form);
            }
        });
        start..self.text_count()
    }
}

/// RFC 6749, appendix A: visible characters. A number that is as long as that of a card is none.
fn could_grant_access(value: Value<'_>) -> bool {
    const SHORTEST_NUMBER: usize = 12;
    let text = value.raw_content();
    value.kind() == json::ValueKind::String
        && text.iter().all(u8::is_ascii_graphic)
        && (text.len() < SHORTEST_NUMBER || text.iter().any(u8::is_ascii_alphabetic))
}

/// RFC 9110 §8.3.1, without quoted parameters: nothing that reads as a sentence.
fn is_media_type(value: Value<'_>) -> bool {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$&^_.+-/;=".contains(b);
    let text = value.raw_content();
    let compact: Vec<u8> = text.iter().copied().filter(|b| *b != b' ').collect();
    value.kind() == json::ValueKind::String
        && text.len() <= 100
        && text.len().saturating_sub(compact.len()) <= 2
        && compact.contains(&b'/')
        && compact.iter().all(is_token)
}
