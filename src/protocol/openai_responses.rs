//! OpenAI Responses and its compatible servers: `POST …/responses`.
//!
//! Source: OpenAI's API reference and published SDK types; DeepSeek, xAI, OpenRouter, Azure and Bedrock as recorded.

mod items;
mod mark;
mod offers;
mod removal;
mod stream;

pub(super) use items::{Items, read_items};
pub(super) use mark::{restore, restored_path};
pub(super) use offers::mcp as mcp_offer;
pub(super) use removal::{denial_item, remove_from_response};
pub(super) use stream::ResponsesStream;

use mark::ItemOwner;

use super::coverage::{RESPONSE_WITH_RESULTS, shown};
use super::openai_shapes::{
    self, REASONING, beside, plugins, read_answer, response_format, tool_choice, user_id,
};
use super::provider::provider_of;
use super::reader::{Origin, Reader, Row, Type};
use super::routes::{self, RouteSpec, json};
use super::stream::StreamReader;
use super::{
    CONVERSATION, CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Protocol,
    RequestContext, ResponseEdit, RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Direction, Event, Kind, Part, Pending};
use crate::wire::json::{Edits, Value, ValueKind as JsonKind, quote};

/// The format.
pub(super) struct OpenAiResponses;

const ROUTES: &[RouteSpec] = &[json("responses", "responses")];
/// Perplexity's own path. Elsewhere an agent may speak anything.
const AGENT: RouteSpec = json("v1/agent", "responses");

const REQUEST: &[Row] = &[
    // Read before all others.
    ("model", Type::Custom),
    ("models", Type::Read(openai_shapes::models)),
    ("fallbacks", Type::Read(openai_shapes::models)),
    ("preset", Type::Read(openai_shapes::kept_agent)),
    ("instructions", Type::Read(instructions)),
    ("input", Type::Read(input)),
    ("prompt", Type::Read(stored_prompt)),
    ("previous_response_id", Type::Read(previous_response)),
    ("conversation", Type::Read(conversation)),
    ("tools", Type::List(&Type::Read(offers::offer))),
    ("extra_body", Type::Read(read_members)),
    ("tool_choice", Type::Read(tool_choice)),
    ("plugins", Type::Read(plugins)),
    (
        "search_parameters",
        Type::Read(|reader, value| {
            reader.provider_run_offer(value, &["search_parameters", "web_search"]);
        }),
    ),
    ("stream", Type::Stream),
    ("max_output_tokens", Type::MaxTokens),
    (
        "text",
        Type::Object(&[
            ("format", Type::Read(response_format)),
            ("verbosity", Type::Word("low|medium|high")),
        ]),
    ),
    ("user", Type::Read(user_id)),
    ("safety_identifier", Type::Read(user_id)),
    ("prompt_cache_key", Type::Read(user_id)),
    (
        "stream_options",
        Type::Object(&[("include_obfuscation", Type::Flag)]),
    ),
    ("parallel_tool_calls", Type::Flag),
    (
        "store",
        Type::Read(|reader, value| reader.reading.unstored = reader.boolean(value) == Some(false)),
    ),
    ("background", Type::Flag),
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("top_k", Type::Number),
    ("top_logprobs", Type::Number),
    ("presence_penalty", Type::Number),
    ("frequency_penalty", Type::Number),
    ("max_tool_calls", Type::Number),
    ("metadata", Type::Tree(Part::Other)),
    ("client_metadata", Type::Tree(Part::Other)),
    ("reasoning", Type::Object(REASONING)),
    ("truncation", Type::Word("auto|disabled")),
    (
        "service_tier",
        Type::Word("auto|default|flex|scale|priority"),
    ),
    (
        "prompt_cache_retention",
        Type::Word("in_memory|in-memory|24h"),
    ),
    ("prompt_cache_options", openai_shapes::CACHE_CONTROL),
    (
        "include",
        Type::List(&Type::Word(
            "file_search_call.results|web_search_call.results|\
             web_search_call.action.sources|message.input_image.image_url|\
             message.output_text.logprobs|computer_call_output.output.image_url|\
             code_interpreter_call.outputs|reasoning.encrypted_content",
        )),
    ),
    (
        "context_management",
        Type::List(&Type::Object(&[
            ("type", Type::Word("compaction")),
            ("compact_threshold", Type::Number),
        ])),
    ),
    ("moderation", Type::Object(&[("model", Type::Name)])),
];
/// The response repeats the request's settings.
const RESPONSE: &[Row] = &[
    ("id", Type::Id),
    ("object", Type::Id),
    ("created_at", Type::Id),
    ("completed_at", Type::Id),
    ("status", Type::Read(status)),
    ("output", Type::Read(read_items)),
    ("output_text", Type::Read(output_text)),
    ("data", Type::Read(read_items)),
    ("first_id", Type::Id),
    ("last_id", Type::Id),
    ("has_more", Type::Flag),
    ("incomplete_details", Type::Object(&[("reason", Type::Id)])),
    ("instructions", Type::Tree(Part::Other)),
    ("prompt", Type::Tree(Part::Other)),
    ("tools", Type::Tree(Part::Definition)),
    ("tool_choice", Type::Tree(Part::Other)),
    ("text", Type::Tree(Part::Definition)),
    ("metadata", Type::Tree(Part::Other)),
    ("user", Type::Text(Part::Other)),
    ("safety_identifier", Type::Text(Part::Other)),
    ("prompt_cache_key", Type::Text(Part::Other)),
    ("previous_response_id", Type::Id),
    ("conversation", Type::Object(&[("id", Type::Id)])),
    ("reasoning", Type::Object(REASONING)),
    ("max_output_tokens", Type::Number),
    ("max_tool_calls", Type::Number),
    ("parallel_tool_calls", Type::Flag),
    ("background", Type::Flag),
    ("store", Type::Flag),
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("top_logprobs", Type::Number),
    ("presence_penalty", Type::Number),
    ("frequency_penalty", Type::Number),
    ("total_tokens", Type::Number),
    ("service_tier", Type::Id),
    ("truncation", Type::Id),
    ("prompt_cache_retention", Type::Id),
    ("billing", Type::Object(&[("payer", Type::Id)])),
    ("tool_usage", Type::Counts),
    ("moderation", Type::Counts),
    ("content_filters", Type::Counts),
];

