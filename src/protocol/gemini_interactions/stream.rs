//! An interaction that streams: `interaction.created`, then steps, each with its start, its deltas and its stop, then
//! `interaction.completed`. Before there were steps, contents came in the same way.
//!
//! Source: Google's published SDK types and recorded exchanges.

use super::removal::{describe, remove_from_response};
use super::steps::{ANNOTATION, CALL, answering, content, contents, step};
use super::{STATUSES, interaction};
use crate::diag::codes;
use crate::event::{Class, Part};
use crate::protocol::client_blocks::ClientBlocks;
use crate::protocol::conversation::Calls;
use crate::protocol::gemini_shapes::error;
use crate::protocol::json_edit::{ObjectWriter, tag};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::stream::{
    CallDelta, CallKey, ChangesByText, Delta, EvaluatedCall, HeldFrame, HeldFrames, KeepAlive,
    OrderingGroups, StreamReader, SyntheticFrame, TextDelta, TextKey, block_number,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Removals, RequestContext};
use crate::wire::json::{self, Value};

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
/// What a delta adds to a step. Clients go by its type or by its members: all are read, whichever stand together.
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

/// How events of a step are called, or of what there was before steps.
struct EventNames {
    start: &'static str,
    delta: &'static str,
    stop: &'static str,
    /// The member that holds what begins, and an empty text there.
    member: &'static str,
    empty: &'static [u8],
}

const STEPS: EventNames = EventNames {
    start: "step.start",
    delta: "step.delta",
    stop: "step.stop",
    member: "step",
    empty: br#"{"type":"model_output"}"#,
};
const CONTENTS: EventNames = EventNames {
    start: "content.start",
    delta: "content.delta",
    stop: "content.stop",
    member: "content",
    empty: br#"{"type":"text","text":""}"#,
};

/// A streamed interaction.
pub(super) struct InteractionStream {
    names: &'static EventNames,
    /// What a refusal repeats.
    id: String,
    model: Option<String>,
    /// Number of the next step.
    next: u32,
    /// Names of the tools that were called, by the id of the call.
    callers: Calls,
    /// Calls of the client's functions, and how many of them were taken out.
    calls: usize,
    taken: usize,
    /// What the client has.
    sent: ClientBlocks,
}

impl InteractionStream {
    pub(super) fn new(context: &RequestContext) -> InteractionStream {
        InteractionStream {
            names: &STEPS,
            id: String::new(),
            model: context.models.names.first().map(|model| model.to_string()),
            next: 0,
            callers: Calls::default(),
            calls: 0,
            taken: 0,
            sent: ClientBlocks::default(),
        }
    }

    /// The number of an event's step.
    fn index(&self, reader: &mut Reader<'static>, event: Value<'_>) -> u32 {
        index_of(event).unwrap_or_else(|| {
            let what = "a step without its number";
            reader.problem(codes::AG2014, event, what);
            0
        })
    }

    fn interaction(&mut self, reader: &mut Reader<'static>, value: Value<'_>, is_over: bool) {
        self.id = tag(value.get("id"), "").into_owned();
        let model = tag(value.get("model"), "");
        if !model.is_empty() {
            self.model = Some(model.into_owned());
        }
        let first = reader.reading.events.len();
        interaction(reader, value);
        if !is_over {
            reader.reading.finish.clear();
        }
        // All steps once more.
        for event in reader.reading.events.iter_mut().skip(first) {
            event.retold = true;
        }
    }

    fn start(&mut self, reader: &mut Reader<'static>, event: Value<'_>, value: Value<'_>) {
        let index = self.index(reader, event);
        if index < self.next {
            // Clients go on with the first step of a number, others with the last.
            let what = "a step with the number of another one";
            reader.problem(codes::AG2014, event, what);
        }
        self.next = self.next.max(index.saturating_add(1));
        let kind = value.get("type").and_then(|kind| kind.text());
        match kind.as_deref().and_then(called_tool) {
            Some(tool) => {
                let provider_run = tool != "function";
                if !provider_run {
                    self.calls = self.calls.saturating_add(1);
                }
                reader.call_piece(event, index, CallDelta::Begin { provider_run });
                if provider_run && reader.get(value, "name").is_none() {
                    reader.call_piece(event, index, CallDelta::Named(tool.into()));
                }
                self.call(reader, event, value, index);
            }
            None => {
                let speaker = answering(text_of(index));
                step(reader, value, &speaker, &mut self.callers);
            }
        }
    }

