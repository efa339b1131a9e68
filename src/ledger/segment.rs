//! One append-only file of lines.
//!
//! Invariants: a segment gets its name when its first bytes are durable; bytes once written are
//! never written over.

use std::io;
use std::path::Path;

use super::directory::{RESERVE_BYTES, SegmentName, temporary};
use super::disk::{Disk, DiskFile};

/// A segment open for appending.
#[derive(Debug)]
pub(super) struct Segment {
    name: SegmentName,
    file: DiskFile,
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
        let file = disk.create(&under_way)?;
        if reserved {
            file.reserve(0, RESERVE_BYTES)?;
        }
        file.write_all(bytes)?;
        file.sync()?;
        disk.rename(&under_way, &name.path)?;
        disk.sync_folder(dir)?;
        Ok(Self { name, file })
    }

    /// Opens an existing segment to append at `len`, where its last good line ends.
    pub(super) fn resume(disk: &Disk, name: SegmentName, len: u64) -> io::Result<Self> {
        let file = disk.append_to(&name.path)?;
        file.reserve(len, RESERVE_BYTES)?;
        Ok(Self { name, file })
    }

    /// Appends `bytes` and waits until they are durable: for the start only.
    pub(super) fn append_durably(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync()
    }

    /// Appends what the system takes in one go; at least one byte.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    /// What the sync thread needs of it.
    pub(super) fn file(&self) -> DiskFile {
        self.file.clone()
    }

    pub(super) const fn name(&self) -> &SegmentName {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::atomic::Ordering::SeqCst;

    use super::super::error::is_full;

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
