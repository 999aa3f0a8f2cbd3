//! Vectorised passes over bytes, all that touch each of them: what ends a JSON string ([`string_stops`]), whether a text has bytes that
//! are not plain, and classes of bytes, 64 at a time.
//!
//! Each function of the latter has four forms: WebAssembly's 128-bit vectors, AVX2 and SSSE3 by run-time detection, and a plain loop
//! over a table, which is the definition that the others are tested against.
//!
//! The class of a byte is `LOW[low half] & HIGH[high half]`. A *stem* is a position where one of some three bytes may be,
//! those of [`STEMS`] or a caller's own, case-insensitively: for each of its three bytes, two more such tables determine which of eight groups of stems
//! still match (the scheme is known as Teddy, from the Hyperscan library). Groups mix their bytes, so a stem is a
//! hint only.
#![expect(
    unsafe_code,
    reason = "vector loads take pointers, and functions compiled for a CPU feature must be called with care"
)]

/// What ends plain content of a JSON string among 16 bytes: a quote, a backslash or a control character; and what is not ASCII.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StringStops {
    /// Bit `n` for byte `n`.
    pub(crate) stops: u32,
    /// Bit `n` for byte `n`.
    pub(crate) high: u32,
}

/// Returns what ends plain content of a JSON string.
#[inline(always)]
pub(crate) fn string_stops(block: &[u8; 16]) -> StringStops {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    return wasm::string_stops(block);
    // SAFETY: each processor of this kind has SSE2.
    #[cfg(target_arch = "x86_64")]
    return unsafe { x86::string_stops(block) };
    #[cfg(not(any(
        all(target_arch = "wasm32", target_feature = "simd128"),
        target_arch = "x86_64"
    )))]
    plain_string_stops(block)
}

/// Returns how many bytes, of 64 each, are plain content of a JSON string. Sets `high` if one of them is not ASCII.
pub(crate) fn plain_string_bytes(bytes: &[u8], high: &mut bool) -> usize {
    let mut plain = 0usize;
    for block in bytes.as_chunks::<BLOCK>().0 {
        let (has_stop, has_high) = string_stops_of_all(block);
        if has_stop {
            break;
        }
        *high |= has_high;
        plain = plain.wrapping_add(BLOCK);
    }
    plain
}

/// Returns whether two blocks of 64 bytes are the same.
#[inline(always)]
pub(crate) fn are_equal(a: &[u8; BLOCK], b: &[u8; BLOCK]) -> bool {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    return wasm::are_equal(a, b);
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    return a == b;
}

/// Returns whether anything ends plain content of a JSON string, and whether anything is not ASCII.
#[inline(always)]
fn string_stops_of_all(block: &[u8; BLOCK]) -> (bool, bool) {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    return wasm::string_stops_of_all(block);
    // SAFETY: each processor of this kind has SSE2.
    #[cfg(target_arch = "x86_64")]
    return unsafe { x86::string_stops_of_all(block) };
    #[cfg(not(any(
        all(target_arch = "wasm32", target_feature = "simd128"),
        target_arch = "x86_64"
    )))]
    plain_string_stops_of_all(block)
}

#[cfg(any(
    test,
    not(any(
        all(target_arch = "wasm32", target_feature = "simd128"),
        target_arch = "x86_64"
    ))
))]
fn plain_string_stops_of_all(block: &[u8; BLOCK]) -> (bool, bool) {
    let (parts, _) = block.as_chunks();
    parts
        .iter()
        .fold((false, false), |(has_stop, has_high), part| {
            let seen = plain_string_stops(part);
            (has_stop | (seen.stops != 0), has_high | (seen.high != 0))
        })
}

#[cfg(any(
    test,
    not(any(
        all(target_arch = "wasm32", target_feature = "simd128"),
        target_arch = "x86_64"
    ))
))]
fn plain_string_stops(block: &[u8; 16]) -> StringStops {
    let bits = |is: fn(u8) -> bool| {
        (0..16u32).zip(block).fold(0, |bits, (at, byte)| {
            bits | u32::from(is(*byte)).wrapping_shl(at)
        })
    };
    StringStops {
        stops: bits(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F)),
        high: bits(|byte| !byte.is_ascii()),
    }
}

/// Bytes that were found to be UTF-8, as text.
///
/// # Errors
/// They are not, and where.
pub(crate) fn string(bytes: Vec<u8>) -> Result<String, std::str::Utf8Error> {
    crate::wire::utf8::text(&bytes)?;
    // SAFETY: they are UTF-8, as was just seen. The standard library's way reads all of them again.
    Ok(unsafe { String::from_utf8_unchecked(bytes) })
}

/// Positions in 64 bytes as bit sets: bit `n` for byte `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) digit: u64,
    pub(crate) letter: u64,
    pub(crate) at: u64,
    pub(crate) colon: u64,
    pub(crate) dash: u64,
    pub(crate) stem: u64,
}

/// Bytes of a [`Block`].
pub(crate) const BLOCK: usize = 64;

/// Bytes needed after a block: a stem has three.
const AFTER: usize = 2;

