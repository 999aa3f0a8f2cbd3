//! The meaning of a policy: which rules hold for an event, and what wins.
//!
//! Every rule is evaluated against every event of its kind, alone and without order. Then: a deny that holds denies; else
//! an approval that is required; else an allow; else, at a gate, the default. Redactions and tags never decide.

pub(crate) mod condition;
mod history;
pub(crate) mod operand;
mod path_readings;
mod redactions;
mod rule;
mod text_scans;
pub(crate) mod value;

use self::rule::is_hard;
use crate::diag::codes;
use crate::event::{DefaultGate, Event, Kind, Turn};
use crate::policy::compiled::{CompiledDocument, CompiledRule, CompiledTest};
use crate::policy::compiled_policy::Policy;
use crate::policy::context::Context;
use crate::policy::decision_point::EvaluationPhase;
use crate::policy::defaults::Default;
use crate::policy::evaluate::condition::ConditionEvaluator;
use crate::policy::field::Field;
use crate::policy::operators::Polarity;
use crate::policy::words::Action;
use crate::policy::words::DefaultAction;
use std::cmp::Ordering;

/// A decision, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// It passes.
    Allow,
    /// Someone has to agree first.
    RequireApproval,
    /// It is refused.
    Deny,
}

/// What was decided, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The decision.
    pub decision: Decision,
    /// The rule that decided; of several the first by id.
    pub rule: Option<u16>,
    /// Stable code of a refusal.
    pub code: Option<&'static str>,
}

impl Ruling {
    const ALLOW: Ruling = Ruling {
        decision: Decision::Allow,
        rule: None,
        code: None,
    };

    /// A denial with its code, by a rule or by none.
    pub fn deny(rule: Option<u16>, code: &'static str) -> Ruling {
        Ruling {
            decision: Decision::Deny,
            rule,
            code: Some(code),
        }
    }

    /// A rule that asks for an approval.
    pub fn ask(rule: u16) -> Ruling {
        Ruling {
            decision: Decision::RequireApproval,
            rule: Some(rule),
            code: Some(codes::AG3003),
        }
    }

    /// The stricter of two decisions; of equal ones the one that a rule took, and else the first.
    fn or_stricter(self, other: Ruling) -> Ruling {
        let has_rule = self.rule.is_some() || other.rule.is_none();
        match self.decision.cmp(&other.decision) {
            Ordering::Less => other,
            Ordering::Equal if !has_rule => other,
            _ => self,
        }
    }
}

/// A rule that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchedRule {
    /// Its number.
    pub rule: u16,
    /// Whether it is enforced or only recorded.
    pub enforced: bool,
}

/// The evaluation of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What happens.
    pub ruling: Ruling,
    /// What would happen if everything that is only observed were enforced.
    pub would: Ruling,
    /// All rules that hold, by id.
    pub held: Vec<MatchedRule>,
    /// All rules with a limit that hold but for it, by id. Whether it is exceeded is known to whoever counts.
    pub limited: Vec<MatchedRule>,
    /// What the policy that is only tried out would decide.
    pub shadow: Option<Shadow>,
}

/// The evaluation of a policy that is only tried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// What would happen if it were in force.
    pub ruling: Ruling,
    /// All its rules that hold, by id.
    pub held: Vec<MatchedRule>,
    /// All its rules with a limit that hold but for it, by id.
    pub limited: Vec<MatchedRule>,
}

