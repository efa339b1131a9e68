//! The tree over the records that were joined, and the roots that somebody asks for.
//!
//! Invariant: a bounded number of roots is remembered; one that came too late is told as missed.

use std::collections::BTreeSet;

use super::super::super::directory::SegmentName;
use super::super::part::Part;
use super::super::report::{Damage, broken};
use super::{Log, ROOTS_MAX, first};

impl Log<'_> {
    /// Appends the leaves and compares the roots that checkpoint records give.
    pub(super) fn grow(&mut self, segment: &SegmentName, part: &Part) -> Option<Damage> {
        self.roots_of(part);
        let mut wrong = None;
        for (at, size, root) in &part.checkpoints {
            match self.roots.get(size) {
                Some(found) if found == root => {}
                Some(found) => {
                    let rule = "the root of a checkpoint is that of the records it covers";
                    let damage = broken(rule, hex::encode(found), hex::encode(root));
                    wrong = first(wrong, Some(damage.at(&segment.path, *at)));
                }
                None => self.root_unknown(*size),
            }
        }
        wrong
    }

    pub(in crate::ledger::verify) fn root_unknown(&mut self, size: u64) {
        match &self.tree {
            Some(_) => self.missed.push(size),
            None => self.unknown_roots += 1,
        }
    }

    /// Appends subtrees; remembers the root wherever one ends at a size that is asked for.
    pub(super) fn roots_of(&mut self, part: &Part) {
        let Some(tree) = &mut self.tree else { return };
        let asked: BTreeSet<u64> = part.checkpoints.iter().map(|(_, size, _)| *size).collect();
        self.roots.insert(tree.size(), tree.root());
        for piece in &part.pieces {
            if !tree.push(*piece) {
                // Only a segment that does not follow; that is reported as such.
                break;
            }
            let size = tree.size();
            if asked.contains(&size) || self.wanted.binary_search(&size).is_ok() {
                self.roots.insert(size, tree.root());
            }
        }
        self.roots.insert(tree.size(), tree.root());
        while self.roots.len() > ROOTS_MAX {
            self.roots.pop_first();
        }
    }
}
