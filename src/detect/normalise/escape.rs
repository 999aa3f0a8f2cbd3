//! Escaped characters: HTML entity, percent escape, backslash escape, control sequence of a terminal.
//!
//! Escapes of escapes (`%2534`, `\\u0034`, `&amp;#52;`, `\u0026#52;`, `%26%2352%3B`) are decoded as well, because
//! each program that passes a text on may add a layer.

use super::super::tables::entities::ENTITIES;
use crate::wire::search;

/// Maximum bytes of an entity, with `&` and `;`.
const LONGEST_ENTITY: usize = 32;

/// Maximum bytes of a control sequence after ESC: `[1;38;2;255;255;255m`, and as many again.
const LONGEST_SEQUENCE: usize = 40;

/// Maximum layers that are decoded.
const LAYERS: usize = 16;

/// Maximum bytes of an escape that is itself written in escapes, and maximum rounds of decoding it.
const WRITTEN: usize = 72;
const ROUNDS: usize = 4;

/// Escape at a position of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// A character, and the number of bytes that it is written with.
    Char(char, usize),
    /// No escape, and the number of bytes that can be skipped.
    None(usize),
    /// An escape that is cut off by the end of the text, and the number of bytes left.
    Begun(usize),
}

/// Bytes that an escape begins with.
const BEGINS: [u8; 4] = *b"&%\\\x1B";

/// Character that stands for a whole control sequence (ECMA-48, 8.3.16).
pub(super) const CONTROL_SEQUENCE: char = '\u{9B}';

/// Reads the escape that begins at `at` with `&`, `%`, `\` or ESC. At the end of a whole text (`last`) an unfinished
/// escape counts as it is.
pub(super) fn escape_at(text: &str, at: usize, last: bool) -> Escape {
    let mut read = one_at(text, at, last);
    for _ in 0..ROUNDS {
        let Escape::Char('&' | '%' | '\\', _) = read else {
            break;
        };
        match written_out(text, at, last, read) {
            Some(next) => read = next,
            None => break,
        }
    }
    match read {
        Escape::Char('\x1B', len) => control_sequence(text, at, len, last),
        read => read,
    }
}

/// Reads the rest of a sequence such as `ESC [ 1 ; 31 m`, by which a program colours what it writes to a terminal. Others
/// than those in use don't count: all that a reader sees stays, such as `ESC [ 4111…`.
fn control_sequence(text: &str, at: usize, len: usize, last: bool) -> Escape {
    let rest = text
        .as_bytes()
        .get(at.saturating_add(len)..)
        .unwrap_or_default();
    let mut written = len;
    let mut digits = 0usize;
    for (place, byte) in rest.iter().take(LONGEST_SEQUENCE).enumerate() {
        written = written.saturating_add(1);
        match byte {
            b'[' if place == 0 => {}
            _ if place == 0 => return Escape::Char('\x1B', len),
            b'?' if place == 1 => {}
            b'0'..=b'9' if digits < 3 => digits = digits.saturating_add(1),
            b';' => digits = 0,
            b'm' | b'K' => return Escape::Char(CONTROL_SEQUENCE, written),
            b'A'..=b'Z' | b'a'..=b'z' if digits > 0 => {
                return Escape::Char(CONTROL_SEQUENCE, written);
            }
            _ => return Escape::Char('\x1B', len),
        }
    }
    match last || rest.len() >= LONGEST_SEQUENCE {
        true => Escape::Char('\x1B', len),
        false => Escape::Begun(text.len().saturating_sub(at)),
    }
}

/// Returns the escape that begins with an escaped `&`, `%` or `\`.
fn written_out(text: &str, at: usize, last: bool, first: Escape) -> Option<Escape> {
    let Escape::Char(c, len) = first else {
        return None;
    };
    let mut seen = String::from(c);
    let mut ends = vec![len];
    let mut len = len;
    // The text read so far is a character if it is a complete escape.
    let ended = |seen: &str, ends: &[usize], last: bool| match one_at(seen, 0, last) {
        Escape::Char(c, used) => {
            let end = ends.get(used.checked_sub(1)?)?;
            Some(Escape::Char(c, *end))
        }
        _ => None,
    };
    while len <= WRITTEN {
        let place = at.saturating_add(len);
        let (c, more) = match text.as_bytes().get(place) {
            None if last => break,
            None => return Some(Escape::Begun(len)),
            Some(b'&' | b'%' | b'\\') => match one_at(text, place, last) {
                Escape::Char(c, more) => (c, more),
                Escape::Begun(_) if !last => {
                    return Some(Escape::Begun(text.len().saturating_sub(at)));
                }
                _ => break,
            },
            Some(byte) => (char::from(*byte), 1),
        };
        if !c.is_ascii_graphic() {
            break;
        }
        len = len.saturating_add(more);
        seen.push(c);
        ends.push(len);
        match one_at(&seen, 0, false) {
            Escape::Begun(_) => {}
            Escape::None(_) => return None,
            Escape::Char(..) => return ended(&seen, &ends, false),
        }
    }
    ended(&seen, &ends, true)
}

