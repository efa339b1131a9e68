//! A set of numbers kept as ranges; the verifier's own, so that a mistake in the writer's is seen.

use std::collections::BTreeMap;

/// Numbers that arrive almost in order: millions are a handful of ranges.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    /// First of a range to its last, both included.
    ranges: BTreeMap<u64, u64>,
    count: u64,
}

impl Numbers {
    /// Adds `first..=last`; the lowest of them that was there already, if one was (then nothing
    /// is added).
    pub(super) fn add(&mut self, first: u64, last: u64) -> Result<(), u64> {
        if let Some((low, high)) = self.ranges.range(..=last).next_back()
            && *high >= first
        {
            // The one found is the last; an earlier one may overlap as well.
            let earlier = self.ranges.range(..=first).next_back();
            let within = earlier.is_some_and(|(_, high)| *high >= first);
            let next = self.ranges.range(first..).next().map(|(low, _)| *low);
            return Err(if within { first } else { next.unwrap_or(*low) });
        }
        self.count += last - first + 1;
        let mut start = first;
        if let Some((low, high)) = self.ranges.range(..first).next_back()
            && high + 1 == first
        {
            start = *low;
        }
        let end = self.ranges.remove(&(last + 1)).unwrap_or(last);
        self.ranges.insert(start, end);
        Ok(())
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// The largest number.
    pub(super) fn largest(&self) -> Option<u64> {
        self.ranges.last_key_value().map(|(_, last)| *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_added_once() {
        let mut set = Numbers::default();
        for (first, last, expected) in [
            (5, 5, Ok(())),
            (7, 9, Ok(())),
            (6, 6, Ok(())),
            (6, 6, Err(6)),
            (0, 3, Ok(())),
            (2, 4, Err(2)),
            (4, 4, Ok(())),
            (20, 30, Ok(())),
            (40, 50, Ok(())),
            (15, 45, Err(20)),
            (10, 10, Ok(())),
        ] {
            assert_eq!(set.add(first, last), expected, "{first}..={last}");
        }
        assert_eq!((set.count(), set.largest()), (33, Some(50)));
        assert_eq!(set.ranges.len(), 3);
    }
}
