//! Proofs that one rule matches whenever another does. `false` means that no proof was found, not that there is
//! none.

use super::meaning::{Formula, Range, RuleMeaning, TestLiteral, TestOperand};
use crate::detect::{Confidence, fold_name, select};
use crate::event::Kind;
use crate::policy::evaluate::condition::missing_fits;
use crate::policy::glob::{Glob, GlobReading};
use crate::policy::operators::{Polarity, Verb};
use crate::policy::words::Action;
use std::collections::{BTreeMap, BTreeSet};

/// Returns whether `b` matches every event that `a` matches.
pub(in crate::author) fn rule_implies(a: &RuleMeaning, b: &RuleMeaning) -> bool {
    // Only a rule that names its code lets an uninspectable event pass: allow rules are read differently there.
    let unread = Kind::Uninspectable;
    let by_code = (a.action == Action::Allow || b.action == Action::Allow)
        && a.kinds.contains(unread)
        && b.kinds.contains(unread);
    if by_code && (a.action != b.action || a.shape != b.shape) {
        return false;
    }
    let asks = |rule: &RuleMeaning| rule.action == Action::RequireApproval;
    // What has run can't be approved: an approval does not apply to as early events as a denial.
    let reaches = asks(a) || !asks(b);
    // An approval by other roles, for a longer time or for more uses is a different one.
    let agrees = !asks(a) || !asks(b) || a.approval == b.approval;
    reaches
        && agrees
        && a.kinds.iter().all(|kind| b.kinds.contains(kind))
        && (b.asks_turn || !a.asks_turn)
        && formula_implies(&a.formula, &b.formula)
}

/// Returns whether `b` is true for every event for which `a` is.
pub(in crate::author) fn formula_implies(a: &Formula, b: &Formula) -> bool {
    match (a, b) {
        (_, Formula::All(parts)) => parts.iter().all(|part| formula_implies(a, part)),
        (Formula::Any(parts), _) => parts.iter().all(|part| formula_implies(part, b)),
        (Formula::Literal(a), Formula::Literal(b)) => literal_implies(a, b),
        (Formula::All(parts), _) if parts.iter().any(|part| formula_implies(part, b)) => true,
        (_, Formula::Any(parts)) => parts.iter().any(|part| formula_implies(a, part)),
        _ => false,
    }
}

fn literal_implies(a: &TestLiteral, b: &TestLiteral) -> bool {
    match (a.negated, b.negated) {
        (false, false) => holds_with(a, b),
        // If `b` implies `a`, the negation of `a` implies the negation of `b`.
        (true, true) => holds_with(b, a),
        _ => false,
    }
}

/// Returns whether `b` is true wherever `a` is, without regard to `negated`.
fn holds_with(a: &TestLiteral, b: &TestLiteral) -> bool {
    if a.field != b.field || a.quantifier != b.quantifier {
        return false;
    }
    // A value that matches when it is read narrowly matches when it is read broadly as well.
    let no_narrower =
        a.side == b.side || (a.side, b.side) == (Polarity::Loosening, Polarity::Restricting);
    let missing = !fits_missing(a) || fits_missing(b);
    no_narrower && missing && (a.ask == b.ask || asks_less(&a.ask, &b.ask))
}

/// Returns whether a missing value matches.
fn fits_missing(literal: &TestLiteral) -> bool {
    let is_negative = match &literal.ask {
        TestOperand::NotIn(_) => true,
        TestOperand::AllOf(verb, _) | TestOperand::OneOf(verb, _) | TestOperand::Other(verb, _) => {
            verb.is_negative()
        }
        TestOperand::Keyed { verb, .. } => verb.is_negative(),
        // The value is never missing: the test is about presence itself.
        TestOperand::Exists(_) | TestOperand::Earlier { .. } | TestOperand::Limit(_) => {
            return false;
        }
        _ => false,
    };
    missing_fits(literal.outer, literal.side, literal.if_missing, is_negative)
}

