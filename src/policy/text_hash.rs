//! Keyed hash that identifies long texts.
//!
//! Blocks of 2 KiB are hashed by NH of UMAC (RFC 4418, 5.2), twice with keys that are 16 bytes apart. An attacker without
//! the key finds two texts with the same hash with a probability of 2⁻⁶⁴. NH is sums of products of 32 bits, computed by
//! vectors. The hashes of several blocks are combined by SHA-256.

use crate::wire::simd;
use sha2::{Digest, Sha256};

/// Bytes of a block.
const BLOCK: usize = 2048;
/// Parts of the key. The second hash starts one part later.
const KEY: usize = BLOCK / 16 + 1;

/// Key of a hash: pseudo-random bytes, 16 more than a block has.
#[derive(Debug)]
pub(crate) struct TextHash {
    key: [[u8; 16]; KEY],
}

impl TextHash {
    /// Creates a hash with a key that is derived from a secret.
    pub(crate) fn new(secret: &[u8; 32]) -> TextHash {
        let mut key = [[0; 16]; KEY];
        for (number, part) in (0u8..).zip(key.chunks_mut(2)) {
            let bytes = Sha256::new().chain_update(secret).chain_update([number]);
            let bytes: [u8; 32] = bytes.finalize().into();
            for (to, from) in part.iter_mut().zip(bytes.as_chunks().0) {
                *to = *from;
            }
        }
        TextHash { key }
    }

    /// Returns the hash of a text, with its length.
    pub(crate) fn of(&self, text: &[u8]) -> [u8; 24] {
        let hash = if text.len() <= BLOCK {
            self.of_block(text)
        } else {
            let mut all = Sha256::new();
            for block in text.chunks(BLOCK) {
                all.update(self.of_block(block));
            }
            let hash: [u8; 32] = all.finalize().into();
            hash.first_chunk().copied().unwrap_or_default()
        };
        let mut with_length = [0; 24];
        let (head, length) = with_length.split_at_mut(16);
        head.copy_from_slice(&hash);
        length.copy_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        with_length
    }

    /// Returns both hashes of a block. A block is padded with zeros; its length distinguishes it from one that ends with
    /// zeros.
    fn of_block(&self, block: &[u8]) -> [u8; 16] {
        let (parts, rest) = block.as_chunks::<16>();
        let (steps, odd) = parts.as_chunks::<2>();
        let mut last = [[0; 16]; 2];
        for (to, from) in last
            .iter_mut()
            .zip(odd.iter().map(|part| &part[..]).chain([rest]))
        {
            if let Some(to) = to.get_mut(..from.len()) {
                to.copy_from_slice(from);
            }
        }
        let behind = self.key.get(steps.len().saturating_mul(2)..);
        let [first, second] = simd::nh(steps, &self.key);
        let last = if odd.is_empty() && rest.is_empty() {
            &[][..]
        } else {
            &[last]
        };
        let [first_rest, second_rest] = simd::nh(last, behind.unwrap_or_default());
        let hash = [
            first.wrapping_add(first_rest),
            second.wrapping_add(second_rest),
        ];
        let mut bytes = [0; 16];
        for (to, from) in bytes.as_chunks_mut().0.iter_mut().zip(hash) {
            *to = from.to_le_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Returns NH as RFC 4418 defines it.
    fn nh(key: &[u8], block: &[u8]) -> u64 {
        let mut block = block.to_vec();
        block.resize(block.len().next_multiple_of(32), 0);
        let word = |bytes: &[u8], at: usize| {
            u32::from_le_bytes(bytes[4 * at..4 * at + 4].try_into().unwrap())
        };
        let mut sum = 0u64;
        for at in (0..block.len() / 4).filter(|at| at % 8 < 4) {
            let low = word(&block, at).wrapping_add(word(key, at));
            let high = word(&block, at + 4).wrapping_add(word(key, at + 4));
            sum = sum.wrapping_add(u64::from(low).wrapping_mul(u64::from(high)));
        }
        sum
    }

    #[test]
    fn each_change_of_a_text_changes_its_hash() {
        let hash = TextHash::new(&[7; 32]);
        let text = "The order has not left the warehouse yet. ".repeat(60);
        let mut seen = HashSet::from([hash.of(text.as_bytes())]);
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            assert!(seen.insert(hash.of(&other)), "changed at {at}");
            assert!(seen.insert(hash.of(&text.as_bytes()[..at])), "cut at {at}");
        }
        let zeros = vec![0; 3 * BLOCK];
        for length in 1..zeros.len() {
            assert!(seen.insert(hash.of(&zeros[..length])), "{length} zeros");
        }
    }

    #[test]
    fn blocks_that_change_places_change_the_hash() {
        let hash = TextHash::new(&[7; 32]);
        let (a, b) = ("a".repeat(BLOCK), "b".repeat(BLOCK));
        assert_ne!(
            hash.of(format!("{a}{b}").as_bytes()),
            hash.of(format!("{b}{a}").as_bytes())
        );
    }

    #[test]
    fn another_secret_makes_another_hash() {
        let text = b"The order has not left the warehouse yet.";
        assert_ne!(
            TextHash::new(&[7; 32]).of(text),
            TextHash::new(&[8; 32]).of(text)
        );
    }

    proptest! {
        #[test]
        fn a_block_is_hashed_as_umac_does(block in prop::collection::vec(any::<u8>(), 0..=BLOCK)) {
            let hash = TextHash::new(&[7; 32]);
            let key = hash.key.concat();
            let expected = [nh(&key, &block), nh(&key[16..], &block)];
            prop_assert_eq!(hash.of(&block)[..16].to_vec(), expected.map(u64::to_le_bytes).concat());
        }
    }
}
