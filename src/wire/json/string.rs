//! JSON strings: escapes, and the mapping of decoded text back to bytes. `caf\u00e9` is 9 bytes and decodes to `café`;
//! the character `é` maps back to the 6 bytes `\u00e9`.

use crate::wire::span::index;
use std::borrow::Cow;
use std::ops::Range;

/// Returns the length in bytes of the escape at the start of `bytes`, and whether it is an unpaired surrogate. A
/// surrogate pair is one escape of twelve bytes. `None` if there is no escape of RFC 8259 §7.
pub(super) fn escape_length(bytes: &[u8]) -> Option<(usize, bool)> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some((2, false)),
        b'u' => {
            let first = hex4(bytes.get(2..6)?)?;
            match first {
                0xD800..=0xDBFF => {
                    let low = bytes
                        .get(6..12)
                        .and_then(|next| next.strip_prefix(b"\\u"))
                        .and_then(hex4);
                    match low {
                        Some(0xDC00..=0xDFFF) => Some((12, false)),
                        _ => Some((6, true)),
                    }
                }
                0xDC00..=0xDFFF => Some((6, true)),
                _ => Some((6, false)),
            }
        }
        _ => None,
    }
}

pub(super) fn hex4(digits: &[u8]) -> Option<u32> {
    if digits.len() != 4 {
        return None;
    }
    digits.iter().try_fold(0u32, |value, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some(value.wrapping_mul(16) | digit)
    })
}

/// Returns the character of the escape at the start of `bytes`: U+FFFD for an unpaired surrogate, which no UTF-8 text
/// can contain.
fn escaped_char(bytes: &[u8], length: usize) -> char {
    match bytes.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let first = bytes.get(2..6).and_then(hex4).unwrap_or(0xFFFD);
            let scalar = if length == 12 {
                let low = bytes.get(8..12).and_then(hex4).unwrap_or(0xDC00);
                ((first & 0x3FF) << 10 | (low & 0x3FF)).wrapping_add(0x1_0000)
            } else {
                first
            };
            char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        Some(&other) => char::from(other),
        None => char::REPLACEMENT_CHARACTER,
    }
}

/// Returns the number of bytes before the first backslash of a word; 8 if it has none.
fn plain_of_word(word: [u8; 8]) -> usize {
    const ONES: u64 = u64::MAX.wrapping_div(255);
    const BACKSLASHES: u64 = ONES.wrapping_mul(b'\\' as u64);
    let word = u64::from_le_bytes(word) ^ BACKSLASHES;
    let found = word.wrapping_sub(ONES) & !word & ONES.wrapping_mul(0x80);
    index(found.trailing_zeros().wrapping_shr(3))
}

/// Returns the number of bytes before the first escape. Reads eight bytes at a time, like `skip_plain`.
fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    let mut at = 0usize;
    for word in words {
        let plain = plain_of_word(*word);
        at = at.wrapping_add(plain);
        if plain < word.len() {
            return at;
        }
    }
    let plain = rest.iter().position(|byte| *byte == b'\\');
    at.wrapping_add(plain.unwrap_or(rest.len()))
}

/// Copies the bytes before the first escape to `text`, and returns what follows. Escapes are a few bytes apart, as in JSON in a string:
/// eight bytes at a time cost less than a call that copies as many as there are.
fn copy_plain<'b>(bytes: &'b [u8], text: &mut Vec<u8>) -> &'b [u8] {
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let before = text.len();
        text.extend_from_slice(word);
        let plain = plain_of_word(*word);
        if plain < word.len() {
            text.truncate(before.wrapping_add(plain));
            return rest.get(plain..).unwrap_or_default();
        }
        rest = after;
    }
    while let [first, after @ ..] = rest
        && *first != b'\\'
    {
        text.push(*first);
        rest = after;
    }
    rest
}

/// Decodes the content of a scanned JSON string. Borrowed if it has no escape. In content that was not scanned, broken
/// escapes and invalid UTF-8 become U+FFFD.
pub fn decode(raw: &[u8]) -> Cow<'_, str> {
    let plain = plain_length(raw);
    let Some((before, mut rest)) = raw
        .split_at_checked(plain)
        .filter(|(_, rest)| !rest.is_empty())
    else {
        return String::from_utf8_lossy(raw);
    };
    let mut text = Vec::with_capacity(raw.len().saturating_add(8));
    text.extend_from_slice(before);
    while !rest.is_empty() {
        let length = escape_length(rest).map_or(2, |(length, _)| length);
        match escaped_char(rest, length) {
            c @ '\0'..='\x7F' => text.push(u8::try_from(c).unwrap_or_default()),
            c => text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = copy_plain(rest.get(length..).unwrap_or_default(), &mut text);
    }
    Cow::Owned(match String::from_utf8(text) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Returns the letter of each escape in the content of a scanned JSON string: `n` of `\n`, `u` of `\u0062`.
pub fn escapes(raw: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let escape = rest.get(plain_length(rest)..)?;
        let letter = escape.get(1).copied()?;
        rest = escape.get(2..).unwrap_or_default();
        Some(letter)
    })
}

