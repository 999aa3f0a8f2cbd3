//! Endpoints that embed, rank, classify, summarise or continue texts.

use super::{ANSWER, answer_member, error_text, quoted};
use crate::event::Part;
use crate::protocol::openai_shapes::{self, beside, documents, inputs};
use crate::protocol::reader::{Reader, Row, Type};
use crate::protocol::{CannotRemove, Denial, Endpoint, Removals};
use crate::wire::json::{self, Edits, Value};

const REQUEST: &[Row] = &[
    ("model", Type::Custom),
    ("prompt", Type::Custom),
    ("text", Type::Custom),
    ("texts", Type::Custom),
    ("inputs", Type::Custom),
    ("query", Type::Custom),
    ("tokens", Type::Custom),
    ("images", Type::Custom),
    ("documents", Type::Custom),
    ("examples", Type::Custom),
    ("stream", Type::Stream),
    ("max_tokens", Type::MaxTokens),
    ("additional_command", Type::Text(Part::Text)),
    ("preset", Type::State),
    ("stop_sequences", Type::Tree(Part::Other)),
    ("end_sequences", Type::Tree(Part::Other)),
    ("rank_fields", Type::Tree(Part::Other)),
    ("temperature", Type::Number),
    ("num_generations", Type::Number),
    ("k", Type::Number),
    ("p", Type::Number),
    ("seed", Type::Number),
    ("frequency_penalty", Type::Number),
    ("presence_penalty", Type::Number),
    ("top_n", Type::Number),
    ("top_k", Type::Number),
    ("max_chunks_per_doc", Type::Number),
    ("max_tokens_per_doc", Type::Number),
    ("output_dimension", Type::Number),
    ("priority", Type::Number),
    ("return_documents", Type::Flag),
    ("truncate", Type::Word("NONE|START|END")),
    (
        "input_type",
        Type::Word("search_document|search_query|classification|clustering|image"),
    ),
    (
        "embedding_types",
        Type::List(&Type::Word("float|int8|uint8|binary|ubinary|base64")),
    ),
    ("length", Type::Word("short|medium|long|auto")),
    ("format", Type::Word("paragraph|bullets|auto")),
    ("extractiveness", Type::Word("low|medium|high|auto")),
];
pub(super) const RESPONSE: &[Row] = &[
    ("generations", Type::List(&Type::Object(GENERATION))),
    ("text", Type::Text(Part::Text)),
    ("summary", Type::Text(Part::Text)),
    ("embeddings", Type::Custom),
    ("texts", Type::Tree(Part::Other)),
    ("images", Type::Counts),
    ("results", Type::List(&Type::Object(RANKED))),
    ("data", Type::List(&Type::Object(RANKED))),
    ("classifications", Type::Tree(Part::Other)),
    ("tokens", Type::Numbers),
    ("token_strings", Type::Tree(Part::Other)),
    ("model", Type::Id),
    ("object", Type::Id),
    ("message", Type::Custom),
];
const GENERATION: &[Row] = &[
    ("id", Type::Id),
    ("text", Type::Text(Part::Text)),
    ("index", Type::Number),
    ("likelihood", Type::Number),
    ("token_likelihoods", Type::Tokens),
    ("finish_reason", Type::Custom),
];
const RANKED: &[Row] = &[
    ("index", Type::Number),
    ("relevance_score", Type::Number),
    ("score", Type::Number),
    ("document", Type::Tree(Part::Other)),
];

pub(super) fn read_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    openai_shapes::read_input(
        reader,
        root,
        endpoint,
        REQUEST,
        &mut |reader, key, value, user| match key {
            "documents" => documents(reader, value),
            "examples" => {
                let texts = reader.tree(value);
                reader.emit_text(value, texts, &user.with_part(Part::Other));
            }
            "images" => reader.array(value, |reader, image| {
                reader.attachment(image, |count| &mut count.image);
                reader.url(image, user);
            }),
            _ => inputs(reader, value, user),
        },
    );
}

pub(super) fn read_response(reader: &mut Reader<'_>, root: Value<'_>) {
    let tables = [RESPONSE, ANSWER];
    reader.row_lists(
        root,
        &tables,
        &beside(),
        &mut |reader, key, value| match key {
            _ if value.is_null() => reader.claim(value),
            "embeddings" => embeddings(reader, value),
            "message" => error_text(reader, value),
            _ => answer_member(reader, key, value),
        },
    );
}

/// Lists of numbers, or of base64, by their type.
fn embeddings(reader: &mut Reader<'_>, value: Value<'_>) {
    for node in value.descendants() {
        match node.value.kind() {
            json::ValueKind::String if !node.is_key => reader.media(node.value),
            _ => reader.claim(node.value),
        }
    }
}

pub(super) fn denied_generation(denial: &Denial) -> Vec<u8> {
    let id = quoted(&format!("agentguard-{}", denial.request_id));
    let mut out = br#"{"id":"#.to_vec();
    out.extend_from_slice(&id);
    out.extend_from_slice(br#","generations":[{"id":"#);
    out.extend_from_slice(&id);
    out.extend_from_slice(br#","text":"#);
    out.extend_from_slice(&quoted(&denial.message()));
    out.extend_from_slice(br#","finish_reason":"COMPLETE"}]}"#);
    out
}

/// Drops the tokens that repeat edited texts.
pub(super) fn remove_from_response(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    removals.only_edits()?;
    let generations = root.get("generations");
    for generation in generations.into_iter().flat_map(|list| list.elements()) {
        if let Some(copy) = generation.get("token_likelihoods") {
            edits.replace(copy, b"[]".to_vec());
        }
    }
    Ok(())
}
