//! One append-only file of lines.
//!
//! Invariants: a segment gets its name when its first bytes are durable; bytes once written are
//! never written over. Its space is reserved ahead, in steps, so that a full disk is met before a
//! line is begun.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::elapsed;
use super::directory::{RESERVE_BYTES, SegmentName, file_name, temporary};
use super::disk::{Disk, DiskFile};

/// Space reserved at once for a segment that grows.
const STEP_BYTES: u64 = 16 * 1024 * 1024;
/// What the next segment is called until it begins.
const NEXT_FILE: &str = "seg-next.jsonl.tmp";

/// A segment open for appending.
#[derive(Debug)]
pub(super) struct Segment {
    name: SegmentName,
    file: DiskFile,
    /// What the file is called until its first lines are durable.
    under_way: Option<PathBuf>,
    len: u64,
    reserved: u64,
    began: Duration,
    /// Its age when this process took it over.
    older: Duration,
}

/// An empty file with space, for the segment to come.
#[derive(Debug)]
pub(super) struct NextFile {
    file: DiskFile,
    path: PathBuf,
    reserved: u64,
}

/// What gives a new segment its name.
#[derive(Debug)]
pub(super) struct Naming {
    from: PathBuf,
    to: PathBuf,
}

impl Naming {
    /// To be run once the first lines are durable.
    pub(super) fn run(&self, disk: &Disk) -> io::Result<()> {
        disk.rename(&self.from, &self.to)?;
        disk.sync_folder(self.to.parent().unwrap_or(Path::new(".")))
    }
}

impl NextFile {
    /// Makes the file and reserves its space, at most `bytes`.
    pub(super) fn create(disk: &Disk, dir: &Path, bytes: u64) -> io::Result<Self> {
        let path = dir.join(NEXT_FILE);
        let file = disk.create(&path)?;
        let reserved = bytes.min(STEP_BYTES);
        file.reserve(0, reserved)?;
        Ok(Self {
            file,
            path,
            reserved,
        })
    }

    /// Makes it the segment that begins with `first_seq`; it has no name yet.
    pub(super) fn begin(self, dir: &Path, first_seq: u64) -> Segment {
        Segment {
            name: SegmentName::new(dir, first_seq),
            file: self.file,
            under_way: Some(self.path),
            len: 0,
            reserved: self.reserved,
            began: elapsed(),
            older: Duration::ZERO,
        }
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
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
        let file = disk.create(&under_way)?;
        if reserved {
            file.reserve(0, RESERVE_BYTES)?;
        }
        file.write_all(bytes)?;
        file.sync()?;
        let to = name.path.clone();
        Naming {
            from: under_way,
            to,
        }
        .run(disk)?;
        let len = bytes.len() as u64;
        let reserved = if reserved { RESERVE_BYTES } else { len };
        Ok(Self::of(name, file, len, reserved, Duration::ZERO))
    }

    /// Opens an existing segment to append at `len`, where its last good line ends; `age` is how
    /// long ago it began.
    pub(super) fn resume(
        disk: &Disk,
        name: SegmentName,
        len: u64,
        age: Duration,
    ) -> io::Result<Self> {
        let file = disk.append_to(&name.path)?;
        file.reserve(len, RESERVE_BYTES)?;
        Ok(Self::of(name, file, len, len + RESERVE_BYTES, age))
    }

    fn of(name: SegmentName, file: DiskFile, len: u64, reserved: u64, older: Duration) -> Self {
        Self {
            name,
            file,
            under_way: None,
            len,
            reserved,
            began: elapsed(),
            older,
        }
    }

    /// Appends `bytes` and waits until they are durable: for the start only.
    pub(super) fn append_durably(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        self.file.sync()
    }

