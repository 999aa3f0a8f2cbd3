//! Trigrams (three consecutive bytes) of recorded texts. A text that contains `order 12` has all of
//! `ord`, `rde`, `der`, … ` 12`, so only records with every one of them can contain it.
//!
//! Trigrams share [`BUCKETS`] buckets. The records of a bucket are candidates, whose lines must be
//! checked.

use roaring::RoaringBitmap;
use std::collections::BTreeSet;

/// Number of buckets. Texts of letters and digits have about as many trigrams.
const BUCKETS: usize = 1 << 16;

/// Maximum entries of a part's buckets in memory. Each takes two bytes.
pub(super) const MAX_ENTRIES: u64 = 1 << 26;

/// Maximum trigrams of a searched text that are looked up. More would hardly reduce the candidates.
const MAX_WANTED: usize = 48;

/// Returns the bucket of a trigram: the upper bits of a product (Fibonacci hashing).
fn bucket(trigram: [u8; 3]) -> u16 {
    let [a, b, c] = trigram;
    let product = u32::from_le_bytes([a, b, c, 0]).wrapping_mul(0x9E37_79B1);
    u16::try_from(product >> 16).unwrap_or(0)
}

fn buckets_of(text: &str) -> impl Iterator<Item = u16> {
    text.as_bytes().windows(3).filter_map(|window| {
        let trigram = <[u8; 3]>::try_from(window).ok()?;
        Some(bucket(trigram))
    })
}

/// Returns the buckets that every text with these parts is in. Empty if no part has three bytes.
pub(super) fn wanted<'t>(parts: impl Iterator<Item = &'t str>) -> BTreeSet<u16> {
    let mut wanted = BTreeSet::new();
    for bucket in parts.flat_map(buckets_of) {
        if wanted.len() >= MAX_WANTED {
            break;
        }
        wanted.insert(bucket);
    }
    wanted
}

/// Records of each bucket, for one part of an index.
#[derive(Debug, Default)]
pub(super) struct Trigrams {
    /// Empty before the first text: most trails have none.
    buckets: Vec<RoaringBitmap>,
    entries: u64,
}

impl Trigrams {
    /// Adds a text of a record.
    pub(super) fn add(&mut self, record: u32, text: &str) {
        for bucket in buckets_of(text) {
            if let Some(records) = self.bucket(bucket) {
                let is_new = records.insert(record);
                self.entries = self.entries.saturating_add(u64::from(is_new));
            }
        }
    }

    /// Adds records to a bucket that had others.
    pub(super) fn merge(&mut self, bucket: u16, records: RoaringBitmap) {
        self.entries = self.entries.saturating_add(records.len());
        if let Some(known) = self.bucket(bucket) {
            *known |= records;
        }
    }

    fn bucket(&mut self, bucket: u16) -> Option<&mut RoaringBitmap> {
        if self.buckets.is_empty() {
            self.buckets.resize_with(BUCKETS, RoaringBitmap::new);
        }
        self.buckets.get_mut(usize::from(bucket))
    }

    /// Returns the number of entries in all buckets.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Removes and returns the buckets that have records.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (u16, RoaringBitmap)> + use<> {
        let buckets = std::mem::take(self).buckets;
        let numbered = (0_u16..=u16::MAX).zip(buckets);
        numbered.filter(|(_, records)| !records.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_the_buckets_of_each_of_its_parts() {
        let mut trigrams = Trigrams::default();
        let texts = ["Refund order 4711", "naïve ♥ text", "ab", ""];
        for (record, text) in (7..).zip(texts) {
            trigrams.add(record, text);
        }
        assert!(trigrams.entries() > 20);
        let buckets: std::collections::HashMap<u16, RoaringBitmap> = trigrams.take().collect();
        assert_eq!(trigrams.entries(), 0);
        let is_in = |record: u32, part: &str| {
            wanted([part].into_iter()).iter().all(|bucket| {
                let records = buckets.get(bucket);
                records.is_some_and(|records| records.contains(record))
            })
        };
        for (record, part) in [(7, "order 47"), (7, "Ref"), (8, "naïve ♥"), (8, "♥")] {
            assert!(is_in(record, part), "{part}");
        }
        for (record, part) in [(7, "order 48"), (8, "Ref"), (7, "ref")] {
            assert!(!is_in(record, part), "{part}");
        }
        assert!(wanted(["ab", "é", ""].into_iter()).is_empty());
    }

    #[test]
    fn a_repeated_trigram_is_one_entry() {
        let mut trigrams = Trigrams::default();
        trigrams.add(1, "aaaaaaaa");
        trigrams.add(2, "aaa");
        assert_eq!(trigrams.entries(), 2);
        let long = "0123456789".repeat(50);
        assert!(wanted([long.as_str()].into_iter()).len() <= MAX_WANTED);
    }
}
