//! Response half of an exchange: holds and parses the body, evaluates it, and removes denied parts.

use super::evaluate::{BODY_TOO_LARGE, DeniedEvent, Enforcement, HalfDecision};
use super::exchange::{Coverage, ExchangeOutcome};
use super::request::{empty_body, is_own, without_digests};
use super::step::{Action, Body, HeaderEdit, ResponseHead, Step, format_bytes};
use super::stream::{ReadPurpose, Stream};
use super::{BodyCopy, Flow, HalfState};
use crate::diag::codes;
use crate::event::{Direction, Kind, Known, Problem, Reading};
use crate::policy::{Decision, Interest, OnDeny};
use crate::protocol::{
    self, BodyForm, Denial, EditedText, Protocol, RemovalMethod, Removals, RemovedCall,
    ResponseForm,
};
use crate::redact;
use crate::wire::frame::Framing;
use crate::wire::http::{ContentType, MediaType, is_identity};
use crate::wire::json::{Edits, JsonBody, NodeId};
use crate::wire::sorted_map::SortedSet;
use crate::wire::utf8;

/// Response headers that determine how the body is parsed.
struct ResponseHeaderInfo {
    status: u16,
    media: MediaType,
    foreign_charset: bool,
    encoded: bool,
    content_length: Option<usize>,
    own: Vec<String>,
}

/// Returns whether the edits remove all denied calls and texts. A protocol's own code may miss a location, but the
/// evaluation knows every location.
fn are_removed(
    denied: &[DeniedEvent],
    json: &JsonBody<'_>,
    reading: &Reading,
    edits: &Edits,
) -> bool {
    let mut places: Vec<NodeId> = Vec::new();
    for DeniedEvent { event, .. } in denied {
        // A call is removed with its arguments.
        if event.kind == Kind::ToolCall {
            places.push(event.at);
            continue;
        }
        for text in reading.texts.of(event.texts.clone()) {
            places.push(text.place);
        }
    }
    let mut standing = places.iter().filter_map(|place| json.value(*place));
    let mut holding = places
        .iter()
        .filter_map(|place| json.value(json.in_body(*place)?));
    edits.replace_all(&mut standing) || edits.replace_all(&mut holding)
}

fn response_header_info(head: &ResponseHead<'_>) -> ResponseHeaderInfo {
    let mut seen = ResponseHeaderInfo {
        status: 0,
        media: MediaType::Absent,
        foreign_charset: false,
        encoded: false,
        content_length: None,
        own: Vec::new(),
    };
    for (name, value) in head.headers {
        let number = || {
            std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.trim().parse().ok())
        };
        match *name {
            b":status" => {
                seen.status = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0);
            }
            b"content-type" => {
                let content_type = ContentType::parse(Some(value));
                seen.media = content_type.media;
                seen.foreign_charset = content_type.foreign_charset;
            }
            b"content-encoding" => seen.encoded |= !is_identity(value),
            b"content-length" => seen.content_length = number(),
            name if is_own(name) => {
                seen.own.push(utf8::lossy(name).into_owned());
            }
            _ => {}
        }
    }
    seen
}

/// Format of a body by its first bytes, regardless of its headers.
enum DetectedFormat {
    Json,
    Stream,
    Other,
}

/// Returns the format by the first bytes; `None` if they don't determine it yet.
fn detect_format(bytes: &[u8]) -> Option<DetectedFormat> {
    /// Prefixes of a line in an event stream.
    const LINES: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = bytes.trim_ascii_start();
    if LINES.iter().any(|line| text.starts_with(line)) {
        return Some(DetectedFormat::Stream);
    }
    let is_begun = |line: &&[u8]| !text.is_empty() && line.starts_with(text);
    if LINES.iter().any(is_begun) {
        return None;
    }
    protocol::begins_like_json(text).map(|is_json| match is_json {
        true => DetectedFormat::Json,
        false => DetectedFormat::Other,
    })
}

