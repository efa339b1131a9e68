//! The shared state of all routes of one rulebook.
//!
//! Three kinds of memory, never on one cache line: totals (each worker its own), the snapshot of
//! a route (written by the ticker, read by all) and the limit words of a route (written by all).
//! There is one more route than there are contracts: [`Board::unmatched`] takes everything that
//! no contract claims, however many paths it has.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use crate::observation::totals::{sum_latencies, sum_totals};
use crate::observation::{GcraWord, Histogram, Share, WorkerTotals, totals::TotalsReading};
use crate::units::{Band, BasisPoints};

/// The name of everything unmatched in metrics.
pub const UNMATCHED: &str = "_unmatched";

/// Which set of limit words a request counts in.
///
/// A gateway that only observes must not let requests that it would have refused use up the
/// limits that it reports on, and its words must not be the ones a controlling listener obeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Would have.
    Dry,
    /// Did.
    Real,
}

/// The words of a route that more than one thread writes.
#[derive(Debug, Default)]
struct LimitWords {
    in_flight: [AtomicU32; 2],
    rate: [GcraWord; 2],
}

/// What the ticker published about a route.
#[derive(Debug, Default)]
pub struct RouteShared {
    slow: AtomicU64,
    failed: AtomicU64,
    retries: AtomicU64,
    overdue: AtomicU32,
    distress_and_band: AtomicU32,
}

/// All routes of one rulebook.
#[derive(Debug)]
pub struct Board {
    workers: Box<[WorkerTotals]>,
    published: Box<[CachePadded<RouteShared>]>,
    limits: Box<[CachePadded<LimitWords>]>,
}

impl Board {
    /// A board for `contracts` contracts and `workers` workers, nothing seen yet.
    #[must_use]
    pub fn new(contracts: usize, workers: usize) -> Self {
        let routes = contracts + 1;
        Self {
            workers: (0..workers).map(|_| WorkerTotals::new(routes)).collect(),
            published: (0..routes).map(|_| CachePadded::default()).collect(),
            limits: (0..routes).map(|_| CachePadded::default()).collect(),
        }
    }

    /// The route of everything that no contract claims.
    #[must_use]
    pub fn unmatched(&self) -> usize {
        self.published.len().saturating_sub(1)
    }

    /// How many routes there are, the unmatched one included.
    #[must_use]
    pub fn routes(&self) -> usize {
        self.published.len()
    }

    /// The totals of all workers.
    #[must_use]
    pub fn workers(&self) -> &[WorkerTotals] {
        &self.workers
    }

    /// The totals of one worker.
    #[must_use]
    #[inline]
    pub fn worker(&self, worker: usize) -> Option<&WorkerTotals> {
        self.workers.get(worker)
    }

    /// What the ticker last published about a route.
    #[must_use]
    #[inline]
    pub fn published(&self, route: usize) -> Option<&RouteShared> {
        self.published.get(route).map(|padded| &**padded)
    }

    /// The totals of a route over all workers.
    #[must_use]
    pub fn totals(&self, route: usize) -> TotalsReading {
        sum_totals(&self.workers, route)
    }

    /// The latencies of a route over all workers, and their sum in microseconds.
    #[must_use]
    pub fn latencies(&self, route: usize) -> (Histogram, u64) {
        sum_latencies(&self.workers, route)
    }

    /// Requests in flight that count against the route's limit.
    #[must_use]
    #[inline]
    pub fn in_flight(&self, route: usize, mode: Mode) -> u32 {
        self.in_flight_word(route, mode)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Takes one place in flight if fewer than `max` are taken.
    ///
    /// Adds first and gives back what was too much, so two workers can never share a place.
    #[inline]
    pub fn take_in_flight(&self, route: usize, mode: Mode, max: u32) -> bool {
        let Some(word) = self.in_flight_word(route, mode) else {
            return false;
        };
        if word.fetch_add(1, Ordering::Relaxed) < max {
            return true;
        }
        word.fetch_sub(1, Ordering::Relaxed);
        false
    }

    /// Gives back a place that was taken.
    #[inline]
    pub fn release_in_flight(&self, route: usize, mode: Mode) {
        if let Some(word) = self.in_flight_word(route, mode) {
            word.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The word of the contract's rate limit.
    #[must_use]
    #[inline]
    pub fn rate(&self, route: usize, mode: Mode) -> Option<&GcraWord> {
        let [dry, real] = &self.limits.get(route)?.rate;
        Some(match mode {
            Mode::Dry => dry,
            Mode::Real => real,
        })
    }

    fn in_flight_word(&self, route: usize, mode: Mode) -> Option<&AtomicU32> {
        let [dry, real] = &self.limits.get(route)?.in_flight;
        Some(match mode {
            Mode::Dry => dry,
            Mode::Real => real,
        })
    }
}

/// Numerator and denominator in one word, so that no reader sees one without the other.
const fn pack(share: Share) -> u64 {
    (share.part as u64) << 32 | share.whole as u64
}

const fn unpack(word: u64) -> Share {
    Share {
        part: (word >> 32) as u32,
        whole: word as u32,
    }
}

impl RouteShared {
    /// Slow or overdue of completed and overdue, 60 s.
    #[inline]
    pub fn slow(&self) -> Share {
        unpack(self.slow.load(Ordering::Relaxed))
    }

    /// Retries of offered, 10 s.
    #[inline]
    pub fn retries(&self) -> Share {
        unpack(self.retries.load(Ordering::Relaxed))
    }

    /// Failed of ended and overdue, 10 s.
    #[inline]
    pub fn failed(&self) -> Share {
        unpack(self.failed.load(Ordering::Relaxed))
    }

    /// Requests overdue now.
    #[inline]
    pub fn overdue(&self) -> u32 {
        self.overdue.load(Ordering::Relaxed)
    }

    /// Distress at the last tick.
    pub fn distress(&self) -> BasisPoints {
        let word = self.distress_and_band.load(Ordering::Relaxed);
        BasisPoints::saturating(u64::from(word >> 8))
    }

    /// The held band of that distress.
    #[inline]
    pub fn band(&self) -> Band {
        let word = self.distress_and_band.load(Ordering::Relaxed);
        Band::ALL
            .get((word & 0xff) as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn publish(&self, slow: Share, failed: Share, retries: Share, overdue: u32) {
        self.slow.store(pack(slow), Ordering::Relaxed);
        self.failed.store(pack(failed), Ordering::Relaxed);
        self.retries.store(pack(retries), Ordering::Relaxed);
        self.overdue.store(overdue, Ordering::Relaxed);
    }

    pub(super) fn publish_distress(&self, distress: BasisPoints, band: Band) {
        let word = u32::from(distress.get()) << 8 | band as u32;
        self.distress_and_band.store(word, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, Mode};

    #[test]
    fn places_in_flight_are_limited_and_come_back() {
        // R038
        let board = Board::new(1, 1);
        assert!(board.take_in_flight(0, Mode::Real, 2));
        assert!(board.take_in_flight(0, Mode::Real, 2));
        assert!(!board.take_in_flight(0, Mode::Real, 2));
        assert!(
            board.take_in_flight(0, Mode::Dry, 2),
            "dry words are others"
        );
        board.release_in_flight(0, Mode::Real);
        assert_eq!(board.in_flight(0, Mode::Real), 1);
        assert!(board.take_in_flight(0, Mode::Real, 2));
    }
}
