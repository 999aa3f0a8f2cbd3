//! Protocols of AI traffic, one file for each format: the position of models, texts, tools, calls, results and usage
//! in it, and the form of a denial.
//!
//! To add a protocol, write one file here with a [`Protocol`], add one line to [`PROTOCOLS`], and its name to
//! [`PROTOCOL_NAMES`](crate::event::PROTOCOL_NAMES).

mod a2a;
mod anthropic_batches;
mod anthropic_complete;
mod anthropic_messages;
mod anthropic_sessions;
mod anthropic_shapes;
mod bedrock_converse;
mod bedrock_count_tokens;
mod bedrock_invoke;
mod bedrock_shapes;
mod client_blocks;
mod code_assist;
mod cohere;
mod conversation;
mod coverage;
mod dashscope;
mod denial;
mod dify;
mod gemini_embed;
mod gemini_generate;
mod gemini_interactions;
mod gemini_shapes;
mod generic;
mod json_edit;
mod jsonrpc;
mod lmstudio;
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
mod region;
mod routes;
pub mod stream;

#[cfg(test)]
mod tests;
mod vertex_paths;
mod vertex_raw_predict;
mod watsonx;
mod workers_ai;
pub mod written_calls;

use coverage::{CONVERSATION, MINTED, MODEL_RESPONSE, TEXT_RESPONSE, TEXTS};
pub use coverage::{CoverageRow, Inspected, OTHER_ROUTES, responses_of};
pub use denial::{Denial, Dialect};
pub use provider::{known_providers, provider_of};
pub use reader::{Bounds, Origin, Reader, begins_like_json, code_of, unread_message};
#[cfg(test)]
pub(crate) use reader::{known_tools_passed, known_turns_passed};
pub use region::{region_of, region_with_models};

use crate::diag::codes;
use crate::event::{
    APPROVAL_KEY, Class, CustomFormat, DefaultGate, Direction, Event, Form, Kind, Known, Models,
    Part, Pending, Problem, Reading, RpcMessage, Text, TextNames, Usage,
};
use crate::wire::frame::{self, Framing};
use crate::wire::http::{ContentType, MediaType, Path};
use crate::wire::json::{self, Edits, JsonBody, Limits, NodeId, Value};
use crate::wire::letter_case;
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;
use std::ops::Range;
use std::rc::Rc;
use stream::StreamReader;

/// Head of a request, as far as the recognition of its protocol needs it.
#[derive(Clone, Copy, Debug)]
pub struct RouteHead<'a> {
    /// Method, as received.
    pub method: &'a str,
    /// Authority in lower case, with its port.
    pub host: &'a str,
    /// Path, normalised for comparison.
    pub path: &'a Path,
    /// All headers, with names in lower case.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

impl<'a> RouteHead<'a> {
    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers
            .iter()
            .find(|(known, _)| *known == name.as_bytes())
            .map(|(_, value)| *value)
    }
}

/// Endpoint of a protocol, with the information in its path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Name in audit events: `chat.completions`.
    pub name: &'static str,
    /// Model in the path (Azure, Gemini, Bedrock); unknown if the path contains a name that hides the model.
    pub model: Known<Box<str>>,
    /// Whether the path contains a deployment, as Azure's does. The deployment alone decides which model responds. A
    /// model in the body may have any name, and is evaluated as well.
    pub is_deployment: bool,
    /// Model that responds behind the name in the path, where that name is an alias (an ARN, the id of an endpoint):
    /// another name of the same model, or an unknown one.
    pub behind: Known<Box<str>>,
    /// Further models in the query and the headers. They may respond, too, or draft tokens for the model that
    /// responds.
    pub beside: Models,
    /// Whether the response is streamed, if the path decides it.
    pub stream: Option<bool>,
    /// Continuation of the conversation after a removed call, if the path decides it.
    pub pending: Option<Pending>,
    /// Form of the request's body.
    pub body: BodyForm,
    /// Form of the response's body.
    pub response: ResponseForm,
    /// Code of an endpoint whose requests are harmful whatever their body contains: it hands out access (AG2013).
    pub code: Option<&'static str>,
    /// `content-type` of the request, where reading the body needs it: it contains the boundary of a form. Set when a
    /// request is recognised.
    pub content_type: Option<Box<[u8]>>,
    /// Headers that must agree with the body, or that determine how it is read; names in lower case.
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    /// Decision point that lets a request without a body pass where no rule decides.
    pub gate: DefaultGate,
    /// Position of texts in the bodies, if only the policy defines it.
    pub shape: Option<Rc<CustomFormat>>,
}