impl Flow {
    /// Processes the response headers. Called at most once, and never if the upstream sent no response.
    pub fn response_headers(&mut self, head: &ResponseHead<'_>) -> Step {
        // Local replies come back through Envoy's response callbacks.
        if self.replied {
            return Step::go_on();
        }
        self.now = head.now;
        let step = self
            .metered(|flow| flow.begin_response(head))
            .without_absent(head.headers);
        self.status_sent = step.action == Action::Continue;
        self.with_calls(step)
    }

    fn begin_response(&mut self, head: &ResponseHead<'_>) -> Step {
        let seen = response_header_info(head);
        self.exchange.status = Some(seen.status);
        self.sized_response = seen.content_length.is_some();
        if let Some(protocol) = self.protocol {
            self.exchange.usage = protocol.usage_in_headers(head.headers);
        }
        if self.exchange.ignored {
            return Step::go_on();
        }
        let mut edits: Vec<HeaderEdit> = seen
            .own
            .iter()
            .cloned()
            .map(|name| HeaderEdit::Remove(name.into()))
            .collect();
        edits.append(&mut self.explanation);
        self.exchange.is_complete = head.end;
        let has_body = !head.end && !matches!(seen.status, 204 | 304) && self.head.method != "HEAD";
        // Before the request is complete, a response is Envoy's own (body too large, timeout) or from an upstream that
        // doesn't wait for the request. Without an error status it is the upstream's.
        let never_asked = matches!(self.request, HalfState::Waiting | HalfState::Holding { .. })
            && self.protocol.is_none()
            && seen.status >= 400;
        if !has_body || never_asked {
            self.response = HalfState::Passing;
            return Step::with(edits, Action::Continue);
        }
        if self.is_no_stream(&seen)
            && let Some(denied) = self.evaluate_unread_response(&Reading {
                problems: vec![Problem::of_body(
                    codes::AG2007,
                    "a stream was asked for, and something else comes",
                )],
                ..Reading::new()
            })
        {
            return denied;
        }
        if let Some(denied) = self.recheck_kill(Direction::Response) {
            return self.deny_headers(&denied);
        }
        let interest = self.response_interest();
        // A list of models is no stream. A stream on its endpoint could contain anything.
        let is_harmless = self.protocol.is_none()
            && !self.request_context.endpoint.name.is_empty()
            && seen.media != MediaType::EventStream;
        // A stream can exceed a limit, so that it is read even if no rule inspects it.
        let bound = match self.exchange.open_charges.is_empty() {
            true => Interest::None,
            false => self.guard.limits.bounds_streams(),
        };
        if interest == Interest::None || is_harmless {
            let purpose = match bound {
                _ if is_harmless => ReadPurpose::Usage,
                Interest::None => ReadPurpose::Usage,
                Interest::Observed => ReadPurpose::Observe,
                Interest::Enforced => ReadPurpose::Enforce,
            };
            if !self.begin_stream(&seen, purpose, head.now, &mut edits) {
                self.response = self.usage_only(&seen);
            }
            return Step::with(edits, Action::Continue);
        }
        if let Some(reading) = self.unread_response(&seen) {
            if let Some(denied) = self.evaluate_unread_response(&reading) {
                return denied;
            }
            self.response = HalfState::Passing;
            return Step::with(edits, Action::Continue);
        }
        let purpose = match interest.max(bound) {
            Interest::Observed => ReadPurpose::Observe,
            _ => ReadPurpose::Enforce,
        };
        if self.headers_problem.is_none() && self.begin_stream(&seen, purpose, head.now, &mut edits)
        {
            return Step::with(edits, Action::Continue);
        }
        if interest == Interest::Observed {
            self.response = HalfState::Tapping(BodyCopy::default());
            return Step::with(edits, Action::Continue);
        }
        self.response = HalfState::Holding { since: head.now };
        if self.guard.holds_headers() {
            return Step::with(edits, Action::Hold);
        }
        edits.extend(self.edited_body_edits(None));
        Step::with(edits, Action::Continue)
    }

