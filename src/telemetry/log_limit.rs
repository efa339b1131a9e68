//! Which lines of the log are written: at most so many a second from one place in the program.
//!
//! Nothing is left out in silence: what a place was not allowed to write is told in one line as
//! soon as its second is over and anything at all is logged. The table of places is bounded;
//! those that do not fit share one budget.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Lines a second from one place.
pub(super) const LINES_PER_SECOND: u32 = 10;

const PLACES_MAX: usize = 512;
/// The place of all that did not fit.
const SHARED: u64 = 0;

/// The lines of all places.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    places: HashMap<u64, Place>,
    second: u64,
    pending: bool,
}

#[derive(Debug, Default)]
struct Place {
    second: u64,
    lines: u32,
    suppressed: u64,
    target: String,
}

/// So many lines of a target were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suppressed {
    pub(super) target: String,
    pub(super) lines: u64,
}

/// What is to be done about one line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// To be told first.
    pub(super) notices: Vec<Suppressed>,
    /// Whether the line itself is written.
    pub(super) write: bool,
}

impl Limiter {
    /// Asks for one line of a place in a second.
    pub(super) fn ask(&self, place: u64, target: &str, second: u64) -> Verdict {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let notices = table.turn(second);
        let known = table.places.contains_key(&place) || table.places.len() < PLACES_MAX;
        let entry = table
            .places
            .entry(if known { place } else { SHARED })
            .or_default();
        if entry.second != second {
            entry.second = second;
            entry.lines = 0;
        }
        let write = entry.lines < LINES_PER_SECOND;
        if write {
            entry.lines += 1;
        } else {
            entry.suppressed += 1;
            if entry.target != target {
                target.clone_into(&mut entry.target);
            }
            table.pending = true;
        }
        Verdict { notices, write }
    }
}

impl Table {
    /// Begins a new second: what was left out in those before is told now.
    fn turn(&mut self, second: u64) -> Vec<Suppressed> {
        if second == self.second {
            return Vec::new();
        }
        self.second = second;
        if !std::mem::take(&mut self.pending) {
            return Vec::new();
        }
        self.places
            .values_mut()
            .filter(|place| place.suppressed > 0)
            .map(|place| Suppressed {
                target: std::mem::take(&mut place.target),
                lines: std::mem::take(&mut place.suppressed),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES_PER_SECOND, Limiter, PLACES_MAX, Suppressed};

    #[test]
    fn what_is_left_out_is_told_when_the_second_is_over() {
        let limiter = Limiter::default();
        let written = (0..25).filter(|_| limiter.ask(1, "edge", 7).write).count();
        assert_eq!(written, LINES_PER_SECOND as usize);
        assert!(
            limiter.ask(2, "other", 7).write,
            "another place has its own"
        );
        let verdict = limiter.ask(2, "other", 8);
        let notice = Suppressed {
            target: "edge".to_owned(),
            lines: 15,
        };
        assert_eq!(verdict.notices, [notice]);
        assert!(verdict.write);
        assert!(limiter.ask(1, "edge", 9).notices.is_empty(), "told once");
    }

    #[test]
    fn places_are_bounded() {
        let limiter = Limiter::default();
        let places = PLACES_MAX as u64 + 1_000;
        let written = (1..=places).filter(|place| limiter.ask(*place, "t", 1).write);
        assert_eq!(written.count(), PLACES_MAX + LINES_PER_SECOND as usize);
        let table = limiter.table.lock().expect("nothing panicked");
        assert!(table.places.len() <= PLACES_MAX + 1);
    }
}
