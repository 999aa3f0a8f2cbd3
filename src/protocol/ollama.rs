//! Ollama's own format: `POST …/api/chat`, `…/api/generate`, `…/api/embed` and the calls that manage models.
//!
//! Source: Ollama's API documentation and published SDK types. Responses are streamed
//! unless the request contains `"stream": false`.

mod removal;
mod stream;

use super::conversation::{Attribution, Calls, TurnRole, Turns, author_of};
use super::coverage::shown;
use super::openai_shapes::{self, called_function, error, input_tokens, output_tokens, tool_offer};
use super::reader::{Origin, Reader, Roles, Row, Type};
use super::routes::{RouteSpec, json};
use super::stream::StreamReader;
use super::{
    CONVERSATION, CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, MODEL_RESPONSE,
    Protocol, RequestContext, ResponseEdit, TEXT_RESPONSE, TEXTS,
};
use crate::event::{Author, Class, Direction, Event, Kind, Known, Part, Turn};
use crate::wire::json::{self, Value, quote};

/// The format, in one of its two protocols.
pub(super) struct Ollama {
    format: &'static Format,
}

const CHAT_ROUTES: &[RouteSpec] = &[json("api/chat", "chat")];
const GENERATE_ROUTES: &[RouteSpec] = &[
    json("api/generate", "generate"),
    json("api/embed", "embed"),
    json("api/embeddings", "embeddings"),
    json("api/show", "show"),
    json("api/create", "create"),
    json("api/pull", "pull"),
    json("api/push", "push"),
    json("api/copy", "copy"),
    RouteSpec {
        methods: "DELETE",
        ..json("api/delete", "delete")
    },
    json("api/web_search", "web_search"),
    json("api/web_fetch", "web_fetch"),
    json("api/experimental/web_search", "web_search"),
    json("api/experimental/web_fetch", "web_fetch"),
];

/// Endpoints whose responses are streamed by default.
const STREAMED: &[&str] = &["chat", "generate", "create", "pull", "push"];

