//! The rising totals of one worker: written by that worker alone, read by the ticker and at scrape.
//!
//! A bump is a plain load and store, not a locked instruction, because there is one writer.
//! Counts wrap at 2^32; readers take differences, so a wrap costs nothing.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::observation::{BUCKETS, Histogram, bucket_of};

/// The classes by which requests are shed: retries, ordinary ones, privileged ones.
pub const CLASS_COUNT: usize = 3;

/// The totals of one route on one worker.
#[derive(Debug)]
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
    latency_us: AtomicU64,
    latencies: [AtomicU32; BUCKETS],
}

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
            latency_us: AtomicU64::new(0),
            latencies: [const { AtomicU32::new(0) }; BUCKETS],
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
        if let Some(cell) = self.latencies.get(bucket_of(latency_us)) {
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
        for (total, cell) in sum.iter_mut().zip(&self.latencies) {
            *total = total.wrapping_add(cell.load(Ordering::Relaxed));
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
    use super::{Offered, RouteTotals, sum_totals};

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
