//! A response that streams: each frame is a response of its own with a piece of each candidate. Calls stand whole in one frame,
//! unless the caller asked for their arguments in pieces.
//!
//! ```text
//! {"candidates":[{"content":{"parts":[{"text":"Rain"}],"role":"model"},"index":0}],"modelVersion":"gemini-2.5-pro"}
//! {"candidates":[{"content":{"parts":[{"functionCall":{"name":"weather","args":{"city":"Bern"}}}],"role":"model"},"finishReason":"STOP","index":0}]}
//! {"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.city","stringValue":"Be","willContinue":true}],"willContinue":true}}],"role":"model"}}]}
//! ```

use super::answer::{CANDIDATE, RESPONSE, candidate_number, error};
use super::parts::{CONTENT, one_or_many, read_part, role};
use super::removal::{denied_frame, is_call, remove_from_response, sign, text_part};
use crate::event::{Kind, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls};
use crate::protocol::json_edit::{remove_elements, remove_members};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::stream::{
    ArgumentStep, CallDelta, CallKey, ChangesByText, Delta, EvaluatedCall, Extent, HeldFrame,
    HeldFrames, KeepAlive, OrderingGroups, StreamReader, SyntheticFrame, TextChanges, TextKey,
    TextRun,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Removals, RequestContext, ResponseForm};
use crate::wire::json::{self, Edits, Value};
use crate::wire::sorted_map::SortedMap;

/// A streamed response.
#[derive(Debug)]
pub(in crate::protocol) struct GenerateStream {
    is_array: bool,
    candidates: SortedMap<u32, StreamedCandidate>,
    calls: Calls,
    /// Constants come as numbers.
    as_number: bool,
}

/// A candidate so far.
#[derive(Debug, Default)]
struct StreamedCandidate {
    /// The text that goes on.
    run: TextRun,
    /// Why it ended. Older models say it in every frame, from the first on.
    finish: Option<Box<str>>,
    /// Frames so far.
    frames: u64,
    /// The call whose arguments come in pieces.
    call: u32,
    /// Calls that were not taken out.
    kept: usize,
    /// The signature of a call that was taken out, for the next one: it is asked back with the first call of a step.
    orphan: Option<Vec<u8>>,
}

impl GenerateStream {
    pub(in crate::protocol) fn new(context: &RequestContext) -> GenerateStream {
        GenerateStream {
            is_array: context.endpoint.answer == ResponseForm::Elements,
            candidates: SortedMap::new(),
            calls: Calls::default(),
            as_number: false,
        }
    }

    fn candidate(&mut self, reader: &mut Reader<'static>, candidate: Value<'_>, number: u32) {
        let origin = Origin::answer(number);
        let first_piece = reader.frame.pieces.len();
        let first_event = reader.reading.events.len();
        let known = self.candidates.get(&number);
        let had_finish = known.is_some_and(|known| known.finish.is_some());
        let has_finish = reader
            .get(candidate, "finishReason")
            .is_some_and(|reason| !reason.is_null());
        reader.rows(candidate, CANDIDATE, &origin, &mut |reader, key, value| {
            match key {
                "content" => self.content(reader, value, number),
                // The text once more, token by token: it goes as a whole when the text is edited.
                "logprobsResult" => reader.claim_all(value),
                _ => self.finish(reader, value, number),
            }
        });
        let state = self.candidates.entry(number).or_default();
        state.frames = state.frames.saturating_add(1);
        let has_ended = has_finish && state.frames > 1 && !had_finish;
        state.kept = state.kept.saturating_add(calls_of(candidate).count());
        state.part_texts(reader, first_piece, number);
        let mut events = reader.reading.events.iter().skip(first_event);
        if events.any(|event| event.kind == Kind::ToolCall) {
            state.run.end(number, &mut reader.frame.pieces);
        } else if has_ended && let Some(channel) = state.run.key(number) {
            reader.frame.pieces.push(Delta::TextRest(channel));
        }
        reader.frame.lanes = reader.frame.lanes.and(OrderingGroups::of(number));
    }

    /// A word, or with `enum-encoding=int` a number.
    fn finish(&mut self, reader: &mut Reader<'static>, value: Value<'_>, number: u32) {
        let reason = value.text();
        let reason = reason.as_deref().or_else(|| value.number());
        if let Some(reason) = reason {
            let known = &mut self.candidates.entry(number).or_default().finish;
            if known.as_deref() != Some(reason) {
                *known = Some(reason.into());
                reader.reading.finish.push(reason.into());
            }
            self.as_number = value.kind() == json::ValueKind::Number;
        }
        reader.value(value, Type::Constant, &Origin::answer(number));
    }

