//! The verbs of conditions: one file for each family, each a plain function over one value.
//!
//! To add an operator: its line in the list [`Verb`] is made of, its file here, what people read of it in `reference`, and,
//! if its operand is of a new [`OperandKind`], what `compile/operators.rs` makes of that.

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
mod spec;
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
pub(crate) use spec::{Bounds, Measured, OperandKind};
pub(crate) use sql::SqlQuestion;
pub(crate) use text::{Affix, Contains, ContainsDynamic, seen};
pub(crate) use time::{Days, TimeTest, TimeWindow, TimeWindowText, Zone, moment};

use crate::event::words;
use spec::{Compares, OperatorSpec, Reads};

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

/// The operators: what each is called, what its operand is, what it reads and what it may be compared with. Everything else
/// that treats operators alike asks this list.
macro_rules! operators {
    ($($(#[$doc:meta])* $verb:ident = $word:literal $(or $short:literal)?: $of:ident($kind:expr)$(.$add:ident())*;)+) => {
        words! {
            /// The verbs.
            Verb { $($(#[$doc])* $verb = $word,)+ }
        }

        /// Shorter spellings.
        const SHORT_VERBS: &[(&str, Verb)] = &[$($(($short, Verb::$verb),)?)+];

        impl Verb {
            /// What is known of it.
            pub(crate) const fn spec(self) -> OperatorSpec {
                match self {
                    $(Verb::$verb => const { OperatorSpec::$of($kind)$(.$add())* },)+
                }
            }
        }
    };
}

operators! {
    /// The same value; typed.
    Equals = "equals": of(OperandKind::Value).field();
    /// Another value.
    NotEquals = "not_equals": of(OperandKind::Value).field().negative();
    /// One of these.
    In = "in": of(OperandKind::Values).list();
    /// None of these.
    NotIn = "not_in": of(OperandKind::Values).list().negative();
    /// There is one; `null` counts.
    Exists = "exists": of(OperandKind::Truth);
    /// More than.
    GreaterThan = "greater_than" or "gt": of(OperandKind::Bounds(Measured::Number, Bounds::ABOVE)).field();
    /// At least.
    AtLeast = "at_least" or "gte": of(OperandKind::Bounds(Measured::Number, Bounds::FROM)).field();
    /// Less than.
    LessThan = "less_than" or "lt": of(OperandKind::Bounds(Measured::Number, Bounds::BELOW)).field();
    /// At most.
    AtMost = "at_most" or "lte": of(OperandKind::Bounds(Measured::Number, Bounds::UP_TO)).field();
    /// From … to, both included.
    Between = "between": of(OperandKind::Between);
    /// Holds this text.
    Contains = "contains": of(OperandKind::Literal).field().search();
    /// Holds one of these texts.
    ContainsAny = "contains_any": of(OperandKind::Literals { all: false }).list().search();
    /// Holds all of these texts.
    ContainsAll = "contains_all": of(OperandKind::Literals { all: true }).list().search();
    /// Begins with this text, or one of these.
    StartsWith = "starts_with": of(OperandKind::Affix { at_end: false }).field().text();
    /// Ends with this text, or one of these.
    EndsWith = "ends_with": of(OperandKind::Affix { at_end: true }).field().text();
    /// Fits a regular expression.
    Matches = "matches": of(OperandKind::Patterns).search();
    /// Fits a glob, or one of these.
    Glob = "glob": of(OperandKind::Globs).text();
    /// A detector finds something.
    Detects = "detects": of(OperandKind::Detectors).search();
    /// A domain that is one of these.
    DomainIn = "domain_in": of(OperandKind::Domains).list();
    /// A domain that is none of these.
    DomainNotIn = "domain_not_in": of(OperandKind::Domains).list().negative();
    /// A path inside one of these folders.
    PathWithin = "path_within": of(OperandKind::Folders).list();
    /// A path outside all of these folders.
    PathNotWithin = "path_not_within": of(OperandKind::Folders).list().negative();
    /// Only these commands.
    CommandIn = "command_in": of(OperandKind::Commands);
    /// An address in one of these networks.
    CidrIn = "cidr_in": of(OperandKind::Networks);
    /// An SQL statement with one of these verbs.
    SqlVerbIn = "sql_verb_in": of(OperandKind::SqlVerbs);
    /// An SQL statement that touches one of these tables.
    SqlTableIn = "sql_table_in": of(OperandKind::SqlTables);
    /// An SQL statement without a limit or with a larger one.
    SqlLimitGreaterThan = "sql_limit_greater_than": of(OperandKind::SqlRows);
    /// Shares text with another value.
    Overlaps = "overlaps": of(OperandKind::OtherText).field().search();
    /// Outside a time of day.
    Outside = "outside": of(OperandKind::Windows);
    /// Inside a time of day.
    Inside = "inside": of(OperandKind::Windows);
    /// Inside one of several times of day.
    Schedule = "schedule": of(OperandKind::Windows);
    /// Not before a moment.
    NotBefore = "not_before": of(OperandKind::Moment);
    /// Not after a moment.
    NotAfter = "not_after": of(OperandKind::Moment);
    /// Count more than.
    CountGreaterThan = "count_greater_than" or "count_gt": of(OperandKind::Bounds(Measured::Count, Bounds::ABOVE)).field();
    /// Count at least.
    CountAtLeast = "count_at_least" or "count_gte": of(OperandKind::Bounds(Measured::Count, Bounds::FROM)).field();
    /// Count less than.
    CountLessThan = "count_less_than" or "count_lt": of(OperandKind::Bounds(Measured::Count, Bounds::BELOW)).field();
    /// Count at most.
    CountAtMost = "count_at_most" or "count_lte": of(OperandKind::Bounds(Measured::Count, Bounds::UP_TO)).field();
    /// Count exactly.
    CountEquals = "count_equals": of(OperandKind::Bounds(Measured::Count, Bounds::EXACTLY)).field();
    /// Length more than.
    LengthGreaterThan = "length_greater_than" or "length_gt": of(OperandKind::Bounds(Measured::Length, Bounds::ABOVE)).field().text();
    /// Length at least.
    LengthAtLeast = "length_at_least" or "length_gte": of(OperandKind::Bounds(Measured::Length, Bounds::FROM)).field().text();
    /// Length less than.
    LengthLessThan = "length_less_than" or "length_lt": of(OperandKind::Bounds(Measured::Length, Bounds::BELOW)).field().text();
    /// Length at most.
    LengthAtMost = "length_at_most" or "length_lte": of(OperandKind::Bounds(Measured::Length, Bounds::UP_TO)).field().text();
    /// Length exactly.
    LengthEquals = "length_equals": of(OperandKind::Bounds(Measured::Length, Bounds::EXACTLY)).field().text();
}

/// The words of all operators, in the order of the documentation.
pub fn operator_words() -> impl Iterator<Item = &'static str> {
    Verb::ALL.iter().map(|verb| verb.word())
}

impl Verb {
    /// Reads a verb in any of its spellings.
    pub(crate) fn parse(word: &str) -> Option<Verb> {
        let short = || SHORT_VERBS.iter().find(|(short, _)| *short == word);
        Verb::from_word(word).or_else(|| short().map(|(_, verb)| *verb))
    }

    /// Whether it says that something is *not* so: true of a missing value where that restricts.
    pub(crate) fn is_negative(self) -> bool {
        self.spec().is_negative
    }

    /// Whether it is about the time, and nothing else.
    pub(crate) fn asks_time(self) -> bool {
        self.takes_windows() || self.spec().operand == OperandKind::Moment
    }

    /// Whether it is about times of day.
    pub(crate) fn takes_windows(self) -> bool {
        self.spec().operand == OperandKind::Windows
    }

    /// Whether it reads text: strings inside objects, numbers and booleans as written.
    pub(crate) fn reads_text(self) -> bool {
        self.spec().reads != Reads::Values
    }

    /// Whether it can only be true because something stands in the text, so that keys and numbers count as well.
    pub(crate) fn looks_for_text(self) -> bool {
        self.spec().reads == Reads::Search
    }

    /// Whether it can compare with what another field holds.
    pub(crate) fn takes_field(self) -> bool {
        self.spec().compares != Compares::Written
    }

    /// Whether its operand is a list of which one fits, so that several values of another field are one such list.
    pub(crate) fn takes_list(self) -> bool {
        self.spec().compares == Compares::List
    }
}
