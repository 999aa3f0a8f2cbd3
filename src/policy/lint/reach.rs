//! Rules that decide nothing, and rules that decide against one another.

use super::{Findings, Subject, View};
use crate::detect::fold_name;
use crate::diag::{Severity, codes};
use crate::event::Kind;
use crate::policy::case::{Case, written};
use crate::policy::document::{DefaultAction, EnvironmentSource};
use crate::policy::field::Field;
use crate::policy::glob::{Glob, Reading};
use crate::policy::operators::Side;
use crate::policy::reason::{Ask, Candidate, Formula, formula_implies, rule_implies, together};
use crate::policy::rule::Action;
use std::collections::BTreeMap;

/// Most rules that are compared each with each.
const MOST_COMPARED: usize = 4_000;

/// Most rules for which events are searched that two of them hold for.
const MOST_SEARCHED: usize = 200;

/// Most conflicts that are told of one rule.
const MOST_CONFLICTS: usize = 3;

/// Rules whose conditions exclude one another.
pub(super) fn contradictions(subject: &Subject<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        if let Some(field) = contradictory(&view.meaning.formula) {
            findings.warn(
                codes::AG1101,
                view.place("when"),
                format!(
                    "rule `{}` can never hold: what it asks of `{field}` excludes itself",
                    view.written.id
                ),
                "all of a rule's conditions must hold at once; for alternatives use a list or `any`",
            );
        } else if is_exempt_always(&view.meaning.formula) {
            findings.warn(
                codes::AG1101,
                view.place("unless"),
                format!(
                    "rule `{}` can never hold: its `unless` holds wherever it does",
                    view.written.id
                ),
                "",
            );
        } else if let Some((span, path, environment)) = elsewhere(subject, view) {
            findings.add(
                Severity::Note,
                codes::AG1101,
                (span, path),
                format!(
                    "rule `{}` never holds here: `environment` is `{environment}`",
                    view.written.id
                ),
                "take it out, or let the proxy say where it runs: `environment: { from: node }`",
            );
        }
    }
}

/// Where a rule asks for another environment than the one that the document says it is in.
fn elsewhere<'s>(
    subject: &'s Subject<'_>,
    view: &View<'_>,
) -> Option<(std::ops::Range<usize>, String, &'s str)> {
    let EnvironmentSource::Value(here) = &subject.policy.document.environment else {
        return None;
    };
    let fits = |value: &str| {
        fold_name(value) == fold_name(here)
            || Glob::parse(value).is_ok_and(|glob| glob.matches(here, Reading::Broad))
    };
    let item = view
        .written
        .matches
        .iter()
        .find(|item| item.mention.field == Field::Environment)
        .filter(|item| !item.values.iter().any(|value| fits(value)))?;
    Some((item.mention.span.clone(), item.path.clone(), here))
}

/// A field of which two things are asked that no one value can be.
fn contradictory(formula: &Formula) -> Option<&str> {
    let parts = formula.parts();
    let mut asked: BTreeMap<&str, Vec<&Ask>> = BTreeMap::new();
    for part in parts {
        match part {
            Formula::Literal(literal) if !literal.negated && literal.quantifier.is_none() => {
                asked.entry(&literal.field).or_default().push(&literal.ask);
            }
            _ => {}
        }
    }
    asked.into_iter().find_map(|(field, asks)| {
        let excludes = asks.iter().enumerate().any(|(at, one)| {
            asks.iter()
                .skip(at.saturating_add(1))
                .any(|other| exclude(one, other))
        });
        // Of a set, several members may fit.
        let is_set = matches!(field, "principal.roles" | "request.tools" | "model");
        (excludes && !is_set).then_some(field)
    })
}

fn exclude(one: &Ask, other: &Ask) -> bool {
    match (one, other) {
        (Ask::In(one), Ask::In(other)) => {
            let fold = |text: &String| text.to_lowercase();
            !one.iter()
                .any(|value| other.iter().any(|known| fold(known) == fold(value)))
        }
        (Ask::In(one), Ask::NotIn(other)) | (Ask::NotIn(other), Ask::In(one)) => {
            one.is_subset(other)
        }
        (Ask::Order(one), Ask::Order(other))
        | (Ask::Count(one), Ask::Count(other))
        | (Ask::Length(one), Ask::Length(other)) => {
            let below = |a: &crate::policy::reason::Range, b: &crate::policy::reason::Range| match (
                &a.high, &b.low,
            ) {
                (Some((high, high_in)), Some((low, low_in))) => {
                    high < low || (high == low && !(*high_in && *low_in))
                }
                _ => false,
            };
            below(one, other) || below(other, one)
        }
        (Ask::Exists(one), Ask::Exists(other)) => one != other,
        _ => false,
    }
}

/// Whether what is asked for is what `unless` exempts, apart from how broadly either is read.
fn is_exempt_always(formula: &Formula) -> bool {
    let plain = |formula: &Formula| {
        let mut formula = formula.clone();
        flatten(&mut formula);
        formula
    };
    let parts: Vec<Formula> = formula.parts().iter().map(plain).collect();
    parts.iter().any(|part| match part {
        Formula::Literal(literal) if literal.negated => {
            let mut asked = literal.clone();
            asked.negated = false;
            let asked = Formula::Literal(asked);
            parts.iter().any(|other| formula_implies(other, &asked))
        }
        _ => false,
    })
}

