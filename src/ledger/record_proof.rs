//! One record with everything that proves it: its line, its path to a root, the note that signs it.
//!
//! Invariants: what is handed out agrees with itself and with the note, or it is an error; a tree is
//! never proved to be another one than was signed.
//! Not here: whether the key is the right one. Whoever checks must have it from elsewhere.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::Path;

use super::frame::entry_hash;
use super::merkle::Hash;
use super::note::{Checkpoint, SignedNote, VerifierKey};
use super::stored_tree::{ProofError, StoredTree, carried_hash};

/// A head that the ledger signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The whole note.
    pub note: String,
    /// The key in `log.vkey` that signed it; `None` where the directory has no such file.
    pub vkey: Option<String>,
}

/// A record's place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProof {
    /// The record's number and the index of its leaf.
    pub seq: u64,
    /// Its line, without the newline.
    pub line: Vec<u8>,
    /// Its hash.
    pub leaf: Hash,
    /// Records in the tree.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
    /// The audit path, the leaf's sibling first.
    pub path: Vec<Hash>,
    /// The signed note over that size, where there is one.
    pub head: Option<SignedHead>,
    /// Proof that the tree begins with an older one, where that was asked for.
    pub growth: Option<GrowthProof>,
}

impl RecordProof {
    /// True where the record's content was taken out and only its hash is left.
    #[must_use]
    pub fn is_stub(&self) -> bool {
        is_stub(&self.line)
    }
}

/// Proof that a tree begins with an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrowthProof {
    /// Records in the older tree.
    pub from: u64,
    /// Its root.
    pub root: Hash,
    /// The proof, in the order of RFC 6962.
    pub path: Vec<Hash>,
    /// The signed note over the older size, where there is one.
    pub head: Option<SignedHead>,
}

/// Proves record `seq` in the tree of `size` records; without a size in that of the newest signed
/// note, or of all records where none covers it. `from`: also that it grew out of that size.
///
/// # Errors
/// What [`StoredTree`] answers; notes that cannot be read or sign something else.
pub fn prove(
    dir: &Path,
    seq: u64,
    size: Option<u64>,
    from: Option<u64>,
) -> Result<RecordProof, ProofError> {
    let (newest, sized) = (newest_head(dir)?, size.is_some());
    let head = match size {
        None => newest.filter(|head| head.checkpoint.size > seq),
        Some(size) => match newest.filter(|head| head.checkpoint.size == size) {
            Some(head) => Some(head),
            None => head_of_size(dir, size)?,
        },
    };
    let size = size.or(head.as_ref().map(|head| head.checkpoint.size));
    let mut tree = StoredTree::open(dir, size.unwrap_or(u64::MAX))?;
    let size = size.unwrap_or(tree.size());
    if head.is_none() && size > tree.size() {
        // Nobody signed so many: that is a question too far, and no record is missing.
        return Err(ProofError::Absent {
            what: format!(
                "{} holds {} records, and a tree of {size} was asked for",
                dir.display(),
                tree.size()
            ),
            remedy: "give a --size up to that, or leave it away for the newest signed head",
        });
    }
    let beyond = seq >= tree.size() && !sized;
    let pruned = seq < size.min(tree.size()) && !tree.has_line(seq);
    if beyond || pruned {
        // Before the path, which would name a size, or the neighbour whose hash it needs.
        return Err(tree.gone(seq));
    }
    let path = tree.inclusion(seq, size)?;
    let line = tree.line(seq)?;
    let leaf = leaf_of(&line).ok_or_else(|| {
        ProofError::damaged(
            dir,
            format!("the line of record {seq} does not have the hash that it carries"),
        )
    })?;
    let growth = from.map(|from| growth(dir, &mut tree, from, size));
    Ok(RecordProof {
        seq,
        line,
        leaf,
        size,
        root: signed_root(&mut tree, size, head.as_ref())?,
        path,
        head,
        growth: growth.transpose()?,
    })
}

fn growth(
    dir: &Path,
    tree: &mut StoredTree,
    from: u64,
    size: u64,
) -> Result<GrowthProof, ProofError> {
    let path = tree.consistency(from, size)?;
    let head = head_of_size(dir, from)?;
    Ok(GrowthProof {
        from,
        root: signed_root(tree, from, head.as_ref())?,
        path,
        head,
    })
}

