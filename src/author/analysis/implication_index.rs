//! Index of rules by their tests, so that an implication is proved only for rules that may be implied.
//!
//! If a rule's condition is implied by another's, each of its tests is implied by one of the other's tests (see
//! [`formula_implies`](super::implies::formula_implies)). So it is enough to index each rule under one of its tests.

use super::implies::{beginning, rule_implies};
use super::meaning::{Formula, RuleMeaning, TestLiteral, TestOperand};
use crate::policy::operators::Verb;
use std::collections::BTreeMap;

/// Index that finds the rules which match whenever another rule does.
pub(in crate::author) struct ImplicationIndex<'m> {
    rules: Vec<&'m RuleMeaning>,
    /// Rules by one of their tests: the field, and a key that a test of the same field must have.
    by_test: BTreeMap<(&'m str, String), Vec<usize>>,
    /// Rules without a test for the index.
    others: Vec<usize>,
}

impl<'m> ImplicationIndex<'m> {
    /// Builds the index.
    pub(in crate::author) fn of(
        rules: impl Iterator<Item = &'m RuleMeaning>,
    ) -> ImplicationIndex<'m> {
        let mut among = ImplicationIndex {
            rules: rules.collect(),
            by_test: BTreeMap::new(),
            others: Vec::new(),
        };
        for (at, rule) in among.rules.iter().enumerate() {
            let tests = rule.formula.parts().iter().filter_map(|part| match part {
                Formula::Literal(literal) => Some((literal.field.as_str(), needed(literal))),
                _ => None,
            });
            // The most selective test.
            match tests.min_by_key(|(_, (cost, _))| *cost) {
                Some((field, (_, keys))) => {
                    for key in keys {
                        among.by_test.entry((field, key)).or_default().push(at);
                    }
                }
                None => among.others.push(at),
            }
        }
        among
    }

    /// Returns the position of the first rule that matches whenever `one` does, and for which `fits` returns true.
    pub(in crate::author) fn implied_by(
        &self,
        one: &RuleMeaning,
        fits: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        let implied = |at: &usize| {
            fits(*at)
                && self
                    .rules
                    .get(*at)
                    .is_some_and(|rule| rule_implies(one, rule))
        };
        let mut keys = Some(Vec::new());
        offered(&one.formula, &mut keys);
        let Some(keys) = keys else {
            return (0..self.rules.len()).find(|at| implied(at));
        };
        let mut places = self.others.clone();
        for (field, key) in keys {
            places.extend(self.by_test.get(&(field, key)).into_iter().flatten());
        }
        places.sort_unstable();
        places.dedup();
        places.into_iter().find(|at| implied(at))
    }
}

/// Returns the keys of which a test that implies this one has at least one, and an estimate of the number of rules that
/// such a key finds.
fn needed(test: &TestLiteral) -> (usize, Vec<String>) {
    let any = |word: &str| (usize::MAX, vec![word.to_owned()]);
    if test.negated {
        return any("not");
    }
    match &test.ask {
        TestOperand::In(values) => (
            values.len(),
            values.iter().map(|v| format!("in {v}")).collect(),
        ),
        TestOperand::OneOf(verb, _) if *verb == Verb::Detects => any("detects"),
        TestOperand::OneOf(verb, texts) => {
            let keys = texts.iter().map(|text| format!("{verb:?} {text}"));
            (texts.len(), keys.collect())
        }
        TestOperand::AllOf(verb, texts) if !texts.is_empty() => {
            let first = texts.first().map(|text| format!("{verb:?} {text}"));
            (1, Vec::from_iter(first))
        }
        TestOperand::Globs(globs) => {
            let keys = globs.iter().map(|glob| format!("glob {}", beginning(glob)));
            (globs.len().saturating_add(100), keys.collect())
        }
        TestOperand::NotIn(_) => any("not in"),
        TestOperand::Order(_) => any("order"),
        TestOperand::Count(_) => any("count"),
        TestOperand::Length(_) => any("length"),
        TestOperand::RowsOver(_) => any("rows"),
        ask => (1, vec![format!("{ask:?}")]),
    }
}

/// Collects the keys of a formula's tests. Sets `keys` to `None` if the tests do not determine the formula.
fn offered<'f>(formula: &'f Formula, keys: &mut Option<Vec<(&'f str, String)>>) {
    let test = match formula {
        // Without alternatives the rule never matches, so it implies every other rule.
        Formula::Any(parts) if parts.is_empty() => {
            *keys = None;
            return;
        }
        Formula::All(parts) | Formula::Any(parts) => {
            parts.iter().for_each(|part| offered(part, keys));
            return;
        }
        Formula::Literal(test) => test,
    };
    let Some(found) = keys else { return };
    let field = test.field.as_str();
    let mut offer = |key: String| found.push((field, key));
    if test.negated {
        offer("not".to_owned());
        return;
    }
    let is_never = match &test.ask {
        TestOperand::In(values) => {
            if let Some(first) = values.first() {
                offer(format!("in {first}"));
                let text = first.strip_prefix("s:").unwrap_or_default();
                beginnings(text, &mut offer);
            }
            values.is_empty()
        }
        TestOperand::Globs(globs) => {
            if let Some(first) = globs.first() {
                beginnings(beginning(first), &mut offer);
            }
            globs.is_empty()
        }
        TestOperand::OneOf(verb, _) if *verb == Verb::Detects => {
            offer("detects".to_owned());
            false
        }
        TestOperand::OneOf(verb, texts) => {
            if let Some(first) = texts.first() {
                offer(format!("{verb:?} {first}"));
            }
            texts.is_empty()
        }
        TestOperand::AllOf(verb, texts) => {
            for text in texts {
                offer(format!("{verb:?} {text}"));
            }
            texts.is_empty()
        }
        TestOperand::NotIn(_) => {
            offer("not in".to_owned());
            false
        }
        TestOperand::Order(_) => {
            offer("order".to_owned());
            false
        }
        TestOperand::Count(_) => {
            offer("count".to_owned());
            false
        }
        TestOperand::Length(_) => {
            offer("length".to_owned());
            false
        }
        TestOperand::RowsOver(_) => {
            offer("rows".to_owned());
            false
        }
        ask => {
            offer(format!("{ask:?}"));
            false
        }
    };
    if is_never {
        *keys = None;
    }
}

/// Passes the keys of all prefixes of a text, as they are the literal starts of globs.
fn beginnings(text: &str, offer: &mut dyn FnMut(String)) {
    offer("glob ".to_owned());
    for (at, letter) in text.char_indices() {
        let end = at.saturating_add(letter.len_utf8());
        offer(format!("glob {}", text.get(..end).unwrap_or_default()));
    }
}
