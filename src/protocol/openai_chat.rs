//! OpenAI Chat Completions and everything compatible: `POST …/chat/completions`.
//!
//! Source: OpenAI's API reference and published SDK types; differences of compatible servers as recorded from them.

use super::reader::{Origin, Reader};
use super::surgery::{member_span, remove_elements, remove_members};
use super::{CannotWithhold, Denial, Dialect, EditedText, Head, Protocol, Withholding};
use crate::diag::codes;
use crate::event::{Author, Class, Direction, Event, Kind, Known, Part, Turn};
use crate::wire::json::{self, Edits, Nest, Place, Value, quote};
use crate::wire::span::{Span, offset};
use std::collections::BTreeMap;
use std::ops::Range;

/// The format.
pub(super) struct OpenAiChat;

const REQUEST: &[&str] = &[
    "model",
    "models",
    "messages",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "parallel_tool_calls",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "metadata",
    "store",
    "response_format",
    "seed",
    "service_tier",
    "reasoning_effort",
    "modalities",
    "audio",
    "prediction",
    "web_search_options",
    "verbosity",
];
const STREAM_OPTIONS: &[&str] = &["include_usage", "include_obfuscation"];
const MESSAGE: &[&str] = &[
    "role",
    "content",
    "name",
    "refusal",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "audio",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "annotations",
];
const CONTENT_PART: &[&str] = &[
    "type",
    "text",
    "image_url",
    "input_audio",
    "file",
    "document_url",
    "document_name",
    "refusal",
    "thinking",
];
const IMAGE_URL: &[&str] = &["url", "detail"];
const INPUT_AUDIO: &[&str] = &["data", "format"];
const FILE: &[&str] = &["file_id", "file_data", "filename"];
const TOOL: &[&str] = &["type", "function", "custom"];
const FUNCTION: &[&str] = &["name", "description", "parameters", "strict"];
const CUSTOM: &[&str] = &["name", "description", "format"];
const TOOL_CHOICE: &[&str] = &[
    "type",
    "mode",
    "name",
    "function",
    "custom",
    "allowed_tools",
    "tools",
];
const TOOL_CALL: &[&str] = &["id", "type", "function", "custom", "index"];
const CALLED_FUNCTION: &[&str] = &["name", "arguments"];
const CALLED_CUSTOM: &[&str] = &["name", "input"];
const RESPONSE_FORMAT: &[&str] = &["type", "json_schema"];
const JSON_SCHEMA: &[&str] = &["name", "description", "schema", "strict"];
const REASONING_DETAIL: &[&str] = &[
    "type",
    "text",
    "summary",
    "data",
    "signature",
    "id",
    "format",
    "index",
];
const AUDIO_OUT: &[&str] = &["id", "data", "transcript", "expires_at"];
const RESPONSE: &[&str] = &[
    "id",
    "object",
    "created",
    "model",
    "choices",
    "usage",
    "x_groq",
    "system_fingerprint",
    "service_tier",
    "error",
    "message",
    "type",
    "code",
    "param",
];
const CHOICE: &[&str] = &[
    "index",
    "message",
    "finish_reason",
    "native_finish_reason",
    "stop_reason",
    "logprobs",
];
const USAGE: &[&str] = &[
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
];
const ERROR: &[&str] = &["message", "type", "param", "code"];

const ROLES: &[&str] = &[
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
];
const FINISH_REASONS: &[&str] = &[
    "stop",
    "length",
    "tool_calls",
    "content_filter",
    "function_call",
    "eos",
    "error",
];

