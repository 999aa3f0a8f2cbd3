//! Anthropic's Messages as data: conversations, content blocks, tools and answers. Shared by the Messages API, its batches,
//! Vertex AI and Bedrock.
//!
//! Source: Anthropic's published SDK types (beta ones included) and recorded exchanges.

mod blocks;
mod removal;
mod request;
mod response;
mod stream;
mod tools;

pub(super) use blocks::{block, content};
pub(super) use removal::{
    denied_message, message as remove_from_message, whole as remove_from_answer,
};
pub(super) use request::{add_request_event, request};
pub(super) use response::{error, message as answered_message, response};
pub(super) use stream::MESSAGE_STREAM;
pub(super) use tools::{mcp_servers, tool as offered_tool};

use super::reader::{Row, Type};
use crate::event::Part;

/// `cache_control`.
const CACHE_CONTROL: Type = Type::Object(&[
    ("type", Type::Word("ephemeral")),
    ("ttl", Type::Word("5m|1h")),
    ("scope", Type::Word("global")),
]);

/// Caller of a tool: the model, or a program that the model wrote and the provider runs.
const CALLER: Type = Type::Object(&[
    (
        "type",
        Type::Word(
            "direct|code_execution_20250825|code_execution_20260120|\
             code_execution_20260521",
        ),
    ),
    ("tool_id", Type::Id),
]);

/// A place in a source that a response cites. Positions count in the source, not in the response.
const CITATION: &[Row] = &[
    (
        "type",
        Type::Word(
            "char_location|page_location|content_block_location|\
             web_search_result_location|search_result_location",
        ),
    ),
    ("cited_text", Type::Text(Part::Other)),
    ("document_title", Type::Text(Part::Other)),
    ("title", Type::Text(Part::Other)),
    ("source", Type::Text(Part::Other)),
    ("url", Type::Text(Part::Other)),
    ("encrypted_index", Type::Opaque),
    ("file_id", Type::Id),
    ("document_index", Type::Number),
    ("search_result_index", Type::Number),
    ("start_char_index", Type::Number),
    ("end_char_index", Type::Number),
    ("start_page_number", Type::Number),
    ("end_page_number", Type::Number),
    ("start_block_index", Type::Number),
    ("end_block_index", Type::Number),
];
