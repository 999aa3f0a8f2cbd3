//! Request half of an exchange: recognises the protocol, parses the body, evaluates and edits it.

use super::evaluate::{BODY_TOO_LARGE, DeniedEvent, HalfDecision};
use super::exchange::ExchangeOutcome;
use super::identity::removals;
use super::step::{Action, Body, HeaderEdit, RequestHead, Step, format_bytes};
use super::target_uri::TargetUri;
use super::{BodyCopy, Flow, HalfState, RecordedHead, Undetermined};
use crate::diag::codes;
use crate::event::{DefaultGate, Direction, Event, Kind, Known, Models, Problem, Reading};
use crate::identity::is_alike;
use crate::policy::{Context, Decision, EvaluationPhase, Interest, MatchedEntry, ProtocolEntry};
use crate::protocol::{
    self, BodyForm, Bounds, Denial, Recognised, RequestContext, Route, RouteHead as ProtocolHead,
};
use crate::proxy::Properties;
use crate::redact;
use crate::wire::http::{ContentType, is_identity, percent_decode};
use crate::wire::json::{Edits, JsonBody, Limits, NodeId};
use crate::wire::letter_case;
use crate::wire::utf8;
use crate::wire::work;
use std::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

/// Prefix of the filter's own headers.
const OWN_PREFIX: &str = "x-agentguard-";

/// Returns whether a header is one of the filter's own, or one that a server reads as such: `x_agentguard_tags`. Such
/// headers from clients and upstreams are removed.
pub(super) fn is_own(name: &[u8]) -> bool {
    name.get(..OWN_PREFIX.len())
        .is_some_and(|start| is_alike(start, OWN_PREFIX))
}

/// Returns the cluster of a request's route: missing for a redirect or a direct response, unknown if the host does not
/// provide clusters.
fn cluster_of(properties: &dyn Properties) -> Known<Box<str>> {
    if !properties.tells_clusters() {
        return Known::Unknown;
    }
    let name = properties.get(&["xds", "cluster_name"]);
    name.and_then(|name| String::from_utf8(name).ok())
        .map(Box::from)
        .into()
}

/// Digest headers of a body, which are invalid after an edit.
const DIGESTS: [&str; 4] = ["content-md5", "digest", "content-digest", "repr-digest"];

/// Headers by which servers take another method for that of the request.
const OVERRIDES: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Request headers that determine how the body is parsed.
struct RequestHeaderInfo<'a> {
    method: String,
    authority: String,
    path: &'a [u8],
    content_type: Option<Vec<u8>>,
    encoded: bool,
    content_length: Option<usize>,
    upgrade: bool,
    /// Whether a header asks for another method.
    overrides: bool,
    signed: bool,
    signs_accept_encoding: bool,
    own: Vec<String>,
}

fn request_header_info<'a>(head: &RequestHead<'a>) -> RequestHeaderInfo<'a> {
    let mut seen = RequestHeaderInfo {
        method: String::new(),
        authority: String::new(),
        path: b"",
        content_type: None,
        encoded: false,
        content_length: None,
        upgrade: false,
        overrides: false,
        signed: false,
        signs_accept_encoding: false,
        own: Vec::new(),
    };
    for (name, value) in head.headers {
        match *name {
            b":method" => seen.method = utf8::lossy(value).into_owned(),
            b":authority" | b"host" => {
                seen.authority = letter_case::ascii_lower(&utf8::lossy(value));
            }
            b":path" => seen.path = value,
            // A second `content-type` is ambiguous. Both values are joined, which matches no known type.
            b"content-type" => match &mut seen.content_type {
                Some(first) => {
                    first.extend_from_slice(b", ");
                    first.extend_from_slice(value);
                }
                None => seen.content_type = Some(value.to_vec()),
            },
            b"content-encoding" => seen.encoded |= !is_identity(value),
            b"content-length" => {
                seen.content_length = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok());
            }
            // AWS Signature Version 4 (`AWS4-HMAC-SHA256`, `AWS4-ECDSA-P256-SHA256`) covers a hash of the body.
            b"authorization" if value.trim_ascii_start().starts_with(b"AWS4-") => {
                seen.signed = true;
                seen.signs_accept_encoding |= signs(value, "accept-encoding");
            }
            // h2c, WebSocket; and extended CONNECT (RFC 8441), which has no `upgrade` header.
            b"upgrade" | b":protocol" => seen.upgrade = true,
            name if is_own(name) => seen.own.push(utf8::lossy(name).into_owned()),
            name => seen.overrides |= OVERRIDES.iter().any(|known| is_alike(name, known)),
        }
    }
    seen
}

impl Flow {
    /// Processes the request headers. Called once.
    pub fn request_headers(&mut self, head: &RequestHead<'_>) -> Step {
        self.now = head.now;
        let step = self
            .metered(|flow| flow.begin_request(head))
            .without_absent(head.headers);
        self.with_calls(step)
    }

