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

/// An incremental reader of frames.
#[derive(Debug)]
pub struct Frames {
    /// Bytes that are in no frame yet.
    pending: Vec<u8>,
    /// How far `pending` has been looked at.
    looked: usize,
    limit: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Sse(sse::State),
    Lines,
    Array(array::State),
    Amazon,
}

impl Frames {
    /// A reader; `limit` is the size of the largest frame, in bytes.
    pub fn new(framing: Framing, limit: usize) -> Frames {
        Frames {
            pending: Vec::new(),
            looked: 0,
            limit,
            state: match framing {
                Framing::Sse => State::Sse(sse::State::default()),
                Framing::Lines => State::Lines,
                Framing::Array => State::Array(array::State::default()),
                Framing::Amazon => State::Amazon,
            },
        }
    }

    /// Takes in bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// The stream can't be read on; nothing more comes of it.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let end = match &mut self.state {
            State::Sse(state) => state.end(&self.pending, &mut self.looked),
            State::Lines => lines::end(&self.pending, &mut self.looked),
            State::Array(state) => state.end(&self.pending, &mut self.looked)?,
            State::Amazon => eventstream::end(&self.pending, self.limit)?,
        };
        let Some(end) = end else {
            return if self.pending.len() > self.limit {
                Err(FrameError::TooLarge)
            } else {
                Ok(None)
            };
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
        if self.pending.is_empty() {
            return Ok(None);
        }
        match self.state {
            // Servers that close the connection after the last event or line leave out what would end it.
            State::Sse(_) | State::Lines => self.cut(self.pending.len()).map(Some),
            State::Array(_) if self.pending.trim_ascii().is_empty() => {
                self.cut(self.pending.len()).map(Some)
            }
            State::Array(_) | State::Amazon => Err(FrameError::Malformed),
        }
    }

    /// Gives up: everything that is in no frame yet.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.looked = 0;
        std::mem::take(&mut self.pending)
    }

    /// Bytes that are held because they are no whole frame yet.
    pub fn held(&self) -> usize {
        self.pending.len()
    }

    fn cut(&mut self, end: usize) -> Result<Frame, FrameError> {
        let rest = self.pending.split_off(end.min(self.pending.len()));
        let raw = std::mem::replace(&mut self.pending, rest);
        self.looked = 0;
        match &mut self.state {
            State::Sse(state) => Ok(state.parse(raw)),
            State::Lines => Ok(lines::parse(raw)),
            State::Array(state) => Ok(state.parse(raw)),
            State::Amazon => eventstream::parse(raw),
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
