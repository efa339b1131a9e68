//! Sets of numbers kept as ranges: what was lost, what was seen.
//!
//! Numbers arrive almost in order, so a set of millions is a handful of ranges.

use std::collections::BTreeMap;

/// Ranges that a worker can hold back while the way to the writer is full.
const HELD_MAX: usize = 64;

/// A growing set of numbers; neighbours merge.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct RangeSet {
    /// First number of a range to its last one, both included; never adjacent.
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// Adds `first..=last`; false (and no change) where part of it is in the set already.
    pub(super) fn insert(&mut self, first: u64, last: u64) -> bool {
        // The ordinary case is the next number in order: one look at the end.
        if let Some(mut newest) = self.ranges.last_entry()
            && *newest.get() + 1 == first
        {
            *newest.get_mut() = last;
            return true;
        }
        let before = self.ranges.range_mut(..=first).next_back();
        let mut start = first;
        if let Some((low, high)) = before {
            if *high >= first {
                return false;
            }
            if *high + 1 == first {
                start = *low;
            }
        }
        let after = self.ranges.range(first..).next().map(|(l, h)| (*l, *h));
        let mut end = last;
        if let Some((low, high)) = after {
            if low <= last {
                return false;
            }
            if low == last + 1 {
                self.ranges.remove(&low);
                end = high;
            }
        }
        self.ranges.insert(start, end);
        true
    }

    /// How many numbers are in the set.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.ranges.iter().map(|(low, high)| high - low + 1).sum()
    }

    /// The largest number in the set.
    #[cfg(test)]
    pub(super) fn largest(&self) -> Option<u64> {
        self.ranges.last_key_value().map(|(_, high)| *high)
    }

    /// Removes and returns up to `max` ranges, lowest first.
    pub(super) fn take(&mut self, max: usize) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| self.ranges.pop_first())
            .take(max)
            .collect()
    }

    /// True without numbers.
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// A set of at most [`HELD_MAX`] ranges without allocation: for the request path.
#[derive(Debug)]
pub(super) struct HeldRanges {
    ranges: [(u64, u64); HELD_MAX],
    len: usize,
}

impl HeldRanges {
    pub(super) const fn new() -> Self {
        Self {
            ranges: [(0, 0); HELD_MAX],
            len: 0,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds one number, or says that there is no room.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        // Newest ranges stand last, and losses come almost in order: search from the end.
        for (first, last) in self.ranges.iter_mut().take(self.len).rev() {
            if *last + 1 == number {
                *last = number;
                return true;
            }
            if number + 1 == *first {
                *first = number;
                return true;
            }
        }
        match self.ranges.get_mut(self.len) {
            Some(free) => {
                *free = (number, number);
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Removes the newest range.
    pub(super) fn pop(&mut self) -> Option<(u64, u64)> {
        self.len = self.len.checked_sub(1)?;
        self.ranges.get(self.len).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_merge_and_doubles_are_refused() {
        let mut set = RangeSet::default();
        for (first, last, fresh) in [
            (5, 5, true),
            (7, 9, true),
            (6, 6, true),
            (6, 6, false),
            (0, 3, true),
            (3, 4, false),
            (4, 4, true),
            (20, 30, true),
            (15, 25, false),
        ] {
            assert_eq!(set.insert(first, last), fresh, "{first}..={last}");
        }
        assert_eq!(set.count(), 21);
        assert_eq!(set.largest(), Some(30));
        assert_eq!(set.take(10), [(0, 9), (20, 30)]);
        assert!(set.is_empty());
    }

    #[test]
    fn held_ranges_are_bounded_and_exact() {
        let mut held = HeldRanges::new();
        for n in (0..HELD_MAX as u64).map(|i| i * 2) {
            assert!(held.insert(n));
        }
        assert!(!held.insert(1_000));
        assert!(held.insert(127), "next to the last range there is room");
        let mut set = RangeSet::default();
        while let Some((first, last)) = held.pop() {
            assert!(set.insert(first, last));
        }
        assert_eq!(set.count(), 65);
    }
}
