//! Streamed responses. Frames are parsed one by one; texts and calls continue over many frames. A frame is released
//! once everything in it is decided: text that no rule or detector can match any more, and complete calls. A frame
//! without edits is forwarded byte for byte.

mod call;
mod calls;
mod fragments;
mod frames;
mod queue;
mod stall;
mod text;
mod texts;
#[cfg(not(target_arch = "wasm32"))]
mod transcript;

use super::evaluate::{Enforcement, HalfDecision, TOO_MUCH_TEXT};
use super::exchange::Coverage;
use super::request::empty_body;
use super::step::{Action, Body, Step};
use super::{Flow, Guard, HalfState};
use crate::diag::codes;
use crate::event::{Class, Direction, Event, Kind, Part, Problem, Reading};
use crate::policy::{OnDeny, ReleaseMode, Ruling, StreamOnDeny};
use crate::protocol::Denial;
use crate::protocol::stream::{
    CallKey, ChangesByText, EvaluatedCall, HeldFrame, KeepAlive, OrderingGroups, StreamReader,
    SyntheticFrame, TextKey,
};
use crate::wire::frame::{self, Frame, Frames, Framing};
use crate::wire::json::{JsonBody, NodeId};
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;
use crate::wire::work;
use call::AssembledCall;
use queue::{Queue, QueuedFrame};
use stall::{Interruption, Stall};
use std::rc::Rc;
use text::StreamedText;
use texts::{JoinedTexts, part_of_text};
#[cfg(not(target_arch = "wasm32"))]
pub use transcript::{Transcript, TranscriptPart, transcript};

/// Maximum texts and calls that are open at the same time. No real response needs that many, and each costs memory.
const MAX_OPEN: usize = 4_096;

/// Nanoseconds without any sent bytes after which an intermediary may close a connection.
const KEEP_ALIVE_NS: u64 = 10_000_000_000;

/// Purpose of reading a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadPurpose {
    /// Enforcement: nothing is released before it is evaluated.
    Enforce,
    /// Observation: bytes are forwarded at once and evaluated for the audit event.
    Observe,
    /// Usage and names of called tools only.
    Usage,
}

/// State of a streamed response.
pub(super) struct Stream {
    guard: Rc<Guard>,
    purpose: ReadPurpose,
    framing: Framing,
    frames: Frames,
    reader: Box<dyn StreamReader>,
    queue: Queue,
    /// Number of the first frame, while it is held until the response's first calls are decided.
    beginning: Option<u64>,
    /// Whether the first frame was released.
    has_begun: bool,
    /// Ordering groups of the previous frame.
    lanes: OrderingGroups,
    texts: SortedMap<TextKey, StreamedText>,
    /// State of the texts that clients join: of the visible text, and of the reasoning.
    said: [JoinedTexts; 2],
    /// First surrogates of UTF-16 pairs at the ends of pieces.
    halves: Vec<u16>,
    /// Whether a redaction crossed the boundary between two texts. Later copies of the texts would still contain the
    /// original.
    has_edited_across: bool,
    calls: SortedMap<CallKey, AssembledCall>,
    /// Bytes of the kept texts and of the calls.
    assembled: usize,
    /// Facts on the response so far: usage, finish reason.
    response: Reading,
    changes: ChangesByText,
    /// Edited arguments of completed calls.
    rewritten: SortedMap<CallKey, String>,
    /// Whether the response was changed, so that later frames may need a correction.
    is_changed: bool,
    /// Whether the response is complete.
    is_over: bool,
    /// Whether the remaining stream is forwarded unread: it cannot be parsed, and the policy allows that.
    is_unread: bool,
    /// Whether the stream ended with a denial in its protocol's format.
    ended_with_denial: bool,
    /// Position at which reading continues after the approval service's response.
    stall: Option<Stall>,
    /// Decided calls, while other calls that ended with them wait for approvals.
    decided: Vec<EvaluatedCall>,
    /// Whether the upstream sent its last byte while the stream waited.
    is_all_here: bool,
    /// Bytes that were released while the stream waits. Envoy cannot send any then.
    parked: Vec<u8>,
    /// Bytes to send now.
    out: Vec<u8>,
    /// Whether a frame was sent, for framings with separators.
    any_sent: bool,
    /// Number of bytes sent.
    sent: u64,
    last_sent: u64,
    /// Time since which something has been held back.
    held_since: Option<u64>,
    /// Bytes taken from the VM's memory budget.
    budgeted: usize,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} stream of {:?}", self.purpose, self.framing)
    }
}

