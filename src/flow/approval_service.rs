//! Calls to the approval service, awaited or as a notice.
//!
//! The part of an exchange that waits for an approval is evaluated without effect: no limit is charged, no approval is
//! spent, nothing is recorded. After the service's response, the same bytes are evaluated again with the tokens in it,
//! as if the tokens had come with the request. The part then passes or is denied: nothing waits twice.

use super::approval::{RecordedApproval, ServiceRequest, copy_key};
use super::evaluate::{DeniedEvent, Enforcement, HalfDecision};
use super::exchange::{Exchange, ExchangeOutcome};
use super::step::{Body, Resumed, ServiceAnswer, ServiceCall, Step};
use super::{Flow, HalfState};
use crate::approval::{service_request, service_tokens};
use crate::diag::codes;
use crate::event::{Direction, History};

/// Timeout of a notice in seconds.
const NOTICE_SECONDS: u64 = 10;

/// Maximum approval requests in one call to the service.
const MAX_REQUESTS: usize = 32;

/// Maximum nanoseconds by which the host's timer may be early.
const EARLY_NS: u64 = 100_000_000;

/// Calls of an exchange to the approval service.
#[derive(Debug, Default)]
pub(super) struct ServiceUse {
    /// Whether the next evaluation may wait.
    may_wait: bool,
    /// Part that waits for a response.
    waiting: Option<Waiting>,
    /// Response, during the second evaluation of the part that waited for it.
    answered: Option<Answered>,
    /// Calls for the host to make.
    calls: Vec<ServiceCall>,
    /// Number of the next call.
    next: u64,
}

/// Part that waits for a response.
#[derive(Debug)]
struct Waiting {
    /// Number of the call; absent before the call is passed to the host.
    number: Option<u64>,
    direction: Direction,
    since: u64,
    seconds: u64,
    named: Vec<ServiceRequest>,
    /// Approval in the audit event before.
    recorded: Option<RecordedApproval>,
}

/// Result of a response.
#[derive(Debug)]
struct Answered {
    /// Requests in the call.
    named: Vec<ServiceRequest>,
    /// Reason why the service failed.
    failure: Option<&'static str>,
    /// Number of the request's own tokens.
    presented: usize,
}

/// State that is restored if the exchange waits, or if the request is read again.
#[derive(Debug)]
pub(super) struct BeforeEvaluation {
    exchange: Exchange,
    history: History,
    recorded: Option<RecordedApproval>,
    disables_storage: bool,
}

impl ServiceUse {
    /// Returns whether a part that waited is being evaluated again.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.is_some()
    }

    /// Stops waiting, because the exchange ends for another reason.
    pub(super) fn stop_waiting(&mut self) {
        self.waiting = None;
    }

    /// Returns the id of the approval request that the service was sent for this call. Each id is returned once.
    pub(super) fn take_id(&mut self, call: &str) -> Option<Box<str>> {
        let named = &mut self.answered.as_mut()?.named;
        let is_same = |asked: &ServiceRequest| *copy_key(&asked.request.subject) == *call;
        let at = named.iter().position(is_same)?;
        Some(named.remove(at).request.id)
    }

    /// Returns the reason why the service failed, during the second evaluation.
    pub(super) fn failure(&self) -> Option<&'static str> {
        self.answered.as_ref()?.failure
    }

    fn call<'a>(
        &mut self,
        named: impl Iterator<Item = &'a ServiceRequest>,
        request_id: &str,
        wait: Option<u64>,
    ) -> u64 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        let requests: Vec<_> = named.map(|asked| &asked.request).collect();
        self.calls.push(ServiceCall {
            number,
            body: service_request(&requests, request_id, wait),
            timeout: wait.unwrap_or(NOTICE_SECONDS),
            is_awaited: wait.is_some(),
        });
        number
    }
}

impl Flow {
    /// Lets the next evaluation wait for approvals.
    pub(super) fn allow_waiting(&mut self) {
        // Calls that end together are sent in one call to the service.
        let waiting = self.service.waiting.as_ref();
        let is_open = waiting.is_none_or(|waiting| waiting.number.is_none());
        self.service.may_wait =
            self.guard.approvals.waits && is_open && !self.service.is_answered();
    }

    /// Returns the state to restore if the current evaluation waits; `None` if it may not wait.
    pub(super) fn before_waiting(
        &mut self,
        enforcement: Enforcement,
    ) -> Option<Box<BeforeEvaluation>> {
        let may_wait = std::mem::take(&mut self.service.may_wait);
        (may_wait && enforcement == Enforcement::Enforced)
            .then(|| Box::new(self.before_evaluation()))
    }

    /// Returns the state that an evaluation changes before it takes effect.
    pub(super) fn before_evaluation(&self) -> BeforeEvaluation {
        BeforeEvaluation {
            exchange: self.exchange.clone(),
            history: self.facts.history.clone(),
            recorded: self.approvals.recorded.clone(),
            disables_storage: self.disables_storage,
        }
    }

    /// Undoes the changes of an evaluation that takes no effect.
    pub(super) fn undo_evaluation(&mut self, before: BeforeEvaluation) {
        self.exchange = before.exchange;
        self.facts.history = before.history;
        self.approvals.recorded = before.recorded;
        self.disables_storage = before.disables_storage;
    }

    /// Returns whether only awaited approvals deny a half. In a response, denials of parts that can be removed don't
    /// count.
    pub(super) fn waits(&self, direction: Direction, half_decision: &HalfDecision) -> bool {
        let denied = half_decision.denied.iter().filter(|denied| !denied.hidden);
        let (mut waits, mut others) = (false, true);
        for denied in denied {
            match asked(denied).and_then(|asked| asked.wait) {
                Some(_) => waits = true,
                None => {
                    others &= direction == Direction::Response && self.can_be_removed(denied);
                }
            }
        }
        waits && others
    }

