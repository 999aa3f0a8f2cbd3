//! Google's embeddings and predictions: `embedContent`, `batchEmbedContents`, `predict` (embeddings, images, videos), at the
//! Gemini API and at Vertex AI. Embedded texts have no author. Models that someone deployed take OpenAI's chat as an instance:
//!
//! ```text
//! {"instances":[{"@requestFormat":"chatCompletions","messages":[{"role":"user","content":"Hi"}]}]}
//! {"predictions":{"choices":[{"message":{"role":"assistant","content":"Hi"}}]},"deployedModelId":"1"}
//! ```

use super::anthropic_shapes::add_request_event;
use super::coverage::{CONVERSATION, MODEL_RESPONSE, shown};
use super::gemini_shapes::{contents_by, error, unspoken};
use super::openai_chat;
use super::reader::{Origin, Reader, Row, Type};
use super::vertex_paths::vertex_call;
use super::{
    CoverageRow, Dialect, Endpoint, Format, Inspected, Protocol, RequestContext, RouteHead,
};
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
    ("fetchpredictoperation", "fetch_predict_operation"),
    ("generateimages", "generate_images"),
];

const REQUEST: &[Row] = &[
    ("model", Type::Custom),
    ("content", Type::Custom),
    ("requests", Type::Custom),
    ("instances", Type::Custom),
    ("operationName", Type::Id),
    ("parameters", Type::Tree(Part::Other)),
    ("taskType", Type::Constant),
    ("title", Type::Text(Part::Other)),
    ("outputDimensionality", Type::Number),
    (
        "embedContentConfig",
        Type::Object(&[
            ("taskType", Type::Constant),
            ("title", Type::Text(Part::Other)),
            ("outputDimensionality", Type::Number),
            ("autoTruncate", Type::Flag),
        ]),
    ),
];
const INSTANCE: &[Row] = &[
    // Of embeddings; of Imagen and Veo; of older text models.
    ("content", Type::Text(Part::Text)),
    ("prompt", Type::Text(Part::Text)),
    ("text", Type::Text(Part::Text)),
    ("negativePrompt", Type::Text(Part::Other)),
    ("title", Type::Text(Part::Other)),
    ("taskType", Type::Constant),
    ("image", Type::Custom),
    ("video", Type::Custom),
];

static FORMAT: Format = Format {
    name: "gemini.embed_or_predict",
    dialect: Dialect::Google,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown(
            "`POST …:embedContent`, `…:batchEmbedContents`, `…:predict`, `…:predictLongRunning`, `…:fetchPredictOperation`",
        ),
        request: CONVERSATION,
        response: MODEL_RESPONSE,
        stream: Inspected::UNREAD_STREAM,
    }],
};

impl Protocol for GeminiEmbed {
    fn format(&self) -> &'static Format {
        &FORMAT
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

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        reader.proto_json = true;
        request(reader, root, endpoint);
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        const RESPONSE: &[Row] = &[
            ("embedding", Type::Counts),
            ("embeddings", Type::Counts),
            ("predictions", Type::Custom),
            ("metadata", Type::Counts),
            ("usageMetadata", Type::Counts),
            ("deployedModelId", Type::Id),
            ("model", Type::Id),
            ("modelDisplayName", Type::Id),
            ("modelVersionId", Type::Id),
            ("truncated", Type::Flag),
            ("error", Type::Custom),
            // An operation.
            ("name", Type::Id),
            ("done", Type::Flag),
            (
                "response",
                Type::Object(&[("videos", Type::List(&Type::Object(PREDICTION)))]),
            ),
        ];
        const PREDICTION: &[Row] = &[
            ("embeddings", Type::Counts),
            ("textEmbedding", Type::Counts),
            ("imageEmbedding", Type::Counts),
            ("videoEmbeddings", Type::Counts),
            ("bytesBase64Encoded", Type::Media),
            ("gcsUri", Type::Id),
            ("mimeType", Type::Id),
            ("prompt", Type::Text(Part::Text)),
            ("content", Type::Text(Part::Text)),
        ];
        reader.proto_json = true;
        let origin = Origin::new(Known::Missing, Part::Text, Turn::Latest);
        reader.rows(
            root,
            RESPONSE,
            &origin,
            &mut |reader, key, value| match key {
                "error" => error(reader, value),
                "predictions" if value.get("choices").is_some() => {
                    chat(reader, value, openai_chat::read_response);
                }
                _ => reader.array(value, |reader, prediction| match prediction.kind() {
                    _ if prediction.get("choices").is_some() => {
                        chat(reader, prediction, openai_chat::read_response);
                    }
                    json::ValueKind::Object => reader.plain_rows(prediction, PREDICTION, &origin),
                    // What a model that someone deployed gives, is anything.
                    _ => reader.value(prediction, Type::Tree(Part::Text), &origin),
                }),
            },
        );
    }
}

/// Reads a request or an answer of OpenAI's chat, whose members have one spelling.
fn chat(reader: &mut Reader<'_>, value: Value<'_>, read: fn(&mut Reader<'_>, Value<'_>)) {
    reader.proto_json = false;
    read(reader, value);
    reader.proto_json = true;
}

fn request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    let origin = unspoken();
    reader.rows(
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
                if instance.get("messages").is_some() {
                    chat(reader, instance, openai_chat::members_on_top);
                    return;
                }
                reader.rows(instance, INSTANCE, &origin, &mut |reader, key, value| {
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
    const MEDIUM: &[Row] = &[
        ("bytesBase64Encoded", Type::Media),
        ("gcsUri", Type::Url),
        ("mimeType", Type::Custom),
    ];
    if value.is_null() {
        reader.claim(value);
        return;
    }
    reader.attachment(value, count);
    reader.rows(value, MEDIUM, &unspoken(), &mut |reader, _, value| {
        reader.media_type(value);
    });
}
