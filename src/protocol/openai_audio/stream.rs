//! What was said in audio, and audio itself, as it comes.
//!
//! ```text
//! {"type":"transcript.text.delta","delta":"Rain"}
//! {"type":"transcript.text.segment","id":"seg_1","speaker":"A","start":0.0,"end":1.2,"text":"Rain"}
//! {"type":"transcript.text.done","text":"Rain today."}
//! {"type":"speech.audio.delta","audio":"UklGRg=="}
//! ```

use super::{RESPONSE, SEGMENT};
use crate::event::Part;
use crate::protocol::openai_shapes::{ANSWER, answer_member};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    ChangesByText, Delta, HeldFrame, KeepAlive, OrderingGroups, SnapshotTexts, StreamReader,
    SyntheticFrame, TextKey, Update, is_done,
};
use crate::protocol::{Denial, Dialect, Origin, Reader};

const EVENT: &[Row] = &[
    ("type", Type::Custom),
    ("delta", Type::Text(Part::Transcript)),
    ("audio", Type::Custom),
    ("segment_id", Type::Id),
    ("logprobs", Type::Custom),
];

/// What was said, and the same in stretches with their speakers. Those go on with each other too.
const WHOLE: u32 = 0;
const SEGMENTS: u32 = 1;

/// A streamed transcript, or streamed audio.
#[derive(Debug, Default)]
pub(super) struct AudioStream {
    texts: SnapshotTexts,
    /// Bytes that nobody reads were told of.
    has_audio: bool,
}

impl StreamReader for AudioStream {
    fn read(&mut self, reader: &mut Reader<'static>, _: Option<&str>) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        let kind = root.get("type").and_then(|kind| kind.text());
        let kind = kind.unwrap_or_default();
        reader.frame.lanes = OrderingGroups::ALL;
        let origin = Origin {
            piece_of: Some(0),
            ..Origin::answer(0).with_part(Part::Other)
        };
        let first = reader.frame.pieces.len();
        let tables = [EVENT, RESPONSE, SEGMENT, ANSWER];
        reader.row_lists(
            root,
            &tables,
            &origin,
            &mut |reader, key, value| match key {
                "type" => reader.claim(value),
                _ if value.is_null() => reader.claim(value),
                "audio" | "audio_data" => {
                    reader.media(value);
                    if !std::mem::replace(&mut self.has_audio, true) {
                        reader.uninspectable(value, "attachment");
                    }
                }
                // The text once more, token by token: it goes as a whole when the text is edited.
                "logprobs" => reader.claim_all(value),
                _ => answer_member(reader, key, value),
            },
        );
        let (list, how) = match &*kind {
            "transcript.text.segment" => (SEGMENTS, Update::Delta),
            "transcript.text.delta" => (WHOLE, Update::Delta),
            _ => (WHOLE, Update::Whole),
        };
        for piece in reader.frame.pieces.split_off(first) {
            match piece {
                Delta::Text(piece) if piece.channel.part == Part::Transcript => {
                    self.texts.piece(reader, piece, [list, 0, 0], how);
                }
                // A speaker's name.
                Delta::Text(piece) => {
                    let spot = [2, piece.channel.item, 0];
                    self.texts.piece(reader, piece, spot, Update::Whole);
                }
                other => reader.piece(other),
            }
        }
        if &*kind == "transcript.text.done" {
            self.texts.end(reader, &|_| true);
        }
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        is_done(payload)
    }

    fn text_at(&self, channel: &TextKey) -> String {
        match self.texts.spot(channel) {
            Some([SEGMENTS, ..]) => "#segments".to_owned(),
            _ => "#text".to_owned(),
        }
    }

    fn correct(&mut self, frame: &mut HeldFrame, _: &ChangesByText) {
        let Some(body) = frame.body() else {
            return;
        };
        let copy = body.root().get("logprobs").filter(|copy| !copy.is_null());
        if let Some(copy) = copy.filter(|_| !frame.edits.is_empty()) {
            frame.edits.replace(copy, b"[]".to_vec());
        }
    }

    /// Nobody said a refusal: it is an error.
    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        vec![SyntheticFrame::error(Dialect::OpenAi, denial)]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
