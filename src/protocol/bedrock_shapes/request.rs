//! The body of a Converse request.

use super::content::{CACHE_POINT, beside, blocks, definition, guarded};
use crate::diag::codes;
use crate::event::{Author, Known, Part, Turn};
use crate::protocol::Endpoint;
use crate::protocol::anthropic_shapes::offered_tool;
use crate::protocol::conversation::{Attribution, Calls, Turns, emit_attributed};
use crate::protocol::reader::{Is, Key, Origin, Reader};
use crate::wire::json::{self, Value};

const REQUEST: &[Key] = &[
    ("messages", Is::Own),
    ("system", Is::Own),
    ("toolConfig", Is::Own),
    ("inferenceConfig", Is::Own),
    ("additionalModelRequestFields", Is::Own),
    ("promptVariables", Is::Own),
    ("outputConfig", Is::Own),
    ("additionalModelResponseFieldPaths", Is::Tree(Part::Other)),
    ("requestMetadata", Is::Tree(Part::Other)),
    (
        "guardrailConfig",
        Is::Object(&[
            ("guardrailIdentifier", Is::Id),
            ("guardrailVersion", Is::Id),
            ("trace", Is::Word(&["enabled", "disabled", "enabled_full"])),
            ("streamProcessingMode", Is::Word(&["sync", "async"])),
        ]),
    ),
    (
        "performanceConfig",
        Is::Object(&[("latency", Is::Word(&["standard", "optimized"]))]),
    ),
    (
        "serviceTier",
        Is::Object(&[(
            "type",
            Is::Word(&["priority", "default", "flex", "reserved"]),
        )]),
    ),
    // Nova's body in InvokeModel.
    ("schemaVersion", Is::Word(&["messages-v1"])),
];

/// Reads the body of a Converse request; `endpoint` has the path's model.
pub(in crate::protocol) fn converse_request(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    endpoint: &Endpoint,
) {
    let messages = root.get("messages");
    let turns = Turns::of(
        messages.into_iter().flat_map(|list| list.elements()),
        &|message| {
            message
                .get("role")
                .is_some_and(|role| role.is_text("assistant"))
        },
        &|message| {
            message.get("content").is_some_and(|content| {
                content
                    .elements()
                    .any(|block| block.get("toolResult").is_some())
            })
        },
    );
    let mut calls = Calls::default();
    reader.keys(
        root,
        REQUEST,
        &beside(),
        &mut |reader, key, value| match key {
            "messages" => {
                let mut at = 0usize;
                reader.array(value, |reader, element| {
                    message(reader, element, &turns, at, &mut calls);
                    at = at.saturating_add(1);
                });
            }
            "system" => system(reader, value),
            "toolConfig" => tool_config(reader, value),
            "inferenceConfig" => inference(reader, value),
            "promptVariables" => prompt_variables(reader, value),
            "outputConfig" => output(reader, value),
            _ => model_fields(reader, value, endpoint),
        },
    );
    let is_prompt = matches!(&endpoint.model, Known::Is(model) if model.contains(":prompt/"));
    if is_prompt {
        // The messages stand in a prompt that the provider keeps.
        reader.uninspectable(root, "provider_state");
    } else if messages.is_none_or(|messages| messages.is_null()) {
        reader.problem(codes::AG2001, root, "`messages` is missing");
    }
}

fn message(
    reader: &mut Reader<'_>,
    message: Value<'_>,
    turns: &Turns,
    at: usize,
    calls: &mut Calls,
) {
    const MESSAGE: &[Key] = &[("role", Is::Own), ("content", Is::Own)];
    let role = message.get("role");
    let from = match role.and_then(|role| role.text()).as_deref() {
        Some("user") => Known::Is(Author::User),
        Some("assistant") => Known::Is(Author::Assistant),
        Some("system") => Known::Is(Author::System),
        _ => Known::Unknown,
    };
    reader.reading.count_message(&from);
    let speaker = Attribution {
        origin: Origin {
            from,
            part: Part::Text,
            turn: turns.text_turn(at),
            choice: 0,
            piece_of: None,
        },
        calls: turns.call_turn(at),
        is_result: false,
    };
    reader.keys(
        message,
        MESSAGE,
        &speaker.origin,
        &mut |reader, key, value| match key {
            "role" => match value.kind() {
                json::ValueKind::String => reader.word(value, &["user", "assistant", "system"]),
                _ => reader.wrong_type(value, "a string"),
            },
            // Nova takes a text as well.
            _ if value.kind() == json::ValueKind::String => {
                emit_attributed(reader, value, &speaker)
            }
            _ => blocks(reader, value, &speaker, calls),
        },
    );
    if role.is_none() && message.kind() == json::ValueKind::Object {
        reader.problem(codes::AG2001, message, "`role` is missing");
    }
}

