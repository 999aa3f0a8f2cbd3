//! Operators `equals`, `not_equals`, `in`, `not_in`: typed comparison, where `1` equals `1.0` but not `"1"`.

use super::{Polarity, TestResult};
use crate::detect::fold_name;
use crate::policy::scalar::Scalar;
use crate::wire::json::Decimal;
use crate::wire::work;

/// Value in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    /// Exact value of a number.
    Number(Decimal),
    /// Text as written, and folded as names are.
    Text {
        exact: Box<str>,
        folded: Box<str>,
    },
}

impl Literal {
    pub(crate) fn text(text: &str) -> Literal {
        Literal::Text {
            exact: text.into(),
            folded: fold_name(text).trim().into(),
        }
    }

    /// Returns the text as written, if the literal is a text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Literal::Text { exact, .. } => Some(exact),
            _ => None,
        }
    }

    /// Returns whether the literal is exactly this text.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(self, Literal::Text { exact, .. } if **exact == *text)
    }
}

/// Comparison with one or several literals.
#[derive(Clone, Debug)]
pub(crate) struct Equality {
    pub(crate) literals: Vec<Literal>,
    pub(crate) negative: bool,
    /// Whether the values are names, which are folded on the deny side.
    pub(crate) names: bool,
}

impl Equality {
    pub(crate) fn evaluate(&self, value: &Scalar<'_>, side: Polarity) -> TestResult {
        let mut same_type = false;
        let mut equal = false;
        work::spend(self.literals.len());
        let (text, number) = match value {
            Scalar::Text(text) => (Some(text.text()), None),
            Scalar::Number(number, _) => (None, Decimal::parse(number)),
            _ => (None, None),
        };
        // A spelling must not evade a negative test either. So names are folded if the deny side is where they are *equal*.
        let broad = (side == Polarity::Restricting) != self.negative;
        let folded = text
            .as_deref()
            .filter(|_| self.names && broad)
            .map(fold_name);
        for literal in &self.literals {
            match (literal, value) {
                (Literal::Null, Scalar::Null) => (same_type, equal) = (true, true),
                (Literal::Bool(expected), Scalar::Bool(actual, _)) => {
                    same_type = true;
                    equal |= expected == actual;
                }
                (Literal::Number(expected), Scalar::Number(..)) => {
                    same_type = true;
                    equal |= number.as_ref() == Some(expected);
                }
                (
                    Literal::Text {
                        exact,
                        folded: expected,
                    },
                    Scalar::Text(_),
                ) => {
                    same_type = true;
                    equal |= text.as_deref() == Some(&**exact)
                        || folded.as_ref().is_some_and(|name| {
                            name.len() >= expected.len() && *name.trim() == **expected
                        });
                }
                _ => {}
            }
        }
        match (self.negative, same_type) {
            (false, _) => equal.into(),
            (true, true) => (!equal).into(),
            (true, false) => TestResult::Unreadable,
        }
    }
}
