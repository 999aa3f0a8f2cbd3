//! Rules that decide nothing, and rules that conflict.

use super::breadth::{each_check, texts, texts_of};
use super::{Findings, LintedPolicy, LintedRule};
use crate::author::analysis::{
    Candidate, Formula, ImplicationIndex, Range, TestLiteral, TestOperand, beginning,
    formula_implies, matches_nothing, rule_implies, together,
};
use crate::author::provided::top;
use crate::author::sample_event::{SampleExchange, written};
use crate::detect::fold_name;
use crate::diag::{Severity, codes};
use crate::event::Kind;
use crate::policy::environment::EnvironmentSource;
use crate::policy::field::{Field, FieldType};
use crate::policy::glob::{Glob, GlobReading};
use crate::policy::node::Node;
use crate::policy::operators::{Polarity, Verb, moment};
use crate::policy::rule::{IfMissing, Rule};
use crate::policy::words::Action;
use crate::policy::words::DefaultAction;
use crate::wire::json::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum rules for which conflicts are searched.
const MOST_SEARCHED: usize = 200;

/// Maximum conflicts that are reported for one rule.
const MOST_CONFLICTS: usize = 3;

/// Returns the values that a deny-side condition matches although no plain value does, because it is read broadly.
fn ambiguous_values(rule: &Rule) -> String {
    let missing = match rule.if_missing {
        Some(IfMissing::Apply) => "missing, ",
        _ => "",
    };
    format!("{missing}unknown, unreadable, several values, or spelled in another way")
}