/// Form of the body of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyForm {
    /// JSON.
    #[default]
    Json,
    /// JSON, or no body.
    JsonOrNothing,
    /// `multipart/form-data`; or JSON, where `content-type` names it, because some servers accept both.
    Multipart,
    /// `application/x-www-form-urlencoded`; or JSON, where `content-type` names it.
    Fields,
    /// Bytes of a file.
    File,
    /// No body: only the response is evaluated.
    Absent,
    /// Unreadable: AG2006.
    Unreadable,
}

impl BodyForm {
    /// Returns whether a body with this media type can be read in this form.
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

/// Form of the body of a response. Errors are JSON or plain text, whatever form the endpoint has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseForm {
    /// JSON.
    #[default]
    Json,
    /// JSON, or the transcript of audio as plain text or subtitles.
    Transcript,
    /// JSON lines.
    Lines,
    /// JSON array with one element for each part of a streamed response.
    Elements,
    /// Stored file: JSON lines, text, or bytes.
    File,
    /// Audio, images, video: bytes that are not inspected.
    Media,
}

impl ResponseForm {
    /// Returns whether a response with this media type is bytes that are not inspected.
    pub fn is_media(self, media: MediaType) -> bool {
        self == ResponseForm::Media
            && !matches!(
                media,
                MediaType::Json | MediaType::Text | MediaType::EventStream | MediaType::JsonLines
            )
    }

    /// Returns whether a response with this media type is read as a whole.
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
    /// Returns an endpoint with a JSON body and no information in its path.
    pub fn named(name: &'static str) -> Endpoint {
        Endpoint {
            name,
            ..Endpoint::default()
        }
    }

    /// Returns the values of a header that the request was recognised with.
    pub fn header<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e [u8]> {
        self.headers
            .iter()
            .filter(move |(known, _)| **known == *name)
            .map(|(_, value)| &**value)
    }

    /// Returns an endpoint whose requests have no body: only the response is evaluated.
    pub fn without_body(name: &'static str) -> Endpoint {
        Endpoint {
            body: BodyForm::Absent,
            ..Endpoint::named(name)
        }
    }

    /// Returns the models that a request contains before its body.
    pub fn models(&self) -> Models {
        let mut models = Models::default();
        self.add_models(&mut models);
        self.add_models_beside(&mut models);
        models
    }

    /// Adds the models in the path.
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
        models.unknown |= self.beside.unknown;
        for model in &self.beside.names {
            models.add(model);
        }
    }
}

/// Request data that the evaluation of the response needs.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    /// Endpoint of the request.
    pub endpoint: Endpoint,
    /// Models that may respond.
    pub models: Models,
    /// Whether the client asked for a streamed response.
    pub stream: bool,
    /// Whether the client asked for several choices.
    pub asks_for_several: bool,
    /// Whether the model was forced to call a tool.
    pub forces_tool: bool,
    /// Whether the client asked for a response that matches a schema.
    pub structured_output: bool,
    /// Whether the request continues a conversation that the provider stores.
    pub continues_elsewhere: bool,
    /// Continuation of the conversation if a call is removed from the response.
    pub pending: Option<Pending>,
    /// Whether the request turns off storage of the response.
    pub unstored: bool,
    /// Whether the request contains tool definitions.
    pub offers_tools: bool,
    /// JSON-RPC messages of the request, in order.
    pub rpc: Vec<RpcMessage>,
}

impl RequestContext {
    /// Returns the context before the body is read.
    pub fn at(endpoint: Endpoint) -> RequestContext {
        RequestContext {
            pending: endpoint.pending,
            endpoint,
            ..RequestContext::default()
        }
    }