/// End of the stream: a denial replaces the remaining response.
#[derive(Debug)]
struct StreamEnd {
    denial: Box<Denial>,
    as_error: bool,
}

impl Stream {
    pub(super) fn new(
        guard: &Rc<Guard>,
        purpose: ReadPurpose,
        framing: Framing,
        reader: Box<dyn StreamReader>,
        now: u64,
    ) -> Stream {
        Stream {
            purpose,
            framing,
            frames: Frames::new(framing, guard.max_body()),
            guard: Rc::clone(guard),
            reader,
            queue: Queue::default(),
            beginning: None,
            has_begun: false,
            lanes: OrderingGroups::default(),
            texts: SortedMap::new(),
            said: Default::default(),
            halves: Vec::new(),
            has_edited_across: false,
            calls: SortedMap::new(),
            assembled: 0,
            response: Reading::new(),
            changes: ChangesByText::new(),
            rewritten: SortedMap::new(),
            is_changed: false,
            is_over: false,
            is_unread: false,
            ended_with_denial: false,
            stall: None,
            decided: Vec::new(),
            is_all_here: false,
            parked: Vec::new(),
            out: Vec::new(),
            any_sent: false,
            sent: 0,
            last_sent: now,
            held_since: None,
            budgeted: 0,
        }
    }

    pub(super) fn is_enforced(&self) -> bool {
        self.purpose == ReadPurpose::Enforce
    }

    pub(super) fn is_evaluated(&self) -> bool {
        self.purpose != ReadPurpose::Usage
    }

    fn enforcement(&self) -> Enforcement {
        match self.purpose {
            ReadPurpose::Enforce => Enforcement::Enforced,
            ReadPurpose::Observe | ReadPurpose::Usage => Enforcement::RecordOnly,
        }
    }

    /// Releases the first frame.
    fn begin(&mut self) {
        self.has_begun = true;
        if let Some(number) = self.beginning.take() {
            self.queue.settled(number);
        }
    }

    /// Sends the frames that are released.
    fn release(&mut self) {
        let mut ready = self.queue.take_ready();
        for waiting in ready.drain(..) {
            self.send(waiting);
        }
        self.queue.reuse(ready);
    }

    fn send(&mut self, waiting: QueuedFrame) {
        let QueuedFrame { frame, held, .. } = waiting;
        let Some(mut held) = held else {
            self.send_raw(&frame, None);
            return;
        };
        if self.is_changed || self.reader.counts_frames() {
            self.reader.correct(&mut held, &self.changes);
        }
        let HeldFrame {
            json,
            edits,
            dropped,
            before,
            after,
            ..
        } = held;
        for made in before {
            self.send_made(&made);
        }
        if dropped {
            self.out.extend_from_slice(&frame.without_payload());
        } else {
            let edited = json.filter(|_| !edits.is_empty()).and_then(|json| {
                let body = json.body()?;
                let json = json.edited(body.bytes(), edits);
                Some(self.reader.wrap(frame.payload.as_deref(), json))
            });
            self.send_raw(&frame, edited.as_deref());
        }
        for made in after {
            self.send_made(&made);
        }
    }

    fn send_raw(&mut self, frame: &Frame, payload: Option<&[u8]>) {
        let begin = self.out.len();
        match payload {
            Some(payload) => self.out.extend_from_slice(&frame.with_payload(payload)),
            None => self.out.extend_from_slice(&frame.raw),
        }
        if self.framing == Framing::Array && frame.payload.is_some() {
            // The element before may have been dropped, or another one may have been inserted before it.
            let separator = self.separator();
            let written = self.out.get_mut(begin..).unwrap_or_default();
            if let Some(byte @ (b'[' | b',')) =
                written.iter_mut().find(|b| !b.is_ascii_whitespace())
            {
                *byte = separator;
            }
        }
    }