    /// A call, or more of it.
    fn call(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        value: Value<'_>,
        index: u32,
    ) {
        let origin = Origin::answer(0);
        let mut name = None;
        reader.rows(value, CALL, &origin, &mut |reader, key, member| {
            if key == "name" {
                name = reader.name(member).map(Box::from);
                reader.call_piece(event, index, CallDelta::Name(member.place()));
                return;
            }
            reader.claim_all(member);
            // An empty object stands for what the deltas will say.
            let is_empty =
                member.kind() == json::ValueKind::Object && member.members().next().is_none();
            if !member.is_null() && !is_empty {
                reader.call_piece(event, index, CallDelta::Arguments(member.place()));
            }
        });
        let id = value.get("id").and_then(|id| id.text());
        if let (Some(name), Some(id)) = (name, id) {
            self.callers.add(&id, &name);
        }
    }

    fn delta(&mut self, reader: &mut Reader<'static>, event: Value<'_>, delta: Value<'_>) {
        let index = self.index(reader, event);
        let kind = delta.get("type").and_then(|kind| kind.text());
        let kind = kind.as_deref().unwrap_or_default();
        let origin = text_of(index);
        let whole = answering(Origin::answer(0));
        if kind == "arguments_delta" {
            self.call(reader, event, delta, index);
            return;
        }
        if let Some(tool) = called_tool(kind) {
            let provider_run = tool != "function";
            reader.call_piece(event, index, CallDelta::Begin { provider_run });
            self.call(reader, event, delta, index);
            return;
        }
        if kind.ends_with("_result") {
            step(reader, delta, &whole, &mut self.callers);
            return;
        }
        if matches!(kind, "image" | "audio" | "document" | "video") {
            content(reader, delta, &whole);
            return;
        }
        reader.rows(
            delta,
            DELTA,
            &origin.whole(),
            &mut |reader, key, value| match key {
                "text" => {
                    reader.text(value, &origin);
                }
                // The signature covers the summary.
                _ => reader.in_signed(true, |reader| {
                    let thinking = answering(origin.with_part(Part::Reasoning));
                    contents(reader, value, &thinking);
                }),
            },
        );
        // A kind of delta that nobody knows may say its text in pieces, too.
        for (key, value) in delta.members() {
            let is_text = value.kind() == json::ValueKind::String && !key.is_text("type");
            if is_text && !reader.is_claimed_value(value) {
                reader.claim(value);
                let piece = TextDelta::new(
                    TextKey::block(index, Part::Other),
                    value.place(),
                    Class::Unknown,
                );
                reader.piece(Delta::Text(piece));
            }
        }
    }

    fn stop(&mut self, reader: &mut Reader<'static>, event: Value<'_>) {
        let index = self.index(reader, event);
        for part in [Part::Text, Part::Reasoning, Part::Other] {
            reader.piece(Delta::TextEnd(TextKey::block(index, part)));
        }
        reader.piece(Delta::CallsEnd(vec![CallKey::block(index)]));
    }

    fn text_delta(&self, index: u32, text: &str) -> SyntheticFrame {
        event(self.names.delta, |event| {
            event.number("index", u64::from(index));
            event.member("delta", |out| {
                let mut delta = ObjectWriter::begin(out);
                delta.text("type", "text");
                delta.text("text", text);
                delta.end();
            });
        })
    }

    fn step_stop(&self, index: u32) -> SyntheticFrame {
        event(self.names.stop, |event| {
            event.number("index", u64::from(index));
        })
    }

    fn described(&self, kind: &'static str, status: &str, denial: &Denial) -> SyntheticFrame {
        let id = match self.id.as_str() {
            "" => format!("{}{}", super::OWN, denial.request_id),
            id => id.to_owned(),
        };
        event(kind, |event| {
            event.member("interaction", |out| {
                let mut object = ObjectWriter::begin(out);
                describe(&mut object, status, &id, self.model.as_deref());
                object.end();
            });
        })
    }
}

/// The tool that a kind of step calls.
fn called_tool(kind: &str) -> Option<&str> {
    kind.strip_suffix("_call")
}

fn index_of(event: Value<'_>) -> Option<u32> {
    block_number(event, "index")
}

/// The origin of a step's text.
fn text_of(index: u32) -> Origin {
    Origin {
        piece_of: Some(index),
        ..Origin::answer(0)
    }
}

/// An event of our own.
fn event(kind: &'static str, rest: impl FnOnce(&mut ObjectWriter<'_>)) -> SyntheticFrame {
    let mut out = Vec::with_capacity(128);
    let mut object = ObjectWriter::begin(&mut out);
    rest(&mut object);
    object.text("event_type", kind);
    object.end();
    SyntheticFrame::new(Some(kind), out)
}

/// What kind of event it is.
fn kind_of<'v>(event: Value<'v>) -> Option<std::borrow::Cow<'v, str>> {
    event
        .get("event_type")
        .or_else(|| event.get("eventType"))?
        .text()
}

