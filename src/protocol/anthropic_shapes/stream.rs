//! A message that streams: `message_start`, then blocks, each with its start, its deltas and its stop, then `message_delta`
//! and `message_stop`. Blocks have numbers without a gap, which clients take for places in a list: frames never overtake
//! each other, and a call that is taken out leaves a text block with its number.

use super::CITATION;
use super::answer::{CONTAINER, RESPONSE, STOP_DETAILS, STOP_REASONS, answering, error, usage};
use super::blocks::{CALL, block, content};
use super::removal::{begun_message, message as remove_from_message};
use crate::diag::codes;
use crate::event::{Class, Part};
use crate::protocol::client_blocks::ClientBlocks;
use crate::protocol::conversation::Calls;
use crate::protocol::json_edit::{ObjectWriter, tag};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::stream::{
    CallDelta, CallKey, ChangesByText, Delta, EvaluatedCall, HeldFrame, HeldFrames, KeepAlive,
    OrderingGroups, StreamReader, SyntheticFrame, TextDelta, TextKey, block_number,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Removals, RequestContext};
use crate::wire::json::{self, Value};
use crate::wire::span::offset;

const EVENT: &[Row] = &[
    ("type", Type::Word(EVENTS)),
    ("index", Type::Number),
    ("message", Type::Custom),
    ("content_block", Type::Custom),
    ("delta", Type::Custom),
    ("usage", Type::Custom),
    ("context_management", Type::Counts),
    ("error", Type::Custom),
    ("request_id", Type::Id),
    // What Bedrock adds to the last event.
    ("amazon-bedrock-invocationMetrics", Type::Counts),
    ("amazon-bedrock-guardrailAction", Type::Constant),
    ("amazon-bedrock-trace", Type::Tree(Part::Other)),
];
const EVENTS: &str = "message_start|content_block_start|content_block_delta|content_block_stop|\
     message_delta|message_stop|ping|error";
/// What a delta adds to a block. Clients go by its type or by its members: all are read, whichever stand together.
const DELTA: &[Row] = &[
    (
        "type",
        Type::Word(
            "text_delta|input_json_delta|thinking_delta|signature_delta|\
             citations_delta|compaction_delta",
        ),
    ),
    ("text", Type::Custom),
    ("partial_json", Type::Custom),
    ("thinking", Type::Custom),
    ("content", Type::Custom),
    ("signature", Type::Opaque),
    ("encrypted_content", Type::Opaque),
    ("citation", Type::Object(CITATION)),
    ("estimated_tokens", Type::Number),
];
/// What `message_delta` says of the whole message.
const END: &[Row] = &[
    ("stop_reason", Type::Custom),
    ("stop_sequence", Type::Text(Part::Other)),
    ("stop_details", STOP_DETAILS),
    ("container", CONTAINER),
];

/// A streamed message.
#[derive(Debug)]
pub(in crate::protocol) struct MessageStream {
    /// Names that a refusal repeats: those of the message once it has begun.
    id: String,
    model: String,
    /// Tokens that were told so far.
    output_tokens: u64,
    /// Number of the next block.
    next: u32,
    /// Which of several texts goes on, and whether any does: blocks of text in a row are one text to whoever reads them.
    run: u32,
    is_running: bool,
    /// The block that said the last of it.
    said_in: u32,
    /// Names of the tools that were called, by the id of the call.
    names: Calls,
    /// Calls of the client's tools, and how many of them were taken out.
    calls: usize,
    taken: usize,
    /// Calls whose result a program that the provider runs waits for.
    programmatic: Vec<u32>,
    /// What the client has.
    sent: ClientBlocks,
    /// A text block of which the client has nothing but its start. The API takes no empty ones back.
    blank: Option<u32>,
}

impl MessageStream {
    pub(in crate::protocol) fn new(context: &RequestContext) -> MessageStream {
        let model = context
            .models
            .names
            .first()
            .map_or("unknown", |model| model);
        MessageStream {
            id: String::new(),
            model: model.to_owned(),
            output_tokens: 0,
            next: 0,
            run: 0,
            is_running: false,
            said_in: 0,
            names: Calls::default(),
            calls: 0,
            taken: 0,
            programmatic: Vec::new(),
            sent: ClientBlocks::default(),
            blank: None,
        }
    }

