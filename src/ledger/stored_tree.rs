//! The Merkle tree of a ledger on disk: subtrees from `.tree` files where there are any, from lines
//! otherwise.
//!
//! Opening reads all tree files and the lines of segments without one (in a healthy ledger only the
//! newest); a question reads the lines of one group of 256 besides. Nothing here is believed: the
//! hashes are taken as they stand, and whoever asks compares the root with a signed one.
//! Not here: changes of the ledger; it may be written while it is read.

mod error;
mod lines;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::{SegmentName, list_segments};
use super::merkle::{Frontier, Hash};
use super::proof::{self, Subtree};
use super::reader::Lines;
use super::tree_file::{GROUP, TreeBuilder, TreeFile, TreeHash};

pub use error::ProofError;
pub(super) use lines::{LinesFrom, Step};

/// The level of a group in the tree: 2^8 leaves.
const GROUP_LEVEL: u32 = 8;

/// Consecutive records: those of a segment that count.
#[derive(Debug, Clone)]
struct Part {
    first_seq: u64,
    next_seq: u64,
    /// Where its lines are, unless they were pruned.
    lines: Option<SegmentName>,
}

/// The tree over the records of a directory.
#[derive(Debug)]
pub struct StoredTree {
    dir: PathBuf,
    parts: Vec<Part>,
    groups: HashMap<u64, Hash>,
    leaves: HashMap<u64, Hash>,
}

impl StoredTree {
    /// Reads what the tree of the first `size` records needs (`u64::MAX`: of all there are).
    ///
    /// # Errors
    /// Files that cannot be read or are damaged, and records that are missing.
    pub fn open(dir: &Path, size: u64) -> Result<Self, ProofError> {
        let mut tree = Self {
            dir: dir.to_path_buf(),
            parts: Vec::new(),
            groups: HashMap::new(),
            leaves: HashMap::new(),
        };
        let segments = list_segments(dir).map_err(|e| ProofError::io(dir, e))?;
        let files = tree_files(dir).map_err(|e| ProofError::io(dir, e))?;
        let mut firsts: Vec<u64> = segments.iter().map(|segment| segment.first_seq).collect();
        firsts.extend(files.keys());
        firsts.sort_unstable();
        firsts.dedup();
        for (place, first) in firsts.iter().enumerate() {
            if *first >= size {
                break;
            }
            let end = firsts.get(place + 1).copied();
            let listed = segments.iter().find(|segment| segment.first_seq == *first);
            let lines = listed.cloned().or_else(|| find_segment(dir, *first));
            let file = files.get(first).map(|path| read_tree_file(path));
            // A tree file whose segment was left before its end says more than what counts.
            match file.transpose()? {
                Some(file) if end.is_none_or(|end| end >= file.next_seq) => tree.take(file, lines),
                _ => tree.scan(*first, lines, end, size)?,
            }
        }
        tree.check_gaps()?;
        Ok(tree)
    }

