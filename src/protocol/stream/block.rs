//! State machine for streamed responses in numbered blocks (steps, contents): a response begins, each block has its
//! start, its deltas and its stop, and an end contains the finish reason.
//!
//! A [`BlockSpec`] for each API defines the names of the events and the positions of their members. Its functions
//! read the members that no other API has.
//!
//! | event | Anthropic | Converse | Interactions |
//! |---|---|---|---|
//! | start | `{"type":"content_block_start","index":1,"content_block":{…}}` | `{"contentBlockIndex":1,"start":{…}}` | `{"index":1,"step":{…},"event_type":"step.start"}` |
//! | delta | `{"type":"content_block_delta","index":1,"delta":{…}}` | `{"contentBlockIndex":1,"delta":{…}}` | `{"index":1,"delta":{…},"event_type":"step.delta"}` |
//! | stop | `{"type":"content_block_stop","index":1}` | `{"contentBlockIndex":1}` | `{"index":1,"event_type":"step.stop"}` |
//!
//! Clients use the numbers as indices of a list. So frames never overtake each other, and a call that is removed
//! leaves a text block with its number.

use super::{
    CallDelta, CallKey, ChangesByText, Delta, EvaluatedCall, FrameEvent, FrameMark, HeldFrame,
    HeldFrames, KeepAlive, OrderingGroups, StreamReader, SyntheticFrame, TextKey, TextRun, is_done,
};
use crate::diag::codes;
use crate::event::{Known, Part};
use crate::protocol::client_blocks::ClientBlocks;
use crate::protocol::conversation::Calls;
use crate::protocol::json_edit::{ObjectWriter, number};
use crate::protocol::reader::{Origin, Reader, Row};
use crate::protocol::{CannotRemove, Denial, Removals, RequestContext};
use crate::wire::json::{self, Edits, Value, quote};

