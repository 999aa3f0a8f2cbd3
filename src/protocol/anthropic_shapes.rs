//! Anthropic's Messages as data: conversations, content blocks, tools and answers. Shared by the Messages API, its batches,
//! Vertex AI and Bedrock.
//!
//! Source: Anthropic's published SDK types (beta ones included) and recorded exchanges.

mod answer;
mod blocks;
mod removal;
mod request;
mod stream;
mod tools;

pub(super) use answer::{error, message as answered_message, response};
pub(super) use removal::{
    denied_message, message as remove_from_message, whole as remove_from_answer,
};
pub(super) use request::{request, tell_request};
pub(super) use stream::MESSAGE_STREAM;
pub(super) use tools::tool as offered_tool;

use super::reader::{Is, Key};
use crate::event::Part;

/// `cache_control`.
const CACHE_CONTROL: Is = Is::Object(&[
    ("type", Is::Word(&["ephemeral"])),
    ("ttl", Is::Word(&["5m", "1h"])),
    ("scope", Is::Word(&["global"])),
]);

/// Who asked for a call: the model, or a program that the model wrote and the provider runs.
const CALLER: Is = Is::Object(&[
    (
        "type",
        Is::Word(&[
            "direct",
            "code_execution_20250825",
            "code_execution_20260120",
            "code_execution_20260521",
        ]),
    ),
    ("tool_id", Is::Id),
]);

/// A place in a source that a response cites. Positions count in the source, not in the response.
const CITATION: &[Key] = &[
    (
        "type",
        Is::Word(&[
            "char_location",
            "page_location",
            "content_block_location",
            "web_search_result_location",
            "search_result_location",
        ]),
    ),
    ("cited_text", Is::Text(Part::Other)),
    ("document_title", Is::Text(Part::Other)),
    ("title", Is::Text(Part::Other)),
    ("source", Is::Text(Part::Other)),
    ("url", Is::Text(Part::Other)),
    ("encrypted_index", Is::Opaque),
    ("file_id", Is::Id),
    ("document_index", Is::Number),
    ("search_result_index", Is::Number),
    ("start_char_index", Is::Number),
    ("end_char_index", Is::Number),
    ("start_page_number", Is::Number),
    ("end_page_number", Is::Number),
    ("start_block_index", Is::Number),
    ("end_block_index", Is::Number),
];
