//! The body of a request for a message: also one of a batch, inside Bedrock's InvokeModel, and at Vertex AI.

use super::blocks::content;
use super::{CACHE_CONTROL, tools};
use crate::diag::codes;
use crate::event::{Author, Direction, Event, Kind, Part, Turn};
use crate::protocol::Endpoint;
use crate::protocol::conversation::{Attribution, Calls, TurnRole, Turns, author_of};
use crate::protocol::reader::{Origin, Reader, Roles, Row, Type};
use crate::wire::json::{self, Value};

const ROLES: Roles = &[
    ("user", Author::User),
    ("assistant", Author::Assistant),
    ("system", Author::System),
];

const OUTPUT_FORMAT: Type = Type::Object(&[
    ("type", Type::Word("json_schema|text")),
    ("schema", Type::Tree(Part::Definition)),
]);
const EFFORT: Type = Type::Word("low|medium|high|xhigh|max");
const OUTPUT_CONFIG: Type = Type::Object(&[
    ("effort", EFFORT),
    ("format", OUTPUT_FORMAT),
    (
        "task_budget",
        Type::Object(&[
            ("type", Type::Word("tokens")),
            ("total", Type::Number),
            ("remaining", Type::Number),
        ]),
    ),
]);
const THINKING: Type = Type::Object(&[
    (
        "type",
        Type::Word("enabled|disabled|adaptive|between_tools"),
    ),
    ("budget_tokens", Type::Number),
    ("display", Type::Word("summarized|omitted|updates")),
    (
        "block_binding",
        Type::Object(&[("prefix_mismatch_behavior", Type::Word("error|drop_block"))]),
    ),
]);
const SPEED: Type = Type::Word("fast|standard");
const COUNTED: Type = Type::Object(&[
    (
        "type",
        Type::Word("input_tokens|tool_uses|thinking_turns|all"),
    ),
    ("value", Type::Number),
]);

const REQUEST: &[Row] = &[
    ("model", Type::Custom),
    ("models", Type::List(&Type::Model)),
    ("fallbacks", Type::Read(fallbacks)),
    ("messages", Type::Custom),
    ("system", Type::Custom),
    ("tools", Type::List(&Type::Read(tools::tool))),
    ("mcp_servers", Type::Custom),
    ("tool_choice", Type::Read(tool_choice)),
    ("stream", Type::Stream),
    ("max_tokens", Type::MaxTokens),
    ("container", Type::Read(container)),
    ("thread", Type::Read(thread)),
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("top_k", Type::Number),
    ("stop_sequences", Type::Tree(Part::Other)),
    (
        "metadata",
        Type::Object(&[("user_id", Type::Text(Part::Other))]),
    ),
    ("thinking", THINKING),
    ("output_config", OUTPUT_CONFIG),
    ("output_format", OUTPUT_FORMAT),
    ("cache_control", CACHE_CONTROL),
    ("service_tier", Type::Word("auto|standard_only")),
    ("speed", SPEED),
    (
        "context_management",
        Type::Object(&[(
            "edits",
            Type::List(&Type::Object(&[
                (
                    "type",
                    Type::Word(
                        "clear_tool_uses_20250919|clear_thinking_20251015|\
                         compact_20260112",
                    ),
                ),
                ("trigger", COUNTED),
                ("clear_at_least", COUNTED),
                ("pause_after_compaction", Type::Flag),
                ("instructions", Type::Text(Part::Other)),
            ])),
        )]),
    ),
    (
        "compaction",
        Type::Object(&[
            ("type", Type::Word("summarize")),
            ("instructions", Type::Text(Part::Other)),
        ]),
    ),
    (
        "diagnostics",
        Type::Object(&[("previous_message_id", Type::Id)]),
    ),
    (
        "billing_policy",
        Type::Object(&[
            ("type", Type::Word("billing_policy")),
            ("bill_to", Type::Word("self|user_profile")),
        ]),
    ),
    ("user_profile_id", Type::Id),
    ("workspace_id", Type::Id),
    // Vertex AI and Bedrock ask for these in the body.
    ("anthropic_version", Type::Id),
    ("anthropic_beta", Type::List(&Type::Id)),
];

