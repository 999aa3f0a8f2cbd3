//! The inputs and outputs of a [`Flow`](super::Flow).

use crate::proxy::Properties;
use std::borrow::Cow;

/// The start of a request.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    /// All headers in their order, pseudo-headers included; names in lower case, any bytes as values.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// Whether no body follows.
    pub end: bool,
    /// What the proxy knows about the connection and the request.
    pub properties: &'a dyn Properties,
    /// Nanoseconds since 1970.
    pub now: u64,
}

/// The start of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// All headers in their order, `:status` included.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// Whether no body follows.
    pub end: bool,
    /// Nanoseconds since 1970.
    pub now: u64,
}

/// Bytes that have arrived and have not been released. Reading copies them, so that they are only read when needed.
pub trait Body {
    /// Number of bytes.
    fn size(&self) -> usize;

    /// The bytes.
    fn read(&mut self) -> Vec<u8>;
}

impl Body for &[u8] {
    fn size(&self) -> usize {
        self.len()
    }

    fn read(&mut self) -> Vec<u8> {
        self.to_vec()
    }
}

/// An edit of headers that have not been forwarded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Removes all headers with this name.
    Remove(Cow<'static, str>),
    /// Replaces all headers with this name by one.
    Set(Cow<'static, str>, String),
}

/// A local reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, `content-type` included.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// The action for the bytes at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Forward the bytes unchanged.
    Continue,
    /// Hold the bytes. The next call brings them again with the following ones.
    Hold,
    /// Hold the exchange without its bytes, which are kept here. The next call brings only the following ones.
    Take,
    /// Forward these bytes instead.
    Replace(Vec<u8>),
    /// Send a local reply; the exchange ends.
    Reply(Reply),
    /// Reset the connections.
    Reset,
}

/// The next actions of the driver: first the header edits, then the action.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// Edits of the headers of this half.
    pub headers: Vec<HeaderEdit>,
    /// The action.
    pub action: Action,
    /// Calls to the approval service.
    pub calls: Vec<ServiceCall>,
}

/// A call to the approval service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCall {
    /// Which one of the exchange it is.
    pub number: u64,
    /// The body, JSON.
    pub body: Vec<u8>,
    /// Seconds after which it is given up.
    pub timeout: u64,
    /// Whether the exchange waits for the answer. Of a notice nobody reads it, and it is made even if the exchange has ended.
    pub is_awaited: bool,
}

/// What came of a call to the approval service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceAnswer<'a> {
    /// It could not be made: no such cluster, or one without endpoints.
    Unreachable,
    /// A response, also one that the proxy made in place of the service.
    Received {
        /// HTTP status.
        status: u16,
        /// The body.
        body: &'a [u8],
    },
}

/// How the half goes on that waited for the approval service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The next actions.
    pub step: Step,
    /// Why the service was of no use, as in the audit event.
    pub failure: Option<&'static str>,
}

impl Step {
    pub(super) fn go_on() -> Step {
        Step::of(Action::Continue)
    }

    pub(super) fn of(action: Action) -> Step {
        Step::with(Vec::new(), action)
    }

    pub(super) fn with(headers: Vec<HeaderEdit>, action: Action) -> Step {
        Step {
            headers,
            action,
            calls: Vec::new(),
        }
    }

    /// Leaves out removals of absent headers: each would be a call to the host.
    pub(super) fn without_absent(mut self, headers: &[(&[u8], &[u8])]) -> Step {
        self.headers.retain(|edit| match edit {
            HeaderEdit::Remove(name) => headers.iter().any(|(known, _)| *known == name.as_bytes()),
            HeaderEdit::Set(..) => true,
        });
        self
    }
}

/// The end of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct End<'a> {
    /// Nanoseconds since 1970.
    pub now: u64,
    /// Status sent to the client, if the host knows it; 0: none.
    pub status: Option<u16>,
    /// The host's word for how the exchange ended: `via_upstream`, `response_timeout`; empty if it has none.
    pub details: &'a str,
}