/// Finds rules whose conditions contradict one another.
pub(super) fn contradictions(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let id = &view.written.id;
        if let Some(conflict) = contradictory(&view.meaning.formula) {
            let field = conflict.field;
            let (severity, message) = match conflict.is_proof {
                true => (
                    Severity::Warning,
                    format!(
                        "rule `{id}` can never hold: what it asks of `{field}` excludes itself"
                    ),
                ),
                // Two members of one list are a question that makes sense.
                false => (
                    if conflict.is_of_members {
                        Severity::Note
                    } else {
                        Severity::Warning
                    },
                    format!(
                        "what rule `{id}` asks of `{field}` excludes itself: it holds only where that is {}",
                        ambiguous_values(view.written)
                    ),
                ),
            };
            findings.add(
                severity,
                codes::AG1101,
                view.place("when"),
                message,
                "all of a rule's conditions must hold at once; for alternatives use a list or `any`",
            );
        } else if is_exempt_always(&view.meaning.formula, true) {
            let (key, message, help) = match view.written.unless {
                Some(_) => (
                    "unless",
                    format!("rule `{id}` can never hold: its `unless` holds wherever it does"),
                    "take the rule out, or ask less in `unless`",
                ),
                None => (
                    "when",
                    format!(
                        "rule `{id}` can never hold: it asks for something and for its opposite"
                    ),
                    "take the rule out, or ask less under `not`",
                ),
            };
            findings.warn(codes::AG1101, view.place(key), message, help);
        } else if is_exempt_always(&view.meaning.formula, false) {
            findings.warn(
                codes::AG1101,
                view.place("unless"),
                format!(
                    "{} of rule `{id}` exempts what it is about: it holds only where that is {}",
                    match view.written.unless {
                        Some(_) => "the `unless`",
                        None => "a `not`",
                    },
                    ambiguous_values(view.written)
                ),
                "take the rule out, or ask there for less than in the rest of the rule",
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

/// Finds patterns that no text matches, of rules and of detectors.
pub(super) fn impossible_patterns(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let mut tell = |text: &str, place: (std::ops::Range<usize>, String)| {
        if matches_nothing(text) {
            findings.warn(
                codes::AG1101,
                place,
                format!("no text matches `{text}`"),
                "`^` and `$` are the ends of the whole text, of each line after `(?m)`; write `\\^` and `\\$` for the characters",
            );
        }
    };
    for view in &subject.rules {
        each_check(view.written, &mut |_, check| {
            if check.verb == Verb::Matches {
                for (text, span) in texts_of(check, subject.document) {
                    tell(text, (span, check.path.clone()));
                }
            }
        });
    }
    for member in top(subject.root, "detectors").map_or(&[][..], Node::members) {
        let Some(pattern) = member.value.get("pattern") else {
            continue;
        };
        for node in pattern.items() {
            if let Some(text) = node.text() {
                let path = format!("detectors.{}.pattern", member.key);
                tell(text, (node.span.clone(), path));
            }
        }
    }
}

/// Finds rules for hosts and paths that `applies_to` leaves out.
pub(super) fn left_out(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let applies_to = &subject.document.applies_to;
    let scopes = [("host", &applies_to.hosts), ("path", &applies_to.paths)];
    for (field, globs) in scopes {
        let Some(globs) = globs else { continue };
        let scope = TestOperand::Globs(globs.iter().map(|glob| glob.to_string()).collect());
        let is_outside = |part: &Formula| {
            matches!(part, Formula::Literal(literal)
                if literal.field == field
                    && !literal.negated
                    && literal.quantifier.is_none()
                    && exclude(&literal.ask, &scope))
        };
        for view in &subject.rules {
            if view.meaning.formula.parts().iter().any(is_outside) {
                findings.warn(
                    codes::AG1101,
                    view.place("match"),
                    format!(
                        "rule `{}` never holds: its {field} is none that `applies_to` names",
                        view.written.id
                    ),
                    "what `applies_to` leaves out is not evaluated: name it there, or take the rule out",
                );
            }
        }
    }
}

/// Finds times that are over before they begin.
pub(super) fn reversed_times(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        for condition in view.written.when.iter().chain(&view.written.unless) {
            condition.each_test(&mut |test| {
                let operand = |verb: Verb| {
                    let check = test.checks.iter().find(|check| check.verb == verb)?;
                    let (text, node) = texts(check).pop()?;
                    Some((moment(text)?, node, check))
                };
                let (Some((from, ..)), Some((until, node, check))) =
                    (operand(Verb::NotBefore), operand(Verb::NotAfter))
                else {
                    return;
                };
                if until < from {
                    findings.warn(
                        codes::AG1101,
                        (node.span.clone(), check.path.clone()),
                        "no time is after this `not_before` and before this `not_after`".to_owned(),
                        "exchange the two; for everything outside of a span of time write them in an `any`",
                    );
                }
            });
        }
    }
}

/// Finds a rule for another environment than the document's own.
fn elsewhere<'s>(
    subject: &'s LintedPolicy<'_>,
    view: &LintedRule<'_>,
) -> Option<(std::ops::Range<usize>, String, &'s str)> {
    let EnvironmentSource::Value(here) = &subject.policy.document.environment else {
        return None;
    };
    let parts = view.meaning.formula.parts().iter();
    let literal = parts
        .filter_map(|part| match part {
            Formula::Literal(literal) => Some(literal),
            _ => None,
        })
        .find(|literal| literal.field == "environment" && never_holds(literal, here))?;
    let mut items = view.written.matches.iter();
    let matched = items.find(|item| item.field_ref.field == Field::Environment);
    let (span, path) = match (matched, literal.negated && view.written.unless.is_some()) {
        (_, true) => view.place("unless"),
        (Some(item), _) if view.written.when.is_none() => {
            (item.field_ref.span.clone(), item.path.clone())
        }
        (Some(item), _) if !item.values.iter().any(|value| is_taken_for(value, here)) => {
            (item.field_ref.span.clone(), item.path.clone())
        }
        _ => view.place("when"),
    };
    Some((span, path, here))
}

/// Returns whether a test of a field that has this value always fails, however it is read.
fn never_holds(literal: &TestLiteral, here: &str) -> bool {
    let texts = |values: &BTreeSet<String>, reads: &dyn Fn(&str) -> bool| {
        let mut texts = values.iter().filter_map(|value| value.strip_prefix("s:"));
        texts.any(reads)
    };
    let as_written = |value: &str| value == here;
    let taken_for = |value: &str| is_taken_for(value, here);
    // Whether it certainly holds, and whether it can.
    let (holds, may_hold) = match &literal.ask {
        TestOperand::In(values) => (texts(values, &as_written), texts(values, &taken_for)),
        TestOperand::NotIn(values) => (!texts(values, &taken_for), !texts(values, &as_written)),
        TestOperand::Globs(globs) => {
            let narrow = |glob: Glob| glob.matches(here, GlobReading::Narrow);
            let mut parsed = globs.iter().filter_map(|glob| Glob::parse(glob).ok());
            (
                parsed.any(narrow),
                globs.iter().any(|glob| is_taken_for(glob, here)),
            )
        }
        _ => (false, true),
    };
    if literal.negated { holds } else { !may_hold }
}

/// Returns whether a name or a glob fits a value as it is read broadly.
fn is_taken_for(value: &str, here: &str) -> bool {
    let folded = fold_name(here);
    let folded = folded.trim();
    fold_name(value).trim() == folded
        || Glob::parse(value).is_ok_and(|glob| {
            let as_folded = glob.folded(|literal| fold_name(literal).into_owned());
            glob.matches(here, GlobReading::Broad) || as_folded.matches(folded, GlobReading::Broad)
        })
}

/// Two conditions on a field that no plain value meets.
struct Conflict<'f> {
    field: &'f str,
    /// Whether this applies to every value, because the conditions are read narrowly.
    is_proof: bool,
    /// Whether two members of one list may meet them.
    is_of_members: bool,
}

