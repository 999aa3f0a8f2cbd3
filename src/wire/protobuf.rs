//! Conversion of a serialised `google.protobuf.Struct` to JSON text. Envoy hands over a plugin configuration that was
//! written as a Struct (WasmPlugin's `pluginConfig`) in this form.
//!
//! `{"a": true}` arrives as `0a 07 0a 01 61 12 02 20 01`: field 1 of 7 bytes, which holds the key (field 1, `a`) and
//! the value (field 2: `bool_value` = 1).
//!
//! Source: struct.proto and the encoding guide of Protocol Buffers.

use super::double::shortest;
use super::json::quote;

/// Maximum nesting of structs and lists.
const MAX_DEPTH: u8 = 64;

/// The reason why bytes are no Struct, or a Struct that has no JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructError {
    /// The bytes are not the Protocol Buffers wire format.
    Malformed,
    /// Structs and lists are nested deeper than 64 levels.
    TooDeep,
    /// A number that is not finite.
    NotFinite,
}

impl std::fmt::Display for StructError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            StructError::Malformed => "neither JSON text nor a serialised Struct",
            StructError::TooDeep => "nested too deep",
            StructError::NotFinite => "a number is not finite",
        })
    }
}

/// Converts a serialised Struct to JSON text. Members keep the order in which they arrived; a Struct has no order of
/// its own.
///
/// # Errors
/// See [`StructError`].
pub fn struct_to_json(bytes: &[u8]) -> Result<Vec<u8>, StructError> {
    let mut out = Vec::with_capacity(bytes.len());
    write_struct(bytes, MAX_DEPTH, &mut out)?;
    Ok(out)
}

/// One field of a message.
enum WireField<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32,
}

/// Splits the first field off a message. Returns its number, its value and the remaining bytes.
fn split(bytes: &[u8]) -> Result<(u64, WireField<'_>, &[u8]), StructError> {
    let (tag, rest) = varint(bytes)?;
    let number = tag >> 3;
    match tag & 7 {
        0 => {
            let (value, rest) = varint(rest)?;
            Ok((number, WireField::Varint(value), rest))
        }
        1 => {
            let (value, rest) = rest
                .split_first_chunk::<8>()
                .ok_or(StructError::Malformed)?;
            Ok((number, WireField::Fixed64(*value), rest))
        }
        2 => {
            let (length, rest) = varint(rest)?;
            let length = usize::try_from(length).map_err(|_| StructError::Malformed)?;
            let (value, rest) = rest
                .split_at_checked(length)
                .ok_or(StructError::Malformed)?;
            Ok((number, WireField::Bytes(value), rest))
        }
        5 => {
            let (_, rest) = rest
                .split_first_chunk::<4>()
                .ok_or(StructError::Malformed)?;
            Ok((number, WireField::Fixed32, rest))
        }
        _ => Err(StructError::Malformed),
    }
}

fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), StructError> {
    let mut value = 0u64;
    let mut rest = bytes;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(StructError::Malformed)?;
        rest = after;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok((value, rest));
        }
    }
    Err(StructError::Malformed)
}

fn text(bytes: &[u8]) -> Result<&str, StructError> {
    std::str::from_utf8(bytes).map_err(|_| StructError::Malformed)
}

