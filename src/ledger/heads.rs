//! The newest signed head that lies beside the records: `heads.log`, `checkpoint`, `log.vkey`.
//!
//! Invariant: a note counts only if it parses, has this log's origin and is signed by a key of
//! `log.vkey` or the one at hand. A torn end of `heads.log` or a torn `checkpoint` takes nothing
//! from the other; the larger size counts. Notes of a history that was given up with a recorded and
//! signed `LEDGER_ROLLBACK_ACCEPTED` do not count.
//! Not here: whether the records keep what a note promises (`recovery`).

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::acceptance::Claim;
use super::error::LedgerError;
use super::key::LedgerKey;
use super::merkle::Hash;
use super::note::{Checkpoint, NoteSignature, SignedNote, VerifierKey};

/// The end of `heads.log` that is read at first: some 250 notes. Doubled until a note counts.
const WINDOW_BYTES: u64 = 64 * 1024;

/// An operator's recorded acceptance that signed records are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Records that were still there.
    pub(super) kept: u64,
    /// The newest head that was given up.
    pub(super) size: u64,
    pub(super) root: Hash,
}

impl From<&Claim> for Accepted {
    fn from(claim: &Claim) -> Self {
        Self {
            kept: claim.kept,
            size: claim.size,
            root: claim.root,
        }
    }
}

/// Where the notes of a log lie, and who may sign them.
#[derive(Debug)]
pub(super) struct Heads<'a> {
    dir: &'a Path,
    origin: &'a str,
    keys: Vec<VerifierKey>,
    at_hand: Option<VerifierKey>,
}

impl<'a> Heads<'a> {
    /// Reads the keys of `log.vkey`; `key` counts beside them. Lines that are no keys are nobody's.
    pub(super) fn of(
        dir: &'a Path,
        origin: &'a str,
        key: Option<&LedgerKey>,
    ) -> Result<Self, LedgerError> {
        let file = dir.join("log.vkey");
        let text = read_whole(&file).map_err(|e| LedgerError::io("reading", &file, e))?;
        let text = String::from_utf8_lossy(&text);
        let mut keys: Vec<VerifierKey> = text
            .lines()
            .filter_map(|line| VerifierKey::parse(line).ok())
            .filter(|key| key.name() == origin)
            .collect();
        let at_hand = key.and_then(|key| key.verifier(origin).ok());
        keys.extend(at_hand.clone());
        Ok(Self {
            dir,
            origin,
            keys,
            at_hand,
        })
    }

    /// The same notes, of which those of the key at hand count alone.
    pub(super) fn own(&self) -> Option<Self> {
        let keys = vec![self.at_hand.clone()?];
        Some(Self {
            keys,
            at_hand: self.at_hand.clone(),
            ..*self
        })
    }

    /// Whether a key that counts signed an acceptance.
    pub(super) fn signed(&self, claim: &Claim) -> bool {
        let note = claim.signed(self.origin);
        self.keys.iter().any(|key| note.is_signed_by(key))
    }

    /// Whether a key of this log is known.
    pub(super) const fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The note that a `checkpoint` record stands for, if it is one: size, root and signature.
    pub(super) fn of_record(
        &self,
        (size, root, base64): &(u64, String, String),
    ) -> Option<Checkpoint> {
        let mut checkpoint = Checkpoint {
            origin: self.origin.to_owned(),
            size: *size,
            root: Hash::default(),
        };
        hex::decode_to_slice(root, &mut checkpoint.root).ok()?;
        let signature = NoteSignature {
            name: self.origin.to_owned(),
            base64: base64.clone(),
        };
        let note = SignedNote {
            text: checkpoint.text(),
            signatures: vec![signature],
        };
        let is_signed = self.keys.iter().any(|key| note.is_signed_by(key));
        is_signed.then_some(checkpoint)
    }

