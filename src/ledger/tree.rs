//! The Merkle tree as the writer grows it: the edge of the whole log, and what the tree file of the
//! segment under way will hold. One inner node is hashed for each record, on average.
//!
//! Invariant: both end at the same record.
//! Not here: when a segment ends, and who signs the root.

use super::merkle::{Frontier, Hash};
use super::tree_file::{TreeBuilder, TreeFile, TreeMark};

/// The tree of the log and of its newest segment.
#[derive(Debug, Clone)]
pub struct LogTree {
    log: Frontier,
    segment: TreeBuilder,
}

impl LogTree {
    /// A tree that goes on where these end; both at the same record.
    #[must_use]
    pub const fn new(log: Frontier, segment: TreeBuilder) -> Self {
        Self { log, segment }
    }

    /// Takes the next record's hash.
    pub fn push(&mut self, leaf: Hash) {
        let group = self.log.push(leaf);
        self.segment.push_known(leaf, group);
    }

    /// Takes the next record's hash, as the chain's head gives it.
    pub(super) fn push_head(&mut self, head: &[u8; 64]) {
        let mut leaf = Hash::default();
        // A head is always 64 digits.
        let read = hex::decode_to_slice(head, &mut leaf).is_ok();
        debug_assert!(read, "a head that is not a hash");
        self.push(leaf);
    }

    /// The root over all records so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.log.root()
    }

    /// Where the segment's part stands.
    pub(super) fn mark(&self) -> TreeMark {
        self.segment.mark()
    }

    /// Begins the next segment here; gives what was collected of the one before.
    pub(super) fn next_segment(&mut self) -> TreeBuilder {
        let next = TreeBuilder::new(self.segment.next_seq());
        std::mem::replace(&mut self.segment, next)
    }

    /// The records in `lines`, the first of them `first_seq`, move to a segment of their own, the
    /// newest. Gives what was collected of the segment before.
    pub(super) fn split(&mut self, first_seq: u64, lines: &[u8]) -> TreeBuilder {
        let mut next = TreeBuilder::new(first_seq);
        leaves(lines).for_each(|leaf| next.push(leaf));
        std::mem::replace(&mut self.segment, next)
    }
}

/// The file of a segment that ends at `mark`, whose last record has the hash `head`.
pub(super) fn file_up_to(mut segment: TreeBuilder, mark: &TreeMark, head: &[u8; 64]) -> TreeFile {
    segment.rewind(mark);
    segment.finish(head)
}

/// The hashes that whole lines of the writer's own carry.
fn leaves(lines: &[u8]) -> impl Iterator<Item = Hash> {
    lines.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let mut hash = Hash::default();
        let digits = line
            .len()
            .checked_sub(67)
            .and_then(|from| line.get(from..from + 64));
        // A line from the chain ends in its 64 digits, `"}` and a newline.
        let read = digits.is_some_and(|digits| hex::decode_to_slice(digits, &mut hash).is_ok());
        debug_assert!(read, "a line without a hash");
        hash
    })
}

#[cfg(test)]
mod tests {
    use super::super::chain::Chain;
    use super::*;

    #[test]
    fn lines_that_move_give_the_same_leaves() {
        let (mut chain, mut lines) = (Chain::genesis(), Vec::new());
        let mut tree = LogTree::new(Frontier::new(), TreeBuilder::new(0));
        let (mut boundary, mut mark, mut head) = (0, tree.mark(), *chain.head());
        for n in 0..700_u64 {
            if n == 300 {
                (boundary, mark, head) = (lines.len(), tree.mark(), *chain.head());
            }
            tree.push(chain.append(&mut lines, |e| e.uint("a", n)));
        }
        let old = tree.split(300, &lines[boundary..]);
        let old = file_up_to(old, &mark, &head);
        assert_eq!((old.first_seq, old.next_seq), (0, 300));
        let mut log = Frontier::new();
        assert!(old.append_to(&mut log));
        let new = tree.next_segment().finish(chain.head());
        assert_eq!((new.first_seq, new.next_seq), (300, 700));
        assert!(new.append_to(&mut log));
        assert_eq!(log.root(), tree.root());
    }
}
