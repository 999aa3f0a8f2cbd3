//! What goes into a [`Flow`](super::Flow) and what comes out.

/// The start of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// All headers in their order, pseudo-headers included; names in lower case, any bytes as values.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// No body follows.
    pub end: bool,
    /// Envoy's cluster, if the policy asks for it.
    pub cluster: Option<&'a str>,
    /// Nanoseconds since 1970.
    pub now: u64,
}

/// The start of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// All headers in their order, `:status` included.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// No body follows.
    pub end: bool,
    /// Nanoseconds since 1970.
    pub now: u64,
}

/// Bytes that have arrived and were not yet let go. Reading them costs a copy, so they are read only when needed.
pub trait Body {
    /// How many there are.
    fn size(&self) -> usize;

    /// All of them.
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

/// What to do with headers that are still in reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Takes all of that name out.
    Remove(String),
    /// Puts one in place of all of that name.
    Set(String, String),
}

/// A response of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, `content-type` included.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// What to do with the bytes at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let them go as they came.
    Continue,
    /// Keep them, and call again with them and what comes after.
    Hold,
    /// Let these go in their place.
    Replace(Vec<u8>),
    /// Answer the client; the exchange ends.
    Reply(Reply),
    /// Cut the connections.
    Reset,
}

/// What the driver does next: first the header edits, then the action.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// Edits of the headers of the half at hand.
    pub headers: Vec<HeaderEdit>,
    /// The action.
    pub action: Action,
}

impl Step {
    pub(super) fn go_on() -> Step {
        Step::of(Action::Continue)
    }

    pub(super) fn of(action: Action) -> Step {
        Step {
            headers: Vec::new(),
            action,
        }
    }

    pub(super) fn with(headers: Vec<HeaderEdit>, action: Action) -> Step {
        Step { headers, action }
    }

    /// Without taking out headers that aren't there: each would be a call to the host.
    pub(super) fn without_absent(mut self, headers: &[(&[u8], &[u8])]) -> Step {
        self.headers.retain(|edit| match edit {
            HeaderEdit::Remove(name) => headers.iter().any(|(known, _)| *known == name.as_bytes()),
            HeaderEdit::Set(..) => true,
        });
        self
    }
}

/// How the exchange ended.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Nanoseconds since 1970.
    pub now: u64,
    /// Status that the client was sent, where the host knows it and no response headers came by; 0: none.
    pub status: Option<u16>,
}
