//! Gemini's `generateContent` and `streamGenerateContent`, at the Gemini API and at Vertex AI; the count of a request's tokens;
//! cached contents, and inline batches, which contain the same requests.
//!
//! Source: Google's published SDK types and recorded exchanges.

use super::anthropic_shapes::add_request_event;
use super::coverage::{CONVERSATION, RESPONSE_WITH_RESULTS, TEXT_RESPONSE, shown};
use super::gemini_shapes::{
    contents_are_needed, denied_response_body, generate_request, generate_stream,
    remove_from_response, response,
};
use super::provider_apis::calls_inside;
use super::reader::{Origin, Reader, Row, Type};
use super::stream::StreamReader;
use super::vertex_paths::vertex_call;
use super::{
    CannotRemove, CoverageRow, Denial, DenialReply, Dialect, Endpoint, Format, Inspected, Protocol,
    RequestContext, ResponseEdit, ResponseForm, RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Part};
use crate::wire::frame::Framing;
use crate::wire::http::{MediaType, percent_decode};
use crate::wire::json::{self, Value};

/// The format.
pub(super) struct GeminiGenerate;

/// Count of a request's tokens: the same body, whose text reaches the provider as well.
pub(super) struct GeminiCountTokens;

const CACHE: &str = "cached_contents";
const BATCH: &str = "batch_generate_content";

/// Returns whether a streamed response consists of events. Otherwise it is an array that grows.
fn responds_with_events(query: &str) -> bool {
    percent_decode(query)
        .split(['&', ';'])
        .filter_map(|part| part.split_once('='))
        .any(|(name, value)| {
            name.trim_start_matches('$').eq_ignore_ascii_case("alt")
                && value.eq_ignore_ascii_case("sse")
        })
}

static GEMINI_GENERATE: Format = Format {
    name: "gemini.generate",
    dialect: Dialect::Google,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown(
            "`POST …:generateContent`, `…:streamGenerateContent`; `…/cachedContents`; `…:batchGenerateContent`",
        ),
        request: CONVERSATION,
        response: RESPONSE_WITH_RESULTS,
        stream: RESPONSE_WITH_RESULTS,
    }],
};

impl Protocol for GeminiGenerate {
    fn format(&self) -> &'static Format {
        &GEMINI_GENERATE
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        if head.method != "POST" {
            return None;
        }
        if head.path.ends_with(&["cachedContents"]) {
            return Some(Endpoint::named(CACHE));
        }
        let call = vertex_call(head)?;
        match call.verb.as_str() {
            "generatecontent" => Some(Endpoint {
                stream: Some(false),
                ..call.endpoint("generate_content")
            }),
            "streamgeneratecontent" => Some(Endpoint {
                stream: Some(true),
                response: if responds_with_events(&head.path.query) {
                    ResponseForm::Json
                } else {
                    ResponseForm::Elements
                },
                ..call.endpoint("stream_generate_content")
            }),
            "batchgeneratecontent" => Some(call.endpoint(BATCH)),
            _ => None,
        }
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        reader.proto_json = true;
        if endpoint.name == BATCH {
            batch(reader, root, endpoint);
        } else {
            generate_request(reader, root, endpoint);
            if endpoint.name != CACHE {
                contents_are_needed(reader, Some(root), root);
            }
        }
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        reader.proto_json = true;
        if context.endpoint.name == BATCH {
            calls_inside(reader, root);
        }
        if root.kind() != json::ValueKind::Array {
            response(reader, root);
            return;
        }
        // A stream in an array, or an error, in a response that declares neither. Some clients read it all the same.
        reader.claim(root);
        if root.element(1).is_some() {
            let what = "a streamed answer that its content type doesn't tell";
            reader.problem(codes::AG2014, root, what);
        }
        for element in root.elements() {
            response(reader, element);
        }
    }

    fn denial_reply(&self, denial: &Denial, context: &RequestContext) -> DenialReply {
        let mut reply = self.format().dialect.reply(denial);
        if context.endpoint.response == ResponseForm::Elements {
            reply.body.insert(0, b'[');
            reply.body.push(b']');
        }
        reply
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        let answer = denied_response_body(&denial.message(), (0, 0));
        match context.endpoint.response {
            ResponseForm::Elements => [b"[".as_slice(), &answer, b"]"].concat(),
            _ => answer,
        }
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        remove_from_response(edit.root, edit.removals, edit.edits)
    }

    fn framing(&self, context: &RequestContext, media: MediaType) -> Option<Framing> {
        match (media, context.endpoint.response) {
            (MediaType::EventStream, _) => Some(Framing::Sse),
            (MediaType::Json | MediaType::Absent, ResponseForm::Elements) => Some(Framing::Array),
            _ => None,
        }
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(generate_stream(context, false)))
    }
}

/// `{batch: {inputConfig: {requests: {requests: [{request, metadata}]}} | {fileName}}}`.
fn batch(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    const ROOT: &[Row] = &[("batch", Type::Custom)];
    const CONTENTS: &[Row] = &[
        ("name", Type::Id),
        ("model", Type::Custom),
        ("displayName", Type::Text(Part::Other)),
        ("inputConfig", Type::Custom),
        ("priority", Type::Number),
    ];
    const INPUT: &[Row] = &[("fileName", Type::State), ("requests", Type::Custom)];
    const ITEM: &[Row] = &[
        ("request", Type::Custom),
        ("metadata", Type::Tree(Part::Other)),
    ];
    let origin = Origin::of(Author::System, Part::Other);
    reader.rows(root, ROOT, &origin, &mut |reader, _, batch| {
        reader.rows(batch, CONTENTS, &origin, &mut |reader, key, value| {
            if key == "model" {
                reader.model_beside_path(value, &endpoint.model);
                return;
            }
            reader.rows(value, INPUT, &origin, &mut |reader, _, wrapper| {
                reader.rows(
                    wrapper,
                    &[("requests", Type::Custom)],
                    &origin,
                    &mut |reader, _, list| {
                        reader.array(list, |reader, item| {
                            reader.rows(item, ITEM, &origin, &mut |reader, _, request| {
                                generate_request(reader, request, endpoint);
                            });
                        });
                    },
                );
            });
        });
    });
}

static GEMINI_COUNT_TOKENS: Format = Format {
    name: "gemini.count_tokens",
    dialect: Dialect::Google,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown("`POST …:countTokens`, `…:computeTokens`"),
        request: CONVERSATION,
        response: TEXT_RESPONSE,
        stream: Inspected::UNREAD_STREAM,
    }],
};

impl Protocol for GeminiCountTokens {
    fn format(&self) -> &'static Format {
        &GEMINI_COUNT_TOKENS
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        if head.method != "POST" {
            return None;
        }
        let call = vertex_call(head)?;
        matches!(call.verb.as_str(), "counttokens" | "computetokens")
            .then(|| call.endpoint("count_tokens"))
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        reader.proto_json = true;
        generate_request(reader, root, endpoint);
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        GeminiGenerate.read_response(reader, root, context);
    }
}
