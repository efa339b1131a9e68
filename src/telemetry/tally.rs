//! A table of counters with one writer: no lock, no allocation and no locked instruction in it.
//!
//! Open addressing over slots that are never freed. A series first looks at one slot on the cache line
//! of its route: with thousands of routes a request waits for each line that it touches, and the four
//! series that nearly every request of a route counts in stand on one. Whoever finds another there
//! stands where its own key says, with linear probing. The writer puts the count before the key, so
//! whoever sees a key sees its count too; a count only rises. A table that holds its series (at most
//! three quarters of the slots) counts further new ones for all routes together ([`Key::overflow`]);
//! what finds no room in the other slots either is counted as lost.
//! Deliberately not here: what a key means.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::callers::Callers;
use crate::telemetry::key::Key;

/// The counters of one worker, as readers see them.
#[derive(Debug)]
pub struct Tally {
    lines: Box<[Line]>,
    room: u64,
    series: AtomicU64,
    overflowed: AtomicU64,
    lost: AtomicU64,
    callers: Callers,
}

/// Slots on one cache line.
const PER_LINE: usize = 4;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([Slot; PER_LINE]);

#[derive(Debug, Default)]
struct Slot {
    key: AtomicU64,
    count: AtomicU64,
}

/// The one writer of a [`Tally`]. Neither `Sync` nor `Clone`, so there cannot be two.
#[derive(Debug)]
pub struct TallyWriter {
    tally: Arc<Tally>,
    not_sync: PhantomData<Cell<()>>,
}

/// What does not fit into a series of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fill {
    /// Series in use.
    pub series: u64,
    /// Additions that were counted for all routes together.
    pub overflowed: u64,
    /// Additions that were not counted at all.
    pub lost: u64,
}

impl Tally {
    /// A table with room for `series_max` series (at least 48), and its writer.
    ///
    /// It takes 16 bytes a slot, with a third more slots than series, rounded up to a power of 2.
    #[must_use]
    pub fn new(series_max: usize) -> (Arc<Self>, TallyWriter) {
        let room = series_max.max(48);
        let wanted = room.saturating_mul(4) / 3;
        let tally = Arc::new(Self {
            lines: (0..wanted.next_power_of_two() / PER_LINE)
                .map(|_| Line::default())
                .collect(),
            room: room as u64,
            series: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            callers: Callers::default(),
        });
        let writer = TallyWriter {
            tally: Arc::clone(&tally),
            not_sync: PhantomData,
        };
        (tally, writer)
    }

    /// All series with their counts, in no order.
    pub fn read(&self) -> impl Iterator<Item = (Key, u64)> {
        let slots = self.lines.iter().flat_map(|line| &line.0);
        slots.filter_map(|slot| {
            // Pairs with the writer's store of the key: the count behind it is there.
            let word = slot.key.load(Ordering::Acquire);
            (word != 0).then(|| (Key::from_word(word), slot.count.load(Ordering::Relaxed)))
        })
    }

