//! Texts of a streamed response, which continue over frames. A part of a text is settled once no later byte can change
//! its findings.

use super::frames::copy_known_facts;
use super::text::{self, StreamedText};
use super::{Stream, StreamEnd};
use crate::detect::{Ending, NormalisedText};
use crate::diag::codes;
use crate::event::{
    Class, Direction, Event, Form, Kind, Part, Reading, Redaction, Text as TextInfo, TextNames,
};
use crate::flow::Flow;
use crate::flow::evaluate::{AssembledPart, HalfDecision, may_hold_calls};
use crate::flow::request::empty_body;
use crate::flow::restore_pseudonyms::composed;
use crate::policy::{
    EvaluationPhase, HoldbackBuffer, JOINED_END as END, ReleaseMode, Scans, is_joined,
};
use crate::protocol::stream::{HeldFrames, TextDelta, TextKey};
use crate::redact::{self, Pseudonyms, replaced};
use crate::wire::json::{JsonBody, Limits, NodeId, quote};
use crate::wire::span::index;
use crate::wire::work;
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

impl Flow {
    pub(super) fn take_text(
        &mut self,
        stream: &mut Stream,
        number: u64,
        piece: TextDelta,
    ) -> Result<(), StreamEnd> {
        if !stream.is_evaluated() && !self.records_content() {
            return Ok(());
        }
        let text_key = piece.text_key;
        let held = stream.queue.get(number);
        let doc = held.and_then(|held| held.json.as_ref()?.shared(piece.place.doc));
        let value = doc.as_ref().map(|doc| doc.value(piece.place.node));
        let Some(text) = value.and_then(|value| value.text()) else {
            return Ok(());
        };
        let new = text.get(piece.repeats..).unwrap_or_default();
        if !stream.is_evaluated() {
            if !piece.is_duplicate {
                self.record_text(text_key, new);
            }
            return Ok(());
        }
        if let Some(value) = value
            && value.has_lone_surrogate()
        {
            self.join_halves(stream, value.halves())?;
        }
        let wants = self.guard.policy.needs.response;
        let is_wanted = wants.detectors || wants.literals;
        if is_wanted
            && is_joined_piece(&piece)
            && !new.is_empty()
            && stream.reader.shows_texts_as_one()
        {
            self.take_boundary(stream, number, piece, new)?;
        } else if piece.repeats > 0 {
            if new.is_empty() {
                // This frame has the whole text: the boundary to the text before is decided before the copy is.
                self.rest_text(stream, text_key.across())?;
            }
            if stream.has_edited_across {
                return Err(self.stop_uneditable(None));
            }
        }
        let known = stream.texts.get_mut(&text_key);
        if known.as_ref().is_none_or(|known| known.has_ended) && new.is_empty() {
            if piece.repeats > 0 {
                // The text has ended: its decision also applies to this copy.
                if let Some(changes) = stream.changes.get(&text_key) {
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
            // A rule needs each text as a whole, and several joined texts are no single text.
            Some(known) if piece.joins && known.is_kept() => return Ok(()),
            Some(known) if known.has_ended => known.reopen(),
            Some(_) => {}
            None => {
                stream.changes.remove(&text_key);
                self.begin_recorded_text(text_key);
                let name = value.filter(|_| piece.is_named);
                let name = name.and_then(|value| value.key()?.text());
                let mut text = self.begin_text(stream, &piece)?;
                text.window.name = name.map(Into::into);
                stream.texts.insert(text_key, text);
            }
        }
        let Some(text) = stream.texts.get_mut(&text_key) else {
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
            stream.assembled = stream.assembled.saturating_add(new.len());
        }
        text.note_written(new);
        if !piece.is_duplicate {
            self.record_text(text_key, new);
        }
        if !piece.joins {
            let written = u64::try_from(new.len()).unwrap_or(u64::MAX);
            self.exchange.response_text = self.exchange.response_text.saturating_add(written);
            self.count_text(Direction::Response, new.len());
        }
        text.window.joins |= piece.joins;
        let range = start..start.saturating_add(new.len());
        text.add(range, piece.repeats, number, piece.place);
        if text.is_held() {
            return Ok(());
        }
        self.settle_text(stream, text_key, new, Ending::Open)
    }

    /// Reports a character in two pieces, each a UTF-16 surrogate, that clients join, if normalisation reads the
    /// character as another or as none. An emoji that a server cuts is not reported.
    fn join_halves(
        &mut self,
        stream: &mut Stream,
        [second, first]: [Option<u16>; 2],
    ) -> Result<(), StreamEnd> {
        let mut is_disguise = false;
        // There may be a thousand different first halves.
        let pairs = second.map_or(0, |_| stream.halves.len());
        work::spend(pairs.saturating_mul(PAIR));
        for first in stream.halves.iter().filter(|_| second.is_some()) {
            let halves = [Some(*first), second].into_iter().flatten();
            for joined in char::decode_utf16(halves).flatten() {
                let mut show = |_: &NormalisedText| is_disguise = true;
                NormalisedText::each_reading(joined.encode_utf8(&mut [0; 4]), &mut show);
            }
        }
        if let Some(first) = first.filter(|first| !stream.halves.contains(first)) {
            stream.halves.push(first);
        }
        match is_disguise {
            true => self.unread(stream, codes::AG2014, "a character in two pieces"),
            false => Ok(()),
        }
    }

    /// Evaluates the beginning of a text together with the end of the text before it, since clients join them. Released
    /// text stays.
    fn take_boundary(
        &mut self,
        stream: &mut Stream,
        number: u64,
        piece: TextDelta,
        new: &str,
    ) -> Result<(), StreamEnd> {
        let text_key = piece.text_key.across();
        let Some(said) = stream.joined_in(text_key.part) else {
            return Ok(());
        };
        let before = said.text.replace(piece.text_key);
        let is_new = |before: &TextKey| {
            let known = stream.texts.get(before);
            match *before == piece.text_key {
                true => known.is_none(),
                // Servers repeat reasoning under a second name, delta by delta.
                false => text_key.part == Part::Text || known.is_none_or(|text| text.has_ended),
            }
        };
        if let Some(before) = before.filter(is_new) {
            self.end_text(stream, before.across())?;
            let is_joined =
                before.choice == text_key.choice || !self.request_context.asks_for_several;
            let said = stream.joined_in(text_key.part).filter(|_| is_joined);
            let said_end = said.map(|said| said.end.clone()).unwrap_or_default();
            if !said_end.is_empty() {
                let joined = TextDelta::joined(text_key, piece.place, piece.class);
                let mut text = self.begin_text(stream, &joined)?;
                text.at = stream.reader.text_at(&piece.text_key);
                // These are the changes at the boundary before.
                if let Some(changes) = stream.changes.get_mut(&text_key) {
                    changes.clear();
                }
                text.left = said_end.len();
                let policy = &self.guard.policy;
                text.window = {
                    let scratch = &mut self.guard.scratch.borrow_mut();
                    HoldbackBuffer::behind(&said_end, policy, scratch)
                };
                let known = stream.texts.get(&before);
                let is_found = known.is_some_and(|known| {
                    !known.is_held() && text.window.is_behind_finding(&known.window)
                });
                stream.texts.insert(text_key, text);
                if is_found {
                    self.rest_text(stream, before)?;
                }
            }
        }
        stream.keep_end(text_key.part, new);
        let Some(text) = stream.texts.get_mut(&text_key) else {
            return Ok(());
        };
        let start = text.window.length();
        if start > END.saturating_add(END) {
            return self.end_text(stream, text_key);
        }
        if text.has_ended {
            text.reopen();
        }
        let new = new.get(..new.floor_char_boundary(END)).unwrap_or_default();
        stream.queue.wait_shortly(number);
        let range = start..start.saturating_add(new.len());
        text.add(range, piece.repeats, number, piece.place);
        self.settle_text(stream, text_key, new, Ending::Open)
    }

    /// Starts a text, and evaluates the rules that can be decided before any of its content has arrived.
    pub(super) fn begin_text(
        &mut self,
        stream: &Stream,
        piece: &TextDelta,
    ) -> Result<StreamedText, StreamEnd> {
        let TextDelta {
            text_key, class, ..
        } = *piece;
        let mut event = Event::new(Kind::Response, Direction::Response, NodeId::default());
        event.part = text_key.part;
        event.choice = text_key.choice;
        event.texts = 0..1;
        event.is_duplicate = piece.is_duplicate;
        event.rpc = (!stream.response.rpc.is_empty()).then_some(0);
        let at = stream.reader.text_at(&text_key);
        let (json, reading) = part_of_text("", None, class, &stream.response);
        let Some(json) = json else {
            return Ok(StreamedText::new(event, class, at, ReleaseMode::Settled));
        };
        if piece.joins {
            return Ok(StreamedText::new(event, class, at, ReleaseMode::Settled));
        }
        let flowing = self.flowing(&event, &reading, &json);
        let mut text = StreamedText::new(event, class, at, flowing);
        text.written.is_enabled = matches!(class, Class::Text | Class::Sealed)
            && may_hold_calls(text_key.part)
            && self.searches_written_calls();
        if !text.is_held() {
            let part = PendingText {
                json: &json,
                reading: &reading,
                scans: Scans::default(),
                phase: EvaluationPhase::Begin,
            };
            let half_decision = self.evaluate_text(stream, &text, part);
            text.event.is_duplicate = true;
            self.bind(stream, &half_decision, &json, false)?;
        }
        Ok(text)
    }

    pub(super) fn evaluate_text(
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
            phase: part.phase,
            enforcement: stream.enforcement(),
            at: &text.at,
        })
    }

