//! Keeps signed notes: each at the end of `heads.log`, the newest also as `checkpoint`.
//!
//! Invariants: `heads.log` holds whole notes only, each followed by an empty line, but for one that
//! a crash cut off: that rest is cut away before the next note. `checkpoint` never names a size that
//! `heads.log` lacks. Lives on the sync thread: it waits for the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::error::LedgerError;

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
        let held = match fs::read(&path) {
            Ok(held) => held,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(LedgerError::io("reading", &path, error)),
        };
        let mut store = Self {
            dir: dir.to_path_buf(),
            len: whole_notes(&held) as u64,
            path,
            file: None,
            appended: None,
        };
        let torn = held.len() as u64 > store.len;
        store
            .repair(disk, torn)
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

    use super::*;

    const NOTE: &str = "o/1\n5\nroot\n\n\u{2014} o/1 sig\n";

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