const REQUEST: &[Row] = &[
    // Read before all others.
    ("model", Type::Custom),
    // Other models that the call is about: what one is made from, or what it is called from now on.
    ("name", Type::Read(openai_shapes::model)),
    ("from", Type::Read(openai_shapes::model)),
    ("source", Type::Read(openai_shapes::model)),
    ("destination", Type::Read(openai_shapes::model)),
    ("messages", Type::Read(messages)),
    ("prompt", Type::Read(prompt)),
    ("suffix", Type::Read(prompt)),
    ("input", Type::Read(prompt)),
    ("query", Type::Read(prompt)),
    ("url", Type::Read(url)),
    ("system", Type::Text(Part::Text)),
    ("template", Type::Text(Part::Other)),
    ("modelfile", Type::Read(modelfile)),
    ("license", Type::Tree(Part::Other)),
    ("images", Type::List(&Type::Read(image))),
    ("tools", Type::List(&Type::Read(tool_offer))),
    ("format", Type::Read(format)),
    ("context", Type::Read(context)),
    ("options", Type::Object(OPTIONS)),
    ("parameters", Type::Object(OPTIONS)),
    ("stream", Type::Custom),
    ("think", Type::Read(think)),
    ("keep_alive", Type::Id),
    ("quantize", Type::Id),
    ("raw", Type::Flag),
    ("truncate", Type::Flag),
    ("shift", Type::Flag),
    ("insecure", Type::Flag),
    ("verbose", Type::Flag),
    ("logprobs", Type::Flag),
    ("top_logprobs", Type::Number),
    ("dimensions", Type::Number),
    ("max_results", Type::Number),
];
const OPTIONS: &[Row] = &[
    ("num_predict", Type::MaxTokens),
    ("stop", Type::Tree(Part::Other)),
    ("seed", Type::Number),
    ("temperature", Type::Number),
    ("top_k", Type::Number),
    ("top_p", Type::Number),
    ("min_p", Type::Number),
    ("typical_p", Type::Number),
    ("repeat_last_n", Type::Number),
    ("repeat_penalty", Type::Number),
    ("presence_penalty", Type::Number),
    ("frequency_penalty", Type::Number),
    ("num_ctx", Type::Number),
    ("num_keep", Type::Number),
    ("num_batch", Type::Number),
    ("num_gpu", Type::Number),
    ("main_gpu", Type::Number),
    ("num_thread", Type::Number),
    ("use_mmap", Type::Flag),
    ("numa", Type::Flag),
];
const ROLES: Roles = &[
    ("system", Author::System),
    ("user", Author::User),
    ("assistant", Author::Assistant),
    ("tool", Author::Tool),
];
const MESSAGE: &[Row] = &[
    ("role", Type::Role(ROLES)),
    ("content", Type::Custom),
    ("thinking", Type::Text(Part::Reasoning)),
    ("images", Type::List(&Type::Read(image))),
    ("tool_calls", Type::Custom),
    ("tool_name", Type::Custom),
    ("name", Type::Custom),
    ("tool_call_id", Type::Id),
];
const RESPONSE: &[Row] = &[
    ("model", Type::Model),
    ("created_at", Type::Id),
    ("modified_at", Type::Id),
    ("message", Type::Read(message)),
    ("response", Type::Text(Part::Text)),
    ("thinking", Type::Text(Part::Reasoning)),
    ("context", Type::Numbers),
    ("embeddings", Type::Numbers),
    ("embedding", Type::Numbers),
    ("done", Type::Flag),
    ("done_reason", Type::Finish("stop|length|load|unload")),
    ("total_duration", Type::Number),
    ("load_duration", Type::Number),
    ("prompt_eval_count", Type::Read(input_tokens)),
    ("prompt_eval_duration", Type::Number),
    ("eval_count", Type::Read(output_tokens)),
    ("eval_duration", Type::Number),
    ("remote_model", Type::Id),
    ("remote_host", Type::Url),
    ("logprobs", Type::Tokens),
    ("status", Type::Id),
    ("digest", Type::Id),
    ("total", Type::Number),
    ("completed", Type::Number),
    ("modelfile", Type::Text(Part::Other)),
    ("template", Type::Text(Part::Other)),
    ("system", Type::Text(Part::Other)),
    ("license", Type::Tree(Part::Other)),
    ("parameters", Type::Text(Part::Other)),
    ("results", Type::Tree(Part::Other)),
    ("title", Type::Text(Part::Other)),
    ("content", Type::Text(Part::Other)),
    ("links", Type::Tree(Part::Other)),
    ("error", Type::Read(error)),
];

/// Conversations.
pub(super) const CHAT: Ollama = Ollama {
    format: &Format {
        name: "ollama.chat",
        dialect: Dialect::Ollama,
        routes: CHAT_ROUTES,
        coverage: &[CoverageRow {
            route: shown("`POST …/api/chat`"),
            request: CONVERSATION,
            response: MODEL_RESPONSE,
            stream: MODEL_RESPONSE,
        }],
    },
};
/// Prompts, embeddings, and models.
pub(super) const GENERATE: Ollama = Ollama {
    format: &Format {
        name: "ollama.generate",
        dialect: Dialect::Ollama,
        routes: GENERATE_ROUTES,
        coverage: &[
            CoverageRow {
                route: shown(
                    "`POST …/api/generate`, `…/api/embed`, `…/api/embeddings`, `…/api/web_search`, `…/api/web_fetch`",
                ),
                request: TEXTS,
                response: MODEL_RESPONSE,
                stream: MODEL_RESPONSE,
            },
            CoverageRow {
                route: shown(
                    "models: `…/api/show`, `…/api/create`, `…/api/pull`, `…/api/push`, `…/api/copy`, `…/api/delete`",
                ),
                request: TEXTS,
                response: TEXT_RESPONSE,
                stream: TEXT_RESPONSE,
            },
        ],
    },
};

impl Protocol for Ollama {
    fn format(&self) -> &'static Format {
        self.format
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
        removal::remove_from_response(edit.root, edit.removals, edit.edits)?;
        removal::renumber(edit.root, edit.removals, edit.edits);
        Ok(())
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(stream::line_stream(context)))
    }
}

