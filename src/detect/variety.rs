//! Whether a string looks drawn at random, typed by a person, or put there as a placeholder.

use super::parts::Parts;

/// Shannon's entropy of the characters in tenths of a bit for each: `aaaa` 0, `abab` 10, hexadecimal noise up to 40.
pub(super) fn variety(bytes: &[u8]) -> u32 {
    let bytes = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
    let Some(total) = u16::try_from(bytes.len()).ok().filter(|total| *total > 0) else {
        return 0;
    };
    let mut counts = [0u16; 256];
    // The sum of each count times its logarithm, kept up with every character.
    let mut repeated = 0u32;
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            let before = product(*count);
            *count = count.wrapping_add(1);
            repeated = repeated.wrapping_add(product(*count)).wrapping_sub(before);
        }
    }
    let bits = logarithm(total).saturating_sub(repeated.checked_div(u32::from(total)).unwrap_or(0));
    bits.saturating_mul(10) >> 8
}

/// A count times its logarithm.
#[inline]
fn product(count: u16) -> u32 {
    u32::from(count).wrapping_mul(logarithm(count))
}

/// The binary logarithm in 256ths, rounded down; 0 of 0.
#[inline]
fn logarithm(count: u16) -> u32 {
    match LOGARITHMS.get(usize::from(count)) {
        Some(known) => u32::from(*known),
        None => log2(u32::from(count)),
    }
}

/// Of the counts that come up.
static LOGARITHMS: [u16; 256] = logarithms();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn logarithms() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut count = 0;
    while count < 256 {
        table[count] = log2(count as u32) as u16;
        count += 1;
    }
    table
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a fraction below 4 has 34 binary digits"
)]
const fn log2(number: u32) -> u32 {
    let Some(whole) = number.checked_ilog2() else {
        return 0;
    };
    // Squaring the fraction doubles its logarithm: each time it passes 2, the next binary digit is 1.
    let mut fraction = (number as u64) << 32 >> whole;
    let mut digits = 0u32;
    let mut digit = 0u8;
    while digit < 8 {
        fraction = ((fraction as u128).wrapping_mul(fraction as u128) >> 32) as u64;
        let above = fraction >> 33;
        digits = digits << 1 | above as u32;
        fraction >>= above;
        digit = digit.wrapping_add(1);
    }
    whole << 8 | digits
}

/// What is in a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Makeup {
    pub(super) digits: usize,
    pub(super) capitals: usize,
    pub(super) smalls: usize,
    pub(super) others: usize,
}

/// Counts kinds of characters.
pub(super) fn makeup(bytes: &[u8]) -> Makeup {
    let mut makeup = Makeup::default();
    for byte in bytes {
        let kind = match byte {
            b'0'..=b'9' => &mut makeup.digits,
            b'A'..=b'Z' => &mut makeup.capitals,
            b'a'..=b'z' => &mut makeup.smalls,
            _ => &mut makeup.others,
        };
        *kind = kind.wrapping_add(1);
    }
    makeup
}

/// Words that people write where a secret would stand.
static PLACEHOLDERS: Parts = Parts::new(&[
    "example",
    "changeme",
    "change_me",
    "change-me",
    "placeholder",
    "your_",
    "your-",
    "yourkey",
    "yourtoken",
    "yourpass",
    "yoursecret",
    "insert_",
    "insert-",
    "redacted",
    "replace",
    "****",
    "....",
    "<your",
    "put_your",
    "put-your",
    "add_your",
    "my_secret",
    "my-secret",
    "secret_here",
    "key_here",
    "key-here",
    "token_here",
    "token-here",
    "goes_here",
    "goes-here",
    "sample",
    "undefined",
    "not_set",
    "notset",
    "abcdefgh",
    "0000000000",
    "12345678901",
    "test_key",
    "foobar",
    "lorem",
]);

