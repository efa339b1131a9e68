//! Error rate: a cautious estimate of the share of failures.

use crate::contract::Terms;
use crate::observation::{Share, Signals};
use crate::risk::Reading;
use crate::units::ramp;

const SAMPLES_MIN: u32 = 20;

/// The lower bound of the failure share, from a quarter of the contract's threshold to all of it.
#[inline(always)]
pub(super) fn error_rate(signals: &Signals, terms: Option<&Terms>) -> Reading {
    if signals.failed.whole < SAMPLES_MIN {
        return Reading::Insufficient;
    }
    // No failure is the usual case, and its bound is 0 without the root.
    if signals.failed.part == 0 {
        return Reading::ZERO;
    }
    some_failed(signals, terms)
}

#[cold]
#[inline(never)]
fn some_failed(signals: &Signals, terms: Option<&Terms>) -> Reading {
    let threshold = terms
        .map_or(Terms::DEFAULT_CIRCUIT_THRESHOLD, |terms| {
            terms.circuit_threshold
        })
        .wide();
    let bound = wilson_lower_bp(signals.failed);
    Reading::Known(ramp(bound, threshold / 4, threshold))
}

/// The Wilson score interval's lower end at z = 1, in basis points.
///
/// Wilson, "Probable inference, the law of succession, and statistical inference" (1927), with
/// z = 1 and everything multiplied out to integers:
/// `(10000 (2k + 1) - isqrt(10^8 + 4 * 10^8 k (n - k) / n)) / (2 (n + 1))`.
fn wilson_lower_bp(share: Share) -> u64 {
    let n = u64::from(share.whole);
    let k = u64::from(share.part).min(n);
    let doubled = 400_000_000 * k;
    let variance = match doubled.checked_mul(n - k) {
        Some(product) => product / n,
        // Only from some 400,000 samples on: half the digits are not enough for the product.
        None => (u128::from(doubled) * u128::from(n - k) / u128::from(n)) as u64,
    };
    let spread = (100_000_000 + variance).isqrt();
    (10_000 * (2 * k + 1)).saturating_sub(spread) / (2 * (n + 1))
}

#[cfg(test)]
mod tests {
    use super::{error_rate, wilson_lower_bp};
    use crate::observation::{Share, Signals};
    use crate::risk::Reading;

    /// The textbook form in floating point, as an oracle.
    fn oracle(k: f64, n: f64) -> f64 {
        let share = k / n;
        let centre = share + 1.0 / (2.0 * n);
        let spread = (share * (1.0 - share) / n + 1.0 / (4.0 * n * n)).sqrt();
        (centre - spread) / (1.0 + 1.0 / n) * 10_000.0
    }

    #[test]
    fn the_integer_form_is_the_textbook_form() {
        for whole in [1_u32, 2, 20, 99, 1_000, 4_000_000_000] {
            for percent in [0_u64, 1, 10, 50, 90, 100] {
                let part = (u64::from(whole) * percent / 100) as u32;
                let found = wilson_lower_bp(Share { part, whole }) as f64;
                let truth = oracle(f64::from(part), f64::from(whole));
                assert!(
                    (found - truth).abs() <= 1.5,
                    "{part}/{whole}: {found}, {truth}"
                );
            }
        }
    }

    #[test]
    fn few_failures_of_few_say_nothing() {
        // R035
        let reading = |part, whole| {
            let signals = Signals {
                failed: Share { part, whole },
                ..Signals::default()
            };
            error_rate(&signals, None)
        };
        assert_eq!(reading(19, 19), Reading::Insufficient);
        assert_eq!(reading(0, 20), Reading::ZERO);
        assert_eq!(reading(20, 20).value().get(), 10_000);
        // 10 of 20: the lower bound is 39 %, the threshold 50 %.
        assert_eq!(reading(10, 20).value().get(), 7_088);
    }
}
