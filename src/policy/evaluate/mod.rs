//! Evaluation of a policy: which rules match an event, and which decision wins.
//!
//! Every rule is evaluated against every event of its kind, independently of the others and in no order. A matching deny
//! rule denies. Otherwise a matching rule requires an approval, otherwise a rule allows, and otherwise the default of the
//! event's decision point applies. Redactions and tags never decide.

pub(crate) mod condition;
mod history;
pub(crate) mod operand;
mod path_readings;
mod redactions;
mod repeated;
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

/// Decision about an event, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// The event passes.
    Allow,
    /// The event needs an approval first.
    RequireApproval,
    /// The event is denied.
    Deny,
}

/// Decision with its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Decision.
    pub decision: Decision,
    /// Number of the deciding rule; of several, the first by id.
    pub rule: Option<u16>,
    /// Stable code of a denial.
    pub code: Option<&'static str>,
}

impl Ruling {
    const ALLOW: Ruling = Ruling {
        decision: Decision::Allow,
        rule: None,
        code: None,
    };

    /// Returns a denial with its code, by a rule or by a default.
    pub fn deny(rule: Option<u16>, code: &'static str) -> Ruling {
        Ruling {
            decision: Decision::Deny,
            rule,
            code: Some(code),
        }
    }

    /// Returns the decision of a rule that requires an approval.
    pub fn ask(rule: u16) -> Ruling {
        Ruling {
            decision: Decision::RequireApproval,
            rule: Some(rule),
            code: Some(codes::AG3003),
        }
    }

    /// Returns the stricter of two decisions. Of equal ones, it returns the one that a rule made, otherwise `self`.
    fn or_stricter(self, other: Ruling) -> Ruling {
        let has_rule = self.rule.is_some() || other.rule.is_none();
        match self.decision.cmp(&other.decision) {
            Ordering::Less => other,
            Ordering::Equal if !has_rule => other,
            _ => self,
        }
    }
}

/// Rule that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchedRule {
    /// Number of the rule.
    pub rule: u16,
    /// Whether the rule is enforced; otherwise it is only recorded.
    pub enforced: bool,
}

/// Evaluation of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Decision in force.
    pub ruling: Ruling,
    /// Decision if all observed rules and defaults were enforced.
    pub would: Ruling,
    /// All matching rules, by id. A rule with a limit is in `limited` until [`Policy::ask_beyond`] adds it here.
    pub held: Vec<MatchedRule>,
    /// All rules with a limit whose conditions match, by id. The caller determines whether the limit is exceeded.
    pub limited: Vec<MatchedRule>,
    /// Evaluation by the shadow policy.
    pub shadow: Option<Shadow>,
}

/// Evaluation by a shadow policy, which is only tried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Decision if the shadow policy were in force.
    pub ruling: Ruling,
    /// All matching rules of the shadow policy without a limit, by id.
    pub held: Vec<MatchedRule>,
    /// All rules of the shadow policy with a limit whose conditions match, by id.
    pub limited: Vec<MatchedRule>,
}

/// What becomes of an event that no rule matches, in increasing order of strength.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WithoutRule {
    /// No default is about events of this kind: they pass.
    NoDefault,
    /// It only maintains a session, and passes because another request to its server could.
    Session,
    /// It belongs to a host and to no session, and passes because another request to its host could.
    Origin,
    /// A default decides.
    Default,
    /// Each document of the set names other callers: it is denied.
    NoDocument,
}

impl Policy {
    /// Returns what becomes of an event that no rule matches.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn without_rule(&self, event: &Event, context: &Context<'_>) -> WithoutRule {
        let deciding = self.chapters.iter().filter(|chapter| !chapter.is_shadow);
        let taking_part: Vec<(&CompiledDocument, bool)> = deciding
            .filter_map(|chapter| Some((chapter, chapter.takes_part(event, context)?)))
            .collect();
        if event.kind == Kind::Request && !taking_part.iter().any(|(_, is_certain)| *is_certain) {
            return WithoutRule::NoDocument;
        }
        let mut defaults = taking_part
            .iter()
            .map(|(chapter, _)| self.default(chapter, event, context));
        match event.gate {
            _ if defaults.any(|default| default.is_some()) => WithoutRule::Default,
            DefaultGate::Plumbing if event.kind == Kind::Request => WithoutRule::Session,
            DefaultGate::Origin if event.kind == Kind::Request => WithoutRule::Origin,
            _ => WithoutRule::NoDefault,
        }
    }

    /// Evaluates one event by the rules that can be evaluated at this moment. Each document decides on its own, and the
    /// strictest decision wins.
    pub fn evaluate(
        &self,
        event: &Event,
        context: &Context<'_>,
        phase: EvaluationPhase,
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
                let Some(rule) = self.rule(number).filter(|rule| phase.includes(rule)) else {
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
            // Shortcut for nearly every event.
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
        // Every document has an audience, and the caller certainly belongs to none.
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

    /// Adds a rule whose limit the event exceeds to the rules that require an approval for the event, so that one approval
    /// request names all of them. Call it only for a rule with the action `require_approval`. Such a rule does not override
    /// a decision point's default denial.
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

    /// Returns whether the roles in a test case have approved all of these rules that require an approval.
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

    /// Allows what needs an approval, if the roles in a test case have approved it.
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

    /// Returns the default of the event's decision point; content has none.
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
            // Earlier calls have been answered already. A default applies only to calls that can still be stopped.
            Kind::ToolCall if event.turn == Turn::Latest => Some(defaults.tool_call),
            // A tool definition is hidden if no call of the tool could pass, whatever its arguments are.
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

    /// Returns whether anything from this event's origin could pass: by default, or by an allow rule that does not exclude
    /// this origin or this caller.
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

    /// Returns whether a call of the defined tool could pass with some arguments.
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

    /// Returns whether an allow rule (or an approval rule, which also lets a request pass a decision point) could match, if
    /// every `open` test matched.
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
        // The arguments of a tool that the provider runs never pass through the filter, so a rule on arguments matches
        // whatever they are. A rule that matches without arguments gives the better reason.
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

    /// Returns whether a rule matches an event: `match` and `when` match, and `unless` does not.
    pub(crate) fn holds(&self, rule: &CompiledRule, event: &Event, context: &Context<'_>) -> bool {
        self.holds_as(rule, event, context, false)
    }

    /// Returns whether a matching rule matches only because a value could not be read. If the body was not read, that is so
    /// for every rule that tests the body. Otherwise it is so if the rule would not match with all undetermined values
    /// resolved against it.
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

/// Suggested fix where a rule needs arguments that only the provider sees.
pub const LEAVE_TOOL_OUT: &str = "Leave this tool out of the request.";
