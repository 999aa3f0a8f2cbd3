//! Judges everything that was read in one half of the exchange, and keeps what the record tells of it.

use super::Flow;
use super::exchange::{Outcome, Read};
use super::refusal::told_place;
use crate::audit::HeldRule;
use crate::diag::codes;
use crate::event::{Class, Direction, Event, Kind, Known, Part, Problem, Reading, Redaction, Turn};
use crate::policy::{Action, Context, Decision, Flowing, Mode, Moment, Ruling, Scans, Shadow};
use crate::wire::json::{Nest, Place};
use crate::wire::span::index;
use std::cell::RefCell;
use std::rc::Rc;

/// What is said of an exchange with more text than detectors may look at.
pub(super) const TOO_MUCH_TEXT: &str = "more text than `inspect.max_text`";

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

impl Flow {
    /// The refusal of an answer in which a redaction can't be made everywhere: rather no answer than one that leaks.
    pub(super) fn uneditable(&mut self) -> Refused {
        self.exchange.decided(Outcome::Deny, Outcome::Deny);
        Refused {
            event: Event::new(Kind::Response, Direction::Response, Place::default()),
            ruling: Ruling {
                decision: Decision::Deny,
                rule: None,
                code: Some(codes::AG3005),
            },
            problem: None,
        }
    }
}

fn outcome_of(ruling: &Ruling) -> Outcome {
    match ruling.decision {
        Decision::Allow => Outcome::Allow,
        Decision::RequireApproval => Outcome::RequireApproval,
        Decision::Deny => Outcome::Deny,
    }
}

/// Whether a judgement can still change what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Force {
    /// It decides.
    Binding,
    /// The bytes have gone by: the record tells what would have been decided.
    Recorded,
}

/// One event that is judged.
struct Case<'a> {
    event: &'a Event,
    /// What the body that it is part of is refused for, as it could not be read.
    unread: Unread,
    /// For something that could not be read: what.
    problem: Option<&'a Problem>,
    moment: Moment,
    force: Force,
    /// Where it stands, if that is no place in the body at hand.
    at: Option<&'a str>,
}

/// Whether a code refuses a body already, as things are enforced and if everything were. Then the code alone decides: a rule
/// that holds only because something could not be read says nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Unread {
    refused: bool,
    would_be: bool,
}

/// A part of an answer that was put together from pieces, to be judged.
pub(super) struct Assembled<'a> {
    /// The events; their places are those of `nest`.
    pub(super) events: &'a [Event],
    /// What is known of the answer so far, with the event's texts.
    pub(super) reading: &'a Reading,
    /// What was put together.
    pub(super) nest: &'a Nest<'a>,
    /// What was found in it already.
    pub(super) scans: Scans,
    /// Which rules are judged.
    pub(super) moment: Moment,
    /// Whether it can still be held back.
    pub(super) force: Force,
    /// Where it stands in the stream.
    pub(super) at: &'a str,
}

impl Flow {
    /// Judges all events of a body that can still be changed.
    pub(super) fn judge(
        &mut self,
        direction: Direction,
        nest: &Nest<'_>,
        reading: &Reading,
    ) -> Verdict {
        self.judge_all(direction, nest, reading, Force::Binding)
    }

