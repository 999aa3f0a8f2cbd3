//! Streamed responses: each frame is a response with a piece of each candidate. A call is complete in one frame, unless
//! the client asked for its arguments in pieces.
//!
//! ```text
//! {"candidates":[{"content":{"parts":[{"text":"Rain"}],"role":"model"},"index":0}],"modelVersion":"gemini-2.5-pro"}
//! {"candidates":[{"content":{"parts":[{"functionCall":{"name":"weather","args":{"city":"Bern"}}}],"role":"model"},"finishReason":"STOP","index":0}]}
//! {"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.city","stringValue":"Be","willContinue":true}],"willContinue":true}}],"role":"model"}}]}
//! ```

use super::parts::{CONTENT, one_or_many, read_part, role};
use super::removal::{denied_frame, is_call, remove_from_response, sign, text_part};
use super::response::{CANDIDATE, ENVELOPE, RESPONSE, in_envelope};
use crate::event::{Kind, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls};
use crate::protocol::json_edit::{choices, remove_elements, remove_members};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::stream::{
    ArgumentStep, CallDelta, CallKey, ChoiceFormat, ChoiceSpec, ChoiceStream, CorrectedFrame,
    Delta, EvaluatedCall, Extent, HeldFrame, HeldFrames, KeepAlive, SyntheticFrame, TOKENS,
    TextChanges, TextKey, TextRun,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Removals, RequestContext, ResponseForm};
use crate::wire::json::{self, Edits, Value};
use crate::wire::{sort, work};

/// Candidates of a streamed response.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Candidates {
    /// Names of the called tools, by the id of the call.
    calls: Calls,
    /// Whether constants arrive as numbers.
    as_number: bool,
    /// Whether the client expects each frame in Code Assist's envelope.
    has_envelope: bool,
}

/// Returns a reader of a response.
pub(in crate::protocol) fn generate_stream(
    context: &RequestContext,
    has_envelope: bool,
) -> ChoiceStream<Candidates> {
    let format = Candidates {
        has_envelope,
        ..Candidates::default()
    };
    ChoiceStream::new(context, format)
}

/// Candidate so far.
#[derive(Debug, Default)]
pub(in crate::protocol) struct StreamedCandidate {
    /// Text that continues.
    run: TextRun,
    /// Finish reason. Older models send it in every frame, from the first one on.
    finish: Option<Box<str>>,
    /// Number of frames so far.
    frames: u64,
    /// Number of the call whose arguments arrive in pieces.
    call: u32,
    /// Number of calls that were not removed.
    kept: usize,
    /// Signature of a removed call, for the next call: the provider requires it back with the first call of a step.
    orphan: Option<Vec<u8>>,
}

fn read_candidate(
    stream: &mut ChoiceStream<Candidates>,
    reader: &mut Reader<'static>,
    candidate: Value<'_>,
    number: u32,
) {
    let origin = Origin::answer(number);
    let first_piece = reader.frame.pieces.len();
    let first_event = reader.reading.events.len();
    let known = stream.choices.get(&number);
    let had_finish = known.is_some_and(|known| known.finish.is_some());
    let has_finish = reader
        .get(candidate, "finishReason")
        .is_some_and(|reason| !reason.is_null());
    reader.rows(
        candidate,
        CANDIDATE,
        &origin,
        &mut |reader, key, value| match key {
            "content" => read_parts(stream, reader, value, number),
            _ => read_finish(stream, reader, value, number),
        },
    );
    let state = stream.state(number);
    state.frames = state.frames.saturating_add(1);
    let has_ended = has_finish && state.frames > 1 && !had_finish;
    state.kept = state.kept.saturating_add(calls_of(candidate).count());
    state.part_texts(reader, first_piece, number);
    let mut events = reader.reading.events.iter().skip(first_event);
    if events.any(|event| event.kind == Kind::ToolCall) {
        state.run.end(number, &mut reader.frame.pieces);
    } else if has_ended && let Some(text_key) = state.run.key(number) {
        reader.frame.pieces.push(Delta::TextRest(text_key));
    }
}

