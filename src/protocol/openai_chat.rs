//! OpenAI Chat Completions and everything compatible: `POST …/chat/completions`.
//!
//! Source: OpenAI's API reference and published SDK types; differences of compatible servers as recorded from them and as
//! OpenRouter, vLLM, Mistral, Groq, DeepSeek, xAI, Perplexity, z.ai and Azure document them. The reader also knows legacy
//! completions' members, since OpenRouter takes `prompt` here and others take `messages` there.

mod removal;
mod stream;

pub(super) use removal::remove_from_response;
pub(super) use stream::{ChunkForm, chat_stream, chat_stream_of};

use super::conversation::{Attribution, Calls, TurnRole, Turns, author_of};
use super::coverage::shown;
use super::json_edit::choice_number;
use super::lmstudio;
use super::openai_shapes::{
    self, REASONING, SPEECH, beside, called_function, content, content_texts, error, inputs,
    named_offer, plugins, read_answer, response_format, spoken, tool_call, tool_choice, tool_offer,
    usage, user_id,
};
use super::reader::{Origin, Reader, Roles, Row, Type};
use super::routes::{self, RouteSpec, json};
use super::stream::StreamReader;
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Inspected, Protocol,
    RequestContext, ResponseEdit, RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Direction, Event, Kind, Known, Part, Turn};
use crate::wire::json::{Value, ValueKind as JsonKind, quote};
use std::ops::Range;

/// The format.
pub(super) struct OpenAiChat;

const ROUTES: &[RouteSpec] = &[json("chat/completions", "chat.completions")];
/// Name of the endpoint whose answer is fetched later.
const DEFERRED: &str = "chat.completions.deferred";