    fn send_made(&mut self, made: &SyntheticFrame) {
        if self.framing == Framing::Array {
            let separator = self.separator();
            self.out.push(separator);
        }
        let bytes = if made.is_exception && self.framing == Framing::Amazon {
            frame::compose_exception(made.event.unwrap_or_default(), &made.payload)
        } else {
            let payload = self.reader.wrap(None, made.payload.clone());
            frame::compose(self.framing, self.reader.name_of(made), &payload)
        };
        self.out.extend_from_slice(&bytes);
    }

    /// Returns the separator before the next element of an array, or the array's opening bracket.
    fn separator(&mut self) -> u8 {
        if std::mem::replace(&mut self.any_sent, true) {
            b','
        } else {
            b'['
        }
    }

    /// Releases everything that is held back unchanged, and forwards the remaining stream unread.
    fn give_up(&mut self) {
        for waiting in self.queue.take_all() {
            self.send_raw(&waiting.frame, None);
        }
        let rest = self.frames.take_rest();
        self.out.extend_from_slice(&rest);
        self.texts.clear();
        self.calls.clear();
        self.assembled = 0;
        self.is_unread = true;
    }

    /// Returns the number of bytes that are held back, not counting those that are not read yet.
    fn held(&self) -> usize {
        let queued = self.queue.bytes().saturating_add(self.assembled);
        queued.saturating_add(self.parked.len())
    }

    /// Returns whether more is held back than the maximum, with `more` bytes that are still to be read. It is asked for
    /// every frame, so that it does not matter how the bytes are cut.
    fn is_too_much(&self, more: usize) -> bool {
        self.held().saturating_add(more) > self.guard.max_body()
            || self.texts.len().saturating_add(self.calls.len()) > MAX_OPEN
    }

    /// Takes the held bytes from the VM's memory budget. Returns `false` if it is exhausted.
    fn budget(&mut self) -> bool {
        let held = self.held().saturating_add(self.frames.held());
        self.guard.release(self.budgeted);
        self.budgeted = 0;
        if !self.guard.reserve(held) {
            return false;
        }
        self.budgeted = held;
        true
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.guard.release(self.budgeted);
    }
}

impl Flow {
    /// Processes received bytes of a streamed response; with `end`, the last ones.
    pub(super) fn stream_body(&mut self, body: &mut dyn Body, end: bool, now: u64) -> Step {
        let HalfState::Streaming(mut stream) =
            std::mem::replace(&mut self.response, HalfState::Done)
        else {
            return Step::go_on();
        };
        let bytes = if body.size() > 0 {
            body.read()
        } else {
            Vec::new()
        };
        let killed = self.killed_stream(&stream);
        let stopped = match killed {
            // The bytes at hand are dropped unread.
            Some(stop) if stream.is_enforced() => Some(stop),
            Some(stop) => self.end_forwarded_stream(&mut stream, &bytes, stop),
            None => self.advance(&mut stream, &bytes, end).err(),
        };
        self.stream_step(stream, stopped, &bytes, end, now)
    }

    /// Returns the step after processing bytes of a stream.
    fn stream_step(
        &mut self,
        mut stream: Box<Stream>,
        stopped: Option<StreamEnd>,
        bytes: &[u8],
        end: bool,
        now: u64,
    ) -> Step {
        if let Some(stop) = &stopped {
            self.stop(&mut stream, stop);
        }
        if stream.stall.is_some() {
            stream.is_all_here |= end;
            let released = std::mem::take(&mut stream.out);
            stream.parked.extend_from_slice(&released);
            self.record_holding(&mut stream, false, now);
            self.response = HalfState::Streaming(stream);
            return Step::of(Action::Take);
        }
        let mut out = std::mem::take(&mut stream.parked);
        out.append(&mut stream.out);
        if !stream.is_enforced() && stopped.is_none() {
            if !end {
                self.response = HalfState::Streaming(stream);
            }
            return Step::go_on();
        }
        self.record_holding(&mut stream, end || stopped.is_some(), now);
        if out.is_empty() && !end && !bytes.is_empty() && stopped.is_none() {
            out = keep_alive_bytes(&stream, now);
        }
        if !out.is_empty() {
            stream.last_sent = now;
        }
        stream.sent = stream
            .sent
            .saturating_add(u64::try_from(out.len()).unwrap_or(u64::MAX));
        self.response = match (stopped.is_some(), end) {
            (true, true) | (false, true) => HalfState::Done,
            (true, false) => match self.guard.policy.document.stream_on_deny {
                StreamOnDeny::Drain if stream.ended_with_denial => HalfState::Draining,
                _ => HalfState::Resetting,
            },
            (false, false) => HalfState::Streaming(stream),
        };
        if out == bytes {
            Step::go_on()
        } else {
            Step::of(Action::Replace(out))
        }
    }

