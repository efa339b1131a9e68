//! The state of all routes of one rulebook, and which of them were touched since the last tick.
//!
//! There is one more route than there are contracts: [`Board::unmatched`] takes everything that
//! no contract claims, however many paths it has. The state of a route is shared by the boards of
//! all rulebooks that have its contract: a request that ends under an older rulebook gives its
//! place back where the next one looks for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::observation::totals::{TotalsReading, sum_latencies, sum_totals};
use crate::observation::{Clients, Histogram, Mode, RouteShared, RouteState, RouteTotals};

/// The name of everything unmatched in metrics.
pub const UNMATCHED: &str = "_unmatched";

/// All routes of one rulebook.
#[derive(Debug)]
pub struct Board {
    routes: Box<[Arc<RouteState>]>,
    touched: Box<[Touched]>,
    clients: Arc<Clients>,
    /// How many boards came before it.
    generation: u32,
    /// The number of the next route that is new.
    next_number: u32,
}

/// One bit per route, of one worker.
#[derive(Debug)]
struct Touched(Box<[AtomicU64]>);

impl Board {
    /// A board for these contracts and so many workers, nothing seen yet.
    #[must_use]
    pub fn new<'n>(contracts: impl IntoIterator<Item = &'n str>, workers: usize) -> Self {
        let blank = Self {
            routes: Box::default(),
            touched: (0..workers).map(|_| Touched(Box::default())).collect(),
            clients: Arc::new(Clients::default()),
            generation: 0,
            next_number: 1,
        };
        Self {
            generation: 0,
            ..blank.successor(contracts)
        }
    }

    /// A board for these contracts that takes over the state of those that `self` knows.
    ///
    /// Limits hold at once: what a contract's clients had used up stays used up.
    #[must_use]
    pub fn successor<'n>(&self, contracts: impl IntoIterator<Item = &'n str>) -> Self {
        let workers = self.touched.len();
        let known: HashMap<&str, &Arc<RouteState>> = self
            .routes
            .iter()
            .map(|route| (route.name(), route))
            .collect();
        let mut next_number = self.next_number;
        let mut new = |name: &str| {
            if name == UNMATCHED {
                return Arc::new(RouteState::numbered(name, workers, 0));
            }
            let number = next_number;
            next_number = next_number.saturating_add(1);
            Arc::new(RouteState::numbered(name, workers, number))
        };
        let names = contracts.into_iter().chain([UNMATCHED]);
        let routes: Box<[_]> = names
            .map(|name| {
                known
                    .get(name)
                    .map_or_else(|| new(name), |&kept| Arc::clone(kept))
            })
            .collect();
        let words = routes.len().div_ceil(64);
        let touched = || Touched((0..words).map(|_| AtomicU64::new(0)).collect());
        Self {
            touched: (0..workers).map(|_| touched()).collect(),
            routes,
            clients: Arc::clone(&self.clients),
            generation: self.generation.saturating_add(1),
            next_number,
        }
    }

    /// How many boards came before it: tells the boards of one process apart.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The numbers of its routes, in their order.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.routes.iter().map(|route| route.number())
    }

    /// Passes on the marks of what ended here since, to the board that is ticked now. Marks of
    /// contracts that it does not have any more fall away.
    pub fn hand_marks_to(&self, newer: &Self) {
        let mut places: Option<HashMap<u32, usize>> = None;
        for word in 0..self.routes.len().div_ceil(64) {
            let mut bits = self.take_touched(word);
            while bits != 0 {
                let route = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let places = places.get_or_insert_with(|| newer.numbers().zip(0..).collect());
                let number = self.routes.get(route).map(|route| route.number());
                if let Some(place) = number.and_then(|number| places.get(&number)) {
                    let _ = newer.touch(0, *place);
                }
            }
        }
    }

    /// The route of everything that no contract claims.
    #[must_use]
    #[inline]
    pub fn unmatched(&self) -> usize {
        self.routes.len().saturating_sub(1)
    }

    /// How many routes there are, the unmatched one included.
    #[must_use]
    pub fn routes(&self) -> usize {
        self.routes.len()
    }

    /// How many workers count here.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.touched.len()
    }

    /// The state of a route.
    #[must_use]
    #[inline]
    pub fn route(&self, route: usize) -> Option<&Arc<RouteState>> {
        self.routes.get(route)
    }

    /// What is kept of single clients; one table for all rulebooks of a process.
    #[must_use]
    #[inline]
    pub fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    /// The totals of a route on one worker, marked as touched. `None` where there is no such
    /// route.
    #[must_use]
    #[inline]
    pub fn touch(&self, worker: usize, route: usize) -> Option<&RouteTotals> {
        self.mark(worker, route);
        self.routes.get(route)?.totals_of(worker)
    }

    /// Marks a route as touched by a worker; for who has its totals, and has counted there.
    #[inline]
    pub fn mark(&self, worker: usize, route: usize) {
        let marks = self.touched.get(worker).map(|worker| &worker.0);
        if let Some(word) = marks.and_then(|marks| marks.get(route / 64)) {
            let bit = 1 << (route % 64);
            // Mostly set already: then the line stays shared with the ticker, unwritten.
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::Release);
            }
        }
    }

    /// Takes the marks of 64 routes: bit i of word w stands for route 64 w + i.
    pub(super) fn take_touched(&self, word: usize) -> u64 {
        let take = |worker: &Touched| match worker.0.get(word) {
            Some(word) if word.load(Ordering::Relaxed) != 0 => word.swap(0, Ordering::Acquire),
            _ => 0,
        };
        self.touched
            .iter()
            .fold(0, |bits, worker| bits | take(worker))
    }

    /// What the ticker last published about a route.
    #[must_use]
    #[inline]
    pub fn published(&self, route: usize) -> Option<&RouteShared> {
        self.routes.get(route).map(|route| route.published())
    }

    /// The totals of a route over all workers.
    #[must_use]
    pub fn totals(&self, route: usize) -> TotalsReading {
        self.route(route)
            .map(|route| sum_totals(route.totals()))
            .unwrap_or_default()
    }

    /// The latencies of a route over all workers, and their sum in microseconds.
    #[must_use]
    pub fn latencies(&self, route: usize) -> (Histogram, u64) {
        self.route(route)
            .map(|route| sum_latencies(route.totals()))
            .unwrap_or_default()
    }

    /// Requests in flight that count against the route's limit.
    #[must_use]
    #[inline]
    pub fn in_flight(&self, route: usize, mode: Mode) -> u32 {
        self.route(route).map_or(0, |route| route.in_flight(mode))
    }
}