    fn begin_request(&mut self, head: &RequestHead<'_>) -> Step {
        let guard = Rc::clone(&self.guard);
        let policy = &guard.policy;
        let seen = request_header_info(head);
        let mut identified = self.identify(head);
        let without_key = identified.path.take();
        let received = utf8::lossy(seen.path);
        let target = without_key.as_deref().unwrap_or(&received);
        let parsed = |target| {
            guard
                .targets
                .of(&seen.authority, target, &guard.name_masker)
        };
        let mut uri = parsed(target);
        self.head.signed = seen.signed || uri.is_presigned;
        // The provider knows only its own response ids.
        let restored = uri.restored.clone();
        let restored = restored.filter(|_| policy.needs.holds_requests() && !self.head.signed);
        if let Some(restored) = &restored {
            uri = parsed(restored);
        }
        let target = restored.as_deref().unwrap_or(target);
        let set_path = restored.as_ref().or(without_key.as_ref());
        let set_path = set_path.map(|path| HeaderEdit::Set(":path".into(), path.clone()));
        self.exchange.started = head.now;
        self.head.method.clone_from(&seen.method);
        self.head.length = seen.content_length;
        let mut id = request_id(head)
            .unwrap_or_else(|| guard.fresh_id())
            .into_boxed_str();
        guard.name_masker.mask(&mut id);
        self.head.request_id = id.into();
        self.head.recorded = RecordedHead::of(head, policy.document.client_address);
        self.remember(&seen, &uri, head);
        let applies = policy.applies(&self.facts);
        let mut edits = removals(&identified, applies);
        self.remember_caller(identified);

        if !applies {
            edits.extend(set_path);
            return self.pass_ungoverned(edits);
        }

        edits.extend(
            seen.own
                .iter()
                .cloned()
                .map(|name| HeaderEdit::Remove(name.into())),
        );
        edits.extend(set_path);
        self.take_presented(head.headers, &seen.method, &seen.authority, target);
        let named = policy.named(&self.facts);
        self.take_names(&named);
        let start = ProtocolHead {
            method: &seen.method,
            host: &seen.authority,
            path: &uri.path,
            headers: head.headers,
        };
        let recognised = self.recognise(&start, named.entry);
        let problem = self.read_head(&seen, head, recognised);
        let problem = problem.or(named.is_contradictory.then(|| {
            Problem::of_body(
                codes::AG2012,
                "the path can be read as two that the policy tells apart",
            )
        }));
        let denied = self.evaluate_identity().or_else(|| self.begin_kill());
        if let Some(denied) = denied {
            return self.deny_now(&denied);
        }
        let is_known = self.protocol.is_some() || self.head.undetermined.is_some();
        let is_read =
            is_known && self.request_context.endpoint.body != BodyForm::Absent && !head.end;
        let problem = match is_read {
            true => self.defer_problem_to_body(problem, &seen),
            false => problem,
        };
        let reads_responses = self.response_interest().max(guard.limits.bounds_streams());
        if is_known && reads_responses == Interest::Enforced && !seen.signs_accept_encoding {
            // Envoy's decompressor never ends a response body, so that compressed responses cannot be inspected. The
            // upstream is asked not to compress, also by a request without a body.
            edits.push(HeaderEdit::Set(
                "accept-encoding".into(),
                "identity".to_owned(),
            ));
        }
        if problem.is_some() || !is_read {
            let step = self.evaluate_without_body(problem);
            return match step {
                Some(denial) => denial,
                None => {
                    edits.extend(self.tag_edit());
                    self.request = HalfState::Passing;
                    Step::with(edits, Action::Continue)
                }
            };
        }
        self.await_body(head.now, edits)
    }

    /// Forwards a request to which the policy does not apply, unless a kill list stops it.
    fn pass_ungoverned(&mut self, edits: Vec<HeaderEdit>) -> Step {
        self.exchange.ignored = true;
        if let Some(denied) = self.begin_kill() {
            return self.deny_now(&denied);
        }
        self.exchange
            .decided(ExchangeOutcome::Allow, ExchangeOutcome::Allow);
        self.request = HalfState::Passing;
        self.response = HalfState::Passing;
        Step::with(edits, Action::Continue)
    }

    /// Keeps a problem of the headers that the policy allows until the body is read: a client-chosen type, encoding or
    /// path must not hide a body from the policy. Returns any other problem.
    fn defer_problem_to_body(
        &mut self,
        problem: Option<Problem>,
        seen: &RequestHeaderInfo<'_>,
    ) -> Option<Problem> {
        let doubtful = [
            codes::AG2005,
            codes::AG2006,
            codes::AG2007,
            codes::AG2009,
            codes::AG2012,
        ];
        let problem = problem?;
        if !doubtful.contains(&problem.code) || self.denies(Direction::Request, problem.code) {
            return Some(problem);
        }
        self.head.headers_problem = Some(problem);
        let body = &mut self.request_context.endpoint.body;
        let content_type = ContentType::parse(seen.content_type.as_deref());
        if matches!(body, BodyForm::Multipart | BodyForm::Fields) && !body.takes(content_type.media)
        {
            *body = BodyForm::Json;
        }
        None
    }

