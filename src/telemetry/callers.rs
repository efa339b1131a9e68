//! Who still calls deprecated contracts: a small table with one writer, like a worker's tally.
//!
//! Clients send what they like, so their number is bounded: so many of each contract have a series
//! of their own in each worker, the ones seen first; all others of it share one. A slot is never
//! given to anybody else, so a count only rises. Contracts that are not deprecated never come here.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::key::OTHER_ROUTE;

/// The clients of one contract that one worker tells apart.
pub const CLIENTS_MAX: usize = 16;
/// The series of one worker.
const SLOTS: usize = 1_024;
/// In the word of a route: all clients without a series of their own.
const OTHERS: u64 = 1 << 32;
/// In the word of a route: the slot is in use.
const USED: u64 = 1 << 33;

/// The counts of one worker, as readers see them.
#[derive(Debug, Default)]
pub(super) struct Callers(OnceLock<Box<[Slot]>>);

#[derive(Debug, Default)]
struct Slot {
    /// Written last: whoever sees it sees the rest.
    route: AtomicU64,
    client: AtomicU64,
    count: AtomicU64,
}

/// What the writer of [`Callers`] remembers. Not `Sync`, so there is one thread that writes.
#[derive(Debug, Default)]
pub(super) struct CallerBook {
    places: RefCell<Places>,
}

#[derive(Debug, Default)]
struct Places {
    /// The slot of a route and a client, `None` for its others. At most [`SLOTS`].
    slots: HashMap<(u32, Option<u64>), usize>,
    /// The clients that a route has.
    clients: HashMap<u32, usize>,
}

impl Places {
    fn slot_of(&mut self, route: u32, client: u64) -> Result<usize, (usize, Option<u64>, u32)> {
        if let Some(slot) = self.slots.get(&(route, Some(client))) {
            return Ok(*slot);
        }
        let known = self.clients.entry(route).or_default();
        // Two slots stay free: for the others of this route, and for those of all routes.
        let who = if *known < CLIENTS_MAX && self.slots.len() + 2 < SLOTS {
            *known += 1;
            (route, Some(client))
        } else if self.slots.contains_key(&(route, None)) || self.slots.len() + 1 < SLOTS {
            (route, None)
        } else {
            (OTHER_ROUTE, None)
        };
        if let Some(slot) = self.slots.get(&who) {
            return Ok(*slot);
        }
        let slot = self.slots.len();
        self.slots.insert(who, slot);
        Err((slot, who.1, who.0))
    }
}

impl Callers {
    /// One more request of a client, by the only writer.
    pub(super) fn count(&self, book: &CallerBook, route: u32, client: u64) {
        let slots = self
            .0
            .get_or_init(|| (0..SLOTS).map(|_| Slot::default()).collect());
        let Ok(mut places) = book.places.try_borrow_mut() else {
            return;
        };
        let place = places.slot_of(route, client);
        let number = match place {
            Ok(number) | Err((number, ..)) => number,
        };
        let Some(slot) = slots.get(number) else {
            return;
        };
        let count = slot.count.load(Ordering::Relaxed);
        slot.count.store(count.wrapping_add(1), Ordering::Relaxed);
        if let Err((_, client, route)) = place {
            let others = if client.is_none() { OTHERS } else { 0 };
            slot.client.store(client.unwrap_or(0), Ordering::Relaxed);
            // Pairs with the reader: what stands before it is there.
            slot.route
                .store(u64::from(route) | others | USED, Ordering::Release);
        }
    }

    /// Route, client (`None`: all others) and count.
    pub(super) fn read(&self) -> impl Iterator<Item = (u32, Option<u64>, u64)> {
        let slots = self.0.get().map(|slots| &**slots).unwrap_or_default();
        slots.iter().filter_map(|slot| {
            let word = slot.route.load(Ordering::Acquire);
            let client = slot.client.load(Ordering::Relaxed);
            let client = (word & OTHERS == 0).then_some(client);
            // The lower half is the number.
            let route = u32::try_from(word & 0xffff_ffff).unwrap_or(OTHER_ROUTE);
            (word & USED != 0).then(|| (route, client, slot.count.load(Ordering::Relaxed)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{CLIENTS_MAX, CallerBook, Callers, SLOTS};
    use crate::telemetry::key::OTHER_ROUTE;

    #[test]
    fn each_client_has_its_count_and_the_rest_share_one() {
        let (callers, book) = (Callers::default(), CallerBook::default());
        assert_eq!(callers.read().count(), 0);
        for client in 0..100 {
            for _ in 0..=client {
                callers.count(&book, 7, client);
            }
        }
        callers.count(&book, 0, 0);
        let read: Vec<_> = callers.read().collect();
        let own = (0..CLIENTS_MAX as u64).map(|client| (7, Some(client), client + 1));
        let others = (CLIENTS_MAX as u64..100).map(|client| client + 1).sum();
        let expected: Vec<_> = own.chain([(7, None, others), (0, Some(0), 1)]).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_full_table_loses_nothing() {
        let (callers, book) = (Callers::default(), CallerBook::default());
        for route in 0..500 {
            for client in 0..20 {
                callers.count(&book, route, client);
            }
        }
        let read: Vec<_> = callers.read().collect();
        assert_eq!(read.len(), SLOTS);
        assert_eq!(read.iter().map(|(.., count)| count).sum::<u64>(), 10_000);
        let rest: Vec<_> = read
            .iter()
            .filter(|(route, ..)| *route == OTHER_ROUTE)
            .collect();
        assert!(matches!(rest.as_slice(), [(_, None, 1..)]), "{rest:?}");
    }
}
