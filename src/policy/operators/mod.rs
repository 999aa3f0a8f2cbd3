//! The verbs of conditions: one file for each family, each a plain function over one value.
//!
//! To add an operator: its word in [`Verb`], its file here, one arm in `compile/operators.rs`, what people read of it in
//! `reference`.

mod cidr;
mod command;
mod compare;
mod domain;
mod equality;
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
mod sql;
mod text;
mod time;
mod url;

pub(crate) use cidr::Networks;
pub(crate) use command::Commands;
pub(crate) use compare::{Comparison, number};
pub(crate) use domain::Domains;
pub(crate) use equality::{Equality, Literal};
pub(crate) use measure::{address_count, character_count};
pub(crate) use overlap::{Overlap, RUNS, USUAL_RUN};
pub(crate) use path::Folders;
#[cfg(not(target_arch = "wasm32"))]
pub use reference::{OPERATORS, OperatorFamily, Reference};
pub(crate) use sql::SqlQuestion;
pub(crate) use text::{Affix, Contains, ContainsDynamic, seen};
pub(crate) use time::{Days, TimeTest, TimeWindow, TimeWindowText, Zone, moment};

use crate::event::words;

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

words! {
    /// The verbs.
    Verb {
        /// The same value; typed.
        Equals = "equals",
        /// Another value.
        NotEquals = "not_equals",
        /// One of these.
        In = "in",
        /// None of these.
        NotIn = "not_in",
        /// There is one; `null` counts.
        Exists = "exists",
        /// More than.
        GreaterThan = "greater_than",
        /// At least.
        AtLeast = "at_least",
        /// Less than.
        LessThan = "less_than",
        /// At most.
        AtMost = "at_most",
        /// From … to, both included.
        Between = "between",
        /// Holds this text.
        Contains = "contains",
        /// Holds one of these texts.
        ContainsAny = "contains_any",
        /// Holds all of these texts.
        ContainsAll = "contains_all",
        /// Begins with this text, or one of these.
        StartsWith = "starts_with",
        /// Ends with this text, or one of these.
        EndsWith = "ends_with",
        /// Fits a regular expression.
        Matches = "matches",
        /// Fits a glob, or one of these.
        Glob = "glob",
        /// A detector finds something.
        Detects = "detects",
        /// A domain that is one of these.
        DomainIn = "domain_in",
        /// A domain that is none of these.
        DomainNotIn = "domain_not_in",
        /// A path inside one of these folders.
        PathWithin = "path_within",
        /// A path outside all of these folders.
        PathNotWithin = "path_not_within",
        /// Only these commands.
        CommandIn = "command_in",
        /// An address in one of these networks.
        CidrIn = "cidr_in",
        /// An SQL statement with one of these verbs.
        SqlVerbIn = "sql_verb_in",
        /// An SQL statement that touches one of these tables.
        SqlTableIn = "sql_table_in",
        /// An SQL statement without a limit or with a larger one.
        SqlLimitGreaterThan = "sql_limit_greater_than",
        /// Shares text with another value.
        Overlaps = "overlaps",
        /// Outside a time of day.
        Outside = "outside",
        /// Inside a time of day.
        Inside = "inside",
        /// Inside one of several times of day.
        Schedule = "schedule",
        /// Not before a moment.
        NotBefore = "not_before",
        /// Not after a moment.
        NotAfter = "not_after",
        /// Count more than.
        CountGreaterThan = "count_greater_than",
        /// Count at least.
        CountAtLeast = "count_at_least",
        /// Count less than.
        CountLessThan = "count_less_than",
        /// Count at most.
        CountAtMost = "count_at_most",
        /// Count exactly.
        CountEquals = "count_equals",
        /// Length more than.
        LengthGreaterThan = "length_greater_than",
        /// Length at least.
        LengthAtLeast = "length_at_least",
        /// Length less than.
        LengthLessThan = "length_less_than",
        /// Length at most.
        LengthAtMost = "length_at_most",
        /// Length exactly.
        LengthEquals = "length_equals",
    }
}

