//! Table of words and tokens by their prefixes.
//!
//! The first three characters of every word of the text are looked up in a bit set. Few words pass. For those, the
//! prefixes that share the characters are compared, at first up to eight characters of each at once.

use crate::wire::simd::{MAX_STEMS, STEM_GROUPS, StemTables, stem_tables};
use crate::wire::sort;

/// Bits of the filter: 4 KB, so that it stays in the nearest cache.
const FILTER_BITS: u32 = 15;

/// White space that matches a blank inside a phrase.
const WHITE: [u8; 4] = *b" \n\r\t";

/// Prefixes, looked up by three characters.
#[derive(Clone, Debug, Default)]
pub(super) struct PrefixTable {
    filter: Vec<u64>,
    /// Sorted by key.
    entries: Vec<PrefixEntry>,
    /// Start and number of the entries of a key: open addressing, the length is a power of two.
    index: Vec<(u32, u16, u16)>,
}

/// Prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PrefixEntry {
    /// The first three characters in lower case.
    key: u32,
    /// Number that the caller assigned.
    pub(super) number: u16,
    /// Up to [`FIRST`] first characters as compared: in lower case, or as written if the case counts.
    first: u64,
    /// Bits that they occupy, and bits that are set in what they are compared with.
    mask: u64,
    lower: u64,
}

/// Characters of a prefix that are compared at once.
pub(super) const FIRST: usize = 8;

impl PrefixEntry {
    /// Returns whether these may be the first characters of the prefix and of the text after it. If the case of the
    /// prefix counts, they are.
    #[inline]
    pub(super) fn may_be(&self, eight: &[u8; FIRST]) -> bool {
        (u64::from_le_bytes(*eight) | self.lower) & self.mask == self.first
    }
}

impl PrefixTable {
    /// Builds the table. `beginnings` have at least three characters, and the case of some of them counts; their
    /// numbers are returned by [`get`](Self::get). A space matches any run of white space: the characters after the
    /// first are not compared.
    pub(super) fn new<'a>(beginnings: impl Iterator<Item = ((&'a str, bool), u16)>) -> Self {
        let mut built = Self {
            filter: vec![0; 1 << (FILTER_BITS - 6)],
            entries: Vec::new(),
            index: Vec::new(),
        };
        let spelled = beginnings.flat_map(|((text, is_exact), number)| {
            let three = text.as_bytes().first_chunk::<3>();
            let mut ways: Vec<[u8; 3]> = three.into_iter().copied().collect();
            // `do not` begins with `do` and white space.
            if let Some([a, b, b' ']) = three {
                ways = WHITE.map(|white| [*a, *b, white]).to_vec();
            }
            ways.into_iter()
                .map(move |three| (text, is_exact, three, number))
        });
        for (text, is_exact, three, number) in spelled {
            let key = key(&three);
            let bit = filter_bit(key);
            if let Some(word) = built.filter.get_mut(bit >> 6) {
                *word |= 1u64.wrapping_shl(u32::try_from(bit & 63).unwrap_or(0));
            }
            let mut eight = [0; FIRST];
            let mut mask = [0; FIRST];
            let first = text.split(' ').next().unwrap_or_default();
            for ((to, masked), byte) in eight.iter_mut().zip(&mut mask).zip(first.bytes()) {
                (*to, *masked) = (byte, u8::MAX);
            }
            let mask = u64::from_le_bytes(mask);
            let lower = if is_exact { 0 } else { LOWER };
            built.entries.push(PrefixEntry {
                key,
                number,
                first: (u64::from_le_bytes(eight) | lower) & mask,
                mask,
                lower,
            });
        }
        sort::sort(&mut built.entries);
        let size = built.entries.len().saturating_mul(2).next_power_of_two();
        built.index = vec![(0, 0, 0); size];
        let entries = std::mem::take(&mut built.entries);
        for (place, PrefixEntry { key, .. }) in (0u16..).zip(&entries) {
            let slot = built.slot(*key);
            if let Some((known, from, count)) = built.index.get_mut(slot) {
                if *count == 0 {
                    (*known, *from) = (*key, place);
                }
                *count = count.saturating_add(1);
            }
        }
        built.entries = entries;
        if built.entries.is_empty() {
            Self::default()
        } else {
            built
        }
    }

    /// Returns the prefixes with these first three characters, case-insensitively.
    #[inline]
    pub(super) fn get(&self, three: &[u8; 3]) -> &[PrefixEntry] {
        let key = key(three);
        let bit = filter_bit(key);
        let word = self.filter.get(bit >> 6).copied().unwrap_or(0);
        if word >> (bit & 63) & 1 == 1 {
            self.of(key)
        } else {
            &[]
        }
    }

    /// Returns tables of the first three bytes of all prefixes, if they are few.
    pub(super) fn stems(&self) -> Option<StemTables> {
        let mut stems: Vec<[u8; 3]> = Vec::new();
        for [a, b, c, _] in self.entries.iter().map(|entry| entry.key.to_le_bytes()) {
            if !stems.contains(&[a, b, c]) {
                stems.push([a, b, c]);
            }
        }
        let grouped: Vec<(u8, [u8; 3])> = (0..STEM_GROUPS).cycle().zip(stems).collect();
        (grouped.len() <= MAX_STEMS).then(|| stem_tables(&grouped))
    }

    #[inline(never)]
    fn of(&self, key: u32) -> &[PrefixEntry] {
        let (from, count) = self
            .index
            .get(self.slot(key))
            .map_or((0, 0), |(_, from, count)| {
                (usize::from(*from), usize::from(*count))
            });
        self.entries
            .get(from..from.saturating_add(count))
            .unwrap_or_default()
    }

    /// Returns the index slot of a key, or the empty one where it would be.
    fn slot(&self, key: u32) -> usize {
        let last = self.index.len().saturating_sub(1);
        let mut slot = filter_bit(key) & last;
        // At most half of the slots are used.
        while self
            .index
            .get(slot)
            .is_some_and(|(known, _, count)| *count > 0 && *known != key)
        {
            slot = slot.wrapping_add(1) & last;
        }
        slot
    }
}

