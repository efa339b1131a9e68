//! Long windows of failures: what the error budget was spent on in the last minutes, hours, days.
//!
//! Three rings of closed buckets (60 x 1 min, 72 x 5 min, 72 x 1 h) and running sums over five
//! windows, so that reading one costs nothing and closing a minute costs a few additions. A window
//! is its closed buckets and the current one. Silence counts as observed,
//! and a restart goes on where the snapshot ended.

use crate::observation::blocks::Blocks;
use crate::observation::{BurnPair, Share};

/// How many windows there are.
pub const BURN_WINDOW_COUNT: usize = 5;
/// The names of the windows, shortest first.
pub const BURN_WINDOW_NAMES: [&str; BURN_WINDOW_COUNT] = ["5m", "30m", "1h", "6h", "3d"];
/// The lengths of the windows, minutes.
pub const BURN_WINDOW_MINUTES: [u64; BURN_WINDOW_COUNT] = [5, 30, 60, 360, LONGEST_MINUTES];
/// The least that the long window of a pair must have counted before the pair says anything.
pub const BURN_SAMPLES_MIN: u32 = 100;
/// The least failures among them.
pub const BURN_FAILURES_MIN: u32 = 5;

/// Short and long window of each pair, as places among the windows.
const PAIRS: [(usize, usize); 3] = [(0, 2), (1, 3), (3, 4)];
/// After so long without a request every window is empty.
pub(super) const LONGEST_MINUTES: u64 = 3 * 24 * 60;

/// More than anybody observes: a forged snapshot must not overflow.
pub(super) const OBSERVED_MAX: u64 = u32::MAX as u64;

const MINUTE_BUCKETS: usize = 60;
const FIVE_BUCKETS: usize = 72;
const HOUR_BUCKETS: usize = 72;
/// Buckets that come and go together.
const TOGETHER: usize = 12;
const FIVE: u64 = 5;
const HOUR: u64 = 60;

/// The sums of the five windows, shortest first: failed of completed and overdue.
pub type BurnSums = [Share; BURN_WINDOW_COUNT];

/// The pair of windows at this place; all 0 where the long one holds too little.
#[must_use]
pub fn burn_pair(sums: &BurnSums, pair: usize) -> BurnPair {
    let Some(&(short, long)) = PAIRS.get(pair) else {
        return BurnPair::default();
    };
    let sum = |window: usize| sums.get(window).copied().unwrap_or_default();
    let found = BurnPair {
        short: sum(short),
        long: sum(long),
    };
    if found.long.whole < BURN_SAMPLES_MIN || found.long.part < BURN_FAILURES_MIN {
        return BurnPair::default();
    }
    found
}

/// Whether half of the pair's long window has been observed.
#[must_use]
pub fn burn_pair_known(observed_minutes: u64, pair: usize) -> bool {
    PAIRS
        .get(pair)
        .and_then(|&(_, long)| BURN_WINDOW_MINUTES.get(long))
        .is_some_and(|minutes| observed_minutes >= minutes / 2)
}

/// The last closed buckets, as many as the blocks hold, and the current one: that lies first.
#[derive(Debug, Clone, Default)]
#[repr(C)]
struct Ring<const BLOCKS: usize> {
    current: Share,
    next: usize,
    closed: Blocks<Share, TOGETHER, BLOCKS>,
}

impl<const BLOCKS: usize> Ring<BLOCKS> {
    /// How many are closed.
    const LENGTH: usize = BLOCKS * TOGETHER;

    /// Closes the current bucket and returns the one that has to go.
    fn close(&mut self) -> Share {
        let closing = std::mem::take(&mut self.current);
        let gone = self.closed.replace(self.next, closing);
        self.next = (self.next + 1) % Self::LENGTH;
        gone
    }

    /// The bucket that was closed `ago` closings before the last one.
    fn past(&self, ago: usize) -> Share {
        let length = Self::LENGTH;
        self.closed
            .get((self.next + length - 1 - ago % length) % length)
    }

    fn add(&mut self, counts: Share) {
        self.current.part = self.current.part.saturating_add(counts.part);
        self.current.whole = self.current.whole.saturating_add(counts.whole);
    }

    /// The closed buckets, newest first, without the empty ones at the end.
    fn saved(&self) -> Vec<Share> {
        let mut buckets: Vec<Share> = (0..Self::LENGTH).map(|ago| self.past(ago)).collect();
        while buckets.last().is_some_and(|last| *last == Share::default()) {
            buckets.pop();
        }
        buckets
    }

    fn restored(newest_first: &[Share], current: Share) -> Self {
        let mut ring = Self::default();
        for (place, saved) in (0..Self::LENGTH).rev().zip(newest_first) {
            ring.closed.replace(place, *saved);
        }
        ring.current = current;
        ring
    }

