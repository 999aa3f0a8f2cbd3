//! Embeddings: `POST …/embeddings`. Embedded texts reach the provider like prompts; responses are numbers.

use super::coverage::shown;
use super::openai_shapes::{inputs, model, models, read_answer, read_input};
use super::reader::{Reader, Row, Type};
use super::routes::{self, RouteSpec, json};
use super::{
    CoverageRow, Dialect, Endpoint, Format, Inspected, Protocol, RequestContext, RouteHead,
    TEXT_RESPONSE, TEXTS,
};
use crate::event::Part;
use crate::wire::json::{self, Value};

/// The format.
pub(super) struct OpenAiEmbeddings;

const ROUTES: &[RouteSpec] = &[json("embeddings", "embeddings")];

const REQUEST: &[Row] = &[
    ("model", Type::Read(model)),
    ("models", Type::Read(models)),
    ("input", Type::ReadOf(inputs)),
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
    ("embedding", Type::Read(embedding)),
];

static FORMAT: Format = Format {
    name: "openai.embeddings",
    dialect: Dialect::OpenAi,
    routes: ROUTES,
    coverage: &[CoverageRow {
        route: shown("`POST …/embeddings`, `…/invocations` with `input`"),
        request: TEXTS,
        response: TEXT_RESPONSE,
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
        read_input(reader, root, endpoint, REQUEST);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        read_answer(reader, root, RESPONSE);
    }
}

/// Reads a list of numbers, or their bytes in base64.
fn embedding(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::ValueKind::String => reader.media(value),
        _ => reader.claim_numbers(value),
    }
}