impl Protocol for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai.chat"
    }

    fn endpoint(&self, head: &Head<'_>) -> Option<&'static str> {
        (head.method == "POST" && head.path.ends_with(&["chat", "completions"]))
            .then_some("chat.completions")
    }

    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn read_request(&self, reader: &mut Reader<'_>) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        reader.reading.params = Some(root.place());
        let messages = root.get("messages");
        let mut request = RequestReader {
            latest_from: latest_calls_from(messages),
            after_assistant: last_assistant(messages).map_or(0, |at| at.saturating_add(1)),
            calls: BTreeMap::new(),
        };
        reader.object(root, REQUEST, |reader, key, value| {
            request.member(reader, key, value);
        });
        if messages.is_none_or(|messages| messages.is_null()) {
            reader.problem(codes::AG2001, root, "`messages` is missing".to_owned());
        }
        let event = Event::new(Kind::Request, Direction::Request, root.place());
        reader.reading.events.push(event);
    }

    fn read_response(&self, reader: &mut Reader<'_>) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        reader.object(root, RESPONSE, response_member);
    }

    fn refused_answer(&self, denial: &Denial, model: &str, structured_output: bool) -> Vec<u8> {
        let mut out = br#"{"id":"#.to_vec();
        quote(&format!("agentguard-{}", denial.request_id), &mut out);
        out.extend_from_slice(br#","object":"chat.completion","created":0,"model":"#);
        quote(model, &mut out);
        out.extend_from_slice(br#","choices":[{"index":0,"message":"#);
        refusing_message(&denial.message(), &mut out);
        out.extend_from_slice(br#","logprobs":null,"finish_reason":"#);
        out.extend_from_slice(refusing_reason(structured_output));
        out.extend_from_slice(b"}]}");
        out
    }

    fn withhold(
        &self,
        nest: &Nest<'_>,
        withholding: &Withholding,
        edits: &mut Edits,
    ) -> Result<(), CannotWithhold> {
        let body = nest.body().ok_or(CannotWithhold)?;
        let choices = body.root().get("choices").ok_or(CannotWithhold)?;
        for (at, choice) in choices.elements().enumerate() {
            let number = choice_number(choice, at);
            let refused = withholding.choices.iter().find(|(n, _)| *n == number);
            if let Some((_, text)) = refused {
                refuse_choice(choice, text, withholding.structured_output, edits)?;
                continue;
            }
            let texts: Vec<&EditedText> = withholding
                .edited
                .iter()
                .filter(|edited| edited.choice == number)
                .collect();
            if !texts.is_empty() {
                correct_copies(choice, &texts, edits);
            }
            let calls: Vec<(Place, &str)> = withholding
                .calls
                .iter()
                .filter(|call| call.choice == number)
                .map(|call| (call.at, call.text.as_str()))
                .collect();
            if !calls.is_empty() {
                take_out_calls(choice, &calls, edits)?;
            }
        }
        Ok(())
    }
}

/// Where in `messages` the last assistant message stands.
fn last_assistant(messages: Option<Value<'_>>) -> Option<usize> {
    let messages = messages?;
    let mut last = None;
    for (at, message) in messages.elements().enumerate() {
        if message
            .get("role")
            .is_some_and(|role| role.is_text("assistant"))
        {
            last = Some(at);
        }
    }
    last
}

/// The last assistant message, if only results follow it: its calls are those that were just answered.
fn latest_calls_from(messages: Option<Value<'_>>) -> Option<usize> {
    let at = last_assistant(messages)?;
    messages?
        .elements()
        .skip(at.saturating_add(1))
        .all(|message| {
            message
                .get("role")
                .is_some_and(|role| role.is_text("tool") || role.is_text("function"))
        })
        .then_some(at)
}

/// A request while it is read.
struct RequestReader {
    /// Index of the assistant message whose calls are the latest.
    latest_from: Option<usize>,
    /// Index of the first message after the last assistant message.
    after_assistant: usize,
    /// Names of the tools called so far, by the id of the call.
    calls: BTreeMap<Box<str>, Box<str>>,
}

impl RequestReader {
    fn member(&mut self, reader: &mut Reader<'_>, key: &str, value: Value<'_>) {
        let other = Origin::of(Author::System, Part::Other);
        match key {
            "model" => {
                if let Some(model) = reader.name(value) {
                    reader.reading.models.add(&model);
                }
            }
            // OpenRouter's fallbacks: whichever answers, the request may use it.
            "models" => reader.array(value, |reader, model| {
                if let Some(model) = reader.name(model) {
                    reader.reading.models.add(&model);
                }
            }),
            "messages" => {
                let mut at = 0usize;
                reader.array(value, |reader, message| {
                    self.message(reader, message, at);
                    at = at.saturating_add(1);
                });
            }
            "tools" => {
                reader.array(value, tool_offer);
            }
            "functions" => {
                reader.array(value, |reader, function| {
                    named_offer(reader, function, function, FUNCTION);
                });
            }
            "tool_choice" | "function_call" => tool_choice(reader, value),
            "stream" => reader.reading.stream = reader.boolean(value).unwrap_or(false),
            "stream_options" => {
                reader.object(value, STREAM_OPTIONS, |reader, _, value| {
                    reader.boolean(value);
                });
            }
            "max_tokens" | "max_completion_tokens" => {
                let tokens = reader.number(value);
                reader.reading.max_tokens = reader.reading.max_tokens.max(tokens);
            }
            "temperature" | "top_p" | "n" | "presence_penalty" | "frequency_penalty"
            | "top_logprobs" | "seed" => {
                reader.number(value);
            }
            "parallel_tool_calls" | "store" | "logprobs" => {
                reader.boolean(value);
            }
            "logit_bias" => reader.claim_numbers(value),
            "stop" => {
                let texts = reader.tree(value);
                reader.tell(value, texts, &other);
            }
            "user" | "safety_identifier" | "prompt_cache_key" => {
                let user = Origin::of(Author::User, Part::Other);
                reader.text(value, &user);
            }
            "metadata" => {
                let texts = reader.tree(value);
                reader.tell(value, texts, &other);
            }
            "service_tier" => reader.word(value, &["auto", "default", "flex", "scale", "priority"]),
            "reasoning_effort" => {
                reader.word(
                    value,
                    &["none", "minimal", "low", "medium", "high", "xhigh"],
                );
            }
            "verbosity" => reader.word(value, &["low", "medium", "high"]),
            "modalities" => {
                reader.array(value, |reader, word| {
                    reader.word(word, &["text", "audio", "image"]);
                });
            }
            "audio" => {
                reader.object(value, &["voice", "format"], |reader, _, value| {
                    reader.id(value)
                });
            }
            "response_format" => response_format(reader, value),
            "prediction" => {
                reader.object(
                    value,
                    &["type", "content"],
                    |reader, key, value| match key {
                        "type" => reader.word(value, &["content"]),
                        _ => content(reader, value, &Origin::of(Author::Assistant, Part::Text)),
                    },
                );
            }
            "web_search_options" if !value.is_null() => {
                provider_run_offer(reader, value, &["web_search_options", "web_search"])
            }
            _ => {}
        }
    }

    fn message(&mut self, reader: &mut Reader<'_>, message: Value<'_>, at: usize) {
        let role = message.get("role");
        let from = match role.and_then(|role| role.text()).as_deref() {
            Some("system" | "developer") => Known::Is(Author::System),
            Some("user") => Known::Is(Author::User),
            Some("assistant") => Known::Is(Author::Assistant),
            Some("tool" | "function") => Known::Is(Author::Tool),
            _ => Known::Unknown,
        };
        let origin = Origin {
            from,
            part: Part::Text,
            turn: if at >= self.after_assistant {
                Turn::Latest
            } else {
                Turn::Earlier
            },
            choice: 0,
        };
        reader.reading.count_message(&origin.from);
        let calls_turn = if self.latest_from == Some(at) {
            Turn::Latest
        } else {
            Turn::Earlier
        };
        let is_result = origin.from == Known::Is(Author::Tool);
        let mut answered: Option<Box<str>> = None;
        let mut named: Option<Box<str>> = None;
        let mut result: Option<(Value<'_>, Range<u32>)> = None;
        reader.object(message, MESSAGE, |reader, key, value| match key {
            "role" => match value.kind() {
                json::Kind::String => reader.word(value, ROLES),
                _ => reader.wrong_type(value, "a string"),
            },
            "content" if is_result => {
                let texts = content_texts(reader, value, &origin);
                result = Some((value, texts));
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
                if let Some((id, name)) = tool_call(reader, call, calls_turn, 0) {
                    self.calls.insert(id, name);
                }
            }),
            "function_call" if !value.is_null() => {
                called_function(reader, value, value, calls_turn, 0);
            }
            _ => spoken(reader, key, value, &origin),
        });
        if role.is_none() && message.kind() == json::Kind::Object {
            reader.problem(codes::AG2001, message, "`role` is missing".to_owned());
        }
        if is_result {
            let mut event = Event::new(Kind::ToolResult, Direction::Request, message.place());
            event.turn = origin.turn;
            event.from = origin.from.clone();
            event.tool = match (answered, named) {
                (_, Some(name)) => Known::Is(name),
                (Some(id), None) => match self.calls.get(&id) {
                    Some(name) => Known::Is(name.clone()),
                    None => Known::Unknown,
                },
                (None, None) => Known::Unknown,
            };
            if let Some((value, texts)) = result {
                event.at = value.place();
                event.texts = texts;
                event.result = structured_result(reader, value);
            }
            reader.reading.events.push(event);
        }
    }
}

/// What a tool's result says as data: itself if it is structured, the JSON in it if it is a text that holds some.
fn structured_result(reader: &mut Reader<'_>, value: Value<'_>) -> Known<Place> {
    if !reader.results {
        return Known::Missing;
    }
    match value.kind() {
        json::Kind::String => {
            let begins = value.raw_content().trim_ascii_start().first();
            if !matches!(begins, Some(b'{' | b'[')) {
                return Known::Missing;
            }
            match reader.nest.open(value) {
                Ok(doc) => Known::Is(doc.root().place()),
                Err(_) => Known::Missing,
            }
        }
        json::Kind::Null => Known::Missing,
        _ => Known::Is(value.place()),
    }
}

/// Members that messages of a request and of a response share.
fn spoken(reader: &mut Reader<'_>, key: &str, value: Value<'_>, origin: &Origin) {
    match key {
        "refusal" => {
            reader.text(value, &origin.with_part(Part::Refusal));
        }
        // DeepSeek, z.ai and vLLM say `reasoning_content`; Groq, Cerebras, Ollama and OpenRouter `reasoning`.
        "reasoning_content" | "reasoning" if value.kind() == json::Kind::String => {
            reader.text(value, &origin.with_part(Part::Reasoning));
        }
        "reasoning_details" if value.kind() == json::Kind::Array => {
            reader.array(value, |reader, detail| {
                reasoning_detail(reader, detail, origin)
            });
        }
        "audio" => {
            reader.object(value, AUDIO_OUT, |reader, key, value| match key {
                "transcript" => {
                    reader.text(value, &origin.with_part(Part::Transcript));
                }
                "data" => {
                    reader.media(value);
                    if !value.raw_content().is_empty() {
                        reader.attachment(value, |count| &mut count.audio);
                    }
                }
                "id" => reader.id(value),
                _ => reader.claim(value),
            });
        }
        "annotations" => {
            let texts = reader.tree(value);
            reader.tell(value, texts, &origin.with_part(Part::Other));
        }
        _ => {}
    }
}

/// OpenRouter: `{type: reasoning.text | reasoning.summary | reasoning.encrypted, …}`.
fn reasoning_detail(reader: &mut Reader<'_>, detail: Value<'_>, origin: &Origin) {
    reader.object(detail, REASONING_DETAIL, |reader, key, value| match key {
        "type" => reader.word(
            value,
            &["reasoning.text", "reasoning.summary", "reasoning.encrypted"],
        ),
        "text" | "summary" => {
            reader.text(value, &origin.with_part(Part::Reasoning));
        }
        "data" | "signature" if !value.is_null() => reader.opaque(value, "opaque"),
        "id" | "format" => reader.id(value),
        _ => reader.claim(value),
    });
}

/// Content of a message: a text, nothing, or a list of parts.
fn content(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    content_texts(reader, value, origin);
}

/// The same, and gives the numbers of the texts in it.
fn content_texts(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) -> Range<u32> {
    let start = reader.text_count();
    let is_result = origin.from == Known::Is(Author::Tool);
    match value.kind() {
        json::Kind::String if is_result => {
            let texts = reader.quiet_text(value, Class::Text);
            reader.retell(value, texts, origin);
        }
        json::Kind::String => {
            reader.text(value, origin);
        }
        json::Kind::Null => reader.claim(value),
        json::Kind::Array => {
            reader.array(value, |reader, part| {
                content_part(reader, part, origin, is_result)
            });
        }
        _ => reader.wrong_type(value, "a string or a list of parts"),
    }
    start..reader.text_count()
}

fn content_part(reader: &mut Reader<'_>, part: Value<'_>, origin: &Origin, is_result: bool) {
    // Some servers take bare strings in the list.
    if part.kind() == json::Kind::String {
        reader.text(part, origin);
        return;
    }
    reader.object(part, CONTENT_PART, |reader, key, value| match key {
        "type" => reader.word(
            value,
            &[
                "text",
                "image_url",
                "input_audio",
                "file",
                "document_url",
                "refusal",
                "thinking",
            ],
        ),
        "text" => {
            let texts = reader.quiet_text(value, Class::Text);
            if is_result {
                reader.retell(value, texts, origin);
            } else {
                reader.tell(value, texts, origin);
            }
        }
        "refusal" => {
            reader.text(value, &origin.with_part(Part::Refusal));
        }
        // Mistral: a list of text parts, or a text.
        "thinking" => content(reader, value, &origin.with_part(Part::Reasoning)),
        "image_url" => {
            reader.attachment(value, |count| &mut count.image);
            match value.kind() {
                json::Kind::String => url(reader, value, origin),
                _ => reader.object(value, IMAGE_URL, |reader, key, value| match key {
                    "url" => url(reader, value, origin),
                    _ => reader.word(value, &["auto", "low", "high", "original"]),
                }),
            }
        }
        // Mistral.
        "document_url" => {
            reader.attachment(value, |count| &mut count.file);
            url(reader, value, origin);
        }
        "document_name" => {
            reader.text(value, &origin.with_part(Part::Other));
        }
        "input_audio" => {
            reader.attachment(value, |count| &mut count.audio);
            reader.object(value, INPUT_AUDIO, |reader, key, value| match key {
                "data" => reader.media(value),
                _ => reader.id(value),
            });
        }
        "file" => {
            reader.attachment(value, |count| &mut count.file);
            reader.object(value, FILE, |reader, key, value| match key {
                "file_data" => url(reader, value, origin),
                "filename" => {
                    reader.text(value, &origin.with_part(Part::Other));
                }
                _ => {
                    reader.id(value);
                    if !value.is_null() {
                        reader.uninspectable(value, "provider_state");
                    }
                }
            });
        }
        _ => {}
    });
}

/// A `data:` URL is the medium itself; any other is a reference that may carry words out.
fn url(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    let raw = value.raw_content();
    let is_data = raw
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:"));
    if is_data || value.kind() != json::Kind::String {
        reader.media(value);
    } else {
        reader.reference(value, &origin.with_part(Part::Other));
    }
}

fn tool_offer(reader: &mut Reader<'_>, tool: Value<'_>) {
    let kind = tool.get("type").and_then(|kind| kind.text());
    match kind.as_deref() {
        Some("function") | None => {
            let function = tool.get("function").unwrap_or(tool);
            offer_wrapper(reader, tool);
            named_offer(reader, tool, function, FUNCTION);
        }
        Some("custom") => {
            let custom = tool.get("custom").unwrap_or(tool);
            offer_wrapper(reader, tool);
            named_offer(reader, tool, custom, CUSTOM);
        }
        Some(name) => provider_run_offer(reader, tool, &[name]),
    }
}

fn offer_wrapper(reader: &mut Reader<'_>, tool: Value<'_>) {
    reader.object(tool, TOOL, |reader, key, value| {
        if key == "type" {
            reader.word(value, &["function", "custom"]);
        }
    });
}

/// A tool that the client runs, with its name and its definition.
fn named_offer(
    reader: &mut Reader<'_>,
    tool: Value<'_>,
    function: Value<'_>,
    keys: &'static [&'static str],
) {
    let mut name = Known::Unknown;
    let start = reader.text_count();
    reader.object(function, keys, |reader, key, value| match key {
        "name" => {
            if let Some(text) = reader.name(value) {
                name = Known::Is(text.into());
            }
        }
        "description" => {
            reader.quiet_text(value, Class::Text);
        }
        "strict" => {
            reader.boolean(value);
        }
        _ => {
            reader.tree(value);
        }
    });
    let texts = start..reader.text_count();
    let mut event = Event::new(Kind::ToolOffer, reader.direction(), tool.place());
    event.tool = name;
    event.texts = texts.clone();
    reader.reading.events.push(event);
    reader.retell(tool, texts, &Origin::of(Author::System, Part::Definition));
}

/// A tool that the provider runs is used without the call ever passing here: its offer is the only thing that can be
/// judged, so it counts as an offer and as a call whose arguments can't be read. It may go by several names.
fn provider_run_offer(reader: &mut Reader<'_>, tool: Value<'_>, names: &[&str]) {
    reader.claim(tool);
    if let Some(kind) = tool.get("type") {
        reader.object(tool, &["type"], |reader, _, _| reader.claim(kind));
    }
    for (number, name) in names.iter().enumerate() {
        for kind in [Kind::ToolOffer, Kind::ToolCall] {
            let mut event = Event::new(kind, reader.direction(), tool.place());
            event.tool = Known::Is((*name).into());
            event.provider_run = true;
            event.retold = number > 0 || kind == Kind::ToolCall;
            if kind == Kind::ToolCall {
                event.args = Known::Unknown;
            }
            reader.reading.events.push(event);
        }
    }
}

fn tool_choice(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::Kind::String => {
            reader.word(value, &["none", "auto", "required", "any"]);
            reader.reading.forces_tool |= value.is_text("required") || value.is_text("any");
        }
        json::Kind::Null => reader.claim(value),
        json::Kind::Object => {
            let is_list = value
                .get("type")
                .is_some_and(|kind| kind.is_text("allowed_tools"));
            let list = value.get("allowed_tools").unwrap_or(value);
            let is_optional = list.get("mode").is_some_and(|mode| mode.is_text("auto"));
            reader.reading.forces_tool |= !(is_list && is_optional);
            named_choice(reader, value);
        }
        _ => reader.wrong_type(value, "a string or an object"),
    }
}

/// Names of tools that are offered elsewhere in the request, so that nothing in it is new to a rule.
fn named_choice(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.object(value, TOOL_CHOICE, |reader, key, value| match key {
        "type" => reader.word(value, &["function", "custom", "allowed_tools"]),
        "mode" => reader.word(value, &["auto", "required"]),
        "name" => {
            reader.name(value);
        }
        "tools" => reader.array(value, named_choice),
        _ => named_choice(reader, value),
    });
}

/// Reads one entry of `tool_calls`; gives its id and name.
fn tool_call(
    reader: &mut Reader<'_>,
    call: Value<'_>,
    turn: Turn,
    choice: u32,
) -> Option<(Box<str>, Box<str>)> {
    let mut id = None;
    let mut name = None;
    let mut seen = false;
    reader.object(call, TOOL_CALL, |reader, key, value| match key {
        "id" => {
            id = value.text().map(Box::from);
            reader.id(value);
        }
        "type" => reader.word(value, &["function", "custom"]),
        "index" => {
            reader.number(value);
        }
        "function" => {
            seen = true;
            name = called_function(reader, call, value, turn, choice);
        }
        _ => {
            seen = true;
            name = called_custom(reader, call, value, turn, choice);
        }
    });
    if !seen && call.kind() == json::Kind::Object {
        reader.problem(codes::AG2001, call, "`function` is missing".to_owned());
    }
    Some((id?, name?))
}

/// `{name, arguments}` with the arguments as JSON in a string.
fn called_function(
    reader: &mut Reader<'_>,
    call: Value<'_>,
    function: Value<'_>,
    turn: Turn,
    choice: u32,
) -> Option<Box<str>> {
    let mut event = Event::new(Kind::ToolCall, reader.direction(), call.place());
    event.turn = turn;
    event.choice = choice;
    event.tool = Known::Unknown;
    let mut holder = None;
    reader.object(function, CALLED_FUNCTION, |reader, key, value| match key {
        "name" => {
            if let Some(name) = reader.name(value) {
                event.tool = Known::Is(name.into());
            }
        }
        _ => {
            holder = Some(value);
            (event.args, event.texts) = arguments(reader, value);
        }
    });
    push_call(reader, event, holder)
}

/// `{name, input}` with free text.
fn called_custom(
    reader: &mut Reader<'_>,
    call: Value<'_>,
    custom: Value<'_>,
    turn: Turn,
    choice: u32,
) -> Option<Box<str>> {
    let mut event = Event::new(Kind::ToolCall, reader.direction(), call.place());
    event.turn = turn;
    event.choice = choice;
    event.tool = Known::Unknown;
    event.args = Known::Unknown;
    let mut holder = None;
    reader.object(custom, CALLED_CUSTOM, |reader, key, value| match key {
        "name" => {
            if let Some(name) = reader.name(value) {
                event.tool = Known::Is(name.into());
            }
        }
        _ => {
            holder = Some(value);
            event.texts = reader.quiet_text(value, Class::Text);
        }
    });
    push_call(reader, event, holder)
}

/// Tells of a call; gives the tool's name. Snowflake sends `function_call: {name: ""}` with every answer and
/// `custom: {name: ""}` with every call: that is none.
fn push_call(reader: &mut Reader<'_>, event: Event, holder: Option<Value<'_>>) -> Option<Box<str>> {
    let name = event.tool.value().cloned();
    if name.as_deref() == Some("") {
        return None;
    }
    let origin = Origin {
        from: match reader.direction() {
            Direction::Request => Known::Is(Author::Assistant),
            Direction::Response => Known::Missing,
        },
        part: Part::Arguments,
        turn: event.turn,
        choice: event.choice,
    };
    let texts = event.texts.clone();
    reader.reading.events.push(event);
    if let Some(holder) = holder {
        reader.retell(holder, texts, &origin);
    }
    name
}

/// Arguments of a call, and the numbers of the texts in them. In a request, arguments that are no JSON are AG2001: what
/// was executed can't be told. In a response, the call is judged with its arguments unknown.
fn arguments(reader: &mut Reader<'_>, value: Value<'_>) -> (Known<Place>, Range<u32>) {
    let none = 0..0;
    match value.kind() {
        // No arguments: nothing is found in the value that stands for them.
        json::Kind::Null => {
            reader.claim(value);
            (Known::Is(value.place()), none)
        }
        // Not OpenAI's form, but some compatible servers send the object itself.
        json::Kind::Object => {
            let texts = reader.tree(value);
            (Known::Is(value.place()), texts)
        }
        json::Kind::String => match reader.open(value) {
            Ok(None) => (Known::Is(value.place()), none),
            Ok(Some(doc)) => {
                let root = doc.root();
                let texts = reader.tree(root);
                (Known::Is(root.place()), texts)
            }
            Err(error) if reader.direction() == Direction::Request => {
                let code = super::code_of(error);
                reader.problem(code, value, format!("arguments of a call: {error}"));
                (Known::Unknown, none)
            }
            Err(_) => {
                reader.uninspectable(value, "arguments");
                (Known::Unknown, reader.quiet_text(value, Class::Text))
            }
        },
        _ => {
            reader.wrong_type(value, "a string that holds JSON");
            (Known::Unknown, none)
        }
    }
}

fn response_format(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.object(value, RESPONSE_FORMAT, |reader, key, value| match key {
        "type" => {
            reader.word(value, &["text", "json_object", "json_schema"]);
            reader.reading.structured_output |=
                value.is_text("json_schema") || value.is_text("json_object");
        }
        _ => {
            let start = reader.text_count();
            reader.object(value, JSON_SCHEMA, |reader, key, value| match key {
                "name" => {
                    reader.name(value);
                }
                "description" => {
                    reader.quiet_text(value, Class::Text);
                }
                "strict" => {
                    reader.boolean(value);
                }
                _ => {
                    reader.tree(value);
                }
            });
            let texts = start..reader.text_count();
            reader.tell(value, texts, &Origin::of(Author::System, Part::Definition));
        }
    });
}

fn response_member(reader: &mut Reader<'_>, key: &'static str, value: Value<'_>) {
    match key {
        "id" | "system_fingerprint" => reader.id(value),
        "object" => reader.word(value, &["chat.completion", "error"]),
        "created" => {
            reader.number(value);
        }
        "service_tier" => reader.id(value),
        "model" => {
            if let Some(model) = reader.name(value) {
                reader.reading.models.add(&model);
            }
        }
        "choices" => {
            let mut at = 0usize;
            reader.array(value, |reader, choice| {
                read_choice(reader, choice, choice_number(choice, at));
                at = at.saturating_add(1);
            });
        }
        "usage" => usage(reader, value),
        "x_groq" if value.kind() == json::Kind::Object => {
            reader.object(value, &["id", "usage"], |reader, key, value| match key {
                "usage" => usage(reader, value),
                _ => reader.id(value),
            });
        }
        "error" => error(reader, value),
        // Older vLLM puts the members of the error at the top.
        "type" | "code" | "param" => {
            if value.kind() == json::Kind::String {
                if key == "type" {
                    reader.reading.error = value.text().map(Into::into);
                }
                reader.id(value);
            } else {
                reader.claim(value);
            }
        }
        _ => {}
    }
}

/// `{"error": {message, type, param, code}}`, or the bare text that xAI sends.
fn error(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::Kind::Null => reader.claim(value),
        json::Kind::Object => {
            let kind = value
                .get("type")
                .or_else(|| value.get("code"))
                .and_then(|kind| kind.text());
            reader.reading.error = Some(kind.as_deref().unwrap_or("error").into());
            reader.object(value, ERROR, |reader, key, value| match key {
                "message" => {}
                _ if value.kind() == json::Kind::String => reader.id(value),
                _ => reader.claim(value),
            });
        }
        _ => reader.reading.error = Some("error".into()),
    }
}