const REQUEST: &[Row] = &[
    // Read before all others.
    ("model", Type::Custom),
    // watsonx.ai.
    ("model_id", Type::Read(openai_shapes::model)),
    ("project_id", Type::Id),
    ("space_id", Type::Id),
    ("time_limit", Type::Number),
    ("tool_choice_option", Type::Read(tool_choice)),
    // Whichever answers, the request may use it.
    ("models", Type::Read(openai_shapes::models)),
    ("fallbacks", Type::Read(openai_shapes::models)),
    ("preset", Type::Read(openai_shapes::kept_agent)),
    ("agent_id", Type::Read(openai_shapes::kept_agent)),
    ("messages", Type::Custom),
    ("prompt", Type::Read(prompt)),
    ("suffix", Type::Read(prompt)),
    ("inputs", Type::Read(prompt)),
    ("tools", Type::List(&Type::Read(tool_offer))),
    ("tool_choice", Type::Read(tool_choice)),
    ("functions", Type::List(&Type::Read(function_offer))),
    ("extra_body", Type::Read(members_on_top)),
    (
        "tensorzero::extra_body",
        Type::List(&Type::Read(change_of_body)),
    ),
    ("function_call", Type::Read(tool_choice)),
    ("plugins", Type::Read(plugins)),
    ("web_search_options", Type::Read(web_search)),
    ("search_parameters", Type::Read(search_parameters)),
    ("enable_search", Type::Read(enable_search)),
    ("data_sources", Type::List(&Type::Read(data_source))),
    ("stream", Type::Stream),
    ("max_tokens", Type::MaxTokens),
    ("max_completion_tokens", Type::MaxTokens),
    ("max_new_tokens", Type::MaxTokens),
    ("n_predict", Type::MaxTokens),
    ("response_format", Type::Read(response_format)),
    ("prediction", Type::Read(prediction)),
    ("user", Type::Read(user_id)),
    ("safety_identifier", Type::Read(user_id)),
    ("prompt_cache_key", Type::Read(user_id)),
    ("audio", Type::Read(audio)),
    (
        "stream_options",
        Type::Object(&[
            ("include_usage", Type::Flag),
            ("include_obfuscation", Type::Flag),
            ("continuous_usage_stats", Type::Flag),
        ]),
    ),
    ("parallel_tool_calls", Type::Flag),
    ("store", Type::Flag),
    ("echo", Type::Flag),
    ("include_reasoning", Type::Flag),
    ("enable_thinking", Type::Flag),
    ("safe_prompt", Type::Flag),
    // DashScope.
    ("incremental_output", Type::Flag),
    ("result_format", Type::Word("message|text")),
    ("add_generation_prompt", Type::Flag),
    ("continue_final_message", Type::Flag),
    ("add_special_tokens", Type::Flag),
    ("skip_special_tokens", Type::Flag),
    ("ignore_eos", Type::Flag),
    ("return_token_ids", Type::Flag),
    ("return_images", Type::Flag),
    ("return_related_questions", Type::Flag),
    ("return_citations", Type::Flag),
    ("logprobs", Type::Setting),
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("top_k", Type::Number),
    ("top_a", Type::Number),
    ("min_p", Type::Number),
    ("n", Type::Read(|reader, value| reader.answers(value))),
    ("best_of", Type::Number),
    ("seed", Type::Number),
    ("random_seed", Type::Number),
    ("presence_penalty", Type::Number),
    ("frequency_penalty", Type::Number),
    ("repetition_penalty", Type::Number),
    ("length_penalty", Type::Number),
    ("min_tokens", Type::Number),
    ("top_logprobs", Type::Number),
    ("prompt_logprobs", Type::Setting),
    ("truncate_prompt_tokens", Type::Number),
    ("thinking_budget", Type::Number),
    ("logit_bias", Type::Numbers),
    ("stop", Type::Tree(Part::Other)),
    ("metadata", Type::Tree(Part::Other)),
    // Prompts that are no text, which vLLM and Dynamo take in place of the messages.
    ("prompt_embeds", Type::Read(prompt_embeds)),
    ("prompt_token_ids", Type::ReadOf(inputs)),
    (
        "nvext",
        Type::Object(&[("token_data", Type::ReadOf(inputs))]),
    ),
    // Texts that vLLM puts into its template, and the template.
    ("documents", Type::Read(openai_shapes::documents)),
    ("chat_template", Type::Text(Part::Other)),
    (
        "service_tier",
        Type::Word("auto|default|flex|scale|priority|on_demand|standard_only"),
    ),
    ("reasoning_effort", Type::Read(reasoning_effort)),
    ("reasoning_format", Type::Word("hidden|raw|parsed")),
    ("prompt_mode", Type::Word("reasoning")),
    ("reasoning", Type::Object(REASONING)),
    ("thinking", Type::Object(REASONING)),
    ("verbosity", Type::Word("low|medium|high")),
    ("modalities", Type::List(&Type::Word("text|audio|image"))),
    ("route", Type::Word("fallback|sort")),
    ("transforms", Type::List(&Type::Word("middle-out"))),
    ("moderation", Type::Object(&[("model", Type::Name)])),
];
const MESSAGE: &[Row] = &[
    ("role", Type::Role(ROLES)),
    ("content", Type::Custom),
    ("name", Type::Custom),
    ("tool_calls", Type::Custom),
    ("tool_call_id", Type::Custom),
    ("function_call", Type::Custom),
];
pub(super) const RESPONSE: &[Row] = &[
    ("id", Type::Id),
    ("object", Type::Id),
    ("created", Type::Number),
    ("created_at", Type::Id),
    ("choices", Type::Read(read_choices)),
    ("x_groq", Type::Read(groq)),
    ("usage_breakdown", Type::Counts),
    ("system_fingerprint", Type::Id),
    // watsonx.ai, with warnings about the model.
    ("model_id", Type::Model),
    ("model_version", Type::Id),
    ("system", Type::Tree(Part::Other)),
    ("service_tier", Type::Id),
    ("provider", Type::Id),
    ("request_id", Type::Id),
    // Of an answer that is fetched later.
    ("response", Type::Read(read_response)),
    ("citations", Type::Tree(Part::Other)),
    ("search_results", Type::Tree(Part::Other)),
    ("prompt", Type::Tree(Part::Other)),
    ("prompt_filter_results", Type::Counts),
    ("time_info", Type::Counts),
    ("moderation", Type::Counts),
];
const CHOICE: &[Row] = &[
    ("index", Type::Number),
    ("message", Type::ReadOf(response_message)),
    // Perplexity repeats an empty one beside the message.
    ("delta", Type::ReadOf(response_message)),
    ("text", Type::Text(Part::Text)),
    ("reasoning_content", Type::Text(Part::Reasoning)),
    ("finish_reason", Type::Finish(FINISH_REASONS)),
    ("native_finish_reason", Type::Id),
    ("stop_reason", Type::Id),
    ("logprobs", Type::Tokens),
    ("log_probs", Type::Tokens),
    ("seed", Type::Number),
    ("error", Type::Read(error)),
    ("content_filter_results", Type::Counts),
];
const ROLES: Roles = &[
    ("system", Author::System),
    ("developer", Author::System),
    ("user", Author::User),
    ("assistant", Author::Assistant),
    ("tool", Author::Tool),
    ("function", Author::Tool),
];
const FINISH_REASONS: &str = "|stop|length|tool_calls|content_filter|function_call|eos|error|model_length|\
     insufficient_system_resource";

