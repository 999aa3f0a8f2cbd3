//! Conversations as every format has them: who speaks, which turn it is, which call a result belongs to.

use super::reader::{Origin, Reader, Roles};
use crate::event::{Author, Class, Known, Part, Turn};
use crate::wire::json::Value;
use crate::wire::sorted_map::SortedMap;
use std::ops::Range;

/// Whose content is read.
#[derive(Clone, Debug)]
pub(super) struct Attribution {
    /// Author, turn and choice; the part is `text`, or `other` inside documents and results of the provider's tools.
    pub(super) origin: Origin,
    /// The turn of calls that stand in it.
    pub(super) calls: Turn,
    /// It is the content of a tool's result, which has an event of its own.
    pub(super) is_result: bool,
}

impl Attribution {
    /// The same, for what is no running text: documents, search results.
    pub(super) fn aside(&self) -> Attribution {
        Attribution {
            origin: self.origin.with_part(Part::Other),
            ..self.clone()
        }
    }

    /// A tool's result in this content.
    pub(super) fn tool(&self, part: Part) -> Attribution {
        let mut speaker = self.clone();
        if self.origin.from != Known::Missing {
            speaker.origin.from = Known::Is(Author::Tool);
        }
        speaker.origin.part = part;
        speaker.is_result = true;
        speaker
    }
}

/// The tools that were called so far, by the ids of the calls.
///
/// Ids are the client's word, and some models begin to count anew with each turn. So the call that came last is meant; but
/// of two that wait for a result under the same id, nobody knows which one it belongs to.
#[derive(Debug, Default)]
pub(super) struct Calls(SortedMap<Box<str>, NamedCall>);

#[derive(Debug)]
struct NamedCall {
    tool: Known<Box<str>>,
    is_answered: bool,
}

impl Calls {
    /// A tool is called.
    pub(super) fn add(&mut self, id: &str, tool: &str) {
        let mut tool = Known::Is(tool.into());
        if let Some(other) = self.0.get(id)
            && !other.is_answered
            && other.tool != tool
        {
            tool = Known::Unknown;
        }
        let is_answered = false;
        self.0.insert(id.into(), NamedCall { tool, is_answered });
    }

    /// Whether a tool was called under this id.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.0.get(id).is_some()
    }

    /// The tool of a result that gives the call's id, the tool's name, or both. Where they are different tools, it may be
    /// either's.
    pub(super) fn tool_of(&mut self, id: Option<&str>, named: Option<Box<str>>) -> Known<Box<str>> {
        match (id.and_then(|id| self.answer(id)), named) {
            (Some(Known::Is(called)), Some(named)) if called != named => Known::Unknown,
            (Some(called), _) => called,
            (None, named) => named.map_or(Known::Unknown, Known::Is),
        }
    }

    /// The tool whose result comes under this id; `None` where none was called under it.
    pub(super) fn answer(&mut self, id: &str) -> Option<Known<Box<str>>> {
        let called = self.0.get_mut(id)?;
        called.is_answered = true;
        Some(called.tool.clone())
    }
}

/// The roles of OpenAI's messages, which most formats took over.
pub(super) const ROLES: Roles = &[
    ("system", Author::System),
    ("developer", Author::System),
    ("user", Author::User),
    ("assistant", Author::Assistant),
    ("tool", Author::Tool),
];

/// The author that a message's `role` names.
pub(super) fn author_of(message: Value<'_>, roles: Roles) -> Known<Author> {
    let role = message.get("role").and_then(|role| role.text());
    let known = role.and_then(|role| roles.iter().find(|(word, _)| *word == role));
    known.map_or(Known::Unknown, |(_, author)| Known::Is(*author))
}

/// One running text.
pub(super) fn emit_attributed(reader: &mut Reader<'_>, value: Value<'_>, speaker: &Attribution) {
    let texts = reader.register_text(value, Class::Text);
    if speaker.is_result && speaker.origin.part == Part::Text {
        reader.emit_duplicate(value, texts, &speaker.origin);
    } else {
        reader.emit_text(value, texts, &speaker.origin);
    }
}

/// The part that a message or an item of a conversation has in the order of turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnRole {
    /// Said or done by the model.
    Model,
    /// A tool's result in a message or an item of its own.
    Result,
    /// A message of the user's that holds a result. Providers combine the user's messages in a row into one turn, so that
    /// it makes no difference whether the user's text is beside the result or in the next message.
    UserWithResult,
    /// Said by the user or the application.
    Other,
}

impl TurnRole {
    /// The role of a message by its author; `holds_result` where a message of the user's may hold a result.
    pub(super) fn of(author: &Known<Author>, holds_result: bool) -> TurnRole {
        match author {
            Known::Is(Author::Assistant) => TurnRole::Model,
            Known::Is(Author::Tool) => TurnRole::Result,
            _ if holds_result => TurnRole::UserWithResult,
            _ => TurnRole::Other,
        }
    }
}

/// The turns of a conversation: which texts and which calls are the latest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turns {
    /// The model's messages whose calls are the latest.
    calls: Range<usize>,
    /// The first message after the model's last.
    latest_from: usize,
}

