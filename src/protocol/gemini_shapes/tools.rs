//! Tools of a Gemini request: functions that the client runs, and tools that the provider runs, each in a member of its
//! own.

use crate::event::{Author, Known, Part};
use crate::protocol::gemini_shapes::parts::one_or_many;
use crate::protocol::reader::{DESCRIPTION, Origin, Reader, Row, SCHEMA, Type};
use crate::wire::json::{self, Value};

const FUNCTION: &[Row] = &[
    ("name", Type::Custom),
    ("description", DESCRIPTION),
    ("parameters", SCHEMA),
    ("parametersJsonSchema", SCHEMA),
    ("response", SCHEMA),
    ("responseJsonSchema", SCHEMA),
    ("behavior", Type::Constant),
];
/// Tools that the provider runs. `computerUse` is known by its name: its functions are called like others, and the
/// client runs them.
const TOOL: &[Row] = &[
    ("functionDeclarations", Type::Custom),
    ("computerUse", Type::Custom),
    ("googleSearch", Type::Custom),
    ("googleSearchRetrieval", Type::Custom),
    ("codeExecution", Type::Custom),
    ("urlContext", Type::Custom),
    ("fileSearch", Type::Custom),
    ("googleMaps", Type::Custom),
    ("enterpriseWebSearch", Type::Custom),
    ("retrieval", Type::Custom),
    ("parallelAiSearch", Type::Custom),
    ("exaAiSearch", Type::Custom),
    ("mcpServers", Type::Custom),
];

/// Reads `tools`.
pub(in crate::protocol) fn tools(reader: &mut Reader<'_>, value: Value<'_>) {
    one_or_many(reader, value, |reader, tool| {
        reader.tool(tool, "gemini.tools", &mut |reader| read_tools(reader, tool));
    });
}

/// Reads one entry of `tools`, which has all functions, and one member for each tool of the provider.
fn read_tools(reader: &mut Reader<'_>, tool: Value<'_>) {
    let origin = Origin::of(Author::System, Part::Definition);
    let mut known = Vec::new();
    reader.rows(tool, TOOL, &origin, &mut |reader, key, value| {
        known.push(value.place());
        match key {
            _ if value.is_null() => reader.claim(value),
            "functionDeclarations" => one_or_many(reader, value, |reader, function| {
                reader.tool(function, "gemini.function", &mut |reader| {
                    reader.definition(function, function, FUNCTION);
                });
            }),
            "computerUse" => {
                let texts = reader.tree(value);
                reader.offer(value, Known::Is(key.into()), texts);
                reader.offer_again(value, snake_case(key));
            }
            _ => provider_run(reader, tool, key, value),
        }
    });
    // An unknown tool is a tool of the provider, too.
    for (key, value) in tool.members() {
        if let (Some(name), false) = (key.text(), known.contains(&value.place())) {
            reader.provider_run_offer(value, &[&name]);
        }
    }
}

/// Returns the other spelling of a member's name: a rule may contain either.
fn snake_case(name: &str) -> String {
    let mut spelled = String::with_capacity(name.len().saturating_add(4));
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            spelled.push('_');
        }
        spelled.push(letter.to_ascii_lowercase());
    }
    spelled
}

/// Adds the definition of a tool that the provider runs, with its name in the request's and in both spellings.
fn provider_run(reader: &mut Reader<'_>, tool: Value<'_>, key: &'static str, value: Value<'_>) {
    let written = tool
        .members()
        .find(|(_, member)| member.place() == value.place())
        .and_then(|(key, _)| key.text());
    let written = written.as_deref().unwrap_or(key);
    // MCP servers are matched by their names, too.
    let servers: Vec<Box<str>> = value
        .elements()
        .filter_map(|server| server.get("name")?.text().map(Box::from))
        .collect();
    let snake = snake_case(key);
    let mut names: Vec<&str> = vec![written];
    names.extend([key, &snake].into_iter().filter(|name| *name != written));
    names.dedup();
    names.extend(servers.iter().map(|name| &**name));
    let texts = reader.tree(value);
    reader.provider_run_offer(value, &names);
    reader.emit_text(value, texts, &Origin::of(Author::System, Part::Definition));
    match key {
        // Only these servers know their tools.
        "mcpServers" if value.elements().next().is_some() => {
            reader.provider_may_call(value, Known::Unknown);
        }
        // Documents that the provider keeps.
        "fileSearch" | "retrieval" => reader.uninspectable(value, "provider_state"),
        _ => {}
    }
    // A retrieval may rank with another model.
    for node in value.descendants() {
        let model = reader.get(node.value, "modelName");
        if let Some(model) = model.filter(|model| model.kind() == json::ValueKind::String) {
            reader.model(model);
        }
    }
}