static FORMAT: Format = Format {
    name: "openai.responses",
    dialect: Dialect::OpenAi,
    routes: ROUTES,
    coverage: &[CoverageRow {
        route: shown(
            "`POST …/responses`, `…/invocations` with messages in `input`, Perplexity's `/v1/agent`",
        ),
        request: CONVERSATION,
        response: RESPONSE_WITH_RESULTS,
        stream: RESPONSE_WITH_RESULTS,
    }],
};

impl Protocol for OpenAiResponses {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        routes::endpoint(head, ROUTES).or_else(|| {
            let found = routes::endpoint(head, &[AGENT]);
            found.filter(|_| provider_of(head.host) == "perplexity")
        })
    }

    /// Agents that Databricks serves. A text, or texts, in `input` are to be embedded.
    fn asks_for_body(&self, head: &RouteHead<'_>) -> bool {
        head.method == "POST" && routes::ends_with(head.path, "invocations")
    }

    fn endpoint_by_body(&self, head: &RouteHead<'_>, body: Value<'_>) -> Option<Endpoint> {
        let mut items = body
            .get("input")
            .into_iter()
            .flat_map(|list| list.elements());
        let is_item = |item: Value<'_>| item.get("role").or(item.get("type")).is_some();
        let is_other = body.get("messages").is_some();
        (self.asks_for_body(head) && !is_other && items.any(is_item)).then(|| Endpoint {
            model: routes::served_model(head.path),
            ..Endpoint::named("responses")
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        read_request(reader, root, endpoint);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        read_response(reader, root);
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        denied_response(denial, context)
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        remove_from_response(edit.root, edit.context, edit.removals, edit.edits)
    }

    fn restores(&self, _: &Endpoint) -> bool {
        true
    }

    fn restore(&self, root: Value<'_>, edits: &mut Edits) {
        restore(root, edits);
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(ResponsesStream::new(context)))
    }
}

/// Reads a request, or what it shares with counting tokens and compacting a conversation.
pub(super) fn read_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    reader.reading.params = Some(root.place());
    reader.reading.pending = Some(Pending::Nothing);
    read_members(reader, root);
    let is_there = |name: &str| root.get(name).is_some_and(|value| !value.is_null());
    let begins_somewhere = ["input", "prompt", "previous_response_id", "conversation"]
        .iter()
        .any(|name| is_there(name));
    if !begins_somewhere {
        reader.problem(codes::AG2001, root, "`input` is missing");
    }
    openai_shapes::model_is_needed(reader, endpoint);
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}

/// Reads the members of a request, or those that LiteLLM sends in their place.
fn read_members(reader: &mut Reader<'_>, holder: Value<'_>) {
    // The requested model leads the set, whatever the order of members.
    if let Some(value) = holder.get("model") {
        openai_shapes::model(reader, value);
    }
    reader.plain_rows(holder, REQUEST, &Origin::of(Author::System, Part::Other));
}

