//! Short texts in which nothing was found: names and keywords of tools' schemas come with every request of an agent, and
//! need not be looked at each time.

use super::text_scan::MatchKinds;

/// A line of the processor's cache.
const BYTES: usize = 64;

/// As many as the offers of some dozens of tools have different texts: 32 KiB.
const SLOTS: usize = 512;

/// Texts in which one policy's scans found nothing. A text that falls into another's slot takes its place.
#[derive(Debug)]
pub(crate) struct NegativeCache {
    slots: Vec<CachedMiss>,
}

/// A text, the name that it stands under, and what was looked for in it: their lengths, the flags, both of them, zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CachedMiss([u8; BYTES]);

impl Default for NegativeCache {
    fn default() -> Self {
        Self {
            slots: vec![CachedMiss([0; BYTES]); SLOTS],
        }
    }
}

impl NegativeCache {
    pub(crate) fn has(&self, blank: &CachedMiss) -> bool {
        self.slots.get(blank.slot()) == Some(blank)
    }

    pub(crate) fn keep(&mut self, blank: CachedMiss) {
        if let Some(slot) = self.slots.get_mut(blank.slot()) {
            *slot = blank;
        }
    }
}

impl CachedMiss {
    /// `None`: too long to be kept.
    pub(crate) fn new(text: &str, key: Option<&str>, wants: MatchKinds) -> Option<Self> {
        let flags = [
            true,
            key.is_some(),
            wants.literals,
            wants.patterns,
            wants.detectors,
        ];
        let flags = flags.iter().fold(0, |all, flag| all << 1 | u8::from(*flag));
        let key = key.unwrap_or_default();
        let mut bytes = [0; BYTES];
        let (head, rest) = bytes.split_first_chunk_mut()?;
        *head = [
            flags,
            u8::try_from(text.len()).ok()?,
            u8::try_from(key.len()).ok()?,
        ];
        let (place, rest) = rest.split_at_mut_checked(text.len())?;
        place.copy_from_slice(text.as_bytes());
        rest.get_mut(..key.len())?.copy_from_slice(key.as_bytes());
        Some(Self(bytes))
    }

    fn slot(&self) -> usize {
        let (words, _) = self.0.as_chunks::<8>();
        let hash = words.iter().fold(0u64, |hash, word| {
            // Knuth's multiplier, 2⁶⁴ divided by the golden ratio.
            (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        });
        usize::try_from(hash >> 32).map_or(0, |hash| hash.checked_rem(SLOTS).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_with_its_name_and_with_what_was_looked_for() {
        let kept = CachedMiss::new("string", Some("type"), MatchKinds::LITERALS).unwrap();
        let mut blanks = NegativeCache::default();
        assert!(!blanks.has(&kept));
        blanks.keep(kept);
        assert!(blanks.has(&kept));
        let others = [
            ("string", Some("type"), MatchKinds::DETECTORS),
            ("string", Some("kind"), MatchKinds::LITERALS),
            ("string", None, MatchKinds::LITERALS),
            ("strin", Some("gtype"), MatchKinds::LITERALS),
            ("string\0", Some("type"), MatchKinds::LITERALS),
            ("", None, MatchKinds::default()),
        ];
        for (text, key, wants) in others {
            let other = CachedMiss::new(text, key, wants).unwrap();
            assert!(!blanks.has(&other), "{text:?} {key:?} {wants:?}");
        }
    }

    #[test]
    fn what_takes_another_s_slot_is_not_taken_for_it() {
        let mut blanks = NegativeCache::default();
        for number in 0..10 * SLOTS {
            let blank = CachedMiss::new(&number.to_string(), None, MatchKinds::DETECTORS).unwrap();
            assert!(!blanks.has(&blank), "{number}");
            blanks.keep(blank);
            assert!(blanks.has(&blank), "{number}");
        }
    }

    #[test]
    fn long_texts_are_not_kept() {
        let long = "a".repeat(BYTES);
        for len in 0..=BYTES {
            let kept = CachedMiss::new(&"a".repeat(len), None, MatchKinds::DETECTORS).is_some();
            assert_eq!(kept, len <= BYTES - 3, "{len}");
        }
        assert_eq!(
            CachedMiss::new("a", Some(&long), MatchKinds::DETECTORS),
            None
        );
        assert_eq!(
            CachedMiss::new(&long.repeat(9), Some("a"), MatchKinds::DETECTORS),
            None
        );
    }
}
