//! A log-linear latency histogram: 128 counters, four to each doubling of microseconds.
//!
//! A bucket is at most a quarter as wide as its lower edge, so a quantile is off by at most
//! 25 % and, with the interpolation inside the bucket, usually by far less.

/// Number of buckets.
pub const BUCKETS: usize = 128;

/// The bucket of a latency in microseconds; everything from about an hour on is in the last.
#[must_use]
#[inline]
pub const fn bucket_of(micros: u64) -> usize {
    if micros < 4 {
        return micros as usize;
    }
    let octave = 63 - micros.leading_zeros() as usize;
    let quarter = (micros >> (octave - 2)) as usize & 3;
    let bucket = (octave - 1) * 4 + quarter;
    if bucket < BUCKETS {
        bucket
    } else {
        BUCKETS - 1
    }
}

/// The first latency, in microseconds, that lies above the bucket.
#[must_use]
pub const fn bucket_ceiling_us(bucket: usize) -> u64 {
    bucket_floor_us(bucket + 1)
}

const fn bucket_floor_us(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let octave = bucket / 4 + 1;
    let quarter = (bucket % 4) as u64;
    (4 + quarter) << (octave - 2)
}

/// Counts per bucket, over some stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
        }
    }
}

impl Histogram {
    /// The histogram of these counts.
    #[must_use]
    pub const fn new(counts: [u32; BUCKETS]) -> Self {
        Self { counts }
    }

    /// The counts, smallest latency first.
    #[must_use]
    pub const fn counts(&self) -> &[u32; BUCKETS] {
        &self.counts
    }

    /// How many were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// Adds what rose in `now` since `before`; both are totals that wrap.
    pub fn add_rise(&mut self, now: &Self, before: &Self) {
        for ((sum, now), before) in self.counts.iter_mut().zip(now.counts).zip(before.counts) {
            *sum = sum.saturating_add(now.wrapping_sub(before));
        }
    }

    /// The latency in microseconds below which `share_bp` basis points of the counted lie, by
    /// linear interpolation inside its bucket; 0 where nothing was counted.
    #[must_use]
    pub fn quantile_us(&self, share_bp: u64) -> u64 {
        let total = self.total();
        if total == 0 {
            return 0;
        }
        // Rank of the nearest-rank definition: ceil(share * total), at least 1.
        let rank = (total * share_bp).div_ceil(10_000).max(1);
        let mut below = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            let count = u64::from(count);
            if below + count >= rank {
                let floor = bucket_floor_us(bucket);
                let width = bucket_ceiling_us(bucket) - floor;
                return floor + width * (rank - below) / count.max(1);
            }
            below += count;
        }
        bucket_ceiling_us(BUCKETS - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Histogram, bucket_ceiling_us, bucket_floor_us, bucket_of};

    #[test]
    fn buckets_tile_the_axis() {
        for bucket in 0..BUCKETS - 1 {
            let floor = bucket_floor_us(bucket);
            let ceiling = bucket_ceiling_us(bucket);
            assert!(floor < ceiling, "{bucket}");
            assert_eq!(bucket_of(floor), bucket);
            assert_eq!(bucket_of(ceiling - 1), bucket);
            assert_eq!(bucket_of(ceiling), bucket + 1);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_real() {
        // R018: p50 < p95 < p99, each within a quarter of the truth.
        let mut counts = [0_u32; BUCKETS];
        for micros in 1..=10_000 {
            counts[bucket_of(micros)] += 1;
        }
        let histogram = Histogram::new(counts);
        for (share, truth) in [(5_000, 5_000), (9_500, 9_500), (9_900, 9_900)] {
            let found = histogram.quantile_us(share);
            assert!(
                found.abs_diff(truth) * 4 <= truth,
                "{share}: {found} against {truth}"
            );
        }
        assert_eq!(Histogram::default().quantile_us(9_500), 0);
    }
}