/// Mapping from ranges of decoded text to ranges of the string's bytes. Ranges must be in ascending order. The walk
/// never goes back, so that any number of ranges costs one pass.
pub struct DecodedOffsets<'a> {
    raw: &'a [u8],
    raw_at: usize,
    decoded_at: usize,
}

impl<'a> DecodedOffsets<'a> {
    /// Creates a mapping at the beginning of a string's content.
    pub fn new(raw: &'a [u8]) -> Self {
        DecodedOffsets {
            raw,
            raw_at: 0,
            decoded_at: 0,
        }
    }

    /// Returns the byte range of `decoded`. An edge inside an escape moves outwards to the whole escape.
    pub fn range(&mut self, decoded: Range<usize>) -> Range<usize> {
        let start = self.advance(decoded.start, false);
        let end = self.advance(decoded.end, true);
        start..end
    }

    #[inline(never)]
    fn advance(&mut self, target: usize, outwards: bool) -> usize {
        while self.decoded_at < target {
            let rest = self.raw.get(self.raw_at..).unwrap_or_default();
            let Some(&first) = rest.first() else { break };
            let (raw_length, decoded_length) = if first == b'\\' {
                let length = escape_length(rest).map_or(2, |(length, _)| length);
                (length, escaped_char(rest, length).len_utf8())
            } else {
                // The search stops at `target`. The next escape may be far away, and every range would search for it
                // again.
                let wanted = target.saturating_sub(self.decoded_at);
                let plain = plain_length(rest.get(..wanted).unwrap_or(rest));
                (plain, plain)
            };
            let beyond = self.decoded_at.saturating_add(decoded_length) > target;
            if beyond && !outwards {
                break;
            }
            self.raw_at = self.raw_at.saturating_add(raw_length);
            self.decoded_at = self.decoded_at.saturating_add(decoded_length);
        }
        self.raw_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_every_escape_of_the_rfc() {
        assert_eq!(
            decode(br#"\"\\\/\b\f\n\r\t\u0041"#),
            "\"\\/\u{8}\u{c}\n\r\tA"
        );
        assert_eq!(decode(br"\ud83d\ude00\uD83D\uDE00"), "😀😀");
    }

    #[test]
    fn an_escape_is_found_at_every_place() {
        for before in 0..40 {
            for behind in 0..20 {
                let (before, behind) = ("]".repeat(before), "]\u{DC}".repeat(behind));
                let raw = format!("{before}\\n{behind}");
                assert_eq!(decode(raw.as_bytes()), format!("{before}\n{behind}"));
            }
        }
    }

    #[test]
    fn an_unpaired_surrogate_is_read_as_the_replacement_character() {
        assert_eq!(decode(br"a\ud83db"), "a\u{FFFD}b");
        assert_eq!(decode(br"\udc00\ud800"), "\u{FFFD}\u{FFFD}");
        assert_eq!(decode(br"\ud800\u0041"), "\u{FFFD}A");
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(decode("naïve".as_bytes()), Cow::Borrowed("naïve")));
    }

    #[test]
    fn broken_content_never_panics() {
        for raw in [&b"\\"[..], b"\\u12", b"\\x", b"\xff\\", b"\\ud83d\\u"] {
            let _ = decode(raw);
            let _ = DecodedOffsets::new(raw).range(0..9);
        }
    }

    #[test]
    fn a_decoded_range_maps_to_the_bytes_that_stand_for_it() {
        let raw = br"a\u0031\n\ud83d\ude00z";
        let text = decode(raw);
        assert_eq!(text, "a1\n😀z");
        for (start, _) in text.char_indices() {
            for end in (start..=text.len()).filter(|&end| text.is_char_boundary(end)) {
                let range = DecodedOffsets::new(raw).range(start..end);
                assert_eq!(
                    decode(&raw[range]),
                    text.get(start..end).unwrap(),
                    "{start}..{end}"
                );
            }
        }
    }

    #[test]
    fn ranges_in_ascending_order_share_one_walk() {
        let raw = br"\u0031\u0032-\u0033";
        let mut offsets = DecodedOffsets::new(raw);
        assert_eq!(offsets.range(0..1), 0..6);
        assert_eq!(offsets.range(1..2), 6..12);
        assert_eq!(offsets.range(3..4), 13..19);
    }

    #[test]
    fn an_edge_inside_an_escaped_character_moves_outwards() {
        let raw = br"\u00e9x";
        assert_eq!(DecodedOffsets::new(raw).range(1..2), 0..6);
        assert_eq!(DecodedOffsets::new(raw).range(0..1), 0..6);
    }
}
