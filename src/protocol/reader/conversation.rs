//! Messages of a conversation. Turns that have come before, and on which the policy has no say, are passed over.

use super::Reader;
use crate::event::{KnownConversation, KnownTurns};
use crate::protocol::conversation::{Calls, Turns};
use crate::wire::json::Value;
use crate::wire::span::offset;
use crate::wire::work;
use std::ops::Range;
use std::rc::Rc;

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
        // Tools that stand in a turn are part of it.
        let repeats = self.repeats.take();
        self.array(list, |reader, message| {
            while ranges.next_if(|range| range.end <= at).is_some() {}
            if ranges.peek().is_some_and(|range| range.contains(&at)) {
                reader.pass_turn(message, at, calls);
            } else if at < earlier && reader.is_new_turn(at) {
                reader.read_turn(message, calls, &mut |reader, calls| {
                    read(reader, message, at, calls);
                });
            } else {
                // A second list of messages is no part of the conversation.
                if earlier > 0 {
                    reader.note_known(at);
                }
                read(reader, message, at, calls);
            }
            at = at.saturating_add(1);
        });
        self.repeats = repeats;
        let end = offset(self.reading.events.len());
        if let Some(conversation) = self.conversation_mut().filter(|_| earlier > 0) {
            conversation.events.end = end;
        }
    }

    fn conversation_mut(&mut self) -> Option<&mut KnownConversation> {
        self.reading.repeated.as_deref_mut()?.conversation.as_mut()
    }

    /// Returns which turns are passed over.
    #[inline(never)]
    fn turns_to_pass(&mut self, earlier: usize) -> Vec<Range<usize>> {
        let Some(conversation) = self.conversation_mut() else {
            return Vec::new();
        };
        let ranges = conversation.known.to_pass(earlier);
        for range in &ranges {
            let steps = conversation.known.joined_steps(range);
            conversation.joined_steps = conversation.joined_steps.saturating_add(steps);
        }
        ranges
    }

    /// Looks up the turns of a conversation. Returns the number of its messages that have come before and are all of earlier
    /// turns.
    #[inline(never)]
    fn begin_conversation(&mut self, list: Value<'_>, name: &'static str, turns: &Turns) -> usize {
        let (Some((array, count)), None) = (list.known_beginning(), self.conversation_mut()) else {
            return 0;
        };
        let Some(key) = self.repeats() else {
            return 0;
        };
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
        let known_before = known.turns.borrow().len();
        let start = offset(self.reading.events.len());
        let apart_from = self.text_count();
        self.repeated(key).conversation = Some(KnownConversation {
            known,
            known_before,
            events: start..start,
            apart_from,
            new_turns: Vec::new(),
            joined_steps: 0,
        });
        turns.earlier().min(count)
    }

    /// Passes over a message.
    #[inline(never)]
    fn pass_turn(&mut self, message: Value<'_>, at: usize, calls: &mut Calls) {
        self.claim_all(message);
        let next = offset(self.reading.events.len());
        let Some(repeated) = self.reading.repeated.as_deref_mut() else {
            return;
        };
        let Some(conversation) = &repeated.conversation else {
            return;
        };
        let known = Rc::clone(&conversation.known);
        if let Some(turn) = known.turns.borrow().get(at) {
            work::spend_known(turn.read.steps);
            calls.pass(&turn.read.calls);
            self.reading.messages.add(&turn.read.messages);
            repeated.pass(next, &turn.adds);
        }
        #[cfg(test)]
        PASSED.set(PASSED.get().saturating_add(1));
    }

    /// Notes where a known turn begins that is read again, if it is apart.
    fn note_known(&mut self, at: usize) {
        let texts = self.text_count();
        if let Some(conversation) = self.conversation_mut() {
            let turns = conversation.known.turns.borrow();
            if turns.get(at).is_some_and(|turn| turn.is_apart) {
                conversation.apart_from = texts;
            }
        }
    }

    /// Returns whether a turn has come before but is not known yet.
    fn is_new_turn(&self, at: usize) -> bool {
        let conversation = self.reading.conversation();
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
        calls.begin_turn();
        let mut span = self.read_content(message, &mut |reader| read(reader, calls));
        span.read.calls = calls.end_turn();
        if let Some(conversation) = self.conversation_mut() {
            conversation.new_turns.push(span);
        }
    }
}