fn contradictory(formula: &Formula) -> Option<Conflict<'_>> {
    let parts = formula.parts();
    let mut asked: BTreeMap<&str, Vec<&TestLiteral>> = BTreeMap::new();
    for part in parts {
        match part {
            Formula::Literal(literal) if !literal.negated && literal.quantifier.is_none() => {
                asked.entry(&literal.field).or_default().push(literal);
            }
            _ => {}
        }
    }
    asked.into_iter().find_map(|(field, asked)| {
        // Several members of a set may match.
        let nature = Field::parse(field).ok().map(|field| field.nature());
        let is_set = matches!(
            field,
            "principal.roles" | "request.tools" | "model" | "path"
        ) || field.starts_with("principal.");
        let pairs = asked.iter().enumerate().flat_map(|(at, one)| {
            let others = asked.iter().skip(at.saturating_add(1));
            others.map(move |other| (*one, *other))
        });
        let mut excluding = pairs.filter(|(one, other)| {
            exclude(&one.ask, &other.ask) || is_missing_and_read(one, other)
        });
        let (one, other) = excluding.next().filter(|_| !is_set)?;
        Some(Conflict {
            field,
            is_proof: one.side == Polarity::Loosening && other.side == Polarity::Loosening,
            is_of_members: matches!(
                (&one.ask, &other.ask),
                (TestOperand::In(_), TestOperand::In(_))
            ) && matches!(nature, Some(FieldType::Data)),
        })
    })
}

fn exclude(one: &TestOperand, other: &TestOperand) -> bool {
    match (one, other) {
        (TestOperand::In(one), TestOperand::In(other)) => {
            let fold = |text: &String| fold_name(text).trim().to_owned();
            !one.iter()
                .any(|value| other.iter().any(|known| fold(known) == fold(value)))
        }
        (TestOperand::In(one), TestOperand::NotIn(other))
        | (TestOperand::NotIn(other), TestOperand::In(one)) => one.is_subset(other),
        (TestOperand::Order(one), TestOperand::Order(other))
        | (TestOperand::Count(one), TestOperand::Count(other))
        | (TestOperand::Length(one), TestOperand::Length(other)) => {
            is_below(one, other) || is_below(other, one)
        }
        (TestOperand::In(values), TestOperand::Order(range))
        | (TestOperand::Order(range), TestOperand::In(values)) => {
            // A text may be a number, and what is none can't be compared.
            let is_outside = |value: &String| {
                let number = value.strip_prefix("n:").and_then(Decimal::parse);
                number.is_some_and(|number| {
                    let exactly = Range {
                        low: Some((number.clone(), true)),
                        high: Some((number, true)),
                    };
                    is_below(&exactly, range) || is_below(range, &exactly)
                })
            };
            values.iter().all(is_outside)
        }
        (TestOperand::In(values), TestOperand::Globs(globs))
        | (TestOperand::Globs(globs), TestOperand::In(values)) => {
            let fits_none = |value: &String| {
                let text = value.strip_prefix("s:");
                text.is_some_and(|text| !globs.iter().any(|glob| is_taken_for(glob, text)))
            };
            values.iter().all(fits_none)
        }
        (TestOperand::Globs(one), TestOperand::Globs(other)) => {
            let fold = |glob: &str| fold_name(beginning(glob)).trim_start().to_owned();
            let begin_apart = |one: &String, other: &String| {
                let (one, other) = (fold(one), fold(other));
                !one.starts_with(&other) && !other.starts_with(&one)
            };
            one.iter()
                .all(|one| other.iter().all(|other| begin_apart(one, other)))
        }
        (TestOperand::Exists(one), TestOperand::Exists(other)) => one != other,
        _ => false,
    }
}