static FORMAT: Format = Format {
    name: "openai.chat",
    dialect: Dialect::OpenAi,
    routes: ROUTES,
    coverage: &[CoverageRow {
        route: shown(
            "`POST …/chat/completions`, `…/async/chat/completions`, and `POST …/v1/chat` with `messages`",
        ),
        request: Inspected::As(&[
            Kind::Request,
            Kind::Message,
            Kind::ToolOffer,
            Kind::ToolCall,
            Kind::ToolResult,
        ]),
        response: Inspected::As(&[Kind::Response, Kind::ToolCall]),
        stream: Inspected::As(&[Kind::Response, Kind::ToolCall]),
    }],
};

impl Protocol for OpenAiChat {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    /// Writer serves the same format at `/v1/chat`, where Cohere serves another; model servers of clouds serve any format
    /// at `…/invocations`. A body with the conversation of another format, too, is of neither: each server would read its own.
    fn asks_for_body(&self, head: &RouteHead<'_>) -> bool {
        head.method == "POST"
            && (routes::ends_with(head.path, "v1/chat")
                || routes::ends_with(head.path, "invocations"))
    }

    fn endpoint_by_body(&self, head: &RouteHead<'_>, body: Value<'_>) -> Option<Endpoint> {
        (self.asks_for_body(head)
            && body.get("messages").is_some()
            && body.get("message").is_none()
            && !lmstudio::reads(head, body))
        .then(|| Endpoint {
            model: routes::served_model(head.path),
            ..Endpoint::named("chat.completions")
        })
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let mut endpoint = routes::endpoint(head, ROUTES)?;
        let before = head.path.segments.iter().rev().nth(2);
        if before.is_some_and(|word| word.eq_ignore_ascii_case("async")) {
            endpoint.name = DEFERRED;
        }
        Some(endpoint)
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        match endpoint.name {
            DEFERRED => read_deferred_request(reader, root, endpoint),
            _ => read_request(reader, root, endpoint, ConversationRequired::Required),
        }
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        read_response(reader, root);
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        denied_response(denial, context, ResponseShape::Chat)
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        remove_from_response(edit.root, edit.context, edit.removals, edit.edits)
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(chat_stream(context, ResponseShape::Chat)))
    }
}

/// Whether a request of this shape must contain a conversation or a prompt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ConversationRequired {
    /// Without one, the server would read something else than we do.
    Required,
    /// A stored prompt may take its place.
    Optional,
}

/// Reads a request with messages, with a prompt, or with both.
pub(super) fn read_request(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    endpoint: &Endpoint,
    conversation: ConversationRequired,
) {
    reader.reading.params = Some(root.place());
    // The requested model leads the set, whatever the order of members.
    if let Some(value) = root.get("model") {
        openai_shapes::model(reader, value);
    }
    read_members(reader, root);
    let is_there = |name: &str| root.get(name).is_some_and(|value| !value.is_null());
    if conversation == ConversationRequired::Required
        && !is_there("messages")
        && !is_there("prompt")
    {
        reader.problem(codes::AG2001, root, "`messages` is missing");
    }
    // Google's compatible endpoint: Gemini's `cachedContent`.
    let google = root.get("extra_body").and_then(|body| body.get("google"));
    let cached = google.and_then(|google| google.get("cached_content"));
    if let Some(cached) = cached.filter(|cached| !cached.is_null()) {
        reader.uninspectable(cached, "provider_state");
    }
    openai_shapes::model_is_needed(reader, endpoint);
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}

/// Reads the members of a request, or those that a server keeps apart from the others. The model is read before them.
pub(super) fn read_members(reader: &mut Reader<'_>, holder: Value<'_>) {
    let messages = holder.get("messages");
    let list = messages.into_iter().flat_map(|list| list.elements());
    let turns = Turns::of(list.map(|message| TurnRole::of(&author_of(message, ROLES), false)));
    let mut calls = Calls::default();
    let other = Origin::of(Author::System, Part::Other);
    reader.rows(holder, REQUEST, &other, &mut |reader, key, value| {
        // The model was read before all others.
        if key == "messages" {
            let read = &mut |reader: &mut Reader<'_>, message, at, called: &mut Calls| {
                let attribution = turns.attribution(author_of(message, ROLES), at);
                read_message(reader, message, attribution, called);
            };
            reader.conversation(value, "openai.chat", &turns, &mut calls, read);
        }
    });
}