/// The same, so short that they come up in long random strings.
static SHORT_PLACEHOLDERS: Parts = Parts::new(&["xxxx", "dummy", "fake", "todo"]);

/// Whether a value stands for one: `changeme`, `${VAR}`, `<your-key>`, `xxxx`.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let random = || value.len() >= 20 && variety(value) >= 38;
    is_reference(value)
        || is_repetitive(value)
        || PLACEHOLDERS.stand_in(value)
        || SHORT_PLACEHOLDERS.stand_in(value) && !random()
}

/// Whether a value names another: `${VAR}`, `$VAR`, `{{ x }}`, `%s`, `<name>`, `%VAR%`.
pub(super) fn is_reference(value: &[u8]) -> bool {
    let (Some(first), Some(last)) = (value.first(), value.last()) else {
        return false;
    };
    let starts = |marks: &[&str]| marks.iter().any(|mark| value.starts_with(mark.as_bytes()));
    let by_beginning = match first {
        b'$' => value.get(1).is_some_and(|byte| !byte.is_ascii_digit()),
        b'{' => *last == b'}' || starts(&["{{", "{%"]),
        b'%' => value.len() == 2 || value.len() > 2 && *last == b'%' || starts(&["%(", "%{"]),
        b'<' => value.contains(&b'>') || starts(&["<%"]),
        b'[' => *last == b']',
        b'#' | b'@' => value.get(1) == Some(&b'{'),
        b'!' => starts(&["!Ref", "!Sub"]),
        b'a' => starts(&["arn:"]),
        _ => false,
    };
    let within = || {
        value
            .windows(2)
            .any(|two| matches!(two, [b'$', b'{' | b'('] | [b'{', b'{'] | [b'}', b'}']))
    };
    by_beginning || within() && makeup(value).others < 8
}

/// Whether one character makes up most of a value.
pub(super) fn is_repetitive(value: &[u8]) -> bool {
    let mut run = 0usize;
    let mut longest = 0usize;
    let mut last = 0u8;
    for byte in value {
        run = if *byte == last {
            run.wrapping_add(1)
        } else {
            1
        };
        longest = longest.max(run);
        last = *byte;
    }
    // Some tokens begin with a run of zero bytes, which Base64 writes as A.
    let random = || value.len().saturating_sub(longest) >= 24 && variety(value) >= 35;
    longest >= 8 && !random() || longest.saturating_mul(2) > value.len() && value.len() > 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variety_is_shannons_entropy() {
        assert_eq!(variety(b""), 0);
        assert_eq!(variety(b"aaaa"), 0);
        assert_eq!(variety(b"abab"), 10);
        assert_eq!(variety(b"abcdefgh"), 30);
        assert_eq!(variety(b"0123456789abcdef0123456789abcdef"), 40);
        // 1.84644 bits.
        assert_eq!(variety(b"hello world"), 28);
        assert_eq!(variety(b"aab"), 9);
    }

    #[test]
    fn logarithms_are_exact_to_a_256th() {
        for number in 1u32..5_000 {
            let exact = f64::from(number).log2() * 256.0;
            assert!((f64::from(log2(number)) - exact).abs() <= 1.01, "{number}");
        }
    }

    #[test]
    fn placeholders_and_references_are_no_secrets() {
        for value in [
            "changeme",
            "${VAR}",
            "$TOKEN",
            "xxxxxxxxxxxx",
            "<your-key>",
            "{{ .Values.x }}",
            "%s",
            "INSERT_KEY_HERE",
            "AKIAIOSFODNN7EXAMPLE",
        ] {
            assert!(is_placeholder(value.as_bytes()), "{value}");
        }
        for value in [
            "Zf3D0LXCM3EIMbgJpUNn",
            "rI7S-xx3m",
            "m{{h}o)p${e]nob(ody[finds>-_$#thisone}}",
            "$2y$10abc",
        ] {
            assert!(!is_placeholder(value.as_bytes()), "{value}");
        }
    }
}