    /// Returns whether a client could not continue if a call were removed from the response. The id of a response
    /// that has begun to be forwarded cannot report a call that is denied later.
    pub fn waits_for_results(&self, has_begun: bool) -> bool {
        match self.pending {
            Some(Pending::Nothing) => false,
            Some(Pending::ById) => has_begun,
            Some(Pending::Stuck) => true,
            None => self.continues_elsewhere,
        }
    }

    /// The method of a JSON-RPC message that the protocol does not know, as the client wrote it.
    pub fn unknown_method(&self) -> Option<&str> {
        match &*self.rpc {
            [message] if mcp::is_message(self.endpoint.name) => message
                .method
                .as_deref()
                .filter(|method| !method.is_empty()),
            _ => None,
        }
    }

    /// Adds the results of reading the body.
    pub fn learn(&mut self, reading: &Reading) {
        self.models = reading.models.clone();
        self.stream = reading.stream;
        self.asks_for_several = reading.asks_for_several;
        self.forces_tool = reading.forces_tool;
        self.structured_output = reading.structured_output;
        self.continues_elsewhere = reading.continues_elsewhere;
        self.pending = reading.pending.or(self.endpoint.pending);
        self.unstored = reading.unstored;
        self.offers_tools = reading.has_offers();
        self.rpc.clone_from(&reading.rpc);
        if let Some(name) = reading.endpoint {
            self.endpoint.name = name;
        }
    }
}

/// Changes to a whole response with denied or redacted parts.
#[derive(Clone, Debug, Default)]
pub struct Removals {
    /// Calls to remove, each with its choice, its position, and the text that explains the denial.
    pub calls: Vec<RemovedCall>,
    /// Choices whose text is denied, each with the replacement text.
    pub choices: Vec<(u32, String)>,
    /// The same choices, with the denials as the client may see them.
    pub denials: Vec<(u32, Denial)>,
    /// Tool definitions to remove.
    pub offers: Vec<NodeId>,
    /// Redacted texts: the position of each, and the changed parts of the decoded text with the change of their
    /// length.
    pub edited: Vec<EditedText>,
}

impl Removals {
    /// Checks that there are no more than protocols compare with one another.
    ///
    /// # Errors
    /// There are more.
    pub fn bounded(&self) -> Result<(), CannotRemove> {
        const MAX_REMOVALS: usize = 10_000;
        let changes = self.edited.iter().map(|edited| edited.changes.len());
        let changes = changes.fold(self.edited.len(), usize::saturating_add);
        let counts = [self.calls.len(), self.choices.len(), changes];
        match counts.iter().all(|count| *count <= MAX_REMOVALS) {
            true => Ok(()),
            false => Err(CannotRemove),
        }
    }

    /// Returns the choices whose text is denied, each with the replacement text.
    pub(crate) fn denied_texts(&self) -> SortedMap<u32, &str> {
        self.choices
            .iter()
            .map(|(choice, text)| (*choice, text.as_str()))
            .collect()
    }

    /// Returns denied calls by their position, each with the replacement text. Calls of denied choices are removed
    /// with the choices.
    pub(crate) fn denied_calls(&self) -> SortedMap<NodeId, &str> {
        let denied_text = self.denied_texts();
        self.calls
            .iter()
            .filter(|call| !denied_text.contains_key(&call.choice))
            .map(|call| (call.at, call.text.as_str()))
            .collect()
    }

    /// Returns redacted texts by their position.
    pub(crate) fn edited_texts(&self) -> SortedMap<NodeId, &EditedText> {
        sort::map(self.edited.iter().map(|edited| (edited.at, edited)))
    }

    /// Checks the removals for a response without removable parts and without copies of a text. A denial denies such
    /// a response as a whole, and edits are already made at the text itself.
    ///
    /// # Errors
    /// If a call or a choice is to be removed.
    pub(crate) fn only_edits(&self) -> Result<(), CannotRemove> {
        if self.calls.is_empty() && self.choices.is_empty() {
            Ok(())
        } else {
            Err(CannotRemove)
        }
    }
}

