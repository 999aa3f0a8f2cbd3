//! Evaluation of the content of one half of an exchange, and collection of its results for the audit event.

use super::Flow;
use super::approval::{ApprovalCheck, ApprovedEvent, DeniedApproval, is_required};
use super::denial::redacted_pointer;
use super::exchange::{Coverage, ExchangeOutcome};
use super::limits::{LimitHit, LimitedEvent};
use super::repeated::{NewContent, is_near_bound};
use super::restore_pseudonyms::PseudonymUse;
use crate::audit::RecordedRule;
use crate::diag::codes;
use crate::event::{
    Author, Class, DefaultGate, Direction, Event, Kind, Known, Part, Problem, Reading, Redaction,
    Replacement, Text, TextGroup, Turn,
};
use crate::policy::{
    Action, CompiledRule, Context, Decision, Evaluation, EvaluationPhase, Interest, MatchedRule,
    Mode, OnDeny, ReleaseMode, Ruling, Scans, Shadow,
};
use crate::protocol::{self, Protocol, RemovalMethod, written_calls};
use crate::wire::json::{JsonBody, Limits, NodeId};
use crate::wire::span::{index, offset};
use crate::wire::work;
use std::cell::RefCell;
use std::rc::Rc;

/// Message for a body that is too large to be read.
pub(super) const BODY_TOO_LARGE: &str = "the body is larger than `inspect.max_body`";

/// Message for an exchange with more text than detectors may inspect.
pub(super) const TOO_MUCH_TEXT: &str = "more text than `inspect.max_text`";

/// Denied event.
#[derive(Clone, Debug)]
pub(super) struct DeniedEvent {
    /// Event.
    pub(super) event: Event,
    /// Ruling.
    pub(super) ruling: Ruling,
    /// Problem, for content that could not be inspected.
    pub(super) problem: Option<Problem>,
    /// Whether the event is hidden: it is removed from a list instead of denying a request. Counts as a modification,
    /// like a redaction.
    pub(super) hidden: bool,
    /// Whether the event is a text of a response that is denied for a call in it.
    pub(super) is_written_call: bool,
    /// Missing approval.
    pub(super) approval: Option<Box<DeniedApproval>>,
    /// Limit that the event exceeds.
    pub(super) limit: Option<LimitHit>,
}

impl DeniedEvent {
    /// Creates the denial of an event by a ruling.
    pub(super) fn new(event: Event, ruling: Ruling) -> DeniedEvent {
        DeniedEvent {
            event,
            ruling,
            problem: None,
            hidden: false,
            is_written_call: false,
            approval: None,
            limit: None,
        }
    }

    /// Creates the denial of a whole half of an exchange that no rule denies.
    pub(super) fn half(kind: Kind, direction: Direction, code: &'static str) -> DeniedEvent {
        let event = Event::new(kind, direction, NodeId::default());
        DeniedEvent::new(event, Ruling::deny(None, code))
    }
}

/// Decision on one half of an exchange.
#[derive(Debug, Default)]
pub(super) struct HalfDecision {
    /// Events that are denied under enforcement, in the order of the bytes; problems first.
    pub(super) denied: Vec<DeniedEvent>,
    /// Redactions, to apply if nothing is denied.
    pub(super) redactions: Vec<Redaction>,
    /// Events that pass if their approvals are still unused.
    pub(super) approved: Vec<ApprovedEvent>,
    /// Events that limits count, until they are charged.
    pub(super) limited: Vec<LimitedEvent>,
    /// Whether the approval service is called first. Then nothing has been decided.
    pub(super) waits: bool,
    /// Whether the request is read again with all turns of its conversation. Then nothing has been decided.
    pub(super) reads_again: bool,
}

impl HalfDecision {
    /// Returns whether a call at this location is already denied.
    pub(super) fn has_denied_call(&self, at: NodeId) -> bool {
        let mut denied = self.denied.iter().map(|denied| &denied.event);
        denied.any(|event| event.kind == Kind::ToolCall && event.at == at)
    }

