//! The tree over everything before the newest segment: from the `.tree` files of closed segments,
//! and from the lines of those that have none or one that does not fit.
//!
//! A tree file fits if it names exactly the segment's numbers and ends in the hash that the next
//! segment's first line links to. Whether its hashes are right only a signed root tells; so a caller
//! whose root does not come out right asks again with [`Trees::WhereNeeded`].
//! Not here: damage in closed segments (`verify` and the background verifier look for it).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::SegmentName;
use super::error::LedgerError;
use super::line::Record;
use super::merkle::{Frontier, Hash};
use super::reader::Lines;
use super::salvage::salvage;
use super::tree_file::TreeFile;

/// When tree files are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trees {
    /// Wherever they fit: a few reads for each segment.
    WhereTheyFit,
    /// Only where the lines are gone.
    WhereNeeded,
}

/// The tree at the start of the newest segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History {
    pub(super) frontier: Frontier,
    /// The root at the size that was asked for, if it lies before the newest segment.
    pub(super) root: Option<Hash>,
}

/// The tree over all records before the last of `segments`; `None` where the leaves of some of
/// them cannot be known. `root_at` is a size whose root is wanted as well.
pub(super) fn tree_so_far(
    dir: &Path,
    segments: &[SegmentName],
    root_at: Option<u64>,
    trees: Trees,
) -> Result<Option<History>, LedgerError> {
    let upto = segments.last().map_or(0, |newest| newest.first_seq);
    let starts = starts(dir, segments).map_err(|e| LedgerError::io("listing", dir, e))?;
    let mut frontier = Frontier::new();
    let mut root = None;
    while frontier.size() < upto {
        let first = frontier.size();
        // The newest segment's own start is among them, so there always is one.
        let next = starts.range(first + 1..).next().copied().unwrap_or(upto);
        let own = segments.iter().find(|segment| segment.first_seq == first);
        let wanted_inside = root_at.is_some_and(|at| first < at && at < next);
        let use_tree = trees == Trees::WhereTheyFit && !wanted_inside || own.is_none();
        let linked = segments.iter().find(|segment| segment.first_seq == next);
        let tree = || fitting(dir, first, next, linked);
        if use_tree && tree()?.is_some_and(|tree| tree.append_to(&mut frontier)) {
            // The whole segment at once.
        } else if let Some(own) = own {
            let io = |e| LedgerError::io("reading", &own.path, e);
            let found = salvage(&own.path, first, Some(next - first), None).map_err(io)?;
            let leaves = found.whole().filter(|all| all.len() as u64 == next - first);
            let Some(leaves) = leaves else {
                // Damaged lines: what its tree file says is better than nothing.
                match tree()? {
                    Some(tree) if tree.append_to(&mut frontier) => continue,
                    _ => return Ok(None),
                }
            };
            for leaf in leaves {
                frontier.push(leaf);
                if root_at == Some(frontier.size()) {
                    root = Some(frontier.root());
                }
            }
        } else {
            return Ok(None);
        }
        if root_at == Some(frontier.size()) {
            root = Some(frontier.root());
        }
    }
    Ok(Some(History { frontier, root }))
}

/// The tree file of a segment.
pub(super) fn tree_path(dir: &Path, first_seq: u64) -> PathBuf {
    SegmentName::new(dir, first_seq).path.with_extension("tree")
}

/// The first numbers of all segments that are here or have left a tree file.
fn starts(dir: &Path, segments: &[SegmentName]) -> io::Result<BTreeSet<u64>> {
    let mut starts: BTreeSet<u64> = segments.iter().map(|segment| segment.first_seq).collect();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "tree") {
            let lines = SegmentName::of(&path.with_extension("jsonl"));
            starts.extend(lines.map(|segment| segment.first_seq));
        }
    }
    Ok(starts)
}

/// The tree file of the records `first` to `next` - 1, if there is one that fits.
fn fitting(
    dir: &Path,
    first: u64,
    next: u64,
    linked: Option<&SegmentName>,
) -> Result<Option<TreeFile>, LedgerError> {
    let path = tree_path(dir, first);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LedgerError::io("reading", &path, error)),
    };
    let Ok(tree) = TreeFile::parse(&String::from_utf8_lossy(&bytes)) else {
        return Ok(None);
    };
    let head = linked.map(first_prev).transpose()?.flatten();
    let fits = tree.first_seq == first
        && tree.next_seq == next
        && head.is_none_or(|head| head == tree.head);
    Ok(fits.then_some(tree))
}

