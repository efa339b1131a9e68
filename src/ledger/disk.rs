//! Every operation by which the ledger changes what is on the disk goes through here, and nothing
//! else in this folder names `std::fs` to write.
//!
//! So a test can stand between: `Plan` makes operations fail, `Journal` writes down what was done,
//! from which the states that a crash may leave are made (unsynced writes lost, torn, reordered).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

use super::directory::temporary;
use super::error::{LedgerError, is_full};

/// Files are for the owner and its group; nobody else reads who called what.
pub(super) const FILE_MODE: u32 = 0o640;

/// The system's file operations, as far as tests let them through.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) plan: Arc<tests::Plan>,
    #[cfg(test)]
    pub(super) journal: Arc<tests::Journal>,
}

/// A file open for appending. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct DiskFile {
    file: Arc<File>,
    #[cfg(test)]
    disk: Disk,
    /// Names the file in the journal, whatever it is called by then.
    #[cfg(test)]
    id: u64,
}

impl Disk {
    /// A new, empty file; a leftover of that name is emptied.
    pub(super) fn create(&self, path: &Path) -> io::Result<DiskFile> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(DiskFile {
            file: Arc::new(file),
            #[cfg(test)]
            disk: self.clone(),
            #[cfg(test)]
            id: self.journal.opened(path, true),
        })
    }

    /// A file to append to, made if it is not there.
    pub(super) fn append_to(&self, path: &Path) -> io::Result<DiskFile> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(DiskFile {
            file: Arc::new(file),
            #[cfg(test)]
            disk: self.clone(),
            #[cfg(test)]
            id: self.journal.opened(path, false),
        })
    }

    /// Cuts a file off at `len`; durable on return.
    pub(super) fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        #[cfg(test)]
        self.journal
            .note(tests::Op::Truncate(path.to_path_buf(), len));
        file.sync_all()?;
        #[cfg(test)]
        self.journal.note(tests::Op::SyncPath(path.to_path_buf()));
        Ok(())
    }

    /// Gives a file another name; durable once its folder is synced.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        #[cfg(test)]
        self.journal
            .note(tests::Op::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    /// Removes a file; durable once its folder is synced.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)?;
        #[cfg(test)]
        self.journal.note(tests::Op::Remove(path.to_path_buf()));
        Ok(())
    }

    /// Makes a folder and those above it.
    #[cfg_attr(not(test), allow(clippy::unused_self))]
    pub(super) fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)?;
        #[cfg(test)]
        self.journal.note(tests::Op::Folder(path.to_path_buf()));
        Ok(())
    }

    /// Makes the names in a folder durable.
    #[cfg_attr(not(test), allow(clippy::unused_self))]
    pub(super) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()?;
        #[cfg(test)]
        self.journal
            .note(tests::Op::SyncFolder(folder.to_path_buf()));
        Ok(())
    }

    /// Makes everything durable that was done to the file system of a folder.
    #[cfg_attr(not(test), allow(clippy::unused_self))]
    pub(super) fn sync_file_system(&self, folder: &Path) -> io::Result<()> {
        rustix::fs::syncfs(File::open(folder)?)?;
        #[cfg(test)]
        self.journal
            .note(tests::Op::SyncFolder(folder.to_path_buf()));
        Ok(())
    }

    /// Puts a whole file under its name so that a crash leaves the old state or the new one:
    /// write, sync, rename, sync the folder.
    pub(super) fn put(&self, dir: &Path, relative: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        let target = dir.join(relative);
        self.put_path(dir, &target, bytes)
            .map_err(|e| LedgerError::io("writing", &target, e))
    }

    fn put_path(&self, dir: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder: PathBuf = target.parent().unwrap_or(dir).to_path_buf();
        self.make_folder(&folder)?;
        let under_way = temporary(target);
        let file = self.create(&under_way)?;
        file.write_all(bytes)?;
        file.sync()?;
        self.rename(&under_way, target)?;
        self.sync_folder(&folder)?;
        if folder != dir {
            self.sync_folder(dir)?;
        }
        Ok(())
    }

    /// Asked before a thread is started.
    #[cfg_attr(not(test), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    pub(super) fn before_thread(&self) -> io::Result<()> {
        #[cfg(test)]
        self.plan.before_thread()?;
        Ok(())
    }
}

