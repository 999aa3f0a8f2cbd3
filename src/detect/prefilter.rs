//! Pre-filter that rules out texts without any of many words. Most texts contain none, and that is found without
//! comparing every byte. The caller then searches the words themselves: letters match case-insensitively, and so do some
//! marks.
//!
//! Up to [`MAX_STEMS`] words are told by three bytes of each, the rarest, which vectors look for at all positions of a block at
//! once (`simd.rs`). Of more words, or shorter ones, a window of the shortest word's length slides over the text. Its last
//! three bytes determine how far it can move before they could be part of a word again (the scheme of Wu and Manber, "A fast
//! algorithm for multi-pattern searching", 1994), so that the text is read in steps of several bytes. Only a window that
//! ends like a word is checked further.
//!
//! Between the parts of `drop table` there may be any white space, so of a word with spaces its longest part is
//! searched.

use crate::wire::simd::{MAX_STEMS, STEM_GROUPS, SimdLevel, StemTables, stem_tables};

/// Bytes of a word that are looked for first, and those that decide how far a window moves.
const STEM: usize = 3;

/// Size of the table of steps, a power of two: a few hundred words leave most of it empty.
const STEPS: usize = 1 << 13;

/// Maximum bytes of the window, because steps are stored as bytes.
const MAX_WINDOW: usize = 64;

/// Bytes at each end of a window that a word must match.
const MARK: usize = 8;

/// Bytes of text for each place that may be checked in vain, and number of such places that any text may have.
const BYTES_PER_FALSE_MATCH: usize = 8;

/// Minimum of twice the mean step. Below it, reading in steps is no faster than reading every byte.
const LEAST_STEPS: usize = 5;

/// Pre-filter for some words.
#[derive(Clone, Debug)]
pub(super) enum Sieve {
    Stems(StemSieve),
    Steps(StepSieve),
}

impl Sieve {
    /// Returns a pre-filter for these words; `None` if they are too short or too many for it to save time.
    pub(super) fn new(words: &[&[u8]]) -> Option<Sieve> {
        let mut words: Vec<Vec<u8>> = words.iter().map(|word| longest_part(word)).collect();
        crate::wire::sort::sort(&mut words);
        words.dedup();
        let shortest = words.iter().map(Vec::len).min()?;
        if words.len() <= MAX_STEMS && shortest >= STEM {
            Some(Sieve::Stems(StemSieve::new(words)))
        } else {
            StepSieve::new(&words, shortest).map(Sieve::Steps)
        }
    }

    /// Returns whether one of the words may be in the text. `false` is certain.
    pub(super) fn may_hold(&self, text: &[u8]) -> bool {
        match self {
            Sieve::Stems(stems) => stems.may_hold(text),
            Sieve::Steps(steps) => steps.may_hold(text),
        }
    }
}

/// Pre-filter by three bytes of each word.
#[derive(Clone, Debug)]
pub(super) struct StemSieve {
    level: SimdLevel,
    tables: StemTables,
    /// Words with [`CASE`] set in each byte, and the places of their stems.
    words: Vec<(Vec<u8>, usize)>,
}

impl StemSieve {
    fn new(words: Vec<Vec<u8>>) -> StemSieve {
        let mut stems = Vec::with_capacity(words.len());
        let words: Vec<(Vec<u8>, usize)> = words
            .into_iter()
            .zip((0..STEM_GROUPS).cycle())
            .map(|(word, group)| {
                let rarity = |(_, stem): &(usize, &[u8])| stem.iter().map(frequency).sum::<u32>();
                let rarest = word.windows(STEM).enumerate().min_by_key(rarity);
                let place = rarest.map_or(0, |(place, _)| place);
                stems.extend(
                    rarest
                        .and_then(|(_, stem)| stem.first_chunk())
                        .map(|stem| (group, *stem)),
                );
                (word, place)
            })
            .collect();
        StemSieve {
            level: SimdLevel::best(),
            tables: stem_tables(&stems),
            words,
        }
    }

    fn may_hold(&self, text: &[u8]) -> bool {
        // A text that was made to resemble words throughout is left to the search that reads every byte.
        let mut allowed = allowed_false_matches(text);
        self.level.any_stem(&self.tables, text, &mut |at| {
            if allowed == 0 {
                return true;
            }
            allowed = allowed.saturating_sub(1);
            self.words.iter().any(|(word, place)| {
                let seen = at.checked_sub(*place).and_then(|begin| text.get(begin..));
                let seen = seen.and_then(|seen| seen.get(..word.len()));
                seen.is_some_and(|seen| {
                    seen.iter()
                        .zip(word)
                        .all(|(byte, other)| byte | CASE == *other)
                })
            })
        })
    }
}

