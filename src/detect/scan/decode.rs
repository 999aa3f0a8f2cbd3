//! Encoded runs: Base64 (RFC 4648, both alphabets, with or without padding, lines as in MIME) and hexadecimal digits
//! that decode to text.
//!
//! The view has decoded percent escapes and the escapes of string literals already. Not decoded: Base32,
//! quoted-printable, hexadecimal digits with separators, ciphers.

use std::ops::Range;

use super::LOOK_BEHIND;
use crate::wire::work;

/// Minimum characters of a run: twelve bytes of text.
const MIN_ENCODED_BYTES: usize = 16;

/// Characters that decide whether a run is text.
const PROBE: usize = 24;

/// Maximum characters that are decoded together. A longer run is decoded in parts, and a stream waits for this many.
const MAX_ENCODED_BYTES: usize = 64 << 10;

/// Work steps for each character that is decoded.
const DECODED: usize = 3;

/// Minimum characters of a line that a run may continue after; lines of MIME have 76 characters, those of PEM 64.
const LINE: usize = 60;

/// Run that decodes to text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// Range of the run, with padding.
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

/// Calls a function for each run that begins at `from` or later. Returns the position of a run that more text could
/// complete; the length of the text if no more text follows.
pub(super) fn each_run(
    text: &[u8],
    from: usize,
    open: bool,
    call: &mut dyn FnMut(Decoded),
) -> usize {
    let mut begun = text.len();
    let mut from = from;
    while let Some(line) = next_line(text, from) {
        work::spend(line.end.saturating_sub(from));
        if work::is_exhausted() {
            break;
        }
        let cut = open && line.end == text.len();
        let Some((start, kind)) = beginning(text, &line, from) else {
            if cut {
                begun = begun.min(undecided(text, &line, from));
            }
            from = line.end;
            continue;
        };
        let DecodedRun { end, decided } = part(text, start);
        if open && !decided {
            begun = begun.min(start);
            break;
        }
        work::spend(end.saturating_sub(start).saturating_mul(DECODED));
        let bytes: Vec<u8> = decode(text.get(start..end).unwrap_or_default(), kind).collect();
        call(Decoded {
            range: start..end,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        });
        from = end;
    }
    begun
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Base64,
    Hexadecimal,
}

fn is_of_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn at(text: &[u8], place: usize) -> u8 {
    text.get(place).copied().unwrap_or(0)
}

/// Returns the next line of a run that is long enough or ends the text; a line around `from` begins at its start.
fn next_line(text: &[u8], from: usize) -> Option<Range<usize>> {
    let mut place = from;
    while place < text.len() {
        // A run of the minimum length covers one of these positions; short words are skipped.
        let probe = place
            .saturating_add(MIN_ENCODED_BYTES - 1)
            .min(text.len().saturating_sub(1));
        if !is_of_run(at(text, probe)) {
            place = probe.saturating_add(1);
            continue;
        }
        let before = text.get(..probe).unwrap_or_default();
        // A stream keeps no more than that of the text before.
        let known = before.iter().rev().take(LOOK_BEHIND);
        let len = known.take_while(|byte| is_of_run(**byte)).count();
        let start = probe.saturating_sub(len);
        let end = line_end(text, probe);
        if end.saturating_sub(start) >= MIN_ENCODED_BYTES || end == text.len() {
            return Some(start..end);
        }
        place = end.saturating_add(1);
    }
    None
}

fn line_end(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let len = rest.iter().take_while(|byte| is_of_run(**byte)).count();
    start.saturating_add(len)
}

/// Returns the positions where text may begin in a line of a run: its start, one to three characters later, and after
/// a character that is also a separator of paths and names.
fn places(text: &[u8], line: &Range<usize>) -> impl Iterator<Item = usize> {
    let shifted = (line.start..line.end).take(4);
    let behind = (line.start..line.end)
        .zip(text.get(line.clone()).unwrap_or_default())
        .skip(3)
        .filter(|(_, byte)| !byte.is_ascii_alphanumeric())
        .map(|(place, _)| place.saturating_add(1));
    shifted.chain(behind)
}

/// Returns where text begins in a line of a run, from `from` on.
fn beginning(text: &[u8], line: &Range<usize>, from: usize) -> Option<(usize, Encoding)> {
    let rest = text.get(line.start..).unwrap_or_default();
    let prefix = if rest.starts_with(b"0x") || rest.starts_with(b"0X") {
        2
    } else {
        0
    };
    let first = line.start.saturating_add(prefix);
    if first >= from && is_text(text, first, Encoding::Hexadecimal) {
        return Some((first, Encoding::Hexadecimal));
    }
    // The part before may have been as long as is decoded together. For such a line, all known bytes are visible.
    let is_long = from.saturating_sub(line.start) >= LOOK_BEHIND.saturating_sub(MIN_ENCODED_BYTES);
    let goes_on = from
        .checked_sub(PROBE)
        .filter(|_| is_long && from < line.end);
    for kind in [Encoding::Base64, Encoding::Hexadecimal] {
        if goes_on.is_some_and(|before| is_text(text, before, kind)) {
            return Some((from, kind));
        }
    }
    places(text, line)
        .find(|place| *place >= from && is_text(text, *place, Encoding::Base64))
        .map(|place| (place, Encoding::Base64))
}

