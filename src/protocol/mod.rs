//! One file for each format: where models, texts, tools, calls, results and usage stand in it, and how to refuse in it.
//!
//! To add a protocol: one file here with a [`Protocol`], one line in [`PROTOCOLS`].

mod a2a;
mod anthropic_batches;
mod anthropic_complete;
mod anthropic_messages;
mod anthropic_shapes;
mod bedrock_converse;
mod bedrock_count_tokens;
mod bedrock_invoke;
mod bedrock_shapes;
mod client_blocks;
mod cohere;
mod conversation;
mod coverage;
mod gemini_embed;
mod gemini_generate;
mod gemini_interactions;
mod gemini_shapes;
mod generic;
mod json_edit;
mod jsonrpc;
mod mcp;
mod oauth;
mod ollama;
mod openai_audio;
mod openai_chat;
mod openai_completions;
mod openai_embeddings;
mod openai_images;
mod openai_moderations;
mod openai_other;
mod openai_responses;
mod openai_shapes;
mod provider;
mod provider_apis;
mod reader;
mod refusal;
mod region;
mod routes;
pub mod stream;

#[cfg(test)]
mod tests;
mod vertex_paths;
mod vertex_raw_predict;
pub mod written_calls;

use coverage::{CONVERSATION, MINTED, MODEL_ANSWER, TEXT_ANSWER, TEXTS};
pub use coverage::{CoverageRow, Inspected, OTHER_ROUTES, answers_of};
pub use provider::provider_of;
pub use reader::{Bounds, Origin, Reader, begins_like_json, code_of, unread_message};
pub use refusal::{Denial, Dialect};
pub use region::region_of;

use crate::diag::codes;
use crate::event::{
    APPROVAL_KEY, Class, CustomFormat, DefaultGate, Direction, Event, Form, Kind, Known, Models,
    Part, Pending, Problem, Reading, RpcMessage, Text, Usage,
};
use crate::wire::frame::Framing;
use crate::wire::http::{ContentType, MediaType, Path};
use crate::wire::json::{self, Edits, JsonBody, Limits, NodeId, Value};
use crate::wire::letter_case;
use crate::wire::sorted_map::SortedMap;
use std::ops::Range;
use std::rc::Rc;
use stream::StreamReader;

/// The start of a request, as far as it tells which protocol it speaks.
#[derive(Clone, Copy, Debug)]
pub struct RouteHead<'a> {
    /// Method, as it came.
    pub method: &'a str,
    /// Authority, lower case, with its port.
    pub host: &'a str,
    /// Path, normalised for comparing.
    pub path: &'a Path,
    /// All headers; names in lower case.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

impl<'a> RouteHead<'a> {
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
    /// The path names a deployment, as Azure's does. It alone decides which model answers; a model in the body may be any
    /// name, and is evaluated as well.
    pub is_deployment: bool,
    /// What answers behind the name in the path, where that is an alias (an ARN, an endpoint's id): another name of the
    /// same model, or one that can't be told.
    pub behind: Known<Box<str>>,
    /// Models that the query and headers name beside that: they may answer too, or draw for the one that does.
    pub beside: Vec<Box<str>>,
    /// Whether the path decides that the response is streamed.
    pub stream: Option<bool>,
    /// What the request's body is.
    pub body: BodyForm,
    /// What the response's body is.
    pub answer: ResponseForm,
    /// Set where nothing that a body holds makes the request harmless: it hands out access (AG2013).
    pub code: Option<&'static str>,
    /// `content-type` of the request, where reading its body needs it: it names the boundary of a form. Set when a request
    /// is recognised.
    pub content_type: Option<Box<[u8]>>,
    /// Headers that the body has to agree with, or that say how it is read; names in lower case.
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    /// For a request without a body: who lets it pass where no rule decides.
    pub gate: DefaultGate,
    /// Where things stand in its bodies, if only the policy knows.
    pub shape: Option<Rc<CustomFormat>>,
}

