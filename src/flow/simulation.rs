//! Simulation of an exchange without Envoy, with Envoy's rules on which side receives which bytes when. Held bytes stay
//! in the simulation; released bytes reach the upstream or the client at once. For the command line and for tests.

use super::step::{
    Action, Body, End, HeaderEdit, RequestHead, ResponseHead, ServiceAnswer, ServiceCall, Step,
};
use super::{EventObserver, Finished, Flow, Guard, GuardError, HostEnvironment};
use crate::event::Principal;
use crate::policy::Policy;
use crate::proxy::{MemoryProperties, MemorySharedData};
use std::rc::Rc;

/// Puts a policy in force without an environment: no variables, no names from a proxy, and a chain whose id is always
/// the same.
///
/// # Errors
/// As [`Guard::new`].
pub fn guard(policy: Policy) -> Result<Rc<Guard>, GuardError> {
    let surroundings = HostEnvironment {
        variable: &|_| None,
        node_environment: &|| None,
        seed: [7; 40],
        shared_data: Rc::new(MemorySharedData::default()),
        kill: Rc::default(),
    };
    Guard::new(policy, &surroundings).map(Rc::new)
}

/// One half of an exchange, as it arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpMessage {
    /// Headers in their order, including pseudo-headers.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body in chunks. Without any chunk there is no body.
    pub chunks: Vec<Vec<u8>>,
    /// Whether trailers follow. No chunk is then marked as the last.
    pub trailers: bool,
}

impl HttpMessage {
    /// Returns the headers in the form in which hosts pass them.
    pub fn header_slices(&self) -> Vec<(&[u8], &[u8])> {
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
            .collect()
    }

    /// Creates a half whose body arrives in one chunk.
    pub fn new(headers: &[(&str, &str)], body: &[u8]) -> HttpMessage {
        HttpMessage {
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
            chunks: if body.is_empty() {
                Vec::new()
            } else {
                vec![body.to_vec()]
            },
            trailers: false,
        }
    }

    /// Returns the value of a header; of several, the first.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(known, _)| known == name.as_bytes())
            .map(|(_, value)| value.as_slice())
    }

    /// Returns the whole body.
    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// Returns the `:status` of a response.
    pub fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.header(":status")?)
            .ok()?
            .parse()
            .ok()
    }

    fn edit(&mut self, edits: Vec<HeaderEdit>) {
        for edit in edits {
            let (name, value) = match edit {
                HeaderEdit::Remove(name) => (name, None),
                HeaderEdit::Set(name, value) => (name, Some(value)),
            };
            self.headers.retain(|(known, _)| known != name.as_bytes());
            if let Some(value) = value {
                self.headers
                    .push((name.into_owned().into_bytes(), value.into_bytes()));
            }
        }
    }
}

/// Bytes that each side received, and results of the exchange.
#[derive(Clone, Debug)]
pub struct SimulatedResult {
    /// Message that reached the upstream; `None` if it received nothing, not even headers.
    pub upstream: Option<HttpMessage>,
    /// Whether the upstream received the complete request.
    pub upstream_complete: bool,
    /// Message that reached the client.
    pub client: HttpMessage,
    /// Whether the client's connection was cut afterwards.
    pub cut: bool,
    /// Calls to the approval service, including notices.
    pub service_calls: Vec<ServiceCall>,
    /// Results with the audit event.
    pub finished: Finished,
    /// Changed metrics: name, label values, increment.
    pub counts: Vec<(&'static str, Vec<String>, u64)>,
}

/// Runs one exchange. `answer` is the upstream, called once it has received the whole request. The clock starts at
/// `now` and advances by a microsecond with each call.
pub fn run(
    guard: &Rc<Guard>,
    request: &HttpMessage,
    answer: impl FnOnce(&HttpMessage) -> HttpMessage,
    now: u64,
) -> SimulatedResult {
    run_as(&Caller::default(), guard, request, answer, now, None)
}

/// Caller of a simulated request.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Properties of the connection that the proxy knows: address, certificate, verified tokens.
    pub properties: MemoryProperties,
    /// Principal, given directly. The request's credentials are then ignored.
    pub principal: Option<Principal>,
    /// Roles that have approved everything that the exchange needs an approval for.
    pub approved_by: Vec<Box<str>>,
}

