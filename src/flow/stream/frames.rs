//! Frames of a streamed response. Each is parsed once, and the events that are complete in it are evaluated with it.

use super::stall::{Interruption, OpenDeltas, ReadFrame, Stall};
use super::{ReadPurpose, Stream, StreamEnd};
use crate::diag::codes;
use crate::event::{Class, Direction, Reading};
use crate::flow::Flow;
use crate::flow::evaluate::DeniedEvent;
use crate::flow::exchange::ExchangeOutcome;
use crate::flow::request::empty_body;
use crate::policy::ReleaseMode;
use crate::protocol::Reader;
use crate::protocol::stream::{Delta, FrameReading, HeldFrame, OrderingGroups};
use crate::redact;
use crate::wire::frame::{Frame, Framing};
use crate::wire::json::{Edits, JsonBody};
use crate::wire::{sort, work};

impl Flow {
    pub(super) fn take_frame(
        &mut self,
        stream: &mut Stream,
        mut frame: Frame,
    ) -> Result<(), Interruption> {
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
                // This is the end of the array.
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

    pub(super) fn read_frame(
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
        reading.is_streamed = true;
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

    /// Evaluates the events that are complete in a frame, and queues the frame.
    pub(super) fn take_read_frame(
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

    /// Processes the deltas of a queued frame.
    pub(super) fn take_pieces(
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

    /// Ends all texts and calls at a queued frame without content: the end of the stream, or of its array.
    pub(super) fn take_last(
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
    pub(super) fn evaluate_frame(
        &mut self,
        stream: &mut Stream,
        held: &mut HeldFrame,
        reading: &Reading,
    ) -> Result<(), Interruption> {
        let Some(json) = &held.json else {
            return Ok(());
        };
        self.allow_waiting();
        let half_decision =
            self.evaluate_all(Direction::Response, json, reading, stream.enforcement());
        if half_decision.waits {
            return Err(Interruption::Wait);
        }
        stream.note_whole_texts(json, reading);
        if !stream.is_enforced() {
            return Ok(());
        }
        let can_go = |denied: &DeniedEvent| {
            let removal = stream.reader.removal(denied.event.kind);
            self.can_be_removed_by(denied, removal, stream.beginning.is_none())
        };
        if !half_decision.denied.iter().all(can_go) {
            let broken = half_decision
                .denied
                .iter()
                .any(|denied| denied.problem.is_some());
            return Ok(self.bind(stream, &half_decision, json, broken)?);
        }
        let strictest = half_decision.strictest();
        let is_denied = strictest.is_some_and(|denied| !denied.hidden);
        let stop = strictest.map(|denied| StreamEnd {
            denial: Box::new(self.denial(denied, json)),
            as_error: true,
        });
        let mut edits = Edits::default();
        let mut edited = redact::apply(
            half_decision.redactions,
            json,
            &self.guard.redaction_keys,
            &mut self.redactions,
            &mut edits,
        );
        let restored = {
            let places = sort::set(edited.iter().map(|edited| edited.place));
            let is_free = |place| !places.contains(&place);
            self.restore_pseudonyms(json, reading, &is_free, &mut edits)
        };
        edited.extend(restored);
        if stop.is_none() && edits.is_empty() {
            return Ok(());
        }
        let Some(protocol) = self.protocol else {
            return Ok(());
        };
        let removals = self.removals(protocol, &half_decision.denied, edited, json);
        held.edits = edits;
        stream.is_changed = true;
        let removed = removals
            .bounded()
            .and_then(|()| stream.reader.remove_from_response(held, &removals));
        match (removed, stop) {
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

    pub(super) fn stop_uneditable(&mut self, json: Option<&JsonBody<'_>>) -> StreamEnd {
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

    pub(super) fn take_piece(
        &mut self,
        stream: &mut Stream,
        number: u64,
        piece: &Delta,
    ) -> Result<(), Interruption> {
        match piece {
            Delta::Text(piece) => self.take_text(stream, number, *piece)?,
            Delta::TextEnd(text_key) => {
                let text = stream.texts.get(text_key);
                if text.is_some_and(|text| text.flowing == ReleaseMode::HeldToEnd) {
                    return Ok(());
                }
                self.end_text(stream, *text_key)?;
            }
            Delta::TextRest(text_key) => self.rest_text(stream, *text_key)?,
            Delta::Call { key, element, what } => {
                self.take_call(stream, number, *key, *element, what);
            }
            Delta::CallsEnd(keys) => return self.end_calls(stream, keys, number, true),
            Delta::End(choice) => return self.end_all(stream, *choice, number),
        }
        Ok(())
    }
}

/// Returns the class of a frame id. Servers number events or name them by time; an id with white space is a text.
pub(super) fn class_of_id(id: &str) -> Class {
    if id.contains(char::is_whitespace) {
        Class::Unknown
    } else {
        Class::Id
    }
}

/// Returns whether an event name has the form of protocol names.
pub(super) fn is_plain(name: &str) -> bool {
    name.bytes()
        .all(|b| b.is_ascii_alphabetic() || matches!(b, b'.' | b'_' | b'-' | b'/'))
}

/// Maximum finish reasons of a stream that are known: one for each of the most choices that a provider has. All parts of
/// the stream get a copy of them.
const MAX_FINISH_REASONS: usize = 128;

/// Copies the facts on the response to the reading of its events.
pub(super) fn copy_known_facts(reading: &mut Reading, response: &Reading) {
    work::spend(response.finish.len());
    reading.usage = response.usage;
    reading.finish.clone_from(&response.finish);
    reading.error.clone_from(&response.error);
    reading.rpc.clone_from(&response.rpc);
}

/// Adds the facts of one more frame. Later token counts replace earlier ones.
pub(super) fn learn(response: &mut Reading, frame: &Reading) {
    response.usage = frame.usage.or(response.usage);
    let rest = MAX_FINISH_REASONS.saturating_sub(response.finish.len());
    response
        .finish
        .extend(frame.finish.iter().take(rest).cloned());
    if frame.error.is_some() {
        response.error.clone_from(&frame.error);
    }
    if response.rpc.is_empty() {
        response.rpc.extend(frame.rpc.first().cloned());
    }
}