/// Beginnings of keywords, and marks at the beginning of something; 0 is any byte. Letters are in lower case.
const STEMS: [(u8, [u8; 3]); 20] = [
    (0, *b"pas"),
    (0, *b"pwd"),
    (1, *b"sec"),
    (1, *b"tok"),
    (2, *b"key"),
    (2, *b"api"),
    (3, *b"cre"),
    (3, *b"aut"),
    (4, *b"://"),
    (4, *b"ras"),
    (5, *b"---"),
    (5, *b"nha"),
    (5, *b"nwo"),
    (6, *b"![\0"),
    (6, *b"](\0"),
    (6, *b"]:\0"),
    (7, *b"<|\0"),
    (7, *b"[in"),
    (7, *b"[/i"),
    (7, *b"</s"),
];

/// Bit in which capitals and lower-case letters differ.
const CASE: u8 = 0x20;

const DIGIT: u8 = 1;
/// a–o, and p–z: half of the letters have another high half.
const A_TO_O: u8 = 2;
const P_TO_Z: u8 = 4;
const LETTERS: u8 = A_TO_O | P_TO_Z;
const AT: u8 = 8;
const COLON: u8 = 16;
const DASH: u8 = 32;

const LOW: [u8; 16] = [
    DIGIT | 4 | AT,
    DIGIT | LETTERS,
    DIGIT | LETTERS,
    DIGIT | LETTERS,
    DIGIT | LETTERS,
    DIGIT | LETTERS,
    DIGIT | LETTERS,
    DIGIT | LETTERS,
    DIGIT | LETTERS,
    DIGIT | LETTERS,
    LETTERS | COLON,
    2,
    2,
    2 | DASH,
    2,
    2,
];
const HIGH: [u8; 16] = [
    0,
    0,
    DASH,
    DIGIT | COLON,
    2 | AT,
    4,
    2,
    4,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
];

/// Bits of bytes that a reader may not see as they are: outside of ASCII or DEL, controls other than white space, and
/// `&`, `%` and `\`, which begin escapes. The high halves 0, 1 and from 8 on, 2, 5 and 7 have a bit each.
const CODED_LOW: [u8; 16] = [3, 3, 3, 3, 3, 7, 7, 3, 3, 2, 2, 2, 10, 2, 3, 19];
const CODED_HIGH: [u8; 16] = [1, 2, 4, 0, 0, 8, 0, 16, 2, 2, 2, 2, 2, 2, 2, 2];

/// For each byte of a stem: groups that match the low half, groups that match the high half. Bytes that differ only
/// in the case bit count as one, so that no case needs to be folded.
pub(crate) type StemTables = [[[u8; 16]; 2]; 3];

/// Number of groups of stems.
pub(crate) const STEM_GROUPS: u8 = 8;

/// Maximum number of stems that tables are worth: three for each group. With more, what is none of them passes too often.
pub(crate) const MAX_STEMS: usize = 3 * STEM_GROUPS as usize;

const STEM_TABLES: StemTables = stem_tables(&STEMS);

/// Returns the tables of stems, each with its group, which is less than [`STEM_GROUPS`].
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a compiler runs it, too: places and halves end before their arrays do"
)]
pub(crate) const fn stem_tables(mut stems: &[(u8, [u8; 3])]) -> StemTables {
    let mut tables = [[[0u8; 16]; 2]; 3];
    while let [(group, bytes), rest @ ..] = stems {
        let group = 1u8.wrapping_shl(*group as u32);
        let mut place = 0;
        while place < 3 {
            let byte = bytes[place];
            let folded = byte | CASE;
            let mut half = 0;
            while half < 16 {
                if byte == 0 || half == (folded & 15) as usize {
                    tables[place][0][half] |= group;
                }
                if byte == 0 || half | (CASE >> 4) as usize == (folded >> 4) as usize {
                    tables[place][1][half] |= group;
                }
                half += 1;
            }
            place += 1;
        }
        stems = rest;
    }
    tables
}

/// Adds up the products of NH (RFC 4418, 5.2.2) for steps of 32 bytes: words of 32 bits, each with its word of the key, are
/// multiplied by those 16 bytes behind them. The second sum is by a key that starts 16 bytes later. Steps beyond the key don't count.
#[inline(always)]
pub(crate) fn nh(steps: &[[[u8; 16]; 2]], key: &[[u8; 16]]) -> [u64; 2] {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    return wasm::nh(steps, key);
    // SAFETY: each processor of this kind has SSE2.
    #[cfg(target_arch = "x86_64")]
    return unsafe { x86::nh(steps, key) };
    #[cfg(not(any(
        all(target_arch = "wasm32", target_feature = "simd128"),
        target_arch = "x86_64"
    )))]
    plain_nh(steps, key)
}

#[cfg(any(
    test,
    not(any(
        all(target_arch = "wasm32", target_feature = "simd128"),
        target_arch = "x86_64"
    ))
))]
fn plain_nh(steps: &[[[u8; 16]; 2]], key: &[[u8; 16]]) -> [u64; 2] {
    fn keyed<'b>(bytes: &'b [u8; 16], key: &'b [u8; 16]) -> impl Iterator<Item = u64> + 'b {
        let words = bytes.as_chunks::<4>().0.iter().zip(key.as_chunks::<4>().0);
        words.map(|(word, key)| {
            u32::from_le_bytes(*word)
                .wrapping_add(u32::from_le_bytes(*key))
                .into()
        })
    }
    let [mut first_sum, mut second_sum] = [0u64; 2];
    for ([low, high], keys) in steps.iter().zip(key.windows(3).step_by(2)) {
        if let [first, second, third] = keys {
            let product = |sum: u64, low_key, high_key| {
                let pairs = keyed(low, low_key).zip(keyed(high, high_key));
                pairs.fold(sum, |sum, (low, high)| {
                    sum.wrapping_add(low.wrapping_mul(high))
                })
            };
            first_sum = product(first_sum, first, second);
            second_sum = product(second_sum, second, third);
        }
    }
    [first_sum, second_sum]
}