impl Policy {
    /// Evaluates one event by the rules that can be evaluated at this moment. Each document decides alone; the strictest
    /// decision holds.
    pub fn evaluate(
        &self,
        event: &Event,
        context: &Context<'_>,
        moment: EvaluationPhase,
    ) -> Evaluation {
        let mut evaluation = Evaluation {
            ruling: Ruling::ALLOW,
            would: Ruling::ALLOW,
            held: Vec::new(),
            limited: Vec::new(),
            shadow: None,
        };
        let mut hit = None;
        let mut has_audience = false;
        for chapter in &self.chapters {
            let Some(is_certain) = chapter.takes_part(event, context) else {
                continue;
            };
            has_audience |= is_certain && !chapter.is_shadow;
            let mut held = Vec::new();
            let mut limited = Vec::new();
            let mut is_hit =
                || *hit.get_or_insert_with(|| context.has_hit(event, self.index.asks_texts(event)));
            for number in self.index.candidates(
                event.kind,
                &chapter.rules,
                event,
                context.facts,
                &mut is_hit,
            ) {
                let Some(rule) = self.rule(number).filter(|rule| moment.includes(rule)) else {
                    continue;
                };
                if rule.needs_hit && !is_hit() {
                    continue;
                }
                if self.holds(rule, event, context) {
                    let list = match &rule.limit {
                        Some(_) => &mut limited,
                        None => &mut held,
                    };
                    list.push(MatchedRule {
                        rule: number,
                        enforced: rule.enforced,
                    });
                }
            }
            let default = self.default(chapter, event, context);
            // So it is with nearly every event.
            if held.is_empty() && default.is_none() && !chapter.is_shadow {
                evaluation.limited.append(&mut limited);
                continue;
            }
            let would = self.combine(event, held.iter(), default);
            if chapter.is_shadow {
                evaluation.shadow = Some(Shadow {
                    ruling: would,
                    held,
                    limited,
                });
                continue;
            }
            let enforced_default = default.filter(|default| chapter.enforces(default.mode));
            let enforced = held.iter().filter(|held| held.enforced);
            let ruling = self.combine(event, enforced, enforced_default);
            evaluation.ruling = evaluation.ruling.or_stricter(ruling);
            evaluation.would = evaluation.would.or_stricter(would);
            evaluation.held.append(&mut held);
            evaluation.limited.append(&mut limited);
        }
        // Every document is for somebody, and none is for whoever asks.
        if !has_audience && event.kind == Kind::Request {
            let nobody = Ruling::deny(None, codes::AG3002);
            evaluation.would = evaluation.would.or_stricter(nobody);
            if self.enforces_defaults() {
                evaluation.ruling = evaluation.ruling.or_stricter(nobody);
            }
        }
        #[cfg(not(target_arch = "wasm32"))]
        self.apply_given_approvals(&mut evaluation, &context.facts.approved_by);
        evaluation
    }

    /// Adds a limit that the event exceeds to the rules that ask an approval for it: one request names them all. It opens
    /// no decision point that is denied by default.
    pub fn ask_beyond(evaluation: &mut Evaluation, limited: MatchedRule) {
        let asks = Ruling::ask(limited.rule);
        evaluation.would = evaluation.would.or_stricter(asks);
        if limited.enforced {
            evaluation.ruling = evaluation.ruling.or_stricter(asks);
        }
        let held = &mut evaluation.held;
        let place = held.partition_point(|held| held.rule < limited.rule);
        held.insert(place, limited);
    }