    /// Returns the reading of a response that no reader can parse: its headers have a problem, or it is media. A
    /// problem that the policy allows is kept until the body is read.
    fn unread_response(&mut self, seen: &ResponseHeaderInfo) -> Option<Reading> {
        let is_read = self.protocol.is_some();
        if let Some(problem) = self.response_problem(seen) {
            let doubtful = [codes::AG2005, codes::AG2006, codes::AG2009];
            let is_left_to_body = is_read
                && seen.status != 206
                && doubtful.contains(&problem.code)
                && !self.denies(Direction::Response, problem.code);
            if !is_left_to_body {
                return Some(Reading {
                    problems: vec![problem],
                    ..Reading::new()
                });
            }
            self.headers_problem = Some(problem);
        }
        let is_media = is_read && self.request_context.endpoint.response.is_media(seen.media);
        let read = is_media.then(|| protocol::read_bytes(self.guard.bounds()))?;
        read.ok().map(|(_, reading)| reading)
    }

    /// Returns the state of a response that no rule inspects. Its usage is read if the body may contain any.
    fn usage_only(&self, seen: &ResponseHeaderInfo) -> HalfState {
        let has_usage = self.protocol.is_some()
            && !seen.encoded
            && seen.media == MediaType::Json
            && self.request_context.endpoint.response != ResponseForm::File;
        match has_usage {
            true => HalfState::Tapping(BodyCopy {
                usage_only: true,
                ..BodyCopy::default()
            }),
            false => HalfState::Passing,
        }
    }

    /// Begins to read a streamed response. Returns `false` if the response is no known stream.
    fn begin_stream(
        &mut self,
        seen: &ResponseHeaderInfo,
        purpose: ReadPurpose,
        now: u64,
        edits: &mut Vec<HeaderEdit>,
    ) -> bool {
        let Some(stream) = self.stream_of(seen, purpose, now) else {
            return false;
        };
        self.response = HalfState::Streaming(stream);
        if purpose == ReadPurpose::Enforce {
            edits.extend(self.edited_body_edits(None));
        }
        true
    }

    /// Creates the reader of a streamed response.
    fn stream_of(
        &self,
        seen: &ResponseHeaderInfo,
        purpose: ReadPurpose,
        now: u64,
    ) -> Option<Box<Stream>> {
        let protocol = self.protocol.filter(|_| !seen.encoded)?;
        let framing = protocol.framing(&self.request_context, seen.media)?;
        let reader = protocol.stream(&self.request_context)?;
        let stream = Stream::new(&self.guard, purpose, framing, reader, now);
        Some(Box::new(stream))
    }

    /// Returns whether the response is not the requested stream. A `GET` for a stream has few features to recognise it
    /// by and could be another request; its only valid responses are a stream and an error.
    fn is_no_stream(&self, seen: &ResponseHeaderInfo) -> bool {
        let endpoint = &self.request_context.endpoint;
        self.protocol.is_some()
            && endpoint.body == BodyForm::Absent
            && endpoint.stream == Some(true)
            && (200..300).contains(&seen.status)
            && seen.media != MediaType::EventStream
    }