    /// Whether the key at hand may accept a rollback: one of `log.vkey`, or no key is there.
    pub(super) fn may_accept(&self) -> bool {
        let listed = self.keys.len() - usize::from(self.at_hand.is_some());
        let listed = self.keys.get(..listed).unwrap_or_default();
        listed.is_empty() || self.at_hand.iter().any(|key| listed.contains(key))
    }

    /// The valid note of the largest size that is not of a history in `accepted`.
    pub(super) fn newest(&self, accepted: &[Accepted]) -> Result<Option<Checkpoint>, LedgerError> {
        let file = self.dir.join("checkpoint");
        let single = read_whole(&file).map_err(|e| LedgerError::io("reading", &file, e))?;
        let single = self.notes(&String::from_utf8_lossy(&single)).pop();
        let log = self.dir.join("heads.log");
        let io = |e| LedgerError::io("reading", &log, e);
        let mut window = WINDOW_BYTES;
        loop {
            let (text, whole) = read_end(&log, window).map_err(io)?;
            let mut notes = self.notes(&text);
            drop_given_up(&mut notes, single.as_ref(), accepted, whole);
            notes.sort_by_key(|note| std::cmp::Reverse(note.checkpoint.size));
            let newest = notes.into_iter().find(|note| self.is_signed(note));
            if newest.is_some() || whole {
                return Ok(newest.map(|note| note.checkpoint));
            }
            window *= 8;
        }
    }

    fn is_signed(&self, note: &Found) -> bool {
        self.keys.iter().any(|key| note.signed.is_signed_by(key))
    }

    /// Everything in a text that has the form of a note of this log, in order. What is torn or
    /// foreign is passed over.
    fn notes(&self, text: &str) -> Vec<Found> {
        let first_line = format!("{}\n", self.origin);
        let starts = text.match_indices(&first_line).filter_map(|(at, _)| {
            let before = text.get(..at)?;
            (before.is_empty() || before.ends_with('\n')).then_some(at)
        });
        starts
            .filter_map(|at| Found::parse(text.get(at..)?))
            .collect()
    }
}

/// A note that parses; its signature is looked at only where its size makes it count.
#[derive(Debug, Clone)]
struct Found {
    checkpoint: Checkpoint,
    signed: SignedNote,
}

impl Found {
    /// Reads the note at the start of a text: up to the second empty line, or the text's end.
    fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.split_once("\n\n")?;
        let signatures = rest.split("\n\n").next()?.trim_end_matches('\n');
        let signed = SignedNote::parse(format!("{head}\n\n{signatures}\n").as_bytes()).ok()?;
        let checkpoint = Checkpoint::from_text(&signed.text).ok()?;
        Some(Self { checkpoint, signed })
    }
}

/// Takes the notes of given-up histories out and puts `single`, unless it is one, at the end.
fn drop_given_up(
    notes: &mut Vec<Found>,
    single: Option<&Found>,
    accepted: &[Accepted],
    whole: bool,
) {
    let mut single = single.cloned();
    for gone in accepted {
        let is_last =
            |note: &Found| note.checkpoint.size == gone.size && note.checkpoint.root == gone.root;
        let of_old =
            |note: &Found| note.checkpoint.size > gone.kept && note.checkpoint.size <= gone.size;
        // Notes stand in the order in which they were signed: those up to the accepted one are of
        // the old history. Where it is not there any more, sizes have to tell.
        let until = match notes.iter().rposition(is_last) {
            Some(at) => at + 1,
            None if whole => notes.len(),
            None => 0,
        };
        let is_known = |note: &Found| {
            let mut old = notes.iter().take(until);
            old.any(|known| known.checkpoint == note.checkpoint)
        };
        single = single.filter(|note| !(of_old(note) && (is_last(note) || is_known(note))));
        let mut at = 0;
        notes.retain(|note| {
            at += 1;
            at > until || !of_old(note)
        });
    }
    notes.extend(single);
}

