//! Tools of a request: functions, tools that the client runs under names of the provider's, and what the provider runs.

use crate::event::{Author, Class, Event, Kind, Known, Part};
use crate::protocol::openai_shapes::{named_offer, provider_tool, read_tool};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::wire::json::{self, Value};

const NAMESPACE: &[Row] = &[
    ("type", Type::Word("namespace")),
    ("name", Type::Custom),
    ("description", Type::Custom),
    ("tools", Type::Custom),
];
const TOOL_SEARCH: &[Row] = &[
    ("type", Type::Word("tool_search")),
    ("execution", Type::Word("server|client")),
    ("description", Type::Text(Part::Definition)),
    ("parameters", Type::Tree(Part::Definition)),
];
const MCP: &[Row] = &[
    ("type", Type::Word("mcp")),
    ("server_label", Type::Custom),
    // Whose server it is, is what rules about text read.
    ("server_url", Type::Custom),
    // Of an agent: `{type: "http", server_url, authorization}` or `{type: "stdio", command, args, env}`.
    ("transport", Type::Object(TRANSPORT)),
    ("connector_id", Type::Name),
    ("authorization", Type::Id),
    ("credential_id", Type::Id),
    ("server_description", Type::Text(Part::Definition)),
    ("allowed_tools", Type::Custom),
    ("require_approval", Type::Custom),
    ("defer_loading", Type::Flag),
];
const TRANSPORT: &[Row] = &[
    ("type", Type::Word("http|stdio")),
    ("server_url", Type::Reference),
    ("authorization", Type::Id),
    ("command", Type::Text(Part::Definition)),
    ("args", Type::Tree(Part::Definition)),
    ("cwd", Type::Text(Part::Definition)),
];
const TOOL_FILTER: &[Row] = &[
    ("tool_names", Type::List(&Type::Name)),
    ("read_only", Type::Flag),
];
const APPROVAL: &[Row] = &[
    ("always", Type::Object(TOOL_FILTER)),
    ("never", Type::Object(TOOL_FILTER)),
];

/// Types that the client runs, each with the names that rules may call it by. The first is its own, the last that of its
/// calls.
const CLIENT_RUN: &[(&str, &[&str])] = &[
    (
        "computer_use_preview",
        &["computer_use_preview", "computer_use", "computer"],
    ),
    ("computer", &["computer"]),
    ("local_shell", &["local_shell"]),
    ("shell", &["shell"]),
    ("apply_patch", &["apply_patch"]),
];

/// One entry of `tools`, also of those that an item of the input brings.
pub(super) fn offer(reader: &mut Reader<'_>, tool: Value<'_>) {
    reader.tool(tool, "responses.tools", &mut |reader| {
        read_offer(reader, tool)
    });
}

fn read_offer(reader: &mut Reader<'_>, tool: Value<'_>) {
    let kind = tool.get("type").and_then(|kind| kind.text());
    let kind = kind.as_deref().unwrap_or("function");
    let definition = Origin::of(Author::System, Part::Definition);
    match kind {
        "function" | "custom" if tool.get("function").is_some() => read_tool(reader, tool),
        "function" | "custom" => named_offer(reader, tool, tool),
        "namespace" => reader.rows(
            tool,
            NAMESPACE,
            &definition,
            &mut |reader, key, value| match key {
                "name" | "description" => {
                    let texts = reader.register_text(value, Class::Text);
                    reader.emit_text(value, texts, &definition);
                }
                _ => reader.array(value, offer),
            },
        ),
        "tool_search" => {
            reader.plain_rows(tool, TOOL_SEARCH, &definition);
            reader.provider_tool(tool, kind);
        }
        "mcp" => mcp(reader, tool),
        // A shell with a container of the provider's runs there.
        "shell" if runs_in_container(tool) => provider_tool(reader, tool, kind),
        _ => match CLIENT_RUN.iter().find(|(known, _)| *known == kind) {
            Some((_, names)) => client_run(reader, tool, names),
            None => provider_tool(reader, tool, kind),
        },
    }
}

fn runs_in_container(tool: Value<'_>) -> bool {
    tool.get("environment")
        .and_then(|environment| environment.get("type"))
        .and_then(|kind| kind.text())
        .is_some_and(|kind| kind.starts_with("container"))
}

/// A tool that the client runs, without a definition. Its settings are unknown and evaluated as text.
fn client_run(reader: &mut Reader<'_>, tool: Value<'_>, names: &[&str]) {
    reader.object(tool, &["type"], |reader, _, value| reader.claim(value));
    for (at, name) in names.iter().enumerate() {
        let mut event = Event::new(Kind::ToolOffer, reader.direction(), tool.place());
        event.tool = Known::Is((*name).into());
        event.is_duplicate = at > 0;
        reader.reading.add(event);
    }
}

/// Reads a server whose tools the provider calls. If the request does not list them, any tool may be called,
/// and which is unknown.
pub(in crate::protocol) fn mcp(reader: &mut Reader<'_>, tool: Value<'_>) {
    let origin = Origin::of(Author::System, Part::Other);
    let mut allowed = None;
    reader.rows(tool, MCP, &origin, &mut |reader, key, value| match key {
        "server_label" => {
            reader.text(value, &origin.with_part(Part::Name));
        }
        "server_url" => reader.reference(value, &origin),
        "require_approval" => match value.kind() {
            json::ValueKind::String => reader.word(value, "always|never"),
            _ => reader.plain_rows(value, APPROVAL, &origin),
        },
        _ => {
            allowed = match value.kind() {
                json::ValueKind::Object => {
                    reader.object(value, &["tool_names", "read_only"], |reader, _, value| {
                        if value.kind() != json::ValueKind::Array {
                            reader.boolean(value);
                        }
                    });
                    value.get("tool_names")
                }
                _ => Some(value).filter(|value| !value.is_null()),
            };
            match allowed {
                Some(list) => reader.array(list, |reader, name| {
                    reader.name(name);
                }),
                None => reader.claim(value),
            }
        }
    });
    reader.provider_run_offer(tool, &["mcp"]);
    reader.provider_may_call_listed(tool, allowed);
}