/// Simulated approval service: returns the status and body of its response to a call, or `None` for a timeout.
pub type SimulatedService<'s> = &'s mut dyn FnMut(&ServiceCall) -> Option<(u16, Vec<u8>)>;

/// Runs one exchange of a caller like [`run`], with an observer of each evaluated event. The approval service never
/// responds.
pub fn run_as(
    caller: &Caller,
    guard: &Rc<Guard>,
    request: &HttpMessage,
    answer: impl FnOnce(&HttpMessage) -> HttpMessage,
    now: u64,
    watcher: Option<EventObserver>,
) -> SimulatedResult {
    let nobody: SimulatedService<'_> = &mut |_| None;
    run_served(caller, guard, request, answer, now, watcher, nobody)
}

/// Runs one exchange of a caller like [`run_as`], with an approval service.
pub fn run_served(
    caller: &Caller,
    guard: &Rc<Guard>,
    request: &HttpMessage,
    answer: impl FnOnce(&HttpMessage) -> HttpMessage,
    now: u64,
    watcher: Option<EventObserver>,
    service: SimulatedService<'_>,
) -> SimulatedResult {
    let mut flow = Flow::new(Rc::clone(guard));
    if let Some(watcher) = watcher {
        flow.watched_by(watcher);
    }
    if let Some(principal) = &caller.principal {
        flow.asked_by(principal.clone());
    }
    flow.approved_by(caller.approved_by.clone());
    let mut simulation = Simulation {
        flow,
        properties: caller.properties.clone(),
        now,
        upstream: None,
        client: HttpMessage::default(),
        cut: false,
        service,
        service_calls: Vec::new(),
    };
    let complete = simulation.request(request);
    if complete && let Some(upstream) = simulation.upstream.clone() {
        simulation.response(&answer(&upstream));
    }
    let end = End {
        now: simulation.tick(),
        ..End::default()
    };
    let finished = simulation.flow.finish(&end);
    let mut counts = Vec::new();
    simulation.flow.count(&end, &mut |metric, values, by| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        counts.push((metric.name, values, by));
    });
    SimulatedResult {
        finished,
        counts,
        upstream: simulation.upstream,
        upstream_complete: complete,
        client: simulation.client,
        cut: simulation.cut,
        service_calls: simulation.service_calls,
    }
}

struct Simulation<'s> {
    flow: Flow,
    service: SimulatedService<'s>,
    service_calls: Vec<ServiceCall>,
    properties: MemoryProperties,
    now: u64,
    upstream: Option<HttpMessage>,
    client: HttpMessage,
    cut: bool,
}

/// Bytes that are not released.
struct Buffer<'b>(&'b [u8]);

impl Body for Buffer<'_> {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn begin(&mut self, max: usize) -> Vec<u8> {
        self.0.get(..max).unwrap_or(self.0).to_vec()
    }
}