    /// Ends the headers of a request whose body is read. The body is held, or copied if no rule can change it.
    fn await_body(&mut self, since: u64, mut edits: Vec<HeaderEdit>) -> Step {
        let guard = Rc::clone(&self.guard);
        let policy = &guard.policy;
        if !policy.needs.holds_requests() && !self.kill.stops_tools() {
            self.request = HalfState::Tapping(BodyCopy::default());
            return Step::with(edits, Action::Continue);
        }
        self.request = HalfState::Holding { since };
        if guard.holds_headers() {
            return Step::with(edits, Action::Hold);
        }
        let restores = self.protocol.is_some_and(|protocol| {
            protocol.restores(&self.request_context.endpoint)
                && self.response_interest() == Interest::Enforced
        });
        let edits_body = policy.needs.edits_requests() || restores || self.removes_tokens();
        if edits_body && !self.head.signed {
            // The headers are forwarded now, and Envoy never corrects a length. Without one, the body is sent in
            // chunks.
            edits.push(HeaderEdit::Remove("content-length".into()));
            self.head.length = None;
            edits.extend(without_digests());
        }
        Step::with(edits, Action::Continue)
    }

    /// Recognises the protocol by the start of a request, or takes it from the policy's entry for the request. If the
    /// policy allows unknown endpoints, the body is checked first: an exempt path must not carry a governed body.
    fn recognise(&mut self, head: &ProtocolHead<'_>, entry: Option<&ProtocolEntry>) -> Recognised {
        if let Some(route) = entry.and_then(|entry| assumed(entry, head)) {
            return Recognised::Protocol(route);
        }
        let recognised = match protocol::recognise(head) {
            Recognised::Unknown
                if protocol::may_hold_a_call(head)
                    && !self.denies(Direction::Request, codes::AG2007) =>
            {
                Recognised::ByBody
            }
            recognised => recognised,
        };
        if matches!(recognised, Recognised::ByBody) {
            let headers = head.headers.iter();
            self.head.undetermined = Some(Undetermined {
                host: head.host.to_owned(),
                path: head.path.clone(),
                headers: headers
                    .map(|(name, value)| (name.to_vec(), value.to_vec()))
                    .collect(),
            });
        }
        recognised
    }

    /// Returns whether the policy denies content that could not be inspected for this reason.
    pub(super) fn denies(&self, direction: Direction, code: &'static str) -> bool {
        let mut event = Event::new(Kind::Uninspectable, direction, NodeId::default());
        event.code = Some(code);
        !self.allows(&event)
    }

    /// Returns whether the policy allows an event without content.
    fn allows(&self, event: &Event) -> bool {
        let decision = self.without_body(|context| {
            let phase = EvaluationPhase::Whole;
            let evaluation = context.policy.evaluate(event, context, phase);
            evaluation.ruling.decision
        });
        decision == Some(Decision::Allow)
    }

    /// Calls `decide` with the context of an event without a body.
    pub(super) fn without_body<T>(&self, decide: impl FnOnce(&Context<'_>) -> T) -> Option<T> {
        let (json, reading, scans) = (empty_body()?, Reading::new(), RefCell::default());
        let context = self.guard.context(&self.facts, &reading, &json, &scans);
        Some(decide(&context))
    }

    /// Applies the names that the policy gives to the server or provider.
    fn take_names(&mut self, named: &MatchedEntry<'_>) {
        let Some(entry) = named.entry else { return };
        if let Some(provider) = &entry.provider {
            self.facts.provider = Known::Is(provider.clone());
        }
        if let Some(server) = &entry.server {
            self.facts.server = Known::Is(server.clone());
            self.facts.qualifies = true;
        }
    }

    /// Returns how far the policy inspects responses.
    pub(super) fn response_interest(&self) -> Interest {
        let needs = &self.guard.policy.needs;
        match self.protocol {
            Some(protocol)
                if self.kill.stops_tools()
                    && protocol::responses_of(protocol).any(|kind| kind == Kind::ToolCall) =>
            {
                Interest::Enforced
            }
            Some(protocol) => needs.answers(protocol::responses_of(protocol)),
            None => needs.answers(Kind::ALL.iter().copied()),
        }
    }

    fn remember(
        &mut self,
        seen: &RequestHeaderInfo<'_>,
        uri: &Rc<TargetUri>,
        head: &RequestHead<'_>,
    ) {
        let guard = Rc::clone(&self.guard);
        self.head.uri = Some(Rc::clone(uri));
        let facts = &mut self.facts;
        facts.request.region = uri.region.clone();
        facts.host = Known::Is(uri.host.clone());
        facts.method = Known::Is(seen.method.as_str().into());
        facts.paths = Known::Is(uri.paths.clone());
        facts.protocol = Known::Is("unknown".into());
        facts.provider = Known::Is(uri.provider.into());
        facts.cluster = match guard.policy.asks_cluster() {
            true => cluster_of(head.properties),
            false => Known::Missing,
        };
        facts.server = Known::Missing;
        facts.models = Models::default();
        facts.time = Some(head.now);
        self.learn_session_headers(head.headers);
        let facts = &mut self.facts;
        if guard.limits.asks_address() {
            facts.address = client_network(self.head.recorded.client);
        }
        facts.environment = guard.environment.clone();
        facts.content_type = seen
            .content_type
            .as_ref()
            .map(|value| utf8::lossy(value).into());
        let is_wanted = |name: &str, all: &str| {
            let mut wanted = guard.policy.needs.headers.iter();
            wanted.any(|wanted| **wanted == *name || **wanted == *all)
        };
        for (name, value) in head.headers {
            let name = utf8::lossy(name);
            // Pseudo-headers are facts; credentials are not texts.
            let is_text = !name.starts_with(':')
                && !matches!(&*name, "authorization" | "proxy-authorization" | "cookie");
            if is_wanted(&name, if is_text { "*" } else { &name }) {
                facts.headers.push((name.into(), (*value).into()));
            }
        }
        if !guard
            .policy
            .needs
            .headers
            .iter()
            .any(|wanted| wanted.starts_with('?'))
        {
            return;
        }
        for pair in uri.path.query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text: &str| percent_decode(&text.replace('+', " ")).into_owned();
            let name = letter_case::ascii_lower(&decoded(name));
            let name = format!("?{name}");
            if is_wanted(&name, "?*") {
                let value = decoded(value).into_bytes();
                facts.headers.push((name.into(), value.into()));
            }
        }
    }

