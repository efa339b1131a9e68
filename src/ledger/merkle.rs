//! The RFC 6962 tree over the record hashes, as the writer keeps it: only its right edge.
//!
//! Leaf `i` is the hash of record `i` (which already is `SHA-256(0x00 || entry)`); an inner node is
//! `SHA-256(0x01 || left || right)` (RFC 6962, 2.1). The edge is at most 64 hashes, whatever the
//! size, so an append costs one node on average.
//! Not here: proofs, and the verifier's tree, which is written apart on purpose.

use sha2::{Digest, Sha256};

use super::sha::tagged_pair;

/// 2^8 leaves are a group of a tree file, and a tile of C2SP `tlog-tiles`.
const GROUP_LEVEL: u32 = 8;

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// The parent of two nodes.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    tagged_pair(1, left, right)
}

/// The right edge of a growing tree: the roots of its perfect subtrees, the largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// An empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: 0,
            peaks: Vec::new(),
        }
    }

    /// Leaves so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends one leaf. Gives the root of the 256 leaves that it completes, if it does: tree
    /// files keep those, and they come out of the carry anyway.
    pub fn push(&mut self, leaf: Hash) -> Option<Hash> {
        self.grow(0, leaf)
    }

    /// Appends a perfect subtree of 2^`level` leaves with the root `hash`. False, and nothing is
    /// changed, where the size is not a multiple of 2^`level`: it would not be a subtree there.
    #[must_use]
    pub fn push_subtree(&mut self, level: u32, hash: Hash) -> bool {
        let fits = level < 53 && self.size.trailing_zeros() >= level;
        if fits {
            self.grow(level, hash);
        }
        fits
    }

    fn grow(&mut self, level: u32, mut hash: Hash) -> Option<Hash> {
        // A carry, as in binary addition: equal subtrees merge.
        let mut size = self.size >> level;
        let (mut at, mut group) = (level, None);
        while size & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node(&left, &hash);
            size >>= 1;
            at += 1;
            if at == GROUP_LEVEL {
                group = Some(hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1 << level;
        group
    }

    /// The root; of an empty tree `SHA-256("")` (RFC 6962, 2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return Sha256::digest([]).into();
        };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962, 2.1, word for word.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(k);
                node(&root_by_definition(left), &root_by_definition(right))
            }
        }
    }

    fn leaf(n: u64) -> Hash {
        Sha256::digest(n.to_be_bytes()).into()
    }

    #[test]
    fn every_size_has_the_root_of_the_definition() {
        let mut frontier = Frontier::new();
        let mut leaves = Vec::new();
        for n in 0..300 {
            assert_eq!(frontier.size(), n);
            assert_eq!(frontier.root(), root_by_definition(&leaves), "{n} leaves");
            frontier.push(leaf(n));
            leaves.push(leaf(n));
        }
    }

    #[test]
    fn a_subtree_counts_as_its_leaves_and_only_at_its_place() {
        let leaves: Vec<Hash> = (0..8).map(leaf).collect();
        let mut by_leaf = Frontier::new();
        for leaf in &leaves {
            by_leaf.push(*leaf);
        }
        let mut by_subtree = Frontier::new();
        assert!(by_subtree.push_subtree(2, root_by_definition(&leaves[..4])));
        assert!(by_subtree.push_subtree(1, root_by_definition(&leaves[4..6])));
        let before = by_subtree.clone();
        assert!(
            !by_subtree.push_subtree(2, leaf(0)),
            "6 is no multiple of 4"
        );
        assert_eq!(by_subtree, before);
        by_subtree.push(leaves[6]);
        by_subtree.push(leaves[7]);
        assert_eq!(by_subtree, by_leaf);
    }
}