fn key([a, b, c]: &[u8; 3]) -> u32 {
    u32::from_le_bytes([*a, *b, *c, 0]) | 0x0020_2020
}

/// Bits that make letters lower case.
const LOWER: u64 = 0x2020_2020_2020_2020;

fn filter_bit(key: u32) -> usize {
    // Knuth's multiplicative hash: the high bits are the mixed ones.
    (key.wrapping_mul(0x9E37_79B1) >> (32 - FILTER_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::simd::{BLOCK, SimdLevel};

    fn table(beginnings: &[&str]) -> PrefixTable {
        PrefixTable::new(beginnings.iter().map(|text| (*text, false)).zip(0..))
    }

    fn numbers(beginnings: &PrefixTable, text: &str) -> Vec<u16> {
        let eight = text.as_bytes().first_chunk();
        let entries = beginnings.get(text.as_bytes().first_chunk().unwrap());
        let may_be = |entry: &&PrefixEntry| eight.is_none_or(|eight| entry.may_be(eight));
        entries
            .iter()
            .filter(may_be)
            .map(|entry| entry.number)
            .collect()
    }

    #[test]
    fn a_beginning_is_found_by_its_first_three_characters_in_any_case() {
        let beginnings = table(&["ghp_", "github_pat_", "GHS_", "gh"]);
        let get = |text: &str| numbers(&beginnings, text);
        assert_eq!(get("ghp_"), [0]);
        assert_eq!(get("GHP_abcdefgh"), [0]);
        assert_eq!(get("GIT"), [1]);
        assert_eq!(get("gitHub_Pat_"), [1]);
        assert_eq!(get("ghs"), [2]);
        assert!(get("abc").is_empty());
        assert!(PrefixTable::new(std::iter::empty()).get(b"ghp").is_empty());
    }

    #[test]
    fn a_space_may_be_other_white_space() {
        let beginnings = table(&["do not", "pay no"]);
        for text in ["do not x", "DO\nnot x", "do \t not", "do\r\nnot"] {
            assert_eq!(numbers(&beginnings, text), [0], "{text:?}");
        }
        assert_eq!(numbers(&beginnings, "pay\n\nno x"), [1]);
    }

    #[test]
    fn where_prefixes_are_few_vectors_see_their_first_bytes() {
        let beginnings = table(&["ghp_", "do not", "at]"]);
        let stems = beginnings.stems().unwrap();
        let text = "GHP_ Do\nnot do\tx [AT] gha dot ".repeat(5);
        let level = SimdLevel::best();
        for (at, three) in text.as_bytes().array_windows().enumerate() {
            let block = at / BLOCK * BLOCK;
            let is_stem = level.stems_from(&stems, text.as_bytes(), block) >> (at % BLOCK) & 1 == 1;
            let is_prefix = !beginnings.get(three).is_empty();
            let is_certain = block + BLOCK + 2 <= text.len();
            assert!(is_stem == is_prefix || !is_certain && is_stem, "{at}");
        }
        let many: Vec<String> = (0..=MAX_STEMS).map(|n| format!("{n:03}-")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let many = table(&many);
        assert!(many.stems().is_none());
    }

    #[test]
    fn one_that_goes_on_otherwise_is_left_out() {
        let beginnings = table(&["glpat-", "glptt-"]);
        let get = |text: &str| numbers(&beginnings, text);
        assert_eq!(get("glptt-12"), [1]);
        assert!(get("glp-pat-").is_empty());
        assert_eq!(get("glp-"), [0, 1]);
    }

    #[test]
    fn the_case_of_a_prefix_may_count() {
        let beginnings =
            PrefixTable::new([("glPat-", true), ("glpat_", false)].into_iter().zip(0..));
        let get = |text: &str| numbers(&beginnings, text);
        assert_eq!(get("glPat-12"), [0]);
        assert!(get("glpat-12").is_empty());
        assert_eq!(get("GLPAT_12"), [1]);
    }
}