/// Form of the function that this machine can run; detected once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SimdLevel {
    /// Loop over the table.
    #[cfg_attr(
        target_arch = "wasm32",
        expect(dead_code, reason = "the filter is built with vectors")
    )]
    Plain,
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Wasm,
    #[cfg(target_arch = "x86_64")]
    Ssse3,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl SimdLevel {
    /// Returns the fastest form.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
            if std::arch::is_x86_feature_detected!("ssse3") {
                return Self::Ssse3;
            }
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        return Self::Wasm;
        #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
        Self::Plain
    }

    /// Classifies the bytes from `from` on into `blocks`, as far as these suffice. Returns the number of filled
    /// blocks. The last one may be partly empty.
    ///
    /// `stems`: also where [`STEMS`] may be, which takes as long as everything else.
    pub(crate) fn classify(
        self,
        bytes: &[u8],
        from: usize,
        stems: bool,
        blocks: &mut [Block],
    ) -> usize {
        let rest = bytes.get(from..).unwrap_or_default();
        let whole = rest
            .len()
            .saturating_sub(AFTER)
            .div_euclid(BLOCK)
            .min(blocks.len());
        let (head, tail) = blocks.split_at_mut_checked(whole).unwrap_or_default();
        self.classify_whole(rest, stems, head);
        let done = whole.saturating_mul(BLOCK);
        let Some((last, left)) = tail
            .first_mut()
            .zip(rest.get(done..))
            .filter(|(_, left)| !left.is_empty())
        else {
            return whole;
        };
        let mut padded = [0u8; BLOCK + AFTER];
        for (to, byte) in padded.iter_mut().zip(left) {
            *to = *byte;
        }
        self.classify_whole(&padded, stems, std::slice::from_mut(last));
        // At most two bytes may be left for a block of their own.
        if left.len() > BLOCK && whole.saturating_add(1) < blocks.len() {
            let next = from.saturating_add(done).saturating_add(BLOCK);
            let rest = blocks
                .get_mut(whole.saturating_add(1)..)
                .unwrap_or_default();
            return whole
                .saturating_add(1)
                .saturating_add(self.classify(bytes, next, stems, rest));
        }
        whole.saturating_add(1)
    }

    /// Returns whether a reader sees each byte as it is.
    pub(crate) fn is_plain(self, bytes: &[u8]) -> bool {
        let (blocks, rest) = bytes.as_chunks();
        let has_coded = |block: &[u8; BLOCK]| match self {
            Self::Plain => block.iter().any(is_coded),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Wasm => wasm::has_coded(block),
            // SAFETY: `best` chose this level because the CPU has the feature.
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3 => unsafe { x86::has_coded_ssse3(block) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::has_coded_avx2(block) },
        };
        let ends_plain = match bytes.last_chunk::<BLOCK>() {
            Some(_) if rest.is_empty() => true,
            // Has bytes of the block before, too.
            Some(end) => self.is_plain(end),
            None if rest.is_empty() => true,
            None => {
                let mut padded = [b' '; BLOCK];
                for (to, byte) in padded.iter_mut().zip(rest) {
                    *to = *byte;
                }
                !has_coded(&padded)
            }
        };
        ends_plain && !blocks.iter().any(has_coded)
    }

    /// Calls `visit` with each position where one of the stems in the tables may be, until it returns `true`. Returns
    /// whether it did.
    pub(crate) fn any_stem(
        self,
        tables: &StemTables,
        bytes: &[u8],
        visit: &mut dyn FnMut(usize) -> bool,
    ) -> bool {
        let mut padded = [0u8; BLOCK + AFTER];
        let mut from = 0usize;
        while let Some(rest) = bytes.get(from..).filter(|rest| rest.len() > AFTER) {
            let window = match rest.first_chunk() {
                Some(window) => window,
                None => {
                    for (to, byte) in padded.iter_mut().zip(rest) {
                        *to = *byte;
                    }
                    &padded
                }
            };
            let mut found = self.stems(tables, window);
            while found != 0 {
                if visit(from.wrapping_add(found.trailing_zeros() as usize)) {
                    return true;
                }
                found &= found.wrapping_sub(1);
            }
            from = from.wrapping_add(BLOCK);
        }
        false
    }

    /// Returns where in the block at `from` one of the stems in the tables may be. At the end of the bytes any place may
    /// be one.
    pub(crate) fn stems_from(self, tables: &StemTables, bytes: &[u8], from: usize) -> u64 {
        let window = bytes.get(from..).and_then(|rest| rest.first_chunk());
        window.map_or(u64::MAX, |window| self.stems(tables, window))
    }

    fn stems(self, tables: &StemTables, window: &[u8; BLOCK + AFTER]) -> u64 {
        match self {
            Self::Plain => plain_stems(tables, window),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Wasm => wasm::stems(tables, window),
            // SAFETY: `best` chose this level because the CPU has the feature.
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3 => unsafe { x86::stems_ssse3(tables, window) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::stems_avx2(tables, window) },
        }
    }

    /// Classifies whole blocks. `bytes` has [`AFTER`] bytes more than `blocks` cover.
    fn classify_whole(self, bytes: &[u8], stems: bool, blocks: &mut [Block]) {
        debug_assert!(
            blocks.is_empty()
                || bytes.len() >= blocks.len().wrapping_mul(BLOCK).wrapping_add(AFTER)
        );
        for (index, block) in blocks.iter_mut().enumerate() {
            let at = index.wrapping_mul(BLOCK);
            let Some(window) = bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk::<{ BLOCK + AFTER }>())
            else {
                return;
            };
            *block = match self {
                Self::Plain => plain(window),
                #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
                Self::Wasm => wasm::classify(window),
                // SAFETY: `best` chose this level because the CPU has the feature.
                #[cfg(target_arch = "x86_64")]
                Self::Ssse3 => unsafe { x86::classify_ssse3(window) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => unsafe { x86::classify_avx2(window) },
            };
            if stems {
                block.stem = self.stems(&STEM_TABLES, window);
            }
        }
    }
}