    /// Determines from the headers how the request can be parsed, and sets the protocol. Returns the problem that
    /// prevents parsing.
    fn read_head(
        &mut self,
        seen: &RequestHeaderInfo<'_>,
        head: &RequestHead<'_>,
        recognised: Recognised,
    ) -> Option<Problem> {
        let problem = |code, what| Some(Problem::of_body(code, what));
        let (is_content, is_harmless) = match recognised {
            Recognised::Protocol(route) => {
                let form = route.endpoint.body;
                let code = route.endpoint.code;
                self.follow(route);
                if code.is_some() && !seen.upgrade {
                    return code.and_then(|code| {
                        problem(code, "this endpoint hands out access past the proxy")
                    });
                }
                let is_empty = form == BodyForm::JsonOrNothing && head.end;
                let is_absent = form == BodyForm::Absent || is_empty;
                (!is_absent, is_absent)
            }
            Recognised::ByBody => (true, false),
            Recognised::Harmless { endpoint } => {
                self.request_context.endpoint.name = endpoint;
                self.request_context.endpoint.gate = DefaultGate::Origin;
                if endpoint == "models" {
                    self.facts.protocol = Known::Is("openai.other".into());
                }
                (false, true)
            }
            Recognised::Unknown => (false, false),
        };
        if seen.upgrade || seen.method == "CONNECT" {
            return problem(codes::AG2008, "it upgrades to another protocol");
        }
        let overrides = self.head.uri.as_ref().is_some_and(|uri| uri.overrides);
        if seen.overrides || overrides {
            return problem(
                codes::AG2012,
                "a header or the query asks for another method or body",
            );
        }
        if is_harmless {
            return match head.end {
                true => None,
                false => problem(codes::AG2007, "a body is not expected at this endpoint"),
            };
        }
        if !is_content {
            return problem(codes::AG2007, "the endpoint is not known");
        }
        let content_type = ContentType::parse(seen.content_type.as_deref());
        let fits = self.request_context.endpoint.body.takes(content_type.media);
        if !fits && self.protocol.is_none() {
            return problem(codes::AG2007, "the endpoint is not known");
        }
        if seen.encoded {
            return problem(codes::AG2005, "the body is compressed or otherwise encoded");
        }
        if content_type.foreign_charset {
            return problem(codes::AG2009, "the charset is not UTF-8");
        }
        if !fits {
            return problem(codes::AG2006, "the content type can't be read here");
        }
        if head.end && self.protocol.is_none() {
            return problem(codes::AG2007, "the endpoint is not known");
        }
        // A body that is announced to be empty and ends later is denied before a server can respond to the headers: `content-length:
        // 0` without the end of the stream in HTTP/2.
        let is_announced_empty = || {
            seen.content_length == Some(0)
                && self.protocol.is_some()
                && self.request_context.endpoint.body != BodyForm::JsonOrNothing
                && self.denies(Direction::Request, codes::AG2001)
        };
        if head.end || is_announced_empty() {
            return problem(codes::AG2001, "the body is empty");
        }
        if seen
            .content_length
            .is_some_and(|length| length > self.guard.max_body())
        {
            return problem(codes::AG2004, BODY_TOO_LARGE);
        }
        None
    }

    /// Sets the recognised protocol and endpoint.
    fn follow(&mut self, route: Route) {
        self.protocol = Some(route.protocol);
        self.facts.protocol = Known::Is(route.protocol.name().into());
        if route.protocol.serves_tools() && self.facts.server == Known::Missing {
            self.facts.server = self.facts.host.clone();
        }
        let region = &mut self.facts.request.region;
        if *region == Known::Missing && route.protocol.name().starts_with("bedrock.") {
            // The host is the operator's own, so that it does not contain the region.
            *region = Known::Unknown;
        }
        self.request_context = RequestContext::at(route.endpoint);
    }

    /// Evaluates a request whose body is not parsed, which goes out unless it is denied. Returns the denial.
    fn evaluate_without_body(&mut self, problem: Option<Problem>) -> Option<Step> {
        // The request may have been held for long.
        let denied = self
            .recheck_kill(Direction::Request)
            .or_else(|| self.evaluate_unparsed(problem))?;
        Some(self.deny_now(&denied))
    }

