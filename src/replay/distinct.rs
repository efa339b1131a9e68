//! How many different clients there were, in bounded memory.
//!
//! The keys of clients are keyed hashes, so they are spread evenly over 64 bits: of `n` different
//! ones the k-th smallest lies at about `k / n` of the range. Exact up to [`KEPT`], beyond it an
//! estimate with a standard error of `1 / sqrt(KEPT - 2)`, 6 %.

use std::collections::BTreeSet;

/// How many of the smallest keys are kept.
pub const KEPT: usize = 256;

/// Counts different 64-bit hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distinct {
    smallest: BTreeSet<u64>,
}

impl Distinct {
    /// Adds one, which may have been added before.
    pub fn add(&mut self, key: u64) {
        if self.smallest.len() <= KEPT {
            self.smallest.insert(key);
        } else if self.smallest.last().is_some_and(|last| key < *last) && self.smallest.insert(key)
        {
            self.smallest.pop_last();
        }
    }

    /// Whether [`Distinct::count`] is exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.smallest.len() <= KEPT
    }

    /// How many different ones.
    #[must_use]
    pub fn count(&self) -> u64 {
        let kept = self.smallest.len() as u64;
        match self.smallest.last() {
            Some(last) if !self.is_exact() => {
                let range = (u128::from(kept) - 1) << 64;
                u64::try_from(range / u128::from((*last).max(1))).unwrap_or(u64::MAX)
            }
            _ => kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Distinct, KEPT};
    use crate::observation::ClientHasher;

    #[test]
    fn few_are_exact_and_many_are_estimated() {
        let hasher = ClientHasher::new([7; 16]);
        for (clients, off_max) in [(0, 0), (1, 0), (KEPT as u64, 0), (10_000, 2_000)] {
            let mut counted = Distinct::default();
            for round in 0..3 {
                for number in 0..clients {
                    counted.add(hasher.of_name(format!("client {number}").as_bytes()).0);
                }
                let off = counted.count().abs_diff(clients);
                assert!(off <= off_max, "round {round}: {off} off {clients}");
            }
            assert_eq!(counted.is_exact(), clients <= KEPT as u64);
            assert!(counted.smallest.len() <= KEPT + 1, "memory is bounded");
        }
    }
}
