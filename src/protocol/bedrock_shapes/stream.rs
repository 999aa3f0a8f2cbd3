//! A response of Converse that streams: `messageStart`, then blocks, then `messageStop` and `metadata`. Blocks of text have no
//! start. Nova puts each delta into a block of its own, so that a text goes on from block to block.
//!
//! Source: AWS's service model (`ConverseStreamOutput`) and recorded exchanges.

use super::answer::{STOP_REASONS, USAGE};
use super::content::{CITATION, SERVER_CALL, file};
use crate::diag::codes;
use crate::event::{Class, Event, Kind, Known, Part, Turn};
use crate::protocol::client_blocks::ClientBlocks;
use crate::protocol::conversation::{Attribution, Calls};
use crate::protocol::json_edit::{ObjectWriter, remove_members};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::stream::{
    CallDelta, CallKey, ChangesByText, Delta, EvaluatedCall, HeldFrame, HeldFrames, OrderingGroups,
    StreamReader, SyntheticFrame, TextDelta, TextKey, block_number,
};
use crate::protocol::{CannotRemove, Denial, Dialect};
use crate::wire::json::{self, Value};

/// Nova's own form in InvokeModel: the event under its name.
const NAMED: &[Row] = &[
    ("messageStart", Type::Custom),
    ("contentBlockStart", Type::Custom),
    ("contentBlockDelta", Type::Custom),
    ("contentBlockStop", Type::Custom),
    ("messageStop", Type::Custom),
    ("metadata", Type::Custom),
    ("amazon-bedrock-invocationMetrics", Type::Counts),
    ("amazon-bedrock-guardrailAction", Type::Constant),
    ("amazon-bedrock-trace", Type::Tree(Part::Other)),
];
/// Members of all events. `p` is padding against traffic analysis.
const EVENT: &[Row] = &[
    ("role", Type::Word("assistant")),
    ("contentBlockIndex", Type::Number),
    ("start", Type::Custom),
    ("delta", Type::Custom),
    ("stopReason", Type::Custom),
    ("additionalModelResponseFields", Type::Tree(Part::Other)),
    ("usage", Type::Usage(&USAGE)),
    ("metrics", Type::Counts),
    ("trace", Type::Tree(Part::Other)),
    (
        "performanceConfig",
        Type::Object(&[("latency", Type::Word("standard|optimized"))]),
    ),
    (
        "serviceTier",
        Type::Object(&[("type", Type::Word("priority|default|flex|reserved"))]),
    ),
    ("p", Type::Id),
];
const START: &[Row] = &[
    ("toolUse", Type::Custom),
    ("toolResult", Type::Custom),
    ("image", Type::Object(&[("format", Type::Id)])),
];
const CALL: &[Row] = &[
    ("toolUseId", Type::Id),
    ("name", Type::Custom),
    ("type", Type::Word("tool_use|server_tool_use")),
];
const DELTA: &[Row] = &[
    ("text", Type::Custom),
    ("toolUse", Type::Custom),
    ("toolResult", Type::Custom),
    ("reasoningContent", Type::Custom),
    ("citation", Type::Object(CITATION)),
    ("image", Type::Custom),
];
const REASONING: &[Row] = &[
    ("text", Type::Custom),
    ("signature", Type::Opaque),
    ("redactedContent", Type::Opaque),
];

/// A streamed response.
#[derive(Debug)]
pub(in crate::protocol) struct ConverseStream {
    /// Events stand under their names, as Nova's own do.
    is_named: bool,
    /// The text that goes on: which part, and the number of its channel.
    running: Option<Part>,
    run: u32,
    /// The block that said the last of it, and its kind.
    said_in: Option<(u32, Part)>,
    /// A number above those of all blocks that have begun with a start.
    next: u32,
    /// Names of the tools that were called: by the id of the call.
    names: Calls,
    /// The tool whose result stands in the block that has begun last.
    answering: Known<Box<str>>,
    /// Calls of the client's tools, and how many of them were taken out.
    calls: usize,
    taken: usize,
    /// What the client has.
    sent: ClientBlocks,
}

impl ConverseStream {
    pub(in crate::protocol) fn new(is_named: bool) -> ConverseStream {
        ConverseStream {
            is_named,
            running: None,
            run: 0,
            said_in: None,
            next: 0,
            names: Calls::default(),
            answering: Known::Unknown,
            calls: 0,
            taken: 0,
            sent: ClientBlocks::default(),
        }
    }

