//! Error budget: how fast the allowed share of failures is being spent.

use crate::contract::Terms;
use crate::observation::{BURN_FAILURES_MIN, BURN_SAMPLES_MIN, BurnPair, Share, Signals};
use crate::risk::Reading;
use crate::units::{BasisPoints, PartsPerMillion};

/// Limits of the burn rate, times 10, and the most a pair can read: a fast burn may reach the
/// worst, a slow one only draws attention. Pairs: 5 m / 1 h, 30 m / 6 h, 6 h / 3 d.
const PAIRS: [PairRule; 3] = [
    PairRule {
        limit_tenths: 144,
        cap_bp: 10_000,
    },
    PairRule {
        limit_tenths: 60,
        cap_bp: 5_000,
    },
    PairRule {
        limit_tenths: 10,
        cap_bp: 2_000,
    },
];

struct PairRule {
    limit_tenths: u64,
    cap_bp: u64,
}

/// The worst pair of windows. Both windows of a pair must burn: the long one for weight, the
/// short one so that it stops soon after the trouble does.
#[inline(always)]
pub(super) fn burn(signals: &Signals, terms: Option<&Terms>) -> Reading {
    let [short, middle, long] = &signals.burn;
    let is_quiet = |pair: &BurnPair| pair.long.part < BURN_FAILURES_MIN;
    if is_quiet(short) && is_quiet(middle) && is_quiet(long) {
        return Reading::ZERO;
    }
    worst_pair(signals, terms)
}

#[cold]
fn worst_pair(signals: &Signals, terms: Option<&Terms>) -> Reading {
    let budget = terms.map_or(Terms::DEFAULT_ERROR_BUDGET, |terms| terms.error_budget);
    signals
        .burn
        .iter()
        .zip(&PAIRS)
        .map(|(pair, rule)| read_pair(pair, rule, budget))
        .max()
        .map_or(Reading::ZERO, Reading::Known)
}

fn read_pair(pair: &BurnPair, rule: &PairRule, budget: PartsPerMillion) -> BasisPoints {
    if pair.long.whole < BURN_SAMPLES_MIN || pair.long.part < BURN_FAILURES_MIN {
        return BasisPoints::ZERO;
    }
    let burn = burn_thousandths(pair.short, budget).min(burn_thousandths(pair.long, budget));
    let reading = rule.cap_bp.saturating_mul(burn) / (rule.limit_tenths * 100);
    BasisPoints::saturating(reading.min(rule.cap_bp))
}

/// What is left of the error budget, basis points: (allowed - actual) / allowed failures of so
/// many requests. Below 0 where more failed than may. `None` where not even one may fail: a
/// fraction of a request can be neither spent nor saved.
#[must_use]
pub fn budget_remaining_bp(seen: Share, budget: PartsPerMillion) -> Option<i64> {
    let allowed_ppm = i64::from(seen.whole) * i64::from(budget.get());
    let actual_ppm = i64::from(seen.part.min(seen.whole)) * 1_000_000;
    if allowed_ppm < 1_000_000 {
        return None;
    }
    let left = i128::from(allowed_ppm - actual_ppm) * 10_000 / i128::from(allowed_ppm);
    i64::try_from(left).ok()
}

/// How fast the error budget is being spent: failure share over error budget, times 1000. 1000 =
/// as much as is allowed. A recorded part may be forged: more than the whole
/// counts as the whole.
#[must_use]
pub fn burn_thousandths(share: Share, budget: PartsPerMillion) -> u64 {
    if share.whole == 0 || budget.get() == 0 {
        return 0;
    }
    let part = u128::from(share.part.min(share.whole)) * 1_000_000_000;
    let burn = part / u128::from(share.whole) / u128::from(budget.get());
    u64::try_from(burn).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{budget_remaining_bp, burn};
    use crate::contract::Terms;
    use crate::observation::{BurnPair, Share, Signals};
    use crate::risk::Reading;
    use crate::units::{BasisPoints, PartsPerMillion};

    fn share(part: u32, whole: u32) -> Share {
        Share { part, whole }
    }

    #[test]
    fn what_remains_of_the_budget() {
        // R014: 100 requests, 1 error, budget 0.01 gives 0.0, not 0.99.
        let table = [
            ((1, 100), Some(0)),
            ((0, 100), Some(10_000)),
            ((1, 200), Some(5_000)),
            ((9, 1_000), Some(1_000)),
            ((3, 100), Some(-20_000)),
            ((0, 99), None),
            ((0, 0), None),
            ((u32::MAX, u32::MAX), Some(-990_000)),
        ];
        let budget = PartsPerMillion::saturating(10_000);
        for ((part, whole), want) in table {
            let found = budget_remaining_bp(share(part, whole), budget);
            assert_eq!(found, want, "{part} of {whole}");
        }
    }

    #[test]
    fn impossible_shares_read_the_worst_and_never_overflow() {
        let least = Terms {
            error_budget: PartsPerMillion::saturating(1),
            ..Terms::default()
        };
        for part in [u32::MAX, u32::MAX - 1, 101] {
            let forged = BurnPair {
                short: share(part, 1),
                long: share(part, 100),
            };
            let signals = Signals {
                burn: [forged; 3],
                ..Signals::default()
            };
            for terms in [None, Some(&least)] {
                assert_eq!(burn(&signals, terms), Reading::Known(BasisPoints::FULL));
            }
        }
        // More than the whole is the whole, not more.
        let forged = BurnPair {
            short: share(u32::MAX, 1_000_000),
            long: share(u32::MAX, 1_000_000),
        };
        let signals = Signals {
            burn: [BurnPair::default(), BurnPair::default(), forged],
            ..Signals::default()
        };
        let whole = Terms {
            error_budget: PartsPerMillion::saturating(1_000_000),
            ..Terms::default()
        };
        assert_eq!(
            burn(&signals, Some(&whole)),
            Reading::Known(BasisPoints::saturating(2_000))
        );
    }

    #[test]
    fn both_windows_must_burn_and_slow_burns_are_capped() {
        // The default budget is 1 %.
        let pair = |short, long| BurnPair { short, long };
        let none = BurnPair::default();
        let known = |value| Reading::Known(BasisPoints::saturating(value));
        let hot = share(300, 1_000);
        let cold = share(0, 1_000);
        let table = [
            ([none, none, none], known(0)),
            ([pair(hot, share(4, 100)), none, none], known(0)),
            ([pair(hot, share(5, 99)), none, none], known(0)),
            ([pair(cold, hot), none, none], known(0)),
            ([pair(hot, hot), none, none], known(10_000)),
            // 14.4 % failures of 1 % budget = burn 14.4, just the limit of the first pair.
            ([pair(share(144, 1_000), hot), none, none], known(10_000)),
            ([pair(share(72, 1_000), hot), none, none], known(5_000)),
            ([none, pair(hot, hot), none], known(5_000)),
            ([none, none, pair(hot, hot)], known(2_000)),
        ];
        for (windows, want) in table {
            let signals = Signals {
                burn: windows,
                ..Signals::default()
            };
            assert_eq!(burn(&signals, None), want, "{windows:?}");
        }
    }
}
