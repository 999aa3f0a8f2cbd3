//! Frame parser for server-sent events.
//!
//! `event: message_stop\ndata: {"type":"message_stop"}\n\n` is one frame. Lines end with CRLF, LF or CR; an event ends
//! at a blank line; one leading byte order mark is skipped; several `data` lines are joined with LF; one space after
//! the colon is skipped.
//!
//! Source: WHATWG HTML, "Server-sent events" §9.2.6.

use super::{Frame, FrameError, Layout};
use crate::wire::search;
use std::ops::Range;

#[derive(Debug, Default)]
pub(super) struct SseState {
    /// Whether a frame has been cut before. A byte order mark is valid only in the first frame.
    begun: bool,
    /// Offset of the current line.
    line: usize,
    /// Offset after a CR that was the last byte received. An LF at this offset belongs to the same line end.
    open_cr: Option<usize>,
}

impl SseState {
    /// Returns the end offset of the first event, its blank line included.
    pub(super) fn end(&mut self, pending: &[u8], looked: &mut usize) -> Option<usize> {
        if *looked == 0 {
            let mut start = 0;
            if !self.begun && pending.starts_with(BOM) {
                start = BOM.len();
            } else if !self.begun && BOM.starts_with(pending) && pending.len() < BOM.len() {
                return None;
            }
            self.line = start;
            self.open_cr = None;
            *looked = start;
        }
        loop {
            let rest = pending.get(*looked..).unwrap_or_default();
            *looked = looked.saturating_add(line_length(rest));
            let at = *looked;
            let &byte = pending.get(at)?;
            *looked = at.saturating_add(1);
            let blank = at == self.line;
            match byte {
                b'\n' if self.open_cr == Some(at) => {
                    self.line = *looked;
                    continue;
                }
                b'\n' => {}
                // The byte after the CR may not have arrived yet.
                b'\r' => match pending.get(*looked) {
                    Some(b'\n') => *looked = looked.saturating_add(1),
                    Some(_) => {}
                    // The event is complete, but waits for the next byte, so that frames don't depend on chunk
                    // boundaries. Hardly any server ends lines with CR alone.
                    None if blank => {
                        *looked = at;
                        return None;
                    }
                    None => self.open_cr = Some(*looked),
                },
                _ => continue,
            }
            self.line = *looked;
            if blank {
                return Some(*looked);
            }
        }
    }

    pub(super) fn parse(&mut self, raw: Vec<u8>) -> Result<Frame, FrameError> {
        let mut at = 0;
        if !self.begun && raw.starts_with(BOM) {
            at = BOM.len();
        }
        self.begun = true;
        let mut event = None;
        let mut ids = Vec::new();
        let mut asides = Vec::new();
        let mut data: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        while at < raw.len() {
            let rest = raw.get(at..).unwrap_or_default();
            let length = line_length(rest);
            let end = match (rest.get(length), rest.get(length.saturating_add(1))) {
                (Some(b'\r'), Some(b'\n')) => length.saturating_add(2),
                (Some(_), _) => length.saturating_add(1),
                (None, _) => length,
            };
            let line = rest.get(..length).unwrap_or_default();
            let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
            let name = line.get(..colon).unwrap_or_default();
            let after = line.get(colon.saturating_add(1)..).unwrap_or_default();
            let value = after.strip_prefix(b" ").unwrap_or(after);
            let value_start = at.saturating_add(length).saturating_sub(value.len());
            match name {
                b"data" => data.push((
                    at..at.saturating_add(end),
                    value_start..value_start.saturating_add(value.len()),
                )),
                _ if is_torn(line) => return Err(FrameError::Malformed),
                b"event" => {
                    let value = String::from_utf8_lossy(value).into_owned();
                    // Some clients take the first name, others the one before the data.
                    if event.as_ref().is_some_and(|event| *event != value) {
                        return Err(FrameError::Malformed);
                    }
                    event = Some(value);
                }
                b"id" => ids.push(String::from_utf8_lossy(value).into_owned()),
                // A client that expects no stream reads this as a JSON response.
                _ if matches!(line.trim_ascii_start().first(), Some(b'{' | b'[')) => {
                    return Err(FrameError::Malformed);
                }
                // One that trims its lines or ignores case reads a payload.
                _ if is_nearly_data(name) => return Err(FrameError::Malformed),
                // Clients read retry times and ignore other fields. A field's name may carry more text than its value,
                // so that both are inspected. A comment has no name.
                _ if !line.is_empty() => {
                    let aside = if name.is_empty() { value } else { line };
                    asides.push(String::from_utf8_lossy(aside).into_owned());
                }
                _ => {}
            }
            at = at.saturating_add(end);
        }
        if has_whole_line(&raw, &data) {
            return Err(FrameError::Malformed);
        }
        let payload = payload(&raw, &data);
        let layout = match data.as_slice() {
            [] => Layout::Bare,
            // A `data` line without colon has no place for a payload.
            [(line, content)] if content.start > line.start.saturating_add(b"data".len()) => {
                Layout::Run(content.clone())
            }
            _ => Layout::DataLines(data),
        };
        Ok(Frame {
            raw,
            event,
            payload,
            ids,
            asides,
            layout,
        })
    }
}

