//! Content of a request that comes again: tools, and turns of a conversation. What the policy has no say on is passed over from
//! then on, with the same decision, the same audit event and the same work budget.

use super::Flow;
use super::exchange::Coverage;
use super::session::ends_first_messages;
use crate::event::{
    Class, Direction, Event, Kind, Known, KnownConversation, KnownTool, KnownTurn, NewTool, Part,
    PassedContent, PolicyKey, ReadSpan, Reading, RepeatedContent,
};
use crate::policy::{Context, apart};
use crate::wire::json::{JsonBody, NodeId};
use crate::wire::sort;
use crate::wire::span::index;
use crate::wire::work;
use std::cell::Cell;
use std::rc::Rc;

/// Minimum bytes of a request in which content may be passed over. There is not enough of it in others.
const MIN_SIZE: usize = 1 << 10;

impl Flow {
    /// Returns what the content of a request is known for; `None` if all of it is evaluated each time.
    #[inline(never)]
    pub(super) fn policy_key(&self, size: usize) -> Option<PolicyKey> {
        let policy = &self.guard.policy;
        let text = u64::try_from(size).ok()?.checked_add(self.exchange.text)?;
        // A simulation may observe every event.
        #[cfg(not(target_arch = "wasm32"))]
        if self.watcher.is_some() {
            return None;
        }
        // The kill list changes while policies stay.
        let is_kept = !self.reads_everything
            && !self.kill.stops_tools()
            && size >= MIN_SIZE
            && text <= policy.document.inspect.max_text
            && policy.knows_content(&self.facts);
        let (documents, steps) = match policy.is_for_all() {
            _ if !is_kept => return None,
            true => (Some(1), 0),
            false => work::count(|| self.documents()),
        };
        Some(PolicyKey {
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

    /// Adds what the content that was passed over adds to the exchange.
    #[inline(never)]
    pub(super) fn pass_repeated(&mut self, reading: &Reading, context: &Context<'_>) {
        let Some(repeated) = reading.repeated.as_deref() else {
            return;
        };
        let passed = &repeated.passed;
        work::spend_known(passed.steps);
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
    let repeated = reading.repeated.as_deref();
    let opened = repeated.map_or(0, |repeated| repeated.passed.opened);
    work::is_exhausted() || json.may_be_full(opened)
}

/// Evaluation of content that has come before and is not known yet.
pub(super) struct NewContent<'r> {
    repeated: &'r RepeatedContent,
    turns: EvaluatedItems<'r>,
    tools: EvaluatedItems<'r>,
    /// Work steps of matches over several texts so far, which no event takes.
    joined: u64,
    /// How often texts were searched so far.
    searches: u32,
}

/// Tool or turn whose events are evaluated.
struct EvaluatedItem<'r> {
    span: &'r ReadSpan,
    /// Whether nothing so far keeps it from being passed over.
    passes: bool,
    /// Whether the messages that name a session end in it.
    is_of_user: bool,
    /// What it adds to the exchange.
    adds: PassedContent,
}

/// Tools or turns whose events are evaluated, in their order.
struct EvaluatedItems<'r> {
    all: Vec<EvaluatedItem<'r>>,
    /// Number of the one whose events are evaluated.
    at: usize,
}

impl<'r> EvaluatedItems<'r> {
    fn new(spans: impl Iterator<Item = &'r ReadSpan>) -> EvaluatedItems<'r> {
        let all = spans.map(|span| EvaluatedItem {
            span,
            passes: span.is_plain,
            is_of_user: false,
            adds: PassedContent {
                opened: span.read.opened,
                ..PassedContent::default()
            },
        });
        EvaluatedItems {
            all: all.collect(),
            at: 0,
        }
    }

    /// Returns the one that has an event. Events come in their order.
    fn of_event(&mut self, number: u32) -> Option<&mut EvaluatedItem<'r>> {
        let ends = |item: &EvaluatedItem<'_>| item.span.events.end <= number;
        while self.all.get(self.at).is_some_and(ends) {
            self.at = self.at.saturating_add(1);
        }
        let item = self.all.get_mut(self.at)?;
        item.span.events.contains(&number).then_some(item)
    }

    /// Returns the one that has a node of the body.
    fn of_node(&mut self, node: u32) -> Option<&mut EvaluatedItem<'r>> {
        let at = self.all.partition_point(|item| item.span.nodes.end <= node);
        let item = self.all.get_mut(at)?;
        item.span.nodes.contains(&node).then_some(item)
    }

    /// Adds the lengths of the texts.
    fn measure(&mut self, reading: &Reading, json: &JsonBody<'_>) {
        for item in &mut self.all {
            let texts = reading.texts.of(item.span.texts.clone()).iter();
            let length = json.length(texts.map(|text| text.place));
            item.adds.length = item.adds.length.saturating_add(length);
        }
    }
}

