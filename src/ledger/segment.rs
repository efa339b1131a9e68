//! One append-only file of lines, and the only place that asks the system to write or sync it.
//!
//! Invariants: a segment gets its name when its first bytes are durable; bytes once written are
//! never written over. In tests a plan of faults stands between this file and the system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

use super::directory::{RESERVE_BYTES, SegmentName, create, sync_folder, temporary};
use super::error::is_full;

/// The system's file operations, as far as tests let them through.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) plan: Arc<tests::Plan>,
}

impl Disk {
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        let bytes = self.plan.before_write(bytes)?;
        file.write(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        #[cfg(test)]
        self.plan.before_sync()?;
        file.sync_data()
    }

    /// Asked before the thread that syncs is started.
    #[cfg_attr(not(test), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    pub(super) fn before_thread(&self) -> io::Result<()> {
        #[cfg(test)]
        self.plan.before_thread()?;
        Ok(())
    }
}

/// A segment open for appending.
#[derive(Debug)]
pub(super) struct Segment {
    name: SegmentName,
    file: Arc<File>,
    disk: Disk,
}

/// What the sync thread needs of a segment.
#[derive(Debug)]
pub(super) struct SyncHandle {
    file: Arc<File>,
    disk: Disk,
}

impl SyncHandle {
    /// Waits until everything written so far is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.file)
    }
}

impl Segment {
    /// Creates the segment `first_seq` with `bytes` in it, all of it durable on return.
    /// `reserved` asks for [`RESERVE_BYTES`] beyond them and fails where there is no such room.
    pub(super) fn create(
        disk: &Disk,
        dir: &Path,
        first_seq: u64,
        bytes: &[u8],
        reserved: bool,
    ) -> io::Result<Self> {
        let name = SegmentName::new(dir, first_seq);
        let under_way = temporary(&name.path);
        let segment = Self {
            file: Arc::new(create(&under_way)?),
            name,
            disk: disk.clone(),
        };
        if reserved {
            segment.reserve(0)?;
        }
        segment.write_all(bytes)?;
        segment.disk.sync(&segment.file)?;
        fs::rename(&under_way, &segment.name.path)?;
        sync_folder(dir)?;
        Ok(segment)
    }

    /// Opens an existing segment to append at `len`, where its last good line ends.
    pub(super) fn resume(disk: &Disk, name: SegmentName, len: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(&name.path)?;
        let segment = Self {
            name,
            file: Arc::new(file),
            disk: disk.clone(),
        };
        segment.reserve(len)?;
        Ok(segment)
    }

    /// Reserves space behind `len` without changing the file's length.
    fn reserve(&self, len: u64) -> io::Result<()> {
        match fallocate(&*self.file, FallocateFlags::KEEP_SIZE, len, RESERVE_BYTES) {
            Err(errno) if is_full(&errno.into()) => Err(errno.into()),
            // A file system that cannot reserve is met with "full" at a write instead.
            _ => Ok(()),
        }
    }

    /// Appends `bytes` and waits until they are durable: for the start only.
    pub(super) fn append_durably(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.disk.sync(&self.file)
    }

    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write(bytes)?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Appends what the system takes in one go; at least one byte.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.disk.write(&self.file, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    pub(super) fn sync_handle(&self) -> SyncHandle {
        SyncHandle {
            file: Arc::clone(&self.file),
            disk: self.disk.clone(),
        }
    }

    pub(super) const fn name(&self) -> &SegmentName {
        &self.name
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst};

    /// Faults to come, set by a test while a writer runs.
    #[derive(Debug)]
    pub(crate) struct Plan {
        /// Bytes that still fit on the "disk".
        pub(crate) space: AtomicU64,
        /// Syncs that fail from now on.
        pub(crate) failing_syncs: AtomicI32,
        /// Writes that fail with an I/O error from now on.
        pub(crate) failing_writes: AtomicI32,
        /// Threads that cannot be started from now on.
        pub(crate) failing_threads: AtomicI32,
    }

    impl Default for Plan {
        fn default() -> Self {
            Self {
                space: AtomicU64::new(u64::MAX),
                failing_syncs: AtomicI32::new(0),
                failing_writes: AtomicI32::new(0),
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
            spend(&self.failing_writes)?;
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
            spend(&self.failing_syncs)
        }
    }

    #[test]
    fn a_segment_appears_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        disk.plan.space.store(3, SeqCst);
        let full = Segment::create(&disk, dir.path(), 0, b"line\n", true).unwrap_err();
        assert!(is_full(&full));
        assert_eq!(
            super::super::directory::list_segments(dir.path()).unwrap(),
            []
        );
        disk.plan.space.store(u64::MAX, SeqCst);
        let segment = Segment::create(&disk, dir.path(), 0, b"line\n", true).unwrap();
        assert_eq!(fs::read(&segment.name().path).unwrap(), b"line\n");
    }
}