/// Places of a text that may be checked in vain.
fn allowed_false_matches(text: &[u8]) -> usize {
    text.len()
        .div_euclid(BYTES_PER_FALSE_MATCH)
        .saturating_add(BYTES_PER_FALSE_MATCH)
}

/// Returns how often a byte is in texts: 2 for the commonest letters of English and for spaces, 1 for other letters, else 0.
fn frequency(byte: &u8) -> u32 {
    match byte {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b'h' | b' ' => 2,
        b'a'..=b'z' => 1,
        _ => 0,
    }
}

/// Pre-filter by a window that slides over the text.
#[derive(Clone, Debug)]
pub(super) struct StepSieve {
    /// For the hash of three bytes: the distance that the window can move. 0: a word may end there.
    steps: Box<[u8; STEPS]>,
    /// Width of the window in bytes.
    window: usize,
    /// Marks of the windows that are the beginning of a word, sorted.
    marks: Vec<u64>,
}

impl StepSieve {
    fn new(words: &[Vec<u8>], shortest: usize) -> Option<StepSieve> {
        let window = shortest.min(MAX_WINDOW);
        let farthest = u8::try_from(window.checked_sub(STEM)?)
            .ok()?
            .checked_add(1)?;
        let mut steps = Box::new([farthest; STEPS]);
        let mut marks = Vec::with_capacity(words.len());
        for word in words {
            let word = word.get(..window)?;
            for (step, tail) in (0..farthest).rev().zip(word.windows(STEM)) {
                let slot = tail
                    .first_chunk()
                    .and_then(|tail| steps.get_mut(hash(tail)))?;
                *slot = step.min(*slot);
            }
            marks.push(mark(word));
        }
        crate::wire::sort::sort(&mut marks);
        marks.dedup();
        let sum = steps.iter().map(|step| usize::from(*step));
        let sum = sum.fold(0usize, usize::saturating_add);
        (sum.saturating_mul(2) >= STEPS.saturating_mul(LEAST_STEPS)).then_some(StepSieve {
            steps,
            window,
            marks,
        })
    }

    fn may_hold(&self, text: &[u8]) -> bool {
        let mut end = self.window;
        // As above.
        let mut allowed = allowed_false_matches(text);
        while let Some(tail) = text.get(end.wrapping_sub(STEM)..end) {
            let Some(tail) = tail.first_chunk() else {
                return true;
            };
            let step = self.steps.get(hash(tail)).copied().unwrap_or(0);
            if step == 0 {
                let begin = end.wrapping_sub(self.window);
                let is_begun = text
                    .get(begin..end)
                    .is_none_or(|seen| self.marks.binary_search(&mark(seen)).is_ok());
                if is_begun || allowed == 0 {
                    return true;
                }
                allowed = allowed.saturating_sub(1);
            }
            end = end.saturating_add(usize::from(step.max(1)));
        }
        false
    }
}

/// Bit in which capitals and lower-case letters differ. Some marks differ only in it, too.
const CASE: u8 = 0x20;

/// Returns the longest part of a word without a space, with [`CASE`] set in each byte.
fn longest_part(word: &[u8]) -> Vec<u8> {
    let parts = word.split(|byte| *byte == b' ');
    let longest = parts.max_by_key(|part| part.len()).unwrap_or_default();
    longest.iter().map(|byte| byte | CASE).collect()
}

/// Returns the index of three bytes in the table, case-insensitively.
fn hash(tail: &[u8; STEM]) -> usize {
    let [a, b, c] = *tail;
    let folded = u32::from_le_bytes([a | CASE, b | CASE, c | CASE, 0]);
    // Multiplicative hashing; the upper bits are the mixed ones. 19 + 13 = 32.
    let mixed = folded.wrapping_mul(0x9E37_79B1) >> 19;
    usize::try_from(mixed).unwrap_or(0)
}