    /// Evaluates a request whose body is not parsed: its headers have a problem, or its endpoint has no content.
    fn evaluate_unparsed(&mut self, problem: Option<Problem>) -> Option<DeniedEvent> {
        let mut reading = Reading {
            models: self.request_context.endpoint.models(),
            is_unread: problem.is_some(),
            ..Reading::new()
        };
        if self.request_context.endpoint.model == Known::Missing && problem.is_some() {
            // The model in the body is unknown.
            reading.models.unknown = true;
        }
        let mut event = Event::new(Kind::Request, Direction::Request, NodeId::default());
        if problem.is_none() {
            event.gate = self.request_context.endpoint.gate;
        }
        reading.problems.extend(problem);
        reading.add(event);
        self.facts.models = reading.models.clone();
        let json = empty_body()?;
        let half_decision = self.evaluate(Direction::Request, &json, &reading);
        half_decision.strictest().cloned()
    }

    fn deny_now(&mut self, denied: &DeniedEvent) -> Step {
        self.request = HalfState::Done;
        let denial = match empty_body() {
            Some(json) => self.denial(denied, &json),
            None => return Step::go_on(),
        };
        let reply = self.reply(&denial, denied.ruling.decision);
        Step::of(Action::Reply(reply))
    }

    /// Evaluates a request that was ignored because of its cluster, but is now routed to a cluster to which the policy
    /// applies. Envoy chooses the route again when this filter removes a key from the headers, or when a later filter
    /// edits them. The host calls this when more of the request, or its response, arrives. Returns the denial.
    pub fn rerouted(&mut self, properties: &dyn Properties) -> Option<Step> {
        if !self.exchange.ignored || !self.guard.policy.asks_cluster() {
            return None;
        }
        self.facts.cluster = cluster_of(properties);
        if !self.guard.policy.applies(&self.facts) {
            return None;
        }
        self.exchange.ignored = false;
        let step = self.metered(|flow| {
            // The caller was not evaluated while the policy did not apply.
            let denied = flow.evaluate_identity().or_else(|| flow.begin_kill());
            if let Some(denied) = denied {
                return Some(flow.deny_now(&denied));
            }
            flow.evaluate_without_body(Some(Problem::of_body(
                codes::AG2012,
                "it was routed again, to a cluster that the policy applies to",
            )))
        })?;
        Some(self.with_calls(step))
    }

    /// Processes received bytes of the request; with `end`, the last ones.
    pub fn request_body(&mut self, body: &mut dyn Body, end: bool, now: u64) -> Step {
        self.now = now;
        let step = self.metered(|flow| flow.take_request(body, end, now));
        self.with_calls(step)
    }

    fn take_request(&mut self, body: &mut dyn Body, end: bool, now: u64) -> Step {
        self.request.count(body, &mut self.exchange.request_bytes);
        match &self.request {
            HalfState::Tapping(_) => {
                if body.size() > 0 {
                    let bytes = body.read();
                    self.tap(&bytes, Direction::Request);
                }
                if end || self.has_tapped_all() {
                    self.observe_request();
                }
                Step::go_on()
            }
            HalfState::Holding { since } => {
                let since = *since;
                let too_large = body.size() > self.guard.max_body();
                // A body that was allowed unread and is not JSON is not held.
                let is_opaque = self.head.headers_problem.is_some()
                    && body.size() > 0
                    && protocol::begins_like_json(&format_bytes(body, end)) == Some(false);
                if !end && !too_large && !is_opaque {
                    return Step::of(Action::Hold);
                }
                self.exchange.held_ns = self
                    .exchange
                    .held_ns
                    .saturating_add(now.saturating_sub(since));
                self.request = HalfState::Done;
                if is_opaque {
                    self.request = HalfState::Passing;
                    let doubt = self.head.headers_problem.take();
                    return self.evaluate_without_body(doubt).unwrap_or(Step::go_on());
                }
                if too_large {
                    let problem = Problem::of_body(codes::AG2004, BODY_TOO_LARGE);
                    // If a rule allows the body, the rest is forwarded unread.
                    self.request = HalfState::Passing;
                    return self
                        .evaluate_without_body(Some(problem))
                        .unwrap_or(Step::go_on());
                }
                let bytes = body.read();
                self.evaluate_request(&bytes)
            }
            HalfState::Asking => Step::of(Action::Hold),
            HalfState::Draining => Step::of(Action::Replace(Vec::new())),
            HalfState::Waiting
            | HalfState::Passing
            | HalfState::Streaming(_)
            | HalfState::Resetting
            | HalfState::Done => Step::go_on(),
        }
    }

    /// Processes the request's trailers, which end its body.
    pub fn request_trailers(
        &mut self,
        trailers: &[(&[u8], &[u8])],
        body: &mut dyn Body,
        now: u64,
    ) -> Step {
        self.now = now;
        let step = self.metered(|flow| flow.take_trailers(trailers, body, now));
        self.with_calls(step)
    }