fn usage(reader: &mut Reader<'_>, value: Value<'_>) {
    if value.kind() != json::Kind::Object {
        reader.claim(value);
        return;
    }
    // Numbers only, in members that differ from server to server.
    for node in value.descendants() {
        if node.is_key || node.value.kind() != json::Kind::String {
            reader.claim(node.value);
        }
    }
    reader.object(value, USAGE, |reader, key, value| {
        let detail = |name: &str| value.get(name).and_then(|count| count.as_u64());
        let usage = &mut reader.reading.usage;
        match key {
            "prompt_tokens" => usage.input_tokens = value.as_u64(),
            "completion_tokens" => usage.output_tokens = value.as_u64(),
            "prompt_tokens_details" => usage.cached_tokens = detail("cached_tokens"),
            _ => usage.reasoning_tokens = detail("reasoning_tokens"),
        }
    });
}

fn choice_number(choice: Value<'_>, at: usize) -> u32 {
    choice
        .get("index")
        .and_then(|index| index.as_u64())
        .and_then(|index| u32::try_from(index).ok())
        .unwrap_or(offset(at))
}

fn read_choice(reader: &mut Reader<'_>, choice: Value<'_>, number: u32) {
    reader.object(choice, CHOICE, |reader, key, value| match key {
        "index" => {
            reader.number(value);
        }
        "finish_reason" => {
            if let Some(reason) = value.text() {
                reader.reading.finish.push(reason.into());
            }
            reader.word(value, FINISH_REASONS);
        }
        "native_finish_reason" | "stop_reason" => {
            if value.kind() == json::Kind::String {
                reader.id(value);
            } else {
                reader.claim(value);
            }
        }
        // The text once more, token by token: it goes as a whole when the text is edited.
        "logprobs" => reader.claim_all(value),
        _ => response_message(reader, value, number),
    });
}

