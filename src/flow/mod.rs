//! State machine of one exchange, from its first header to its last byte.
//!
//! [`Flow`] is deterministic. It reads no clock, draws no randomness and calls no host: each call brings the time and
//! the bytes, and returns the actions as a [`Step`]. The same inputs give the same outputs, regardless of chunk
//! boundaries. The driver is Envoy (`host`), the command line, a test or a fuzzer.
//!
//! The driver makes these calls in this order; spurious calls are harmless:
//!
//! 1. [`Flow::request_headers`] once; then [`Flow::request_body`] for each arrival of bytes, the last one with `end`; or
//!    [`Flow::request_trailers`] at the end of a request with trailers, since Envoy never marks the end of its body;
//! 2. [`Flow::response_headers`] and [`Flow::response_body`] likewise;
//! 3. [`Flow::finish`] once, in any case.
//!
//! A step may request calls to the approval service. The driver passes the response to an awaited call to
//! [`Flow::service_answered`], which returns the next step of the waiting half. More bytes of that half may arrive
//! before.

mod approval;
mod approval_service;
mod content;
mod denial;
mod evaluate;
mod exchange;
mod guard;
mod identity;
mod kill;
mod limits;
mod name_masker;
mod repeated;
mod request;
mod response;
mod restore_pseudonyms;
mod session;
#[cfg(not(target_arch = "wasm32"))]
pub mod simulation;
mod step;
mod stream;
mod target_uri;
mod work;

pub use exchange::{ExchangeOutcome, Finished, NewDecision};
pub use guard::{Guard, GuardError, HostEnvironment};
pub use step::{
    Action, Body, End, HeaderEdit, Reply, RequestHead, ResponseHead, Resumed, ServiceAnswer,
    ServiceCall, Step,
};
#[cfg(not(target_arch = "wasm32"))]
pub use stream::{Transcript, TranscriptPart, transcript};

use crate::audit::valid_traceparent;
use crate::diag::codes;
use crate::event::{Direction, Facts, Known, Problem};
use crate::identity::{Credentials, Failure, client_address};
use crate::policy::ClientAddress;
use crate::protocol::{Protocol, RequestContext};
use crate::redact::RedactionState;
use crate::wire::http::Path;
use crate::wire::utf8;
use approval::PresentedApprovals;
use approval_service::ServiceUse;
use content::Content;
use exchange::Exchange;
use kill::KillCheck;
use restore_pseudonyms::PseudonymUse;
use std::net::IpAddr;
use std::rc::Rc;
use stream::Stream;
use target_uri::TargetUri;

/// Maximum bytes of a response that are copied only to read its usage.
const USAGE_TAP_BYTES: usize = 1 << 20;

/// State of one exchange.
pub struct Flow {
    guard: Rc<Guard>,
    request: HalfState,
    response: HalfState,
    head: RequestInfo,
    protocol: Option<&'static dyn Protocol>,
    /// Properties of the request that the evaluation of its response needs.
    request_context: RequestContext,
    facts: Facts,
    /// Invalid credential of the request.
    authentication: Option<Failure>,
    exchange: Exchange,
    /// Content for the audit event, if the policy records any.
    content: Option<Box<Content>>,
    /// Decision of the kill switch.
    kill: KillCheck,
    /// Remaining work budget in steps.
    work: u64,
    /// Approval tokens of the request, and the state of its approvals.
    approvals: PresentedApprovals,
    /// Calls to the approval service.
    service: ServiceUse,
    /// State shared by the redactions of request and response.
    redactions: RedactionState,
    /// Use of pseudonyms in the request.
    pseudonyms: PseudonymUse,
    /// Whether the request is edited so that the provider does not store the conversation.
    disables_storage: bool,
    /// Whether everything in the request is read, also what is known.
    reads_everything: bool,
    /// Headers that explain the denial of a request whose response comes from the upstream.
    explanation: Vec<HeaderEdit>,
    /// Whether the response has a `content-length`.
    sized_response: bool,
    /// Whether the upstream's status has been sent to the client.
    status_sent: bool,
    /// Problem of the response headers, if the policy allows the body unread.
    headers_problem: Option<Problem>,
    /// Time of the current callback, in nanoseconds since 1970.
    now: u64,
    /// Whether a local reply was sent. It comes back through the response callbacks.
    replied: bool,
    /// Observer of each evaluated event, for `explain` and `replay`.
    #[cfg(not(target_arch = "wasm32"))]
    watcher: Option<EventObserver>,
    /// Caller, given directly instead of by credentials, for an exchange that is only evaluated.
    given_principal: Option<crate::event::Principal>,
}

