//! Randomness of a string: generated at random, typed by a person, or written as a placeholder.

use super::substring_set::SubstringSet;

/// Returns Shannon's entropy of the characters in tenths of a bit for each: `aaaa` 0, `abab` 10, hexadecimal noise up
/// to 40.
pub(super) fn shannon_entropy_tenths(bytes: &[u8]) -> u32 {
    let bytes = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
    let Some(total) = u16::try_from(bytes.len()).ok().filter(|total| *total > 0) else {
        return 0;
    };
    shannon(u32::from(total), count(&mut [0; 256], bytes))
}

/// Histogram of a value, kept for the next one. A value that begins inside the last one, and ends with it or little
/// later, costs only the difference: beginnings of tokens over and over inside one long token.
#[derive(Clone, Debug)]
pub(super) struct SlidingHistogram {
    start: usize,
    end: usize,
    counts: [u16; 256],
    repeated: u32,
    words: LastWords,
    /// Longest run of one character, the last of several: start of the search, start of the run, its length.
    run: Option<(usize, usize, usize)>,
    /// Upper bound of the length of a run.
    longest: Option<usize>,
}

/// Last words of placeholders in a value, and the position from which they were searched.
#[derive(Clone, Copy, Debug, Default)]
struct LastWords {
    from: Option<usize>,
    common: Option<usize>,
    /// Position of the last short one after the last common one.
    short: Option<usize>,
}

impl SlidingHistogram {
    /// Returns the histogram of an empty value.
    pub(super) fn new() -> Self {
        Self {
            start: 0,
            end: 0,
            counts: [0; 256],
            repeated: 0,
            words: LastWords::default(),
            run: None,
            longest: None,
        }
    }

    /// Restarts with a value that ends at `end` and is shorter than 2¹⁶ bytes.
    pub(super) fn begin(&mut self, value: &[u8], end: usize) {
        self.counts.fill(0);
        self.repeated = 0;
        self.words = LastWords::default();
        self.start = end.wrapping_sub(value.len());
        self.end = self.start;
        self.with(value);
    }

    /// Appends bytes to the value.
    pub(super) fn with(&mut self, bytes: &[u8]) {
        self.repeated = self.repeated.wrapping_add(count(&mut self.counts, bytes));
        self.end = self.end.wrapping_add(bytes.len());
        (self.words.from, self.run, self.longest) = (None, None, None);
    }

    /// Returns the range of the value, whose start may be cut.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.start..self.end
    }

    /// Removes the first bytes of the value.
    #[inline(always)]
    pub(super) fn without(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(count) = self.counts.get_mut(usize::from(*byte)) {
                *count = count.wrapping_sub(1);
                self.repeated = self.repeated.wrapping_sub(step(*count));
            }
        }
        self.start = self.start.wrapping_add(bytes.len());
    }

    /// Returns the entropy as [`shannon_entropy_tenths`] does.
    pub(super) fn variety(&self) -> u32 {
        let total = u32::try_from(self.end.wrapping_sub(self.start)).unwrap_or(0);
        shannon(total, self.repeated)
    }

    /// Returns the number of digits.
    pub(super) fn digits(&self) -> usize {
        let digits = self.counts.get(usize::from(b'0')..=usize::from(b'9'));
        digits
            .unwrap_or_default()
            .iter()
            .map(|count| usize::from(*count))
            .sum()
    }

    /// Returns whether the value is a placeholder, as [`is_placeholder`] does.
    pub(super) fn is_placeholder(&mut self, value: &[u8]) -> bool {
        // A reference inside a value contains one of these.
        let marks = [b'$', b'{', b'}'];
        let marked = marks
            .iter()
            .any(|mark| self.counts.get(usize::from(*mark)) > Some(&0));
        (if marked {
            is_reference(value)
        } else {
            is_reference_by_ends(value)
        }) || self.has_word(value)
            || self.is_repetitive(value)
    }

    /// Returns whether the value contains a word of placeholders, as [`has_word`] does.
    pub(super) fn has_word(&mut self, value: &[u8]) -> bool {
        let start = self.start;
        let is_here = |place: Option<usize>| place.is_some_and(|place| start <= place);
        // A word that was found after the start is still there, whatever was appended since.
        if !is_here(self.words.common) && self.words.from.is_none_or(|from| start < from) {
            let (common, short) = last_words(value);
            let place = |place: usize| start.wrapping_add(place);
            self.words = LastWords {
                from: Some(start),
                common: common.map(place),
                short: short.map(place),
            };
        }
        is_here(self.words.common)
            || is_here(self.words.short) && (value.len() < 20 || self.variety() < 38)
    }

    fn is_repetitive(&mut self, value: &[u8]) -> bool {
        let longest = *self.longest.get_or_insert_with(|| longest_at_most(value));
        if is_mixed(value, longest) {
            return false;
        }
        let start = self.start;
        let longest = match self.run {
            Some((from, run, len)) if (from..=run).contains(&start) => len,
            _ => {
                let (run, len) = longest_run(value);
                self.run = Some((start, start.wrapping_add(run), len));
                len
            }
        };
        let random = || value.len().saturating_sub(longest) >= 24 && self.variety() >= 35;
        is_mostly(value, longest, random)
    }
}

