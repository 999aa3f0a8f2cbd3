//! Events: the provider-independent vocabulary between protocols and policy. Each event has its location in the body.

mod custom_format;
mod facts;
mod history;
mod known_tools;
mod known_turns;
mod model_names;
mod name_cache;
mod names;
mod naming;
mod reading;
mod redaction;
mod repeated;
mod texts;

pub use custom_format::{CustomCallFormat, CustomFormat};
pub use facts::{Facts, Principal, RequestFacts};
pub use history::{BroadNarrow, Count, History, HistoryMatches, Position};
pub use known_tools::{KnownTool, NewTool};
pub use known_turns::{CallChange, KnownConversation, KnownTurn, KnownTurns, ReaderEffects};
pub(crate) use model_names::is_plain_in_model_name;
pub use names::PROTOCOL_NAMES;
#[cfg(test)]
pub(crate) use naming::NAME_MEMBERS;
pub use naming::{NamedNode, NodeName, each_named};
pub use reading::{
    APPROVAL_KEY, Attachments, Models, Pending, Problem, Reading, RpcMessage, Usage,
};
pub use redaction::{Redaction, Replacement};
pub use repeated::{PassedContent, PolicyKey, ReadSpan, RepeatedContent};
pub use texts::{KnownTexts, TextGroup, Texts};

use crate::wire::json::{NodeId, Value, ValueKind};
use crate::wire::sorted_map::SortedMap;
use std::ops::Range;

/// Defines an enum with its words in policies and audit events, and the conversion in both directions.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All values, in the order of the documentation.
            pub const ALL: &[$name] = &[$($name::$variant,)+];

            /// Returns the word in policies, audit events and output.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// Returns the value with this word.
            pub fn from_word(word: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|it| it.word() == word)
            }
        }

        impl crate::event::Words for $name {
            const VALUES: &'static [$name] = $name::ALL;
            const WORDS: &'static [&'static str] = &[$($word,)+];
        }
    };
}

pub(crate) use words;

/// Closed list of words, made by [`words`].
pub(crate) trait Words: Copy + 'static {
    /// Values of the words.
    const VALUES: &'static [Self];
    /// Words, in the order of the values.
    const WORDS: &'static [&'static str];
}

words! {
    /// The kind of an event that rules apply to.
    Kind {
        /// The exchange as a whole: one event each.
        Request = "request",
        /// A text of a request.
        Message = "message",
        /// A tool definition.
        ToolOffer = "tool_offer",
        /// A tool call.
        ToolCall = "tool_call",
        /// The result of a tool call.
        ToolResult = "tool_result",
        /// A text of a response.
        Response = "response",
        /// Content that could not be inspected, or is opaque.
        Uninspectable = "uninspectable",
    }
}

impl Kind {
    /// Returns the index in [`ALL`](Kind::ALL).
    pub fn number(self) -> usize {
        self as usize
    }
}

/// Number of events of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventCounts([u32; Kind::ALL.len()]);

impl EventCounts {
    /// Counts an event.
    pub fn add(&mut self, kind: Kind) {
        if let Some(count) = self.0.get_mut(kind.number()) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds the counts of other events.
    pub fn add_all(&mut self, others: &EventCounts) {
        for (count, more) in self.0.iter_mut().zip(others.0) {
            *count = count.saturating_add(more);
        }
    }

    /// Returns the counts that are not zero, by the kinds' words.
    pub fn by_word(&self) -> SortedMap<&'static str, u64> {
        let counts = Kind::ALL.iter().zip(self.0);
        let counts = counts.filter(|(_, count)| *count > 0);
        let counts = counts.map(|(kind, count)| (kind.word(), u64::from(count)));
        counts.collect()
    }
}

/// Number of messages, altogether and by author in the order of [`Author::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// All messages, those of unknown authors included.
    pub all: u64,
    /// Messages by author.
    pub by_author: [u64; Author::ALL.len()],
}

impl MessageCounts {
    /// Counts a message.
    pub fn count(&mut self, from: &Known<Author>) {
        self.all = self.all.saturating_add(1);
        let count = from.value();
        let count = count.and_then(|from| self.by_author.get_mut(from.number()));
        if let Some(count) = count {
            *count = count.saturating_add(1);
        }
    }

    /// Adds other messages.
    pub fn add(&mut self, others: &MessageCounts) {
        self.all = self.all.saturating_add(others.all);
        for (count, more) in self.by_author.iter_mut().zip(others.by_author) {
            *count = count.saturating_add(more);
        }
    }

    /// Returns the messages since an earlier count.
    pub fn since(&self, before: &MessageCounts) -> MessageCounts {
        let mut more = *self;
        more.all = more.all.saturating_sub(before.all);
        for (count, before) in more.by_author.iter_mut().zip(before.by_author) {
            *count = count.saturating_sub(before);
        }
        more
    }
}

