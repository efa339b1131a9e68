//! The usual tail of a route: p95 of its healthy minutes, slowly followed.
//!
//! What counts as healthy is decided by the caller but for one thing: a minute whose tail is more
//! than twice the known baseline teaches nothing, or a slow decay would become the norm.

/// Healthy minutes before a baseline is known: their median is the first one.
pub const BASELINE_MINUTES: usize = 12;

/// Requests that a minute needs to say anything about its tail.
pub const BASELINE_SAMPLES_MIN: u64 = 100;

/// A healthy minute moves the baseline by this part of the difference.
const SLOWNESS: i64 = 32;
const POINT: u64 = 1_024;

/// The baseline of one route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Baseline {
    /// From the first healthy minute that says something until the baseline is known.
    learning: Option<Box<[u32; BASELINE_MINUTES]>>,
    learned: usize,
    /// In 1/1024 us; 0 while learning.
    p95_1024: u64,
}

/// `Baseline` in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaselineSnapshot {
    /// Tails of the healthy minutes so far, microseconds; empty once the baseline is known.
    pub learning_us: Vec<u32>,
    /// The baseline in 1/1024 us; 0 while learning.
    pub p95_1024: u64,
}

impl Baseline {
    /// p95 in healthy minutes, microseconds; `None` while learning.
    pub(super) fn p95_us(&self) -> Option<u32> {
        let micros = u32::try_from(self.p95_1024 / POINT).unwrap_or(u32::MAX);
        (self.p95_1024 > 0).then_some(micros.max(1))
    }

    /// Healthy minutes that have been learned from, at most [`BASELINE_MINUTES`].
    pub(super) const fn learned(&self) -> usize {
        self.learned
    }

    /// A healthy minute ended with this tail.
    pub(super) fn note(&mut self, p95_us: u32) {
        let p95_1024 = u64::from(p95_us.max(1)) * POINT;
        if self.p95_1024 == 0 {
            return self.learn(p95_us.max(1));
        }
        if p95_1024 <= 2 * self.p95_1024 {
            let step = (p95_1024.cast_signed() - self.p95_1024.cast_signed()) / SLOWNESS;
            self.p95_1024 = self.p95_1024.saturating_add_signed(step).max(1);
        }
    }

    fn learn(&mut self, p95_us: u32) {
        let learning = self.learning.get_or_insert_default();
        if let Some(place) = learning.get_mut(self.learned) {
            *place = p95_us;
            self.learned += 1;
        }
        if self.learned == BASELINE_MINUTES {
            learning.sort_unstable();
            // Of an even number, the mean of the two in the middle.
            let [.., below, above, _, _, _, _, _] = **learning;
            self.p95_1024 = (u64::from(below) + u64::from(above)) * POINT / 2;
            self.learning = None;
        }
    }

    pub(super) fn saved(&self) -> BaselineSnapshot {
        let learned = if self.p95_1024 == 0 { self.learned } else { 0 };
        BaselineSnapshot {
            learning_us: self
                .learning
                .iter()
                .flat_map(|all| all.iter().copied())
                .take(learned)
                .collect(),
            p95_1024: self.p95_1024,
        }
    }

    pub(super) fn restored(saved: &BaselineSnapshot) -> Self {
        let mut baseline = Self::default();
        for p95_us in &saved.learning_us {
            baseline.note(*p95_us);
        }
        if saved.p95_1024 > 0 {
            baseline.p95_1024 = saved.p95_1024.min(u64::from(u32::MAX) * POINT);
            baseline.learned = BASELINE_MINUTES;
        }
        baseline
    }
}

#[cfg(test)]
mod tests {
    use super::{BASELINE_MINUTES, Baseline};

    fn learned(p95_us: u32) -> Baseline {
        let mut baseline = Baseline::default();
        (0..BASELINE_MINUTES).for_each(|_| baseline.note(p95_us));
        baseline
    }

    #[test]
    fn the_median_of_twelve_healthy_minutes_is_the_first_baseline() {
        let mut baseline = Baseline::default();
        for (number, p95_us) in (0..).zip([9, 1, 8, 2, 7, 3, 900, 6, 5, 12, 11, 10]) {
            assert_eq!(baseline.p95_us(), None, "{number} minutes");
            baseline.note(p95_us * 1_000);
        }
        // 1 2 3 5 6 7 | 8 9 10 11 12 900
        assert_eq!(baseline.p95_us(), Some(7_500));
    }

    #[test]
    fn it_follows_slowly_and_not_what_is_twice_as_slow() {
        let mut baseline = learned(10_000);
        baseline.note(20_001);
        assert_eq!(baseline.p95_us(), Some(10_000));
        baseline.note(20_000);
        assert_eq!(baseline.p95_us(), Some(10_312), "10000 + 10000/32");
        (0..1_000).for_each(|_| baseline.note(5_000));
        assert_eq!(baseline.p95_us(), Some(5_000));
        assert_eq!(learned(0).p95_us(), Some(1), "never nothing");
    }

    #[test]
    fn a_snapshot_keeps_what_was_learned() {
        let mut learning = Baseline::default();
        (0..5).for_each(|minute| learning.note(1_000 + minute));
        for baseline in [Baseline::default(), learning, learned(7_777)] {
            let restored = Baseline::restored(&baseline.saved());
            assert_eq!(restored.p95_us(), baseline.p95_us());
            assert_eq!(restored.saved(), baseline.saved());
            assert_eq!(restored.learned(), baseline.learned());
        }
    }
}
