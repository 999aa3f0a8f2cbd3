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
const WORDS: usize = 96;
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
            let bit = hash(bytes[0], bytes[1], bytes[2]);
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
        let [a, b, rest @ ..] = text else {
            return false;
        };
        let (mut a, mut b) = (*a, *b);
        for (at, c) in rest.iter().enumerate() {
            let bit = hash(a, b, *c);
            let word = self.filter.get(bit >> 6).copied().unwrap_or(0);
            if word >> (bit & 63) & 1 == 1 && self.stands_at(text, at, bit) {
                return true;
            }
            (a, b) = (b, *c);
        }
        false
    }

    /// Whether one of the words whose beginning has this hash stands here.
    #[inline(never)]
    fn stands_at(&self, text: &[u8], at: usize, bit: usize) -> bool {
        let mut number = self.first.get(bit % CHAINS).copied().unwrap_or(0);
        while let Some(place) = usize::from(number).checked_sub(1) {
            let word = self.words.get(place).copied().unwrap_or_default();
            let part = text
                .get(at..at.wrapping_add(word.len()))
                .unwrap_or_default();
            let same = |(written, byte): (&u8, &u8)| written.to_ascii_lowercase() == *byte;
            if part.len() == word.len() && part.iter().zip(word.as_bytes()).all(same) {
                return true;
            }
            number = self.next.get(place).copied().unwrap_or(0);
        }
        false
    }
}

/// Eleven bits of three characters, letters in either case alike.
#[inline]
const fn hash(a: u8, b: u8, c: u8) -> usize {
    let three = (a | 0x20) as u32 | ((b | 0x20) as u32) << 8 | ((c | 0x20) as u32) << 16;
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
