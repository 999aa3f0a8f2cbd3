//! Members that responses share: usage, errors, and the texts of denials.

use crate::event::Part;
use crate::protocol::reader::Row;
use crate::protocol::reader::{Origin, Reader, Type, UsageKeys};
use crate::wire::json::{self, Value};
use crate::wire::sorted_map::SortedSet;

const ERROR: &[Row] = &[
    ("message", Type::Text(Part::Other)),
    ("type", Type::Id),
    ("param", Type::Id),
    ("code", Type::Id),
    ("status", Type::Id),
    // Groq repeats the model's text.
    ("failed_generation", Type::Text(Part::Other)),
    // OpenRouter repeats the response of the provider behind it.
    ("metadata", Type::Tree(Part::Other)),
    ("innererror", Type::Counts),
];

/// Members of every response beside its content: the model, the usage, or an error. Older vLLM, Mistral and FastAPI
/// write the members of an error at the top.
pub(crate) const ANSWER: &[Row] = &[
    ("model", Type::Model),
    ("usage", Type::Usage(&USAGE)),
    ("error", Type::Read(error)),
    ("message", Type::Read(error_message)),
    ("detail", Type::Read(error_detail)),
    ("type", Type::Read(error_type)),
    ("code", Type::Id),
    ("param", Type::Id),
];

/// Reads a response of these members and those of [`ANSWER`].
pub(crate) fn read_answer(reader: &mut Reader<'_>, root: Value<'_>, members: &'static [Row]) {
    reader.row_lists(root, &[members, ANSWER], &beside(), &mut |_, _, _| {});
}

/// Returns the origin of text outside of any turn.
pub(crate) fn beside() -> Origin {
    Origin::answer(0).with_part(Part::Other)
}

/// Reads `{"error": {message, type, param, code}}`, or the bare text that xAI and Ollama send.
pub(crate) fn error(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::ValueKind::Null => reader.claim(value),
        json::ValueKind::Object => {
            let kind = value
                .get("type")
                .or_else(|| value.get("code"))
                .and_then(|kind| kind.text());
            reader.reading.error = Some(kind.as_deref().unwrap_or("error").into());
            reader.plain_rows(value, ERROR, &beside());
        }
        json::ValueKind::String => {
            reader.reading.error = Some("error".into());
            reader.text(value, &beside());
        }
        _ => reader.reading.error = Some("error".into()),
    }
}

fn error_message(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::ValueKind::String => {
            reader.text(value, &beside());
        }
        _ => error_detail(reader, value),
    }
}

fn error_detail(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::ValueKind::Array | json::ValueKind::Object | json::ValueKind::String => {
            reader.reading.error.get_or_insert_with(|| "error".into());
            let texts = reader.tree(value);
            reader.emit_text(value, texts, &beside());
        }
        _ => reader.claim(value),
    }
}

fn error_type(reader: &mut Reader<'_>, value: Value<'_>) {
    if value.kind() == json::ValueKind::String {
        reader.reading.error = value.text().map(Into::into);
    }
    reader.id(value);
}

/// Reads bytes of an image or of sound that the model generated.
pub(crate) fn generated_media(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.media(value);
    reader.uninspectable(value, "attachment");
}

/// Members with counts of tokens.
const USAGE: UsageKeys = UsageKeys {
    input: "prompt_tokens|input_tokens",
    output: "completion_tokens|output_tokens",
    cached: "prompt_tokens_details.cached_tokens|input_tokens_details.cached_tokens",
    reasoning: "completion_tokens_details.reasoning_tokens|output_tokens_details.reasoning_tokens",
    other_input: "cache_creation_input_tokens+cache_read_input_tokens",
    other_output: "",
    total: "total_tokens",
};

pub(crate) fn usage(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.usage(value, &USAGE);
}

/// Reads a count of input tokens that stands by itself.
pub(crate) fn input_tokens(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.reading.usage.input_tokens = reader.number(value);
}

/// Reads a count of output tokens that stands by itself.
pub(crate) fn output_tokens(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.reading.usage.output_tokens = reader.number(value);
}

/// Returns the texts in place of removed content, each once.
pub(crate) fn denial_text(texts: &mut dyn Iterator<Item = &str>) -> String {
    let mut seen = SortedSet::new();
    let explanation: Vec<&str> = texts.filter(|text| seen.insert(*text)).collect();
    explanation.join("\n")
}