    /// Evaluates the settled part of a text and releases it.
    pub(super) fn settle_text(
        &mut self,
        stream: &mut Stream,
        text_key: TextKey,
        piece: &str,
        ending: Ending,
    ) -> Result<(), StreamEnd> {
        let guard = Rc::clone(&self.guard);
        let Some(text) = stream.texts.get_mut(&text_key) else {
            return Ok(());
        };
        let settled = {
            let mut scratch = guard.scratch.borrow_mut();
            let none = Pseudonyms::default();
            let watch = match may_be_restored(text) {
                true => &self.redactions.pseudonyms,
                false => &none,
            };
            text.window
                .push(&guard.policy, piece, ending, watch, &mut scratch)
        };
        if work::is_exhausted() {
            return self.stop_searching(stream);
        }
        if let Some(mut settled) = settled {
            // Rules evaluate the text that the client gets.
            let restored = self.pseudonyms_in(&settled.text, text);
            let real = replaced(&settled.text, &restored);
            let scans = settled.scans();
            let (json, reading) = text.body(&real, &stream.response);
            let Some(json) = json else { return Ok(()) };
            let (start, characters) = (settled.start, settled.characters);
            let Some(text) = stream.texts.get(&text_key) else {
                return Ok(());
            };
            let part = PendingText {
                json: &json,
                reading: &reading,
                scans,
                phase: EvaluationPhase::Hit,
            };
            let half_decision = self.evaluate_text(stream, text, part);
            self.bind(stream, &half_decision, &json, false)?;
            let part = EvaluatedText {
                text: &settled.text,
                restored,
                start,
                characters,
            };
            self.redact_text(stream, text_key, half_decision, part);
        }
        let Some(text) = stream.texts.get_mut(&text_key) else {
            return Ok(());
        };
        let end = text.window.settled().min(text.free_of_calls());
        let changes = stream.changes.get(&text_key);
        text.settle(end, changes, &mut stream.queue);
        Ok(())
    }

