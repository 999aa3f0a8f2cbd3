//! Frames of streamed bodies: server-sent events, JSON lines, the elements of a growing JSON array, and messages of
//! Amazon's event stream. Each format has an incremental parser, which accepts any chunking, and a writer, which
//! replaces the payload of a frame and keeps all its other bytes.

mod array;
mod eventstream;
mod lines;
mod sse;

pub use sse::is_line_end;

/// The format of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `text/event-stream`.
    Sse,
    /// One JSON value per line.
    Lines,
    /// One JSON array whose elements arrive one by one.
    Array,
    /// `application/vnd.amazon.eventstream`.
    Amazon,
}

/// One frame of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The bytes as they arrived, separators included. The `raw` bytes of all frames together are the stream.
    pub raw: Vec<u8>,
    /// The event name: SSE's `event`, Amazon's `:event-type` or `:exception-type`.
    pub event: Option<String>,
    /// The payload. Absent in keep-alive frames and separators.
    pub payload: Option<Vec<u8>>,
    /// Resumption ids that a client can send back to continue the stream: SSE's `id`.
    pub ids: Vec<String>,
    /// Other text that a client could read: SSE's comments and unknown fields.
    pub asides: Vec<String>,
    /// Where the payload is in `raw`.
    layout: Layout,
}

/// The location of a payload in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    /// No payload.
    Bare,
    /// One byte range.
    Run(std::ops::Range<usize>),
    /// Several `data` lines of a server-sent event. Each has the range of the line, its line end included, and the
    /// range of its content.
    DataLines(Vec<(std::ops::Range<usize>, std::ops::Range<usize>)>),
    /// The payload range of a binary message.
    Message(std::ops::Range<usize>),
}

/// The reason why a stream cannot be parsed further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// One frame is larger than the limit.
    TooLarge,
    /// A checksum or a length is wrong, or the bytes between frames are no valid separator.
    Malformed,
}

/// Buffer capacity in bytes that is kept after a frame was taken.
const KEPT: usize = 4 << 10;

/// An incremental frame parser.
#[derive(Debug)]
pub struct Frames {
    /// Received bytes. Those before `start` have been returned as frames.
    arrived: Vec<u8>,
    start: usize,
    /// Offset in the pending bytes up to which they have been searched for a frame end.
    looked: usize,
    limit: usize,
    state: FramingState,
}

#[derive(Debug)]
enum FramingState {
    Sse(sse::SseState),
    Lines,
    Array(array::ArrayState),
    Amazon,
}

