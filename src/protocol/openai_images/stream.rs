//! Images while they are generated. Each event contains all of an image, at first a rough one.
//!
//! ```text
//! {"type":"image_generation.partial_image","partial_image_index":0,"b64_json":"iVBORw=="}
//! {"type":"image_generation.completed","b64_json":"iVBORw==","usage":{"total_tokens":100}}
//! ```

use super::{IMAGE, RESPONSE};
use crate::protocol::openai_shapes::{ANSWER, beside};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::TextSpec;

const EVENT: &[Row] = &[
    ("type", Type::Read(|reader, value| reader.claim(value))),
    ("created_at", Type::Number),
    ("partial_image_index", Type::Number),
];

/// Streamed images.
pub(super) const IMAGE_STREAM: &TextSpec = &TextSpec {
    read: |_, reader, event, _, _| {
        let tables = [EVENT, IMAGE, RESPONSE, ANSWER];
        reader.row_lists(event, &tables, &beside(), &mut |_, _, _| {});
    },
    ..TextSpec::OPENAI
};
