//! The usual load of a route: requests offered per minute, their mean and variance.
//!
//! The first thirty minutes count alike, as plain running mean and variance; from then on each
//! minute counts a 64th, and one that lies more than three spreads away counts as if it lay three
//! away: a flood must not become usual within the hour. Everything is in 1/1024.

use crate::observation::Traffic;

/// Closed minutes before the usual load is known.
pub const LOAD_MINUTES: u32 = 30;

const POINT: i128 = 1_024;
const SLOWNESS: i128 = 64;
const SPREADS: i128 = 3;
/// Numbers in records stay below 2^53.
const MOST: u64 = (1 << 53) - 1;

/// The usual load of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Closed minutes that were learned from; stays at [`LOAD_MINUTES`].
    pub minutes: u32,
    /// Mean of offered requests per minute, times 1024.
    pub mean_1024: u64,
    /// Variance, times 1024.
    pub variance_1024: u64,
}

impl Load {
    /// Whether enough minutes were learned from.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.minutes >= LOAD_MINUTES
    }

    /// This minute against the usual one; all 0 where it is not above.
    #[must_use]
    pub fn compare(&self, offered: u32) -> Traffic {
        if u64::from(offered) * 1_024 <= self.mean_1024 {
            return Traffic::default();
        }
        Traffic {
            offered,
            mean_1024: self.mean_1024,
            variance_1024: self.variance_1024,
        }
    }

    /// A spread, times 1024: the root of the greater of variance and mean, at least 1.
    #[must_use]
    pub fn spread_1024(&self) -> u64 {
        let variance = self.variance_1024.max(self.mean_1024).max(1_024);
        variance.saturating_mul(1_024).isqrt()
    }

    /// A minute closed in which so much was offered.
    pub(super) fn note(&mut self, offered: u32) {
        let offered = i128::from(offered) * POINT;
        let (mean, variance) = (i128::from(self.mean_1024), i128::from(self.variance_1024));
        let away = offered - mean;
        let (mean, variance) = if self.is_known() {
            let most = SPREADS * i128::from(self.spread_1024());
            let counted = away.abs().min(most);
            (
                mean + away.min(most) / SLOWNESS,
                variance + (counted * counted / POINT - variance) / SLOWNESS,
            )
        } else {
            self.minutes += 1;
            let count = i128::from(self.minutes);
            let mean = mean + away / count;
            let square = away * (offered - mean) / POINT;
            (mean, variance + (square - variance) / count)
        };
        self.mean_1024 = bounded(mean);
        self.variance_1024 = bounded(variance);
    }

    /// The load of a snapshot, within bounds.
    pub(super) fn restored(saved: &Self) -> Self {
        Self {
            minutes: saved.minutes.min(LOAD_MINUTES),
            mean_1024: saved.mean_1024.min(MOST),
            variance_1024: saved.variance_1024.min(MOST),
        }
    }
}

fn bounded(value: i128) -> u64 {
    u64::try_from(value.max(0)).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::{LOAD_MINUTES, Load};
    use crate::observation::Traffic;

    fn seen(minutes: impl IntoIterator<Item = u32>) -> Load {
        let mut load = Load::default();
        minutes.into_iter().for_each(|offered| load.note(offered));
        load
    }

    #[test]
    fn thirty_minutes_are_a_plain_mean_and_variance() {
        let load = seen((0..30).map(|minute| 90 + minute % 3 * 10));
        assert!(load.is_known() && !seen(0..29).is_known());
        assert_eq!(load.mean_1024.div_ceil(1_024), 100);
        // Ten times -10, 0, 10: the variance is 2000/30.
        let variance = 2_000 * 1_024 / 30;
        assert!(load.variance_1024.abs_diff(variance) < 100, "{load:?}");
    }

    #[test]
    fn a_flood_counts_as_three_spreads_and_a_64th() {
        let mut load = seen([100; 30]);
        assert_eq!(load.mean_1024, 102_400);
        assert_eq!(load.spread_1024(), 10_240, "the root of the mean");
        load.note(1_000_000);
        assert_eq!(load.mean_1024, 102_400 + 30 * 1_024 / 64);
        assert_eq!(load.variance_1024, 900 * 1_024 / 64);
    }

    #[test]
    fn only_more_than_usual_is_compared() {
        // R036: steady 100, then 400.
        let load = seen([100; 40]);
        assert_eq!(load.compare(100), Traffic::default());
        assert_eq!(load.compare(0), Traffic::default());
        let found = load.compare(400);
        assert_eq!((found.offered, found.mean_1024), (400, 102_400));
    }

    #[test]
    fn the_greatest_loads_stay_in_bounds() {
        let mut load = seen((0..200).map(|minute| if minute % 2 == 0 { u32::MAX } else { 0 }));
        for offered in [0, u32::MAX, 0] {
            load.note(offered);
            assert!(load.mean_1024 < 1 << 53 && load.variance_1024 < 1 << 53);
        }
        (0..6_000).for_each(|_| load.note(0));
        let settled = load;
        load.note(0);
        assert_eq!(load, settled, "an idle route comes to rest");
        assert!(load.mean_1024 < 64 && load.minutes == LOAD_MINUTES);
    }
}