    /// Returns the denial that is reported: the strictest one, and the first of several. Hidden events come after
    /// denied ones.
    pub(super) fn strictest(&self) -> Option<&DeniedEvent> {
        let rank = |denied: &DeniedEvent| (!denied.hidden, denied.ruling.decision);
        let strictest = self.denied.iter().map(rank).max()?;
        self.denied.iter().find(|denied| rank(denied) == strictest)
    }
}

impl Flow {
    /// Creates the denial of a response in which a necessary redaction is impossible. Such a response would leak.
    pub(super) fn uneditable(&mut self) -> DeniedEvent {
        self.exchange
            .decided(ExchangeOutcome::Deny, ExchangeOutcome::Deny);
        DeniedEvent::half(Kind::Response, Direction::Response, codes::AG3005)
    }
}

/// Combined effect of the rules that match an event.
struct Effect {
    ruling: Ruling,
    /// Outcome for the exchange.
    outcome: ExchangeOutcome,
    /// Outcome if all observed rules were enforced.
    would: ExchangeOutcome,
}

/// Whether a decision can still take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enforcement {
    /// The decision takes effect.
    Enforced,
    /// The bytes have already been forwarded. The audit event has the decision that would have been made.
    RecordOnly,
}

/// Event under evaluation.
pub(super) struct EvaluatedEvent<'a> {
    pub(super) event: &'a Event,
    /// Whether a code already denies the whole body as unreadable.
    pub(super) unread: UnreadableBody,
    /// Problem, for content that could not be inspected.
    pub(super) problem: Option<&'a Problem>,
    pub(super) phase: EvaluationPhase,
    pub(super) enforcement: Enforcement,
    /// Location, if it is outside the body.
    pub(super) at: Option<&'a str>,
}

/// State of a body that a code may already deny, under the current modes and if all rules were enforced. The code then
/// decides alone: rules that match only because content could not be inspected don't count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UnreadableBody {
    denied: bool,
    would_be: bool,
}

/// Part of a response, assembled from stream deltas.
pub(super) struct AssembledPart<'a> {
    /// Events; their locations are in `json`.
    pub(super) events: &'a [Event],
    /// Facts on the response so far, with the event's texts.
    pub(super) reading: &'a Reading,
    /// Assembled part.
    pub(super) json: &'a JsonBody<'a>,
    /// Cached detector results.
    pub(super) scans: Scans,
    /// Rules to evaluate.
    pub(super) phase: EvaluationPhase,
    /// Whether the part can still be held back.
    pub(super) enforcement: Enforcement,
    /// Location in the stream.
    pub(super) at: &'a str,
}

impl Flow {
    /// Evaluates all events of a body that can still be changed.
    pub(super) fn evaluate(
        &mut self,
        direction: Direction,
        json: &JsonBody<'_>,
        reading: &Reading,
    ) -> HalfDecision {
        self.evaluate_all(direction, json, reading, Enforcement::Enforced)
    }

