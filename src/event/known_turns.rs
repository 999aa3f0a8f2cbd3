//! Turns of a conversation that have come before, byte for byte and in the same place, and on which the policy has no say: no
//! rule and no default could decide anything about them, whoever sends them. An agent sends all of its turns with every
//! request. Such turns are passed over: what the exchange needs of them is remembered.

use super::MessageCounts;
use super::repeated::{PassedContent, PolicyKey, ReadSpan};
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

/// Turns of one conversation, from the first one on.
#[derive(Debug)]
pub struct KnownTurns {
    /// What they are known for.
    pub key: PolicyKey,
    /// Reader of the turns.
    pub reader: &'static str,
    /// Turns. More are added when they come again.
    pub turns: RefCell<Vec<KnownTurn>>,
}

/// What an exchange needs of a turn that is passed over.
#[derive(Clone, Debug, Default)]
pub struct KnownTurn {
    /// Whether the turn can be passed over.
    pub passes: bool,
    /// Whether no text before the turn is read together with one in it or behind it.
    pub is_apart: bool,
    /// Whether the messages that name a session end in the turn.
    pub is_of_user: bool,
    /// What reading the turn changes.
    pub read: ReaderEffects,
    /// What the turn adds to the exchange.
    pub adds: PassedContent,
    /// If the turn is apart: work steps of reading texts together from the last such turn before it on.
    pub joined_steps: u64,
}

/// What reading a turn changes in its reader, beside events and texts.
#[derive(Clone, Debug, Default)]
pub struct ReaderEffects {
    /// Number of its messages.
    pub messages: MessageCounts,
    /// Calls and results in it, in their order.
    pub calls: Box<[CallChange]>,
    /// Work steps that reading it takes.
    pub steps: u64,
    /// JSON texts in strings that reading it opens.
    pub opened: usize,
}

/// Call or result in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallChange {
    /// Call of a tool under an id.
    Called {
        /// Id of the call.
        id: Rc<str>,
        /// Name of the tool.
        tool: Rc<str>,
    },
    /// Result of the call with an id.
    Answered(Rc<str>),
}

/// Conversation of a request whose first turns have come before.
#[derive(Clone, Debug)]
pub struct KnownConversation {
    /// Turns that are known.
    pub known: Rc<KnownTurns>,
    /// Number of turns that were known before the request.
    pub known_before: usize,
    /// Numbers of its events.
    pub events: Range<u32>,
    /// First text of the last known turn that is read again and apart. Runs of texts that begin before it are of known turns.
    pub apart_from: u32,
    /// Turns behind the known ones that have come before and were read, to be known from then on.
    pub new_turns: Vec<ReadSpan>,
    /// Work steps of reading texts in them together, if the exchange searches any text.
    pub joined_steps: u64,
}

impl KnownTurns {
    /// Lets all turns that are known so far be read each time.
    pub fn pass_none(&self) {
        for turn in &mut *self.turns.borrow_mut() {
            turn.passes = false;
        }
    }

    /// Returns which of the first `most` turns are passed over. Texts on the two sides of a place where turns are left out are never
    /// read together. Turns up to the user's first message are always read: they name the session.
    pub fn to_pass(&self, most: usize) -> Vec<Range<usize>> {
        let turns = self.turns.borrow();
        let mut ranges = Vec::new();
        let mut at = turns
            .iter()
            .position(|turn| turn.is_of_user)
            .map_or(most, |user| user.saturating_add(1));
        while at < most {
            let rest = turns.get(at..).unwrap_or_default();
            let passing = rest.iter().take_while(|turn| turn.passes).count();
            let passing = passing.min(most.saturating_sub(at));
            let mut places =
                (0..=passing).filter(|end| rest.get(*end).is_some_and(|turn| turn.is_apart));
            if let (Some(start), Some(end)) = (places.next(), places.next_back()) {
                ranges.push(at.saturating_add(start)..at.saturating_add(end));
            }
            at = at.saturating_add(passing).saturating_add(1);
        }
        ranges
    }

    /// Returns the work steps of reading texts in these turns together.
    pub fn joined_steps(&self, turns: &Range<usize>) -> u64 {
        let known = self.turns.borrow();
        let behind = known.get(turns.start.saturating_add(1)..=turns.end);
        let steps = behind
            .unwrap_or_default()
            .iter()
            .map(|turn| turn.joined_steps);
        steps.fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns which turns are passed over: `u`ser's and `m`odel's, in upper case with texts that may go on from before; those
    /// in which something could match are marked by `!` behind them.
    fn passed(turns: &str, most: usize) -> Vec<Range<usize>> {
        let mut all: Vec<KnownTurn> = Vec::new();
        for letter in turns.chars() {
            match letter {
                '!' => all.last_mut().unwrap().passes = false,
                _ => all.push(KnownTurn {
                    passes: true,
                    is_apart: letter.is_lowercase(),
                    is_of_user: letter.eq_ignore_ascii_case(&'u'),
                    ..KnownTurn::default()
                }),
            }
        }
        let known = KnownTurns {
            key: PolicyKey {
                policy: 0,
                documents: 0,
                steps: 0,
            },
            reader: "",
            turns: RefCell::new(all),
        };
        known.to_pass(most)
    }

    #[test]
    fn turns_are_passed_over_where_texts_on_both_sides_are_read_apart() {
        let cases: [(&str, usize, &str); 12] = [
            ("", 0, ""),
            ("umumum", 6, "1..5"),
            ("umumum", 3, "1..3"),
            ("sumumum", 7, "2..6"),
            ("mmmm", 4, ""),
            ("umUMUM", 6, ""),
            ("umUMuM", 6, "1..4"),
            ("uMumUm", 6, "2..5"),
            ("umum!um", 6, "1..3, 4..5"),
            ("umuM!um", 6, "1..2, 4..5"),
            ("um!u!m!u!m", 6, ""),
            ("u!mum", 4, "1..3"),
        ];
        for (turns, most, expected) in cases {
            let passed: Vec<String> = passed(turns, most)
                .iter()
                .map(|range| format!("{range:?}"))
                .collect();
            assert_eq!(passed.join(", "), expected, "{turns} {most}");
        }
    }
}
