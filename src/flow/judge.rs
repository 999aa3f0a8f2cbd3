//! Judges everything that was read in one half of the exchange, and keeps what the record tells of it.

use super::Flow;
use super::exchange::{Outcome, Read};
use crate::audit::HeldRule;
use crate::diag::codes;
use crate::event::{Direction, Event, Kind, Known, Problem, Reading, Redaction, Turn};
use crate::policy::{Action, Context, Decision, Mode, Ruling, Scans};
use crate::wire::json::{Nest, Place};
use std::cell::RefCell;
use std::rc::Rc;

/// A refusal of one event.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// The event.
    pub(super) event: Event,
    /// What was decided.
    pub(super) ruling: Ruling,
    /// For something that could not be read: what.
    pub(super) problem: Option<Problem>,
}

/// The judgement of one half.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Events that are refused and enforced, in the order of the bytes; problems first.
    pub(super) refused: Vec<Refused>,
    /// What is to be replaced, where nothing is refused.
    pub(super) redactions: Vec<Redaction>,
}

impl Verdict {
    /// The refusal that is told: the strictest, and of those the first.
    pub(super) fn strictest(&self) -> Option<&Refused> {
        let strictest = self
            .refused
            .iter()
            .map(|refused| refused.ruling.decision)
            .max()?;
        self.refused
            .iter()
            .find(|refused| refused.ruling.decision == strictest)
    }
}

fn outcome_of(ruling: &Ruling) -> Outcome {
    match ruling.decision {
        Decision::Allow => Outcome::Allow,
        Decision::RequireApproval => Outcome::RequireApproval,
        Decision::Deny => Outcome::Deny,
    }
}

impl Flow {
    /// Judges all events of a body.
    pub(super) fn judge(
        &mut self,
        direction: Direction,
        nest: &Nest<'_>,
        reading: &Reading,
    ) -> Verdict {
        let guard = Rc::clone(&self.guard);
        let scans = RefCell::new(Scans::default());
        let facts = std::mem::replace(&mut self.facts, crate::event::Facts::unknown());
        let context = Context {
            policy: &guard.policy,
            facts: &facts,
            reading,
            nest,
            scans: &scans,
            scratch: &guard.scratch,
        };
        let mut verdict = Verdict::default();
        self.exchange.read(direction, Read::Full);
        for problem in &reading.problems {
            self.exchange.gap(direction, Read::None, problem.code);
            self.exchange.uninspectable.push(problem.code);
            let mut event = Event::new(Kind::Uninspectable, direction, Place::default());
            event.code = Some(problem.code);
            self.judge_event(&event, Some(problem), &context, &mut verdict);
        }
        for event in &reading.events {
            if let Some(class) = event.opacity {
                self.exchange.gap(direction, Read::Partial, class);
            }
            self.judge_event(event, None, &context, &mut verdict);
        }
        for (kind, count) in context.finding_counts() {
            let total = self.exchange.findings.entry(kind).or_default();
            *total = total.saturating_add(count);
        }
        self.facts = facts;
        verdict
    }

    fn judge_event(
        &mut self,
        event: &Event,
        problem: Option<&Problem>,
        context: &Context<'_>,
        verdict: &mut Verdict,
    ) {
        let policy = context.policy;
        let judgement = policy.judge(event, context);
        if !event.retold {
            let count = self.exchange.events.entry(event.kind.word()).or_default();
            *count = count.saturating_add(1);
        }
        let mut outcome = outcome_of(&judgement.ruling);
        let mut would = outcome_of(&judgement.would);
        let mut ruling = judgement.ruling;
        for held in &judgement.held {
            let Some(rule) = policy.rule(held.rule) else {
                continue;
            };
            let mode = if held.enforced {
                Mode::Enforce
            } else {
                Mode::Observe
            };
            self.exchange
                .rules
                .entry((held.rule, event.kind.word()))
                .or_insert_with(|| HeldRule {
                    id: rule.id.clone(),
                    action: rule.action.word(),
                    event: event.kind.word(),
                    at: context.nest.pointer(event.at),
                    mode: mode.word(),
                });
            self.exchange.tags.extend(rule.tags.iter().cloned());
            if rule.action != Action::Redact {
                continue;
            }
            let mut found = Vec::new();
            policy.redactions(rule, event, context, &mut |redaction| found.push(redaction));
            let impossible = found.iter().any(|redaction| !redaction.is_possible());
            let what = if impossible {
                Outcome::Deny
            } else {
                Outcome::Redact
            };
            would = would.max(what);
            if !held.enforced {
                continue;
            }
            outcome = outcome.max(what);
            if impossible && ruling.decision != Decision::Deny {
                ruling = Ruling {
                    decision: Decision::Deny,
                    rule: Some(held.rule),
                    code: Some(codes::AG3005),
                };
            }
            verdict.redactions.extend(found);
        }
        self.exchange.decided(outcome, would);
        let is_decided_now = event.direction == Direction::Response || event.turn == Turn::Latest;
        if event.kind == Kind::ToolCall
            && is_decided_now
            && !event.provider_run
            && let Known::Is(tool) = &event.tool
        {
            self.exchange.calls.push((tool.clone(), outcome));
        }
        if ruling.decision != Decision::Allow {
            verdict.refused.push(Refused {
                event: event.clone(),
                ruling,
                problem: problem.cloned(),
            });
        }
    }
}
