//! The rising totals of one worker: written by that worker alone, read by the ticker and at scrape.
//!
//! A bump is a plain load and store, not a locked instruction, because there is one writer.
//! Counts wrap at 2^32; readers take differences, so a wrap costs nothing.
//!
//! Two cache lines: the counts, and the latencies near the first one that was seen. Most of a contract
//! lie there; what is further off has blocks of its own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::observation::{BUCKETS, Histogram, bucket_of};

/// The classes by which requests are shed: retries, ordinary ones, privileged ones.
pub const CLASS_COUNT: usize = 3;

/// The totals of one route on one worker, in the order in which they lie.
#[derive(Debug)]
#[repr(C)]
pub struct RouteTotals {
    offered: AtomicU32,
    retries_counted: AtomicU32,
    classes: [AtomicU32; CLASS_COUNT],
    outcomes: AtomicU32,
    forwarded: AtomicU32,
    ended: AtomicU32,
    completed: AtomicU32,
    failed: AtomicU32,
    slow: AtomicU32,
    overdue_began: AtomicU32,
    overdue_ended: AtomicU32,
    /// The first bucket of those that are near, and one more; 0 before the first latency.
    near_from: AtomicU32,
    latency_us: AtomicU64,
    near: [AtomicU32; NEAR],
    far: OnceLock<Box<Far>>,
}

/// Buckets of latency that lie beside the counts: three doublings.
const NEAR: usize = 12;
/// How many of them are below the first latency: the first request is often a slow one.
const BELOW: usize = 6;
/// Other buckets come together: eight doublings.
const TOGETHER: usize = 32;

type Latencies = [AtomicU32; TOGETHER];
type Far = [OnceLock<Box<Latencies>>; BUCKETS / TOGETHER];

/// How a request counts among those that asked for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// As any other.
    Ordinary,
    /// A retry; whether it counts as part of a storm depends on its client.
    Retry {
        /// It does.
        counts: bool,
    },
}

/// A reading of [`RouteTotals`], summed over workers by wrapping addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TotalsReading {
    /// Requests that asked for the route.
    pub offered: u32,
    /// Retries among them that count as a storm: one client gives at most a tenth of them.
    pub retries_counted: u32,
    /// Requests that shedding could meet, of each class, the lowest first.
    pub classes: [u32; CLASS_COUNT],
    /// Requests that ended with an outcome that speaks about the route.
    pub outcomes: u32,
    /// Requests sent on to the upstream.
    pub forwarded: u32,
    /// Forwarded requests that ended, in whatever way.
    pub ended: u32,
    /// Requests with an outcome, overdue ones included at the time they became so.
    pub completed: u32,
    /// Failures of the upstream.
    pub failed: u32,
    /// Slower than the contract, overdue ones included.
    pub slow: u32,
    /// Requests that became overdue.
    pub overdue_began: u32,
    /// Overdue requests that got their response head, or ended.
    pub overdue_ended: u32,
}

impl Default for RouteTotals {
    fn default() -> Self {
        Self {
            offered: AtomicU32::new(0),
            retries_counted: AtomicU32::new(0),
            classes: [const { AtomicU32::new(0) }; CLASS_COUNT],
            outcomes: AtomicU32::new(0),
            forwarded: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            completed: AtomicU32::new(0),
            failed: AtomicU32::new(0),
            slow: AtomicU32::new(0),
            overdue_began: AtomicU32::new(0),
            overdue_ended: AtomicU32::new(0),
            near_from: AtomicU32::new(0),
            latency_us: AtomicU64::new(0),
            near: [const { AtomicU32::new(0) }; NEAR],
            far: OnceLock::new(),
        }
    }
}