fn is_below(a: &Range, b: &Range) -> bool {
    match (&a.high, &b.low) {
        (Some((high, high_in)), Some((low, low_in))) => {
            high < low || (high == low && !(*high_in && *low_in))
        }
        _ => false,
    }
}

/// Returns whether a value has to be missing for one test and to be there for the other.
fn is_missing_and_read(one: &TestLiteral, other: &TestLiteral) -> bool {
    let is_read = |literal: &TestLiteral| {
        literal.if_missing.is_none()
            && match &literal.ask {
                TestOperand::In(_)
                | TestOperand::Order(_)
                | TestOperand::Length(_)
                | TestOperand::Globs(_) => true,
                TestOperand::OneOf(verb, _) => !verb.is_negative(),
                _ => false,
            }
    };
    let is_missing = |literal: &TestLiteral| literal.ask == TestOperand::Exists(false);
    (is_missing(one) && is_read(other)) || (is_missing(other) && is_read(one))
}

/// Returns whether a condition is always exempted by `unless`: as it is evaluated, or (`as_read` false) if both
/// are read alike.
fn is_exempt_always(formula: &Formula, as_read: bool) -> bool {
    let plain = |formula: &Formula| {
        let mut formula = formula.clone();
        if !as_read {
            flatten(&mut formula);
        }
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
            literal.side = Polarity::Restricting;
            literal.outer = Polarity::Restricting;
            literal.if_missing = None;
        }
    }
}

