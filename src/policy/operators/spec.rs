//! Properties of an operator.

use super::compare::Comparison;
use crate::wire::json::Decimal;

/// Properties of an operator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperatorSpec {
    pub(crate) operand: OperandKind,
    pub(super) reads: Reads,
    pub(super) compares: Compares,
    pub(super) is_negative: bool,
}

/// Kind of an operator's operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperandKind {
    /// One value of any type.
    Value,
    /// Values of any type.
    Values,
    /// `true` or `false`.
    Truth,
    /// One number.
    Bounds(Measured, Bounds),
    /// Two numbers.
    Between,
    /// Text to search for.
    Literal,
    /// Texts to search for: all of them, or one.
    Literals {
        all: bool,
    },
    /// Texts at the end, or at the beginning.
    Affix {
        at_end: bool,
    },
    Patterns,
    Globs,
    Detectors,
    Domains,
    Folders,
    Commands,
    Networks,
    SqlVerbs,
    SqlTables,
    /// Number of rows.
    SqlRows,
    /// Another field, or earlier events.
    OtherText,
    /// Times of day.
    Windows,
    /// A moment.
    Moment,
}

/// Property of a value that is compared with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measured {
    Number,
    Count,
    Length,
}

/// Which ends of a range a number is, and whether the range includes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) low: Option<bool>,
    pub(crate) high: Option<bool>,
}

impl Bounds {
    pub(super) const ABOVE: Bounds = Bounds {
        low: Some(false),
        high: None,
    };
    pub(super) const FROM: Bounds = Bounds {
        low: Some(true),
        high: None,
    };
    pub(super) const BELOW: Bounds = Bounds {
        low: None,
        high: Some(false),
    };
    pub(super) const UP_TO: Bounds = Bounds {
        low: None,
        high: Some(true),
    };
    pub(super) const EXACTLY: Bounds = Bounds {
        low: Some(true),
        high: Some(true),
    };

    /// Returns the range with this number as its ends.
    pub(crate) fn around(self, number: &Decimal) -> Comparison {
        Comparison {
            low: self.low.map(|included| (number.clone(), included)),
            high: self.high.map(|included| (number.clone(), included)),
        }
    }
}

/// How an operator reads values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// With their types.
    Values,
    /// As text: strings inside objects, numbers and booleans as written.
    Text,
    /// As text that must contain something.
    Search,
}

/// Operands that an operator may have besides those in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compares {
    /// None. Patterns and lists of commands must be in the policy, so that a client can't supply one.
    Written,
    /// The values of another field, one by one.
    Field,
    /// The values of another field, as one list of which one must match.
    List,
}

impl OperatorSpec {
    pub(super) const fn of(operand: OperandKind) -> OperatorSpec {
        OperatorSpec {
            operand,
            reads: Reads::Values,
            compares: Compares::Written,
            is_negative: false,
        }
    }

    pub(super) const fn text(mut self) -> OperatorSpec {
        self.reads = Reads::Text;
        self
    }

    pub(super) const fn search(mut self) -> OperatorSpec {
        self.reads = Reads::Search;
        self
    }

    pub(super) const fn field(mut self) -> OperatorSpec {
        self.compares = Compares::Field;
        self
    }

    pub(super) const fn list(mut self) -> OperatorSpec {
        self.compares = Compares::List;
        self
    }

    pub(super) const fn negative(mut self) -> OperatorSpec {
        self.is_negative = true;
        self
    }
}