    fn begin(&mut self, reader: &mut Reader<'static>, message: Value<'_>) {
        self.id = tag(message.get("id"), "").into_owned();
        self.model = tag(message.get("model"), "unknown").into_owned();
        let blocks = message.get("content").into_iter();
        let calls = blocks.flat_map(|content| content.elements());
        let calls = calls.filter(|block| {
            let kind = block.get("type");
            kind.is_some_and(|kind| kind.is_text("tool_use"))
        });
        self.calls = self.calls.saturating_add(calls.count());
        let origin = Origin::answer(0);
        let speaker = answering(origin.clone());
        reader.rows(
            message,
            RESPONSE,
            &origin,
            &mut |reader, key, value| match key {
                "content" => content(reader, value, &speaker, &mut self.names),
                "stop_reason" => reader.word(value, STOP_REASONS),
                "usage" => self.usage(reader, value),
                "input_tokens" => {
                    reader.number(value);
                }
                _ => error(reader, value, &origin),
            },
        );
    }

    fn usage(&mut self, reader: &mut Reader<'static>, value: Value<'_>) {
        usage(reader, value);
        if let Some(tokens) = reader.reading.usage.output_tokens {
            self.output_tokens = tokens;
        }
    }

    fn begin_block(&mut self, reader: &mut Reader<'static>, event: Value<'_>, value: Value<'_>) {
        let Some(index) = index_of(event) else {
            no_index(reader, event);
            return;
        };
        if index < self.next {
            // Clients go on with the first block of a number, others with the last.
            let what = "a block with the number of another one";
            reader.problem(codes::AG2014, event, what);
        }
        self.next = self.next.max(index.saturating_add(1));
        let kind = value.get("type").and_then(|kind| kind.text());
        if kind.as_deref() != Some("text") {
            self.end_run(reader);
        }
        match kind.as_deref() {
            Some("tool_use") => self.begin_call(reader, event, value, index, false),
            Some("server_tool_use" | "mcp_tool_use") => {
                self.begin_call(reader, event, value, index, true);
            }
            Some("text") => {
                let speaker = answering(self.said(reader, event, index));
                block(reader, value, &speaker, &mut self.names);
            }
            Some("thinking") => {
                let speaker = answering(text_of(index));
                block(reader, value, &speaker, &mut self.names);
            }
            _ => {
                let speaker = answering(Origin::answer(0));
                block(reader, value, &speaker, &mut self.names);
            }
        }
    }

    /// The origin of the text that goes on. Blocks are told one after the other: to a client that puts each of them
    /// together, texts that alternate say something else than they do in a row.
    fn said(&mut self, reader: &mut Reader<'static>, event: Value<'_>, index: u32) -> Origin {
        if index < self.said_in.max(self.next.saturating_sub(1)) {
            let what = "a text of a block after one of the next";
            reader.problem(codes::AG2014, event, what);
        }
        self.said_in = self.said_in.max(index);
        self.is_running = true;
        text_of(self.run)
    }

    fn end_run(&mut self, reader: &mut Reader<'static>) {
        if std::mem::take(&mut self.is_running) {
            reader.piece(Delta::TextEnd(TextKey::block(self.run, Part::Text)));
            self.run = self.run.saturating_add(1);
        }
    }

    fn begin_call(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        value: Value<'_>,
        index: u32,
        provider_run: bool,
    ) {
        reader.call_piece(event, index, CallDelta::Begin { provider_run });
        let mut name = None;
        let origin = Origin::answer(0);
        reader.rows(value, CALL, &origin, &mut |reader, key, member| match key {
            "name" => {
                name = reader.name(member).map(Box::from);
                reader.call_piece(event, index, CallDelta::Name(member.place()));
            }
            "toolset_name" => {
                reader.name(member);
                reader.call_piece(event, index, CallDelta::Alias(member.place()));
            }
            _ => {
                reader.claim_all(member);
                // An empty object stands for what the deltas will say.
                let is_placeholder = member.is_null() || is_empty(member);
                if !is_placeholder {
                    reader.call_piece(event, index, CallDelta::Arguments(member.place()));
                }
            }
        });
        let id = value.get("id").and_then(|id| id.text());
        if let (Some(name), Some(id)) = (name, id) {
            self.names.add(&id, &name);
        }
        if !provider_run {
            self.calls = self.calls.saturating_add(1);
            let caller = value.get("caller").and_then(|caller| caller.get("type"));
            if caller.is_some_and(|caller| !caller.is_text("direct")) {
                self.programmatic.push(index);
            }
        }
    }

