//! Google's Interactions: `POST …/interactions`, with a model or an agent, a conversation in steps, and answers that may come
//! later by `GET …/interactions/ID`.
//!
//! Source: Google's published SDK types and recorded exchanges.

mod removal;
mod steps;
mod stream;

use super::anthropic_shapes::add_request_event;
use super::coverage::{ASKED, CONVERSATION, RESPONSE_WITH_RESULTS, shown};
use super::gemini_shapes::error;
use super::json_edit::remove_members;
use super::reader::{Origin, Reader, Row, Type, UsageKeys};
use super::stream::{BlockStream, StreamReader};
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Protocol, RequestContext,
    ResponseEdit, RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Part};
use crate::wire::json::{self, Edits, Value};

/// The format.
pub(super) struct GeminiInteractions;

const REQUEST: &[Row] = &[
    ("model", Type::Custom),
    ("agent", Type::Custom),
    ("agentConfig", Type::Custom),
    ("input", Type::Custom),
    ("systemInstruction", Type::Text(Part::Text)),
    ("tools", Type::Custom),
    ("generationConfig", Type::Custom),
    ("stream", Type::Stream),
    ("background", Type::Flag),
    ("store", Type::Flag),
    ("previousInteractionId", Type::Custom),
    ("cachedContent", Type::State),
    ("continuationToken", Type::State),
    ("responseFormat", Type::Tree(Part::Definition)),
    ("responseMimeType", Type::Custom),
    (
        "responseModalities",
        Type::List(&Type::Word("text|image|audio|video")),
    ),
    ("labels", Type::Tree(Part::Other)),
    ("serviceTier", Type::Word("standard|flex|priority")),
    (
        "webhookConfig",
        Type::Object(&[
            ("uris", Type::List(&Type::Url)),
            ("userMetadata", Type::Tree(Part::Other)),
        ]),
    ),
];
const RESPONSE: &[Row] = &[
    ("id", Type::Id),
    ("object", Type::Word("interaction")),
    ("status", Type::Custom),
    ("model", Type::Model),
    ("agent", Type::Name),
    ("role", Type::Word("model|agent")),
    ("steps", Type::Custom),
    // Before steps, answers were a list of contents.
    ("outputs", Type::Custom),
    ("usage", Type::Usage(&USAGE)),
    ("created", Type::Id),
    ("updated", Type::Id),
    ("serviceTier", Type::Word("standard|flex|priority")),
    ("previousInteractionId", Type::Id),
    ("environmentId", Type::Id),
    ("continuationToken", Type::Opaque),
    ("errors", Type::Custom),
    ("error", Type::Custom),
];
const STATUSES: &str = "in_progress|requires_action|completed|failed|cancelled|incomplete|\
     budget_exceeded|queued|requires_continuation";

static FORMAT: Format = Format {
    name: "gemini.interactions",
    dialect: Dialect::Google,
    routes: &[],
    coverage: &[
        CoverageRow {
            route: shown("`POST …/interactions`"),
            request: CONVERSATION,
            response: RESPONSE_WITH_RESULTS,
            stream: RESPONSE_WITH_RESULTS,
        },
        CoverageRow {
            route: shown("`GET`, `DELETE`, `POST …/cancel` of `…/interactions/{id}`"),
            request: ASKED,
            response: RESPONSE_WITH_RESULTS,
            stream: RESPONSE_WITH_RESULTS,
        },
    ],
};

/// Prefix of the id of a response that the filter creates.
const OWN: &str = "agentguard-";

fn is_own(id: Value<'_>) -> bool {
    id.text().is_some_and(|id| id.starts_with(OWN))
}

