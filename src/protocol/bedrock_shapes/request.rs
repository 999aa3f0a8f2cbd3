//! Body of a Converse request.

use super::content::{CACHE_POINT, beside, blocks, guarded};
use crate::diag::codes;
use crate::event::{Author, Known, Part, Turn};
use crate::protocol::Endpoint;
use crate::protocol::anthropic_shapes::offered_tool;
use crate::protocol::conversation::{
    Attribution, Calls, TurnRole, Turns, author_of, emit_attributed,
};
use crate::protocol::reader::{DESCRIPTION, Origin, Reader, Roles, Row, SCHEMA, Type};
use crate::wire::json::{self, Value};

const ROLES: Roles = &[
    ("user", Author::User),
    ("assistant", Author::Assistant),
    ("system", Author::System),
];

const REQUEST: &[Row] = &[
    ("messages", Type::Custom),
    ("system", Type::Read(system)),
    ("toolConfig", Type::Read(tool_config)),
    ("inferenceConfig", Type::Read(inference)),
    ("additionalModelRequestFields", Type::Custom),
    ("promptVariables", Type::Read(prompt_variables)),
    ("outputConfig", Type::Read(output)),
    ("additionalModelResponseFieldPaths", Type::Tree(Part::Other)),
    ("requestMetadata", Type::Tree(Part::Other)),
    (
        "guardrailConfig",
        Type::Object(&[
            ("guardrailIdentifier", Type::Id),
            ("guardrailVersion", Type::Id),
            ("trace", Type::Word("enabled|disabled|enabled_full")),
            ("streamProcessingMode", Type::Word("sync|async")),
        ]),
    ),
    (
        "performanceConfig",
        Type::Object(&[("latency", Type::Word("standard|optimized"))]),
    ),
    (
        "serviceTier",
        Type::Object(&[("type", Type::Word("priority|default|flex|reserved"))]),
    ),
    // Nova's body in InvokeModel.
    ("schemaVersion", Type::Word("messages-v1")),
];

/// Reads the body of a Converse request; `endpoint` has the path's model.
pub(in crate::protocol) fn converse_request(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    endpoint: &Endpoint,
) {
    let messages = root.get("messages");
    let list = messages.into_iter().flat_map(|list| list.elements());
    let turns = Turns::of(
        list.map(|message| TurnRole::of(&author_of(message, ROLES), holds_result(message))),
    );
    let mut calls = Calls::default();
    reader.rows(
        root,
        REQUEST,
        &beside(),
        &mut |reader, key, value| match key {
            "messages" => {
                reader.conversation(
                    value,
                    "bedrock.converse",
                    &turns,
                    &mut calls,
                    &mut |reader, element, at, calls| message(reader, element, &turns, at, calls),
                );
            }
            _ => model_fields(reader, value, endpoint),
        },
    );
    let is_prompt = matches!(&endpoint.model, Known::Is(model) if model.contains(":prompt/"));
    if is_prompt {
        // The messages are in a prompt that the provider keeps.
        reader.uninspectable(root, "provider_state");
    } else if messages.is_none_or(|messages| messages.is_null()) {
        reader.problem(codes::AG2001, root, "`messages` is missing");
    }
}

fn holds_result(message: Value<'_>) -> bool {
    message.get("content").is_some_and(|content| {
        content
            .elements()
            .any(|block| block.get("toolResult").is_some())
    })
}

fn message(
    reader: &mut Reader<'_>,
    message: Value<'_>,
    turns: &Turns,
    at: usize,
    calls: &mut Calls,
) {
    const MESSAGE: &[Row] = &[("role", Type::Role(ROLES)), ("content", Type::Custom)];
    let from = author_of(message, ROLES);
    reader.reading.count_message(&from);
    let speaker = turns.attribution(from, at);
    reader.rows(
        message,
        MESSAGE,
        &speaker.origin,
        &mut |reader, key, value| match key {
            // Nova accepts a text, too.
            _ if value.kind() == json::ValueKind::String => {
                emit_attributed(reader, value, &speaker)
            }
            _ => blocks(reader, value, &speaker, calls),
        },
    );
    reader.role_is_needed(message);
}

fn system(reader: &mut Reader<'_>, value: Value<'_>) {
    const BLOCK: &[Row] = &[
        ("text", Type::Custom),
        ("guardContent", Type::Custom),
        ("cachePoint", CACHE_POINT),
    ];
    let speaker = Attribution {
        origin: Origin::of(Author::System, Part::Text),
        calls: Turn::Earlier,
        is_result: false,
    };
    if value.kind() == json::ValueKind::String {
        emit_attributed(reader, value, &speaker);
        return;
    }
    reader.array(value, |reader, block| {
        reader.rows(
            block,
            BLOCK,
            &speaker.origin,
            &mut |reader, key, value| match key {
                "text" => emit_attributed(reader, value, &speaker),
                _ => guarded(reader, value, &speaker),
            },
        );
    });
}