    /// Returns the end of the stream if the kill list stops its exchange. A complete response is not ended.
    fn killed_stream(&mut self, stream: &Stream) -> Option<StreamEnd> {
        if stream.is_over || stream.is_unread {
            return None;
        }
        let denied = self.recheck_kill(Direction::Response)?;
        Some(StreamEnd {
            denial: Box::new(self.denial(&denied, &empty_body()?)),
            as_error: false,
        })
    }

    /// Ends a stream whose bytes were forwarded at once, after the frame of which the client already has a part.
    /// Returns `None` until that frame is complete, or if it completes the response.
    fn end_forwarded_stream(
        &mut self,
        stream: &mut Stream,
        bytes: &[u8],
        stop: StreamEnd,
    ) -> Option<StreamEnd> {
        let open = stream.frames.held();
        let mut rest = 0;
        if open > 0 {
            stream.frames.push(bytes);
            let frame = stream.frames.next_frame().ok()??;
            rest = frame.raw.len().checked_sub(open)?;
            let _ = self.take_frame(stream, frame);
            if stream.is_over {
                return None;
            }
        }
        // The client already has the queued frames, but the reader's state must include them.
        for waiting in stream.queue.take_all() {
            stream.send(waiting);
        }
        stream.out = bytes.get(..rest)?.to_vec();
        Some(stop)
    }

    fn record_holding(&mut self, stream: &mut Stream, is_over: bool, now: u64) {
        let holds = !is_over && !stream.queue.is_empty();
        match stream.held_since {
            None if holds => stream.held_since = Some(now),
            Some(since) if !holds => {
                stream.held_since = None;
                let held = now.saturating_sub(since);
                self.exchange.held_ns = self.exchange.held_ns.saturating_add(held);
            }
            _ => {}
        }
    }

    fn advance(&mut self, stream: &mut Stream, bytes: &[u8], end: bool) -> Result<(), StreamEnd> {
        match self.read_on(stream, bytes, end) {
            Err(Interruption::End(stop)) => return Err(stop),
            // Further bytes are only kept.
            Err(Interruption::Wait) | Ok(()) => {}
        }
        if stream.is_too_much(stream.frames.held()) {
            self.end_stalled(stream, codes::AG2014)?;
            self.stop_parsing(stream)?;
        } else if !stream.budget() {
            self.end_stalled(stream, codes::AG2011)?;
            self.unread(
                stream,
                codes::AG2011,
                "too much is held back at the same time",
            )?;
            stream.give_up();
        }
        Ok(())
    }