fn flatten(formula: &mut Formula) {
    match formula {
        Formula::All(parts) | Formula::Any(parts) => parts.iter_mut().for_each(flatten),
        Formula::Literal(literal) => {
            literal.side = Side::Restricting;
            literal.outer = Side::Restricting;
            literal.if_missing = None;
        }
    }
}

/// Rules that another one with the same action makes needless.
pub(super) fn repetitions(subject: &Subject<'_>, findings: &mut Findings) {
    if subject.rules.len() > MOST_COMPARED {
        return;
    }
    for (at, view) in subject.rules.iter().enumerate() {
        let covering = subject.rules.iter().enumerate().find(|(other_at, other)| {
            *other_at != at
                && other.written.action == view.written.action
                && other.compiled.enforced == view.compiled.enforced
                && other.meaning.effect == view.meaning.effect
                && rule_implies(&view.meaning, &other.meaning)
                // Of two that say the same, the later one repeats the earlier.
                && (*other_at < at || !rule_implies(&other.meaning, &view.meaning))
        });
        let Some((_, other)) = covering else { continue };
        let same = rule_implies(&other.meaning, &view.meaning);
        let (severity, what) = if same {
            (Severity::Warning, "says the same as")
        } else {
            // One that is narrower may be there for its own reason.
            let own_words =
                view.written.reason.is_some() && view.written.reason != other.written.reason;
            let severity = if own_words {
                Severity::Note
            } else {
                Severity::Warning
            };
            (severity, "holds only where")
        };
        let message = if same {
            format!(
                "rule `{}` {what} rule `{}`",
                view.written.id, other.written.id
            )
        } else {
            format!(
                "rule `{}` {what} rule `{}` holds as well",
                view.written.id, other.written.id
            )
        };
        findings.add(
            severity,
            codes::AG1102,
            view.place("id"),
            message,
            "remove it, or make one of the two narrower",
        );
    }
}

/// Openings of gates that are open, or that something keeps shut.
pub(super) fn idle_openings(subject: &Subject<'_>, findings: &mut Findings) {
    let defaults = &subject.document.defaults;
    for view in &subject.rules {
        let opens = matches!(view.written.action, Action::Allow | Action::RequireApproval);
        if !opens || !view.compiled.enforced {
            continue;
        }
        let denial = subject.rules.iter().find(|other| {
            other.written.action == Action::Deny
                && other.compiled.enforced
                && rule_implies(&view.meaning, &other.meaning)
        });
        if let Some(other) = denial {
            findings.warn(
                codes::AG1103,
                view.place("action"),
                format!(
                    "rule `{}` never matters: `{}` denies everything that it is about",
                    view.written.id, other.written.id
                ),
                "rules have no order; put the exception under `unless` of the rule that denies",
            );
            continue;
        }
        let is_open = |kind: Kind| {
            let default = match kind {
                Kind::Request => defaults.request,
                Kind::ToolCall => defaults.tool_call,
                Kind::ToolOffer => defaults.tool_offer,
                Kind::Uninspectable => defaults.uninspectable,
                _ => return true,
            };
            default.action == DefaultAction::Allow
        };
        if view.written.action == Action::Allow && view.written.kinds.iter().all(is_open) {
            findings.warn(
                codes::AG1103,
                view.place("action"),
                format!(
                    "rule `{}` never matters: this is allowed by default",
                    view.written.id
                ),
                "remove it, or make the default `deny`",
            );
        }
    }
}

/// Allows that a denial or an approval overrides in part.
pub(super) fn conflicts(subject: &Subject<'_>, findings: &mut Findings) {
    let allows = subject
        .rules
        .iter()
        .filter(|view| view.written.action == Action::Allow);
    if subject.rules.len() > MOST_SEARCHED {
        return;
    }
    for view in allows {
        let stricter = subject.rules.iter().filter(|other| {
            matches!(other.written.action, Action::Deny | Action::RequireApproval)
                && other.compiled.enforced
                && !rule_implies(&view.meaning, &other.meaning)
        });
        for (other, event) in stricter
            .filter_map(|other| Some((other, both_hold(subject, view, other)?)))
            .take(MOST_CONFLICTS)
        {
            findings.add(
                Severity::Note,
                codes::AG1105,
                view.place("action"),
                format!(
                    "`{}` and `{}` both hold for {event}: `{}` wins",
                    view.written.id, other.written.id, other.written.id
                ),
                "",
            );
        }
    }
}

/// An event for which both rules hold.
fn both_hold(subject: &Subject<'_>, a: &View<'_>, b: &View<'_>) -> Option<String> {
    together(&a.meaning, &b.meaning)
        .iter()
        .find_map(|candidate| {
            let held = held(subject, candidate)?;
            let both = held.contains(&&*a.written.id) && held.contains(&&*b.written.id);
            let (event, facts) = candidate.described();
            let mut out = Vec::new();
            written(&event, &facts).write_json(&mut out);
            both.then(|| String::from_utf8_lossy(&out).into_owned())
        })
}

/// Rules that hold for a candidate.
fn held<'s>(subject: &'s Subject<'_>, candidate: &Candidate) -> Option<Vec<&'s str>> {
    let (event, facts) = candidate.described();
    let case = Case::new(&[event], facts, subject.policy).ok()?;
    let event = case.reading.events.first()?;
    case.seen_by(subject.policy, |context| {
        subject
            .rules
            .iter()
            .filter(|view| {
                view.written.kinds.contains(event.kind)
                    && subject.policy.holds(view.compiled, event, context)
            })
            .map(|view| &*view.written.id)
            .collect()
    })
}