/// Returns whether the name of a field is `data` for a client that trims lines or ignores case, and for nobody else.
fn is_nearly_data(name: &[u8]) -> bool {
    let seen = name.iter().filter(|byte| byte.is_ascii_graphic());
    name.len() > 3 && seen.map(u8::to_ascii_lowercase).eq(*b"data")
}

/// Returns whether a line beside the data has a character at which only some clients end lines. What follows is a field
/// to them.
fn is_torn(line: &[u8]) -> bool {
    !line.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && String::from_utf8_lossy(line).contains(is_line_end)
}

/// Returns whether any client ends a line at a character: Python's `splitlines` does at all of these.
pub fn is_line_end(c: char) -> bool {
    matches!(
        c,
        '\n' | '\u{B}' | '\u{C}' | '\r' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Returns whether one `data` line of JSON over several is an object on its own: it is the event to a client that reads
/// line by line, and a member of the event to others. No writer of indented JSON leaves an object on one line.
fn has_whole_line(raw: &[u8], data: &[(Range<usize>, Range<usize>)]) -> bool {
    let mut lines = data
        .iter()
        .filter_map(|(_, content)| Some(raw.get(content.clone())?.trim_ascii()));
    let first = lines.next().and_then(<[u8]>::first);
    matches!(first, Some(b'{' | b'['))
        && lines.any(|line| match line {
            [b'{', inner @ .., b'}'] | [b'[', b'{', inner @ .., b'}', b']'] => !inner.is_empty(),
            _ => false,
        })
}

/// Returns the number of bytes before the first line end.
fn line_length(bytes: &[u8]) -> usize {
    search::bytes_before(bytes, *b"\r\n")
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

fn payload(raw: &[u8], data: &[(Range<usize>, Range<usize>)]) -> Option<Vec<u8>> {
    if data.is_empty() {
        return None;
    }
    let mut payload = Vec::new();
    for (number, (_, content)) in data.iter().enumerate() {
        if number > 0 {
            payload.push(b'\n');
        }
        payload.extend_from_slice(raw.get(content.clone()).unwrap_or_default());
    }
    Some(payload)
}

/// Replaces several `data` lines by a payload: at the first of them, with one line per line of the payload.
pub(super) fn with_payload(
    raw: &[u8],
    lines: &[(Range<usize>, Range<usize>)],
    payload: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len().saturating_add(payload.len()));
    let mut at = 0;
    for (number, (line, content)) in lines.iter().enumerate() {
        out.extend_from_slice(raw.get(at..line.start).unwrap_or_default());
        if number == 0 {
            let end = raw.get(content.end..line.end).unwrap_or_default();
            for part in payload.split(|b| *b == b'\n') {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(part);
                out.extend_from_slice(end);
            }
        }
        at = line.end;
    }
    out.extend_from_slice(raw.get(at..).unwrap_or_default());
    out
}

/// Composes an event that carries only a resumption id: `id: 7\ndata:\n\n`. MCP of 2025-11-25 begins every stream with
/// such an event.
pub(super) fn place(id: &str) -> Vec<u8> {
    format!("id: {id}\ndata:\n\n").into_bytes()
}

pub(super) fn compose(event: Option<&str>, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len().saturating_add(32));
    if let Some(event) = event {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    super::append_on_one_line(&mut out, payload);
    out.extend_from_slice(b"\n\n");
    out
}