/// Reads a finish reason: a word, or a number with `enum-encoding=int`.
fn read_finish(
    stream: &mut ChoiceStream<Candidates>,
    reader: &mut Reader<'static>,
    value: Value<'_>,
    number: u32,
) {
    let reason = value.text();
    let reason = reason.as_deref().or_else(|| value.number());
    if let Some(reason) = reason {
        let known = &mut stream.state(number).finish;
        if known.as_deref() != Some(reason) {
            *known = Some(reason.into());
            reader.reading.finish.push(reason.into());
        }
        stream.format.as_number = value.kind() == json::ValueKind::Number;
    }
    reader.value(value, Type::Constant, &Origin::answer(number));
}

fn read_parts(
    stream: &mut ChoiceStream<Candidates>,
    reader: &mut Reader<'static>,
    content: Value<'_>,
    number: u32,
) {
    let origin = Origin::piece_in(number, 0);
    let speaker = Attribution {
        origin: origin.clone(),
        calls: Turn::Latest,
        is_result: false,
    };
    let mut read = |reader: &mut Reader<'_>, part: Value<'_>| {
        read_part(reader, part, &speaker, &mut stream.format.calls);
    };
    let candidates = &mut stream.choices;
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

/// Returns whether a call is only a piece of one: it continues, or has no name.
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
    /// Assigns each text of a frame to its key. A text continues until another kind of text begins.
    fn part_texts(&mut self, reader: &mut Reader<'static>, first: usize, number: u32) {
        let pieces = reader.frame.pieces.split_off(first);
        for mut piece in pieces {
            if let Delta::Text(text) = &mut piece
                && text.text_key.item != TOKENS
            {
                let value = reader.json.value(text.place);
                if value.is_none_or(|value| value.is_text("")) {
                    continue;
                }
                let part = text.text_key.part;
                text.text_key.item = self.run.go_on(part, number, &mut reader.frame.pieces);
            }
            reader.frame.pieces.push(piece);
        }
    }

    /// Reads a piece of a call, as Vertex AI sends it with `streamFunctionCallArguments`: each element of `partialArgs:
    /// [{jsonPath, stringValue, willContinue}]` is the value of an argument, or more of a text that the next element
    /// with the same path continues.
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
        let add = |reader: &mut Reader<'static>, what: CallDelta| {
            reader.call_piece(part.place(), key, what);
        };
        add(reader, CallDelta::BEGIN);
        let origin = Origin::answer(number);
        reader.plain_rows(part, PART, &origin);
        reader.rows(
            call,
            CALL,
            &origin,
            &mut |reader, member, value| match member {
                "name" => {
                    reader.name(value);
                    add(reader, CallDelta::Name(value.place()));
                }
                "args" => {
                    reader.claim_all(value);
                    if value.members().next().is_some() {
                        add(reader, CallDelta::Arguments(value.place()));
                    }
                }
                _ => reader.array(value, |reader, piece| {
                    argument(reader, piece, &origin, &mut |reader, what| {
                        add(reader, what);
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

/// Reads an element of `partialArgs`. An element with an unclear path is a text.
fn argument(
    reader: &mut Reader<'static>,
    piece: Value<'_>,
    origin: &Origin,
    add: &mut dyn FnMut(&mut Reader<'static>, CallDelta),
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
                add(reader, CallDelta::At(steps, value.place(), extent));
            }
            None => add(reader, CallDelta::Input(value.place())),
        }
    });
}

/// Returns the steps of a path to one value: `$.to[0]['first name']` (RFC 9535 §2.7, with any name after a dot).
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
                    // Escapes are not decoded.
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

/// Returns the calls of a candidate that are complete in a frame.
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

impl ChoiceFormat for Candidates {
    type Choice = StreamedCandidate;
    const SPEC: ChoiceSpec = ChoiceSpec {
        frame: &[RESPONSE],
        origin: || Origin::answer(0),
        proto_json: true,
        list: Some("candidates"),
        envelope: Some(ENVELOPE),
        common: &[],
        place: "candidate",
        has_done: false,
        counts_frames: false,
        error: |denial| SyntheticFrame::new(None, Dialect::Google.body(denial)),
    };

    fn choice(
        stream: &mut ChoiceStream<Self>,
        reader: &mut Reader<'static>,
        candidate: Value<'_>,
        number: u32,
    ) {
        reader.in_choice(candidate, number);
        read_candidate(stream, reader, candidate, number);
    }

    fn call_at(key: &CallKey) -> String {
        format!("call/{}", key.item)
    }

    fn remove_calls(
        _: &mut ChoiceStream<Self>,
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

    fn remove(
        stream: &mut ChoiceStream<Self>,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        let body = frame.body().ok_or(CannotRemove)?;
        let denied = removals.denied_calls();
        let root = stream.frame_in(body.root());
        for (number, candidate) in choices(root, "candidates") {
            let state = stream.state(number);
            state.kept = state.kept.saturating_sub(calls_of(candidate).count());
            for part in calls_of(candidate) {
                if !denied.contains_key(&part.place()) {
                    // The removal of calls from this frame moves the signature.
                    state.orphan = None;
                    state.kept = state.kept.saturating_add(1);
                } else if state.kept == 0 && state.orphan.is_none() {
                    state.orphan = signature_of(part).map(|signature| signature.raw().to_vec());
                }
            }
        }
        if removals.calls.is_empty() && root.get("candidates").is_none() {
            return Ok(());
        }
        remove_from_response(root, removals, &mut frame.edits)
    }

    fn correct(
        stream: &mut ChoiceStream<Self>,
        (number, candidate): (u32, Value<'_>),
        frame: &mut CorrectedFrame<'_>,
    ) {
        let state = stream.state(number);
        if let Some(part) = calls_of(candidate).next().filter(|_| !frame.is_edited)
            && let Some(orphan) = state.orphan.take()
            && signature_of(part).is_none()
        {
            sign(part, &orphan, frame.edits);
        }
        if frame.is_edited {
            // It repeats the text.
            remove_members(candidate, &["logprobsResult"], frame.edits);
        }
        let of_text = |text_key: &TextKey| text_key.choice == number && text_key.part == Part::Text;
        let mut changed = frame
            .changes
            .iter()
            .filter(|(text_key, _)| of_text(text_key));
        if let Some((text_key, first)) = changed.next() {
            let is_first = text_key.item == 0 && changed.next().is_none();
            let points = CitationOffsets(Some(first).filter(|_| is_first));
            points.correct(candidate, frame.edits);
        }
    }

    fn denied(stream: &ChoiceStream<Self>, denial: &Denial) -> Vec<SyntheticFrame> {
        let numbers = stream.numbers(|_| true);
        let frame = denied_frame(&denial.message(), &numbers, stream.format.as_number);
        let frame = match stream.format.has_envelope {
            true => in_envelope(&frame),
            false => frame,
        };
        vec![SyntheticFrame::new(None, frame)]
    }

    fn keep_alive(stream: &ChoiceStream<Self>) -> Option<KeepAlive> {
        Some(match stream.context.endpoint.response {
            ResponseForm::Elements => KeepAlive::Bytes(b"\n"),
            _ => KeepAlive::COMMENT,
        })
    }
}

/// Changes in the text that citations point into, in bytes; `None` if they are unknown.
struct CitationOffsets<'c>(Option<&'c TextChanges>);

impl CitationOffsets<'_> {
    /// Moves citations with the text, and removes those that point into a changed part, which they repeat.
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
            let gone = sort::set(gone.into_iter());
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

    /// Returns the position of a byte outside of any change.
    fn moved(&self, at: usize) -> usize {
        let before = self.0.into_iter().flat_map(|changes| changes.within(0..at));
        let before = before.inspect(|_| work::spend(1));
        before.fold(at, |at, change| {
            at.saturating_sub(change.bytes.len())
                .saturating_add(change.with.len())
        })
    }
}

fn position(index: Value<'_>) -> Option<usize> {
    usize::try_from(index.as_u64()?).ok()
}
