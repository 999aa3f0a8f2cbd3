//! Google's Interactions: `POST …/interactions`, with a model or an agent, a conversation in steps, and answers that may come
//! later by `GET …/interactions/ID`.
//!
//! Source: Google's published SDK types and recorded exchanges.

mod removal;
mod steps;
mod stream;

use super::anthropic_shapes::tell_request;
use super::coverage::{ANSWER_WITH_RESULTS, ASKED, CONVERSATION, shown};
use super::gemini_shapes::error;
use super::json_edit::remove_members;
use super::reader::{Is, Key, Origin, Reader};
use super::stream::{BlockStream, StreamReader};
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Protocol, Removals, RequestContext,
    RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Part};
use crate::wire::json::{self, Edits, JsonBody, Value};

/// The format.
pub(super) struct GeminiInteractions;

const REQUEST: &[Key] = &[
    ("model", Is::Own),
    ("agent", Is::Own),
    ("agentConfig", Is::Own),
    ("input", Is::Own),
    ("systemInstruction", Is::Text(Part::Text)),
    ("tools", Is::Own),
    ("generationConfig", Is::Own),
    ("stream", Is::Own),
    ("background", Is::Flag),
    ("store", Is::Flag),
    ("previousInteractionId", Is::Own),
    ("cachedContent", Is::State),
    ("continuationToken", Is::State),
    ("responseFormat", Is::Tree(Part::Definition)),
    ("responseMimeType", Is::Own),
    (
        "responseModalities",
        Is::List(&Is::Word(&["text", "image", "audio", "video"])),
    ),
    ("labels", Is::Tree(Part::Other)),
    ("serviceTier", Is::Word(&["standard", "flex", "priority"])),
    (
        "webhookConfig",
        Is::Object(&[
            ("uris", Is::List(&Is::Url)),
            ("userMetadata", Is::Tree(Part::Other)),
        ]),
    ),
];
const RESPONSE: &[Key] = &[
    ("id", Is::Id),
    ("object", Is::Word(&["interaction"])),
    ("status", Is::Own),
    ("model", Is::Model),
    ("agent", Is::Name),
    ("role", Is::Word(&["model", "agent"])),
    ("steps", Is::Own),
    // Before steps, answers were a list of contents.
    ("outputs", Is::Own),
    ("usage", Is::Own),
    ("created", Is::Id),
    ("updated", Is::Id),
    ("serviceTier", Is::Word(&["standard", "flex", "priority"])),
    ("previousInteractionId", Is::Id),
    ("environmentId", Is::Id),
    ("continuationToken", Is::Opaque),
    ("errors", Is::Own),
    ("error", Is::Own),
];
const STATUSES: &[&str] = &[
    "in_progress",
    "requires_action",
    "completed",
    "failed",
    "cancelled",
    "incomplete",
    "budget_exceeded",
    "queued",
    "requires_continuation",
];

const ROWS: &[CoverageRow] = &[
    CoverageRow {
        route: shown("`POST …/interactions`"),
        request: CONVERSATION,
        answer: ANSWER_WITH_RESULTS,
        stream: ANSWER_WITH_RESULTS,
    },
    CoverageRow {
        route: shown("`GET`, `DELETE`, `POST …/cancel` of `…/interactions/{id}`"),
        request: ASKED,
        answer: ANSWER_WITH_RESULTS,
        stream: ANSWER_WITH_RESULTS,
    },
];

/// How the id of a response of our own begins.
const OWN: &str = "agentguard-";

fn is_own(id: Value<'_>) -> bool {
    id.text().is_some_and(|id| id.starts_with(OWN))
}

impl Protocol for GeminiInteractions {
    fn name(&self) -> &'static str {
        "gemini.interactions"
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

