//! Frame parser for Amazon's event stream (`application/vnd.amazon.eventstream`).
//!
//! A message is: total length u32, headers length u32, CRC-32 of these eight bytes, headers, payload, CRC-32 of
//! everything before it. Numbers are big-endian; the CRC is zlib's. A header is: name length u8, name, type u8 (7 =
//! string), value length u16, value. The header `:event-type: chunk` is
//! `0b 3a 65 76 65 6e 74 2d 74 79 70 65 07 00 05 63 68 75 6e 6b`.
//!
//! Source: AWS SDK documentation, "Event stream encoding".

use super::{Frame, FrameError, Layout};
use std::ops::Range;

/// Bytes of the prelude: total length, headers length and their checksum.
const PRELUDE: usize = 12;

/// Bytes of the checksum at the end of a message.
const TRAILER: usize = 4;

/// Maximum bytes of headers in a message. botocore has the same limit, so that clients reject larger messages anyway.
const MAX_HEADERS: usize = 128 << 10;

/// CRC-32 table (IEEE 802.3, reflected) by half byte: 64 bytes instead of 1 KiB.
const CRC_TABLE: [u32; 16] = [
    0x0000_0000,
    0x1DB7_1064,
    0x3B6E_20C8,
    0x26D9_30AC,
    0x76DC_4190,
    0x6B6B_51F4,
    0x4DB2_6158,
    0x5005_713C,
    0xEDB8_8320,
    0xF00F_9344,
    0xD6D6_A3E8,
    0xCB61_B38C,
    0x9B64_C2B0,
    0x86D3_D2D4,
    0xA00A_E278,
    0xBDBD_F21C,
];

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, half: u32| {
        let index = usize::try_from((crc ^ half) & 15).unwrap_or(0);
        (crc >> 4) ^ CRC_TABLE.get(index).copied().unwrap_or(0)
    };
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        let byte = u32::from(byte);
        step(step(crc, byte & 15), byte >> 4)
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

fn length_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, at)?).ok()
}

/// Returns the end offset of the first message. The prelude is checked as soon as it has arrived, so that the filter
/// never waits for a wrong length.
pub(super) fn end(pending: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some(prelude) = pending.get(..PRELUDE) else {
        return Ok(None);
    };
    let (Some(total), Some(headers), Some(checksum)) = (
        length_at(prelude, 0),
        length_at(prelude, 4),
        u32_at(prelude, 8),
    ) else {
        return Err(FrameError::Malformed);
    };
    let least = PRELUDE.saturating_add(headers).saturating_add(TRAILER);
    let checked = prelude
        .get(..8)
        .is_some_and(|lengths| crc32(lengths) == checksum);
    if !checked || total < least || headers > MAX_HEADERS {
        return Err(FrameError::Malformed);
    }
    if total > limit {
        return Err(FrameError::TooLarge);
    }
    Ok((pending.len() >= total).then_some(total))
}

pub(super) fn parse(raw: Vec<u8>) -> Result<Frame, FrameError> {
    let malformed = FrameError::Malformed;
    let headers = length_at(&raw, 4).ok_or(malformed)?;
    let body = raw.len().checked_sub(TRAILER).ok_or(malformed)?;
    let checked = raw
        .get(..body)
        .zip(u32_at(&raw, body))
        .is_some_and(|(bytes, checksum)| crc32(bytes) == checksum);
    if !checked {
        return Err(malformed);
    }
    let start = PRELUDE.saturating_add(headers);
    let mut event = None;
    let mut asides = Vec::new();
    let mut rest = raw.get(PRELUDE..start).ok_or(malformed)?;
    while !rest.is_empty() {
        let (name, value, after) = header(rest).ok_or(malformed)?;
        rest = after;
        let (kind, value) = value;
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            // A second type header is ambiguous: which one a client takes depends on `:message-type` and on the client.
            // So is one that is no string.
            b":event-type" | b":exception-type" | b":error-code" => {
                if kind != STRING || event.replace(text()).is_some() {
                    return Err(malformed);
                }
            }
            b":content-type" if value == b"application/json" => {}
            b":message-type" if matches!(value, b"event" | b"exception") => {}
            _ => asides.push(format!("{}: {}", String::from_utf8_lossy(name), text())),
        }
    }
    Ok(Frame {
        payload: raw.get(start..body).map(<[u8]>::to_vec),
        layout: Layout::Message(start..body),
        event,
        asides,
        ..Frame::bare(raw)
    })
}

