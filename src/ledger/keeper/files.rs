//! The segments of a ledger as files: which are closed, and in which form they lie there.
//!
//! A segment is closed when another one follows it: the writer never touches it again. Where both
//! forms are there (a crash while it was compressed), the plain one counts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::directory::SegmentName;

/// What a compressed segment's name ends with, after that of the plain one.
const PACKED: &str = ".zst";

/// A segment that is not the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closed {
    dir: PathBuf,
    /// The number of its first record.
    pub(super) first_seq: u64,
    /// The number of the next segment's first record.
    pub(super) next_seq: u64,
    /// The file of the next segment.
    pub(super) next_path: PathBuf,
    /// It lies there as text.
    pub(super) plain: bool,
    /// It lies there compressed.
    pub(super) packed: bool,
}

impl Closed {
    /// The name that records give it: the file's without suffix.
    pub(super) fn name(&self) -> String {
        name_of(self.first_seq)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The plain form's file name, as `fault` records give it.
    pub(super) fn plain_name(&self) -> String {
        format!("{}.jsonl", self.name())
    }

    pub(super) fn plain_path(&self) -> PathBuf {
        self.dir.join(self.plain_name())
    }

    pub(super) fn packed_path(&self) -> PathBuf {
        packed_path(&self.plain_path())
    }

    /// The tree file.
    pub(super) fn tree_path(&self) -> PathBuf {
        self.dir.join(format!("{}.tree", self.name()))
    }

    /// What the keeper calls a tree file until it is whole.
    pub(super) fn tree_under_way(&self) -> PathBuf {
        self.dir.join(format!("{}.tree.kept.tmp", self.name()))
    }

    /// The file that counts.
    pub(super) fn path(&self) -> PathBuf {
        if self.plain {
            self.plain_path()
        } else {
            self.packed_path()
        }
    }
}

/// The name of the segment that begins with this number, without suffix.
pub(super) fn name_of(first_seq: u64) -> String {
    format!("seg-{first_seq:016}")
}

/// The compressed form's path.
pub(super) fn packed_path(plain: &Path) -> PathBuf {
    let mut name = plain.as_os_str().to_owned();
    name.push(PACKED);
    PathBuf::from(name)
}

/// The segments of a directory.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// In order; the oldest first.
    pub(super) closed: Vec<Closed>,
    /// The one that is written to.
    pub(super) newest: Option<(u64, PathBuf)>,
}

impl Segments {
    /// Lists what lies in `dir`.
    pub(super) fn list(dir: &Path) -> io::Result<Self> {
        let mut forms: BTreeMap<u64, (bool, bool)> = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if let Some((first_seq, packed)) = form(&path) {
                let form = forms.entry(first_seq).or_default();
                form.0 |= !packed;
                form.1 |= packed;
            }
        }
        let bare = |(first_seq, (plain, packed)): (u64, (bool, bool))| Closed {
            dir: dir.to_path_buf(),
            first_seq,
            next_seq: first_seq,
            next_path: PathBuf::new(),
            plain,
            packed,
        };
        let mut closed: Vec<Closed> = forms.into_iter().map(bare).collect();
        let newest = closed.pop().map(|newest| (newest.first_seq, newest.path()));
        let mut next = newest.clone();
        for segment in closed.iter_mut().rev() {
            let own = (segment.first_seq, segment.path());
            if let Some((seq, path)) = next.replace(own) {
                segment.next_seq = seq;
                segment.next_path = path;
            }
        }
        Ok(Self { closed, newest })
    }
}

/// The first number that a file name gives, and whether it is the compressed form.
fn form(path: &Path) -> Option<(u64, bool)> {
    let name = SegmentName::of(path)?;
    Some((name.first_seq, name.is_compressed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_newest_are_closed_and_each_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Segments::list(dir.path()).unwrap().newest.is_none());
        for name in [
            "seg-0000000000000000.jsonl.zst",
            "seg-0000000000000005.jsonl",
            "seg-0000000000000005.jsonl.zst",
            "seg-0000000000000005.tree",
            "seg-0000000000000009.jsonl",
            "seg-0000000000000009.jsonl.zst.tmp",
            "LOCK",
        ] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let segments = Segments::list(dir.path()).unwrap();
        let seen: Vec<_> = segments
            .closed
            .iter()
            .map(|s| (s.first_seq, s.next_seq, s.plain, s.packed))
            .collect();
        assert_eq!(seen, [(0, 5, false, true), (5, 9, true, true)]);
        assert_eq!(segments.closed[0].path(), segments.closed[0].packed_path());
        assert_eq!(
            segments.closed[0].next_path,
            segments.closed[1].plain_path()
        );
        assert_eq!(segments.newest.unwrap().0, 9);
    }
}