/// Returns whether every value that matches the first operand matches the second, read alike.
fn asks_less(a: &TestOperand, b: &TestOperand) -> bool {
    match (a, b) {
        (TestOperand::In(a), TestOperand::In(b)) => a.is_subset(b),
        // An empty list has no type of values.
        (TestOperand::NotIn(a), TestOperand::NotIn(b)) => {
            b.is_subset(a) && all_texts(a) && all_texts(b) && (!b.is_empty() || a.is_empty())
        }
        (TestOperand::In(values), TestOperand::Globs(globs)) => values.iter().all(|value| {
            value
                .strip_prefix("s:")
                .is_some_and(|text| globs.iter().any(|glob| fits_every_way(glob, text)))
        }),
        (TestOperand::Globs(a), TestOperand::Globs(b)) => {
            a.iter().all(|one| b.iter().any(|other| covers(other, one)))
        }
        (TestOperand::Order(a), TestOperand::Order(b))
        | (TestOperand::Count(a), TestOperand::Count(b))
        | (TestOperand::Length(a), TestOperand::Length(b)) => within(a, b),
        (TestOperand::OneOf(Verb::Detects, a), TestOperand::OneOf(Verb::Detects, b)) => {
            finds_less(a, b)
        }
        (TestOperand::OneOf(verb, a), TestOperand::OneOf(other, b)) => {
            verb == other && a.is_subset(b)
        }
        (TestOperand::AllOf(verb, a), TestOperand::AllOf(other, b)) => {
            verb == other && b.is_subset(a)
        }
        (TestOperand::RowsOver(a), TestOperand::RowsOver(b)) => a >= b,
        _ => false,
    }
}

fn all_texts(values: &BTreeSet<String>) -> bool {
    values.iter().all(|value| value.starts_with("s:"))
}

/// Returns the literal start of a glob. Most globs differ in it, so that they need not be parsed.
pub(in crate::author) fn beginning(glob: &str) -> &str {
    glob.split(['*', '?', '[']).next().unwrap_or_default()
}

/// Returns whether all names that match `narrow` match `wide`, as written and in folded spelling.
fn covers(wide: &str, narrow: &str) -> bool {
    if !beginning(narrow).starts_with(beginning(wide)) {
        return false;
    }
    let (Ok(wide), Ok(narrow)) = (Glob::parse(wide), Glob::parse(narrow)) else {
        return false;
    };
    let folded = |glob: &Glob| glob.folded(|literal| fold_name(literal).into_owned());
    wide.covers(&narrow) && folded(&wide).covers(&folded(&narrow))
}

/// Returns whether a name matches a glob as written and in folded spelling.
fn fits_every_way(glob: &str, text: &str) -> bool {
    if !text.starts_with(beginning(glob)) {
        return false;
    }
    let Ok(glob) = Glob::parse(glob) else {
        return false;
    };
    let folded = glob.folded(|literal| fold_name(literal).into_owned());
    glob.matches(text, GlobReading::Narrow)
        && folded.matches(fold_name(text).trim(), GlobReading::Broad)
}

fn within(a: &Range, b: &Range) -> bool {
    let low = match (&a.low, &b.low) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some((a, a_included)), Some((b, b_included))) => {
            a > b || (a == b && (*b_included || !a_included))
        }
    };
    let high = match (&a.high, &b.high) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some((a, a_included)), Some((b, b_included))) => {
            a < b || (a == b && (*b_included || !a_included))
        }
    };
    low && high
}

/// Returns whether the detectors of `b` find everything that those of `a` find.
fn finds_less(a: &BTreeSet<String>, b: &BTreeSet<String>) -> bool {
    if a.is_subset(b) {
        return true;
    }
    match (detectors(a), detectors(b)) {
        (Some(a), Some(b)) => a
            .iter()
            .all(|(detector, least)| b.get(detector).is_some_and(|other| other <= least)),
        _ => false,
    }
}

/// Returns the built-in detectors of names; `None` if one is the policy's own.
fn detectors(names: &BTreeSet<String>) -> Option<BTreeMap<u16, Confidence>> {
    let mut detectors: BTreeMap<u16, Confidence> = BTreeMap::new();
    for name in names {
        let (name, confidence) = name.split_once(' ')?;
        let confidence = match confidence {
            "low" => Confidence::Low,
            "high" => Confidence::High,
            _ => Confidence::Medium,
        };
        for member in select::members(name).ok()? {
            let least = detectors.entry(member).or_insert(confidence);
            *least = (*least).min(confidence);
        }
    }
    Some(detectors)
}

#[cfg(test)]
mod tests {
    use super::super::implication_index::ImplicationIndex;
    use super::super::meaning::Meaning;
    use super::*;
    use crate::author::parse_yaml;
    use crate::policy::load_with_zones;

