//! `greater_than`, `at_least`, `less_than`, `at_most`, `between`: exact decimals.

use super::TestResult;
use crate::policy::scalar::Scalar;
use crate::wire::json::Decimal;

/// A range of numbers; each end with whether it belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) low: Option<(Decimal, bool)>,
    pub(crate) high: Option<(Decimal, bool)>,
}

impl Comparison {
    /// JSON numbers, and strings that are a number after trimming and width folding (`"１０１"`). Everything else
    /// (`"1,000"`, `"$5"`, `true`) can't be compared.
    pub(crate) fn evaluate(&self, value: &Scalar<'_>) -> TestResult {
        match number(value) {
            Some(number) => self.holds(&number).into(),
            None => TestResult::Unreadable,
        }
    }

    /// The same for a count.
    pub(crate) fn evaluate_count(&self, count: u64) -> TestResult {
        match Decimal::parse(&count.to_string()) {
            Some(number) => self.holds(&number).into(),
            None => TestResult::Unreadable,
        }
    }

    fn holds(&self, number: &Decimal) -> bool {
        let above = self
            .low
            .as_ref()
            .is_none_or(|(low, included)| number > low || (*included && number == low));
        let below = self
            .high
            .as_ref()
            .is_none_or(|(high, included)| number < high || (*included && number == high));
        above && below
    }
}

/// The number that a value is, or that it holds as a text.
pub(crate) fn number(value: &Scalar<'_>) -> Option<Decimal> {
    match value {
        Scalar::Number(text, _) => Decimal::parse(text),
        Scalar::Text(text) => Decimal::parse(&width_folded(text.text().trim())),
        _ => None,
    }
}

/// Full-width forms (U+FF01 to U+FF5E) as ASCII.
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
        for number in [
            "100.01",
            "1e3",
            "100.00000000000000000001",
            "12345678901234567890",
        ] {
            assert_eq!(
                over_100.evaluate(&Scalar::Number(number.into(), None)),
                TestResult::Holds,
                "{number}"
            );
            assert_eq!(
                over_100.evaluate(&Scalar::text(number)),
                TestResult::Holds,
                "{number:?}"
            );
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
