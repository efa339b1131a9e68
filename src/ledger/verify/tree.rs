//! The verifier's own RFC 6962 tree, written apart from the writer's: perfect subtrees, each with
//! its level, that are appended from the left.

use sha2::{Digest, Sha256};

/// A SHA-256 value.
pub(super) type Hash = [u8; 32];

/// `SHA-256(0x01 || left || right)`.
pub(super) fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1_u8; 65];
    for (to, from) in bytes.iter_mut().skip(1).zip(left.iter().chain(right)) {
        *to = *from;
    }
    Sha256::digest(bytes).into()
}

/// A perfect subtree of 2^`level` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) level: u8,
    pub(super) hash: Hash,
}

/// The perfect subtrees of a growing log, the largest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    size: u64,
    peaks: Vec<Piece>,
}

impl Tree {
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a subtree; false where it would not be a subtree of this log.
    pub(super) fn push(&mut self, piece: Piece) -> bool {
        let leaves = 1_u64 << piece.level.min(62);
        if !self.size.is_multiple_of(leaves) {
            return false;
        }
        self.size += leaves;
        self.peaks.push(piece);
        while let [.., left, right] = self.peaks.as_slice()
            && left.level == right.level
        {
            let merged = Piece {
                level: left.level + 1,
                hash: parent(&left.hash, &right.hash),
            };
            self.peaks.truncate(self.peaks.len() - 2);
            self.peaks.push(merged);
        }
        true
    }

    /// The root; of the empty tree SHA-256 of nothing.
    pub(super) fn root(&self) -> Hash {
        let hashes = self.peaks.iter().rev().map(|peak| peak.hash);
        hashes
            .reduce(|right, left| parent(&left, &right))
            .unwrap_or_else(|| Sha256::digest([]).into())
    }
}

/// 64 lower-case hex digits as bytes.
pub(super) fn from_hex(digits: &[u8]) -> Option<Hash> {
    let mut hash = Hash::default();
    let lower = !digits.iter().any(u8::is_ascii_uppercase);
    (lower && hex::decode_to_slice(digits, &mut hash).is_ok()).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962, 2.1.
    fn definition(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => Sha256::digest([]).into(),
            1 => leaves[0],
            n => {
                let k = n.next_power_of_two() / 2;
                parent(&definition(&leaves[..k]), &definition(&leaves[k..]))
            }
        }
    }

    #[test]
    fn every_size_has_the_root_of_the_definition() {
        let leaves: Vec<Hash> = (0..200_u8).map(|n| Sha256::digest([n]).into()).collect();
        let mut tree = Tree::default();
        for n in 0..leaves.len() {
            assert_eq!(tree.root(), definition(&leaves[..n]), "{n}");
            assert!(tree.push(Piece {
                level: 0,
                hash: leaves[n]
            }));
        }
        assert!(
            !tree.push(Piece {
                level: 4,
                hash: leaves[0]
            }),
            "200 is no multiple of 16"
        );
        assert!(tree.push(Piece {
            level: 3,
            hash: leaves[0]
        }));
        assert_eq!(tree.size(), 208);
    }
}
