//! What is known of a format as tables: which members an object has and what each is. A hundred fields are a hundred lines
//! of data read by one loop.

use super::{Origin, Reader, VisitField, is_case_variant};
use crate::diag::codes;
use crate::event::{Known, Part};
use crate::wire::json::{self, Value};

/// A member: its name and what it is.
pub(in crate::protocol) type Key = (&'static str, Is);

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) enum Is {
    /// Its format reads it itself.
    Own,
    /// A number.
    Number,
    /// A boolean.
    Flag,
    /// A word out of a closed list; another one is evaluated as text.
    Word(&'static [&'static str]),
    /// A constant of an enumeration that grows: capitals, digits and underscores; anything else is evaluated as text.
    Constant,
    /// An identifier: only unmistakable secrets count in it.
    Id,
    /// An identifier of something that the provider keeps and that is not seen here.
    State,
    /// Text.
    Text(Part),
    /// Free structure: every string in it is text.
    Tree(Part),
    /// Where something stands that is not seen here: evaluated as text, never edited. A `data:` URL is the thing itself.
    Url,
    /// Signed, encrypted or otherwise unreadable.
    Opaque,
    /// Image, audio or file bytes.
    Media,
    /// A name of something that is told elsewhere.
    Name,
    /// A model that may answer.
    Model,
    /// Counts in a response: numbers and short words under names that differ from version to version. Other strings in it
    /// are evaluated as text.
    Counts,
    /// An object.
    Object(&'static [Key]),
    /// A list of such values.
    List(&'static Is),
}

impl<'b> Reader<'b> {
    /// Reads an object by its table; `own` gets the members that its format reads itself. `null` counts as absent. A key
    /// that some servers read as a known one (letter case, escapes, both spellings at once) is AG2002.
    #[inline(always)]
    pub(in crate::protocol) fn keys<'v, F: FnMut(&mut Self, &'static str, Value<'v>)>(
        &mut self,
        value: Value<'v>,
        table: &'static [Key],
        origin: &Origin,
        own: &mut F,
    ) {
        self.keys_by(value, table, origin, own);
    }

    #[inline(never)]
    fn keys_by<'v>(
        &mut self,
        value: Value<'v>,
        table: &'static [Key],
        origin: &Origin,
        own: &mut dyn VisitField<'b, 'v, &'static str>,
    ) {
        if !matches!(
            value.kind(),
            json::ValueKind::Object | json::ValueKind::Null
        ) {
            self.wrong_type(value, "an object");
            return;
        }
        self.claim(value);
        let mut seen = 0u64;
        for (key, member) in value.members() {
            let known = if key.has_escapes() {
                None
            } else {
                let written = key.raw_content();
                table
                    .iter()
                    .enumerate()
                    .find(|(_, (name, _))| self.is_spelling(written, name))
            };
            let Some((at, (name, is))) = known else {
                self.report_spelling(key, table);
                continue;
            };
            let bit = u32::try_from(at).ok().and_then(|at| 1u64.checked_shl(at));
            if bit.is_some_and(|bit| seen & bit != 0) {
                let what = format!("`{name}` stands here in two spellings");
                self.problem(codes::AG2002, key, &what);
            }
            seen |= bit.unwrap_or(0);
            self.claim(key);
            match is {
                Is::Own => own.take(self, name, member),
                is if origin.piece_of.is_some() => self.value(member, *is, &origin.member(at)),
                is => self.value(member, *is, origin),
            }
        }
    }

    /// Reads an object whose table says all.
    pub(in crate::protocol) fn known(
        &mut self,
        value: Value<'_>,
        table: &'static [Key],
        origin: &Origin,
    ) {
        self.keys(value, table, origin, &mut |_, _, _| {});
    }

    /// Reads one value as what it is.
    pub(in crate::protocol) fn value(&mut self, value: Value<'_>, is: Is, origin: &Origin) {
        match is {
            Is::Own => {}
            Is::Number if self.proto_json && value.kind() == json::ValueKind::String => {}
            Is::Number => {
                self.number(value);
            }
            Is::Flag => {
                self.boolean(value);
            }
            Is::Word(words) => self.word(value, words),
            Is::Constant => self.constant(value),
            Is::Id => self.id(value),
            Is::State => self.state(value),
            Is::Text(part) => {
                self.text(value, &origin.with_part(part));
            }
            Is::Tree(part) => {
                let texts = self.tree(value);
                self.emit_text(value, texts, &origin.with_part(part).whole());
            }
            Is::Url => self.url(value, &origin.whole()),
            Is::Opaque if value.is_null() || value.is_text("") => self.claim(value),
            Is::Opaque => self.opaque(value, "opaque"),
            Is::Media => self.media(value),
            Is::Name => {
                self.name(value);
            }
            Is::Model => self.model(value),
            Is::Counts => self.tagged_counts(value),
            Is::Object(table) => self.known(value, table, origin),
            Is::List(is) => self.array(value, |reader, element| {
                reader.value(element, *is, origin);
            }),
        }
    }

    /// The member of that name, in whichever spelling it is known.
    pub(in crate::protocol) fn get<'v>(&self, value: Value<'v>, name: &str) -> Option<Value<'v>> {
        value
            .members()
            .find(|(key, _)| !key.has_escapes() && self.is_spelling(key.raw_content(), name))
            .map(|(_, member)| member)
    }

    /// An identifier of something that the provider keeps.
    pub(in crate::protocol) fn state(&mut self, value: Value<'_>) {
        self.id(value);
        if !value.is_null() {
            self.uninspectable(value, "provider_state");
        }
    }

    /// A model that may answer, or that did.
    pub(in crate::protocol) fn model(&mut self, value: Value<'_>) {
        if let Some(model) = self.name(value) {
            self.reading.models.add(&model);
        }
    }

    fn constant(&mut self, value: Value<'_>) {
        let raw = value.raw_content();
        let is_constant = raw.len() <= 64
            && raw
                .iter()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
        if value.kind() != json::ValueKind::String || is_constant {
            self.claim(value);
        }
    }

    fn tagged_counts(&mut self, value: Value<'_>) {
        for node in value.descendants() {
            if node.is_key || node.value.kind() != json::ValueKind::String {
                self.claim(node.value);
            } else if is_tag(node.value.raw_content()) {
                self.id(node.value);
            }
        }
    }

    /// A model in the body, where the path may name one too. If they differ, servers differ in which they take.
    pub(in crate::protocol) fn model_beside_path(
        &mut self,
        value: Value<'_>,
        path: &Known<Box<str>>,
    ) {
        let Some(model) = self.name(value) else {
            return;
        };
        // Google's resource names: `models/x`, `projects/p/locations/l/publishers/google/models/x`.
        let model = match model.rsplit_once("models/") {
            Some((_, short)) if self.proto_json => short,
            _ => &model,
        };
        if let Known::Is(path) = path
            && **path != *model
        {
            let what = "another model than the path names";
            self.problem(codes::AG2012, value, what);
        }
        self.reading.models.add(model);
    }

    fn is_spelling(&self, key: &[u8], name: &str) -> bool {
        key == name.as_bytes() || (self.proto_json && is_snake_case_of(key, name))
    }

    fn report_spelling(&mut self, key: Value<'_>, table: &'static [Key]) {
        let Some(text) = key.text() else { return };
        let joined = text.replace('_', "");
        let variant = table.iter().find(|(name, _)| {
            is_case_variant(&text, name) || (self.proto_json && is_case_variant(&joined, name))
        });
        if let Some((name, _)) = variant {
            let what = format!("a key that some servers read as `{name}`");
            self.problem(codes::AG2002, key, &what);
        }
    }
}

/// A word without spaces, such as a tier, a region, a model or an id: nothing that could hold a sentence.
pub(in crate::protocol) fn is_tag(raw: &[u8]) -> bool {
    raw.len() <= 128
        && raw
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._:/@-".contains(b))
}

/// Whether `key` is the snake_case spelling of a camelCase `name`: `inline_data` of `inlineData`.
fn is_snake_case_of(key: &[u8], name: &str) -> bool {
    let mut rest = key;
    for byte in name.bytes() {
        let expected: &[u8] = &[b'_', byte.to_ascii_lowercase()];
        let expected = if byte.is_ascii_uppercase() {
            expected
        } else {
            expected.get(1..).unwrap_or_default()
        };
        match rest.strip_prefix(expected) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_two_spellings_and_no_more() {
        assert!(is_snake_case_of(b"inline_data", "inlineData"));
        assert!(is_snake_case_of(b"top_k", "topK"));
        assert!(is_snake_case_of(b"text", "text"));
        for key in [
            "inlineData",
            "inline__data",
            "inline_dat",
            "inline_data_",
            "_inline_data",
        ] {
            assert!(!is_snake_case_of(key.as_bytes(), "inlineData"), "{key}");
        }
    }
}