fn response_message(reader: &mut Reader<'_>, message: Value<'_>, choice: u32) {
    let origin = Origin {
        from: Known::Missing,
        part: Part::Text,
        turn: Turn::Latest,
        choice,
    };
    reader.object(message, MESSAGE, |reader, key, value| match key {
        "role" => reader.word(value, ROLES),
        "content" => content(reader, value, &origin),
        "tool_calls" => {
            reader.array(value, |reader, call| {
                tool_call(reader, call, Turn::Latest, choice);
            });
        }
        "function_call" if !value.is_null() => {
            called_function(reader, value, value, Turn::Latest, choice);
        }
        "tool_call_id" => reader.id(value),
        "name" => {
            reader.text(value, &origin.with_part(Part::Name));
        }
        _ => spoken(reader, key, value, &origin),
    });
}

/// The whole choice becomes a refusal.
fn refuse_choice(
    choice: Value<'_>,
    text: &str,
    structured_output: bool,
    edits: &mut Edits,
) -> Result<(), CannotWithhold> {
    let message = choice.get("message").ok_or(CannotWithhold)?;
    let mut with = Vec::new();
    refusing_message(text, &mut with);
    edits.replace(message, with);
    if let Some(finish) = choice.get("finish_reason") {
        edits.replace(finish, refusing_reason(structured_output).to_vec());
    }
    null_logprobs(choice, edits);
    Ok(())
}

