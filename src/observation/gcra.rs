//! A rate limit in one word: the generic cell rate algorithm (ITU-T I.371) in virtual scheduling.
//!
//! The word holds the theoretical arrival time (TAT) in monotonic nanoseconds. A request conforms
//! when TAT lies at most the tolerance ahead of now; then TAT moves on by the period T.
//!
//! How far TAT lies ahead is requests times T, so under another limit it means something else:
//! [`GcraWord::rescale`] says what it means there. Where nobody finds the word to do that, its next
//! [`GcraWord::peek`] cuts it to what its limit could have put there.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::units::PerMinute;

const NANOS_PER_MINUTE: u64 = 60_000_000_000;

/// Period and tolerance of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    period_ns: u64,
    tolerance_ns: u64,
    /// The furthest that it puts a TAT ahead.
    reach_ns: u64,
}

impl Limit {
    /// `rate` per minute on average, `burst` at once; the default burst is a tenth of a minute's
    /// worth, at least 1.
    #[must_use]
    pub fn new(rate: PerMinute, burst: Option<NonZeroU32>) -> Self {
        let period_ns = NANOS_PER_MINUTE / u64::from(rate.get());
        let burst = burst.map_or((rate.get() / 10).max(1), NonZeroU32::get);
        let tolerance_ns = period_ns.saturating_mul(u64::from(burst) - 1);
        Self {
            period_ns,
            tolerance_ns,
            reach_ns: tolerance_ns.saturating_add(period_ns),
        }
    }

    /// The same where a turn may be reserved so far ahead.
    #[must_use]
    pub const fn with_wait(self, wait_max_ns: u64) -> Self {
        let used_up = self.tolerance_ns.saturating_add(self.period_ns);
        Self {
            reach_ns: used_up.saturating_add(wait_max_ns),
            ..self
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
    /// TAT minus now; negative where the limit has been idle. Takes nothing. Asked before a take, so
    /// that a word further ahead than its limit can have put it counts as just used up.
    #[inline]
    pub fn peek(&self, limit: &Limit, now_ns: u64) -> i64 {
        self.cut(limit, now_ns);
        self.ahead(now_ns)
    }

    /// TAT minus now, whatever its limit.
    #[inline]
    pub(super) fn ahead(&self, now_ns: u64) -> i64 {
        let tat = self.0.load(Ordering::Relaxed);
        i64::try_from(i128::from(tat) - i128::from(now_ns))
            .unwrap_or(i64::MIN)
            .max(-MAX_IDLE_NS)
    }

    #[inline]
    fn cut(&self, limit: &Limit, now_ns: u64) {
        let furthest = now_ns.saturating_add(limit.reach_ns);
        if self.0.load(Ordering::Relaxed) > furthest.saturating_add(CUT_SLACK_NS) {
            self.0.fetch_min(furthest, Ordering::Relaxed);
        }
    }

    /// Says what was used up under a period of `old_ns` in the measure of another limit: as many
    /// requests, at most all of them. Exact to the nanosecond, rounded up.
    ///
    /// A request between its take and its give-back at that instant gives back one request of the
    /// old limit, which is nothing or, where the old rate was much lower, up to one burst of the new.
    pub(super) fn rescale(&self, old_ns: u64, limit: &Limit, now_ns: u64) {
        let scaled = |ahead: u64| {
            let wide = u128::from(ahead) * u128::from(limit.period_ns);
            let wide = wide.div_ceil(u128::from(old_ns.max(1)));
            u64::try_from(wide).map_or(limit.reach_ns, |ahead| ahead.min(limit.reach_ns))
        };
        // Where nothing is used up there is nothing to say.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat| {
                let ahead = tat.checked_sub(now_ns).filter(|ahead| *ahead > 0)?;
                Some(now_ns.saturating_add(scaled(ahead)))
            });
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
        // Not below 0, where it would wrap to the far future: the word may have been rescaled since.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat| {
                Some(tat.saturating_sub(limit.period_ns))
            });
    }
}

/// Idle time beyond an hour is one hour: it means nothing more, and records stay short.
const MAX_IDLE_NS: i64 = 3_600_000_000_000;

/// Requests come with the instant of their arrival, so one may ask a little later than another
/// that came after it: what is less than this too far ahead is no foreign limit's doing. A request
/// that was held up for longer between the two gives back as much time as that.
const CUT_SLACK_NS: u64 = 1_000_000_000;

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
            assert_eq!(limit.remaining(word.peek(&limit, now)), left);
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
        let wait = limit.wait_ns(word.peek(&limit, start + second));
        assert!(!word.take(&limit, start + second + wait - 1));
        assert!(word.take(&limit, start + second + wait));
    }

    #[test]
    fn another_limit_counts_the_same_requests() {
        let second = 1_000_000_000;
        // Old limit, requests taken, new limit, requests left at once.
        let table = [
            ((1, 60), 30, (6_000, 600), 570),
            ((60, 10), 10, (6, 10), 0),
            ((60, 10), 4, (6, 10), 6),
            ((60, 10), 10, (60, 4), 0),
            ((60, 10), 7, (60, 10), 3),
            ((60, 10), 0, (7, 3), 3),
            // Sevenths of a nanosecond are rounded up.
            ((7, 100), 40, (1_100_000, 100), 60),
            ((4_000_000_000, 9), 5, (1, 9), 4),
        ];
        for (old, taken, new, left) in table {
            let (before, after) = (limit(old.0, old.1), limit(new.0, new.1));
            let word = GcraWord::default();
            let now = 500 * second;
            for _ in 0..taken {
                assert!(word.take(&before, now), "{old:?}");
            }
            word.rescale(before.period_ns(), &after, now);
            let remaining = after.remaining(word.peek(&after, now));
            assert_eq!(remaining, left, "{taken} of {old:?} in {new:?}");
            let passed = (0..1_000).take_while(|_| word.take(&after, now));
            assert_eq!(passed.count() as u64, left, "{taken} of {old:?} in {new:?}");
            assert!(after.wait_ns(word.peek(&after, now)) <= after.period_ns());
        }
    }

    #[test]
    fn a_word_that_its_limit_cannot_have_made_is_just_used_up() {
        let now = 5_000_000_000_000;
        let (old, new) = (limit(1, 60), limit(6_000, 600));
        let word = GcraWord::default();
        assert!((0..60).all(|_| word.take(&old, now)));
        assert!(!word.take(&new, now));
        assert_eq!(new.wait_ns(word.peek(&new, now)), new.period_ns());
        assert!(word.take(&new, now + new.period_ns()));
        // Turns that were reserved are of its own making.
        let patient = limit(60, 1).with_wait(20_000_000_000);
        let word = GcraWord::default();
        let turns = (0..100).map(|_| word.turn(&patient, now, 20_000_000_000));
        let taken = turns.filter(|turn| !matches!(turn, Turn::Not(_)));
        assert_eq!(taken.count(), 21);
        assert_eq!(word.peek(&patient, now), 21_000_000_000);
    }

    #[test]
    fn what_is_given_back_across_a_rescale_never_wraps() {
        let now = 30_000_000_000;
        let (old, new) = (limit(1, 60), limit(6_000, 600));
        let word = GcraWord::default();
        assert!(word.take(&old, now));
        word.rescale(old.period_ns(), &new, now);
        word.give_back(&old);
        assert!(word.take(&new, now));
        let word = GcraWord::default();
        word.restore(u64::MAX, now);
        word.rescale(1, &old, now);
        assert_eq!(old.remaining(word.peek(&old, now)), 0);
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
