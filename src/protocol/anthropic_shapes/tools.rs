//! Tools as Anthropic's requests offer them: those of the client, client-run ones with a type and a fixed name, and those
//! that the provider runs.

use super::CACHE_CONTROL;
use crate::event::{Author, Class, Kind, Known, Part};
use crate::protocol::reader::{DESCRIPTION, Origin, Reader, Row, SCHEMA, Type};
use crate::wire::json::Value;

/// Client-run tools by the start of their type, with the name that their calls carry.
const CLIENT_RUN: &[(&str, &str)] = &[
    ("bash_", "bash"),
    ("text_editor_2024", "str_replace_editor"),
    ("text_editor_20250124", "str_replace_editor"),
    ("text_editor_", "str_replace_based_edit_tool"),
    // A toolset has members with names of their own (`navigate`); their calls carry the toolset's name beside them.
    ("computer_", "computer"),
    ("browser_", "browser"),
    ("memory_", "memory"),
];

/// Tools of `agent_toolset_20260401`, which runs at the provider.
const AGENT_TOOLS: &[&str] = &[
    "bash",
    "edit",
    "read",
    "write",
    "glob",
    "grep",
    "web_fetch",
    "web_search",
];

const TOOL: &[Row] = &[
    // The type is the tool's name where it has no other; rules evaluate it.
    ("type", Type::Name),
    ("name", Type::Custom),
    ("description", DESCRIPTION),
    ("input_schema", SCHEMA),
    ("input_examples", SCHEMA),
    ("cache_control", CACHE_CONTROL),
    ("defer_loading", Type::Flag),
    ("eager_input_streaming", Type::Flag),
    ("strict", Type::Flag),
    (
        "allowed_callers",
        Type::List(&Type::Word(
            "direct|code_execution_20250825|code_execution_20260120|\
             code_execution_20260521",
        )),
    ),
    ("max_characters", Type::Number),
    ("display_width_px", Type::Number),
    ("display_height_px", Type::Number),
    ("display_number", Type::Number),
    ("enable_zoom", Type::Flag),
    ("max_uses", Type::Number),
    ("max_content_tokens", Type::Number),
    ("max_tokens", Type::Number),
    ("use_cache", Type::Flag),
    ("response_inclusion", Type::Word("full|excluded")),
    ("citations", Type::Object(&[("enabled", Type::Flag)])),
    ("caching", CACHE_CONTROL),
    ("allowed_domains", SCHEMA),
    ("blocked_domains", SCHEMA),
    ("user_location", SCHEMA),
    ("url_sources", SCHEMA),
    ("configs", SCHEMA),
    (
        "default_config",
        Type::Object(&[
            ("enabled", Type::Flag),
            ("defer_loading", Type::Flag),
            (
                "permission_policy",
                Type::Object(&[("type", Type::Word("always_allow|always_ask|auto"))]),
            ),
        ]),
    ),
    // The advisor is a model of its own.
    ("model", Type::Model),
    ("mcp_server_name", Type::Custom),
    ("tools", Type::Custom),
];

/// One entry of `tools`.
pub(in crate::protocol) fn tool(reader: &mut Reader<'_>, tool: Value<'_>) {
    reader.tool(tool, "anthropic.tools", &mut |reader| {
        read_tool(reader, tool)
    });
}

fn read_tool(reader: &mut Reader<'_>, tool: Value<'_>) {
    let definition = Origin::of(Author::System, Part::Definition);
    let kind = tool.get("type").and_then(|kind| kind.text());
    let mut name: Option<Box<str>> = None;
    let mut server: Option<Box<str>> = None;
    let start = reader.text_count();
    let mut inline = None;
    reader.rows(
        tool,
        TOOL,
        &definition,
        &mut |reader, key, value| match key {
            "name" => name = reader.name(value).map(Box::from),
            "mcp_server_name" => server = reader.name(value).map(Box::from),
            _ => inline = Some(value),
        },
    );
    let texts = start..reader.text_count();
    let client_run = match kind.as_deref() {
        None | Some("custom") => Some(None),
        Some(kind) => CLIENT_RUN
            .iter()
            .find(|(prefix, _)| kind.starts_with(prefix))
            .map(|(_, fixed)| Some(*fixed)),
    };
    if let Some(fixed) = client_run {
        let name = match (name, fixed) {
            (Some(name), _) => Known::Is(name),
            (None, Some(fixed)) => Known::Is(fixed.into()),
            (None, None) => Known::Unknown,
        };
        reader.offer(tool, name, texts);
    } else {
        let names: Vec<&str> = [kind.as_deref(), name.as_deref(), server.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        reader.provider_run_offer(tool, &names);
        reader.emit_text(tool, texts, &definition);
        let kind = kind.as_deref().unwrap_or_default();
        if kind == "mcp_toolset" || kind.starts_with("agent_toolset_") {
            toolset(reader, tool, kind);
        }
    }
    if let Some(inline) = inline {
        reader.array(inline, listed_tool);
    }
}

/// Tools of a server that a toolset lets the provider call: those that are named and on, and any where others are on by
/// default and nobody lists them.
fn toolset(reader: &mut Reader<'_>, tool: Value<'_>, kind: &str) {
    let is_on = |config: Value<'_>| {
        let enabled = config.get("enabled").and_then(|enabled| enabled.as_bool());
        enabled != Some(false)
    };
    // `{"search": {"enabled": false}}` for messages, `[{"name": "search", "enabled": false}]` for agents.
    let configs = tool.get("configs");
    let by_name = configs.into_iter().flat_map(|configs| configs.members());
    let listed = configs.into_iter().flat_map(|configs| configs.elements());
    let listed = listed.filter_map(|config| Some((config.get("name")?, config)));
    let configured: Vec<(String, bool)> = by_name
        .chain(listed)
        .filter_map(|(name, config)| Some((name.text()?.into_owned(), is_on(config))))
        .collect();
    let is_listed = tool.get("tools").is_some_and(|tools| !tools.is_null());
    if !is_listed && tool.get("default_config").is_none_or(is_on) {
        match kind {
            "agent_toolset_20260401" => {
                let is_configured = |name: &str| configured.iter().any(|(known, _)| known == name);
                for name in AGENT_TOOLS.iter().filter(|name| !is_configured(name)) {
                    reader.provider_may_call(tool, Known::Is((*name).into()));
                }
            }
            _ => reader.provider_may_call(tool, Known::Unknown),
        }
    }
    for (name, _) in configured.into_iter().filter(|(_, is_on)| *is_on) {
        reader.provider_may_call(tool, Known::Is(name.into()));
    }
}

