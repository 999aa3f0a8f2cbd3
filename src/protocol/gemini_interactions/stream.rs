//! Streamed interactions: `interaction.created`, then steps, each with its start, its deltas and its stop, then
//! `interaction.completed`. Before there were steps, contents came in the same way.
//!
//! ```text
//! {"interaction":{"id":"v1_1","object":"interaction","status":"in_progress","model":"gemini-3-pro"},"event_type":"interaction.created"}
//! {"index":0,"step":{"type":"model_output"},"event_type":"step.start"}
//! {"index":0,"delta":{"type":"text","text":"Let me see."},"event_type":"step.delta"}
//! {"index":0,"event_type":"step.stop"}
//! {"index":1,"step":{"type":"function_call","id":"fc_1","name":"weather","arguments":{}},"event_type":"step.start"}
//! {"index":1,"delta":{"type":"arguments_delta","arguments":"{\"city\":\"Bern\"}"},"event_type":"step.delta"}
//! {"index":1,"event_type":"step.stop"}
//! {"interaction":{"id":"v1_1","object":"interaction","status":"requires_action"},"event_type":"interaction.completed"}
//! [DONE]
//! ```
//!
//! Source: Google's published SDK types and recorded exchanges.

use super::removal::{describe, remove_from_response};
use super::steps::{ANNOTATION, CALL, answering, content, contents, step};
use super::{STATUSES, interaction};
use crate::event::Part;
use crate::protocol::gemini_shapes::error;
use crate::protocol::json_edit::{ObjectWriter, tag};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::stream::{
    BlockEvent, BlockSpec, BlockStream, CallDelta, DONE, HeldFrame, KeepAlive, KindIn,
    SyntheticFrame, TextKey,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Removals};
use crate::wire::json::Value;

const EVENT: &[Row] = &[
    ("eventType", Type::Word(EVENTS)),
    ("eventId", Type::Id),
    ("index", Type::Number),
    ("interaction", Type::Custom),
    ("interactionId", Type::Id),
    ("status", Type::Word(STATUSES)),
    ("step", Type::Custom),
    ("content", Type::Custom),
    ("delta", Type::Custom),
    ("error", Type::Custom),
    ("metadata", Type::Counts),
];
const EVENTS: &str = "interaction.created|interaction.start|interaction.status_update|\
     interaction.completed|interaction.complete|step.start|step.delta|step.stop|\
     content.start|content.delta|content.stop|error";
/// Members of a delta. Clients select by its type or by its members, so all are read, in any combination.
const DELTA: &[Row] = &[
    (
        "type",
        Type::Word(
            "text|thought_summary|thought_signature|text_annotation|\
             text_annotation_delta",
        ),
    ),
    ("text", Type::Custom),
    ("content", Type::Custom),
    ("annotations", Type::List(&Type::Object(ANNOTATION))),
    ("signature", Type::Opaque),
];

