//! LM Studio's own format: `POST …/api/v1/chat`. The server keeps the conversation and runs the tools of its plugins and of MCP
//! servers itself, so that their calls and results are in the answer.
//!
//! ```text
//! {"model":"qwen3-8b","input":"Will it rain?","integrations":[{"type":"ephemeral_mcp","server_label":"weather","server_url":"https://…"}]}
//! {"model_instance_id":"qwen3-8b","output":[{"type":"tool_call","tool":"forecast","arguments":{"city":"Bern"},"output":"rain"},
//!   {"type":"message","content":"Yes."}],"stats":{"input_tokens":3,"total_output_tokens":4},"response_id":"resp_1"}
//! ```
//!
//! Source: LM Studio's documentation of its REST API.

mod stream;

use super::coverage::{RESPONSE_WITH_RESULTS, shown};
use super::json_edit::ObjectWriter;
use super::openai_shapes::{self, error, read_input};
use super::reader::{CallBuilder, Origin, Reader, Row, Type, UsageKeys};
use super::routes;
use super::stream::StreamReader;
use super::{
    CoverageRow, Denial, Dialect, Endpoint, Format, Inspected, Protocol, RequestContext, RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Kind, Known, Part, Turn};
use crate::wire::json::{self, Value, quote};

/// The format.
pub(super) struct LmStudio;

const REQUEST: &[Row] = &[
    ("model", Type::Read(openai_shapes::model)),
    ("input", Type::ReadOf(input)),
    ("system_prompt", Type::Read(system_prompt)),
    ("integrations", Type::List(&Type::Read(integration))),
    ("stream", Type::Stream),
    ("max_output_tokens", Type::MaxTokens),
    ("previous_response_id", Type::State),
    ("store", Type::Flag),
    ("reasoning", Type::Word("off|low|medium|high|on")),
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("top_k", Type::Number),
    ("min_p", Type::Number),
    ("repeat_penalty", Type::Number),
    ("context_length", Type::Number),
];
/// An element of a request's `input`.
const INPUT: &[Row] = &[
    ("type", Type::Word("message|text|image")),
    ("content", Type::Spoken),
    ("data_url", Type::Custom),
];
/// A plugin or an MCP server whose tools the server runs.
const INTEGRATION: &[Row] = &[
    ("type", Type::Word("plugin|ephemeral_mcp")),
    ("id", Type::Custom),
    ("server_label", Type::Label),
    ("server_url", Type::Reference),
    ("allowed_tools", Type::Custom),
];
const RESPONSE: &[Row] = &[
    ("model_instance_id", Type::Model),
    ("output", Type::Custom),
    ("stats", Type::Usage(&USAGE)),
    ("response_id", Type::Id),
    ("thread_id", Type::Id),
    ("error", Type::Read(error)),
];
/// Members of what the model says or calls, as an element of `output` and as an event of a stream.
const ITEM: &[Row] = &[
    (
        "type",
        Type::Word("message|reasoning|tool_call|invalid_tool_call"),
    ),
    ("content", Type::Custom),
    ("tool", Type::Custom),
    ("arguments", Type::Custom),
    ("output", Type::Custom),
    ("provider_info", Type::Object(PROVIDER)),
    // Of a call that the server rejected.
    ("reason", Type::Text(Part::Other)),
    ("metadata", Type::Tree(Part::Other)),
];
const PROVIDER: &[Row] = &[
    ("type", Type::Word("plugin|ephemeral_mcp")),
    ("plugin_id", Type::Id),
    ("server_label", Type::Id),
];
const USAGE: UsageKeys = UsageKeys {
    input: "input_tokens",
    output: "total_output_tokens",
    cached: "",
    reasoning: "reasoning_output_tokens",
    other_input: "",
    other_output: "",
    total: "",
};

static FORMAT: Format = Format {
    name: "lmstudio.chat",
    dialect: Dialect::OpenAi,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown("`POST …/api/v1/chat` with `input`"),
        request: Inspected::As(&[
            Kind::Request,
            Kind::Message,
            Kind::ToolOffer,
            Kind::ToolCall,
        ]),
        response: RESPONSE_WITH_RESULTS,
        stream: RESPONSE_WITH_RESULTS,
    }],
};

impl Protocol for LmStudio {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    /// Other servers have their chats at this path, with `messages` or a `message`.
    fn asks_for_body(&self, head: &RouteHead<'_>) -> bool {
        is_at(head)
    }

    fn endpoint_by_body(&self, head: &RouteHead<'_>, body: Value<'_>) -> Option<Endpoint> {
        let is_other = body.get("messages").or(body.get("message")).is_some();
        (reads(head, body) && !is_other).then(|| Endpoint::named("chat"))
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        read_input(reader, root, endpoint, REQUEST);
        if root.get("input").is_none_or(Value::is_null) {
            reader.problem(codes::AG2001, root, "`input` is missing");
        }
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        answer(reader, root, &|_| Origin::answer(0));
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        let model = context.models.names.first();
        denied_text(&denial.message(), model.map_or("", |model| model))
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(stream::ChatEvents::new(context)))
    }
}

