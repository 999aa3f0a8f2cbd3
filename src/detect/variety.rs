//! Whether a string looks drawn at random, typed by a person, or put there as a placeholder.

use super::parts::Parts;

/// Shannon's entropy of the characters in tenths of a bit for each: `aaaa` 0, `abab` 10, hexadecimal noise up to 40.
pub(super) fn variety(bytes: &[u8]) -> u32 {
    let mut counts = [0u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.wrapping_add(1);
        }
    }
    let total = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if total == 0 {
        return 0;
    }
    let repeated = counts
        .iter()
        .filter(|count| **count > 1)
        .fold(0u64, |sum, count| {
            sum.saturating_add(u64::from(*count).saturating_mul(u64::from(log2(*count))))
        });
    let bits =
        u64::from(log2(total)).saturating_sub(repeated.checked_div(u64::from(total)).unwrap_or(0));
    u32::try_from(bits.saturating_mul(10) >> 8).unwrap_or(u32::MAX)
}

/// The binary logarithm in 256ths, rounded down; 0 of 0.
fn log2(number: u32) -> u32 {
    let Some(whole) = number.checked_ilog2() else {
        return 0;
    };
    // Squaring the fraction doubles its logarithm: each time it passes 2, the next binary digit is 1.
    let mut fraction = u64::from(number) << 32 >> whole;
    let mut digits = 0u32;
    for _ in 0..8 {
        fraction = u64::try_from(u128::from(fraction).wrapping_mul(u128::from(fraction)) >> 32)
            .unwrap_or(0);
        let above = fraction >> 33 != 0;
        digits = digits << 1 | u32::from(above);
        fraction >>= u32::from(above);
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
    let starts = |mark: &str| value.starts_with(mark.as_bytes());
    let dollar =
        value.first() == Some(&b'$') && value.get(1).is_some_and(|byte| !byte.is_ascii_digit());
    let contains = |mark: &str| {
        value
            .windows(mark.len())
            .any(|window| window == mark.as_bytes())
    };
    dollar
        || [
            "{{", "%(", "%{", "<%", "#{", "@{", "{%", "!Ref", "!Sub", "arn:",
        ]
        .iter()
        .any(|mark| starts(mark))
        || value.first() == Some(&b'<') && value.contains(&b'>')
        || value.first() == Some(&b'[') && value.last() == Some(&b']')
        || value.first() == Some(&b'{') && value.last() == Some(&b'}')
        || value.len() > 1 && value.first() == Some(&b'%') && value.len() < 3
        || value.len() > 2 && value.first() == Some(&b'%') && value.last() == Some(&b'%')
        || ["${", "{{", "$(", "}}"].iter().any(|mark| contains(mark)) && makeup(value).others < 8
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
    let random = value.len().saturating_sub(longest) >= 24 && variety(value) >= 35;
    longest >= 8 && !random || longest.saturating_mul(2) > value.len() && value.len() > 3
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
