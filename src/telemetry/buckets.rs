//! The bounds of our histograms, and which bucket a value falls into.

/// Upper bounds of request durations in microseconds, as OpenTelemetry's semantic conventions
/// advise: 5 ms to 10 s.
pub(super) const REQUEST_BOUNDS_US: [u64; 14] = [
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
    2_500_000, 5_000_000, 7_500_000, 10_000_000,
];

/// Upper bounds of decision durations in nanoseconds: 100 ns to 1 ms.
pub(super) const DECISION_BOUNDS_NS: [u64; 11] = [
    100, 250, 500, 750, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 1_000_000,
];

/// The label value that stands for the sum of a histogram instead of one of its buckets.
pub(super) const SUM: u8 = 31;

/// The bucket of a value: the first whose bound is not below it; the one after the last bound
/// takes everything else.
#[inline]
pub(super) fn bucket(bounds: &[u64], value: u64) -> u8 {
    // No more than 14 bounds, most values small: looking from the front is the shortest way.
    bounds
        .iter()
        .position(|bound| value <= *bound)
        .unwrap_or(bounds.len()) as u8
}

#[cfg(test)]
mod tests {
    use super::{DECISION_BOUNDS_NS, REQUEST_BOUNDS_US, SUM, bucket};

    #[test]
    fn a_value_on_a_bound_belongs_to_it() {
        for (value, want) in [
            (0, 0),
            (5_000, 0),
            (5_001, 1),
            (10_000_000, 13),
            (10_000_001, 14),
        ] {
            assert_eq!(bucket(&REQUEST_BOUNDS_US, value), want, "{value} us");
        }
        assert!(REQUEST_BOUNDS_US.is_sorted() && DECISION_BOUNDS_NS.is_sorted());
        assert!(REQUEST_BOUNDS_US.len() < usize::from(SUM));
    }
}