/// Returns the first position in the line at the text's end that is too near to the end to decide whether text begins
/// there.
fn undecided(text: &[u8], line: &Range<usize>, from: usize) -> usize {
    places(text, line)
        .find(|place| *place >= from && line.end.saturating_sub(*place) < PROBE + 2)
        .unwrap_or(text.len())
}

/// Returns whether the run from `start` on begins with text.
fn is_text(text: &[u8], start: usize, kind: Encoding) -> bool {
    let rest = text.get(start..).unwrap_or_default();
    let fits = |byte: &u8| match kind {
        Encoding::Base64 => is_of_run(*byte),
        Encoding::Hexadecimal => byte.is_ascii_hexdigit(),
    };
    // Most runs are names; for most of them the first character decides.
    let first = decode(rest.get(..4).unwrap_or_default(), kind).next();
    work::spend(1);
    if first.is_none_or(|byte| (0x7F..0xC2).contains(&byte)) {
        return false;
    }
    work::spend(PROBE);
    let len = rest
        .iter()
        .take(PROBE)
        .take_while(|byte| fits(byte))
        .count();
    let ends_within = kind == Encoding::Hexadecimal && len < PROBE && is_of_run(at(rest, len));
    if len < MIN_ENCODED_BYTES || ends_within {
        return false;
    }
    let mut bytes = [0u8; PROBE];
    let mut count = 0usize;
    for (to, byte) in bytes
        .iter_mut()
        .zip(decode(rest.get(..len).unwrap_or_default(), kind))
    {
        *to = byte;
        count = count.saturating_add(1);
    }
    is_readable(bytes.get(..count).unwrap_or_default())
}

