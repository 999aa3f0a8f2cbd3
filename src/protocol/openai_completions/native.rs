//! Servers' own formats: TGI (`inputs` → `generated_text`), llama.cpp (`prompt` → `content`), SGLang (`text` → `text`), Triton
//! (`text_input` → `text_output`).

mod stream;

pub(super) use stream::NATIVE_STREAM;

use crate::event::{Known, Part, Turn};
use crate::protocol::openai_shapes::{
    error, input_tokens, inputs, model, output_tokens, read_input, response_format,
};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::{CannotRemove, Denial, Endpoint, Removals};
use crate::wire::json::{self, Edits, Value, quote};
use crate::wire::sort;

/// Endpoint with a whole response, or a streamed one if the body contains `stream`.
pub(super) const NAME: &str = "generate";
/// The endpoint that answers as a stream.
pub(super) const STREAM: &str = "generate_stream";

const REQUEST: &[Row] = &[
    ("model", Type::Read(model)),
    ("inputs", Type::ReadOf(inputs)),
    ("prompt", Type::ReadOf(inputs)),
    ("text", Type::ReadOf(inputs)),
    ("text_input", Type::ReadOf(inputs)),
    ("input_ids", Type::ReadOf(inputs)),
    ("input_embeds", Type::ReadOf(inputs)),
    ("input_prefix", Type::ReadOf(inputs)),
    ("input_suffix", Type::ReadOf(inputs)),
    ("input_extra", Type::Tree(Part::Other)),
    ("system_prompt", Type::Tree(Part::Other)),
    ("image_data", Type::ReadOf(image)),
    ("parameters", Type::Object(PARAMETERS)),
    ("sampling_params", Type::Object(PARAMETERS)),
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
    ("max_tokens", Type::MaxTokens),
    ("stream", Type::Flag),
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
    ("grammar", Type::Read(response_format)),
];
const RESPONSE: &[Row] = &[
    ("generated_text", Type::Text(Part::Text)),
    ("content", Type::Text(Part::Text)),
    ("text", Type::Text(Part::Text)),
    ("text_output", Type::Text(Part::Text)),
    ("model_name", Type::Model),
    ("model_version", Type::Id),
    ("details", Type::ReadOf(details)),
    ("meta_info", Type::ReadOf(details)),
    ("model", Type::Model),
    ("prompt", Type::Text(Part::Other)),
    ("tokens_evaluated", Type::Read(input_tokens)),
    ("tokens_predicted", Type::Read(output_tokens)),
    ("timings", Type::Counts),
    ("stop", Type::Flag),
    ("stopping_word", Type::Text(Part::Other)),
    ("error", Type::Read(error)),
    ("error_type", Type::Id),
];
const DETAILS: &[&str] = &[
    "finish_reason",
    "generated_tokens",
    "prompt_tokens",
    "completion_tokens",
];
/// Members that repeat the text token by token, or the prompt, or have the texts that the server did not choose.
const TOKENS: &[&str] = &["tokens", "prefill", "best_of_sequences", "top_tokens"];

pub(super) fn read_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    read_input(reader, root, endpoint, REQUEST);
}

fn image(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    reader.attachment(value, |count| &mut count.image);
    match value.kind() {
        json::ValueKind::String => reader.url(value, origin),
        _ => reader.claim(value),
    }
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
        reader.plain_rows(answer, RESPONSE, &origin);
    }
}

fn details(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    if value.kind() != json::ValueKind::Object {
        return;
    }
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
            reader.value(member, Type::Tokens, origin);
        } else {
            reader.counts(member);
        }
    }
}

/// A denial in the members of all these servers.
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
    let denied_texts = removals.denied_texts();
    let with_edits = sort::set(removals.edited.iter().map(|edited| edited.choice));
    for (choice, answer) in (0u32..).zip(answers(root)) {
        let denied_text = denied_texts.get(&choice);
        if denied_text.is_none() && !with_edits.contains(&choice) {
            continue;
        }
        if let Some(text) = denied_text {
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