    /// Evaluates all events of a body, and charges limits and approvals.
    pub(super) fn evaluate_all(
        &mut self,
        direction: Direction,
        json: &JsonBody<'_>,
        reading: &Reading,
        enforcement: Enforcement,
    ) -> HalfDecision {
        self.exchange.read(direction, Coverage::Full);
        let undo = (reading.gaps().len() > 0).then(|| self.before_evaluation());
        let repeated = reading.repeated.as_deref();
        let passed = repeated.map_or(0, |repeated| repeated.passed.length);
        let size = reading.texts.length(json).saturating_add(passed);
        self.count_text(direction, size);
        let excess = (size > 0 && self.has_too_much_text())
            .then(|| Problem::of_body(codes::AG2004, TOO_MUCH_TEXT));
        let scans = match &excess {
            Some(_) => Scans::without_detectors(),
            None => Scans::default(),
        };
        let before = self.before_waiting(enforcement);
        let mut half_decision =
            self.in_context(json, reading, scans, |flow, context, half_decision| {
                flow.pass_repeated(reading, context);
                let mut evaluate = |event: &Event, problem, unread| {
                    let case = EvaluatedEvent {
                        event,
                        unread,
                        problem,
                        phase: EvaluationPhase::Whole,
                        enforcement,
                        at: None,
                    };
                    flow.evaluate_event(&case, context, half_decision)
                };
                let mut unread = UnreadableBody::default();
                for problem in reading.problems.iter().chain(&excess) {
                    let mut event = Event::new(Kind::Uninspectable, direction, NodeId::default());
                    event.code = Some(problem.code);
                    if reading.is_streamed {
                        // Some client may read a defective frame differently.
                        event.gate = DefaultGate::Named;
                    }
                    let decided = evaluate(&event, Some(problem), UnreadableBody::default());
                    unread.denied |= decided.denied;
                    unread.would_be |= decided.would_be;
                }
                let mut new_content = NewContent::of(reading, context);
                for (number, event) in (0u32..).zip(&reading.events) {
                    if work::is_exhausted() {
                        break;
                    }
                    let (left, opened) = (work::remaining(), json.nested());
                    evaluate(event, None, unread);
                    if let Some(content) = &mut new_content {
                        let steps = left.saturating_sub(work::remaining());
                        let opened = json.nested().saturating_sub(opened);
                        content.add((number, event), context, steps, opened);
                    }
                }
                for event in secret_identifier_events(direction, reading, context, &mut new_content)
                {
                    evaluate(&event, None, unread);
                }
                let is_bounded = excess.is_some() || is_near_bound(reading, json);
                half_decision.reads_again = is_bounded && undo.is_some();
                if half_decision.reads_again {
                    return;
                }
                if let Some(content) = new_content.filter(|_| !is_bounded) {
                    content.keep(reading, context);
                }
                let may_wait = before.is_some();
                flow.conclude(direction, enforcement, may_wait, context, half_decision);
                flow.count_findings(context);
            });
        if let Some(undo) = undo.filter(|_| half_decision.reads_again) {
            self.undo_evaluation(undo);
            return half_decision;
        }
        if let Some(before) = before.filter(|_| half_decision.waits) {
            self.wait(direction, *before, &half_decision);
            return half_decision;
        }
        self.record_content(direction, None, (json, reading), &half_decision.redactions);
        if direction == Direction::Response && self.searches_written_calls() {
            self.evaluate_written_calls(json, reading, enforcement, &mut half_decision);
        }
        self.spend(direction, &mut half_decision);
        if enforcement == Enforcement::Enforced {
            self.notify(&half_decision);
        }
        half_decision
    }

    /// Returns whether the policy requires a search for calls that a model writes as text.
    pub(super) fn searches_written_calls(&self) -> bool {
        let may_call = |protocol: &&dyn Protocol| {
            !protocol.serves_tools()
                && protocol::responses_of(*protocol).any(|kind| kind == Kind::ToolCall)
        };
        let interest = self
            .guard
            .policy
            .needs
            .answers(std::iter::once(Kind::ToolCall));
        (interest != Interest::None || self.kill.stops_tools())
            && self.protocol.as_ref().is_some_and(may_call)
    }

    /// Evaluates the calls in the texts of a response. A denied call is removed with its text.
    fn evaluate_written_calls(
        &mut self,
        json: &JsonBody<'_>,
        reading: &Reading,
        enforcement: Enforcement,
        half_decision: &mut HalfDecision,
    ) {
        for event in &reading.events {
            if event.kind != Kind::Response || !may_hold_calls(event.part) {
                continue;
            }
            for text in reading.texts.of(event.texts.clone()) {
                let written = match text.class {
                    Class::Text | Class::Sealed => json.value(text.place),
                    _ => None,
                };
                let Some(written) = written.and_then(|written| written.text()) else {
                    continue;
                };
                let at = || redacted_pointer(json, text.place);
                let Some(evaluated) =
                    self.evaluate_written(&written, event.choice, reading, enforcement, at)
                else {
                    continue;
                };
                half_decision
                    .denied
                    .extend(evaluated.denied.into_iter().map(|denied| DeniedEvent {
                        event: event.clone(),
                        is_written_call: true,
                        ..denied
                    }));
            }
        }
    }

