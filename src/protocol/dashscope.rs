//! Alibaba's DashScope: `POST …/services/aigc/text-generation/generation` and `…/multimodal-generation/generation`. A request has
//! the messages of OpenAI's chat in `input` and its settings in `parameters`, a response has its choices in `output`.
//!
//! ```text
//! {"model":"qwen-plus","input":{"messages":[{"role":"user","content":"Will it rain?"}]},"parameters":{"result_format":"message"}}
//! {"output":{"choices":[{"message":{"role":"assistant","content":"Yes."},"finish_reason":"stop"}]},"usage":{"input_tokens":3,"output_tokens":4},"request_id":"r-1"}
//! ```
//!
//! Source: the published SDK for Python, and Alibaba's documentation.

use super::coverage::{CONVERSATION, MODEL_RESPONSE, shown};
use super::json_edit::ObjectWriter;
use super::openai_chat::{self, ChunkForm, ResponseShape, chat_stream_of};
use super::openai_shapes::{model, model_is_needed, read_answer};
use super::reader::{Origin, Reader, Row, Type};
use super::routes::{self, RouteSpec, json};
use super::stream::StreamReader;
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Protocol, RequestContext,
    ResponseEdit, RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Direction, Event, Kind, Part};
use crate::wire::json::{Value, quote};

/// The format.
pub(super) struct DashScope;

const NAME: &str = "generation";
/// The same, where each event of a stream adds to those before. Otherwise each repeats all of the text so far.
const INCREMENTAL: &str = "generation.incremental";

const ROUTES: &[RouteSpec] = &[
    json("aigc/text-generation/generation", NAME),
    json("aigc/multimodal-generation/generation", NAME),
];

const REQUEST: &[Row] = &[
    // Read before all others.
    ("model", Type::Custom),
    ("input", Type::Custom),
    ("parameters", Type::Custom),
    ("task_group", Type::Id),
    ("task", Type::Id),
    ("function", Type::Id),
];
const RESPONSE: &[Row] = &[("output", Type::Read(output)), ("request_id", Type::Id)];
const OUTPUT: &[Row] = &[
    ("choices", Type::Read(openai_chat::read_choices)),
    ("text", Type::Text(Part::Text)),
    ("finish_reason", Type::Finish("stop|length|tool_calls|null")),
    ("search_info", Type::Tree(Part::Other)),
];

static FORMAT: Format = Format {
    name: "dashscope.generation",
    dialect: Dialect::DashScope,
    routes: ROUTES,
    coverage: &[CoverageRow {
        route: shown(
            "`POST …/aigc/text-generation/generation`, `…/aigc/multimodal-generation/generation` (streamed: with `incremental_output`; other streams are AG2014)",
        ),
        request: CONVERSATION,
        response: MODEL_RESPONSE,
        stream: MODEL_RESPONSE,
    }],
};

impl Protocol for DashScope {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let is_streamed = head
            .header("x-dashscope-sse")
            .is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"enable"));
        Some(Endpoint {
            stream: is_streamed.then_some(true),
            ..routes::endpoint(head, ROUTES)?
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        reader.reading.params = Some(root.place());
        if let Some(value) = root.get("model") {
            model(reader, value);
        }
        let other = Origin::of(Author::System, Part::Other);
        reader.rows(root, REQUEST, &other, &mut |reader, key, value| {
            if key != "model" {
                openai_chat::read_members(reader, value);
            }
        });
        let member = |of: &str, name: &str| root.get(of).and_then(|holder| holder.get(name));
        if member("parameters", "incremental_output").and_then(|flag| flag.as_bool()) == Some(true)
        {
            reader.reading.endpoint = Some(INCREMENTAL);
        }
        if member("input", "messages")
            .or(member("input", "prompt"))
            .is_none()
        {
            reader.problem(codes::AG2001, root, "`input.messages` is missing");
        }
        model_is_needed(reader, endpoint);
        let event = Event::new(Kind::Request, Direction::Request, root.place());
        reader.reading.add(event);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        read_answer(reader, root, RESPONSE);
    }

    fn denied_response(&self, denial: &Denial, _: &RequestContext) -> Vec<u8> {
        let mut out = Vec::new();
        let mut root = ObjectWriter::begin(&mut out);
        root.member("output", |out| {
            out.extend_from_slice(br#"{"choices":[{"message":{"role":"assistant","content":"#);
            quote(&denial.message(), out);
            out.extend_from_slice(br#"},"finish_reason":"stop"}]}"#);
        });
        root.text("request_id", &denial.request_id);
        root.end();
        out
    }

    /// Clients show no refusal beside the content: a response with a denied text is denied as a whole.
    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        let Some(output) = edit.root.get("output") else {
            return edit.removals.only_edits();
        };
        match edit.removals.choices.is_empty() {
            true if output.get("choices").is_none() => edit.removals.only_edits(),
            true => {
                openai_chat::remove_from_response(output, edit.context, edit.removals, edit.edits)
            }
            false => Err(CannotRemove),
        }
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        let stream = || chat_stream_of(context, ResponseShape::Chat, ChunkForm::InOutput);
        (context.endpoint.name == INCREMENTAL).then(|| Box::new(stream()) as Box<dyn StreamReader>)
    }
}

fn output(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.plain_rows(value, OUTPUT, &Origin::answer(0));
}
