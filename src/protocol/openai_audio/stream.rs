//! Streamed transcripts and audio. A transcript arrives in deltas, or by speakers in segments, and then as a whole.
//!
//! ```text
//! {"type":"transcript.text.delta","delta":"Rain"}
//! {"type":"transcript.text.segment","id":"seg_1","speaker":"A","start":0.0,"end":1.2,"text":"Rain"}
//! {"type":"transcript.text.done","text":"Rain today."}
//! {"type":"speech.audio.delta","audio":"UklGRg=="}
//! ```

use super::{RESPONSE, SEGMENT};
use crate::event::Part;
use crate::protocol::json_edit::replace_present;
use crate::protocol::openai_shapes::ANSWER;
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{TextDelta, TextSpec, TextStream, Update};
use crate::protocol::{Origin, Reader};
use crate::wire::json::Value;

const EVENT: &[Row] = &[
    ("type", Type::Read(|reader, value| reader.claim(value))),
    ("delta", Type::Text(Part::Transcript)),
    ("audio", Type::Custom),
    ("audio_data", Type::Custom),
    ("segment_id", Type::Id),
    ("logprobs", Type::Tokens),
];

/// Numbers of the texts: the transcript, the same transcript in segments, and from then on names of speakers.
const WHOLE: u32 = 0;
const SEGMENTS: u32 = 1;
const SPEAKERS: u32 = 2;

/// Streamed transcript or audio.
pub(super) const AUDIO_STREAM: &TextSpec = &TextSpec {
    read,
    update: Some(update),
    ends: |event| is_of_type(event, "transcript.text.done"),
    text_at: |_, number| match number {
        Some(SEGMENTS) => "#segments".to_owned(),
        _ => "#text".to_owned(),
    },
    remove_copies: |event, edits| replace_present(event, "logprobs", b"[]", edits),
    ..TextSpec::OPENAI
};

fn is_of_type(event: Value<'_>, name: &str) -> bool {
    event.get("type").is_some_and(|kind| kind.is_text(name))
}

fn read(
    stream: &mut TextStream,
    reader: &mut Reader<'static>,
    event: Value<'_>,
    _: Option<&str>,
    origin: &Origin,
) {
    let tables = [EVENT, RESPONSE, SEGMENT, ANSWER];
    let origin = origin.with_part(Part::Other);
    reader.row_lists(event, &tables, &origin, &mut |reader, _, sound| {
        reader.media(sound);
        if !sound.is_null() && !std::mem::replace(&mut stream.has_media, true) {
            reader.uninspectable(sound, "attachment");
        }
    });
}

fn update(event: Value<'_>, piece: &TextDelta) -> (u32, Update) {
    match piece.text_key.part {
        Part::Transcript if is_of_type(event, "transcript.text.segment") => {
            (SEGMENTS, Update::Delta)
        }
        Part::Transcript if is_of_type(event, "transcript.text.delta") => (WHOLE, Update::Delta),
        Part::Transcript => (WHOLE, Update::Whole),
        _ => (SPEAKERS.saturating_add(piece.text_key.item), Update::Whole),
    }
}