    /// Evaluates the calls in a text, if there are any.
    pub(super) fn evaluate_written(
        &mut self,
        text: &str,
        choice: u32,
        response: &Reading,
        enforcement: Enforcement,
        at: impl FnOnce() -> String,
    ) -> Option<HalfDecision> {
        let calls = written_calls::find(text);
        if calls.is_empty() {
            return None;
        }
        let mut doc = b"[".to_vec();
        for (number, call) in calls.iter().enumerate() {
            if number > 0 {
                doc.push(b',');
            }
            doc.extend_from_slice(call.args.as_deref().unwrap_or("null").as_bytes());
        }
        doc.push(b']');
        let bounds = self.guard.bounds();
        let limits = Limits {
            max_depth: bounds.max_depth.saturating_add(1),
        };
        // Calls whose arguments cannot be parsed as one body (too deep, a duplicate key) are unreadable.
        let json = JsonBody::derived(doc, limits, bounds.nested_json)
            .or_else(|_| JsonBody::derived(b"[]".to_vec(), limits, 0))
            .ok()?;
        let body = json.body()?;
        let mut reading = Reading {
            usage: response.usage,
            finish: response.finish.clone(),
            ..Reading::new()
        };
        let mut elements = body.root().elements();
        let mut events = Vec::with_capacity(calls.len());
        for call in calls {
            let args = elements.next();
            let mut event = Event::new(Kind::ToolCall, Direction::Response, body.root().place());
            event.choice = choice;
            event.tool = call
                .tool
                .map_or(Known::Unknown, |tool| Known::Is(tool.into()));
            event.args = match args.filter(|args| !args.is_null()) {
                Some(args) => {
                    event.at = args.place();
                    let start = offset(reading.texts.len());
                    reading.add_tree(args);
                    event.texts = start..offset(reading.texts.len());
                    Known::Is(args.place())
                }
                None => Known::Unknown,
            };
            events.push(event);
        }
        let mut opaque = Event::new(
            Kind::Uninspectable,
            Direction::Response,
            body.root().place(),
        );
        opaque.opacity = Some("text_tools");
        events.push(opaque);
        Some(self.evaluate_assembled(AssembledPart {
            events: &events,
            reading: &reading,
            json: &json,
            scans: Scans::default(),
            phase: EvaluationPhase::Whole,
            enforcement,
            at: &at(),
        }))
    }

    /// Counts text for detectors.
    pub(super) fn count_text(&mut self, direction: Direction, size: usize) {
        if self.guard.policy.needs.detects(direction) {
            let size = u64::try_from(size).unwrap_or(u64::MAX);
            self.exchange.text = self.exchange.text.saturating_add(size);
        }
    }

    /// Returns whether there was more text than the policy allows detectors to inspect.
    pub(super) fn has_too_much_text(&self) -> bool {
        self.exchange.text > self.guard.policy.document.inspect.max_text
    }

    /// Evaluates a part of a response that was assembled from stream deltas.
    pub(super) fn evaluate_assembled(&mut self, assembled: AssembledPart<'_>) -> HalfDecision {
        let AssembledPart {
            events,
            reading,
            json,
            scans,
            phase,
            enforcement,
            at,
        } = assembled;
        let before = self.before_waiting(enforcement);
        let mut half_decision =
            self.in_context(json, reading, scans, |flow, context, half_decision| {
                for event in events {
                    let case = EvaluatedEvent {
                        event,
                        unread: UnreadableBody::default(),
                        problem: None,
                        phase,
                        enforcement,
                        at: Some(at),
                    };
                    flow.evaluate_event(&case, context, half_decision);
                }
                let (direction, may_wait) = (Direction::Response, before.is_some());
                flow.conclude(direction, enforcement, may_wait, context, half_decision);
                // At the end of a text, the findings of all its parts have been counted.
                if phase != EvaluationPhase::End {
                    flow.count_findings(context);
                }
            });
        if let Some(before) = before.filter(|_| half_decision.waits) {
            self.wait(Direction::Response, *before, &half_decision);
            return half_decision;
        }
        self.spend(Direction::Response, &mut half_decision);
        if enforcement == Enforcement::Enforced {
            self.notify(&half_decision);
        }
        half_decision
    }