    fn content(&mut self, reader: &mut Reader<'static>, content: Value<'_>, number: u32) {
        let origin = Origin {
            piece_of: Some(0),
            ..Origin::answer(number)
        };
        let speaker = Attribution {
            origin: origin.clone(),
            calls: Turn::Latest,
            is_result: false,
        };
        let mut read = |reader: &mut Reader<'_>, part: Value<'_>| {
            read_part(reader, part, &speaker, &mut self.calls);
        };
        let candidates = &mut self.candidates;
        reader.rows(
            content,
            CONTENT,
            &origin.whole(),
            &mut |reader, key, value| {
                if key == "role" {
                    role(reader, value);
                    return;
                }
                let mut parts = Vec::new();
                one_or_many(reader, value, |_, part| parts.push(part));
                for part in parts {
                    let call = reader.get(part, "functionCall");
                    match call.filter(|call| goes_on(reader, *call)) {
                        Some(call) => {
                            let state = candidates.entry(number).or_default();
                            state.piece_of_call(reader, part, call, number);
                        }
                        None => read(reader, part),
                    }
                }
            },
        );
    }
}

/// Whether a call is only a piece of one: it goes on, or it says no name.
fn goes_on(reader: &Reader<'_>, call: Value<'_>) -> bool {
    let will_continue = reader
        .get(call, "willContinue")
        .and_then(|value| value.as_bool());
    call.kind() == json::ValueKind::Object
        && (will_continue == Some(true)
            || reader.get(call, "partialArgs").is_some()
            || reader.get(call, "name").is_none())
}

impl StreamedCandidate {
    /// Gives each text of a frame its channel. A text goes on until another kind of text begins.
    fn part_texts(&mut self, reader: &mut Reader<'static>, first: usize, number: u32) {
        let pieces = reader.frame.pieces.split_off(first);
        for mut piece in pieces {
            if let Delta::Text(text) = &mut piece {
                let value = reader.json.value(text.place);
                if value.is_none_or(|value| value.is_text("")) {
                    continue;
                }
                let part = text.channel.part;
                text.channel.item = self.run.go_on(part, number, &mut reader.frame.pieces);
            }
            reader.frame.pieces.push(piece);
        }
    }

    /// Vertex AI with `streamFunctionCallArguments`: `partialArgs: [{jsonPath, stringValue, willContinue}]`, each the value
    /// of an argument, or more of a text that continues in the next one with the same path.
    fn piece_of_call(
        &mut self,
        reader: &mut Reader<'static>,
        part: Value<'_>,
        call: Value<'_>,
        number: u32,
    ) {
        const PART: &[Row] = &[
            ("functionCall", Type::Custom),
            ("thoughtSignature", Type::Opaque),
            ("thought", Type::Flag),
        ];
        const CALL: &[Row] = &[
            ("id", Type::Id),
            ("name", Type::Custom),
            ("args", Type::Custom),
            ("willContinue", Type::Flag),
            ("partialArgs", Type::Custom),
        ];
        let key = CallKey {
            choice: number,
            item: self.call,
        };
        let say = |reader: &mut Reader<'static>, what: CallDelta| {
            reader.piece(Delta::Call {
                key,
                element: part.place(),
                what,
            });
        };
        say(
            reader,
            CallDelta::Begin {
                provider_run: false,
            },
        );
        let origin = Origin::answer(number);
        reader.plain_rows(part, PART, &origin);
        reader.rows(
            call,
            CALL,
            &origin,
            &mut |reader, member, value| match member {
                "name" => {
                    reader.name(value);
                    say(reader, CallDelta::Name(value.place()));
                }
                "args" => {
                    reader.claim_all(value);
                    if value.members().next().is_some() {
                        say(reader, CallDelta::Arguments(value.place()));
                    }
                }
                _ => reader.array(value, |reader, piece| {
                    argument(reader, piece, &origin, &mut |reader, what| {
                        say(reader, what);
                    });
                }),
            },
        );
        let will_continue = reader
            .get(call, "willContinue")
            .and_then(|value| value.as_bool());
        if will_continue != Some(true) {
            reader.piece(Delta::CallsEnd(vec![key]));
            self.call = self.call.saturating_add(1);
        }
    }
}

