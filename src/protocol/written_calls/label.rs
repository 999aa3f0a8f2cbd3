//! Labels of calls in the notations of frameworks for agents: `Action: NAME` before `Action Input: …`, and members of an
//! object. Both are words of prose and data as well, so that what follows decides whether there is a call.

use super::LONGEST_NAME;
use crate::wire::json::{JsonBody, Limits};

/// Maximum bytes of a name as JSON, which may write each of its bytes as `\u0070`.
const LONGEST_QUOTED: usize = LONGEST_NAME * 6;

/// Name by which agents of LangChain end, which is no tool.
pub(super) const FINAL_ANSWER: &str = "Final Answer";

/// The same for those of DSPy.
const FINISH: &str = "finish";

/// Label at the beginning of a call: what stands before the colon.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) text: &'static str,
    pub(super) notation: Notation,
}

/// What follows a label of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notation {
    /// A name on a line, and behind it `Action Input:`.
    Lines,
    /// A name as a JSON string, and a member with the arguments.
    Name {
        args: &'static str,
        /// Name that ends the agent's run and is no tool.
        end: &'static str,
    },
    /// Arguments as a JSON value, before or behind the name. If another member stands between the two, the name is unknown.
    Arguments {
        name: &'static str,
        end: &'static str,
    },
}

/// Labels of all notations. A name counts only before its arguments, since data has actions as well.
pub(super) const LABELS: &[Label] = &[
    // ReAct in LangChain, CrewAI and LlamaIndex, which look for it anywhere in a text, with or without a number.
    Label {
        text: "Action",
        notation: Notation::Lines,
    },
    // LangChain's structured chat and agents for JSON: `{"action": NAME, "action_input": …}`, mostly in a fence.
    Label {
        text: "\"action\"",
        notation: Notation::Name {
            args: "\"action_input\"",
            end: FINAL_ANSWER,
        },
    },
    Label {
        text: "\"action_input\"",
        notation: Notation::Arguments {
            name: "\"action\"",
            end: FINAL_ANSWER,
        },
    },
    // DSPy's adapter for JSON.
    Label {
        text: "\"next_tool_name\"",
        notation: Notation::Name {
            args: "\"next_tool_args\"",
            end: FINISH,
        },
    },
    Label {
        text: "\"next_tool_args\"",
        notation: Notation::Arguments {
            name: "\"next_tool_name\"",
            end: FINISH,
        },
    },
];

/// Returns the label that a colon ends, and where it begins.
pub(super) fn before(text: &str) -> Option<(&'static Label, usize)> {
    let text = text.trim_end_matches(is_between);
    let label = LABELS.iter().find(|label| text.ends_with(label.text))?;
    Some((label, text.len().saturating_sub(label.text.len())))
}

/// Returns whether a character may stand between a label and its colon: Python's `\s*\d*\s*`.
fn is_between(c: char) -> bool {
    is_space(c) || c.is_numeric()
}

/// Returns whether a character is white space to Python.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Returns whether a character may surround a name: white space, and what models write to format it.
fn surrounds(c: char) -> bool {
    is_space(c) || matches!(c, '*' | '`' | '"' | '\'')
}

/// Name or value that was read, and the number of bytes up to its end; `None` if the text ends before that is known. An `Err`
/// says that there is none.
type Read<T> = Result<Option<(T, usize)>, NoCall>;

/// Text that is no call.
pub(super) struct NoCall;

/// Returns whether what follows a label's colon makes it a call; `None` if that is not known yet. `lead`: the text before it.
pub(super) fn is_call(label: &Label, lead: &str, rest: &str) -> Option<bool> {
    let is_read = match label.notation {
        Notation::Lines => lines(rest).map(|read| read.is_some()),
        Notation::Name { args, end } => named(rest, args, end).map(|read| read.is_some()),
        Notation::Arguments { name, end } => Ok(!ends_with(lead, name, end)),
    };
    match is_read {
        Ok(is_read) => is_read.then_some(true),
        Err(NoCall) => Some(false),
    }
}

/// Returns whether a text ends with this member and a comma.
fn ends_with(text: &str, name: &str, value: &str) -> bool {
    let words = [",", "\"", value, "\"", ":", name];
    let rest = words.iter().try_fold(text, |text, word| {
        let text = match *word {
            "," | ":" => text.trim_end_matches(is_space),
            _ => text,
        };
        let rest = text.strip_suffix(word)?;
        Some(match *word {
            "," | ":" => rest.trim_end_matches(is_space),
            _ => rest,
        })
    });
    rest.is_some()
}

/// Reads the name between `Action:` and `Action Input:`. Frameworks look it up without what surrounds it.
pub(super) fn lines(rest: &str) -> Read<&str> {
    const LABEL: &str = "Action";
    let begin = rest.trim_start_matches(surrounds);
    let skipped = rest.len().saturating_sub(begin.len());
    let is_name = |name: &str| name.len() <= LONGEST_NAME && !name.contains('\n');
    for (at, _) in begin.match_indices(LABEL) {
        let name = begin.get(..at).unwrap_or_default();
        let name = name.trim_end_matches(surrounds);
        if name.is_empty() || !is_name(name) {
            return Err(NoCall);
        }
        let from = at.saturating_add(LABEL.len());
        match input(begin.get(from..).unwrap_or_default()) {
            Ok(None) => return Ok(None),
            Ok(Some(((), length))) => {
                let end = skipped.saturating_add(from).saturating_add(length);
                return Ok(Some((name, end)));
            }
            // A name that has the word in it.
            Err(NoCall) => {}
        }
    }
    // The text may end with the first letters of the next label.
    let begun = (1..LABEL.len()).find_map(|length| begin.strip_suffix(LABEL.get(..length)?));
    match is_name(begun.unwrap_or(begin).trim_end_matches(surrounds)) {
        true => Ok(None),
        false => Err(NoCall),
    }
}