    fn take_trailers(
        &mut self,
        trailers: &[(&[u8], &[u8])],
        body: &mut dyn Body,
        now: u64,
    ) -> Step {
        let Some(what) = decompression_problem(trailers) else {
            return self.take_request(body, true, now);
        };
        match &mut self.request {
            HalfState::Holding { since } => {
                let waited = now.saturating_sub(*since);
                self.exchange.held_ns = self.exchange.held_ns.saturating_add(waited);
                self.request = HalfState::Done;
                let problem = Problem::of_body(codes::AG2005, what);
                self.evaluate_without_body(Some(problem))
                    .unwrap_or(Step::go_on())
            }
            HalfState::Tapping(tap) => {
                tap.stopped = Some(codes::AG2005);
                self.observe_request();
                Step::go_on()
            }
            _ => self.take_request(body, true, now),
        }
    }

    /// Parses a whole request. A problem of the headers is reported as well; it decides alone if the body doesn't begin
    /// like JSON.
    fn read_request<'b>(&mut self, bytes: &'b [u8]) -> Result<(JsonBody<'b>, Reading), Problem> {
        let Some(doubt) = self.head.headers_problem.clone() else {
            return self.read_determined(bytes);
        };
        if protocol::begins_like_json(bytes) != Some(true) {
            return Err(doubt);
        }
        let (json, mut reading) = self.read_determined(bytes)?;
        reading.problems.push(doubt);
        Ok((json, reading))
    }

    /// Parses a whole request. If only the body can determine its protocol, that is done first.
    fn read_determined<'b>(&mut self, bytes: &'b [u8]) -> Result<(JsonBody<'b>, Reading), Problem> {
        let route = match self.protocol {
            Some(protocol) => Route {
                protocol,
                endpoint: self.request_context.endpoint.clone(),
            },
            None => {
                let route = self.determine(bytes)?;
                self.follow(route.clone());
                route
            }
        };
        let bounds = Bounds {
            repeats: self.policy_key(bytes.len()),
            ..self.guard.bounds()
        };
        protocol::read_request(&route, bytes, bounds)
    }

    fn determine(&mut self, bytes: &[u8]) -> Result<Route, Problem> {
        let limits = Limits {
            max_depth: self.guard.bounds().max_depth,
        };
        let unknown = || Problem::of_body(codes::AG2007, "the endpoint is not known");
        let json = JsonBody::scan(bytes, limits, 0)
            .map_err(|error| protocol::unread_message(bytes, error).unwrap_or_else(unknown))?;
        let start = self.head.undetermined.take();
        let route = start.zip(json.body()).and_then(|(start, body)| {
            let headers: Vec<(&[u8], &[u8])> = start
                .headers
                .iter()
                .map(|(name, value)| (name.as_slice(), value.as_slice()))
                .collect();
            let head = ProtocolHead {
                method: &self.head.method,
                host: &start.host,
                path: &start.path,
                headers: &headers,
            };
            protocol::recognise_body(&head, body.root())
        });
        route.ok_or_else(unknown)
    }

    /// Parses and evaluates a whole request. `may_wait`: the evaluation may wait for approvals.
    fn read_and_evaluate<'b>(
        &mut self,
        bytes: &'b [u8],
        may_wait: bool,
    ) -> Result<(JsonBody<'b>, Reading, HalfDecision), Problem> {
        let left = work::remaining();
        let (json, reading) = self.read_request(bytes)?;
        self.learn(&reading, bytes.len());
        if !self.service.is_answered() && !self.reads_everything {
            self.learn_session(&reading, &json);
            self.take_presented_in_body(&reading, &json);
        }
        self.recall(&reading, &json);
        self.pseudonyms = self.pseudonym_use(&json, &reading);
        if may_wait {
            self.allow_waiting();
        }
        let half_decision = self.evaluate(Direction::Request, &json, &reading);
        if !half_decision.reads_again {
            return Ok((json, reading, half_decision));
        }
        if let Some(repeated) = &reading.repeated {
            repeated.pass_none();
        }
        drop((json, reading, half_decision));
        work::allow(left);
        self.reads_everything = true;
        self.read_and_evaluate(bytes, may_wait)
    }

    /// Parses, evaluates and edits a whole request.
    pub(super) fn evaluate_request(&mut self, bytes: &[u8]) -> Step {
        if let Some(denied) = self.recheck_kill(Direction::Request) {
            return self.deny_now(&denied);
        }
        self.guard.allowance.earn_body(bytes.len());
        let (json, reading, half_decision) = match self.read_and_evaluate(bytes, true) {
            Ok(evaluated) => evaluated,
            Err(problem) => {
                return self
                    .evaluate_without_body(Some(problem))
                    .unwrap_or(Step::go_on());
            }
        };
        if half_decision.waits {
            self.request = HalfState::Asking;
            return Step::of(Action::Hold);
        }
        if let Some(denied) = half_decision.strictest() {
            let denial = self.denial(denied, &json);
            let decision = denied.ruling.decision;
            if let Some(errors) = self.denied_answers(&half_decision, &denial) {
                self.exchange.code = Some(denial.code);
                self.explanation = self.explaining_edits(&denial, decision);
                return self.replace_request(Vec::new(), errors);
            }
            let reply = self.reply(&denial, decision);
            return Step::of(Action::Reply(reply));
        }
        self.enable_pseudonyms();
        let mut edits = Edits::default();
        if self.disables_storage {
            self.unstore(&json, &mut edits);
            // Pseudonyms are enabled now, so that the form of these rules is no longer `label`.
            let held: Vec<_> = self.exchange.rules.keys().copied().collect();
            for key in held {
                if let Some(held) = self.exchange.rules.get_mut(&key) {
                    held.form = None;
                }
            }
        }
        redact::apply(
            half_decision.redactions,
            &json,
            &self.guard.redaction_keys,
            &mut self.redactions,
            &mut edits,
        );
        self.redactions.pseudonyms.close();
        if let (Some(protocol), Some(body), false) = (self.protocol, json.body(), self.head.signed)
            && protocol.restores(&self.request_context.endpoint)
        {
            protocol.restore(body.root(), &mut edits);
        }
        if self.removes_tokens() {
            protocol::remove_approvals(&json, &reading, &mut edits);
        }
        let headers: Vec<HeaderEdit> = if self.guard.holds_headers() {
            self.tag_edit().into_iter().collect()
        } else {
            Vec::new()
        };
        if edits.is_empty() {
            return Step::with(headers, Action::Continue);
        }
        self.replace_request(headers, json.edited(bytes, edits))
    }

    fn replace_request(&self, mut headers: Vec<HeaderEdit>, body: Vec<u8>) -> Step {
        if self.guard.holds_headers() {
            // An existing length is corrected, but none is added: over HTTP/1.1 a body with a length has no trailers.
            if self.head.length.is_some() {
                headers.push(HeaderEdit::Set(
                    "content-length".into(),
                    body.len().to_string(),
                ));
            }
            headers.extend(without_digests());
        }
        Step::with(headers, Action::Replace(body))
    }

    /// Returns the message to the server in place of a denied JSON-RPC message that only the server can end: errors where
    /// the client's message consists of responses. `None` if there is no such message, it cannot be sent, or no message may
    /// reach this server.
    fn denied_answers(&self, half_decision: &HalfDecision, denial: &Denial) -> Option<Vec<u8>> {
        let may_be_ended = |denied: &DeniedEvent| match denied.event.kind {
            Kind::Message | Kind::ToolCall | Kind::ToolResult => true,
            Kind::Request => self.lets_empty_message_through(),
            Kind::ToolOffer | Kind::Response | Kind::Uninspectable => false,
        };
        if self.head.signed || !half_decision.denied.iter().all(may_be_ended) {
            return None;
        }
        // The server is not the party to which the policy explains its decisions.
        let denial = Denial {
            code_only: true,
            ..denial.clone()
        };
        let mut errors = self
            .protocol?
            .denied_answers(&denial, &self.request_context)?;
        if let Some(length) = self.head.length.filter(|_| !self.guard.holds_headers()) {
            // The length has been forwarded with the headers. White space after JSON has no meaning.
            if errors.len() > length {
                return None;
            }
            errors.resize(length, b' ');
        }
        Some(errors)
    }

    /// Returns whether a message without method and content may reach this server, where only the server can end a denied
    /// one: in MCP's HTTP+SSE.
    fn lets_empty_message_through(&self) -> bool {
        let mut event = Event::new(Kind::Request, Direction::Request, NodeId::default());
        event.gate = DefaultGate::Plumbing;
        self.request_context.endpoint.stream == Some(false) && self.allows(&event)
    }

    /// Evaluates a request that was already forwarded, for the audit event only.
    fn observe_request(&mut self) {
        let stage = std::mem::replace(&mut self.request, HalfState::Done);
        let Some(tap) = self.end_tap(stage) else {
            return;
        };
        if let Some(code) = tap.stopped {
            let _ = self.evaluate_unparsed(Some(Problem::of_body(code, "")));
            return;
        }
        self.guard.allowance.earn_body(tap.bytes.len());
        if let Err(problem) = self.read_and_evaluate(&tap.bytes, false) {
            let _ = self.evaluate_unparsed(Some(problem));
        }
    }

    /// Keeps the properties of the request that the rest of the exchange needs.
    fn learn(&mut self, reading: &Reading, size: usize) {
        self.facts.models = reading.models.clone();
        let request = &mut self.facts.request;
        if self.request_context.endpoint.model == Known::Missing {
            let called = std::mem::replace(&mut request.region, Known::Unknown);
            request.region = protocol::region_with_models(called, &reading.models.names);
        }
        request.message_count = Some(reading.messages.all);
        request.messages_by_author = Some(reading.messages.by_author);
        request.bytes = u64::try_from(size).ok();
        request.stream = Some(reading.stream);
        request.max_tokens = reading.max_tokens;
        // Four bytes per token is the usual rule of thumb; for the prose in the body it is at least the real number.
        request.estimated_tokens = u64::try_from(size.div_euclid(4)).ok();
        self.request_context.learn(reading);
        // A signed request cannot be edited: a reference to one of the filter's response ids would reach the provider.
        self.request_context.unstored |= self.head.signed;
        if self.asks_offers() {
            self.learn_offers(reading);
        }
    }

    /// Returns whether anyone asks which tools the request offers.
    fn asks_offers(&self) -> bool {
        #[cfg(not(target_arch = "wasm32"))]
        if self.watcher.is_some() {
            return true;
        }
        self.guard.policy.needs.offers
    }

    /// Keeps the names of the tools that the request offers.
    #[inline(never)]
    fn learn_offers(&mut self, reading: &Reading) {
        let offers = reading.offers();
        let names = offers.iter().filter_map(|name| name.value().cloned());
        self.facts.request.tools = Some(names.collect());
        self.facts.offered = Known::Unknown;
        let is_kept = |event: &Event| event.opacity == Some("provider_state");
        let offers_all = !reading.continues_elsewhere
            && !reading.events.iter().any(is_kept)
            && self
                .protocol
                .is_some_and(|protocol| !protocol.serves_tools())
            && offers.iter().all(|name| name.value().is_some());
        if offers_all {
            self.facts
                .offer(offers.iter().filter_map(|name| Some(&**name.value()?)));
        }
    }

    /// Returns the header with the request's tags for the upstream.
    fn tag_edit(&self) -> Option<HeaderEdit> {
        if self.exchange.tags.is_empty() {
            return None;
        }
        let tags: Vec<String> = self
            .exchange
            .tags
            .iter()
            .map(|tag| super::denial::header_value(tag))
            .collect();
        Some(HeaderEdit::Set("x-agentguard-tags".into(), tags.join(",")))
    }
}

