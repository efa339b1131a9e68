//! The counters that survive the process: how many numbers each worker has taken, in a file that
//! is mapped into memory (`made`; its bytes are in docs/ledger-format.md).
//!
//! Why mapped: a worker must count without a system call, and the count must be exact after SIGKILL.
//! What a thread stored into a shared mapping belongs to the kernel from that instant on.
//! Invariants: each slot has a single writer, its worker; a file is made anew by each start, after
//! recovery has read the old one and while the lock is held (or under a name of its own, see `unopened`). Without a usable mapping the counts
//! live in memory alone, and a start never fails for it. Not here: reading the file of another boot.
//!
//! # Safety
//! This is the only module of the crate with `unsafe`. What it relies on:
//! 1. The mapping is [`FILE_BYTES`] long, and the file was as long, and written to its last byte and
//!    synced, before it was mapped. Nobody shortens it while it is mapped: it is ours by the
//!    directory's lock, and a later start puts a new file in its place by renaming.
//! 2. A store needs no new block, or a full disk would end the process by SIGBUS: the blocks are
//!    written before, and on file systems that give a changed block a new place, or that lie behind a
//!    network or another process, nothing is mapped ([`REFUSED`]).
//! 3. A slot is at a multiple of 64 inside a page-aligned mapping, so it is aligned for an
//!    [`AtomicU64`], and is only ever accessed as one.
//! 4. The mapping ends when the last [`Slot`] of it is dropped: each holds the mapping.
#![allow(
    unsafe_code,
    reason = "mapping a file and pointing into it; the argument stands above"
)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::fs::fstatfs;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::disk::Disk;
use super::frame::BootId;

/// The file's name in the directory.
pub(super) const FILE_NAME: &str = "made";
const MAGIC: &[u8; 16] = b"tidegate-made-1\n";
/// Where the slots begin, and how far they are apart: one cache line each.
const SLOTS_AT: usize = 4_096;
const SLOT_BYTES: usize = 64;
const WORKERS: usize = 256;
const FILE_BYTES: usize = SLOTS_AT + SLOT_BYTES * WORKERS;

