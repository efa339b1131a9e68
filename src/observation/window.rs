//! Sixty closed seconds and the current one, with running sums over 10 s and 60 s.
//!
//! Only seconds in which something was counted are kept: most contracts are asked for now and then,
//! and there are as many windows as contracts.

use std::collections::VecDeque;

use crate::observation::CLASS_COUNT;

/// What is counted in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests that asked for the route.
    pub offered: u32,
    /// Retries among them that count as a storm.
    pub retries_counted: u32,
    /// Requests that shedding could meet, of each class, the lowest first.
    pub classes: [u32; CLASS_COUNT],
    /// Requests that ended with an outcome.
    pub outcomes: u32,
    /// Requests with an outcome or overdue.
    pub completed: u32,
    /// Failures among them.
    pub failed: u32,
    /// Slow ones among them.
    pub slow: u32,
}

impl Counts {
    const fn plus(self, other: Self) -> Self {
        Self {
            offered: self.offered.saturating_add(other.offered),
            retries_counted: self.retries_counted.saturating_add(other.retries_counted),
            classes: plus_each(self.classes, other.classes),
            outcomes: self.outcomes.saturating_add(other.outcomes),
            completed: self.completed.saturating_add(other.completed),
            failed: self.failed.saturating_add(other.failed),
            slow: self.slow.saturating_add(other.slow),
        }
    }

    const fn minus(self, other: Self) -> Self {
        Self {
            offered: self.offered.saturating_sub(other.offered),
            retries_counted: self.retries_counted.saturating_sub(other.retries_counted),
            classes: minus_each(self.classes, other.classes),
            outcomes: self.outcomes.saturating_sub(other.outcomes),
            completed: self.completed.saturating_sub(other.completed),
            failed: self.failed.saturating_sub(other.failed),
            slow: self.slow.saturating_sub(other.slow),
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

const fn plus_each(
    [a, b, c]: [u32; CLASS_COUNT],
    [d, e, f]: [u32; CLASS_COUNT],
) -> [u32; CLASS_COUNT] {
    [
        a.saturating_add(d),
        b.saturating_add(e),
        c.saturating_add(f),
    ]
}

const fn minus_each(
    [a, b, c]: [u32; CLASS_COUNT],
    [d, e, f]: [u32; CLASS_COUNT],
) -> [u32; CLASS_COUNT] {
    [
        a.saturating_sub(d),
        b.saturating_sub(e),
        c.saturating_sub(f),
    ]
}

const SHORT_SECONDS: u64 = 10;
const LONG_SECONDS: u64 = 60;

/// What was counted in one second.
#[derive(Debug, Clone, Copy)]
struct Counted {
    /// Its last 32 bits: nothing is kept for longer than a minute.
    second: u32,
    counts: Counts,
}

impl Counted {
    const fn is_within(&self, span: u64, now: u64) -> bool {
        (now as u32).wrapping_sub(self.second) as u64 <= span
    }
}

/// A window = its closed seconds and the current one.
#[derive(Debug, Clone, Default)]
pub struct SecondWindow {
    /// Oldest first, none twice, none older than the long window.
    counted: VecDeque<Counted>,
    /// How many of them, from the oldest on, the short window does not hold any more.
    beyond_short: usize,
    second: u64,
    short: Counts,
    long: Counts,
}

impl SecondWindow {
    /// Moves on to `second` and counts `counts` there. Seconds that already passed count as now.
    pub fn add(&mut self, second: u64, counts: Counts) {
        self.advance(second);
        if counts.is_zero() {
            return;
        }
        let now = self.second as u32;
        match self.counted.back_mut() {
            Some(last) if last.second == now => last.counts = last.counts.plus(counts),
            _ => self.keep(Counted {
                second: now,
                counts,
            }),
        }
        self.short = self.short.plus(counts);
        self.long = self.long.plus(counts);
    }

    /// The last ten closed seconds and the current one.
    #[must_use]
    pub const fn short(&self) -> Counts {
        self.short
    }

    /// The last sixty closed seconds and the current one.
    #[must_use]
    pub const fn long(&self) -> Counts {
        self.long
    }

    /// Forgets how requests ended; what was offered stays.
    pub fn forget_outcomes(&mut self) {
        let offered_only = |counts: &mut Counts| {
            *counts = Counts {
                outcomes: 0,
                completed: 0,
                failed: 0,
                slow: 0,
                ..*counts
            };
        };
        let kept = self.counted.iter_mut().map(|counted| &mut counted.counts);
        kept.for_each(offered_only);
        offered_only(&mut self.short);
        offered_only(&mut self.long);
    }

    /// One that is asked for once takes the room of one, and one without a pause twice that of two,
    /// and so on.
    fn keep(&mut self, counted: Counted) {
        if self.counted.capacity() == 0 {
            self.counted.reserve_exact(1);
        }
        self.counted.push_back(counted);
    }

    fn advance(&mut self, second: u64) {
        if second <= self.second {
            return;
        }
        if second - self.second > LONG_SECONDS {
            *self = Self {
                second,
                ..Self::default()
            };
            return;
        }
        self.second = second;
        while let Some(left) = self.counted.get(self.beyond_short) {
            if left.is_within(SHORT_SECONDS, second) {
                break;
            }
            self.short = self.short.minus(left.counts);
            self.beyond_short += 1;
        }
        while let Some(left) = self.counted.front() {
            if left.is_within(LONG_SECONDS, second) {
                break;
            }
            self.long = self.long.minus(left.counts);
            self.counted.pop_front();
            self.beyond_short = self.beyond_short.saturating_sub(1);
        }
        if self.counted.is_empty() {
            self.counted = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, SecondWindow};

    fn one() -> Counts {
        Counts {
            offered: 1,
            outcomes: 1,
            completed: 1,
            slow: 1,
            ..Counts::default()
        }
    }

    #[test]
    fn seconds_leave_when_their_time_is_over() {
        let mut window = SecondWindow::default();
        window.add(100, one());
        let table = [
            (100, 1, 1),
            (110, 1, 1),
            (111, 0, 1),
            (160, 0, 1),
            (161, 0, 0),
        ];
        for (second, short, long) in table {
            window.add(second, Counts::default());
            assert_eq!(window.short().slow, short, "10 s at {second}");
            assert_eq!(window.long().slow, long, "60 s at {second}");
        }
    }

    #[test]
    fn sums_agree_with_a_recount() {
        let mut window = SecondWindow::default();
        let mut seen: Vec<u64> = Vec::new();
        let mut second = 5;
        for step in 0..2_000_u64 {
            second += step * 7 % 3 % 2 + u64::from(step.is_multiple_of(97)) * 30;
            window.add(second, one());
            seen.push(second);
            let count = |span: u64| seen.iter().filter(|&&at| at + span >= second).count() as u32;
            assert_eq!(window.short().offered, count(10), "step {step}");
            assert_eq!(window.long().offered, count(60), "step {step}");
        }
    }

    #[test]
    fn a_long_silence_empties_everything() {
        let mut window = SecondWindow::default();
        window.add(10, one());
        window.add(10_000, Counts::default());
        assert!(window.long().is_zero() && window.short().is_zero());
    }
}
