//! Events, texts and problems that a protocol parser extracts from one body.

use super::model_names::{add_spellings, hides_model, is_bare};
use super::{
    Author, Class, Event, Form, Kind, Known, KnownConversation, MessageCounts, RepeatedContent,
    Text, Texts, each_named,
};
use crate::wire::json::{NodeId, Value};
use crate::wire::sorted_map::SortedSet;
use crate::wire::work;

/// Models that a request may use, including fallbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// Names, as written, without duplicates.
    pub names: Vec<Box<str>>,
    /// Other spellings of the names, which deny-side conditions also evaluate.
    pub spellings: Vec<Box<str>>,
    /// Whether another model cannot be determined (that of a stored prompt).
    pub unknown: bool,
}

/// Maximum distinct names.
const MAX_MODELS: usize = 1_024;

impl Models {
    /// Creates the set of these names.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Models {
        let mut models = Models::default();
        for name in names {
            models.add(name);
        }
        models
    }

    /// Creates the set from a test or command line, where `unknown` is a model that cannot be determined.
    pub fn from_words<'n>(names: impl IntoIterator<Item = &'n str>) -> Models {
        let mut models = Models::default();
        for name in names {
            match name {
                "unknown" => models.unknown = true,
                name => models.add(name),
            }
        }
        models
    }

    /// Adds a name. Beyond the maximum, the remaining models are unknown.
    #[inline(never)]
    pub fn add(&mut self, name: &str) {
        work::spend(self.names.len());
        if work::is_exhausted() {
            self.unknown = true;
            return;
        }
        if self.names.iter().any(|known| **known == *name) {
            return;
        }
        if self.names.len() < MAX_MODELS {
            self.names.push(name.into());
            // Most names hide no model and have no other spelling.
            if !is_bare(name) {
                self.unknown |= hides_model(name);
                self.unknown |= !add_spellings(name, &mut self.spellings);
            }
        } else {
            self.unknown = true;
        }
    }
}

/// Token usage as the provider reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens, including cached ones if the provider counts them.
    pub input_tokens: Option<u64>,
    /// Output tokens, including reasoning if the provider counts it.
    pub output_tokens: Option<u64>,
    /// Cached input tokens.
    pub cached_tokens: Option<u64>,
    /// Output tokens for reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Input tokens that the provider does not count among its input tokens: read from a cache, written to it, from
    /// tools that it ran.
    pub other_input: u64,
    /// Output tokens that the provider does not count among its output tokens: reasoning.
    pub other_output: u64,
}

impl Usage {
    /// Adds the tokens of another response. A count that both lack stays absent.
    pub fn add(&mut self, other: Usage) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        self.input_tokens = sum(self.input_tokens, other.input_tokens);
        self.output_tokens = sum(self.output_tokens, other.output_tokens);
        self.cached_tokens = sum(self.cached_tokens, other.cached_tokens);
        self.reasoning_tokens = sum(self.reasoning_tokens, other.reasoning_tokens);
        self.other_input = self.other_input.saturating_add(other.other_input);
        self.other_output = self.other_output.saturating_add(other.other_output);
    }

    /// Returns these counts, with missing ones taken from `other`.
    pub fn or(self, other: Usage) -> Usage {
        let either = |own: u64, other: u64| if own == 0 { other } else { own };
        Usage {
            input_tokens: self.input_tokens.or(other.input_tokens),
            output_tokens: self.output_tokens.or(other.output_tokens),
            cached_tokens: self.cached_tokens.or(other.cached_tokens),
            reasoning_tokens: self.reasoning_tokens.or(other.reasoning_tokens),
            other_input: either(self.other_input, other.other_input),
            other_output: either(self.other_output, other.other_output),
        }
    }

    /// Returns all input tokens, also those that the provider counts elsewhere.
    pub fn all_input(&self) -> Option<u64> {
        all(self.input_tokens, self.other_input)
    }

    /// Returns all output tokens, also those that the provider counts elsewhere.
    pub fn all_output(&self) -> Option<u64> {
        all(self.output_tokens, self.other_output)
    }
}

