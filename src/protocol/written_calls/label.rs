//! Labels of calls in the notations of frameworks for agents: `Action: NAME` before `Action Input: …`, and members of an
//! object. Both are words of prose and data as well, so that what follows decides whether there is a call.

use super::LONGEST_NAME;

/// Maximum bytes of a name as JSON, which may write each of its bytes as `\u0070`.
const LONGEST_QUOTED: usize = LONGEST_NAME * 6;

/// Name by which agents of LangChain end, which is no tool.
pub(super) const FINAL_ANSWER: &str = "Final Answer";

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
    /// A name as a JSON string, and the member with the arguments.
    Name(&'static Members),
    /// Arguments as a JSON value, before or behind the name. If another member stands between the two, the name is unknown.
    Arguments(&'static Members),
}

/// Members of a call as JSON.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) name: &'static str,
    pub(super) args: &'static str,
    /// Name that ends the agent's run and is no tool.
    pub(super) end: &'static str,
}

/// LangChain's structured chat and agents for JSON: `{"action": NAME, "action_input": …}`, mostly in a fence.
const ACTION: Members = Members {
    name: "\"action\"",
    args: "\"action_input\"",
    end: FINAL_ANSWER,
};

/// DSPy's adapter for JSON.
const NEXT_TOOL: Members = Members {
    name: "\"next_tool_name\"",
    args: "\"next_tool_args\"",
    end: "finish",
};

/// Labels of all notations. A name counts only before its arguments, since data has actions as well.
pub(super) const LABELS: &[Label] = &[
    // ReAct in LangChain, CrewAI and LlamaIndex, which look for it anywhere in a text, with or without a number.
    Label {
        text: "Action",
        notation: Notation::Lines,
    },
    Label {
        text: ACTION.name,
        notation: Notation::Name(&ACTION),
    },
    Label {
        text: ACTION.args,
        notation: Notation::Arguments(&ACTION),
    },
    Label {
        text: NEXT_TOOL.name,
        notation: Notation::Name(&NEXT_TOOL),
    },
    Label {
        text: NEXT_TOOL.args,
        notation: Notation::Arguments(&NEXT_TOOL),
    },
];

/// Class of characters.
type CharClass = fn(char) -> bool;

/// Returns whether a character is white space to Python.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Returns whether a character may stand between the words of a label: Python's `\s*\d*\s*`.
fn is_between(c: char) -> bool {
    is_space(c) || c.is_numeric()
}

/// Returns whether a character may surround a name: white space, and what models write to format it.
fn surrounds(c: char) -> bool {
    is_space(c) || matches!(c, '*' | '`' | '"' | '\'')
}

/// Returns a text without characters of a class at its beginning. Not inlined: there is one copy for all classes.
#[inline(never)]
fn begin(text: &str, class: CharClass) -> &str {
    text.trim_start_matches(class)
}

/// Returns a text without characters of a class at its end.
#[inline(never)]
fn end(text: &str, class: CharClass) -> &str {
    text.trim_end_matches(class)
}

/// Returns the label that a text ends with, before its colon, and where it begins.
pub(super) fn last(text: &str) -> Option<(&'static Label, usize)> {
    let text = end(text, is_between);
    let label = LABELS.iter().find(|label| text.ends_with(label.text))?;
    Some((label, text.len().saturating_sub(label.text.len())))
}

/// What was read of a text; `None` if it ends before that is known.
type Read<T> = Result<Option<T>, NoCall>;

/// Text that is no call.
pub(super) struct NoCall;

/// Name of a tool, and the number of bytes up to its arguments.
type Name<'t> = (&'t str, usize);

/// Returns whether what follows a label's colon makes it a call; `None` if that is not known yet. `lead`: the text before it.
pub(super) fn is_call(label: &Label, lead: &str, rest: &str) -> Option<bool> {
    let name = match label.notation {
        Notation::Lines => lines(rest),
        Notation::Name(members) => named(rest, members),
        Notation::Arguments(members) => return Some(ends_run(lead, members) != Some(true)),
    };
    match name {
        Ok(name) => name.map(|_| true),
        Err(NoCall) => Some(false),
    }
}

