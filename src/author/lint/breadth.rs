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
use std::collections::BTreeSet;
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
            has_exceptions |= test.mention.field == Field::Tool;
        });
        for item in &view.written.matches {
            if item.mention.field != Field::Tool {
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
                    (item.mention.span.clone(), item.path.clone()),
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

/// Finds operands in another tool's notation, which these fields and operators read literally.
pub(super) fn other_notations(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    // A value of a list is told once, whatever number of rules name the list.
    let mut told: BTreeSet<(usize, String)> = BTreeSet::new();
    let mut tell = |place: (Range<usize>, String), about: String, help: &str| {
        if told.insert((place.0.start, about.clone())) {
            findings.warn(codes::AG1134, place, about, help);
        }
    };
    for view in &subject.rules {
        for item in &view.written.matches {
            for value in &item.values {
                let place = (item.mention.span.clone(), item.path.clone());
                if item.mention.field == Field::Host && value.contains('/') {
                    let about = format!("`{value}` is no host: a host has neither scheme nor path");
                    tell(
                        place,
                        about,
                        "write the name alone, such as `api.example.com`",
                    );
                } else if item.mention.field == Field::Path
                    && !value.starts_with(['/', '*', '?', '['])
                {
                    let about = format!("no request has the path `{value}`: each begins with `/`");
                    tell(place, about, "write `/` in front of it, or `**/`");
                } else if has_alternatives(value) {
                    tell(place, of_braces(value), ALTERNATIVES);
                } else if let Some(word) = word_in_brackets(value) {
                    let about = format!("`[{word}]` in `{value}` is one character of these");
                    tell(
                        place,
                        about,
                        "write `[[]` for a `[` that is meant as it stands",
                    );
                } else if view.written.action == Action::Allow && value.trim() != &**value {
                    let name = value.trim();
                    let about = format!(
                        "this allow does not take `{name}`: it asks for white space around it"
                    );
                    tell(place, about, "leave the white space out");
                } else if matches!(
                    item.mention.field,
                    Field::Tool | Field::Model | Field::Server
                ) && is_pattern_or_list(value)
                {
                    let about = format!(
                        "`{value}` is one name: `|`, `,`, `^` and `$` are read as they stand"
                    );
                    tell(
                        place,
                        about,
                        "write a list with each name; a glob has `*`, `?` and `[abc]`",
                    );
                }
            }
        }
        each_check(view.written, &mut |_, check| {
            let is_folder = matches!(check.verb, Verb::PathWithin | Verb::PathNotWithin);
            for (text, span) in texts_of(check, subject.document) {
                let place = (span, check.path.clone());
                if is_folder && text.contains('*') {
                    let about = format!("`{text}` is read as a folder whose name has a `*`");
                    tell(
                        place,
                        about,
                        "write the folder alone: all that is below it is within it",
                    );
                } else if check.verb == Verb::Glob && has_alternatives(text) {
                    tell(place, of_braces(text), ALTERNATIVES);
                } else if compares_for_equality(check.verb) && is_glob_with_more(text) {
                    let about =
                        format!("`{text}` is compared as it stands: its `*` is no wildcard here");
                    tell(
                        place,
                        about,
                        "write `{ glob: … }`; only under `match` a value is a glob",
                    );
                } else if compares_for_equality(check.verb) && is_comparison(text) {
                    let about = format!("`{text}` is compared as a text: no number equals it");
                    tell(
                        place,
                        about,
                        "write `{ greater_than: N }`, or `at_least`, `less_than`, `at_most`",
                    );
                } else if check.verb == Verb::Matches && has_doubled_escape(text) {
                    let about = format!(
                        "`{text}` asks for a backslash where a class of characters is meant"
                    );
                    tell(
                        place,
                        about,
                        "write one backslash, except between double quotes, where it is doubled",
                    );
                }
            }
        });
    }
}

const ALTERNATIVES: &str = "write a list with each alternative";

fn of_braces(glob: &str) -> String {
    format!("globs have no `{{a,b}}`: `{glob}` asks for these braces")
}

/// Returns whether a name is several in another notation, or a regular expression. No tool, model or server has these
/// characters in its name.
fn is_pattern_or_list(name: &str) -> bool {
    name.contains(['|', ',']) || name.starts_with('^') || name.ends_with('$')
}

/// Returns what is in brackets in a glob, if it can't be meant as a set of characters: it has only one, or is a word, whose
/// letters repeat or are in no order.
fn word_in_brackets(glob: &str) -> Option<&str> {
    let mut rest = glob;
    while let Some((_, after)) = rest.split_once('[') {
        let (inside, behind) = after.split_once(']')?;
        rest = behind;
        let is_plain = !inside.is_empty() && inside.chars().all(char::is_alphanumeric);
        let sorted = || {
            let chars = inside.chars();
            chars.clone().zip(chars.skip(1)).all(|(a, b)| a < b)
        };
        let is_long = inside.chars().nth(2).is_some() && inside.contains(char::is_alphabetic);
        if is_plain && (inside.chars().nth(1).is_none() || (is_long && !sorted())) {
            return Some(inside);
        }
    }
    None
}

fn compares_for_equality(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Equals | Verb::NotEquals | Verb::In | Verb::NotIn
    )
}

/// Returns whether a text has a wildcard beside other characters. `*` alone is a value of its own.
fn is_glob_with_more(text: &str) -> bool {
    text.contains('*') && text.chars().any(|c| c.is_alphanumeric())
}

/// Returns whether a text is a comparison with a number: `>100`, `<= 5`.
fn is_comparison(text: &str) -> bool {
    let number = text
        .trim()
        .strip_prefix(['<', '>'])
        .map(|rest| rest.trim_start_matches('=').trim());
    number.is_some_and(|number| number.parse::<f64>().is_ok())
}

/// Returns whether a pattern has a literal backslash before a repeated class, `\\d+`: it is written so between double quotes only.
fn has_doubled_escape(pattern: &str) -> bool {
    pattern.match_indices(r"\\").any(|(at, found)| {
        let mut rest = pattern
            .get(at.saturating_add(found.len())..)
            .unwrap_or_default()
            .chars();
        rest.next()
            .is_some_and(|c| matches!(c, 'd' | 'D' | 's' | 'S' | 'w' | 'W'))
            && rest
                .next()
                .is_some_and(|c| matches!(c, '+' | '*' | '?' | '{'))
    })
}

/// Returns whether a glob has alternatives in a shell's notation: `*.{js,ts}`.
fn has_alternatives(glob: &str) -> bool {
    let inside = glob
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    inside.is_some_and(|(inside, _)| inside.contains(','))
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
            let is_text = matches!(test.mention.field, Field::Text | Field::Definition);
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
