//! Sixty closed seconds and the current one, with running sums over 10 s and 60 s.

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

const SLOTS: u64 = 64;
const SHORT_SECONDS: u64 = 10;
const LONG_SECONDS: u64 = 60;

/// A window = its closed seconds and the current one.
#[derive(Debug, Clone)]
pub struct SecondWindow {
    slots: [Counts; SLOTS as usize],
    second: u64,
    short: Counts,
    long: Counts,
}

impl Default for SecondWindow {
    fn default() -> Self {
        Self {
            slots: [Counts::default(); SLOTS as usize],
            second: 0,
            short: Counts::default(),
            long: Counts::default(),
        }
    }
}

impl SecondWindow {
    /// Moves on to `second` and counts `counts` there. Seconds that already passed count as now.
    pub fn add(&mut self, second: u64, counts: Counts) {
        self.advance(second);
        if let Some(slot) = self.slots.get_mut((self.second % SLOTS) as usize) {
            *slot = slot.plus(counts);
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
        self.slots.iter_mut().for_each(offered_only);
        offered_only(&mut self.short);
        offered_only(&mut self.long);
    }

    fn advance(&mut self, second: u64) {
        if second > self.second + SLOTS {
            *self = Self {
                second,
                ..Self::default()
            };
            return;
        }
        while self.second < second {
            self.second += 1;
            self.short = self.short.minus(self.past(SHORT_SECONDS + 1));
            self.long = self.long.minus(self.past(LONG_SECONDS + 1));
            if let Some(slot) = self.slots.get_mut((self.second % SLOTS) as usize) {
                *slot = Counts::default();
            }
        }
    }

    fn past(&self, seconds_ago: u64) -> Counts {
        let slot = (self.second + SLOTS - seconds_ago) % SLOTS;
        self.slots.get(slot as usize).copied().unwrap_or_default()
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