    /// Returns the problem in the response headers, if there is one.
    fn response_problem(&self, seen: &ResponseHeaderInfo) -> Option<Problem> {
        let problem = |code, what| Some(Problem::of_body(code, what));
        if self.protocol.is_none() {
            return problem(codes::AG2007, "the endpoint is not known");
        }
        if seen.encoded {
            return problem(codes::AG2005, "the body is compressed or otherwise encoded");
        }
        if seen.foreign_charset {
            return problem(codes::AG2009, "the charset is not UTF-8");
        }
        // A partial response (206) never has the content of the whole one.
        if seen.status == 206 {
            return problem(codes::AG2006, "only a part of the body was asked for");
        }
        let form = self.request_context.endpoint.response;
        if form.is_media(seen.media) {
            return None;
        }
        let is_streamed = self.protocol.is_some_and(|protocol| {
            protocol
                .framing(&self.request_context, seen.media)
                .is_some()
                && protocol.stream(&self.request_context).is_some()
        });
        match seen.media {
            _ if is_streamed => return None,
            media if form.is_whole(media) => {}
            MediaType::EventStream | MediaType::JsonLines | MediaType::AmazonEventStream => {
                return problem(
                    codes::AG2014,
                    "no streamed answer of this endpoint is known",
                );
            }
            _ => return problem(codes::AG2006, "the content type holds no text"),
        }
        if seen
            .content_length
            .is_some_and(|length| length > self.guard.max_body())
        {
            return problem(codes::AG2004, BODY_TOO_LARGE);
        }
        None
    }

    /// Returns the edits of headers that don't fit an edited body. Without a length, the headers are forwarded before
    /// the body is known.
    fn edited_body_edits(&self, length: Option<usize>) -> Vec<HeaderEdit> {
        let mut edits = vec![HeaderEdit::Remove("etag".into())];
        match length {
            Some(length) if self.sized_response => {
                edits.push(HeaderEdit::Set("content-length".into(), length.to_string()))
            }
            // An existing length is corrected, but none is added: over HTTP/1.1 a body with a length has no trailers.
            Some(_) => {}
            None => edits.push(HeaderEdit::Remove("content-length".into())),
        }
        edits.extend(without_digests());
        edits
    }

    /// Evaluates a response of which only the headers were read. Returns the denial.
    fn evaluate_unread_response(&mut self, reading: &Reading) -> Option<Step> {
        let json = empty_body()?;
        let half_decision = self.evaluate(Direction::Response, &json, reading);
        let denied = half_decision.strictest()?.clone();
        Some(self.deny_headers(&denied))
    }

    /// Denies a response whose headers have not been forwarded.
    fn deny_headers(&mut self, denied: &DeniedEvent) -> Step {
        self.response = HalfState::Done;
        match empty_body() {
            Some(json) => {
                let denial = self.denial(denied, &json);
                Step::of(Action::Reply(self.reply(&denial, denied.ruling.decision)))
            }
            None => Step::go_on(),
        }
    }

    /// Processes received bytes of the response; with `end`, the last ones.
    pub fn response_body(&mut self, body: &mut dyn Body, end: bool, now: u64) -> Step {
        self.now = now;
        let step = self.metered(|flow| flow.take_response(body, end, now));
        // Held headers of a stream that only its body showed are sent with its first bytes.
        let is_stream = matches!(self.response, HalfState::Streaming(_));
        self.status_sent |=
            is_stream && matches!(step.action, Action::Continue | Action::Replace(_));
        self.with_calls(step)
    }

