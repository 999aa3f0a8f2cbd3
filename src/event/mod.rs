//! The vocabulary between protocols and policy: what happened in an exchange, free of any provider's words, each thing
//! with the place in the bytes where it stands.

mod custom_format;
mod facts;
mod history;
mod model_names;
mod names;
mod naming;
mod reading;
mod redaction;

pub use custom_format::{CustomCallFormat, CustomFormat};
pub use facts::{Facts, Principal, RequestFacts};
pub use history::{BroadNarrow, Count, History, HistoryMatches, Position};
pub use names::PROTOCOL_NAMES;
pub use naming::{NamedNode, NodeName, each_named};
pub use reading::{Attachments, Models, Pending, Problem, Reading, RpcMessage, Usage};
pub use redaction::{Redaction, Replacement};

use crate::wire::json::NodeId;
use std::ops::Range;

/// Gives an enum of words their spelling in policies and records, and back.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All of them, in the order of the documentation.
            pub const ALL: &[$name] = &[$($name::$variant,)+];

            /// The word in policies, records and output.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// The one that is written so.
            pub fn from_word(word: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|it| it.word() == word)
            }
        }
    };
}

pub(crate) use words;

words! {
    /// What a rule can be about.
    Kind {
        /// The exchange as a whole, once.
        Request = "request",
        /// A text of a request.
        Message = "message",
        /// A tool that the model may use.
        ToolOffer = "tool_offer",
        /// A call of a tool.
        ToolCall = "tool_call",
        /// What a tool answered.
        ToolResult = "tool_result",
        /// A text of a response.
        Response = "response",
        /// Something that could not be read, or is opaque.
        Uninspectable = "uninspectable",
    }
}

words! {
    /// Which half of the exchange.
    Direction {
        /// What the client sent.
        Request = "request",
        /// What came back.
        Response = "response",
    }
}

words! {
    /// Who wrote a text.
    Author {
        /// The application: system and developer messages, instructions.
        System = "system",
        /// The person.
        User = "user",
        /// The model.
        Assistant = "assistant",
        /// A tool's result.
        Tool = "tool",
    }
}

words! {
    /// Which part of a message or a response a text is.
    Part {
        /// What a reader sees.
        Text = "text",
        /// The model's reasoning.
        Reasoning = "reasoning",
        /// The model's refusal.
        Refusal = "refusal",
        /// Arguments of a tool call.
        Arguments = "arguments",
        /// A tool's or schema's description.
        Definition = "definition",
        /// A participant's name.
        Name = "name",
        /// What was said in audio.
        Transcript = "transcript",
        /// Everything else, unknown structure included.
        Other = "other",
    }
}

words! {
    /// Which turns of a conversation: the calls that are decided now, or those that the history repeats.
    Turn {
        /// In a response, an MCP request, or the last assistant message of a request when only results follow it.
        Latest = "latest",
        /// Any other.
        Earlier = "earlier",
    }
}

words! {
    /// What a string of a body is, and so what may be done with it.
    Class {
        /// Prose or data that people or models wrote; may be edited.
        Text = "text",
        /// A name that is compared, never edited.
        Name = "name",
        /// An identifier.
        Id = "id",
        /// Signatures, encrypted reasoning, cursors: not readable, never edited.
        Opaque = "opaque",
        /// Images, audio, files.
        Media = "media",
        /// A string where none is known; evaluated as text, never edited.
        Unknown = "unknown",
        /// Text inside a signed block or inside another encoding: evaluated as text, never edited, since a changed byte makes
        /// the provider refuse the whole.
        Sealed = "sealed",
    }
}

/// Who lets a request pass where no rule decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultGate {
    /// The default for requests.
    #[default]
    Requests,
    /// It only keeps the conversation with a server going (`initialize`, `ping`, lists): it passes where something else
    /// could be allowed at that server, and falls under the default for requests where nothing could.
    Plumbing,
    /// It belongs to a host and to no conversation with it (lists of models, who authorizes, health): it passes where
    /// something else could be allowed at that host, at whichever path, of whichever model or server.
    Origin,
    /// The default for tool calls, at the call that it holds.
    Calls,
}

/// A value that may be known, absent, or there but not knowable (which counts against whoever gains by it).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Known<T> {
    /// There is none.
    #[default]
    Missing,
    /// It can't be determined.
    Unknown,
    /// It is this.
    Is(T),
}

impl<T> Known<T> {
    /// The value, if it is known.
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

/// How a text stands in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A string's content.
    String,
    /// An object's key: looked at by detectors and patterns, never edited.
    Key,
    /// A number, as written: looked at by detectors and patterns, never edited.
    Number,
}

/// One text that rules and detectors look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it stands.
    pub place: NodeId,
    /// What it is.
    pub class: Class,
    /// How it stands there.
    pub form: Form,
    /// The name that it goes by, mostly the key that it stands under: a name such as `ssn` speaks for what follows it.
    pub key: Option<NodeId>,
    /// What that name says little without: the `account` of its `number`.
    pub over: Option<NodeId>,
    /// A machine wrote it, and it is here as a whole: where it is JSON, what stands in it goes by names, too.
    pub is_data: bool,
}

impl Text {
    /// Whether a redaction may change it.
    pub fn is_editable(&self) -> bool {
        self.class == Class::Text && self.form == Form::String
    }
}

/// One thing in an exchange that a rule can be about. Which fields are set depends on its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is.
    pub kind: Kind,
    /// Which half of the exchange it is in.
    pub direction: Direction,
    /// Where it stands.
    pub at: NodeId,
    /// Its texts, as numbers in [`Reading::texts`].
    pub texts: Range<u32>,
    /// The tool that is offered, called or that answered.
    pub tool: Known<Box<str>>,
    /// Arguments of a call: the value that holds them.
    pub args: Known<NodeId>,
    /// A tool's result, where it is structured.
    pub result: Known<NodeId>,
    /// Whether a tool's result is a success, where the protocol says so.
    pub ok: Known<bool>,
    /// Who wrote the text.
    pub from: Known<Author>,
    /// Which part it is.
    pub part: Part,
    /// Which turn it belongs to.
    pub turn: Turn,
    /// Which alternative answer (choice, candidate) it belongs to.
    pub choice: u32,
    /// The provider runs the tool, so that a call has already happened when it is seen.
    pub provider_run: bool,
    /// Whether the exchange's request offers no such tool, where it is said; else what the exchange offers tells.
    pub unoffered: Known<bool>,
    /// For a thing that could not be read: the stable code. For an opaque thing: `None`.
    pub code: Option<&'static str>,
    /// For an opaque thing: its class (`attachment`, `opaque`, …).
    pub opacity: Option<&'static str>,
    /// The same text is told by another event (a tool's result is also a message): not told twice to a reader.
    pub retold: bool,
    /// The JSON-RPC message that it belongs to, as a number in [`Reading::rpc`].
    pub rpc: Option<u32>,
    /// For a request: who lets it pass where no rule decides.
    pub gate: DefaultGate,
}

impl Event {
    /// An event of a kind at a place, with everything else absent.
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
            retold: false,
            rpc: None,
            gate: DefaultGate::Requests,
        }
    }

    /// Whether it stands for every call that the provider may make of a tool that a request offers: the calls never pass
    /// here, so their arguments are unknown.
    pub fn is_provider_offer(&self) -> bool {
        self.kind == Kind::ToolCall
            && self.direction == Direction::Request
            && self.provider_run
            && self.args == Known::Unknown
    }
}
