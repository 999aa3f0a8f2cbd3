//! IBM watsonx.ai: `POST …/ml/v1/text/chat`, which is OpenAI's chat with `model_id`, and beside it prompts, embeddings, ranks and
//! tokens, each with a list of `results`. A deployment has the same endpoints behind its id.
//!
//! ```text
//! {"model_id":"ibm/granite-3-8b-instruct","project_id":"p-1","input":"Will it rain?","parameters":{"max_new_tokens":20}}
//! {"model_id":"ibm/granite-3-8b-instruct","results":[{"generated_text":"Rain","generated_token_count":1,"input_token_count":4,"stop_reason":"not_finished"}]}
//! ```
//!
//! Source: IBM's documentation and its published SDK types; LiteLLM's client.

use super::coverage::{CONVERSATION, MODEL_RESPONSE, TEXT_RESPONSE, TEXTS, shown};
use super::json_edit::{ObjectWriter, replace_present};
use super::openai_chat::{ChunkForm, OpenAiChat, ResponseShape, chat_stream_of};
use super::openai_shapes::{input_tokens, inputs, model, output_tokens, read_answer, read_input};
use super::reader::{Reader, Row, Type};
use super::routes::{self, RouteSpec, json};
use super::stream::{StreamReader, SyntheticFrame, TextSpec, TextStream};
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Inspected, Protocol, Removals,
    RequestContext, ResponseEdit, RouteHead,
};
use crate::event::Part;
use crate::wire::json::{Edits, Value, quote};

/// The format.
pub(super) struct Watsonx;

const CHAT: &str = "text.chat";
const GENERATION: &str = "text.generation";

const ROUTES: &[RouteSpec] = &[
    json("text/chat", CHAT),
    json("text/chat_stream", CHAT),
    json("text/generation", GENERATION),
    json("text/generation_stream", GENERATION),
    json("text/embeddings", "text.embeddings"),
    json("text/rerank", "text.rerank"),
    json("text/tokenization", "text.tokenization"),
];

const REQUEST: &[Row] = &[
    ("model_id", Type::Read(model)),
    ("input", Type::ReadOf(inputs)),
    ("inputs", Type::ReadOf(inputs)),
    ("query", Type::ReadOf(inputs)),
    ("project_id", Type::Id),
    ("space_id", Type::Id),
    ("parameters", Type::Object(PARAMETERS)),
    ("moderations", Type::Tree(Part::Other)),
];
const PARAMETERS: &[Row] = &[
    // Values for the places of a template that is deployed.
    ("prompt_variables", Type::Tree(Part::Text)),
    ("decoding_method", Type::Word("greedy|sample")),
    ("max_new_tokens", Type::MaxTokens),
    ("min_new_tokens", Type::Number),
    ("random_seed", Type::Number),
    ("temperature", Type::Number),
    ("top_k", Type::Number),
    ("top_p", Type::Number),
    ("typical_p", Type::Number),
    ("repetition_penalty", Type::Number),
    ("length_penalty", Type::Counts),
    ("stop_sequences", Type::Tree(Part::Other)),
    ("include_stop_sequence", Type::Flag),
    ("time_limit", Type::Number),
    ("truncate_input_tokens", Type::Number),
    ("return_options", Type::Counts),
    ("return_tokens", Type::Flag),
];
const RESPONSE: &[Row] = &[
    ("model_id", Type::Model),
    ("model_version", Type::Id),
    ("created_at", Type::Id),
    ("results", Type::List(&Type::Object(RESULT))),
    // Tokens of an input.
    ("result", Type::Tree(Part::Other)),
    ("input_token_count", Type::Read(input_tokens)),
    ("query", Type::Tree(Part::Other)),
    ("system", Type::Tree(Part::Other)),
    ("errors", Type::Tree(Part::Other)),
    ("trace", Type::Id),
    ("status_code", Type::Number),
];
const RESULT: &[Row] = &[
    ("generated_text", Type::Text(Part::Text)),
    ("generated_token_count", Type::Read(output_tokens)),
    ("input_token_count", Type::Read(input_tokens)),
    ("stop_reason", Type::Read(stop_reason)),
    ("seed", Type::Number),
    ("generated_tokens", Type::Tokens),
    ("input_tokens", Type::Tokens),
    ("moderations", Type::Tree(Part::Other)),
    ("embedding", Type::Numbers),
    ("index", Type::Number),
    ("score", Type::Number),
    ("input", Type::Tree(Part::Other)),
];
/// Members of a result that repeat its text.
const COPIES: &[&str] = &["generated_tokens", "moderations"];

