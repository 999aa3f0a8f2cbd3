//! One exchange, between Envoy's hooks and [`Flow`].

use crate::abi::{AtHand, Attribute, Callout, Half, Level, Map, Stream, is_1_40, log};
use crate::admin::AdminExchange;
use crate::configuration::{self, Configuration, Content, Policy, RoutePolicy, lost_notice};
use crate::process;
use agentguard::diag::codes;
use agentguard::event::Direction;
use agentguard::filter;
use agentguard::flow::{
    Action, Body, End, Flow, Guard, Reply, RequestHead, ResponseHead, ServiceAnswer, ServiceCall,
    Step,
};
use agentguard::metrics::UNINSPECTABLE;
use agentguard::proxy::{MemoryProperties, Properties};
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// Action for the bytes at hand.
pub(crate) enum Outcome {
    /// Forward the bytes.
    Continue,
    /// Hold the bytes.
    Hold,
    /// Drop the bytes; the exchange ends.
    Stop,
    /// Send a local reply.
    Reply(Reply),
    /// Reset the connections.
    Reset,
}

/// State of one exchange.
pub(crate) struct Exchange {
    state: State,
    /// Policy in force for the exchange. It is declared after `state`, since its slots must outlive the guard there.
    policy: Option<Arc<Policy>>,
    /// Configuration with the stats of its metrics.
    configuration: Option<Arc<Configuration>>,
}

enum State {
    /// Traffic under a policy.
    Running(Box<Running>),
    /// Traffic through the kill list's filter.
    Kill,
    /// Request to the administration listener.
    Admin(AdminExchange),
    /// No policy is available: everything is denied.
    Denying,
    /// A hook has panicked. The exchange was denied.
    Broken,
}

struct Running {
    flow: Flow,
    guard: Rc<Guard>,
    /// Calls to the approval service that have not been made yet.
    calls: VecDeque<ServiceCall>,
    /// Awaited call: Envoy's number, and the call's number in the exchange.
    asked: Option<(u64, u64)>,
    /// Whether a part of a body has just arrived.
    has_received: bool,
    /// Whether Envoy's buffer has bytes of the request that this filter holds.
    holds_request: bool,
    /// The same for the response.
    holds_response: bool,
}

impl State {
    /// Returns the initial state of an exchange under a worker's guard. Without a guard, everything is denied.
    fn under(guard: Option<Rc<Guard>>) -> State {
        let Some(guard) = guard else {
            return State::Denying;
        };
        let flow = Flow::new(Rc::clone(&guard));
        State::Running(Box::new(Running {
            flow,
            guard,
            calls: VecDeque::new(),
            asked: None,
            has_received: false,
            holds_request: false,
            holds_response: false,
        }))
    }
}

/// Returns the denial of an exchange for which no flow can create a reply.
fn failed(code: &str) -> Reply {
    let body = json!({"error": {
        "message": "The filter failed and denied the request.",
        "type": "invalid_request_error",
        "code": code,
    }});
    Reply {
        status: codes::status(code),
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-agentguard-code".to_owned(), code.to_owned()),
            ("x-should-retry".to_owned(), "false".to_owned()),
        ],
        body: body.to_string().into_bytes(),
    }
}

