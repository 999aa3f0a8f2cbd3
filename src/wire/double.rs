//! Shortest decimal spelling of a double that parses back to the same double.
//!
//! A policy that arrives as a Struct has a few doubles. The standard library formats doubles faster and with any
//! precision, but takes 30 KB of code and tables that nothing else in the filter needs.
//!
//! Source: Steele and White 1990, "How to Print Floating-Point Numbers Accurately".

use std::cmp::Ordering;

/// Formats a finite double without an exponent: `0.1`, `250`, `-0`.
pub fn shortest(double: f64) -> String {
    let bits = double.to_bits();
    let mut out = String::new();
    if double.is_sign_negative() {
        out.push('-');
    }
    let fraction = bits & 0x000F_FFFF_FFFF_FFFF;
    let exponent = i64::try_from((bits >> 52) & 0x7FF).unwrap_or(0);
    let (digits, point) = match (exponent, fraction) {
        (0, 0) => (vec![0], 1),
        (0, _) => digits(fraction, -1074, false),
        _ => {
            let exponent = exponent.saturating_sub(1075);
            digits(fraction | (1 << 52), exponent, fraction == 0)
        }
    };
    if point < 1 {
        out.push_str("0.");
    }
    for _ in point..0 {
        out.push('0');
    }
    for (digit, at) in digits.iter().zip(0..) {
        if at == point && at > 0 {
            out.push('.');
        }
        out.push(char::from(b'0'.saturating_add(*digit)));
    }
    for _ in i64::try_from(digits.len()).unwrap_or(point)..point {
        out.push('0');
    }
    out
}

/// Returns the digits of `mantissa` × 2^`exponent`, and the number of digits before the point. `narrow`: the next
/// smaller double is half as far away as the next greater one.
fn digits(mantissa: u64, exponent: i64, narrow: bool) -> (Vec<u8>, i64) {
    let is_even = mantissa & 1 == 0;
    // The number is rest / scale. The half distances to its neighbours are above / scale and below / scale.
    let spare = if narrow { 2 } else { 1 };
    let up = u32::try_from(exponent).unwrap_or(0);
    let down = u32::try_from(exponent.saturating_neg()).unwrap_or(0);
    let mut rest = Natural::shifted(mantissa, up.saturating_add(spare));
    let mut scale = Natural::shifted(1, down.saturating_add(spare));
    let mut above = Natural::shifted(1, up.saturating_add(spare).saturating_sub(1));
    let mut below = Natural::shifted(1, up);
    let reaches =
        |rest: &Natural, above: &Natural, scale: &Natural| match rest.plus(above).cmp(scale) {
            Ordering::Greater => true,
            Ordering::Equal => is_even,
            Ordering::Less => false,
        };
    let mut point = 0_i64;
    while reaches(&rest, &above, &scale) {
        scale.multiply(10);
        point = point.saturating_add(1);
    }
    let mut digits = Vec::new();
    loop {
        for number in [&mut rest, &mut above, &mut below] {
            number.multiply(10);
        }
        if digits.is_empty() && !reaches(&rest, &above, &scale) {
            point = point.saturating_sub(1);
            continue;
        }
        let mut digit = 0_u8;
        while rest.cmp(&scale) != Ordering::Less {
            rest.subtract(&scale);
            digit = digit.saturating_add(1);
        }
        let is_low = match rest.cmp(&below) {
            Ordering::Less => true,
            Ordering::Equal => is_even,
            Ordering::Greater => false,
        };
        let is_high = reaches(&rest, &above, &scale);
        if !is_low && !is_high {
            digits.push(digit);
            continue;
        }
        let half = rest.plus(&rest).cmp(&scale) != Ordering::Less;
        if is_high && (!is_low || half) {
            digit = digit.saturating_add(1);
        }
        digits.push(digit);
        return (digits, point);
    }
}

/// A natural number: 32 bits per item, least significant first, no zeros at the end.
struct Natural(Vec<u32>);

impl Natural {
    /// Returns a number × 2^`bits`.
    fn shifted(number: u64, bits: u32) -> Natural {
        let mut natural = Natural(vec![low(number), low(number >> 32)]);
        for _ in 0..bits.div_euclid(16) {
            natural.multiply(1 << 16);
        }
        natural.multiply(1 << bits.rem_euclid(16));
        natural
    }

    fn multiply(&mut self, factor: u32) {
        let mut carry = 0_u64;
        for item in &mut self.0 {
            let product = u64::from(*item)
                .wrapping_mul(u64::from(factor))
                .wrapping_add(carry);
            *item = low(product);
            carry = product >> 32;
        }
        self.0.push(low(carry));
        self.trim();
    }

    fn plus(&self, other: &Natural) -> Natural {
        let mut sum = Vec::with_capacity(self.0.len());
        let mut carry = 0_u64;
        for at in 0..=self.0.len().max(other.0.len()) {
            let both = self.item(at).wrapping_add(other.item(at));
            let total = both.wrapping_add(carry);
            sum.push(low(total));
            carry = total >> 32;
        }
        let mut sum = Natural(sum);
        sum.trim();
        sum
    }

    /// Subtracts a number that is not greater.
    fn subtract(&mut self, other: &Natural) {
        let mut borrow = 0_u64;
        for (at, item) in self.0.iter_mut().enumerate() {
            let taken = other.item(at).wrapping_add(borrow);
            let difference = u64::from(*item).wrapping_sub(taken);
            *item = low(difference);
            borrow = difference >> 63;
        }
        self.trim();
    }

    fn cmp(&self, other: &Natural) -> Ordering {
        let lengths = self.0.len().cmp(&other.0.len());
        lengths.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    fn item(&self, at: usize) -> u64 {
        self.0.get(at).copied().map_or(0, u64::from)
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

fn low(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn writes_what_the_standard_library_writes(bits in any::<u64>()) {
            let double = f64::from_bits(bits);
            prop_assume!(double.is_finite());
            prop_assert_eq!(shortest(double), double.to_string());
        }

        #[test]
        fn writes_what_people_write(number in -1_000_000_000_i64..1_000_000_000, places in 0_i32..9) {
            let text = format!("{number}e-{places}");
            let double: f64 = text.parse().unwrap();
            prop_assert_eq!(shortest(double), double.to_string());
        }
    }

    #[test]
    fn writes_the_ends_of_the_range_and_where_neighbours_lie_unevenly() {
        for double in [
            0.0,
            -0.0,
            1.0,
            0.1,
            -2.5,
            1e21,
            1e23,
            9_007_199_254_740_993.0,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::from_bits(1),
            2.0_f64.powi(-1022),
            2.0_f64.powi(60),
            2.0_f64.powi(-60),
            5e-324,
        ] {
            assert_eq!(shortest(double), double.to_string());
        }
    }
}