/// Observer of evaluated events. Its arguments are the event, its location and the context of its evaluation.
#[cfg(not(target_arch = "wasm32"))]
pub type EventObserver = Box<dyn FnMut(&crate::event::Event, &str, &crate::policy::Context<'_>)>;

/// Properties of the request's headers.
#[derive(Clone, Debug, Default)]
struct RequestInfo {
    method: String,
    request_id: String,
    /// Target URI; absent before the headers are processed.
    uri: Option<Rc<TargetUri>>,
    /// Properties that only the audit event contains.
    recorded: RecordedHead,
    /// `content-length` of the request, unless it has been removed.
    length: Option<usize>,
    /// Whether the client signed the body. Any edit would break the signature.
    signed: bool,
    /// Start of the request, kept while only the body can determine the protocol.
    undetermined: Option<Undetermined>,
    /// Problem of the headers, if the policy allows the body unread.
    headers_problem: Option<Problem>,
}

/// Properties of a request's headers that only the audit event contains.
#[derive(Clone, Debug, Default)]
struct RecordedHead {
    traceparent: Option<Box<str>>,
    client: Option<IpAddr>,
}

impl RecordedHead {
    fn of(head: &RequestHead<'_>, rule: ClientAddress) -> RecordedHead {
        let mut contexts = head
            .headers
            .iter()
            .filter(|(name, _)| *name == b"traceparent");
        RecordedHead {
            // With several headers, the one that applies is unknown.
            traceparent: match (contexts.next(), contexts.next()) {
                (Some((_, value)), None) => valid_traceparent(value).map(Box::from),
                _ => None,
            },
            client: client_address(
                rule,
                &Credentials {
                    headers: head.headers,
                    properties: head.properties,
                    now: head.now,
                },
            ),
        }
    }
}

/// Start of a request whose protocol is unknown.
#[derive(Clone, Debug)]
struct Undetermined {
    host: String,
    path: Path,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// State of one half of an exchange.
#[derive(Debug, Default)]
enum HalfState {
    /// Nothing has arrived.
    #[default]
    Waiting,
    /// Bytes are forwarded unread.
    Passing,
    /// Bytes are forwarded and copied.
    Tapping(BodyCopy),
    /// Bytes are held until the end of the body.
    Holding { since: u64 },
    /// The whole body is held until the approval service responds.
    Asking,
    /// Frames are evaluated while they stream.
    Streaming(Box<Stream>),
    /// The remaining bytes are dropped.
    Draining,
    /// A denial was sent. The connection is cut with the next bytes.
    Resetting,
    /// The half has ended.
    Done,
}

impl HalfState {
    /// Updates the size of the body, `bytes`, by the bytes at hand.
    fn count(&self, body: &dyn Body, bytes: &mut u64) {
        let size = u64::try_from(body.size()).unwrap_or(u64::MAX);
        *bytes = match self {
            // Held bytes come again with the bytes that follow them, but not with trailers.
            HalfState::Holding { .. } | HalfState::Asking => size.max(*bytes),
            _ => bytes.saturating_add(size),
        };
    }
}

/// Copy of forwarded bytes.
#[derive(Debug, Default)]
struct BodyCopy {
    bytes: Vec<u8>,
    /// Code of the reason why copying stopped.
    stopped: Option<&'static str>,
    /// Whether only the usage is read from the copy. An incomplete copy is then no gap in the coverage.
    usage_only: bool,
}

impl Flow {
    /// Creates the state of a new exchange.
    pub fn new(guard: Rc<Guard>) -> Flow {
        Flow {
            work: guard.allowance.begin(),
            content: guard.policy.content.as_ref().map(|_| Box::default()),
            guard,
            request: HalfState::Waiting,
            response: HalfState::Waiting,
            head: RequestInfo::default(),
            protocol: None,
            request_context: RequestContext::default(),
            facts: Facts::unknown(),
            authentication: None,
            exchange: Exchange::default(),
            kill: KillCheck::default(),
            approvals: PresentedApprovals::default(),
            service: ServiceUse::default(),
            redactions: RedactionState::default(),
            pseudonyms: PseudonymUse::default(),
            disables_storage: false,
            reads_everything: false,
            explanation: Vec::new(),
            sized_response: false,
            status_sent: false,
            headers_problem: None,
            now: 0,
            replied: false,
            #[cfg(not(target_arch = "wasm32"))]
            watcher: None,
            given_principal: None,
        }
    }

    /// Sets the roles that have approved everything that the exchange needs an approval for.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn approved_by(&mut self, roles: Vec<Box<str>>) {
        self.facts.approved_by = roles;
    }

    /// Sets the caller, instead of the request's credentials.
    pub fn asked_by(&mut self, principal: crate::event::Principal) {
        self.given_principal = Some(principal);
    }

    /// Sets the observer of evaluated events.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn watched_by(&mut self, watcher: EventObserver) {
        self.watcher = Some(watcher);
    }

    /// Adds processing time, which only the host can measure.
    pub fn spent(&mut self, nanoseconds: u64) {
        self.exchange.inspect_ns = self.exchange.inspect_ns.saturating_add(nanoseconds);
    }

    /// Returns whether the request's headers were processed.
    pub fn has_begun(&self) -> bool {
        self.exchange.started != 0
    }

    /// Records the method, host and path of a request that the proxy ended before its headers reached the filter.
    pub fn note_unseen_request(&mut self, head: &RequestHead<'_>) {
        self.head.recorded = RecordedHead::of(head, self.guard.policy.document.client_address);
        if let Some(id) = request::request_id(head) {
            self.head.request_id = id;
        }
        for (name, value) in head.headers {
            let text = utf8::lossy(value);
            match *name {
                b":method" => self.facts.method = Known::Is(text.into()),
                b":authority" | b"host" => self.facts.host = Known::Is(text.into()),
                // A key in the URL is still there, but in the query, which is not recorded.
                b":path" => self.facts.paths = Known::Is(vec![text.into()]),
                _ => {}
            }
        }
    }

    /// Returns the reply that denies the exchange because of an internal error (fail closed).
    pub fn fail(&mut self) -> Reply {
        self.deny_internally(codes::AG9001)
    }

    /// Returns the reply for an exchange whose headers were held and whose body never came.
    pub fn give_up(&mut self) -> Reply {
        self.deny_internally(codes::AG9002)
    }

    /// Copies forwarded bytes of a half up to a limit.
    fn tap(&mut self, bytes: &[u8], half: Direction) {
        let limit =
            usize::try_from(self.guard.policy.document.inspect.max_body).unwrap_or(usize::MAX);
        let guard = Rc::clone(&self.guard);
        let state = match half {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        };
        let HalfState::Tapping(tap) = state else {
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

    /// Returns whether the copy has all bytes that the request's headers announce. The end of the body may arrive
    /// later: HTTP/2 may send it separately, and an upstream may respond without waiting for it.
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
        if let Some(content) = &self.content {
            self.guard.release(content.reserved);
        }
        for stage in [&self.request, &self.response] {
            if let HalfState::Tapping(tap) = stage {
                self.guard.release(tap.bytes.len());
            }
        }
    }
}

#[cfg(test)]
mod tests;
