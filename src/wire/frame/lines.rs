//! Frame parser for NDJSON and JSON Lines: one JSON value per line.
//!
//! `{"response":"Hi"}\n\n{"done":true}\n` is three frames. The empty line is a frame without payload.

use super::{Frame, FrameError, Layout};

pub(super) fn end(pending: &[u8], looked: &mut usize) -> Option<usize> {
    let rest = pending.get(*looked..).unwrap_or_default();
    match rest.iter().position(|b| *b == b'\n') {
        Some(at) => Some(looked.saturating_add(at).saturating_add(1)),
        None => {
            *looked = pending.len();
            None
        }
    }
}

pub(super) fn parse(raw: Vec<u8>) -> Result<Frame, FrameError> {
    let content = raw.trim_ascii();
    if content.is_empty() {
        return Ok(Frame::bare(raw));
    }
    // White space to JSON, and the end of a line to some clients.
    if content.contains(&b'\r') {
        return Err(FrameError::Malformed);
    }
    let start = raw.len().saturating_sub(raw.trim_ascii_start().len());
    let end = start.saturating_add(content.len());
    Ok(Frame {
        payload: Some(content.to_vec()),
        layout: Layout::Run(start..end),
        ..Frame::bare(raw)
    })
}