words! {
    /// The direction of a message.
    Direction {
        /// From the client.
        Request = "request",
        /// To the client.
        Response = "response",
    }
}

words! {
    /// The author of a text.
    Author {
        /// The application: system and developer messages, instructions.
        System = "system",
        /// The user.
        User = "user",
        /// The model.
        Assistant = "assistant",
        /// A tool's result.
        Tool = "tool",
    }
}

impl Author {
    /// Returns the index in [`ALL`](Author::ALL).
    pub fn number(self) -> usize {
        self as usize
    }
}

words! {
    /// The part of a message or response that a text is.
    Part {
        /// Visible text.
        Text = "text",
        /// The model's reasoning.
        Reasoning = "reasoning",
        /// The refusal of a model.
        Refusal = "refusal",
        /// Arguments of a tool call.
        Arguments = "arguments",
        /// Description of a tool or a schema.
        Definition = "definition",
        /// Name of a participant.
        Name = "name",
        /// Transcript of audio.
        Transcript = "transcript",
        /// Everything else, unknown structure included.
        Other = "other",
    }
}

words! {
    /// The turn of a tool call: decided now, or repeated in the history.
    Turn {
        /// In a response, in an MCP request, or in the last assistant message of a request if only results follow it.
        Latest = "latest",
        /// Any other.
        Earlier = "earlier",
    }
}

words! {
    /// The class of a string in a body, which determines whether it is inspected and edited.
    Class {
        /// Prose or data written by people or models; may be edited.
        Text = "text",
        /// A name that programs compare; never edited.
        Name = "name",
        /// An identifier.
        Id = "id",
        /// Signatures, encrypted reasoning and cursors: not readable, never edited.
        Opaque = "opaque",
        /// Images, audio, files.
        Media = "media",
        /// A string that the protocol does not define: inspected as text, never edited.
        Unknown = "unknown",
        /// Text inside a signed block or another encoding: inspected as text, never edited, because the provider
        /// rejects the whole block after any change.
        Sealed = "sealed",
    }
}

/// Default that decides on a request without a matching rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultGate {
    /// The policy's default for requests.
    #[default]
    Requests,
    /// The request only maintains a session with a server (`initialize`, `ping`, lists). It is allowed if the policy
    /// could allow another request to this server; otherwise the default for requests decides.
    Plumbing,
    /// The request belongs to a host and to no session (lists of models, authorization metadata, health). It is allowed
    /// if the policy could allow another request to this host, on any path, with any model or server.
    Origin,
    /// The default for tool calls, applied to the call in the request.
    Calls,
    /// No default: content that readers could understand differently is denied unless a rule names its code.
    Named,
}

/// Value that may be known, missing, or present but unknown. An unknown value is resolved toward denial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Known<T> {
    /// There is no value.
    #[default]
    Missing,
    /// The value cannot be determined.
    Unknown,
    /// The known value.
    Is(T),
}

impl<T> Known<T> {
    /// Returns the value, if it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Known::Is(value) => Some(value),
            Known::Missing | Known::Unknown => None,
        }
    }
}

impl<T> From<Option<T>> for Known<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Known::Missing, Known::Is)
    }
}

/// The JSON form of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A string's content.
    String,
    /// An object's key: inspected by detectors and patterns, never edited.
    Key,
    /// A number in its spelling: inspected by detectors and patterns, never edited.
    Number,
}

/// Minimum digits of a number that is inspected. Shorter numbers match no detector, and bodies contain many of them.
const SHORTEST_TELLING_NUMBER: usize = 7;

impl Form {
    /// Returns the form in which a value or a key can contain text; `None` if it cannot.
    pub fn of(is_key: bool, value: Value<'_>) -> Option<Form> {
        match value.kind() {
            ValueKind::String if is_key => Some(Form::Key),
            ValueKind::String => Some(Form::String),
            ValueKind::Number if value.raw().len() >= SHORTEST_TELLING_NUMBER => Some(Form::Number),
            _ => None,
        }
    }
}

/// A text that rules and detectors inspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// The location of its value.
    pub place: NodeId,
    /// Its class.
    pub class: Class,
    /// Its JSON form.
    pub form: Form,
    /// Names of the value.
    pub names: TextNames,
    /// Whether the text is complete and machine-written. If it is JSON, the names inside it are context words, too.
    pub is_data: bool,
}

impl Class {
    /// Returns whether a complete string of this class may be data.
    pub fn may_be_data(self, direction: Direction) -> bool {
        self == Class::Text && direction == Direction::Request
    }
}

/// Names of a text, as nodes of its document: a body may have thousands of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextNames {
    nearest: u32,
    over: u32,
}