/// What the body of a request to an endpoint is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyForm {
    /// JSON.
    #[default]
    Json,
    /// JSON, or nothing at all.
    JsonOrNothing,
    /// `multipart/form-data`; or JSON, where the client says so: some servers take both.
    Multipart,
    /// `application/x-www-form-urlencoded`; or JSON, where the client says so.
    Fields,
    /// The bytes of a file.
    File,
    /// There is none: what matters is the response.
    Absent,
    /// Nothing that could be read: AG2006.
    Unreadable,
}

impl BodyForm {
    /// Whether a body that says that it is of this type can be read in this form.
    pub fn takes(self, media: MediaType) -> bool {
        match self {
            BodyForm::Json | BodyForm::JsonOrNothing | BodyForm::Absent => {
                matches!(media, MediaType::Json | MediaType::Absent | MediaType::Text)
            }
            BodyForm::Multipart => media == MediaType::Multipart,
            BodyForm::Fields => matches!(media, MediaType::Form | MediaType::Absent),
            BodyForm::File => true,
            BodyForm::Unreadable => false,
        }
    }
}

/// What the body of a response is. Whatever an endpoint promises, its errors are JSON or plain text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseForm {
    /// JSON.
    #[default]
    Json,
    /// JSON, or what was said in audio as plain text or subtitles.
    Transcript,
    /// JSON lines.
    Lines,
    /// A JSON array that grows by an element for each part of a streamed response.
    Elements,
    /// A file that was kept: JSON lines, text, or bytes.
    File,
    /// Audio, images, video: bytes that nobody reads.
    Media,
}

impl ResponseForm {
    /// Whether a response that says that it is of this type is bytes that nobody reads.
    pub fn is_media(self, media: MediaType) -> bool {
        self == ResponseForm::Media
            && !matches!(
                media,
                MediaType::Json | MediaType::Text | MediaType::EventStream | MediaType::JsonLines
            )
    }

    /// Whether a response that says that it is of this type is read as a whole.
    pub fn is_whole(self, media: MediaType) -> bool {
        match media {
            MediaType::Json | MediaType::Text | MediaType::Absent => true,
            MediaType::JsonLines | MediaType::Other => {
                matches!(self, ResponseForm::Lines | ResponseForm::File)
            }
            _ => false,
        }
    }
}

impl Endpoint {
    /// An endpoint with a JSON body and nothing in its path.
    pub fn named(name: &'static str) -> Endpoint {
        Endpoint {
            name,
            ..Endpoint::default()
        }
    }

    /// The values of a header that it was recognised with.
    pub fn header<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e [u8]> {
        self.headers
            .iter()
            .filter(move |(known, _)| **known == *name)
            .map(|(_, value)| &**value)
    }

    /// An endpoint whose requests have no body: what matters is the response.
    pub fn without_body(name: &'static str) -> Endpoint {
        Endpoint {
            body: BodyForm::Absent,
            ..Endpoint::named(name)
        }
    }

    /// The models that a request tells of before its body.
    pub fn models(&self) -> Models {
        let mut models = Models::default();
        self.add_models(&mut models);
        self.add_models_beside(&mut models);
        models
    }

    /// Adds the models that the path tells of.
    pub fn add_models(&self, models: &mut Models) {
        for model in [&self.model, &self.behind] {
            match model {
                Known::Is(model) => models.add(model),
                Known::Unknown => models.unknown = true,
                Known::Missing => {}
            }
        }
    }

    fn add_models_beside(&self, models: &mut Models) {
        for model in &self.beside {
            models.add(model);
        }
    }
}

/// What the rest of an exchange needs to know of its request.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    /// Where it was sent.
    pub endpoint: Endpoint,
    /// Models that may answer.
    pub models: Models,
    /// A streamed response was asked for.
    pub stream: bool,
    /// The model was forced to call a tool.
    pub forces_tool: bool,
    /// A response in a schema's shape was asked for.
    pub structured_output: bool,
    /// The request continues a conversation that the provider keeps.
    pub continues_elsewhere: bool,
    /// How the conversation goes on if a call is taken out of the response.
    pub pending: Option<Pending>,
    /// The response is not kept: the request says so.
    pub unstored: bool,
    /// Tools were offered.
    pub offers_tools: bool,
    /// JSON-RPC messages of the request, in their order.
    pub rpc: Vec<RpcMessage>,
}