/// Returns Shannon's entropy in tenths of a bit from the number of characters and the sum of each count times its
/// logarithm.
fn shannon(total: u32, repeated: u32) -> u32 {
    let bits = u16::try_from(total)
        .map_or(0, logarithm)
        .saturating_sub(repeated.checked_div(total).unwrap_or(0));
    bits.saturating_mul(10) >> 8
}

/// Counts characters. Returns the growth of the sum of each count times its logarithm.
#[inline(always)]
fn count(counts: &mut [u16; 256], bytes: &[u8]) -> u32 {
    let mut grown = 0u32;
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            grown = grown.wrapping_add(step(*count));
            *count = count.wrapping_add(1);
        }
    }
    grown
}

/// Returns the growth of a count times its logarithm with the next character.
#[inline]
fn step(count: u16) -> u32 {
    match STEPS.get(usize::from(count)) {
        Some(known) => u32::from(*known),
        None => growth(u32::from(count)),
    }
}

/// Results of [`step`] for the usual counts.
static STEPS: [u16; 256] = steps();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn steps() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut count = 0;
    while count < 256 {
        table[count] = growth(count as u32) as u16;
        count += 1;
    }
    table
}

const fn growth(count: u32) -> u32 {
    let next = count.wrapping_add(1);
    let product = next.wrapping_mul(log2(next));
    product.wrapping_sub(count.wrapping_mul(log2(count)))
}

/// Returns the binary logarithm in 256ths, rounded down; 0 for 0.
#[inline]
fn logarithm(count: u16) -> u32 {
    match LOGARITHMS.get(usize::from(count)) {
        Some(known) => u32::from(*known),
        None => log2(u32::from(count)),
    }
}

/// Results of [`logarithm`] for the usual counts.
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

const fn log2(number: u32) -> u32 {
    let Some(whole) = number.checked_ilog2() else {
        return 0;
    };
    // Squaring the fraction doubles its logarithm: each time it passes 2, the next binary digit is 1. The fraction
    // has 31 digits after the point, so that its square fits.
    let mut fraction = (number as u64) << 31 >> whole;
    let mut digits = 0u32;
    let mut digit = 0u8;
    while digit < 8 {
        fraction = fraction.wrapping_mul(fraction) >> 31;
        let above = fraction >> 32;
        digits = digits << 1 | above as u32;
        fraction >>= above;
        digit = digit.wrapping_add(1);
    }
    whole << 8 | digits
}

/// Character classes of a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CharClasses {
    pub(super) digits: usize,
    pub(super) capitals: usize,
    pub(super) smalls: usize,
    pub(super) others: usize,
    /// The [`marks`] of the string, and possibly more of them.
    marks: u16,
    /// Upper bound of the number of characters that equal the one before.
    pairs: usize,
}

/// Bits of the characters that are noted in a string. The lower bits are the position at which a class is counted.
pub(super) mod marks {
    pub(in crate::detect) const COLON: u16 = 1 << 6;
    /// `(`
    pub(in crate::detect) const BRACKET: u16 = 1 << 7;
    /// `$`, `{`, `}`
    pub(in crate::detect) const REFERENCE: u16 = 1 << 8;
    /// `>`
    pub(in crate::detect) const ANGLE: u16 = 1 << 9;
    pub(in crate::detect) const DOT: u16 = 1 << 10;
    pub(in crate::detect) const SLASH: u16 = 1 << 11;
    pub(in crate::detect) const EQUALS: u16 = 1 << 12;
    /// `"`, `'`, `\`
    pub(in crate::detect) const QUOTE: u16 = 1 << 13;
    /// Characters that no key or token contains: all but letters, digits and `_.=+/-~:%@`.
    pub(in crate::detect) const STRANGE: u16 = 1 << 14;
    /// Strange characters other than `!#*,?^`, with which a password that people typed often ends.
    pub(in crate::detect) const CODE: u16 = 1 << 15;
    pub(super) const ALL: u16 = !0x3F;

