//! Embeddings: `POST …/embeddings`. Embedded texts reach the provider like prompts; responses are numbers.

use super::coverage::shown;
use super::openai_shapes::{self, answer_member, inputs, read_answer};
use super::reader::{Reader, Row, Type};
use super::routes::{self, RouteSpec, json};
use super::{
    CoverageRow, Dialect, Endpoint, Format, Inspected, Protocol, RequestContext, RouteHead,
    TEXT_ANSWER, TEXTS,
};
use crate::event::Part;
use crate::wire::json::{self, Value};

/// The format.
pub(super) struct OpenAiEmbeddings;

const ROUTES: &[RouteSpec] = &[json("embeddings", "embeddings")];

const REQUEST: &[Row] = &[
    ("model", Type::Custom),
    ("models", Type::Custom),
    ("input", Type::Custom),
    ("user", Type::Text(Part::Other)),
    ("encoding_format", Type::Word("float|base64")),
    ("dimensions", Type::Number),
    ("output_dimension", Type::Number),
    (
        "output_dtype",
        Type::Word("float|int8|uint8|binary|ubinary"),
    ),
    (
        "input_type",
        Type::Word(
            "query|document|search_query|search_document|classification|clustering|\
             text|image",
        ),
    ),
    ("truncation", Type::Flag),
    ("truncate_prompt_tokens", Type::Number),
    ("normalized", Type::Flag),
];
const RESPONSE: &[Row] = &[
    ("id", Type::Id),
    ("object", Type::Id),
    ("created", Type::Number),
    ("provider", Type::Id),
    ("data", Type::List(&Type::Object(VECTOR))),
];
const VECTOR: &[Row] = &[
    ("object", Type::Id),
    ("index", Type::Number),
    ("embedding", Type::Custom),
];

static FORMAT: Format = Format {
    name: "openai.embeddings",
    dialect: Dialect::OpenAi,
    routes: ROUTES,
    coverage: &[CoverageRow {
        route: shown("`POST …/embeddings`, `…/invocations` with `input`"),
        request: TEXTS,
        answer: TEXT_ANSWER,
        stream: Inspected::UNREAD_STREAM,
    }],
};

impl Protocol for OpenAiEmbeddings {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn asks_for_body(&self, head: &RouteHead<'_>) -> bool {
        head.method == "POST" && routes::ends_with(head.path, "invocations")
    }

    fn endpoint_by_body(&self, head: &RouteHead<'_>, body: Value<'_>) -> Option<Endpoint> {
        (self.asks_for_body(head) && body.get("input").is_some()).then(|| Endpoint {
            model: routes::served_model(head.path),
            ..Endpoint::named("embeddings")
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        openai_shapes::read_input(
            reader,
            root,
            endpoint,
            REQUEST,
            &mut |reader, _, value, user| inputs(reader, value, user),
        );
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        read_answer(
            reader,
            root,
            RESPONSE,
            &mut |reader, key, value| match key {
                "embedding" if value.kind() == json::ValueKind::String => reader.media(value),
                "embedding" => reader.claim_numbers(value),
                _ => answer_member(reader, key, value),
            },
        );
    }
}
