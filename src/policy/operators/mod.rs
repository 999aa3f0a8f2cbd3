//! Operators of conditions: one file for each family, each a plain function over one value.
//!
//! To add an operator: its file here, its row in `verb.rs`, its name under a heading of `families.rs`, and, if its operand
//! is of a new [`OperandKind`], what `compile/operators.rs` makes of that.

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
pub(crate) use text::{Affix, Contains, ContainsDynamic, seen, seen_without_case};
pub(crate) use time::{Days, TimeTest, TimeWindow, TimeWindowText, Zone, moment};
pub(crate) use verb::Verb;
pub use verb::operator_words;

/// What an operator says about one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestResult {
    /// It fits.
    Holds,
    /// It doesn't.
    Fails,
    /// It can't be told: wrong type, unparsable. Counts for the strict side.
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

/// An operand that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperandError {
    /// Which of the operator's operands, from 0.
    pub(crate) at: usize,
    /// What is wrong with it.
    pub(crate) message: String,
    /// What to write instead.
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

/// On which side a condition stands: whether it being true restricts or loosens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polarity {
    /// Read broadly.
    Restricting,
    /// Read narrowly.
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
