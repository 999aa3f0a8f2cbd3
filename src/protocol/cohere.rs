//! Cohere's own formats: `POST /v2/chat` and `/v1/chat`, and what embeds, ranks, classifies or continues texts.
//!
//! Source: Cohere's API reference and published SDK types. Ranking in the same format is also served by Jina, Voyage, vLLM
//! and LiteLLM, at `…/rerank`.

mod texts;
mod v1;
mod v2;

use super::coverage::shown;
use super::lmstudio;
use super::openai_shapes::{self, beside};
use super::reader::{Reader, Row, Type};
use super::routes::{self, RouteSpec, json};
use super::stream::StreamReader;
use super::{
    CONVERSATION, CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, MODEL_RESPONSE,
    Protocol, RequestContext, ResponseEdit, RouteHead,
};
use crate::event::Part;
use crate::wire::json::{Value, quote};

/// The format, in one of its versions.
pub(super) struct Cohere {
    version: Version,
    format: &'static Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

const V1_ROUTES: &[RouteSpec] = &[
    json("v1/generate", "generate"),
    json("v1/embed", "embed"),
    json("v1/rerank", "rerank"),
    json("rerank", "rerank"),
    // llama.cpp.
    json("reranking", "rerank"),
    json("v1/classify", "classify"),
    json("v1/summarize", "summarize"),
    json("v1/tokenize", "tokenize"),
    json("v1/detokenize", "detokenize"),
];
const V2_ROUTES: &[RouteSpec] = &[
    json("v2/chat", "chat"),
    json("v2/embed", "embed"),
    json("v2/rerank", "rerank"),
];

/// Settings of both versions.
const SETTINGS: &[Row] = &[
    ("model", Type::Read(openai_shapes::model)),
    ("stream", Type::Stream),
    ("max_tokens", Type::MaxTokens),
    ("tools", Type::List(&Type::Read(openai_shapes::tool_offer))),
    ("documents", Type::Read(openai_shapes::documents)),
    (
        "response_format",
        Type::Read(openai_shapes::response_format),
    ),
    ("temperature", Type::Number),
    ("seed", Type::Number),
    ("frequency_penalty", Type::Number),
    ("presence_penalty", Type::Number),
    ("k", Type::Number),
    ("p", Type::Number),
    ("max_input_tokens", Type::Number),
    ("num_generations", Type::Number),
    ("priority", Type::Number),
    ("logprobs", Type::Flag),
    ("strict_tools", Type::Flag),
    ("raw_prompting", Type::Flag),
    ("return_prompt", Type::Flag),
    ("stop_sequences", Type::Tree(Part::Other)),
    ("safety_mode", Type::Word("CONTEXTUAL|STRICT|NONE|OFF")),
    (
        "thinking",
        Type::Object(&[
            ("type", Type::Word("enabled|disabled")),
            ("token_budget", Type::Number),
        ]),
    ),
    (
        "citation_options",
        Type::Object(&[("mode", Type::Word("FAST|ACCURATE|OFF|ENABLED|DISABLED"))]),
    ),
];
/// Members of responses in both versions beside their content.
const ANSWER: &[Row] = &[
    ("id", Type::Id),
    ("response_id", Type::Id),
    ("generation_id", Type::Id),
    ("conversation_id", Type::Id),
    ("response_type", Type::Id),
    ("error_type", Type::Id),
    ("finish_reason", Type::Finish(FINISH_REASONS)),
    ("usage", Type::Read(usage)),
    ("meta", Type::Read(usage)),
    ("prompt", Type::Text(Part::Other)),
    ("error", Type::Read(openai_shapes::error)),
];
const FINISH_REASONS: &str = "COMPLETE|STOP_SEQUENCE|MAX_TOKENS|TOOL_CALL|ERROR|ERROR_TOXIC|ERROR_LIMIT|\
     TIMEOUT|USER_CANCEL";
const COUNTED: &[&str] = &[
    "tokens",
    "billed_units",
    "cached_tokens",
    "warnings",
    "api_version",
];

/// Conversations as one message and its history; texts.
pub(super) const V1: Cohere = Cohere {
    version: Version::V1,
    format: &Format {
        name: "cohere.v1",
        dialect: Dialect::Cohere,
        routes: V1_ROUTES,
        coverage: &[CoverageRow {
            route: shown(
                "`POST …/v1/chat`, `…/v1/generate`, `…/v1/embed`, `…/v1/rerank` and the other formats of Cohere's first version",
            ),
            request: CONVERSATION,
            response: MODEL_RESPONSE,
            stream: MODEL_RESPONSE,
        }],
    },
};
/// Conversations as messages; texts.
pub(super) const V2: Cohere = Cohere {
    version: Version::V2,
    format: &Format {
        name: "cohere.v2",
        dialect: Dialect::Cohere,
        routes: V2_ROUTES,
        coverage: &[CoverageRow {
            route: shown("`POST …/v2/chat`, `…/v2/embed`, `…/v2/rerank`"),
            request: CONVERSATION,
            response: MODEL_RESPONSE,
            stream: MODEL_RESPONSE,
        }],
    },
};

impl Protocol for Cohere {
    fn format(&self) -> &'static Format {
        self.format
    }

