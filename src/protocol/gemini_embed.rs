//! Google's embeddings and predictions: `embedContent`, `batchEmbedContents`, `predict` (embeddings, images, videos), at the
//! Gemini API and at Vertex AI. What is embedded was written by nobody in a conversation.

use super::anthropic_shapes::tell_request;
use super::coverage::{TEXT_ANSWER, TEXTS, shown};
use super::gemini_shapes::{contents_by, error, unspoken};
use super::reader::{Is, Key, Origin, Reader};
use super::vertex_paths::vertex_call;
use super::{CoverageRow, Dialect, Endpoint, Inspected, Protocol, RequestContext, RouteHead};
use crate::event::{Attachments, Known, Part, Turn};
use crate::wire::json::{self, Value};

/// The format.
pub(super) struct GeminiEmbed;

const ENDPOINTS: &[(&str, &str)] = &[
    ("embedcontent", "embed_content"),
    ("batchembedcontents", "batch_embed_contents"),
    ("asyncbatchembedcontent", "batch_embed_contents"),
    ("predict", "predict"),
    ("predictlongrunning", "predict_long_running"),
    ("generateimages", "generate_images"),
];

const REQUEST: &[Key] = &[
    ("model", Is::Own),
    ("content", Is::Own),
    ("requests", Is::Own),
    ("instances", Is::Own),
    ("parameters", Is::Tree(Part::Other)),
    ("taskType", Is::Constant),
    ("title", Is::Text(Part::Other)),
    ("outputDimensionality", Is::Number),
    (
        "embedContentConfig",
        Is::Object(&[
            ("taskType", Is::Constant),
            ("title", Is::Text(Part::Other)),
            ("outputDimensionality", Is::Number),
            ("autoTruncate", Is::Flag),
        ]),
    ),
];
const INSTANCE: &[Key] = &[
    // Of embeddings; of Imagen and Veo; of older text models.
    ("content", Is::Text(Part::Text)),
    ("prompt", Is::Text(Part::Text)),
    ("text", Is::Text(Part::Text)),
    ("negativePrompt", Is::Text(Part::Other)),
    ("title", Is::Text(Part::Other)),
    ("taskType", Is::Constant),
    ("image", Is::Own),
    ("video", Is::Own),
];

const ROWS: &[CoverageRow] = &[CoverageRow {
    route: shown(
        "`POST …:embedContent`, `…:batchEmbedContents`, `…:predict`, `…:predictLongRunning`",
    ),
    request: TEXTS,
    answer: TEXT_ANSWER,
    stream: Inspected::UNREAD_STREAM,
}];

impl Protocol for GeminiEmbed {
    fn name(&self) -> &'static str {
        "gemini.embed_or_predict"
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        if head.method != "POST" {
            return None;
        }
        let call = vertex_call(head)?;
        ENDPOINTS
            .iter()
            .find(|(verb, _)| *verb == call.verb)
            .map(|(_, name)| call.endpoint(name))
    }

    fn coverage(&self) -> &'static [CoverageRow] {
        ROWS
    }

    fn dialect(&self) -> Dialect {
        Dialect::Google
    }

    fn read_request(&self, reader: &mut Reader<'_>, endpoint: &Endpoint) {
        reader.proto_json = true;
        let Some(body) = reader.body() else { return };
        request(reader, body.root(), endpoint);
        tell_request(reader, body.root());
    }

    fn read_response(&self, reader: &mut Reader<'_>, _: &RequestContext) {
        const RESPONSE: &[Key] = &[
            ("embedding", Is::Counts),
            ("embeddings", Is::Counts),
            ("predictions", Is::Own),
            ("metadata", Is::Counts),
            ("usageMetadata", Is::Counts),
            ("deployedModelId", Is::Id),
            ("model", Is::Id),
            ("modelDisplayName", Is::Id),
            ("modelVersionId", Is::Id),
            ("truncated", Is::Flag),
            ("error", Is::Own),
        ];
        const PREDICTION: &[Key] = &[
            ("embeddings", Is::Counts),
            ("textEmbedding", Is::Counts),
            ("imageEmbedding", Is::Counts),
            ("videoEmbeddings", Is::Counts),
            ("bytesBase64Encoded", Is::Media),
            ("mimeType", Is::Id),
            ("prompt", Is::Text(Part::Text)),
            ("content", Is::Text(Part::Text)),
        ];
        reader.proto_json = true;
        let Some(body) = reader.body() else { return };
        let origin = Origin {
            from: Known::Missing,
            part: Part::Text,
            turn: Turn::Latest,
            choice: 0,
            piece_of: None,
        };
        reader.keys(
            body.root(),
            RESPONSE,
            &origin,
            &mut |reader, key, value| match key {
                "error" => error(reader, value),
                _ => reader.array(value, |reader, prediction| match prediction.kind() {
                    json::ValueKind::Object => reader.known(prediction, PREDICTION, &origin),
                    // What a model that someone deployed gives, is anything.
                    _ => reader.value(prediction, Is::Tree(Part::Text), &origin),
                }),
            },
        );
    }
}

fn request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    let origin = unspoken();
    reader.keys(
        root,
        REQUEST,
        &origin,
        &mut |reader, key, value| match key {
            "model" => reader.model_beside_path(value, &endpoint.model),
            "content" if value.kind() == json::ValueKind::String => {
                reader.text(value, &origin);
            }
            "content" => contents_by(reader, value, Known::Unknown),
            "requests" => reader.array(value, |reader, element| request(reader, element, endpoint)),
            _ => reader.array(value, |reader, instance| {
                reader.keys(instance, INSTANCE, &origin, &mut |reader, key, value| {
                    let count: fn(&mut Attachments) -> &mut u32 = match key {
                        "image" => |count| &mut count.image,
                        _ => |count| &mut count.file,
                    };
                    medium(reader, value, count);
                });
            }),
        },
    );
}

/// `{bytesBase64Encoded | gcsUri, mimeType}`.
fn medium(reader: &mut Reader<'_>, value: Value<'_>, count: fn(&mut Attachments) -> &mut u32) {
    const MEDIUM: &[Key] = &[
        ("bytesBase64Encoded", Is::Media),
        ("gcsUri", Is::Url),
        ("mimeType", Is::Own),
    ];
    if value.is_null() {
        reader.claim(value);
        return;
    }
    reader.attachment(value, count);
    reader.keys(value, MEDIUM, &unspoken(), &mut |reader, _, value| {
        reader.media_type(value);
    });
}