/// Reads vectors in base64, or a list of them, which no rule can read.
fn prompt_embeds(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.is_null() {
        true => reader.claim(value),
        false => reader.uninspectable(value, "token_ids"),
    }
}

/// Reads members that LiteLLM sends in place of those beside: `extra_body`, and a request of `fallbacks`.
pub(super) fn members_on_top(reader: &mut Reader<'_>, holder: Value<'_>) {
    if let Some(model) = holder.get("model") {
        openai_shapes::model(reader, model);
    }
    read_members(reader, holder);
}

/// Reads what TensorZero writes into the provider's request: `{pointer: "/model", value}`. All other values are texts.
fn change_of_body(reader: &mut Reader<'_>, change: Value<'_>) {
    let pointer = change.get("pointer").and_then(|pointer| pointer.text());
    if pointer.is_some_and(|pointer| pointer.ends_with("/model"))
        && let Some(model) = change.get("value")
    {
        openai_shapes::model(reader, model);
    }
}

/// Reads a request whose answer is fetched later: `{request: {model, messages}, idempotency_key}` (Perplexity).
fn read_deferred_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    const ENVELOPE: &[Row] = &[("request", Type::Custom), ("idempotency_key", Type::Id)];
    let origin = Origin::of(Author::System, Part::Other);
    reader.rows(root, ENVELOPE, &origin, &mut |reader, _, request| {
        read_request(reader, request, endpoint, ConversationRequired::Required);
    });
    if root.get("request").is_none() {
        reader.problem(codes::AG2001, root, "`request` is missing");
    }
}

/// Reads a response of choices, or an error.
pub(super) fn read_response(reader: &mut Reader<'_>, root: Value<'_>) {
    read_answer(reader, root, RESPONSE);
}

/// Which of the two shapes a response has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseShape {
    /// With messages.
    Chat,
    /// With texts.
    Text,
}

