//! Keccak-256, the hash of Ethereum: the permutation of SHA-3, with the padding from before it became a standard.
//!
//! It is our own implementation, because each address in a text costs one hash. In V8 it takes a fifth of the time of
//! the `sha3` crate, whose loops over the lanes this build does not unroll.

/// Round constants (FIPS 202, 3.2.5).
const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808A,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808B,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008A,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000A,
    0x0000_0000_8000_808B,
    0x8000_0000_0000_008B,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800A,
    0x8000_0000_8000_000A,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// Returns the hash of a text that fits into one block of 136 bytes; `None` if the text is longer.
pub(super) fn keccak_256(text: &[u8]) -> Option<[u8; 32]> {
    let mut block = [0u8; 136];
    block.get_mut(..text.len())?.copy_from_slice(text);
    // The padding: a one after the text, and one at the end of the block.
    *block.get_mut(text.len())? |= 0x01;
    block[135] |= 0x80;
    let mut state = [0u64; 25];
    let (words, _) = block.as_chunks();
    for (lane, word) in state.iter_mut().zip(words) {
        *lane = u64::from_le_bytes(*word);
    }
    permute(&mut state);
    let mut hash = [0u8; 32];
    let (words, _) = hash.as_chunks_mut();
    for (word, lane) in words.iter_mut().zip(state) {
        *word = lane.to_le_bytes();
    }
    Some(hash)
}

/// Applies Keccak-f[1600] (FIPS 202, 3.2 and 3.3). It is written out lane by lane: local variables stay in registers.
fn permute(state: &mut [u64; 25]) {
    let mut a = *state;
    for round in ROUNDS {
        // Theta: the parity of the neighbouring columns of each lane.
        let c = [
            a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20],
            a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21],
            a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22],
            a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23],
            a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24],
        ];
        let d = [
            c[4] ^ c[1].rotate_left(1),
            c[0] ^ c[2].rotate_left(1),
            c[1] ^ c[3].rotate_left(1),
            c[2] ^ c[4].rotate_left(1),
            c[3] ^ c[0].rotate_left(1),
        ];
        // Rho and pi: each lane is rotated, and moved to its new position; one row of the result each.
        let rows = [
            [
                a[0] ^ d[0],
                (a[6] ^ d[1]).rotate_left(44),
                (a[12] ^ d[2]).rotate_left(43),
                (a[18] ^ d[3]).rotate_left(21),
                (a[24] ^ d[4]).rotate_left(14),
            ],
            [
                (a[3] ^ d[3]).rotate_left(28),
                (a[9] ^ d[4]).rotate_left(20),
                (a[10] ^ d[0]).rotate_left(3),
                (a[16] ^ d[1]).rotate_left(45),
                (a[22] ^ d[2]).rotate_left(61),
            ],
            [
                (a[1] ^ d[1]).rotate_left(1),
                (a[7] ^ d[2]).rotate_left(6),
                (a[13] ^ d[3]).rotate_left(25),
                (a[19] ^ d[4]).rotate_left(8),
                (a[20] ^ d[0]).rotate_left(18),
            ],
            [
                (a[4] ^ d[4]).rotate_left(27),
                (a[5] ^ d[0]).rotate_left(36),
                (a[11] ^ d[1]).rotate_left(10),
                (a[17] ^ d[2]).rotate_left(15),
                (a[23] ^ d[3]).rotate_left(56),
            ],
            [
                (a[2] ^ d[2]).rotate_left(62),
                (a[8] ^ d[3]).rotate_left(55),
                (a[14] ^ d[4]).rotate_left(39),
                (a[15] ^ d[0]).rotate_left(41),
                (a[21] ^ d[1]).rotate_left(2),
            ],
        ];
        // Chi, row by row, and iota on the first lane.
        [a[0], a[1], a[2], a[3], a[4]] = chi(rows[0]);
        [a[5], a[6], a[7], a[8], a[9]] = chi(rows[1]);
        [a[10], a[11], a[12], a[13], a[14]] = chi(rows[2]);
        [a[15], a[16], a[17], a[18], a[19]] = chi(rows[3]);
        [a[20], a[21], a[22], a[23], a[24]] = chi(rows[4]);
        a[0] ^= round;
    }
    *state = a;
}

#[inline(always)]
fn chi(row: [u64; 5]) -> [u64; 5] {
    let [a, b, c, d, e] = row;
    [
        a ^ (!b & c),
        b ^ (!c & d),
        c ^ (!d & e),
        d ^ (!e & a),
        e ^ (!a & b),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha3::{Digest, Keccak256};

    #[test]
    fn nothing_has_the_hash_that_everyone_knows() {
        let hash = keccak_256(b"").unwrap();
        assert_eq!(hash[..4], [0xC5, 0xD2, 0x46, 0x01]);
        assert_eq!(hash[28..], [0x5D, 0x85, 0xA4, 0x70]);
    }

    proptest! {
        #[test]
        fn the_sha3_crate_has_the_same(text in prop::collection::vec(any::<u8>(), 0..140)) {
            let expected = (text.len() < 136).then(|| Keccak256::digest(&text).into());
            prop_assert_eq!(keccak_256(&text), expected);
        }
    }
}