/// Returns the removals of digest headers, which don't fit an edited body.
pub(super) fn without_digests() -> impl Iterator<Item = HeaderEdit> {
    DIGESTS
        .iter()
        .map(|name| HeaderEdit::Remove((*name).into()))
}

/// Maximum expansion of Envoy's decompressors. They drop further output without an error.
const MAX_EXPANSION: u64 = 100;

/// Returns the problem of a body that Envoy decompressed, by the byte counts of its decompressors. The decompressors
/// report no error: a broken body becomes empty, and one that expands too much is truncated.
///
/// The counts are trailers, `x-envoy-decompressor-NAME-compressed-bytes` and `…-uncompressed-bytes`, where NAME
/// consists of the library's name and the statistics prefix. A client that sends such trailers can only have its own
/// request denied.
fn decompression_problem(trailers: &[(&[u8], &[u8])]) -> Option<&'static str> {
    let counts = |suffix: &'static [u8]| {
        trailers.iter().filter_map(move |(name, value)| {
            let stem = name
                .strip_prefix(b"x-envoy-decompressor-")?
                .strip_suffix(suffix)?;
            let count: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
            Some((stem, count))
        })
    };
    for (stem, unpacked) in counts(b"-uncompressed-bytes") {
        if unpacked == 0 {
            return Some("nothing is left of the body once it is decompressed");
        }
        let expands = |(name, packed): (&[u8], u64)| {
            name == stem && unpacked >= packed.saturating_mul(MAX_EXPANSION)
        };
        if counts(b"-compressed-bytes").any(expands) {
            return Some("the body grows a hundredfold or more when it is decompressed");
        }
    }
    None
}