/// Returns nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the host is where the time comes in"
    )]
    let now = std::time::SystemTime::now();
    let since = now
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Exchange {
    /// Creates an exchange under a configuration.
    pub(crate) fn new(configuration: Arc<Configuration>) -> Exchange {
        let (state, policy) = match &configuration.content {
            Content::Policy(policy) => (State::under(policy.guard()), Some(Arc::clone(policy))),
            Content::Kill { .. } => (State::Kill, None),
            Content::Admin => (State::Admin(AdminExchange::default()), None),
        };
        Exchange {
            state,
            policy,
            configuration: Some(configuration),
        }
    }

    /// Creates an exchange that is denied, because no policy is available.
    pub(crate) fn denying() -> Exchange {
        Exchange {
            state: State::Denying,
            policy: None,
            configuration: None,
        }
    }

    /// Denies the exchange whose hook has panicked. Its flow, and the state that it shares with others, are not used
    /// any more.
    pub(crate) fn after_panic(&mut self, stream: &mut Stream<'_>) -> Outcome {
        log(
            Level::Error,
            "agentguard: AG9006 a hook panicked; this exchange was denied",
        );
        if let State::Admin(_) = self.state {
            configuration::forget_guards();
        }
        // State that the panic has left half changed may panic again when it is dropped.
        std::mem::forget(std::mem::replace(&mut self.state, State::Broken));
        if let Some(policy) = &self.policy {
            policy.forget_guard();
        }
        if let Some(configuration) = &self.configuration
            && let Some(stat) = configuration.stats.of(&UNINSPECTABLE)
        {
            stream.update(stat, &[codes::AG9006.as_bytes()], 1);
        }
        Outcome::Reply(failed(codes::AG9006))
    }

    pub(crate) fn request_headers(&mut self, stream: &mut Stream<'_>, end: bool) -> Outcome {
        self.take_route_policy(stream);
        let limit = self.policy.as_ref().map(|policy| policy.max_body);
        let running = match &mut self.state {
            State::Running(running) => running,
            State::Kill if process::has_policy() => return Outcome::Continue,
            State::Kill => {
                log(
                    Level::Error,
                    "agentguard: AG9003 no policy runs in the process of the kill list",
                );
                return Outcome::Reply(filter::kill_list_missing());
            }
            State::Admin(admin) => {
                faults::at("request_headers", stream);
                return admin.request_headers(stream, end);
            }
            State::Denying | State::Broken => return Outcome::Reply(failed(codes::AG9001)),
        };
        faults::at("request_headers", stream);
        // With the listener's limit, Envoy itself would reject larger bodies, before the policy has evaluated them.
        if let Some(limit) = limit {
            stream.raise_buffer_limit(limit);
        }
        let Some(headers) = stream.headers(Map::RequestHeaders) else {
            return running.fail("the request headers could not be read");
        };
        let step = filter::timed(&mut running.flow, now, |flow, now| {
            flow.request_headers(&RequestHead {
                headers: &headers,
                end,
                properties: &StreamProperties::of(stream),
                now,
            })
        });
        running.take(stream, Half::Request, step)
    }

    /// Uses the policy of the route instead of the filter's.
    fn take_route_policy(&mut self, stream: &Stream<'_>) {
        if !matches!(self.state, State::Running(_)) {
            return;
        }
        let Some(address) = stream.route() else {
            return;
        };
        let Some(policy) = RoutePolicy::at(address) else {
            log(
                Level::Error,
                "agentguard: AG9001 a route has the configuration of another module; its exchanges are denied",
            );
            self.state = State::Denying;
            return;
        };
        self.state = State::under(policy.guard());
        self.policy = Some(policy);
    }

    pub(crate) fn request_body(&mut self, stream: &mut Stream<'_>, end: bool) -> Outcome {
        if let State::Admin(admin) = &mut self.state {
            return admin.request_body(stream, end);
        }
        self.message(Half::Request, stream, |running, stream| {
            faults::at("request_body", stream);
            running.body(stream, Half::Request, true, |flow, held, now| {
                flow.request_body(held, end, now)
            })
        })
    }

    /// Processes the request's trailers. With trailers (Envoy's decompressor always adds some), no body hook is marked
    /// as the last one, so that the body would be forwarded without evaluation. The held bytes can still be read here.
    pub(crate) fn request_trailers(&mut self, stream: &mut Stream<'_>) -> Outcome {
        if let State::Admin(admin) = &mut self.state {
            return admin.request_trailers(stream);
        }
        self.message(Half::Request, stream, |running, stream| {
            let trailers = stream.headers(Map::RequestTrailers).map(|trailers| {
                let copy = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
                trailers.into_iter().map(copy).collect::<Vec<_>>()
            });
            let Some(trailers) = trailers else {
                return running.fail("the request trailers could not be read");
            };
            let trailers: Vec<(&[u8], &[u8])> = trailers
                .iter()
                .map(|(name, value)| (name.as_slice(), value.as_slice()))
                .collect();
            let edits = running.flow.trailer_edits(&trailers);
            if !stream.edit(Map::RequestTrailers, &edits) {
                return running.fail("a request trailer could not be removed");
            }
            running.body(stream, Half::Request, false, |flow, held, now| {
                flow.request_trailers(&trailers, held, now)
            })
        })
    }

    pub(crate) fn response_headers(&mut self, stream: &mut Stream<'_>, end: bool) -> Outcome {
        self.message(Half::Response, stream, |running, stream| {
            faults::at("response_headers", stream);
            let Some(headers) = stream.headers(Map::ResponseHeaders) else {
                return running.fail("the response headers could not be read");
            };
            let step = filter::timed(&mut running.flow, now, |flow, now| {
                flow.response_headers(&ResponseHead {
                    headers: &headers,
                    end,
                    now,
                })
            });
            running.take(stream, Half::Response, step)
        })
    }

    pub(crate) fn response_body(&mut self, stream: &mut Stream<'_>, end: bool) -> Outcome {
        self.message(Half::Response, stream, |running, stream| {
            faults::at("response_body", stream);
            let outcome = running.body(stream, Half::Response, true, |flow, held, now| {
                flow.response_body(held, end, now)
            });
            if !end && let Some(line) = running.flow.interim(now) {
                let line = String::from_utf8_lossy(&line);
                log(Level::Warn, &format!("agentguard: interim {line}"));
            }
            outcome
        })
    }

    pub(crate) fn response_trailers(&mut self, stream: &mut Stream<'_>) -> Outcome {
        self.message(Half::Response, stream, |running, stream| {
            let edits = stream
                .headers(Map::ResponseTrailers)
                .map(|trailers| running.flow.response_trailer_edits(&trailers));
            let Some(edits) = edits else {
                return running.fail("the response trailers could not be read");
            };
            if !stream.edit(Map::ResponseTrailers, &edits) {
                return running.fail("a response trailer could not be removed");
            }
            running.body(stream, Half::Response, false, |flow, held, now| {
                flow.response_body(held, true, now)
            })
        })
    }

    /// Runs a part of a message after the request's headers.
    fn message(
        &mut self,
        half: Half,
        stream: &mut Stream<'_>,
        run: impl FnOnce(&mut Running, &mut Stream<'_>) -> Outcome,
    ) -> Outcome {
        match (&mut self.state, half) {
            (State::Running(running), _) => {
                if let Some(policy) = &self.policy {
                    policy.refresh();
                }
                if let Some(denied) = running.flow.rerouted(&StreamProperties::of(stream)) {
                    return running.take(stream, half, denied);
                }
                run(running, stream)
            }
            // The request was forwarded, or got its reply before.
            (State::Kill | State::Admin(_), _) => Outcome::Continue,
            (State::Denying | State::Broken, Half::Request) => Outcome::Stop,
            (State::Denying | State::Broken, Half::Response) => Outcome::Reset,
        }
    }

    /// Returns the next awaited call to the approval service, with its number. Notices are passed to the main thread:
    /// Envoy cancels the calls of an exchange that ends, and a denial ends it.
    pub(crate) fn next_call(&mut self) -> Option<(u64, Callout)> {
        let State::Running(running) = &mut self.state else {
            return None;
        };
        let service = running.guard.policy.document.approval_service.as_ref()?;
        while let Some(call) = running.calls.pop_front() {
            let callout = Callout {
                cluster: service.cluster.clone(),
                headers: vec![
                    (":method", "POST".into()),
                    (":path", service.path.clone()),
                    (":authority", service.authority.clone()),
                    ("content-type", "application/json".into()),
                    ("accept", "application/json".into()),
                ],
                body: call.body,
                seconds: call.timeout,
            };
            if call.is_awaited {
                return Some((call.number, callout));
            }
            if !process::notify(callout) {
                log(Level::Warn, &lost_notice(&service.cluster));
            }
        }
        None
    }

    /// Processes the result of making a call: Envoy's number, or `None` if the call can't be made. Returns the next
    /// action for the bytes at hand, if there is one.
    pub(crate) fn called(
        &mut self,
        stream: &mut Stream<'_>,
        number: u64,
        envoys: Option<u64>,
    ) -> Option<Outcome> {
        let State::Running(running) = &mut self.state else {
            return None;
        };
        if let Some(envoys) = envoys {
            running.asked = Some((envoys, number));
            return None;
        }
        let (_, outcome) = running.resume(stream, number, &ServiceAnswer::Unreachable)?;
        Some(outcome)
    }

    /// Processes the response to a call. Returns the half that has waited for it, with its next action.
    pub(crate) fn answered(
        &mut self,
        stream: &mut Stream<'_>,
        envoys: u64,
        answer: &ServiceAnswer<'_>,
    ) -> Option<(Half, Outcome)> {
        let State::Running(running) = &mut self.state else {
            return None;
        };
        let (_, number) = running.asked.take_if(|(asked, _)| *asked == envoys)?;
        faults::at("answered", stream);
        if let Some(policy) = &self.policy {
            policy.refresh();
        }
        running.has_received = false;
        running.resume(stream, number, answer)
    }

    /// Ends the exchange, before the access log is written.
    pub(crate) fn complete(&mut self, stream: &mut Stream<'_>) {
        let (State::Running(running), Some(configuration), Some(policy)) =
            (&mut self.state, &self.configuration, &self.policy)
        else {
            return;
        };
        faults::at("stream_complete", stream);
        process::tell_through(stream, configuration.stats.of_process());
        let Running { flow, .. } = &mut **running;
        if !flow.has_begun() {
            // Envoy has no headers of a request that it could not parse, and knows its client all the same.
            let headers = stream.headers(Map::RequestHeaders).unwrap_or_default();
            flow.note_unseen_request(&RequestHead {
                headers: &headers,
                end: true,
                properties: &StreamProperties::of(stream),
                now: now(),
            });
        }
        // The client's response: another filter or Envoy itself may have replaced the response that this filter
        // received.
        let status = stream.status();
        let details = String::from_utf8_lossy(&stream.details()).into_owned();
        let end = End {
            now: now(),
            status,
            details: &details,
        };
        // A failed audit event never blocks traffic. Envoy's log line then has `-`, which readers count.
        filter::finish(flow, &end, &mut |name, value| {
            set_state(stream, name, value)
        });
        let Some(worker) = policy.worker() else {
            return;
        };
        let mut counted = worker.counted.borrow_mut();
        flow.count(&end, &mut |metric, values, by| {
            if let Some(stat) = configuration.stats.of(&metric) {
                counted.tell(metric, values, |values| stream.update(stat, values, by));
            }
        });
    }
}

/// Sets filter state.
fn set_state(stream: &mut Stream<'_>, name: &str, value: &[u8]) {
    if !stream.set_filter_state(&format!("wasm.{name}"), value) {
        log(
            Level::Error,
            &format!("agentguard: {name} could not be written"),
        );
    }
}

impl Running {
    /// Performs the actions of a step. A call that Envoy rejects ends the exchange.
    fn take(&mut self, stream: &mut Stream<'_>, half: Half, step: Step) -> Outcome {
        if !stream.edit(half.headers(), &step.headers) {
            return self.fail("a header could not be set");
        }
        self.calls.extend(step.calls);
        // Before Envoy 1.40, filter state is written once. A reply ends the exchange, so that its decision is the last one.
        if is_1_40() || matches!(step.action, Action::Reply(_)) {
            filter::publish_decision(&mut self.flow, false, &mut |name, value| {
                set_state(stream, name, value)
            });
        }
        let at_hand = self.at_hand(half);
        *self.holds(half) = matches!(step.action, Action::Hold);
        match step.action {
            Action::Continue => Outcome::Continue,
            Action::Hold => Outcome::Hold,
            Action::Replace(body) if stream.replace_body(half, at_hand, &body) => Outcome::Continue,
            Action::Replace(_) => self.fail("a body could not be replaced"),
            Action::Reply(reply) => Outcome::Reply(reply),
            Action::Reset => Outcome::Reset,
            Action::Take => {
                stream.drop_body(half, at_hand);
                Outcome::Hold
            }
        }
    }

    fn holds(&mut self, half: Half) -> &mut bool {
        match half {
            Half::Request => &mut self.holds_request,
            Half::Response => &mut self.holds_response,
        }
    }

    /// Returns the bytes of a half that this filter has in hand.
    fn at_hand(&mut self, half: Half) -> AtHand {
        AtHand {
            received: self.has_received,
            buffered: *self.holds(half),
        }
    }

    /// Passes a response of the approval service to the flow.
    fn resume(
        &mut self,
        stream: &mut Stream<'_>,
        number: u64,
        answer: &ServiceAnswer<'_>,
    ) -> Option<(Half, Outcome)> {
        let half = match self.flow.awaits()? {
            Direction::Request => Half::Request,
            Direction::Response => Half::Response,
        };
        let at_hand = self.at_hand(half);
        let mut held = HeldMessage {
            stream,
            half,
            at_hand,
            failed: false,
        };
        let start = now();
        let resumed = self
            .flow
            .service_answered(number, answer, &mut held, start)?;
        let has_failed = held.failed;
        self.flow.spent(now().saturating_sub(start));
        if let Some(failure) = resumed.failure {
            self.report(failure, answer);
        }
        let outcome = match has_failed {
            true => self.fail("a held body could not be read"),
            false => self.take(stream, half, resumed.step),
        };
        Some((half, outcome))
    }

    /// Logs the failure of the approval service.
    fn report(&self, failure: &str, answer: &ServiceAnswer<'_>) {
        let Some(service) = &self.guard.policy.document.approval_service else {
            return;
        };
        let status = match answer {
            ServiceAnswer::Received { status, .. } => format!(", status {status}"),
            ServiceAnswer::Unreachable => String::new(),
        };
        log(
            Level::Warn,
            &format!(
                "agentguard: AG3007 the approval service behind cluster `{}` failed: {failure}{status}",
                service.cluster
            ),
        );
    }

    /// Denies the exchange because of an internal error.
    fn fail(&mut self, why: &str) -> Outcome {
        log(Level::Error, &format!("agentguard: AG9001 {why}"));
        Outcome::Reply(self.flow.fail())
    }

    fn body(
        &mut self,
        stream: &mut Stream<'_>,
        half: Half,
        received: bool,
        run: impl FnOnce(&mut Flow, &mut dyn Body, u64) -> Step,
    ) -> Outcome {
        self.has_received = received;
        let at_hand = self.at_hand(half);
        let mut held = HeldMessage {
            stream,
            half,
            at_hand,
            failed: false,
        };
        let step = filter::timed(&mut self.flow, now, |flow, now| run(flow, &mut held, now));
        if held.failed {
            return self.fail("a body could not be read");
        }
        self.take(stream, half, step)
    }
}

/// Bytes of a message that Envoy holds.
struct HeldMessage<'s, 'h> {
    stream: &'s Stream<'h>,
    half: Half,
    at_hand: AtHand,
    /// Whether Envoy failed to return the bytes.
    failed: bool,
}

impl Body for HeldMessage<'_, '_> {
    fn size(&self) -> usize {
        self.stream.body_size(self.half, self.at_hand)
    }

    fn begin(&mut self, max: usize) -> Vec<u8> {
        self.stream
            .body(self.half, self.at_hand, max)
            .unwrap_or_else(|| {
                self.failed = true;
                Vec::new()
            })
    }
}

/// Filter state in which `set_filter_state` stores the metadata that `jwt_authn` has verified, as JSON: Envoy gives a
/// module no nested metadata. A client can't write there.
const VERIFIED_TOKEN: &str = "agentguard.jwt_authn";

/// Properties of the exchange of the current hook, by their paths in Wasm.
struct StreamProperties<'s, 'h> {
    stream: &'s Stream<'h>,
    verified: OnceCell<MemoryProperties>,
}

impl<'s, 'h> StreamProperties<'s, 'h> {
    fn of(stream: &'s Stream<'h>) -> StreamProperties<'s, 'h> {
        StreamProperties {
            stream,
            verified: OnceCell::new(),
        }
    }

    /// Returns the metadata of `jwt_authn`.
    fn verified(&self) -> &MemoryProperties {
        self.verified.get_or_init(|| {
            let state = self.stream.filter_state(VERIFIED_TOKEN).unwrap_or_default();
            let metadata: Value = serde_json::from_slice(state).unwrap_or_default();
            MemoryProperties::of_json(&json!({
                "metadata": {"filter_metadata": {"envoy.filters.http.jwt_authn": metadata}},
            }))
        })
    }
}

impl Properties for StreamProperties<'_, '_> {
    fn get(&self, path: &[&str]) -> Option<Vec<u8>> {
        let attribute = match path {
            ["source", "address"] => Attribute::SourceAddress,
            ["xds", "cluster_name"] => Attribute::ClusterName,
            ["connection", "subject_peer_certificate"] => Attribute::SubjectPeerCertificate,
            ["connection", "dns_san_peer_certificate"] => Attribute::DnsSanPeerCertificate,
            ["connection", "uri_san_peer_certificate"] => Attribute::UriSanPeerCertificate,
            ["connection", "mtls"] => {
                let is_mutual = self.stream.is_mutual_tls()?;
                return Some(vec![u8::from(is_mutual)]);
            }
            ["metadata", ..] => return self.verified().get(path),
            _ => return None,
        };
        self.stream.attribute(attribute).map(<[u8]>::to_vec)
    }

    /// Returns whether this Envoy provides the cluster. An older Envoy has no such attribute, and logs an error for
    /// each request of it.
    fn tells_clusters(&self) -> bool {
        is_1_40()
    }
}

/// Panics on request, for tests of their handling.
mod faults {
    use crate::abi::Stream;

    /// Does nothing: the module was built without panics.
    #[cfg(not(feature = "faults"))]
    pub(super) fn at(_hook: &str, _stream: &Stream<'_>) {}

    /// Panics if the exchange requests it for this hook.
    #[cfg(feature = "faults")]
    #[expect(clippy::panic, reason = "a panic is what it is for")]
    pub(super) fn at(hook: &str, stream: &Stream<'_>) {
        let headers = stream.headers(crate::abi::Map::RequestHeaders);
        let mut headers = headers.iter().flatten();
        if headers.any(|(name, value)| *name == b"x-test-panic" && *value == hook.as_bytes()) {
            panic!("{hook} was asked to panic");
        }
    }
}
