//! Conversations as every format has them: who speaks, which turn it is, which call a result belongs to.

use super::reader::{Origin, Reader};
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

    /// The tool whose result comes under this id; `None` where none was called under it.
    pub(super) fn answer(&mut self, id: &str) -> Option<Known<Box<str>>> {
        let called = self.0.get_mut(id)?;
        called.is_answered = true;
        Some(called.tool.clone())
    }
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

/// Which messages are the latest turn, and whose calls were just answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turns {
    /// The model's messages whose calls are the latest.
    calls: Range<usize>,
    /// The first message after the model's last.
    latest_from: usize,
}

impl Turns {
    /// Messages of the model in a row are one turn to the provider. A message that holds a result answers the calls,
    /// whatever stands beside the result.
    pub(super) fn of<'v>(
        messages: impl Iterator<Item = Value<'v>>,
        is_model: &dyn Fn(Value<'v>) -> bool,
        holds_result: &dyn Fn(Value<'v>) -> bool,
    ) -> Turns {
        let mut run = 0..0;
        let mut followed = false;
        let mut answered = false;
        for (at, message) in messages.enumerate() {
            let next = at.saturating_add(1);
            if is_model(message) {
                run = if run.end == at && !run.is_empty() {
                    run.start..next
                } else {
                    at..next
                };
                followed = false;
                answered = false;
            } else {
                followed = true;
                answered |= holds_result(message);
            }
        }
        Turns {
            latest_from: run.end,
            calls: if followed && !answered { 0..0 } else { run },
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
    use crate::wire::json::{JsonBody, Limits};

    /// `u`ser, `c`alling model, `r`esult.
    fn turns(messages: &str) -> Turns {
        let body = format!(
            "{:?}",
            messages.chars().map(String::from).collect::<Vec<_>>()
        );
        let json = JsonBody::scan(body.as_bytes(), Limits { max_depth: 9 }, 0).unwrap();
        Turns::of(
            json.body().unwrap().root().elements(),
            &|message| message.is_text("c"),
            &|message| message.is_text("r"),
        )
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
    fn calls_are_the_latest_until_something_else_than_results_follows() {
        assert_eq!(turns("u").calls, 0..0);
        assert_eq!(turns("uc").calls, 1..2);
        assert_eq!(turns("uccr").calls, 1..3);
        assert_eq!(turns("ucr").latest_from, 2);
        assert_eq!(turns("ucru").calls, 1..2);
        assert_eq!(turns("ucu").calls, 0..0);
        assert_eq!(turns("ucrc").calls, 3..4);
    }
}