fn refusing_message(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"role":"assistant","content":null,"refusal":"#);
    quote(text, out);
    out.push(b'}');
}

/// `content_filter` is the reason that a client expects with a refusal; but the SDK's `parse()` raises on that reason
/// when a schema was asked for, so that `stop` is right there.
fn refusing_reason(structured_output: bool) -> &'static [u8] {
    if structured_output {
        br#""stop""#
    } else {
        br#""content_filter""#
    }
}

fn null_logprobs(choice: Value<'_>, edits: &mut Edits) {
    if let Some(logprobs) = choice.get("logprobs").filter(|value| !value.is_null()) {
        edits.replace(logprobs, b"null".to_vec());
    }
}

/// Token probabilities repeat the text, and annotations point into it: the first go, the others move along.
fn correct_copies(choice: Value<'_>, texts: &[&EditedText], edits: &mut Edits) {
    null_logprobs(choice, edits);
    let Some(message) = choice.get("message") else {
        return;
    };
    let Some(content) = message.get("content") else {
        return;
    };
    let Some(edited) = texts.iter().find(|edited| edited.at == content.place()) else {
        return;
    };
    let (Some(text), Some(annotations)) = (content.text(), message.get("annotations")) else {
        return;
    };
    for node in annotations.descendants() {
        for name in ["start_index", "end_index"] {
            let index = node.value.get(name);
            let Some((value, at)) = index.and_then(|value| Some((value, value.as_u64()?))) else {
                continue;
            };
            let moved = moved_index(&text, at, edited, name == "end_index");
            if moved != at {
                edits.replace(value, moved.to_string().into_bytes());
            }
        }
    }
}