    /// Evaluates the policy's history queries on a request.
    pub(super) fn recall(&mut self, reading: &Reading, json: &JsonBody<'_>) {
        let scans = RefCell::default();
        let context = self.guard.context(&self.facts, reading, json, &scans);
        self.facts.history = self.guard.policy.recall(&context);
    }

    /// Returns how a text of a response is released, as far as that is known at the text's beginning.
    pub(super) fn flowing(
        &mut self,
        event: &Event,
        reading: &Reading,
        json: &JsonBody<'_>,
    ) -> ReleaseMode {
        let scans = RefCell::default();
        let context = self.guard.context(&self.facts, reading, json, &scans);
        self.guard.policy.flowing(event, &context)
    }

    fn in_context(
        &mut self,
        json: &JsonBody<'_>,
        reading: &Reading,
        scans: Scans,
        evaluate: impl FnOnce(&mut Flow, &Context<'_>, &mut HalfDecision),
    ) -> HalfDecision {
        let guard = Rc::clone(&self.guard);
        let scans = RefCell::new(scans);
        let facts = std::mem::replace(&mut self.facts, crate::event::Facts::unknown());
        let context = guard.context(&facts, reading, json, &scans);
        let mut half_decision = HalfDecision::default();
        evaluate(self, &context, &mut half_decision);
        self.facts = facts;
        half_decision
    }

    /// Evaluates what the work of all events exceeds, and counts the events for limits unless the exchange waits for an
    /// approval.
    fn conclude(
        &mut self,
        direction: Direction,
        enforcement: Enforcement,
        may_wait: bool,
        context: &Context<'_>,
        half_decision: &mut HalfDecision,
    ) {
        self.evaluate_work(direction, enforcement, context, half_decision);
        half_decision.waits = may_wait && self.waits(direction, half_decision);
        if !half_decision.waits {
            self.charge_limits(direction, enforcement, context, half_decision);
        }
    }

    /// Counts what detectors found in the evaluated events.
    fn count_findings(&mut self, context: &Context<'_>) {
        for (name, count) in context.finding_counts() {
            let total = self.exchange.findings.entry(name).or_default();
            *total = total.saturating_add(count);
        }
    }

    /// Returns whether a ruling hides the event: a denied tool definition is removed from the response to `tools/list`.
    fn hides(&self, event: &Event, ruling: &Ruling) -> bool {
        event.kind == Kind::ToolOffer
            && event.direction == Direction::Response
            && ruling.decision != Decision::Allow
            && self.on_deny(ruling) != Some(OnDeny::Error)
            && self
                .protocol
                .is_some_and(|protocol| protocol.removal(event.kind) == RemovalMethod::Offer)
    }

    /// Returns the outcome of a ruling for the exchange.
    fn outcome_of(&self, event: &Event, ruling: &Ruling) -> ExchangeOutcome {
        match self.hides(event, ruling) {
            true => ExchangeOutcome::Redact,
            false => ruling.decision.into(),
        }
    }

    /// Records the decision of a shadow policy.
    fn record_shadow(&mut self, shadow: &Shadow, event: &Event, context: &Context<'_>) {
        let mut outcome = self.outcome_of(event, &shadow.ruling);
        let tried = self.exchange.shadow.get_or_insert_default();
        for rule in shadow
            .held
            .iter()
            .filter_map(|held| context.policy.rule(held.rule))
        {
            tried.rules.insert(rule.id.clone());
            if rule.action == Action::Redact {
                // As in the policy itself, a rule that finds nothing to replace wants nothing.
                context
                    .policy
                    .redactions(rule, event, context, &mut |redaction| {
                        let is_possible =
                            redaction.is_possible() && context.json.is_editable(redaction.place);
                        outcome = outcome.max(match is_possible {
                            true => ExchangeOutcome::Redact,
                            false => ExchangeOutcome::Deny,
                        });
                    });
            }
        }
        tried.outcome = tried.outcome.max(outcome);
    }

    /// Drops redactions in the parts of a history that the model signed. The provider rejects a signed thought of
    /// Claude's in each later turn if one byte differs. The thought contains nothing that its provider has not sent
    /// itself, and the audit event reports the gap. A text that a client sends under another author's name is not the
    /// model's.
    fn drop_redactions_of_signed(
        &mut self,
        event: &Event,
        context: &Context<'_>,
        found: &mut Vec<Redaction>,
    ) {
        if event.direction != Direction::Request
            || (event.from != Known::Is(Author::Assistant) && event.kind != Kind::ToolCall)
        {
            return;
        }
        let sealed = &context.reading.sealed;
        let before = found.len();
        found.retain(|redaction| !sealed.contains(&redaction.place));
        if found.len() < before {
            self.exchange
                .gap(Direction::Request, Coverage::Partial, "signed");
        }
    }

    /// Allows an event whose approval came with the request. Returns the missing approval otherwise.
    fn seek_approval(
        &mut self,
        case: &EvaluatedEvent<'_>,
        context: &Context<'_>,
        evaluation: &mut Evaluation,
        half_decision: &mut HalfDecision,
    ) -> Option<Box<DeniedApproval>> {
        let passes = |ruling: Ruling| Ruling {
            decision: Decision::Allow,
            code: None,
            ..ruling
        };
        let mut missing = None;
        let others = half_decision.approved.len();
        if is_required(&evaluation.ruling) {
            let asked = evaluation.ruling;
            let held = &evaluation.held;
            match self.check_approval(
                case.event,
                context,
                held,
                asked,
                true,
                &half_decision.approved,
            ) {
                ApprovalCheck::Approved(approved) => {
                    evaluation.ruling = passes(asked);
                    if case.enforcement == Enforcement::Enforced {
                        half_decision.approved.push(*approved);
                    }
                }
                ApprovalCheck::Denied(denied) => {
                    if denied.invalid.is_some() {
                        evaluation.ruling.code = Some(codes::AG3004);
                    } else if denied.has_failed {
                        evaluation.ruling.code = Some(codes::AG3007);
                    }
                    missing = Some(Box::new(denied));
                }
            }
        }
        if is_required(&evaluation.would) && missing.is_none() {
            let asked = evaluation.would;
            let approved = half_decision.approved.get(..others).unwrap_or_default();
            let held = &evaluation.held;
            let answer = self.check_approval(case.event, context, held, asked, false, approved);
            if let ApprovalCheck::Approved(_) = answer {
                evaluation.would = passes(asked);
            }
        }
        missing
    }

    /// Evaluates an event. Returns whether it is denied: now, and if all rules were enforced.
    pub(super) fn evaluate_event(
        &mut self,
        case: &EvaluatedEvent<'_>,
        context: &Context<'_>,
        half_decision: &mut HalfDecision,
    ) -> UnreadableBody {
        let event = case.event;
        let policy = context.policy;
        let calls_before = self.exchange.calls.len();
        if let Some(code) = event.code {
            self.exchange.gap(event.direction, Coverage::None, code);
            self.exchange.uninspectable.push(code);
        }
        if let Some(class) = event.opacity {
            self.exchange.gap(event.direction, Coverage::Partial, class);
        }
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(mut watcher) = self.watcher.take() {
            let place = redacted_pointer(context.json, event.at);
            watcher(event, case.at.unwrap_or(&place), context);
            self.watcher = Some(watcher);
        }
        let mut evaluation = policy.evaluate(event, context, case.phase);
        policy.note(event, context);
        if let Some(shadow) = &evaluation.shadow {
            self.record_shadow(shadow, event, context);
        }
        if !event.is_duplicate {
            self.exchange.events.add(event.kind);
        }
        if self.is_killed_call(event, context) {
            let killed = Ruling::deny(None, codes::AG3006);
            (evaluation.ruling, evaluation.would) = (killed, killed);
        }
        let exceeded = self.ask_beyond_limits(case, context, &mut evaluation, half_decision);
        // A call that the kill list stops spends no approval.
        let missing = self.seek_approval(case, context, &mut evaluation, half_decision);
        let mut effect = Effect {
            ruling: evaluation.ruling,
            outcome: self.outcome_of(event, &evaluation.ruling),
            would: self.outcome_of(event, &evaluation.would),
        };
        let hides = self.hides(event, &evaluation.would);
        for held in &evaluation.held {
            if let Some(rule) = policy.rule(held.rule)
                && self.record_rule(*held, rule, case, context, hides)
                && rule.action == Action::Redact
            {
                self.redact(*held, rule, event, context, &mut effect, half_decision);
            }
        }
        if case.enforcement == Enforcement::RecordOnly {
            effect.outcome = ExchangeOutcome::Allow;
        }
        self.exchange.decided(effect.outcome, effect.would);
        self.record_call(event, context, &effect, half_decision);
        let call = (self.exchange.calls.len() > calls_before).then_some(calls_before);
        self.collect_limits(case, &evaluation, &exceeded, call, context, half_decision);
        let ruling = effect.ruling;
        if ruling.decision != Decision::Allow {
            if ruling.code == Some(codes::AG2010) {
                self.exchange.uninspectable.push(codes::AG2010);
            }
            half_decision.denied.push(DeniedEvent {
                hidden: self.hides(event, &ruling),
                problem: case.problem.cloned(),
                approval: missing,
                ..DeniedEvent::new(event.clone(), ruling)
            });
        }
        UnreadableBody {
            denied: evaluation.ruling.decision == Decision::Deny,
            would_be: evaluation.would.decision == Decision::Deny,
        }
    }

    /// Records a rule that matches an event. Returns `false` if the match does not count: the rule may match only
    /// because content could not be inspected, and the content's code decides alone.
    fn record_rule(
        &mut self,
        held: MatchedRule,
        rule: &CompiledRule,
        case: &EvaluatedEvent<'_>,
        context: &Context<'_>,
        hides: bool,
    ) -> bool {
        let event = case.event;
        let is_denied = match held.enforced {
            true => case.unread.denied,
            false => case.unread.would_be,
        };
        if is_denied && context.policy.is_undecided(rule, event, context) {
            self.exchange.undecided.insert(rule.id.clone());
            return false;
        }
        let mode = match held.enforced {
            true => Mode::Enforce,
            false => Mode::Observe,
        };
        self.exchange
            .rules
            .entry((held.rule, event.kind.word()))
            .or_insert_with(|| RecordedRule {
                id: rule.id.clone(),
                action: match rule.action {
                    Action::Deny | Action::RequireApproval if hides => Action::Redact.word(),
                    action => action.word(),
                },
                event: event.kind.word(),
                at: match case.at {
                    Some(at) => at.to_owned(),
                    None => redacted_pointer(context.json, event.at),
                },
                mode: mode.word(),
                form: None,
            });
        self.exchange.tags.extend(rule.tags.iter().cloned());
        true
    }

    /// Adds the redactions of a rule that matches an event. An impossible redaction denies the event.
    fn redact(
        &mut self,
        held: MatchedRule,
        rule: &CompiledRule,
        event: &Event,
        context: &Context<'_>,
        effect: &mut Effect,
        half_decision: &mut HalfDecision,
    ) {
        let mut found = Vec::new();
        context
            .policy
            .redactions(rule, event, context, &mut |redaction| found.push(redaction));
        self.drop_redactions_of_signed(event, context, &mut found);
        let is_signed = self.head.signed && event.direction == Direction::Request;
        let is_label = !found.is_empty() && self.labels(rule, event.direction);
        let impossible = found.iter().any(|redaction| {
            is_signed
                || (is_label && rule.requires_pseudonym())
                || !redaction.is_possible()
                || !context.json.is_editable(redaction.place)
        });
        let uneditable = Ruling::deny(Some(held.rule), codes::AG3005);
        let what = match impossible {
            true => self.outcome_of(event, &uneditable),
            false if found.is_empty() => return,
            false => ExchangeOutcome::Redact,
        };
        effect.would = effect.would.max(what);
        if is_label
            && !impossible
            && let Some(held) = self.exchange.rules.get_mut(&(held.rule, event.kind.word()))
        {
            held.form = Some(Replacement::Label.word());
        }
        if !held.enforced {
            return;
        }
        self.disables_storage |= rule.unstores()
            && event.direction == Direction::Request
            && self.pseudonyms == PseudonymUse::IfUnstored;
        effect.outcome = effect.outcome.max(what);
        if impossible && effect.ruling.decision != Decision::Deny {
            effect.ruling = uneditable;
        }
        half_decision.redactions.extend(found);
    }

    /// Records a tool call with its outcome, if this exchange decides it.
    fn record_call(
        &mut self,
        event: &Event,
        context: &Context<'_>,
        effect: &Effect,
        half_decision: &HalfDecision,
    ) {
        // The definition of a provider-run tool is reported as a call only if it is denied.
        let is_reported = !event.provider_run
            || event.is_provider_offer()
                && matches!(
                    effect.would,
                    ExchangeOutcome::Deny | ExchangeOutcome::RequireApproval
                )
                && !half_decision.has_denied_call(event.at);
        let is_decided_now = event.direction == Direction::Response || event.turn == Turn::Latest;
        if event.kind == Kind::ToolCall
            && is_decided_now
            && is_reported
            && let Known::Is(tool) = &event.tool
        {
            let name = context
                .facts
                .qualified(tool)
                .map_or_else(|| tool.clone(), Into::into);
            self.exchange.calls.push((name, effect.outcome));
        }
    }
}

/// Returns whether a part of a response may contain calls written as text.
pub(super) fn may_hold_calls(part: Part) -> bool {
    matches!(part, Part::Text | Part::Reasoning)
}

/// Returns events for identifiers and names of a request that contain an unmistakable secret, and for names that
/// contain a number with a check digit. Rules don't inspect other identifiers.
fn secret_identifier_events(
    direction: Direction,
    reading: &Reading,
    context: &Context<'_>,
    new_content: &mut Option<NewContent<'_>>,
) -> Vec<Event> {
    let asks = direction == Direction::Request && context.policy.needs.detects(direction);
    let is_asked = |class: Class| match class {
        Class::Id => context.policy.finds_secrets(),
        class => class == Class::Name,
    };
    if !asks {
        return Vec::new();
    }
    let mut asked: Vec<(u32, &Text)> = Vec::new();
    let all = 0..offset(reading.texts.len());
    reading.texts.each_group(all, &mut |group| {
        let texts = match group {
            TextGroup::Known(known) if !is_asked(known.class) => return,
            TextGroup::Known(known) => known.texts.clone(),
            TextGroup::Others(texts) => texts,
        };
        let texts = texts.clone().zip(reading.texts.of(texts));
        asked.extend(texts.filter(|(_, text)| is_asked(text.class)));
    });
    if asked.is_empty() {
        return Vec::new();
    }
    let mut is_covered = vec![false; reading.texts.len()];
    for event in &reading.events {
        let texts = index(event.texts.start)..index(event.texts.end);
        if let Some(covered) = is_covered.get_mut(texts) {
            covered.fill(true);
        }
    }
    let is_covered = |number: u32| is_covered.get(index(number)).copied().unwrap_or(false);
    let mut is_unmistakable = |text: &Text| {
        let mut left = work::remaining();
        let is_searched = context.find_names(direction, text);
        if text.place.doc == 0 {
            // The names of all values are found once, whichever identifier is the first.
            left = work::remaining();
        }
        let is_found = is_searched && context.is_unmistakable(direction, text);
        if let Some(content) = new_content.as_mut().filter(|_| is_searched) {
            let steps = left.saturating_sub(work::remaining());
            content.add_identifier(text.place, context.json, steps, is_found);
        }
        is_found
    };
    asked
        .into_iter()
        .filter(|(number, text)| !is_covered(*number) && is_unmistakable(text))
        .map(|(number, text)| {
            let mut event = Event::new(Kind::Message, direction, text.place);
            event.texts = number..number.saturating_add(1);
            event.part = match text.class {
                Class::Name => Part::Name,
                _ => Part::Other,
            };
            event.from = Known::Unknown;
            event.is_duplicate = true;
            event
        })
        .collect()
}