/// Whole response, the parts to remove from it, and the edits that do so.
pub struct ResponseEdit<'a> {
    json: &'a JsonBody<'a>,
    root: Value<'a>,
    context: &'a RequestContext,
    removals: &'a Removals,
    edits: &'a mut Edits,
}

/// Call to remove from a response.
#[derive(Clone, Debug)]
pub struct RemovedCall {
    /// Choice of the call.
    pub choice: u32,
    /// Position of the call.
    pub at: NodeId,
    /// Text for the client.
    pub text: String,
}

/// Redacted text of a response.
#[derive(Clone, Debug)]
pub struct EditedText {
    /// Choice of the text.
    pub choice: u32,
    /// Position of the text.
    pub at: NodeId,
    /// Replaced ranges, in bytes of the decoded text, and their replacements.
    pub changes: Vec<(Range<usize>, String)>,
}

/// Effect of a denied event on its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalMethod {
    /// The call is removed, and a text explains it.
    Call,
    /// The text of the choice becomes the denial.
    Choice,
    /// The JSON-RPC message of the event becomes a denial. Other messages in the same body are kept.
    Message,
    /// The tool definition is removed.
    Offer,
    /// The whole response is denied.
    Whole,
}

/// Local reply for a denial, in the form of a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenialReply {
    /// HTTP status.
    pub status: u16,
    /// `content-type`, and other headers that the protocol's clients read.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Constants of a protocol.
#[derive(Debug)]
pub struct Format {
    /// Name in policies and audit events: `openai.chat`.
    pub name: &'static str,
    /// Form of denials.
    pub dialect: Dialect,
    /// Endpoints that the method and the end of the path identify.
    routes: &'static [routes::RouteSpec],
    /// What is evaluated of each route.
    pub coverage: &'static [CoverageRow],
}

/// Format of requests and responses.
pub trait Protocol: Sync {
    /// Returns the constants of this protocol.
    fn format(&self) -> &'static Format;

    /// Returns the endpoint of a request, if the request belongs to this protocol.
    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        routes::endpoint(head, self.format().routes)
    }

    /// Returns whether only the body shows if a request with this head belongs to this protocol.
    fn asks_for_body(&self, _head: &RouteHead<'_>) -> bool {
        false
    }

    /// Returns the endpoint of a request by its body, if the request belongs to this protocol. Called if no protocol
    /// recognised the head, and [`asks_for_body`](Protocol::asks_for_body) returned true.
    fn endpoint_by_body(&self, _head: &RouteHead<'_>, _body: Value<'_>) -> Option<Endpoint> {
        None
    }

    /// Returns the endpoint of a request that the policy assigns to this protocol. If the head alone does not show
    /// the endpoint, the most usual one is assumed.
    fn assume(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        self.endpoint(head)
            .or_else(|| usual(head, self.format().name))
    }

    /// Returns whether the upstream is one of several tool servers. Rules identify it by `server`.
    fn serves_tools(&self) -> bool {
        false
    }

    /// Returns the effect on a response if an event of this kind is denied.
    fn removal(&self, kind: Kind) -> RemovalMethod {
        match kind {
            Kind::ToolCall => RemovalMethod::Call,
            Kind::Response => RemovalMethod::Choice,
            _ => RemovalMethod::Whole,
        }
    }

    /// Reads the body of a request, from its root.
    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint);

    /// Reads the whole body of a response from its root, whatever its status.
    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext);

    /// Returns the tokens that the headers of a response report.
    fn usage_in_headers(&self, _headers: &[(&[u8], &[u8])]) -> Usage {
        Usage::default()
    }

    /// Returns the local reply that denies a request, or a whole response whose status can still be set.
    fn denial_reply(&self, denial: &Denial, _asked: &RequestContext) -> DenialReply {
        self.format().dialect.reply(denial)
    }

    /// Returns the body that the server gets in place of a denied request, if only the server can end what waits for it: the
    /// request answers the server, or the client reads its own answer elsewhere. `None`: the client is told.
    fn denied_answers(&self, _denial: &Denial, _asked: &RequestContext) -> Option<Vec<u8>> {
        None
    }

    /// Returns a whole response body that contains only a denial, for a client that has already received a successful
    /// status.
    fn denied_response(&self, denial: &Denial, _asked: &RequestContext) -> Vec<u8> {
        self.format().dialect.body(denial)
    }

    /// Edits a whole response so that denied parts are removed and the rest is valid for its schema and its SDK.
    ///
    /// # Errors
    /// If that is impossible; the response is then denied as a whole.
    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        edit.removals.only_edits()
    }

    /// Returns whether requests to this endpoint may contain ids of items that we put into earlier responses.
    fn restores(&self, _endpoint: &Endpoint) -> bool {
        false
    }

    /// Replaces our ids in a request's body by the provider's.
    fn restore(&self, _root: Value<'_>, _edits: &mut Edits) {}

    /// Returns the framing of a response of this media type; `None` if the response is read as a whole. A client's
    /// parser is that of its API, whatever the header says, so that only framings of this API count.
    fn framing(&self, _asked: &RequestContext, media: MediaType) -> Option<Framing> {
        text_framing(media)
    }

    /// Returns a reader of the frames of one response; `None` if no stream of this endpoint is known.
    fn stream(&self, _asked: &RequestContext) -> Option<Box<dyn StreamReader>> {
        None
    }
}

