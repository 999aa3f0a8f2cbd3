//! The detectors against labelled texts, and against values made here.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    reason = "test code: a failure is a panic"
)]

mod generated;
mod injection;
mod judge;
mod page;
mod redacted;
mod score;
mod values;
