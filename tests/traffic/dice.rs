//! Random choices that are the same in every run.

/// Numbers of [SplitMix64](https://prng.di.unimi.it/splitmix64.c), which any seed starts well.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Returns a number below this limit, 0 if there is none.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let limit = u64::try_from(limit.max(1)).unwrap();
        usize::try_from((z ^ (z >> 31)) % limit).unwrap()
    }

    /// Returns one of these texts.
    pub(super) fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }
}
