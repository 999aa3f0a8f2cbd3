//! What was found in one body.

use super::model_names::{hides_model, spellings};
use super::{Author, Class, Event, Form, Known, Text, each_named};
use crate::wire::json::{NodeId, Value, ValueKind};
use crate::wire::sorted_map::SortedSet;

/// The models that a request may use: all of them, since a fallback answers as well as the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// Names, as written, without duplicates.
    pub names: Vec<Box<str>>,
    /// Other spellings of them, of which what restricts is asked as well.
    pub spellings: Vec<Box<str>>,
    /// There is one more that can't be determined (a stored prompt's).
    pub unknown: bool,
}

/// Most names that are told apart. No request asks for as many.
const MOST_MODELS: usize = 1_024;

impl Models {
    /// The set of these names.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Models {
        let mut models = Models::default();
        for name in names {
            models.add(name);
        }
        models
    }

    /// The same as people write it: `unknown` stands for one that can't be determined.
    pub fn told<'n>(names: impl IntoIterator<Item = &'n str>) -> Models {
        let mut models = Models::default();
        for name in names {
            match name {
                "unknown" => models.unknown = true,
                name => models.add(name),
            }
        }
        models
    }

    /// Adds a name. Of too many, the others can't be told.
    #[inline(never)]
    pub fn add(&mut self, name: &str) {
        if self.names.iter().any(|known| **known == *name) {
            return;
        }
        if self.names.len() < MOST_MODELS {
            self.names.push(name.into());
            self.unknown |= hides_model(name);
            self.spellings.extend(spellings(name));
        } else {
            self.unknown = true;
        }
    }
}

/// Tokens as the provider reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read, cached ones included where the provider counts them in.
    pub input_tokens: Option<u64>,
    /// Tokens written, reasoning included where the provider counts it in.
    pub output_tokens: Option<u64>,
    /// Of the input: read from a cache.
    pub cached_tokens: Option<u64>,
    /// Of the output: reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Adds tokens of another response. What neither tells stays untold.
    pub fn add(&mut self, other: Usage) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        self.input_tokens = sum(self.input_tokens, other.input_tokens);
        self.output_tokens = sum(self.output_tokens, other.output_tokens);
        self.cached_tokens = sum(self.cached_tokens, other.cached_tokens);
        self.reasoning_tokens = sum(self.reasoning_tokens, other.reasoning_tokens);
    }

    /// These counts, and where there are none, those.
    pub fn or(self, other: Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.or(other.input_tokens),
            output_tokens: self.output_tokens.or(other.output_tokens),
            cached_tokens: self.cached_tokens.or(other.cached_tokens),
            reasoning_tokens: self.reasoning_tokens.or(other.reasoning_tokens),
        }
    }
}

/// Parts that are no text, all turns together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attachments {
    /// Images.
    pub image: u32,
    /// Documents and other files.
    pub file: u32,
    /// Audio.
    pub audio: u32,
    /// Those of any kind that a tool's result brings along where the format keeps them apart from its messages' parts.
    pub beside: u32,
}

/// A thing that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable code, `AG2…`.
    pub code: &'static str,
    /// JSON Pointer or byte offset, for people.
    pub at: String,
    /// What is wrong, for people; never holds text of the body.
    pub what: String,
}

impl Reading {
    /// A reading that has found nothing yet.
    #[inline(never)]
    pub fn new() -> Reading {
        Reading::default()
    }

    /// Adds an event.
    #[inline(never)]
    pub fn add(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Adds every string in a value that something was decoded to; none of them can be edited.
    pub fn add_tree(&mut self, value: Value<'_>) {
        each_named(value, &mut |named| {
            if named.value.kind() == ValueKind::String {
                let form = match named.is_key {
                    true => Form::Key,
                    false => Form::String,
                };
                self.texts.push(Text {
                    place: named.value.place(),
                    class: Class::Unknown,
                    form,
                    key: named.name.nearest.map(Value::place),
                    over: named.name.over.map(Value::place),
                    is_data: false,
                });
            }
        });
    }

    /// Counts a message of the conversation.
    pub fn count_message(&mut self, from: &Known<Author>) {
        self.messages = self.messages.saturating_add(1);
        let at = from
            .value()
            .and_then(|from| Author::ALL.iter().position(|author| author == from));
        if let Some(count) = at.and_then(|at| self.messages_by_author.get_mut(at)) {
            *count = count.saturating_add(1);
        }
    }
}

/// A JSON-RPC message of a body: what its response has to name, and what rules can ask of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RpcMessage {
    /// The id as it was written; absent for a notification.
    pub id: Option<Box<[u8]>>,
    /// The method; of a response the method that it answers, if that is known.
    pub method: Option<Box<str>>,
    /// Whether it answers a request of the other side.
    pub is_answer: bool,
    /// The tool that is called; unknown for an answer to nothing that was asked here.
    pub tool: Known<Box<str>>,
    /// Arguments of the call as they were written, for rules that look at them beside the result.
    pub args: Option<Box<[u8]>>,
    /// The resource that it is about.
    pub uri: Option<Box<str>>,
    /// Its parameters.
    pub params: Option<NodeId>,
    /// A result for this message says what type of result it is (MCP since 2026-07-28).
    pub typed_result: bool,
    /// The caller asked for a task instead of the result itself.
    pub as_task: bool,
}

/// How a conversation can go on if a call is taken out of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pending {
    /// The client brings all of it.
    Nothing,
    /// The provider waits for the call's result, which comes with the response's id.
    ById,
    /// The provider waits for the call's result, and nobody knows of it.
    Stuck,
}

/// Everything that a protocol's reader found in one body.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// All texts, in the order of their bytes.
    pub texts: Vec<Text>,
    /// All events, in the order of their bytes.
    pub events: Vec<Event>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Nothing of the body was read: its events tell only what the headers say.
    pub is_unread: bool,
    /// Models that the request may use, or that answered.
    pub models: Models,
    /// The agent at the provider that was asked instead of a model.
    pub agent: Option<Box<str>>,
    /// Whether a streamed response was asked for.
    pub stream: bool,
    /// The caller forced the model to call a tool.
    pub forces_tool: bool,
    /// The caller asked for a response in a schema's shape.
    pub structured_output: bool,
    /// The request continues a conversation that the provider keeps.
    pub continues_elsewhere: bool,
    /// How the provider's conversation goes on if a call is taken out of the response; where nothing is said, not at all
    /// if the provider keeps it.
    pub pending: Option<Pending>,
    /// The caller asked that the response is not kept.
    pub unstored: bool,
    /// Longest answer that was asked for, in tokens.
    pub max_tokens: Option<u64>,
    /// Messages of the conversation.
    pub messages: u64,
    /// Messages by author: system, user, assistant, tool.
    pub messages_by_author: [u64; 4],
    /// Tokens, in a response.
    pub usage: Usage,
    /// Why each choice ended, in a response.
    pub finish: Vec<Box<str>>,
    /// Answers that say no reason: errors, and answers that are still being written.
    pub endless: u32,
    /// The response is an error of the provider; its type if it says one.
    pub error: Option<Box<str>>,
    /// Parts that are no text.
    pub attachments: Attachments,
    /// The request's own settings (`params.*`): the value that holds them.
    pub params: Option<NodeId>,
    /// JSON-RPC messages, in their order.
    pub rpc: Vec<RpcMessage>,
    /// What the body says is asked for, where the path doesn't.
    pub endpoint: Option<&'static str>,
    /// Where texts of class `sealed` stand, for those who come to a value on another way than through its text.
    pub sealed: SortedSet<NodeId>,
}