impl TextNames {
    /// No name.
    pub const NONE: TextNames = TextNames {
        nearest: u32::MAX,
        over: u32::MAX,
    };

    /// Creates the names from the nearest one, mostly the value's key, and the outer one that qualifies a weak name:
    /// `account` for its `number`. Both are in the document of the text.
    #[inline]
    pub fn new([nearest, over]: [Option<u32>; 2]) -> TextNames {
        TextNames {
            nearest: nearest.unwrap_or(u32::MAX),
            over: over.unwrap_or(u32::MAX),
        }
    }
}

impl From<NodeName<'_>> for TextNames {
    fn from(name: NodeName<'_>) -> TextNames {
        let names = [name.nearest, name.over];
        TextNames::new(names.map(|name| name.map(|name| name.place().node)))
    }
}

impl Text {
    /// Returns the name of the value, mostly its key. A name such as `ssn` is a context word for the value.
    pub fn key(&self) -> Option<NodeId> {
        self.name(self.names.nearest)
    }

    /// Returns the outer name that qualifies a weak one: `account` for its `number`.
    pub fn over(&self) -> Option<NodeId> {
        self.name(self.names.over)
    }

    fn name(&self, node: u32) -> Option<NodeId> {
        (node != u32::MAX).then_some(NodeId { node, ..self.place })
    }

    /// Creates the text of a named value; `None` if it contains no text. `class` is the class of the value's location.
    pub(crate) fn named(named: NamedNode<'_>, class: Class) -> Option<Text> {
        Some(Text {
            place: named.value.place(),
            class,
            form: Form::of(named.is_key, named.value)?,
            names: named.name.into(),
            is_data: false,
        })
    }

    /// Returns whether a redaction may change the text.
    pub fn is_editable(&self) -> bool {
        self.class == Class::Text && self.form == Form::String
    }

    /// Returns whether the names inside the text are context words if it is JSON. A text of a response may also arrive
    /// in pieces, and then it can't be read as data.
    pub fn may_be_data(&self, direction: Direction) -> bool {
        self.is_data || self.form == Form::String && self.class.may_be_data(direction)
    }
}

/// An event of an exchange. The kind determines which fields are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The kind of the event.
    pub kind: Kind,
    /// The direction of its message.
    pub direction: Direction,
    /// The location of its value.
    pub at: NodeId,
    /// Its texts, as indices into [`Reading::texts`].
    pub texts: Range<u32>,
    /// The tool that is defined, called, or returned the result.
    pub tool: Known<Box<str>>,
    /// The value with the arguments of a call.
    pub args: Known<NodeId>,
    /// A tool's structured result.
    pub result: Known<NodeId>,
    /// Whether a tool's result is a success, if the protocol reports it.
    pub ok: Known<bool>,
    /// The author of the text.
    pub from: Known<Author>,
    /// The part of the message.
    pub part: Part,
    /// The turn of the conversation.
    pub turn: Turn,
    /// Index of the alternative response (choice, candidate).
    pub choice: u32,
    /// Whether the provider runs the tool. Such a call has already happened when the filter sees it.
    pub provider_run: bool,
    /// Whether the request defines no such tool, if the event specifies it. Otherwise the facts of the exchange decide.
    pub unoffered: Known<bool>,
    /// The stable code of content that could not be inspected; `None` for opaque content.
    pub code: Option<&'static str>,
    /// The class of opaque content (`attachment`, `opaque`, …).
    pub opacity: Option<&'static str>,
    /// Whether another event has the same text (a tool's result is also a message). A listing shows the text once.
    pub is_duplicate: bool,
    /// The JSON-RPC message of the event, as an index into [`Reading::rpc`].
    pub rpc: Option<u32>,
    /// The default that decides on a request without a matching rule.
    pub gate: DefaultGate,
}

impl Event {
    /// Creates an event with its kind and location; everything else is absent.
    #[inline(never)]
    pub fn new(kind: Kind, direction: Direction, at: NodeId) -> Event {
        Event {
            kind,
            direction,
            at,
            texts: 0..0,
            tool: Known::Missing,
            args: Known::Missing,
            result: Known::Missing,
            ok: Known::Missing,
            from: Known::Missing,
            part: Part::Text,
            turn: Turn::Latest,
            choice: 0,
            provider_run: false,
            unoffered: Known::Missing,
            code: None,
            opacity: None,
            is_duplicate: false,
            rpc: None,
            gate: DefaultGate::Requests,
        }
    }

    /// Returns whether the event represents all calls that the provider may make of a defined tool. Such calls never
    /// pass the filter, so that their arguments are unknown.
    pub fn is_provider_offer(&self) -> bool {
        self.kind == Kind::ToolCall
            && self.direction == Direction::Request
            && self.provider_run
            && self.args == Known::Unknown
    }
}