    /// Judges all events of a body.
    pub(super) fn judge_all(
        &mut self,
        direction: Direction,
        nest: &Nest<'_>,
        reading: &Reading,
        force: Force,
    ) -> Verdict {
        self.exchange.read(direction, Read::Full);
        let texts = reading.texts.iter();
        let size = texts
            .filter_map(|text| Some(nest.value(text.place)?.span().range().len()))
            .fold(0usize, usize::saturating_add);
        self.count_text(direction, size);
        let excess = (size > 0 && self.has_too_much_text()).then(|| Problem {
            code: codes::AG2004,
            at: String::new(),
            what: TOO_MUCH_TEXT.to_owned(),
        });
        let scans = match &excess {
            Some(_) => Scans::without_detectors(),
            None => Scans::default(),
        };
        self.in_context(nest, reading, scans, |flow, context, verdict| {
            let mut judge = |event: &Event, problem, unread| {
                let case = Case {
                    event,
                    unread,
                    problem,
                    moment: Moment::Whole,
                    force,
                    at: None,
                };
                flow.judge_event(&case, context, verdict)
            };
            let mut unread = Unread::default();
            for problem in reading.problems.iter().chain(&excess) {
                let mut event = Event::new(Kind::Uninspectable, direction, Place::default());
                event.code = Some(problem.code);
                let decided = judge(&event, Some(problem), Unread::default());
                unread.refused |= decided.refused;
                unread.would_be |= decided.would_be;
            }
            for event in &reading.events {
                judge(event, None, unread);
            }
            for event in told_identifiers(direction, reading, context) {
                judge(&event, None, unread);
            }
        })
    }

    /// Counts text that detectors look at.
    pub(super) fn count_text(&mut self, direction: Direction, size: usize) {
        if self.guard.policy.needs.detects(direction) {
            let size = u64::try_from(size).unwrap_or(u64::MAX);
            self.exchange.text = self.exchange.text.saturating_add(size);
        }
    }

    /// Whether there was more of it than the policy lets them look at.
    pub(super) fn has_too_much_text(&self) -> bool {
        self.exchange.text > self.guard.policy.document.inspect.max_text
    }

    /// Judges a part of an answer that was put together from pieces.
    pub(super) fn judge_assembled(&mut self, assembled: Assembled<'_>) -> Verdict {
        let Assembled {
            events,
            reading,
            nest,
            scans,
            moment,
            force,
            at,
        } = assembled;
        self.in_context(nest, reading, scans, |flow, context, verdict| {
            for event in events {
                let case = Case {
                    event,
                    unread: Unread::default(),
                    problem: None,
                    moment,
                    force,
                    at: Some(at),
                };
                flow.judge_event(&case, context, verdict);
            }
        })
    }

    /// Keeps what the policy asks of the conversation in a request.
    pub(super) fn recall(&mut self, reading: &Reading, nest: &Nest<'_>) {
        let scans = RefCell::default();
        let context = Context {
            policy: &self.guard.policy,
            facts: &self.facts,
            reading,
            nest,
            scans: &scans,
            scratch: &self.guard.scratch,
        };
        self.facts.history = self.guard.policy.recall(&context);
    }

    /// How a text of an answer may flow, by what is known at its beginning.
    pub(super) fn flowing(&mut self, event: &Event, reading: &Reading, nest: &Nest<'_>) -> Flowing {
        let scans = RefCell::default();
        let context = Context {
            policy: &self.guard.policy,
            facts: &self.facts,
            reading,
            nest,
            scans: &scans,
            scratch: &self.guard.scratch,
        };
        self.guard.policy.flowing(event, &context)
    }

