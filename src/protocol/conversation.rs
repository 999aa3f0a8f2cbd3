//! Conversations in every format: the author and the turn of a text, and the call of a result.

use super::reader::{Origin, Reader, Roles};
use crate::event::{Author, CallChange, Class, Known, Part, Turn};
use crate::wire::json::Value;
use crate::wire::sorted_map::SortedMap;
use std::ops::Range;
use std::rc::Rc;

/// Attribution of the content that is read.
#[derive(Clone, Debug)]
pub(super) struct Attribution {
    /// Author, turn and choice. The part is `text`, or `other` inside documents and results of the provider's tools.
    pub(super) origin: Origin,
    /// Turn of the calls in the content.
    pub(super) calls: Turn,
    /// Whether the content is that of a tool's result, which has an event of its own.
    pub(super) is_result: bool,
}

impl Attribution {
    /// Returns the same attribution for content that is not running text: documents, search results.
    pub(super) fn aside(&self) -> Attribution {
        Attribution {
            origin: self.origin.with_part(Part::Other),
            ..self.clone()
        }
    }

    /// Returns the attribution of a tool's result in this content.
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

/// Tools called so far, by the ids of the calls.
///
/// The client supplies the ids, and some models number the calls of each turn from the beginning. So an id refers to
/// the last call with that id. If two calls wait for a result under the same id, it is unknown which of them the
/// result belongs to.
#[derive(Debug, Default)]
pub(super) struct Calls {
    called: SortedMap<Rc<str>, NamedCall>,
    /// Calls and results of the turn that is being read, if they are kept.
    changes: Option<Vec<CallChange>>,
}

#[derive(Debug)]
struct NamedCall {
    tool: Known<Rc<str>>,
    is_answered: bool,
}

impl Calls {
    /// Adds a call of a tool.
    pub(super) fn add(&mut self, id: &str, tool: &str) {
        self.call(id.into(), tool.into());
    }

    fn call(&mut self, id: Rc<str>, tool: Rc<str>) {
        if let Some(changes) = &mut self.changes {
            let (id, tool) = (Rc::clone(&id), Rc::clone(&tool));
            changes.push(CallChange::Called { id, tool });
        }
        let mut tool = Known::Is(tool);
        if let Some(other) = self.called.get(&*id)
            && !other.is_answered
            && other.tool != tool
        {
            tool = Known::Unknown;
        }
        let is_answered = false;
        self.called.insert(id, NamedCall { tool, is_answered });
    }

    /// Keeps the calls and results of a turn from here on.
    pub(super) fn begin_turn(&mut self) {
        self.changes = Some(Vec::new());
    }

    /// Returns the calls and results of the turn.
    pub(super) fn end_turn(&mut self) -> Box<[CallChange]> {
        self.changes.take().unwrap_or_default().into()
    }

    /// Adds the calls and results of a turn that is passed over.
    pub(super) fn pass(&mut self, changes: &[CallChange]) {
        for change in changes {
            match change {
                CallChange::Called { id, tool } => self.call(Rc::clone(id), Rc::clone(tool)),
                CallChange::Answered(id) => {
                    let _ = self.answer(id);
                }
            }
        }
    }

    /// Returns whether a tool was called under this id.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.called.get(id).is_some()
    }

    /// Returns the tool of a result that contains the id of the call, the name of the tool, or both. If they identify
    /// different tools, the result may belong to either.
    pub(super) fn tool_of(&mut self, id: Option<&str>, named: Option<Box<str>>) -> Known<Box<str>> {
        match (id.and_then(|id| self.answer(id)), named) {
            (Some(Known::Is(called)), Some(named)) if called != named => Known::Unknown,
            (Some(called), _) => called,
            (None, named) => named.map_or(Known::Unknown, Known::Is),
        }
    }

    /// Returns the tool whose result has this id; `None` if none was called under it.
    pub(super) fn answer(&mut self, id: &str) -> Option<Known<Box<str>>> {
        let called = self.called.get_mut(id)?;
        called.is_answered = true;
        if let Some(changes) = &mut self.changes {
            changes.push(CallChange::Answered(id.into()));
        }
        Some(match &called.tool {
            Known::Is(tool) => Known::Is((**tool).into()),
            Known::Missing => Known::Missing,
            Known::Unknown => Known::Unknown,
        })
    }
}

/// Roles of OpenAI's messages, which most formats adopted.
pub(super) const ROLES: Roles = &[
    ("system", Author::System),
    ("developer", Author::System),
    ("user", Author::User),
    ("assistant", Author::Assistant),
    ("tool", Author::Tool),
];

/// Returns the author for a message's `role`.
pub(super) fn author_of(message: Value<'_>, roles: Roles) -> Known<Author> {
    let role = message.get("role").and_then(|role| role.text());
    let known = role.and_then(|role| roles.iter().find(|(word, _)| *word == role));
    known.map_or(Known::Unknown, |(_, author)| Known::Is(*author))
}

/// Reads a running text.
pub(super) fn emit_attributed(reader: &mut Reader<'_>, value: Value<'_>, speaker: &Attribution) {
    let texts = reader.register_text(value, Class::Text);
    if speaker.is_result && speaker.origin.part == Part::Text {
        reader.emit_duplicate(value, texts, &speaker.origin);
    } else {
        reader.emit_text(value, texts, &speaker.origin);
    }
}

/// Kind of a message or an item in the order of turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnRole {
    /// Text or action of the model.
    Model,
    /// Result of a tool, in a message or an item of its own.
    Result,
    /// Message of the user that contains a result. Providers combine consecutive messages of the user into one turn,
    /// so it makes no difference whether the user's text is beside the result or in the next message.
    UserWithResult,
    /// Text of the user or the application.
    Other,
}

impl TurnRole {
    /// Returns the kind of a message by its author; `holds_result`: a message of the user may contain a result.
    pub(super) fn of(author: &Known<Author>, holds_result: bool) -> TurnRole {
        match author {
            Known::Is(Author::Assistant) => TurnRole::Model,
            Known::Is(Author::Tool) => TurnRole::Result,
            _ if holds_result => TurnRole::UserWithResult,
            _ => TurnRole::Other,
        }
    }
}

/// Turns of a conversation: the texts and the calls that are the latest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turns {
    /// Messages of the model whose calls are the latest.
    calls: Range<usize>,
    /// First message after the model's last one.
    latest_from: usize,
}

impl Turns {
    /// Determines the turns by the same rule for every format. Consecutive messages of the model are one turn,
    /// because clients split parallel calls into separate messages. The calls of the turn are the latest while only
    /// results follow them, or the turn that contains the results.
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

    /// Returns the turns of a single message.
    pub(super) fn of_one() -> Turns {
        Turns {
            calls: 0..1,
            latest_from: 0,
        }
    }

    /// Returns the number of messages whose texts and calls are all of earlier turns.
    pub(super) fn earlier(&self) -> usize {
        match self.calls.is_empty() {
            true => self.latest_from,
            false => self.latest_from.min(self.calls.start),
        }
    }

    /// Returns author and turn of a message in a request.
    pub(super) fn attribution(&self, from: Known<Author>, at: usize) -> Attribution {
        Attribution {
            origin: Origin::new(from, Part::Text, self.text_turn(at)),
            calls: self.call_turn(at),
            is_result: false,
        }
    }

    /// Returns the turn of a message's texts.
    pub(super) fn text_turn(&self, at: usize) -> Turn {
        latest(at >= self.latest_from)
    }

    /// Returns the turn of a message's calls.
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
            // The user continues: the calls are history.
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
