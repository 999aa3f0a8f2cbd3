//! Tools: their definitions, the choice among them, and their calls.

use super::CACHE_CONTROL;
use crate::diag::codes;
use crate::event::{Author, Class, Part, Turn};
use crate::protocol::openai_responses::mcp_offer;
use crate::protocol::reader::{CallBuilder, DESCRIPTION, Origin, Reader, Row, SCHEMA, Type};
use crate::wire::json::{self, Value};

/// Members of the definition of a function, wherever it is.
const FUNCTION: &[Row] = &[
    ("name", Type::Custom),
    ("description", DESCRIPTION),
    ("parameters", SCHEMA),
    ("parameter_definitions", SCHEMA),
    ("output_schema", SCHEMA),
    ("format", SCHEMA),
    ("strict", Type::Flag),
    ("defer_loading", Type::Flag),
    ("cache_control", CACHE_CONTROL),
];
/// Members around it.
const WRAPPER: &[Row] = &[
    ("type", Type::Word("function|custom")),
    ("function", Type::Custom),
    ("custom", Type::Custom),
    ("cache_control", CACHE_CONTROL),
];
/// Settings of a provider's tool that rules use.
const PROVIDER_TOOL: &[Row] = &[
    ("type", Type::Custom),
    ("model", Type::Custom),
    ("parameters", Type::Custom),
    ("container", Type::Custom),
    ("environment", Type::Custom),
    ("vector_store_ids", Type::List(&Type::State)),
    ("cache_control", CACHE_CONTROL),
];
const CONTAINER: &[&str] = &["type", "file_ids", "container_id", "skills"];
const TOOL_CHOICE: &[&str] = &[
    "type",
    "mode",
    "name",
    "server_label",
    "function",
    "custom",
    "allowed_tools",
    "tools",
];
const TOOL_CALL: &[Row] = &[
    ("id", Type::Custom),
    ("type", Type::Word("function|custom")),
    ("index", Type::Number),
    ("function", Type::Custom),
    ("custom", Type::Custom),
];
const CALLED: &[&str] = &["name", "arguments", "input"];
const RESPONSE_FORMAT: &[&str] = &[
    "type",
    "json_schema",
    "schema",
    "name",
    "description",
    "strict",
    "grammar",
    "value",
];

/// Reads a tool of a request by its type: the client runs functions and tools with free text, the provider all others.
pub(crate) fn tool_offer(reader: &mut Reader<'_>, tool: Value<'_>) {
    reader.tool(tool, "openai.tools", &mut |reader| read_tool(reader, tool));
}

/// Reads a tool whether it has come before or not.
pub(crate) fn read_tool(reader: &mut Reader<'_>, tool: Value<'_>) {
    let kind = tool.get("type").and_then(|kind| kind.text());
    let is_function = matches!(kind.as_deref(), Some("function" | "custom") | None);
    let mut is_flat = true;
    for definition in ["function", "custom"]
        .map(|key| tool.get(key))
        .into_iter()
        .flatten()
    {
        // Ollama and SGLang take a function of any type.
        if definition.get("name").is_some() || is_function && !definition.is_null() {
            is_flat = false;
            named_offer(reader, tool, definition);
        }
    }
    match kind.as_deref() {
        Some("function" | "custom") | None => {
            // It is unknown which of two definitions a server uses: both are read.
            if is_flat || tool.get("name").is_some_and(|name| !name.is_null()) {
                named_offer(reader, tool, tool);
            }
            if !is_flat {
                reader.plain_rows(tool, WRAPPER, &definition_origin());
            }
        }
        Some("mcp") => mcp_offer(reader, tool),
        Some(name) => provider_tool(reader, tool, name),
    }
}

/// Reads a tool that the provider runs. Its type is its name, which rules evaluate. Its settings are unknown and
/// evaluated as text, except for a model of its own, which may respond, too (OpenRouter's advisor, image generation).
pub(crate) fn provider_tool(reader: &mut Reader<'_>, tool: Value<'_>, name: &str) {
    let origin = definition_origin();
    reader.rows(
        tool,
        PROVIDER_TOOL,
        &origin,
        &mut |reader, key, value| match (key, value.kind()) {
            ("type", _) => reader.claim(value),
            ("model", _) => super::model(reader, value),
            ("parameters", json::ValueKind::Object) => {
                reader.object(value, &["model"], |reader, _, value| {
                    super::model(reader, value);
                });
            }
            ("container" | "environment", json::ValueKind::Object) => {
                reader.object(value, CONTAINER, |reader, key, value| match key {
                    "type" => reader.word(value, "auto|container_auto|container_reference"),
                    "container_id" => kept(reader, value),
                    "skills" => reader.array(value, skill),
                    _ => reader.array(value, kept),
                });
            }
            // A container that already runs.
            ("container", json::ValueKind::String) => kept(reader, value),
            _ => {}
        },
    );
    reader.provider_tool(tool, name);
    if let Some(own) = tool.get("name").and_then(|own| own.text()) {
        reader.offer_again(tool, own.into_owned());
    }
    if name == "connector" {
        // Mistral: a server that the provider knows.
        let configuration = tool.get("tool_configuration");
        let listed = configuration.and_then(|configuration| configuration.get("include"));
        reader.provider_may_call_listed(tool, listed);
    }
}