/// Returns whether all bytes are ASCII. The standard library's function checks only four bytes at a time in
/// WebAssembly.
pub(crate) fn is_ascii(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let fits = |block: &[u8]| block.iter().fold(0, |all, byte| all | byte).is_ascii();
    blocks.iter().all(|block| fits(block)) && fits(rest)
}

fn look(table: &[u8; 16], half: u8) -> u8 {
    table.get(usize::from(half)).copied().unwrap_or(0)
}

fn is_coded(byte: &u8) -> bool {
    look(&CODED_LOW, byte & 15) & look(&CODED_HIGH, byte >> 4) != 0
}

/// Classifies the bytes of a block by the definition: by their halves.
fn plain(window: &[u8; BLOCK + AFTER]) -> Block {
    let mut block = Block::default();
    for (place, three) in window.windows(3).enumerate() {
        let bit = 1u64.wrapping_shl(u32::try_from(place).unwrap_or(0));
        let Some(byte) = three.first() else { continue };
        let class = look(&LOW, byte & 15) & look(&HIGH, byte >> 4);
        let set = |mask: &mut u64, wanted: u8| {
            if class & wanted != 0 {
                *mask |= bit;
            }
        };
        set(&mut block.digit, DIGIT);
        set(&mut block.letter, LETTERS);
        set(&mut block.at, AT);
        set(&mut block.colon, COLON);
        set(&mut block.dash, DASH);
    }
    block
}

