//! Hash by which a cache chooses a slot. It has no key: whoever makes two entries fall into one slot has one of them made again.

use crate::wire::span::offset;

/// Mixes words of eight bytes into a hash. Its upper half depends on all of them.
pub fn mix<'w>(start: u64, words: impl Iterator<Item = &'w [u8; 8]>) -> u64 {
    words.fold(start, |hash, word| {
        // Knuth's multiplier, 2⁶⁴ divided by the golden ratio.
        (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    })
}

/// Returns the slot of a hash, below `slots`.
pub fn slot(hash: u64, slots: usize) -> usize {
    usize::try_from(hash >> 32).map_or(0, |hash| hash.checked_rem(slots).unwrap_or(0))
}

/// Puts something before all others of a set, the latest ones first. Returns the last of these, for which there is no place.
pub fn push<T>(set: &mut [T], first: T) -> Option<T> {
    set.rotate_right(1);
    let place = set.first_mut()?;
    Some(std::mem::replace(place, first))
}

/// Places of data that are read to tell it from other data.
const SAMPLES: usize = 8;

/// Number that data which came before has again, and other data seldom.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    let apart = bytes.len().wrapping_div(SAMPLES).max(1);
    let starts = (0..bytes.len()).step_by(apart).take(SAMPLES);
    let samples = starts.filter_map(|start| bytes.get(start..)?.first_chunk::<8>());
    let last = bytes.last_chunk::<8>();
    let length = u64::from(offset(bytes.len()));
    mix(length, samples.chain(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_anywhere_in_a_few_bytes_has_another_fingerprint() {
        let data = br#"{"path":"/srv/app/src/part_10.rs","limit":200}"#;
        for at in 0..data.len() {
            let mut other = *data;
            other[at] ^= 1;
            assert_ne!(fingerprint(data), fingerprint(&other), "{at}");
        }
    }
}
