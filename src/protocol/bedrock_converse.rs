//! Bedrock's Converse: `POST …/model/MODEL/converse` and `…/converse-stream`. The path names the model.
//!
//! Source: AWS's service model (`bedrock-runtime`, as botocore ships it) and recorded exchanges.

use super::anthropic_shapes::add_request_event;
use super::bedrock_shapes::{
    CONVERSE_STREAM, converse_request, converse_response, denied_converse, framing, model_call,
    remove_from_converse, usage_in_headers,
};
use super::coverage::{CONVERSATION, RESPONSE_WITH_RESULTS, shown};
use super::reader::Reader;
use super::stream::{BlockStream, StreamReader};
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Protocol, RequestContext,
    ResponseEdit, RouteHead,
};
use crate::event::Usage;
use crate::wire::frame::Framing;
use crate::wire::http::MediaType;
use crate::wire::json::Value;

/// The format.
pub(super) struct BedrockConverse;

static FORMAT: Format = Format {
    name: "bedrock.converse",
    dialect: Dialect::Aws,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown("`POST /model/{model}/converse`, `…/converse-stream`"),
        request: CONVERSATION,
        response: RESPONSE_WITH_RESULTS,
        stream: RESPONSE_WITH_RESULTS,
    }],
};

impl Protocol for BedrockConverse {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let call = model_call(head)?;
        match call.verb.as_str() {
            "converse" => Some(call.endpoint("converse", false)),
            "converse-stream" => Some(call.endpoint("converse_stream", true)),
            _ => None,
        }
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        converse_request(reader, root, endpoint);
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        converse_response(reader, root);
    }

    fn usage_in_headers(&self, headers: &[(&[u8], &[u8])]) -> Usage {
        usage_in_headers(headers)
    }

    fn denied_response(&self, denial: &Denial, _: &RequestContext) -> Vec<u8> {
        denied_converse(&denial.message(), (0, 0))
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        remove_from_converse(edit.root, edit.removals, edit.edits)
    }

    fn framing(&self, _: &RequestContext, media: MediaType) -> Option<Framing> {
        framing(media)
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(BlockStream::new(CONVERSE_STREAM, context)))
    }
}