/// The words of all operators, in the order of the documentation.
pub fn operator_words() -> impl Iterator<Item = &'static str> {
    Verb::ALL.iter().map(|verb| verb.word())
}

/// Shorter spellings.
const SHORT_VERBS: &[(&str, Verb)] = &[
    ("gt", Verb::GreaterThan),
    ("gte", Verb::AtLeast),
    ("lt", Verb::LessThan),
    ("lte", Verb::AtMost),
    ("count_gt", Verb::CountGreaterThan),
    ("count_gte", Verb::CountAtLeast),
    ("count_lt", Verb::CountLessThan),
    ("count_lte", Verb::CountAtMost),
    ("length_gt", Verb::LengthGreaterThan),
    ("length_gte", Verb::LengthAtLeast),
    ("length_lt", Verb::LengthLessThan),
    ("length_lte", Verb::LengthAtMost),
];

impl Verb {
    /// Reads a verb in any of its spellings.
    pub(crate) fn parse(word: &str) -> Option<Verb> {
        let short = || SHORT_VERBS.iter().find(|(short, _)| *short == word);
        Verb::from_word(word).or_else(|| short().map(|(_, verb)| *verb))
    }

    /// Whether it says that something is *not* so: true of a missing value where that restricts.
    pub(crate) fn is_negative(self) -> bool {
        matches!(
            self,
            Verb::NotEquals | Verb::NotIn | Verb::DomainNotIn | Verb::PathNotWithin
        )
    }

    /// Whether it is about the time, and nothing else.
    pub(crate) fn asks_time(self) -> bool {
        self.takes_windows() || matches!(self, Verb::NotBefore | Verb::NotAfter)
    }

    /// Whether it is about times of day.
    pub(crate) fn takes_windows(self) -> bool {
        matches!(self, Verb::Inside | Verb::Outside | Verb::Schedule)
    }

    /// Whether it reads text: strings inside objects, numbers and booleans as written.
    pub(crate) fn reads_text(self) -> bool {
        matches!(
            self,
            Verb::Contains
                | Verb::ContainsAny
                | Verb::ContainsAll
                | Verb::StartsWith
                | Verb::EndsWith
                | Verb::Matches
                | Verb::Glob
                | Verb::Detects
                | Verb::Overlaps
                | Verb::LengthGreaterThan
                | Verb::LengthAtLeast
                | Verb::LengthLessThan
                | Verb::LengthAtMost
                | Verb::LengthEquals
        )
    }

    /// Whether it can only be true because something stands in the text, so that keys and numbers count as well.
    pub(crate) fn looks_for_text(self) -> bool {
        matches!(
            self,
            Verb::Contains
                | Verb::ContainsAny
                | Verb::ContainsAll
                | Verb::Matches
                | Verb::Detects
                | Verb::Overlaps
        )
    }

    /// Whether it can compare with what another field holds. Patterns and lists of commands are written down, so that
    /// nobody can slip one in.
    pub(crate) fn takes_field(self) -> bool {
        !self.asks_time()
            && !matches!(
                self,
                Verb::Exists
                    | Verb::Between
                    | Verb::Matches
                    | Verb::Glob
                    | Verb::Detects
                    | Verb::CommandIn
                    | Verb::CidrIn
                    | Verb::SqlVerbIn
                    | Verb::SqlTableIn
                    | Verb::SqlLimitGreaterThan
            )
    }

    /// Whether its operand is a list of which one fits, so that several values of another field are one such list.
    pub(crate) fn takes_list(self) -> bool {
        matches!(
            self,
            Verb::In
                | Verb::NotIn
                | Verb::ContainsAny
                | Verb::ContainsAll
                | Verb::DomainIn
                | Verb::DomainNotIn
                | Verb::PathWithin
                | Verb::PathNotWithin
        )
    }
}