    /// Whether the roles of a case that is only tried out have approved all of these rules that ask for it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn are_given(&self, held: &[MatchedRule], roles: &[Box<str>]) -> bool {
        held.iter().all(|held| {
            let rule = self.rule(held.rule);
            let rule = rule.filter(|rule| rule.action == Action::RequireApproval);
            rule.is_none_or(|rule| {
                rule.approval.as_deref().is_some_and(|approval| {
                    let agreed = roles
                        .iter()
                        .filter(|role| approval.by.contains(role))
                        .count();
                    u32::try_from(agreed).is_ok_and(|agreed| agreed >= approval.needed)
                })
            })
        })
    }

    /// Lets pass what the roles of a case have approved that is only tried out.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn apply_given_approvals(&self, evaluation: &mut Evaluation, roles: &[Box<str>]) {
        let is_approved = |held: &MatchedRule| self.are_given(&[*held], roles);
        for (ruling, enforced_only) in [
            (&mut evaluation.ruling, true),
            (&mut evaluation.would, false),
        ] {
            let mut asked = evaluation.held.iter();
            if ruling.decision == Decision::RequireApproval
                && asked.all(|held| (enforced_only && !held.enforced) || is_approved(held))
            {
                ruling.decision = Decision::Allow;
                ruling.code = None;
            }
        }
    }

    /// The default at an event's gate; content has none.
    fn default(
        &self,
        chapter: &CompiledDocument,
        event: &Event,
        context: &Context<'_>,
    ) -> Option<Default> {
        let defaults = &chapter.defaults;
        match event.kind {
            Kind::Request => match event.gate {
                DefaultGate::Requests => Some(defaults.request),
                DefaultGate::Calls | DefaultGate::Named => None,
                DefaultGate::Plumbing | DefaultGate::Origin => (!self
                    .lets_something_through(chapter, event, context))
                .then_some(defaults.request),
            },
            // Earlier calls have been answered long ago; what is evaluated is what can still be stopped.
            Kind::ToolCall if event.turn == Turn::Latest => Some(defaults.tool_call),
            // An offer is hidden if its call could never pass, whatever its arguments are.
            Kind::ToolOffer if defaults.tool_offer.action == DefaultAction::Hide => {
                (!self.lets_call_through(chapter, event, context)).then_some(defaults.tool_offer)
            }
            Kind::ToolOffer => Some(defaults.tool_offer),
            Kind::Uninspectable if event.code.is_none() => Some(defaults.partial),
            Kind::Uninspectable if is_hard(event) => Some(Default {
                action: DefaultAction::Deny,
                mode: defaults.uninspectable.mode,
            }),
            Kind::Uninspectable => Some(defaults.uninspectable),
            _ => None,
        }
    }

    /// Whether something could be let through where this event comes from: by default, or by an allow that is not about
    /// another place or somebody else.
    fn lets_something_through(
        &self,
        chapter: &CompiledDocument,
        event: &Event,
        context: &Context<'_>,
    ) -> bool {
        let defaults = &chapter.defaults;
        defaults.tool_call.action == DefaultAction::Allow
            || [Kind::Request, Kind::ToolCall].into_iter().any(|kind| {
                let rules = self.index.of_chapter(kind, &chapter.rules).iter().copied();
                self.allows(rules, event, context, |test| {
                    if event.gate == DefaultGate::Origin {
                        !test.fields().all(Field::is_of_origin)
                    } else {
                        !test.is_of_exchange() && test.could_be_at(context.facts)
                    }
                })
            })
    }

    /// Whether a call of the tool that is offered could be let through, with some arguments.
    fn lets_call_through(
        &self,
        chapter: &CompiledDocument,
        event: &Event,
        context: &Context<'_>,
    ) -> bool {
        let rules = || {
            self.index
                .candidates(Kind::ToolCall, &chapter.rules, event, context.facts, || {
                    true
                })
        };
        let denied = rules().any(|number| {
            self.rule(number).is_some_and(|rule| {
                rule.action == Action::Deny
                    && rule.limit.is_none()
                    && rule.enforced
                    && rule.unless.is_none()
                    && rule.is_only_about(|field| *field == Field::Tool || field.is_of_exchange())
                    && self.holds(rule, event, context)
            })
        });
        let open = |test: &CompiledTest| !test.is_of_exchange() && test.field != Field::Tool;
        !denied
            && (chapter.defaults.tool_call.action == DefaultAction::Allow
                || self.allows(rules(), event, context, open))
    }

    /// Whether an allow (or an approval, which opens a gate as well) could hold, if what is `open` were as it asks.
    fn allows(
        &self,
        mut rules: impl Iterator<Item = u16>,
        event: &Event,
        context: &Context<'_>,
        open: impl Fn(&CompiledTest) -> bool + Copy,
    ) -> bool {
        rules.any(|number| {
            self.rule(number).is_some_and(|rule| {
                let evaluate = ConditionEvaluator {
                    if_missing: rule.if_missing,
                    ..ConditionEvaluator::new(event, context, Polarity::Loosening)
                };
                matches!(rule.action, Action::Allow | Action::RequireApproval)
                    && rule.limit.is_none()
                    && rule
                        .matches
                        .iter()
                        .all(|test| open(test) || evaluate.test(test, Polarity::Loosening))
                    && rule
                        .when
                        .as_ref()
                        .is_none_or(|when| evaluate.could_hold(when, open))
            })
        })
    }

    fn combine<'h>(
        &self,
        event: &Event,
        held: impl Iterator<Item = &'h MatchedRule> + Clone,
        default: Option<Default>,
    ) -> Ruling {
        let first = |action: Action| {
            held.clone()
                .find(|held| {
                    self.rule(held.rule)
                        .is_some_and(|rule| rule.action == action)
                })
                .map(|held| held.rule)
        };
        // Where arguments never pass here, a rule that asks for them holds whatever they are. One that holds without them
        // says why better.
        let needs_arguments = |rule: u16| {
            event.is_provider_offer() && self.rule(rule).is_some_and(|rule| rule.asks_arguments)
        };
        let denies = || {
            let is_deny = |rule: &CompiledRule| rule.action == Action::Deny;
            let held = held.clone().map(|held| held.rule);
            held.filter(move |rule| self.rule(*rule).is_some_and(is_deny))
        };
        let plain = denies().find(|rule| !needs_arguments(*rule));
        if let Some(rule) = plain.or_else(|| denies().next()) {
            let code = match plain {
                Some(_) => codes::AG3001,
                None => codes::AG2010,
            };
            return Ruling::deny(Some(rule), event.code.unwrap_or(code));
        }
        if let Some(rule) = first(Action::RequireApproval) {
            return Ruling::ask(rule);
        }
        if let Some(rule) = first(Action::Allow) {
            return Ruling {
                rule: Some(rule),
                ..Ruling::ALLOW
            };
        }
        match default.map(|default| default.action) {
            None | Some(DefaultAction::Allow) => Ruling::ALLOW,
            Some(DefaultAction::Deny | DefaultAction::Hide) => {
                Ruling::deny(None, event.code.unwrap_or(codes::AG3002))
            }
        }
    }

    /// Whether a rule holds for an event: `match` and `when` do, `unless` doesn't.
    pub(crate) fn holds(&self, rule: &CompiledRule, event: &Event, context: &Context<'_>) -> bool {
        self.holds_as(rule, event, context, false)
    }

    /// Whether a rule that holds does so only because something could not be read: of an event whose body was not read, if
    /// it asks anything of the body; else if it would not hold, were what can't be determined otherwise.
    pub fn is_undecided(&self, rule: &CompiledRule, event: &Event, context: &Context<'_>) -> bool {
        let head = Field::is_of_head;
        let asks_body = || !rule.is_only_about(head) || !rule.exempts_only_by(head);
        (context.reading.is_unread && asks_body()) || !self.holds_as(rule, event, context, true)
    }

    fn holds_as(
        &self,
        rule: &CompiledRule,
        event: &Event,
        context: &Context<'_>,
        for_certain: bool,
    ) -> bool {
        if rule.inapplicable_reason(event).is_some() {
            return false;
        }
        let side = rule.side();
        let evaluate = |side| ConditionEvaluator {
            if_missing: rule.if_missing,
            for_certain,
            ..ConditionEvaluator::new(event, context, side)
        };
        let inner = evaluate(side);
        rule.matches.iter().all(|test| inner.test(test, side))
            && rule
                .when
                .as_ref()
                .is_none_or(|when| inner.condition(when, side))
            && !rule
                .unless
                .as_ref()
                .is_some_and(|unless| evaluate(side.flipped()).condition(unless, side.flipped()))
    }
}

/// What to do where a rule needs arguments that only the provider sees.
pub const LEAVE_TOOL_OUT: &str = "Leave this tool out of the request.";
