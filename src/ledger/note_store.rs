//! Keeps signed notes: each at the end of `heads.log`, the newest also as `checkpoint`.
//!
//! Invariants: `heads.log` holds whole notes only, each followed by an empty line, but for the last
//! one, which a crash may have cut off or left with other bytes in it: it is cut away before the next. `checkpoint` never names a size that
//! `heads.log` lacks. Lives on the sync thread: it waits for the disk.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::disk::{Disk, DiskFile};
use super::error::LedgerError;
use super::note::{Checkpoint, SignedNote, VerifierKey};

/// Of `heads.log` so much is read first: some 250 notes.
const WINDOW_BYTES: u64 = 64 * 1024;

/// Where signed notes of a ledger are kept.
#[derive(Debug)]
pub(super) struct NoteStore {
    dir: PathBuf,
    path: PathBuf,
    /// `None` after a failure, until the file has been repaired.
    file: Option<DiskFile>,
    /// Length of `heads.log` up to its last whole note.
    len: u64,
    /// The note that is in `heads.log` already, while `checkpoint` failed.
    appended: Option<String>,
}

impl NoteStore {
    /// The store of a ledger directory.
    ///
    /// # Errors
    /// What the system answers.
    pub(super) fn open(disk: &Disk, dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join("heads.log");
        let (len, rest) =
            end_of(&path, &keys(dir)?).map_err(|error| LedgerError::io("reading", &path, error))?;
        if !rest.is_empty() {
            // Of a crash, most likely; but who knows: nothing is cut away without a copy.
            let digits = hex::encode(Sha256::digest(&rest));
            let digits = digits.get(..8).unwrap_or_default();
            disk.put(dir, &format!("quarantine/heads-{len}-{digits}.bin"), &rest)?;
        }
        let mut store = Self {
            dir: dir.to_path_buf(),
            len,
            path,
            file: None,
            appended: None,
        };
        store
            .repair(disk, !rest.is_empty())
            .map_err(|error| LedgerError::io("opening", &store.path, error))?;
        Ok(store)
    }

    fn repair(&mut self, disk: &Disk, torn: bool) -> io::Result<DiskFile> {
        if torn {
            disk.truncate(&self.path, self.len)?;
        }
        let file = disk.append_to(&self.path)?;
        self.file = Some(file.clone());
        Ok(file)
    }

    /// Makes `note` durable in `heads.log` and then as `checkpoint`. To be called again with the
    /// same note after an error.
    ///
    /// # Errors
    /// What the system answers.
    pub(super) fn keep(&mut self, disk: &Disk, note: &str) -> Result<(), LedgerError> {
        if self.appended.as_deref() != Some(note) {
            if let Err(error) = self.append(disk, note) {
                self.file = None;
                return Err(LedgerError::io("writing", &self.path, error));
            }
            self.appended = Some(note.to_owned());
        }
        disk.put(&self.dir, "checkpoint", note.as_bytes())
    }

    fn append(&mut self, disk: &Disk, note: &str) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.repair(disk, true)?,
        };
        let entry = format!("{note}\n");
        file.write_all(entry.as_bytes())?;
        file.sync()?;
        if self.len == 0 {
            // The file is new: its name as well has to survive.
            disk.sync_folder(&self.dir)?;
        }
        self.len += entry.len() as u64;
        Ok(())
    }
}

/// The keys that have signed here; lines that are none are nobody's.
fn keys(dir: &Path) -> Result<Vec<VerifierKey>, LedgerError> {
    let path = dir.join("log.vkey");
    match fs::read(&path) {
        Ok(text) => Ok(String::from_utf8_lossy(&text)
            .lines()
            .filter_map(|line| VerifierKey::parse(line).ok())
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(LedgerError::io("reading", &path, error)),
    }
}

/// Where the good notes of the file end, and what stands behind them. Reads the end of the file
/// only: it grows with the age of the log.
fn end_of(path: &Path, keys: &[VerifierKey]) -> io::Result<(u64, Vec<u8>)> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, Vec::new())),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let mut window = WINDOW_BYTES;
    loop {
        let start = size.saturating_sub(window);
        file.seek(SeekFrom::Start(start))?;
        let mut held = Vec::new();
        (&mut file).take(window).read_to_end(&mut held)?;
        let good = good_notes(&held, keys);
        // The first note of a window may begin before it: it is none to end at.
        if good > 0 || start == 0 {
            let rest = held.split_off(good);
            return Ok((start + good as u64, rest));
        }
        window = window.saturating_mul(8);
    }
}

