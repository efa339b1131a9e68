//! `seg-<first seq>.tree`: what the Merkle tree needs of a closed segment once its lines are gone.
//!
//! Leaves are kept in groups of 256 that are aligned to the log, not to the segment: a whole group
//! inside the segment is one hash (a C2SP tile's root), and the leaves before the first and after
//! the last whole group are kept singly. So the tree of the whole log can be made from these files
//! alone, and an inclusion proof from them and the lines around the record.

use std::fmt::Write;

use super::merkle::{Frontier, Hash, node};

/// Leaves of a group.
pub(super) const GROUP: u64 = 256;
/// The level of a group in a tree file.
const GROUP_LEVEL: u32 = 1;

/// One hash of a tree file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeHash {
    /// The leaf of this number.
    Leaf(u64, Hash),
    /// The root over the 256 leaves from `256 * index` on.
    Group(u64, Hash),
}

/// What a tree file says of its segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// The segment's first number.
    pub first_seq: u64,
    /// The number after its last.
    pub next_seq: u64,
    /// The hash of its last record, 64 hex digits.
    pub head: String,
    /// Its hashes, ascending by their first leaf, without gaps.
    pub hashes: Vec<TreeHash>,
}

/// Collects the leaves of a segment while it is written; holds one hash for each whole group.
#[derive(Debug, Clone)]
pub struct TreeBuilder {
    first_seq: u64,
    next_seq: u64,
    /// Leaves of the group under way.
    open: Vec<Hash>,
    hashes: Vec<TreeHash>,
}

/// A state that a [`TreeBuilder`] was in.
#[derive(Debug, Clone)]
pub struct TreeMark {
    next_seq: u64,
    hashes: usize,
    open: Vec<Hash>,
}

impl TreeBuilder {
    /// For a segment that begins with this number.
    #[must_use]
    pub fn new(first_seq: u64) -> Self {
        Self {
            first_seq,
            next_seq: first_seq,
            open: Vec::with_capacity(GROUP as usize),
            hashes: Vec::new(),
        }
    }

    /// The number of the next leaf.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Takes the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_known(leaf, None);
    }

    /// Takes the next leaf, and the root of the aligned group of 256 leaves that it completes
    /// where the caller has it already (see [`Frontier::push`]).
    pub fn push_known(&mut self, leaf: Hash, group: Option<Hash>) {
        self.open.push(leaf);
        self.next_seq += 1;
        if self.next_seq.is_multiple_of(GROUP) {
            if self.open.len() as u64 == GROUP {
                let index = self.next_seq / GROUP - 1;
                let root = group.unwrap_or_else(|| perfect_root(&self.open));
                self.hashes.push(TreeHash::Group(index, root));
                self.open.clear();
            } else {
                self.close_group();
            }
        }
    }

    /// Where the builder stands, to come back to with [`Self::rewind`]; at most 8 KiB.
    #[must_use]
    pub fn mark(&self) -> TreeMark {
        TreeMark {
            next_seq: self.next_seq,
            hashes: self.hashes.len(),
            open: self.open.clone(),
        }
    }

    /// Forgets the leaves taken since `mark`, which must be one of this builder's.
    pub fn rewind(&mut self, mark: &TreeMark) {
        self.next_seq = mark.next_seq;
        self.hashes.truncate(mark.hashes);
        self.open.clone_from(&mark.open);
    }

    /// Leaves of a group that is not whole stay single.
    fn close_group(&mut self) {
        let first = self.next_seq - self.open.len() as u64;
        let leaves = self.open.drain(..).zip(first..);
        self.hashes
            .extend(leaves.map(|(leaf, seq)| TreeHash::Leaf(seq, leaf)));
    }

    /// The file of the segment that ends here; `head` is the hash of its last record.
    #[must_use]
    pub fn finish(mut self, head: &[u8; 64]) -> TreeFile {
        self.close_group();
        TreeFile {
            first_seq: self.first_seq,
            next_seq: self.next_seq,
            head: String::from_utf8_lossy(head).into_owned(),
            hashes: self.hashes,
        }
    }
}

/// The root of a perfect tree.
fn perfect_root(leaves: &[Hash]) -> Hash {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = level
            .chunks_exact(2)
            .filter_map(|pair| pair.first().zip(pair.last()))
            .map(|(left, right)| node(left, right))
            .collect();
    }
    level.first().copied().unwrap_or_default()
}

