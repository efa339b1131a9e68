//! Latency: slow against the contract, and slower than it used to be.

use crate::contract::Terms;
use crate::observation::Signals;
use crate::risk::Reading;
use crate::units::ramp;

const SLOW_SAMPLES_MIN: u32 = 20;

/// The share of requests slower than the contract in the last 60 s, from 1 % to 50 %.
pub(super) fn share_of_slow(signals: &Signals) -> Reading {
    let slow = signals.slow;
    if slow.whole < SLOW_SAMPLES_MIN {
        return Reading::Insufficient;
    }
    if slow.part == 0 {
        return Reading::ZERO;
    }
    let share_bp = u64::from(slow.part) * 10_000 / u64::from(slow.whole);
    Reading::Known(ramp(share_bp, 100, 5_000))
}

/// p95 of the last closed minute against the healthy baseline, from 1.25 times to three times.
///
/// Nothing is read while p95 is below a quarter of what the contract promises: a route that went
/// from one millisecond to three harms nobody. No baseline means no longer tail than usual:
/// whether a baseline is known at all stands in `Signals::known`.
pub(super) fn regression(signals: &Signals, terms: Option<&Terms>) -> Reading {
    let seen = signals.regression;
    if seen.baseline_us == 0 {
        return Reading::ZERO;
    }
    let promised_us = terms.map_or(0, |terms| terms.max_latency.as_micros());
    if u64::from(seen.p95_us) < promised_us / 4 {
        return Reading::ZERO;
    }
    let ratio_bp = u64::from(seen.p95_us) * 10_000 / u64::from(seen.baseline_us);
    Reading::Known(ramp(ratio_bp, 12_500, 30_000))
}

#[cfg(test)]
mod tests {
    use super::{regression, share_of_slow};
    use crate::contract::Terms;
    use crate::observation::{Regression, Share, Signals};
    use crate::risk::Reading;
    use crate::units::BasisPoints;

    #[test]
    fn share_of_slow_needs_twenty_and_ends_at_half() {
        // R034 (figures of the risk model)
        let known = |value| Reading::Known(BasisPoints::saturating(value));
        let table = [
            ((19, 19), Reading::Insufficient),
            ((0, 20), known(0)),
            ((1, 100), known(0)),
            ((51, 200), known(5_000)),
            ((50, 100), known(10_000)),
            ((100, 100), known(10_000)),
        ];
        for ((part, whole), want) in table {
            let signals = Signals {
                slow: Share { part, whole },
                ..Signals::default()
            };
            assert_eq!(share_of_slow(&signals), want, "{part} of {whole}");
        }
    }

    #[test]
    fn regression_compares_with_the_baseline() {
        let terms = Terms::default(); // promises 1000 ms
        let table = [
            ((0, 0), 0),
            ((200_000, 10_000), 0),
            ((300_000, 300_000), 0),
            ((375_000, 300_000), 0),
            ((637_500, 300_000), 5_000),
            ((900_000, 300_000), 10_000),
        ];
        for ((p95_us, baseline_us), want) in table {
            let signals = Signals {
                regression: Regression {
                    p95_us,
                    baseline_us,
                },
                ..Signals::default()
            };
            let want = Reading::Known(BasisPoints::saturating(want));
            assert_eq!(
                regression(&signals, Some(&terms)),
                want,
                "{p95_us} / {baseline_us}"
            );
        }
    }
}