    fn sum(&self, closed: usize) -> Sum {
        let mut sum = Sum::default();
        (0..closed.min(Self::LENGTH)).for_each(|ago| sum.add(self.past(ago)));
        sum
    }
}

/// Wide enough for three days of anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    part: u64,
    whole: u64,
}

impl Sum {
    fn add(&mut self, counts: Share) {
        self.part += u64::from(counts.part);
        self.whole += u64::from(counts.whole);
    }

    fn sub(&mut self, counts: Share) {
        self.part = self.part.saturating_sub(u64::from(counts.part));
        self.whole = self.whole.saturating_sub(u64::from(counts.whole));
    }

    /// As two numbers of 32 bits; both are halved until they fit, which keeps their share.
    fn share(self) -> Share {
        let widest = self.part.max(self.whole);
        let shift = (u64::BITS - widest.leading_zeros()).saturating_sub(u32::BITS);
        Share {
            part: (self.part >> shift) as u32,
            whole: (self.whole >> shift) as u32,
        }
    }
}

/// The long windows of one route. What is counted at a tick lies first.
#[derive(Debug, Clone, Default)]
#[repr(C)]
pub(super) struct BurnWindows {
    sums: [Sum; BURN_WINDOW_COUNT],
    minutes: Ring<{ MINUTE_BUCKETS / TOGETHER }>,
    observed_minutes: u64,
    /// Minutes closed, which says when five minutes and hours are full.
    phase: u64,
    fives: Ring<{ FIVE_BUCKETS / TOGETHER }>,
    hours: Ring<{ HOUR_BUCKETS / TOGETHER }>,
}

/// `BurnWindows` in a snapshot: closed buckets newest first, and the current ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BurnSnapshot {
    /// Whole minutes that were observed.
    pub observed_minutes: u64,
    /// Minutes that the current hour has closed.
    pub phase: u64,
    /// Closed minutes.
    pub minutes: Vec<Share>,
    /// Closed five minutes.
    pub fives: Vec<Share>,
    /// Closed hours.
    pub hours: Vec<Share>,
    /// What the current minute, five minutes and hour have so far. The latter two hold closed
    /// minutes only.
    pub current: [Share; 3],
}

impl BurnWindows {
    /// Nothing counted, but observed for so long.
    pub(super) fn observed_for(minutes: u64) -> Self {
        Self {
            observed_minutes: minutes,
            ..Self::default()
        }
    }

    /// Counts into the current minute.
    #[inline]
    pub(super) fn add(&mut self, counts: Share) {
        if counts == Share::default() {
            return;
        }
        self.minutes.add(counts);
        for sum in &mut self.sums {
            sum.add(counts);
        }
    }

    /// Closes the current minute, and with it five minutes or an hour where they are full. The
    /// first minute of a process is no `whole` one.
    pub(super) fn close_minute(&mut self, whole: bool) {
        let minute = self.minutes.current;
        self.fives.add(minute);
        self.hours.add(minute);
        let [m5, m30, h1, h6, d3] = &mut self.sums;
        m5.sub(self.minutes.past(4));
        m30.sub(self.minutes.past(29));
        h1.sub(self.minutes.close());
        self.observed_minutes = self.observed_minutes.saturating_add(u64::from(whole));
        self.phase += 1;
        if self.phase.is_multiple_of(FIVE) {
            h6.sub(self.fives.close());
        }
        if self.phase.is_multiple_of(HOUR) {
            d3.sub(self.hours.close());
        }
    }

    /// Lets `minutes` more pass of which nobody will ask for the buckets: all of them are empty.
    pub(super) fn skip(&mut self, minutes: u64) {
        self.observed_minutes = self.observed_minutes.saturating_add(minutes);
        self.phase = (self.phase + minutes) % HOUR;
    }

    /// Whole minutes that were observed.
    pub(super) const fn observed_minutes(&self) -> u64 {
        self.observed_minutes
    }

    /// Whether there are failures enough for any pair to speak.
    #[inline]
    pub(super) fn has_failures(&self) -> bool {
        let [.., longest] = &self.sums;
        longest.part >= u64::from(BURN_FAILURES_MIN)
    }

    /// Failed of completed and overdue, per window.
    pub(super) fn sums(&self) -> BurnSums {
        self.sums.map(Sum::share)
    }

    /// Plain data, for a snapshot.
    pub(super) fn saved(&self) -> BurnSnapshot {
        BurnSnapshot {
            observed_minutes: self.observed_minutes,
            phase: self.phase % HOUR,
            minutes: self.minutes.saved(),
            fives: self.fives.saved(),
            hours: self.hours.saved(),
            current: [self.minutes.current, self.fives.current, self.hours.current],
        }
    }