    fn delta(&mut self, reader: &mut Reader<'static>, event: Value<'_>, delta: Value<'_>) {
        let Some(index) = index_of(event) else {
            no_index(reader, event);
            return;
        };
        let origin = text_of(index);
        let is_encrypted = delta
            .get("encrypted_content")
            .is_some_and(|content| !content.is_null());
        reader.rows(
            delta,
            DELTA,
            &origin.whole(),
            &mut |reader, key, value| match key {
                "text" => {
                    let origin = self.said(reader, event, index);
                    reader.text(value, &origin);
                }
                // The signature that follows covers it.
                "thinking" => reader.in_signed(true, |reader| {
                    reader.text(value, &origin.with_part(Part::Reasoning));
                }),
                "content" => reader.in_signed(is_encrypted, |reader| {
                    reader.text(value, &origin.with_part(Part::Other));
                }),
                _ => {
                    reader.claim(value);
                    reader.call_piece(event, index, CallDelta::Arguments(value.place()));
                }
            },
        );
        if delta.get("signature").is_some() {
            // The thinking is complete.
            reader.piece(Delta::TextRest(TextKey::block(index, Part::Reasoning)));
        }
        // A kind of delta that nobody knows may say its text in pieces, too.
        for (key, value) in delta.members() {
            let is_text = value.kind() == json::ValueKind::String && !key.is_text("type");
            if is_text && !reader.is_claimed_value(value) {
                reader.claim(value);
                let channel = TextKey::block(index, Part::Other);
                let piece = TextDelta::new(channel, value.place(), Class::Unknown);
                reader.piece(Delta::Text(piece));
            }
        }
    }

    fn end_block(&mut self, reader: &mut Reader<'static>, event: Value<'_>) {
        let Some(index) = index_of(event) else {
            no_index(reader, event);
            return;
        };
        for part in [Part::Reasoning, Part::Other] {
            reader.piece(Delta::TextEnd(TextKey::block(index, part)));
        }
        reader.piece(Delta::CallsEnd(vec![CallKey::block(index)]));
    }

    fn end(&mut self, reader: &mut Reader<'static>, delta: Value<'_>) {
        reader.rows(delta, END, &Origin::answer(0), &mut |reader, _, value| {
            if let Some(reason) = value.text() {
                reader.reading.finish.push(reason.into());
            }
            reader.word(value, STOP_REASONS);
        });
    }
}

/// A text block of our own.
fn text_block(index: u32, text: &str) -> [SyntheticFrame; 3] {
    let start = event("content_block_start", |event| {
        event.number("index", u64::from(index));
        event.member("content_block", |out| out.extend_from_slice(EMPTY_TEXT));
    });
    [start, text_delta(index, text), block_stop(index)]
}

/// A text block before its first delta.
const EMPTY_TEXT: &[u8] = br#"{"type":"text","text":""}"#;

/// The number of a block.
fn index_of(event: Value<'_>) -> Option<u32> {
    block_number(event, "index")
}

fn no_index(reader: &mut Reader<'static>, event: Value<'_>) {
    let what = "a block without its number".to_owned();
    reader.problem(codes::AG2014, event, &what);
}

fn is_empty(object: Value<'_>) -> bool {
    object.kind() == json::ValueKind::Object && object.members().next().is_none()
}

/// The origin of a text, by its number or by that of its block.
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
    object.text("type", kind);
    rest(&mut object);
    object.end();
    SyntheticFrame::new(Some(kind), out)
}

fn block_stop(index: u32) -> SyntheticFrame {
    event("content_block_stop", |event| {
        event.number("index", u64::from(index));
    })
}

fn text_delta(index: u32, text: &str) -> SyntheticFrame {
    event("content_block_delta", |event| {
        event.number("index", u64::from(index));
        event.member("delta", |out| {
            let mut delta = ObjectWriter::begin(out);
            delta.text("type", "text_delta");
            delta.text("text", text);
            delta.end();
        });
    })
}

impl StreamReader for MessageStream {
    fn read(&mut self, reader: &mut Reader<'static>, name: Option<&str>) {
        reader.frame.lanes = OrderingGroups::of(0);
        let Some(body) = reader.body() else { return };
        let root = body.root();
        let kind = root.get("type").and_then(|kind| kind.text());
        let kind = kind.as_deref().unwrap_or_default();
        if name.is_some_and(|name| name != kind) && kind != "ping" {
            // The official client goes by the name, others by the type.
            let what = "an event whose name is not its type".to_owned();
            reader.problem(codes::AG2014, root, &what);
        }
        let origin = Origin::answer(0);
        reader.rows(
            root,
            EVENT,
            &origin,
            &mut |reader, key, value| match (key, kind) {
                ("message", _) => self.begin(reader, value),
                ("content_block", _) => self.begin_block(reader, root, value),
                ("delta", "message_delta") => self.end(reader, value),
                ("delta", _) => self.delta(reader, root, value),
                ("usage", _) => self.usage(reader, value),
                _ => error(reader, value, &origin),
            },
        );
        match kind {
            "content_block_stop" => self.end_block(reader, root),
            "message_delta" if self.is_running => {
                reader.piece(Delta::TextRest(TextKey::block(self.run, Part::Text)));
            }
            "message_stop" => reader.frame.last = true,
            _ => {}
        }
    }

