//! Comparison of bytes, eight at a time.
//!
//! The C library that a Wasm module is linked with compares byte by byte, with eight instructions for each. Names and paths
//! that are looked up mostly begin alike (`/choices/0/message/…`), so that this took a twelfth of an exchange's instructions.

use super::simd::{BLOCK, are_equal};
use std::cmp::Ordering;

/// Compares the first bytes of two texts of one length, as C's `memcmp` does. The last bytes are read together, too: some of
/// them a second time, which are equal then.
#[inline]
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    if let (Some(a_end), Some(b_end)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        // Most long texts that are compared are equal.
        let alike = if a.len() < BLOCK {
            0
        } else {
            equal_blocks(a, b)
        };
        let (a, b) = (
            a.get(alike..).unwrap_or_default(),
            b.get(alike..).unwrap_or_default(),
        );
        for (x, y) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
            let (x, y) = (u64::from_le_bytes(*x), u64::from_le_bytes(*y));
            if x != y {
                return order(x, y);
            }
        }
        return order(u64::from_le_bytes(*a_end), u64::from_le_bytes(*b_end));
    }
    if let (Some(x), Some(y)) = (ends(a), ends(b)) {
        return order(x, y);
    }
    for (x, y) in a.iter().zip(b) {
        if x != y {
            return x.cmp(y);
        }
    }
    Ordering::Equal
}

/// Bytes at the beginning of both that are equal, in blocks of 64.
fn equal_blocks(a: &[u8], b: &[u8]) -> usize {
    let [a, b] = [a, b].map(|text| text.as_chunks().0);
    let alike = a.iter().zip(b).take_while(|(a, b)| are_equal(a, b));
    alike.count().saturating_mul(BLOCK)
}

/// Compares eight bytes each, the first of which is the least, by the first that differs. WebAssembly has no instruction that
/// turns bytes round.
fn order(x: u64, y: u64) -> Ordering {
    if x == y {
        return Ordering::Equal;
    }
    let at = (x ^ y).trailing_zeros() & 0x38;
    let byte = |bytes: u64| bytes.wrapping_shr(at) & 0xFF;
    byte(x).cmp(&byte(y))
}

/// The first four bytes of a text and behind them its last four, of which some may be the same.
fn ends(text: &[u8]) -> Option<u64> {
    let [start, end] = [text.first_chunk::<4>()?, text.last_chunk::<4>()?]
        .map(|four| u64::from(u32::from_le_bytes(*four)));
    Some(start | end.wrapping_shl(32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_the_bytes(
            (a, b) in (0usize..200).prop_flat_map(|length| {
                let bytes = || proptest::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], length);
                (bytes(), bytes())
            })
        ) {
            prop_assert_eq!(compare(&a, &b), a.cmp(&b));
        }
    }

    #[test]
    fn every_place_of_a_difference_counts() {
        for length in 0..200 {
            for at in 0..length {
                let a = vec![7; length];
                let mut b = a.clone();
                b[at] = 200;
                assert_eq!(compare(&a, &b), Ordering::Less);
                assert_eq!(compare(&b, &a), Ordering::Greater);
            }
            assert_eq!(compare(&vec![7; length], &vec![7; length]), Ordering::Equal);
        }
    }
}
