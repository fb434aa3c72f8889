//! Decisions that follow from a number, so that the same input always does the same.

/// A sequence of numbers that look random.
#[derive(Clone, Debug)]
pub struct Choice(u64);

impl Choice {
    /// The sequence that begins with this number.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The sequence that belongs to an input: what an input does not say itself (where it is cut, which limit holds) is
    /// decided by all of it, and so an input stays a plain text.
    pub fn of(data: &[u8]) -> Self {
        // FNV-1a.
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(data.iter().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// One of these.
    pub fn among<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// The same bytes in one to ten pieces, some perhaps empty.
    pub fn pieces<'a>(&mut self, data: &'a [u8]) -> Vec<&'a [u8]> {
        let count = self.below(10);
        let mut cuts: Vec<usize> = (0..count).map(|_| self.below(data.len() + 1)).collect();
        cuts.extend([0, data.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| &data[pair[0]..pair[1]]).collect()
    }
}