impl<'r> NewContent<'r> {
    /// Returns the content of a reading that is to be known; `None` if there is none.
    #[inline(never)]
    pub(super) fn of(reading: &'r Reading, context: &Context<'_>) -> Option<NewContent<'r>> {
        let repeated = reading.repeated.as_deref()?;
        let turns = repeated.conversation.iter();
        let turns = EvaluatedItems::new(turns.flat_map(|conversation| &conversation.new_turns));
        let tools = EvaluatedItems::new(repeated.new_tools.iter().map(|tool| &tool.span));
        let is_empty = turns.all.is_empty() && tools.all.is_empty();
        if is_empty || !reading.problems.is_empty() {
            return None;
        }
        Some(NewContent {
            repeated,
            turns,
            tools,
            joined: context.joined_steps(),
            searches: context.searches(),
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
        let searches = std::mem::replace(&mut self.searches, context.searches());
        let has_searched = searches != self.searches;
        let (item, may_pass) = match self.turns.of_event(number) {
            // The names of all tools that are offered are needed; those of a turn are not kept.
            Some(turn) => (turn, event.kind != Kind::ToolOffer),
            None => match self.tools.of_event(number) {
                Some(tool) => (tool, true),
                None => return,
            },
        };
        let adds = &mut item.adds;
        adds.steps = adds.steps.saturating_add(own);
        adds.opened = adds.opened.saturating_add(opened);
        item.is_of_user |= ends_first_messages(event);
        if !event.is_duplicate {
            adds.events.add(event.kind);
        }
        adds.opaque.extend(event.opacity);
        adds.is_searched |= has_searched;
        // What this takes is no part of the exchange.
        let is_left_alone = || work::aside(|| context.policy.leaves_alone(event, context));
        item.passes = item.passes && may_pass && is_left_alone();
        self.searches = context.searches();
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
        if let Some(item) = self.at(place, json) {
            item.adds.has_identifiers |= place.doc == 0;
            item.adds.steps = item.adds.steps.saturating_add(steps);
            item.passes &= !is_found;
        }
    }

    /// Returns the turn or tool that has a place in the body.
    fn at(&mut self, place: NodeId, json: &JsonBody<'_>) -> Option<&mut EvaluatedItem<'r>> {
        let node = json.in_body(place)?.node;
        let turn = self.turns.of_node(node);
        turn.or_else(|| self.tools.of_node(node))
    }

    /// Keeps the content for the next request.
    #[inline(never)]
    pub(super) fn keep(mut self, reading: &Reading, context: &Context<'_>) {
        let json = context.json;
        self.turns.measure(reading, json);
        self.tools.measure(reading, json);
        self.measure_names(reading, json);
        for (tool, item) in self.repeated.new_tools.iter().zip(self.tools.all) {
            keep_tool(tool, item, self.repeated.key, reading, json);
        }
        // What it takes to read texts together is known by the exchanges that search any text.
        if let Some(conversation) = &self.repeated.conversation
            && !context.may_begin_search(Direction::Request)
        {
            keep_turns(conversation, self.turns.all, reading, context);
        }
    }

    /// Adds the lengths of names, which become texts when the whole body has been read.
    fn measure_names(&mut self, reading: &Reading, json: &JsonBody<'_>) {
        let items = self.turns.all.iter().chain(&self.tools.all);
        let end = items.map(|item| item.span.texts.end).max();
        let end = end.unwrap_or_default();
        let behind = reading.texts.get(index(end)..).unwrap_or_default();
        for name in behind.iter().filter(|text| text.class == Class::Name) {
            if let Some(item) = self.at(name.place, json) {
                let length = json.length(std::iter::once(name.place));
                item.adds.length = item.adds.length.saturating_add(length);
            }
        }
    }
}

/// Keeps turns for the next request.
fn keep_turns(
    conversation: &KnownConversation,
    all: Vec<EvaluatedItem<'_>>,
    reading: &Reading,
    context: &Context<'_>,
) {
    let mut runs = context.joined_runs();
    sort::sort(&mut runs);
    let before = runs.partition_point(|run| run.first < conversation.apart_from);
    let mut runs = runs.into_iter().skip(before).peekable();
    let apart = apart(reading, context.json, conversation);
    let turns = all.into_iter().zip(apart).map(|(turn, is_apart)| {
        let mut joined_steps = 0u64;
        let start = turn.span.texts.start;
        while is_apart && let Some(run) = runs.next_if(|run| run.first < start) {
            joined_steps = joined_steps.saturating_add(run.steps);
        }
        KnownTurn {
            passes: turn.passes,
            is_apart,
            is_of_user: turn.is_of_user,
            read: turn.span.read.clone(),
            adds: turn.adds,
            joined_steps,
        }
    });
    let mut known = conversation.known.turns.borrow_mut();
    // Another exchange of the same conversation may have added them meanwhile.
    if known.len() == conversation.known_before {
        known.extend(turns);
    }
}

/// Keeps a tool for the next request.
fn keep_tool(
    tool: &NewTool,
    item: EvaluatedItem<'_>,
    key: PolicyKey,
    reading: &Reading,
    json: &JsonBody<'_>,
) {
    let span = item.span;
    let events = index(span.events.start)..index(span.events.end);
    let events = reading.events.get(events).unwrap_or_default();
    let offers = events.iter().filter(|event| event.kind == Kind::ToolOffer);
    let names: Box<[_]> = offers.map(|offer| offer.tool.clone()).collect();
    // Its definition, which is no text of a message, ends what is read together before it, and so does what is passed over.
    let mut messages = events.iter().filter(|event| event.kind == Kind::Message);
    let is_definition = |event: &Event| event.part == Part::Definition;
    let is_apart = messages.next().is_some_and(is_definition) && messages.all(is_definition);
    let place = NodeId {
        node: span.nodes.start,
        ..NodeId::default()
    };
    let Some((element, 0)) = json.value(place).and_then(|tool| tool.known_element()) else {
        return;
    };
    let length = |name: &Known<Box<str>>| name.value().map_or(0, |name| name.len());
    let bytes = size_of::<KnownTool>()
        .saturating_add(size_of_val(&*names))
        .saturating_add(names.iter().map(length).sum());
    if !element.can_remember(bytes) {
        return;
    }
    let tool = KnownTool {
        key,
        reader: tool.reader,
        passes: item.passes && is_apart,
        pause: Cell::default(),
        names,
        steps: span.read.steps,
        adds: item.adds,
    };
    element.remember(KnownTool::PLACE, &Rc::new(tool), bytes);
}
