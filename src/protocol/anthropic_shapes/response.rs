//! Answers: a message, an error, a count of tokens.

use super::blocks::content;
use crate::event::{Part, Turn};
use crate::protocol::conversation::{Attribution, Calls};
use crate::protocol::reader::{Origin, Reader, Row, Type, UsageKeys};
use crate::wire::json::{self, Value};

/// Reason of the model's refusal.
pub(super) const STOP_DETAILS: Type = Type::Object(&[
    ("type", Type::Word("refusal")),
    (
        "category",
        Type::Word("cyber|bio|frontier_llm|reasoning_extraction|general_harms"),
    ),
    ("explanation", Type::Text(Part::Refusal)),
    ("recommended_model", Type::Name),
    ("fallback_credit_token", Type::Opaque),
    ("fallback_has_prefill_claim", Type::Flag),
]);
/// Where the provider's tools run.
pub(super) const CONTAINER: Type = Type::Object(&[("id", Type::Id), ("expires_at", Type::Id)]);
pub(super) const RESPONSE: &[Row] = &[
    ("type", Type::Word("message|error|message_batch|completion")),
    ("id", Type::Id),
    ("role", Type::Word("assistant")),
    ("model", Type::Model),
    ("content", Type::Custom),
    ("stop_reason", Type::Custom),
    ("stop_sequence", Type::Text(Part::Other)),
    ("stop_details", STOP_DETAILS),
    ("usage", Type::Usage(&USAGE)),
    ("container", CONTAINER),
    ("context_management", Type::Counts),
    ("request_id", Type::Id),
    ("error", Type::ReadOf(error)),
    // Of `count_tokens`.
    (
        "input_tokens",
        Type::Read(|reader, value| reader.reading.usage.input_tokens = reader.number(value)),
    ),
];
pub(super) const STOP_REASONS: &str = "end_turn|max_tokens|stop_sequence|tool_use|pause_turn|refusal|compaction|\
     model_context_window_exceeded";

/// The whole body of a response.
pub(in crate::protocol) fn response(reader: &mut Reader<'_>, root: Value<'_>) {
    message(reader, root, 0);
}

/// The model that answers.
pub(super) fn answering(origin: Origin) -> Attribution {
    Attribution {
        origin,
        calls: Turn::Latest,
        is_result: false,
    }
}

/// A message, of which there may be several in a file of results.
pub(in crate::protocol) fn message(reader: &mut Reader<'_>, message: Value<'_>, choice: u32) {
    let origin = Origin::answer(choice);
    let speaker = answering(origin.clone());
    let mut reason: Option<Box<str>> = None;
    reader.rows(
        message,
        RESPONSE,
        &origin,
        &mut |reader, key, value| match key {
            "content" => content(reader, value, &speaker, &mut Calls::default()),
            _ => {
                reason = value.text().map(Box::from);
                reader.word(value, STOP_REASONS);
            }
        },
    );
    match reason {
        Some(reason) => reader.reading.finish.push(reason),
        None => reader.reading.endless = reader.reading.endless.saturating_add(1),
    }
}

/// `{type, message}`.
pub(in crate::protocol) fn error(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    const ERROR: &[Row] = &[
        ("type", Type::Id),
        ("message", Type::Text(Part::Other)),
        ("details", Type::Tree(Part::Other)),
    ];
    if value.is_null() {
        reader.claim(value);
        return;
    }
    let kind = value.get("type").and_then(|kind| kind.text());
    reader.reading.error = Some(kind.as_deref().unwrap_or("error").into());
    if value.kind() == json::ValueKind::Object {
        reader.plain_rows(value, ERROR, origin);
    }
}

/// Counts of tokens. Tokens read from the cache or added to it are not in `input_tokens`.
const USAGE: UsageKeys = UsageKeys {
    input: "input_tokens",
    output: "output_tokens",
    cached: "cache_read_input_tokens",
    reasoning: "output_tokens_details.thinking_tokens",
    other_input: "cache_creation_input_tokens+cache_read_input_tokens",
    other_output: "",
    total: "",
};

pub(super) fn usage(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.usage(value, &USAGE);
}