    /// Returns the bits of a character.
    pub(super) const fn of(byte: u8) -> u16 {
        match byte {
            b':' => COLON,
            b'(' => BRACKET | STRANGE | CODE,
            b'$' | b'{' | b'}' => REFERENCE | STRANGE | CODE,
            b'>' => ANGLE | STRANGE | CODE,
            b'.' => DOT,
            b'/' => SLASH,
            b'=' => EQUALS,
            b'"' | b'\'' | b'\\' => QUOTE | STRANGE | CODE,
            b'!' | b'#' | b'*' | b',' | b'?' | b'^' => STRANGE,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'+' | b'-' | b'~' | b'%' | b'@' => 0,
            _ => STRANGE | CODE,
        }
    }
}

impl CharClasses {
    /// Adds the counts of four classes; the lowest is that of digits.
    fn add(&mut self, counts: u64) {
        let count = |kind: u32| usize::try_from(counts >> kind & 0xFFFF).unwrap_or(0);
        self.digits = self.digits.wrapping_add(count(0));
        self.capitals = self.capitals.wrapping_add(count(16));
        self.smalls = self.smalls.wrapping_add(count(32));
        self.others = self.others.wrapping_add(count(48));
    }

    /// Returns whether one of these [`marks`] may be in the string.
    #[inline]
    pub(super) fn may_have(self, marks: u16) -> bool {
        self.marks & marks != 0
    }

    /// Returns whether a character may equal the one before.
    #[inline]
    pub(super) fn may_repeat(self) -> bool {
        self.pairs > 0
    }

    /// Returns whether the string is a reference, as [`is_reference`] does.
    pub(super) fn is_reference(self, value: &[u8]) -> bool {
        let within = || {
            value
                .windows(2)
                .any(|two| matches!(two, [b'$', b'{' | b'('] | [b'{', b'{'] | [b'}', b'}']))
        };
        is_reference_by_ends(value)
            || self.may_have(marks::REFERENCE) && self.others < 8 && within()
    }

    /// Returns whether the string is repetitive, as [`is_repetitive`] does.
    pub(super) fn is_repetitive(self, value: &[u8]) -> bool {
        if is_mixed(value, self.pairs.saturating_add(1)) {
            return false;
        }
        let (_, longest) = longest_run(value);
        // Some tokens begin with a run of zero bytes, which Base64 writes as A.
        is_mostly(value, longest, || {
            value.len().saturating_sub(longest) >= 24 && shannon_entropy_tenths(value) >= 35
        })
    }

    /// Returns the number of character classes in the string.
    pub(super) fn classes(self) -> usize {
        [self.digits, self.capitals, self.smalls, self.others]
            .iter()
            .filter(|count| **count > 0)
            .count()
    }

    /// Returns the classes of the string without a part.
    pub(super) fn without(self, part: Self) -> Self {
        Self {
            digits: self.digits.wrapping_sub(part.digits),
            capitals: self.capitals.wrapping_sub(part.capitals),
            smalls: self.smalls.wrapping_sub(part.smalls),
            others: self.others.wrapping_sub(part.others),
            marks: self.marks,
            pairs: self.pairs.wrapping_sub(part.pairs),
        }
    }
}

/// Counts the character classes of a string, and notes its [`marks`].
pub(super) fn makeup(bytes: &[u8]) -> CharClasses {
    let mut makeup = CharClasses::default();
    let mut last = bytes.first().map_or(0, |first| !first);
    let (mut marks, mut pairs) = (0u16, 0usize);
    // Four counters in one word, emptied before one overflows.
    let mut counts = 0u64;
    for byte in bytes {
        let kind = KINDS.get(usize::from(*byte)).copied().unwrap_or(0);
        counts = counts.wrapping_add(1u64.wrapping_shl(u32::from(kind)));
        if counts & FULL != 0 {
            makeup.add(std::mem::take(&mut counts));
        }
        marks |= kind;
        pairs = pairs.wrapping_add(usize::from(*byte == last));
        last = *byte;
    }
    makeup.add(counts);
    (makeup.marks, makeup.pairs) = (marks & marks::ALL, pairs);
    makeup
}

/// Highest bit of each of four counters in a word.
const FULL: u64 = 0x8000_8000_8000_8000;

/// For each character, the position at which its class is counted, which is a shift of the counter word, and its
/// [`marks`].
static KINDS: [u16; 256] = kinds();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn kinds() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut byte = 0;
    while byte < 256 {
        let kind = match byte as u8 {
            b'0'..=b'9' => 0,
            b'A'..=b'Z' => 16,
            b'a'..=b'z' => 32,
            _ => 48,
        };
        table[byte] = kind | marks::of(byte as u8);
        byte += 1;
    }
    table
}