impl RequestContext {
    /// What is known before the body is read.
    pub fn at(endpoint: Endpoint) -> RequestContext {
        RequestContext {
            endpoint,
            ..RequestContext::default()
        }
    }

    /// Whether a client could not go on if a call were taken out of the response. The id of a response that has begun to leave
    /// tells of no call that is denied later.
    pub fn waits_for_results(&self, has_begun: bool) -> bool {
        match self.pending {
            Some(Pending::Nothing) => false,
            Some(Pending::ById) => has_begun,
            Some(Pending::Stuck) => true,
            None => self.continues_elsewhere,
        }
    }

    /// Adds what was read in the body.
    pub fn learn(&mut self, reading: &Reading) {
        self.models = reading.models.clone();
        self.stream = reading.stream;
        self.forces_tool = reading.forces_tool;
        self.structured_output = reading.structured_output;
        self.continues_elsewhere = reading.continues_elsewhere;
        self.pending = reading.pending;
        self.unstored = reading.unstored;
        let mut events = reading.events.iter();
        self.offers_tools = events.any(|event| event.kind == Kind::ToolOffer);
        self.rpc.clone_from(&reading.rpc);
        if let Some(name) = reading.endpoint {
            self.endpoint.name = name;
        }
    }
}

/// What is asked of a whole response when a part of it may not pass.
#[derive(Clone, Debug, Default)]
pub struct Removals {
    /// Calls that are taken out: which choice, where the call stands, the text that explains it.
    pub calls: Vec<RemovedCall>,
    /// Choices whose text may not pass, each with the text that takes its place.
    pub choices: Vec<(u32, String)>,
    /// The same choices with all that the reader may be told.
    pub denials: Vec<(u32, Denial)>,
    /// Offers of tools that are left out.
    pub offers: Vec<NodeId>,
    /// Texts that were edited: their places and which parts of the decoded text changed by how much.
    pub edited: Vec<EditedText>,
}

impl Removals {
    /// Choices whose text may not pass, each with the text that takes its place.
    pub(crate) fn refusals(&self) -> SortedMap<u32, &str> {
        self.choices
            .iter()
            .map(|(choice, text)| (*choice, text.as_str()))
            .collect()
    }

    /// Denied calls by the place where they stand, each with the text that takes its place. Those of refused choices go
    /// with them.
    pub(crate) fn denied_calls(&self) -> SortedMap<NodeId, &str> {
        let denied_text = self.refusals();
        self.calls
            .iter()
            .filter(|call| !denied_text.contains_key(&call.choice))
            .map(|call| (call.at, call.text.as_str()))
            .collect()
    }

    /// For answers without parts that could be taken out, and no copies of a text: a denial refuses them as a whole, and
    /// edits are made already where the text stands.
    ///
    /// # Errors
    /// When a call or a choice is to be taken out.
    pub(crate) fn only_edits(&self) -> Result<(), CannotRemove> {
        if self.calls.is_empty() && self.choices.is_empty() {
            Ok(())
        } else {
            Err(CannotRemove)
        }
    }
}

/// A call of a response that is taken out.
#[derive(Clone, Debug)]
pub struct RemovedCall {
    /// Its choice.
    pub choice: u32,
    /// Where the call stands.
    pub at: NodeId,
    /// What the reader is told.
    pub text: String,
}

/// A text of a response that was redacted.
#[derive(Clone, Debug)]
pub struct EditedText {
    /// Its choice.
    pub choice: u32,
    /// Where it stands.
    pub at: NodeId,
    /// What was replaced, in bytes of the decoded text, and the length of what took its place.
    pub changes: Vec<(Range<usize>, String)>,
}

/// What becomes of a response when something in it may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalMethod {
    /// The call is taken out, and a text says so.
    Call,
    /// The choice's text becomes a refusal.
    Choice,
    /// The JSON-RPC message that it stands in becomes a refusal; others in the same body stay.
    Message,
    /// The offer is left out.
    Offer,
    /// The whole response is refused.
    Whole,
}