fn tool_config(reader: &mut Reader<'_>, value: Value<'_>) {
    const CONFIG: &[Row] = &[
        ("tools", Type::Custom),
        (
            "toolChoice",
            Type::Object(&[
                ("auto", Type::Object(&[])),
                ("any", Type::Object(&[])),
                ("tool", Type::Object(&[("name", Type::Name)])),
            ]),
        ),
    ];
    const TOOL: &[Row] = &[
        ("toolSpec", Type::Custom),
        ("systemTool", Type::Custom),
        ("cachePoint", CACHE_POINT),
    ];
    let choice = value.get("toolChoice");
    reader.reading.forces_tool |= choice.is_some_and(|choice| {
        choice
            .members()
            .any(|(key, value)| !key.is_text("auto") && !value.is_null())
    });
    reader.rows(value, CONFIG, &beside(), &mut |reader, _, list| {
        reader.array(list, |reader, tool| {
            reader.tool(tool, "bedrock.tools", &mut |reader| {
                reader.rows(tool, TOOL, &beside(), &mut |reader, key, value| match key {
                    "toolSpec" => tool_spec(reader, tool, value),
                    _ => system_tool(reader, tool, value),
                });
            });
        });
    });
}

fn tool_spec(reader: &mut Reader<'_>, tool: Value<'_>, spec: Value<'_>) {
    const SPEC: &[Row] = &[
        ("name", Type::Custom),
        ("description", DESCRIPTION),
        // The key of the wrapper is no text.
        ("inputSchema", Type::Object(&[("json", SCHEMA)])),
        ("strict", Type::Flag),
    ];
    reader.definition(tool, spec, SPEC);
}

/// Reads `systemTool`, which the provider runs.
fn system_tool(reader: &mut Reader<'_>, tool: Value<'_>, value: Value<'_>) {
    let mut name: Option<Box<str>> = None;
    reader.rows(
        value,
        &[("name", Type::Custom)],
        &beside(),
        &mut |reader, _, value| name = reader.name(value).map(Box::from),
    );
    reader.provider_run_offer(tool, &[name.as_deref().unwrap_or("systemTool")]);
}

fn inference(reader: &mut Reader<'_>, value: Value<'_>) {
    const INFERENCE: &[Row] = &[
        ("maxTokens", Type::MaxTokens),
        ("max_new_tokens", Type::MaxTokens),
        ("temperature", Type::Number),
        ("topP", Type::Number),
        ("top_p", Type::Number),
        ("topK", Type::Number),
        ("top_k", Type::Number),
        ("stopSequences", Type::Tree(Part::Other)),
        ("reasoningConfig", Type::Tree(Part::Other)),
    ];
    reader.plain_rows(value, INFERENCE, &beside());
}

/// Reads `{NAME: {text}}`, the values of the variables in a prompt that the provider keeps.
fn prompt_variables(reader: &mut Reader<'_>, value: Value<'_>) {
    let texts = reader.tree(value);
    reader.emit_text(value, texts, &Origin::of(Author::User, Part::Text));
}

fn output(reader: &mut Reader<'_>, value: Value<'_>) {
    const OUTPUT: &[Row] = &[
        ("effort", Type::Word("low|medium|high|xhigh|max")),
        (
            "textFormat",
            Type::Object(&[
                ("type", Type::Word("json_schema")),
                (
                    "structure",
                    Type::Object(&[(
                        "jsonSchema",
                        Type::Object(&[
                            // A schema as text, which is read as written.
                            ("schema", Type::Text(Part::Definition)),
                            ("name", Type::Text(Part::Definition)),
                            ("description", Type::Text(Part::Definition)),
                        ]),
                    )]),
                ),
            ]),
        ),
    ];
    reader.reading.structured_output |= value
        .get("textFormat")
        .is_some_and(|format| !format.is_null());
    reader.plain_rows(value, OUTPUT, &beside());
}

/// Reads members that reach the model unchanged, so that they can contain tools, models and servers. Everything else in
/// them is evaluated as text.
fn model_fields(reader: &mut Reader<'_>, value: Value<'_>, endpoint: &Endpoint) {
    const FIELDS: &[Row] = &[
        ("tools", Type::Custom),
        ("mcp_servers", Type::Custom),
        ("model", Type::Custom),
        ("models", Type::List(&Type::Model)),
        ("system", Type::Tree(Part::Other)),
        ("messages", Type::Tree(Part::Other)),
        ("anthropic_beta", Type::List(&Type::Id)),
        ("top_k", Type::Number),
        ("inferenceConfig", Type::Custom),
        (
            "thinking",
            Type::Object(&[
                ("type", Type::Word("enabled|disabled|adaptive")),
                ("budget_tokens", Type::Number),
            ]),
        ),
        ("reasoning_config", Type::Tree(Part::Other)),
    ];
    if value.kind() != json::ValueKind::Object {
        // Any JSON is accepted here; only an object can contain a tool.
        reader.value(value, Type::Tree(Part::Other), &beside());
        return;
    }
    reader.rows(
        value,
        FIELDS,
        &beside(),
        &mut |reader, key, value| match key {
            "tools" => reader.array(value, offered_tool),
            "model" => reader.model_beside_path(value, &endpoint.model),
            "inferenceConfig" => inference(reader, value),
            _ => {
                reader.provider_run_offer(value, &["mcp_servers"]);
                reader.provider_may_call(value, Known::Unknown);
                reader.value(value, Type::Tree(Part::Other), &beside());
            }
        },
    );
}