impl TreeFile {
    /// The file's bytes.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "tidegate-tree 1 {} {} {}\n",
            self.first_seq, self.next_seq, self.head
        );
        for hash in &self.hashes {
            let (level, index, hash) = match hash {
                TreeHash::Leaf(seq, hash) => (0, seq, hash),
                TreeHash::Group(index, hash) => (GROUP_LEVEL, index, hash),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{level} {index} {}", hex::encode(hash));
        }
        text
    }

    /// Reads a file; its hashes must cover exactly the numbers that its first line names.
    ///
    /// # Errors
    /// The line (from 1) and the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        const HEADER: &str = "the first line is: tidegate-tree 1 <first seq> <next seq> <head>";
        let mut lines = text.split_inclusive('\n').enumerate();
        let header = lines.next().map(|(_, line)| line).and_then(|line| {
            let rest = line.strip_prefix("tidegate-tree 1 ")?.strip_suffix('\n')?;
            let mut words = rest.split(' ');
            let (first, next, head) = (words.next()?, words.next()?, words.next()?);
            let head = Some(head).filter(|head| super::line::is_hash(head))?;
            Some((first.parse().ok()?, next.parse().ok()?, head.to_owned()))
        });
        let (first_seq, next_seq, head): (u64, u64, String) = header.ok_or((1, HEADER))?;
        let (mut at, mut hashes) = (first_seq, Vec::new());
        for (number, line) in lines {
            let (hash, leaves) = hash_line(line).ok_or((
                number + 1,
                "a line is: <level 0 or 1> <index> <64 lower-case hex digits>",
            ))?;
            let begin = match hash {
                TreeHash::Leaf(seq, _) => Some(seq),
                TreeHash::Group(index, _) => index.checked_mul(GROUP),
            };
            if begin != Some(at) {
                return Err((number + 1, "hashes follow one another without gaps"));
            }
            at = at.saturating_add(leaves);
            hashes.push(hash);
        }
        if at != next_seq {
            return Err((1, "the hashes end where the first line says"));
        }
        Ok(Self {
            first_seq,
            next_seq,
            head,
            hashes,
        })
    }

    /// Appends the segment's leaves to a tree of the log so far. False, with the tree in an unknown
    /// state, where the tree does not end at the segment's first number.
    #[must_use]
    pub fn append_to(&self, tree: &mut Frontier) -> bool {
        tree.size() == self.first_seq
            && self.hashes.iter().all(|hash| match hash {
                TreeHash::Leaf(_, hash) => tree.push_subtree(0, *hash),
                TreeHash::Group(_, hash) => tree.push_subtree(8, *hash),
            })
    }
}

/// One line and how many leaves it stands for.
fn hash_line(line: &str) -> Option<(TreeHash, u64)> {
    let mut words = line.strip_suffix('\n')?.split(' ');
    let (level, index, digits) = (words.next()?, words.next()?, words.next()?);
    let index = index.parse().ok()?;
    let mut hash = Hash::default();
    if words.next().is_some() || !super::line::is_hash(digits) {
        return None;
    }
    hex::decode_to_slice(digits, &mut hash).ok()?;
    match level {
        "0" => Some((TreeHash::Leaf(index, hash), 1)),
        "1" => Some((TreeHash::Group(index, hash), GROUP)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn leaf(n: u64) -> Hash {
        Sha256::digest(n.to_be_bytes()).into()
    }

    #[test]
    fn the_files_of_all_segments_give_the_tree_of_the_log() {
        // Borders inside, at and across groups; a segment without any whole group.
        for borders in [
            vec![0, 1, 255, 256, 257, 700, 1_024, 1_500],
            vec![0, 256, 512],
            vec![0, 100, 200, 300, 1_000],
        ] {
            let (mut by_leaf, mut by_file) = (Frontier::new(), Frontier::new());
            for pair in borders.windows(2) {
                let mut builder = TreeBuilder::new(pair[0]);
                for n in pair[0]..pair[1] {
                    // Every other segment takes the groups from the tree of the log.
                    let group = by_leaf.push(leaf(n)).filter(|_| pair[0] % 2 == 0);
                    builder.push_known(leaf(n), group);
                }
                let file = builder.finish(&[b'a'; 64]);
                let text = file.to_text();
                assert_eq!(TreeFile::parse(&text), Ok(file.clone()));
                assert!(file.append_to(&mut by_file));
                assert_eq!(by_file, by_leaf, "up to {}", pair[1]);
                assert!(!file.append_to(&mut by_file), "only at its place");
            }
        }
    }

    #[test]
    fn a_builder_goes_back_to_any_mark() {
        for (first, marked, end) in [(0, 0, 600), (3, 300, 1_100), (255, 256, 257), (0, 512, 513)] {
            let (mut builder, mut whole) = (TreeBuilder::new(first), TreeBuilder::new(first));
            (first..marked).for_each(|n| builder.push(leaf(n)));
            let mark = builder.mark();
            (marked..end).for_each(|n| builder.push(leaf(n + 7)));
            builder.rewind(&mark);
            (marked..end).for_each(|n| builder.push(leaf(n)));
            (first..end).for_each(|n| whole.push(leaf(n)));
            assert_eq!(builder.finish(&[b'a'; 64]), whole.finish(&[b'a'; 64]));
        }
    }

    #[test]
    fn a_broken_file_is_told_by_line() {
        let mut builder = TreeBuilder::new(255);
        (255..258).for_each(|n| builder.push(leaf(n)));
        let text = builder.finish(&[b'a'; 64]).to_text();
        let line = text.lines().nth(1).unwrap().to_owned() + "\n";
        for (broken, at) in [
            (text.replace("tree 1", "tree 2"), 1),
            (text.replace(" 258 ", " 259 "), 1),
            (text.replacen(&line, "", 1), 2),
            (text.replacen("0 255", "2 255", 1), 2),
            (format!("{text}{line}"), 5),
            (text.trim_end().to_owned(), 4),
            (String::new(), 1),
        ] {
            let found = TreeFile::parse(&broken).unwrap_err();
            assert_eq!(found.0, at, "{broken}");
        }
    }
}
