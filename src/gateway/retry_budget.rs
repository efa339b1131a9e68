//! How many requests of ours may be sent a second time.
//!
//! A gateway that repeats what failed multiplies the load of an upstream that is down already. So
//! each worker counts, per upstream group, first attempts and retries of the last ten seconds, and
//! gives out retries up to a share of the first attempts (policy: `retry.budget`) and
//! [`RESERVE`] more, without which rare requests would never have one. While the group pushes back
//! there is none at all. Counts of workers are not added up: their shares are.

use std::time::Duration;

use crate::units::{BasisPoints, Moment};

/// Retries in the window that need no first attempts to be allowed by.
const RESERVE: u64 = 3;
/// The window, in buckets of one second.
const BUCKETS: usize = 10;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The longest that one push-back is heeded: a wrong clock must not forbid retries for ever.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// The budgets of all upstream groups on one worker.
#[derive(Debug)]
pub(super) struct RetryBudgets(Box<[Budget]>);

#[derive(Debug, Clone, Default)]
struct Budget {
    second: u64,
    buckets: [Bucket; BUCKETS],
    quiet_until_ns: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    firsts: u64,
    retries: u64,
}

impl RetryBudgets {
    /// Budgets of so many groups, nothing counted.
    pub(super) fn new(groups: usize) -> Self {
        Self(vec![Budget::default(); groups].into())
    }

    /// Counts a first attempt.
    #[inline]
    pub(super) fn note_first(&mut self, group: usize, at: Moment) {
        if let Some(budget) = self.0.get_mut(group) {
            budget.bucket(at).firsts += 1;
        }
    }

    /// Takes one retry, if there is one.
    pub(super) fn take(&mut self, group: usize, at: Moment, share: BasisPoints) -> bool {
        let Some(budget) = self.0.get_mut(group) else {
            return false;
        };
        if at.monotonic_ns < budget.quiet_until_ns {
            return false;
        }
        budget.bucket(at);
        let sum = |count: fn(&Bucket) -> u64| budget.buckets.iter().map(count).sum::<u64>();
        let (firsts, retries) = (sum(|bucket| bucket.firsts), sum(|bucket| bucket.retries));
        let allowed = firsts * share.wide() / 10_000 + RESERVE;
        let granted = retries < allowed;
        budget.bucket(at).retries += u64::from(granted);
        granted
    }

    /// The group asked for fewer requests for so long.
    pub(super) fn pushed_back(&mut self, group: usize, at: Moment, quiet: Duration) {
        if let Some(budget) = self.0.get_mut(group) {
            let until = at.plus_nanos(quiet.min(QUIET_MAX).as_nanos() as u64);
            budget.quiet_until_ns = budget.quiet_until_ns.max(until.monotonic_ns);
        }
    }
}

impl Budget {
    /// The bucket of now; those of seconds that have passed since are empty.
    fn bucket(&mut self, at: Moment) -> &mut Bucket {
        let second = at.monotonic_ns / NANOS_PER_SECOND;
        let passed = second.saturating_sub(self.second).min(BUCKETS as u64);
        for back in 0..passed {
            let place = (second - back) as usize % BUCKETS;
            if let Some(bucket) = self.buckets.get_mut(place) {
                *bucket = Bucket::default();
            }
        }
        self.second = self.second.max(second);
        #[allow(
            clippy::indexing_slicing,
            reason = "a remainder of BUCKETS is below BUCKETS"
        )]
        &mut self.buckets[self.second as usize % BUCKETS]
    }
}

/// For how long an answer asks for fewer requests; `None` where it does not.
///
/// `retry_after` is the value of that field. A date counts as the longest that is heeded: it takes
/// a clock that both sides share to read one.
pub(super) fn push_back(status: u16, retry_after: Option<&[u8]>) -> Option<Duration> {
    let told = retry_after.map(|value| {
        let text = std::str::from_utf8(value).unwrap_or_default();
        text.trim().parse().map_or(QUIET_MAX, Duration::from_secs)
    });
    match (status, told) {
        (429, told) => Some(told.unwrap_or(Duration::from_secs(1)).min(QUIET_MAX)),
        (503, Some(told)) => Some(told.min(QUIET_MAX)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{RESERVE, RetryBudgets, push_back};
    use crate::units::{BasisPoints, Moment};

    const SHARE: BasisPoints = BasisPoints::saturating(2_000);

    fn at(ms: u64) -> Moment {
        Moment::default().plus_nanos(1_000_000_000_000 + ms * 1_000_000)
    }

    #[test]
    fn retries_are_a_share_of_first_attempts_and_a_reserve() {
        for firsts in [0, 4, 5, 100, 1_000] {
            let mut budgets = RetryBudgets::new(2);
            for number in 0..firsts {
                budgets.note_first(1, at(number * 9_000 / 1_000));
            }
            let taken = (0..1_000).filter(|_| budgets.take(1, at(9_100), SHARE));
            assert_eq!(taken.count() as u64, firsts / 5 + RESERVE, "{firsts}");
            assert!(budgets.take(0, at(9_100), SHARE), "another group");
            assert!(!budgets.take(2, at(9_100), SHARE), "no group");
        }
    }

    #[test]
    fn what_is_ten_seconds_old_is_forgotten() {
        let mut budgets = RetryBudgets::new(1);
        for _ in 0..100 {
            budgets.note_first(0, at(0));
        }
        let take = |budgets: &mut RetryBudgets, ms| {
            (0..1_000)
                .filter(|_| budgets.take(0, at(ms), SHARE))
                .count()
        };
        assert_eq!(take(&mut budgets, 5_000), 23);
        assert_eq!(take(&mut budgets, 9_999), 0);
        assert_eq!(
            take(&mut budgets, 12_000),
            0,
            "the retries of 5 s still count"
        );
        assert_eq!(take(&mut budgets, 15_000), 3, "all is forgotten");
        assert_eq!(take(&mut budgets, 1_000_000), 3);
    }

    #[test]
    fn nothing_is_tried_again_while_the_group_pushes_back() {
        let mut budgets = RetryBudgets::new(1);
        budgets.pushed_back(0, at(0), Duration::from_secs(2));
        budgets.pushed_back(0, at(0), Duration::from_secs(1));
        assert!(!budgets.take(0, at(1_999), SHARE));
        assert!(budgets.take(0, at(2_000), SHARE));
        budgets.pushed_back(0, at(3_000), Duration::from_secs(3_600));
        assert!(!budgets.take(0, at(62_999), SHARE));
        assert!(budgets.take(0, at(63_000), SHARE), "a minute at most");
    }

    #[test]
    fn some_answers_ask_for_fewer_requests() {
        let check = |status, retry_after: Option<&str>, want: Option<u64>| {
            let quiet = push_back(status, retry_after.map(str::as_bytes));
            assert_eq!(
                quiet.map(|quiet| quiet.as_secs()),
                want,
                "{status} {retry_after:?}"
            );
        };
        check(429, None, Some(1));
        check(429, Some("7"), Some(7));
        check(429, Some(" 7 "), Some(7));
        check(429, Some("86400"), Some(60));
        check(503, Some("2"), Some(2));
        check(503, Some("Fri, 31 Dec 1999 23:59:59 GMT"), Some(60));
        check(503, None, None);
        check(500, Some("2"), None);
        check(200, Some("2"), None);
    }
}