static FORMAT: Format = Format {
    name: "watsonx.text",
    dialect: Dialect::Watsonx,
    routes: ROUTES,
    coverage: &[
        CoverageRow {
            route: shown(
                "`POST …/ml/v1/text/chat`, `…/text/chat_stream`, and those of `…/ml/v1/deployments/ID`",
            ),
            request: CONVERSATION,
            response: MODEL_RESPONSE,
            stream: MODEL_RESPONSE,
        },
        CoverageRow {
            route: shown("`POST …/ml/v1/text/generation`, `…/text/generation_stream`"),
            request: TEXTS,
            response: TEXT_RESPONSE,
            stream: TEXT_RESPONSE,
        },
        CoverageRow {
            route: shown("`POST …/ml/v1/text/embeddings`, `…/text/rerank`, `…/text/tokenization`"),
            request: TEXTS,
            response: TEXT_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        },
    ],
};

impl Protocol for Watsonx {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let mut before = head.path.segments.iter();
        if !before.any(|segment| segment.eq_ignore_ascii_case("ml")) {
            return None;
        }
        let endpoint = routes::endpoint(head, ROUTES)?;
        let last = head.path.segments.last()?;
        let is_streamed = last.split_once('_').is_some();
        Some(Endpoint {
            stream: is_streamed.then_some(true),
            ..endpoint
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        if endpoint.name == CHAT {
            OpenAiChat.read_request(reader, root, endpoint);
            return;
        }
        read_input(reader, root, endpoint, REQUEST);
        // What the places of a deployed template are filled into, the request does not show.
        if root.get("input").or(root.get("inputs")).is_none() {
            reader.uninspectable(root, "provider_state");
        }
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        match context.endpoint.name {
            CHAT => OpenAiChat.read_response(reader, root, context),
            _ => read_answer(reader, root, RESPONSE),
        }
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        match context.endpoint.name {
            CHAT => OpenAiChat.denied_response(denial, context),
            GENERATION => denied_text(denial, context.models.names.first().map(|name| &**name)),
            _ => FORMAT.dialect.body(denial),
        }
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        match edit.context.endpoint.name {
            CHAT => OpenAiChat.remove_from_response(edit),
            _ => remove_from_response(edit.root, edit.removals, edit.edits),
        }
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        match context.endpoint.name {
            CHAT => Some(Box::new(chat_stream_of(
                context,
                ResponseShape::Chat,
                ChunkForm::Watsonx,
            ))),
            GENERATION => Some(Box::new(TextStream::new(GENERATION_STREAM, context))),
            _ => None,
        }
    }
}

/// Streamed response to a prompt: each event has the members of a whole response, with a piece of its text.
const GENERATION_STREAM: &TextSpec = &TextSpec {
    read: |_, reader, event, _, origin| reader.plain_rows(event, RESPONSE, origin),
    text_at: |text_key, _| format!("#{}", text_key.part.word()),
    has_done: false,
    remove: remove_from_response,
    remove_copies: |event, edits| {
        results(event).for_each(|result| drop_copies(result, edits));
    },
    denied: Some(|stream, denial| {
        let event = denied_text(denial, Some(&stream.model));
        vec![SyntheticFrame::new(Some("message"), event)]
    }),
    error: |denial| SyntheticFrame::error(Dialect::Watsonx, denial),
    ..TextSpec::OPENAI
};

/// Reads why a text ended. Until it has, it is not finished.
fn stop_reason(reader: &mut Reader<'_>, value: Value<'_>) {
    if let Some(reason) = value.text().filter(|reason| *reason != "not_finished") {
        reader.reading.finish.push(reason.into());
    }
    reader.id(value);
}

/// Returns a response, or an event of one, that contains only a denial.
fn denied_text(denial: &Denial, model: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut root = ObjectWriter::begin(&mut out);
    root.text("model_id", model.unwrap_or_default());
    root.member("results", |out| {
        out.extend_from_slice(br#"[{"generated_text":"#);
        quote(&denial.message(), out);
        out.extend_from_slice(
            br#","generated_token_count":0,"input_token_count":0,"stop_reason":"eos_token"}]"#,
        );
    });
    root.end();
    out
}

fn results(root: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let results = root.get("results").into_iter();
    results.flat_map(|results| results.elements())
}

fn drop_copies(result: Value<'_>, edits: &mut Edits) {
    for name in COPIES {
        replace_present(result, name, b"[]", edits);
    }
}

/// Edits a response. After any edit, members that repeat its text are removed.
fn remove_from_response(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    let denied = removals.choices.first();
    for result in results(root) {
        if let Some((_, text)) = denied {
            let said = result.get("generated_text").ok_or(CannotRemove)?;
            let mut with = Vec::new();
            quote(text, &mut with);
            edits.replace(said, with);
        }
        drop_copies(result, edits);
    }
    match removals.calls.is_empty() && (denied.is_none() || results(root).next().is_some()) {
        true => Ok(()),
        false => Err(CannotRemove),
    }
}
