//! Messages of a conversation. Turns that have come before, and on which the policy has no say, are passed over.

use super::Reader;
use crate::event::{
    Conversation, Direction, KnownTurns, PassedTurns, Pending, ReaderEffects, TurnSpan,
};
use crate::protocol::conversation::{Calls, Turns};
use crate::wire::json::Value;
use crate::wire::span::{index, offset};
use crate::wire::work;
use std::ops::Range;
use std::rc::Rc;

/// What reading a turn may change beside events and texts. A turn that changes any of it is read each time.
#[derive(PartialEq, Eq)]
struct ReadingState {
    problems: usize,
    models: (usize, usize, bool),
    has_agent: bool,
    flags: [bool; 6],
    pending: Option<Pending>,
    max_tokens: Option<u64>,
    approvals: usize,
    rpc: usize,
}

#[cfg(test)]
thread_local! {
    /// Turns that were passed over on this thread, for tests that they are.
    static PASSED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns the number of turns that were passed over on this thread.
#[cfg(test)]
pub(crate) fn known_turns_passed() -> usize {
    PASSED.get()
}

impl Reader<'_> {
    /// Reads the messages of a conversation in a request, each with its number. `name` tells the reader of a message from all
    /// others.
    pub(in crate::protocol) fn conversation<'v>(
        &mut self,
        list: Value<'v>,
        name: &'static str,
        turns: &Turns,
        calls: &mut Calls,
        read: &mut dyn FnMut(&mut Self, Value<'v>, usize, &mut Calls),
    ) {
        let earlier = self.begin_conversation(list, name, turns);
        let mut at = 0usize;
        let mut ranges = self.turns_to_pass(earlier).into_iter().peekable();
        self.array(list, |reader, message| {
            while ranges.next_if(|range| range.end <= at).is_some() {}
            if ranges.peek().is_some_and(|range| range.contains(&at)) {
                reader.pass_turn(message, at, calls);
            } else if at < earlier && reader.is_new_turn(at) {
                reader.read_turn(message, calls, &mut |reader, calls| {
                    read(reader, message, at, calls);
                });
            } else {
                reader.note_known(at);
                read(reader, message, at, calls);
            }
            at = at.saturating_add(1);
        });
    }

    /// Returns which turns are passed over.
    #[inline(never)]
    fn turns_to_pass(&mut self, earlier: usize) -> Vec<Range<usize>> {
        let Some(conversation) = self.reading.conversation.as_deref_mut() else {
            return Vec::new();
        };
        let ranges = conversation.known.to_pass(earlier);
        for range in &ranges {
            let joined = conversation.known.joined(range);
            conversation.joined = conversation.joined.saturating_add(joined);
        }
        ranges
    }

    /// Looks up the turns of a conversation. Returns the number of its messages that have come before and are all of earlier
    /// turns.
    #[inline(never)]
    fn begin_conversation(&mut self, list: Value<'_>, name: &'static str, turns: &Turns) -> usize {
        let (Some(key), None) = (self.known_turns, &self.reading.conversation) else {
            return 0;
        };
        let Some((array, count)) = list.known_beginning() else {
            return 0;
        };
        if self.direction != Direction::Request || self.current != 0 || self.is_form {
            return 0;
        }
        let known = array.recall::<KnownTurns>();
        let known = known.filter(|known| known.key == key && known.reader == name);
        let known = known.unwrap_or_else(|| {
            let known = Rc::new(KnownTurns {
                key,
                reader: name,
                turns: Default::default(),
            });
            array.remember(Rc::clone(&known));
            known
        });
        let first = known.turns.borrow().len();
        self.reading.conversation = Some(Box::new(Conversation {
            known,
            first,
            start: offset(self.reading.events.len()),
            apart_from: self.text_count(),
            turns: Vec::new(),
            gaps: Vec::new(),
            passed: PassedTurns::default(),
            joined: 0,
        }));
        turns.earlier().min(count)
    }

    /// Passes over a message.
    #[inline(never)]
    fn pass_turn(&mut self, message: Value<'_>, at: usize, calls: &mut Calls) {
        self.claim_all(message);
        let Some(mut conversation) = self.reading.conversation.take() else {
            return;
        };
        if let Some(turn) = conversation.known.turns.borrow().get(at) {
            work::spend(usize::try_from(turn.read.steps).unwrap_or(usize::MAX));
            calls.pass(&turn.read.calls);
            self.reading.messages.add(&turn.read.messages);
            conversation.passed.add(&turn.adds);
        }
        #[cfg(test)]
        PASSED.set(PASSED.get().saturating_add(1));
        let next = offset(self.reading.events.len());
        if conversation.gaps.last() != Some(&next) {
            conversation.gaps.push(next);
        }
        self.reading.conversation = Some(conversation);
    }

    /// Notes where a known turn begins that is read again, if it is apart.
    fn note_known(&mut self, at: usize) {
        let texts = self.text_count();
        if let Some(conversation) = self.reading.conversation.as_deref_mut() {
            let turns = conversation.known.turns.borrow();
            if turns.get(at).is_some_and(|turn| turn.is_apart) {
                conversation.apart_from = texts;
            }
        }
    }

    /// Returns whether a turn has come before but is not known yet.
    fn is_new_turn(&self, at: usize) -> bool {
        let conversation = self.reading.conversation.as_deref();
        conversation.is_some_and(|it| at >= it.known.turns.borrow().len())
    }

    /// Reads a turn, and keeps what reading it gives.
    #[inline(never)]
    fn read_turn(
        &mut self,
        message: Value<'_>,
        calls: &mut Calls,
        read: &mut dyn FnMut(&mut Self, &mut Calls),
    ) {
        let before = self.beside();
        let events = offset(self.reading.events.len());
        let texts = self.text_count();
        let counted = self.reading.messages;
        let opened = self.json.nested();
        let left = work::remaining();
        calls.begin_turn();
        read(self, calls);
        let calls = calls.end_turn();
        let steps = left.saturating_sub(work::remaining());
        let nodes = message.place().node..message.end_node();
        let claimed = self.claimed.get(index(nodes.start)..index(nodes.end));
        let is_claimed = claimed.is_some_and(|claimed| !claimed.contains(&false));
        let turn = TurnSpan {
            nodes,
            events: events..offset(self.reading.events.len()),
            texts: texts..self.text_count(),
            is_plain: is_claimed && self.beside() == before,
            read: ReaderEffects {
                messages: self.reading.messages.since(&counted),
                calls,
                steps,
                opened: self.json.nested().saturating_sub(opened),
            },
        };
        if let Some(conversation) = &mut self.reading.conversation {
            conversation.turns.push(turn);
        }
    }

    /// Returns what events and texts don't tell of what was read.
    fn beside(&self) -> ReadingState {
        let reading = &self.reading;
        let models = &reading.models;
        ReadingState {
            problems: reading.problems.len(),
            models: (models.names.len(), models.spellings.len(), models.unknown),
            has_agent: reading.agent.is_some(),
            flags: [
                reading.stream,
                reading.asks_for_several,
                reading.forces_tool,
                reading.structured_output,
                reading.continues_elsewhere,
                reading.unstored,
            ],
            pending: reading.pending,
            max_tokens: reading.max_tokens,
            approvals: reading.approvals.len(),
            rpc: reading.rpc.len(),
        }
    }
}
