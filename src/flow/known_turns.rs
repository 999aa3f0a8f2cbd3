//! Turns of a conversation that come again with every request: those on which the policy has no say are passed over from then
//! on, with the same decision, the same audit event and the same work budget.

use super::Flow;
use super::exchange::Coverage;
use super::session::ends_first_messages;
use crate::event::{
    Class, Conversation, Direction, Event, Kind, KnownTurn, PassedTurns, Reading, TurnsKey,
};
use crate::policy::{Context, apart};
use crate::wire::json::{JsonBody, MIN_KNOWN_BYTES, NodeId};
use crate::wire::sort;
use crate::wire::span::index;
use crate::wire::work;

impl Flow {
    /// Returns what the turns of a request are known for; `None` if they are evaluated each time.
    #[inline(never)]
    pub(super) fn turns_key(&self, size: usize) -> Option<TurnsKey> {
        let policy = &self.guard.policy;
        let text = u64::try_from(size).ok()?.checked_add(self.exchange.text)?;
        // A simulation may observe every event.
        #[cfg(not(target_arch = "wasm32"))]
        if self.watcher.is_some() {
            return None;
        }
        // The kill list changes while policies stay.
        let is_kept = !self.reads_all_turns
            && !self.kill.stops_tools()
            && size >= MIN_KNOWN_BYTES
            && text <= policy.document.inspect.max_text
            && policy.knows_turns(&self.facts);
        let (documents, steps) = match policy.is_for_all() {
            _ if !is_kept => return None,
            true => (Some(1), 0),
            false => work::count(|| self.documents()),
        };
        Some(TurnsKey {
            policy: self.guard.number,
            documents: documents?,
            steps,
        })
    }

    /// Returns which documents of the policy apply to the exchange, one bit each.
    fn documents(&self) -> Option<u64> {
        let event = Event::new(Kind::Request, Direction::Request, NodeId::default());
        self.without_body(|context| context.policy.documents_of(&event, context))
    }

    /// Adds what the turns that were passed over add to the exchange.
    #[inline(never)]
    pub(super) fn pass_turns(&mut self, reading: &Reading, context: &Context<'_>) {
        let Some(conversation) = reading.conversation.as_deref() else {
            return;
        };
        let passed = &conversation.passed;
        work::spend(usize::try_from(passed.steps).unwrap_or(usize::MAX));
        self.exchange.events.add_all(&passed.events);
        for class in &passed.opaque {
            self.exchange
                .gap(Direction::Request, Coverage::Partial, class);
        }
        if passed.is_searched {
            context.begin_search(Direction::Request);
        }
        if passed.has_identifiers {
            context.find_all_names();
        }
    }
}

/// Returns whether a request has come to a bound on what is inspected. What is beyond a bound depends on what comes before it.
pub(super) fn is_near_bound(reading: &Reading, json: &JsonBody<'_>) -> bool {
    let conversation = reading.conversation.as_deref();
    let opened = conversation.map_or(0, |conversation| conversation.passed.opened);
    work::is_exhausted() || json.may_be_full(opened)
}

/// Evaluation of turns that came a second time.
pub(super) struct NewTurns<'r> {
    conversation: &'r Conversation,
    turns: Vec<KnownTurn>,
    /// Number of the turn whose events are evaluated.
    at: usize,
    /// Work steps of matches over several texts so far, which no event takes.
    joined: u64,
}

