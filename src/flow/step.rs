//! Inputs and outputs of a [`Flow`](super::Flow).

use crate::proxy::Properties;
use std::borrow::Cow;

/// Start of a request.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    /// All headers in their order, including pseudo-headers; names in lower case, any bytes as values.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// Whether no body follows.
    pub end: bool,
    /// Properties of the connection and the request that the proxy provides.
    pub properties: &'a dyn Properties,
    /// Nanoseconds since 1970.
    pub now: u64,
}

/// Start of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// All headers in their order, including `:status`.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// Whether no body follows.
    pub end: bool,
    /// Nanoseconds since 1970.
    pub now: u64,
}

/// Bytes that have arrived and are not released. Reading copies them, so that they are only read when needed.
pub trait Body {
    /// Returns the number of bytes.
    fn size(&self) -> usize;

    /// Returns a copy of the first bytes, at most `max`.
    fn begin(&mut self, max: usize) -> Vec<u8>;

    /// Returns a copy of the bytes.
    fn read(&mut self) -> Vec<u8> {
        self.begin(usize::MAX)
    }
}

/// Bytes by which the format of a body is recognised before its end.
const FORMAT_BYTES: usize = 1 << 10;

/// Returns the bytes by which a held body's format is recognised: all of them at its end, before that the first ones,
/// since each arrival asks again.
pub(super) fn format_bytes(body: &mut dyn Body, end: bool) -> Vec<u8> {
    body.begin(if end { usize::MAX } else { FORMAT_BYTES })
}

impl Body for &[u8] {
    fn size(&self) -> usize {
        self.len()
    }

    fn begin(&mut self, max: usize) -> Vec<u8> {
        self.get(..max).unwrap_or(self).to_vec()
    }
}

/// Edit of headers that are not forwarded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Removes all headers with this name.
    Remove(Cow<'static, str>),
    /// Replaces all headers with this name by one.
    Set(Cow<'static, str>, String),
}

/// Local reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, including `content-type`.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Action for the bytes at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Forward the bytes unchanged.
    Continue,
    /// Hold the bytes. The next call brings them again with the following ones.
    Hold,
    /// Hold the exchange and drop the bytes from the buffer: the flow keeps them. The next call brings only the bytes
    /// that follow.
    Take,
    /// Forward these bytes instead.
    Replace(Vec<u8>),
    /// Send a local reply; the exchange ends.
    Reply(Reply),
    /// Reset the connections.
    Reset,
}

/// Next actions of the driver: first the header edits, then the action.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// Edits of the headers of this half.
    pub headers: Vec<HeaderEdit>,
    /// Action.
    pub action: Action,
    /// Calls to the approval service.
    pub calls: Vec<ServiceCall>,
}

/// Call to the approval service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCall {
    /// Number of the call in the exchange.
    pub number: u64,
    /// Body, in JSON.
    pub body: Vec<u8>,
    /// Timeout in seconds.
    pub timeout: u64,
    /// Whether the exchange waits for the response. A notice has no reader for it, and is sent even if the exchange has
    /// ended.
    pub is_awaited: bool,
}

/// Result of a call to the approval service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceAnswer<'a> {
    /// The call could not be made: the cluster does not exist or has no endpoints.
    Unreachable,
    /// A response, possibly made by the proxy in place of the service.
    Received {
        /// HTTP status.
        status: u16,
        /// Body.
        body: &'a [u8],
    },
}

/// Continuation of the half that waited for the approval service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The next actions.
    pub step: Step,
    /// Failure of the service, as in the audit event.
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

    /// Drops removals of absent headers: each would be a call to the host.
    pub(super) fn without_absent(mut self, headers: &[(&[u8], &[u8])]) -> Step {
        self.headers.retain(|edit| match edit {
            HeaderEdit::Remove(name) => headers.iter().any(|(known, _)| *known == name.as_bytes()),
            HeaderEdit::Set(..) => true,
        });
        self
    }
}

/// End of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct End<'a> {
    /// Nanoseconds since 1970.
    pub now: u64,
    /// Status sent to the client, if the host knows it; 0 if none was sent.
    pub status: Option<u16>,
    /// Envoy's response code details, for example `via_upstream` or `response_timeout`; empty if there are none.
    pub details: &'a str,
}
