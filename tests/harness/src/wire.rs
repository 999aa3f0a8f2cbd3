//! HTTP/1.1 as bytes, for messages that no HTTP library sends or accepts.

use crate::wait::PATIENCE;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// Head of a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageHead {
    /// Request line or status line.
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl MessageHead {
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        header(&self.headers, name)
    }

    pub(crate) fn content_length(&self) -> Option<usize> {
        let text = std::str::from_utf8(self.header("content-length")?).ok()?;
        text.trim().parse().ok()
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding")
            .is_some_and(|value| value.ends_with(b"chunked"))
    }
}

pub(crate) fn header<'h>(headers: &'h [(String, Vec<u8>)], name: &str) -> Option<&'h [u8]> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
}

/// Reader of messages from a connection.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Wire {
        Wire {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 64 << 10];
        let read = self.stream.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..read]);
        Ok(read)
    }

    /// Reads a line without its end; `None` if the connection ended before its first byte.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..]
                .windows(2)
                .position(|pair| pair == b"\r\n")
            {
                let at = searched + at;
                let line = self.buffer[..at].to_vec();
                self.buffer.drain(..at + 2);
                return Ok(Some(line));
            }
            searched = self.buffer.len().saturating_sub(1);
            if self.more()? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(broken("the connection ended inside a line")),
                };
            }
        }
    }

    fn fields(&mut self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut headers = Vec::new();
        loop {
            let line = self
                .line()?
                .ok_or_else(|| broken("the connection ended inside headers"))?;
            if line.is_empty() {
                return Ok(headers);
            }
            let colon = line
                .iter()
                .position(|byte| *byte == b':')
                .ok_or_else(|| broken("a header without a colon"))?;
            let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
            headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    /// Reads the head of the next message; `None` if the connection ended before it.
    pub(crate) fn head(&mut self) -> io::Result<Option<MessageHead>> {
        let Some(start) = self.line()? else {
            return Ok(None);
        };
        Ok(Some(MessageHead {
            start: String::from_utf8_lossy(&start).into_owned(),
            headers: self.fields()?,
        }))
    }

    /// Reads a body of `length` bytes, reported as it arrives.
    pub(crate) fn sized(
        &mut self,
        mut length: usize,
        mut told: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        while length > 0 {
            if self.buffer.is_empty() && self.more()? == 0 {
                return Err(broken("the connection ended inside a body"));
            }
            let take = length.min(self.buffer.len());
            told(&self.buffer[..take]);
            self.buffer.drain(..take);
            length -= take;
        }
        Ok(())
    }

    /// Reads a chunked body, reported as it arrives, and its trailers.
    pub(crate) fn chunked(
        &mut self,
        mut told: impl FnMut(&[u8]),
    ) -> io::Result<Vec<(String, Vec<u8>)>> {
        loop {
            let line = self
                .line()?
                .ok_or_else(|| broken("the connection ended between chunks"))?;
            let size = std::str::from_utf8(&line)
                .ok()
                .and_then(|text| usize::from_str_radix(text.split(';').next()?.trim(), 16).ok())
                .ok_or_else(|| broken("no size of a chunk"))?;
            if size == 0 {
                return self.fields();
            }
            self.sized(size, &mut told)?;
            if self.line()?.is_none_or(|rest| !rest.is_empty()) {
                return Err(broken("a chunk that is longer than it says"));
            }
        }
    }

    /// Reads until the connection ends, reported as it arrives.
    pub(crate) fn rest(&mut self, mut told: impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            told(&self.buffer);
            self.buffer.clear();
            if self.more()? == 0 {
                return Ok(());
            }
        }
    }
}

/// Connection for any bytes.
pub struct Raw {
    wire: Wire,
}

/// Response on a [`Raw`] connection.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// Status.
    pub status: u16,
    /// Headers in their order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// Whether the body is complete by its own framing.
    pub whole: bool,
}

impl Raw {
    /// Connects to a listener.
    ///
    /// # Errors
    /// Nothing listens at the address.
    pub fn connect(address: SocketAddr) -> io::Result<Raw> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Raw {
            wire: Wire::new(stream),
        })
    }

    /// Sends bytes. Errors are ignored: the peer may have closed the connection, as it should.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.wire.stream().write_all(bytes);
    }

    /// Closes the sending side.
    pub fn finish(&mut self) {
        let _ = self.wire.stream().shutdown(Shutdown::Write);
    }

    /// Reads and drops at least `bytes` bytes.
    ///
    /// # Panics
    /// The connection ends before.
    pub fn receive(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let read = self.wire.more().expect("bytes");
            assert!(read > 0, "the connection ended");
            self.wire.buffer.clear();
            bytes = bytes.saturating_sub(read);
        }
    }

    /// Reads and drops everything that arrives, for connections that are not used again.
    pub fn rest(&mut self) {
        self.finish();
        let _ = self.wire.rest(|_| ());
    }

    /// Reads a response to its end; `None` if the connection ended before.
    ///
    /// # Panics
    /// Nothing arrives.
    pub fn response(&mut self) -> Option<RawResponse> {
        let head = match self.wire.head() {
            Ok(head) => head?,
            Err(error) if is_timeout(&error) => panic!("no response came"),
            Err(_) => return None,
        };
        let status = head.start.split(' ').nth(1)?.parse().ok()?;
        let mut body = Vec::new();
        let mut told = |bytes: &[u8]| body.extend_from_slice(bytes);
        let read = if head.is_chunked() {
            self.wire.chunked(&mut told).map(|_| ())
        } else if let Some(length) = head.content_length() {
            self.wire.sized(length, &mut told)
        } else if matches!(status, 100..200 | 204 | 304) {
            Ok(())
        } else {
            self.wire.rest(&mut told)
        };
        Some(RawResponse {
            status,
            headers: head.headers,
            body,
            whole: read.is_ok(),
        })
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

impl RawResponse {
    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(header(&self.headers, name)?).ok()
    }
}

/// Encodes bytes as gzip without compression (RFC 1952 around stored blocks of RFC 1951).
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks: Vec<&[u8]> = bytes.chunks(0xffff).collect();
    for (number, block) in blocks.iter().enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(number + 1 == blocks.len()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            crc = (crc >> 1) ^ carry;
        }
    }
    out.extend_from_slice(&(!crc).to_le_bytes());
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
    out
}