impl DiskFile {
    /// Appends what the system takes in one go; at least one byte of a non-empty slice.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        let bytes = self.disk.plan.before_write(bytes)?;
        loop {
            match (&*self.file).write(bytes) {
                Ok(0) if !bytes.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                #[cfg(test)]
                Ok(taken) => {
                    let written = bytes.get(..taken).unwrap_or_default().to_vec();
                    self.disk.journal.note(tests::Op::Write(self.id, written));
                    return Ok(taken);
                }
                done => return done,
            }
        }
    }

    /// Appends all of `bytes`.
    pub(super) fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write(bytes)?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits until everything written so far is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        self.disk.plan.before_sync()?;
        #[cfg(test)]
        let begun = self.disk.journal.len();
        self.file.sync_data()?;
        #[cfg(test)]
        self.disk.journal.note(tests::Op::Sync(self.id, begun));
        Ok(())
    }

    /// Reserves `bytes` of space behind `len` without changing the file's length. A file system
    /// that cannot reserve is met with "full" at a write instead.
    ///
    /// # Errors
    /// Only that the disk is full.
    pub(super) fn reserve(&self, len: u64, bytes: u64) -> io::Result<()> {
        #[cfg(test)]
        self.disk.plan.before_reserve()?;
        match fallocate(&*self.file, FallocateFlags::KEEP_SIZE, len, bytes) {
            Err(errno) if is_full(&errno.into()) => Err(errno.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst};

    use super::*;

    /// Faults to come, set by a test while a writer runs.
    #[derive(Debug)]
    pub(crate) struct Plan {
        /// Bytes that still fit on the "disk".
        pub(crate) space: AtomicU64,
        /// Syncs that fail from now on.
        pub(crate) failing_syncs: AtomicI32,
        /// Syncs in which the thread panics from now on.
        pub(crate) panicking_syncs: AtomicI32,
        /// Syncs that succeed before those fail.
        pub(crate) healthy_syncs: AtomicI32,
        /// Writes that fail with an I/O error from now on.
        pub(crate) failing_writes: AtomicI32,
        /// Writes that succeed before those fail.
        pub(crate) healthy_writes: AtomicI32,
        /// Reservations that find the disk full from now on.
        pub(crate) failing_reserves: AtomicI32,
        /// Threads that cannot be started from now on.
        pub(crate) failing_threads: AtomicI32,
    }

    impl Default for Plan {
        fn default() -> Self {
            Self {
                space: AtomicU64::new(u64::MAX),
                failing_syncs: AtomicI32::new(0),
                panicking_syncs: AtomicI32::new(0),
                healthy_syncs: AtomicI32::new(0),
                failing_writes: AtomicI32::new(0),
                healthy_writes: AtomicI32::new(0),
                failing_reserves: AtomicI32::new(0),
                failing_threads: AtomicI32::new(0),
            }
        }
    }

    fn spend(failures: &AtomicI32) -> io::Result<()> {
        let left = failures.fetch_update(SeqCst, SeqCst, |left| (left > 0).then(|| left - 1));
        match left {
            Ok(_) => Err(io::Error::from_raw_os_error(5)),
            Err(_) => Ok(()),
        }
    }

    impl Plan {
        pub(super) fn before_write<'a>(&self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
            if spend(&self.healthy_writes).is_ok() {
                spend(&self.failing_writes)?;
            }
            let space = self.space.load(SeqCst);
            let fits = space.min(bytes.len() as u64);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if space != u64::MAX {
                self.space.store(space - fits, SeqCst);
            }
            Ok(&bytes[..fits as usize])
        }

        pub(super) fn before_thread(&self) -> io::Result<()> {
            spend(&self.failing_threads)
        }

        pub(super) fn before_sync(&self) -> io::Result<()> {
            spend(&self.panicking_syncs).expect("a sync that panics");
            if spend(&self.healthy_syncs).is_err() {
                return Ok(());
            }
            spend(&self.failing_syncs)
        }

        pub(super) fn before_reserve(&self) -> io::Result<()> {
            spend(&self.failing_reserves).map_err(|_| io::ErrorKind::StorageFull.into())
        }
    }

    /// One operation, as it reached the system.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) enum Op {
        /// A path was opened under this id; true where that emptied or made the file.
        Open(u64, PathBuf, bool),
        /// Bytes were appended.
        Write(u64, Vec<u8>),
        /// What was written to the file by the operations before this number is durable. The
        /// writer goes on while a sync is under way, and what it then writes may be left out.
        Sync(u64, usize),
        /// The file now is this long.
        Truncate(PathBuf, u64),
        /// Everything done to the file of that name is durable.
        SyncPath(PathBuf),
        Rename(PathBuf, PathBuf),
        Remove(PathBuf),
        Folder(PathBuf),
        /// The names in the folder are durable.
        SyncFolder(PathBuf),
    }

    /// What was done, in order; records nothing until it is switched on.
    #[derive(Debug, Default)]
    pub(crate) struct Journal {
        ops: Mutex<Option<Vec<Op>>>,
        ids: AtomicU64,
    }

    impl Journal {
        pub(crate) fn switch_on(&self) {
            *self.ops.lock().unwrap() = Some(Vec::new());
        }

        pub(crate) fn ops(&self) -> Vec<Op> {
            self.ops.lock().unwrap().clone().unwrap_or_default()
        }

        /// How many operations there were.
        pub(super) fn len(&self) -> usize {
            self.ops.lock().unwrap().as_ref().map_or(0, Vec::len)
        }

        pub(super) fn note(&self, op: Op) {
            if let Some(ops) = &mut *self.ops.lock().unwrap() {
                ops.push(op);
            }
        }

        pub(super) fn opened(&self, path: &Path, emptied: bool) -> u64 {
            let id = self.ids.fetch_add(1, SeqCst);
            self.note(Op::Open(id, path.to_path_buf(), emptied));
            id
        }
    }

    #[test]
    fn the_journal_tells_how_a_file_is_put() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        disk.journal.switch_on();
        disk.put(dir.path(), "sub/a", b"x").unwrap();
        let (folder, target) = (dir.path().join("sub"), dir.path().join("sub/a"));
        let under_way = temporary(&target);
        assert_eq!(
            disk.journal.ops(),
            [
                Op::Folder(folder.clone()),
                Op::Open(0, under_way.clone(), true),
                Op::Write(0, b"x".to_vec()),
                Op::Sync(0, 3),
                Op::Rename(under_way, target.clone()),
                Op::SyncFolder(folder),
                Op::SyncFolder(dir.path().to_path_buf()),
            ]
        );
        let left: BTreeMap<_, _> = std::fs::read_dir(target.parent().unwrap())
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                (path.clone(), std::fs::read(path).unwrap())
            })
            .collect();
        assert_eq!(left, BTreeMap::from([(target, b"x".to_vec())]));
    }
}
