//! The body of a request for a message: also one of a batch, inside Bedrock's InvokeModel, and at Vertex AI.

use super::blocks::content;
use super::{CACHE_CONTROL, tools};
use crate::diag::codes;
use crate::event::{Author, Direction, Event, Kind, Known, Part, Turn};
use crate::protocol::Endpoint;
use crate::protocol::conversation::{Attribution, Calls, Turns};
use crate::protocol::reader::{Is, Key, Origin, Reader};
use crate::wire::json::{self, Value};

const OUTPUT_FORMAT: Is = Is::Object(&[
    ("type", Is::Word(&["json_schema", "text"])),
    ("schema", Is::Tree(Part::Definition)),
]);
const EFFORT: Is = Is::Word(&["low", "medium", "high", "xhigh", "max"]);
const OUTPUT_CONFIG: Is = Is::Object(&[
    ("effort", EFFORT),
    ("format", OUTPUT_FORMAT),
    (
        "task_budget",
        Is::Object(&[
            ("type", Is::Word(&["tokens"])),
            ("total", Is::Number),
            ("remaining", Is::Number),
        ]),
    ),
]);
const THINKING: Is = Is::Object(&[
    (
        "type",
        Is::Word(&["enabled", "disabled", "adaptive", "between_tools"]),
    ),
    ("budget_tokens", Is::Number),
    ("display", Is::Word(&["summarized", "omitted", "updates"])),
    (
        "block_binding",
        Is::Object(&[(
            "prefix_mismatch_behavior",
            Is::Word(&["error", "drop_block"]),
        )]),
    ),
]);
const SPEED: Is = Is::Word(&["fast", "standard"]);
const COUNTED: Is = Is::Object(&[
    (
        "type",
        Is::Word(&["input_tokens", "tool_uses", "thinking_turns", "all"]),
    ),
    ("value", Is::Number),
]);

const REQUEST: &[Key] = &[
    ("model", Is::Own),
    ("models", Is::List(&Is::Model)),
    ("fallbacks", Is::Own),
    ("messages", Is::Own),
    ("system", Is::Own),
    ("tools", Is::Own),
    ("mcp_servers", Is::Own),
    ("tool_choice", Is::Own),
    ("stream", Is::Own),
    ("max_tokens", Is::Own),
    ("container", Is::Own),
    ("thread", Is::Own),
    ("temperature", Is::Number),
    ("top_p", Is::Number),
    ("top_k", Is::Number),
    ("stop_sequences", Is::Tree(Part::Other)),
    (
        "metadata",
        Is::Object(&[("user_id", Is::Text(Part::Other))]),
    ),
    ("thinking", THINKING),
    ("output_config", OUTPUT_CONFIG),
    ("output_format", OUTPUT_FORMAT),
    ("cache_control", CACHE_CONTROL),
    ("service_tier", Is::Word(&["auto", "standard_only"])),
    ("speed", SPEED),
    (
        "context_management",
        Is::Object(&[(
            "edits",
            Is::List(&Is::Object(&[
                (
                    "type",
                    Is::Word(&[
                        "clear_tool_uses_20250919",
                        "clear_thinking_20251015",
                        "compact_20260112",
                    ]),
                ),
                ("trigger", COUNTED),
                ("clear_at_least", COUNTED),
                ("pause_after_compaction", Is::Flag),
                ("instructions", Is::Text(Part::Other)),
            ])),
        )]),
    ),
    (
        "compaction",
        Is::Object(&[
            ("type", Is::Word(&["summarize"])),
            ("instructions", Is::Text(Part::Other)),
        ]),
    ),
    (
        "diagnostics",
        Is::Object(&[("previous_message_id", Is::Id)]),
    ),
    (
        "billing_policy",
        Is::Object(&[
            ("type", Is::Word(&["billing_policy"])),
            ("bill_to", Is::Word(&["self", "user_profile"])),
        ]),
    ),
    ("user_profile_id", Is::Id),
    ("workspace_id", Is::Id),
    // Vertex AI and Bedrock ask for these in the body.
    ("anthropic_version", Is::Id),
    ("anthropic_beta", Is::List(&Is::Id)),
];

