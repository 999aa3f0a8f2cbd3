//! Anthropic's older text completions: `POST …/v1/complete`, one prompt with turns marked inside it.

mod stream;

use super::anthropic_shapes::{add_request_event, error};
use super::coverage::{MODEL_RESPONSE, TEXTS, shown};
use super::json_edit::{ObjectWriter, tag};
use super::reader::{Origin, Reader, Row, Type};
use super::stream::{StreamReader, TextStream};
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Protocol, RequestContext,
    ResponseEdit, RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Part};
use crate::wire::json::Value;

/// The format.
pub(super) struct AnthropicComplete;

const REQUEST: &[Row] = &[
    ("model", Type::Custom),
    ("prompt", Type::Text(Part::Text)),
    ("max_tokens_to_sample", Type::MaxTokens),
    ("stream", Type::Stream),
    ("stop_sequences", Type::Tree(Part::Other)),
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("top_k", Type::Number),
    (
        "metadata",
        Type::Object(&[("user_id", Type::Text(Part::Other))]),
    ),
];
const RESPONSE: &[Row] = &[
    ("type", Type::Word("completion|error|ping")),
    ("id", Type::Id),
    ("log_id", Type::Id),
    ("model", Type::Model),
    ("completion", Type::Custom),
    (
        "stop_reason",
        Type::Finish("stop_sequence|max_tokens|refusal"),
    ),
    ("stop", Type::Text(Part::Other)),
    ("request_id", Type::Id),
    ("error", Type::ReadOf(error)),
];

static FORMAT: Format = Format {
    name: "anthropic.complete",
    dialect: Dialect::Anthropic,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown("`POST …/v1/complete`"),
        request: TEXTS,
        response: MODEL_RESPONSE,
        stream: MODEL_RESPONSE,
    }],
};

impl Protocol for AnthropicComplete {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        (head.method == "POST" && head.path.ends_with(&["v1", "complete"]))
            .then(|| Endpoint::named("complete"))
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        let origin = Origin::of(Author::User, Part::Text);
        reader.rows(root, REQUEST, &origin, &mut |reader, _, value| {
            reader.model_beside_path(value, &endpoint.model)
        });
        if root.get("prompt").is_none_or(|prompt| prompt.is_null()) {
            reader.problem(codes::AG2001, root, "`prompt` is missing");
        }
        reader.reading.count_message(&origin.from);
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        answer(reader, root, &Origin::answer(0));
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        let model = context
            .models
            .names
            .first()
            .map_or("unknown", |model| model);
        let id = format!("agentguard-{}", denial.request_id);
        denied_text(&denial.message(), &id, model)
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        if let Some((_, text)) = edit.removals.choices.first() {
            edit.root.get("completion").ok_or(CannotRemove)?;
            let id = tag(edit.root.get("id"), "agentguard");
            let model = tag(edit.root.get("model"), "unknown");
            edit.edits
                .replace(edit.root, denied_text(text, &id, &model));
        }
        Ok(())
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(TextStream::new(
            stream::COMPLETION_STREAM,
            context,
        )))
    }
}

/// A whole response, or what one event adds to it.
fn answer(reader: &mut Reader<'_>, root: Value<'_>, said: &Origin) {
    let origin = said.whole();
    reader.rows(root, RESPONSE, &origin, &mut |reader, _, completion| {
        reader.text(completion, said);
    });
}

fn denied_text(text: &str, id: &str, model: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut object = ObjectWriter::begin(&mut out);
    object.text("type", "completion");
    object.text("id", id);
    object.text("completion", text);
    object.text("stop_reason", "stop_sequence");
    object.member("stop", |out| out.extend_from_slice(b"null"));
    object.text("model", model);
    object.end();
    out
}
