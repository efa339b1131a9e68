//! A histogram that is kept for long and looked at once a minute: from its first count to its last.
//!
//! Latencies of one contract lie in a few neighbouring buckets of 128.

use crate::observation::{BUCKETS, Histogram};

/// The counts between the empty ends, and how many buckets lie before them.
#[derive(Debug, Clone, Default)]
pub(super) struct PackedHistogram {
    first: u8,
    counts: Box<[u32]>,
}

impl PackedHistogram {
    /// The same counts, packed.
    pub(super) fn new(histogram: &Histogram) -> Self {
        let counts = histogram.counts();
        let is_counted = |count: &u32| *count > 0;
        let first = counts.iter().position(is_counted).unwrap_or(BUCKETS);
        let behind = counts
            .iter()
            .rposition(is_counted)
            .map_or(0, |last| last + 1);
        Self {
            first: first as u8,
            counts: counts.get(first..behind).unwrap_or_default().into(),
        }
    }

    /// All buckets.
    pub(super) fn unpack(&self) -> Histogram {
        let mut counts = [0; BUCKETS];
        let places = counts.iter_mut().skip(usize::from(self.first));
        for (place, count) in places.zip(&self.counts) {
            *place = *count;
        }
        Histogram::new(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::PackedHistogram;
    use crate::observation::{BUCKETS, Histogram};

    #[test]
    fn what_was_packed_comes_out_again() {
        let last = BUCKETS - 1;
        for places in [&[][..], &[0], &[last], &[0, last], &[5, 9], &[40, 41, 60]] {
            let mut counts = [0; BUCKETS];
            for place in places {
                counts[*place] = *place as u32 + 1;
            }
            let histogram = Histogram::new(counts);
            let packed = PackedHistogram::new(&histogram);
            assert_eq!(packed.unpack(), histogram, "{places:?}");
            let span = places.last().map_or(0, |last| last + 1 - places[0]);
            assert_eq!(packed.counts.len(), span, "{places:?}");
        }
    }
}
