//! Moderations: `POST …/moderations`. What is classified leaves as any prompt does; what comes back is verdicts. Mistral
//! also takes a conversation, at `…/chat/moderations`.

use super::coverage::shown;
use super::openai_shapes::{self, ANSWER, answer_member, beside, inputs};
use super::reader::{Reader, Row, Type};
use super::routes::{self, RouteSpec, json};
use super::{
    CoverageRow, Dialect, Endpoint, Inspected, Protocol, RequestContext, RouteHead, TEXT_ANSWER,
    TEXTS,
};
use crate::wire::json::{self, Value};

/// The format.
pub(super) struct OpenAiModerations;

const LINES: &[RouteSpec] = &[
    json("moderations", "moderations"),
    json("classifications", "classifications"),
];

const REQUEST: &[Row] = &[("model", Type::Custom), ("input", Type::Custom)];
const RESPONSE: &[Row] = &[("id", Type::Id), ("results", Type::Custom)];

const ROWS: &[CoverageRow] = &[CoverageRow {
    route: shown("`POST …/moderations`, `…/classifications`"),
    request: TEXTS,
    answer: TEXT_ANSWER,
    stream: Inspected::UNREAD_STREAM,
}];

impl Protocol for OpenAiModerations {
    fn name(&self) -> &'static str {
        "openai.moderations"
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        routes::endpoint(head, LINES)
    }

    fn coverage(&self) -> &'static [CoverageRow] {
        ROWS
    }

    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn read_request(&self, reader: &mut Reader<'_>, endpoint: &Endpoint) {
        openai_shapes::read_input(reader, endpoint, REQUEST, &mut |reader, _, value, user| {
            inputs(reader, value, user)
        });
    }

    fn read_response(&self, reader: &mut Reader<'_>, _: &RequestContext) {
        let Some(body) = reader.body() else { return };
        reader.row_lists(
            body.root(),
            &[RESPONSE, ANSWER],
            &beside(),
            &mut |reader, key, value| match key {
                "results" => verdicts(reader, value),
                _ => answer_member(reader, key, value),
            },
        );
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