/// Returns where stems may be, by the definition.
fn plain_stems(tables: &StemTables, window: &[u8; BLOCK + AFTER]) -> u64 {
    let mut stems = 0;
    for (place, three) in window.windows(3).enumerate() {
        let groups = three
            .iter()
            .zip(tables)
            .fold(u8::MAX, |groups, (byte, [low, high])| {
                groups & look(low, byte & 15) & look(high, byte >> 4)
            });
        if groups != 0 {
            stems |= 1u64.wrapping_shl(u32::try_from(place).unwrap_or(0));
        }
    }
    stems
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm {
    use super::{
        A_TO_O, AFTER, AT, BLOCK, Block, CODED_HIGH, CODED_LOW, COLON, DASH, DIGIT, HIGH, LOW,
        P_TO_Z, StemTables, StringStops,
    };
    use core::arch::wasm32::{
        i8x16_eq, i8x16_shuffle, i32x4_add, i64x2_add, i64x2_splat, u8x16_bitmask, u8x16_lt,
        u8x16_shr, u8x16_splat, u8x16_swizzle, u16x8_shl, u64x2_extmul_high_u32x4,
        u64x2_extmul_low_u32x4, u64x2_extract_lane, v128, v128_and, v128_any_true, v128_load,
        v128_or, v128_xor,
    };

    /// Loads the 16 bytes from `at` on. `at` is at most `BLOCK + AFTER - 16`.
    #[inline(always)]
    fn load(window: &[u8; BLOCK + AFTER], at: usize) -> v128 {
        debug_assert!(at <= BLOCK + AFTER - 16);
        // SAFETY: callers pass constants up to 50, so 16 bytes from there lie within the 66 of the window; the
        // instruction needs no alignment.
        unsafe { v128_load(window.as_ptr().wrapping_add(at).cast()) }
    }

    #[inline(always)]
    fn table(table: &[u8; 16]) -> v128 {
        // SAFETY: 16 bytes are read from an array of 16.
        unsafe { v128_load(table.as_ptr().cast()) }
    }

    /// Halves of 16 bytes.
    #[derive(Clone, Copy)]
    struct Halves {
        low: v128,
        high: v128,
    }

    #[inline(always)]
    fn halves(bytes: v128) -> Halves {
        Halves {
            low: v128_and(bytes, u8x16_splat(15)),
            high: u8x16_shr(bytes, 4),
        }
    }

    /// Returns the groups of each byte: the bits that the two tables have in common for its halves.
    #[inline(always)]
    fn look(low: &[u8; 16], high: &[u8; 16], halves: Halves) -> v128 {
        v128_and(
            u8x16_swizzle(table(low), halves.low),
            u8x16_swizzle(table(high), halves.high),
        )
    }

    /// Returns the bytes with any group.
    #[inline(always)]
    fn any(groups: v128) -> u64 {
        u64::from(!u8x16_bitmask(i8x16_eq(groups, u8x16_splat(0))))
    }

    /// Returns the bytes of a class of one bit. A mask takes the highest bit of each byte, so the class is shifted
    /// there. Bits from the neighbouring byte stay below.
    #[inline(always)]
    fn of(classes: v128, class: u8) -> v128 {
        u16x8_shl(classes, class.leading_zeros())
    }

    #[inline(always)]
    pub(crate) fn are_equal(a: &[u8; BLOCK], b: &[u8; BLOCK]) -> bool {
        let parts = a.as_chunks().0.iter().zip(b.as_chunks().0);
        let differ =
            |all, (a, b): (&[u8; 16], &[u8; 16])| v128_or(all, v128_xor(table(a), table(b)));
        !v128_any_true(parts.fold(u8x16_splat(0), differ))
    }

    /// Returns which bytes end plain content of a JSON string.
    #[inline(always)]
    fn ends_string(bytes: v128) -> v128 {
        v128_or(
            u8x16_lt(bytes, u8x16_splat(b' ')),
            v128_or(
                i8x16_eq(bytes, u8x16_splat(b'"')),
                i8x16_eq(bytes, u8x16_splat(b'\\')),
            ),
        )
    }

    #[inline(always)]
    pub(crate) fn string_stops(block: &[u8; 16]) -> StringStops {
        let bytes = table(block);
        StringStops {
            stops: u32::from(u8x16_bitmask(ends_string(bytes))),
            high: u32::from(u8x16_bitmask(bytes)),
        }
    }

    #[inline(always)]
    pub(crate) fn string_stops_of_all(block: &[u8; BLOCK]) -> (bool, bool) {
        let (parts, _) = block.as_chunks();
        let none = (u8x16_splat(0), u8x16_splat(0));
        let (stops, bytes) = parts.iter().fold(none, |(stops, all), part| {
            let bytes = table(part);
            (v128_or(stops, ends_string(bytes)), v128_or(all, bytes))
        });
        (v128_any_true(stops), u8x16_bitmask(bytes) != 0)
    }

    #[inline(always)]
    pub(crate) fn nh(steps: &[[[u8; 16]; 2]], key: &[[u8; 16]]) -> [u64; 2] {
        let product = |sum, low, high| {
            let low_half = u64x2_extmul_low_u32x4(low, high);
            let high_half = u64x2_extmul_high_u32x4(low, high);
            i64x2_add(sum, i64x2_add(low_half, high_half))
        };
        let (mut first_sum, mut second_sum) = (i64x2_splat(0), i64x2_splat(0));
        for ([low, high], keys) in steps.iter().zip(key.windows(3).step_by(2)) {
            if let [first, second, third] = keys {
                let (low, high) = (table(low), table(high));
                let (first, second, third) = (table(first), table(second), table(third));
                first_sum = product(first_sum, i32x4_add(low, first), i32x4_add(high, second));
                second_sum = product(second_sum, i32x4_add(low, second), i32x4_add(high, third));
            }
        }
        [first_sum, second_sum]
            .map(|sum| u64x2_extract_lane::<0>(sum).wrapping_add(u64x2_extract_lane::<1>(sum)))
    }

    pub(crate) fn has_coded(block: &[u8; BLOCK]) -> bool {
        let (parts, _) = block.as_chunks();
        v128_any_true(parts.iter().fold(u8x16_splat(0), |any, part| {
            v128_or(any, look(&CODED_LOW, &CODED_HIGH, halves(table(part))))
        }))
    }

    pub(crate) fn stems(tables: &StemTables, window: &[u8; BLOCK + AFTER]) -> u64 {
        let [a, b, c, d] = groups_of_stems(tables, window);
        // Most blocks have none.
        if !v128_any_true(v128_or(v128_or(a, b), v128_or(c, d))) {
            return 0;
        }
        any(a) | any(b) << 16 | any(c) << 32 | any(d) << 48
    }

    /// Returns the groups whose stems may be at each byte, in four parts.
    #[inline(always)]
    fn groups_of_stems(tables: &StemTables, window: &[u8; BLOCK + AFTER]) -> [v128; 4] {
        let [[low0, high0], [low1, high1], [low2, high2]] = tables;
        let later = |halves| (look(low1, high1, halves), look(low2, high2, halves));
        // Runs from the last bytes to the first, so that the bytes after each 16 are known.
        let (second, third) = later(halves(load(window, BLOCK + AFTER - 16)));
        let behind = |groups| {
            i8x16_shuffle::<14, 15, 14, 15, 14, 15, 14, 15, 14, 15, 14, 15, 14, 15, 14, 15>(
                groups, groups,
            )
        };
        let mut after = (behind(second), behind(third));
        let mut part = |at| {
            let halves = halves(load(window, at));
            let first = look(low0, high0, halves);
            let (second, third) = later(halves);
            let groups = v128_and(
                v128_and(first, one_on(second, after.0)),
                two_on(third, after.1),
            );
            after = (second, third);
            groups
        };
        let [d, c, b, a] = [part(48), part(32), part(16), part(0)];
        [a, b, c, d]
    }

    #[inline(always)]
    pub(crate) fn classify(window: &[u8; BLOCK + AFTER]) -> Block {
        let classes = [0, 16, 32, 48].map(|at| look(&LOW, &HIGH, halves(load(window, at))));
        let [a, b, c, d] = classes;
        let all = v128_or(v128_or(a, b), v128_or(c, d));
        let bits = |classes: [v128; 4]| {
            let [a, b, c, d] = classes.map(|class| u64::from(u8x16_bitmask(class)));
            a | b << 16 | c << 32 | d << 48
        };
        // Most blocks have none of most classes.
        let mask = |class| match u8x16_bitmask(of(all, class)) {
            0 => 0,
            _ => bits(classes.map(|classes| of(classes, class))),
        };
        Block {
            digit: mask(DIGIT),
            letter: bits(classes.map(|classes| v128_or(of(classes, A_TO_O), of(classes, P_TO_Z)))),
            at: mask(AT),
            colon: mask(COLON),
            dash: mask(DASH),
            stem: 0,
        }
    }

    /// Returns the bytes one position further on.
    #[inline(always)]
    fn one_on(here: v128, after: v128) -> v128 {
        i8x16_shuffle::<1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16>(here, after)
    }

    /// Returns the bytes two positions further on.
    #[inline(always)]
    fn two_on(here: v128, after: v128) -> v128 {
        i8x16_shuffle::<2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17>(here, after)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{
        AFTER, AT, BLOCK, Block, CODED_HIGH, CODED_LOW, COLON, DASH, DIGIT, HIGH, LETTERS, LOW,
        StemTables, StringStops,
    };
    use core::arch::x86_64::{
        __m128i, __m256i, _mm_add_epi32, _mm_add_epi64, _mm_and_si128, _mm_cmpeq_epi8,
        _mm_cvtsi128_si64, _mm_loadu_si128, _mm_max_epu8, _mm_movemask_epi8, _mm_mul_epu32,
        _mm_or_si128, _mm_set1_epi8, _mm_setzero_si128, _mm_shuffle_epi8, _mm_srli_epi16,
        _mm_srli_epi64, _mm_unpackhi_epi64, _mm256_and_si256, _mm256_broadcastsi128_si256,
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    };

    /// Loads the 16 bytes of a table.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn table(table: &[u8; 16]) -> __m128i {
        // SAFETY: 16 bytes are read from an array of 16; the instruction needs no alignment.
        unsafe { _mm_loadu_si128(table.as_ptr().cast()) }
    }

    /// Returns which bytes end plain content of a JSON string.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn ends_string(bytes: __m128i) -> __m128i {
        let is = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
        let last_control = _mm_set1_epi8(0x1F);
        let is_control = _mm_cmpeq_epi8(_mm_max_epu8(bytes, last_control), last_control);
        _mm_or_si128(is_control, _mm_or_si128(is(b'"'), is(b'\\')))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn string_stops(block: &[u8; 16]) -> StringStops {
        let bytes = table(block);
        StringStops {
            stops: _mm_movemask_epi8(ends_string(bytes)).cast_unsigned(),
            high: _mm_movemask_epi8(bytes).cast_unsigned(),
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn string_stops_of_all(block: &[u8; BLOCK]) -> (bool, bool) {
        let (parts, _) = block.as_chunks();
        let (mut stops, mut all) = (_mm_setzero_si128(), _mm_setzero_si128());
        for part in parts {
            let bytes = table(part);
            stops = _mm_or_si128(stops, ends_string(bytes));
            all = _mm_or_si128(all, bytes);
        }
        (_mm_movemask_epi8(stops) != 0, _mm_movemask_epi8(all) != 0)
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    fn look(low: &[u8; 16], high: &[u8; 16], bytes: __m128i) -> __m128i {
        let half = _mm_set1_epi8(15);
        let low = _mm_shuffle_epi8(table(low), _mm_and_si128(bytes, half));
        _mm_and_si128(
            low,
            _mm_shuffle_epi8(table(high), _mm_and_si128(_mm_srli_epi16(bytes, 4), half)),
        )
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn any(groups: __m128i, wanted: u8) -> u64 {
        let wanted = _mm_and_si128(groups, _mm_set1_epi8(wanted.cast_signed()));
        let none = _mm_movemask_epi8(_mm_cmpeq_epi8(wanted, _mm_setzero_si128()));
        u64::from(!none.cast_unsigned() & 0xFFFF)
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    pub(crate) fn classify_ssse3(window: &[u8; BLOCK + AFTER]) -> Block {
        let mut block = Block::default();
        let load = |at: usize| {
            debug_assert!(at <= BLOCK + AFTER - 16);
            // SAFETY: `at` is at most 50, so 16 bytes from there lie within the 66 of the window.
            unsafe { _mm_loadu_si128(window.as_ptr().wrapping_add(at).cast()) }
        };
        for (at, shift) in [(0, 0), (16, 16), (32, 32), (48, 48)] {
            let class = look(&LOW, &HIGH, load(at));
            block.digit |= any(class, DIGIT) << shift;
            block.letter |= any(class, LETTERS) << shift;
            block.at |= any(class, AT) << shift;
            block.colon |= any(class, COLON) << shift;
            block.dash |= any(class, DASH) << shift;
        }
        block
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    pub(crate) fn stems_ssse3(tables: &StemTables, window: &[u8; BLOCK + AFTER]) -> u64 {
        let load = |at: usize| {
            debug_assert!(at <= BLOCK + AFTER - 16);
            // SAFETY: `at` is at most 50, so 16 bytes from there lie within the 66 of the window.
            unsafe { _mm_loadu_si128(window.as_ptr().wrapping_add(at).cast()) }
        };
        let [[low0, high0], [low1, high1], [low2, high2]] = tables;
        let mut stems = 0;
        for (at, shift) in [(0, 0), (16, 16), (32, 32), (48, 48)] {
            let first = look(low0, high0, load(at));
            let second = look(low1, high1, load(at.wrapping_add(1)));
            let third = look(low2, high2, load(at.wrapping_add(2)));
            stems |= any(_mm_and_si128(_mm_and_si128(first, second), third), u8::MAX) << shift;
        }
        stems
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn nh(steps: &[[[u8; 16]; 2]], key: &[[u8; 16]]) -> [u64; 2] {
        let mut first_sum = _mm_setzero_si128();
        let mut second_sum = _mm_setzero_si128();
        for ([low, high], keys) in steps.iter().zip(key.windows(3).step_by(2)) {
            if let [first, second, third] = keys {
                let (low, high) = (table(low), table(high));
                let (first, second, third) = (table(first), table(second), table(third));
                let product = |sum, low, high| {
                    let even = _mm_mul_epu32(low, high);
                    let odd = _mm_mul_epu32(_mm_srli_epi64(low, 32), _mm_srli_epi64(high, 32));
                    _mm_add_epi64(sum, _mm_add_epi64(even, odd))
                };
                first_sum = product(
                    first_sum,
                    _mm_add_epi32(low, first),
                    _mm_add_epi32(high, second),
                );
                second_sum = product(
                    second_sum,
                    _mm_add_epi32(low, second),
                    _mm_add_epi32(high, third),
                );
            }
        }
        [first_sum, second_sum].map(|sum| {
            let both = _mm_add_epi64(sum, _mm_unpackhi_epi64(sum, sum));
            _mm_cvtsi128_si64(both).cast_unsigned()
        })
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    pub(crate) fn has_coded_ssse3(block: &[u8; BLOCK]) -> bool {
        let (parts, _) = block.as_chunks();
        let coded = parts.iter().fold(_mm_setzero_si128(), |any, part| {
            _mm_or_si128(any, look(&CODED_LOW, &CODED_HIGH, table(part)))
        });
        self::any(coded, u8::MAX) != 0
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn look_avx2(low: &[u8; 16], high: &[u8; 16], bytes: __m256i) -> __m256i {
        let half = _mm256_set1_epi8(15);
        let low = _mm256_shuffle_epi8(
            _mm256_broadcastsi128_si256(table(low)),
            _mm256_and_si256(bytes, half),
        );
        let high = _mm256_broadcastsi128_si256(table(high));
        _mm256_and_si256(
            low,
            _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half)),
        )
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn any_avx2(groups: __m256i, wanted: u8) -> u64 {
        let wanted = _mm256_and_si256(groups, _mm256_set1_epi8(wanted.cast_signed()));
        u64::from(
            !_mm256_movemask_epi8(_mm256_cmpeq_epi8(wanted, _mm256_setzero_si256()))
                .cast_unsigned(),
        )
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn classify_avx2(window: &[u8; BLOCK + AFTER]) -> Block {
        let mut block = Block::default();
        let load = |at: usize| {
            debug_assert!(at <= BLOCK + AFTER - 32);
            // SAFETY: `at` is at most 34, so 32 bytes from there lie within the 66 of the window.
            unsafe { _mm256_loadu_si256(window.as_ptr().wrapping_add(at).cast()) }
        };
        for (at, shift) in [(0, 0), (32, 32)] {
            let class = look_avx2(&LOW, &HIGH, load(at));
            block.digit |= any_avx2(class, DIGIT) << shift;
            block.letter |= any_avx2(class, LETTERS) << shift;
            block.at |= any_avx2(class, AT) << shift;
            block.colon |= any_avx2(class, COLON) << shift;
            block.dash |= any_avx2(class, DASH) << shift;
        }
        block
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn stems_avx2(tables: &StemTables, window: &[u8; BLOCK + AFTER]) -> u64 {
        let load = |at: usize| {
            debug_assert!(at <= BLOCK + AFTER - 32);
            // SAFETY: `at` is at most 34, so 32 bytes from there lie within the 66 of the window.
            unsafe { _mm256_loadu_si256(window.as_ptr().wrapping_add(at).cast()) }
        };
        let [[low0, high0], [low1, high1], [low2, high2]] = tables;
        let mut stems = 0;
        for (at, shift) in [(0, 0), (32, 32)] {
            let first = look_avx2(low0, high0, load(at));
            let second = look_avx2(low1, high1, load(at.wrapping_add(1)));
            let third = look_avx2(low2, high2, load(at.wrapping_add(2)));
            stems |= any_avx2(
                _mm256_and_si256(_mm256_and_si256(first, second), third),
                u8::MAX,
            ) << shift;
        }
        stems
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn has_coded_avx2(block: &[u8; BLOCK]) -> bool {
        let (parts, _) = block.as_chunks::<32>();
        let coded = parts.iter().fold(_mm256_setzero_si256(), |any, part| {
            // SAFETY: 32 bytes are read from an array of 32; the instruction needs no alignment.
            let bytes = unsafe { _mm256_loadu_si256(part.as_ptr().cast()) };
            _mm256_or_si256(any, look_avx2(&CODED_LOW, &CODED_HIGH, bytes))
        });
        any_avx2(coded, u8::MAX) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_of_products_are_the_same_with_and_without_vectors(
            steps in prop::collection::vec(any::<[[u8; 16]; 2]>(), 0..40),
            key in prop::collection::vec(any::<[u8; 16]>(), 0..70),
        ) {
            prop_assert_eq!(nh(&steps, &key), plain_nh(&steps, &key));
        }
    }

    fn classified(level: SimdLevel, bytes: &[u8]) -> Vec<Block> {
        let mut blocks = vec![Block::default(); bytes.len() / BLOCK + 2];
        let filled = level.classify(bytes, 0, true, &mut blocks);
        blocks.truncate(filled);
        blocks
    }

    fn levels() -> Vec<SimdLevel> {
        #[cfg_attr(
            not(target_arch = "x86_64"),
            expect(unused_mut, reason = "more levels on other machines")
        )]
        let mut levels = vec![SimdLevel::Plain, SimdLevel::best()];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("ssse3") {
            levels.push(SimdLevel::Ssse3);
        }
        levels
    }

    #[test]
    fn each_byte_ends_a_json_string_or_does_not_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..16 {
                let mut block = *b"plain text of 16";
                block[at] = byte;
                assert_eq!(
                    string_stops(&block),
                    plain_string_stops(&block),
                    "{byte} at {at}"
                );
                for part in 0..4 {
                    let mut all = [b'x'; BLOCK];
                    all[16 * part..16 * part + 16].copy_from_slice(&block);
                    let (any, plain) = (string_stops_of_all(&all), plain_string_stops_of_all(&all));
                    assert_eq!(any, plain, "{byte} at {at}");
                }
            }
        }
        let seen = string_stops(b"ab\"c\\d\n\x1f \x7f\x80\xffefgh");
        assert_eq!((seen.stops, seen.high), (0b1101_0100, 0b1100_0000_0000));
    }

    #[test]
    fn each_byte_has_the_class_that_its_name_says() {
        for byte in 0..=u8::MAX {
            let [block] = classified(SimdLevel::Plain, &[byte])[..] else {
                panic!()
            };
            assert_eq!(block.digit, u64::from(byte.is_ascii_digit()), "{byte}");
            assert_eq!(
                block.letter,
                u64::from(byte.is_ascii_alphabetic()),
                "{byte}"
            );
            assert_eq!(block.at, u64::from(byte == b'@'), "{byte}");
            assert_eq!(block.colon, u64::from(byte == b':'), "{byte}");
            assert_eq!(block.dash, u64::from(byte == b'-'), "{byte}");
        }
    }

    #[test]
    fn a_byte_that_is_not_read_as_it_is_is_seen_at_every_place() {
        for level in levels() {
            for byte in 0..=u8::MAX {
                let is_plain =
                    matches!(byte, b'\t'..=b'\r' | b' '..=b'~') && !b"%&\\".contains(&byte);
                for place in 0..100 {
                    let mut text = [b'a'; 100];
                    text[place] = byte;
                    assert_eq!(level.is_plain(&text), is_plain, "{level:?} {byte} {place}");
                    let short = &text[..place / 2 + 1];
                    let is_plain = is_plain || place >= short.len();
                    assert_eq!(level.is_plain(short), is_plain, "{level:?} {byte} {place}");
                }
                assert_eq!(level.is_plain(&[b'a', byte]), is_plain, "{level:?} {byte}");
            }
            assert!(level.is_plain(b""));
        }
    }

    #[test]
    fn every_stem_is_seen_at_every_place() {
        for (_, stem) in STEMS {
            for place in 0..200 {
                let mut text = vec![b' '; 203];
                for (to, byte) in text[place..].iter_mut().zip(stem) {
                    *to = byte.to_ascii_uppercase();
                }
                for level in levels() {
                    let blocks = classified(level, &text);
                    assert_eq!(
                        blocks[place / BLOCK].stem >> (place % BLOCK) & 1,
                        1,
                        "{level:?} {place}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_level_finds_what_the_plain_loop_finds(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let plain = classified(SimdLevel::Plain, &bytes);
            prop_assert_eq!(plain.len(), bytes.len().div_ceil(BLOCK));
            for level in levels() {
                prop_assert_eq!(&classified(level, &bytes), &plain);
            }
        }

        #[test]
        fn every_level_finds_the_stems_of_a_caller(text in "[a-dA-D ]{0,150}", stems in prop::collection::vec("[a-dA-D]{3}", 1..20)) {
            let grouped: Vec<(u8, [u8; 3])> = (0..STEM_GROUPS)
                .cycle()
                .zip(stems.iter().map(|stem| *stem.as_bytes().first_chunk().unwrap()))
                .collect();
            let tables = stem_tables(&grouped);
            let places = |level: SimdLevel| {
                let mut places = Vec::new();
                level.any_stem(&tables, text.as_bytes(), &mut |at| {
                    places.push(at);
                    false
                });
                places
            };
            let plain = places(SimdLevel::Plain);
            for level in levels() {
                prop_assert_eq!(&places(level), &plain);
            }
            for (at, three) in text.as_bytes().windows(3).enumerate() {
                let is_stem = stems.iter().any(|stem| stem.as_bytes().eq_ignore_ascii_case(three));
                prop_assert!(!is_stem || plain.contains(&at));
            }
        }

        #[test]
        fn every_level_finds_the_stems_of_words(words in "([a-zA-Z:/<|!\\[\\]() -]|pass|KEY|Token|secret|://|---){0,120}") {
            let plain = classified(SimdLevel::Plain, words.as_bytes());
            for level in levels() {
                prop_assert_eq!(&classified(level, words.as_bytes()), &plain);
            }
        }
    }
}