impl Simulation<'_> {
    /// Makes the calls of a step to the approval service, until the exchange continues. `buffer` has the held bytes.
    fn served(&mut self, mut step: Step, buffer: &mut Vec<u8>) -> Step {
        loop {
            if step.action == Action::Take {
                buffer.clear();
            }
            let mut next = None;
            for call in std::mem::take(&mut step.calls) {
                let answer = (self.service)(&call);
                if call.is_awaited {
                    if answer.is_none() {
                        let wait = call.timeout.saturating_mul(1_000_000_000);
                        self.now = self.now.saturating_add(wait);
                    }
                    // Envoy's own response to a timeout.
                    let (status, body) = answer.unwrap_or((504, Vec::new()));
                    let answer = ServiceAnswer::Received {
                        status,
                        body: &body,
                    };
                    let now = self.tick();
                    let held = &mut Buffer(buffer);
                    next = self.flow.service_answered(call.number, &answer, held, now);
                }
                self.service_calls.push(call);
            }
            match next {
                Some(resumed) => step = resumed.step,
                None => return step,
            }
        }
    }

    fn tick(&mut self) -> u64 {
        self.now = self.now.saturating_add(1_000);
        self.now
    }

    /// Sends a request. Returns whether the upstream received all of it.
    fn request(&mut self, request: &HttpMessage) -> bool {
        let mut sent = HttpMessage {
            headers: request.headers.clone(),
            ..HttpMessage::default()
        };
        let headers = request.header_slices();
        let has_body = !request.chunks.is_empty() || request.trailers;
        let step = self.flow.request_headers(&RequestHead {
            headers: &headers,
            end: !has_body,
            properties: &self.properties,
            now: self.now,
        });
        let step = self.served(step, &mut Vec::new());
        sent.edit(step.headers);
        match step.action {
            Action::Reply(reply) => return self.reply(reply),
            Action::Hold | Action::Take => {}
            Action::Continue | Action::Replace(_) | Action::Reset => {
                self.upstream = Some(sent.clone());
            }
        }
        let mut buffer = Vec::new();
        for (at, chunk) in arrivals(request) {
            buffer.extend_from_slice(chunk);
            let is_last = at.saturating_add(1) == arrival_count(request);
            let now = self.tick();
            let step = self.flow.request_body(&mut Buffer(&buffer), is_last, now);
            let step = self.served(step, &mut buffer);
            if !self.pass_request(step, &mut sent, &mut buffer) {
                return false;
            }
        }
        // Held headers are forwarded with the end of the body at the latest.
        self.upstream.get_or_insert(sent);
        true
    }

    fn pass_request(&mut self, step: Step, sent: &mut HttpMessage, buffer: &mut Vec<u8>) -> bool {
        let bytes = match step.action {
            Action::Reply(reply) => return self.reply(reply),
            Action::Hold | Action::Take => return true,
            Action::Continue | Action::Reset => std::mem::take(buffer),
            Action::Replace(body) => {
                buffer.clear();
                body
            }
        };
        if self.upstream.is_none() {
            sent.edit(step.headers);
        }
        let upstream = self.upstream.get_or_insert_with(|| sent.clone());
        if !bytes.is_empty() {
            upstream.chunks.push(bytes);
        }
        true
    }

    fn response(&mut self, response: &HttpMessage) {
        let headers = response.header_slices();
        let now = self.tick();
        let has_body = !response.chunks.is_empty() || response.trailers;
        let step = self.flow.response_headers(&ResponseHead {
            headers: &headers,
            end: !has_body,
            now,
        });
        let mut sent = HttpMessage {
            headers: response.headers.clone(),
            ..HttpMessage::default()
        };
        let step = self.served(step, &mut Vec::new());
        sent.edit(step.headers);
        let mut left = match step.action {
            Action::Reply(reply) => {
                self.reply(reply);
                return;
            }
            Action::Hold | Action::Take => false,
            Action::Continue | Action::Replace(_) | Action::Reset => true,
        };
        let mut buffer = Vec::new();
        for (at, chunk) in arrivals(response) {
            buffer.extend_from_slice(chunk);
            let is_last = at.saturating_add(1) == arrival_count(response);
            let now = self.tick();
            let step = self.flow.response_body(&mut Buffer(&buffer), is_last, now);
            let step = self.served(step, &mut buffer);
            let bytes = match step.action {
                // After headers were sent, a reply can only cut off the body.
                Action::Reply(_) | Action::Reset if left => {
                    self.client = sent;
                    self.cut = true;
                    return;
                }
                Action::Reply(reply) => {
                    self.reply(reply);
                    return;
                }
                Action::Hold | Action::Take => continue,
                Action::Continue | Action::Reset => std::mem::take(&mut buffer),
                Action::Replace(body) => {
                    buffer.clear();
                    body
                }
            };
            if !left {
                sent.edit(step.headers);
                left = true;
            }
            if !bytes.is_empty() {
                sent.chunks.push(bytes);
            }
        }
        self.client = sent;
    }

    fn reply(&mut self, reply: super::Reply) -> bool {
        let mut headers = vec![(b":status".to_vec(), reply.status.to_string().into_bytes())];
        headers.extend(
            reply
                .headers
                .into_iter()
                .map(|(name, value)| (name.into_bytes(), value.into_bytes())),
        );
        self.client = HttpMessage {
            headers,
            chunks: vec![reply.body],
            trailers: false,
        };
        false
    }
}

/// Returns the arrivals after the headers. Trailers are another arrival, without bytes.
fn arrivals(half: &HttpMessage) -> impl Iterator<Item = (usize, &[u8])> {
    half.chunks
        .iter()
        .map(Vec::as_slice)
        .chain(half.trailers.then_some(&[][..]))
        .enumerate()
}

fn arrival_count(half: &HttpMessage) -> usize {
    half.chunks.len().saturating_add(usize::from(half.trailers))
}