/// `message Struct { map<string, Value> fields = 1; }`
fn write_struct(bytes: &[u8], depth: u8, out: &mut Vec<u8>) -> Result<(), StructError> {
    let depth = depth.checked_sub(1).ok_or(StructError::TooDeep)?;
    out.push(b'{');
    let mut rest = bytes;
    let mut first = true;
    while !rest.is_empty() {
        let (number, field, after) = split(rest)?;
        rest = after;
        let (1, WireField::Bytes(mut entry)) = (number, field) else {
            return Err(StructError::Malformed);
        };
        let mut key: &[u8] = b"";
        let mut value: &[u8] = b"";
        while !entry.is_empty() {
            let (number, field, after) = split(entry)?;
            entry = after;
            match (number, field) {
                (1, WireField::Bytes(bytes)) => key = bytes,
                (2, WireField::Bytes(bytes)) => value = bytes,
                _ => return Err(StructError::Malformed),
            }
        }
        if !first {
            out.push(b',');
        }
        first = false;
        quote(text(key)?, out);
        out.push(b':');
        write_value(value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// `message Value`: one of null (1), number (2), string (3), bool (4), struct (5), list (6). Of several fields the last
/// one counts.
fn write_value(bytes: &[u8], depth: u8, out: &mut Vec<u8>) -> Result<(), StructError> {
    let start = out.len();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (number, field, after) = split(rest)?;
        rest = after;
        out.truncate(start);
        match (number, field) {
            (1, WireField::Varint(_)) => out.extend_from_slice(b"null"),
            (2, WireField::Fixed64(bits)) => {
                let number = f64::from_le_bytes(bits);
                if !number.is_finite() {
                    return Err(StructError::NotFinite);
                }
                out.extend_from_slice(shortest(number).as_bytes());
            }
            (3, WireField::Bytes(bytes)) => quote(text(bytes)?, out),
            (4, WireField::Varint(value)) => {
                out.extend_from_slice(if value != 0 { b"true" } else { b"false" })
            }
            (5, WireField::Bytes(bytes)) => write_struct(bytes, depth, out)?,
            (6, WireField::Bytes(bytes)) => write_list(bytes, depth, out)?,
            _ => return Err(StructError::Malformed),
        }
    }
    if out.len() == start {
        out.extend_from_slice(b"null");
    }
    Ok(())
}

/// `message ListValue { repeated Value values = 1; }`
fn write_list(bytes: &[u8], depth: u8, out: &mut Vec<u8>) -> Result<(), StructError> {
    let depth = depth.checked_sub(1).ok_or(StructError::TooDeep)?;
    out.push(b'[');
    let mut rest = bytes;
    let mut first = true;
    while !rest.is_empty() {
        let (number, field, after) = split(rest)?;
        rest = after;
        let (1, WireField::Bytes(value)) = (number, field) else {
            return Err(StructError::Malformed);
        };
        if !first {
            out.push(b',');
        }
        first = false;
        write_value(value, depth, out)?;
    }
    out.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn put_varint(mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(u8::try_from(value & 0x7F).unwrap() | 0x80);
            value >>= 7;
        }
        out.push(u8::try_from(value).unwrap());
    }

    fn put_bytes(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
        put_varint(number << 3 | 2, out);
        put_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }

    fn serialised(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        match value {
            Value::Null => out.extend_from_slice(&[8, 0]),
            Value::Bool(value) => out.extend_from_slice(&[0x20, u8::from(*value)]),
            Value::Number(number) => {
                out.push(0x11);
                out.extend_from_slice(&number.as_f64().unwrap().to_le_bytes());
            }
            Value::String(text) => put_bytes(3, text.as_bytes(), &mut out),
            Value::Array(items) => {
                let mut list = Vec::new();
                for item in items {
                    put_bytes(1, &serialised(item), &mut list);
                }
                put_bytes(6, &list, &mut out);
            }
            Value::Object(_) => put_bytes(5, &serialised_struct(value), &mut out),
        }
        out
    }

    fn serialised_struct(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in value.as_object().unwrap() {
            let mut entry = Vec::new();
            put_bytes(1, key.as_bytes(), &mut entry);
            put_bytes(2, &serialised(value), &mut entry);
            put_bytes(1, &entry, &mut out);
        }
        out
    }

    #[test]
    fn a_struct_becomes_the_json_that_it_was() {
        let value = json!({"a": 1.0, "b": [null, true, "x\"y", {"c": {}}, []], "d": 0.5});
        let text = struct_to_json(&serialised_struct(&value)).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&text).unwrap(),
            json!({
                "a": 1, "b": [null, true, "x\"y", {"c": {}}, []], "d": 0.5
            })
        );
    }

    #[test]
    fn depth_and_numbers_have_bounds() {
        let mut nested = json!({});
        for _ in 0..70 {
            nested = json!({"x": nested});
        }
        assert_eq!(
            struct_to_json(&serialised_struct(&nested)),
            Err(StructError::TooDeep)
        );
        let mut infinite = vec![0x11];
        infinite.extend_from_slice(&f64::INFINITY.to_le_bytes());
        let mut entry = Vec::new();
        put_bytes(2, &infinite, &mut entry);
        let mut message = Vec::new();
        put_bytes(1, &entry, &mut message);
        assert_eq!(struct_to_json(&message), Err(StructError::NotFinite));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = struct_to_json(&bytes);
        }
    }
}
