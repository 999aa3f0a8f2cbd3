//! Numbers as exact decimals. As doubles, 0.1 + 0.2 and 0.3 differ, and 9007199254740993 becomes even.

use std::borrow::Cow;
use std::cmp::Ordering;

/// A finite decimal number: sign, digits without leading or trailing zeros, and the power of ten of the first digit.
/// Borrowed from its text; any length, no rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Significant digits, most significant first. Empty for zero.
    digits: Vec<u8>,
    /// Value = 0.d₁d₂d₃… × 10^exponent.
    exponent: i64,
}

impl Decimal {
    /// Parses a number in JSON's grammar. Returns `None` for anything else, and for exponents beyond 18 digits, which
    /// every two parsers read differently.
    pub fn parse(text: &str) -> Option<Decimal> {
        let bytes = text.as_bytes();
        let (negative, rest) = match bytes.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, bytes),
        };
        let mantissa_end = rest
            .iter()
            .position(|b| matches!(b, b'e' | b'E'))
            .unwrap_or(rest.len());
        let (mantissa, tail) = rest.split_at_checked(mantissa_end)?;
        let exponent = match tail.split_first() {
            None => 0,
            Some((_, digits)) => exponent(digits)?,
        };
        let (whole, fraction) = match mantissa.iter().position(|&b| b == b'.') {
            Some(dot) => {
                let (whole, from_dot) = mantissa.split_at_checked(dot)?;
                let fraction = from_dot.get(1..)?;
                if fraction.is_empty() {
                    return None;
                }
                (whole, fraction)
            }
            None => (mantissa, &[][..]),
        };
        let leading_zero = whole.first() == Some(&b'0') && whole.len() > 1;
        if whole.is_empty() || leading_zero {
            return None;
        }
        let all = whole.iter().chain(fraction);
        if !all.clone().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = all.clone().take_while(|&&b| b == b'0').count();
        let mut digits: Vec<u8> = all.skip(zeros).copied().collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Decimal {
                negative: false,
                digits,
                exponent: 0,
            });
        }
        let point = i64::try_from(whole.len())
            .ok()?
            .checked_sub(i64::try_from(zeros).ok()?)?;
        Some(Decimal {
            negative,
            digits,
            exponent: point.checked_add(exponent)?,
        })
    }

    /// Returns the number as `u64`, if it is whole and fits.
    pub fn whole(&self) -> Option<u64> {
        let length = usize::try_from(self.exponent).unwrap_or(0);
        // A `u64` has at most 20 digits.
        if self.negative || self.digits.len() > length || length > 20 {
            return None;
        }
        let zeros = std::iter::repeat_n(&b'0', length.saturating_sub(self.digits.len()));
        let digits = self.digits.iter().chain(zeros);
        let mut digits = digits.map(|digit| u64::from(digit.wrapping_sub(b'0')));
        // 19 digits always fit. A checked product is one of 128 bits in WebAssembly, some 60 instructions a digit.
        let sum = digits
            .by_ref()
            .take(19)
            .fold(0u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(digit));
        match digits.next() {
            None => Some(sum),
            Some(last) => sum.checked_mul(10)?.checked_add(last),
        }
    }

    /// Returns the number in units of 10^-places, rounded down, and whether that is exact: `1.234` with 2 places is
    /// 123. `None` if it is negative or does not fit.
    pub fn scaled(&self, places: u32) -> Option<(u64, bool)> {
        if self.is_zero() {
            return Some((0, true));
        }
        let length = self.exponent.checked_add(i64::from(places))?;
        if self.negative || length > 20 {
            return None;
        }
        let length = usize::try_from(length).unwrap_or(0);
        let (whole, rest) = match self.digits.split_at_checked(length) {
            Some(split) => split,
            None => (&*self.digits, &[][..]),
        };
        let scaled = Decimal {
            negative: false,
            digits: whole.to_vec(),
            exponent: i64::try_from(length).ok()?,
        };
        Some((scaled.whole()?, rest.is_empty()))
    }

    /// Returns the number with the digits that a double keeps of it, 15, and zero for one that is too small for a double.
    pub fn rounded(&self) -> Cow<'_, Decimal> {
        const DIGITS: usize = 15;
        const SMALLEST: i64 = -307;
        if self.digits.len() <= DIGITS && self.exponent >= SMALLEST {
            return Cow::Borrowed(self);
        }
        let mut rounded = self.clone();
        if self.exponent < SMALLEST {
            rounded.digits.clear();
        }
        let is_up = rounded.digits.get(DIGITS).is_some_and(|next| *next >= b'5');
        rounded.digits.truncate(DIGITS);
        if is_up {
            while rounded.digits.pop_if(|digit| *digit == b'9').is_some() {}
            match rounded.digits.last_mut() {
                Some(last) => *last = last.saturating_add(1),
                None => {
                    rounded.digits.push(b'1');
                    rounded.exponent = rounded.exponent.saturating_add(1);
                }
            }
        }
        while rounded.digits.pop_if(|digit| *digit == b'0').is_some() {}
        if rounded.digits.is_empty() {
            rounded.negative = false;
            rounded.exponent = 0;
        }
        Cow::Owned(rounded)
    }

    /// Returns whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Returns whether the number is zero in any spelling.
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    fn compare_magnitude(&self, other: &Decimal) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self
                .exponent
                .cmp(&other.exponent)
                // Without leading zeros, the order of the digit strings is the order of the fractions.
                .then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

