//! The rulebooks that one worker works under: the active one, and older ones with open requests.
//!
//! A worker takes one reference to a rulebook for all its requests and counts them itself: a
//! reference per request would be one contended cache line for all workers. Invariant: the
//! rulebook of every open request is here, so its end never has to look for it anywhere, and a
//! rulebook that no worker holds gets no more events.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use crate::rulebook::Rulebook;

/// The rulebooks of one worker.
pub(super) struct Books {
    active: Cache<Arc<ArcSwap<Rulebook>>, Arc<Rulebook>>,
    current: Held,
    older: Vec<Held>,
}

struct Held {
    rulebook: Arc<Rulebook>,
    open: usize,
}

impl Books {
    pub(super) fn new(active: Arc<ArcSwap<Rulebook>>) -> Self {
        let rulebook = active.load_full();
        Self {
            active: Cache::new(active),
            current: Held { rulebook, open: 0 },
            older: Vec::new(),
        }
    }

    /// The active rulebook, for the next request.
    #[inline]
    pub(super) fn active(&mut self) -> &Rulebook {
        let active = self.active.load();
        if !Arc::ptr_eq(active, &self.current.rulebook) {
            let rulebook = Arc::clone(active);
            let before = std::mem::replace(&mut self.current, Held { rulebook, open: 0 });
            if before.open > 0 {
                self.older.push(before);
            }
        }
        &self.current.rulebook
    }

    /// The rulebook that [`Self::active`] gave last.
    #[inline]
    pub(super) fn current(&self) -> &Rulebook {
        &self.current.rulebook
    }

    /// A request was opened under the rulebook that [`Self::active`] gave last.
    #[inline]
    pub(super) const fn opened(&mut self) {
        self.current.open += 1;
    }

    /// The rulebook of an open request.
    #[inline]
    pub(super) fn of(&self, serial: u32) -> &Rulebook {
        if self.current.rulebook.serial() == serial {
            return &self.current.rulebook;
        }
        let found = self
            .older
            .iter()
            .find(|held| held.rulebook.serial() == serial);
        &found.unwrap_or(&self.current).rulebook
    }

    /// A request of that rulebook has ended, and its last event has been handed over.
    #[inline]
    pub(super) fn ended(&mut self, serial: u32) {
        if self.current.rulebook.serial() == serial {
            self.current.open = self.current.open.saturating_sub(1);
        } else {
            self.ended_older(serial);
        }
    }

    #[cold]
    fn ended_older(&mut self, serial: u32) {
        self.older.retain_mut(|held| {
            if held.rulebook.serial() == serial {
                held.open = held.open.saturating_sub(1);
            }
            held.open > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Books;
    use crate::telemetry::fixture;
    use crate::units::Tier;

    #[test]
    fn a_rulebook_is_held_from_its_first_request_to_the_end_of_its_last() {
        let registry = fixture::registry(Tier::Control);
        let mut books = Books::new(std::sync::Arc::clone(registry.active()));
        assert_eq!(books.active().serial(), 0);
        books.opened();
        books.opened();
        registry.set_ceiling(Tier::ObserveOnly);
        assert_eq!(books.of(0).tier(), Tier::Control);
        assert_eq!(books.active().tier(), Tier::ObserveOnly);
        books.opened();
        registry.set_ceiling(Tier::Autonomous);
        assert_eq!(books.active().serial(), 2);
        books.ended(0);
        assert_eq!(books.of(0).tier(), Tier::Control, "one is still open");
        assert!(registry.unused().is_empty());
        books.ended(0);
        assert_eq!(registry.unused(), [0]);
        books.ended(1);
        assert_eq!(registry.unused(), [0, 1]);
        assert_eq!(books.active().serial(), 2);
    }
}
