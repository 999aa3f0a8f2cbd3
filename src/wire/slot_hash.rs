//! Hash by which a cache chooses a slot. It has no key: whoever makes two entries fall into one slot has one of them made again.

/// Mixes words of eight bytes into a hash. Its upper half depends on all of them.
pub fn mix<'w>(start: u64, words: impl Iterator<Item = &'w [u8; 8]>) -> u64 {
    words.fold(start, |hash, word| {
        // Knuth's multiplier, 2⁶⁴ divided by the golden ratio.
        (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    })
}

/// The slot of a hash, of so many.
pub fn slot(hash: u64, slots: usize) -> usize {
    usize::try_from(hash >> 32).map_or(0, |hash| hash.checked_rem(slots).unwrap_or(0))
}
