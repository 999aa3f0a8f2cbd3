//! Streamed bodies as a sequence of frames: server-sent events, lines of JSON, the elements of one growing JSON array,
//! Amazon's event stream. Each is an incremental reader that takes any chunking, and a writer that rewrites a frame's
//! payload and nothing else.

mod array;
mod eventstream;
mod lines;
mod sse;

/// How a stream is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `text/event-stream`.
    Sse,
    /// One JSON value a line.
    Lines,
    /// One JSON array whose elements arrive one after the other.
    Array,
    /// `application/vnd.amazon.eventstream`.
    Amazon,
}

/// One frame of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its bytes as they came, separators included: all frames together are the stream.
    pub raw: Vec<u8>,
    /// What it says that it is: SSE's `event`, Amazon's `:event-type` or `:exception-type`.
    pub event: Option<String>,
    /// Its payload; absent for frames that only keep the connection alive or separate others.
    pub payload: Option<Vec<u8>>,
    /// Names of the frame itself, by which a client asks for what follows it: SSE's `id`.
    pub ids: Vec<String>,
    /// Other text in it that a client could read: SSE's comments and unknown fields.
    pub asides: Vec<String>,
    /// How the payload stands in the raw bytes.
    layout: Layout,
}

/// How a payload stands in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    /// No payload.
    Bare,
    /// One run of bytes.
    Run(std::ops::Range<usize>),
    /// Several `data` lines of a server-sent event: their lines, ends included, and their contents.
    DataLines(Vec<(std::ops::Range<usize>, std::ops::Range<usize>)>),
    /// The payload of a binary message.
    Message(std::ops::Range<usize>),
}

/// Why a stream can't be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// One frame is larger than the limit.
    TooLarge,
    /// A checksum or a length is wrong, or what stands between frames is nothing that may stand there.
    Malformed,
}

/// Memory that is kept for bytes to come, beyond those that are there.
const KEPT: usize = 4 << 10;

/// An incremental reader of frames.
#[derive(Debug)]
pub struct Frames {
    /// Bytes that arrived; those before `start` are in frames already.
    arrived: Vec<u8>,
    start: usize,
    /// How far what is in no frame yet has been looked at.
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
    /// A reader; `limit` is the size of the largest frame, in bytes.
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

    /// Takes in bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.arrived.extend_from_slice(bytes);
    }

    /// Bytes that are in no frame yet.
    fn pending(&self) -> &[u8] {
        self.arrived.get(self.start..).unwrap_or_default()
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// The stream can't be read on; nothing more comes of it.
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
                // What a large frame took is given back, what small ones took is used again.
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

    /// What is left when the stream has ended: a last frame without its end, or nothing.
    ///
    /// # Errors
    /// What is left is no frame.
    pub fn finish(&mut self) -> Result<Option<Frame>, FrameError> {
        let left = self.pending();
        if left.is_empty() {
            return Ok(None);
        }
        match self.state {
            // Servers that close the connection after the last event or line leave out what would end it.
            FramingState::Sse(_) | FramingState::Lines => self.cut(left.len()).map(Some),
            FramingState::Array(_) if left.trim_ascii().is_empty() => {
                self.cut(left.len()).map(Some)
            }
            FramingState::Array(_) | FramingState::Amazon => Err(FrameError::Malformed),
        }
    }

    /// Gives up: everything that is in no frame yet.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.pending().to_vec();
        self.arrived.clear();
        self.start = 0;
        self.looked = 0;
        rest
    }

    /// Bytes that are held because they are no whole frame yet.
    pub fn held(&self) -> usize {
        self.pending().len()
    }

    fn cut(&mut self, end: usize) -> Result<Frame, FrameError> {
        let pending = self.pending();
        let raw = pending.get(..end).unwrap_or(pending).to_vec();
        self.start = self.start.saturating_add(raw.len());
        self.looked = 0;
        match &mut self.state {
            FramingState::Sse(state) => state.parse(raw),
            FramingState::Lines => Ok(lines::parse(raw)),
            FramingState::Array(state) => Ok(state.parse(raw)),
            FramingState::Amazon => eventstream::parse(raw),
        }
    }
}

impl Frame {
    /// A frame without payload.
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

    /// What stays of a frame whose payload may not pass: nothing, unless a client could ask for what follows it.
    pub fn without_payload(&self) -> Vec<u8> {
        match self.ids.last() {
            Some(id) => sse::place(id),
            None => Vec::new(),
        }
    }

    /// The frame's bytes with another payload. Everything else stays as it came; lengths and checksums fit.
    pub fn with_payload(&self, payload: &[u8]) -> Vec<u8> {
        match &self.layout {
            Layout::Bare => self.raw.clone(),
            Layout::Run(range) => {
                let mut out = self.raw.get(..range.start).unwrap_or_default().to_vec();
                out.extend_from_slice(payload);
                out.extend_from_slice(self.raw.get(range.end..).unwrap_or_default());
                out
            }
            Layout::DataLines(lines) => sse::with_payload(&self.raw, lines, payload),
            Layout::Message(range) => eventstream::with_payload(&self.raw, range, payload),
        }
    }
}

/// A new frame of a framing, for what the filter itself has to say.
pub fn compose(framing: Framing, event: Option<&str>, payload: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Sse => sse::compose(event, payload),
        Framing::Lines => [payload, b"\n"].concat(),
        Framing::Array => payload.to_vec(),
        Framing::Amazon => eventstream::compose("event", event.unwrap_or_default(), payload),
    }
}

/// A new frame that reports an error in Amazon's event stream.
pub fn compose_exception(kind: &str, payload: &[u8]) -> Vec<u8> {
    eventstream::compose("exception", kind, payload)
}

#[cfg(test)]
mod tests;
