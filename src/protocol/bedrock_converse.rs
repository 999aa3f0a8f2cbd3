//! Bedrock's Converse: `POST …/model/MODEL/converse` and `…/converse-stream`. The path names the model.
//!
//! Source: AWS's service model (`bedrock-runtime`, as botocore ships it) and recorded exchanges.

use super::anthropic_shapes::tell_request;
use super::bedrock_shapes::{
    ConverseStream, converse_request, converse_response, model_call, refused_converse,
    usage_in_headers, withhold_in_converse,
};
use super::coverage::{ANSWER_WITH_RESULTS, CONVERSATION, shown};
use super::reader::Reader;
use super::stream::StreamReader;
use super::{Asked, CannotWithhold, Denial, Dialect, Endpoint, Head, Protocol, Row, Withholding};
use crate::event::Usage;
use crate::wire::json::{Edits, JsonBody};

/// The format.
pub(super) struct BedrockConverse;

const ROWS: &[Row] = &[Row {
    route: shown("`POST /model/{model}/converse`, `…/converse-stream`"),
    request: CONVERSATION,
    answer: ANSWER_WITH_RESULTS,
    stream: ANSWER_WITH_RESULTS,
}];

impl Protocol for BedrockConverse {
    fn name(&self) -> &'static str {
        "bedrock.converse"
    }

    fn endpoint(&self, head: &Head<'_>) -> Option<Endpoint> {
        let call = model_call(head)?;
        match call.verb.as_str() {
            "converse" => Some(call.endpoint("converse", false)),
            "converse-stream" => Some(call.endpoint("converse_stream", true)),
            _ => None,
        }
    }

    fn coverage(&self) -> &'static [Row] {
        ROWS
    }

    fn dialect(&self) -> Dialect {
        Dialect::Aws
    }

    fn read_request(&self, reader: &mut Reader<'_>, endpoint: &Endpoint) {
        let Some(body) = reader.body() else { return };
        converse_request(reader, body.root(), endpoint);
        tell_request(reader, body.root());
    }

    fn read_response(&self, reader: &mut Reader<'_>, _: &Asked) {
        let Some(body) = reader.body() else { return };
        converse_response(reader, body.root());
    }

    fn usage_in_headers(&self, headers: &[(&[u8], &[u8])]) -> Usage {
        usage_in_headers(headers)
    }

    fn refused_answer(&self, denial: &Denial, _: &Asked) -> Vec<u8> {
        refused_converse(&denial.message(), (0, 0))
    }

    fn withhold(
        &self,
        json: &JsonBody<'_>,
        _: &Asked,
        withholding: &Withholding,
        edits: &mut Edits,
    ) -> Result<(), CannotWithhold> {
        let body = json.body().ok_or(CannotWithhold)?;
        withhold_in_converse(body.root(), withholding, edits)
    }

    fn stream(&self, _: &Asked) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(ConverseStream::new(false)))
    }
}
