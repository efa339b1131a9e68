//! Random numbers that are the same everywhere: SplitMix64 (Steele, Lea, Flood 2014).

pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for each pair, so that one thing's luck does not change another's.
    pub(crate) fn of(seed: u64, about: u64) -> Self {
        let mut random = Self(seed);
        Self(random.next() ^ about.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From `low` to below `high`; `low` where that is nothing.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % high.saturating_sub(low).max(1)
    }

    /// The time to the next arrival of a Poisson process, in units of its mean over 2^16.
    ///
    /// By comparisons alone (von Neumann 1951), because a logarithm is not the same everywhere.
    pub(crate) fn exponential_16(&mut self) -> u64 {
        let mut whole = 0;
        loop {
            let first = self.next() >> 32;
            let (mut last, mut run) = (first, 1);
            loop {
                let next = self.next() >> 32;
                if next >= last {
                    break;
                }
                (last, run) = (next, run + 1);
            }
            if run % 2 == 1 {
                return whole + (first >> 16);
            }
            whole += 1 << 16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn gaps_are_those_of_chance() {
        let mut random = Random::new(7);
        let gaps: Vec<u64> = (0..20_000).map(|_| random.exponential_16()).collect();
        let mean = gaps.iter().sum::<u64>() / 20_000;
        assert!((64_000..67_000).contains(&mean), "{mean} of 65536");
        let long = gaps.iter().filter(|gap| **gap > 2 << 16).count();
        assert!((2_500..2_920).contains(&long), "{long} of 2707");
    }
}