/// Where a character index stands after the edits. An index inside an edited part moves to its edge.
fn moved_index(text: &str, at: u64, edited: &EditedText, is_end: bool) -> u64 {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    let byte = text
        .char_indices()
        .nth(at)
        .map_or(text.len(), |(byte, _)| byte);
    let mut moved = 0usize;
    let mut copied = 0usize;
    for (range, with) in &edited.changes {
        if range.start >= byte {
            break;
        }
        moved = moved.saturating_add(characters(text, copied..range.start));
        if range.end <= byte || is_end {
            moved = moved.saturating_add(with.chars().count());
        }
        copied = range.end;
    }
    moved = moved.saturating_add(characters(text, copied..byte));
    u64::try_from(moved).unwrap_or(u64::MAX)
}

fn characters(text: &str, range: Range<usize>) -> usize {
    text.get(range).map_or(0, |part| part.chars().count())
}

/// Removes denied calls. With none left the answer is an ordinary text, and says why; otherwise the remaining calls
/// stand as they came and the text says what is missing.
fn take_out_calls(
    choice: Value<'_>,
    calls: &[(Place, &str)],
    edits: &mut Edits,
) -> Result<(), CannotWithhold> {
    let message = choice.get("message").ok_or(CannotWithhold)?;
    let list = message.get("tool_calls").filter(|list| !list.is_null());
    let legacy = message.get("function_call").filter(|call| !call.is_null());
    let is_denied = |call: &Value<'_>| calls.iter().any(|(at, _)| *at == call.place());
    let kept: Vec<Value<'_>> = list
        .into_iter()
        .flat_map(|list| list.elements())
        .filter(|call| !is_denied(call))
        .collect();
    let legacy_denied = legacy.as_ref().is_some_and(is_denied);
    let mut gone: Vec<&str> = Vec::new();
    if kept.is_empty() && list.is_some() {
        // An empty list is not what every client expects; no list is what they get from a plain answer.
        gone.push("tool_calls");
    } else if let Some(list) = list {
        let places: Vec<Place> = calls.iter().map(|(at, _)| *at).collect();
        remove_elements(list, &places, edits);
        for (number, call) in kept.iter().enumerate() {
            if let Some(index) = call.get("index").filter(|index| index.as_u64().is_some()) {
                let number = number.to_string().into_bytes();
                if index.raw() != number {
                    edits.replace(index, number);
                }
            }
        }
    }
    if legacy_denied {
        gone.push("function_call");
    }
    let mut texts: Vec<&str> = calls.iter().map(|(_, text)| *text).collect();
    texts.dedup();
    explain(message, &gone, &texts.join("\n"), edits);
    let none_left = kept.is_empty() && (legacy.is_none() || legacy_denied);
    if none_left && let Some(finish) = choice.get("finish_reason") {
        edits.replace(finish, br#""stop""#.to_vec());
    }
    Ok(())
}

/// Puts a text after whatever the message says, and removes members.
fn explain(message: Value<'_>, gone: &[&str], text: &str, edits: &mut Edits) {
    match message.get("content") {
        Some(content) if content.kind() == json::Kind::String => {
            let with = if content.raw_content().is_empty() {
                text.to_owned()
            } else {
                format!("\n\n{text}")
            };
            let end = content.text().map_or(0, |text| text.len());
            edits.replace_text(content, [(end..end, with.as_str())]);
        }
        Some(content) if content.kind() == json::Kind::Array => {
            let mut part = if content.elements().next().is_some() {
                b",".to_vec()
            } else {
                Vec::new()
            };
            part.extend_from_slice(br#"{"type":"text","text":"#);
            quote(text, &mut part);
            part.push(b'}');
            let end = content.span().end.saturating_sub(1);
            edits.splice(content.doc(), Span { start: end, end }, part);
        }
        Some(content) => {
            let mut with = Vec::new();
            quote(text, &mut with);
            edits.replace(content, with);
        }
        None => {
            let mut with = br#""content":"#.to_vec();
            quote(text, &mut with);
            // In the place of a member that goes, or before those that stay.
            match gone.split_first() {
                Some((first, others)) => {
                    if let Some(member) = member_span(message, first) {
                        edits.splice(message.doc(), member, with);
                    }
                    remove_members(message, others, edits);
                }
                None => {
                    with.push(b',');
                    let start = message.span().start.saturating_add(1);
                    edits.splice(message.doc(), Span { start, end: start }, with);
                }
            }
            return;
        }
    }
    remove_members(message, gone, edits);
}
