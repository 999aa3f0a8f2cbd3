//! One file for each format: where models, texts, tools, calls, results and usage stand in it, and how to refuse in it.
//!
//! To add a protocol: one file here with a [`Protocol`], one line in [`PROTOCOLS`].

mod openai_chat;
mod openai_shapes;
mod provider;
mod reader;
mod refusal;
mod surgery;

pub use provider::provider_of;
pub use reader::{Bounds, Origin, Reader, code_of};
pub use refusal::{Denial, Dialect};

use crate::event::{Direction, Known, Models, Problem, Reading, RpcMessage};
use crate::wire::http::Path;
use crate::wire::json::{Edits, Nest, Place, Value};
use std::ops::Range;

/// The start of a request, as far as it tells which protocol it speaks.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Method, as it came.
    pub method: &'a str,
    /// Authority, lower case, with its port.
    pub host: &'a str,
    /// Path, normalised for comparing.
    pub path: &'a Path,
    /// All headers; names in lower case.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

impl<'a> Head<'a> {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers
            .iter()
            .find(|(known, _)| *known == name.as_bytes())
            .map(|(_, value)| *value)
    }
}

/// An endpoint of a protocol, with what its path says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name in records: `chat.completions`.
    pub name: &'static str,
    /// The model in the path (Azure, Gemini, Bedrock); unknown if the path names something that hides it.
    pub model: Known<Box<str>>,
    /// Whether the path decides that the answer is streamed.
    pub stream: Option<bool>,
    /// What the request's body is.
    pub body: BodyForm,
}

/// What the body of a request to an endpoint is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyForm {
    /// JSON.
    #[default]
    Json,
    /// `multipart/form-data`.
    Multipart,
    /// There is none: what matters is the answer.
    Absent,
    /// Nothing that could be read: AG2006.
    Unreadable,
}

impl Endpoint {
    /// An endpoint with a JSON body and nothing in its path.
    pub fn named(name: &'static str) -> Endpoint {
        Endpoint {
            name,
            ..Endpoint::default()
        }
    }
}

/// What the rest of an exchange needs to know of its request.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Where it was sent.
    pub endpoint: Endpoint,
    /// Models that may answer.
    pub models: Models,
    /// A streamed answer was asked for.
    pub stream: bool,
    /// The model was forced to call a tool.
    pub forces_tool: bool,
    /// An answer in a schema's shape was asked for.
    pub structured_output: bool,
    /// The request continues a conversation that the provider keeps.
    pub continues_elsewhere: bool,
    /// JSON-RPC messages of the request, in their order.
    pub rpc: Vec<RpcMessage>,
}

impl Asked {
    /// What is known before the body is read.
    pub fn at(endpoint: Endpoint) -> Asked {
        Asked {
            endpoint,
            ..Asked::default()
        }
    }

    /// Adds what was read in the body.
    pub fn learn(&mut self, reading: &Reading) {
        self.models = reading.models.clone();
        self.stream = reading.stream;
        self.forces_tool = reading.forces_tool;
        self.structured_output = reading.structured_output;
        self.continues_elsewhere = reading.continues_elsewhere;
        self.rpc.clone_from(&reading.rpc);
    }
}

/// What is asked of a whole response when a part of it may not pass.
#[derive(Clone, Debug, Default)]
pub struct Withholding {
    /// Calls that are taken out: which choice, where the call stands, the text that explains it.
    pub calls: Vec<WithheldCall>,
    /// Choices whose text may not pass, each with the text that takes its place.
    pub choices: Vec<(u32, String)>,
    /// Texts that were edited: their places and which parts of the decoded text changed by how much.
    pub edited: Vec<EditedText>,
}

/// A call of a response that is taken out.
#[derive(Clone, Debug)]
pub struct WithheldCall {
    /// Its choice.
    pub choice: u32,
    /// Where the call stands.
    pub at: Place,
    /// What the reader is told.
    pub text: String,
}

/// A text of a response that was redacted.
#[derive(Clone, Debug)]
pub struct EditedText {
    /// Its choice.
    pub choice: u32,
    /// Where it stands.
    pub at: Place,
    /// What was replaced, in bytes of the decoded text, and the length of what took its place.
    pub changes: Vec<(Range<usize>, String)>,
}

/// A refusal in a protocol's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `content-type` and what else the protocol's clients look at.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// One format.
pub trait Protocol: Sync {
    /// Its name in policies and records: `openai.chat`.
    fn name(&self) -> &'static str;