/// A refusal in a protocol's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenialReply {
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
    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint>;

    /// Whether only the body can tell if a request of this start is this protocol's.
    fn asks_for_body(&self, _head: &RouteHead<'_>) -> bool {
        false
    }

    /// The endpoint that a request asks for by its body, if this is its protocol. Asked where no start of a request was
    /// known, and [`asks_for_body`](Protocol::asks_for_body) said so.
    fn endpoint_by_body(&self, _head: &RouteHead<'_>, _body: Value<'_>) -> Option<Endpoint> {
        None
    }

    /// The endpoint that a request asks for where the policy says that this is its protocol. What its start alone does
    /// not tell is read as the most usual of its requests.
    fn assume(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        self.endpoint(head).or_else(|| usual(head, self.name()))
    }

    /// What is evaluated of each of its routes.
    fn coverage(&self) -> &'static [CoverageRow];

    /// Whether the other side is a server of tools, one of several: rules name it by `server`.
    fn serves_tools(&self) -> bool {
        false
    }

    /// What becomes of a response in which an event of this kind may not pass.
    fn removal(&self, kind: Kind) -> RemovalMethod {
        match kind {
            Kind::ToolCall => RemovalMethod::Call,
            Kind::Response => RemovalMethod::Choice,
            _ => RemovalMethod::Whole,
        }
    }

    /// How it refuses.
    fn dialect(&self) -> Dialect;

    /// Reads the body of a request.
    fn read_request(&self, reader: &mut Reader<'_>, endpoint: &Endpoint);

    /// Reads the whole body of a response, whatever its status.
    fn read_response(&self, reader: &mut Reader<'_>, context: &RequestContext);

    /// Tokens that the headers of a response tell of.
    fn usage_in_headers(&self, _headers: &[(&[u8], &[u8])]) -> Usage {
        Usage::default()
    }

    /// A refusal of a request, or of a whole response whose status can still be chosen.
    fn denial_reply(&self, denial: &Denial, _asked: &RequestContext) -> DenialReply {
        self.dialect().refusal(denial)
    }

    /// A whole response that is nothing but a refusal, for a client that has already been sent a successful status.
    fn denied_response(&self, denial: &Denial, _asked: &RequestContext) -> Vec<u8> {
        self.dialect().body(denial)
    }

    /// Edits a whole response so that what is withheld is gone and what is left is valid for its schema and its SDK.
    ///
    /// # Errors
    /// When that can't be done; the response is then refused as a whole.
    fn remove_from_response(
        &self,
        _nest: &JsonBody<'_>,
        _asked: &RequestContext,
        removals: &Removals,
        _edits: &mut Edits,
    ) -> Result<(), CannotRemove> {
        removals.only_edits()
    }

    /// Whether requests to this endpoint may hold ids that we gave to what we put into earlier answers.
    fn restores(&self, _endpoint: &Endpoint) -> bool {
        false
    }

    /// Puts the provider's ids in the place of ours in a request's body.
    fn restore(&self, _root: Value<'_>, _edits: &mut Edits) {}

    /// How a response of this media type is cut into frames; absent if it is read as a whole.
    fn framing(&self, _asked: &RequestContext, media: MediaType) -> Option<Framing> {
        match media {
            MediaType::EventStream => Some(Framing::Sse),
            MediaType::JsonLines => Some(Framing::Lines),
            MediaType::AmazonEventStream => Some(Framing::Amazon),
            _ => None,
        }
    }

    /// A reader of the frames of one response; absent where no stream of this endpoint is known.
    fn stream(&self, _asked: &RequestContext) -> Option<Box<dyn StreamReader>> {
        None
    }
}

/// A response can't be edited in the way that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotRemove;

/// All protocols, the more specific before the more general. The last two are recognised at any path, and so come last.
pub const PROTOCOLS: &[&dyn Protocol] = &[
    &openai_chat::OpenAiChat,
    &openai_responses::OpenAiResponses,
    &openai_embeddings::OpenAiEmbeddings,
    &openai_moderations::OpenAiModerations,
    &openai_images::OpenAiImages,
    &openai_audio::OpenAiAudio,
    // Their paths end like those of completions.
    &ollama::OllamaChat,
    &ollama::OllamaGenerate,
    &cohere::CohereV2,
    &cohere::CohereV1,
    &openai_completions::OpenAiCompletions,
    &anthropic_messages::AnthropicMessages,
    &anthropic_messages::AnthropicCountTokens,
    &anthropic_batches::AnthropicBatches,
    &anthropic_complete::AnthropicComplete,
    &bedrock_converse::BedrockConverse,
    &bedrock_invoke::BedrockInvoke,
    &bedrock_count_tokens::BedrockCountTokens,
    &gemini_generate::GeminiGenerate,
    &gemini_generate::GeminiCountTokens,
    &gemini_embed::GeminiEmbed,
    &gemini_interactions::GeminiInteractions,
    &vertex_raw_predict::VertexRawPredict,
    &provider_apis::ANTHROPIC,
    &provider_apis::BEDROCK,
    &provider_apis::GOOGLE,
    &openai_other::OpenAiOther,
    &a2a::A2a,
    // Its paths are those of servers of MCP, which take their own messages at any path.
    &oauth::OAuth,
    &mcp::Mcp,
];

/// All of them, and the one that only a policy can name.
pub fn all() -> impl Iterator<Item = &'static dyn Protocol> {
    let generic: &'static dyn Protocol = &generic::Generic;
    PROTOCOLS.iter().copied().chain(std::iter::once(generic))
}

/// The protocol of that name.
pub fn named(name: &str) -> Option<&'static dyn Protocol> {
    all().find(|protocol| protocol.name() == name)
}