impl Turns {
    /// The one rule for every format. Messages of the model in a row are one turn: clients split parallel calls into a
    /// message each. Its calls are the latest while nothing but results follows them, or the turn that holds the results.
    pub(super) fn of(roles: impl Iterator<Item = TurnRole>) -> Turns {
        let mut turns = Turns::default();
        let mut run = 0..0;
        let mut is_answered = false;
        for (at, role) in roles.enumerate() {
            match role {
                TurnRole::Model => {
                    let next = at.saturating_add(1);
                    let start = match run.end == at && !run.is_empty() {
                        true => run.start,
                        false => at,
                    };
                    run = start..next;
                    is_answered = false;
                    turns.latest_from = next;
                    turns.calls = run.clone();
                }
                TurnRole::Result => {}
                TurnRole::UserWithResult => {
                    is_answered = true;
                    turns.calls = run.clone();
                }
                TurnRole::Other if is_answered => {}
                TurnRole::Other => turns.calls = 0..0,
            }
        }
        turns
    }

    /// The turns of one message that is alone.
    pub(super) fn of_one() -> Turns {
        Turns {
            calls: 0..1,
            latest_from: 0,
        }
    }

    /// Author and turn of a message in a request.
    pub(super) fn attribution(&self, from: Known<Author>, at: usize) -> Attribution {
        Attribution {
            origin: Origin::new(from, Part::Text, self.text_turn(at)),
            calls: self.call_turn(at),
            is_result: false,
        }
    }

    /// The turn of a message's texts.
    pub(super) fn text_turn(&self, at: usize) -> Turn {
        latest(at >= self.latest_from)
    }

    /// The turn of a message's calls.
    pub(super) fn call_turn(&self, at: usize) -> Turn {
        latest(self.calls.contains(&at))
    }
}

fn latest(is_latest: bool) -> Turn {
    if is_latest {
        Turn::Latest
    } else {
        Turn::Earlier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `u`ser, `m`odel, `r`esult, a user's message with a result `b`eside others.
    fn turns(messages: &str) -> Turns {
        Turns::of(messages.chars().map(|message| match message {
            'm' => TurnRole::Model,
            'r' => TurnRole::Result,
            'b' => TurnRole::UserWithResult,
            _ => TurnRole::Other,
        }))
    }

    #[test]
    fn a_result_belongs_to_the_last_call_of_its_id() {
        let mut calls = Calls::default();
        assert_eq!(calls.answer("1"), None);
        calls.add("1", "search");
        assert_eq!(calls.answer("1"), Some(Known::Is("search".into())));
        calls.add("1", "read_secret");
        assert_eq!(calls.answer("1"), Some(Known::Is("read_secret".into())));
    }

    #[test]
    fn a_result_that_names_another_tool_than_its_call_may_be_either_s() {
        let mut calls = Calls::default();
        calls.add("1", "search");
        let mut tool = |id, named: Option<&str>| calls.tool_of(id, named.map(Box::from));
        let search = Known::Is(Box::from("search"));
        assert_eq!(tool(Some("1"), None), search);
        assert_eq!(tool(Some("1"), Some("search")), search);
        assert_eq!(tool(Some("1"), Some("read_secret")), Known::Unknown);
        assert_eq!(tool(Some("2"), Some("search")), search);
        assert_eq!(tool(None, Some("search")), search);
        assert_eq!(tool(Some("2"), None), Known::Unknown);
    }

    #[test]
    fn nobody_knows_whose_the_result_is_of_two_calls_that_share_an_id() {
        let mut calls = Calls::default();
        calls.add("1", "read_secret");
        calls.add("1", "search");
        assert_eq!(calls.answer("1"), Some(Known::Unknown));
        assert_eq!(calls.answer("1"), Some(Known::Unknown));
        calls.add("2", "search");
        calls.add("2", "search");
        assert_eq!(calls.answer("2"), Some(Known::Is("search".into())));
    }

    #[test]
    fn calls_are_the_latest_while_nothing_but_results_follows() {
        // Messages; those whose calls are the latest; where the latest texts begin.
        let cases = [
            ("", 0..0, 0),
            ("u", 0..0, 0),
            ("um", 1..2, 2),
            ("umu", 0..0, 2),
            ("umr", 1..2, 2),
            ("umrr", 1..2, 2),
            // Parallel calls in a message each.
            ("umm", 1..3, 3),
            ("ummrr", 1..3, 3),
            // The user goes on: the calls are history.
            ("umru", 0..0, 2),
            ("umrur", 0..0, 2),
            // The user's messages in a row are one turn, and it holds the results.
            ("umb", 1..2, 2),
            ("umbu", 1..2, 2),
            ("umub", 1..2, 2),
            ("umbmu", 0..0, 4),
            // The next call.
            ("umrm", 3..4, 4),
            ("umrmr", 3..4, 4),
            ("umrum", 4..5, 5),
        ];
        for (messages, calls, latest_from) in cases {
            assert_eq!(turns(messages), Turns { calls, latest_from }, "{messages}");
        }
    }
}
