//! Frame parser for a growing JSON array (Gemini without `alt=sse`).
//!
//! `[{"candidates":[…]}\n,\r\n{"candidates":[…]}]` is three frames: `[{…}`, `\n,\r\n{…}` and `]`. A frame is an element
//! with the separator before it; the closing bracket is a frame without payload. An error may arrive as one object
//! without an array around it: `{"error":{…}}`.

use super::{Frame, FrameError, Layout};

#[derive(Debug, Default)]
pub(super) struct ArrayState {
    opened: bool,
    closed: bool,
    /// Scan state inside an element: number of open brackets, inside a string, after a backslash.
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// Offset of the element's first byte; `None` before it arrived.
    start: Option<usize>,
}

impl ArrayState {
    pub(super) fn end(
        &mut self,
        pending: &[u8],
        looked: &mut usize,
    ) -> Result<Option<usize>, FrameError> {
        if *looked == 0 {
            self.depth = 0;
            self.in_string = false;
            self.escaped = false;
            self.start = None;
        }
        while let Some(&byte) = pending.get(*looked) {
            *looked = looked.saturating_add(1);
            if self.start.is_none() {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => {}
                    b'[' if !self.opened => self.opened = true,
                    b',' if self.opened && !self.closed => {}
                    b']' if self.opened && !self.closed => {
                        self.closed = true;
                        return Ok(Some(*looked));
                    }
                    b'{' if !self.closed => {
                        self.closed = !self.opened;
                        self.start = Some(looked.saturating_sub(1));
                        self.depth = 1;
                    }
                    _ => return Err(FrameError::Malformed),
                }
                continue;
            }
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Ok(Some(*looked));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    pub(super) fn parse(&mut self, raw: Vec<u8>) -> Frame {
        match self.start.take() {
            Some(start) => {
                let range = start..raw.len();
                Frame {
                    payload: raw.get(range.clone()).map(<[u8]>::to_vec),
                    layout: Layout::Run(range),
                    ..Frame::bare(raw)
                }
            }
            None => Frame::bare(raw),
        }
    }
}