/// Reads the body of a request for a message.
pub(in crate::protocol) fn request(reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
    let messages = root.get("messages");
    let list = messages.into_iter().flat_map(|list| list.elements());
    let turns = Turns::of(
        list.map(|message| TurnRole::of(&author_of(message, ROLES), holds_result(message))),
    );
    let has_toolset = root.get("tools").is_some_and(|tools| {
        tools.elements().any(|tool| {
            tool.get("type")
                .is_some_and(|kind| kind.is_text("mcp_toolset"))
        })
    });
    // First, so that the requested model leads the set, whatever the order of members.
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
    reader.rows(
        root,
        REQUEST,
        &origin,
        &mut |reader, key, value| match key {
            "messages" => {
                reader.conversation(
                    value,
                    "anthropic.messages",
                    &turns,
                    &mut calls,
                    &mut |reader, element, at, calls| message(reader, element, &turns, at, calls),
                );
            }
            "system" => content(reader, value, &system, &mut Calls::default()),
            "mcp_servers" => tools::mcp_servers(reader, value, has_toolset),
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
    const MESSAGE: &[Row] = &[
        ("role", Type::Role(ROLES)),
        ("content", Type::Custom),
        ("clear_at", Type::Word("next_user_message|never")),
        ("output_config", Type::Object(&[("effort", EFFORT)])),
    ];
    let from = author_of(message, ROLES);
    reader.reading.count_message(&from);
    let speaker = turns.attribution(from, at);
    reader.rows(
        message,
        MESSAGE,
        &speaker.origin,
        &mut |reader, _, value| content(reader, value, &speaker, calls),
    );
    reader.role_is_needed(message);
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
    const CHOICE: &[Row] = &[
        ("type", Type::Word("auto|any|tool|none")),
        ("name", Type::Name),
        ("disable_parallel_tool_use", Type::Flag),
    ];
    let kind = value.get("type");
    reader.reading.forces_tool |=
        kind.is_some_and(|kind| kind.is_text("any") || kind.is_text("tool"));
    let origin = Origin::of(Author::System, Part::Other);
    reader.plain_rows(value, CHOICE, &origin);
}

/// Models that response where the first refuses or is overloaded: a list of models with settings, of names (gateways), or
/// `default`, which the provider chooses.
fn fallbacks(reader: &mut Reader<'_>, value: Value<'_>) {
    const FALLBACK: &[Row] = &[
        ("model", Type::Model),
        ("max_tokens", Type::Number),
        ("output_config", OUTPUT_CONFIG),
        ("speed", SPEED),
        ("thinking", THINKING),
    ];
    let origin = Origin::of(Author::System, Part::Other);
    match value.kind() {
        json::ValueKind::String => {
            reader.word(value, "default");
            reader.reading.models.unknown = true;
        }
        _ => reader.array(value, |reader, fallback| match fallback.kind() {
            json::ValueKind::String => reader.model(fallback),
            _ => reader.plain_rows(fallback, FALLBACK, &origin),
        }),
    }
}

/// A sandbox that the provider keeps, with files and skills in it.
fn container(reader: &mut Reader<'_>, value: Value<'_>) {
    const CONTAINER: &[Row] = &[
        ("id", Type::State),
        (
            "skills",
            Type::List(&Type::Object(&[
                ("type", Type::Word("anthropic|custom")),
                ("skill_id", Type::State),
                ("version", Type::Id),
            ])),
        ),
    ];
    match value.kind() {
        json::ValueKind::String => reader.state(value),
        _ => {
            let origin = Origin::of(Author::System, Part::Other);
            reader.plain_rows(value, CONTAINER, &origin);
        }
    }
}

/// A conversation that the provider keeps.
fn thread(reader: &mut Reader<'_>, value: Value<'_>) {
    const THREAD: &[Row] = &[
        ("type", Type::Word("create|continue")),
        ("previous_message_id", Type::State),
    ];
    let origin = Origin::of(Author::System, Part::Other);
    reader.plain_rows(value, THREAD, &origin);
    reader.reading.continues_elsewhere |= value
        .get("previous_message_id")
        .is_some_and(|id| !id.is_null());
}

/// Tells of the request as a whole.
pub(in crate::protocol) fn add_request_event(reader: &mut Reader<'_>, root: Value<'_>) {
    reader.reading.params = Some(root.place());
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}