    fn coverage(&self) -> &'static [CoverageRow] {
        ROWS
    }

    fn dialect(&self) -> Dialect {
        Dialect::Google
    }

    fn read_request(&self, reader: &mut Reader<'_>, endpoint: &Endpoint) {
        reader.proto_json = true;
        let Some(body) = reader.body() else { return };
        let root = body.root();
        let system = Origin::of(Author::System, Part::Other);
        reader.keys(
            root,
            REQUEST,
            &system,
            &mut |reader, key, value| match key {
                "model" => reader.model_beside_path(value, &endpoint.model),
                // An agent takes whatever models it likes.
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
                "stream" => reader.reading.stream |= reader.boolean(value).unwrap_or(false),
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
        tell_request(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, _: &RequestContext) {
        reader.proto_json = true;
        let Some(body) = reader.body() else { return };
        interaction(reader, body.root());
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        let model = context.models.names.first().map(|model| &**model);
        let id = format!("{OWN}{}", denial.request_id);
        removal::denied_text(&denial.message(), &id, model)
    }

    fn remove_from_response(
        &self,
        json: &JsonBody<'_>,
        _: &RequestContext,
        removals: &Removals,
        edits: &mut Edits,
    ) -> Result<(), CannotRemove> {
        let body = json.body().ok_or(CannotRemove)?;
        removal::remove_from_response(body.root(), removals, edits)
    }

    fn restores(&self, _: &Endpoint) -> bool {
        true
    }

    /// A refused answer has an id that the provider never gave out: a client that goes on from it begins anew.
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

/// What an interaction says of itself, and its steps.
fn interaction(reader: &mut Reader<'_>, root: Value<'_>) {
    let origin = Origin::answer(0);
    reader.keys(
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
            "usage" => usage(reader, value, &origin),
            "errors" => reader.array(value, error),
            _ => error(reader, value),
        },
    );
}

fn agent_config(reader: &mut Reader<'_>, value: Value<'_>) {
    const CONFIG: &[Key] = &[
        (
            "type",
            Is::Word(&["antigravity", "code-mender", "deep-research", "dynamic"]),
        ),
        ("model", Is::Model),
        ("maxTotalTokens", Is::Number),
        ("thinkingSummaries", Is::Word(&["auto", "none"])),
        ("collaborativePlanning", Is::Flag),
    ];
    reader.known(value, CONFIG, &Origin::of(Author::System, Part::Other));
}

fn generation_config(reader: &mut Reader<'_>, value: Value<'_>) {
    const CONFIG: &[Key] = &[
        ("temperature", Is::Number),
        ("topP", Is::Number),
        ("seed", Is::Number),
        ("maxOutputTokens", Is::Own),
        ("stopSequences", Is::Tree(Part::Other)),
        (
            "thinkingLevel",
            Is::Word(&["minimal", "low", "medium", "high"]),
        ),
        ("thinkingSummaries", Is::Word(&["auto", "none"])),
        ("toolChoice", Is::Own),
    ];
    let origin = Origin::of(Author::System, Part::Other);
    reader.keys(
        value,
        CONFIG,
        &origin,
        &mut |reader, key, value| match key {
            "toolChoice" => tool_choice(reader, value),
            _ => {
                let tokens = value.as_u64();
                reader.value(value, Is::Number, &origin);
                reader.reading.max_tokens = reader.reading.max_tokens.max(tokens);
            }
        },
    );
}

/// A mode, or `{allowed_tools: {mode, tools}}`.
fn tool_choice(reader: &mut Reader<'_>, value: Value<'_>) {
    const MODE: Is = Is::Word(&["auto", "any", "none", "validated"]);
    let origin = Origin::of(Author::System, Part::Other);
    let mode = reader
        .get(value, "allowedTools")
        .and_then(|allowed| reader.get(allowed, "mode"))
        .unwrap_or(value);
    reader.reading.forces_tool |= mode.is_text("any");
    if value.kind() == json::ValueKind::String {
        reader.value(value, MODE, &origin);
    } else {
        const CHOICE: &[Key] = &[(
            "allowedTools",
            Is::Object(&[("mode", MODE), ("tools", Is::List(&Is::Name))]),
        )];
        reader.known(value, CHOICE, &origin);
    }
}

fn usage(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    let count = |name: &str| reader.get(value, name).and_then(|count| count.as_u64());
    let input = count("totalInputTokens");
    let output = count("totalOutputTokens");
    let cached = count("totalCachedTokens");
    let reasoning = count("totalThoughtTokens");
    let usage = &mut reader.reading.usage;
    usage.input_tokens = input;
    usage.output_tokens = output;
    usage.cached_tokens = cached;
    usage.reasoning_tokens = reasoning;
    reader.value(value, Is::Counts, origin);
}
