//! Text form of requests and tokens: a prefix with the version, and JSON in base64url.

use crate::wire::json::{JsonBody, Limits, Value, ValueKind, quote};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Maximum nesting of a payload. The shown arguments are a string in it.
const MAX_DEPTH: u16 = 8;

/// Reason why a request or a token can't be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingError {
    /// The text doesn't begin with the prefix.
    Prefix,
    /// The text is longer than any that this version writes.
    TooLong,
    /// The text is not base64url.
    Base64,
    /// The payload is not a JSON object with the members of this version.
    Payload,
}

impl std::fmt::Display for EncodingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            EncodingError::Prefix => "it does not begin as one of this version does",
            EncodingError::TooLong => "it is too long",
            EncodingError::Base64 => "it is cut off or damaged",
            EncodingError::Payload => "its content is not that of this version",
        })
    }
}

impl std::error::Error for EncodingError {}

/// Encodes bytes as base64url without padding.
pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url. Only the canonical spelling is accepted: padding and spare bits are errors.
pub(super) fn from_base64url(text: &str) -> Result<Vec<u8>, EncodingError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| EncodingError::Base64)
}

/// Writer of one JSON object, member by member.
pub(super) struct PayloadWriter {
    out: Vec<u8>,
}

impl PayloadWriter {
    pub(super) fn new() -> PayloadWriter {
        PayloadWriter { out: vec![b'{'] }
    }

    pub(super) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        quote(key, &mut self.out);
        self.out.push(b':');
        &mut self.out
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        quote(value, self.key(key));
    }

    /// Writes a string member, if there is a value.
    pub(super) fn optional(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    pub(super) fn number(&mut self, key: &str, value: u64) {
        let digits = value.to_string();
        self.key(key).extend_from_slice(digits.as_bytes());
    }

    pub(super) fn texts<'t>(&mut self, key: &str, values: impl Iterator<Item = &'t str>) {
        let out = self.key(key);
        write_texts(out, values);
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

/// Appends a JSON array of strings.
pub(super) fn write_texts<'t>(out: &mut Vec<u8>, values: impl Iterator<Item = &'t str>) {
    out.push(b'[');
    for (number, value) in values.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        quote(value, out);
    }
    out.push(b']');
}

/// Scans a payload.
pub(super) fn payload(bytes: &[u8]) -> Result<JsonBody<'_>, EncodingError> {
    let limits = Limits {
        max_depth: MAX_DEPTH,
    };
    JsonBody::scan(bytes, limits, 0).map_err(|_| EncodingError::Payload)
}

/// Reader of the members of one JSON object, each of which must be known.
pub(super) struct PayloadReader<'a> {
    root: Value<'a>,
    left: usize,
}

impl<'a> PayloadReader<'a> {
    pub(super) fn new(root: Value<'a>) -> Result<PayloadReader<'a>, EncodingError> {
        if root.kind() != ValueKind::Object {
            return Err(EncodingError::Payload);
        }
        Ok(PayloadReader {
            root,
            left: root.members().count(),
        })
    }

    pub(super) fn value(&mut self, key: &str) -> Option<Value<'a>> {
        let value = self.root.get(key)?;
        self.left = self.left.saturating_sub(1);
        Some(value)
    }

    pub(super) fn optional(&mut self, key: &str) -> Result<Option<Box<str>>, EncodingError> {
        self.value(key).map(text).transpose()
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Box<str>, EncodingError> {
        self.optional(key)?.ok_or(EncodingError::Payload)
    }

    pub(super) fn number(&mut self, key: &str) -> Result<u64, EncodingError> {
        let number = self.value(key).and_then(Value::as_u64);
        number.ok_or(EncodingError::Payload)
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<Box<str>>, EncodingError> {
        texts(self.value(key).ok_or(EncodingError::Payload)?)
    }

    /// Checks that every member was read.
    pub(super) fn end(self) -> Result<(), EncodingError> {
        match self.left {
            0 => Ok(()),
            _ => Err(EncodingError::Payload),
        }
    }
}

/// Returns a string that all parsers decode alike.
pub(super) fn text(value: Value<'_>) -> Result<Box<str>, EncodingError> {
    match value.text() {
        Some(text) if !value.has_lone_surrogate() => Ok(text.into()),
        _ => Err(EncodingError::Payload),
    }
}

/// Returns an array of strings.
pub(super) fn texts(value: Value<'_>) -> Result<Vec<Box<str>>, EncodingError> {
    if value.kind() != ValueKind::Array {
        return Err(EncodingError::Payload);
    }
    value.elements().map(text).collect()
}