/// How much of `heads.log` stays: its whole notes, without the last one where a crash left other
/// bytes in it. Those before were synced before it was written: they are never touched.
fn good_notes(held: &[u8], keys: &[VerifierKey]) -> usize {
    let whole = whole_notes(held);
    let Some(but_the_last) = whole.checked_sub(1).and_then(|end| held.get(..end)) else {
        return whole;
    };
    let begin = whole_notes(but_the_last);
    let last = but_the_last.get(begin..).unwrap_or_default();
    let is_note = SignedNote::parse(last).is_ok_and(|note| {
        let is_signed = keys.is_empty() || keys.iter().any(|key| note.is_signed_by(key));
        Checkpoint::from_text(&note.text).is_ok() && is_signed
    });
    if is_note { whole } else { begin }
}

/// How much of `heads.log` are whole notes: up to the last signature line and its empty line.
fn whole_notes(held: &[u8]) -> usize {
    const END: &[u8] = b"\n\n";
    let (mut whole, mut block) = (0, 0);
    while let Some(rest) = held.get(block..) {
        let Some(at) = rest.windows(END.len()).position(|pair| pair == END) else {
            break;
        };
        // A text and its signatures are also apart by an empty line: only the second ends a note.
        if rest.starts_with("\u{2014} ".as_bytes()) {
            whole = block + at + END.len();
        }
        block += at + END.len();
    }
    whole
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::super::key::LedgerKey;
    use super::*;

    const NOTE: &str = "o/1\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} o/1 \
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

    #[test]
    fn the_rest_of_a_torn_note_is_cut_away() {
        let whole = format!("{NOTE}\n{NOTE}\n");
        let once = NOTE.len() + 1;
        for len in 0..=whole.len() {
            let expected = if len < once { 0 } else { len / once * once };
            assert_eq!(whole_notes(&whole.as_bytes()[..len]), expected, "{len}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heads.log");
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let disk = Disk::default();
        let mut store = NoteStore::open(&disk, dir.path()).unwrap();
        store.keep(&disk, NOTE).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        let kept = fs::read_dir(dir.path().join("quarantine")).unwrap().count();
        assert_eq!(kept, 1, "what was cut away is kept");
    }

    #[test]
    fn only_the_end_of_many_notes_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heads.log");
        let notes = format!("{NOTE}\n").repeat(1_000);
        for rest in ["", "o/1\n5\nAAA", &"x".repeat(100_000)] {
            fs::write(&path, format!("{notes}{rest}")).unwrap();
            let (len, found) = end_of(&path, &[]).unwrap();
            assert_eq!((len, found), (notes.len() as u64, rest.as_bytes().to_vec()));
        }
    }

    #[test]
    fn a_last_note_with_other_bytes_in_it_is_cut_away() {
        let key = LedgerKey::from_seed([1; 32]);
        let note = |size| {
            let checkpoint = Checkpoint {
                origin: "o/1".to_owned(),
                size,
                root: [1; 32],
            };
            key.sign(&checkpoint).unwrap().to_text()
        };
        let keys = [key.verifier("o/1").unwrap()];
        let (first, both) = (note(5).len() + 1, format!("{}\n{}\n", note(5), note(6)));
        assert_eq!(good_notes(both.as_bytes(), &keys), both.len());
        for at in first..both.len() {
            let mut held = both.clone().into_bytes();
            held[at] = 0;
            assert_eq!(good_notes(&held, &keys), first, "{at}");
        }
        // In form, but not what was signed.
        let forged = both.replace("\n6\n", "\n7\n");
        assert_eq!(good_notes(forged.as_bytes(), &keys), first);
        assert_eq!(good_notes(forged.as_bytes(), &[]), both.len());
    }

    #[test]
    fn a_note_that_failed_is_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let mut store = NoteStore::open(&disk, dir.path()).unwrap();
        store.keep(&disk, NOTE).unwrap();
        // Half of the note; then its sync; then `checkpoint`.
        let next = NOTE.replace('5', "6");
        for space in [10, NOTE.len() as u64 + 5] {
            disk.plan.space.store(space, SeqCst);
            assert!(store.keep(&disk, &next).is_err());
        }
        disk.plan.space.store(u64::MAX, SeqCst);
        disk.plan.failing_syncs.store(1, SeqCst);
        assert!(store.keep(&disk, &next).is_err());
        disk.plan.failing_syncs.store(0, SeqCst);
        store.keep(&disk, &next).unwrap();
        let held = fs::read_to_string(dir.path().join("heads.log")).unwrap();
        assert!(
            held.starts_with(NOTE) && held.matches("\n6\n").count() == 1,
            "{held}"
        );
        let newest = fs::read_to_string(dir.path().join("checkpoint")).unwrap();
        assert_eq!(newest, next);
    }
}