/// One more, by the only writer.
#[inline]
fn bump(cell: &AtomicU32) {
    cell.store(
        cell.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

impl RouteTotals {
    /// A request asked for the route.
    #[inline]
    pub fn note_offered(&self, kind: Offered) {
        bump(&self.offered);
        if kind == (Offered::Retry { counts: true }) {
            bump(&self.retries_counted);
        }
    }

    /// Nothing but shedding would refuse the request: it is part of what can be shed, as one of
    /// its class. What is refused anyway takes no share from the others.
    #[inline]
    pub fn note_class(&self, class: u8) {
        if let Some(cell) = self.classes.get(usize::from(class)) {
            bump(cell);
        }
    }

    /// A request was sent on.
    #[inline]
    pub fn note_forwarded(&self) {
        bump(&self.forwarded);
    }

    /// A forwarded request ended without saying anything about the route.
    #[inline]
    pub fn note_abandoned(&self) {
        bump(&self.ended);
    }

    /// A forwarded request is older than the contract's latency and has no response head.
    #[inline]
    pub fn note_overdue(&self) {
        bump(&self.completed);
        bump(&self.slow);
        bump(&self.overdue_began);
    }

    /// An overdue request has its response head, or came to its end without one.
    #[inline]
    pub fn note_overdue_ended(&self) {
        bump(&self.overdue_ended);
    }

    /// A forwarded request ended with an outcome that speaks about the route.
    ///
    /// One that was overdue once has been counted as completed and slow already.
    #[inline]
    pub fn note_outcome(&self, latency_us: u64, slow: bool, failed: bool, was_overdue: bool) {
        bump(&self.ended);
        bump(&self.outcomes);
        if !was_overdue {
            bump(&self.completed);
            if slow {
                bump(&self.slow);
            }
        }
        if failed {
            bump(&self.failed);
        }
        let sum = self.latency_us.load(Ordering::Relaxed);
        self.latency_us
            .store(sum.wrapping_add(latency_us), Ordering::Relaxed);
        self.note_latency(bucket_of(latency_us));
    }

    #[inline]
    fn note_latency(&self, bucket: usize) {
        let from = self.near_from.load(Ordering::Relaxed) as usize;
        // Before the first latency the difference is that of 0 and at least 1.
        let place = (bucket + 1).wrapping_sub(from);
        match self.near.get(place) {
            Some(cell) if from != 0 => bump(cell),
            _ => self.note_far(bucket),
        }
    }

    /// Apart, so that whoever counts near the first latency does not pay for it.
    #[cold]
    #[inline(never)]
    fn note_far(&self, bucket: usize) {
        if self.near_from.load(Ordering::Relaxed) == 0 {
            let from = bucket.saturating_sub(BELOW).min(BUCKETS - NEAR);
            if let Some(cell) = self.near.get(bucket - from) {
                bump(cell);
            }
            self.near_from.store(from as u32 + 1, Ordering::Release);
            return;
        }
        let far = self
            .far
            .get_or_init(|| Box::new([const { OnceLock::new() }; BUCKETS / TOGETHER]));
        let made = || Box::new([const { AtomicU32::new(0) }; TOGETHER]);
        let block = far
            .get(bucket / TOGETHER)
            .map(|block| block.get_or_init(made));
        if let Some(cell) = block.and_then(|block| block.get(bucket % TOGETHER)) {
            bump(cell);
        }
    }

    /// Adds this worker's counts to `reading`.
    fn add_to(&self, reading: &mut TotalsReading) {
        let add = |sum: &mut u32, cell: &AtomicU32| {
            *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
        };
        add(&mut reading.offered, &self.offered);
        add(&mut reading.retries_counted, &self.retries_counted);
        for (sum, cell) in reading.classes.iter_mut().zip(&self.classes) {
            add(sum, cell);
        }
        add(&mut reading.outcomes, &self.outcomes);
        add(&mut reading.forwarded, &self.forwarded);
        add(&mut reading.ended, &self.ended);
        add(&mut reading.completed, &self.completed);
        add(&mut reading.failed, &self.failed);
        add(&mut reading.slow, &self.slow);
        add(&mut reading.overdue_began, &self.overdue_began);
        add(&mut reading.overdue_ended, &self.overdue_ended);
    }

    /// Adds this worker's latencies to `sum`, wrapping, and returns their sum in microseconds.
    fn add_latencies_to(&self, sum: &mut [u32; BUCKETS]) -> u64 {
        let add = |(total, cell): (&mut u32, &AtomicU32)| {
            *total = total.wrapping_add(cell.load(Ordering::Relaxed));
        };
        // Pairs with the writer's store: the first count is there.
        let from = self.near_from.load(Ordering::Acquire) as usize;
        if from != 0 {
            let totals = sum.iter_mut().skip(from - 1);
            totals.zip(&self.near).for_each(add);
        }
        for (totals, block) in sum
            .chunks_mut(TOGETHER)
            .zip(self.far.get().into_iter().flat_map(|far| far.iter()))
        {
            let cells = block.get().into_iter().flat_map(|block| block.iter());
            totals.iter_mut().zip(cells).for_each(add);
        }
        self.latency_us.load(Ordering::Relaxed)
    }
}

/// The latencies of a route, summed over workers, and their sum in microseconds.
#[must_use]
pub(super) fn sum_latencies<'t>(
    workers: impl Iterator<Item = &'t RouteTotals>,
) -> (Histogram, u64) {
    let mut counts = [0; BUCKETS];
    let mut sum_us = 0_u64;
    for totals in workers {
        sum_us = sum_us.wrapping_add(totals.add_latencies_to(&mut counts));
    }
    (Histogram::new(counts), sum_us)
}

/// The totals of a route, summed over workers.
#[must_use]
pub(super) fn sum_totals<'t>(workers: impl Iterator<Item = &'t RouteTotals>) -> TotalsReading {
    let mut reading = TotalsReading::default();
    for totals in workers {
        totals.add_to(&mut reading);
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::{Offered, RouteTotals, sum_latencies, sum_totals};
    use crate::observation::{BUCKETS, bucket_of};

    #[test]
    fn latencies_of_every_length_are_counted_where_they_belong() {
        let workers = [RouteTotals::default(), RouteTotals::default()];
        let (nothing, _) = sum_latencies(workers.iter());
        assert_eq!(nothing.total(), 0);
        let mut expected = [0; BUCKETS];
        for (worker, micros) in [0, 511, 512, 131_071, 131_072, 40_000_000, u64::MAX / 8]
            .into_iter()
            .enumerate()
        {
            for _ in 0..3 {
                workers[worker % 2].note_outcome(micros, false, false, false);
            }
            expected[bucket_of(micros)] += 3;
        }
        assert!(workers.iter().all(|worker| worker.far.get().is_some()));
        let (histogram, _) = sum_latencies(workers.iter());
        assert_eq!(histogram.counts(), &expected);
    }

    #[test]
    fn whatever_came_first_all_latencies_are_counted() {
        let octaves = || (0..63).map(|octave| 1_u64 << octave);
        for first in octaves() {
            let route = RouteTotals::default();
            let mut expected = [0; BUCKETS];
            for micros in [first].into_iter().chain(octaves()) {
                route.note_outcome(micros, false, false, false);
                expected[bucket_of(micros)] += 1;
            }
            let (histogram, sum_us) = sum_latencies([route].iter());
            assert_eq!(histogram.counts(), &expected, "{first}");
            assert_eq!(sum_us, first + (1 << 63) - 1);
        }
    }

    #[test]
    fn latencies_near_the_first_need_no_more_memory() {
        let route = RouteTotals::default();
        for micros in [2_000, 1_000, 1_500, 4_000] {
            route.note_outcome(micros, false, false, false);
        }
        assert!(route.far.get().is_none());
    }

    #[test]
    fn an_overdue_request_is_counted_slow_once() {
        let route = RouteTotals::default();
        route.note_offered(Offered::Ordinary);
        route.note_forwarded();
        route.note_overdue();
        route.note_overdue_ended();
        route.note_outcome(900_000, true, false, true);
        let sum = sum_totals([route].iter());
        assert_eq!((sum.completed, sum.slow, sum.failed), (1, 1, 0));
        assert_eq!((sum.overdue_began, sum.overdue_ended), (1, 1));
        assert_eq!(sum.forwarded, sum.ended);
    }
}
