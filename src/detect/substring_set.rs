//! Set of many short words that are searched in a short text at once.

/// Words of at least three characters in lower case. They match case-insensitively.
#[derive(Debug)]
pub(super) struct SubstringSet {
    /// Bit set of the hashes of three characters in a row; `step` of them for each word.
    filter: [u64; 32],
    /// For each [chain](chain) of hashes its first word, and for each word the next one; from 1 on, 0 is the end.
    first: [u8; CHAINS],
    next: [u8; WORDS],
    words: &'static [&'static str],
    /// Distance of the positions that are compared. The shortest word covers one of any `step` positions in a row
    /// with three of its characters, so the others can be skipped.
    step: usize,
}

/// Maximum words of a list.
const WORDS: usize = 176;
/// Number of chains.
const CHAINS: usize = 128;

impl SubstringSet {
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "runs in the compiler, which rejects an index out of bounds"
    )]
    pub(super) const fn new(words: &'static [&'static str]) -> Self {
        let mut step = usize::MAX;
        let mut word = 0;
        while word < words.len() {
            if words[word].len() - 2 < step {
                step = words[word].len() - 2;
            }
            word += 1;
        }
        let mut filter = [0u64; 32];
        let mut first = [0u8; CHAINS];
        let mut next = [0u8; WORDS];
        word = 0;
        while word < words.len() {
            let bytes = words[word].as_bytes();
            let mut at = 0;
            while at < step {
                let bit = hash([bytes[at], bytes[at + 1], bytes[at + 2]]);
                filter[bit >> 6] |= 1 << (bit & 63);
                at += 1;
            }
            let chain = match bytes.len() {
                3 => chain([bytes[0], bytes[1], bytes[2]]),
                _ => chain([bytes[1], bytes[2], bytes[3]]),
            };
            next[word] = first[chain];
            word += 1;
            first[chain] = word as u8;
        }
        Self {
            filter,
            first,
            next,
            words,
            step,
        }
    }

    /// Returns whether one of the words is in the text.
    pub(super) fn stand_in(&self, text: &[u8]) -> bool {
        self.last_in(text).is_some()
    }

    /// Returns the position of the last word in the text.
    pub(super) fn last_in(&self, text: &[u8]) -> Option<usize> {
        let mut last = None;
        self.each_in(text, &mut |at, _| {
            last = Some(at);
            true
        });
        last
    }

    /// Returns the bits of all words in the text; `bits` has one entry for each word, in the order of the list.
    #[inline(never)]
    pub(super) fn bits_in(&self, text: &[u8], bits: &[u32]) -> u32 {
        let mut found = 0;
        self.each_in(text, &mut |_, word| {
            found |= bits.get(word).copied().unwrap_or(0);
            false
        });
        found
    }

    /// Calls a function for each word in the text, from the last on, with its position and its index in the list. The
    /// function returns whether that is enough.
    pub(super) fn each_in(&self, text: &[u8], is_enough: &mut dyn FnMut(usize, usize) -> bool) {
        let Some(mut at) = text.len().checked_sub(3) else {
            return;
        };
        loop {
            if self.may_be_at(text, at) {
                for at in (at.saturating_sub(self.step.wrapping_sub(1))..=at).rev() {
                    if self.may_be_at(text, at) && self.each_at(text, at, is_enough) {
                        return;
                    }
                }
            }
            let Some(before) = at.checked_sub(self.step) else {
                return;
            };
            at = before;
        }
    }

    /// Returns whether the hash of the three characters at this position is in the filter.
    #[inline(always)]
    fn may_be_at(&self, text: &[u8], at: usize) -> bool {
        let Some(three) = text.get(at..).and_then(<[u8]>::first_chunk) else {
            return false;
        };
        let bit = hash(*three);
        let word = self.filter.get(bit >> 6).copied().unwrap_or(0);
        word >> (bit & 63) & 1 == 1
    }

    /// Calls a function as [`each_in`](Self::each_in) does, for the words at one position. Returns whether one was
    /// enough.
    #[inline(never)]
    fn each_at(
        &self,
        text: &[u8],
        at: usize,
        is_enough: &mut dyn FnMut(usize, usize) -> bool,
    ) -> bool {
        let rest = text.get(at..).unwrap_or_default();
        // Many words begin with the same three characters; the fourth separates most of them.
        let least = usize::from(self.step > 1);
        for from in least..=1 {
            let three = rest.get(from..).and_then(<[u8]>::first_chunk);
            let mut number = three
                .and_then(|three| self.first.get(chain(*three)))
                .copied()
                .unwrap_or(0);
            while let Some(place) = usize::from(number).checked_sub(1) {
                // Other words have the same chain; the last character rules out most of them.
                if let Some(word) = self.words.get(place)
                    && let Some(part) = rest.get(..word.len())
                    && let (Some(last), Some(end)) = (part.last(), word.as_bytes().last())
                    && last.eq_ignore_ascii_case(end)
                    && part.eq_ignore_ascii_case(word.as_bytes())
                    && is_enough(at, place)
                {
                    return true;
                }
                number = self.next.get(place).copied().unwrap_or(0);
            }
        }
        false
    }
}

/// Returns the chain of three characters. Words of three characters are in the chain of these, longer words in that
/// of their second to fourth.
#[inline]
const fn chain(three: [u8; 3]) -> usize {
    hash(three) % CHAINS
}

/// Returns a hash of three characters with eleven bits, case-insensitive.
#[inline]
const fn hash([a, b, c]: [u8; 3]) -> usize {
    let three = u32::from_le_bytes([0, a, b, c]) | 0x2020_2000;
    (three.wrapping_mul(0x9E37_79B1) >> 21) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_anywhere_and_in_any_case() {
        static PARTS: SubstringSet = SubstringSet::new(&["pass", "key_id", "***"]);
        assert!(
            PARTS.stand_in(b"myPASSword") && PARTS.stand_in(b"KEY_ID") && PARTS.stand_in(b"a***")
        );
        assert!(!PARTS.stand_in(b"pas") && !PARTS.stand_in(b"") && !PARTS.stand_in(b"key id"));
    }

    #[test]
    fn long_words_are_found_at_every_place() {
        static PARTS: SubstringSet = SubstringSet::new(&["rules", "prompts", "******"]);
        for before in 0..12 {
            for after in 0..12 {
                for word in ["ruLes", "prompts", "******"] {
                    let text = format!("{}{word}{}", "x".repeat(before), "y".repeat(after));
                    assert_eq!(PARTS.last_in(text.as_bytes()), Some(before), "{text}");
                }
                let twice = format!("rules{}rules{}", "x".repeat(before), "y".repeat(after));
                assert_eq!(PARTS.last_in(twice.as_bytes()), Some(before + 5), "{twice}");
            }
        }
    }

    #[test]
    fn a_text_has_the_bits_of_all_its_words() {
        static PARTS: SubstringSet = SubstringSet::new(&["key", "pass", "token"]);
        assert_eq!(PARTS.bits_in(b"a_token_key", &[1, 2, 4]), 0b101);
        assert_eq!(PARTS.bits_in(b"passkey", &[1, 1, 2]), 0b1);
        assert_eq!(PARTS.bits_in(b"nothing", &[1, 2, 4]), 0);
    }
}