    /// Returns the pseudonyms in a part of a text, with their original values.
    pub(super) fn pseudonyms_in(
        &self,
        part: &str,
        text: &StreamedText,
    ) -> Vec<(Range<usize>, String)> {
        match may_be_restored(text) {
            true => self.redactions.pseudonyms.found(part, None),
            false => Vec::new(),
        }
    }

    /// Stores the redactions of a part of a text.
    pub(super) fn redact_text(
        &mut self,
        stream: &mut Stream,
        text_key: TextKey,
        half_decision: HalfDecision,
        part: EvaluatedText<'_>,
    ) {
        let EvaluatedText {
            text: part,
            restored,
            start,
            characters,
        } = part;
        // Ranges refer to the text with restored pseudonyms, so that the whole part is masked instead.
        let redactions = match restored.is_empty() {
            true => Cow::Borrowed(&*half_decision.redactions),
            false => half_decision
                .redactions
                .iter()
                .map(|redaction| Redaction {
                    range: 0..part.len(),
                    ..redaction.clone()
                })
                .collect(),
        };
        self.mask_recorded_text(text_key, start, &redactions);
        if !stream.is_enforced() {
            return;
        }
        let keys = &self.guard.redaction_keys;
        let real = replaced(part, &restored);
        let changes = redact::changes(half_decision.redactions, &real, keys, &mut self.redactions);
        let changes = composed(part, restored, changes);
        if changes.is_empty() {
            return;
        }
        let left = stream.texts.get(&text_key).map_or(0, |text| text.left);
        let left = left.saturating_sub(start);
        let known = stream.changes.entry(text_key).or_default();
        stream.is_changed = true;
        let is_across = text_key.is_across();
        stream.has_edited_across |= is_across;
        // Changes are in order, so that each character is counted once.
        let (mut counted, mut characters) = (0, characters);
        let mut characters_before = |at: usize| {
            let between = part.get(counted..at).unwrap_or_default();
            let more = u64::try_from(between.chars().count()).unwrap_or(u64::MAX);
            counted = at;
            characters = characters.saturating_add(more);
            characters
        };
        for (range, with) in changes {
            if range.end <= left {
                continue;
            }
            // The released part of the value is missing, so that a label would be wrong.
            let with = if is_across { String::new() } else { with };
            let range = range.start.max(left)..range.end;
            let from = characters_before(range.start);
            let to = characters_before(range.end);
            let bytes = range.start.saturating_add(start)..range.end.saturating_add(start);
            known.add(bytes, from..to, with);
        }
    }