/// Specification of an API for the state machine.
pub(in crate::protocol) struct BlockSpec {
    /// Position of the kind of an event.
    pub kind: KindIn,
    /// Members of an event. The machine reads those named by [`begun`](Self::begun) and [`added`](Self::added); other
    /// `Custom` ones are read by [`member`](Self::member).
    pub event: &'static [Row],
    /// Whether keys have two spellings, as in all of Google's JSON.
    pub proto_json: bool,
    /// Member with the number of a block.
    pub index: &'static str,
    /// Name of a block in messages, and in audit events.
    pub noun: &'static str,
    pub place: &'static str,
    /// Kinds of the events of a block.
    pub start: &'static str,
    pub delta: &'static str,
    pub stop: &'static str,
    /// Kinds of the event that begins a response.
    pub begins: &'static [&'static str],
    /// Kinds of the events with the finish reason, and of the last event of a response.
    pub ends: &'static [&'static str],
    pub last: &'static [&'static str],
    /// Members that contain a block at its start: the first one is written, all are read.
    pub begun: &'static [&'static str],
    /// Member that contains the content of a delta.
    pub added: &'static str,
    /// Members of a call: `name` is its name, `toolset_name` another one, and other `Custom` ones are its arguments.
    pub call: &'static [Row],
    /// Member of a call with its id.
    pub call_id: &'static str,
    /// Parts whose texts continue from block to block.
    pub runs: &'static [Part],
    /// Empty text in [`begun`](Self::begun); without one, text blocks have no start.
    pub empty_text: Option<&'static [u8]>,
    /// Member of a block, and of a delta, that is `""` if it has no content, for an API that rejects empty text in a
    /// request: a denial then goes into the block that began last.
    pub blank: Option<&'static str>,
    /// Start of a text delta up to its text; one brace follows the text.
    pub text_delta: &'static [u8],
    /// Position of the finish reason in an event; its value for calls, and the replacement if no call is left.
    pub finish: &'static [&'static [&'static str]],
    pub finish_calls: &'static str,
    pub finish_plain: &'static [u8],
    /// Specification of earlier event names of the same API. A response that begins a block with these keeps them.
    pub before: Option<&'static BlockSpec>,
    /// Whether `[DONE]` ends the stream.
    pub has_done: bool,
    /// Reads a member of an event that does not belong to a block.
    pub member:
        fn(&mut BlockStream, &mut Reader<'static>, kind: &str, key: &'static str, Value<'_>),
    /// Reads a block at its start.
    pub read_start: fn(&mut BlockStream, &mut Reader<'static>, BlockEvent<'_>, Value<'_>),
    /// Reads the content that a delta adds to a block. Strings that it leaves are continued texts of an unknown kind.
    pub read_delta: fn(&mut BlockStream, &mut Reader<'static>, BlockEvent<'_>, Value<'_>),
    /// Removes content that is complete in one frame.
    pub remove: fn(&mut BlockStream, &mut HeldFrame, &Removals) -> Result<(), CannotRemove>,
    /// Corrects copies of changed texts, in an event and its block.
    pub correct: fn(Value<'_>, Option<u32>, &mut Edits, &ChangesByText),
    /// Frame that begins a denied response, frames that end it, and an error inside a response.
    pub denied_begin: fn(&BlockStream, &Denial) -> SyntheticFrame,
    pub denied_end: fn(&BlockStream, &Denial) -> Vec<SyntheticFrame>,
    pub error: fn(&Denial) -> SyntheticFrame,
    /// Keep-alive of a silent connection.
    pub keep_alive: fn() -> Option<KeepAlive>,
}

/// Position of the kind of an event.
#[derive(Clone, Copy)]
pub(in crate::protocol) enum KindIn {
    /// In its first member, in JSON that the filter writes; the name in the framing repeats it.
    First(&'static str),
    /// In its last member, which has two spellings: that of its table, and the one that the filter writes.
    Last(&'static str, &'static str),
    /// In the framing alone. The function reads events that belong neither to a block nor to a response.
    Name(fn(&mut Reader<'_>, Value<'_>, Option<&str>)),
    /// In the key of the event: `{"messageStart":{…}}`.
    Key(&'static [Row]),
}

/// Event of a block.
#[derive(Clone, Copy)]
pub(in crate::protocol) struct BlockEvent<'v> {
    /// Event, which belongs to this block alone.
    pub event: Value<'v>,
    /// Number of the block.
    pub index: u32,
}

impl BlockEvent<'_> {
    /// Adds a piece of the call in the block.
    pub fn call_piece(self, reader: &mut Reader<'static>, what: CallDelta) {
        reader.call_piece(self.event.place(), CallKey::block(self.index), what);
    }
}

/// Streamed response in blocks.
pub(in crate::protocol) struct BlockStream {
    /// Specification; it changes only between spellings of one API.
    pub spec: &'static BlockSpec,
    /// Id and model that a denial repeats: those of the response once it has begun.
    pub id: String,
    pub model: Option<String>,
    /// Tokens reported so far.
    pub output_tokens: u64,
    /// Names of the called tools, by the id of the call.
    pub names: Calls,
    /// Tool whose result is in the block that began last.
    pub answering: Known<Box<str>>,
    /// Number of calls of the client's tools, and of those that were removed.
    pub calls: usize,
    pub taken: usize,
    /// Calls that nothing can replace.
    pub irreplaceable: Vec<u32>,
    /// Number above those of all blocks that have begun.
    next: u32,
    /// Text that continues from block to block.
    run: TextRun,
    /// Block that contained the last piece of that text, and its part.
    run_block: Option<(u32, Part)>,
    /// Blocks that the client has received.
    sent: ClientBlocks,
    /// Text block of which the client has only received the start.
    blank: Option<u32>,
}

impl BlockStream {
    pub fn new(spec: &'static BlockSpec, context: &RequestContext) -> Self {
        BlockStream {
            spec,
            id: String::new(),
            model: context.models.names.first().map(|model| model.to_string()),
            output_tokens: 0,
            names: Calls::default(),
            answering: Known::Unknown,
            calls: 0,
            taken: 0,
            irreplaceable: Vec::new(),
            next: 0,
            run: TextRun::default(),
            run_block: None,
            sent: ClientBlocks::default(),
            blank: None,
        }
    }

    /// Returns the id of a denied response.
    pub fn denied_id(&self, denial: &Denial) -> String {
        match self.id.as_str() {
            "" => format!("agentguard-{}", denial.request_id),
            id => id.to_owned(),
        }
    }

    fn read_event(&mut self, reader: &mut Reader<'static>, kind: &str, event: Value<'_>) {
        let spec = self.spec;
        let is_end = spec.ends.contains(&kind);
        reader.frame.mark = FrameMark {
            event: match kind {
                _ if is_end => FrameEvent::End,
                _ if spec.begins.contains(&kind) => FrameEvent::Begin,
                _ if kind == spec.stop => FrameEvent::BlockStop,
                _ => FrameEvent::Other,
            },
            block: number(event, spec.index),
            is_blank: false,
        };
        let origin = Origin::answer(0);
        reader.rows(event, spec.event, &origin, &mut |reader, key, value| {
            if spec.begun.contains(&key) {
                self.start(reader, event, value);
            } else if key == spec.added && !is_end {
                self.delta(reader, event, value);
            } else {
                (spec.member)(self, reader, kind, key, value);
            }
        });
        if kind == spec.stop {
            let block = self.block(reader, event).index;
            for part in [Part::Text, Part::Reasoning, Part::Other] {
                if !spec.runs.contains(&part) {
                    reader.piece(Delta::TextEnd(TextKey::block(block, part)));
                }
            }
            reader.piece(Delta::CallsEnd(vec![CallKey::block(block)]));
        } else if is_end {
            reader.piece(Delta::End(Some(0)));
        }
        reader.frame.last |= spec.last.contains(&kind);
    }

    /// Returns an event with its block. An event without a number counts as one of the first block.
    fn block<'v>(&self, reader: &mut Reader<'static>, event: Value<'v>) -> BlockEvent<'v> {
        let index = number(event, self.spec.index).unwrap_or_else(|| {
            let what = format!("a {} without its number", self.spec.noun);
            reader.problem(codes::AG2014, event, &what);
            0
        });
        BlockEvent { event, index }
    }

    fn start(&mut self, reader: &mut Reader<'static>, event: Value<'_>, value: Value<'_>) {
        let at = self.block(reader, event);
        if at.index < self.next {
            // Some clients continue with the first block of a number, others with the last.
            let noun = self.spec.noun;
            let what = format!("a {noun} with the number of another one");
            reader.problem(codes::AG2014, event, &what);
        }
        self.next = self.next.max(at.index.saturating_add(1));
        reader.frame.mark.event = FrameEvent::BlockStart;
        reader.frame.mark.is_blank = self.is_blank(value);
        (self.spec.read_start)(self, reader, at, value);
    }

    fn delta(&mut self, reader: &mut Reader<'static>, event: Value<'_>, delta: Value<'_>) {
        let at = self.block(reader, event);
        reader.frame.mark.event = FrameEvent::BlockDelta;
        reader.frame.mark.is_blank = self.is_blank(delta);
        (self.spec.read_delta)(self, reader, at, delta);
        let text = TextKey::block(at.index, Part::Other);
        reader.unknown_texts(delta, &mut |name| (name != "type").then_some(text));
    }

    fn is_blank(&self, value: Value<'_>) -> bool {
        let text = self.spec.blank.and_then(|member| value.get(member));
        text.is_some_and(|text| text.is_text(""))
    }

    /// Begins a call. `tool` is its name if only the type of the block contains it.
    pub fn begin_call(
        &mut self,
        reader: &mut Reader<'static>,
        at: BlockEvent<'_>,
        call: Value<'_>,
        provider_run: bool,
        tool: Option<&str>,
    ) {
        at.call_piece(reader, CallDelta::Begin { provider_run });
        if let Some(tool) = tool {
            at.call_piece(reader, CallDelta::Named(tool.into()));
        }
        self.call(reader, at, call);
        if !provider_run {
            self.calls = self.calls.saturating_add(1);
        }
    }

    /// Reads a call, or more of it.
    pub fn call(&mut self, reader: &mut Reader<'static>, at: BlockEvent<'_>, call: Value<'_>) {
        let mut name: Option<Box<str>> = None;
        let origin = Origin::answer(0);
        reader.rows(call, self.spec.call, &origin, &mut |reader, key, value| {
            match key {
                "name" => {
                    name = reader.name(value).map(Box::from);
                    at.call_piece(reader, CallDelta::Name(value.place()));
                }
                "toolset_name" => {
                    reader.name(value);
                    at.call_piece(reader, CallDelta::Alias(value.place()));
                }
                _ => {
                    reader.claim_all(value);
                    // An empty object is a placeholder for the content of the deltas.
                    if !value.is_null() && !is_empty(value) {
                        at.call_piece(reader, CallDelta::Arguments(value.place()));
                    }
                }
            }
        });
        let id = call.get(self.spec.call_id).and_then(|id| id.text());
        if let (Some(name), Some(id)) = (name, id) {
            self.names.add(&id, &name);
        }
    }

    /// Returns the origin of a text that continues from block to block; another part ends it. Blocks are reported one
    /// after the other, and each contains one part. A client that joins each part separately gets different texts
    /// from alternating parts than from the same parts in a row.
    pub fn run(
        &mut self,
        reader: &mut Reader<'static>,
        BlockEvent { event, index }: BlockEvent<'_>,
        part: Part,
    ) -> Origin {
        let (before, said) = self.run_block.unwrap_or((index, part));
        if index < before.max(self.next.saturating_sub(1)) || index == before && part != said {
            let what = "texts of blocks that alternate";
            reader.problem(codes::AG2014, event, what);
        }
        if index >= before {
            self.run_block = Some((index, part));
        }
        let number = self.run.go_on(part, 0, &mut reader.frame.pieces);
        Origin::piece(number).with_part(part)
    }

    /// Ends the text so far.
    pub fn end_run(&mut self, reader: &mut Reader<'static>) {
        self.run.end(0, &mut reader.frame.pieces);
    }

    /// Returns an event that the filter creates.
    pub fn event(
        &self,
        kind: &'static str,
        rest: &dyn Fn(&mut ObjectWriter<'_>),
    ) -> SyntheticFrame {
        let mut out = Vec::with_capacity(128);
        let write = |out: &mut Vec<u8>| {
            let mut event = ObjectWriter::begin(out);
            if let KindIn::First(member) = self.spec.kind {
                event.text(member, kind);
            }
            rest(&mut event);
            if let KindIn::Last(_, member) = self.spec.kind {
                event.text(member, kind);
            }
            event.end();
        };
        if let KindIn::Key(_) = self.spec.kind {
            let mut outer = ObjectWriter::begin(&mut out);
            outer.member(kind, write);
            outer.end();
        } else {
            write(&mut out);
        }
        SyntheticFrame::new(Some(kind), out)
    }

    fn block_event(
        &self,
        kind: &'static str,
        index: u32,
        rest: &dyn Fn(&mut ObjectWriter<'_>),
    ) -> SyntheticFrame {
        self.event(kind, &|event| {
            event.number(self.spec.index, u64::from(index));
            rest(event);
        })
    }

    /// Returns the start of a text block that the filter creates, if such blocks have one.
    fn text_start(&self, index: u32) -> Option<SyntheticFrame> {
        let empty = self.spec.empty_text?;
        let member = self.spec.begun.first()?;
        Some(self.block_event(self.spec.start, index, &|event| {
            event.member(member, |out| out.extend_from_slice(empty));
        }))
    }

    fn text_delta(&self, index: u32, text: &str) -> SyntheticFrame {
        self.block_event(self.spec.delta, index, &|event| {
            event.member(self.spec.added, |out| {
                out.extend_from_slice(self.spec.text_delta);
                quote(text, out);
                out.push(b'}');
            });
        })
    }

    fn block_stop(&self, index: u32) -> SyntheticFrame {
        self.block_event(self.spec.stop, index, &|_| {})
    }

    /// Returns the event in a payload.
    fn event_in<'v>(&self, root: Value<'v>) -> Value<'v> {
        let KindIn::Key(names) = self.spec.kind else {
            return root;
        };
        let mut names = names.iter();
        names.find_map(|(name, _)| root.get(name)).unwrap_or(root)
    }
}

fn is_empty(object: Value<'_>) -> bool {
    object.kind() == json::ValueKind::Object && object.members().next().is_none()
}

impl StreamReader for BlockStream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, name: Option<&str>) {
        reader.proto_json = self.spec.proto_json;
        reader.frame.lanes = OrderingGroups::of(0);
        match self.spec.kind {
            KindIn::First(member) | KindIn::Last(member, _) => {
                let kind = reader.get(root, member).and_then(|kind| kind.text());
                let kind = kind.as_deref().unwrap_or_default();
                if name.is_some_and(|name| name != kind) && kind != "ping" {
                    // Official clients use the name, others the type.
                    let what = "an event whose name is not its type";
                    reader.problem(codes::AG2014, root, what);
                }
                if let Some(before) = self.spec.before.filter(|before| kind == before.start) {
                    self.spec = before;
                }
                self.read_event(reader, kind, root);
            }
            KindIn::Name(other) => match name {
                Some(name) if !name.ends_with("Exception") => self.read_event(reader, name, root),
                _ => other(reader, root, name),
            },
            KindIn::Key(names) => {
                let origin = Origin::answer(0);
                reader.rows(root, names, &origin, &mut |reader, name, event| {
                    self.read_event(reader, name, event);
                });
            }
        }
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        self.spec.has_done && is_done(payload)
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        let TextKey { part, item, .. } = text_key;
        let is_run = self.spec.runs.contains(part);
        match part {
            _ if is_run => format!("#{}/{item}", part.word()),
            Part::Text => format!("#{}/{item}", self.spec.place),
            _ => format!("#{}/{item}/{}", self.spec.place, part.word()),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#{}/{}", self.spec.place, key.item)
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
            if self.irreplaceable.contains(&index) {
                return Err(CannotRemove);
            }
            let mut numbers = call.pieces.iter().map(|(number, _)| *number);
            let first = numbers.next().ok_or(CannotRemove)?;
            let frame = frames.get(first).ok_or(CannotRemove)?;
            match self.spec.empty_text {
                Some(empty) => {
                    let body = frame.body().ok_or(CannotRemove)?;
                    let event = self.event_in(body.root());
                    let mut begun = self.spec.begun.iter();
                    let begun = begun.find_map(|member| event.get(member));
                    let begun = begun.ok_or(CannotRemove)?;
                    frame.edits.replace(begun, empty.to_vec());
                }
                None => frame.dropped = true,
            }
            frame.after.push(self.text_delta(index, text));
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
        (self.spec.remove)(self, frame, removals)
    }

    fn counts_frames(&self) -> bool {
        true
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        let Some(body) = frame.body() else {
            return;
        };
        if frame.dropped && frame.after.is_empty() {
            return;
        }
        let FrameMark {
            event,
            block,
            is_blank,
        } = frame.mark;
        match event {
            FrameEvent::Begin => {
                self.sent.has_begun = true;
                self.sent.next = self.sent.next.max(block.unwrap_or(0));
            }
            FrameEvent::BlockStart => {
                self.blank = block.filter(|_| is_blank && frame.after.is_empty());
                block.into_iter().for_each(|block| self.sent.open(block));
            }
            FrameEvent::BlockDelta => {
                self.blank = self.blank.filter(|_| is_blank);
                block.into_iter().for_each(|block| self.sent.open(block));
            }
            FrameEvent::BlockStop => {
                self.blank = None;
                block.into_iter().for_each(|block| self.sent.close(block));
            }
            FrameEvent::End => self.sent.has_ended = true,
            FrameEvent::Other => {}
        }
        let event = self.event_in(body.root());
        if self.taken > 0 && self.taken >= self.calls {
            for path in self.spec.finish {
                let mut path = path.iter();
                let reason = path.try_fold(event, |holder, member| holder.get(member));
                if let Some(reason) = reason.filter(|it| it.is_text(self.spec.finish_calls)) {
                    let plain = self.spec.finish_plain.to_vec();
                    frame.edits.replace(reason, plain);
                }
            }
        }
        if self.taken > 0 || !changes.is_empty() {
            (self.spec.correct)(event, block, &mut frame.edits, changes);
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        if as_error || self.sent.has_ended {
            return vec![(self.spec.error)(denial)];
        }
        let mut made = Vec::with_capacity(7);
        if !self.sent.has_begun {
            made.push((self.spec.denied_begin)(self, denial));
        }
        let open = &self.sent.open;
        let blank = self.blank.filter(|index| open.contains(index));
        let others = open.iter().filter(|index| blank != Some(**index));
        made.extend(others.map(|index| self.block_stop(*index)));
        let index = blank.unwrap_or(self.sent.next);
        if blank.is_none() {
            made.extend(self.text_start(index));
        }
        made.push(self.text_delta(index, &denial.message()));
        made.push(self.block_stop(index));
        made.extend((self.spec.denied_end)(self, denial));
        made
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        (self.spec.keep_alive)()
    }
}