/// Returns the framing of a stream that is text.
fn text_framing(media: MediaType) -> Option<Framing> {
    match media {
        MediaType::EventStream => Some(Framing::Sse),
        MediaType::JsonLines => Some(Framing::Lines),
        _ => None,
    }
}

impl dyn Protocol + '_ {
    /// Returns the name in policies and audit events: `openai.chat`.
    pub fn name(&self) -> &'static str {
        self.format().name
    }

    /// Returns what is evaluated of each route.
    pub fn coverage(&self) -> &'static [CoverageRow] {
        self.format().coverage
    }
}

/// Error: a response cannot be edited as required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotRemove;

/// All protocols, the more specific before the more general. The last two are recognised at any path, and so come
/// last.
pub const PROTOCOLS: &[&dyn Protocol] = &[
    &openai_chat::OpenAiChat,
    // One of its paths ends like that of embeddings.
    &watsonx::Watsonx,
    &dashscope::DashScope,
    &dify::Dify,
    // Its paths end with the name of a model, which may be any word.
    &workers_ai::WorkersAi,
    &openai_responses::OpenAiResponses,
    &openai_embeddings::OpenAiEmbeddings,
    &openai_moderations::OpenAiModerations,
    &openai_images::OpenAiImages,
    &openai_audio::OpenAiAudio,
    // The paths of these protocols end like those of completions.
    &ollama::CHAT,
    &ollama::GENERATE,
    &lmstudio::LmStudio,
    &cohere::V2,
    &cohere::V1,
    &openai_completions::OpenAiCompletions,
    &anthropic_messages::AnthropicMessages,
    &anthropic_messages::AnthropicCountTokens,
    &anthropic_batches::AnthropicBatches,
    &anthropic_complete::AnthropicComplete,
    &anthropic_sessions::AnthropicSessions,
    &bedrock_converse::BedrockConverse,
    &bedrock_invoke::BedrockInvoke,
    &bedrock_count_tokens::BedrockCountTokens,
    &gemini_generate::GeminiGenerate,
    &code_assist::CodeAssist,
    &gemini_generate::GeminiCountTokens,
    &gemini_embed::GeminiEmbed,
    &gemini_interactions::GeminiInteractions,
    &vertex_raw_predict::VertexRawPredict,
    &provider_apis::ANTHROPIC,
    &provider_apis::BEDROCK,
    &provider_apis::GOOGLE,
    &openai_other::OpenAiOther,
    &a2a::A2a,
    // The paths of this protocol are on MCP servers, which accept their own messages at any path.
    &oauth::OAuth,
    &mcp::Mcp,
];