/// An element of `partialArgs`. What can't be told apart is a text.
fn argument(
    reader: &mut Reader<'static>,
    piece: Value<'_>,
    origin: &Origin,
    say: &mut dyn FnMut(&mut Reader<'static>, CallDelta),
) {
    const PARTIAL: &[Row] = &[
        ("jsonPath", Type::Custom),
        ("stringValue", Type::Custom),
        ("numberValue", Type::Custom),
        ("boolValue", Type::Custom),
        ("nullValue", Type::Custom),
        ("willContinue", Type::Flag),
    ];
    let path = reader.get(piece, "jsonPath");
    let steps = path.and_then(|path| steps(&path.text()?));
    let goes_on = reader
        .get(piece, "willContinue")
        .and_then(|value| value.as_bool());
    let extent = match goes_on {
        Some(true) => Extent::Part,
        _ => Extent::Last,
    };
    reader.rows(piece, PARTIAL, origin, &mut |reader, key, value| {
        reader.claim_all(value);
        let is_named = key == "jsonPath";
        match &steps {
            Some(_) if is_named => {}
            Some(steps) => {
                let steps = steps.clone();
                let extent = match key {
                    "nullValue" => Extent::Null,
                    _ => extent,
                };
                say(reader, CallDelta::At(steps, value.place(), extent));
            }
            None => say(reader, CallDelta::Input(value.place())),
        }
    });
}

/// The steps of a path to one value: `$.to[0]['first name']` (RFC 9535 §2.7, and names as they stand after a dot).
fn steps(path: &str) -> Option<Box<[ArgumentStep]>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if let Some(name) = rest.strip_prefix('.') {
            let (name, after) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
            let is_name = !name.is_empty() && name != "*";
            (is_name.then(|| ArgumentStep::Name(name.into()))?, after)
        } else {
            let inner = rest.strip_prefix('[')?;
            match inner.strip_prefix(['\'', '"']) {
                Some(quoted) => {
                    let quote = inner.get(..1)?;
                    let (name, after) = quoted.split_once(quote)?;
                    // Escapes are not unfolded.
                    let name = (!name.contains('\\')).then_some(name)?;
                    (ArgumentStep::Name(name.into()), after.strip_prefix(']')?)
                }
                None => {
                    let (index, after) = inner.split_once(']')?;
                    (ArgumentStep::Index(index.parse().ok()?), after)
                }
            }
        };
        steps.push(step);
        rest = after;
    }
    Some(steps.into())
}

/// The calls of a candidate that stand whole in a frame.
fn calls_of(candidate: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    candidate
        .get("content")
        .and_then(|content| content.get("parts"))
        .into_iter()
        .flat_map(|parts| parts.elements())
        .filter(|part| is_call(*part))
}

