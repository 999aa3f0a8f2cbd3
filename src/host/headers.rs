//! Header maps in the serialisation of the ABI: `u32 n`, n × (`u32` name length, `u32` value length), then each name
//! and value followed by a NUL; little-endian.
//!
//! `:path: /` is `01 00 00 00  05 00 00 00 01 00 00 00  3a 70 61 74 68 00  2f 00`.

use super::abi::{self, Map};
use crate::flow::HeaderEdit;

/// Parses a serialised map. The headers are borrowed: one host call, no copies.
pub(super) fn parse(bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let Some((count, mut sizes)) = number(bytes) else {
        return Vec::new();
    };
    let Some(start) = count.checked_mul(8) else {
        return Vec::new();
    };
    let mut texts = sizes.get(start..).unwrap_or_default();
    let mut headers = Vec::with_capacity(count.min(256));
    for _ in 0..count {
        let Some((name_size, rest)) = number(sizes) else {
            break;
        };
        let Some((value_size, rest)) = number(rest) else {
            break;
        };
        sizes = rest;
        let Some((name, rest)) = terminated(texts, name_size) else {
            break;
        };
        let Some((value, rest)) = terminated(rest, value_size) else {
            break;
        };
        texts = rest;
        headers.push((name, value));
    }
    headers
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn terminated(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(size)?;
    Some((text, rest.get(1..)?))
}

/// Returns the status in a map of response headers.
pub(super) fn status(map: Map) -> Option<u16> {
    let map = abi::headers(map).ok()?;
    let headers = parse(&map);
    let (_, status) = headers.iter().find(|(name, _)| *name == b":status")?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

/// Serialises the headers of a local reply.
pub(super) fn serialise(headers: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let size = |length: usize| u32::try_from(length).unwrap_or(0).to_le_bytes();
    out.extend_from_slice(&size(headers.len()));
    for (name, value) in headers {
        out.extend_from_slice(&size(name.len()));
        out.extend_from_slice(&size(value.len()));
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    }
    out
}

/// Applies edits to a header map.
pub(super) fn edit(map: Map, edits: &[HeaderEdit]) -> Result<(), abi::HostError> {
    for edit in edits {
        match edit {
            HeaderEdit::Remove(name) => abi::remove_header(map, name)?,
            HeaderEdit::Set(name, value) => abi::set_header(map, name, value)?,
        }
    }
    Ok(())
}