    /// The endpoint that a request asks for, if this is its protocol.
    fn endpoint(&self, head: &Head<'_>) -> Option<Endpoint>;

    /// Whether only the body can tell if a request of this start is this protocol's.
    fn asks_for_body(&self, _head: &Head<'_>) -> bool {
        false
    }

    /// The endpoint that a request asks for by its body, if this is its protocol. Asked where no start of a request was
    /// known, and [`asks_for_body`](Protocol::asks_for_body) said so.
    fn endpoint_by_body(&self, _head: &Head<'_>, _body: Value<'_>) -> Option<Endpoint> {
        None
    }

    /// How it refuses.
    fn dialect(&self) -> Dialect;

    /// Reads the body of a request.
    fn read_request(&self, reader: &mut Reader<'_>, endpoint: &Endpoint);

    /// Reads the whole body of a response, whatever its status.
    fn read_response(&self, reader: &mut Reader<'_>, asked: &Asked);

    /// A refusal of a request, or of a whole response whose status can still be chosen.
    fn refusal(&self, denial: &Denial, _asked: &Asked) -> Refusal {
        self.dialect().refusal(denial)
    }

    /// A whole answer that is nothing but a refusal, for a client that has already been sent a successful status.
    fn refused_answer(&self, denial: &Denial, asked: &Asked) -> Vec<u8>;

    /// Edits a whole response so that what is withheld is gone and what is left is valid for its schema and its SDK.
    ///
    /// # Errors
    /// When that can't be done; the response is then refused as a whole.
    fn withhold(
        &self,
        nest: &Nest<'_>,
        asked: &Asked,
        withholding: &Withholding,
        edits: &mut Edits,
    ) -> Result<(), CannotWithhold>;
}

/// A response can't be edited in the way that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotWithhold;

/// All protocols, the more specific before the more general.
pub const PROTOCOLS: &[&dyn Protocol] = &[&openai_chat::OpenAiChat];

/// A protocol and the endpoint that is asked for.
#[derive(Clone)]
pub struct Route {
    /// The format.
    pub protocol: &'static dyn Protocol,
    /// The endpoint within it.
    pub endpoint: Endpoint,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.protocol.name(), self.endpoint)
    }
}

/// What a request was recognised as.
#[derive(Clone, Debug)]
pub enum Recognised {
    /// A protocol whose bodies are read.
    Protocol(Route),
    /// The body has to tell.
    ByBody,
    /// Something known to carry no content of a conversation: model lists, health checks, CORS preflights. Harmless
    /// only without a body.
    Harmless {
        /// What it is.
        endpoint: &'static str,
    },
    /// None of those: AG2007.
    Unknown,
}

/// Which protocol a request speaks, by its start.
pub fn recognise(head: &Head<'_>) -> Recognised {
    for protocol in PROTOCOLS {
        if let Some(endpoint) = protocol.endpoint(head) {
            return Recognised::Protocol(Route {
                protocol: *protocol,
                endpoint,
            });
        }
    }
    if let Some(endpoint) = harmless(head) {
        return Recognised::Harmless { endpoint };
    }
    if PROTOCOLS
        .iter()
        .any(|protocol| protocol.asks_for_body(head))
    {
        return Recognised::ByBody;
    }
    Recognised::Unknown
}

/// Which protocol a request speaks, by its body.
pub fn recognise_body(head: &Head<'_>, body: Value<'_>) -> Option<Route> {
    PROTOCOLS.iter().find_map(|protocol| {
        let endpoint = protocol.endpoint_by_body(head, body)?;
        Some(Route {
            protocol: *protocol,
            endpoint,
        })
    })
}

fn harmless(head: &Head<'_>) -> Option<&'static str> {
    if head.method == "OPTIONS" {
        return Some("preflight");
    }
    if !matches!(head.method, "GET" | "HEAD") {
        return None;
    }
    let segments: Vec<String> = head
        .path
        .segments
        .iter()
        .map(|segment| segment.to_ascii_lowercase())
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        []
        | [
            "health" | "healthz" | "livez" | "readyz" | "ready" | "live" | "ping" | "version"
            | "favicon.ico" | "robots.txt",
        ] => Some("health"),
        [.., "models"] | [.., "v1", "models", _] => Some("models"),
        _ => None,
    }
}

/// Reads the body of a request.
///
/// # Errors
/// The problem that makes the whole body unreadable.
pub fn read_request<'b>(
    route: &Route,
    body: &'b [u8],
    bounds: Bounds,
) -> Result<(Nest<'b>, Reading), Problem> {
    let mut reader = Reader::new(body, Direction::Request, bounds)?;
    match &route.endpoint.model {
        Known::Is(model) => reader.reading.models.add(model),
        Known::Unknown => reader.reading.models.unknown = true,
        Known::Missing => {}
    }
    route.protocol.read_request(&mut reader, &route.endpoint);
    if let Some(stream) = route.endpoint.stream {
        reader.reading.stream = stream;
    }
    Ok(reader.finish())
}

/// Reads the whole body of a response.
///
/// # Errors
/// The problem that makes the whole body unreadable.
pub fn read_response<'b>(
    protocol: &dyn Protocol,
    asked: &Asked,
    body: &'b [u8],
    bounds: Bounds,
) -> Result<(Nest<'b>, Reading), Problem> {
    let mut reader = Reader::new(body, Direction::Response, bounds)?;
    protocol.read_response(&mut reader, asked);
    Ok(reader.finish())
}
