//! Counts in place of lines: what is kept of admitted requests while the writer cannot keep up.
//!
//! Invariant: each number that came in stands in exactly one `rollup` record, and a record's
//! `count` is the length of its ranges and the sum of its `allowed`. A record is of one second.
//! Not here: when to count and when to write (the writer).

use std::collections::BTreeMap;

use super::clock::wall_us;
use super::entry::EntryBuilder;
use super::ring::Source;

/// Ranges in one record: keeps its line near 1,000 bytes even where the numbers are long.
const RANGES_MAX: usize = 24;
/// Names in one record, so that its line stays far below the longest.
const NAMES_MAX: usize = 256;

/// What an event is, for a ledger that cannot keep its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary<'a> {
    /// The decision about an admitted request.
    Admitted {
        /// The worker's number of the decision.
        n: u64,
        /// The contract, or `_unmatched`.
        contract: &'a str,
        /// The status that was sent; 0 = none, or not yet.
        status: u16,
        /// When it was decided, whole seconds since 1970-01-01 UTC.
        second: u64,
    },
    /// The end of one, whose decision came before.
    Ended,
}

/// Turns events into the members of their records, on the writer's thread.
pub trait Encode<E> {
    /// Pushes the members of one event's record, `kind` and `ts_us` among them.
    fn line(&mut self, entry: &mut EntryBuilder<'_>, source: Source, event: &E);

    /// What may be counted of the event in place of its line; `None` = it needs its line.
    fn summary<'a>(&'a mut self, source: Source, event: &'a E) -> Option<Summary<'a>> {
        let _ = (source, event);
        None
    }
}

impl<E, F: FnMut(&mut EntryBuilder<'_>, Source, &E)> Encode<E> for F {
    fn line(&mut self, entry: &mut EntryBuilder<'_>, source: Source, event: &E) {
        self(entry, source, event);
    }
}

/// One request: when it was decided, its number, its place in `names`.
type Counted = (u64, u64, usize);

/// What of one worker waits to be written as `rollup` records.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    counted: Vec<Counted>,
    /// Contract and status class to their place.
    names: BTreeMap<Box<str>, [Option<usize>; CLASSES]>,
    places: Vec<String>,
    /// `outcome` records left out.
    outcomes: u64,
}

/// Status classes: none, and 1xx to 5xx.
const CLASSES: usize = 6;

/// One record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rollup {
    pub(super) second: u64,
    pub(super) ranges: Vec<(u64, u64)>,
    pub(super) count: u64,
    pub(super) allowed: BTreeMap<String, u64>,
    pub(super) outcomes: u64,
}

impl Rollups {
    pub(super) fn add(&mut self, summary: Summary<'_>) {
        match summary {
            Summary::Admitted {
                n,
                contract,
                status,
                second,
            } => {
                let place = self.place(contract, status);
                self.counted.push((second, n, place));
            }
            Summary::Ended => self.outcomes += 1,
        }
    }

    /// Requests that wait.
    pub(super) const fn len(&self) -> usize {
        self.counted.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.counted.is_empty() && self.outcomes == 0
    }

    fn place(&mut self, contract: &str, status: u16) -> usize {
        let class = usize::from(status / 100) % CLASSES;
        if !self.names.contains_key(contract) {
            self.names.insert(contract.into(), [None; CLASSES]);
        }
        let places = &mut self.places;
        let slot = self.names.get_mut(contract).and_then(|c| c.get_mut(class));
        let Some(slot) = slot else { return 0 };
        *slot.get_or_insert_with(|| {
            places.push(format!("{contract}:{class}xx"));
            places.len() - 1
        })
    }

    /// Everything that waits, as records.
    pub(super) fn take(&mut self) -> Vec<Rollup> {
        let mut records: Vec<Rollup> = Vec::new();
        let mut counted = std::mem::take(&mut self.counted);
        counted.sort_unstable();
        for (second, n, place) in counted.drain(..) {
            let name = self.places.get(place).map_or("", String::as_str);
            match records.last_mut() {
                Some(record) if record.second == second && record.has_room(n, name) => {
                    record.add(n, name);
                }
                _ => {
                    let mut record = Rollup {
                        second,
                        ..Rollup::default()
                    };
                    record.add(n, name);
                    records.push(record);
                }
            }
        }
        // The memory is used again; what it named may be gone by then.
        self.counted = counted;
        self.names.clear();
        self.places.clear();
        let outcomes = std::mem::take(&mut self.outcomes);
        if outcomes > 0 {
            if records.is_empty() {
                let second = wall_us() / 1_000_000;
                records.push(Rollup {
                    second,
                    ..Rollup::default()
                });
            }
            if let Some(first) = records.first_mut() {
                first.outcomes = outcomes;
            }
        }
        records
    }
}