/// Reads instructions and programs for a container: an archive in base64, or one that the provider keeps. What is said
/// about them is unknown text.
fn skill(reader: &mut Reader<'_>, skill: Value<'_>) {
    let is_here = skill.get("source").is_some();
    let class = if is_here {
        "attachment"
    } else {
        "provider_state"
    };
    reader.uninspectable(skill, class);
}

/// Reads something that the provider keeps and that a tool reads there.
fn kept(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.id(value);
    reader.uninspectable(value, "provider_state");
}

/// Reads OpenRouter's plugins: searches, readers of files and the like that run at the router.
pub(crate) fn plugins(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.array(value, |reader, plugin| {
        let mut name = None;
        reader.object(plugin, &["id", "enabled"], |reader, key, value| match key {
            "id" => name = reader.name(value),
            _ => {
                reader.boolean(value);
            }
        });
        match name.as_deref() {
            Some("web") => reader.provider_run_offer(plugin, &["web", "web_search"]),
            // The router chooses the model.
            Some("auto-router") => reader.reading.models.unknown = true,
            Some(name) => reader.provider_run_offer(plugin, &[name]),
            None => {}
        }
    });
}

fn definition_origin() -> Origin {
    Origin::of(Author::System, Part::Definition)
}

/// Reads a tool that the client runs, with its name and its definition.
pub(crate) fn named_offer(reader: &mut Reader<'_>, tool: Value<'_>, function: Value<'_>) {
    if function.place() == tool.place() {
        reader.word_of(tool, "type", "function|custom");
    }
    reader.definition(tool, function, FUNCTION);
}

/// Reads which tools may, must or must not be called.
pub(crate) fn tool_choice(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::ValueKind::String => {
            reader.word(value, "none|auto|required|any|REQUIRED|NONE");
            reader.reading.forces_tool |= ["required", "any", "REQUIRED"]
                .iter()
                .any(|word| value.is_text(word));
        }
        json::ValueKind::Null => reader.claim(value),
        json::ValueKind::Object => {
            let is_list = value
                .get("type")
                .is_some_and(|kind| kind.is_text("allowed_tools"));
            let list = value.get("allowed_tools").unwrap_or(value);
            let is_optional = list.get("mode").is_some_and(|mode| mode.is_text("auto"));
            reader.reading.forces_tool |= !(is_list && is_optional);
            named_choice(reader, value);
        }
        _ => reader.wrong_type(value, "a string or an object"),
    }
}

/// Reads names of tools whose definitions are elsewhere in the request, so that they are not new to a rule.
fn named_choice(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.object(value, TOOL_CHOICE, |reader, key, value| match key {
        "mode" => reader.word(value, "auto|required"),
        "type" | "name" | "server_label" => {
            reader.name(value);
        }
        "tools" => reader.array(value, named_choice),
        _ => named_choice(reader, value),
    });
}

/// Reads one entry of `tool_calls`; returns its id and name.
pub(crate) fn tool_call(
    reader: &mut Reader<'_>,
    call: Value<'_>,
    turn: Turn,
    choice: u32,
) -> Option<(Box<str>, Box<str>)> {
    let mut id = None;
    let mut name = None;
    let mut seen = false;
    let tables = [TOOL_CALL, super::SPEECH];
    reader.row_lists(
        call,
        &tables,
        &definition_origin(),
        &mut |reader, key, value| match key {
            "id" => {
                id = value.text().map(Box::from);
                reader.id(value);
            }
            "function" | "custom" => {
                seen = true;
                name = called_function(reader, call, value, turn, choice);
            }
            _ => {}
        },
    );
    if !seen && call.kind() == json::ValueKind::Object {
        reader.problem(codes::AG2001, call, "`function` is missing");
    }
    Some((id?, name?))
}

/// Reads `{name, arguments}` with the arguments as JSON in a string, or `{name, input}` with free text. `call` is the
/// value that a denial removes.
pub(crate) fn called_function(
    reader: &mut Reader<'_>,
    call: Value<'_>,
    function: Value<'_>,
    turn: Turn,
    choice: u32,
) -> Option<Box<str>> {
    let mut builder = CallBuilder::at(reader, call);
    builder.event.turn = turn;
    builder.event.choice = choice;
    reader.object(function, CALLED, |reader, key, value| match key {
        "name" => builder.name(reader, value),
        "arguments" => builder.arguments(reader, value),
        _ => builder.free_text(reader, value),
    });
    builder.add(reader)
}

/// Reads the format that a response must have. Assistants and their runs also take the word `"auto"`.
pub(crate) fn response_format(reader: &mut Reader<'_>, value: Value<'_>) {
    if value.is_text("auto") {
        reader.claim(value);
        return;
    }
    let start = reader.text_count();
    format_members(reader, value);
    let texts = start..reader.text_count();
    reader.emit_text(value, texts, &definition_origin());
}

fn format_members(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.object(value, RESPONSE_FORMAT, |reader, key, value| match key {
        "type" => {
            reader.word(value, "text|json_object|json_schema|grammar|json|regex");
            reader.reading.structured_output |=
                !value.is_text("text") && value.kind() == json::ValueKind::String;
        }
        // The model reads it, and the response contains it: another name would not be found there.
        "name" => {
            reader.register_text(value, Class::Unknown);
        }
        "description" | "grammar" => {
            reader.register_text(value, Class::Text);
        }
        "strict" => {
            reader.boolean(value);
        }
        "json_schema"
            if value.kind() == json::ValueKind::Object && value.get("schema").is_some() =>
        {
            format_members(reader, value);
        }
        _ => {
            reader.tree(value);
        }
    });
}
