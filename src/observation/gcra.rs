//! A rate limit in one word: the generic cell rate algorithm (ITU-T I.371) in virtual scheduling.
//!
//! The word holds the theoretical arrival time (TAT) in monotonic nanoseconds. A request conforms
//! when TAT lies at most the tolerance ahead of now; then TAT moves on by the period T.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::units::PerMinute;

const NANOS_PER_MINUTE: u64 = 60_000_000_000;

/// Period and tolerance of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    period_ns: u64,
    tolerance_ns: u64,
}

impl Limit {
    /// `rate` per minute on average, `burst` at once; the default burst is a tenth of a minute's
    /// worth, at least 1.
    #[must_use]
    pub fn new(rate: PerMinute, burst: Option<NonZeroU32>) -> Self {
        let period_ns = NANOS_PER_MINUTE / u64::from(rate.get());
        let burst = burst.map_or((rate.get() / 10).max(1), NonZeroU32::get);
        Self {
            period_ns,
            tolerance_ns: period_ns.saturating_mul(u64::from(burst) - 1),
        }
    }

    /// The time between two requests at the limit, nanoseconds.
    #[must_use]
    pub const fn period_ns(&self) -> u64 {
        self.period_ns
    }

    /// How far ahead of now its TAT can be, nanoseconds, where nobody waits for a turn.
    #[must_use]
    pub const fn furthest_ns(&self) -> u64 {
        self.tolerance_ns.saturating_add(self.period_ns)
    }

    /// How many requests conform at once, now. `tat_ns` is relative to now.
    #[must_use]
    pub fn remaining(&self, tat_ns: i64) -> u64 {
        let ahead = u64::try_from(tat_ns).unwrap_or(0);
        match self.tolerance_ns.checked_sub(ahead) {
            Some(left) => left / self.period_ns.max(1) + 1,
            None => 0,
        }
    }

    /// How long until one request conforms, nanoseconds; 0 = now. `tat_ns` is relative to now.
    #[must_use]
    pub fn wait_ns(&self, tat_ns: i64) -> u64 {
        u64::try_from(tat_ns)
            .unwrap_or(0)
            .saturating_sub(self.tolerance_ns)
    }
}

/// When a limit lets a request pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Now: taken.
    Now,
    /// After so many nanoseconds, at least one: taken.
    After(u64),
    /// Not within the patience asked with, but after so many nanoseconds: nothing is taken.
    Not(u64),
}

/// The state of a limit.
#[derive(Debug, Default)]
pub struct GcraWord(AtomicU64);

impl GcraWord {
    /// TAT minus now; negative where the limit has been idle. Takes nothing.
    #[inline]
    pub fn peek(&self, now_ns: u64) -> i64 {
        let tat = self.0.load(Ordering::Relaxed);
        i64::try_from(i128::from(tat) - i128::from(now_ns))
            .unwrap_or(i64::MIN)
            .max(-MAX_IDLE_NS)
    }

    /// Takes over a limit of an earlier process whose TAT lies so far ahead.
    pub(super) fn restore(&self, ahead_ns: u64, now_ns: u64) {
        if ahead_ns > 0 {
            self.0
                .store(now_ns.saturating_add(ahead_ns), Ordering::Relaxed);
        }
    }

    /// Takes one request's worth if it conforms now.
    #[inline]
    pub fn take(&self, limit: &Limit, now_ns: u64) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat| {
                let start = tat.max(now_ns);
                (start - now_ns <= limit.tolerance_ns).then_some(start + limit.period_ns)
            })
            .is_ok()
    }

    /// Takes one request's worth if it conforms within `patience_ns`, in one step: what another
    /// worker gives back meanwhile makes the answer better, and never a wait of nothing.
    #[inline]
    pub fn turn(&self, limit: &Limit, now_ns: u64, patience_ns: u64) -> Turn {
        let wait_at = |tat: u64| {
            let ahead = tat.max(now_ns) - now_ns;
            ahead.saturating_sub(limit.tolerance_ns)
        };
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat| {
                (wait_at(tat) <= patience_ns).then_some(tat.max(now_ns) + limit.period_ns)
            });
        match before.map(wait_at).map_err(wait_at) {
            Ok(0) => Turn::Now,
            Ok(wait_ns) => Turn::After(wait_ns),
            Err(wait_ns) => Turn::Not(wait_ns),
        }
    }

    /// Gives back one request's worth, because a later limit refused it.
    #[inline]
    pub fn give_back(&self, limit: &Limit) {
        self.0.fetch_sub(limit.period_ns, Ordering::Relaxed);
    }
}

/// Idle time beyond an hour is one hour: it means nothing more, and records stay short.
const MAX_IDLE_NS: i64 = 3_600_000_000_000;

#[cfg(test)]
mod tests {
    use super::{GcraWord, Limit, Turn};
    use crate::units::PerMinute;
    use std::num::NonZeroU32;

    fn limit(rpm: u32, burst: u32) -> Limit {
        let rate = PerMinute::new(rpm).expect("a rate above 0");
        Limit::new(rate, NonZeroU32::new(burst))
    }

    #[test]
    fn what_remains_is_what_passes() {
        let limit = limit(60, 5);
        let word = GcraWord::default();
        let now = 1_000_000_000_000;
        for left in (0..=5).rev() {
            assert_eq!(limit.remaining(word.peek(now)), left);
            assert_eq!(word.take(&limit, now), left > 0);
        }
    }

    #[test]
    fn a_turn_comes_now_or_soon_or_is_not_taken() {
        // R050
        const SECOND: u64 = 1_000_000_000;
        let limit = limit(60, 2);
        let word = GcraWord::default();
        let now = 1_000 * SECOND;
        let check = |patience_s, expected| {
            let turn = word.turn(&limit, now, patience_s * SECOND);
            assert_eq!(turn, expected, "patience of {patience_s} s");
        };
        check(0, Turn::Now);
        check(3, Turn::Now);
        check(0, Turn::Not(SECOND));
        check(3, Turn::After(SECOND));
        check(1, Turn::Not(2 * SECOND));
        check(2, Turn::After(2 * SECOND));
        // Two that waited gave up: whoever would have waited needs not.
        for _ in 0..3 {
            word.give_back(&limit);
        }
        check(3, Turn::Now);
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        // R015: with burst 10, ten of 200 in one second pass.
        let limit = limit(10, 10);
        let word = GcraWord::default();
        let second = 1_000_000_000;
        let start = 500 * second;
        let passed = (0..200)
            .filter(|step| word.take(&limit, start + step * second / 200))
            .count();
        assert_eq!(passed, 10);
        let wait = limit.wait_ns(word.peek(start + second));
        assert!(!word.take(&limit, start + second + wait - 1));
        assert!(word.take(&limit, start + second + wait));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let limit = limit(60, 1);
        let word = GcraWord::default();
        assert!(word.take(&limit, 10));
        assert!(!word.take(&limit, 10));
        word.give_back(&limit);
        assert!(word.take(&limit, 10));
    }

    #[test]
    fn an_hour_admits_the_rate_within_one_burst() {
        for phase in [0, 1, 999_999_937] {
            let limit = limit(600, 60);
            let word = GcraWord::default();
            let step = 7_000_000;
            let passed = (0..3_600_000_000_000 / step)
                .filter(|number| word.take(&limit, 1_000_000_000_000 + phase + number * step))
                .count();
            assert!((36_000..=36_060).contains(&passed), "{passed} at {phase}");
        }
    }
}
