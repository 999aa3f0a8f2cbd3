//! Streamed responses. Frames are parsed one by one; texts and calls continue over many frames. A frame is released
//! once everything in it is evaluated: text that no rule or detector can match any more, and complete calls. A frame
//! without edits is forwarded byte for byte.

mod call;
mod fragments;
mod queue;
mod stall;
mod text;
#[cfg(not(target_arch = "wasm32"))]
mod transcript;

use super::content::Source;
use super::evaluate::{
    AssembledPart, DeniedEvent, Enforcement, HalfDecision, TOO_MUCH_TEXT, may_hold_calls,
};
use super::exchange::{Coverage, ExchangeOutcome};
use super::request::empty_body;
use super::restore_pseudonyms::composed;
use super::step::{Action, Body, Step};
use super::{Flow, Guard, HalfState};
use crate::detect::Ending;
use crate::diag::codes;
use crate::event::{
    Class, Direction, Event, Form, Kind, Part, Problem, Reading, Redaction, Text as TextInfo,
};
use crate::policy::{EvaluationPhase, OnDeny, ReleaseMode, Ruling, Scans, StreamOnDeny};
use crate::protocol::stream::{
    CallDelta, CallKey, ChangesByText, Delta, EvaluatedCall, FrameReading, HeldFrame, HeldFrames,
    KeepAlive, OrderingGroups, StreamReader, SyntheticFrame, TextDelta, TextKey,
};
use crate::protocol::{Denial, Reader, RemovalMethod};
use crate::redact::{self, replaced};
use crate::wire::frame::{self, Frame, Frames, Framing};
use crate::wire::json::{Edits, JsonBody, Limits, NodeId, quote};
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;
use crate::wire::work;
use call::AssembledCall;
use queue::{Queue, QueuedFrame};
use stall::{Interruption, OpenDeltas, ReadFrame, Stall};
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;
use text::StreamedText;
#[cfg(not(target_arch = "wasm32"))]
pub use transcript::{Transcript, TranscriptPart, transcript};

/// Maximum texts and calls that are open at the same time. No response needs that many; each costs memory.
const MAX_OPEN: usize = 4_096;

/// Nanoseconds without any sent bytes after which an intermediary may close a connection.
const KEEP_ALIVE_NS: u64 = 10_000_000_000;

/// The purpose of reading a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadPurpose {
    /// Enforcement: nothing is released before it is evaluated.
    Enforce,
    /// Observation: bytes are forwarded at once and evaluated for the audit event.
    Observe,
    /// Usage and names of called tools only.
    Usage,
}

/// The state of a streamed response.
pub(super) struct Stream {
    guard: Rc<Guard>,
    purpose: ReadPurpose,
    framing: Framing,
    frames: Frames,
    reader: Box<dyn StreamReader>,
    queue: Queue,
    /// The first frame, which is held until the response's calls are decided.
    beginning: Option<u64>,
    /// Whether the first frame was released.
    has_begun: bool,
    /// Ordering groups of the previous frame.
    lanes: OrderingGroups,
    texts: SortedMap<TextKey, StreamedText>,
    calls: SortedMap<CallKey, AssembledCall>,
    /// What is known of the response: usage, finish reason.
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
    /// Where reading goes on once the approval service has answered.
    stall: Option<Stall>,
    /// Calls that are decided, while others that ended with them wait for approvals.
    decided: Vec<EvaluatedCall>,
    /// Whether the upstream has sent its last byte while the stream waited.
    is_all_here: bool,
    /// Bytes that were released while the stream waits: Envoy sends none.
    parked: Vec<u8>,
    /// Bytes to send now.
    out: Vec<u8>,
    /// Whether a frame was sent, for framings with separators.
    any_sent: bool,
    /// Number of bytes sent.
    sent: u64,
    last_sent: u64,
    /// Time from which on something has been held back.
    held_since: Option<u64>,
    /// Bytes taken from the VM's memory budget.
    budgeted: usize,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} stream of {:?}", self.purpose, self.framing)
    }
}