    /// Ends a text finally.
    pub(super) fn end_text(
        &mut self,
        stream: &mut Stream,
        text_key: TextKey,
    ) -> Result<(), StreamEnd> {
        self.close_text(stream, text_key)?;
        let text = stream.texts.remove(&text_key);
        let kept = text.map_or(0, |text| text.whole.len());
        stream.assembled = stream.assembled.saturating_sub(kept);
        Ok(())
    }

    /// Ends a text that may still continue, unless it has a call: the rest of the call may follow.
    pub(super) fn rest_text(
        &mut self,
        stream: &mut Stream,
        text_key: TextKey,
    ) -> Result<(), StreamEnd> {
        let text = stream.texts.get(&text_key);
        match text.is_some_and(|text| text.written.is_marked) {
            true => Ok(()),
            false => self.close_text(stream, text_key),
        }
    }

    fn close_text(&mut self, stream: &mut Stream, text_key: TextKey) -> Result<(), StreamEnd> {
        let text = stream.texts.get(&text_key);
        let Some(text) = text.filter(|text| !text.has_ended) else {
            return Ok(());
        };
        if text.is_kept() {
            let restored = self.pseudonyms_in(&text.whole, text);
            let real = replaced(&text.whole, &restored);
            let (json, reading) = text.body(&real, &stream.response);
            let Some(json) = json else { return Ok(()) };
            let part = PendingText {
                json: &json,
                reading: &reading,
                scans: Scans::default(),
                phase: if text.is_held() {
                    EvaluationPhase::Whole
                } else {
                    EvaluationPhase::End
                },
            };
            let half_decision = self.evaluate_text(stream, text, part);
            if text.is_held() {
                self.bind(stream, &half_decision, &json, false)?;
                let whole = text.whole.clone();
                let part = EvaluatedText {
                    text: &whole,
                    restored,
                    start: 0,
                    characters: 0,
                };
                self.redact_text(stream, text_key, half_decision, part);
            }
        }
        let text = stream.texts.get_mut(&text_key);
        let written = text.and_then(|text| Some((text.written.take()?, text.at.clone())));
        if let Some((written, at)) = written {
            let (choice, enforcement) = (text_key.choice, stream.enforcement());
            let evaluated =
                self.evaluate_written(&written, choice, &stream.response, enforcement, || at);
            if let (Some(half_decision), Some(json)) = (evaluated, empty_body()) {
                self.bind(stream, &half_decision, &json, false)?;
            }
        }
        if stream
            .texts
            .get(&text_key)
            .is_some_and(|text| !text.is_held())
        {
            self.settle_text(stream, text_key, "", Ending::Final)?;
        }
        if let Some(text) = stream.texts.get_mut(&text_key) {
            let changes = stream.changes.get(&text_key);
            text.settle(usize::MAX, changes, &mut stream.queue);
            text.has_ended = true;
            text.event.is_duplicate = true;
        }
        if stream
            .joined_in(text_key.part)
            .is_some_and(|said| said.text == Some(text_key))
        {
            self.rest_text(stream, text_key.across())?;
        }
        Ok(())
    }
}