/// Type of a header whose value is a string.
const STRING: u8 = 7;

/// A parsed header: name, type and value, and the remaining bytes.
type Header<'a> = (&'a [u8], (u8, &'a [u8]), &'a [u8]);

fn header(bytes: &[u8]) -> Option<Header<'_>> {
    let (&length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let (&kind, rest) = rest.split_first()?;
    let (size, rest) = match kind {
        0 | 1 => (0, rest),
        2 => (1, rest),
        3 => (2, rest),
        4 => (4, rest),
        5 | 8 => (8, rest),
        9 => (16, rest),
        6 | STRING => {
            let (size, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*size)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(size)?;
    Some((name, (kind, value), rest))
}

pub(super) fn with_payload(raw: &[u8], range: &Range<usize>, payload: &[u8]) -> Vec<u8> {
    let headers = raw.get(PRELUDE..range.start).unwrap_or_default();
    message(headers, payload)
}

pub(super) fn compose(message_type: &str, kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    let kind_name = if message_type == "exception" {
        ":exception-type"
    } else {
        ":event-type"
    };
    for (name, value) in [
        (kind_name, kind),
        (":content-type", "application/json"),
        (":message-type", message_type),
    ] {
        headers.push(u8::try_from(name.len()).unwrap_or(0));
        headers.extend_from_slice(name.as_bytes());
        headers.push(STRING);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    message(&headers, payload)
}

fn message(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = PRELUDE
        .saturating_add(headers.len())
        .saturating_add(payload.len())
        .saturating_add(TRAILER);
    let mut out = Vec::with_capacity(total);
    for length in [total, headers.len()] {
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        // Check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_message_with_two_names_is_none() {
        let event = compose("event", "contentBlockStart", b"{}");
        let exception = compose("exception", "throttlingException", b"{}");
        let headers = |message: &[u8]| {
            let end = message.len() - b"{}".len() - TRAILER;
            message.get(PRELUDE..end).unwrap_or_default().to_vec()
        };
        for second in [&event, &exception] {
            let both = message(&[headers(&event), headers(second)].concat(), b"{}");
            assert_eq!(parse(both), Err(FrameError::Malformed));
        }
        assert!(parse(event).is_ok());
    }

    #[test]
    fn a_header_of_any_type_is_read_and_a_name_is_a_string() {
        let header = |name: &str, kind: u8, value: &[u8]| {
            let length = u16::try_from(value.len()).unwrap().to_be_bytes();
            let length = if matches!(kind, 6 | STRING) {
                &length[..]
            } else {
                &[]
            };
            let name = [&[u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
            [name.as_slice(), &[kind], length, value].concat()
        };
        let read = |headers: &[Vec<u8>]| parse(message(&headers.concat(), b"{}"));
        for (kind, value) in [(0, &b""[..]), (2, b"x"), (6, b"chunk"), (8, b"12345678")] {
            let named = read(&[header(":event-type", kind, value)]);
            assert_eq!(named, Err(FrameError::Malformed), "{kind}");
        }
        let asides = |headers: &[Vec<u8>]| read(headers).unwrap().asides;
        for kind in [6, STRING] {
            assert_eq!(
                asides(&[header("note", kind, b"pay 4111")]),
                ["note: pay 4111"]
            );
        }
        assert_eq!(asides(&[header("pay 4111", 1, b"")]), ["pay 4111: "]);
        for name in [":content-type", ":message-type"] {
            assert_eq!(asides(&[header(name, STRING, b"pay 4111")]).len(), 1);
        }
        // What every message has is no text.
        let usual = parse(compose("exception", "throttlingException", b"{}")).unwrap();
        assert_eq!(usual.asides, [] as [&str; 0]);
        assert_eq!(read(&[header("x", 10, b"")]), Err(FrameError::Malformed));
    }
}