/// The end of the stream: a denial replaces the remaining response.
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
            calls: SortedMap::new(),
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

    fn force(&self) -> Enforcement {
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
            // The element before may have been dropped, or another one inserted before it.
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

    /// Returns the separator before the next element of an array.
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
        self.is_unread = true;
    }

    /// Number of bytes that are held back.
    fn held(&self) -> usize {
        let texts = self.texts.values().map(|text| text.whole.len());
        let calls = self.calls.values().map(AssembledCall::size);
        texts
            .chain(calls)
            .fold(self.queue.bytes(), usize::saturating_add)
            .saturating_add(self.frames.held())
            .saturating_add(self.parked.len())
    }

    /// Takes the held bytes from the VM's memory budget. Returns `false` if it is exhausted.
    fn budget(&mut self) -> bool {
        let held = self.held();
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
            // What comes now is not even read.
            Some(stop) if stream.is_enforced() => Some(stop),
            Some(stop) => self.end_forwarded_stream(&mut stream, &bytes, stop),
            None => self.advance(&mut stream, &bytes, end).err(),
        };
        self.stream_step(stream, stopped, &bytes, end, now)
    }

    /// Returns the step after bytes of a stream were processed.
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

    /// Returns the end of the stream, if the kill list stops its exchange. A complete response needs none.
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

    /// Ends a stream whose bytes were forwarded as they came, behind the frame that the client has a part of. Returns
    /// `None` while it has no end.
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
        // The client has what is still queued; the reader has to know.
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
            // What follows is only kept.
            Err(Interruption::Wait) | Ok(()) => {}
        }
        if stream.held() > stream.guard.max_body()
            || stream.texts.len().saturating_add(stream.calls.len()) > MAX_OPEN
        {
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

    /// Reads the frames that are complete.
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
                    self.take_frame(stream, frame)?;
                    self.end_over_limit(stream)?;
                }
                Ok(None) => break,
                Err(_) => self.stop_parsing(stream)?,
            }
            if stream.is_evaluated() && !stream.is_unread && self.has_too_much_text() {
                self.unread(stream, codes::AG2014, TOO_MUCH_TEXT)?;
                stream.give_up();
            }
            if stream.is_evaluated() && !stream.is_unread && work::is_exhausted() {
                // Mostly the gap was evaluated when it was noticed.
                if !self.exchange.has_gap(Direction::Response, codes::AG2015) {
                    self.stop_searching(stream)?;
                }
                stream.give_up();
            }
        }
        if end && !stream.is_unread {
            match stream.frames.finish() {
                Ok(Some(frame)) => self.take_frame(stream, frame)?,
                Ok(None) => {}
                Err(_) => self.stop_parsing(stream)?,
            }
            self.end_stream(stream)?;
        }
        Ok(())
    }

    /// Ends a stream that has used up a limit.
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

    /// Handles content of the stream that could not be parsed. Returns `Ok` if the policy allows it.
    fn unread(&mut self, stream: &Stream, code: &'static str, what: &str) -> Result<(), StreamEnd> {
        if stream.purpose == ReadPurpose::Usage {
            return Ok(());
        }
        let problem = Problem {
            code,
            at: String::new(),
            what: what.to_owned(),
        };
        let reading = Reading {
            problems: vec![problem],
            ..Reading::new()
        };
        self.evaluate_unread(stream, &reading)
    }

    /// Handles a part of the stream whose search ran out of its work budget.
    fn stop_searching(&mut self, stream: &Stream) -> Result<(), StreamEnd> {
        // The event to evaluate follows from the exhausted work budget.
        self.evaluate_unread(stream, &Reading::new())
    }

    fn evaluate_unread(&mut self, stream: &Stream, reading: &Reading) -> Result<(), StreamEnd> {
        let Some(json) = empty_body() else {
            return Ok(());
        };
        let verdict = self.evaluate_all(Direction::Response, &json, reading, stream.force());
        self.bind(stream, &verdict, &json, true)
    }

    /// Returns the end of the stream that a decision requires, if it denies anything under enforcement.
    fn bind(
        &mut self,
        stream: &Stream,
        verdict: &HalfDecision,
        json: &JsonBody<'_>,
        as_error: bool,
    ) -> Result<(), StreamEnd> {
        match verdict.strictest().filter(|_| stream.is_enforced()) {
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
        let refusal = stream.reader.denial_frames(&stop.denial, stop.as_error);
        stream.ended_with_denial = !refusal.is_empty();
        for made in refusal {
            stream.send_made(&made);
        }
        if stream.framing == Framing::Array {
            stream.out.push(b']');
        }
    }

    fn take_frame(&mut self, stream: &mut Stream, mut frame: Frame) -> Result<(), Interruption> {
        self.guard.allowance.earn_frame(frame.raw.len());
        if stream.is_evaluated() {
            for aside in &frame.asides {
                self.evaluate_aside(stream, aside, Class::Unknown)?;
            }
            for id in &frame.ids {
                self.evaluate_aside(stream, id, class_of_id(id))?;
            }
            if let Some(name) = frame.event.as_deref().filter(|name| !is_plain(name)) {
                self.evaluate_aside(stream, name, Class::Unknown)?;
            }
        }
        let payload = frame.payload.take().unwrap_or_default();
        if payload.trim_ascii().is_empty() {
            // A keep-alive frame keeps its position, so that an unedited stream stays the same.
            let number = stream.queue.push(frame, None, stream.lanes);
            if stream.framing == Framing::Array {
                // The end of the array.
                return self.take_last(stream, number, false);
            }
            stream.queue.settled(number);
            stream.release();
            return Ok(());
        }
        let is_end = stream.reader.is_end(&payload);
        if stream.is_over && !is_end {
            self.exchange
                .reasons
                .insert("response:after_end".to_owned());
            return Ok(());
        }
        if is_end {
            let held = HeldFrame::of(None);
            let number = stream.queue.push(frame, Some(held), OrderingGroups::ALL);
            return self.take_last(stream, number, true);
        }
        let json = if stream.reader.wraps() {
            let json = stream.reader.unwrap(&payload);
            frame.payload = Some(payload);
            json
        } else {
            // The payload is not needed any more.
            frame.payload = Some(Vec::new());
            Some(payload)
        };
        let reader = json.map(|json| Reader::of_frame(json, self.guard.bounds()));
        match reader {
            Some(Ok(reader)) => self.read_frame(stream, frame, reader),
            _ => {
                let unread = self.unread(stream, codes::AG2014, "an event that is no JSON");
                let held = match unread {
                    Ok(()) => None,
                    Err(_) if stream.reader.can_skip() => Some(HeldFrame {
                        dropped: true,
                        ..HeldFrame::of(None)
                    }),
                    Err(stop) => return Err(Interruption::End(stop)),
                };
                let number = stream.queue.push(frame, held, OrderingGroups::ALL);
                stream.queue.settled(number);
                stream.release();
                Ok(())
            }
        }
    }

    fn read_frame(
        &mut self,
        stream: &mut Stream,
        frame: Frame,
        mut reader: Reader<'static>,
    ) -> Result<(), Interruption> {
        if let Some(body) = reader.body() {
            let event = frame.event.as_deref();
            stream.reader.read(&mut reader, body.root(), event);
        }
        let (json, mut reading, mut details) = reader.finish_frame();
        if let Some(body) = json.body() {
            self.note_response(body.root());
        }
        for problem in &mut reading.problems {
            problem.code = codes::AG2014;
        }
        learn(&mut stream.response, &reading);
        self.record_response(&stream.response);
        self.exchange.usage = self.exchange.usage.or(details.metered);
        if stream.purpose == ReadPurpose::Usage {
            self.record_calls(&reading);
            self.record_content(Direction::Response, None, (&json, &reading), &[]);
        }
        let held = HeldFrame {
            mark: std::mem::take(&mut details.mark),
            ..HeldFrame::of(Some(json))
        };
        let read = ReadFrame {
            frame,
            held,
            reading,
            details,
        };
        self.take_read_frame(stream, read)
    }

    /// Evaluates what is complete in a frame, and queues it.
    fn take_read_frame(
        &mut self,
        stream: &mut Stream,
        mut read: ReadFrame,
    ) -> Result<(), Interruption> {
        let has_events = !(read.reading.events.is_empty() && read.reading.problems.is_empty());
        if stream.is_evaluated() && has_events {
            match self.evaluate_frame(stream, &mut read.held, &read.reading) {
                Err(Interruption::Wait) => {
                    stream.stall = Some(Stall::Frame(Box::new(read)));
                    return Err(Interruption::Wait);
                }
                evaluated => evaluated?,
            }
        }
        let ReadFrame {
            frame,
            held,
            details,
            ..
        } = read;
        let FrameReading {
            lanes,
            pieces,
            last,
            quiet,
            ..
        } = details;
        if lanes != OrderingGroups::default() {
            stream.lanes = lanes;
        }
        let number = stream.queue.push(frame, Some(held), stream.lanes);
        if quiet
            && !stream.has_begun
            && stream.beginning.is_none()
            && stream.is_enforced()
            && self.guard.policy.needs.evaluates_calls()
        {
            stream.queue.wait(number);
            stream.beginning = Some(number);
        }
        let open = OpenDeltas {
            number,
            pieces: pieces.into(),
            last,
            quiet,
        };
        self.take_pieces(stream, open)
    }

    /// Processes what a queued frame adds to texts and calls.
    fn take_pieces(
        &mut self,
        stream: &mut Stream,
        mut open: OpenDeltas,
    ) -> Result<(), Interruption> {
        let number = open.number;
        while let Some(piece) = open.pieces.pop_front() {
            match self.take_piece(stream, number, &piece) {
                Err(Interruption::Wait) => {
                    open.pieces.push_front(piece);
                    stream.stall = Some(Stall::Deltas(open));
                    return Err(Interruption::Wait);
                }
                taken => taken?,
            }
        }
        if open.last {
            match self.end_all(stream, None, number) {
                Err(Interruption::Wait) => {
                    stream.stall = Some(Stall::Deltas(open));
                    return Err(Interruption::Wait);
                }
                ended => ended?,
            }
            stream.is_over = true;
        }
        if !open.quiet {
            stream.begin();
        }
        stream.reader.passed();
        stream.queue.settled(number);
        stream.release();
        Ok(())
    }

    /// Ends everything at a queued frame without content: the end of the stream, or of its array.
    fn take_last(
        &mut self,
        stream: &mut Stream,
        number: u64,
        is_end: bool,
    ) -> Result<(), Interruption> {
        match self.end_all(stream, None, number) {
            Err(Interruption::Wait) => {
                stream.stall = Some(Stall::Last { number, is_end });
                return Err(Interruption::Wait);
            }
            ended => ended?,
        }
        if is_end {
            stream.is_over = true;
            stream.begin();
        }
        stream.queue.settled(number);
        stream.release();
        Ok(())
    }

    /// Evaluates the events that are complete in one frame.
    fn evaluate_frame(
        &mut self,
        stream: &mut Stream,
        held: &mut HeldFrame,
        reading: &Reading,
    ) -> Result<(), Interruption> {
        let Some(json) = &held.json else {
            return Ok(());
        };
        self.let_wait();
        let verdict = self.evaluate_all(Direction::Response, json, reading, stream.force());
        if verdict.waits {
            return Err(Interruption::Wait);
        }
        if !stream.is_enforced() {
            return Ok(());
        }
        let can_go = |denied: &DeniedEvent| {
            let removal = stream.reader.removal(denied.event.kind);
            self.can_go(denied, removal, stream.beginning.is_none())
        };
        if !verdict.denied.iter().all(can_go) {
            let broken = verdict.denied.iter().any(|denied| denied.problem.is_some());
            return Ok(self.bind(stream, &verdict, json, broken)?);
        }
        let strictest = verdict.strictest();
        let is_denied = strictest.is_some_and(|denied| !denied.hidden);
        let stop = strictest.map(|denied| StreamEnd {
            denial: Box::new(self.denial(denied, json)),
            as_error: true,
        });
        let mut edits = Edits::default();
        let mut edited = redact::apply(
            verdict.redactions,
            json,
            &self.guard.redaction_keys,
            &mut self.redactions,
            &mut edits,
        );
        let restored = {
            let is_free = |place| edited.iter().all(|edited| edited.place != place);
            self.restore_pseudonyms(json, reading, &is_free, &mut edits)
        };
        edited.extend(restored);
        if stop.is_none() && edits.is_empty() {
            return Ok(());
        }
        let Some(protocol) = self.protocol else {
            return Ok(());
        };
        let removals = self.removals(protocol, &verdict.denied, edited, json);
        held.edits = edits;
        stream.is_changed = true;
        match (stream.reader.remove_from_response(held, &removals), stop) {
            (Ok(()), Some(stop)) if is_denied => {
                self.exchange.code = Some(stop.denial.code);
                Ok(())
            }
            (Ok(()), _) => Ok(()),
            (Err(_), Some(stop)) => {
                self.exchange
                    .decided(ExchangeOutcome::Deny, ExchangeOutcome::Deny);
                Err(Interruption::End(stop))
            }
            (Err(_), None) => {
                let stop = self.stop_uneditable(held.json.as_ref());
                Err(Interruption::End(stop))
            }
        }
    }

    fn stop_uneditable(&mut self, json: Option<&JsonBody<'_>>) -> StreamEnd {
        let denied = self.uneditable();
        let none = empty_body();
        StreamEnd {
            denial: json
                .or(none.as_ref())
                .map(|json| Box::new(self.denial(&denied, json)))
                .unwrap_or_default(),
            as_error: true,
        }
    }

    fn take_piece(
        &mut self,
        stream: &mut Stream,
        number: u64,
        piece: &Delta,
    ) -> Result<(), Interruption> {
        match piece {
            Delta::Text(piece) => self.take_text(stream, number, *piece)?,
            Delta::TextEnd(channel) => {
                let text = stream.texts.get(channel);
                if text.is_some_and(|text| text.flowing == ReleaseMode::HeldToEnd) {
                    return Ok(());
                }
                self.end_text(stream, *channel)?;
            }
            Delta::TextRest(channel) => self.rest_text(stream, *channel)?,
            Delta::Call { key, element, what } => {
                self.take_call(stream, number, *key, *element, what);
            }
            Delta::CallsEnd(keys) => return self.end_calls(stream, keys, number, true),
            Delta::End(choice) => return self.end_all(stream, *choice, number),
        }
        Ok(())
    }

    fn take_text(
        &mut self,
        stream: &mut Stream,
        number: u64,
        piece: TextDelta,
    ) -> Result<(), StreamEnd> {
        if !stream.is_evaluated() && !self.records_content() {
            return Ok(());
        }
        let channel = piece.channel;
        let held = stream.queue.get(number);
        let doc = held.and_then(|held| held.json.as_ref()?.shared(piece.place.doc));
        let value = doc.as_ref().map(|doc| doc.value(piece.place.node));
        let Some(text) = value.and_then(|value| value.text()) else {
            return Ok(());
        };
        let new = text.get(piece.repeats..).unwrap_or_default();
        if !stream.is_evaluated() {
            if !piece.is_duplicate {
                self.record_text(channel, new);
            }
            return Ok(());
        }
        let known = stream.texts.get_mut(&channel);
        if known.as_ref().is_none_or(|known| known.has_ended) && new.is_empty() {
            if piece.repeats > 0 {
                // The text has ended: its decision also applies to this copy.
                if let Some(changes) = stream.changes.get(&channel) {
                    let whole = 0..text.len();
                    text::edit(&whole, number, piece.place, changes, &mut stream.queue);
                }
                return Ok(());
            }
            if known.is_some() {
                return Ok(());
            }
        }
        match known {
            Some(known) if known.has_ended => known.reopen(),
            Some(_) => {}
            None => {
                stream.changes.remove(&channel);
                self.begin_recorded_text(channel);
                let text = self.begin_text(stream, &piece)?;
                stream.texts.insert(channel, text);
            }
        }
        let Some(text) = stream.texts.get_mut(&channel) else {
            return Ok(());
        };
        let start = if text.is_held() {
            stream.queue.wait(number);
            text.whole.len()
        } else {
            stream.queue.wait_shortly(number);
            text.window.length()
        };
        if text.is_kept() {
            text.whole.push_str(new);
        }
        text.note_written(new);
        if !piece.is_duplicate {
            self.record_text(channel, new);
        }
        let written = u64::try_from(new.len()).unwrap_or(u64::MAX);
        self.exchange.response_text = self.exchange.response_text.saturating_add(written);
        let range = start..start.saturating_add(new.len());
        self.count_text(Direction::Response, new.len());
        text.add(range, piece.repeats, number, piece.place);
        if text.is_held() {
            return Ok(());
        }
        self.settle_text(stream, channel, new, Ending::Open)
    }

    /// Evaluates what can be evaluated before any text has arrived.
    fn begin_text(
        &mut self,
        stream: &Stream,
        piece: &TextDelta,
    ) -> Result<StreamedText, StreamEnd> {
        let TextDelta { channel, class, .. } = *piece;
        let mut event = Event::new(Kind::Response, Direction::Response, NodeId::default());
        event.part = channel.part;
        event.choice = channel.choice;
        event.texts = 0..1;
        event.is_duplicate = piece.is_duplicate;
        event.rpc = (!stream.response.rpc.is_empty()).then_some(0);
        let at = stream.reader.text_at(&channel);
        let (json, reading) = part_of_text("", class, &stream.response);
        let Some(json) = json else {
            return Ok(StreamedText::new(event, class, at, ReleaseMode::Settled));
        };
        let flowing = self.flowing(&event, &reading, &json);
        let mut text = StreamedText::new(event, class, at, flowing);
        text.written.is_enabled = matches!(class, Class::Text | Class::Sealed)
            && may_hold_calls(channel.part)
            && self.searches_written_calls();
        if !text.is_held() {
            let part = PendingText {
                json: &json,
                reading: &reading,
                scans: Scans::default(),
                moment: EvaluationPhase::Begin,
            };
            let verdict = self.evaluate_text(stream, &text, part);
            text.event.is_duplicate = true;
            self.bind(stream, &verdict, &json, false)?;
        }
        Ok(text)
    }

    fn evaluate_text(
        &mut self,
        stream: &Stream,
        text: &StreamedText,
        part: PendingText<'_>,
    ) -> HalfDecision {
        self.evaluate_assembled(AssembledPart {
            events: std::slice::from_ref(&text.event),
            reading: part.reading,
            json: part.json,
            scans: part.scans,
            moment: part.moment,
            force: stream.force(),
            at: &text.at,
        })
    }

    /// Evaluates the settled part of a text and releases it.
    fn settle_text(
        &mut self,
        stream: &mut Stream,
        channel: TextKey,
        piece: &str,
        ending: Ending,
    ) -> Result<(), StreamEnd> {
        let guard = Rc::clone(&self.guard);
        let Some(text) = stream.texts.get_mut(&channel) else {
            return Ok(());
        };
        let settled = {
            let mut scratch = guard.scratch.borrow_mut();
            let watch = &self.redactions.pseudonyms;
            text.window
                .push(&guard.policy, piece, ending, watch, &mut scratch)
        };
        if work::is_exhausted() {
            return self.stop_searching(stream);
        }
        if let Some(mut settled) = settled {
            let restored = self.pseudonyms_in(&settled.text, text);
            let mut scans = settled.scans();
            let real = replaced(&settled.text, &restored);
            if !restored.is_empty() {
                // Rules evaluate the text that the client gets.
                scans = Scans::default();
            }
            let (json, reading) = part_of_text(&real, text.class, &stream.response);
            let Some(json) = json else { return Ok(()) };
            let (start, characters) = (settled.start, settled.characters);
            let Some(text) = stream.texts.get(&channel) else {
                return Ok(());
            };
            let part = PendingText {
                json: &json,
                reading: &reading,
                scans,
                moment: EvaluationPhase::Hit,
            };
            let verdict = self.evaluate_text(stream, text, part);
            self.bind(stream, &verdict, &json, false)?;
            let part = EvaluatedText {
                text: &settled.text,
                restored,
                start,
                characters,
            };
            self.redact_text(stream, channel, verdict, part);
        }
        let Some(text) = stream.texts.get_mut(&channel) else {
            return Ok(());
        };
        let end = text.window.settled().min(text.free_of_calls());
        let changes = stream.changes.get(&channel);
        text.settle(end, changes, &mut stream.queue);
        Ok(())
    }

    /// Returns the pseudonyms in a part of a text, with their values.
    fn pseudonyms_in(&self, part: &str, text: &StreamedText) -> Vec<(Range<usize>, String)> {
        let may_change = text.class == Class::Text && text.event.part != Part::Arguments;
        match may_change {
            true => self.redactions.pseudonyms.found(part, None),
            false => Vec::new(),
        }
    }

    /// Records the redactions of a part of a text.
    fn redact_text(
        &mut self,
        stream: &mut Stream,
        channel: TextKey,
        verdict: HalfDecision,
        part: EvaluatedText<'_>,
    ) {
        let EvaluatedText {
            text: part,
            restored,
            start,
            characters,
        } = part;
        // Ranges are those of the text with the values of its pseudonyms.
        let redactions = match restored.is_empty() {
            true => Cow::Borrowed(&*verdict.redactions),
            false => verdict
                .redactions
                .iter()
                .map(|redaction| Redaction {
                    range: 0..part.len(),
                    ..redaction.clone()
                })
                .collect(),
        };
        self.mask_recorded_text(channel, start, &redactions);
        if !stream.is_enforced() {
            return;
        }
        let keys = &self.guard.redaction_keys;
        let real = replaced(part, &restored);
        let changes = redact::changes(verdict.redactions, &real, keys, &mut self.redactions);
        let changes = composed(part, restored, changes);
        if changes.is_empty() {
            return;
        }
        let left = stream.texts.get(&channel).map_or(0, |text| text.left);
        let left = left.saturating_sub(start);
        let known = stream.changes.entry(channel).or_default();
        stream.is_changed = true;
        for (range, with) in changes {
            if range.end <= left {
                continue;
            }
            let range = range.start.max(left)..range.end;
            let count = |range: Range<usize>| {
                let text = part.get(range).unwrap_or_default();
                u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
            };
            let from = characters.saturating_add(count(0..range.start));
            let to = from.saturating_add(count(range.clone()));
            let bytes = range.start.saturating_add(start)..range.end.saturating_add(start);
            known.add(bytes, from..to, with);
        }
    }

    /// Ends a text for good.
    fn end_text(&mut self, stream: &mut Stream, channel: TextKey) -> Result<(), StreamEnd> {
        self.rest_text(stream, channel)?;
        stream.texts.remove(&channel);
        Ok(())
    }

    /// Ends a text that may still continue.
    fn rest_text(&mut self, stream: &mut Stream, channel: TextKey) -> Result<(), StreamEnd> {
        let text = stream.texts.get(&channel);
        let Some(text) = text.filter(|text| !text.has_ended) else {
            return Ok(());
        };
        if text.is_kept() {
            let restored = self.pseudonyms_in(&text.whole, text);
            let real = replaced(&text.whole, &restored);
            let (json, reading) = part_of_text(&real, text.class, &stream.response);
            let Some(json) = json else { return Ok(()) };
            let part = PendingText {
                json: &json,
                reading: &reading,
                scans: Scans::default(),
                moment: if text.is_held() {
                    EvaluationPhase::Whole
                } else {
                    EvaluationPhase::End
                },
            };
            let verdict = self.evaluate_text(stream, text, part);
            if text.is_held() {
                self.bind(stream, &verdict, &json, false)?;
                let whole = text.whole.clone();
                let part = EvaluatedText {
                    text: &whole,
                    restored,
                    start: 0,
                    characters: 0,
                };
                self.redact_text(stream, channel, verdict, part);
            }
        }
        let text = stream.texts.get_mut(&channel);
        let written = text.and_then(|text| Some((text.written.take()?, text.at.clone())));
        if let Some((written, at)) = written {
            let (choice, force) = (channel.choice, stream.force());
            let evaluated = self.evaluate_written(&written, choice, &stream.response, force, &at);
            if let (Some(verdict), Some(json)) = (evaluated, empty_body()) {
                self.bind(stream, &verdict, &json, false)?;
            }
        }
        if stream
            .texts
            .get(&channel)
            .is_some_and(|text| !text.is_held())
        {
            self.settle_text(stream, channel, "", Ending::Final)?;
        }
        if let Some(text) = stream.texts.get_mut(&channel) {
            let changes = stream.changes.get(&channel);
            text.settle(usize::MAX, changes, &mut stream.queue);
            text.has_ended = true;
            text.event.is_duplicate = true;
        }
        Ok(())
    }

    fn take_call(
        &mut self,
        stream: &mut Stream,
        number: u64,
        key: CallKey,
        element: NodeId,
        what: &CallDelta,
    ) {
        if let CallDelta::ArgumentsWhole(place) = what
            && !stream.calls.contains_key(&key)
        {
            if let Some(arguments) = stream.rewritten.get(&key) {
                call::put(number, *place, arguments, &mut stream.queue);
            }
            return;
        }
        let call = stream.calls.entry(key).or_default();
        let held = stream.queue.get(number);
        let Some(json) = held.and_then(|held| held.json.as_ref()) else {
            return;
        };
        if call.add(number, element, what, json) {
            stream.queue.wait(number);
        }
    }

    /// Evaluates complete calls, and removes the denied ones. If some wait for their approvals, the others are decided, and
    /// all leave together.
    fn end_calls(
        &mut self,
        stream: &mut Stream,
        keys: &[CallKey],
        end: u64,
        may_wait: bool,
    ) -> Result<(), Interruption> {
        let mut waits = false;
        let has_waited = !stream.decided.is_empty();
        for key in keys {
            let Some(call) = stream.calls.remove(key) else {
                continue;
            };
            let written = u64::try_from(call.size()).unwrap_or(u64::MAX);
            let so_far = self.exchange.response_text;
            self.exchange.response_text = so_far.saturating_add(written);
            match self.evaluate_call(stream, key, &call, may_wait) {
                Err(Interruption::Wait) => {
                    self.exchange.response_text = so_far;
                    stream.calls.insert(*key, call);
                    waits = true;
                }
                denied => {
                    let denied = denied?;
                    stream.decided.push(EvaluatedCall {
                        key: *key,
                        pieces: call.elements,
                        denied,
                    });
                }
            }
        }
        if waits {
            return Err(Interruption::Wait);
        }
        let mut evaluated = std::mem::take(&mut stream.decided);
        if has_waited {
            let place = |call: &EvaluatedCall| keys.iter().position(|key| *key == call.key);
            sort::sort_by_key(&mut evaluated, place);
        }
        if evaluated.iter().any(|call| call.denied.is_some()) {
            stream.is_changed = true;
            let taken = stream
                .reader
                .remove_calls(&evaluated, end, &mut stream.queue);
            if taken.is_err() {
                return Err(Interruption::End(self.stop_uneditable(None)));
            }
        }
        for call in &evaluated {
            let mut last = None;
            for (frame, _) in &call.pieces {
                if last.replace(*frame) != Some(*frame) {
                    stream.queue.settled(*frame);
                }
            }
        }
        Ok(())
    }

    /// Evaluates one call. Returns the message for the client if the call is removed.
    fn evaluate_call(
        &mut self,
        stream: &mut Stream,
        key: &CallKey,
        call: &AssembledCall,
        may_wait: bool,
    ) -> Result<Option<String>, Interruption> {
        if !stream.is_evaluated() {
            let name = call.name();
            if !name.is_empty() {
                self.exchange
                    .calls
                    .push((name.into(), ExchangeOutcome::Allow));
            }
            if self.records_content()
                && let Ok((json, reading)) = call.read(key, self.guard.bounds())
            {
                let source = Some(Source::Call(*key));
                self.record_content(Direction::Response, source, (&json, &reading), &[]);
            }
            return Ok(None);
        }
        let (json, reading) = match call.read(key, self.guard.bounds()) {
            Ok(read) => read,
            Err(problem) => {
                self.unread(stream, codes::AG2014, &problem.what)?;
                return Ok(None);
            }
        };
        let mut restored = Edits::default();
        self.restore_pseudonyms(&json, &reading, &|_| true, &mut restored);
        let is_restored = !restored.is_empty();
        let (json, mut reading) =
            match call.with_edits(key, json, reading, restored, self.guard.bounds()) {
                Some(read) => read,
                None => return Err(Interruption::End(self.stop_uneditable(None))),
            };
        copy_known_facts(&mut reading, &stream.response);
        let at = stream.reader.call_at(key);
        if may_wait {
            self.let_wait();
        }
        let verdict = self.evaluate_assembled(AssembledPart {
            events: &reading.events,
            reading: &reading,
            json: &json,
            scans: Scans::default(),
            moment: EvaluationPhase::Whole,
            force: stream.force(),
            at: &at,
        });
        if verdict.waits {
            return Err(Interruption::Wait);
        }
        let read = (&json, &reading);
        let source = Some(Source::Call(*key));
        self.record_content(Direction::Response, source, read, &verdict.redactions);
        if !stream.is_enforced() {
            return Ok(None);
        }
        if let Some(denied) = verdict.strictest() {
            let denial = self.denial(denied, &json);
            let has_begun = stream.beginning.is_none();
            // A denied text in the arguments is removed with its call.
            let can_go = verdict.denied.iter().all(|denied| {
                let is_call = denied.event.kind == Kind::ToolCall;
                (is_call && self.can_go(denied, RemovalMethod::Call, has_begun))
                    || (denied.event.kind == Kind::Response
                        && self.on_deny(&denied.ruling) != Some(OnDeny::Error)
                        && !self.request_context.forces_tool
                        && !self.request_context.waits_for_results(has_begun))
            });
            if !can_go {
                return Err(Interruption::End(StreamEnd {
                    denial: Box::new(denial),
                    as_error: true,
                }));
            }
            self.exchange.code = Some(denial.code);
            return Ok(Some(denial.message()));
        }
        if self.guard.policy.needs.evaluates_calls() && call.keep_name_once(&mut stream.queue) {
            stream.is_changed = true;
        }
        let mut edits = Edits::default();
        redact::apply(
            verdict.redactions,
            &json,
            &self.guard.redaction_keys,
            &mut self.redactions,
            &mut edits,
        );
        if is_restored || !edits.is_empty() {
            stream.is_changed = true;
            match call.edit(&json, edits, &mut stream.queue) {
                Some(arguments) => stream.rewritten.insert(*key, arguments),
                None => return Err(Interruption::End(self.stop_uneditable(Some(&json)))),
            };
        }
        Ok(None)
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
            .filter(|(channel, text)| {
                is_of(channel.choice)
                    && (choice.is_none() || text.flowing != ReleaseMode::HeldToEnd)
            })
            .map(|(channel, _)| *channel)
            .collect();
        for channel in texts {
            match choice {
                Some(_) => self.rest_text(stream, channel)?,
                None => self.end_text(stream, channel)?,
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
        let channels: Vec<TextKey> = stream.texts.keys().copied().collect();
        for channel in channels {
            self.end_text(stream, channel)?;
        }
        let keys: Vec<CallKey> = stream.calls.keys().copied().collect();
        // No frame is left that could wait for them.
        self.end_calls(stream, &keys, u64::MAX, false)?;
        stream.begin();
        stream.release();
        for waiting in stream.queue.take_all() {
            stream.send(waiting);
        }
        Ok(())
    }

    /// Evaluates text of a frame outside its payload: a comment, an id.
    fn evaluate_aside(
        &mut self,
        stream: &Stream,
        aside: &str,
        class: Class,
    ) -> Result<(), StreamEnd> {
        if aside.trim().is_empty() {
            return Ok(());
        }
        let (json, mut reading) = part_of_text(aside, class, &stream.response);
        let Some(json) = json else { return Ok(()) };
        let mut event = Event::new(Kind::Response, Direction::Response, NodeId::default());
        event.part = Part::Other;
        event.texts = 0..1;
        event.is_duplicate = true;
        reading.add(event);
        let verdict = self.evaluate_all(Direction::Response, &json, &reading, stream.force());
        self.bind(stream, &verdict, &json, false)
    }
}

/// A part of a text that is about to be evaluated.
struct PendingText<'a> {
    json: &'a JsonBody<'a>,
    reading: &'a Reading,
    scans: Scans,
    moment: EvaluationPhase,
}

/// An evaluated part of a text.
struct EvaluatedText<'a> {
    text: &'a str,
    /// The pseudonyms in it, with their values.
    restored: Vec<(Range<usize>, String)>,
    /// Byte offset of the part in the whole text.
    start: usize,
    /// Number of characters before the part.
    characters: u64,
}

