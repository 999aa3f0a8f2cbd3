//! Google's Code Assist, which gemini-cli and Antigravity ask for accounts that log in: `POST /v1internal:generateContent`. Its
//! bodies contain those of Gemini.
//!
//! ```text
//! {"model":"gemini-2.5-pro","project":"p-1","user_prompt_id":"7","request":{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}}
//! {"response":{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]}}]},"traceId":"1f"}
//! ```
//!
//! Source: gemini-cli's published package.

use super::anthropic_shapes::add_request_event;
use super::coverage::{CONVERSATION, RESPONSE_WITH_RESULTS, TEXT_RESPONSE, TEXTS, shown};
use super::gemini_shapes::{
    self, contents_are_needed, denied_response_body, enveloped, generate_request, generate_stream,
    in_envelope, remove_from_response,
};
use super::reader::{Origin, Reader, Row, Type};
use super::stream::StreamReader;
use super::{
    BodyForm, CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Inspected, Protocol,
    RequestContext, ResponseEdit, RouteHead,
};
use crate::event::{Author, Part};
use crate::wire::json::Value;
use crate::wire::letter_case;

/// The format.
pub(super) struct CodeAssist;

const GENERATE: &str = "generate_content";
const GENERATE_STREAM: &str = "stream_generate_content";
const COUNT_TOKENS: &str = "count_tokens";
/// Name of endpoints for the account, its quota and its settings, and for telemetry.
const ACCOUNT: &str = "account";

/// Verbs in lower case, and the names of their endpoints.
const VERBS: &[(&str, &str)] = &[
    ("generatecontent", GENERATE),
    ("streamgeneratecontent", GENERATE_STREAM),
    ("counttokens", COUNT_TOKENS),
    ("loadcodeassist", ACCOUNT),
    ("onboarduser", ACCOUNT),
    ("retrieveuserquota", ACCOUNT),
    ("fetchadmincontrols", ACCOUNT),
    ("fetchavailablemodels", ACCOUNT),
    ("listexperiments", ACCOUNT),
    ("recordcodeassistmetrics", ACCOUNT),
    ("getcodeassistglobalusersetting", ACCOUNT),
    ("setcodeassistglobalusersetting", ACCOUNT),
];

const REQUEST: &[Row] = &[
    ("model", Type::Custom),
    ("request", Type::Custom),
    ("project", Type::Id),
    ("userPromptId", Type::Id),
    ("requestId", Type::Id),
    ("requestType", Type::Id),
    ("userAgent", Type::Id),
    ("enabledCreditTypes", Type::List(&Type::Constant)),
];

static FORMAT: Format = Format {
    name: "gemini.code_assist",
    dialect: Dialect::Google,
    routes: &[],
    coverage: &[
        CoverageRow {
            route: shown(
                "`POST …/v1internal:generateContent`, `…:streamGenerateContent`, `…:countTokens`",
            ),
            request: CONVERSATION,
            response: RESPONSE_WITH_RESULTS,
            stream: RESPONSE_WITH_RESULTS,
        },
        CoverageRow {
            route: shown(
                "`…/v1internal:loadCodeAssist` and the others for accounts, settings and telemetry",
            ),
            request: TEXTS,
            response: TEXT_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        },
    ],
};

impl Protocol for CodeAssist {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let (last, before) = head.path.segments.split_last()?;
        let is_version = |word: &str| word.eq_ignore_ascii_case("v1internal");
        // The operation of an account that is made: `v1internal/operations/ID`.
        let of_operation = before.split_last().is_some_and(|(collection, before)| {
            collection.eq_ignore_ascii_case("operations")
                && before.last().is_some_and(|word| is_version(word))
        });
        let name = match last.split_once(':') {
            Some((version, verb)) if is_version(version) => {
                let verb = letter_case::ascii_lower(verb);
                VERBS.iter().find(|(known, _)| *known == verb)?.1
            }
            _ if of_operation => ACCOUNT,
            _ => return None,
        };
        let (body, stream) = match (head.method, name) {
            ("POST", GENERATE) => (BodyForm::Json, Some(false)),
            ("POST", GENERATE_STREAM) => (BodyForm::Json, Some(true)),
            ("POST", COUNT_TOKENS) => (BodyForm::Json, None),
            ("POST", _) => (BodyForm::JsonOrNothing, None),
            ("GET", ACCOUNT) => (BodyForm::Absent, None),
            _ => return None,
        };
        Some(Endpoint {
            body,
            stream,
            ..Endpoint::named(name)
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        reader.proto_json = true;
        if endpoint.name != ACCOUNT {
            conversation(reader, root, endpoint);
        }
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        reader.proto_json = true;
        if context.endpoint.name != ACCOUNT {
            gemini_shapes::response(reader, root);
        }
    }

    fn denied_response(&self, denial: &Denial, _: &RequestContext) -> Vec<u8> {
        in_envelope(&denied_response_body(&denial.message(), (0, 0)))
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        remove_from_response(enveloped(edit.root), edit.removals, edit.edits)
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        (context.endpoint.name == GENERATE_STREAM)
            .then(|| Box::new(generate_stream(context, true)) as Box<dyn StreamReader>)
    }
}

/// Reads a conversation in its envelope.
fn conversation(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    let origin = Origin::of(Author::System, Part::Other);
    reader.rows(
        root,
        REQUEST,
        &origin,
        &mut |reader, key, value| match key {
            "model" => reader.model_beside_path(value, &endpoint.model),
            _ => generate_request(reader, value, endpoint),
        },
    );
    let request = reader.get(root, "request");
    contents_are_needed(reader, request, root);
}
