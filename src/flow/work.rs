//! Work budget of an exchange in [steps](crate::wire::work). The budget grows with the received bytes, so that every
//! ordinary text stays far below it, regardless of size. Only a text crafted for it costs many times as much.
//!
//! Fixed costs of a text or a rule are not counted: they are some hundred steps at most, and a body has few texts for
//! its size.
//!
//! The budget bounds the exchange and thereby each callback: unspent steps are kept up to the cost of one body. Bodies
//! and frames earn steps, regardless of chunk boundaries.

use super::Flow;
use super::evaluate::{Enforcement, EvaluatedEvent, HalfDecision, UnreadableBody};
use crate::diag::codes;
use crate::event::{Direction, Event, Kind, Problem};
use crate::policy::{Context, EvaluationPhase, Policy};
use crate::wire::json::NodeId;
use crate::wire::work;

/// Steps that every exchange may spend.
const BASE: u64 = 8 << 20;

/// Steps per byte, those for reading JSON included. Prose, code and data cost fewer than 12, texts full of findings about
/// 20.
const PER_BYTE: u64 = 32;

/// Steps per frame of a stream, which is evaluated together with the text before it.
const PER_FRAME: u64 = 8_192;

/// Steps per byte and frame, and per pattern of the policy: in a stream each pattern runs alone.
const PER_BYTE_AND_PATTERN: u64 = 4;
const PER_FRAME_AND_PATTERN: u64 = 512;

/// Work budget of exchanges under one policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    base: u64,
    per_byte: u64,
    per_frame: u64,
    /// Maximum unspent steps that are kept.
    max_kept: u64,
}

impl Allowance {
    pub(super) fn of(policy: &Policy) -> Allowance {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let patterns = number(policy.patterns());
        let with = |each: u64, more: u64| each.saturating_add(more.saturating_mul(patterns));
        // The cost of operators is fixed per byte, and grows with the policy.
        let operators = number(policy.operator_steps());
        let per_byte = with(PER_BYTE, PER_BYTE_AND_PATTERN).saturating_add(operators);
        let body = policy.document.inspect.max_body.saturating_mul(per_byte);
        Allowance {
            base: BASE,
            per_byte,
            per_frame: with(PER_FRAME, PER_FRAME_AND_PATTERN),
            max_kept: body.saturating_add(BASE),
        }
    }

    /// Returns the steps at the start of an exchange.
    pub(super) fn begin(self) -> u64 {
        self.base
    }

    /// Earns the steps of a complete body.
    pub(super) fn earn_body(self, size: usize) {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        work::earn(size.saturating_mul(self.per_byte), self.max_kept);
    }

    /// Returns the steps spent between two callbacks, given the remaining steps before and after, without the limit on
    /// unspent steps.
    #[cfg(test)]
    pub(super) fn left_of(self, before: u64, after: u64) -> u64 {
        before.min(self.max_kept) - after
    }

    /// Returns this budget without the steps that bodies earn, for tests of exhausted budgets.
    #[cfg(test)]
    pub(super) fn fixed(self) -> Allowance {
        Allowance {
            per_byte: 0,
            max_kept: u64::MAX,
            ..self
        }
    }

    /// Returns half of this budget, for tests of content that must stay far below it.
    #[cfg(test)]
    pub(super) fn half(self) -> Allowance {
        Allowance {
            base: self.base / 2,
            per_byte: self.per_byte / 2,
            per_frame: self.per_frame / 2,
            max_kept: self.max_kept / 2,
        }
    }

    /// Earns the steps of a frame of a stream.
    pub(super) fn earn_frame(self, size: usize) {
        self.earn_body(size);
        work::earn(self.per_frame, self.max_kept);
    }
}

/// Message for an exchange that exceeds its work budget.
const TOO_MUCH_WORK: &str =
    "to inspect it costs many times as much as an ordinary text of its size";

impl Flow {
    /// Runs a callback within the remaining budget.
    pub(super) fn metered<T>(&mut self, run: impl FnOnce(&mut Flow) -> T) -> T {
        let before = work::allow(self.work);
        let result = run(self);
        self.work = work::allow(before);
        result
    }

    /// Evaluates the exhausted work budget of an exchange. It decides before all other findings, because the search was
    /// incomplete.
    pub(super) fn evaluate_work(
        &mut self,
        direction: Direction,
        enforcement: Enforcement,
        context: &Context<'_>,
        half_decision: &mut HalfDecision,
    ) {
        if !work::is_exhausted() {
            return;
        }
        let mut event = Event::new(Kind::Uninspectable, direction, NodeId::default());
        event.code = Some(codes::AG2015);
        let problem = Problem::of_body(codes::AG2015, TOO_MUCH_WORK);
        let known = half_decision.denied.len();
        work::aside(|| {
            self.evaluate_event(
                &EvaluatedEvent {
                    event: &event,
                    unread: UnreadableBody::default(),
                    problem: Some(&problem),
                    phase: EvaluationPhase::Whole,
                    enforcement,
                    at: None,
                },
                context,
                half_decision,
            );
        });
        if half_decision.denied.len() > known {
            half_decision.denied.rotate_right(1);
        }
    }
}