/// Reads the body of a request for a message.
pub(in crate::protocol) fn request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    let messages = root.get("messages");
    let turns = Turns::of(
        messages.into_iter().flat_map(|list| list.elements()),
        &|message| {
            message
                .get("role")
                .is_some_and(|role| role.is_text("assistant"))
        },
        &holds_result,
    );
    let has_toolset = root.get("tools").is_some_and(|tools| {
        tools.elements().any(|tool| {
            tool.get("type")
                .is_some_and(|kind| kind.is_text("mcp_toolset"))
        })
    });
    // First, so that the model that was asked for leads the set wherever it stands.
    if let Some(model) = root.get("model") {
        reader.model_beside_path(model, &endpoint.model);
    }
    let origin = Origin::of(Author::System, Part::Other);
    let system = Attribution {
        origin: Origin::of(Author::System, Part::Text),
        calls: Turn::Earlier,
        is_result: false,
    };
    let mut calls = Calls::default();
    reader.keys(
        root,
        REQUEST,
        &origin,
        &mut |reader, key, value| match key {
            "messages" => {
                let mut at = 0usize;
                reader.array(value, |reader, element| {
                    message(reader, element, &turns, at, &mut calls);
                    at = at.saturating_add(1);
                });
            }
            "system" => content(reader, value, &system, &mut Calls::default()),
            "tools" => reader.array(value, tools::tool),
            "mcp_servers" => tools::mcp_servers(reader, value, has_toolset),
            "tool_choice" => tool_choice(reader, value),
            "fallbacks" => fallbacks(reader, value),
            "stream" => reader.reading.stream |= reader.boolean(value).unwrap_or(false),
            "max_tokens" => {
                let tokens = reader.number(value);
                reader.reading.max_tokens = reader.reading.max_tokens.max(tokens);
            }
            "container" => container(reader, value),
            "thread" => thread(reader, value),
            _ => {}
        },
    );
    reader.reading.structured_output |= root
        .get("output_config")
        .and_then(|config| config.get("format"))
        .or_else(|| root.get("output_format"))
        .is_some_and(|format| !format.is_null());
    if messages.is_none_or(|messages| messages.is_null()) {
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
    const MESSAGE: &[Key] = &[
        ("role", Is::Own),
        ("content", Is::Own),
        ("clear_at", Is::Word(&["next_user_message", "never"])),
        ("output_config", Is::Object(&[("effort", EFFORT)])),
    ];
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
            _ => content(reader, value, &speaker, calls),
        },
    );
    if role.is_none() && message.kind() == json::ValueKind::Object {
        reader.problem(codes::AG2001, message, "`role` is missing");
    }
}

fn holds_result(message: Value<'_>) -> bool {
    message.get("content").is_some_and(|content| {
        content.elements().any(|block| {
            block
                .get("type")
                .is_some_and(|kind| kind.is_text("tool_result"))
        })
    })
}

fn tool_choice(reader: &mut Reader<'_>, value: Value<'_>) {
    const CHOICE: &[Key] = &[
        ("type", Is::Word(&["auto", "any", "tool", "none"])),
        ("name", Is::Name),
        ("disable_parallel_tool_use", Is::Flag),
    ];
    let kind = value.get("type");
    reader.reading.forces_tool |=
        kind.is_some_and(|kind| kind.is_text("any") || kind.is_text("tool"));
    let origin = Origin::of(Author::System, Part::Other);
    reader.known(value, CHOICE, &origin);
}

/// Models that response where the first refuses or is overloaded: a list of models with settings, of names (gateways), or
/// `default`, which is whatever the provider takes.
fn fallbacks(reader: &mut Reader<'_>, value: Value<'_>) {
    const FALLBACK: &[Key] = &[
        ("model", Is::Model),
        ("max_tokens", Is::Number),
        ("output_config", OUTPUT_CONFIG),
        ("speed", SPEED),
        ("thinking", THINKING),
    ];
    let origin = Origin::of(Author::System, Part::Other);
    match value.kind() {
        json::ValueKind::String => {
            reader.word(value, &["default"]);
            reader.reading.models.unknown = true;
        }
        _ => reader.array(value, |reader, fallback| match fallback.kind() {
            json::ValueKind::String => reader.model(fallback),
            _ => reader.known(fallback, FALLBACK, &origin),
        }),
    }
}

/// A sandbox that the provider keeps, with files and skills in it.
fn container(reader: &mut Reader<'_>, value: Value<'_>) {
    const CONTAINER: &[Key] = &[
        ("id", Is::State),
        (
            "skills",
            Is::List(&Is::Object(&[
                ("type", Is::Word(&["anthropic", "custom"])),
                ("skill_id", Is::State),
                ("version", Is::Id),
            ])),
        ),
    ];
    match value.kind() {
        json::ValueKind::String => reader.state(value),
        _ => {
            let origin = Origin::of(Author::System, Part::Other);
            reader.known(value, CONTAINER, &origin);
        }
    }
}

/// A conversation that the provider keeps.
fn thread(reader: &mut Reader<'_>, value: Value<'_>) {
    const THREAD: &[Key] = &[
        ("type", Is::Word(&["create", "continue"])),
        ("previous_message_id", Is::State),
    ];
    let origin = Origin::of(Author::System, Part::Other);
    reader.known(value, THREAD, &origin);
    reader.reading.continues_elsewhere |= value
        .get("previous_message_id")
        .is_some_and(|id| !id.is_null());
}

/// Tells of the request as a whole.
pub(in crate::protocol) fn tell_request(reader: &mut Reader<'_>, root: Value<'_>) {
    reader.reading.params = Some(root.place());
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}