    fn event(&mut self, reader: &mut Reader<'static>, name: &str, event: Value<'_>) {
        let origin = Origin::answer(0);
        reader.rows(event, EVENT, &origin, &mut |reader, key, value| match key {
            "start" => self.start(reader, event, value),
            "delta" => self.delta(reader, event, value),
            _ => {
                if let Some(reason) = value.text() {
                    reader.reading.finish.push(reason.into());
                }
                reader.word(value, STOP_REASONS);
            }
        });
        match name {
            "contentBlockStop" => {
                let index = self.index(reader, event);
                reader.piece(Delta::TextEnd(TextKey::block(index, Part::Other)));
                reader.piece(Delta::CallsEnd(vec![CallKey::block(index)]));
            }
            "messageStop" => reader.piece(Delta::End(Some(0))),
            "metadata" => reader.frame.last = true,
            _ => {}
        }
    }

    /// The number of an event's block.
    fn index(&self, reader: &mut Reader<'static>, event: Value<'_>) -> u32 {
        index_of(event).unwrap_or_else(|| {
            let what = "a block without its number";
            reader.problem(codes::AG2014, event, what);
            0
        })
    }

    fn start(&mut self, reader: &mut Reader<'static>, event: Value<'_>, start: Value<'_>) {
        let index = self.index(reader, event);
        if index < self.next {
            // Clients go on with the first block of a number, others with the last.
            let what = "a block with the number of another one";
            reader.problem(codes::AG2014, event, what);
        }
        self.next = self.next.max(index.saturating_add(1));
        self.end_run(reader);
        let origin = Origin::answer(0);
        reader.rows(start, START, &origin, &mut |reader, key, value| {
            if key == "toolUse" {
                self.begin_call(reader, event, value, index);
            } else {
                self.begin_result(reader, value);
            }
        });
    }

    fn begin_call(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        value: Value<'_>,
        index: u32,
    ) {
        let provider_run = value
            .get("type")
            .is_some_and(|kind| kind.is_text(SERVER_CALL));
        reader.call_piece(event, index, CallDelta::Begin { provider_run });
        let mut name = None;
        reader.rows(value, CALL, &Origin::answer(0), &mut |reader, _, member| {
            name = reader.name(member).map(Box::from);
            reader.call_piece(event, index, CallDelta::Name(member.place()));
        });
        let id = value.get("toolUseId").and_then(|id| id.text());
        if let (Some(name), Some(id)) = (name, id) {
            self.names.add(&id, &name);
        }
        if !provider_run {
            self.calls = self.calls.saturating_add(1);
        }
    }

    /// The result of a tool that the provider ran.
    fn begin_result(&mut self, reader: &mut Reader<'static>, value: Value<'_>) {
        const RESULT: &[Row] = &[
            ("toolUseId", Type::Id),
            ("status", Type::Word("success|error")),
            ("type", Type::Id),
        ];
        reader.plain_rows(value, RESULT, &Origin::answer(0));
        let id = value.get("toolUseId").and_then(|id| id.text());
        let called = id.and_then(|id| self.names.answer(&id));
        self.answering = called.unwrap_or(Known::Unknown);
    }

    fn delta(&mut self, reader: &mut Reader<'static>, event: Value<'_>, delta: Value<'_>) {
        let index = self.index(reader, event);
        let origin = Origin::answer(0);
        reader.rows(delta, DELTA, &origin, &mut |reader, key, value| {
            if value.is_null() {
                reader.claim(value);
                return;
            }
            match key {
                "text" => {
                    self.in_order(reader, event, index, Part::Text);
                    let origin = self.run_of(reader, Part::Text);
                    reader.text(value, &origin);
                }
                "reasoningContent" => {
                    self.in_order(reader, event, index, Part::Reasoning);
                    self.reasoning(reader, value);
                }
                "toolUse" => {
                    self.end_run(reader);
                    const INPUT: &[Row] = &[("input", Type::Custom)];
                    reader.rows(value, INPUT, &origin, &mut |reader, _, input| {
                        reader.claim_all(input);
                        reader.call_piece(event, index, CallDelta::Arguments(input.place()));
                    });
                }
                "toolResult" => self.result(reader, value, index),
                _ => {
                    let speaker = Attribution {
                        origin: origin.clone(),
                        calls: Turn::Latest,
                        is_result: false,
                    };
                    file(reader, value, &speaker, |count| &mut count.image);
                }
            }
        });
        // A kind of delta that nobody knows may say its text in pieces, too.
        for (_, value) in delta.members() {
            if value.kind() == json::ValueKind::String && !reader.is_claimed_value(value) {
                reader.claim(value);
                let channel = TextKey::block(index, Part::Other);
                let piece = TextDelta::new(channel, value.place(), Class::Unknown);
                reader.piece(Delta::Text(piece));
            }
        }
    }

