//! Shapes that OpenAI's formats and compatible servers share: models, content, tools and their calls, usage, errors.

mod content;
mod response;
mod tools;

pub(super) use content::{
    SPEECH, content, content_part, content_texts, inputs, message_text, spoken,
};
pub(super) use response::{
    ANSWER, beside, denial_text, error, generated_media, input_tokens, output_tokens, read_answer,
    usage,
};
pub(super) use tools::{
    called_function, named_offer, plugins, provider_tool, read_tool, response_format, tool_call,
    tool_choice, tool_offer,
};

use super::openai_chat::members_on_top;
use super::reader::{Origin, Reader, Row, Type};
use crate::event::{Author, Direction, Event, Kind, Known, Part, is_plain_in_model_name};
use crate::wire::json::{self, Value};

/// Mark after content that may be cached for later requests (Anthropic's, also through OpenRouter; OpenAI's).
pub(super) const CACHE_CONTROL: Type = Type::Object(&[
    ("type", Type::Word("ephemeral")),
    ("mode", Type::Word("explicit|implicit")),
    ("ttl", Type::Word("5m|1h|30m|24h")),
]);

/// Settings of a model's reasoning, under the names of all providers.
pub(super) const REASONING: &[Row] = &[
    (
        "effort",
        Type::Word("none|minimal|low|medium|high|xhigh|max|default"),
    ),
    ("summary", Type::Word("auto|concise|detailed|none")),
    ("generate_summary", Type::Word("auto|concise|detailed")),
    ("context", Type::Word("auto|current_turn|all_turns")),
    ("mode", Type::Word("standard|pro")),
    ("type", Type::Word("enabled|disabled|auto|adaptive")),
    ("max_tokens", Type::Number),
    ("budget_tokens", Type::Number),
    ("exclude", Type::Flag),
    ("enabled", Type::Flag),
    ("clear_thinking", Type::Flag),
];

/// Reads a model that may respond. Only OpenRouter knows the models behind its `@preset/…` and `openrouter/auto`; its
/// suffix `:online` is a search that it runs.
pub(super) fn model(reader: &mut Reader<'_>, value: Value<'_>) {
    let Some(name) = reader.name(value) else {
        return;
    };
    reader.add_model(&name);
    // Each frame of a stream has a name.
    if name.bytes().all(is_plain_in_model_name) && !name.eq_ignore_ascii_case("auto") {
        return;
    }
    // LiteLLM requests all models of a list.
    if name.contains(',') {
        for one in name.split(',').map(str::trim) {
            reader.add_model(one);
        }
    }
    if name.contains("@preset/") {
        reader.reading.models.unknown = true;
        reader.uninspectable(value, "provider_state");
    }
    // Routers, also with a variant: `openrouter/auto:nitro`.
    let bare = name.split(':').next().unwrap_or_default().trim();
    let is_router = ["openrouter/auto", "openrouter/free", "auto"];
    if is_router
        .iter()
        .any(|known| known.eq_ignore_ascii_case(bare))
    {
        reader.reading.models.unknown = true;
    }
    if name.rsplit(':').next() == Some("online") && name.contains(':') {
        reader.provider_run_offer(value, &["online", "web_search"]);
    }
}

/// Reads models that respond if the first one fails: OpenRouter's `models`, LiteLLM's `fallbacks` (names, or requests
/// with a model of their own).
pub(super) fn models(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.array(value, |reader, entry| match entry.kind() {
        json::ValueKind::Object => {
            // A mapping from models to their fallbacks: its keys and values are unknown text, and its models are
            // unknown, too.
            reader.reading.models.unknown |= entry.get("model").is_none();
            members_on_top(reader, entry);
        }
        _ => model(reader, entry),
    });
}

/// Reads the body of a request without a conversation, for embeddings, moderations, images, audio or a completion; its
/// content is the user's.
pub(super) fn read_input(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    endpoint: &super::Endpoint,
    members: &'static [Row],
) {
    reader.reading.params = Some(root.place());
    let user = Origin::of(Author::User, Part::Text);
    reader.reading.count_message(&user.from);
    reader.plain_rows(root, members, &user);
    model_is_needed(reader, endpoint);
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}

/// Marks the models as unknown if the request contains none: the server's default or a router's setting applies.
pub(super) fn model_is_needed(reader: &mut Reader<'_>, endpoint: &super::Endpoint) {
    let models = &mut reader.reading.models;
    if models.names.is_empty() && endpoint.model == Known::Missing {
        models.unknown = true;
    }
}

/// Reads the identifier of something that the provider keeps, with instructions and models of its own: OpenRouter's
/// presets, Mistral's agents.
pub(super) fn kept_agent(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.reading.models.unknown = true;
    reader.id(value);
    reader.uninspectable(value, "provider_state");
}

/// Reads an identifier of the person for whom a request is made.
pub(super) fn user_id(reader: &mut Reader<'_>, value: Value<'_>) {
    let user = Origin::of(Author::User, Part::Other);
    reader.text(value, &user);
}

/// Reads documents that ground a response (vLLM, Cohere): data from elsewhere, like a tool's result.
pub(super) fn documents(reader: &mut Reader<'_>, value: Value<'_>) {
    let texts = reader.tree(value);
    let origin = Origin::of(Author::Tool, Part::Other);
    reader.emit_text(value, texts.clone(), &origin);
    let inner = reader.look_into_all(texts);
    reader.emit_duplicate(value, inner, &origin);
}
