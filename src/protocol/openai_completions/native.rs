//! Servers' own formats: TGI (`inputs` → `generated_text`), llama.cpp (`prompt` → `content`), SGLang (`text` → `text`).

mod stream;

pub(super) use stream::NATIVE_STREAM;

use crate::event::{Known, Part, Turn};
use crate::protocol::openai_shapes::{self, error, inputs, response_format};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::{CannotRemove, Denial, Endpoint, Removals};
use crate::wire::json::{self, Edits, Value, quote};

/// Endpoint with a whole response, or a streamed one if the body contains `stream`.
pub(super) const NAME: &str = "generate";
/// The endpoint that answers as a stream.
pub(super) const STREAM: &str = "generate_stream";

const REQUEST: &[Row] = &[
    ("model", Type::Custom),
    ("inputs", Type::Custom),
    ("prompt", Type::Custom),
    ("text", Type::Custom),
    ("text_input", Type::Custom),
    ("input_ids", Type::Custom),
    ("input_prefix", Type::Custom),
    ("input_suffix", Type::Custom),
    ("input_extra", Type::Tree(Part::Other)),
    ("system_prompt", Type::Tree(Part::Other)),
    ("image_data", Type::Custom),
    ("parameters", Type::Custom),
    ("sampling_params", Type::Custom),
    ("stream", Type::Stream),
    ("n_predict", Type::MaxTokens),
    ("temperature", Type::Number),
    ("top_k", Type::Number),
    ("top_p", Type::Number),
    ("min_p", Type::Number),
    ("seed", Type::Number),
    ("stop", Type::Tree(Part::Other)),
    ("logit_bias", Type::Numbers),
    ("cache_prompt", Type::Flag),
];
/// TGI and SGLang keep the settings apart.
const PARAMETERS: &[Row] = &[
    ("max_new_tokens", Type::MaxTokens),
    ("temperature", Type::Number),
    ("top_k", Type::Number),
    ("top_p", Type::Number),
    ("typical_p", Type::Number),
    ("repetition_penalty", Type::Number),
    ("frequency_penalty", Type::Number),
    ("seed", Type::Number),
    ("best_of", Type::Number),
    ("truncate", Type::Number),
    ("top_n_tokens", Type::Number),
    ("do_sample", Type::Flag),
    ("return_full_text", Type::Flag),
    ("details", Type::Flag),
    ("decoder_input_details", Type::Flag),
    ("watermark", Type::Flag),
    ("stop", Type::Tree(Part::Other)),
    ("grammar", Type::Custom),
];
const RESPONSE: &[Row] = &[
    ("generated_text", Type::Text(Part::Text)),
    ("content", Type::Text(Part::Text)),
    ("text", Type::Text(Part::Text)),
    ("details", Type::Custom),
    ("meta_info", Type::Custom),
    ("model", Type::Custom),
    ("prompt", Type::Text(Part::Other)),
    ("tokens_evaluated", Type::Custom),
    ("tokens_predicted", Type::Custom),
    ("timings", Type::Counts),
    ("stop", Type::Flag),
    ("stopping_word", Type::Text(Part::Other)),
    ("error", Type::Custom),
    ("error_type", Type::Id),
];
const DETAILS: &[&str] = &[
    "finish_reason",
    "generated_tokens",
    "prompt_tokens",
    "completion_tokens",
];
/// Members that repeat the text token by token.
const TOKENS: &[&str] = &["tokens", "prefill", "best_of_sequences", "top_tokens"];

pub(super) fn read_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    openai_shapes::read_input(
        reader,
        root,
        endpoint,
        REQUEST,
        &mut |reader, key, value, user| match key {
            "parameters" | "sampling_params" => {
                reader.rows(value, PARAMETERS, user, &mut |reader, _, value| {
                    response_format(reader, value)
                });
            }
            "image_data" => {
                reader.attachment(value, |count| &mut count.image);
                match value.kind() {
                    json::ValueKind::String => reader.url(value, user),
                    _ => reader.claim(value),
                }
            }
            _ => inputs(reader, value, user),
        },
    );
}

/// One answer, or a list of them.
fn answers(root: Value<'_>) -> Vec<Value<'_>> {
    match root.kind() {
        json::ValueKind::Array => root.elements().collect(),
        _ => vec![root],
    }
}

pub(super) fn read_response(reader: &mut Reader<'_>, root: Value<'_>) {
    if root.kind() == json::ValueKind::Array {
        reader.claim(root);
    }
    for (choice, answer) in (0u32..).zip(answers(root)) {
        let origin = Origin {
            choice,
            ..Origin::new(Known::Missing, Part::Text, Turn::Latest)
        };
        reader.rows(answer, RESPONSE, &origin, &mut response_member);
    }
}

fn response_member(reader: &mut Reader<'_>, key: &'static str, value: Value<'_>) {
    match key {
        "model" => {
            if let Some(model) = reader.name(value) {
                reader.reading.models.add(&model);
            }
        }
        "tokens_evaluated" => reader.reading.usage.input_tokens = reader.number(value),
        "tokens_predicted" => reader.reading.usage.output_tokens = reader.number(value),
        "error" => error(reader, value),
        _ if value.kind() != json::ValueKind::Object => {}
        // `details`, `meta_info`
        _ => {
            reader.object(value, DETAILS, |reader, key, value| match key {
                "prompt_tokens" => reader.reading.usage.input_tokens = value.as_u64(),
                "completion_tokens" | "generated_tokens" => {
                    reader.reading.usage.output_tokens = value.as_u64();
                }
                _ => {
                    let reason = value.get("type").unwrap_or(value);
                    if let Some(reason) = reason.text() {
                        reader.reading.finish.push(reason.into());
                    }
                }
            });
            for (key, member) in value.members() {
                if TOKENS.iter().any(|name| key.is_text(name)) {
                    reader.claim(key);
                    reader.claim_all(member);
                } else {
                    reader.counts(member);
                }
            }
        }
    }
}

/// A refusal in the members of all these servers.
pub(super) fn denied_response(denial: &Denial) -> Vec<u8> {
    let mut out = b"{".to_vec();
    for (at, name) in ["generated_text", "content", "text"].iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        quote(name, &mut out);
        out.push(b':');
        quote(&denial.message(), &mut out);
    }
    out.push(b'}');
    out
}

pub(super) fn remove_from_response(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    for (choice, answer) in (0u32..).zip(answers(root)) {
        let denied_text = removals.choices.iter().find(|(n, _)| *n == choice);
        let is_edited = removals.edited.iter().any(|edited| edited.choice == choice);
        if denied_text.is_none() && !is_edited {
            continue;
        }
        if let Some((_, text)) = denied_text {
            let mut found = false;
            for name in ["generated_text", "content", "text"] {
                if let Some(said) = answer.get(name) {
                    let mut with = Vec::new();
                    quote(text, &mut with);
                    edits.replace(said, with);
                    found = true;
                }
            }
            if !found {
                return Err(CannotRemove);
            }
        }
        for details in ["details", "meta_info"] {
            let details = answer.get(details);
            for (key, member) in details.into_iter().flat_map(|details| details.members()) {
                if TOKENS.iter().any(|name| key.is_text(name)) {
                    edits.replace(member, b"[]".to_vec());
                }
            }
        }
    }
    if removals.calls.is_empty() {
        Ok(())
    } else {
        Err(CannotRemove)
    }
}
