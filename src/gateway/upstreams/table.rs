//! What a worker reads to choose a server: published whole, never changed.

use super::Address;
use super::balance::turns;

/// The addresses of a group and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Addresses that get requests.
    pub(super) usable: Box<[Address]>,
    /// Their weights, in the same order.
    pub(super) weights: Box<[u32]>,
    /// One round of turns: positions in `usable`.
    pub(super) turns: Box<[u16]>,
    /// Whether no address is well, so that all get requests.
    pub(super) in_panic: bool,
    /// Addresses that are known.
    pub(super) known: usize,
}

/// One address with its weight, and whether it is well.
pub(super) struct Entry {
    pub(super) address: Address,
    pub(super) weight: u32,
    pub(super) is_well: bool,
}

impl Table {
    /// Of all that is known. Where none is well all are used: better a server that may be down
    /// than none at all, and what a check says may itself be wrong.
    pub(super) fn new(mut entries: Vec<Entry>) -> Self {
        let known = entries.len();
        let in_panic = known > 0 && entries.iter().all(|entry| !entry.is_well);
        entries.retain(|entry| in_panic || entry.is_well);
        let weights: Box<[u32]> = entries.iter().map(|entry| entry.weight).collect();
        Self {
            usable: entries.iter().map(|entry| entry.address).collect(),
            turns: turns(&weights),
            weights,
            in_panic,
            known,
        }
    }

    /// The address of a turn, counted on for ever, as a position in `usable`.
    pub(super) fn at(&self, turn: usize) -> Option<usize> {
        let round = self.turns.len();
        if round <= 1 {
            return (round == 1).then_some(0);
        }
        self.turns.get(turn % round).map(|at| usize::from(*at))
    }
}
