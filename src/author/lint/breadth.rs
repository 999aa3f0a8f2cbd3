//! Rules that match more than was intended.

use super::{Findings, LintedPolicy, LintedRule};
use crate::author::analysis::{Formula, TestOperand, fitting};
use crate::detect::pattern::{Pattern, Scratch};
use crate::diag::codes;
use crate::policy::condition::{Check, Operand, Test};
use crate::policy::document::{Document, List};
use crate::policy::field::Field;
use crate::policy::glob::{Glob, GlobReading};
use crate::policy::node::{Node, NodeValue};
use crate::policy::operators::Verb;
use crate::policy::rule::Rule;
use crate::policy::words::Action;
use std::ops::Range;

/// Texts that no rule should match.
const ORDINARY: [&str; 5] = [
    "Hello, can you help me with my homework?",
    "The meeting is on Monday at ten.",
    "Please summarise the attached report in three sentences.",
    "Order 1234 is late. What can we do?",
    "Thanks!",
];

/// Minimum characters of a text that is worth searching.
const SHORTEST_NEEDLE: usize = 3;

/// Finds allow rules with a glob over names of tools.
pub(super) fn open_names(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        if view.written.action != Action::Allow || names_its_tools(view) {
            continue;
        }
        let mut has_exceptions = false;
        each_check(view.written, &mut |test, _| {
            has_exceptions |= test.field_ref.field == Field::Tool;
        });
        for item in &view.written.matches {
            if item.field_ref.field != Field::Tool {
                continue;
            }
            let open = item.values.iter().find(|value| value.contains('*'));
            if let Some(glob) = open {
                let taken = match has_exceptions {
                    true => format!("any tool that fits `{glob}` and that its conditions leave"),
                    false => format!("`{}`", taken_by(glob)),
                };
                findings.warn(
                    codes::AG1104,
                    (item.field_ref.span.clone(), item.path.clone()),
                    format!("this allow takes {taken} on the day that there is such a tool"),
                    "name the tools that were looked at",
                );
            }
        }
    }
}

/// Returns whether a condition lists the tools that a rule is about, whatever `match` has.
fn names_its_tools(view: &LintedRule<'_>) -> bool {
    view.meaning.formula.parts().iter().any(|part| {
        matches!(part, Formula::Literal(literal)
            if literal.field == "tool" && !literal.negated && matches!(literal.ask, TestOperand::In(_)))
    })
}

/// The name of a tool that nobody wants called, if a glob takes one of that name.
fn taken_by(glob: &str) -> String {
    let dangerous = fitting(&glob.replace("**", "*").replacen('*', "delete_all", 1));
    let is_taken =
        |name: &str| Glob::parse(glob).is_ok_and(|glob| glob.matches(name, GlobReading::Narrow));
    if is_taken(&dangerous) {
        dangerous
    } else {
        fitting(glob)
    }
}

/// Calls `visit` with every check of a rule.
pub(super) fn each_check<'r>(rule: &'r Rule, visit: &mut dyn FnMut(&'r Test, &'r Check)) {
    for condition in rule.when.iter().chain(&rule.unless) {
        condition.each_test(&mut |test| {
            for check in &test.checks {
                visit(test, check);
            }
        });
    }
}

/// Returns the texts of a literal operand.
pub(super) fn texts(check: &Check) -> Vec<(&str, &Node)> {
    let Operand::Value(node) = &check.operand else {
        return Vec::new();
    };
    match &node.data {
        NodeValue::String(text) => vec![(&**text, node)],
        NodeValue::List(items) => items
            .iter()
            .filter_map(|item| Some((item.text()?, item)))
            .collect(),
        _ => Vec::new(),
    }
}

/// Returns the values of an operand, also those of a list that it names.
pub(super) fn values_of<'p>(check: &'p Check, document: &'p Document) -> Vec<&'p Node> {
    let operand = match &check.operand {
        Operand::Commands { commands, .. } => &**commands,
        other => other,
    };
    match operand {
        Operand::Value(node) => node.items().iter().collect(),
        Operand::List(name, _) => match document.lists.get(name) {
            Some(List::Plain(items)) => items.iter().collect(),
            _ => Vec::new(),
        },
        Operand::KeyedList(name, ..) => match document.lists.get(name) {
            Some(List::Keyed(lists)) => lists.values().flatten().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Returns the texts of an operand, also those of a list that it names, each with its position. A list from a file of its own
/// has none.
pub(super) fn texts_of<'p>(
    check: &'p Check,
    document: &'p Document,
) -> Vec<(&'p str, Range<usize>)> {
    let texts = values_of(check, document).into_iter().filter_map(|node| {
        let span = match node.span.is_empty() {
            true => check.span.clone(),
            false => node.span.clone(),
        };
        Some((node.text()?, span))
    });
    texts.collect()
}

/// Finds patterns that match everything, or nearly so.
pub(super) fn patterns(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        each_check(view.written, &mut |_, check| {
            if check.verb != Verb::Matches {
                return;
            }
            for (text, node) in texts(check) {
                let Ok(pattern) = Pattern::new(text) else {
                    continue;
                };
                let place = (node.span.clone(), check.path.clone());
                let mut scratch = Scratch::default();
                let fitting = ORDINARY
                    .iter()
                    .filter(|ordinary| pattern.is_match(ordinary, &mut scratch))
                    .count();
                // `^\s*$` matches only blank texts.
                if pattern.matches_empty() && fitting == ORDINARY.len() {
                    findings.warn(
                        codes::AG1106,
                        place,
                        format!("`{text}` matches the empty text, and so every text"),
                        "ask for at least one character: `+` instead of `*`",
                    );
                    continue;
                }
                if fitting.saturating_mul(2) > ORDINARY.len() {
                    findings.warn(
                        codes::AG1107,
                        place,
                        format!("`{text}` fits most ordinary texts"),
                        "ask for what makes it special: a word before it, `\\b` around it",
                    );
                }
            }
        });
    }
}

/// Returns whether a character is in any text: not those of which one or two are a word, or that mark something.
fn is_everywhere(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b' '
}

/// Finds searched texts that occur everywhere.
pub(super) fn needles(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        each_check(view.written, &mut |test, check| {
            let is_text = matches!(test.field_ref.field, Field::Text | Field::Definition);
            match check.verb {
                Verb::Contains | Verb::ContainsAny | Verb::ContainsAll if is_text => {}
                Verb::Glob => {
                    let all = texts(check).into_iter().find(|(text, _)| {
                        Glob::parse(text).is_ok_and(|glob| {
                            Glob::parse("*").is_ok_and(|everything| glob.covers(&everything))
                        })
                    });
                    if let Some((text, node)) = all {
                        findings.warn(
                            codes::AG1107,
                            (node.span.clone(), check.path.clone()),
                            format!("`{text}` fits every value"),
                            "leave the condition out, or use `exists: true`",
                        );
                    }
                    return;
                }
                _ => return,
            }
            let short = texts(check)
                .into_iter()
                .find(|(text, _)| text.len() < SHORTEST_NEEDLE && text.bytes().all(is_everywhere));
            if let Some((text, node)) = short {
                findings.warn(
                    codes::AG1107,
                    (node.span.clone(), check.path.clone()),
                    format!("`{text}` stands in most texts"),
                    "look for a whole word: `matches: '(?i)\\bWORD\\b'`",
                );
            }
        });
    }
}