fn signature_of(part: Value<'_>) -> Option<Value<'_>> {
    part.get("thoughtSignature")
        .or_else(|| part.get("thought_signature"))
        .filter(|signature| !signature.is_null())
}

/// Candidates of a frame, with their numbers.
fn candidates_of(root: Value<'_>) -> impl Iterator<Item = (u32, Value<'_>)> {
    let candidates = root.get("candidates").into_iter();
    candidates
        .flat_map(|candidates| candidates.elements())
        .enumerate()
        .map(|(at, candidate)| (candidate_number(candidate, at), candidate))
}

impl StreamReader for GenerateStream {
    fn read(&mut self, reader: &mut Reader<'static>, _: Option<&str>) {
        reader.proto_json = true;
        let Some(body) = reader.body() else { return };
        let origin = Origin::answer(0);
        reader.rows(
            body.root(),
            RESPONSE,
            &origin,
            &mut |reader, key, value| match key {
                "candidates" => {
                    let mut at = 0usize;
                    reader.array(value, |reader, element| {
                        let number = candidate_number(element, at);
                        reader.in_choice(element, number);
                        self.candidate(reader, element, number);
                        at = at.saturating_add(1);
                    });
                }
                "totalTokens" => {
                    reader.number(value);
                }
                _ => error(reader, value),
            },
        );
        if reader.frame.lanes == OrderingGroups::default() {
            reader.frame.lanes = OrderingGroups::ALL;
        }
    }

    fn text_at(&self, channel: &TextKey) -> String {
        match channel.part {
            Part::Text => format!("#candidate/{}", channel.choice),
            part => format!("#candidate/{}/{}", channel.choice, part.word()),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#candidate/{}/call/{}", key.choice, key.item)
    }

    fn remove_calls(
        &mut self,
        calls: &[EvaluatedCall],
        _: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        for call in calls {
            let Some(mut text) = call.denied.as_deref() else {
                continue;
            };
            for (number, part) in &call.pieces {
                let frame = frames.get(*number).ok_or(CannotRemove)?;
                let part = frame.json.as_ref().and_then(|json| json.value(*part));
                let mut with = Vec::new();
                text_part(std::mem::take(&mut text), &mut with);
                frame.edits.replace(part.ok_or(CannotRemove)?, with);
            }
        }
        Ok(())
    }

    fn remove_from_response(
        &mut self,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        let body = frame.body().ok_or(CannotRemove)?;
        let denied = removals.denied_calls();
        for (number, candidate) in candidates_of(body.root()) {
            let state = self.candidates.entry(number).or_default();
            state.kept = state.kept.saturating_sub(calls_of(candidate).count());
            for part in calls_of(candidate) {
                if !denied.contains_key(&part.place()) {
                    // What takes calls out of one frame has seen to it.
                    state.orphan = None;
                    state.kept = state.kept.saturating_add(1);
                } else if state.kept == 0 && state.orphan.is_none() {
                    state.orphan = signature_of(part).map(|signature| signature.raw().to_vec());
                }
            }
        }
        if removals.calls.is_empty() && body.root().get("candidates").is_none() {
            return Ok(());
        }
        remove_from_response(body.root(), removals, &mut frame.edits)
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        let Some(body) = frame.body() else {
            return;
        };
        let is_edited = !frame.edits.is_empty();
        for (number, candidate) in candidates_of(body.root()) {
            let state = self.candidates.entry(number).or_default();
            if let Some(part) = calls_of(candidate).next().filter(|_| !is_edited)
                && let Some(orphan) = state.orphan.take()
                && signature_of(part).is_none()
            {
                sign(part, &orphan, &mut frame.edits);
            }
            // What repeats the text.
            if is_edited {
                remove_members(candidate, &["logprobsResult"], &mut frame.edits);
            }
            let of_text =
                |channel: &TextKey| channel.choice == number && channel.part == Part::Text;
            let mut changed = changes.iter().filter(|(channel, _)| of_text(channel));
            if let Some((channel, first)) = changed.next() {
                let is_first = channel.item == 0 && changed.next().is_none();
                let points = CitationOffsets(Some(first).filter(|_| is_first));
                points.correct(candidate, &mut frame.edits);
            }
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        if as_error {
            return vec![SyntheticFrame::new(None, Dialect::Google.body(denial))];
        }
        let unfinished = self.candidates.iter();
        let mut unfinished: Vec<u32> = unfinished.map(|(number, _)| *number).collect();
        if unfinished.is_empty() {
            unfinished.push(0);
        }
        let frame = denied_frame(&denial.message(), &unfinished, self.as_number);
        vec![SyntheticFrame::new(None, frame)]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(match self.is_array {
            true => KeepAlive::Bytes(b"\n"),
            false => KeepAlive::COMMENT,
        })
    }
}

/// What was changed in the text that places point into, counted in bytes; absent where that can't be told.
struct CitationOffsets<'c>(Option<&'c TextChanges>);

impl CitationOffsets<'_> {
    /// Moves places that point into the text, and takes out those that point into a changed part and repeat it.
    fn correct(&self, candidate: Value<'_>, edits: &mut Edits) {
        let supports = candidate
            .get("groundingMetadata")
            .and_then(|metadata| metadata.get("groundingSupports"));
        let citations = candidate.get("citationMetadata").and_then(|metadata| {
            metadata
                .get("citations")
                .or(metadata.get("citationSources"))
        });
        for list in [supports, citations].into_iter().flatten() {
            let mut gone = Vec::new();
            for element in list.elements() {
                let segment = element.get("segment").unwrap_or(element);
                if self.touch(segment) {
                    gone.push(element.place());
                    continue;
                }
                for name in ["startIndex", "endIndex"] {
                    let index = segment.get(name);
                    let Some((value, at)) = index.and_then(|index| Some((index, position(index)?)))
                    else {
                        continue;
                    };
                    let moved = self.moved(at);
                    if moved != at {
                        edits.replace(value, moved.to_string().into_bytes());
                    }
                }
            }
            remove_elements(list, &|place| gone.contains(&place), edits);
        }
    }

    fn touch(&self, segment: Value<'_>) -> bool {
        let start = segment.get("startIndex").and_then(position).unwrap_or(0);
        let end = segment.get("endIndex").and_then(position);
        match (self.0, end) {
            (Some(changes), Some(end)) => changes.within(start..end).next().is_some(),
            _ => true,
        }
    }

    /// Where a byte stands that no change touches.
    fn moved(&self, at: usize) -> usize {
        let before = self.0.into_iter().flat_map(|changes| changes.within(0..at));
        before.fold(at, |at, change| {
            at.saturating_sub(change.bytes.len())
                .saturating_add(change.with.len())
        })
    }
}

fn position(index: Value<'_>) -> Option<usize> {
    usize::try_from(index.as_u64()?).ok()
}
