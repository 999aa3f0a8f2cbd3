//! Content of a request that has come before: what reading it gives, and tools that are passed over.

use super::Reader;
use crate::event::{
    Direction, KnownTool, NewTool, Pending, PolicyKey, ReadSpan, ReaderEffects, Reading,
    RepeatedContent,
};
use crate::wire::json::Value;
use crate::wire::span::{index, offset};
use crate::wire::work;
use std::rc::Rc;

/// What reading content may change beside events and texts. Content that changes any of it is read each time.
#[derive(PartialEq, Eq)]
struct ReadingCounts {
    problems: usize,
    models: usize,
    approvals: usize,
    rpc: usize,
}

/// Settings of a request that content may have as well. They are taken before content is read: whether it has one that is set
/// already would not be known otherwise.
#[derive(Default, PartialEq, Eq)]
struct ReadingSettings {
    flags: [bool; 7],
    agent: Option<Box<str>>,
    pending: Option<Pending>,
    max_tokens: Option<u64>,
}

impl ReadingSettings {
    /// Takes the settings of a reading.
    fn take(reading: &mut Reading) -> ReadingSettings {
        ReadingSettings {
            flags: Self::flags(reading).map(std::mem::take),
            agent: reading.agent.take(),
            pending: reading.pending.take(),
            max_tokens: reading.max_tokens.take(),
        }
    }

    /// Gives the settings back to a reading that may have got others.
    fn give(self, reading: &mut Reading) {
        for (flag, was) in Self::flags(reading).into_iter().zip(self.flags) {
            *flag |= was;
        }
        reading.agent = reading.agent.take().or(self.agent);
        reading.pending = reading.pending.max(self.pending);
        reading.max_tokens = reading.max_tokens.max(self.max_tokens);
    }

    fn flags(reading: &mut Reading) -> [&mut bool; 7] {
        [
            &mut reading.models.unknown,
            &mut reading.stream,
            &mut reading.asks_for_several,
            &mut reading.forces_tool,
            &mut reading.structured_output,
            &mut reading.continues_elsewhere,
            &mut reading.unstored,
        ]
    }
}

#[cfg(test)]
thread_local! {
    /// Tools that were passed over on this thread, for tests that they are.
    static PASSED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns the number of tools that were passed over on this thread.
#[cfg(test)]
pub(crate) fn known_tools_passed() -> usize {
    PASSED.get()
}

impl Reader<'_> {
    /// Returns what content is known for; `None` if it is read each time here.
    pub(super) fn repeats(&self) -> Option<PolicyKey> {
        let is_body = self.direction == Direction::Request && self.current == 0 && !self.is_form;
        self.repeats.filter(|_| is_body)
    }

    /// Returns the content that has come before.
    pub(super) fn repeated(&mut self, key: PolicyKey) -> &mut RepeatedContent {
        let repeated = &mut self.reading.repeated;
        repeated.get_or_insert_with(|| Box::new(RepeatedContent::new(key)))
    }

    /// Reads a tool that a request offers, or passes over it. `name` tells the reader of a tool from all others.
    pub(in crate::protocol) fn tool(
        &mut self,
        tool: Value<'_>,
        name: &'static str,
        read: &mut dyn FnMut(&mut Self),
    ) {
        let Some(key) = self.repeats() else {
            return read(self);
        };
        let Some((element, 0)) = tool.known_element() else {
            return read(self);
        };
        match element.recall::<KnownTool>(KnownTool::PLACE) {
            Some(known) if known.key == key && known.reader == name => match known.is_passed() {
                true => self.pass_tool(tool, known, key),
                false => read(self),
            },
            _ => {
                let span = self.read_content(tool, read);
                let all = &mut self.repeated(key).new_tools;
                // What belongs to a tool is found by its place. A format that reads its tools in another order has some read each
                // time.
                if all
                    .last()
                    .is_none_or(|last| last.span.nodes.end <= span.nodes.start)
                {
                    all.push(NewTool { reader: name, span });
                }
            }
        }
    }

    /// Passes over a tool.
    #[inline(never)]
    fn pass_tool(&mut self, tool: Value<'_>, known: Rc<KnownTool>, key: PolicyKey) {
        self.claim_all(tool);
        work::spend_known(known.steps);
        let next = offset(self.reading.events.len());
        let repeated = self.repeated(key);
        repeated.pass(next, &known.adds);
        repeated.passed_tools.push((next, known));
        #[cfg(test)]
        PASSED.set(PASSED.get().saturating_add(1));
    }

    /// Reads content, and returns what reading it gives.
    #[inline(never)]
    pub(super) fn read_content(
        &mut self,
        content: Value<'_>,
        read: &mut dyn FnMut(&mut Self),
    ) -> ReadSpan {
        let (before, settings) = (self.beside(), ReadingSettings::take(&mut self.reading));
        let events = offset(self.reading.events.len());
        let texts = self.text_count();
        let counted = self.reading.messages;
        let opened = self.json.nested();
        let left = work::remaining();
        let repeats = self.repeats.take();
        read(self);
        self.repeats = repeats;
        let own = ReadingSettings::take(&mut self.reading);
        let is_plain = own == ReadingSettings::default() && self.beside() == before;
        own.give(&mut self.reading);
        settings.give(&mut self.reading);
        let steps = left.saturating_sub(work::remaining());
        let nodes = content.place().node..content.end_node();
        let claimed = self.claimed.get(index(nodes.start)..index(nodes.end));
        let is_claimed = claimed.is_some_and(|claimed| !claimed.contains(&false));
        ReadSpan {
            nodes,
            events: events..offset(self.reading.events.len()),
            texts: texts..self.text_count(),
            is_plain: is_claimed && is_plain,
            read: ReaderEffects {
                messages: self.reading.messages.since(&counted),
                calls: Box::default(),
                steps,
                opened: self.json.nested().saturating_sub(opened),
            },
        }
    }

    /// Returns what events and texts don't tell of what was read.
    fn beside(&self) -> ReadingCounts {
        ReadingCounts {
            problems: self.reading.problems.len(),
            models: self.models,
            approvals: self.reading.approvals.len(),
            rpc: self.reading.rpc.len(),
        }
    }
}
