//! The rising totals of one worker: written by that worker alone, read by the ticker and at scrape.
//!
//! A bump is a plain load and store, not a locked instruction, because there is one writer.
//! Counts wrap at 2^32; readers take differences, so a wrap costs nothing.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::observation::{BUCKETS, Histogram, bucket_of};

/// The totals of one route on one worker.
#[derive(Debug)]
pub struct RouteTotals {
    offered: AtomicU32,
    retries: AtomicU32,
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

/// A reading of [`RouteTotals`], summed over workers by wrapping addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TotalsReading {
    /// Requests that asked for the route.
    pub offered: u32,
    /// Retries among them.
    pub retries: u32,
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
    /// Overdue requests that ended after all.
    pub overdue_ended: u32,
}

impl Default for RouteTotals {
    fn default() -> Self {
        Self {
            offered: AtomicU32::new(0),
            retries: AtomicU32::new(0),
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
    pub fn note_offered(&self, is_retry: bool) {
        bump(&self.offered);
        if is_retry {
            bump(&self.retries);
        }
    }

    /// A request was sent on.
    #[inline]
    pub fn note_forwarded(&self) {
        bump(&self.forwarded);
    }

    /// A forwarded request ended without saying anything about the route.
    #[inline]
    pub fn note_abandoned(&self, was_overdue: bool) {
        bump(&self.ended);
        if was_overdue {
            bump(&self.overdue_ended);
        }
    }

    /// A forwarded request is older than the contract's latency and has no response head.
    #[inline]
    pub fn note_overdue(&self) {
        bump(&self.completed);
        bump(&self.slow);
        bump(&self.overdue_began);
    }

    /// A forwarded request ended with an outcome that speaks about the route.
    ///
    /// One that was overdue has been counted as completed and slow already.
    #[inline]
    pub fn note_outcome(&self, latency_us: u64, slow: bool, failed: bool, was_overdue: bool) {
        bump(&self.ended);
        bump(&self.outcomes);
        if was_overdue {
            bump(&self.overdue_ended);
        } else {
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
        add(&mut reading.retries, &self.retries);
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

/// All totals of one worker, and which routes it touched since the last tick.
#[derive(Debug)]
pub struct WorkerTotals {
    routes: Box<[RouteTotals]>,
    touched: Box<[AtomicU64]>,
}

impl WorkerTotals {
    /// Totals for `routes` routes, all 0.
    #[must_use]
    pub fn new(routes: usize) -> Self {
        Self {
            routes: (0..routes).map(|_| RouteTotals::default()).collect(),
            touched: (0..routes.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
        }
    }

    /// The totals of a route, marked as touched. `None` where there is no such route.
    #[inline]
    pub fn touch(&self, route: usize) -> Option<&RouteTotals> {
        let totals = self.routes.get(route)?;
        if let Some(word) = self.touched.get(route / 64) {
            let bit = 1 << (route % 64);
            // Mostly set already: then the line stays shared with the ticker, unwritten.
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::Release);
            }
        }
        Some(totals)
    }

    /// The totals of a route, for reading.
    #[must_use]
    pub fn route(&self, route: usize) -> Option<&RouteTotals> {
        self.routes.get(route)
    }

    /// Takes the marks of 64 routes: bit i of word w stands for route 64 w + i.
    pub(super) fn take_touched(&self, word: usize) -> u64 {
        self.touched
            .get(word)
            .map_or(0, |word| match word.load(Ordering::Relaxed) {
                0 => 0,
                _ => word.swap(0, Ordering::Acquire),
            })
    }
}

/// The latencies of a route, summed over workers, and their sum in microseconds.
#[must_use]
pub(super) fn sum_latencies(workers: &[WorkerTotals], route: usize) -> (Histogram, u64) {
    let mut counts = [0; BUCKETS];
    let mut sum_us = 0_u64;
    for totals in workers.iter().filter_map(|worker| worker.route(route)) {
        sum_us = sum_us.wrapping_add(totals.add_latencies_to(&mut counts));
    }
    (Histogram::new(counts), sum_us)
}

/// The totals of a route, summed over workers.
#[must_use]
pub(super) fn sum_totals(workers: &[WorkerTotals], route: usize) -> TotalsReading {
    let mut reading = TotalsReading::default();
    for totals in workers.iter().filter_map(|worker| worker.route(route)) {
        totals.add_to(&mut reading);
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::{WorkerTotals, sum_totals};

    #[test]
    fn an_overdue_request_is_counted_slow_once() {
        let worker = WorkerTotals::new(1);
        let route = worker.touch(0).expect("route 0 is there");
        route.note_offered(false);
        route.note_forwarded();
        route.note_overdue();
        route.note_outcome(900_000, true, false, true);
        let sum = sum_totals(&[worker], 0);
        assert_eq!((sum.completed, sum.slow, sum.failed), (1, 1, 0));
        assert_eq!((sum.overdue_began, sum.overdue_ended), (1, 1));
        assert_eq!(sum.forwarded, sum.ended);
    }

    #[test]
    fn touched_routes_are_told_once() {
        let worker = WorkerTotals::new(130);
        let _ = worker.touch(0);
        let _ = worker.touch(129);
        assert_eq!(worker.take_touched(0), 1);
        assert_eq!(worker.take_touched(2), 2);
        assert_eq!(worker.take_touched(2), 0);
        assert!(worker.touch(130).is_none());
    }
}
