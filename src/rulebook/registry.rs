//! All rulebooks that are in use, by serial, and which one is active.
//!
//! A swap is one atomic store: a request that has loaded a rulebook keeps it to its end, the next
//! one loads the new one. Whoever works under a rulebook holds it, so an older one that nobody
//! holds any more ([`Registry::unused`]) can be named only by events that still wait for the
//! ledger. When those have been written it is forgotten ([`Registry::forget`]), so memory does not
//! grow with the number of swaps, however long a single request of an old one lasts.

use std::num::NonZeroU32;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::{Rulebook, RulebookParts};
use crate::units::{Moment, Tier};

/// All rulebooks of this process that something may still name.
#[derive(Debug)]
pub struct Registry {
    active: Arc<ArcSwap<Rulebook>>,
    /// Sorted by serial; the last one is active.
    kept: ArcSwap<Vec<Arc<Rulebook>>>,
    tiers: Mutex<Tiers>,
}

/// Held by whoever swaps, so that there is one at a time.
#[derive(Debug, Clone, Copy)]
struct Tiers {
    /// What the files say.
    wanted: Tier,
    /// What the kill switch allows.
    ceiling: Tier,
}

impl Tiers {
    fn effective(self) -> Tier {
        self.wanted.min(self.ceiling)
    }
}

impl Registry {
    /// A registry whose first and active rulebook is this one, serial 0.
    #[must_use]
    pub fn new(parts: RulebookParts) -> Self {
        Self::for_instances(parts, NonZeroU32::MIN, Tier::Autonomous)
    }

    /// The same for one of several gateways that share the limits of rate, and with the most that
    /// the kill switch allows.
    #[must_use]
    pub fn for_instances(mut parts: RulebookParts, instances: NonZeroU32, ceiling: Tier) -> Self {
        let tiers = Tiers {
            wanted: parts.tier,
            ceiling,
        };
        parts.tier = tiers.effective();
        let first = Arc::new(Rulebook::for_instances(0, parts, instances));
        Self {
            active: Arc::new(ArcSwap::new(Arc::clone(&first))),
            kept: ArcSwap::from_pointee(vec![first]),
            tiers: Mutex::new(tiers),
        }
    }

    /// The active rulebook.
    #[must_use]
    pub const fn active(&self) -> &Arc<ArcSwap<Rulebook>> {
        &self.active
    }

    /// The most that the kill switch allows.
    #[must_use]
    pub fn ceiling(&self) -> Tier {
        self.tiers().ceiling
    }

    /// The rulebook of a serial; `None` where nothing can name it any more.
    #[must_use]
    pub fn by_serial(&self, serial: u32) -> Option<Arc<Rulebook>> {
        let kept = self.kept.load();
        let place = kept.binary_search_by_key(&serial, |rulebook| rulebook.serial());
        kept.get(place.ok()?).cloned()
    }

    /// Puts another rulebook in force at this instant, on the clock of the requests. The number of
    /// workers stays what it was.
    pub fn swap(&self, parts: RulebookParts, now: Moment) -> Arc<Rulebook> {
        self.swap_under(parts, None, now, |_| {})
    }

    /// The same, together with what the kill switch allows from now on (`None`: what it allowed so
    /// far); `announce` sees the rulebook before any request does.
    pub fn swap_under(
        &self,
        mut parts: RulebookParts,
        ceiling: Option<Tier>,
        now: Moment,
        announce: impl FnOnce(&Rulebook),
    ) -> Arc<Rulebook> {
        let mut tiers = self.tiers();
        *tiers = Tiers {
            wanted: parts.tier,
            ceiling: ceiling.unwrap_or(tiers.ceiling),
        };
        parts.tier = tiers.effective();
        let active = self.active.load_full();
        let next = active.successor(active.serial().wrapping_add(1), parts);
        announce(&next);
        next.limit_rates(now.monotonic_ns);
        self.activate(next)
    }

    /// Sets what the kill switch allows; where that changes the tier, the same content is put in
    /// force under the other tier. Gives the active rulebook.
    pub fn set_ceiling(&self, ceiling: Tier) -> Arc<Rulebook> {
        let mut tiers = self.tiers();
        tiers.ceiling = ceiling;
        let active = self.active.load_full();
        if active.tier() == tiers.effective() {
            return active;
        }
        let serial = active.serial().wrapping_add(1);
        self.activate(active.in_tier(serial, tiers.effective()))
    }

    /// Sets what the rules in force may ask for: the same content is put in force under the other
    /// tier where that changes it. Gives the active rulebook.
    pub fn set_wanted(&self, wanted: Tier) -> Arc<Rulebook> {
        let mut tiers = self.tiers();
        tiers.wanted = wanted;
        let active = self.active.load_full();
        if active.tier() == tiers.effective() {
            return active;
        }
        let serial = active.serial().wrapping_add(1);
        self.activate(active.in_tier(serial, tiers.effective()))
    }

    /// Notes why the active tier is what it is, where it stays the same.
    pub fn note_tiers(&self, wanted: Tier, ceiling: Tier) {
        *self.tiers() = Tiers { wanted, ceiling };
    }

    /// The caller holds `tiers`.
    fn activate(&self, rulebook: Rulebook) -> Arc<Rulebook> {
        let rulebook = Arc::new(rulebook);
        // Found by its serial before the first request can have used it.
        let mut kept = Vec::clone(&self.kept.load());
        kept.push(Arc::clone(&rulebook));
        self.kept.store(Arc::new(kept));
        self.active.store(Arc::clone(&rulebook));
        rulebook
    }

    /// Hands what ended under older rulebooks on to the board of the active one; to be called
    /// before each tick of that board.
    pub fn hand_marks_on(&self) {
        let active = self.active.load();
        for older in self.kept.load().iter() {
            if !Arc::ptr_eq(older.board(), active.board()) {
                older.board().hand_marks_to(active.board());
            }
        }
    }

    /// The serials of older rulebooks that nobody works under any more. Events that name them may
    /// still be on their way to the ledger, but there will be no more of them.
    #[must_use]
    pub fn unused(&self) -> Vec<u32> {
        let active = self.active.load().serial();
        let kept = self.kept.load();
        let unused = kept
            .iter()
            .filter(|rulebook| rulebook.serial() != active && Arc::strong_count(rulebook) == 1);
        let unused = unused.map(|rulebook| rulebook.serial()).collect();
        // Pairs with the release of the last holder: what he pushed before is seen from here on.
        fence(Ordering::Acquire);
        unused
    }

    /// How many rulebooks are kept, the active one included.
    #[must_use]
    pub fn kept_count(&self) -> usize {
        self.kept.load().len()
    }

    /// Forgets a rulebook that nothing names any more. The active one stays.
    pub fn forget(&self, serial: u32) {
        let _one_at_a_time = self.tiers();
        let active = self.active.load().serial();
        let mut kept = Vec::clone(&self.kept.load());
        kept.retain(|rulebook| rulebook.serial() == active || rulebook.serial() != serial);
        self.kept.store(Arc::new(kept));
    }

    fn tiers(&self) -> MutexGuard<'_, Tiers> {
        // Two plain values: whoever panicked with them left whole ones behind.
        self.tiers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