    /// The signature that follows covers the text.
    fn reasoning(&mut self, reader: &mut Reader<'static>, value: Value<'_>) {
        let origin = self.run_of(reader, Part::Reasoning);
        reader.in_signed(true, |reader| {
            reader.rows(value, REASONING, &origin.whole(), &mut |reader, _, text| {
                reader.text(text, &origin);
            });
        });
        if value.get("signature").is_some() {
            // The thinking is complete.
            self.end_run(reader);
        }
    }

    /// More of a result: `[{text} | {json}]`.
    fn result(&mut self, reader: &mut Reader<'static>, value: Value<'_>, index: u32) {
        const CONTENT: &[Row] = &[("text", Type::Custom), ("json", Type::Tree(Part::Other))];
        self.end_run(reader);
        let mut event = Event::new(Kind::ToolResult, reader.direction(), value.place());
        event.tool = self.answering.clone();
        event.provider_run = true;
        let whole = Origin::answer(0).with_part(Part::Other);
        let origin = Origin {
            piece_of: Some(index),
            ..whole.clone()
        };
        let start = reader.text_count();
        reader.array(value, |reader, element| {
            reader.rows(element, CONTENT, &whole, &mut |reader, _, text| {
                reader.text(text, &origin);
            });
        });
        event.texts = start..reader.text_count();
        reader.reading.add(event);
    }

    /// Blocks are told one after the other, and each is of one kind: to a client that puts each of them together, texts
    /// that alternate say something else than they do in a row.
    fn in_order(&mut self, reader: &mut Reader<'static>, event: Value<'_>, index: u32, part: Part) {
        let (before, kind) = self.said_in.unwrap_or((index, part));
        if index < before.max(self.next.saturating_sub(1)) || index == before && part != kind {
            let what = "texts of blocks that alternate".to_owned();
            reader.problem(codes::AG2014, event, &what);
        }
        if index >= before {
            self.said_in = Some((index, part));
        }
    }

    /// The origin of the text that goes on; another part ends it.
    fn run_of(&mut self, reader: &mut Reader<'static>, part: Part) -> Origin {
        if self.running != Some(part) {
            self.end_run(reader);
            self.running = Some(part);
        }
        Origin {
            piece_of: Some(self.run),
            ..Origin::answer(0).with_part(part)
        }
    }

    fn end_run(&mut self, reader: &mut Reader<'static>) {
        if let Some(part) = self.running.take() {
            reader.piece(Delta::TextEnd(TextKey::block(self.run, part)));
            self.run = self.run.saturating_add(1);
        }
    }

