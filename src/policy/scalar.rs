//! Values of a field, as operators compare them.

use crate::event::Form;
use crate::wire::json::{Value, ValueKind, decode};
use std::borrow::Cow;

/// One value of a field.
#[derive(Clone, Debug)]
pub(crate) enum Scalar<'a> {
    Null,
    /// Boolean, with its value in the body if it is in one.
    Bool(bool, Option<Value<'a>>),
    /// Number as written, with its value in the body if it is in one.
    Number(Cow<'a, str>, Option<Value<'a>>),
    Text(TextValue<'a>),
    Object(Value<'a>),
    /// Array with plain values. Only visitors with [`Arrays::Whole`] get it.
    Array(Value<'a>),
}

impl Scalar<'_> {
    /// Returns the approximate number of bytes.
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

/// Text as its body spells it.
#[derive(Debug)]
pub(crate) enum Spelling<'a> {
    /// Text without an escape.
    Plain(Cow<'a, str>),
    /// Content of a JSON string with escapes: `a\u0062`.
    Escaped(&'a [u8]),
}

impl Spelling<'_> {
    /// Returns the bytes, not decoded.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Spelling::Plain(text) => text.as_bytes(),
            Spelling::Escaped(raw) => raw,
        }
    }

    /// Returns the decoded text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Spelling::Plain(text) => Cow::Borrowed(text),
            Spelling::Escaped(raw) => decode(raw),
        }
    }
}

/// Text, with its origin if it is in a body. It is decoded only when an operator reads it.
#[derive(Clone, Debug)]
pub(crate) struct TextValue<'a> {
    given: Cow<'a, str>,
    /// Number of the text in the reading. The scan of such a text is kept.
    pub(crate) number: Option<u32>,
    /// Value in the body.
    pub(crate) value: Option<Value<'a>>,
    pub(crate) form: Form,
}

impl<'a> TextValue<'a> {
    /// Returns a text in a body.
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

    /// Returns a list in a body as one text.
    pub(crate) fn line(line: String, list: Value<'a>) -> TextValue<'a> {
        TextValue {
            value: Some(list),
            ..TextValue::written(line.into())
        }
    }

    /// Returns whether the text is a list read as one text.
    pub(crate) fn is_line(&self) -> bool {
        self.value
            .is_some_and(|value| value.kind() == ValueKind::Array)
    }

    /// Returns the text of a number or boolean, which is never edited.
    pub(crate) fn plain(text: Cow<'a, str>, value: Option<Value<'a>>) -> TextValue<'a> {
        TextValue {
            value,
            form: Form::Number,
            ..TextValue::written(text)
        }
    }

    /// Returns the text as its body spells it.
    pub(crate) fn spelling(&self) -> Spelling<'a> {
        let is_escaped =
            |value: &Value<'a>| value.kind() == ValueKind::String && value.has_escapes();
        match self.value.filter(is_escaped) {
            Some(value) => Spelling::Escaped(value.raw_content()),
            None => Spelling::Plain(self.text()),
        }
    }

    /// Returns the decoded text; for a number or boolean, the text as written.
    pub(crate) fn text(&self) -> Cow<'a, str> {
        let in_body = self
            .value
            .and_then(|value| value.text().or_else(|| value.number().map(Cow::Borrowed)));
        in_body.unwrap_or_else(|| self.given.clone())
    }
}

impl<'a> Scalar<'a> {
    /// Returns a text that is not in a body.
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Scalar<'a> {
        Scalar::Text(TextValue::written(text.into()))
    }

    pub(crate) fn number(number: u64) -> Scalar<'a> {
        Scalar::Number(number.to_string().into(), None)
    }
}