fn all(told: Option<u64>, other: u64) -> Option<u64> {
    match (told, other) {
        (None, 0) => None,
        (told, other) => Some(told.unwrap_or(0).saturating_add(other)),
    }
}

/// Non-text parts of all turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attachments {
    /// Images.
    pub image: u32,
    /// Documents and other files.
    pub file: u32,
    /// Audio.
    pub audio: u32,
    /// Parts of any kind in tool results, in formats that keep them apart from message parts.
    pub beside: u32,
}

/// Content that could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable code, `AG2…`.
    pub code: &'static str,
    /// JSON Pointer or byte offset, for messages.
    pub at: String,
    /// The error message. It never contains text of the body.
    pub what: String,
}

impl Problem {
    /// Creates the problem of a whole body, which has no place in it.
    #[inline(never)]
    pub fn of_body(code: &'static str, what: &str) -> Problem {
        Problem {
            code,
            at: String::new(),
            what: what.to_owned(),
        }
    }
}

/// The key of approval tokens in an MCP request's `_meta`.
pub const APPROVAL_KEY: &str = "agentguard/approval";

impl Reading {
    /// Creates an empty reading.
    #[inline(never)]
    pub fn new() -> Reading {
        Reading::default()
    }

    /// Adds an event.
    #[inline(never)]
    pub fn add(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Adds the texts in a value, each with its names: strings, keys, long numbers. `class` is the class of the value's
    /// location.
    pub fn add_texts(&mut self, value: Value<'_>, class: Class) {
        let added = self.texts.add(value, class);
        if class == Class::Sealed {
            self.sealed.extend(added.iter().map(|text| text.place));
        }
    }

    /// Adds every string of a decoded value. None of them can be edited.
    pub fn add_tree(&mut self, value: Value<'_>) {
        each_named(value, &mut |named| {
            let text = Text::named(named, Class::Unknown);
            if let Some(text) = text.filter(|text| text.form != Form::Number) {
                self.texts.push(text);
            }
        });
    }

    /// Counts a message of the conversation.
    pub fn count_message(&mut self, from: &Known<Author>) {
        self.messages.count(from);
    }
}

/// A JSON-RPC message of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RpcMessage {
    /// The id as it was written; absent for a notification.
    pub id: Option<Box<[u8]>>,
    /// The method. For a response, the method of its request, if that is known.
    pub method: Option<Box<str>>,
    /// Whether the message is a response to a request of the other side.
    pub is_answer: bool,
    /// The tool that is called. Unknown for a response without a known request.
    pub tool: Known<Box<str>>,
    /// Arguments of the call as they were written, for rules that compare them with the result.
    pub args: Option<Box<[u8]>>,
    /// The URI of the resource.
    pub uri: Option<Box<str>>,
    /// The parameters.
    pub params: Option<NodeId>,
    /// Whether a result for this message declares its type (MCP since 2026-07-28).
    pub typed_result: bool,
    /// Whether the caller requests a task instead of the result.
    pub as_task: bool,
}

impl RpcMessage {
    /// Returns the response to this message, without the members that only a request has.
    pub fn answer(&self) -> RpcMessage {
        RpcMessage {
            method: self.method.clone(),
            is_answer: true,
            tool: self.tool.clone(),
            uri: self.uri.clone(),
            typed_result: self.typed_result,
            as_task: self.as_task,
            ..RpcMessage::default()
        }
    }

    /// Returns the response to an unknown message.
    pub fn unknown_answer() -> RpcMessage {
        RpcMessage {
            is_answer: true,
            tool: Known::Unknown,
            ..RpcMessage::default()
        }
    }
}

/// How a conversation continues after a call is removed from the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pending {
    /// The client sends the whole conversation.
    Nothing,
    /// The provider waits for the call's result, which refers to the response's id.
    ById,
    /// The provider waits for the call's result, and no other request can supply it.
    Stuck,
}