/// Returns the single escape at a position, as written.
fn one_at(text: &str, at: usize, last: bool) -> Escape {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    match rest.first() {
        Some(b'&') => entity(rest, last),
        Some(b'%') => percent(rest, last),
        Some(b'\\') => backslash(rest),
        Some(0x1B) => Escape::Char('\x1B', 1),
        _ => Escape::None(1),
    }
}

/// Returns the number of bytes before an unfinished escape at the end of the text.
pub(super) fn stable_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    // The longest escapes: an entity, four percent escapes with all layers, two surrogates with all layers. A
    // control sequence may go on behind one.
    let longest = LAYERS
        .saturating_add(8)
        .saturating_mul(4)
        .max(LONGEST_ENTITY)
        .saturating_add(LONGEST_SEQUENCE);
    let from = bytes.len().saturating_sub(longest);
    let mut at = from;
    while let Some(rest) = bytes.get(at..) {
        at = at.saturating_add(search::bytes_before(rest, BEGINS));
        if at >= bytes.len() {
            break;
        }
        let step = match escape_at(text, at, false) {
            Escape::Begun(_) => return at,
            Escape::Char(_, len) | Escape::None(len) => len,
        };
        at = at.saturating_add(step);
    }
    bytes.len()
}

/// Reads `&#52;`, `&#x34;`, `&commat;`. Browsers accept numbers without the semicolon, too (HTML, 13.2.5.80).
fn entity(rest: &[u8], last: bool) -> Escape {
    let body = rest.get(1..).unwrap_or_default();
    let numeric = body.first() == Some(&b'#');
    let hex = numeric && matches!(body.get(1), Some(b'x' | b'X'));
    let skip = usize::from(numeric).saturating_add(usize::from(hex));
    let digits = body.get(skip..).unwrap_or_default();
    let fits = |byte: &u8| match (numeric, hex) {
        (true, true) => byte.is_ascii_hexdigit(),
        (true, false) => byte.is_ascii_digit(),
        _ => byte.is_ascii_alphanumeric(),
    };
    let len = digits
        .iter()
        .take(LONGEST_ENTITY)
        .take_while(|byte| fits(byte))
        .count();
    let written = len.saturating_add(skip).saturating_add(1);
    if len >= LONGEST_ENTITY {
        return Escape::None(1);
    }
    if digits.len() == len && !(last && numeric) {
        return Escape::Begun(rest.len());
    }
    let closed = digits.get(len) == Some(&b';');
    let Some(name) = digits
        .get(..len)
        .and_then(|name| std::str::from_utf8(name).ok())
        .filter(|name| !name.is_empty())
    else {
        return Escape::None(1);
    };
    let c = if numeric {
        u32::from_str_radix(name, if hex { 16 } else { 10 })
            .ok()
            .and_then(char::from_u32)
    } else if closed {
        ENTITIES
            .binary_search_by(|(entry, _)| (*entry).cmp(name))
            .ok()
            .and_then(|n| ENTITIES.get(n))
            .map(|(_, c)| *c)
    } else {
        None
    };
    c.map_or(Escape::None(1), |c| {
        Escape::Char(c, written.saturating_add(usize::from(closed)))
    })
}

/// Reads `%34`, `%E2%80%8B`, `%2534`.
fn percent(rest: &[u8], last: bool) -> Escape {
    let first = match percent_byte(rest, last) {
        Ok((byte, len)) => (byte, len),
        Err(escape) => return escape,
    };
    let (lead, mut len) = first;
    if lead.is_ascii() {
        return Escape::Char(char::from(lead), len);
    }
    let wanted = match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return Escape::None(1),
    };
    let mut utf8 = vec![lead];
    while utf8.len() < wanted {
        match rest.get(len..) {
            Some([]) | None => return Escape::Begun(rest.len()),
            Some(more) => match percent_byte(more, last) {
                Ok((byte @ 0x80..=0xBF, more)) => {
                    utf8.push(byte);
                    len = len.saturating_add(more);
                }
                // This is not a character, whatever follows. The next escape may be one by itself.
                Ok(_) => return Escape::None(1),
                Err(Escape::Begun(_)) => return Escape::Begun(rest.len()),
                Err(_) => return Escape::None(1),
            },
        }
    }
    match std::str::from_utf8(&utf8)
        .ok()
        .and_then(|c| c.chars().next())
    {
        Some(c) => Escape::Char(c, len),
        None => Escape::None(1),
    }
}

