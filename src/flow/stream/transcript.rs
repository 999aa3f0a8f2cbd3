//! Transcripts of streamed responses, for tools that evaluate recorded exchanges.

use super::call::AssembledCall;
use super::frames::learn;
use super::texts::part_of_text;
use crate::diag::codes;
use crate::event::{Class, Direction, Event, Kind, Problem, Reading, Usage};
use crate::protocol::stream::{CallKey, Delta, StreamReader, TextKey};
use crate::protocol::{Bounds, Reader};
use crate::wire::frame::{Frame, Frames, Framing};
use crate::wire::json::{JsonBody, NodeId};
use crate::wire::sorted_map::SortedMap;

/// Part of the response: the parsed content, and its location if that is outside a body.
#[derive(Debug)]
pub struct TranscriptPart {
    /// Location, `#choice/0`; absent for content that is complete in one frame.
    pub at: Option<String>,
    /// Frame, text or call.
    pub json: JsonBody<'static>,
    /// Events in it.
    pub reading: Reading,
}

/// Content of a streamed response.
#[derive(Debug, Default)]
pub struct Transcript {
    /// Parts, in the order in which they begin.
    pub parts: Vec<TranscriptPart>,
    /// Usage and finish reason.
    pub response: Reading,
    /// Tokens counted by the service around the model.
    pub metered: Usage,
    /// Content that could not be parsed.
    pub problems: Vec<Problem>,
}

/// Parts that continue over frames, each with its index.
#[derive(Default)]
struct OpenParts {
    texts: SortedMap<TextKey, (usize, String, Class)>,
    calls: SortedMap<CallKey, (usize, AssembledCall)>,
}

/// Assembles a streamed response.
pub fn transcript(
    body: &[u8],
    framing: Framing,
    mut reader: Box<dyn StreamReader>,
    bounds: Bounds,
) -> Transcript {
    let mut frames = Frames::new(framing, body.len().saturating_add(1));
    frames.push(body);
    let mut transcript = Transcript::default();
    let mut open = OpenParts::default();
    // Texts and calls are listed in the order in which they begin, and completed at the end.
    let mut parts: Vec<Option<TranscriptPart>> = Vec::new();
    let mut number = 0u64;
    loop {
        let frame = match frames.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => match frames.finish() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => {
                    transcript
                        .problems
                        .push(broken("the stream can't be read on"));
                    break;
                }
            },
            Err(_) => {
                transcript
                    .problems
                    .push(broken("the stream can't be read on"));
                break;
            }
        };
        number = number.saturating_add(1);
        let Some(mut frame_reader) = read(&frame, &*reader, bounds, &mut transcript.problems)
        else {
            continue;
        };
        if let Some(body) = frame_reader.body() {
            reader.read(&mut frame_reader, body.root(), frame.event.as_deref());
        }
        let (json, reading, details) = frame_reader.finish_frame();
        learn(&mut transcript.response, &reading);
        transcript.metered = details.metered.or(transcript.metered);
        for piece in details.pieces {
            open.take(piece, &json, number, &mut parts);
        }
        if !(reading.events.is_empty() && reading.problems.is_empty()) {
            parts.push(Some(TranscriptPart {
                at: None,
                json,
                reading,
            }));
        }
    }
    open.close(&*reader, bounds, &mut parts);
    transcript.parts = parts.into_iter().flatten().collect();
    transcript
}

fn broken(what: &str) -> Problem {
    Problem::of_body(codes::AG2014, what)
}

/// Parses a frame with a payload.
fn read(
    frame: &Frame,
    reader: &dyn StreamReader,
    bounds: Bounds,
    problems: &mut Vec<Problem>,
) -> Option<Reader<'static>> {
    let payload = frame.payload.as_deref()?;
    if payload.trim_ascii().is_empty() || reader.is_end(payload) {
        return None;
    }
    let read = reader
        .unwrap(payload)
        .and_then(|json| Reader::of_frame(json, bounds).ok());
    if read.is_none() {
        problems.push(broken("an event that is no JSON"));
    }
    read
}

impl OpenParts {
    fn take(
        &mut self,
        piece: Delta,
        json: &JsonBody<'_>,
        frame: u64,
        parts: &mut Vec<Option<TranscriptPart>>,
    ) {
        let mut begin = || {
            parts.push(None);
            parts.len().saturating_sub(1)
        };
        match piece {
            Delta::Text(piece) if piece.is_duplicate => {}
            Delta::Text(piece) => {
                let (_, text, _) = self
                    .texts
                    .entry(piece.text_key)
                    .or_insert_with(|| (begin(), String::new(), piece.class));
                if let Some(more) = json.value(piece.place).and_then(|value| value.text()) {
                    text.push_str(more.get(piece.repeats..).unwrap_or_default());
                }
            }
            Delta::Call { key, element, what } => {
                let (_, call) = self
                    .calls
                    .entry(key)
                    .or_insert_with(|| (begin(), AssembledCall::default()));
                call.add(frame, element, &what, json);
            }
            Delta::TextEnd(_) | Delta::TextRest(_) | Delta::CallsEnd(_) | Delta::End(_) => {}
        }
    }

    fn close(
        self,
        reader: &dyn StreamReader,
        bounds: Bounds,
        parts: &mut [Option<TranscriptPart>],
    ) {
        for (text_key, (number, text, class)) in self.texts {
            let (json, mut reading) = part_of_text(&text, None, class, &Reading::new());
            let (Some(json), Some(part)) = (json, parts.get_mut(number)) else {
                continue;
            };
            let mut event = Event::new(Kind::Response, Direction::Response, NodeId::default());
            event.part = text_key.part;
            event.choice = text_key.choice;
            event.texts = 0..1;
            if !text.is_empty() {
                reading.add(event);
            }
            *part = Some(TranscriptPart {
                at: Some(reader.text_at(&text_key)),
                json,
                reading,
            });
        }
        for (key, (number, call)) in self.calls {
            if let (Ok((json, reading)), Some(part)) =
                (call.read(&key, bounds), parts.get_mut(number))
            {
                *part = Some(TranscriptPart {
                    at: Some(reader.call_at(&key)),
                    json,
                    reading,
                });
            }
        }
    }
}