fn exponent(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, digits),
    };
    let significant = digits
        .iter()
        .position(|&b| b != b'0')
        .unwrap_or(digits.len());
    if digits.is_empty() || digits.len().saturating_sub(significant) > 18 {
        return None;
    }
    let value = digits.iter().try_fold(0i64, |value, &digit| {
        let digit = char::from(digit).to_digit(10)?;
        value.checked_mul(10)?.checked_add(i64::from(digit))
    })?;
    Some(if negative {
        value.saturating_neg()
    } else {
        value
    })
}

impl std::fmt::Display for Decimal {
    /// Writes the exact value in one canonical spelling: plain digits for short numbers, `d.ddde±x` for others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits: String = self.digits.iter().copied().map(char::from).collect();
        if self.negative {
            f.write_str("-")?;
        }
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        match self.exponent {
            _ if digits.is_empty() => f.write_str("0"),
            point @ 1..=21 if point >= count => {
                let zeros = usize::try_from(point.saturating_sub(count)).unwrap_or(0);
                write!(f, "{digits}{}", "0".repeat(zeros))
            }
            point @ 1..=21 => {
                let (whole, fraction) = usize::try_from(point)
                    .ok()
                    .and_then(|at| digits.split_at_checked(at))
                    .unwrap_or((&digits, ""));
                write!(f, "{whole}.{fraction}")
            }
            point @ -5..=0 => {
                let zeros = usize::try_from(point.saturating_neg()).unwrap_or(0);
                write!(f, "0.{}{digits}", "0".repeat(zeros))
            }
            point => {
                let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
                let dot = if rest.is_empty() { "" } else { "." };
                write!(f, "{first}{dot}{rest}e{:+}", point.saturating_sub(1))
            }
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.compare_magnitude(other),
            (true, true) => other.compare_magnitude(self),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn the_same_value_written_differently_is_equal() {
        for (a, b) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("100", "1E+02"),
            ("0.001", "1e-3"),
            ("0", "-0.0e9"),
            ("12.50", "125e-1"),
            ("123456789012345678901", "1.23456789012345678901e20"),
        ] {
            assert_eq!(decimal(a), decimal(b), "{a} = {b}");
        }
    }

    #[test]
    fn a_number_is_rounded_to_what_a_double_keeps() {
        for (number, rounded) in [
            ("0", "0"),
            ("100.5", "100.5"),
            ("123456789012345", "123456789012345"),
            ("1234567890123454", "1234567890123450"),
            ("1234567890123455", "1234567890123460"),
            ("-99.99999999999999999", "-100"),
            ("9999999999999999", "1e16"),
            ("100.00000000000000001", "100"),
            ("1e400", "1e400"),
            ("1e-400", "0"),
        ] {
            assert_eq!(*decimal(number).rounded(), decimal(rounded), "{number}");
        }
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for (text, whole) in [
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("3.0", Some(3)),
            ("30e-1", Some(3)),
            ("1.2E3", Some(1_200)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("1e999", None),
            ("-1", None),
            ("0.5", None),
        ] {
            assert_eq!(decimal(text).whole(), whole, "{text}");
        }
    }

    #[test]
    fn order_is_exact_where_a_double_rounds() {
        for (less, more) in [
            ("9007199254740992", "9007199254740993"),
            ("0.1", "0.10000000000000000001"),
            ("99.999999999999999999", "100"),
            ("-2", "-1.5"),
            ("-1", "0"),
            ("0", "1e-400"),
            ("1e308", "1e400"),
            ("9", "10"),
            ("0.9", "1"),
        ] {
            assert!(decimal(less) < decimal(more), "{less} < {more}");
        }
    }

    #[test]
    fn the_written_form_reads_back_as_the_same_value() {
        for text in [
            "0",
            "-1.5",
            "100",
            "1e21",
            "1e-7",
            "0.000001",
            "12345678901234567890.5",
            "-3e400",
            "123e3",
        ] {
            let value = decimal(text);
            assert_eq!(decimal(&value.to_string()), value, "{text} → {value}");
        }
    }

    #[test]
    fn what_is_not_a_json_number_is_rejected() {
        for text in [
            "",
            "-",
            "+1",
            ".5",
            "1.",
            "01",
            "1e",
            "0x10",
            "1_000",
            "NaN",
            "Infinity",
            "1,000",
            " 1",
            "1e9999999999999999999",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
    }
}