impl Frames {
    /// Creates a parser. `limit` is the maximum size of a frame in bytes.
    pub fn new(framing: Framing, limit: usize) -> Frames {
        Frames {
            arrived: Vec::new(),
            start: 0,
            looked: 0,
            limit,
            state: match framing {
                Framing::Sse => FramingState::Sse(sse::SseState::default()),
                Framing::Lines => FramingState::Lines,
                Framing::Array => FramingState::Array(array::ArrayState::default()),
                Framing::Amazon => FramingState::Amazon,
            },
        }
    }

    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.arrived.extend_from_slice(bytes);
    }

    /// The bytes that are in no frame yet.
    fn pending(&self) -> &[u8] {
        self.arrived.get(self.start..).unwrap_or_default()
    }

    /// Returns the next complete frame, if there is one.
    ///
    /// # Errors
    /// The stream is malformed or a frame is too large. No more frames follow.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let pending = self.arrived.get(self.start..).unwrap_or_default();
        let end = match &mut self.state {
            FramingState::Sse(state) => state.end(pending, &mut self.looked),
            FramingState::Lines => lines::end(pending, &mut self.looked),
            FramingState::Array(state) => state.end(pending, &mut self.looked)?,
            FramingState::Amazon => eventstream::end(pending, self.limit)?,
        };
        let Some(end) = end else {
            if pending.len() > self.limit {
                return Err(FrameError::TooLarge);
            }
            if self.start > 0 {
                // The memory of a large frame is freed; a small buffer is reused.
                if self.arrived.capacity() > KEPT {
                    self.arrived = pending.to_vec();
                } else {
                    self.arrived.drain(..self.start);
                }
                self.start = 0;
            }
            return Ok(None);
        };
        if end > self.limit {
            return Err(FrameError::TooLarge);
        }
        self.cut(end).map(Some)
    }

    /// Returns the remaining bytes as the last frame when the stream has ended, or `None` if nothing remains.
    ///
    /// # Errors
    /// The remaining bytes are no frame.
    pub fn finish(&mut self) -> Result<Option<Frame>, FrameError> {
        let left = self.pending();
        if left.is_empty() {
            return Ok(None);
        }
        match self.state {
            // Servers that close the connection after the last event or line may omit its terminator.
            FramingState::Sse(_) | FramingState::Lines => self.cut(left.len()).map(Some),
            FramingState::Array(_) if left.trim_ascii().is_empty() => {
                self.cut(left.len()).map(Some)
            }
            FramingState::Array(_) | FramingState::Amazon => Err(FrameError::Malformed),
        }
    }

    /// Takes all bytes that are in no frame yet. The parser is not used any more.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.pending().to_vec();
        self.arrived.clear();
        self.start = 0;
        self.looked = 0;
        rest
    }

    /// Number of bytes that wait for the rest of their frame.
    pub fn held(&self) -> usize {
        self.pending().len()
    }

    fn cut(&mut self, end: usize) -> Result<Frame, FrameError> {
        let pending = self.pending();
        let raw = pending.get(..end).unwrap_or(pending).to_vec();
        let before = self.start;
        self.start = before.saturating_add(raw.len());
        self.looked = 0;
        let frame = match &mut self.state {
            FramingState::Sse(state) => state.parse(raw),
            FramingState::Lines => lines::parse(raw),
            FramingState::Array(state) => Ok(state.parse(raw)),
            FramingState::Amazon => eventstream::parse(raw),
        };
        if frame.is_err() {
            // Its bytes are in no frame.
            self.start = before;
        }
        frame
    }
}

impl Frame {
    /// Creates a frame without payload.
    fn bare(raw: Vec<u8>) -> Frame {
        Frame {
            raw,
            event: None,
            payload: None,
            ids: Vec::new(),
            asides: Vec::new(),
            layout: Layout::Bare,
        }
    }

    /// Returns the bytes that remain of a frame whose payload is removed: none, unless the frame has resumption ids.
    pub fn without_payload(&self) -> Vec<u8> {
        match self.ids.last() {
            Some(id) => sse::place(id),
            None => Vec::new(),
        }
    }

    /// Returns the frame's bytes with another payload. All other bytes stay as they arrived; lengths and checksums are
    /// updated.
    pub fn with_payload(&self, payload: &[u8]) -> Vec<u8> {
        match &self.layout {
            Layout::Bare => self.raw.clone(),
            Layout::Run(range) => {
                let mut out = self.raw.get(..range.start).unwrap_or_default().to_vec();
                let known = self.raw.get(range.clone()).unwrap_or_default();
                match known.contains(&b'\n') {
                    // An element of an array, which may take several lines.
                    true => out.extend_from_slice(payload),
                    false => append_on_one_line(&mut out, payload),
                }
                out.extend_from_slice(self.raw.get(range.end..).unwrap_or_default());
                out
            }
            Layout::DataLines(lines) => sse::with_payload(&self.raw, lines, payload),
            Layout::Message(range) => eventstream::with_payload(&self.raw, range, payload),
        }
    }
}

/// Appends JSON with a space in place of each line end, which would end the frame. Values that a server sent in a string or
/// over several lines may have line ends between their tokens.
fn append_on_one_line(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    for byte in out.iter_mut().skip(start) {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// Composes a new frame for content of the filter itself.
pub fn compose(framing: Framing, event: Option<&str>, payload: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Sse => sse::compose(event, payload),
        Framing::Lines => {
            let mut out = Vec::with_capacity(payload.len().saturating_add(1));
            append_on_one_line(&mut out, payload);
            out.push(b'\n');
            out
        }
        Framing::Array => payload.to_vec(),
        Framing::Amazon => eventstream::compose("event", event.unwrap_or_default(), payload),
    }
}

/// Composes a new error frame of Amazon's event stream.
pub fn compose_exception(kind: &str, payload: &[u8]) -> Vec<u8> {
    eventstream::compose("exception", kind, payload)
}

#[cfg(test)]
mod tests;