impl Stream {
    /// Returns the joined texts of a part; `None` if clients don't join that part's texts.
    fn joined_in(&mut self, part: Part) -> Option<&mut JoinedTexts> {
        let [said, thought] = &mut self.said;
        match part {
            Part::Text => Some(said),
            Part::Reasoning => Some(thought),
            _ => None,
        }
    }

    /// Stores that a call separates the texts before and after it, which are then not joined.
    pub(super) fn separate_texts(&mut self) {
        for said in &mut self.said {
            said.end.clear();
        }
    }

    /// Stores the end of the joined texts.
    fn keep_end(&mut self, part: Part, new: &str) {
        let Some(JoinedTexts { end, .. }) = self.joined_in(part) else {
            return;
        };
        let from = new.ceil_char_boundary(new.len().saturating_sub(END));
        end.push_str(new.get(from..).unwrap_or_default());
        let surplus = end.len().saturating_sub(END);
        end.drain(..end.ceil_char_boundary(surplus));
    }

    /// Stores the ends of texts that are complete in a frame, which clients may continue.
    pub(super) fn note_whole_texts(&mut self, json: &JsonBody<'_>, reading: &Reading) {
        for event in &reading.events {
            if matches!(event.kind, Kind::ToolCall | Kind::ToolResult) {
                self.separate_texts();
            }
            if event.kind != Kind::Response || event.is_duplicate {
                continue;
            }
            for text in event.texts.clone() {
                let text = reading.texts.get(index(text));
                let text = text.filter(|text| is_joined(text.class, event.part));
                let value = text.and_then(|text| json.value(text.place));
                if let Some(text) = value.and_then(|value| value.text()) {
                    let (choice, part) = (event.choice, event.part);
                    self.keep_end(part, &text);
                    if let Some(said) = self.joined_in(part) {
                        let item = 0;
                        said.text = Some(TextKey { choice, part, item }.across());
                    }
                }
            }
        }
    }
}

/// State of texts that clients join.
#[derive(Debug, Default)]
pub(super) struct JoinedTexts {
    /// Text that was continued last.
    text: Option<TextKey>,
    /// End of the joined texts since the last call.
    end: String,
}

/// Returns whether pseudonyms in a text are replaced by their original values.
fn may_be_restored(text: &StreamedText) -> bool {
    text.class == Class::Text && text.event.part != Part::Arguments && !text.window.is_behind()
}

/// Work steps for reading two surrogates as one character.
const PAIR: usize = 32;

/// Returns whether clients join a text with the next one.
fn is_joined_piece(piece: &TextDelta) -> bool {
    is_joined(piece.class, piece.text_key.part) && !piece.is_duplicate
}

/// Part of a text, before its evaluation.
pub(super) struct PendingText<'a> {
    json: &'a JsonBody<'a>,
    reading: &'a Reading,
    scans: Scans,
    phase: EvaluationPhase,
}

/// Part of a text, after its evaluation.
pub(super) struct EvaluatedText<'a> {
    text: &'a str,
    /// Pseudonyms in it, with their original values.
    restored: Vec<(Range<usize>, String)>,
    /// Byte offset of the part in the whole text.
    start: usize,
    /// Number of characters before the part.
    characters: u64,
}

/// Creates a body for a part of a text, with the facts on the response. The body is the text, `"…"`, or an object with
/// the text's name, `{"password":"…"}`.
pub(super) fn part_of_text(
    part: &str,
    name: Option<&str>,
    class: Class,
    response: &Reading,
) -> (Option<JsonBody<'static>>, Reading) {
    let mut body = Vec::with_capacity(part.len().saturating_add(2));
    let (node, names) = match name {
        Some(name) => {
            body.push(b'{');
            quote(name, &mut body);
            body.push(b':');
            (2, TextNames::new([Some(1), None]))
        }
        None => (0, TextNames::NONE),
    };
    quote(part, &mut body);
    if name.is_some() {
        body.push(b'}');
    }
    let mut reading = Reading::new();
    copy_known_facts(&mut reading, response);
    reading.texts.push(TextInfo {
        place: NodeId { doc: 0, node },
        class,
        form: Form::String,
        names,
        is_data: false,
    });
    let json = JsonBody::owned(body, Limits { max_depth: 1 }, 0);
    (json.ok(), reading)
}