fn read_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    reader.reading.params = Some(root.place());
    let system = Origin::of(Author::System, Part::Text);
    let mut stream = None;
    // The requested model leads the set, whatever the order of members.
    if let Some(value) = root.get("model") {
        openai_shapes::model(reader, value);
    }
    reader.rows(root, REQUEST, &system, &mut |reader, key, value| {
        if key == "stream" {
            stream = reader.boolean(value);
        }
    });
    reader.reading.stream = stream.unwrap_or_else(|| STREAMED.contains(&endpoint.name));
    openai_shapes::model_is_needed(reader, endpoint);
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}

fn messages(reader: &mut Reader<'_>, value: Value<'_>) {
    TurnState::of(value).read(reader, value);
}

fn prompt(reader: &mut Reader<'_>, value: Value<'_>) {
    let user = Origin::of(Author::User, Part::Text);
    reader.reading.count_message(&user.from);
    openai_shapes::inputs(reader, value, &user);
}

fn url(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.reference(value, &Origin::of(Author::User, Part::Text));
}

fn modelfile(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.text(value, &Origin::of(Author::System, Part::Other));
    made_from(reader, value);
}

/// Reads the conversation so far, as tokens.
fn context(reader: &mut Reader<'_>, value: Value<'_>) {
    let has_tokens = value.elements().next().is_some();
    reader.claim_numbers(value);
    if has_tokens {
        reader.uninspectable(value, "token_ids");
    }
}

/// Reads `true`, `false` or a level.
fn think(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::ValueKind::String => reader.word(value, "low|medium|high|max"),
        _ => {
            reader.boolean(value);
        }
    }
}

/// What the lines of a Modelfile make a model from: `FROM llama3.2`, `ADAPTER ./lora`.
fn made_from(reader: &mut Reader<'_>, modelfile: Value<'_>) {
    let text = modelfile.text().unwrap_or_default();
    for line in text.split(['\n', '\r']) {
        let line = line.trim();
        let Some((word, rest)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        if ["from", "adapter"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(word))
        {
            reader.add_model(rest.trim().trim_matches('"'));
        }
    }
}

fn image(reader: &mut Reader<'_>, image: Value<'_>) {
    reader.attachment(image, |count| &mut count.image);
    reader.media(image);
}

/// `"json"`, or a schema.
fn format(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::ValueKind::String => {
            reader.word(value, "|json");
            reader.reading.structured_output |= value.is_text("json");
        }
        _ => {
            reader.reading.structured_output = true;
            let texts = reader.tree(value);
            reader.emit_text(value, texts, &Origin::of(Author::System, Part::Definition));
        }
    }
}

/// The messages of a request while they are read.
struct TurnState {
    turns: Turns,
    /// Names of the tools called so far, by the id of the call.
    calls: Calls,
    /// Names of the tools that the last assistant message called, in order; results are often matched by order alone.
    pending: std::collections::VecDeque<Box<str>>,
}

impl TurnState {
    fn of(messages: Value<'_>) -> TurnState {
        let roles = messages
            .elements()
            .map(|message| TurnRole::of(&author_of(message, ROLES), false));
        TurnState {
            turns: Turns::of(roles),
            calls: Calls::default(),
            pending: std::collections::VecDeque::new(),
        }
    }

    fn read(&mut self, reader: &mut Reader<'_>, messages: Value<'_>) {
        let mut at = 0usize;
        reader.array(messages, |reader, message| {
            self.message(reader, message, at);
            at = at.saturating_add(1);
        });
    }