#[inline(never)]
fn usual(head: &RouteHead<'_>, name: &'static str) -> Option<Endpoint> {
    (head.method == "POST").then(|| Endpoint::named(name))
}

/// A protocol and the endpoint that is asked for.
#[derive(Clone)]
pub struct Route {
    /// The format.
    pub protocol: &'static dyn Protocol,
    /// The endpoint within it.
    pub endpoint: Endpoint,
}

impl Route {
    /// What a request asks for, with what its headers say about reading it.
    pub fn new(
        protocol: &'static dyn Protocol,
        mut endpoint: Endpoint,
        head: &RouteHead<'_>,
    ) -> Route {
        if protocol.dialect() == Dialect::OpenAi {
            endpoint.beside = routes::models_beside(head);
        }
        let content_type = head.header("content-type");
        match endpoint.body {
            BodyForm::Multipart => {
                let media = ContentType::parse(content_type).media;
                if BodyForm::Json.takes(media) {
                    endpoint.body = BodyForm::Json;
                } else {
                    endpoint.content_type = content_type.map(Into::into);
                }
            }
            BodyForm::Fields if ContentType::parse(content_type).media == MediaType::Json => {
                endpoint.body = BodyForm::Json;
            }
            BodyForm::File => endpoint.content_type = content_type.map(Into::into),
            _ => {}
        }
        Route { protocol, endpoint }
    }
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
pub fn recognise(head: &RouteHead<'_>) -> Recognised {
    if let Some(endpoint) = openai_other::minting(head) {
        return Recognised::Protocol(Route::new(&openai_other::OpenAiOther, endpoint, head));
    }
    for protocol in PROTOCOLS {
        if let Some(endpoint) = protocol.endpoint(head) {
            return Recognised::Protocol(Route::new(*protocol, endpoint, head));
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

/// The target of a request with the provider's own id, where it names a response by an id of ours.
pub fn restored_path(target: &str) -> Option<String> {
    openai_responses::restored_path(target)
}

/// Whether a request of an unknown endpoint could hold a call of a tool all the same: some servers take one at any path.
pub fn may_hold_a_call(head: &RouteHead<'_>) -> bool {
    head.method == "POST"
}

/// Which protocol a request speaks, by its body.
pub fn recognise_body(head: &RouteHead<'_>, body: Value<'_>) -> Option<Route> {
    PROTOCOLS.iter().find_map(|protocol| {
        let endpoint = protocol.endpoint_by_body(head, body)?;
        Some(Route::new(*protocol, endpoint, head))
    })
}

fn harmless(head: &RouteHead<'_>) -> Option<&'static str> {
    if head.method == "OPTIONS" {
        return Some("preflight");
    }
    if !matches!(head.method, "GET" | "HEAD") || head.path.is_odd {
        return None;
    }
    let segments: Vec<String> = head
        .path
        .segments
        .iter()
        .map(|segment| letter_case::ascii_lower(segment))
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        []
        | [
            "health" | "healthz" | "livez" | "readyz" | "ready" | "live" | "ping" | "version"
            | "favicon.ico" | "robots.txt",
        ]
        // LiteLLM; Claude Code.
        | ["health", "liveliness" | "liveness" | "readiness"]
        | [.., "api", "hello"] => Some("health"),
        [.., "models"]
        | [.., "v1" | "v1beta" | "v1alpha" | "v1beta1", "models", _]
        | [.., "publishers", _, "models", _] => Some("models"),
        // Ollama: models that are there, models that are loaded. OpenRouter: who serves a model, what a key may spend.
        // LiteLLM: what stands behind its names. Azure: deployments. Bedrock: models, and profiles of them.
        [.., "api", "tags" | "ps"]
        | [.., "models", _, _, "endpoints"]
        | [.., "model" | "model_group", "info"]
        | [.., "openai", "deployments"]
        | [.., "openai", "deployments", _]
        | [.., "v1", "engines"]
        | ["foundation-models" | "inference-profiles"]
        | ["foundation-models" | "inference-profiles", _] => Some("models"),
        [.., "api", "version"]
        | [
            ..,
            "v1",
            "key" | "credits" | "providers" | "generation" | "health" | "usage" | "api-key",
        ]
        | [.., "auth", "key"]
        | [.., "organization", "costs"]
        | [.., "organization", "usage", _]
        | [.., "dashboard", "billing", "usage" | "subscription"]
        | ["user", "balance"]
        | [
            "health_generate" | "metrics" | "load" | "get_model_info" | "server_info" | "info" | "props"
            | "tokenizer_info" | "is_sleeping",
        ] => Some("status"),
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
) -> Result<(JsonBody<'b>, Reading), Problem> {
    let endpoint = &route.endpoint;
    let content_type = endpoint.content_type.as_deref();
    let request = Direction::Request;
    let mut reader = match endpoint.body {
        BodyForm::Multipart => {
            Reader::form(body, content_type.unwrap_or_default(), request, bounds)?
        }
        BodyForm::Fields => Reader::fields(body, request, bounds)?,
        BodyForm::File => Reader::whole_file(body, content_type, request, bounds)?,
        BodyForm::JsonOrNothing if body.trim_ascii().is_empty() => {
            Reader::new(b"{}", request, bounds)?
        }
        _ => Reader::new(body, request, bounds)?,
    };
    if !endpoint.is_deployment {
        reader.model_of_path(endpoint);
    }
    route.protocol.read_request(&mut reader, endpoint);
    reader.model_of_path(endpoint);
    endpoint.add_models_beside(&mut reader.reading.models);
    read_disguise(&mut reader, route);
    if let Some(stream) = endpoint.stream {
        reader.reading.stream = stream;
    }
    Ok(reader.finish())
}

/// A JSON-RPC call that was sent to another protocol's endpoint is none of that protocol's, and a server that takes MCP at
/// any path would carry it out: it is evaluated as both.
fn read_disguise(reader: &mut Reader<'_>, route: &Route) {
    if !reader.reading.rpc.is_empty() {
        return;
    }
    let Some(body) = reader.body() else { return };
    let root = body.root();
    let Some(message) = jsonrpc::first_message(root) else {
        return;
    };
    // Other services speak JSON-RPC as well, and the policy says that this is one.
    if route.endpoint.shape.is_some() && !jsonrpc::has_known_method(message) {
        return;
    }
    reader.problem(
        codes::AG2012,
        root,
        "a JSON-RPC call at an endpoint of another protocol",
    );
    let endpoint = reader.reading.endpoint;
    let events = reader.reading.events.len();
    mcp::Mcp.read_request(reader, &mcp::at_any_path());
    reader.end_messages(events);
    reader.reading.endpoint = endpoint;
}

/// Reads the whole body of a response.
///
/// # Errors
/// The problem that makes the whole body unreadable.
pub fn read_response<'b>(
    protocol: &dyn Protocol,
    context: &RequestContext,
    body: &'b [u8],
    bounds: Bounds,
) -> Result<(JsonBody<'b>, Reading), Problem> {
    let response = Direction::Response;
    let form = context.endpoint.answer;
    let reader = match form {
        ResponseForm::Lines => Reader::lines(body, response, bounds),
        // A file is lines only if each of them is an object; a number is a text that happens to be one.
        ResponseForm::File => match Reader::lines(body, response, bounds) {
            Ok(reader) if reader.holds_records() => Ok(reader),
            _ if is_text(body) => return read_text(body, Part::Other, bounds),
            _ => return read_bytes(bounds),
        },
        ResponseForm::Json
        | ResponseForm::Elements
        | ResponseForm::Transcript
        | ResponseForm::Media => Reader::new(body, response, bounds),
    };
    match reader {
        Ok(mut reader) => {
            protocol.read_response(&mut reader, context);
            Ok(reader.finish())
        }
        // An error page of a proxy, a plain sentence, subtitles: no JSON, and text all the same.
        Err(problem) if problem.code == codes::AG2001 && is_prose(body) => {
            let part = if form == ResponseForm::Transcript {
                Part::Transcript
            } else {
                Part::Other
            };
            read_text(body, part, bounds)
        }
        Err(problem) => Err(problem),
    }
}

/// A response that is one text.
fn read_text<'b>(
    body: &[u8],
    part: Part,
    bounds: Bounds,
) -> Result<(JsonBody<'b>, Reading), Problem> {
    let limits = Limits {
        max_depth: bounds.max_depth,
    };
    let json = JsonBody::quoted(body, limits, bounds.nested_json).map_err(reader::unreadable)?;
    let mut reading = Reading::new();
    reading.texts.push(Text {
        place: NodeId::default(),
        class: Class::Text,
        form: Form::String,
        key: None,
        over: None,
        is_data: false,
    });
    let mut event = Event::new(Kind::Response, Direction::Response, NodeId::default());
    event.part = part;
    event.texts = 0..1;
    reading.add(event);
    Ok((json, reading))
}

/// A response of bytes that nobody reads.
///
/// # Errors
/// None; a body that is read can fail.
pub fn read_bytes<'b>(bounds: Bounds) -> Result<(JsonBody<'b>, Reading), Problem> {
    let limits = Limits {
        max_depth: bounds.max_depth,
    };
    let json = JsonBody::derived(b"null".to_vec(), limits, 0).map_err(reader::unreadable)?;
    let mut reading = Reading::new();
    let mut event = Event::new(Kind::Uninspectable, Direction::Response, NodeId::default());
    event.opacity = Some("attachment");
    reading.add(event);
    Ok((json, reading))
}

/// Takes approval tokens out of a request.
pub fn remove_approvals(json: &JsonBody<'_>, reading: &Reading, edits: &mut Edits) {
    for place in &reading.approvals {
        if let Some(meta) = json.value(*place) {
            json_edit::remove_members(meta, &[APPROVAL_KEY], edits);
        }
    }
}

/// Whether a response was read as one text, which is edited as it stands and has no shape of a protocol.
pub fn is_one_text(json: &JsonBody<'_>) -> bool {
    json.body()
        .is_some_and(|body| body.root().kind() == json::ValueKind::String)
}

/// Whether bytes that are no JSON are a text all the same: UTF-8 that does not look like JSON gone wrong, nor like a stream
/// under another name. Clients that wait for a stream read one whatever its content type says.
fn is_prose(bytes: &[u8]) -> bool {
    let begins = bytes.trim_ascii_start().first();
    let mut lines = bytes.split(|byte| matches!(byte, b'\r' | b'\n'));
    // Pages of HTML have lines that begin with a brace as well.
    let is_framed = lines.any(|line| {
        let object = line.trim_ascii_start().strip_prefix(b"{");
        line.starts_with(b"data:")
            || object.is_some_and(|object| object.trim_ascii_start().starts_with(b"\""))
    });
    !matches!(begins, None | Some(b'{' | b'[')) && !is_framed && std::str::from_utf8(bytes).is_ok()
}

/// Whether the bytes of a file are a text.
fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}