/// The result of parsing one body.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// All texts, in the order of their bytes.
    pub texts: Texts,
    /// All events, in the order of their bytes.
    pub events: Vec<Event>,
    /// Content that could not be parsed.
    pub problems: Vec<Problem>,
    /// Whether the body was not parsed. Its events then only have information from the headers.
    pub is_unread: bool,
    /// Whether the body is a frame of a stream.
    pub is_streamed: bool,
    /// The models that the request may use, or that produced the response.
    pub models: Models,
    /// The provider's agent that the request addresses instead of a model.
    pub agent: Option<Box<str>>,
    /// Whether the client requests a stream.
    pub stream: bool,
    /// Whether the caller requests several alternative responses (choices, candidates).
    pub asks_for_several: bool,
    /// Whether the caller forces the model to call a tool.
    pub forces_tool: bool,
    /// Whether the caller requires a response that conforms to a schema.
    pub structured_output: bool,
    /// Whether the request continues a conversation that the provider keeps.
    pub continues_elsewhere: bool,
    /// How the provider's conversation continues after a call is removed from the response. `None`: it cannot continue
    /// if the provider keeps it.
    pub pending: Option<Pending>,
    /// Whether the caller asks the provider not to store the response.
    pub unstored: bool,
    /// Maximum length of the response in tokens, as requested.
    pub max_tokens: Option<u64>,
    /// Number of messages in the conversation.
    pub messages: MessageCounts,
    /// Token usage, in a response.
    pub usage: Usage,
    /// The finish reason of each choice, in a response.
    pub finish: Vec<Box<str>>,
    /// Number of responses without finish reason: errors, and responses in progress.
    pub endless: u32,
    /// The type of the provider's error, if the response is one.
    pub error: Option<Box<str>>,
    /// Non-text parts.
    pub attachments: Attachments,
    /// The value with the request's settings (`params.*`).
    pub params: Option<NodeId>,
    /// JSON-RPC messages, in their order.
    pub rpc: Vec<RpcMessage>,
    /// The endpoint that the body names, if the path doesn't.
    pub endpoint: Option<&'static str>,
    /// Objects of the body that contain approval tokens, under [`APPROVAL_KEY`].
    pub approvals: Vec<NodeId>,
    /// Values of class `sealed`, for code that reaches a value without its text.
    pub sealed: SortedSet<NodeId>,
    /// Tools and turns that have come before.
    pub repeated: Option<Box<RepeatedContent>>,
}

impl Reading {
    /// Returns the numbers of the events before which tools or turns were passed over, ascending.
    pub fn gaps(&self) -> std::iter::Peekable<std::iter::Copied<std::slice::Iter<'_, u32>>> {
        let repeated = self.repeated.as_deref();
        let gaps = repeated.map_or(&[][..], |repeated| &repeated.gaps);
        gaps.iter().copied().peekable()
    }

    /// Returns the conversation, if its first turns have come before.
    pub fn conversation(&self) -> Option<&KnownConversation> {
        self.repeated.as_deref()?.conversation.as_ref()
    }

    /// Returns whether any tool is offered.
    pub fn has_offers(&self) -> bool {
        let repeated = self.repeated.as_deref();
        let mut passed = repeated.iter().flat_map(|repeated| &repeated.passed_tools);
        // An empty namespace is a tool that offers none.
        passed.any(|(_, tool)| !tool.names.is_empty())
            || self
                .events
                .iter()
                .any(|event| event.kind == Kind::ToolOffer)
    }

    /// Returns the names of the tools that are offered, in their order; unknown ones as well.
    pub fn offers(&self) -> Vec<&Known<Box<str>>> {
        let repeated = self.repeated.as_deref();
        let passed = repeated.map_or(&[][..], |repeated| &repeated.passed_tools);
        let mut passed = passed.iter().peekable();
        let mut names = Vec::new();
        for (number, event) in (0..).zip(&self.events) {
            while let Some((_, tool)) = passed.next_if(|(before, _)| *before <= number) {
                names.extend(&tool.names);
            }
            if event.kind == Kind::ToolOffer {
                names.push(&event.tool);
            }
        }
        names.extend(passed.flat_map(|(_, tool)| &tool.names));
        names
    }
}