    fn message(&mut self, reader: &mut Reader<'_>, message: Value<'_>, at: usize) {
        let Attribution { origin, calls, .. } =
            self.turns.attribution(author_of(message, ROLES), at);
        let is_result = origin.from == Known::Is(Author::Tool);
        reader.reading.count_message(&origin.from);
        if origin.from == Known::Is(Author::Assistant) {
            self.pending.clear();
        }
        let mut named = None;
        let mut result = None;
        reader.rows(
            message,
            MESSAGE,
            &origin,
            &mut |reader, key, value| match key {
                "content" if is_result => {
                    let texts = reader.register_text(value, Class::Text);
                    reader.emit_duplicate(value, texts.clone(), &origin);
                    result = Some((value, texts));
                }
                "content" => {
                    reader.text(value, &origin);
                }
                "tool_calls" => reader.array(value, |reader, call| {
                    if let (id, Some(name)) = tool_call(reader, call, calls) {
                        if let Some(id) = id {
                            self.calls.add(&id, &name);
                        }
                        self.pending.push_back(name);
                    }
                }),
                "tool_name" => named = reader.name(value).map(Box::from),
                _ if is_result => {
                    let name = reader.name(value).map(Box::from);
                    named = named.take().or(name);
                }
                _ => {
                    reader.text(value, &origin.with_part(Part::Name));
                }
            },
        );
        reader.role_is_needed(message);
        if is_result {
            let id = message.get("tool_call_id").and_then(|id| id.text());
            let by_order = self.pending.pop_front();
            let is_called = id.as_deref().is_some_and(|id| self.calls.knows(id));
            let mut event = Event::new(Kind::ToolResult, Direction::Request, message.place());
            event.turn = origin.turn;
            event.from = origin.from.clone();
            // Without an id and a name, results come in the order of the calls.
            let named = named.or_else(|| by_order.filter(|_| !is_called));
            event.tool = self.calls.tool_of(id.as_deref(), named);
            let holder = result.as_ref().map(|(value, _)| *value);
            if let Some((value, texts)) = result {
                event.at = value.place();
                event.texts = texts;
                event.result = reader.structured_result(value);
            }
            reader.rest_of_result(&event, message);
            reader.result(event, holder);
        }
    }
}

/// Id and name of one entry of `tool_calls`, whose arguments are an object.
fn tool_call(
    reader: &mut Reader<'_>,
    call: Value<'_>,
    turn: Turn,
) -> (Option<Box<str>>, Option<Box<str>>) {
    let mut id = None;
    let mut name = None;
    let mut seen = false;
    reader.object(
        call,
        &["id", "type", "function"],
        |reader, key, value| match key {
            "id" => {
                id = value.text().map(Box::from);
                reader.id(value);
            }
            "type" => reader.word(value, "function"),
            _ => {
                seen = true;
                reader.object(
                    value,
                    &["index", "description"],
                    |reader, key, value| match key {
                        "index" => {
                            reader.number(value);
                        }
                        _ => {
                            reader.text(value, &Origin::of(Author::Assistant, Part::Other));
                        }
                    },
                );
                name = called_function(reader, call, value, turn, 0);
            }
        },
    );
    if !seen && call.kind() == json::ValueKind::Object {
        let what = "`function` is missing";
        reader.problem(crate::diag::codes::AG2001, call, what);
    }
    (id, name)
}

fn read_response(reader: &mut Reader<'_>, root: Value<'_>) {
    reader.plain_rows(root, RESPONSE, &openai_shapes::beside());
}

fn message(reader: &mut Reader<'_>, value: Value<'_>) {
    let origin = Origin::answer(0);
    reader.rows(value, MESSAGE, &origin, &mut |reader, key, value| {
        message_member(reader, key, value, &origin);
    });
}

/// A member of a response's message.
fn message_member(reader: &mut Reader<'_>, key: &str, value: Value<'_>, origin: &Origin) {
    match key {
        _ if value.is_null() => reader.claim(value),
        "content" => {
            reader.text(value, origin);
        }
        "tool_calls" => reader.array(value, |reader, call| {
            tool_call(reader, call, Turn::Latest);
        }),
        _ => {
            reader.text(value, &origin.with_part(Part::Name).whole());
        }
    }
}

/// Beginning of a line that the filter creates.
fn common(context: &RequestContext, out: &mut Vec<u8>) {
    let model = context.models.names.first().map_or("", |model| model);
    out.extend_from_slice(br#""model":"#);
    quote(model, out);
    out.extend_from_slice(br#","created_at":"1970-01-01T00:00:00Z","#);
}

/// A response that is nothing but a denial.
fn denied_response(denial: &Denial, context: &RequestContext) -> Vec<u8> {
    let frames = stream::line_stream(context).denial_frames(denial, false);
    frames.into_iter().flat_map(|line| line.payload).collect()
}
