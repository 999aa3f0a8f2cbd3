//! Numbers as decimal digits: 7 ↔ `7`, with two digits at least `07`. Without the formatting of the standard library, which is
//! several hundred instructions for each number, and each exchange writes some thirty.

/// Maximum digits of a number: 18446744073709551615.
const MAX_DIGITS: usize = 20;

/// Appends a number with a minimum number of digits, up to twenty.
pub fn write(out: &mut Vec<u8>, number: u64, least: usize) {
    let mut digits = [b'0'; MAX_DIGITS];
    let (mut rest, mut written) = (number, 0usize);
    for digit in digits.iter_mut().rev() {
        if rest == 0 && written >= least.max(1) {
            break;
        }
        *digit |= u8::try_from(rest.rem_euclid(10)).unwrap_or(0);
        rest = rest.div_euclid(10);
        written = written.wrapping_add(1);
    }
    let from = MAX_DIGITS.saturating_sub(written);
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(number: u64, least: usize) -> String {
        let mut out = Vec::new();
        write(&mut out, number, least);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_number_has_at_least_so_many_digits() {
        assert_eq!(written(0, 0), "0");
        assert_eq!(written(0, 1), "0");
        assert_eq!(written(7, 2), "07");
        assert_eq!(written(1234, 2), "1234");
        assert_eq!(written(u64::MAX, 3), "18446744073709551615");
        assert_eq!(written(1, 99), "00000000000000000001");
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_the_standard_library_does(number: u64, shift in 0..64u32, least in 0..=20usize) {
            let number = number >> shift;
            prop_assert_eq!(written(number, least), format!("{number:0least$}"));
        }
    }
}