    /// How many records were found, those of pruned segments included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.next_seq)
    }

    /// The root over the first `size` records.
    ///
    /// # Errors
    /// As [`StoredTree::open`]; no tree of that size.
    pub fn root(&mut self, size: u64) -> Result<Hash, ProofError> {
        self.check_size(size)?;
        let root = proof::root(size, &mut |subtree| self.subtree(subtree))?;
        Ok(root.unwrap_or_else(|| Frontier::new().root()))
    }

    /// The audit path of record `seq` in the tree of `size` records, its sibling first.
    ///
    /// # Errors
    /// As [`StoredTree::open`]; no such record in that tree.
    pub fn inclusion(&mut self, seq: u64, size: u64) -> Result<Vec<Hash>, ProofError> {
        self.check_size(size)?;
        let path = proof::inclusion(seq, size, &mut |subtree| self.subtree(subtree))?;
        path.ok_or_else(|| ProofError::Absent {
            what: format!("record {seq} is not among the first {size}"),
            remedy: "choose a size above the record's number",
        })
    }

    /// Proof that the tree of `new` records begins with that of `old` records.
    ///
    /// # Errors
    /// As [`StoredTree::open`]; sizes that do not rise, or begin with 0.
    pub fn consistency(&mut self, old: u64, new: u64) -> Result<Vec<Hash>, ProofError> {
        self.check_size(new)?;
        let path = proof::consistency(old, new, &mut |subtree| self.subtree(subtree))?;
        path.ok_or_else(|| ProofError::Absent {
            what: format!("there is no proof that {new} records begin with {old}"),
            remedy: "the older size is at least 1 and at most the newer one",
        })
    }

    /// The leaf of record `seq`: its hash as it stands in its line.
    ///
    /// # Errors
    /// As [`StoredTree::open`]; a record whose line is gone.
    pub fn leaf(&mut self, seq: u64) -> Result<Hash, ProofError> {
        self.subtree(Subtree {
            level: 0,
            index: seq,
        })
    }

    /// The line of record `seq`, without its newline.
    ///
    /// # Errors
    /// As [`StoredTree::open`]; a record whose line is gone.
    pub fn line(&self, seq: u64) -> Result<Vec<u8>, ProofError> {
        let mut lines = self.lines_from(seq);
        let mut line = Vec::new();
        match lines.next(&mut line)? {
            Some(Step::Line(at)) if at == seq => Ok(line),
            _ => Err(self.gone(seq)),
        }
    }

    /// The leaves of a group as far as the tree has them; `None` for those that are gone.
    pub(super) fn known_leaf(&self, seq: u64) -> Option<Hash> {
        self.leaves.get(&seq).copied()
    }

    /// One perfect subtree.
    pub(super) fn subtree(&mut self, subtree: Subtree) -> Result<Hash, ProofError> {
        let Subtree { level, index } = subtree;
        let mut tree = Frontier::new();
        if let Some(above) = level.checked_sub(GROUP_LEVEL) {
            for group in index << above..(index + 1) << above {
                let hash = self.group(group)?;
                // Always fits: every piece has the same size.
                let _ = tree.push_subtree(GROUP_LEVEL, hash);
            }
        } else {
            let begin = index << level;
            for seq in begin..begin + (1 << level) {
                tree.push(self.known_or_read(seq)?);
            }
        }
        Ok(tree.root())
    }

    fn group(&mut self, group: u64) -> Result<Hash, ProofError> {
        if let Some(hash) = self.groups.get(&group) {
            return Ok(*hash);
        }
        let mut tree = Frontier::new();
        for seq in group * GROUP..(group + 1) * GROUP {
            tree.push(self.known_or_read(seq)?);
        }
        self.groups.insert(group, tree.root());
        Ok(tree.root())
    }

    fn known_or_read(&mut self, seq: u64) -> Result<Hash, ProofError> {
        if let Some(hash) = self.known_leaf(seq) {
            return Ok(hash);
        }
        let (begin, end) = (seq - seq % GROUP, seq - seq % GROUP + GROUP);
        let mut lines = self.lines_from(begin);
        let mut line = Vec::new();
        while let Some(step) = lines.next(&mut line)? {
            match step {
                Step::Line(at) if at < end => {
                    let hash = carried_hash(&line).ok_or_else(|| lines.damaged(at))?;
                    self.leaves.insert(at, hash);
                }
                Step::Gone(next) if next < end => {}
                _ => break,
            }
        }
        self.known_leaf(seq).ok_or_else(|| self.gone(seq))
    }

    fn check_size(&self, size: u64) -> Result<(), ProofError> {
        if size <= self.size() {
            return Ok(());
        }
        Err(ProofError::damaged(
            &self.dir,
            format!(
                "{} records are there, and {size} are asked for",
                self.size()
            ),
        ))
    }

    /// Whether the lines of the record's segment are there.
    pub(super) fn has_line(&self, seq: u64) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| (part.first_seq..part.next_seq).contains(&seq) && part.lines.is_some())
    }

    pub(super) fn gone(&self, seq: u64) -> ProofError {
        let dir = self.dir.display();
        if seq >= self.size() {
            return ProofError::Absent {
                what: format!("{dir} holds {} records, no record {seq}", self.size()),
                remedy: "name one of these; tidegate ledger tail shows the newest",
            };
        }
        let oldest = self.parts.iter().find(|part| part.lines.is_some());
        let oldest = oldest.map_or(self.size(), |part| part.first_seq);
        ProofError::Absent {
            what: format!(
                "record {seq} is gone: its segment was pruned, the oldest record in {dir} is {oldest}"
            ),
            remedy: "name a record that is still there, or ask a copy of the ledger from before",
        }
    }

    fn take(&mut self, file: TreeFile, lines: Option<SegmentName>) {
        self.parts.push(Part {
            first_seq: file.first_seq,
            next_seq: file.next_seq,
            lines,
        });
        self.extend(file);
    }

    fn extend(&mut self, file: TreeFile) {
        for hash in file.hashes {
            match hash {
                TreeHash::Leaf(seq, hash) => self.leaves.insert(seq, hash),
                TreeHash::Group(index, hash) => self.groups.insert(index, hash),
            };
        }
    }

    /// Takes the hashes out of lines, up to `size` or where the next segment takes over.
    fn scan(
        &mut self,
        first_seq: u64,
        segment: Option<SegmentName>,
        end: Option<u64>,
        size: u64,
    ) -> Result<(), ProofError> {
        let Some(segment) = segment else {
            // A tree file alone that claims more than what was left to it.
            return Err(ProofError::damaged(
                &self.dir,
                format!("the tree file of record {first_seq} overlaps the next segment"),
            ));
        };
        let limit = end.unwrap_or(u64::MAX).min(size);
        let mut builder = TreeBuilder::new(first_seq);
        let path = &segment.path;
        let mut lines = Lines::of_segment(&segment).map_err(|e| ProofError::io(path, e))?;
        let mut next_seq = first_seq;
        while next_seq < limit {
            match lines.next().map_err(|e| ProofError::io(path, e))? {
                Some(line) if line.complete => {
                    let hash = carried_hash(line.bytes)
                        .ok_or_else(|| no_hash(path, line.offset, next_seq))?;
                    builder.push(hash);
                    next_seq += 1;
                }
                _ => break,
            }
        }
        self.parts.push(Part {
            first_seq,
            next_seq,
            lines: Some(segment),
        });
        self.extend(builder.finish(&super::frame::GENESIS_PREV));
        Ok(())
    }

    fn check_gaps(&self) -> Result<(), ProofError> {
        let mut at = 0;
        for part in &self.parts {
            if part.first_seq != at {
                let rule = format!(
                    "records {at} to {} are missing, and no tree file stands for them",
                    part.first_seq.saturating_sub(1)
                );
                return Err(ProofError::damaged(&self.dir, rule));
            }
            at = part.next_seq;
        }
        Ok(())
    }

    /// The lines from record `seq` on.
    pub(super) fn lines_from(&self, seq: u64) -> LinesFrom {
        let parts = self.parts.iter().filter(|part| part.next_seq > seq);
        LinesFrom::new(parts.cloned().collect(), seq)
    }
}