fn is_shown(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7F || matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Returns whether the bytes are text, half of which may be hidden, as in UTF-16; a character may be cut off at the end.
fn is_readable(bytes: &[u8]) -> bool {
    let shown = bytes.iter().filter(|byte| is_shown(**byte)).count();
    if shown.saturating_mul(2) < bytes.len() {
        return false;
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    }
}

/// Part of a run that is decoded together, with padding.
struct DecodedRun {
    end: usize,
    /// Whether more text cannot change the end.
    decided: bool,
}

fn part(text: &[u8], start: usize) -> DecodedRun {
    let mut line = start;
    let mut end = start;
    let mut count = 0usize;
    loop {
        let most = MAX_ENCODED_BYTES.saturating_sub(count);
        end = line_end(text, end).min(end.saturating_add(most));
        let len = end.saturating_sub(line);
        count = count.saturating_add(len);
        if count >= MAX_ENCODED_BYTES {
            return DecodedRun { end, decided: true };
        }
        let next = match (at(text, end), at(text, end.saturating_add(1))) {
            (b'\n', _) => end.saturating_add(1),
            (b'\r', b'\n') => end.saturating_add(2),
            _ => break,
        };
        if len < LINE {
            break;
        }
        if next >= text.len() {
            return DecodedRun {
                end,
                decided: false,
            };
        }
        if !is_of_run(at(text, next)) {
            break;
        }
        (line, end) = (next, next);
    }
    let padding = text
        .get(end..)
        .unwrap_or_default()
        .iter()
        .take(2)
        .take_while(|byte| **byte == b'=')
        .count();
    let end = end.saturating_add(padding);
    let cut = end == text.len() || at(text, end) == b'\r' && end.saturating_add(1) == text.len();
    DecodedRun { end, decided: !cut }
}

/// Returns the bytes of a run without line ends and padding.
fn decode(run: &[u8], kind: Encoding) -> impl Iterator<Item = u8> {
    let bits = match kind {
        Encoding::Base64 => 6u32,
        Encoding::Hexadecimal => 4,
    };
    let (mut held, mut count) = (0u32, 0u32);
    run.iter().filter_map(move |byte| {
        let value = match (kind, byte) {
            (Encoding::Hexadecimal, b'0'..=b'9') => byte & 0x0F,
            (Encoding::Hexadecimal, b'a'..=b'f' | b'A'..=b'F') => (byte & 0x0F).wrapping_add(9),
            (Encoding::Base64, b'A'..=b'Z') => byte.wrapping_sub(b'A'),
            (Encoding::Base64, b'a'..=b'z') => byte.wrapping_sub(b'a').wrapping_add(26),
            (Encoding::Base64, b'0'..=b'9') => byte.wrapping_sub(b'0').wrapping_add(52),
            (Encoding::Base64, b'+' | b'-') => 62,
            (Encoding::Base64, b'/' | b'_') => 63,
            _ => return None,
        };
        held = held << bits | u32::from(value);
        count = count.wrapping_add(bits);
        if count < 8 {
            return None;
        }
        count = count.wrapping_sub(8);
        let byte = u8::try_from(held >> count & 0xFF).ok();
        held &= 0xFF;
        byte
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str) -> Vec<(&str, String)> {
        let mut found = Vec::new();
        each_run(text.as_bytes(), 0, false, &mut |run| {
            found.push((text.get(run.range).unwrap(), run.text));
        });
        found
    }

    #[test]
    fn hidden_characters_in_an_encoded_text_do_not_hide_it() {
        use base64::Engine;
        let wide: Vec<u8> = "key AKIA".bytes().flat_map(|byte| [byte, 0]).collect();
        for bytes in [
            &wide[..],
            b"see 4111\0 1111 1111",
            b"\x1b[31m4111 1111 1111",
        ] {
            let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
            for run in [hexadecimal, base64] {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                assert_eq!(runs(&run), [(run.as_str(), text)]);
            }
        }
        assert!(runs(&"0102".repeat(8)).is_empty());
    }

    #[test]
    fn both_encodings_are_found_with_their_padding() {
        for (text, run, decoded) in [
            (
                "x SGVsbG8sIHdvcmxkIQ== y",
                "SGVsbG8sIHdvcmxkIQ==",
                "Hello, world!",
            ),
            ("SGVsbG8sIHdvcmxkIQ", "SGVsbG8sIHdvcmxkIQ", "Hello, world!"),
            (
                "data=Pz8_PmFhYWFhYWFhYWFh",
                "Pz8_PmFhYWFhYWFhYWFh",
                "???>aaaaaaaaaaa",
            ),
            (
                "48656c6c6f2c20776f726c6421",
                "48656c6c6f2c20776f726c6421",
                "Hello, world!",
            ),
            (
                "0x48656C6C6F2C20776F726C6421.",
                "48656C6C6F2C20776F726C6421",
                "Hello, world!",
            ),
            (
                "abSGVsbG8sIHdvcmxkIQ==",
                "SGVsbG8sIHdvcmxkIQ==",
                "Hello, world!",
            ),
            (
                "path/to/SGVsbG8sIHdvcmxkIQ",
                "SGVsbG8sIHdvcmxkIQ",
                "Hello, world!",
            ),
            (
                "https://example.com/SGVsbG8sIHdvcmxkIQ",
                "SGVsbG8sIHdvcmxkIQ",
                "Hello, world!",
            ),
        ] {
            assert_eq!(runs(text), [(run, decoded.to_owned())], "{text}");
        }
    }

    #[test]
    fn lines_of_one_run_are_decoded_together() {
        let line = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAx";
        let text = format!("a:\r\n{line}\r\nMjM0NTY3ODk=\r\nend");
        let found = runs(&text);
        assert_eq!(found.len(), 1);
        assert!(found[0].1.ends_with("z0123456789"), "{found:?}");
        assert!(found[0].0.ends_with("ODk="));
    }

    #[test]
    fn words_names_and_noise_are_no_text() {
        for text in [
            "internationalization of communications",
            "aVeryLongIdentifierNameInJava",
            "d41d8cd98f00b204e9800998ecf8427e",
            "q7GxR2pZ9LmT4vKsQ7GxR2pZ9LmT4vKs",
            "/usr/local/share/applications/menu",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "",
            "short",
        ] {
            assert_eq!(runs(text), [], "{text}");
        }
    }

    #[test]
    fn an_open_text_holds_back_what_may_be_text() {
        let begun = |text: &str| each_run(text.as_bytes(), 0, true, &mut |_| {});
        assert_eq!(begun("x SGVsbG8sIHdvcmxkIQ=="), 2);
        assert_eq!(begun("x SGVsbG8sIHdvcmxkIQ== "), 23);
        assert_eq!(begun("x SGVs"), 2);
        let noise = "q7GxR2pZ9LmT4vKsQ7GxR2pZ9LmT4vKsq7GxR2pZ9LmT4vKs";
        assert_eq!(begun(noise), noise.len());
        let line = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAx";
        for end in ["", "\r", "\r\n", "\n", "\nMjM0"] {
            assert_eq!(begun(&format!("{line}{end}")), 0, "{end:?}");
        }
        assert!(begun(&format!("{line}\n.")) > line.len());
    }

    #[test]
    fn long_runs_are_decoded_in_parts() {
        let text = "QUFB".repeat(40_000);
        let found = runs(&text);
        assert_eq!(found.len(), 3);
        assert!(
            found
                .iter()
                .all(|(_, text)| text.bytes().all(|b| b == b'A'))
        );
        assert_eq!(
            found.iter().map(|(_, text)| text.len()).sum::<usize>(),
            120_000
        );
    }
}