    /// Returns the rules of a policy with this list of rules.
    fn rules(rules: &str) -> Vec<RuleMeaning> {
        let text = format!(
            "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: t }}\nrequire: none\ndefaults: {{ action: allow }}\nlists: {{ l: [a, b] }}\nrules:\n{rules}"
        );
        let root = parse_yaml(&text).unwrap();
        let loaded = load_with_zones(&root);
        let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
        let Some(policy) = loaded.policy else {
            panic!("{errors:?}")
        };
        Meaning::of(&Meaning::parts_of(&policy)).rules
    }

    /// Returns whether one rule is proved from the other. The index must agree with the direct comparison.
    fn implies(a: &RuleMeaning, b: &RuleMeaning) -> bool {
        let found = ImplicationIndex::of([b].into_iter()).implied_by(a, &|_| true);
        assert_eq!(found.is_some(), rule_implies(a, b), "{a:?} ⟹ {b:?}");
        found.is_some()
    }

    fn deny(condition: &str) -> String {
        format!("  - {{ id: X, match: {{ tool: t }}, when: {condition}, action: deny }}\n")
    }

    fn pair(a: &str, b: &str) -> (RuleMeaning, RuleMeaning) {
        let text = deny(a).replace('X', "a") + &deny(b).replace('X', "b");
        let mut rules = rules(&text);
        let b = rules.pop().unwrap();
        (rules.pop().unwrap(), b)
    }

