//! Gemini's format as data: contents, parts, tools and responses. Google's JSON of protocol buffers accepts each key in
//! camelCase and in snake_case. Both in one object are AG2002, because servers differ in which one they use.
//!
//! Source: Google's published SDK types and recorded exchanges.

mod parts;
mod removal;
mod request;
mod response;
mod stream;
mod tools;

pub(super) use parts::{contents_by, unspoken};
pub(super) use removal::{denied_response_body, moved, remove_from_response};
pub(super) use request::{contents_are_needed, generate_request};
pub(super) use response::{enveloped, error, in_envelope, response};
pub(super) use stream::generate_stream;
pub(super) use tools::tools;

use super::reader::{Row, Type};

/// Ratings and settings of Google's safety filters.
const SAFETY: &[Row] = &[
    ("category", Type::Constant),
    ("threshold", Type::Constant),
    ("method", Type::Constant),
    ("probability", Type::Constant),
    ("severity", Type::Constant),
    ("overwrittenThreshold", Type::Constant),
    ("blocked", Type::Flag),
    ("probabilityScore", Type::Number),
    ("severityScore", Type::Number),
];