    /// How full it is.
    #[must_use]
    pub fn fill(&self) -> Fill {
        Fill {
            series: self.series.load(Ordering::Relaxed),
            overflowed: self.overflowed.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    /// Who calls deprecated contracts.
    pub(super) const fn callers(&self) -> &Callers {
        &self.callers
    }

    /// How many series can be counted each by itself.
    #[must_use]
    pub const fn room(&self) -> u64 {
        self.room
    }

    /// The slot of a key, or the empty one where it belongs; `None` where neither is.
    #[inline]
    fn find(&self, key: Key) -> Option<(&Slot, bool)> {
        let word = key.word();
        let home = spread(key.of_route()) & self.lines.len().wrapping_sub(1);
        let slot = self
            .lines
            .get(home)?
            .0
            .get(key.place_of_route() % PER_LINE)?;
        let found = slot.key.load(Ordering::Relaxed);
        // No slot is ever freed, so a key that is elsewhere did not find this one empty.
        if found == word || found == 0 {
            return Some((slot, found == word));
        }
        self.find_elsewhere(word)
    }

    fn find_elsewhere(&self, word: u64) -> Option<(&Slot, bool)> {
        let mask = self.slots().wrapping_sub(1);
        let mut place = spread(word) & mask;
        // At least a sixteenth of the slots is empty for ever, so this ends at one of them.
        for _ in 0..=mask {
            let slot = self.lines.get(place / PER_LINE)?.0.get(place % PER_LINE)?;
            let found = slot.key.load(Ordering::Relaxed);
            if found == word || found == 0 {
                return Some((slot, found == word));
            }
            place = (place + 1) & mask;
        }
        None
    }

    const fn slots(&self) -> usize {
        self.lines.len() * PER_LINE
    }
}

/// Neighbouring keys differ in a few bits anywhere; the product carries them all to the top.
#[inline]
const fn spread(word: u64) -> usize {
    ((word ^ word >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

/// More, by the only writer.
#[inline]
fn raise(cell: &AtomicU64, amount: u64) {
    let sum = cell.load(Ordering::Relaxed).wrapping_add(amount);
    cell.store(sum, Ordering::Relaxed);
}

impl TallyWriter {
    /// Adds `amount` to a series.
    #[inline]
    pub fn add(&self, key: Key, amount: u64) {
        match self.tally.find(key) {
            Some((slot, true)) => raise(&slot.count, amount),
            _ => self.add_new(key, amount),
        }
    }

    /// The table, for readers.
    #[must_use]
    pub const fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    #[cold]
    fn add_new(&self, key: Key, amount: u64) {
        if self.tally.series.load(Ordering::Relaxed) < self.tally.room() {
            return self.insert(key, amount);
        }
        let slots = self.tally.slots() as u64;
        let other = key.overflow();
        match self.tally.find(other) {
            Some((slot, true)) => raise(&slot.count, amount),
            _ if self.tally.series.load(Ordering::Relaxed) < slots / 16 * 15 => {
                self.insert(other, amount);
            }
            _ => return raise(&self.tally.lost, 1),
        }
        raise(&self.tally.overflowed, 1);
    }

    fn insert(&self, key: Key, amount: u64) {
        if let Some((slot, _)) = self.tally.find(key) {
            raise(&slot.count, amount);
            slot.key.store(key.word(), Ordering::Release);
            raise(&self.tally.series, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Fill, Tally};
    use crate::telemetry::buckets::{REQUEST_BOUNDS_US, SUM};
    use crate::telemetry::key::{Family, Key, OTHER_ROUTE};
    use crate::telemetry::worker::{CONTRACTED, FORWARDED};

    #[test]
    fn counts_are_exact_for_every_key() {
        let (tally, writer) = Tally::new(4_000);
        for round in 1..=3 {
            for route in 0..1_000 {
                let key = Key::of(Family::Request, route).a(2);
                writer.add(key, round);
                writer.add(key.b(1), 1);
            }
        }
        let read: HashMap<_, _> = tally.read().collect();
        assert_eq!(read.len(), 2_000);
        for route in 0..1_000 {
            let key = Key::of(Family::Request, route).a(2);
            assert_eq!(read.get(&key), Some(&6), "{key:?}");
            assert_eq!(read.get(&key.b(1)), Some(&3), "{key:?}");
        }
    }

    #[test]
    fn the_series_of_an_ordinary_request_stand_on_one_line() {
        let usual = |route, bucket| {
            let duration = Key::of(Family::Duration, route).a(200).b(1);
            [
                Key::of(Family::Decision, route)
                    .a(3)
                    .c(2 | FORWARDED | CONTRACTED),
                Key::of(Family::Request, route).a(2).b(1),
                duration.c(bucket),
                duration.c(SUM),
            ]
        };
        for bucket in 0..REQUEST_BOUNDS_US.len() as u8 + 1 {
            let (tally, writer) = Tally::new(1_000);
            for route in 0..100 {
                for key in usual(route, bucket) {
                    writer.add(key, 1);
                }
            }
            let is_home = |line: &super::Line| {
                let of = |slot: &super::Slot| slot.key.load(std::sync::atomic::Ordering::Relaxed);
                let words = line.0.each_ref().map(of);
                let route = Key::from_word(words[0]).route();
                let mut usual = usual(route, bucket).map(|key| key.word());
                usual.rotate_right(1);
                words == usual
            };
            let homes = tally.lines.iter().filter(|line| is_home(line)).count();
            assert!(homes > 80, "{homes} of 100 routes, bucket {bucket}");
        }
    }

    #[test]
    fn a_full_table_counts_further_routes_together() {
        let (tally, writer) = Tally::new(48);
        for route in 0..1_000 {
            writer.add(Key::of(Family::Retry, route), 1);
        }
        // A known series goes on being counted by itself.
        writer.add(Key::of(Family::Retry, 0), 10);
        let read: HashMap<_, _> = tally.read().collect();
        assert_eq!(read.len(), 49);
        assert_eq!(read.get(&Key::of(Family::Retry, 0)), Some(&11));
        assert_eq!(read.get(&Key::of(Family::Retry, OTHER_ROUTE)), Some(&952));
        assert_eq!(read.values().sum::<u64>(), 1_010);
        let fill = Fill {
            series: 49,
            overflowed: 952,
            lost: 0,
        };
        assert_eq!(tally.fill(), fill);
    }

    #[test]
    fn what_finds_no_room_at_all_is_counted_as_lost() {
        let (tally, writer) = Tally::new(48);
        for status in 0..1_000 {
            writer.add(Key::of(Family::Duration, 1).a(status), 1);
        }
        let fill = tally.fill();
        assert_eq!(fill.series, 60, "a sixteenth stays empty");
        assert_eq!(tally.read().map(|(_, count)| count).sum::<u64>(), 60);
        assert_eq!(fill.lost, 940);
    }

    #[test]
    fn a_reader_never_sees_a_key_without_its_count_or_a_falling_one() {
        let (tally, writer) = Tally::new(20_000);
        let rounds = 20;
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut before: HashMap<Key, u64> = HashMap::new();
                let mut total = 0;
                while total < rounds * 10_000 {
                    total = 0;
                    for (key, count) in tally.read() {
                        assert!(count > 0, "{key:?} without a count");
                        let last = before.insert(key, count).unwrap_or(0);
                        assert!(count >= last, "{key:?} fell from {last} to {count}");
                        total += count;
                    }
                }
                before
            });
            scope.spawn(move || {
                for _ in 0..rounds {
                    for route in 0..10_000 {
                        writer.add(Key::of(Family::Decision, route), 1);
                    }
                }
            });
            let seen = reader.join().expect("the reader ends");
            assert!(seen.values().all(|count| *count == rounds));
        });
    }
}
