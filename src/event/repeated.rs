//! Content of a request that has come before: the tools and the turns of a conversation, which an agent sends with every
//! request. Tools and turns on which the policy has no say are passed over; what the exchange needs of them is remembered.

use super::EventCounts;
use super::known_tools::{KnownTool, NewTool};
use super::known_turns::{KnownConversation, ReaderEffects};
use std::ops::Range;
use std::rc::Rc;

/// What content is known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyKey {
    /// Number of the policy, unique in the process.
    pub policy: u64,
    /// Documents of the policy that apply to the exchange, one bit each.
    pub documents: u64,
    /// Work steps of finding out whether they apply, which each event takes: they depend on the caller.
    pub steps: u64,
}

/// Content of a request that has come before.
#[derive(Clone, Debug)]
pub struct RepeatedContent {
    /// What it is known for.
    pub key: PolicyKey,
    /// Conversation, if its first turns have come before.
    pub conversation: Option<KnownConversation>,
    /// Tools that have come before and were read.
    pub new_tools: Vec<NewTool>,
    /// Tools that were passed over, each with the number of the event before which it was.
    pub passed_tools: Vec<(u32, Rc<KnownTool>)>,
    /// Numbers of the events before which tools or turns were passed over, ascending.
    pub gaps: Vec<u32>,
    /// What the tools and turns that were passed over add to the exchange.
    pub passed: PassedContent,
}

/// Place of a tool or a turn that was read.
#[derive(Clone, Debug)]
pub struct ReadSpan {
    /// Its nodes in the body.
    pub nodes: Range<u32>,
    /// Its events.
    pub events: Range<u32>,
    /// Its texts.
    pub texts: Range<u32>,
    /// Whether its events are all that reading it gave.
    pub is_plain: bool,
    /// What reading it changes.
    pub read: ReaderEffects,
}

/// What content that is passed over adds to an exchange.
#[derive(Clone, Debug, Default)]
pub struct PassedContent {
    /// Whether its texts are searched.
    pub is_searched: bool,
    /// Whether identifiers or names in it are searched.
    pub has_identifiers: bool,
    /// Number of events.
    pub events: EventCounts,
    /// Classes of opaque content.
    pub opaque: Vec<&'static str>,
    /// Length of the texts in bytes.
    pub length: usize,
    /// Work steps of evaluating it.
    pub steps: u64,
    /// JSON texts in strings that reading and evaluating it opens.
    pub opened: usize,
}

impl RepeatedContent {
    /// Nothing has come before.
    pub fn new(key: PolicyKey) -> RepeatedContent {
        RepeatedContent {
            key,
            conversation: None,
            new_tools: Vec::new(),
            passed_tools: Vec::new(),
            gaps: Vec::new(),
            passed: PassedContent::default(),
        }
    }

    /// Notes that content was passed over before the event with a number.
    pub fn pass(&mut self, event: u32, adds: &PassedContent) {
        self.passed.add(adds);
        if self.gaps.last() != Some(&event) {
            self.gaps.push(event);
        }
    }

    /// Lets everything that was passed over be read the next time, turns each time.
    pub fn pass_none(&self) {
        for (_, tool) in &self.passed_tools {
            tool.pause();
        }
        if let Some(conversation) = &self.conversation {
            conversation.known.pass_none();
        }
    }
}

impl PassedContent {
    /// Adds what other content adds.
    pub fn add(&mut self, other: &PassedContent) {
        self.is_searched |= other.is_searched;
        self.has_identifiers |= other.has_identifiers;
        self.events.add_all(&other.events);
        for class in &other.opaque {
            if !self.opaque.contains(class) {
                self.opaque.push(class);
            }
        }
        self.length = self.length.saturating_add(other.length);
        self.steps = self.steps.saturating_add(other.steps);
        self.opened = self.opened.saturating_add(other.opened);
    }
}