/// What the first line of a segment links to, if that line is good.
fn first_prev(segment: &SegmentName) -> Result<Option<String>, LedgerError> {
    let io = |e| LedgerError::io("reading", &segment.path, e);
    let mut lines = Lines::open(&segment.path).map_err(io)?;
    let mut scratch = Vec::new();
    let line = match lines.next() {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        line => line.map_err(io)?,
    };
    Ok(line
        .filter(|line| line.complete)
        .and_then(|line| Record::check(line.bytes, &mut scratch).ok())
        .map(|record| record.prev.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::Chain;
    use super::super::directory::list_segments;
    use super::super::survey::leaf;
    use super::super::tree_file::TreeBuilder;
    use super::*;

    /// Segments that begin at these numbers, the last with one line, with tree files; the frontier
    /// before the last, and all leaves.
    fn ledger(dir: &Path, starts: &[u64]) -> (Frontier, Vec<Hash>) {
        let mut chain = Chain::genesis();
        let (mut frontier, mut leaves) = (Frontier::new(), Vec::new());
        for (at, first) in starts.iter().enumerate() {
            let next = starts.get(at + 1).copied().unwrap_or(first + 1);
            let (mut bytes, mut builder) = (Vec::new(), TreeBuilder::new(*first));
            for _ in *first..next {
                chain.append(&mut bytes, |e| e.text("kind", "governance"));
                builder.push(leaf(chain.head()));
                leaves.push(leaf(chain.head()));
                if at + 1 < starts.len() {
                    frontier.push(leaf(chain.head()));
                }
            }
            fs::write(SegmentName::new(dir, *first).path, bytes).unwrap();
            if at + 1 < starts.len() {
                let tree = builder.finish(chain.head()).to_text();
                fs::write(tree_path(dir, *first), tree).unwrap();
            }
        }
        (frontier, leaves)
    }

    fn found(
        dir: &Path,
        segments: &[SegmentName],
        at: Option<u64>,
        trees: Trees,
    ) -> Option<History> {
        tree_so_far(dir, segments, at, trees).unwrap()
    }

    #[test]
    fn tree_files_and_lines_give_the_same_tree() {
        let dir = tempfile::tempdir().unwrap();
        let (frontier, leaves) = ledger(dir.path(), &[0, 5, 300, 900]);
        let segments = list_segments(dir.path()).unwrap();
        let check = |segments: &[SegmentName], trees, at: Option<u64>, expected: bool| {
            let history = found(dir.path(), segments, at, trees);
            assert_eq!(history.is_some(), expected, "{trees:?}, {at:?}");
            let Some(history) = history else { return };
            assert_eq!(history.frontier, frontier);
            let mut part = Frontier::new();
            let at = at.unwrap_or(u64::MAX);
            for leaf in leaves.iter().take(at as usize) {
                part.push(*leaf);
            }
            let inside = at <= 900;
            assert_eq!(
                history.root,
                inside.then(|| part.root()),
                "{trees:?}, {at:?}"
            );
        };
        for trees in [Trees::WhereTheyFit, Trees::WhereNeeded] {
            for at in [
                None,
                Some(1),
                Some(5),
                Some(299),
                Some(300),
                Some(900),
                Some(901),
            ] {
                check(&segments, trees, at, true);
            }
        }
        // Lines gone: the tree file does. Both gone: nothing does.
        check(&segments[1..], Trees::WhereNeeded, Some(5), true);
        let gone = found(dir.path(), &segments[1..], Some(3), Trees::WhereNeeded);
        assert_eq!(gone.unwrap().root, None, "inside what is gone");
    }

    #[test]
    fn a_tree_file_that_does_not_fit_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let (frontier, _) = ledger(dir.path(), &[0, 300, 301]);
        let segments = list_segments(dir.path()).unwrap();
        let path = tree_path(dir.path(), 0);
        let text = fs::read_to_string(&path).unwrap();
        for broken in [
            String::new(),
            text.replacen(" 300 ", " 301 ", 1),
            text.replacen(&text[24..88], &"a".repeat(64), 1),
        ] {
            assert_ne!(broken, text);
            fs::write(&path, &broken).unwrap();
            let history = found(dir.path(), &segments, None, Trees::WhereTheyFit).unwrap();
            assert_eq!(history.frontier, frontier, "{broken}");
            let gone = found(dir.path(), &segments[1..], None, Trees::WhereTheyFit);
            assert_eq!(gone, None, "{broken}");
        }
    }
}