#[cfg(test)]
mod tests {
    use super::Board;
    use crate::observation::{Mode, Offered};

    #[test]
    fn a_contract_keeps_its_state_whatever_its_place() {
        let before = Board::new(["a", "b"], 1);
        let b = before.route(1).expect("route 1 is there");
        assert!(b.take_in_flight(Mode::Real, 1));
        before
            .touch(0, 1)
            .expect("there")
            .note_offered(Offered::Ordinary);
        let after = before.successor(["b", "c"]);
        assert_eq!(after.in_flight(0, Mode::Real), 1, "b is route 0 now");
        assert_eq!(after.totals(0).offered, 1);
        assert_eq!(after.totals(1).offered, 0, "c is new");
        before
            .route(1)
            .expect("there")
            .release_in_flight(Mode::Real);
        assert_eq!(after.in_flight(0, Mode::Real), 0, "ended under the old one");
        assert!(std::sync::Arc::ptr_eq(
            before.route(before.unmatched()).expect("there"),
            after.route(after.unmatched()).expect("there"),
        ));
    }

    #[test]
    fn what_ends_under_an_older_rulebook_is_told_to_the_newer_one() {
        let before = Board::new(["a", "b", "c"], 2);
        let after = before.successor(["b", "c", "d"]);
        for route in 0..3 {
            before.touch(1, route).expect("there");
        }
        before.hand_marks_to(&after);
        assert_eq!(after.take_touched(0), 0b011, "b and c; a is gone, d is new");
        before.hand_marks_to(&after);
        assert_eq!(after.take_touched(0), 0, "told once");
    }

    #[test]
    fn a_number_is_never_given_to_another_contract() {
        let numbers = |board: &Board| board.numbers().collect::<Vec<_>>();
        let first = Board::new(["a", "b"], 1);
        assert_eq!(numbers(&first), [1, 2, 0]);
        let second = first.successor(["b", "c"]);
        assert_eq!(numbers(&second), [2, 3, 0]);
        let third = second.successor(["a", "b"]);
        assert_eq!(numbers(&third), [4, 2, 0], "a is another one now");
        let generations = [&first, &second, &third].map(Board::generation);
        assert_eq!(generations, [0, 1, 2]);
    }

    #[test]
    fn touched_routes_are_told_once() {
        let names: Vec<String> = (0..129).map(|number| format!("c{number}")).collect();
        let board = Board::new(names.iter().map(String::as_str), 2);
        assert!(board.touch(0, 0).is_some() && board.touch(1, 129).is_some());
        assert_eq!(board.take_touched(0), 1);
        assert_eq!(board.take_touched(2), 2);
        assert_eq!(board.take_touched(2), 0);
        assert!(board.touch(0, 130).is_none());
    }
}