    /// Writer serves Chat Completions at the path of the first version.
    fn asks_for_body(&self, head: &RouteHead<'_>) -> bool {
        self.version == Version::V1
            && head.method == "POST"
            && routes::ends_with(head.path, "v1/chat")
    }

    fn endpoint_by_body(&self, head: &RouteHead<'_>, body: Value<'_>) -> Option<Endpoint> {
        (self.asks_for_body(head)
            && body.get("message").is_some()
            && body.get("messages").is_none()
            && !lmstudio::reads(head, body))
        .then(|| Endpoint::named("chat"))
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        match (endpoint.name, self.version) {
            ("chat", Version::V1) => v1::read_request(reader, root, endpoint),
            ("chat", Version::V2) => v2::read_request(reader, root, endpoint),
            _ => texts::read_request(reader, root, endpoint),
        }
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        match (context.endpoint.name, self.version) {
            ("chat", Version::V1) => v1::read_response(reader, root),
            ("chat", Version::V2) => v2::read_response(reader, root),
            _ => texts::read_response(reader, root),
        }
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        match (context.endpoint.name, self.version) {
            ("chat", Version::V1) => v1::denied_response(denial),
            ("chat", Version::V2) => v2::denied_response(denial),
            ("generate", _) => texts::denied_generation(denial),
            _ => Dialect::Cohere.body(denial),
        }
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        match (edit.context.endpoint.name, self.version) {
            ("chat", Version::V1) => v1::remove_from_response(edit.root, edit.removals, edit.edits),
            ("chat", Version::V2) => v2::remove_from_response(edit.root, edit.removals, edit.edits),
            _ => texts::remove_from_response(edit.root, edit.removals, edit.edits),
        }
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        match (context.endpoint.name, self.version) {
            ("chat" | "generate", Version::V1) => Some(Box::new(v1::V1Stream::new(context))),
            ("chat", Version::V2) => Some(Box::new(v2::V2Stream::default())),
            _ => None,
        }
    }
}

/// Reads the usage: the tokens that the model read if they are reported, otherwise the billed ones.
fn usage(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.object(value, COUNTED, |reader, key, value| match key {
        "tokens" | "billed_units" => {
            reader.counts(value);
            let count = |name: &str| value.get(name).and_then(|count| count.as_u64());
            let usage = &mut reader.reading.usage;
            let (input, output) = (count("input_tokens"), count("output_tokens"));
            if key == "tokens" {
                usage.input_tokens = input.or(usage.input_tokens);
                usage.output_tokens = output.or(usage.output_tokens);
                usage.reasoning_tokens = count("reasoning_tokens");
            } else {
                usage.input_tokens = usage.input_tokens.or(input);
                usage.output_tokens = usage.output_tokens.or(output);
            }
        }
        "cached_tokens" => {
            reader.reading.usage.cached_tokens = value.as_u64();
            reader.claim(value);
        }
        "warnings" => {
            let texts = reader.tree(value);
            reader.emit_text(value, texts, &beside());
        }
        _ => reader.counts(value),
    });
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().saturating_add(2));
    quote(text, &mut out);
    out
}
