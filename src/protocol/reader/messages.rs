//! JSON-RPC messages of a body: each event in one refers to it.

use super::Reader;
use crate::event::{Known, RpcMessage};
use crate::wire::json::{NodeId, Value};
use crate::wire::span::offset;
use std::ops::Range;

/// Nodes of a JSON-RPC message.
pub(super) struct Section {
    nodes: Range<u32>,
    /// Index of the message that contains this one.
    parent: Option<usize>,
    /// Number of the top-level message that is, or contains, this one.
    choice: u32,
}

impl Reader<'_> {
    /// Records a JSON-RPC message. Every event in it, including those of unknown texts, refers to the message. A
    /// message inside another one is recorded after it.
    pub fn message(&mut self, value: Value<'_>, message: RpcMessage) {
        let start = value.place().node;
        let end = value
            .descendants()
            .last()
            .map_or(start, |last| last.value.place().node);
        let parent = self.section_at(start);
        let choice = match parent.and_then(|parent| self.messages.get(parent)) {
            Some(parent) => parent.choice,
            None => self
                .messages
                .last()
                .map_or(0, |last| last.choice.saturating_add(1)),
        };
        self.messages.push(Section {
            nodes: start..end.saturating_add(1),
            parent,
            choice,
        });
        self.reading.rpc.push(message);
    }

    /// Returns the arguments of the call that is the request with this number. They are attached to the body once, however many
    /// results say that they answer it.
    pub fn arguments_of(&mut self, number: u32, arguments: &[u8]) -> Known<NodeId> {
        if let Some(known) = self.arguments.get(&number) {
            return known.clone();
        }
        let attached = self.json.attach(arguments.to_vec());
        let place = attached.map_or(Known::Unknown, |doc| Known::Is(doc.root().place()));
        self.arguments.insert(number, place.clone());
        place
    }

    /// Returns the innermost message that contains a node.
    fn section_at(&self, node: u32) -> Option<usize> {
        let after = self
            .messages
            .partition_point(|message| message.nodes.start <= node);
        let mut at = after.checked_sub(1)?;
        loop {
            let section = self.messages.get(at)?;
            if section.nodes.contains(&node) {
                return Some(at);
            }
            at = section.parent?;
        }
    }

    /// Assigns the events since `from` to their JSON-RPC messages. Later events have none.
    pub fn end_messages(&mut self, from: usize) {
        if self.messages.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.reading.events);
        for event in events.iter_mut().skip(from) {
            let place = self.json.in_body(event.at);
            let at = place.and_then(|place| self.section_at(place.node));
            if let Some((at, section)) = at.and_then(|at| Some((at, self.messages.get(at)?))) {
                event.rpc = Some(offset(at));
                event.choice = section.choice;
            }
        }
        self.reading.events = events;
        self.messages.clear();
    }
}
