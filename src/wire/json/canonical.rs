//! The canonical form of a JSON value: RFC 8785 but for numbers, which are written as exact decimals.
//!
//! `{"b": 1.0, "a": "\u0078"}` → `{"a":"x","b":1}`

use super::{Decimal, Value, ValueKind, quote};
use crate::wire::sort;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A part of a value that readers could take for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// A string has an unpaired surrogate, which readers replace or reject.
    LoneSurrogate,
    /// The exponent of a number is beyond what two readers read alike.
    Number,
}

/// Appends the canonical form of a value. What is ambiguous is written as well as can be: U+FFFD for a surrogate, a number
/// as it came.
///
/// # Errors
/// The first ambiguity. All of the value is written nevertheless.
pub fn write_canonical(value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Ambiguity> {
    match value.kind() {
        ValueKind::Null => out.extend_from_slice(b"null"),
        ValueKind::Bool(true) => out.extend_from_slice(b"true"),
        ValueKind::Bool(false) => out.extend_from_slice(b"false"),
        ValueKind::Number => {
            let number = value.number().unwrap_or_default();
            match Decimal::parse(number) {
                Some(exact) => out.extend_from_slice(exact.to_string().as_bytes()),
                None => {
                    out.extend_from_slice(number.as_bytes());
                    return Err(Ambiguity::Number);
                }
            }
        }
        ValueKind::String => return write_text(value, &text(value), out),
        ValueKind::Array => {
            let mut sound = Ok(());
            out.push(b'[');
            for (number, element) in value.elements().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                sound = sound.and(write_canonical(element, out));
            }
            out.push(b']');
            return sound;
        }
        ValueKind::Object => {
            let mut sound = Ok(());
            let mut members: Vec<(Cow<'_, str>, Value<'_>, Value<'_>)> = value
                .members()
                .map(|(key, value)| (text(key), key, value))
                .collect();
            sort::sort_by(&mut members, |(a, ..), (b, ..)| key_order(a, b));
            out.push(b'{');
            for (number, (name, key, value)) in members.into_iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                sound = sound.and(write_text(key, &name, out));
                out.push(b':');
                sound = sound.and(write_canonical(value, out));
            }
            out.push(b'}');
            return sound;
        }
    }
    Ok(())
}

/// Compares keys by UTF-16 code units (RFC 8785 §3.2.3), which is not the order of code points beyond the BMP.
pub fn key_order(a: &str, b: &str) -> Ordering {
    match a.is_ascii() && b.is_ascii() {
        true => a.cmp(b),
        false => a.encode_utf16().cmp(b.encode_utf16()),
    }
}

fn text(value: Value<'_>) -> Cow<'_, str> {
    value.text().unwrap_or_default()
}

fn write_text(value: Value<'_>, text: &str, out: &mut Vec<u8>) -> Result<(), Ambiguity> {
    quote(text, out);
    match value.has_lone_surrogate() {
        true => Err(Ambiguity::LoneSurrogate),
        false => Ok(()),
    }
}