fn system(reader: &mut Reader<'_>, value: Value<'_>) {
    const BLOCK: &[Key] = &[
        ("text", Is::Own),
        ("guardContent", Is::Own),
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
        reader.keys(
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
    const CONFIG: &[Key] = &[
        ("tools", Is::Own),
        (
            "toolChoice",
            Is::Object(&[
                ("auto", Is::Object(&[])),
                ("any", Is::Object(&[])),
                ("tool", Is::Object(&[("name", Is::Name)])),
            ]),
        ),
    ];
    const TOOL: &[Key] = &[
        ("toolSpec", Is::Own),
        ("systemTool", Is::Own),
        ("cachePoint", CACHE_POINT),
    ];
    let choice = value.get("toolChoice");
    reader.reading.forces_tool |= choice.is_some_and(|choice| {
        choice
            .members()
            .any(|(key, value)| !key.is_text("auto") && !value.is_null())
    });
    reader.keys(value, CONFIG, &beside(), &mut |reader, _, list| {
        reader.array(list, |reader, tool| {
            reader.keys(tool, TOOL, &beside(), &mut |reader, key, value| match key {
                "toolSpec" => tool_spec(reader, tool, value),
                _ => system_tool(reader, tool, value),
            });
        });
    });
}

fn tool_spec(reader: &mut Reader<'_>, tool: Value<'_>, spec: Value<'_>) {
    const SPEC: &[Key] = &[
        ("name", Is::Own),
        ("description", Is::Own),
        ("inputSchema", Is::Own),
        ("strict", Is::Flag),
    ];
    let mut name = Known::Unknown;
    let start = reader.text_count();
    reader.keys(spec, SPEC, &beside(), &mut |reader, key, value| match key {
        "name" => {
            if let Some(text) = reader.name(value) {
                name = Known::Is(text.into());
            }
        }
        "description" => definition(reader, value, false),
        // `{"json": SCHEMA}`: the wrapper's key is no text.
        _ => reader.keys(
            value,
            &[("json", Is::Own)],
            &beside(),
            &mut |reader, _, schema| definition(reader, schema, true),
        ),
    });
    let texts = start..reader.text_count();
    reader.offer(tool, name, texts);
}

/// `systemTool`: the provider runs it.
fn system_tool(reader: &mut Reader<'_>, tool: Value<'_>, value: Value<'_>) {
    let mut name: Option<Box<str>> = None;
    reader.keys(
        value,
        &[("name", Is::Own)],
        &beside(),
        &mut |reader, _, value| name = reader.name(value).map(Box::from),
    );
    reader.provider_run_offer(tool, &[name.as_deref().unwrap_or("systemTool")]);
}

fn inference(reader: &mut Reader<'_>, value: Value<'_>) {
    const INFERENCE: &[Key] = &[
        ("maxTokens", Is::Own),
        ("max_new_tokens", Is::Own),
        ("temperature", Is::Number),
        ("topP", Is::Number),
        ("top_p", Is::Number),
        ("topK", Is::Number),
        ("top_k", Is::Number),
        ("stopSequences", Is::Tree(Part::Other)),
        ("reasoningConfig", Is::Tree(Part::Other)),
    ];
    reader.keys(value, INFERENCE, &beside(), &mut |reader, _, value| {
        let tokens = reader.number(value);
        reader.reading.max_tokens = reader.reading.max_tokens.max(tokens);
    });
}

/// `{NAME: {text}}`: what fills the gaps of a prompt that the provider keeps.
fn prompt_variables(reader: &mut Reader<'_>, value: Value<'_>) {
    let texts = reader.tree(value);
    reader.emit_text(value, texts, &Origin::of(Author::User, Part::Text));
}

fn output(reader: &mut Reader<'_>, value: Value<'_>) {
    const OUTPUT: &[Key] = &[
        (
            "effort",
            Is::Word(&["low", "medium", "high", "xhigh", "max"]),
        ),
        (
            "textFormat",
            Is::Object(&[
                ("type", Is::Word(&["json_schema"])),
                (
                    "structure",
                    Is::Object(&[(
                        "jsonSchema",
                        Is::Object(&[
                            // A schema as text; its words are read as they stand.
                            ("schema", Is::Text(Part::Definition)),
                            ("name", Is::Text(Part::Definition)),
                            ("description", Is::Text(Part::Definition)),
                        ]),
                    )]),
                ),
            ]),
        ),
    ];
    reader.reading.structured_output |= value
        .get("textFormat")
        .is_some_and(|format| !format.is_null());
    reader.known(value, OUTPUT, &beside());
}

/// Members that go to the model as they are: a side door for tools, models and servers. What is none of these is evaluated as
/// text.
fn model_fields(reader: &mut Reader<'_>, value: Value<'_>, endpoint: &Endpoint) {
    const FIELDS: &[Key] = &[
        ("tools", Is::Own),
        ("mcp_servers", Is::Own),
        ("model", Is::Own),
        ("models", Is::List(&Is::Model)),
        ("system", Is::Tree(Part::Other)),
        ("messages", Is::Tree(Part::Other)),
        ("anthropic_beta", Is::List(&Is::Id)),
        ("top_k", Is::Number),
        ("inferenceConfig", Is::Own),
        (
            "thinking",
            Is::Object(&[
                ("type", Is::Word(&["enabled", "disabled", "adaptive"])),
                ("budget_tokens", Is::Number),
            ]),
        ),
        ("reasoning_config", Is::Tree(Part::Other)),
    ];
    if value.kind() != json::ValueKind::Object {
        // Any JSON is taken here; what is no object holds no tool.
        reader.value(value, Is::Tree(Part::Other), &beside());
        return;
    }
    reader.keys(
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
                reader.value(value, Is::Tree(Part::Other), &beside());
            }
        },
    );
}