    fn take_response(&mut self, body: &mut dyn Body, end: bool, now: u64) -> Step {
        if self.replied {
            return Step::go_on();
        }
        if self.is_forwarded_unread()
            && !self.exchange.ignored
            && !end
            && self.recheck_kill(Direction::Response).is_some()
        {
            self.exchange.code = Some(codes::AG3006);
            self.response = HalfState::Done;
            return Step::of(Action::Reset);
        }
        self.response.count(body, &mut self.exchange.response_bytes);
        self.exchange.is_complete = end;
        match &self.response {
            HalfState::Tapping(_) => {
                if body.size() > 0 {
                    let bytes = body.read();
                    self.tap(&bytes, Direction::Response);
                }
                if end {
                    self.observe_response();
                }
                Step::go_on()
            }
            HalfState::Holding { since } => {
                let since = *since;
                let too_large = body.size() > self.guard.max_body();
                if self.headers_problem.is_some() && body.size() > 0 {
                    let format = {
                        let bytes = format_bytes(body, end);
                        match detect_format(&bytes) {
                            Some(DetectedFormat::Other)
                                if self.begins_like_amazon_stream(&bytes) =>
                            {
                                Some(DetectedFormat::Stream)
                            }
                            format => format,
                        }
                    };
                    match format {
                        Some(DetectedFormat::Json) | None => {}
                        Some(DetectedFormat::Stream) => {
                            return self.read_undeclared_stream(body, end, now);
                        }
                        Some(DetectedFormat::Other) => {
                            self.response = HalfState::Passing;
                            return self.pass_unread().unwrap_or(Step::go_on());
                        }
                    }
                }
                if !end && !too_large {
                    return Step::of(Action::Hold);
                }
                self.exchange.held_ns = self
                    .exchange
                    .held_ns
                    .saturating_add(now.saturating_sub(since));
                self.response = HalfState::Done;
                if too_large {
                    let problem = Problem::of_body(codes::AG2004, BODY_TOO_LARGE);
                    let step = self.evaluate_problem(problem);
                    self.response = match step.action {
                        Action::Replace(_) => HalfState::Draining,
                        _ => HalfState::Passing,
                    };
                    return step;
                }
                let bytes = body.read();
                self.evaluate_held_response(&bytes)
            }
            HalfState::Asking => Step::of(Action::Hold),
            HalfState::Streaming(_) => self.stream_body(body, end, now),
            HalfState::Draining if body.size() > 0 => Step::of(Action::Replace(Vec::new())),
            HalfState::Resetting => {
                self.response = HalfState::Done;
                Step::of(Action::Reset)
            }
            HalfState::Waiting | HalfState::Passing | HalfState::Draining | HalfState::Done => {
                Step::go_on()
            }
        }
    }

    /// Evaluates the problem of the response headers if nothing else is known of the response. Returns the denial.
    fn pass_unread(&mut self) -> Option<Step> {
        let reading = Reading {
            problems: self.headers_problem.take().into_iter().collect(),
            ..Reading::new()
        };
        self.evaluate_unread_response(&reading)
    }

    /// Returns whether bytes are the beginning of an Amazon event stream message, whose first length byte is 0. AWS's
    /// clients read such a stream regardless of its `content-type`.
    fn begins_like_amazon_stream(&self, bytes: &[u8]) -> bool {
        let framing = self
            .protocol
            .and_then(|protocol| protocol.framing(&self.request_context, MediaType::EventStream));
        framing == Some(Framing::Amazon) && bytes.first() == Some(&0)
    }

    /// Starts to read a stream whose `content-type` does not declare one.
    fn read_undeclared_stream(&mut self, body: &mut dyn Body, end: bool, now: u64) -> Step {
        let reader = self.protocol.and_then(|protocol| {
            let framing = protocol.framing(&self.request_context, MediaType::EventStream)?;
            Some((framing, protocol.stream(&self.request_context)?))
        });
        if let Some(denied) = self.pass_unread() {
            return denied;
        }
        let Some((framing, reader)) = reader else {
            self.response = HalfState::Passing;
            return Step::go_on();
        };
        let stream = Stream::new(&self.guard, ReadPurpose::Enforce, framing, reader, now);
        self.response = HalfState::Streaming(Box::new(stream));
        let mut step = self.stream_body(body, end, now);
        if self.guard.holds_headers() && step.headers.is_empty() {
            step.headers = self.edited_body_edits(None);
        }
        step
    }

    /// Evaluates the problem of a body that is not read. Nothing of the response has been forwarded.
    fn evaluate_problem(&mut self, problem: Problem) -> Step {
        let mut reading = Reading::new();
        reading.problems.push(problem);
        let Some(json) = empty_body() else {
            return Step::go_on();
        };
        let half_decision = self.evaluate(Direction::Response, &json, &reading);
        match half_decision.strictest().cloned() {
            Some(denied) => {
                let denial = self.denial(&denied, &json);
                self.deny_response(&denial, denied.ruling.decision)
            }
            None => Step::go_on(),
        }
    }

