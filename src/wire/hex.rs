//! Bytes as lower-case hexadecimal digits: `[0x2a, 0xff]` ↔ `2aff`.

/// Returns bytes as lower-case hexadecimal digits.
pub fn encode(bytes: &[u8]) -> String {
    let digit = |half: u8| match half {
        0..=9 => half | b'0',
        _ => half.wrapping_add(b'a' - 10),
    };
    let mut digits = vec![0; bytes.len().saturating_mul(2)];
    for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    // They are ASCII.
    String::from_utf8(digits).unwrap_or_default()
}

/// Reads the bytes that lower-case hexadecimal digits stand for; `None` if there are not exactly that many.
pub fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let mut bytes = [0; N];
    if !rest.is_empty() || pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_are_lower_case() {
        assert_eq!(encode(&[0x2a, 0xff, 0x00]), "2aff00");
        assert_eq!(decode(b"2aff00"), Some([0x2a, 0xff, 0x00]));
        assert_eq!(decode::<1>(b"2A"), None);
    }

    #[test]
    fn other_lengths_are_no_such_bytes() {
        assert_eq!(decode::<2>(b"2af"), None);
        assert_eq!(decode::<2>(b"2a"), None);
        assert_eq!(decode::<2>(b"2affff"), None);
        assert_eq!(decode::<0>(b""), Some([]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes: [u8; 7]) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes()), Some(bytes));
        }
    }
}