impl Protocol for GeminiInteractions {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let (last, before) = head.path.segments.split_last()?;
        let is = |segment: Option<&String>, word: &str| {
            segment.is_some_and(|segment| segment.eq_ignore_ascii_case(word))
        };
        let of_one = is(before.last(), "interactions");
        match head.method {
            "POST" if is(Some(last), "interactions") => Some(Endpoint::named("interactions")),
            "POST"
                if is(Some(last), "cancel") && is(before.iter().rev().nth(1), "interactions") =>
            {
                Some(Endpoint::without_body("interactions.cancel"))
            }
            "GET" if of_one => Some(Endpoint::without_body("interactions.get")),
            "DELETE" if of_one => Some(Endpoint::without_body("interactions.delete")),
            _ => None,
        }
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        reader.proto_json = true;
        let system = Origin::of(Author::System, Part::Other);
        reader.rows(
            root,
            REQUEST,
            &system,
            &mut |reader, key, value| match key {
                "model" => reader.model_beside_path(value, &endpoint.model),
                // An agent chooses its models itself.
                "agent" => {
                    if let Some(agent) = reader.name(value) {
                        reader.reading.agent = Some(agent.into());
                        reader.reading.models.unknown = true;
                    }
                }
                "agentConfig" => agent_config(reader, value),
                "input" => steps::input(reader, value),
                "tools" => reader.array(value, steps::tool),
                "generationConfig" => generation_config(reader, value),
                // One of ours does not leave.
                "previousInteractionId" if is_own(value) => reader.id(value),
                "previousInteractionId" => {
                    reader.state(value);
                    reader.reading.continues_elsewhere |= !value.is_null();
                }
                _ => {
                    reader.reading.structured_output |= value.is_text("application/json");
                    reader.media_type(value);
                }
            },
        );
        let format = reader.get(root, "responseFormat");
        reader.reading.structured_output |= format.is_some_and(|format| !format.is_null());
        if reader
            .get(root, "input")
            .is_none_or(|input| input.is_null())
        {
            reader.problem(codes::AG2001, root, "`input` is missing");
        }
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        reader.proto_json = true;
        interaction(reader, root);
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        let model = context.models.names.first().map(|model| &**model);
        let id = format!("{OWN}{}", denial.request_id);
        removal::denied_text(&denial.message(), &id, model)
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        removal::remove_from_response(edit.root, edit.removals, edit.edits)
    }

    fn restores(&self, _: &Endpoint) -> bool {
        true
    }

    /// A denied response has an id that is unknown to the provider: a client that continues from it starts over.
    fn restore(&self, root: Value<'_>, edits: &mut Edits) {
        for name in ["previous_interaction_id", "previousInteractionId"] {
            if root.get(name).is_some_and(is_own) {
                remove_members(root, &[name], edits);
            }
        }
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(BlockStream::new(stream::STEP_STREAM, context)))
    }
}

/// Reads an interaction: its own members, and its steps.
fn interaction(reader: &mut Reader<'_>, root: Value<'_>) {
    let origin = Origin::answer(0);
    reader.rows(
        root,
        RESPONSE,
        &origin,
        &mut |reader, key, value| match key {
            "steps" | "outputs" => steps::answer(reader, value),
            "status" => {
                if let Some(status) = value.text() {
                    reader.reading.finish.push(status.into());
                }
                reader.word(value, STATUSES);
            }
            "errors" => reader.array(value, error),
            _ => error(reader, value),
        },
    );
}

fn agent_config(reader: &mut Reader<'_>, value: Value<'_>) {
    const CONFIG: &[Row] = &[
        (
            "type",
            Type::Word("antigravity|code-mender|deep-research|dynamic"),
        ),
        ("model", Type::Model),
        ("maxTotalTokens", Type::Number),
        ("thinkingSummaries", Type::Word("auto|none")),
        ("collaborativePlanning", Type::Flag),
    ];
    reader.plain_rows(value, CONFIG, &Origin::of(Author::System, Part::Other));
}

fn generation_config(reader: &mut Reader<'_>, value: Value<'_>) {
    const CONFIG: &[Row] = &[
        ("temperature", Type::Number),
        ("topP", Type::Number),
        ("seed", Type::Number),
        ("maxOutputTokens", Type::MaxTokens),
        ("stopSequences", Type::Tree(Part::Other)),
        ("thinkingLevel", Type::Word("minimal|low|medium|high")),
        ("thinkingSummaries", Type::Word("auto|none")),
        ("toolChoice", Type::Custom),
    ];
    let origin = Origin::of(Author::System, Part::Other);
    reader.rows(value, CONFIG, &origin, &mut |reader, _, value| {
        tool_choice(reader, value)
    });
}

/// A mode, or `{allowed_tools: {mode, tools}}`.
fn tool_choice(reader: &mut Reader<'_>, value: Value<'_>) {
    const MODE: Type = Type::Word("auto|any|none|validated");
    let origin = Origin::of(Author::System, Part::Other);
    let mode = reader
        .get(value, "allowedTools")
        .and_then(|allowed| reader.get(allowed, "mode"))
        .unwrap_or(value);
    reader.reading.forces_tool |= mode.is_text("any");
    if value.kind() == json::ValueKind::String {
        reader.value(value, MODE, &origin);
    } else {
        const CHOICE: &[Row] = &[(
            "allowedTools",
            Type::Object(&[("mode", MODE), ("tools", Type::List(&Type::Name))]),
        )];
        reader.plain_rows(value, CHOICE, &origin);
    }
}

/// Counts of tokens.
const USAGE: UsageKeys = UsageKeys {
    input: "totalInputTokens",
    output: "totalOutputTokens",
    cached: "totalCachedTokens",
    reasoning: "totalThoughtTokens",
    other_input: "totalToolUseTokens",
    other_output: "totalThoughtTokens",
    total: "",
};