    /// Evaluates a whole response, unless the kill list stops it.
    pub(super) fn evaluate_held_response(&mut self, bytes: &[u8]) -> Step {
        if let (Some(denied), Some(json)) = (self.recheck_kill(Direction::Response), empty_body()) {
            let denial = self.denial(&denied, &json);
            return self.deny_response(&denial, denied.ruling.decision);
        }
        self.evaluate_response(bytes)
    }

    /// Parses, evaluates and edits a whole response.
    fn evaluate_response(&mut self, bytes: &[u8]) -> Step {
        self.guard.allowance.earn_body(bytes.len());
        let Some(protocol) = self.protocol else {
            return Step::go_on();
        };
        // For example 202 for a notification.
        if bytes.is_empty() {
            self.exchange.read(Direction::Response, Coverage::Full);
            return Step::go_on();
        }
        let read =
            protocol::read_response(protocol, &self.request_context, bytes, self.guard.bounds());
        let (json, reading) = match read {
            Ok(read) => read,
            Err(problem) => return self.evaluate_problem(problem),
        };
        match self.with_pseudonyms_restored(protocol, bytes, &json, &reading) {
            None => self.evaluate_read(protocol, bytes, &json, reading),
            Some(Ok(real)) => self.evaluate_restored(protocol, &real),
            Some(Err(())) => self.deny_uneditable(&json),
        }
    }

    /// Evaluates a response after its pseudonyms were restored: rules evaluate the bytes that the client receives.
    fn evaluate_restored(&mut self, protocol: &'static dyn Protocol, real: &[u8]) -> Step {
        let read =
            protocol::read_response(protocol, &self.request_context, real, self.guard.bounds());
        let Ok((json, reading)) = read else {
            return match empty_body() {
                Some(json) => self.deny_uneditable(&json),
                None => Step::go_on(),
            };
        };
        let step = self.evaluate_read(protocol, real, &json, reading);
        match step.action {
            Action::Continue => self.replace(real.to_vec(), step.headers),
            _ => step,
        }
    }

    /// Evaluates and edits a response that was read, together with the problem of its headers.
    fn evaluate_read(
        &mut self,
        protocol: &'static dyn Protocol,
        bytes: &[u8],
        json: &JsonBody<'_>,
        mut reading: Reading,
    ) -> Step {
        self.record_response(&reading);
        if let Some(body) = json.body() {
            self.note_response(body.root());
        }
        reading.problems.extend(self.headers_problem.clone());
        self.allow_waiting();
        let half_decision = self.evaluate(Direction::Response, json, &reading);
        if half_decision.waits {
            return self.ask_for_response();
        }
        self.edit_response(protocol, bytes, (json, &reading), half_decision)
    }

    /// Holds a whole response until the approval service responds.
    fn ask_for_response(&mut self) -> Step {
        self.response = HalfState::Asking;
        Step::of(Action::Hold)
    }