/// A response that is nothing but a denial.
pub(super) fn denied_response(
    denial: &Denial,
    context: &RequestContext,
    answer: ResponseShape,
) -> Vec<u8> {
    let model = context.models.names.first().map_or("", |model| model);
    let mut out = br#"{"id":"#.to_vec();
    quote(&format!("agentguard-{}", denial.request_id), &mut out);
    out.extend_from_slice(match answer {
        ResponseShape::Chat => br#","object":"chat.completion","created":0,"model":"#,
        ResponseShape::Text => br#","object":"text_completion","created":0,"model":"#,
    });
    quote(model, &mut out);
    out.extend_from_slice(br#","choices":[{"index":0,"#);
    match answer {
        ResponseShape::Chat => {
            out.extend_from_slice(br#""message":"#);
            removal::denial_message(&denial.message(), &mut out);
        }
        ResponseShape::Text => {
            out.extend_from_slice(br#""text":"#);
            quote(&denial.message(), &mut out);
        }
    }
    out.extend_from_slice(br#","logprobs":null,"finish_reason":"#);
    out.extend_from_slice(removal::denial_reason(context.structured_output));
    out.extend_from_slice(b"}]}");
    out
}

/// Reads a message of a request.
fn read_message(
    reader: &mut Reader<'_>,
    message: Value<'_>,
    attribution: Attribution,
    called: &mut Calls,
) {
    let Attribution { origin, calls, .. } = attribution;
    reader.reading.count_message(&origin.from);
    let is_result = origin.from == Known::Is(Author::Tool);
    let mut answered: Option<Box<str>> = None;
    let mut named: Option<Box<str>> = None;
    let mut result: Option<(Value<'_>, Range<u32>, Range<u32>)> = None;
    let tables = [MESSAGE, SPEECH];
    reader.row_lists(
        message,
        &tables,
        &origin,
        &mut |reader, key, value| match key {
            "content" if is_result => {
                let texts = content_texts(reader, value, &origin);
                let beside = texts.end..reader.text_count();
                result = Some((value, texts, beside));
            }
            "content" => content(reader, value, &origin),
            "name" if is_result => named = reader.name(value).map(Into::into),
            "name" => {
                reader.text(value, &origin.with_part(Part::Name));
            }
            "tool_call_id" => {
                answered = value.text().map(Into::into);
                reader.id(value);
            }
            "tool_calls" => reader.array(value, |reader, call| {
                if let Some((id, name)) = tool_call(reader, call, calls, 0) {
                    called.add(&id, &name);
                }
            }),
            "function_call" if !value.is_null() => {
                called_function(reader, value, value, calls, 0);
            }
            _ => spoken(reader, key, value, &origin),
        },
    );
    reader.role_is_needed(message);
    // An earlier answer in audio, which the provider keeps.
    if let Some(kept) = message.get("audio").and_then(|audio| audio.get("id")) {
        reader.uninspectable(kept, "provider_state");
    }
    if is_result {
        let mut event = Event::new(Kind::ToolResult, Direction::Request, message.place());
        event.turn = origin.turn;
        event.from = origin.from.clone();
        event.tool = called.tool_of(answered.as_deref(), named);
        reader.rest_of_result(&event, message);
        reader.said_result(event, result, &|part| part.get("text"));
    }
}

fn prompt(reader: &mut Reader<'_>, value: Value<'_>) {
    let user = Origin::of(Author::User, Part::Text);
    reader.reading.count_message(&user.from);
    inputs(reader, value, &user);
}

fn function_offer(reader: &mut Reader<'_>, function: Value<'_>) {
    named_offer(reader, function, function);
}

fn web_search(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.provider_run_offer(value, &["web_search_options", "web_search"]);
}

/// Reads `search_parameters`. xAI and Qwen search unless the request turns it off.
fn search_parameters(reader: &mut Reader<'_>, value: Value<'_>) {
    let is_off = value.get("mode").is_some_and(|mode| mode.is_text("off"));
    if !is_off {
        reader.provider_run_offer(value, &["search_parameters", "web_search"]);
    }
}

fn enable_search(reader: &mut Reader<'_>, value: Value<'_>) {
    if reader.boolean(value) == Some(true) {
        reader.provider_run_offer(value, &["enable_search", "web_search"]);
    }
}

/// Reads Azure's own search over what the company keeps there.
fn data_source(reader: &mut Reader<'_>, source: Value<'_>) {
    let kind = source.get("type").and_then(|kind| kind.text());
    reader.object(source, &["type"], |reader, _, value| {
        reader.name(value);
    });
    reader.provider_tool(source, kind.as_deref().unwrap_or("data_sources"));
    reader.uninspectable(source, "provider_state");
}

fn audio(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.object(value, &["voice", "format"], |reader, _, value| {
        if value.kind() == JsonKind::String {
            reader.id(value);
        }
    });
}

/// Reads how much a model may reason: a word; at Fireworks also a number of tokens or a boolean.
fn reasoning_effort(reader: &mut Reader<'_>, value: Value<'_>) {
    let of = match value.kind() {
        JsonKind::String => Type::Word("none|minimal|low|medium|high|xhigh|max|default"),
        _ => Type::Setting,
    };
    reader.value(value, of, &beside());
}

/// Reads what the response will probably be: parts; at Fireworks also a text.
fn prediction(reader: &mut Reader<'_>, value: Value<'_>) {
    const PREDICTION: &[Row] = &[
        ("type", Type::Word("content")),
        ("content", Type::ReadOf(content)),
    ];
    let assistant = Origin::of(Author::Assistant, Part::Text);
    let of = match value.kind() {
        JsonKind::String => Type::Text(Part::Text),
        _ => Type::Object(PREDICTION),
    };
    reader.value(value, of, &assistant);
}

fn groq(reader: &mut Reader<'_>, value: Value<'_>) {
    const GROQ: &[Row] = &[
        ("id", Type::Id),
        ("usage", Type::Read(usage)),
        ("seed", Type::Number),
    ];
    reader.plain_rows(value, GROQ, &beside());
}

/// Reads the choices of a response.
pub(super) fn read_choices(reader: &mut Reader<'_>, choices: Value<'_>) {
    let mut at = 0usize;
    reader.array(choices, |reader, choice| {
        read_choice(reader, choice, choice_number(choice, at));
        at = at.saturating_add(1);
    });
}

fn read_choice(reader: &mut Reader<'_>, choice: Value<'_>, number: u32) {
    let origin = Origin::answer(number);
    reader.plain_rows(choice, CHOICE, &origin);
}

fn response_message(reader: &mut Reader<'_>, message: Value<'_>, origin: &Origin) {
    let tables = [MESSAGE, SPEECH];
    reader.row_lists(
        message,
        &tables,
        origin,
        &mut |reader, key, value| match key {
            "content" => content(reader, value, origin),
            "tool_calls" => {
                reader.array(value, |reader, call| {
                    tool_call(reader, call, Turn::Latest, origin.choice);
                });
            }
            "function_call" if !value.is_null() => {
                called_function(reader, value, value, Turn::Latest, origin.choice);
            }
            "tool_call_id" => reader.id(value),
            "name" => {
                reader.text(value, &origin.with_part(Part::Name));
            }
            _ => spoken(reader, key, value, origin),
        },
    );
}