fn instructions(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        JsonKind::Array => read_items(reader, value),
        _ => {
            reader.text(value, &Origin::of(Author::System, Part::Text));
        }
    }
}

fn input(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        JsonKind::String => {
            let origin = Origin::of(Author::User, Part::Text);
            reader.reading.count_message(&origin.from);
            reader.text(value, &origin);
        }
        _ => read_items(reader, value),
    }
}

fn previous_response(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.id(value);
    // An id that the filter created for nothing is not forwarded.
    if mark::standing(Some(value)) != ItemOwner::Nothing {
        continues(reader, value, Pending::ById);
    }
}

fn conversation(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        JsonKind::String => reader.id(value),
        _ => reader.object(value, &["id"], |reader, _, value| reader.id(value)),
    }
    continues(reader, value, Pending::Stuck);
}

/// What the model reads is kept at the provider.
fn continues(reader: &mut Reader<'_>, value: Value<'_>, pending: Pending) {
    reader.uninspectable(value, "provider_state");
    reader.reading.continues_elsewhere = true;
    reader.reading.pending = reader.reading.pending.max(Some(pending));
}

/// A prompt that is kept at the provider, with its own model, instructions and tools; the request brings what is put
/// into it.
fn stored_prompt(reader: &mut Reader<'_>, value: Value<'_>) {
    let origin = Origin::of(Author::User, Part::Text);
    reader.object(
        value,
        &["id", "version", "variables"],
        |reader, key, value| match key {
            "id" | "version" => reader.id(value),
            _ if value.kind() == JsonKind::Object => {
                reader.claim(value);
                for (_, variable) in value.members() {
                    match variable.kind() {
                        JsonKind::Object => items::content_part(reader, variable, &origin, false),
                        _ => {
                            reader.text(variable, &origin);
                        }
                    }
                }
            }
            _ => {}
        },
    );
    reader.uninspectable(value, "provider_state");
}

/// Reads a response, a list of items, or an error.
pub(super) fn read_response(reader: &mut Reader<'_>, root: Value<'_>) {
    read_answer(reader, root, RESPONSE);
}

fn status(reader: &mut Reader<'_>, value: Value<'_>) {
    if let Some(status) = value.text() {
        reader.reading.finish.push(status.into());
        reader.id(value);
    } else {
        reader.claim(value);
    }
}

/// Reads the text of the output once more, which is there for convenience.
fn output_text(reader: &mut Reader<'_>, value: Value<'_>) {
    let texts = reader.register_text(value, crate::event::Class::Text);
    reader.emit_duplicate(value, texts, &beside().with_part(Part::Text));
}

/// A response that is nothing but a denial.
pub(super) fn denied_response(denial: &Denial, context: &RequestContext) -> Vec<u8> {
    let mut output = Vec::new();
    denial_item(denial, &denial.message(), &mut output);
    Common::of(denial, context).response("completed", &output)
}

/// Members that every object of a response repeats, as JSON.
#[derive(Debug, Default)]
struct Common {
    id: Vec<u8>,
    created_at: Vec<u8>,
    model: Vec<u8>,
}

impl Common {
    /// Returns the members of a response that the filter creates.
    fn of(denial: &Denial, context: &RequestContext) -> Common {
        let mut common = Common::default();
        let id = format!("resp_agentguard_{}", denial.request_id);
        quote(&id, &mut common.id);
        common.created_at.push(b'0');
        let model = context.models.names.first().map_or("", |model| model);
        quote(model, &mut common.model);
        common
    }

    /// A whole response, with the items of its output.
    fn response(&self, status: &str, output: &[u8]) -> Vec<u8> {
        let mut out = br#"{"id":"#.to_vec();
        out.extend_from_slice(&self.id);
        out.extend_from_slice(br#","object":"response","created_at":"#);
        out.extend_from_slice(&self.created_at);
        out.extend_from_slice(br#","status":"#);
        quote(status, &mut out);
        out.extend_from_slice(
            br#","error":null,"incomplete_details":null,"instructions":null,"metadata":{},"model":"#,
        );
        out.extend_from_slice(&self.model);
        out.extend_from_slice(br#","output":["#);
        out.extend_from_slice(output);
        out.extend_from_slice(
            br#"],"parallel_tool_calls":true,"temperature":null,"tool_choice":"auto","tools":[],"top_p":null}"#,
        );
        out
    }
}