    /// The windows of a snapshot; buckets beyond a ring are left out.
    pub(super) fn restored(saved: &BurnSnapshot) -> Self {
        let [minute, five, hour] = saved.current;
        let mut windows = Self {
            sums: Default::default(),
            observed_minutes: saved.observed_minutes.min(OBSERVED_MAX),
            phase: saved.phase % HOUR,
            minutes: Ring::restored(&saved.minutes, minute),
            fives: Ring::restored(&saved.fives, five),
            hours: Ring::restored(&saved.hours, hour),
        };
        let (minutes, fives, hours) = (&windows.minutes, &windows.fives, &windows.hours);
        let mut sums = [
            minutes.sum(5),
            minutes.sum(30),
            minutes.sum(MINUTE_BUCKETS),
            fives.sum(FIVE_BUCKETS),
            hours.sum(HOUR_BUCKETS),
        ];
        sums.iter_mut().for_each(|sum| sum.add(minute));
        let [_, _, _, h6, d3] = &mut sums;
        h6.add(five);
        d3.add(hour);
        windows.sums = sums;
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::{BURN_WINDOW_MINUTES, BurnWindows, Sum, burn_pair, burn_pair_known};
    use crate::observation::{BurnPair, Share};

    const fn share(part: u32, whole: u32) -> Share {
        Share { part, whole }
    }

    /// Minute after minute against a plain list of all minutes.
    #[test]
    fn sums_agree_with_a_recount() {
        let mut windows = BurnWindows::default();
        let mut minutes: Vec<Share> = Vec::new();
        for step in 0..6_000_u32 {
            let busy = step % 7 != 0 && step / 500 % 3 != 1;
            let counts = if busy {
                share(step % 3, 3 + step % 11)
            } else {
                share(0, 0)
            };
            windows.add(counts);
            minutes.push(counts);
            let [m5, m30, h1, h6, d3] = windows.sums();
            // Closed buckets and the current one: five minutes and hours hold up to their length.
            let in_five = minutes.len() - (minutes.len() - 1) / 5 * 5;
            let in_hour = minutes.len() - (minutes.len() - 1) / 60 * 60;
            for (found, span) in [
                (m5, 6),
                (m30, 31),
                (h1, 61),
                (h6, 360 + in_five),
                (d3, 4_320 + in_hour),
            ] {
                let last = minutes.iter().rev().take(span);
                let want = last.fold(share(0, 0), |sum, minute| {
                    share(sum.part + minute.part, sum.whole + minute.whole)
                });
                assert_eq!(found, want, "step {step}, {span} minutes");
            }
            windows.close_minute(true);
        }
    }

    #[test]
    fn a_snapshot_goes_on_where_it_was_taken() {
        let mut windows = BurnWindows::observed_for(17);
        for step in 0..5_003 {
            windows.add(share(step % 2, 10));
            if step == 777 {
                windows = BurnWindows::restored(&windows.saved());
            }
            windows.close_minute(true);
        }
        windows.add(share(1, 2));
        let mut restored = BurnWindows::restored(&windows.saved());
        assert_eq!(restored.saved(), windows.saved());
        for step in 0..5_000 {
            assert_eq!(restored.sums(), windows.sums(), "step {step}");
            restored.close_minute(true);
            windows.close_minute(true);
        }
        assert!(!windows.has_failures() && windows.sums() == [share(0, 0); 5]);
    }

    #[test]
    fn a_pair_speaks_once_half_of_its_long_window_was_observed() {
        let table = [
            (29, [false, false, false]),
            (30, [true, false, false]),
            (179, [true, false, false]),
            (180, [true, true, false]),
            (2_159, [true, true, false]),
            (2_160, [true, true, true]),
        ];
        for (minutes, want) in table {
            let known = [0, 1, 2].map(|pair| burn_pair_known(minutes, pair));
            assert_eq!(known, want, "{minutes} minutes");
        }
        assert_eq!(BURN_WINDOW_MINUTES, [5, 30, 60, 6 * 60, 72 * 60]);
    }

    #[test]
    fn a_pair_with_too_little_is_left_out() {
        let (calm, hot) = (share(4, 1_000), share(5, 100));
        let pair = |short, long| BurnPair { short, long };
        let sums = [share(1, 1), share(2, 2), hot, calm, share(9, 99)];
        assert_eq!(burn_pair(&sums, 0), pair(share(1, 1), hot));
        assert_eq!(burn_pair(&sums, 1), BurnPair::default(), "four failures");
        assert_eq!(burn_pair(&sums, 2), BurnPair::default(), "99 samples");
    }

    #[test]
    fn sums_beyond_32_bits_keep_their_share() {
        let sum = Sum {
            part: 1 << 34,
            whole: 1 << 36,
        };
        let Share { part, whole } = sum.share();
        assert_eq!((part, whole), (1 << 29, 1 << 31));
    }
}
