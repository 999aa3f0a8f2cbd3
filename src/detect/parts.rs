//! Many short words, looked for in a short text at once.

/// Words of three characters or more in small letters; letters of the text match in any case.
#[derive(Debug)]
pub(super) struct Parts {
    /// Hashes of the first three characters.
    filter: [u64; 32],
    words: &'static [&'static str],
}

impl Parts {
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "runs in the compiler, which rejects an index out of bounds"
    )]
    pub(super) const fn new(words: &'static [&'static str]) -> Self {
        let mut filter = [0u64; 32];
        let mut word = 0;
        while word < words.len() {
            let bytes = words[word].as_bytes();
            let bit = hash(bytes[0], bytes[1], bytes[2]);
            filter[bit >> 6] |= 1 << (bit & 63);
            word += 1;
        }
        Self { filter, words }
    }

    /// Whether one of the words stands somewhere in the text.
    pub(super) fn stand_in(&self, text: &[u8]) -> bool {
        text.windows(3).enumerate().any(|(at, three)| {
            let [a, b, c] = three else { return false };
            let bit = hash(*a, *b, *c);
            let hit = self
                .filter
                .get(bit >> 6)
                .is_some_and(|bits| bits >> (bit & 63) & 1 == 1);
            hit && self.words.iter().any(|word| {
                text.get(at..at.wrapping_add(word.len()))
                    .is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
            })
        })
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
