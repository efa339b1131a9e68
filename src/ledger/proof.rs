//! Which hashes prove that a record is in a tree (inclusion) and that a tree only grew
//! (consistency): RFC 6962, 2.1.1 and 2.1.2.
//!
//! Pure: what is asked for are the perfect subtrees of [`Subtree`], and whoever calls knows where
//! they come from. Not here: files, signatures, and the checking of proofs, which is for those who
//! do not trust us; docs/ledger-proofs.md shows how it is done with ordinary tools.

use super::merkle::{Hash, node};

/// The 2^`level` leaves from `index` * 2^`level` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subtree {
    pub(super) level: u32,
    pub(super) index: u64,
}

/// The leaves from `begin` on and before `end`; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    begin: u64,
    end: u64,
}

impl Span {
    /// Leaves of the left child: the largest power of two below the number of leaves. Of one leaf
    /// there are no children.
    const fn split(self) -> Option<(Self, Self)> {
        let leaves = self.end.saturating_sub(self.begin);
        if leaves < 2 {
            return None;
        }
        let middle = self.begin + (1 << (leaves - 1).ilog2());
        let left = Self {
            begin: self.begin,
            end: middle,
        };
        let right = Self {
            begin: middle,
            end: self.end,
        };
        Some((left, right))
    }

    /// The root over these leaves. A span that proofs name begins where its subtrees may begin.
    fn root<E>(self, source: &mut impl FnMut(Subtree) -> Result<Hash, E>) -> Result<Hash, E> {
        let leaves = self.end.saturating_sub(self.begin);
        match self.split() {
            Some((left, right)) if !leaves.is_power_of_two() => {
                let left = left.root(source)?;
                Ok(node(&left, &right.root(source)?))
            }
            _ => {
                let level = leaves.max(1).ilog2();
                source(Subtree {
                    level,
                    index: self.begin >> level,
                })
            }
        }
    }
}

/// The root of the tree of `size` leaves; `None` for no leaves.
pub(super) fn root<E>(
    size: u64,
    source: &mut impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Option<Hash>, E> {
    let whole = Span {
        begin: 0,
        end: size,
    };
    (size > 0).then(|| whole.root(source)).transpose()
}

/// The audit path of leaf `index` in the tree of `size` leaves, the leaf's sibling first; `None`
/// where that tree has no such leaf.
pub(super) fn inclusion<E>(
    index: u64,
    size: u64,
    source: &mut impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if index >= size {
        return Ok(None);
    }
    let (mut at, mut path) = (
        Span {
            begin: 0,
            end: size,
        },
        Vec::new(),
    );
    while let Some((left, right)) = at.split() {
        let (inside, beside) = if index < right.begin {
            (left, right)
        } else {
            (right, left)
        };
        path.push(beside);
        at = inside;
    }
    roots(path, source).map(Some)
}

/// Proof that the tree of `new` leaves begins with the tree of `old` leaves; empty for equal sizes;
/// `None` where `old` is 0 or larger than `new`: there is nothing to prove then, or it is not so.
pub(super) fn consistency<E>(
    old: u64,
    new: u64,
    source: &mut impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if old == 0 || old > new {
        return Ok(None);
    }
    let (mut at, mut path) = (Span { begin: 0, end: new }, Vec::new());
    while at.end != old {
        // `old` is inside, so there are at least two leaves.
        let Some((left, right)) = at.split() else {
            break;
        };
        if old <= left.end {
            path.push(right);
            at = left;
        } else {
            path.push(left);
            at = right;
        }
    }
    // What is the old tree as a whole is known to whoever checks.
    if at.begin > 0 {
        path.push(at);
    }
    roots(path, source).map(Some)
}

/// From the top of the tree down to the order of RFC 6962, from the leaves up.
fn roots<E>(
    path: Vec<Span>,
    source: &mut impl FnMut(Subtree) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    path.into_iter()
        .rev()
        .map(|span| span.root(source))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use sha2::{Digest, Sha256};

    use super::super::merkle::Frontier;
    use super::*;

    fn leaf(n: u64) -> Hash {
        Sha256::digest(n.to_be_bytes()).into()
    }

    /// A source that refuses what is no subtree of the tree of `size` leaves.
    fn source(size: u64) -> impl FnMut(Subtree) -> Result<Hash, Infallible> {
        move |Subtree { level, index }| {
            let (begin, end) = (index << level, (index + 1) << level);
            assert!(end <= size, "{level} {index} ends beyond {size}");
            let mut tree = Frontier::new();
            for n in begin..end {
                tree.push(leaf(n));
            }
            Ok(tree.root())
        }
    }

    #[test]
    fn the_root_is_that_of_the_frontier() {
        let mut tree = Frontier::new();
        assert_eq!(root(0, &mut source(0)), Ok(None));
        for size in 1..300 {
            tree.push(leaf(size - 1));
            assert_eq!(root(size, &mut source(size)), Ok(Some(tree.root())));
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 6962, 2.1.3: the tree of seven leaves and what proves what in it.
        let span = |begin, end| Span { begin, end }.root(&mut source(7)).unwrap();
        let path = |index| inclusion(index, 7, &mut source(7)).unwrap().unwrap();
        assert_eq!(path(0), [leaf(1), span(2, 4), span(4, 7)]);
        assert_eq!(path(3), [leaf(2), span(0, 2), span(4, 7)]);
        assert_eq!(path(4), [leaf(5), leaf(6), span(0, 4)]);
        assert_eq!(path(6), [span(4, 6), span(0, 4)]);
        let grown = |old| consistency(old, 7, &mut source(7)).unwrap().unwrap();
        assert_eq!(grown(3), [leaf(2), leaf(3), span(0, 2), span(4, 7)]);
        assert_eq!(grown(4), [span(4, 7)]);
        assert_eq!(grown(6), [span(4, 6), leaf(6), span(0, 4)]);
    }

    #[test]
    fn what_cannot_be_proved_has_no_proof() {
        assert_eq!(inclusion(7, 7, &mut source(7)), Ok(None));
        assert_eq!(inclusion(0, 0, &mut source(0)), Ok(None));
        assert_eq!(consistency(0, 7, &mut source(7)), Ok(None));
        assert_eq!(consistency(8, 7, &mut source(7)), Ok(None));
        assert_eq!(consistency(7, 7, &mut source(7)), Ok(Some(vec![])));
        assert_eq!(inclusion(0, 1, &mut source(1)), Ok(Some(vec![])));
    }
}