/// The bytes of a file; none where there is no file.
fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// The last `bytes` of a file as text, and whether that is all of it.
fn read_end(path: &Path, bytes: u64) -> io::Result<(String, bool)> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((String::new(), true)),
        opened => opened?,
    };
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(bytes)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok((String::from_utf8_lossy(&end).into_owned(), len <= bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "gate/0123456789abcdef";

    fn key() -> LedgerKey {
        LedgerKey::from_seed([1; 32])
    }

    fn note_of(key: &LedgerKey, size: u64, root: u8) -> String {
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size,
            root: [root; 32],
        };
        key.sign(&checkpoint).unwrap().to_text()
    }

    fn note(size: u64) -> String {
        note_of(&key(), size, size as u8)
    }

    /// The sizes of notes on the lines of `log` and `single`, and what is found.
    fn check(log: &str, single: &str, accepted: &[Accepted], expected: Option<u64>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("heads.log"), log).unwrap();
        fs::write(dir.path().join("checkpoint"), single).unwrap();
        let vkey = key().verifier(ORIGIN).unwrap().to_text();
        fs::write(dir.path().join("log.vkey"), format!("nonsense\n{vkey}\n")).unwrap();
        let heads = Heads::of(dir.path(), ORIGIN, None).unwrap();
        let found = heads.newest(accepted).unwrap().map(|note| note.size);
        assert_eq!(found, expected, "log {log:?}, checkpoint {single:?}");
    }

    fn log(sizes: &[u64]) -> String {
        sizes.iter().map(|size| note(*size) + "\n").collect()
    }

    #[test]
    fn the_larger_valid_size_counts() {
        check("", "", &[], None);
        check(&log(&[1, 2]), &note(2), &[], Some(2));
        check(&log(&[1, 3]), &note(2), &[], Some(3));
        check(&log(&[1]), &note(2), &[], Some(2));
        check(&log(&[4]), "garbage\n\n", &[], Some(4));
        check("garbage", &note(4), &[], Some(4));
        // Many notes: more than the window that is read first.
        let sizes: Vec<u64> = (1..600).collect();
        check(&log(&sizes), "", &[], Some(599));
    }

    #[test]
    fn a_torn_log_keeps_the_notes_before() {
        let whole = log(&[1, 2]);
        let first = log(&[1]).len();
        for cut in (first..whole.len() - 2).step_by(3) {
            if whole.is_char_boundary(cut) {
                check(&whole[..cut], "", &[], Some(1));
            }
        }
        let garbage = whole.clone() + &"\u{0}".repeat(300);
        check(&garbage, "", &[], Some(2));
    }

    #[test]
    fn foreign_and_unsigned_notes_do_not_count() {
        let stranger = LedgerKey::from_seed([2; 32]);
        check(&note_of(&stranger, 9, 9), "", &[], None);
        check(&(log(&[3]) + &note_of(&stranger, 9, 9)), "", &[], Some(3));
        check(&note(9).replace("\n9\n", "\n8\n"), "", &[], None);
        check(&note(9).replace("gate/0", "gate/1"), "", &[], None);
    }

    #[test]
    fn an_accepted_rollback_takes_the_old_notes_out() {
        let gone = Accepted {
            kept: 5,
            size: 9,
            root: [9; 32],
        };
        let gone = std::slice::from_ref(&gone);
        check(&log(&[3, 7, 9]), &note(9), gone, Some(3));
        check(&log(&[7, 9]), &note(9), gone, None);
        // The new history grows over the old one.
        let new = log(&[3, 7, 9]) + &note_of(&key(), 8, 100) + "\n";
        check(&new, &note_of(&key(), 8, 100), gone, Some(8));
        check(&new, &note(9), gone, Some(8));
        // The accepted note stood in `checkpoint` alone.
        check(&log(&[3, 7]), &note(9), gone, Some(3));
        check(&log(&[3, 7, 9, 12]), &note(12), gone, Some(12));
        // Beyond the window that is read first.
        let sizes: Vec<u64> = (6..=9).cycle().take(700).collect();
        check(&(log(&[4]) + &log(&sizes)), "", gone, Some(4));
    }
}
