//! Rules, found by what they ask for: whether one holds wherever another does is proved only of those that may.
//!
//! A rule whose condition is proved from another's has each of its tests proved from one of the other's (see
//! [`formula_implies`](super::implies::formula_implies)). So one of its tests is enough to know by which others it can be
//! found.

use super::implies::{beginning, rule_implies};
use super::meaning::{Formula, RuleMeaning, TestLiteral, TestOperand};
use crate::policy::operators::Verb;
use std::collections::BTreeMap;

/// Rules among which those are found that hold wherever another does.
pub(in crate::author) struct ImplicationIndex<'m> {
    rules: Vec<&'m RuleMeaning>,
    /// Rules by a test of theirs: the field, and what has to stand in a test of the same field.
    by_test: BTreeMap<(&'m str, String), Vec<usize>>,
    /// Rules without a test that they could be found by.
    others: Vec<usize>,
}

impl<'m> ImplicationIndex<'m> {
    /// Puts rules in order.
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
            // The test that fewest others have.
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

    /// The first rule that holds wherever `one` does and that `fits`; told by its place.
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

/// What has to stand in a test from which this one is proved, one of these words; and how many other rules will be found
/// by them, in a manner of speaking.
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

/// What stands in the tests of a formula, of the same words; nothing where its tests don't tell all that it is.
fn offered<'f>(formula: &'f Formula, keys: &mut Option<Vec<(&'f str, String)>>) {
    let test = match formula {
        // No alternative: it never holds, and every other rule holds wherever it does.
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

/// All that a text begins with, as what globs begin with.
fn beginnings(text: &str, offer: &mut dyn FnMut(String)) {
    offer("glob ".to_owned());
    for (at, letter) in text.char_indices() {
        let end = at.saturating_add(letter.len_utf8());
        offer(format!("glob {}", text.get(..end).unwrap_or_default()));
    }
}