    /// An event of our own.
    fn made(
        &self,
        name: &'static str,
        members: impl FnOnce(&mut ObjectWriter<'_>),
    ) -> SyntheticFrame {
        let mut out = Vec::with_capacity(128);
        let write = |out: &mut Vec<u8>| {
            let mut event = ObjectWriter::begin(out);
            members(&mut event);
            event.end();
        };
        if self.is_named {
            let mut outer = ObjectWriter::begin(&mut out);
            outer.member(name, write);
            outer.end();
        } else {
            write(&mut out);
        }
        SyntheticFrame::new(Some(name), out)
    }

    fn text_delta(&self, index: u32, text: &str) -> SyntheticFrame {
        self.made("contentBlockDelta", |event| {
            event.number("contentBlockIndex", u64::from(index));
            event.member("delta", |out| {
                let mut delta = ObjectWriter::begin(out);
                delta.text("text", text);
                delta.end();
            });
        })
    }

    fn block_stop(&self, index: u32) -> SyntheticFrame {
        self.made("contentBlockStop", |event| {
            event.number("contentBlockIndex", u64::from(index));
        })
    }
}

/// The number of an event's block.
fn index_of(event: Value<'_>) -> Option<u32> {
    block_number(event, "contentBlockIndex")
}

/// A frame that reports an error in the middle of a stream. The service model has no other word for what may not pass.
pub(in crate::protocol) fn exception(denial: &Denial) -> SyntheticFrame {
    let kind = match denial.status {
        429 => "throttlingException",
        503 => "serviceUnavailableException",
        500.. => "internalServerException",
        _ => "validationException",
    };
    SyntheticFrame {
        is_exception: true,
        ..SyntheticFrame::new(Some(kind), Dialect::Aws.body(denial))
    }
}

/// An error in the middle of a stream: `{message}`, its kind in a header.
pub(in crate::protocol) fn read_exception(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    kind: Option<&str>,
) {
    const EXCEPTION: &[Row] = &[
        ("message", Type::Text(Part::Other)),
        ("Message", Type::Text(Part::Other)),
        ("originalMessage", Type::Text(Part::Other)),
        ("originalStatusCode", Type::Number),
        ("p", Type::Id),
    ];
    reader.reading.error = Some(kind.unwrap_or("error").into());
    reader.plain_rows(root, EXCEPTION, &Origin::answer(0));
}

impl StreamReader for ConverseStream {
    fn read(&mut self, reader: &mut Reader<'static>, name: Option<&str>) {
        reader.frame.lanes = OrderingGroups::of(0);
        let Some(body) = reader.body() else { return };
        let root = body.root();
        if self.is_named {
            reader.rows(
                root,
                NAMED,
                &Origin::answer(0),
                &mut |reader, name, event| {
                    self.event(reader, name, event);
                },
            );
            return;
        }
        match name {
            Some(name) if name.ends_with("Exception") => read_exception(reader, root, Some(name)),
            Some(name) => self.event(reader, name, root),
            None => {
                let what = "an event without a name";
                reader.problem(codes::AG2014, root, what);
            }
        }
    }

    fn text_at(&self, channel: &TextKey) -> String {
        format!("#{}/{}", channel.part.word(), channel.item)
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#content/{}", key.item)
    }

    fn remove_calls(
        &mut self,
        calls: &[EvaluatedCall],
        _: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        for call in calls {
            let Some(text) = &call.denied else { continue };
            let mut explanation = Some(self.text_delta(call.key.item, text));
            for (number, _) in &call.pieces {
                let frame = frames.get(*number).ok_or(CannotRemove)?;
                frame.dropped = true;
                frame.after.extend(explanation.take());
            }
            self.taken = self.taken.saturating_add(1);
        }
        Ok(())
    }

    fn counts_frames(&self) -> bool {
        true
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        let Some(body) = frame.json.as_ref().and_then(|json| json.body()) else {
            return;
        };
        let root = body.root();
        let named = NAMED.iter().find_map(|(name, _)| root.get(name));
        let event = named.filter(|_| self.is_named).unwrap_or(root);
        let sent = &mut self.sent;
        let made_delta = !frame.after.is_empty();
        if let Some(index) = index_of(event) {
            let goes_on = event.get("delta").is_some() || event.get("start").is_some();
            if goes_on && (!frame.dropped || made_delta) {
                sent.open(index);
            } else if !goes_on {
                sent.close(index);
            }
        }
        sent.has_begun |= event.get("role").is_some();
        let is_changed = self.taken > 0 || !changes.is_empty();
        if let Some(reason) = event.get("stopReason") {
            sent.has_ended = true;
            if self.taken > 0 && self.taken >= self.calls && reason.is_text("tool_use") {
                frame.edits.replace(reason, br#""end_turn""#.to_vec());
            }
        }
        if is_changed {
            // What the model said, once more.
            let copies = ["trace", "additionalModelResponseFields"];
            if copies.iter().any(|name| event.get(name).is_some()) {
                remove_members(event, &copies, &mut frame.edits);
            }
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        if as_error || self.sent.has_ended {
            return vec![exception(denial)];
        }
        let mut made = Vec::with_capacity(5);
        if !self.sent.has_begun {
            made.push(self.made("messageStart", |event| event.text("role", "assistant")));
        }
        made.extend(self.sent.open.iter().map(|index| self.block_stop(*index)));
        let index = self.sent.next;
        made.push(self.text_delta(index, &denial.message()));
        made.push(self.block_stop(index));
        made.push(self.made("messageStop", |event| {
            event.text("stopReason", "guardrail_intervened");
        }));
        made
    }
}