    /// Prepares the call to the service, and undoes the changes of the evaluation.
    pub(super) fn wait(
        &mut self,
        direction: Direction,
        before: BeforeEvaluation,
        half_decision: &HalfDecision,
    ) {
        let waiting = self.service.waiting.get_or_insert_with(|| Waiting {
            number: None,
            direction,
            since: self.now,
            seconds: u64::MAX,
            named: Vec::new(),
            recorded: before.recorded,
        });
        for denied in &half_decision.denied {
            let Some((asked, seconds)) = asked(denied).and_then(|it| Some((it, it.wait?))) else {
                continue;
            };
            // A copy of a call passes with the call's approval.
            let same = |known: &ServiceRequest| known.request.subject == asked.request.subject;
            let is_copy = denied.event.is_duplicate && waiting.named.iter().any(same);
            if waiting.named.len() < MAX_REQUESTS && !is_copy {
                waiting.seconds = waiting.seconds.min(seconds);
                waiting.named.push(asked.clone());
            }
        }
        self.exchange = before.exchange;
        self.facts.history = before.history;
        if let Some(recorded) = &mut self.approvals.recorded {
            recorded.state = "waiting";
        }
    }

    /// Sends the service a notice of the missing approvals whose rules require it.
    pub(super) fn notify(&mut self, half_decision: &HalfDecision) {
        if self.service.is_answered() {
            return;
        }
        let denied = half_decision.denied.iter().filter_map(asked);
        let mut told = denied
            .filter(|asked| asked.notify)
            .take(MAX_REQUESTS)
            .peekable();
        if told.peek().is_some() {
            self.service.call(told, &self.head.request_id, None);
        }
    }

    /// Adds the calls for the host to a step.
    pub(super) fn with_calls(&mut self, mut step: Step) -> Step {
        let waiting = self.service.waiting.take_if(|it| it.number.is_none());
        if let Some(mut waiting) = waiting {
            let wait = Some(waiting.seconds);
            let named = waiting.named.iter();
            let number = self.service.call(named, &self.head.request_id, wait);
            waiting.number = Some(number);
            self.service.waiting = Some(waiting);
        }
        step.calls = std::mem::take(&mut self.service.calls);
        step
    }

    /// Returns the half that waits for the approval service.
    pub fn awaits(&self) -> Option<Direction> {
        Some(self.service.waiting.as_ref()?.direction)
    }

    /// Processes the response of the approval service. `body` has the held bytes of the waiting half. Returns the
    /// continuation of that half; `None` if it does not wait for this response any more.
    pub fn service_answered(
        &mut self,
        number: u64,
        answer: &ServiceAnswer<'_>,
        body: &mut dyn Body,
        now: u64,
    ) -> Option<Resumed> {
        let waiting = self
            .service
            .waiting
            .take_if(|it| it.number == Some(number))?;
        self.now = now;
        if self.facts.time.is_some() {
            // The tokens may have been created after the request came.
            self.facts.time = Some(now);
        }
        let waited = now.saturating_sub(waiting.since);
        self.exchange.held_ns = self.exchange.held_ns.saturating_add(waited);
        let wait = waiting.seconds.saturating_mul(1_000_000_000);
        // After the timeout, Envoy makes a response with a status of its own.
        let is_over = waited.saturating_add(EARLY_NS) >= wait;
        let mut tokens = Vec::new();
        let failure = match answer {
            ServiceAnswer::Received {
                status: 200..=299,
                body,
            } => match service_tokens(body) {
                Ok(given) => {
                    tokens = given;
                    None
                }
                Err(_) => Some("malformed_answer"),
            },
            _ if is_over => None,
            ServiceAnswer::Received { .. } => Some("service_status"),
            ServiceAnswer::Unreachable => Some("service_unreachable"),
        };
        self.approvals.recorded = waiting.recorded;
        let keys = &self.guard.approvals.keys;
        let presented = self.approvals.add_answered(&tokens, keys);
        self.service.answered = Some(Answered {
            named: waiting.named,
            failure,
            presented,
        });
        let direction = waiting.direction;
        let step = self.metered(|flow| flow.go_on_after_waiting(direction, body));
        self.end_answer();
        Some(Resumed {
            step: self.with_calls(step),
            failure,
        })
    }

    fn go_on_after_waiting(&mut self, direction: Direction, body: &mut dyn Body) -> Step {
        let half = match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        };
        match half {
            HalfState::Asking => {
                *half = HalfState::Done;
                let bytes = body.read();
                match direction {
                    Direction::Request => self.evaluate_request(&bytes),
                    Direction::Response => self.evaluate_held_response(&bytes),
                }
            }
            HalfState::Streaming(_) => self.resume_stream(),
            _ => Step::go_on(),
        }
    }

    /// Ends the second evaluation: later parts may wait for approvals of their own.
    pub(super) fn end_answer(&mut self) {
        if let Some(answered) = self.service.answered.take() {
            self.approvals.drop_answered(answered.presented);
        }
    }

    /// Records an exchange that ended while it waited.
    pub(super) fn close_waiting(&mut self) {
        if self.service.waiting.take().is_some() {
            let outcome = ExchangeOutcome::RequireApproval;
            self.exchange.decided(outcome, outcome);
            self.exchange.code.get_or_insert(codes::AG3003);
        }
    }
}

/// Returns the request to the approval service for a denied event, if its rules have one.
fn asked(denied: &DeniedEvent) -> Option<&ServiceRequest> {
    denied.approval.as_ref()?.asked.as_deref()
}