/// Finds rules that another one with the same action makes redundant.
pub(super) fn repetitions(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let rules = ImplicationIndex::of(subject.rules.iter().map(|view| &view.meaning));
    for (at, view) in subject.rules.iter().enumerate() {
        let covering = rules.implied_by(&view.meaning, &|other_at| {
            subject.rules.get(other_at).is_some_and(|other| {
                other_at != at
                    && other.written.action == view.written.action
                    && other.compiled.enforced == view.compiled.enforced
                    && other.meaning.effect == view.meaning.effect
                    && replaces_the_same(view, other)
                    // Of two rules with the same meaning, the later one repeats the earlier.
                    && (other_at < at || !rule_implies(&other.meaning, &view.meaning))
            })
        });
        let Some(other) = covering.and_then(|at| subject.rules.get(at)) else {
            continue;
        };
        let same = rule_implies(&other.meaning, &view.meaning);
        let (severity, what) = if same {
            (Severity::Warning, "says the same as")
        } else {
            // A narrower rule may be there for its own reason.
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

/// Returns whether two redactions that match at once replace the same: a whole value, or what the same
/// conditions find.
fn replaces_the_same(one: &LintedRule<'_>, other: &LintedRule<'_>) -> bool {
    one.written.action != Action::Redact
        || one.written.redact.what.is_some()
        || one.meaning.formula.normal() == other.meaning.formula.normal()
}

/// Finds allow rules and approvals at a decision point that is open anyway, or that another rule closes.
pub(super) fn idle_openings(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let defaults = &subject.document.defaults;
    let rules = ImplicationIndex::of(subject.rules.iter().map(|view| &view.meaning));
    let denies = |at: usize| {
        let view = subject.rules.get(at);
        view.is_some_and(|view| view.written.action == Action::Deny && view.compiled.enforced)
    };
    for view in &subject.rules {
        let opens = matches!(view.written.action, Action::Allow | Action::RequireApproval);
        // Tags are set whatever is decided.
        if !opens || !view.compiled.enforced || !view.written.tags.is_empty() {
            continue;
        }
        let denial = rules.implied_by(&view.meaning, &denies);
        if let Some(other) = denial.and_then(|at| subject.rules.get(at)) {
            findings.warn(
                codes::AG1103,
                view.place("action"),
                format!(
                    "rule `{}` never decides: `{}` denies everything that it is about",
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
            let of_opaque = kind != Kind::Uninspectable
                || defaults.partial.action == DefaultAction::Allow
                    && !view.compiled.names_hard_code();
            default.action == DefaultAction::Allow && of_opaque
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

/// Finds allow rules that a denial or an approval overrides in part.
pub(super) fn conflicts(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let is_stricter = |view: &LintedRule<'_>| {
        matches!(view.written.action, Action::Deny | Action::RequireApproval)
            && view.compiled.enforced
    };
    let mut allows = subject
        .rules
        .iter()
        .filter(|view| view.written.action == Action::Allow)
        .peekable();
    if subject.rules.len() > MOST_SEARCHED {
        let (Some(first), true) = (allows.peek(), subject.rules.iter().any(is_stricter)) else {
            return;
        };
        findings.add(
            Severity::Note,
            codes::AG1105,
            first.place("action"),
            format!(
                "with more than {MOST_SEARCHED} rules, lint does not look for events that an `allow` and a stricter rule both hold for"
            ),
            "",
        );
        return;
    }
    for view in allows {
        let stricter = subject
            .rules
            .iter()
            .filter(|other| is_stricter(other) && !rule_implies(&view.meaning, &other.meaning));
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

/// Returns an event that both rules match.
fn both_hold(subject: &LintedPolicy<'_>, a: &LintedRule<'_>, b: &LintedRule<'_>) -> Option<String> {
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

/// Returns the rules that match a candidate.
fn held<'s>(subject: &'s LintedPolicy<'_>, candidate: &Candidate) -> Option<Vec<&'s str>> {
    let (event, facts) = candidate.described();
    let case = SampleExchange::new(&[event], facts, subject.policy).ok()?;
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

#[cfg(test)]
mod tests {
    use crate::author::{lint, parse_yaml};
    use crate::policy::load_with_zones;

    /// Returns the codes and messages of lint's findings about rules.
    fn findings(rules: impl Iterator<Item = String>) -> Vec<(&'static str, String)> {
        let head = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: t }\nrequire: none\ndefaults: { action: deny }\nrules:\n";
        let text = rules.fold(head.to_owned(), |text, rule| text + "  - " + &rule + "\n");
        let root = parse_yaml(&text).unwrap();
        let policy = load_with_zones(&root).policy.unwrap();
        let found = lint(&policy, &root).into_iter();
        found.map(|found| (found.code, found.message)).collect()
    }

    #[test]
    fn thousands_of_rules_are_compared_with_each_other() {
        let rule = |number: u32| {
            format!(
                "{{ id: r{number}, match: {{ tool: tool_{number} }}, action: deny, reason: Stop. }}"
            )
        };
        let again =
            "{ id: again, match: { tool: tool_77 }, action: deny, reason: Stop. }".to_owned();
        let found = findings((0..5_000).map(rule).chain([again]));
        let repeats: Vec<_> = found.iter().filter(|(code, _)| *code == "AG1102").collect();
        assert_eq!(repeats.len(), 1, "{repeats:?}");
        assert_eq!(repeats[0].1, "rule `again` says the same as rule `r77`");
    }

    #[test]
    fn what_is_not_looked_for_is_said_once() {
        let rule = |number: u32| {
            let action = if number == 0 { "deny" } else { "allow" };
            format!(
                "{{ id: r{number}, match: {{ tool: tool_{number} }}, action: {action}, reason: Stop. }}"
            )
        };
        let warned = |rules: u32| -> Vec<String> {
            let found = findings((0..rules).map(rule)).into_iter();
            let found = found.filter(|(code, _)| *code == "AG1105");
            found.map(|(_, message)| message).collect()
        };
        assert_eq!(warned(200), [] as [&str; 0]);
        assert_eq!(
            warned(201),
            [
                "with more than 200 rules, lint does not look for events that an `allow` and a stricter rule both hold for"
            ]
        );
    }
}
