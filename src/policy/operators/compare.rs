//! Operators `greater_than`, `at_least`, `less_than`, `at_most`, `between`: comparison of exact decimals.
//!
//! A value is unreadable if it is on one side of a limit, and what a program reads instead of it is on the other side.
//! Programs may read a double (99.99999999999999999 becomes 100, and 1e-400 becomes 0), or the digits at the beginning of a
//! text (`9999e-2` is 9999 to JavaScript's `parseInt`, and `9９` is 9).

use super::TestResult;
use crate::policy::scalar::Scalar;
use crate::wire::json::Decimal;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Range of numbers; each end with whether the range includes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) low: Option<(Decimal, bool)>,
    pub(crate) high: Option<(Decimal, bool)>,
}

impl Comparison {
    /// Evaluates JSON numbers, and strings that are a number after trimming and width folding (`"１０１"`). All other values
    /// (`"1,000"`, `"$5"`, `true`) are unreadable.
    pub(crate) fn evaluate(&self, value: &Scalar<'_>) -> TestResult {
        let Some(number) = number(value) else {
            return TestResult::Unreadable;
        };
        let holds = self.holds(&number);
        let as_double = self.holds_by(&number, Decimal::rounded);
        let of_digits = leading_digits(value).is_some_and(|digits| self.holds(&digits) != holds);
        if as_double != holds || of_digits {
            return TestResult::Unreadable;
        }
        holds.into()
    }

    /// Evaluates a count.
    pub(crate) fn evaluate_count(&self, count: u64) -> TestResult {
        match Decimal::parse(&count.to_string()) {
            Some(number) => self.holds(&number).into(),
            None => TestResult::Unreadable,
        }
    }

    fn holds(&self, number: &Decimal) -> bool {
        self.holds_by(number, |number| Cow::Borrowed(number))
    }

    /// Returns whether the comparison matches if `read` is applied to the number and to the ends.
    fn holds_by(&self, number: &Decimal, read: fn(&Decimal) -> Cow<'_, Decimal>) -> bool {
        let number = read(number);
        let fits = |end: &Option<(Decimal, bool)>, side: Ordering| {
            end.as_ref().is_none_or(|(end, included)| {
                let order = number.cmp(&read(end));
                order == side || (*included && order == Ordering::Equal)
            })
        };
        fits(&self.low, Ordering::Greater) && fits(&self.high, Ordering::Less)
    }
}

/// Returns the number that a value is, or that its text contains.
pub(crate) fn number(value: &Scalar<'_>) -> Option<Decimal> {
    match value {
        Scalar::Number(text, _) => Decimal::parse(text),
        Scalar::Text(text) => Decimal::parse(&width_folded(text.text().trim())),
        _ => None,
    }
}

/// Returns the number that a reader finds who stops at the first unknown character, if a text has such characters.
fn leading_digits(value: &Scalar<'_>) -> Option<Decimal> {
    let Scalar::Text(text) = value else {
        return None;
    };
    let text = text.text();
    let text = text.trim();
    let is_end = |c: char| !c.is_ascii_digit() && !matches!(c, '-' | '.');
    text.contains(is_end).then_some(())?;
    let digits = text.split(|c: char| is_end(c) || c == '.').next()?;
    Decimal::parse(digits)
}

/// Returns full-width forms (U+FF01 to U+FF5E) as ASCII.
fn width_folded(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{FF01}'..='\u{FF5E}' => u32::from(c)
                .checked_sub(0xFEE0)
                .and_then(char::from_u32)
                .unwrap_or(c),
            _ => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::scalar::Scalar;

    fn more_than(limit: &str) -> Comparison {
        Comparison {
            low: Some((Decimal::parse(limit).unwrap(), false)),
            high: None,
        }
    }

    #[test]
    fn numbers_and_numbers_in_texts_are_compared_exactly() {
        let over_100 = more_than("100");
        for number in ["100.01", "100.000000000001", "12345678901234567890"] {
            for value in [Scalar::Number(number.into(), None), Scalar::text(number)] {
                assert_eq!(over_100.evaluate(&value), TestResult::Holds, "{value:?}");
            }
        }
        assert_eq!(
            over_100.evaluate(&Scalar::text(" １０１ ")),
            TestResult::Holds
        );
        for number in ["100", "1e2", "-5", "0.1"] {
            assert_eq!(
                over_100.evaluate(&Scalar::Number(number.into(), None)),
                TestResult::Fails,
                "{number}"
            );
        }
    }

    #[test]
    fn where_programs_read_a_number_on_both_sides_of_a_limit_it_can_not_be_told() {
        let over_100 = more_than("100");
        for (text, in_text, in_number, why) in [
            ("100.00000000000000000001", '?', '?', "100 as a double"),
            (
                "99.99999999999999999999",
                '-',
                '-',
                "100 as a double, which is not above 100",
            ),
            ("100.0000000001", '+', '+', "as exact as a double"),
            ("9999e-2", '?', '-', "9999 to `parseInt`"),
            ("1e3", '?', '+', "1 to `parseInt`"),
            ("999e3", '+', '+', "more to both"),
            ("9９9", '?', '?', "9 to `parseInt`"),
            ("９９９", '+', '?', "no number to `parseInt`"),
        ] {
            let said = |value: &Scalar<'_>| match over_100.evaluate(value) {
                TestResult::Holds => '+',
                TestResult::Fails => '-',
                TestResult::Unreadable => '?',
            };
            assert_eq!(said(&Scalar::text(text)), in_text, "{text:?}: {why}");
            assert_eq!(
                said(&Scalar::Number(text.into(), None)),
                in_number,
                "{text}: {why}"
            );
        }
        let at_least_100 = Comparison {
            low: Some((Decimal::parse("100").unwrap(), true)),
            high: None,
        };
        let nearly = Scalar::Number("99.99999999999999999999".into(), None);
        assert_eq!(at_least_100.evaluate(&nearly), TestResult::Unreadable);
        let tiny = Scalar::Number("1e-400".into(), None);
        assert_eq!(more_than("0").evaluate(&tiny), TestResult::Unreadable);
    }

    #[test]
    fn what_is_no_number_is_unreadable() {
        let over_100 = more_than("100");
        for text in ["1,000", "$5", "abc", "", "0x64", "NaN", "1 000"] {
            assert_eq!(
                over_100.evaluate(&Scalar::text(text)),
                TestResult::Unreadable,
                "{text:?}"
            );
        }
        assert_eq!(
            over_100.evaluate(&Scalar::Bool(true, None)),
            TestResult::Unreadable
        );
        assert_eq!(over_100.evaluate(&Scalar::Null), TestResult::Unreadable);
    }
}