/// Reads ` Input:` behind `Action`, with numbers as Python's `\s*\d*\s*Input\s*\d*\s*:` has them.
fn input(text: &str) -> Read<()> {
    let rest = text.trim_start_matches(is_between);
    let Some(rest) = rest.strip_prefix("Input") else {
        return may_become(rest, "Input");
    };
    let rest = rest.trim_start_matches(is_between);
    match rest.strip_prefix(':') {
        Some(rest) => Ok(Some(((), text.len().saturating_sub(rest.len())))),
        None => may_become(rest, ":"),
    }
}

/// Returns that a text that ends may go on as this word.
fn may_become<T>(text: &str, word: &str) -> Read<T> {
    match word.starts_with(text) {
        true => Ok(None),
        false => Err(NoCall),
    }
}

/// Reads a name as a JSON string, and the label of the arguments behind it.
pub(super) fn named(rest: &str, args: &str, end: &str) -> Read<String> {
    let Some((name, length)) = quoted(rest)? else {
        return Ok(None);
    };
    if name == end {
        return Err(NoCall);
    }
    let behind = rest.get(length..).unwrap_or_default();
    Ok(member(behind, args)?.map(|((), member)| (name, length.saturating_add(member))))
}

/// Reads a comma, a member's name and its colon.
pub(super) fn member(text: &str, name: &str) -> Read<()> {
    let mut rest = text;
    for word in [",", name, ":"] {
        rest = rest.trim_start_matches(is_space);
        rest = match rest.strip_prefix(word) {
            Some(rest) => rest,
            None => return may_become(rest, word),
        };
    }
    Ok(Some(((), text.len().saturating_sub(rest.len()))))
}

/// Reads a JSON string that may be a name.
pub(super) fn quoted(text: &str) -> Read<String> {
    let begin = text.trim_start_matches(is_space);
    let Some(inside) = begin.strip_prefix('"') else {
        return may_become(begin, "\"");
    };
    let mut is_escaped = false;
    let end = inside.bytes().take(LONGEST_QUOTED).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    let Some(end) = end else {
        return match inside.len() < LONGEST_QUOTED {
            true => Ok(None),
            false => Err(NoCall),
        };
    };
    let string = begin.get(..end.saturating_add(2)).unwrap_or_default();
    let json = JsonBody::scan(string.as_bytes(), Limits { max_depth: 1 }, 0).map_err(|_| NoCall)?;
    let name = json
        .body()
        .and_then(|body| body.root().text().map(String::from));
    let length = text
        .len()
        .saturating_sub(begin.len())
        .saturating_add(string.len());
    Ok(Some((name.ok_or(NoCall)?, length)))
}

/// Returns where a label begins that a text ends with, before its colon.
pub(super) fn begun(text: &str) -> Option<usize> {
    before(text).map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::super::{Marks, find, marks};
    use proptest::prelude::*;
    use regex_automata::meta::Regex;
    use std::sync::LazyLock;

    /// What LangChain and CrewAI look for.
    static PYTHON: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?s)Action\s*\d*\s*:\s*(.*?)\s*Action\s*\d*\s*Input\s*\d*\s*:\s*(.*)").unwrap()
    });

    /// Returns the tool that CrewAI runs.
    fn tool_of(text: &str) -> Option<&str> {
        let mut groups = PYTHON.create_captures();
        PYTHON.captures(text, &mut groups);
        let name = text.get(groups.get_group(1)?.range())?;
        Some(name.trim().trim_matches('*').trim())
    }

    fn noise() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "", "", "", "", " ", "\n", "\n\n", "\t", "1", "12", "*", "**", "`", "Action", "Act",
            "Input", ":", "{}", "é", "\u{a0}", "٣", "so ", "pay",
        ]);
        prop::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn what_a_framework_runs_is_found_also_as_it_streams(
            gaps in prop::array::uniform8(noise()),
            name in prop::sample::select(vec!["pay", "delete_db", "Delete It"]),
        ) {
            let [a, b, c, d, e, f, g, h] = &gaps;
            let text = format!("{a}Action{b}:{c}{name}{d}Action{e}Input{f}:{g}{{\"amount\": 5}}{h}");
            let found = find(&text);
            if tool_of(&text) == Some(name) {
                let is_found = found.iter().any(|call| call.tool.as_deref() == Some(name));
                prop_assert!(is_found, "{text:?}: {found:?}");
            }
            // A stream withholds a text from where its prefixes show a mark on, and searches it then.
            let prefixes = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            let mut is_marked = false;
            for end in prefixes {
                let begun = text[..end].trim_start();
                let Marks::From(at) = marks(begun, 0, true) else { continue };
                is_marked = true;
                // And what it released before goes on to be free of marks.
                for shorter in (0..end).filter(|shorter| text.is_char_boundary(*shorter)) {
                    if let Marks::FreeUntil(free) = marks(text[..shorter].trim_start(), 0, true) {
                        prop_assert!(free <= at + 2, "{text:?}: {free} of {shorter}, {at} of {end}");
                    }
                }
                break;
            }
            prop_assert!(is_marked || found.is_empty(), "{text:?}");
        }
    }
}
