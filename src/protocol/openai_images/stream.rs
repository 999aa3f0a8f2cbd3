//! Pictures while they are drawn.
//!
//! ```text
//! {"type":"image_generation.partial_image","partial_image_index":0,"b64_json":"iVBORw=="}
//! {"type":"image_generation.completed","b64_json":"iVBORw==","usage":{"total_tokens":100}}
//! ```

use super::{IMAGE, RESPONSE, answer_member_of};
use crate::protocol::openai_shapes::{ANSWER, beside};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{KeepAlive, OrderingGroups, StreamReader, SyntheticFrame, is_done};
use crate::protocol::{Denial, Dialect, Reader};

const EVENT: &[Row] = &[
    ("type", Type::Custom),
    ("created_at", Type::Number),
    ("partial_image_index", Type::Number),
];

/// Streamed pictures. All of a picture stands in one event, though a rough one.
#[derive(Debug, Default)]
pub(super) struct ImageStream;

impl StreamReader for ImageStream {
    fn read(&mut self, reader: &mut Reader<'static>, _: Option<&str>) {
        let Some(body) = reader.body() else { return };
        reader.frame.lanes = OrderingGroups::ALL;
        let tables = [EVENT, IMAGE, RESPONSE, ANSWER];
        let root = body.root();
        reader.row_lists(
            root,
            &tables,
            &beside(),
            &mut |reader, key, value| match key {
                "type" => reader.claim(value),
                _ => answer_member_of(reader, key, value),
            },
        );
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        is_done(payload)
    }

    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        vec![SyntheticFrame::error(Dialect::OpenAi, denial)]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