/// Returns the route that the policy's entry defines for a request.
fn assumed(entry: &ProtocolEntry, head: &ProtocolHead<'_>) -> Option<Route> {
    // For a configured MCP server, `DELETE` ends a session.
    let ends_session = head.method == "DELETE" && head.header("mcp-session-id").is_some();
    let of_server = entry.server.as_ref().filter(|_| ends_session);
    let name = entry.protocol.as_deref().or(of_server.map(|_| "mcp"))?;
    let protocol = protocol::named(name)?;
    let mut endpoint = protocol.assume(head)?;
    endpoint.shape.clone_from(&entry.shape);
    Some(Route::new(protocol, endpoint, head))
}

/// Returns the client's address: `127.0.0.1`; for IPv6 its /64 network, which usually belongs to one client.
fn client_network(address: Option<IpAddr>) -> Known<Box<str>> {
    match address {
        Some(IpAddr::V4(address)) => Known::Is(address.to_string().into()),
        Some(IpAddr::V6(address)) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Known::Is(Ipv6Addr::from_bits(network).to_string().into())
        }
        None => Known::Unknown,
    }
}

pub(super) fn request_id(head: &RequestHead<'_>) -> Option<String> {
    head.headers
        .iter()
        .find(|(name, _)| *name == b"x-request-id")
        .map(|(_, value)| utf8::lossy(value).into_owned())
        .filter(|id| !id.is_empty())
}

/// Returns whether an AWS signature covers a header: `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=host;x-amz-date,
/// Signature=…`.
fn signs(authorization: &[u8], name: &str) -> bool {
    let authorization = letter_case::ascii_lower(&utf8::lossy(authorization));
    authorization
        .split([',', ' '])
        .filter_map(|part| part.strip_prefix("signedheaders="))
        .flat_map(|list| list.split(';'))
        .any(|signed| signed == name)
}

/// Returns an empty body, for evaluating a message without one.
pub(super) fn empty_body() -> Option<JsonBody<'static>> {
    JsonBody::scan(b"null", Limits { max_depth: 1 }, 0).ok()
}
