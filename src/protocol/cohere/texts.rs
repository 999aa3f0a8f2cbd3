//! Endpoints that embed, rank, classify, summarise or continue texts.

use super::{ANSWER, FINISH_REASONS, quoted};
use crate::event::Part;
use crate::protocol::openai_shapes::{beside, documents, error, inputs, model, read_input};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::{CannotRemove, Denial, Endpoint, Removals};
use crate::wire::json::{self, Edits, Value};

const REQUEST: &[Row] = &[
    ("model", Type::Read(model)),
    ("prompt", Type::ReadOf(inputs)),
    ("text", Type::ReadOf(inputs)),
    ("texts", Type::ReadOf(inputs)),
    ("inputs", Type::ReadOf(inputs)),
    ("query", Type::ReadOf(inputs)),
    ("tokens", Type::ReadOf(inputs)),
    // vLLM, at `/inference/v1/generate`.
    ("token_ids", Type::ReadOf(inputs)),
    ("images", Type::List(&Type::ReadOf(image))),
    ("documents", Type::Read(documents)),
    ("examples", Type::Tree(Part::Other)),
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
    ("embeddings", Type::Read(embeddings)),
    ("texts", Type::Tree(Part::Other)),
    ("images", Type::Counts),
    ("results", Type::List(&Type::Object(RANKED))),
    ("data", Type::List(&Type::Object(RANKED))),
    ("classifications", Type::Tree(Part::Other)),
    ("tokens", Type::Numbers),
    ("token_strings", Type::Tree(Part::Other)),
    ("model", Type::Id),
    ("object", Type::Id),
    // Of an error.
    ("message", Type::Read(error)),
];
const GENERATION: &[Row] = &[
    ("id", Type::Id),
    ("text", Type::Text(Part::Text)),
    ("index", Type::Number),
    ("likelihood", Type::Number),
    ("token_likelihoods", Type::Tokens),
    ("finish_reason", Type::Finish(FINISH_REASONS)),
];
const RANKED: &[Row] = &[
    ("index", Type::Number),
    ("relevance_score", Type::Number),
    ("score", Type::Number),
    ("document", Type::Tree(Part::Other)),
];

pub(super) fn read_request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    read_input(reader, root, endpoint, REQUEST);
}

fn image(reader: &mut Reader<'_>, image: Value<'_>, origin: &Origin) {
    reader.attachment(image, |count| &mut count.image);
    reader.url(image, origin);
}

pub(super) fn read_response(reader: &mut Reader<'_>, root: Value<'_>) {
    let tables = [RESPONSE, ANSWER];
    reader.row_lists(root, &tables, &beside(), &mut |_, _, _| {});
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