fn is_at(head: &RouteHead<'_>) -> bool {
    head.method == "POST" && routes::ends_with(head.path, "api/v1/chat")
}

/// Returns whether LM Studio would read this body, whatever other servers would.
pub(super) fn reads(head: &RouteHead<'_>, body: Value<'_>) -> bool {
    is_at(head) && body.get("input").is_some()
}

/// Reads a text, or a list of texts and images.
fn input(reader: &mut Reader<'_>, value: Value<'_>, user: &Origin) {
    if value.kind() == json::ValueKind::String {
        reader.text(value, user);
        return;
    }
    reader.array(value, |reader, item| match item.kind() {
        json::ValueKind::String => {
            reader.text(item, user);
        }
        _ => reader.rows(item, INPUT, user, &mut |reader, _, value| {
            reader.attachment(item, |count| &mut count.image);
            reader.url(value, user);
        }),
    });
}

fn system_prompt(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.text(value, &Origin::of(Author::System, Part::Text));
}

/// Reads a plugin, which a string may name, or an MCP server. If the request does not list its tools, any may be called.
fn integration(reader: &mut Reader<'_>, value: Value<'_>) {
    let mut plugin = None;
    let mut allowed = None;
    if value.kind() == json::ValueKind::String {
        plugin = reader.name(value);
    } else {
        let origin = Origin::of(Author::System, Part::Other);
        reader.rows(
            value,
            INTEGRATION,
            &origin,
            &mut |reader, key, value| match key {
                "id" => plugin = reader.name(value),
                _ if value.is_null() => reader.claim(value),
                _ => {
                    allowed = Some(value);
                    reader.array(value, |reader, name| {
                        reader.name(name);
                    });
                }
            },
        );
    }
    reader.provider_run_offer(value, &[plugin.as_deref().unwrap_or("mcp")]);
    reader.provider_may_call_listed(value, allowed);
}

/// Reads a whole response; `said` is the origin of what an element of its output says.
fn answer(reader: &mut Reader<'_>, root: Value<'_>, said: &dyn Fn(u32) -> Origin) {
    let beside = openai_shapes::beside();
    reader.rows(root, RESPONSE, &beside, &mut |reader, _, output| {
        let mut at = 0u32;
        reader.array(output, |reader, element| {
            item(reader, element, &[ITEM], &said(at), false);
            at = at.saturating_add(1);
        });
    });
}

/// Reads one thing that the model says or calls; `is_copy`: the call was evaluated before its result.
fn item(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    tables: &[&'static [Row]],
    origin: &Origin,
    is_copy: bool,
) {
    let kind = value.get("type").and_then(|kind| kind.text());
    let is_thought = kind.is_some_and(|kind| kind == "reasoning");
    let mut call = CallBuilder::at(reader, value);
    call.event.turn = Turn::Latest;
    call.event.provider_run = true;
    let mut said = None;
    let first = reader.reading.events.len();
    let aside = origin.with_part(Part::Other).whole();
    reader.row_lists(
        value,
        tables,
        &aside,
        &mut |reader, key, member| match key {
            "content" if is_thought => {
                reader.text(member, &origin.with_part(Part::Reasoning));
            }
            "content" => {
                reader.text(member, origin);
            }
            "tool" => call.name(reader, member),
            "arguments" => {
                let given = reader.any_arguments(member);
                call.given(reader, member, given);
            }
            _ => said = Some(member),
        },
    );
    let is_call = value.get("tool").or(value.get("arguments")).is_some();
    let tool = call.event.tool.clone();
    if is_call {
        call.add(reader);
    }
    if is_copy {
        reader.mark_copies(first);
    }
    if let Some(said) = said {
        result(reader, said, tool);
    }
}

/// Reads what a tool returned.
fn result(reader: &mut Reader<'_>, value: Value<'_>, tool: Known<Box<str>>) {
    reader.provider_result(value, tool, &openai_shapes::beside());
}

/// Returns a response that contains only a denial.
fn denied_text(text: &str, model: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut root = ObjectWriter::begin(&mut out);
    root.text("model_instance_id", model);
    root.member("output", |out| {
        out.extend_from_slice(br#"[{"type":"message","content":"#);
        quote(text, out);
        out.extend_from_slice(b"}]");
    });
    root.member("stats", |out| {
        out.extend_from_slice(
            br#"{"input_tokens":0,"total_output_tokens":0,"reasoning_output_tokens":0}"#,
        );
    });
    root.end();
    out
}
