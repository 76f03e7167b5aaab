//! Random numbers that can be repeated.

/// Returns the same numbers for the same seed: xorshift64 (Marsaglia 2003).
pub struct Random(pub u64);

impl Random {
    /// Mixes the seed by the finalizer of SplitMix64 (Steele, Lea and Flood 2014), so that neighbouring seeds give
    /// unrelated numbers.
    pub const fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The state must not be zero, because it would stay zero.
        Self((state ^ state >> 31) | 1)
    }

    /// Returns the next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns the next byte.
    pub const fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// Returns a number below `limit`, which must not be zero.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("64 bits");
        usize::try_from((self.next() >> 16) % limit).expect("below a usize")
    }

    /// Returns one of these.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