/// The same in the words of a server's own entry.
fn server_tools(reader: &mut Reader<'_>, server: Value<'_>, configuration: Option<Value<'_>>) {
    let setting = |name: &str| configuration.and_then(|configuration| configuration.get(name));
    let is_off = setting("enabled").and_then(|enabled| enabled.as_bool()) == Some(false);
    if !is_off {
        reader.provider_may_call_listed(server, setting("allowed_tools"));
    }
}

const LISTED: &[Row] = &[
    ("name", Type::Custom),
    ("description", DESCRIPTION),
    ("input_schema", SCHEMA),
];

/// A tool of an MCP server that the provider calls, with its definition. In a response it is only named: all of it is
/// evaluated as text.
pub(super) fn listed_tool(reader: &mut Reader<'_>, tool: Value<'_>) {
    let mut definition = Origin::of(Author::System, Part::Definition);
    let is_answer = reader.direction() == crate::event::Direction::Response;
    if is_answer {
        definition.from = Known::Missing;
    }
    let mut name: Option<Box<str>> = None;
    let start = reader.text_count();
    reader.rows(tool, LISTED, &definition, &mut |reader, _, value| {
        if is_answer {
            reader.register_text(value, Class::Unknown);
        } else {
            name = reader.name(value).map(Box::from);
        }
    });
    let texts = start..reader.text_count();
    reader.emit_text(tool, texts, &definition);
    if let Some(name) = name {
        reader.provider_run_offer(tool, &[&name]);
    }
}

/// `tool_addition`, `tool_removal`: mostly references to tools of `tools`; a definition offers a tool in the middle of the
/// conversation.
pub(super) fn changed_tool(reader: &mut Reader<'_>, value: Value<'_>) {
    const CHANGE: &[Row] = &[
        (
            "type",
            Type::Word(
                "tool_reference|mcp_tool_reference|mcp_toolset_reference|\
                 tool_definition",
            ),
        ),
        ("name", Type::Name),
        ("server_name", Type::Name),
        ("definition", Type::Read(tool)),
    ];
    let origin = Origin::of(Author::System, Part::Definition);
    reader.plain_rows(value, CHANGE, &origin);
}

/// `mcp_servers`: the provider connects to them and calls their tools. Where no `mcp_toolset` stands in `tools`, this is
/// the whole offer.
pub(in crate::protocol) fn mcp_servers(
    reader: &mut Reader<'_>,
    servers: Value<'_>,
    has_toolset: bool,
) {
    const SERVER: &[Row] = &[
        ("type", Type::Word("url")),
        ("name", Type::Custom),
        ("url", Type::Reference),
        ("authorization_token", Type::Id),
        (
            "tool_configuration",
            Type::Object(&[
                ("enabled", Type::Flag),
                ("allowed_tools", Type::List(&Type::Name)),
            ]),
        ),
    ];
    let origin = Origin::of(Author::System, Part::Other);
    reader.array(servers, |reader, server| {
        let mut name: Option<Box<str>> = None;
        reader.rows(server, SERVER, &origin, &mut |reader, _, value| {
            name = reader.name(value).map(Box::from)
        });
        let first = reader.reading.events.len();
        let names: Vec<&str> = std::iter::once("mcp_servers")
            .chain(name.as_deref())
            .collect();
        reader.provider_run_offer(server, &names);
        if has_toolset {
            for event in reader.reading.events.iter_mut().skip(first) {
                event.is_duplicate |= event.kind == Kind::ToolOffer;
            }
        }
        let configuration = server.get("tool_configuration");
        let configuration = configuration.filter(|configuration| !configuration.is_null());
        // A toolset says which of its server's tools there are.
        if configuration.is_some() || !has_toolset {
            server_tools(reader, server, configuration);
        }
    });
}
