//! OpenAI Chat Completions and everything compatible: `POST …/chat/completions`.
//!
//! Source: OpenAI's API reference and published SDK types; differences of compatible servers as recorded from them.

mod withhold;

use super::openai_shapes::{
    FUNCTION, called_function, content, content_texts, error, named_offer, response_format, spoken,
    tool_call, tool_choice, tool_offer, usage,
};
use super::reader::{Origin, Reader};
use super::{Asked, CannotWithhold, Denial, Dialect, Endpoint, Head, Protocol, Withholding};
use crate::diag::codes;
use crate::event::{Author, Direction, Event, Kind, Known, Part, Turn};
use crate::wire::json::{self, Edits, Nest, Value, quote};
use crate::wire::span::offset;
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

    fn endpoint(&self, head: &Head<'_>) -> Option<Endpoint> {
        (head.method == "POST" && head.path.ends_with(&["chat", "completions"]))
            .then(|| Endpoint::named("chat.completions"))
    }

    /// Writer serves the same format at `/v1/chat`, where Cohere serves another.
    fn asks_for_body(&self, head: &Head<'_>) -> bool {
        head.method == "POST" && head.path.ends_with(&["v1", "chat"])
    }

    fn endpoint_by_body(&self, head: &Head<'_>, body: Value<'_>) -> Option<Endpoint> {
        (self.asks_for_body(head) && body.get("messages").is_some())
            .then(|| Endpoint::named("chat.completions"))
    }

    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn read_request(&self, reader: &mut Reader<'_>, _: &Endpoint) {
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

    fn read_response(&self, reader: &mut Reader<'_>, _: &Asked) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        reader.object(root, RESPONSE, response_member);
    }

    fn refused_answer(&self, denial: &Denial, asked: &Asked) -> Vec<u8> {
        let model = asked.models.names.first().map_or("", |model| model);
        let mut out = br#"{"id":"#.to_vec();
        quote(&format!("agentguard-{}", denial.request_id), &mut out);
        out.extend_from_slice(br#","object":"chat.completion","created":0,"model":"#);
        quote(model, &mut out);
        out.extend_from_slice(br#","choices":[{"index":0,"message":"#);
        withhold::refusing_message(&denial.message(), &mut out);
        out.extend_from_slice(br#","logprobs":null,"finish_reason":"#);
        out.extend_from_slice(withhold::refusing_reason(asked.structured_output));
        out.extend_from_slice(b"}]}");
        out
    }

    fn withhold(
        &self,
        nest: &Nest<'_>,
        asked: &Asked,
        withholding: &Withholding,
        edits: &mut Edits,
    ) -> Result<(), CannotWithhold> {
        withhold::withhold(nest, asked, withholding, edits)
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
                reader.provider_run_offer(value, &["web_search_options", "web_search"])
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
                event.result = reader.structured_result(value);
            }
            reader.reading.events.push(event);
        }
    }
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