    fn text_at(&self, channel: &TextKey) -> String {
        match channel.part {
            Part::Text => format!("#text/{}", channel.item),
            part => format!("#content/{}/{}", channel.item, part.word()),
        }
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
            let index = call.key.item;
            // A program that the provider runs waits for its result: there is nothing to put in its place.
            if self.programmatic.contains(&index) {
                return Err(CannotRemove);
            }
            let mut numbers = call.pieces.iter().map(|(number, _)| *number);
            let first = numbers.next().ok_or(CannotRemove)?;
            let frame = frames.get(first).ok_or(CannotRemove)?;
            let body = frame.json.as_ref().and_then(|json| json.body());
            let body = body.ok_or(CannotRemove)?;
            let block = body.root().get("content_block").ok_or(CannotRemove)?;
            frame.edits.replace(block, EMPTY_TEXT.to_vec());
            frame.after.push(text_delta(index, text));
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
        let denied = removals.denied_calls();
        if denied.is_empty() {
            return Ok(());
        }
        let body = frame.json.as_ref().and_then(|json| json.body());
        let body = body.ok_or(CannotRemove)?;
        let message = body.root().get("message").ok_or(CannotRemove)?;
        let taken = remove_from_message(message, None, &denied, &mut frame.edits)?;
        if taken < denied.len() {
            return Err(CannotRemove);
        }
        self.taken = self.taken.saturating_add(taken);
        Ok(())
    }

    fn counts_frames(&self) -> bool {
        true
    }

    fn correct(&mut self, frame: &mut HeldFrame, _: &ChangesByText) {
        let Some(body) = frame.json.as_ref().and_then(|json| json.body()) else {
            return;
        };
        let root = body.root();
        let is = |name: &str| root.get("type").is_some_and(|kind| kind.is_text(name));
        if frame.dropped {
            return;
        }
        let sent = &mut self.sent;
        if is("content_block_delta") {
            let text = root.get("delta").and_then(|delta| delta.get("text"));
            if !text.is_some_and(|text| text.is_text("")) {
                self.blank = None;
            }
        } else if is("message_start") {
            sent.has_begun = true;
            let content = root
                .get("message")
                .and_then(|message| message.get("content"));
            sent.next = offset(content.map_or(0, |content| content.elements().count()));
        } else if is("content_block_start") {
            let block = root.get("content_block");
            let text = block.and_then(|block| block.get("text"));
            let is_blank = text.is_some_and(|text| text.is_text("")) && frame.after.is_empty();
            self.blank = index_of(root).filter(|_| is_blank);
            if let Some(index) = index_of(root) {
                sent.open(index);
            }
        } else if is("content_block_stop") {
            self.blank = None;
            if let Some(index) = index_of(root) {
                sent.close(index);
            }
        } else if is("message_delta") {
            sent.has_ended = true;
            let reason = root.get("delta").and_then(|delta| delta.get("stop_reason"));
            if let Some(reason) = reason
                && self.taken > 0
                && self.taken >= self.calls
                && reason.is_text("tool_use")
            {
                frame.edits.replace(reason, br#""end_turn""#.to_vec());
            }
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        if as_error || self.sent.has_ended {
            return vec![SyntheticFrame::new(
                Some("error"),
                Dialect::Anthropic.body(denial),
            )];
        }
        let mut made = Vec::with_capacity(7);
        if !self.sent.has_begun {
            let id = match self.id.as_str() {
                "" => format!("agentguard-{}", denial.request_id),
                id => id.to_owned(),
            };
            made.push(event("message_start", |event| {
                event.member("message", |out| begun_message(&id, &self.model, out));
            }));
        }
        let blank = self.blank.filter(|index| self.sent.open.contains(index));
        let others = self.sent.open.iter().filter(|index| blank != Some(**index));
        made.extend(others.map(|index| block_stop(*index)));
        let text = denial.message();
        match blank {
            Some(index) => made.extend([text_delta(index, &text), block_stop(index)]),
            None => made.extend(text_block(self.sent.next, &text)),
        }
        made.push(event("message_delta", |event| {
            event.member("delta", |out| {
                out.extend_from_slice(br#"{"stop_reason":"refusal","stop_sequence":null}"#);
            });
            event.member("usage", |out| {
                let mut usage = ObjectWriter::begin(out);
                usage.number("output_tokens", self.output_tokens);
                usage.end();
            });
        }));
        made.push(event("message_stop", |_| {}));
        made
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        let ping = SyntheticFrame::new(Some("ping"), br#"{"type": "ping"}"#.to_vec());
        Some(KeepAlive::Frame(ping))
    }
}
