//! A boot that decides before the ledger is its own: a mark lies beside the records until its `open` is
//! durable, so that what it decided cannot vanish in silence with its process.
//!
//! The mark is the file of its counters under another name, `waiting-<boot>`, and is locked for as long
//! as the process lives. One that nobody locks is of a boot that ended without the ledger: the next
//! start tells of it in a `fault` record, and removes it when that is durable; a crash in between makes
//! it told twice. Not here: the counting (`counters`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::clock::wall_us;
use super::counters::{self, Counters};
use super::directory::file_name;
use super::disk::Disk;
use super::entry::EntryBuilder;
use super::frame::BootId;
use super::made;

/// The code of the record.
pub(super) const BOOT_LOST: &str = "LEDGER_BOOT_LOST";

const PREFIX: &str = "waiting-";

/// The mark of this process.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    /// Holds the lock until it is dropped.
    file: File,
}

impl Mark {
    /// Makes it, durable.
    pub(super) fn put(disk: &Disk, dir: &Path, boot: BootId) -> io::Result<Self> {
        let name = format!("{PREFIX}{boot}");
        let file = counters::put(disk, dir, &name, boot)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self {
            path: dir.join(name),
            file,
        })
    }

    /// Where the workers count from the beginning on.
    pub(super) fn counters(&self) -> io::Result<Counters> {
        Counters::map(&self.file)
    }

    /// The ledger is had: from here on these are its counters.
    pub(super) fn becomes_the_ledgers(self, disk: &Disk, dir: &Path) -> io::Result<()> {
        disk.rename(&self.path, &dir.join(counters::FILE_NAME))?;
        disk.sync_folder(dir)
    }

    /// Nothing was decided.
    pub(super) fn remove(self, disk: &Disk) {
        if let Err(error) = disk.remove(&self.path) {
            let file = self.path.display();
            tracing::warn!(event = "ledger_mark_not_removed", %file, %error);
        }
    }
}

/// A boot that ended without the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostBoot {
    /// Which.
    pub boot: BootId,
    /// Values of `n` taken, by worker in two hex digits; only workers that took any. None at all may
    /// also mean that the file system cannot carry counters.
    pub made: Vec<(String, u64)>,
    path: PathBuf,
}

impl LostBoot {
    /// Its decisions, all workers together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.made.iter().map(|(_, count)| count).sum()
    }

    /// The record that tells of it.
    pub(super) fn members(&self, entry: &mut EntryBuilder<'_>) {
        entry.text("code", BOOT_LOST);
        entry.text("error", "it served and ended before the ledger was its own");
        entry.text("kind", "fault");
        entry.text("lost_boot", &self.boot.to_string());
        entry.counts("lost_made", self.made.iter().map(|(w, n)| (w.as_str(), *n)));
        entry.uint("ts_us", wall_us());
    }

    /// The record is durable.
    pub(super) fn is_told(&self, disk: &Disk) {
        tracing::error!(
            event = "ledger_boot_lost",
            boot = %self.boot,
            made = self.total(),
            "this boot served before the ledger was its own and was killed: its decisions are in no record"
        );
        if let Err(error) = disk.remove(&self.path) {
            let file = self.path.display();
            tracing::warn!(event = "ledger_mark_not_removed", %file, %error);
        }
    }
}

/// Boots whose marks lie in `dir` and whose processes have ended.
///
/// # Errors
/// What the system answers.
pub fn lost_boots(dir: &Path) -> io::Result<Vec<LostBoot>> {
    let mut lost = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = file_name(&path);
        let Some(boot) = name.strip_prefix(PREFIX).and_then(BootId::from_text) else {
            continue;
        };
        let file = File::open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => continue,
            Err(error) => return Err(error.into()),
        }
        let counts = made::read_from(&path, dir)?.map_or_else(Vec::new, |made| made.counts);
        let made = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        lost.push(LostBoot {
            boot,
            made: made
                .map(|(worker, count)| (format!("{worker:02x}"), *count))
                .collect(),
            path,
        });
    }
    lost.sort_by_key(|lost| lost.boot.as_u32());
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_a_lost_boot_once_nobody_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, boot) = (Disk::default(), BootId::from_u32(0xab));
        let mark = Mark::put(&disk, dir.path(), boot).unwrap();
        mark.counters().unwrap().slot(3).store(7);
        assert_eq!(lost_boots(dir.path()).unwrap(), [], "its process lives");
        drop(mark);
        let lost = lost_boots(dir.path()).unwrap();
        assert_eq!((lost.len(), lost[0].boot, lost[0].total()), (1, boot, 7));
        assert_eq!(lost[0].made, [("03".to_owned(), 7)]);
        lost[0].is_told(&disk);
        assert_eq!(lost_boots(dir.path()).unwrap(), []);
    }

    #[test]
    fn a_mark_ends_as_the_counters_of_the_ledger_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let mark = |boot| Mark::put(&disk, dir.path(), BootId::from_u32(boot)).unwrap();
        let had = mark(1);
        let slot = had.counters().unwrap().slot(0);
        slot.store(2);
        had.becomes_the_ledgers(&disk, dir.path()).unwrap();
        slot.store(5);
        let made = made::read(dir.path()).unwrap().unwrap();
        assert_eq!((made.boot.as_u32(), made.counts[0]), (1, 5));
        mark(2).remove(&disk);
        assert_eq!(lost_boots(dir.path()).unwrap(), []);
        // What only looks like one is nobody's.
        fs::write(dir.path().join("waiting-0000000a.tmp"), "").unwrap();
        fs::write(dir.path().join("waiting-zz"), "").unwrap();
        assert_eq!(lost_boots(dir.path()).unwrap(), []);
        // One that cannot be read is told all the same.
        fs::write(dir.path().join("waiting-0000000a"), "no counters").unwrap();
        let lost = lost_boots(dir.path()).unwrap();
        assert_eq!((lost.len(), lost[0].total()), (1, 0));
    }
}
