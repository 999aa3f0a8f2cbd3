//! Operators of conditions: one file for each family, each a plain function over one value.
//!
//! What a new operator needs is in CONTRIBUTING.md.

mod cidr;
mod command;
mod compare;
mod domain;
mod equality;
#[cfg(not(target_arch = "wasm32"))]
mod families;
mod host;
mod idna;
mod ip;
mod mail;
mod measure;
mod overlap;
mod path;
#[cfg(not(target_arch = "wasm32"))]
mod reference;
mod shell;
mod spec;
mod sql;
mod text;
mod time;
mod url;
mod verb;

pub(crate) use cidr::Networks;
pub(crate) use command::Commands;
pub(crate) use compare::{Comparison, number};
pub(crate) use domain::Domains;
pub(crate) use equality::{Equality, Literal};
#[cfg(not(target_arch = "wasm32"))]
pub use families::{OPERATORS, OperatorFamily};
pub(crate) use measure::{address_count, character_count};
pub(crate) use overlap::{Overlap, RUNS, USUAL_RUN};
pub(crate) use path::{Folders, path_of_file_uri};
#[cfg(not(target_arch = "wasm32"))]
pub use reference::Reference;
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
pub(crate) use reference::STRANGER;
pub(crate) use spec::{Measured, OperandKind};
pub(crate) use sql::SqlQuestion;
pub(crate) use text::{Affix, Contains, ContainsDynamic, each_seen};
pub(crate) use time::{Days, TimeTest, TimeWindow, TimeWindowText, Zone, moment};
pub(crate) use verb::Verb;
pub use verb::operator_words;

/// Result of an operator for one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestResult {
    /// The value matches.
    Holds,
    /// The value does not match.
    Fails,
    /// The value can't be read: it has the wrong type or can't be parsed. It is resolved toward denial.
    Unreadable,
}

impl From<bool> for TestResult {
    fn from(holds: bool) -> Self {
        if holds {
            TestResult::Holds
        } else {
            TestResult::Fails
        }
    }
}

/// Error in an operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperandError {
    /// Number of the wrong item among the operands, from 0.
    pub(crate) at: usize,
    /// Message.
    pub(crate) message: String,
    /// Suggested fix.
    pub(crate) help: String,
}

impl OperandError {
    fn new(at: usize, message: impl Into<String>, help: impl Into<String>) -> OperandError {
        OperandError {
            at,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// Side of a condition: whether its being true leads to denial or to permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polarity {
    /// Deny side: read broadly.
    Restricting,
    /// Allow side: read narrowly.
    Loosening,
}

impl Polarity {
    pub(crate) fn flipped(self) -> Polarity {
        match self {
            Polarity::Restricting => Polarity::Loosening,
            Polarity::Loosening => Polarity::Restricting,
        }
    }
}