    #[test]
    fn what_asks_for_more_implies_what_asks_for_less() {
        for (a, b) in [
            (
                "{ args.n: { greater_than: 100 } }",
                "{ args.n: { greater_than: 50 } }",
            ),
            (
                "{ args.n: { greater_than: 100 } }",
                "{ args.n: { at_least: 1e2 } }",
            ),
            (
                "{ args.n: { between: [5, 6] } }",
                "{ args.n: { at_most: 6 } }",
            ),
            ("{ args.x: a }", "{ args.x: { list: l } }"),
            ("{ args.x: [a, b] }", "{ args.x: { in: [c, b, a] } }"),
            (
                "{ args.x: { not_in: [a, b] } }",
                "{ args.x: { not_equals: a } }",
            ),
            (
                "{ args.x: { contains: a } }",
                "{ args.x: { contains_any: [a, b] } }",
            ),
            (
                "{ args.x: { contains_all: [a, b] } }",
                "{ args.x: { contains_all: [b] } }",
            ),
            (
                "{ args.x: { glob: \"ab*\" } }",
                "{ args.x: { glob: \"a*\" } }",
            ),
            (
                "{ args.x: { glob: \"a?c\" } }",
                "{ args.x: { glob: [\"z\", \"a**c\"] } }",
            ),
            ("{ model: gpt-4o }", "{ model: { glob: \"gpt-*\" } }"),
            (
                "{ args.x: { detects: credit_card } }",
                "{ args.x: { detects: payment } }",
            ),
            (
                "{ args.x: { detects: { types: iban, confidence: high } } }",
                "{ args.x: { detects: iban } }",
            ),
            (
                "{ args.x: { domain_in: [a.de] } }",
                "{ args.x: { domain_in: [b.de, a.de] } }",
            ),
            (
                "{ args.x: { domain_not_in: [a.de, b.de] } }",
                "{ args.x: { domain_not_in: [a.de] } }",
            ),
            (
                "{ args.q: { sql_limit_greater_than: 10 } }",
                "{ args.q: { sql_limit_greater_than: 5 } }",
            ),
            ("{ all: [{ args.a: 1 }, { args.b: 2 }] }", "{ args.b: 2.0 }"),
            ("{ args.a: 1 }", "{ any: [{ args.b: 2 }, { args.a: 1 }] }"),
            (
                "{ not: { args.n: { greater_than: 50 } } }",
                "{ not: { args.n: { greater_than: 100 } } }",
            ),
            (
                "{ not: { any: [{ args.a: 1 }, { args.b: 2 }] } }",
                "{ not: { args.a: 1 } }",
            ),
        ] {
            let (a_rule, b_rule) = pair(a, b);
            assert!(implies(&a_rule, &b_rule), "{a} ⟹ {b}");
            assert!(!implies(&b_rule, &a_rule), "{b} ⟹ {a}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_the_same() {
        for (a, b) in [
            (
                "{ args.n: { gt: 100 } }",
                "{ args.n: { greater_than: 1e2 } }",
            ),
            ("{ args.x: [b, a, a] }", "{ args.x: { in: { list: l } } }"),
            ("{ args.to|cc: x }", "{ args.cc|to: { equals: x } }"),
            ("{ role: x }", "{ principal.roles: x }"),
            ("{ not: { not: { args.a: 1 } } }", "{ args.a: 1.00 }"),
            (
                "{ args.a: 1, args.b: 2 }",
                "{ all: [{ args.b: 2 }, { args.a: 1 }] }",
            ),
            (
                "{ args.n: { gt: 1, lt: 5 } }",
                "{ all: [{ args.n: { lt: 5 } }, { args.n: { gt: 1 } }] }",
            ),
        ] {
            let (a_rule, b_rule) = pair(a, b);
            assert_eq!(a_rule.normal(), b_rule.normal(), "{a} = {b}");
        }
    }

    #[test]
    fn what_differs_is_not_proved() {
        for (a, b) in [
            ("{ args.x: a }", "{ args.y: a }"),
            ("{ args.x: { equals: 1 } }", "{ args.x: { equals: \"1\" } }"),
            ("{ args.x: { any_equals: a } }", "{ args.x: { equals: a } }"),
            // A value of another type can't be read for `not_in` with values of one type, which matters on one side
            // only.
            (
                "{ args.x: { not_in: [1, a] } }",
                "{ args.x: { not_in: [1] } }",
            ),
            (
                "{ args.x: { glob: \"a**c\" } }",
                "{ args.x: { glob: \"a*c\" } }",
            ),
            ("{ not: { args.x: a } }", "{ args.x: { not_equals: a } }"),
        ] {
            let (a_rule, b_rule) = pair(a, b);
            assert!(!implies(&a_rule, &b_rule), "{a} ⟹ {b}");
        }
    }

    #[test]
    fn a_rule_is_found_among_others_as_if_each_were_compared() {
        let conditions = [
            "{ args.x: a }",
            "{ args.x: [a, b] }",
            "{ args.x: { not_in: [a, b] } }",
            "{ args.x: { not_in: [a] } }",
            "{ args.x: { glob: \"a*\" } }",
            "{ args.x: { glob: [\"ab*\", \"*\"] } }",
            "{ args.x: { glob: \"ab?\" } }",
            "{ args.x: abc }",
            "{ args.x: { contains: a } }",
            "{ args.x: { contains_any: [b, a] } }",
            "{ args.x: { contains_all: [b, a] } }",
            "{ args.x: { detects: iban } }",
            "{ args.x: { detects: [iban, payment] } }",
            "{ args.x: { exists: true } }",
            "{ args.n: { greater_than: 5 } }",
            "{ args.n: { between: [6, 7] } }",
            "{ args.n: { count_at_least: 2 } }",
            "{ args.n: { length_at_least: 2 } }",
            "{ args.q: { sql_limit_greater_than: 10 } }",
            "{ args.q: { sql_limit_greater_than: 5 } }",
            "{ not: { args.x: a } }",
            "{ not: { args.x: [a, b] } }",
            "{ any: [{ args.x: a }, { args.n: 2 }] }",
            "{ all: [{ args.x: a }, { args.n: 2 }] }",
            "{ any: [{ all: [{ args.x: a }, { args.n: 2 }] }, { args.x: b }] }",
            "{ args.x: { any_equals: a } }",
            "{ args.t: { matches: \"a+\" } }",
        ];
        let text: String = conditions
            .iter()
            .enumerate()
            .map(|(number, condition)| deny(condition).replace('X', &format!("r{number}")))
            .collect();
        let open = "  - { id: all, match: { event: tool_call }, action: deny }\n  - { id: some, match: { tool: \"t*\" }, action: deny }\n";
        let rules = rules(&format!("{text}{open}"));
        let among = ImplicationIndex::of(rules.iter());
        for one in &rules {
            for (at, other) in rules.iter().enumerate() {
                let found = among.implied_by(one, &|place| place == at).is_some();
                assert_eq!(found, rule_implies(one, other), "{} ⟹ {}", one.id, other.id);
            }
        }
    }
}
