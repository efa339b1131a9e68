//! What one segment gives to the tree of the log: its leaves, merged as far as nobody asks for a
//! root between them.
//!
//! A segment is checked without knowing the log before it, so its leaves become perfect subtrees
//! aligned to the log. Roots are asked for at the sizes of signed heads; most are known before
//! (`heads.log`), the others from `checkpoint` records, which come a little after their size: so the
//! newest leaves wait unmerged. Memory: [`WINDOW`] leaves, and a few hashes for each head.

use std::collections::{BTreeSet, VecDeque};

use super::tree::{Hash, Piece, Tree, parent};

/// Leaves that wait, so that a `checkpoint` record may lag so many records behind its size.
const WINDOW: usize = 1 << 17;
/// The level of a group in tree files.
pub(super) const GROUP_LEVEL: u8 = 8;

/// Called for each leaf and for the root of each whole group, with the number of its first leaf.
pub(super) trait Watch {
    /// One leaf or group.
    fn meet(&mut self, first: u64, piece: Piece);
}

/// Collects the leaves of a segment.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    first: u64,
    /// The number of the next leaf that leaves the window.
    next: u64,
    /// No merging across this boundary: a root is asked for there.
    frozen: u64,
    /// Sizes of known heads, ascending; what is below `next` is passed.
    wanted: &'a [u64],
    asked: BTreeSet<u64>,
    window: VecDeque<Hash>,
    merged: Vec<Piece>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(first: u64, wanted: &'a [u64]) -> Self {
        let passed = wanted.partition_point(|size| *size <= first);
        Self {
            first,
            next: first,
            frozen: first,
            wanted: wanted.get(passed..).unwrap_or_default(),
            asked: BTreeSet::new(),
            window: VecDeque::with_capacity(1_024),
            merged: Vec::new(),
        }
    }

    /// Takes the next leaf.
    pub(super) fn push(&mut self, leaf: Hash, watch: &mut impl Watch) {
        self.window.push_back(leaf);
        if self.window.len() > WINDOW {
            self.merge_oldest(watch);
        }
    }

    /// A root will be asked for at this size.
    pub(super) fn ask(&mut self, size: u64) {
        if size > self.next {
            self.asked.insert(size);
        }
    }

    /// The subtrees, in order.
    pub(super) fn finish(mut self, watch: &mut impl Watch) -> Vec<Piece> {
        while !self.window.is_empty() {
            self.merge_oldest(watch);
        }
        self.merged
    }

    fn merge_oldest(&mut self, watch: &mut impl Watch) {
        let Some(hash) = self.window.pop_front() else {
            return;
        };
        let leaf = Piece { level: 0, hash };
        watch.meet(self.next, leaf);
        self.merged.push(leaf);
        self.next += 1;
        self.merge_up_to(GROUP_LEVEL);
        let group = 1_u64 << GROUP_LEVEL;
        if self.next.is_multiple_of(group) && self.next - self.first >= group {
            let root = self.group_root();
            watch.meet(self.next - group, root);
            self.merge_up_to(53);
        }
        let reached = self.wanted.partition_point(|size| *size < self.next);
        self.wanted = self.wanted.get(reached..).unwrap_or_default();
        if self.wanted.first() == Some(&self.next) || self.asked.remove(&self.next) {
            self.frozen = self.next;
        }
    }

    /// Merges the newest subtrees that are two halves of one, up to a level.
    fn merge_up_to(&mut self, level: u8) {
        while let [.., left, right] = self.merged.as_slice()
            && left.level == right.level
            && left.level < level
        {
            let leaves = 2_u64 << left.level;
            if !self.next.is_multiple_of(leaves) || self.next - self.frozen < leaves {
                return;
            }
            let whole = Piece {
                level: left.level + 1,
                hash: parent(&left.hash, &right.hash),
            };
            self.merged.truncate(self.merged.len() - 2);
            self.merged.push(whole);
        }
    }

    /// The root of the group that ends at `next`, also where a root is asked for inside it.
    fn group_root(&self) -> Piece {
        let mut left = 1_u64 << GROUP_LEVEL;
        let mut from = self.merged.len();
        for piece in self.merged.iter().rev() {
            left = left.saturating_sub(1 << piece.level.min(62));
            from -= 1;
            if left == 0 {
                break;
            }
        }
        let mut tree = Tree::default();
        for piece in self.merged.iter().skip(from) {
            tree.push(*piece);
        }
        Piece {
            level: GROUP_LEVEL,
            hash: tree.root(),
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[derive(Default)]
    struct Groups(Vec<(u64, Hash)>);

    impl Watch for Groups {
        fn meet(&mut self, first: u64, piece: Piece) {
            if piece.level == GROUP_LEVEL {
                self.0.push((first, piece.hash));
            }
        }
    }

    fn leaf(n: u64) -> Hash {
        Sha256::digest(n.to_be_bytes()).into()
    }

    fn tree(upto: u64) -> Tree {
        let mut tree = Tree::default();
        (0..upto).for_each(|n| {
            assert!(tree.push(Piece {
                level: 0,
                hash: leaf(n)
            }))
        });
        tree
    }

    #[test]
    fn a_root_can_be_had_at_every_size_that_was_asked_for() {
        for first in [0, 1, 255, 256, 300] {
            let known: Vec<u64> = vec![10, 257, 300, 301, 511, 512, 600, 700, 1_000];
            let mut groups = Groups::default();
            let mut pieces = Pieces::new(first, &known);
            for n in first..1_024 {
                pieces.push(leaf(n), &mut groups);
            }
            pieces.ask(777);
            let mut log = tree(first);
            let mut met = Vec::new();
            for piece in pieces.finish(&mut groups) {
                assert!(log.push(piece));
                assert_eq!(log.root(), tree(log.size()).root());
                met.push(log.size());
            }
            for size in known
                .iter()
                .chain(&[777, 1_024])
                .filter(|size| **size > first)
            {
                assert!(met.contains(size), "{size} from {first}");
            }
            for (at, hash) in groups.0 {
                let mut alone = Tree::default();
                (at..at + 256).for_each(|n| {
                    assert!(alone.push(Piece {
                        level: 0,
                        hash: leaf(n)
                    }))
                });
                assert_eq!(alone.root(), hash);
            }
        }
    }
}