    fn in_context(
        &mut self,
        nest: &Nest<'_>,
        reading: &Reading,
        scans: Scans,
        judge: impl FnOnce(&mut Flow, &Context<'_>, &mut Verdict),
    ) -> Verdict {
        let guard = Rc::clone(&self.guard);
        let scans = RefCell::new(scans);
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
        judge(self, &context, &mut verdict);
        for (name, count) in context.finding_counts() {
            let total = self.exchange.findings.entry(name).or_default();
            *total = total.saturating_add(count);
        }
        self.facts = facts;
        verdict
    }

    /// Notes what the policy would decide that is only tried out.
    fn try_out(&mut self, shadow: &Shadow, event: &Event, context: &Context<'_>) {
        let mut outcome = outcome_of(&shadow.ruling);
        let told = self.exchange.shadow.get_or_insert_default();
        for rule in shadow
            .held
            .iter()
            .filter_map(|held| context.policy.rule(held.rule))
        {
            told.rules.insert(rule.id.clone());
            if rule.action == Action::Redact {
                let mut impossible = false;
                context
                    .policy
                    .redactions(rule, event, context, &mut |redaction| {
                        impossible |=
                            !redaction.is_possible() || !context.nest.is_editable(redaction.place);
                    });
                outcome = outcome.max(if impossible {
                    Outcome::Deny
                } else {
                    Outcome::Redact
                });
            }
        }
        told.outcome = told.outcome.max(outcome);
    }

    /// Judges an event; whether it is refused.
    fn judge_event(
        &mut self,
        case: &Case<'_>,
        context: &Context<'_>,
        verdict: &mut Verdict,
    ) -> Unread {
        let event = case.event;
        let policy = context.policy;
        if let Some(code) = event.code {
            self.exchange.gap(event.direction, Read::None, code);
            self.exchange.uninspectable.push(code);
        }
        if let Some(class) = event.opacity {
            self.exchange.gap(event.direction, Read::Partial, class);
        }
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(mut watcher) = self.watcher.take() {
            let place = told_place(context.nest, event.at);
            watcher(event, case.at.unwrap_or(&place), context);
            self.watcher = Some(watcher);
        }
        let judgement = policy.judge(event, context, case.moment);
        policy.note(event, context);
        if let Some(shadow) = &judgement.shadow {
            self.try_out(shadow, event, context);
        }
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
            let is_refused = match held.enforced {
                true => case.unread.refused,
                false => case.unread.would_be,
            };
            if is_refused && policy.is_undecided(rule, event, context) {
                self.exchange.undecided.insert(rule.id.clone());
                continue;
            }
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
                    at: match case.at {
                        Some(at) => at.to_owned(),
                        None => told_place(context.nest, event.at),
                    },
                    mode: mode.word(),
                });
            self.exchange.tags.extend(rule.tags.iter().cloned());
            if rule.action != Action::Redact {
                continue;
            }
            let mut found = Vec::new();
            policy.redactions(rule, event, context, &mut |redaction| found.push(redaction));
            let is_signed = self.head.signed && event.direction == Direction::Request;
            let impossible = found.iter().any(|redaction| {
                is_signed || !redaction.is_possible() || !context.nest.is_editable(redaction.place)
            });
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
        if case.force == Force::Recorded {
            outcome = Outcome::Allow;
        }
        self.exchange.decided(outcome, would);
        let is_decided_now = event.direction == Direction::Response || event.turn == Turn::Latest;
        if event.kind == Kind::ToolCall
            && is_decided_now
            && !event.provider_run
            && let Known::Is(tool) = &event.tool
        {
            let name = context
                .facts
                .qualified(tool)
                .map_or_else(|| tool.clone(), Into::into);
            self.exchange.calls.push((name, outcome));
        }
        if ruling.decision != Decision::Allow {
            verdict.refused.push(Refused {
                event: event.clone(),
                ruling,
                problem: case.problem.cloned(),
            });
        }
        Unread {
            refused: judgement.ruling.decision == Decision::Deny,
            would_be: judgement.would.decision == Decision::Deny,
        }
    }
}

/// Identifiers of a request that hold an unmistakable secret, as messages: rules look at no other identifier.
fn told_identifiers(direction: Direction, reading: &Reading, context: &Context<'_>) -> Vec<Event> {
    let asks = direction == Direction::Request
        && context.policy.needs.detects(direction)
        && context.policy.finds_secrets();
    if !asks || !reading.texts.iter().any(|text| text.class == Class::Id) {
        return Vec::new();
    }
    let mut is_told = vec![false; reading.texts.len()];
    for number in reading.events.iter().flat_map(|event| event.texts.clone()) {
        if let Some(told) = is_told.get_mut(index(number)) {
            *told = true;
        }
    }
    (0u32..)
        .zip(&reading.texts)
        .zip(is_told)
        .filter(|((_, text), told)| {
            text.class == Class::Id && !told && context.is_secret(direction, text)
        })
        .map(|((number, text), _)| {
            let mut event = Event::new(Kind::Message, direction, text.place);
            event.texts = number..number.saturating_add(1);
            event.part = Part::Other;
            event.retold = true;
            event
        })
        .collect()
}
