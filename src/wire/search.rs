//! Search for the first of a few bytes, sixteen at a time.

/// Returns the number of bytes before the first of these; all of them if there is none. None of these is 0.
#[inline(always)]
pub(crate) fn bytes_before<const N: usize>(bytes: &[u8], wanted: [u8; N]) -> usize {
    let (blocks, rest) = bytes.as_chunks::<16>();
    let mut before = 0usize;
    for block in blocks {
        match first_in(block, wanted) {
            16 => before = before.wrapping_add(16),
            at => return before.wrapping_add(at),
        }
    }
    let mut last = [0; 16];
    if let Some(last) = last.get_mut(..rest.len()) {
        last.copy_from_slice(rest);
    }
    before.wrapping_add(first_in(&last, wanted).min(rest.len()))
}

/// Returns where the first of these bytes is, or 16. Without a branch for each byte, so that all are compared together.
#[inline(always)]
fn first_in<const N: usize>(block: &[u8; 16], wanted: [u8; N]) -> usize {
    let mut found = [0u8; 16];
    for (is_found, byte) in found.iter_mut().zip(block) {
        *is_found = wanted
            .iter()
            .fold(0, |any, wanted| any | u8::from(byte == wanted));
    }
    let (words, _) = found.as_chunks::<8>();
    let [low, high] =
        [words.first(), words.last()].map(|word| word.map_or(0, |word| u64::from_le_bytes(*word)));
    let zeros = match (low, high) {
        (0, 0) => 128,
        (0, high) => high.trailing_zeros().wrapping_add(64),
        (low, _) => low.trailing_zeros(),
    };
    usize::try_from(zeros.wrapping_shr(3)).unwrap_or(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_found_beyond_the_end() {
        assert_eq!(bytes_before(b"", *b"\r\n"), 0);
        assert_eq!(bytes_before(b"data: {}", *b"\r\n"), 8);
        assert_eq!(bytes_before(b"data: {}\n", *b"\r\n"), 8);
    }

    proptest! {
        #[test]
        fn the_first_of_the_bytes_is_found(
            bytes in prop::collection::vec(prop_oneof![9 => Just(b'a'), 1 => any::<u8>()], 0..80),
        ) {
            let expected = bytes.iter().position(|byte| b"&%\\".contains(byte));
            prop_assert_eq!(bytes_before(&bytes, *b"&%\\"), expected.unwrap_or(bytes.len()));
        }
    }
}