impl Rollup {
    fn has_room(&self, n: u64, name: &str) -> bool {
        let follows = self.ranges.last().is_some_and(|(_, last)| last + 1 == n);
        (follows || self.ranges.len() < RANGES_MAX)
            && (self.allowed.len() < NAMES_MAX || self.allowed.contains_key(name))
    }

    fn add(&mut self, n: u64, name: &str) {
        match self.ranges.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => self.ranges.push((n, n)),
        }
        self.count += 1;
        match self.allowed.get_mut(name) {
            Some(number) => *number += 1,
            None => {
                self.allowed.insert(name.to_owned(), 1);
            }
        }
    }

    /// The members of its record.
    pub(super) fn members(&self, entry: &mut EntryBuilder<'_>, source: Source) {
        let allowed = self.allowed.iter();
        entry.counts("allowed", allowed.map(|(name, number)| (&**name, *number)));
        entry.text("boot", &source.boot.to_string());
        entry.uint("count", self.count);
        entry.text("kind", "rollup");
        if self.outcomes > 0 {
            entry.uint("outcomes", self.outcomes);
        }
        entry.pairs("ranges", self.ranges.iter().copied());
        entry.uint("second", self.second);
        entry.uint("ts_us", wall_us());
        entry.uint("worker", u64::from(source.worker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{BootId, Chain};

    fn admitted(second: u64, n: u64, contract: &str, status: u16) -> Summary<'_> {
        Summary::Admitted {
            n,
            contract,
            status,
            second,
        }
    }

    fn taken(summaries: &[Summary<'_>]) -> Vec<Rollup> {
        let mut rollups = Rollups::default();
        for summary in summaries {
            rollups.add(*summary);
        }
        let records = rollups.take();
        assert!(rollups.is_empty());
        for record in &records {
            let ranges = record.ranges.iter().map(|(first, last)| last - first + 1);
            assert_eq!(record.count, ranges.sum::<u64>());
            assert_eq!(record.count, record.allowed.values().sum::<u64>());
        }
        records
    }

    #[test]
    fn a_record_is_of_one_second_and_counts_by_contract_and_class() {
        let records = taken(&[
            admitted(7, 3, "b", 200),
            admitted(7, 1, "a", 503),
            admitted(8, 5, "a", 200),
            admitted(7, 2, "b", 204),
            admitted(7, 9, "_unmatched", 0),
            Summary::Ended,
        ]);
        let told: Vec<String> = records
            .iter()
            .map(|r| format!("{} {:?} {:?} {}", r.second, r.ranges, r.allowed, r.outcomes))
            .collect();
        assert_eq!(
            told,
            [
                r#"7 [(1, 3), (9, 9)] {"_unmatched:0xx": 1, "a:5xx": 1, "b:2xx": 2} 1"#,
                r#"8 [(5, 5)] {"a:2xx": 1} 0"#,
            ]
        );
    }

    #[test]
    fn more_ranges_are_more_records() {
        let scattered: Vec<Summary<'_>> = (0..60).map(|n| admitted(1, 2 * n, "a", 200)).collect();
        let records = taken(&scattered);
        let lengths: Vec<usize> = records.iter().map(|r| r.ranges.len()).collect();
        assert_eq!(lengths, [24, 24, 12]);
        let names: Vec<String> = (0..300).map(|n| format!("c{n}")).collect();
        let many: Vec<Summary<'_>> = (0..300)
            .zip(&names)
            .map(|(n, name)| admitted(1, n, name, 200))
            .collect();
        let counts: Vec<u64> = taken(&many).iter().map(|r| r.count).collect();
        assert_eq!(counts, [256, 44]);
    }

    #[test]
    fn the_members_are_those_of_the_format() {
        let source = Source {
            boot: BootId::from_u32(7),
            worker: 2,
        };
        let mut line = Vec::new();
        let record = taken(&[admitted(7, 3, "b", 200), Summary::Ended]).remove(0);
        Chain::genesis().append(&mut line, |entry| record.members(entry, source));
        let text = String::from_utf8(line).unwrap();
        let (start, end) = text.split_once(r#""prev":"#).unwrap();
        assert_eq!(
            start,
            r#"{"allowed":{"b:2xx":1},"boot":"00000007","count":1,"kind":"rollup","outcomes":1,"#
        );
        assert!(
            end.contains(r#""ranges":[[3,3]],"second":7,"seq":0,"#),
            "{end}"
        );
        assert!(end.contains(r#""worker":2,"hash":"#), "{end}");
    }
}