/// Returns a number that windows with the same ends have in common, case-insensitively, and hardly any others
/// (FNV-1a, 64 bits).
fn mark(window: &[u8]) -> u64 {
    let ends = window
        .iter()
        .take(MARK)
        .chain(window.iter().rev().take(MARK));
    ends.fold(0xCBF2_9CE4_8422_2325, |mark, byte| {
        (mark ^ u64::from(byte | CASE)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sieve(words: &[&str]) -> Option<Sieve> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        Sieve::new(&words)
    }

    /// Both forms for the same words, the second where it saves time.
    fn both(words: &[&str]) -> Vec<Sieve> {
        let words: Vec<Vec<u8>> = words
            .iter()
            .map(|word| longest_part(word.as_bytes()))
            .collect();
        let shortest = words.iter().map(Vec::len).min().unwrap();
        let steps = StepSieve::new(&words, shortest).map(Sieve::Steps);
        let stems = Sieve::Stems(StemSieve::new(words));
        steps.into_iter().chain([stems]).collect()
    }

    #[test]
    fn a_word_is_seen_at_every_place_and_in_every_case() {
        for sieve in both(&["project basilisk", "internal only", "ticket-17"]) {
            for word in ["PROJECT basilisk", "Internal Only", "tickeT-17"] {
                for before in 0..100 {
                    for after in [0, 1, 50] {
                        let text = format!("{}{word}{}", "x ".repeat(before), "y".repeat(after));
                        assert!(sieve.may_hold(text.as_bytes()), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn plain_text_is_not_looked_at_closer() {
        let text =
            "The draft is internal; only its tickets of the plan are not. Most of the plan is."
                .repeat(100);
        for sieve in both(&["the draft-16 plan", "externals-only", "a ticket-17"]) {
            assert!(!sieve.may_hold(text.as_bytes()));
            assert!(!sieve.may_hold(b""));
            assert!(!sieve.may_hold(b"ticket-"));
        }
    }

    #[test]
    fn text_like_words_all_along_is_given_up_on() {
        for sieve in both(&["b-a-a-a-a-a-a-a-a"]) {
            assert!(!sieve.may_hold(b"a-a-a-a-a-a-a-a-a"));
            assert!(sieve.may_hold("a-".repeat(1_000).as_bytes()));
        }
    }

    #[test]
    fn few_words_are_told_by_three_bytes_of_each() {
        let few: Vec<String> = (0..MAX_STEMS)
            .map(|n| format!("word number-{n:02}"))
            .collect();
        let few: Vec<&str> = few.iter().map(String::as_str).collect();
        assert!(matches!(sieve(&few), Some(Sieve::Stems(_))));
        assert!(matches!(
            sieve(&["ssn", "social security number"]),
            Some(Sieve::Stems(_))
        ));
        assert!(matches!(
            sieve(&[&few[..], &["one more than these"]].concat()),
            Some(Sieve::Steps(_))
        ));
        // The same longest part.
        let many: Vec<String> = (0..100).map(|n| format!("basilisk {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(sieve(&many), Some(Sieve::Stems(_))));
    }

    #[test]
    fn short_words_and_crowds_of_words_have_no_sieve() {
        assert!(sieve(&[]).is_none());
        assert!(sieve(&["id", "social security number"]).is_none());
        let letter = |n: u64| {
            char::from(
                b"abcdefghijklmnopqrstuvwxyz_0123456789-.,: "[usize::try_from(n % 42).unwrap()],
            )
        };
        let word = |n: u64| {
            let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (0..8).map(|place| letter(mixed >> (place * 7))).collect()
        };
        let crowd: Vec<String> = (0..50_000).map(word).collect();
        let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
        assert!(sieve(&crowd).is_none());
    }

    proptest! {
        #[test]
        fn no_word_is_missed(
            words in prop::collection::vec("[a-cA-C\\[{-]{5,12}( [a-c]{2})?", 1..6),
            text in "[a-cA-C \\[{-]{0,200}",
            white in "[ \t\n]{1,5}",
        ) {
            let list: Vec<&str> = words.iter().map(String::as_str).collect();
            for sieve in both(&list) {
                let lower = text.to_ascii_lowercase();
                let holds = words.iter().any(|word| lower.contains(&word.to_ascii_lowercase()));
                prop_assert!(!holds || sieve.may_hold(text.as_bytes()));
                for word in &words {
                    let word = word.to_ascii_uppercase().replace(' ', &white);
                    let with = format!("{text}{word}{text}");
                    prop_assert!(sieve.may_hold(with.as_bytes()));
                }
            }
        }
    }
}