impl StreamReader for InteractionStream {
    fn read(&mut self, reader: &mut Reader<'static>, name: Option<&str>) {
        reader.proto_json = true;
        reader.frame.lanes = OrderingGroups::of(0);
        let Some(body) = reader.body() else { return };
        let root = body.root();
        let kind = kind_of(root);
        let kind = kind.as_deref().unwrap_or_default();
        if name.is_some_and(|name| name != kind) {
            let what = "an event whose name is not its type".to_owned();
            reader.problem(codes::AG2014, root, &what);
        }
        if kind == CONTENTS.start {
            self.names = &CONTENTS;
        }
        let is_over = matches!(kind, "interaction.completed" | "interaction.complete");
        reader.rows(
            root,
            EVENT,
            &Origin::answer(0),
            &mut |reader, key, value| match key {
                "interaction" => self.interaction(reader, value, is_over),
                "step" | "content" => self.start(reader, root, value),
                "delta" => self.delta(reader, root, value),
                _ => error(reader, value),
            },
        );
        if kind == self.names.stop {
            self.stop(reader, root);
        }
        reader.frame.last = is_over;
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        payload.trim_ascii() == b"[DONE]"
    }

    fn text_at(&self, channel: &TextKey) -> String {
        match channel.part {
            Part::Text => format!("#step/{}", channel.item),
            part => format!("#step/{}/{}", channel.item, part.word()),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#step/{}", key.item)
    }

    fn remove_calls(
        &mut self,
        calls: &[EvaluatedCall],
        _: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        for call in calls {
            let Some(text) = &call.denied else { continue };
            let mut numbers = call.pieces.iter().map(|(number, _)| *number);
            let first = numbers.next().ok_or(CannotRemove)?;
            let frame = frames.get(first).ok_or(CannotRemove)?;
            let body = frame.json.as_ref().and_then(|json| json.body());
            let body = body.ok_or(CannotRemove)?;
            let begun = body.root().get(self.names.member).ok_or(CannotRemove)?;
            frame.edits.replace(begun, self.names.empty.to_vec());
            frame.after.push(self.text_delta(call.key.item, text));
            for number in numbers.filter(|number| *number != first) {
                frames.get(number).ok_or(CannotRemove)?.dropped = true;
            }
            self.taken = self.taken.saturating_add(1);
        }
        Ok(())
    }

    fn remove_from_response(
        &mut self,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        let body = frame.json.as_ref().and_then(|json| json.body());
        let body = body.ok_or(CannotRemove)?;
        match body.root().get("interaction") {
            Some(interaction) => remove_from_response(interaction, removals, &mut frame.edits),
            None => removals.only_edits(),
        }
    }

    fn counts_frames(&self) -> bool {
        true
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        let Some(body) = frame.json.as_ref().and_then(|json| json.body()) else {
            return;
        };
        let root = body.root();
        let kind = kind_of(root);
        let kind = kind.as_deref().unwrap_or_default();
        let index = index_of(root);
        self.sent.has_begun |= root.get("interaction").is_some();
        self.sent.has_ended |= matches!(kind, "interaction.completed" | "interaction.complete");
        match index {
            Some(index) if kind == self.names.start => self.sent.open(index),
            Some(index) if kind == self.names.stop => self.sent.close(index),
            _ => {}
        }
        let interaction = root.get("interaction");
        let statuses = [
            root.get("status"),
            interaction.and_then(|it| it.get("status")),
        ];
        for status in statuses.into_iter().flatten() {
            let is_no_call_left = self.taken > 0 && self.taken >= self.calls;
            if is_no_call_left && status.is_text("requires_action") {
                frame.edits.replace(status, br#""completed""#.to_vec());
            }
        }
        // Annotations point into the text.
        let is_changed =
            index.is_some_and(|index| changes.contains_key(&TextKey::block(index, Part::Text)));
        let annotations = root.get("delta").and_then(|delta| delta.get("annotations"));
        if let Some(annotations) = annotations.filter(|_| is_changed) {
            frame.edits.replace(annotations, b"[]".to_vec());
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        if as_error || self.sent.has_ended {
            let mut out = br#"{"event_type":"error","#.to_vec();
            let body = Dialect::Google.body(denial);
            out.extend_from_slice(body.get(1..).unwrap_or_default());
            return vec![SyntheticFrame::new(Some("error"), out)];
        }
        let mut made = Vec::with_capacity(7);
        if !self.sent.has_begun {
            made.push(self.described("interaction.created", "in_progress", denial));
        }
        made.extend(self.sent.open.iter().map(|index| self.step_stop(*index)));
        let index = self.sent.next;
        made.push(event(self.names.start, |event| {
            event.number("index", u64::from(index));
            event.member(self.names.member, |out| {
                out.extend_from_slice(self.names.empty);
            });
        }));
        made.push(self.text_delta(index, &denial.message()));
        made.push(self.step_stop(index));
        made.push(self.described("interaction.completed", "completed", denial));
        made.push(SyntheticFrame::new(Some("done"), b"[DONE]".to_vec()));
        made
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::Bytes(b": keep-alive\n\n"))
    }
}