/// A streamed interaction as it was before there were steps.
const CONTENT_STREAM: &BlockSpec = &BlockSpec {
    kind: KindIn::Last("eventType", "event_type"),
    event: EVENT,
    proto_json: true,
    index: "index",
    noun: "step",
    place: "step",
    start: "content.start",
    delta: "content.delta",
    stop: "content.stop",
    begins: &["interaction.created", "interaction.start"],
    ends: COMPLETED,
    last: COMPLETED,
    begun: &["content", "step"],
    added: "delta",
    call: CALL,
    call_id: "id",
    runs: &[],
    empty_text: Some(br#"{"type":"text","text":""}"#),
    blank: None,
    text_delta: br#"{"type":"text","text":"#,
    finish: &[&["status"], &["interaction", "status"]],
    finish_calls: "requires_action",
    finish_plain: br#""completed""#,
    before: None,
    has_done: true,
    member,
    read_start,
    read_delta,
    remove,
    correct: |event, step, edits, changes| {
        // Annotations point into the text.
        let annotations = event
            .get("delta")
            .and_then(|delta| delta.get("annotations"));
        let text = step.map(|step| TextKey::block(step, Part::Text));
        let is_changed = text.is_some_and(|text| changes.contains_key(&text));
        if let Some(annotations) = annotations.filter(|_| is_changed) {
            edits.replace(annotations, b"[]".to_vec());
        }
    },
    denied_begin: |stream, denial| described(stream, "interaction.created", "in_progress", denial),
    denied_end: |stream, denial| {
        let end = described(stream, "interaction.completed", "completed", denial);
        let done = SyntheticFrame::new(Some("done"), DONE.to_vec());
        vec![end, done]
    },
    error: |denial| {
        SyntheticFrame::typed_error(Some("error"), "event_type", Dialect::Google, denial)
    },
    keep_alive: || Some(KeepAlive::COMMENT),
};

/// A streamed interaction.
pub(super) const STEP_STREAM: &BlockSpec = &BlockSpec {
    start: "step.start",
    delta: "step.delta",
    stop: "step.stop",
    begun: &["step", "content"],
    empty_text: Some(br#"{"type":"model_output"}"#),
    before: Some(CONTENT_STREAM),
    ..*CONTENT_STREAM
};
const COMPLETED: &[&str] = &["interaction.completed", "interaction.complete"];

fn member(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    kind: &str,
    key: &str,
    value: Value<'_>,
) {
    if key != "interaction" {
        error(reader, value);
        return;
    }
    stream.id = tag(value.get("id"), "").into_owned();
    let model = tag(value.get("model"), "");
    if !model.is_empty() {
        stream.model = Some(model.into_owned());
    }
    let first = reader.reading.events.len();
    interaction(reader, value);
    if !COMPLETED.contains(&kind) {
        reader.reading.finish.clear();
    }
    // All steps once more.
    reader.mark_copies(first);
}

fn read_start(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    at: BlockEvent<'_>,
    value: Value<'_>,
) {
    let kind = value.get("type").and_then(|kind| kind.text());
    match kind.as_deref().and_then(called_tool) {
        Some(tool) => {
            let provider_run = tool != "function";
            let is_named = reader.get(value, "name").is_some();
            let tool = Some(tool).filter(|_| provider_run && !is_named);
            stream.begin_call(reader, at, value, provider_run, tool);
        }
        None => {
            let speaker = answering(Origin::piece(at.index));
            step(reader, value, &speaker, &mut stream.names);
        }
    }
}

fn read_delta(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    at: BlockEvent<'_>,
    delta: Value<'_>,
) {
    let kind = delta.get("type").and_then(|kind| kind.text());
    let kind = kind.as_deref().unwrap_or_default();
    let origin = Origin::piece(at.index);
    let whole = answering(Origin::answer(0));
    match (kind, called_tool(kind)) {
        ("arguments_delta", _) => stream.call(reader, at, delta),
        (_, Some(tool)) => {
            let provider_run = tool != "function";
            at.call_piece(reader, CallDelta::Begin { provider_run });
            stream.call(reader, at, delta);
        }
        ("image" | "audio" | "document" | "video", _) => content(reader, delta, &whole),
        (kind, _) if kind.ends_with("_result") => step(reader, delta, &whole, &mut stream.names),
        _ => reader.rows(delta, DELTA, &origin.whole(), &mut |reader, key, value| {
            if key == "text" {
                reader.text(value, &origin);
                return;
            }
            // The signature covers the summary.
            reader.in_signed(true, |reader| {
                let thinking = answering(origin.with_part(Part::Reasoning));
                contents(reader, value, &thinking, &mut stream.names);
            });
        }),
    }
}

fn remove(
    _: &mut BlockStream,
    frame: &mut HeldFrame,
    removals: &Removals,
) -> Result<(), CannotRemove> {
    let body = frame.body().ok_or(CannotRemove)?;
    match body.root().get("interaction") {
        Some(interaction) => remove_from_response(interaction, removals, &mut frame.edits),
        None => removals.only_edits(),
    }
}

/// An event with the interaction, as far as a denial knows it.
fn described(
    stream: &BlockStream,
    kind: &'static str,
    status: &str,
    denial: &Denial,
) -> SyntheticFrame {
    let id = stream.denied_id(denial);
    stream.event(kind, &|event| {
        event.member("interaction", |out| {
            let mut object = ObjectWriter::begin(out);
            describe(&mut object, status, &id, stream.model.as_deref());
            object.end();
        });
    })
}

/// The tool that a kind of step calls.
fn called_tool(kind: &str) -> Option<&str> {
    kind.strip_suffix("_call")
}