/// Words that people write in place of a secret.
static PLACEHOLDERS: SubstringSet = SubstringSet::new(&[
    // These are so short that they occur in long random strings.
    "xxxx",
    "dummy",
    "fake",
    "todo",
    // Longer words.
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

/// Number of the short words.
const SHORT: usize = 4;

/// Returns the positions of the last words of placeholders: of the longer ones, and of the short ones after it.
fn last_words(value: &[u8]) -> (Option<usize>, Option<usize>) {
    let (mut common, mut short) = (None, None);
    PLACEHOLDERS.each_in(value, &mut |at, word| {
        if word < SHORT {
            short = short.or(Some(at));
        } else {
            common = Some(at);
        }
        common.is_some()
    });
    (common, short)
}

/// Returns whether a value is a placeholder: `changeme`, `${VAR}`, `<your-key>`, `xxxx`.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let makeup = makeup(value);
    makeup.is_reference(value) || makeup.is_repetitive(value) || has_word(value)
}

/// Returns whether a value contains a word of placeholders.
pub(super) fn has_word(value: &[u8]) -> bool {
    let random = || value.len() >= 20 && shannon_entropy_tenths(value) >= 38;
    match last_words(value) {
        (Some(_), _) => true,
        (None, short) => short.is_some() && !random(),
    }
}

/// Returns whether a value refers to another: `${VAR}`, `$VAR`, `{{ x }}`, `%s`, `<name>`, `%VAR%`.
pub(super) fn is_reference(value: &[u8]) -> bool {
    makeup(value).is_reference(value)
}

/// Returns whether the first and last characters of a value mark it as a reference.
fn is_reference_by_ends(value: &[u8]) -> bool {
    let (Some(first), Some(last)) = (value.first(), value.last()) else {
        return false;
    };
    let starts = |marks: &[&str]| marks.iter().any(|mark| value.starts_with(mark.as_bytes()));
    match first {
        b'$' => value.get(1).is_some_and(|byte| !byte.is_ascii_digit()),
        b'{' => *last == b'}' || starts(&["{{", "{%"]),
        b'%' => value.len() == 2 || value.len() > 2 && *last == b'%' || starts(&["%(", "%{"]),
        b'<' => value.contains(&b'>') || starts(&["<%"]),
        b'[' => *last == b']',
        b'#' | b'@' => value.get(1) == Some(&b'{'),
        b'!' => starts(&["!Ref", "!Sub"]),
        b'a' => starts(&["arn:"]),
        _ => false,
    }
}

/// Returns whether one character makes up most of a value.
pub(super) fn is_repetitive(value: &[u8]) -> bool {
    makeup(value).is_repetitive(value)
}

/// Returns an upper bound of the longest run of one character, by the number of characters that equal the one before.
fn longest_at_most(value: &[u8]) -> usize {
    let behind = value.get(1..).unwrap_or_default();
    let pairs = behind.iter().zip(value).filter(|(a, b)| a == b).count();
    pairs.saturating_add(1)
}

/// Returns whether no run of one character, however long, can make up much of a value.
fn is_mixed(value: &[u8], longest: usize) -> bool {
    longest < LONG_RUN && longest.saturating_mul(2) <= value.len()
}

/// Length of a run that is too long for most values.
const LONG_RUN: usize = 8;

/// Returns the longest run of one character, the last of several: its start and its length.
fn longest_run(value: &[u8]) -> (usize, usize) {
    let mut run = 0usize;
    let mut longest = (0usize, 0usize);
    let mut last = 0u8;
    for (place, byte) in value.iter().enumerate() {
        run = if *byte == last {
            run.wrapping_add(1)
        } else {
            1
        };
        if run >= longest.1 {
            longest = (place.wrapping_add(1).wrapping_sub(run), run);
        }
        last = *byte;
    }
    longest
}

/// Returns whether a run of this length is too long for a value.
fn is_mostly(value: &[u8], longest: usize, random: impl Fn() -> bool) -> bool {
    longest >= LONG_RUN && !random() || longest.saturating_mul(2) > value.len() && value.len() > 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variety_is_shannons_entropy() {
        assert_eq!(shannon_entropy_tenths(b""), 0);
        assert_eq!(shannon_entropy_tenths(b"aaaa"), 0);
        assert_eq!(shannon_entropy_tenths(b"abab"), 10);
        assert_eq!(shannon_entropy_tenths(b"abcdefgh"), 30);
        assert_eq!(
            shannon_entropy_tenths(b"0123456789abcdef0123456789abcdef"),
            40
        );
        // 1.84644 bits.
        assert_eq!(shannon_entropy_tenths(b"hello world"), 28);
        assert_eq!(shannon_entropy_tenths(b"aab"), 9);
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