    /// Reads the complete frames.
    fn read_on(
        &mut self,
        stream: &mut Stream,
        bytes: &[u8],
        end: bool,
    ) -> Result<(), Interruption> {
        if stream.is_unread {
            stream.out.extend_from_slice(bytes);
            return Ok(());
        }
        if stream.is_evaluated() {
            self.exchange.read(Direction::Response, Coverage::Full);
        }
        stream.frames.push(bytes);
        if stream.stall.is_some() {
            return Ok(());
        }
        while !stream.is_unread {
            match stream.frames.next_frame() {
                Ok(Some(frame)) => {
                    self.take_next(stream, frame)?;
                    self.end_over_limit(stream)?;
                    if stream.is_too_much(0) {
                        self.stop_parsing(stream)?;
                    }
                }
                Ok(None) => break,
                Err(_) => self.stop_parsing(stream)?,
            }
            if stream.is_evaluated() && !stream.is_unread && self.has_too_much_text() {
                self.unread(stream, codes::AG2014, TOO_MUCH_TEXT)?;
                stream.give_up();
            }
            if stream.is_evaluated() && !stream.is_unread && work::is_exhausted() {
                // Usually the exhausted budget has already been evaluated.
                if !self.exchange.has_gap(Direction::Response, codes::AG2015) {
                    self.stop_searching(stream)?;
                }
                stream.give_up();
            }
        }
        if end && !stream.is_unread {
            match stream.frames.finish() {
                Ok(Some(frame)) => self.take_next(stream, frame)?,
                Ok(None) => {}
                Err(_) => self.stop_parsing(stream)?,
            }
            self.end_stream(stream)?;
        }
        Ok(())
    }

    /// Reads a frame, unless too much is held back with it.
    fn take_next(&mut self, stream: &mut Stream, frame: Frame) -> Result<(), Interruption> {
        if stream.is_too_much(frame.raw.len()) {
            stream.queue.push(frame, None, OrderingGroups::ALL);
            return Ok(self.stop_parsing(stream)?);
        }
        self.take_frame(stream, frame)
    }

    /// Ends a stream that reached a limit.
    fn end_over_limit(&mut self, stream: &Stream) -> Result<(), StreamEnd> {
        if !stream.is_enforced() || stream.is_over || stream.is_unread {
            return Ok(());
        }
        let Some(denied) = self.charge_stream() else {
            return Ok(());
        };
        match empty_body() {
            Some(json) => Err(StreamEnd {
                denial: Box::new(self.denial(&denied, &json)),
                as_error: self.on_deny(&denied.ruling) == Some(OnDeny::Error),
            }),
            None => Ok(()),
        }
    }

    /// Handles a stream that cannot be parsed further.
    fn stop_parsing(&mut self, stream: &mut Stream) -> Result<(), StreamEnd> {
        self.unread(stream, codes::AG2014, "the stream can't be read on")?;
        stream.give_up();
        Ok(())
    }

    /// Evaluates content of the stream that could not be parsed. Returns `Ok` if the policy allows it.
    fn unread(&mut self, stream: &Stream, code: &'static str, what: &str) -> Result<(), StreamEnd> {
        if stream.purpose == ReadPurpose::Usage {
            return Ok(());
        }
        let reading = Reading {
            problems: vec![Problem::of_body(code, what)],
            is_streamed: true,
            ..Reading::new()
        };
        self.evaluate_unread(stream, &reading)
    }

    /// Evaluates a part of the stream whose search exhausted the work budget.
    fn stop_searching(&mut self, stream: &Stream) -> Result<(), StreamEnd> {
        // The event to evaluate follows from the exhausted work budget.
        self.evaluate_unread(stream, &Reading::new())
    }

    fn evaluate_unread(&mut self, stream: &Stream, reading: &Reading) -> Result<(), StreamEnd> {
        let Some(json) = empty_body() else {
            return Ok(());
        };
        let half_decision =
            self.evaluate_all(Direction::Response, &json, reading, stream.enforcement());
        self.bind(stream, &half_decision, &json, true)
    }

    /// Returns the end of the stream as an error, if a decision denies anything under enforcement.
    fn bind(
        &mut self,
        stream: &Stream,
        half_decision: &HalfDecision,
        json: &JsonBody<'_>,
        as_error: bool,
    ) -> Result<(), StreamEnd> {
        match half_decision.strictest().filter(|_| stream.is_enforced()) {
            Some(denied) => Err(StreamEnd {
                denial: Box::new(self.denial(denied, json)),
                as_error: as_error
                    || denied.problem.is_some()
                    || self.on_deny(&denied.ruling) == Some(OnDeny::Error),
            }),
            None => Ok(()),
        }
    }

    pub(super) fn on_deny(&self, ruling: &Ruling) -> Option<OnDeny> {
        let rule = self.guard.policy.rule(ruling.rule?)?;
        rule.on_deny
    }

