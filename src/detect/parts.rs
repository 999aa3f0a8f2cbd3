//! Many short words, looked for in a short text at once.

/// Words of three characters or more in small letters; letters of the text match in any case.
#[derive(Debug)]
pub(super) struct Parts {
    /// Hashes of the first three characters.
    filter: [u64; 32],
    /// For each end of a hash the first of the words that have it, and for each word the next one; from 1 on, 0 is none.
    first: [u8; CHAINS],
    next: [u8; WORDS],
    words: &'static [&'static str],
}

/// Words of the longest list.
const WORDS: usize = 112;
/// Ends of hashes.
const CHAINS: usize = 64;

impl Parts {
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "runs in the compiler, which rejects an index out of bounds"
    )]
    pub(super) const fn new(words: &'static [&'static str]) -> Self {
        let mut filter = [0u64; 32];
        let mut first = [0u8; CHAINS];
        let mut next = [0u8; WORDS];
        let mut word = 0;
        while word < words.len() {
            let bytes = words[word].as_bytes();
            let bit = hash(before(bytes[0], before(bytes[1], before(bytes[2], 0))));
            filter[bit >> 6] |= 1 << (bit & 63);
            next[word] = first[bit % CHAINS];
            word += 1;
            first[bit % CHAINS] = word as u8;
        }
        Self {
            filter,
            first,
            next,
            words,
        }
    }

    /// Whether one of the words stands somewhere in the text.
    pub(super) fn stand_in(&self, text: &[u8]) -> bool {
        self.last_in(text).is_some()
    }

    /// Where the last of the words in the text stands.
    pub(super) fn last_in(&self, text: &[u8]) -> Option<usize> {
        let [rest @ .., b, c] = text else {
            return None;
        };
        let mut three = before(*b, before(*c, 0));
        for (at, a) in rest.iter().enumerate().rev() {
            three = before(*a, three);
            let bit = hash(three);
            let word = self.filter.get(bit >> 6).copied().unwrap_or(0);
            if word >> (bit & 63) & 1 == 1 && self.stands_at(text, at, bit) {
                return Some(at);
            }
        }
        None
    }

    /// Which groups of the words have one that stands in the text, a bit for each; a group ends before such a place of the
    /// list.
    pub(super) fn groups_in(&self, text: &[u8], ends: &[usize]) -> u32 {
        let mut groups = 0;
        for (at, three) in text.windows(3).enumerate() {
            let [a, b, c] = three else { break };
            let bit = hash(before(*a, before(*b, before(*c, 0))));
            let word = self.filter.get(bit >> 6).copied().unwrap_or(0);
            if word >> (bit & 63) & 1 == 1 {
                self.each_at(text, at, bit, |place| {
                    let group = ends.iter().take_while(|end| **end <= place).count();
                    groups |= 1u32.wrapping_shl(u32::try_from(group).unwrap_or(0));
                    false
                });
            }
        }
        groups
    }

    /// Whether one of the words whose beginning has this hash stands here.
    #[inline(never)]
    fn stands_at(&self, text: &[u8], at: usize, bit: usize) -> bool {
        self.each_at(text, at, bit, |_| true)
    }

    /// Calls for each of these words that stands here, until one is enough.
    #[inline]
    fn each_at(
        &self,
        text: &[u8],
        at: usize,
        bit: usize,
        mut is_enough: impl FnMut(usize) -> bool,
    ) -> bool {
        let rest = text.get(at..).unwrap_or_default();
        // Their first three characters are mostly the word's; one behind them often tells.
        let fifth = rest.get(4).map_or(0, u8::to_ascii_lowercase);
        let mut number = self.first.get(bit % CHAINS).copied().unwrap_or(0);
        while let Some(place) = usize::from(number).checked_sub(1) {
            let word = self
                .words
                .get(place)
                .map_or(&[][..], |word| word.as_bytes());
            // Others have the same end of a hash, or are longer.
            if word.len() <= rest.len()
                && word.get(4).is_none_or(|byte| *byte == fifth)
                && rest
                    .get(..word.len())
                    .is_some_and(|part| part.eq_ignore_ascii_case(word))
                && is_enough(place)
            {
                return true;
            }
            number = self.next.get(place).copied().unwrap_or(0);
        }
        false
    }
}

/// The three characters that begin with this one, of those that begin behind it; letters in either case alike.
#[inline]
const fn before(byte: u8, three: u32) -> u32 {
    (three | (byte | 0x20) as u32) << 8
}

/// Eleven bits of three characters.
#[inline]
const fn hash(three: u32) -> usize {
    (three.wrapping_mul(0x9E37_79B1) >> 21) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_anywhere_and_in_any_case() {
        static PARTS: Parts = Parts::new(&["pass", "key_id", "***"]);
        assert!(
            PARTS.stand_in(b"myPASSword") && PARTS.stand_in(b"KEY_ID") && PARTS.stand_in(b"a***")
        );
        assert!(!PARTS.stand_in(b"pas") && !PARTS.stand_in(b"") && !PARTS.stand_in(b"key id"));
    }
}
