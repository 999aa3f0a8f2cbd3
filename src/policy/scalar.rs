//! One value of a field, as operators compare it.

use crate::event::Form;
use crate::wire::json::{Value, ValueKind, decode};
use std::borrow::Cow;

/// One value of a field.
#[derive(Clone, Debug)]
pub(crate) enum Scalar<'a> {
    Null,
    /// With the value in the body, if it stands there.
    Bool(bool, Option<Value<'a>>),
    /// A number as written; likewise.
    Number(Cow<'a, str>, Option<Value<'a>>),
    Text(TextValue<'a>),
    Object(Value<'a>),
    /// An array of plain values; given only to who asks for [`Arrays::Whole`].
    Array(Value<'a>),
}

impl Scalar<'_> {
    /// About how many bytes it has.
    pub(crate) fn size(&self) -> usize {
        match self {
            Scalar::Null | Scalar::Bool(..) => 0,
            Scalar::Number(number, _) => number.len(),
            Scalar::Text(text) => match text.value {
                Some(value) => value.raw().len(),
                None => text.given.len(),
            },
            Scalar::Object(value) | Scalar::Array(value) => value.raw().len(),
        }
    }
}

/// A text as its body spells it.
#[derive(Debug)]
pub(crate) enum Spelling<'a> {
    /// Without an escape.
    Plain(Cow<'a, str>),
    /// The content of a JSON string with escapes: `a\u0062`.
    Escaped(&'a [u8]),
}

impl Spelling<'_> {
    /// The bytes, not decoded.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Spelling::Plain(text) => text.as_bytes(),
            Spelling::Escaped(raw) => raw,
        }
    }

    /// The decoded text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Spelling::Plain(text) => Cow::Borrowed(text),
            Spelling::Escaped(raw) => decode(raw),
        }
    }
}

/// A text, with where it came from if it stands in a body. Decoded only when an operator reads it.
#[derive(Clone, Debug)]
pub(crate) struct TextValue<'a> {
    given: Cow<'a, str>,
    /// Its number in the reading: its scan is kept.
    pub(crate) number: Option<u32>,
    /// The value in the body.
    pub(crate) value: Option<Value<'a>>,
    pub(crate) form: Form,
}

impl<'a> TextValue<'a> {
    /// A text that stands in a body.
    pub(crate) fn in_body(value: Value<'a>, number: Option<u32>, form: Form) -> TextValue<'a> {
        TextValue {
            given: Cow::Borrowed(""),
            number,
            value: Some(value),
            form,
        }
    }

    pub(crate) fn written(text: Cow<'a, str>) -> TextValue<'a> {
        TextValue {
            given: text,
            number: None,
            value: None,
            form: Form::String,
        }
    }

    /// A list in a body as one text.
    pub(crate) fn line(line: String, list: Value<'a>) -> TextValue<'a> {
        TextValue {
            value: Some(list),
            ..TextValue::written(line.into())
        }
    }

    /// Whether it is a list as one text.
    pub(crate) fn is_line(&self) -> bool {
        self.value
            .is_some_and(|value| value.kind() == ValueKind::Array)
    }

    /// A number or a boolean: never edited.
    pub(crate) fn plain(text: Cow<'a, str>, value: Option<Value<'a>>) -> TextValue<'a> {
        TextValue {
            value,
            form: Form::Number,
            ..TextValue::written(text)
        }
    }

    /// The text as its body spells it.
    pub(crate) fn spelling(&self) -> Spelling<'a> {
        let is_escaped =
            |value: &Value<'a>| value.kind() == ValueKind::String && value.has_escapes();
        match self.value.filter(is_escaped) {
            Some(value) => Spelling::Escaped(value.raw_content()),
            None => Spelling::Plain(self.text()),
        }
    }

    /// The decoded text; of a number or a boolean, as it is written.
    pub(crate) fn text(&self) -> Cow<'a, str> {
        let in_body = self
            .value
            .and_then(|value| value.text().or_else(|| value.number().map(Cow::Borrowed)));
        in_body.unwrap_or_else(|| self.given.clone())
    }
}

impl<'a> Scalar<'a> {
    /// A text that stands in no body.
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Scalar<'a> {
        Scalar::Text(TextValue::written(text.into()))
    }

    pub(crate) fn number(number: u64) -> Scalar<'a> {
        Scalar::Number(number.to_string().into(), None)
    }
}