/// File systems whose mapped pages may need a new block at a store, or a peer that answers.
const REFUSED: [(i64, &str); 8] = [
    (0x9123_683E, "btrfs"),
    (0x2FC1_2FC1, "zfs"),
    (0xCA45_1A4E, "bcachefs"),
    (0xF2F5_2010, "f2fs"),
    (0x6969, "nfs"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb2"),
    (0x6573_5546, "fuse"),
];

/// The counters of one boot.
#[derive(Debug)]
pub(super) struct Counters(Arc<Mapping>);

/// A mapped file of [`FILE_BYTES`].
#[derive(Debug)]
struct Mapping(NonNull<u8>);

// SAFETY: the memory belongs to no thread, and is only accessed through atomics (3 above).
unsafe impl Send for Mapping {}
// SAFETY: as for Send.
unsafe impl Sync for Mapping {}

/// The counter of one worker.
#[derive(Debug)]
pub(super) struct Slot {
    count: NonNull<AtomicU64>,
    /// Keeps the memory that `count` points to.
    _mapping: Arc<Mapping>,
}

// SAFETY: an atomic may be used by any thread, and the memory is kept (4 above).
unsafe impl Send for Slot {}
// SAFETY: as for Send.
unsafe impl Sync for Slot {}

impl Counters {
    /// Makes the file of a boot anew, all counts 0, and maps it.
    ///
    /// # Errors
    /// What the system answers, or that the file system is one that cannot carry it.
    pub(super) fn create(disk: &Disk, dir: &Path, boot: BootId) -> io::Result<Self> {
        Self::map(&put(disk, dir, FILE_NAME, boot)?)
    }

    /// Maps a file that [`put`] has made.
    ///
    /// # Errors
    /// As for [`Counters::create`].
    pub(super) fn map(file: &File) -> io::Result<Self> {
        Ok(Self(Arc::new(Mapping::of(file)?)))
    }

    /// The counter of a worker.
    pub(super) fn slot(&self, worker: u8) -> Slot {
        let at = SLOTS_AT + SLOT_BYTES * usize::from(worker);
        // SAFETY: `at` is below FILE_BYTES for every u8, so the pointer stays in the mapping (1).
        let count = unsafe { self.0.0.add(at) }.cast::<AtomicU64>();
        Slot {
            count,
            _mapping: Arc::clone(&self.0),
        }
    }
}

/// Makes the file of a boot anew under a name, all counts 0.
///
/// # Errors
/// What the system answers.
pub(super) fn put(disk: &Disk, dir: &Path, name: &str, boot: BootId) -> io::Result<File> {
    let directory = dir.metadata()?;
    let mut bytes = vec![0_u8; FILE_BYTES];
    let head = MAGIC
        .iter()
        .copied()
        .chain(boot.as_u32().to_le_bytes())
        .chain([0; 4])
        .chain(directory.dev().to_le_bytes())
        .chain(directory.ino().to_le_bytes());
    for (place, byte) in bytes.iter_mut().zip(head) {
        *place = byte;
    }
    disk.put(dir, name, &bytes).map_err(io::Error::other)?;
    let path = dir.join(name);
    OpenOptions::new().read(true).write(true).open(path)
}

impl Slot {
    /// Stores how many numbers the worker has taken. By that worker alone.
    #[inline]
    pub(super) fn store(&self, made: u64) {
        // SAFETY: aligned, inside the mapping, kept by `_mapping`, never accessed but so (1, 3, 4).
        let count = unsafe { self.count.as_ref() };
        count.store(made.to_le(), Relaxed);
    }
}

impl Mapping {
    fn of(file: &File) -> io::Result<Self> {
        let kind = fstatfs(file)?.f_type;
        if let Some((_, name)) = REFUSED.iter().find(|(number, _)| *number == kind) {
            let why = format!("a mapped file is not safe on {name}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        if file.metadata()?.len() != FILE_BYTES as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory of ours; the
        // file is as long as the mapping (1).
        let base = unsafe { mmap(null_mut(), FILE_BYTES, access, MapFlags::SHARED, file, 0) }?;
        NonNull::new(base.cast::<u8>())
            .map(Self)
            .ok_or_else(|| io::Error::other("mapped at address 0"))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `of` with this length, and no Slot is left (4). An error leaves it mapped.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), FILE_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    fn number(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn the_file_is_as_the_format_says() {
        let dir = tempfile::tempdir().unwrap();
        let boot = BootId::from_u32(0x0102_0304);
        let counters = Counters::create(&Disk::default(), dir.path(), boot).unwrap();
        let (first, last) = (counters.slot(0), counters.slot(255));
        drop(counters);
        first.store(7);
        last.store(u64::MAX - 1);
        let bytes = std::fs::read(dir.path().join("made")).unwrap();
        assert_eq!(bytes.len(), 4_096 + 64 * 256);
        assert_eq!(&bytes[..20], b"tidegate-made-1\n\x04\x03\x02\x01");
        let directory = dir.path().metadata().unwrap();
        assert_eq!(number(&bytes, 24), directory.dev());
        assert_eq!(number(&bytes, 32), directory.ino());
        assert_eq!(number(&bytes, 4_096), 7);
        assert_eq!(number(&bytes, 4_096 + 64 * 255), u64::MAX - 1);
        let rest: u64 = (1..255).map(|w| number(&bytes, 4_096 + 64 * w)).sum();
        assert_eq!(rest, 0);
    }

    #[test]
    fn each_boot_begins_at_zero_with_a_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let before = Counters::create(&disk, dir.path(), BootId::from_u32(1)).unwrap();
        let slot = before.slot(3);
        slot.store(5);
        let _now = Counters::create(&disk, dir.path(), BootId::from_u32(2)).unwrap();
        // The old mapping has its own file still, whatever the name means now.
        slot.store(6);
        let bytes = std::fs::read(dir.path().join("made")).unwrap();
        assert_eq!((bytes[16], number(&bytes, 4_096 + 64 * 3)), (2, 0));
    }

    #[test]
    fn a_disk_that_takes_no_file_is_an_error_and_leaves_none() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        disk.plan.space.store(10, SeqCst);
        assert!(Counters::create(&disk, dir.path(), BootId::from_u32(1)).is_err());
        assert!(!dir.path().join("made").exists());
    }
}
