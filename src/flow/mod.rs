//! One exchange from its first header to its last byte.
//!
//! [`Flow`] is deterministic. It reads no clock, draws no randomness and calls no host: the time and the bytes come in with
//! each call, and what it wants done goes out as a [`Step`]. The same inputs give the same outputs, however the bytes
//! were cut into chunks. Its driver is Envoy (`host`), the command line, a test or a fuzzer.
//!
//! Calls come in this order, each at most as often as said; spurious ones are harmless:
//!
//! 1. [`Flow::request_headers`] once; then [`Flow::request_body`] for each arrival of bytes, the last with `end` (with
//!    trailers: at the trailers, since Envoy never marks the body's end then);
//! 2. [`Flow::response_headers`], [`Flow::response_body`] likewise;
//! 3. [`Flow::finish`] once, whatever happened before, even if nothing did.

mod discreet;
mod evaluate;
mod exchange;
mod guard;
mod refusal;
mod request;
mod response;
mod restore_pseudonyms;
#[cfg(not(target_arch = "wasm32"))]
pub mod simulation;
mod step;
mod stream;
mod work;

pub use exchange::Finished;
pub use guard::{Guard, GuardError, HostEnvironment};
pub use step::{Action, Body, End, HeaderEdit, Reply, RequestHead, ResponseHead, Step};
#[cfg(not(target_arch = "wasm32"))]
pub use stream::{Transcript, TranscriptPart, transcript};

use crate::diag::codes;
use crate::event::{Facts, Problem};
use crate::protocol::{Protocol, RequestContext};
use crate::redact::RedactionState;
use crate::wire::http::Path;
use exchange::Exchange;
use restore_pseudonyms::PseudonymUse;
use std::rc::Rc;
use stream::Stream;

/// Most bytes of a response that are copied aside only to read its usage.
const USAGE_TAP_BYTES: usize = 1 << 20;

/// The state of one exchange.
pub struct Flow {
    guard: Rc<Guard>,
    request: HalfState,
    response: HalfState,
    head: RequestInfo,
    protocol: Option<&'static dyn Protocol>,
    /// What the response's evaluation needs to know of the request.
    asked: RequestContext,
    facts: Facts,
    exchange: Exchange,
    /// Steps that it may still spend.
    work: u64,
    /// What replacements in request and response have in common.
    ledger: RedactionState,
    /// Whether pseudonyms of the request can be turned back.
    pseudonyms: PseudonymUse,
    /// The provider is asked not to keep the conversation.
    unstores: bool,
    /// The response says how long it is.
    sized_response: bool,
    /// The client has been sent the upstream's status.
    answered: bool,
    /// The same of the response.
    doubt: Option<Problem>,
    /// We answered ourselves; what comes back through the response callbacks is our own reply.
    replied: bool,
    /// Told of each event that is evaluated, for whoever explains an exchange.
    #[cfg(not(target_arch = "wasm32"))]
    watcher: Option<EventObserver>,
}