/// Returns the byte of a percent escape, and the length of the escape.
fn percent_byte(rest: &[u8], last: bool) -> Result<(u8, usize), Escape> {
    if rest.first() != Some(&b'%') {
        return Err(Escape::None(1));
    }
    let mut at = 1usize;
    for _ in 0..LAYERS {
        let pair = rest.get(at..).unwrap_or_default();
        match pair {
            [] | [b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F'] => {
                return Err(Escape::Begun(rest.len()));
            }
            [b'2', b'5', more @ ..] => {
                // `%25` is a percent sign, unless it is one layer of an escape.
                let after = at.saturating_add(2);
                match more {
                    [] if !last => return Err(Escape::Begun(rest.len())),
                    [high] if high.is_ascii_hexdigit() && !last => {
                        return Err(Escape::Begun(rest.len()));
                    }
                    [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                        at = after
                    }
                    _ => return Ok((b'%', after)),
                }
            }
            [high, low, ..] => {
                let byte = hex_value(&[*high, *low]).and_then(|value| u8::try_from(value).ok());
                return byte
                    .map(|byte| (byte, at.saturating_add(2)))
                    .ok_or(Escape::None(1));
            }
            _ => return Err(Escape::None(1)),
        }
    }
    Err(Escape::None(1))
}

/// Reads `\u0034`, `\ud83d\ude00`, `\u{1F600}`, `\U0001F600`, `\x34`, `\n`, `\f`, `\"`; with any number of backslashes.
fn backslash(rest: &[u8]) -> Escape {
    let slashes = rest.iter().take_while(|byte| **byte == b'\\').count();
    if slashes > LAYERS {
        return Escape::None(slashes);
    }
    let Some(kind) = rest.get(slashes) else {
        return Escape::Begun(rest.len());
    };
    let body = rest.get(slashes.saturating_add(1)..).unwrap_or_default();
    let written = |len: usize| len.saturating_add(slashes).saturating_add(1);
    let code = match kind {
        b'n' => return Escape::Char('\n', written(0)),
        b't' => return Escape::Char('\t', written(0)),
        b'r' => return Escape::Char('\r', written(0)),
        b'f' => return Escape::Char('\x0C', written(0)),
        b'b' => return Escape::Char('\x08', written(0)),
        b'"' | b'\'' | b'/' => return Escape::Char(char::from(*kind), written(0)),
        b'u' if body.first() == Some(&b'{') => braced(body),
        b'u' => fixed(body, 4),
        b'U' => fixed(body, 8),
        b'x' if body.first() == Some(&b'{') => braced(body),
        b'x' => fixed(body, 2),
        _ => return Escape::None(slashes),
    };
    match code {
        Code::Begun => Escape::Begun(rest.len()),
        Code::None => Escape::None(slashes),
        Code::Value(high @ 0xD800..=0xDBFF, len) => {
            // The other half of a surrogate pair (RFC 8259, section 7), with its own backslashes.
            let next = body.get(len..).unwrap_or_default();
            let more = next
                .iter()
                .take(LAYERS)
                .take_while(|byte| **byte == b'\\')
                .count();
            match (next.len(), next.get(more)) {
                (_, None) => return Escape::Begun(rest.len()),
                (_, Some(b'u')) if more > 0 => {}
                _ => return Escape::None(slashes),
            }
            match fixed(next.get(more.saturating_add(1)..).unwrap_or_default(), 4) {
                Code::Begun => Escape::Begun(rest.len()),
                Code::Value(low @ 0xDC00..=0xDFFF, low_len) => {
                    let code = (high & 0x3FF) << 10 | (low & 0x3FF);
                    let len = written(len)
                        .saturating_add(more)
                        .saturating_add(1)
                        .saturating_add(low_len);
                    char::from_u32(code.saturating_add(0x10000))
                        .map_or(Escape::None(slashes), |c| Escape::Char(c, len))
                }
                _ => Escape::None(slashes),
            }
        }
        Code::Value(code, len) => {
            char::from_u32(code).map_or(Escape::None(slashes), |c| Escape::Char(c, written(len)))
        }
    }
}

enum Code {
    Value(u32, usize),
    None,
    Begun,
}

fn fixed(body: &[u8], len: usize) -> Code {
    match body.get(..len) {
        Some(digits) => hex_value(digits).map_or(Code::None, |value| Code::Value(value, len)),
        None if body.iter().all(u8::is_ascii_hexdigit) => Code::Begun,
        None => Code::None,
    }
}

fn braced(body: &[u8]) -> Code {
    let digits = body.get(1..).unwrap_or_default();
    let len = digits
        .iter()
        .take(7)
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    match digits.get(len) {
        None if len < 7 => Code::Begun,
        Some(b'}') => digits
            .get(..len)
            .and_then(hex_value)
            .map_or(Code::None, |value| {
                Code::Value(value, len.saturating_add(2))
            }),
        _ => Code::None,
    }
}

/// Returns the value of at most eight hexadecimal digits.
fn hex_value(digits: &[u8]) -> Option<u32> {
    let value = digits.iter().try_fold(0u32, |value, digit| {
        Some(value << 4 | char::from(*digit).to_digit(16)?)
    });
    value.filter(|_| !digits.is_empty())
}