/// Returns all protocols, including the one that only a policy can select.
pub fn all() -> impl Iterator<Item = &'static dyn Protocol> {
    let generic: &'static dyn Protocol = &generic::Generic;
    PROTOCOLS.iter().copied().chain(std::iter::once(generic))
}

/// Returns the methods of JSON-RPC that are known. Servers have others as well.
pub fn rpc_methods() -> impl Iterator<Item = &'static str> {
    mcp::method_names().chain(a2a::method_names())
}

/// Returns the protocol with this name.
pub fn named(name: &str) -> Option<&'static dyn Protocol> {
    all().find(|protocol| protocol.name() == name)
}

#[inline(never)]
fn usual(head: &RouteHead<'_>, name: &'static str) -> Option<Endpoint> {
    (head.method == "POST").then(|| Endpoint::named(name))
}

/// Protocol and endpoint of a request.
#[derive(Clone)]
pub struct Route {
    /// Protocol of the request.
    pub protocol: &'static dyn Protocol,
    /// Endpoint within the protocol.
    pub endpoint: Endpoint,
}

impl Route {
    /// Returns the route of a request, with the headers that reading it needs.
    pub fn new(
        protocol: &'static dyn Protocol,
        mut endpoint: Endpoint,
        head: &RouteHead<'_>,
    ) -> Route {
        routes::add_models_beside(head, &mut endpoint.beside);
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

/// Result of recognising a request.
#[derive(Clone, Debug)]
pub enum Recognised {
    /// Protocol whose bodies are read.
    Protocol(Route),
    /// Only the body shows the protocol.
    ByBody,
    /// Endpoint without content of a conversation: model lists, health checks, CORS preflights. It is harmless only
    /// without a body.
    Harmless {
        /// Name of the endpoint.
        endpoint: &'static str,
    },
    /// Unknown endpoint: AG2007.
    Unknown,
}

/// Recognises the protocol of a request by its head.
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

/// Returns the target of a request with the provider's own id, if the target contains one of our response ids.
pub fn restored_path(target: &str) -> Option<String> {
    openai_responses::restored_path(target)
}

/// Returns whether a request to an unknown endpoint may still contain a tool call, because some servers accept calls
/// at any path.
pub fn may_hold_a_call(head: &RouteHead<'_>) -> bool {
    head.method == "POST"
}

/// Recognises the protocol of a request by its body.
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
        // Ollama: installed and loaded models. OpenRouter: providers of a model, the budget of a key. LiteLLM: models
        // behind its aliases. Azure: deployments. Bedrock: models, and inference profiles. xAI: models by what they make.
        [.., "api", "tags" | "ps"]
        | [.., "models", _, _, "endpoints"]
        | [.., "model" | "models" | "model_group", "info"]
        | [.., "openai", "deployments"]
        | [.., "openai", "deployments", _]
        | [.., "v1", "engines"]
        | [.., "v1", "language-models" | "image-generation-models" | "video-generation-models"]
        | [.., "v1", "language-models" | "image-generation-models" | "video-generation-models", _]
        | ["foundation-models" | "inference-profiles"]
        | ["foundation-models" | "inference-profiles", _] => Some("models"),
        [.., "api", "version"]
        | [
            ..,
            "v1",
            "key" | "credits" | "providers" | "generation" | "health" | "usage" | "api-key",
        ]
        | [.., "endpoints", "zdr"]
        | [.., "key" | "user" | "team", "info"]
        | [.., "wham", "usage"]
        | [.., "auth", "key"]
        | [.., "organization", "costs"]
        | [.., "organization", "usage", _]
        | [.., "dashboard", "billing", "usage" | "subscription"]
        | ["user", "balance"]
        | [
            "health_generate" | "metrics" | "load" | "get_load" | "get_model_info" | "model_info" | "server_info"
            | "get_server_info" | "info" | "props" | "lora-adapters" | "tokenizer_info" | "is_sleeping",
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
    if let Some(body) = reader.body() {
        route
            .protocol
            .read_request(&mut reader, body.root(), endpoint);
    }
    reader.model_of_path(endpoint);
    endpoint.add_models_beside(&mut reader.reading.models);
    read_disguise(&mut reader, route);
    if let Some(stream) = endpoint.stream {
        reader.reading.stream = stream;
    }
    Ok(reader.finish())
}

/// Evaluates a JSON-RPC call at the endpoint of another protocol as both. The call does not belong to that protocol,
/// but a server that accepts MCP at any path would run it.
fn read_disguise(reader: &mut Reader<'_>, route: &Route) {
    if !reader.reading.rpc.is_empty() {
        return;
    }
    let Some(body) = reader.body() else { return };
    let root = body.root();
    let Some(message) = jsonrpc::first_message(root) else {
        return;
    };
    // Other services use JSON-RPC as well, and the policy declares this endpoint as one.
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
    mcp::Mcp.read_request(reader, root, &mcp::at_any_path());
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
    let form = context.endpoint.response;
    let reader = match form {
        ResponseForm::Lines => Reader::lines(body, response, bounds),
        // A file is JSON lines only if each line is an object. A number is a text that happens to be JSON.
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
            if let Some(body) = reader.body() {
                protocol.read_response(&mut reader, body.root(), context);
            }
            Ok(reader.finish())
        }
        // An error page of a proxy, a plain sentence, subtitles: not JSON, but text.
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

/// Reads a response that is a single text.
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
        names: TextNames::NONE,
        is_data: false,
    });
    let mut event = Event::new(Kind::Response, Direction::Response, NodeId::default());
    event.part = part;
    event.texts = 0..1;
    reading.add(event);
    Ok((json, reading))
}