fn no_hash(path: &Path, offset: u64, seq: u64) -> ProofError {
    let rule = format!("byte {offset}: the line of record {seq} does not end in its hash");
    ProofError::damaged(path, rule)
}

/// The hash that a line carries.
pub(super) fn carried_hash(line: &[u8]) -> Option<Hash> {
    let digits = line.strip_suffix(b"\"}")?.last_chunk::<64>()?;
    let mut hash = Hash::default();
    hex::decode_to_slice(digits, &mut hash).ok()?;
    Some(hash)
}

/// A segment that a list of the directory has missed: while it is compressed, its plain name goes
/// and the other one comes, and a list may have neither. Asked in this order, one of them is there.
fn find_segment(dir: &Path, first_seq: u64) -> Option<SegmentName> {
    let plain = SegmentName::new(dir, first_seq);
    let packed = plain.to_compressed();
    [plain, packed].into_iter().find(|name| name.path.exists())
}

/// The tree files of a directory by the first number of their segment.
fn tree_files(dir: &Path) -> io::Result<HashMap<u64, PathBuf>> {
    let mut files = HashMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|suffix| suffix == "tree")
            && let Some(name) = SegmentName::of(&path.with_extension("jsonl"))
        {
            files.insert(name.first_seq, path);
        }
    }
    Ok(files)
}

fn read_tree_file(path: &Path) -> Result<TreeFile, ProofError> {
    let text = fs::read_to_string(path).map_err(|e| ProofError::io(path, e))?;
    TreeFile::parse(&text)
        .map_err(|(line, rule)| ProofError::damaged(path, format!("line {line}: {rule}")))
}