/// The root, which must be the one that was signed.
pub(super) fn signed_root(
    tree: &mut StoredTree,
    size: u64,
    head: Option<&SignedHead>,
) -> Result<Hash, ProofError> {
    let root = tree.root(size)?;
    match head {
        Some(head) if head.checkpoint.root != root => Err(ProofError::OtherRoot {
            size,
            computed: hex::encode(root),
            signed: hex::encode(head.checkpoint.root),
        }),
        _ => Ok(root),
    }
}

/// The entry of a line and its hash, which must be the one that the line carries.
pub(super) fn entry_of(line: &[u8]) -> Option<(Vec<u8>, Hash)> {
    let carried = carried_hash(line)?;
    let body = line.len().checked_sub(",\"hash\":\"\"}".len() + 64)?;
    let mut entry = line.get(..body)?.to_vec();
    entry.push(b'}');
    (entry_hash(&entry) == carried).then_some((entry, carried))
}

/// The leaf of a line; a stub keeps that of what stood there.
fn leaf_of(line: &[u8]) -> Option<Hash> {
    if is_stub(line) {
        return carried_hash(line);
    }
    entry_of(line).map(|(_, hash)| hash)
}

/// A stub has no member before `kind`.
pub(super) fn is_stub(line: &[u8]) -> bool {
    line.starts_with(b"{\"kind\":\"stub\",")
}

/// The head in the file `checkpoint`, if there is that file.
pub(super) fn newest_head(dir: &Path) -> Result<Option<SignedHead>, ProofError> {
    let path = dir.join("checkpoint");
    match fs::read(&path) {
        Ok(note) => read_head(dir, &path, &note).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ProofError::io(&path, error)),
    }
}

/// The head of that size in `heads.log`, if there is one.
fn head_of_size(dir: &Path, size: u64) -> Result<Option<SignedHead>, ProofError> {
    let path = dir.join("heads.log");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ProofError::io(&path, error)),
    };
    let note = note_of_size(BufReader::new(file), size).map_err(|e| ProofError::io(&path, e))?;
    note.map(|note| read_head(dir, &path, note.as_bytes()))
        .transpose()
}

/// The newest note over that size among notes that are each followed by an empty line; an older one
/// may be of a history that was given up. A last one that is not whole was never durable.
fn note_of_size(notes: impl BufRead, size: u64) -> io::Result<Option<String>> {
    let (mut note, mut signatures, mut found) = (String::new(), false, None);
    for line in notes.lines() {
        let line = line?;
        if line.is_empty() && signatures {
            if note.lines().nth(1).and_then(|line| line.parse().ok()) == Some(size) {
                found = Some(note.clone());
            }
            note.clear();
            signatures = false;
            continue;
        }
        signatures |= line.is_empty();
        note += &line;
        note.push('\n');
    }
    Ok(found)
}

/// Reads a note, which must be of this ledger and signed by one of its keys.
fn read_head(dir: &Path, path: &Path, bytes: &[u8]) -> Result<SignedHead, ProofError> {
    let damaged = |rule| ProofError::damaged(path, rule);
    let note = SignedNote::parse(bytes).map_err(damaged)?;
    let checkpoint = Checkpoint::from_text(&note.text).map_err(damaged)?;
    if let Some(origin) = optional(&dir.join("origin"))?
        && origin.trim_end() != checkpoint.origin
    {
        return Err(damaged("a note of this ledger begins with its origin"));
    }
    let mut vkey = None;
    if let Some(keys) = optional(&dir.join("log.vkey"))? {
        let keys = keys
            .lines()
            .filter_map(|line| VerifierKey::parse(line).ok());
        let signer = keys.into_iter().find(|key| note.is_signed_by(key));
        let signer = signer.ok_or_else(|| damaged("a note is signed by a key in log.vkey"))?;
        vkey = Some(signer.to_text());
    }
    Ok(SignedHead {
        checkpoint,
        note: note.to_text(),
        vkey,
    })
}

fn optional(path: &Path) -> Result<Option<String>, ProofError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ProofError::io(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_found_among_others() {
        let note = |size: u64| format!("a/b\n{size}\nroot\n\n\u{2014} a/b sig\n");
        let notes: String = [1, 2, 12].map(|size| note(size) + "\n").concat();
        for (size, expected) in [(1, true), (2, true), (12, true), (3, false)] {
            let found = note_of_size(notes.as_bytes(), size).unwrap();
            assert_eq!(found, expected.then(|| note(size)), "{size}");
        }
        let torn = notes.get(..notes.len() - 2).unwrap();
        assert_eq!(note_of_size(torn.as_bytes(), 12).unwrap(), None);
    }
}