/// Returns whether a text ends with the member that ends a run, and a comma: `"action": "Final Answer",`.
fn ends_run(text: &str, members: &Members) -> Option<bool> {
    let text = end(text, is_space).strip_suffix(',')?;
    let text = end(text, is_space).strip_suffix('"')?;
    let text = text.strip_suffix(members.end)?.strip_suffix('"')?;
    let text = end(text, is_space).strip_suffix(':')?;
    Some(end(text, is_space).ends_with(members.name))
}

/// Reads words with characters of a class before each. Returns the number of bytes.
fn words(text: &str, words: &[&str], class: CharClass) -> Read<usize> {
    let mut rest = text;
    for word in words {
        rest = begin(rest, class);
        rest = match rest.strip_prefix(word) {
            Some(rest) => rest,
            None if word.starts_with(rest) => return Ok(None),
            None => return Err(NoCall),
        };
    }
    Ok(Some(text.len().saturating_sub(rest.len())))
}

/// Reads the name between `Action:` and `Action Input:`. Frameworks look it up without what surrounds it.
pub(super) fn lines(text: &str) -> Read<Name<'_>> {
    const LABEL: &str = "Action";
    let rest = begin(text, surrounds);
    let skipped = text.len().saturating_sub(rest.len());
    for (at, byte) in rest.bytes().enumerate() {
        if byte != b'A' {
            continue;
        }
        let begun = rest.get(at..).unwrap_or_default();
        if !begun.starts_with(LABEL) && !LABEL.starts_with(begun) {
            continue;
        }
        let name = end(rest.get(..at).unwrap_or_default(), surrounds);
        if !is_name(name) {
            return Err(NoCall);
        }
        match words(begun, &[LABEL, "Input", ":"], is_between) {
            Ok(Some(_)) if name.is_empty() => return Err(NoCall),
            Ok(length) => {
                let end = |length: usize| skipped.saturating_add(at).saturating_add(length);
                return Ok(length.map(|length| (name, end(length))));
            }
            // A name that has the word in it.
            Err(NoCall) => {}
        }
    }
    match is_name(end(rest, surrounds)) {
        true => Ok(None),
        false => Err(NoCall),
    }
}

/// Returns whether a text may be the name of a tool.
fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME && !text.contains('\n')
}

/// Reads a name as a JSON string, and the label of the arguments behind it. The name is as it is written, with its escapes.
pub(super) fn named<'t>(text: &'t str, members: &Members) -> Read<Name<'t>> {
    let Some((name, length)) = quoted(text)? else {
        return Ok(None);
    };
    if name == members.end {
        return Err(NoCall);
    }
    let behind = member(text.get(length..).unwrap_or_default(), members.args)?;
    Ok(behind.map(|behind| (name, length.saturating_add(behind))))
}

/// Reads a comma, a member's name and its colon. Returns the number of bytes.
pub(super) fn member(text: &str, name: &str) -> Read<usize> {
    words(text, &[",", name, ":"], is_space)
}

/// Reads a JSON string that may be a name. Returns its content and the number of bytes.
pub(super) fn quoted(text: &str) -> Read<Name<'_>> {
    let Some(open) = words(text, &["\""], is_space)? else {
        return Ok(None);
    };
    let inside = text.get(open..).unwrap_or_default();
    let mut is_escaped = false;
    let close = inside.bytes().take(LONGEST_QUOTED).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    match close {
        Some(close) => {
            let name = inside.get(..close).unwrap_or_default();
            Ok(Some((name, open.saturating_add(close).saturating_add(1))))
        }
        None if inside.len() < LONGEST_QUOTED => Ok(None),
        None => Err(NoCall),
    }
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
            name in prop::sample::select(vec!["pay", "delete_db", "Delete It", "Action", "ActionTool"]),
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
                let begun = text.split_at(end).0.trim_start();
                let Marks::From(at) = marks(begun, 0, true) else { continue };
                is_marked = true;
                // And what it released before goes on to be free of marks.
                for shorter in (0..end).filter(|shorter| text.is_char_boundary(*shorter)) {
                    if let Marks::FreeUntil(free) = marks(text.split_at(shorter).0.trim_start(), 0, true) {
                        prop_assert!(free <= at + 2, "{text:?}: {free} of {shorter}, {at} of {end}");
                    }
                }
                break;
            }
            prop_assert!(is_marked || found.is_empty(), "{text:?}");
        }
    }
}