impl<'r> NewTurns<'r> {
    /// Returns the turns of a reading that are to be known; `None` if there are none.
    #[inline(never)]
    pub(super) fn of(reading: &'r Reading, context: &Context<'_>) -> Option<NewTurns<'r>> {
        let conversation = reading.conversation.as_deref()?;
        if conversation.turns.is_empty() || !reading.problems.is_empty() {
            return None;
        }
        let turns = conversation.turns.iter().map(|turn| KnownTurn {
            passes: turn.is_plain,
            adds: PassedTurns {
                opened: turn.read.opened,
                ..PassedTurns::default()
            },
            read: turn.read.clone(),
            ..KnownTurn::default()
        });
        Some(NewTurns {
            conversation,
            turns: turns.collect(),
            at: 0,
            joined: context.joined_steps(),
        })
    }

    /// Adds an event that was evaluated, with the steps that it took and the JSON texts that it opened.
    #[inline(never)]
    pub(super) fn add(
        &mut self,
        (number, event): (u32, &Event),
        context: &Context<'_>,
        steps: u64,
        opened: usize,
    ) {
        let joined = context.joined_steps();
        let own = steps.saturating_sub(joined.saturating_sub(self.joined));
        self.joined = joined;
        let turns = &self.conversation.turns;
        while turns
            .get(self.at)
            .is_some_and(|turn| turn.events.end <= number)
        {
            self.at = self.at.saturating_add(1);
        }
        let is_in = turns
            .get(self.at)
            .is_some_and(|turn| turn.events.contains(&number));
        let Some(turn) = self.turns.get_mut(self.at).filter(|_| is_in) else {
            return;
        };
        let adds = &mut turn.adds;
        adds.steps = adds.steps.saturating_add(own);
        adds.opened = adds.opened.saturating_add(opened);
        turn.is_of_user |= ends_first_messages(event);
        if !event.is_duplicate {
            adds.events.add(event.kind);
        }
        adds.opaque.extend(event.opacity);
        let searched = &mut adds.is_searched;
        let policy = context.policy;
        // What this takes is no part of the exchange.
        let mut is_left_alone = || work::aside(|| policy.leaves_alone(event, context, searched));
        turn.passes = turn.passes && is_left_alone();
    }

    /// Adds an identifier or a name in which a secret was looked for.
    #[inline(never)]
    pub(super) fn add_identifier(
        &mut self,
        place: NodeId,
        json: &JsonBody<'_>,
        steps: u64,
        is_found: bool,
    ) {
        if let Some(turn) = self.turn_at(place, json) {
            turn.adds.has_identifiers |= place.doc == 0;
            turn.adds.steps = turn.adds.steps.saturating_add(steps);
            turn.passes &= !is_found;
        }
    }

    fn turn_at(&mut self, place: NodeId, json: &JsonBody<'_>) -> Option<&mut KnownTurn> {
        let node = json.in_body(place)?.node;
        let turns = &self.conversation.turns;
        let at = turns.partition_point(|turn| turn.nodes.end <= node);
        turns.get(at).filter(|turn| turn.nodes.contains(&node))?;
        self.turns.get_mut(at)
    }

    /// Keeps the turns for the next request.
    #[inline(never)]
    pub(super) fn keep(mut self, reading: &Reading, context: &Context<'_>) {
        // What it takes to read texts together is known by the exchanges that search any text.
        if context.may_begin_search(Direction::Request) {
            return;
        }
        let json = context.json;
        let mut runs = context.joined();
        sort::sort(&mut runs);
        let before = runs.partition_point(|(first, _)| *first < self.conversation.apart_from);
        let mut runs = runs.into_iter().skip(before).peekable();
        let apart = apart(reading, json, self.conversation);
        let read = self.conversation.turns.iter();
        let mut end = 0;
        for ((turn, is_apart), read) in self.turns.iter_mut().zip(apart).zip(read) {
            turn.is_apart = is_apart;
            if is_apart {
                let start = read.texts.start;
                while let Some((_, steps)) = runs.next_if(|(first, _)| *first < start) {
                    turn.joined = turn.joined.saturating_add(steps);
                }
            }
            let texts = reading.texts.of(read.texts.clone()).iter();
            turn.adds.length = json.length(texts.map(|text| text.place));
            end = read.texts.end;
        }
        // Names become texts when the whole body has been read.
        let all = reading.texts.get(index(end)..).unwrap_or_default();
        for name in all.iter().filter(|text| text.class == Class::Name) {
            if let Some(turn) = self.turn_at(name.place, json) {
                let length = json.length(std::iter::once(name.place));
                turn.adds.length = turn.adds.length.saturating_add(length);
            }
        }
        let mut known = self.conversation.known.turns.borrow_mut();
        // Another exchange of the same conversation may have added them meanwhile.
        if known.len() == self.conversation.first {
            known.extend(self.turns);
        }
    }
}