    /// Ends the response with a denial.
    fn stop(&mut self, stream: &mut Stream, stop: &StreamEnd) {
        if stream.stall.take().is_some() {
            self.service.stop_waiting();
        }
        stream.release();
        self.exchange.code = Some(stop.denial.code);
        let so_far = stream.parked.len().saturating_add(stream.out.len());
        let so_far = u64::try_from(so_far).unwrap_or(u64::MAX);
        let passed = stream.sent.saturating_add(so_far);
        self.exchange
            .reasons
            .insert(format!("response:cut_after_{passed}_bytes"));
        stream.queue.take_all();
        let frames = stream.reader.denial_frames(&stop.denial, stop.as_error);
        stream.ended_with_denial = !frames.is_empty();
        for made in frames {
            stream.send_made(&made);
        }
        if stream.framing == Framing::Array {
            stream.out.push(b']');
        }
    }

    /// Ends all texts and calls of a choice, or of all choices.
    fn end_all(
        &mut self,
        stream: &mut Stream,
        choice: Option<u32>,
        number: u64,
    ) -> Result<(), Interruption> {
        let is_of = |of: u32| choice.is_none_or(|choice| choice == of);
        let texts: Vec<TextKey> = stream
            .texts
            .iter()
            .filter(|(text_key, text)| {
                is_of(text_key.choice)
                    && (choice.is_none() || text.flowing != ReleaseMode::HeldToEnd)
            })
            .map(|(text_key, _)| *text_key)
            .collect();
        for text_key in texts {
            match choice {
                Some(_) => self.rest_text(stream, text_key)?,
                None => self.end_text(stream, text_key)?,
            }
        }
        let mut calls: Vec<CallKey> = stream
            .calls
            .keys()
            .filter(|key| is_of(key.choice))
            .copied()
            .collect();
        if !stream.decided.is_empty() {
            calls.extend(stream.decided.iter().map(|call| call.key));
            sort::sort(&mut calls);
        }
        self.end_calls(stream, &calls, number, true)
    }

    /// Ends the stream after the upstream's last byte.
    fn end_stream(&mut self, stream: &mut Stream) -> Result<(), Interruption> {
        if !stream.calls.is_empty() && stream.is_evaluated() {
            self.unread(
                stream,
                codes::AG2014,
                "it ended in the middle of a tool call",
            )?;
        }
        let text_keys: Vec<TextKey> = stream.texts.keys().copied().collect();
        for text_key in text_keys {
            self.end_text(stream, text_key)?;
        }
        let keys: Vec<CallKey> = stream.calls.keys().copied().collect();
        // No later frame could wait for them.
        self.end_calls(stream, &keys, u64::MAX, false)?;
        stream.begin();
        stream.release();
        for waiting in stream.queue.take_all() {
            stream.send(waiting);
        }
        Ok(())
    }

    /// Evaluates text of a frame outside its payload: a comment, an id, an unusual event name.
    fn evaluate_aside(
        &mut self,
        stream: &Stream,
        aside: &str,
        class: Class,
    ) -> Result<(), StreamEnd> {
        if aside.trim().is_empty() {
            return Ok(());
        }
        let (json, mut reading) = part_of_text(aside, None, class, &stream.response);
        let Some(json) = json else { return Ok(()) };
        let mut event = Event::new(Kind::Response, Direction::Response, NodeId::default());
        event.part = Part::Other;
        event.texts = 0..1;
        event.is_duplicate = true;
        reading.add(event);
        let half_decision =
            self.evaluate_all(Direction::Response, &json, &reading, stream.enforcement());
        self.bind(stream, &half_decision, &json, false)
    }
}

/// Returns the bytes of a keep-alive frame, if nothing has been sent for long.
fn keep_alive_bytes(stream: &Stream, now: u64) -> Vec<u8> {
    if now.saturating_sub(stream.last_sent) < KEEP_ALIVE_NS {
        return Vec::new();
    }
    match stream.reader.keep_alive() {
        Some(KeepAlive::Bytes(bytes)) => bytes.to_vec(),
        Some(KeepAlive::Frame(made)) => frame::compose(stream.framing, made.event, &made.payload),
        None => Vec::new(),
    }
}