/// Creates a body of its own for a part of a text, with what is known of the response.
fn part_of_text(
    part: &str,
    class: Class,
    response: &Reading,
) -> (Option<JsonBody<'static>>, Reading) {
    let mut quoted = Vec::with_capacity(part.len().saturating_add(2));
    quote(part, &mut quoted);
    let mut reading = Reading::new();
    copy_known_facts(&mut reading, response);
    reading.texts.push(TextInfo {
        place: NodeId::default(),
        class,
        form: Form::String,
        key: None,
        over: None,
        is_data: false,
    });
    (
        JsonBody::owned(quoted, Limits { max_depth: 1 }, 0).ok(),
        reading,
    )
}

/// Returns the class of a frame id. Servers number events or name them by time; an id with white space is a text.
fn class_of_id(id: &str) -> Class {
    if id.contains(char::is_whitespace) {
        Class::Unknown
    } else {
        Class::Id
    }
}

/// Whether an event name has the form of protocol names.
fn is_plain(name: &str) -> bool {
    name.bytes()
        .all(|b| b.is_ascii_alphabetic() || matches!(b, b'.' | b'_' | b'-' | b'/'))
}

/// Copies what is known of the response to the reading of its events.
fn copy_known_facts(reading: &mut Reading, response: &Reading) {
    reading.usage = response.usage;
    reading.finish.clone_from(&response.finish);
    reading.error.clone_from(&response.error);
    reading.rpc.clone_from(&response.rpc);
}

/// Adds the information of one more frame. Later token counts replace earlier ones.
fn learn(response: &mut Reading, frame: &Reading) {
    let (known, new) = (&mut response.usage, frame.usage);
    for (known, new) in [
        (&mut known.input_tokens, new.input_tokens),
        (&mut known.output_tokens, new.output_tokens),
        (&mut known.cached_tokens, new.cached_tokens),
        (&mut known.reasoning_tokens, new.reasoning_tokens),
    ] {
        if new.is_some() {
            *known = new;
        }
    }
    response.finish.extend(frame.finish.iter().cloned());
    if frame.error.is_some() {
        response.error.clone_from(&frame.error);
    }
    if response.rpc.is_empty() {
        response.rpc.extend(frame.rpc.first().cloned());
    }
}

/// Returns the bytes of a keep-alive frame, if everything is held back and nothing was sent for long.
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