/// Is told of an event that is evaluated: the event, where it stands, and what it is evaluated against.
#[cfg(not(target_arch = "wasm32"))]
pub type EventObserver = Box<dyn FnMut(&crate::event::Event, &str, &crate::policy::Context<'_>)>;

/// What was read in the request's headers.
#[derive(Clone, Debug, Default)]
struct RequestInfo {
    method: String,
    request_id: String,
    /// Length of the body, if the request says one.
    length: Option<usize>,
    /// The client signed the body: a changed byte would break its signature, so that an edit is impossible.
    signed: bool,
    /// Kept while only the body can tell which protocol is spoken.
    undetermined: Option<Undetermined>,
    /// What the headers say against reading the body, where the policy would let it pass unread.
    doubt: Option<Problem>,
}

/// The start of a request whose protocol is not known yet.
#[derive(Clone, Debug)]
struct Undetermined {
    host: String,
    path: Path,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Where one half of the exchange stands.
#[derive(Debug, Default)]
enum HalfState {
    /// Nothing has come.
    #[default]
    Waiting,
    /// Bytes go by unread.
    Passing,
    /// Bytes go by and are copied aside.
    Tapping(BodyCopy),
    /// Bytes are held until the end.
    Holding { since: u64 },
    /// Bytes are evaluated while they flow.
    Streaming(Box<Stream>),
    /// What is still to come is dropped.
    Draining,
    /// A refusal has been sent; with the next bytes the connection is cut.
    Resetting,
    /// It is over.
    Done,
}

/// A copy of bytes that went by.
#[derive(Debug, Default)]
struct BodyCopy {
    bytes: Vec<u8>,
    /// Why it stopped, if it did.
    stopped: Option<&'static str>,
    /// Only for the usage in it: not being read is no gap in the inspection.
    usage_only: bool,
}

impl Flow {
    /// An exchange about to begin.
    pub fn new(guard: Rc<Guard>) -> Flow {
        Flow {
            work: guard.allowance.begin(),
            guard,
            request: HalfState::Waiting,
            response: HalfState::Waiting,
            head: RequestInfo::default(),
            protocol: None,
            asked: RequestContext::default(),
            facts: Facts::unknown(),
            exchange: Exchange::default(),
            ledger: RedactionState::default(),
            pseudonyms: PseudonymUse::default(),
            unstores: false,
            sized_response: false,
            answered: false,
            doubt: None,
            replied: false,
            #[cfg(not(target_arch = "wasm32"))]
            watcher: None,
        }
    }

    /// Tells of each event that is evaluated.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn watched_by(&mut self, watcher: EventObserver) {
        self.watcher = Some(watcher);
    }

    /// Adds time spent in the filter, which only the host can measure.
    pub fn spent(&mut self, nanoseconds: u64) {
        self.exchange.inspect_ns = self.exchange.inspect_ns.saturating_add(nanoseconds);
    }

    /// Whether the status that the client was sent is known.
    pub fn knows_status(&self) -> bool {
        self.exchange.status.is_some()
    }

    /// The filter can't do its work: the response that refuses the exchange.
    pub fn fail(&mut self) -> Reply {
        self.deny_internally(codes::AG9001)
    }

    /// Headers were held and no body came: the response that ends the exchange.
    pub fn give_up(&mut self) -> Reply {
        self.deny_internally(codes::AG9002)
    }

    /// Copies bytes that go by, within bounds.
    fn tap(&mut self, bytes: &[u8], is_request: bool) {
        let limit =
            usize::try_from(self.guard.policy.document.inspect.max_body).unwrap_or(usize::MAX);
        let guard = Rc::clone(&self.guard);
        let stage = if is_request {
            &mut self.request
        } else {
            &mut self.response
        };
        let HalfState::Tapping(tap) = stage else {
            return;
        };
        if tap.stopped.is_some() {
            return;
        }
        let limit = if tap.usage_only {
            limit.min(USAGE_TAP_BYTES)
        } else {
            limit
        };
        if tap.bytes.len().saturating_add(bytes.len()) > limit {
            tap.stopped = Some(codes::AG2004);
        } else if !guard.reserve(bytes.len()) {
            tap.stopped = Some(codes::AG2011);
        }
        if tap.stopped.is_some() {
            guard.release(tap.bytes.len());
            tap.bytes = Vec::new();
        } else {
            tap.bytes.extend_from_slice(bytes);
        }
    }

    /// Whether as much of the request was copied as its headers announce. The mark of its end may still be on its way:
    /// HTTP/2 sends it apart from the last bytes, and an upstream that counts answers without waiting for it.
    fn has_tapped_all(&self) -> bool {
        match &self.request {
            HalfState::Tapping(tap) => {
                tap.stopped.is_none() && Some(tap.bytes.len()) == self.head.length
            }
            _ => false,
        }
    }

    fn end_tap(&mut self, stage: HalfState) -> Option<BodyCopy> {
        match stage {
            HalfState::Tapping(tap) => {
                self.guard.release(tap.bytes.len());
                Some(tap)
            }
            _ => None,
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        for stage in [&self.request, &self.response] {
            if let HalfState::Tapping(tap) = stage {
                self.guard.release(tap.bytes.len());
            }
        }
    }
}

#[cfg(test)]
mod tests;
