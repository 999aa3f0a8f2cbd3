//! What embeds, ranks, classifies, summarises or continues texts.

use super::{ANSWER, answer_member, error_text, quoted};
use crate::event::Part;
use crate::protocol::openai_shapes::{self, beside, documents, inputs};
use crate::protocol::reader::{Member, Reader, Shape};
use crate::protocol::{CannotRemove, Denial, Endpoint, Removals};
use crate::wire::json::{self, Edits, JsonBody, Value};

const REQUEST: &[Member] = &[
    ("model", Shape::Own),
    ("prompt", Shape::Own),
    ("text", Shape::Own),
    ("texts", Shape::Own),
    ("inputs", Shape::Own),
    ("query", Shape::Own),
    ("tokens", Shape::Own),
    ("images", Shape::Own),
    ("documents", Shape::Own),
    ("examples", Shape::Own),
    ("stream", Shape::Own),
    ("max_tokens", Shape::Own),
    ("additional_command", Shape::Text(Part::Text)),
    ("preset", Shape::State),
    ("stop_sequences", Shape::Tree(Part::Other)),
    ("end_sequences", Shape::Tree(Part::Other)),
    ("rank_fields", Shape::Tree(Part::Other)),
    ("temperature", Shape::Number),
    ("num_generations", Shape::Number),
    ("k", Shape::Number),
    ("p", Shape::Number),
    ("seed", Shape::Number),
    ("frequency_penalty", Shape::Number),
    ("presence_penalty", Shape::Number),
    ("top_n", Shape::Number),
    ("top_k", Shape::Number),
    ("max_chunks_per_doc", Shape::Number),
    ("max_tokens_per_doc", Shape::Number),
    ("output_dimension", Shape::Number),
    ("priority", Shape::Number),
    ("return_documents", Shape::Flag),
    ("truncate", Shape::Word(&["NONE", "START", "END"])),
    (
        "input_type",
        Shape::Word(&[
            "search_document",
            "search_query",
            "classification",
            "clustering",
            "image",
        ]),
    ),
    (
        "embedding_types",
        Shape::List(&Shape::Word(&[
            "float", "int8", "uint8", "binary", "ubinary", "base64",
        ])),
    ),
    ("length", Shape::Word(&["short", "medium", "long", "auto"])),
    ("format", Shape::Word(&["paragraph", "bullets", "auto"])),
    (
        "extractiveness",
        Shape::Word(&["low", "medium", "high", "auto"]),
    ),
];
pub(super) const RESPONSE: &[Member] = &[
    ("generations", Shape::List(&Shape::Object(GENERATION))),
    ("text", Shape::Text(Part::Text)),
    ("summary", Shape::Text(Part::Text)),
    ("embeddings", Shape::Own),
    ("texts", Shape::Tree(Part::Other)),
    ("images", Shape::Counts),
    ("results", Shape::List(&Shape::Object(RANKED))),
    ("data", Shape::List(&Shape::Object(RANKED))),
    ("classifications", Shape::Tree(Part::Other)),
    ("tokens", Shape::Numbers),
    ("token_strings", Shape::Tree(Part::Other)),
    ("model", Shape::Id),
    ("object", Shape::Id),
    ("message", Shape::Own),
];
const GENERATION: &[Member] = &[
    ("id", Shape::Id),
    ("text", Shape::Text(Part::Text)),
    ("index", Shape::Number),
    ("likelihood", Shape::Number),
    ("token_likelihoods", Shape::Own),
    ("finish_reason", Shape::Own),
];
const RANKED: &[Member] = &[
    ("index", Shape::Number),
    ("relevance_score", Shape::Number),
    ("score", Shape::Number),
    ("document", Shape::Tree(Part::Other)),
];

pub(super) fn read_request(reader: &mut Reader<'_>, endpoint: &Endpoint) {
    openai_shapes::read_input(
        reader,
        endpoint,
        REQUEST,
        &mut |reader, key, value, user| match key {
            "max_tokens" => reader.reading.max_tokens = reader.number(value),
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

pub(super) fn read_response(reader: &mut Reader<'_>) {
    let Some(body) = reader.body() else { return };
    let tables = [RESPONSE, ANSWER];
    reader.shaped(
        body.root(),
        &tables,
        &beside(),
        &mut |reader, key, value| match key {
            _ if value.is_null() => reader.claim(value),
            "embeddings" => embeddings(reader, value),
            // The text once more, token by token: it goes as a whole when the text is edited.
            "token_likelihoods" => reader.claim_all(value),
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

/// Texts are edited where they stand, and what repeats them token by token goes.
pub(super) fn remove_from_response(
    json: &JsonBody<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    removals.only_edits()?;
    let body = json.body().ok_or(CannotRemove)?;
    let generations = body.root().get("generations");
    for generation in generations.into_iter().flat_map(|list| list.elements()) {
        if let Some(copy) = generation.get("token_likelihoods") {
            edits.replace(copy, b"[]".to_vec());
        }
    }
    Ok(())
}
