//! Bedrock's CountTokens: `POST …/model/MODEL/count-tokens`. A Converse request, or a body of InvokeModel inside base64.

use super::anthropic_shapes::add_request_event;
use super::bedrock_invoke::invoke_request;
use super::bedrock_shapes::{aws_error, converse_request, model_call};
use super::coverage::{CONVERSATION, TEXT_RESPONSE, shown};
use super::reader::{Origin, Reader, Row, Type};
use super::{
    CoverageRow, Dialect, Endpoint, Format, Inspected, Protocol, RequestContext, RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Known, Part, Turn};
use crate::wire::json::Value;

/// The format.
pub(super) struct BedrockCountTokens;

static FORMAT: Format = Format {
    name: "bedrock.count_tokens",
    dialect: Dialect::Aws,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown("`POST /model/{model}/count-tokens`"),
        request: CONVERSATION,
        response: TEXT_RESPONSE,
        stream: Inspected::UNREAD_STREAM,
    }],
};

impl Protocol for BedrockCountTokens {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let call = model_call(head)?;
        (call.verb == "count-tokens").then(|| call.endpoint("count_tokens", false))
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        const INPUT: &[Row] = &[("converse", Type::Custom), ("invokeModel", Type::Custom)];
        let origin = Origin::of(Author::System, Part::Other);
        reader.rows(
            root,
            &[("input", Type::Custom)],
            &origin,
            &mut |reader, _, input| {
                reader.rows(input, INPUT, &origin, &mut |reader, key, value| {
                    if key == "converse" {
                        converse_request(reader, value, endpoint);
                        return;
                    }
                    reader.rows(
                        value,
                        &[("body", Type::Custom)],
                        &origin,
                        &mut |reader, _, body| {
                            reader.base64_body(body, &mut |reader, inner| {
                                invoke_request(reader, inner, endpoint);
                            });
                        },
                    );
                });
            },
        );
        if root.get("input").is_none_or(|input| input.is_null()) {
            reader.problem(codes::AG2001, root, "`input` is missing");
        }
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        const RESPONSE: &[Row] = &[
            ("inputTokens", Type::Number),
            ("message", Type::Custom),
            ("__type", Type::Id),
        ];
        let origin = Origin::new(Known::Missing, Part::Other, Turn::Latest);
        reader.rows(root, RESPONSE, &origin, &mut |reader, _, value| {
            aws_error(reader, root, value);
        });
    }
}
