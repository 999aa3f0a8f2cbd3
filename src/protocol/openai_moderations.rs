//! Moderations: `POST …/moderations`. Classified texts reach the provider like prompts; responses are verdicts. Mistral
//! also takes a conversation, at `…/chat/moderations`.

use super::coverage::shown;
use super::openai_shapes::{inputs, model, read_answer, read_input};
use super::reader::{Reader, Row, Type};
use super::routes::{RouteSpec, json};
use super::{
    CoverageRow, Dialect, Endpoint, Format, Inspected, Protocol, RequestContext, TEXT_RESPONSE,
    TEXTS,
};
use crate::wire::json::{self, Value};

/// The format.
pub(super) struct OpenAiModerations;

const ROUTES: &[RouteSpec] = &[
    json("moderations", "moderations"),
    json("classifications", "classifications"),
];

const REQUEST: &[Row] = &[
    ("model", Type::Read(model)),
    ("input", Type::ReadOf(inputs)),
];
const RESPONSE: &[Row] = &[("id", Type::Id), ("results", Type::Read(verdicts))];

static FORMAT: Format = Format {
    name: "openai.moderations",
    dialect: Dialect::OpenAi,
    routes: ROUTES,
    coverage: &[CoverageRow {
        route: shown("`POST …/moderations`, `…/classifications`"),
        request: TEXTS,
        response: TEXT_RESPONSE,
        stream: Inspected::UNREAD_STREAM,
    }],
};

impl Protocol for OpenAiModerations {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        read_input(reader, root, endpoint, REQUEST);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        read_answer(reader, root, RESPONSE);
    }
}

/// Names of categories, each with a flag, a score, or to which kinds of input it applies.
fn verdicts(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.counts(value);
    for node in value.descendants() {
        if !node.is_key && node.value.kind() == json::ValueKind::String {
            reader.word(node.value, "text|image");
        }
    }
}
