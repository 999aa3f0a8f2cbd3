//! What inspecting one exchange may cost, in [steps](crate::wire::work). It grows with the bytes that come, so that every
//! ordinary text is far from it, whatever its size; a text that costs many times as much as others is made to.
//!
//! The bound is one of the exchange and so one of each callback: what was earned and not spent is kept up to what one body
//! may cost. Steps are earned by bodies and by frames, never by how these were cut into chunks.

use super::Flow;
use super::evaluate::{Enforcement, EvaluatedEvent, HalfDecision, UnreadableBody};
use crate::diag::codes;
use crate::event::{Direction, Event, Kind, Problem};
use crate::policy::{Context, EvaluationPhase, Policy};
use crate::wire::json::NodeId;
use crate::wire::work;

/// Steps that every exchange may spend.
const BASE: u64 = 16 << 20;

/// Steps for each byte. Prose, code and data cost fewer than 12; a body that is nothing but texts of a few bytes, each evaluated by
/// many rules, some 80.
const PER_BYTE: u64 = 96;

/// Steps for each frame of a stream, which is looked at together with what stands before it.
const PER_FRAME: u64 = 8_192;

/// Steps for each byte and frame, and for each pattern of the policy: in a stream each is asked alone.
const PER_BYTE_AND_PATTERN: u64 = 4;
const PER_FRAME_AND_PATTERN: u64 = 512;

/// What exchanges under one policy may spend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    per_byte: u64,
    per_frame: u64,
    /// Most that is kept of what was earned.
    most: u64,
}

impl Allowance {
    pub(super) fn of(policy: &Policy) -> Allowance {
        let patterns = u64::try_from(policy.patterns()).unwrap_or(u64::MAX);
        let with = |each: u64, more: u64| each.saturating_add(more.saturating_mul(patterns));
        let per_byte = with(PER_BYTE, PER_BYTE_AND_PATTERN);
        let body = policy.document.inspect.max_body.saturating_mul(per_byte);
        Allowance {
            per_byte,
            per_frame: with(PER_FRAME, PER_FRAME_AND_PATTERN),
            most: body.saturating_add(BASE),
        }
    }

    /// What an exchange begins with.
    pub(super) fn begin(self) -> u64 {
        BASE
    }

    /// A body has come, all of it.
    pub(super) fn earn_body(self, size: usize) {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        work::earn(size.saturating_mul(self.per_byte), self.most);
    }

    /// What was spent between two moments, if nothing was kept of what was earned.
    #[cfg(test)]
    pub(super) fn left_of(self, before: u64, after: u64) -> u64 {
        before.min(self.most) - after
    }

    /// A frame of a stream has come.
    pub(super) fn earn_frame(self, size: usize) {
        self.earn_body(size);
        work::earn(self.per_frame, self.most);
    }
}

/// What is said of an exchange that costs too much.
const TOO_MUCH_WORK: &str =
    "to inspect it costs many times as much as an ordinary text of its size";

impl Flow {
    /// Runs a callback on what the exchange may still spend.
    pub(super) fn metered<T>(&mut self, run: impl FnOnce(&mut Flow) -> T) -> T {
        let before = work::allow(self.work);
        let result = run(self);
        self.work = work::allow(before);
        result
    }

    /// Evaluates an exchange of which not everything was searched, if it is one: that decides before whatever was found.
    pub(super) fn evaluate_work(
        &mut self,
        direction: Direction,
        force: Enforcement,
        context: &Context<'_>,
        verdict: &mut HalfDecision,
    ) {
        if !work::is_exhausted() {
            return;
        }
        let mut event = Event::new(Kind::Uninspectable, direction, NodeId::default());
        event.code = Some(codes::AG2015);
        let problem = Problem {
            code: codes::AG2015,
            at: String::new(),
            what: TOO_MUCH_WORK.to_owned(),
        };
        let known = verdict.denied.len();
        work::aside(|| {
            self.evaluate_event(
                &EvaluatedEvent {
                    event: &event,
                    unread: UnreadableBody::default(),
                    problem: Some(&problem),
                    moment: EvaluationPhase::Whole,
                    force,
                    at: None,
                },
                context,
                verdict,
            );
        });
        if verdict.denied.len() > known {
            verdict.denied.rotate_right(1);
        }
    }
}
