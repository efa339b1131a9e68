//! The state of one route, kept as long as its contract is, whatever rulebook names it.
//!
//! Four kinds of memory, never on one cache line: totals (each worker its own), the snapshot
//! (written by the ticker, read by all), the places in flight (written twice by every request that
//! counts there), and the words that are mostly read (rate, circuit).

use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam::utils::CachePadded;
use siphasher::sip::SipHasher24;

use crate::observation::{Circuit, GcraWord, RouteShared, RouteTotals};

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

impl Mode {
    /// The one of a pair.
    #[inline]
    pub(super) const fn of<T>(self, [dry, real]: &[T; 2]) -> &T {
        match self {
            Self::Dry => dry,
            Self::Real => real,
        }
    }
}

/// Requests that count against limits of number.
#[derive(Debug, Default)]
struct Places {
    in_flight: [AtomicU32; 2],
    held: AtomicU32,
}

/// The state of one route.
#[derive(Debug)]
pub struct RouteState {
    name: Box<str>,
    number: u32,
    salt: u64,
    published: CachePadded<RouteShared>,
    places: CachePadded<Places>,
    rate: CachePadded<[GcraWord; 2]>,
    circuits: CachePadded<[Circuit; 2]>,
    totals: Box<[CachePadded<RouteTotals>]>,
}

impl RouteState {
    /// The state of a route of which nothing was seen.
    #[must_use]
    pub fn new(name: &str, workers: usize) -> Self {
        Self::numbered(name, workers, 0)
    }

    /// The same with its number among all routes that a process has had.
    #[must_use]
    pub(super) fn numbered(name: &str, workers: usize, number: u32) -> Self {
        Self {
            name: name.into(),
            number,
            salt: {
                let mut hasher = SipHasher24::new();
                hasher.write(name.as_bytes());
                hasher.finish()
            },
            published: CachePadded::default(),
            places: CachePadded::default(),
            rate: CachePadded::default(),
            circuits: CachePadded::new([Circuit::new(name), Circuit::new(name)]),
            totals: (0..workers).map(|_| CachePadded::default()).collect(),
        }
    }

    /// The id of its contract.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number: the same on the boards of all rulebooks that have its contract, and never that
    /// of another one, also not after its contract was removed. 0 is the unmatched route.
    #[must_use]
    #[inline]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// A number of its own among all contracts, for tables that several share.
    #[must_use]
    #[inline]
    pub const fn salt(&self) -> u64 {
        self.salt
    }

    /// What the ticker last published.
    #[must_use]
    #[inline]
    pub fn published(&self) -> &RouteShared {
        &self.published
    }

    /// The totals of each worker.
    pub fn totals(&self) -> impl Iterator<Item = &RouteTotals> {
        self.totals.iter().map(|padded| &**padded)
    }

    /// The totals of one worker.
    #[must_use]
    #[inline]
    pub fn totals_of(&self, worker: usize) -> Option<&RouteTotals> {
        self.totals.get(worker).map(|padded| &**padded)
    }

    /// The word of the contract's rate limit.
    #[must_use]
    #[inline]
    pub fn rate(&self, mode: Mode) -> &GcraWord {
        mode.of(&self.rate)
    }

    /// The circuit.
    #[must_use]
    #[inline]
    pub fn circuit(&self, mode: Mode) -> &Circuit {
        mode.of(&self.circuits)
    }

    /// Requests in flight that count against the limit.
    #[must_use]
    #[inline]
    pub fn in_flight(&self, mode: Mode) -> u32 {
        mode.of(&self.places.in_flight).load(Ordering::Relaxed)
    }

    /// Takes one place in flight if fewer than `max` are taken.
    #[inline]
    pub fn take_in_flight(&self, mode: Mode, max: u32) -> bool {
        take_place(mode.of(&self.places.in_flight), max)
    }

    /// Gives back a place that was taken.
    #[inline]
    pub fn release_in_flight(&self, mode: Mode) {
        mode.of(&self.places.in_flight)
            .fetch_sub(1, Ordering::Relaxed);
    }

    /// Requests that wait for their turn.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.places.held.load(Ordering::Relaxed)
    }

    /// Takes one place among those that wait if fewer than `max` do.
    pub fn take_held(&self, max: u32) -> bool {
        take_place(&self.places.held, max)
    }

    /// Gives back a place among those that wait.
    pub fn release_held(&self) {
        self.places.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds first and gives back what was too much, so two workers can never share a place.
#[inline]
fn take_place(word: &AtomicU32, max: u32) -> bool {
    if word.fetch_add(1, Ordering::Relaxed) < max {
        return true;
    }
    word.fetch_sub(1, Ordering::Relaxed);
    false
}

#[cfg(test)]
mod tests {
    use super::{Mode, RouteState};

    #[test]
    fn places_in_flight_are_limited_and_come_back() {
        // R038
        let route = RouteState::new("a", 1);
        assert!(route.take_in_flight(Mode::Real, 2));
        assert!(route.take_in_flight(Mode::Real, 2));
        assert!(!route.take_in_flight(Mode::Real, 2));
        assert!(route.take_in_flight(Mode::Dry, 2), "dry words are others");
        route.release_in_flight(Mode::Real);
        assert_eq!(route.in_flight(Mode::Real), 1);
        assert!(route.take_in_flight(Mode::Real, 2));
    }
}