    /// Appends what the system takes in one go; at least one byte.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.len += taken as u64;
        Ok(taken)
    }

    /// What the sync thread needs of it.
    pub(super) fn file(&self) -> DiskFile {
        self.file.clone()
    }

    /// The number of its first record.
    pub(super) const fn first_seq(&self) -> u64 {
        self.name.first_seq
    }

    /// What the file is called now.
    pub(super) fn file_name(&self) -> String {
        file_name(self.under_way.as_ref().unwrap_or(&self.name.path))
    }

    /// Where the segment's tree file goes.
    pub(super) fn tree_name(&self) -> String {
        self.name.file_name().replace(".jsonl", ".tree")
    }

    /// True once its first lines are durable and it is called what it will be.
    pub(super) const fn is_named(&self) -> bool {
        self.under_way.is_none()
    }

    /// What has to follow its first sync; `None` where it has its name.
    pub(super) fn naming(&self) -> Option<Naming> {
        self.under_way.clone().map(|from| Naming {
            from,
            to: self.name.path.clone(),
        })
    }

    /// The naming has been done.
    pub(super) fn note_named(&mut self) {
        self.under_way = None;
    }

    /// Where an unnamed segment lies.
    pub(super) fn unnamed_path(&self) -> Option<&Path> {
        self.under_way.as_deref()
    }

    /// Bytes written to it.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// How long ago it began.
    pub(super) fn age(&self, at: Duration) -> Duration {
        at.saturating_sub(self.began) + self.older
    }

    /// Space that should be reserved now, as offset and length, in a segment of at most `most`
    /// bytes; counts as reserved from here on.
    pub(super) fn next_step(&mut self, most: u64) -> Option<(u64, u64)> {
        let wanted = self.len + STEP_BYTES / 4;
        let from = self.reserved.max(self.len);
        if wanted <= self.reserved || from >= most {
            return None;
        }
        self.reserved = from + STEP_BYTES.min(most - from);
        Some((from, self.reserved - from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::atomic::Ordering::SeqCst;

    use super::super::directory::list_segments;
    use super::super::error::is_full;

    #[test]
    fn a_segment_appears_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        disk.plan.space.store(3, SeqCst);
        let full = Segment::create(&disk, dir.path(), 0, b"line\n", true).unwrap_err();
        assert!(is_full(&full));
        assert_eq!(list_segments(dir.path()).unwrap(), []);
        disk.plan.space.store(u64::MAX, SeqCst);
        let segment = Segment::create(&disk, dir.path(), 0, b"line\n", true).unwrap();
        assert_eq!(fs::read(&segment.name.path).unwrap(), b"line\n");
    }

    #[test]
    fn the_next_segment_is_named_when_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let next = NextFile::create(&disk, dir.path(), 4_096).unwrap();
        let mut segment = next.begin(dir.path(), 7);
        assert_eq!(segment.write(b"line\n").unwrap(), 5);
        assert_eq!(segment.file_name(), NEXT_FILE);
        assert_eq!(list_segments(dir.path()).unwrap(), []);
        segment.naming().unwrap().run(&disk).unwrap();
        segment.note_named();
        assert_eq!(segment.file_name(), "seg-0000000000000007.jsonl");
        assert_eq!(segment.tree_name(), "seg-0000000000000007.tree");
        assert_eq!(fs::read(&segment.name.path).unwrap(), b"line\n");
    }

    #[test]
    fn space_is_reserved_before_it_is_needed_and_never_beyond_the_most() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let mut segment = Segment::create(&disk, dir.path(), 0, b"line\n", true).unwrap();
        assert_eq!(
            segment.next_step(RESERVE_BYTES),
            None,
            "all of it is reserved"
        );
        let most = RESERVE_BYTES + STEP_BYTES + 1;
        let end = RESERVE_BYTES + STEP_BYTES;
        assert_eq!(segment.next_step(most), Some((RESERVE_BYTES, STEP_BYTES)));
        assert_eq!(segment.next_step(most), None, "the step is far enough");
        segment.len = end;
        assert_eq!(segment.next_step(most), Some((end, 1)));
        assert_eq!(segment.next_step(most), None);
    }
}