/// Returns the reading of a response whose bytes are not inspected.
///
/// # Errors
/// None; the reading of other bodies can fail.
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

/// Edits a whole response so that denied parts are removed and the rest is valid for its schema and its SDK.
///
/// # Errors
/// If that is impossible; the response is then denied as a whole.
pub fn remove_from_response(
    protocol: &dyn Protocol,
    json: &JsonBody<'_>,
    context: &RequestContext,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    removals.bounded()?;
    let body = json.body().ok_or(CannotRemove)?;
    protocol.remove_from_response(&mut ResponseEdit {
        json,
        root: body.root(),
        context,
        removals,
        edits,
    })
}

/// Removes approval tokens from a request.
pub fn remove_approvals(json: &JsonBody<'_>, reading: &Reading, edits: &mut Edits) {
    for place in &reading.approvals {
        if let Some(meta) = json.value(*place) {
            json_edit::remove_members(meta, &[APPROVAL_KEY], edits);
        }
    }
}

/// Returns whether a response was read as a single text. Such a text is edited in place and has no protocol
/// structure.
pub fn is_one_text(json: &JsonBody<'_>) -> bool {
    json.body()
        .is_some_and(|body| body.root().kind() == json::ValueKind::String)
}

/// Returns whether bytes that are not JSON are text: UTF-8 that resembles neither broken JSON nor a mislabelled
/// stream. Clients that expect a stream read one whatever its content type is.
fn is_prose(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let begins = bytes.trim_ascii_start().first();
    let is_margin = |c: char| c.is_whitespace() || c.is_control() || c == '\u{FEFF}';
    let is_object = |text: &str| {
        let object = text.trim_start_matches(is_margin).strip_prefix('{');
        // HTML pages have lines that begin with a brace as well.
        object.is_some_and(|object| object.trim_ascii_start().starts_with('"'))
    };
    let mut lines = text.split(frame::is_line_end);
    let is_framed = lines.any(|line| {
        let field = line.trim_start_matches(is_margin).split_once(':');
        // Some clients trim lines, and some ignore the case of names.
        line.starts_with("data:")
            || field.is_some_and(|(name, value)| {
                name.trim_end_matches(is_margin)
                    .eq_ignore_ascii_case("data")
                    && is_object(value)
            })
            || is_object(line)
    });
    !matches!(begins, None | Some(b'{' | b'[')) && !is_framed
}

/// Returns whether the bytes of a file are text.
fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}
