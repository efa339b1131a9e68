//! Traffic anomaly: far more than usual, measured in the usual's own spread.

use crate::observation::Signals;
use crate::risk::Reading;
use crate::units::ramp;

/// How many spreads the last closed minute lies above the usual, from 3 to 10.
///
/// The spread is the root of the larger of variance and mean, at least 1: even a perfectly steady
/// route varies as much as chance (Poisson) makes it.
pub(super) fn anomaly(signals: &Signals) -> Reading {
    let traffic = signals.traffic;
    let offered_1024 = u64::from(traffic.offered) * 1_024;
    let above = offered_1024.saturating_sub(traffic.mean_1024);
    // Nothing above the usual is usual, and needs no root.
    if above == 0 {
        return Reading::ZERO;
    }
    // Everything in 1/1024: sqrt(variance_1024 * 1024) is the spread times 1024.
    let variance = traffic.variance_1024.max(traffic.mean_1024).max(1_024);
    let spread_1024 = (variance * 1_024).isqrt();
    Reading::Known(ramp(above * 1_000 / spread_1024.max(1), 3_000, 10_000))
}

#[cfg(test)]
mod tests {
    use super::anomaly;
    use crate::observation::{Signals, Traffic};
    use crate::risk::Reading;

    #[test]
    fn a_steady_route_is_not_anomalous_and_a_fourfold_one_is() {
        // R036
        let reading = |offered, mean: u64, variance: u64| {
            let signals = Signals {
                traffic: Traffic {
                    offered,
                    mean_1024: mean * 1_024,
                    variance_1024: variance * 1_024,
                },
                ..Signals::default()
            };
            anomaly(&signals)
        };
        assert_eq!(reading(100, 100, 0), Reading::ZERO);
        assert_eq!(reading(130, 100, 100), Reading::ZERO, "three spreads");
        assert_eq!(reading(165, 100, 100).value().get(), 5_000);
        assert_eq!(reading(400, 100, 100), Reading::FULL);
        assert_eq!(reading(0, 100, 0), Reading::ZERO, "less is no anomaly");
    }
}