    /// Applies the edits of an evaluated response.
    fn edit_response(
        &mut self,
        protocol: &'static dyn Protocol,
        bytes: &[u8],
        (json, reading): (&JsonBody<'_>, &Reading),
        half_decision: HalfDecision,
    ) -> Step {
        let strictest = half_decision
            .strictest()
            .map(|denied| (self.denial(denied, json), denied.ruling.decision));
        let is_denied = half_decision
            .strictest()
            .is_some_and(|denied| !denied.hidden);
        // A plain text has no parts, but its denial has the protocol's form.
        let is_one_text = protocol::is_one_text(json);
        if let Some((denial, decision)) = &strictest
            && (is_one_text
                || !half_decision
                    .denied
                    .iter()
                    .all(|denied| self.can_be_removed(denied)))
        {
            return self.deny_response(denial, *decision);
        }
        let mut edits = Edits::default();
        let edited = redact::apply(
            half_decision.redactions,
            json,
            &self.guard.redaction_keys,
            &mut self.redactions,
            &mut edits,
        );
        if strictest.is_none() && edits.is_empty() {
            return Step::go_on();
        }
        let removals = self.removals(protocol, &half_decision.denied, edited, json);
        if !is_one_text
            && (protocol::remove_from_response(
                protocol,
                json,
                &self.request_context,
                &removals,
                &mut edits,
            )
            .is_err()
                || !are_removed(&half_decision.denied, json, reading, &edits))
        {
            return match strictest {
                Some((denial, decision)) => {
                    self.exchange
                        .decided(ExchangeOutcome::Deny, ExchangeOutcome::Deny);
                    self.deny_response(&denial, decision)
                }
                // Copies of the redacted text cannot be corrected. The response is denied, because it would leak the
                // text.
                None => self.deny_uneditable(json),
            };
        }
        let body = json.edited(bytes, edits);
        let explanation = match &strictest {
            Some((denial, decision)) if is_denied => {
                self.exchange.code = Some(denial.code);
                self.explaining_edits(denial, *decision)
            }
            _ => vec![HeaderEdit::Set(
                "x-agentguard-decision".into(),
                "redact".to_owned(),
            )],
        };
        self.replace(body, explanation)
    }

    /// Returns the parts that a protocol has to remove from a response, and the edited texts.
    pub(super) fn removals(
        &self,
        protocol: &dyn Protocol,
        denied: &[DeniedEvent],
        edited: Vec<redact::Edited>,
        json: &JsonBody<'_>,
    ) -> Removals {
        let mut removals = Removals {
            edited: edited
                .into_iter()
                .map(|edited| EditedText {
                    choice: edited.choice,
                    at: edited.place,
                    changes: edited.changes,
                })
                .collect(),
            ..Removals::default()
        };
        let mut choices = SortedSet::new();
        for denied in denied {
            let denial = self.denial(denied, json);
            let event = &denied.event;
            match protocol.removal(event.kind) {
                RemovalMethod::Call => removals.calls.push(RemovedCall {
                    choice: event.choice,
                    at: event.at,
                    text: denial.message(),
                }),
                RemovalMethod::Offer => removals.offers.push(event.at),
                RemovalMethod::Choice | RemovalMethod::Message | RemovalMethod::Whole => {
                    if choices.insert(event.choice) {
                        removals.choices.push((event.choice, denial.message()));
                        removals.denials.push((event.choice, denial));
                    }
                }
            }
        }
        removals
    }

    fn deny_uneditable(&mut self, json: &JsonBody<'_>) -> Step {
        let denied = self.uneditable();
        let denial = self.denial(&denied, json);
        self.deny_response(&denial, Decision::Deny)
    }

    /// Returns whether a denied part of the response can be removed alone.
    pub(super) fn can_be_removed(&self, denied: &DeniedEvent) -> bool {
        self.protocol.is_some_and(|protocol| {
            self.can_be_removed_by(denied, protocol.removal(denied.event.kind), false)
        })
    }

    /// Returns whether a denied part can be removed by this method.
    pub(super) fn can_be_removed_by(
        &self,
        denied: &DeniedEvent,
        removal: RemovalMethod,
        has_begun: bool,
    ) -> bool {
        let on_deny = self.on_deny(&denied.ruling);
        match removal {
            // A provider-run call has already happened: its result is removed with the whole response. A caller that
            // forces a call, or whose provider waits for the call's result, cannot continue after a plain text.
            RemovalMethod::Call => {
                !denied.event.provider_run
                    && on_deny != Some(OnDeny::Error)
                    && !self.request_context.forces_tool
                    && !self.request_context.waits_for_results(has_begun)
            }
            // If headers are held, a denied text is by default a reply with a status of its own. After a denied call the
            // agent goes on, however the call was written.
            RemovalMethod::Choice => {
                let is_call = denied.is_written_call && on_deny != Some(OnDeny::Error);
                is_call || on_deny == Some(OnDeny::Replace) || !self.guard.holds_headers()
            }
            RemovalMethod::Message => true,
            RemovalMethod::Offer => on_deny != Some(OnDeny::Error),
            RemovalMethod::Whole => false,
        }
    }

    /// Denies the whole response. If headers are held, it becomes a local reply with an error status; otherwise its
    /// body becomes a refusal in the protocol's format.
    fn deny_response(&mut self, denial: &Denial, decision: Decision) -> Step {
        if self.guard.holds_headers() {
            return Step::of(Action::Reply(self.reply(denial, decision)));
        }
        self.exchange.code = Some(denial.code);
        let failed = self.exchange.status.is_some_and(|status| status >= 400);
        let body = match self.protocol {
            Some(protocol) if !failed => protocol.denied_response(denial, &self.request_context),
            Some(protocol) => protocol.denial_reply(denial, &self.request_context).body,
            None => crate::protocol::Dialect::OpenAi.body(denial),
        };
        Step::of(Action::Replace(body))
    }

    fn replace(&self, body: Vec<u8>, explanation: Vec<HeaderEdit>) -> Step {
        if !self.guard.holds_headers() {
            return Step::of(Action::Replace(body));
        }
        let mut headers = self.edited_body_edits(Some(body.len()));
        headers.extend(explanation);
        Step::with(headers, Action::Replace(body))
    }

    /// Parses a response that was already forwarded, for its usage or to record the decisions of observed rules.
    fn observe_response(&mut self) {
        let stage = std::mem::replace(&mut self.response, HalfState::Done);
        let Some(tap) = self.end_tap(stage) else {
            return;
        };
        if let (Some(code), false) = (tap.stopped, tap.usage_only) {
            self.record_unreadable(code);
            return;
        }
        let Some(protocol) = self.protocol else {
            return;
        };
        if tap.stopped.is_some() {
            return;
        }
        self.guard.allowance.earn_body(tap.bytes.len());
        let doubt = self.headers_problem.take();
        if let Some(doubt) = &doubt
            && !matches!(detect_format(&tap.bytes), Some(DetectedFormat::Json))
        {
            self.record_unreadable(doubt.code);
            return;
        }
        match protocol::read_response(
            protocol,
            &self.request_context,
            &tap.bytes,
            self.guard.bounds(),
        ) {
            Ok((json, mut reading)) => {
                self.record_response(&reading);
                if let Some(body) = json.body() {
                    self.note_response(body.root());
                }
                reading.problems.extend(doubt);
                if tap.usage_only {
                    self.record_calls(&reading);
                    self.record_content(Direction::Response, None, (&json, &reading), &[]);
                } else {
                    self.record(&json, &reading);
                }
            }
            Err(_) if tap.usage_only => {}
            Err(problem) => self.record_unreadable(problem.code),
        }
    }

    fn record(&mut self, json: &JsonBody<'_>, reading: &Reading) {
        self.evaluate_all(Direction::Response, json, reading, Enforcement::RecordOnly);
    }

    /// Records a forwarded response that could not be parsed.
    pub(super) fn record_unreadable(&mut self, code: &'static str) {
        let mut reading = Reading::new();
        reading.problems.push(Problem::of_body(code, ""));
        if let Some(json) = empty_body() {
            self.record(&json, &reading);
        }
    }

    /// Records usage and error of a response.
    pub(super) fn record_response(&mut self, reading: &Reading) {
        // The body's counts take precedence over the headers'.
        self.exchange.usage = reading.usage.or(self.exchange.usage);
        if reading.error.is_some() {
            self.exchange.provider_error.clone_from(&reading.error);
        }
    }

    /// Records the calls of a response that no rule inspects.
    pub(super) fn record_calls(&mut self, reading: &Reading) {
        for event in &reading.events {
            if event.kind == Kind::ToolCall
                && let Known::Is(tool) = &event.tool
            {
                self.exchange
                    .calls
                    .push((tool.clone(), ExchangeOutcome::Allow));
            }
        }
    }
}
