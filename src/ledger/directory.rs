//! The ledger directory: its lock, its file names, and how a file is put there durably.
//!
//! Invariant: one process holds `LOCK` for as long as it may write. A segment appears under its
//! name only when its first line is durable, so an empty one was never ours.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::disk::FILE_MODE;
use super::error::LedgerError;

/// Space reserved ahead when a segment is begun or continued at a start, so that a disk that is
/// full by then is met there and not at the first request.
pub(super) const RESERVE_BYTES: u64 = 4 * 1024 * 1024;
/// Digits of the sequence number in a segment's name: enough for every number below 2^53.
const NAME_DIGITS: usize = 16;

/// What follows `.jsonl` where a segment is compressed.
const COMPRESSED: &str = ".zst";

/// A segment by its name `seg-<first seq>.jsonl`, or `.jsonl.zst` where it is compressed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    /// The number of its first line.
    pub first_seq: u64,
    /// Where it lies.
    pub path: PathBuf,
    /// False for a file that was named by hand: it may start anywhere.
    pub(super) named: bool,
    /// The file holds the lines as zstd.
    pub(super) compressed: bool,
}

impl SegmentName {
    /// The name in `dir` of the segment that starts with `first_seq`.
    pub(super) fn new(dir: &Path, first_seq: u64) -> Self {
        let file = format!("seg-{first_seq:0width$}.jsonl", width = NAME_DIGITS);
        Self {
            first_seq,
            path: dir.join(file),
            named: true,
            compressed: false,
        }
    }

    /// The segment that `path` names.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let plain = name.strip_suffix(COMPRESSED);
        let digits = plain
            .unwrap_or(name)
            .strip_prefix("seg-")?
            .strip_suffix(".jsonl")?;
        if digits.len() != NAME_DIGITS || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            first_seq: digits.parse().ok()?,
            path: path.to_path_buf(),
            named: true,
            compressed: plain.is_some(),
        })
    }

    /// A segment under a foreign name.
    pub(super) fn unnamed(path: &Path) -> Self {
        let compressed = path.extension().is_some_and(|suffix| suffix == "zst");
        Self {
            first_seq: 0,
            path: path.to_path_buf(),
            named: false,
            compressed,
        }
    }

    /// True where the file holds the lines as zstd.
    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// The name without folder and suffix, as `prune` and `redact` records give it.
    pub(super) fn stem(&self) -> String {
        format!("seg-{:0width$}", self.first_seq, width = NAME_DIGITS)
    }

    /// The same segment, compressed.
    pub(super) fn to_compressed(&self) -> Self {
        if self.compressed {
            return self.clone();
        }
        let mut path = self.path.as_os_str().to_owned();
        path.push(COMPRESSED);
        Self {
            path: path.into(),
            compressed: true,
            ..self.clone()
        }
    }

    /// The file name alone.
    #[must_use]
    pub fn file_name(&self) -> String {
        file_name(&self.path)
    }
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The segments of a directory in order, each once: where a plain and a compressed file of the same
/// lines stand side by side, compression is under way and the plain one counts.
pub(super) fn list_segments(dir: &Path) -> io::Result<Vec<SegmentName>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        segments.extend(SegmentName::of(&entry?.path()));
    }
    // The plain name sorts before the one with a suffix more.
    segments.sort();
    segments.dedup_by_key(|segment| segment.first_seq);
    Ok(segments)
}

/// True where something in a directory says that a ledger is or was there. A directory that cannot
/// be read may be one.
pub(super) fn has_traces(dir: &Path) -> bool {
    const FILES: &[&str] = &["LOCK", "origin", "heads.log", "log.vkey", "checkpoint"];
    let Ok(mut entries) = fs::read_dir(dir) else {
        return true;
    };
    entries.any(|entry| {
        entry.is_ok_and(|entry| {
            let path = entry.path();
            let tree = path.extension().is_some_and(|suffix| suffix == "tree");
            tree || FILES.contains(&file_name(&path).as_str()) || SegmentName::of(&path).is_some()
        })
    })
}

/// A locked ledger directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Holds the lock until it is dropped.
    _lock: File,
}

impl Directory {
    /// Creates the directory if it is not there, and takes its lock.
    pub(super) fn lock(path: &Path) -> Result<Self, LedgerError> {
        fs::create_dir_all(path).map_err(|e| not_made(path, e))?;
        let lock_path = path.join("LOCK");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&lock_path)
            .map_err(|e| LedgerError::io("opening", &lock_path, e))?;
        if let Err(errno) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if errno != rustix::io::Errno::WOULDBLOCK {
                return Err(LedgerError::io("locking", &lock_path, errno.into()));
            }
            let mut text = String::new();
            // The holder's number only helps the operator; without it the refusal stands.
            let _ = lock.read_to_string(&mut text);
            return Err(LedgerError::Locked {
                dir: path.to_path_buf(),
                pid: text.trim().parse().ok(),
            });
        }
        let pid = format!("{}\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| lock.write_all(pid.as_bytes()))
            .map_err(|e| LedgerError::io("writing", &lock_path, e))?;
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Why the directory could not be created: a file in its place has a remedy of its own.
fn not_made(path: &Path, error: io::Error) -> LedgerError {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => LedgerError::NotALedger {
            path: path.to_path_buf(),
            rule: "a ledger is a directory, and a file stands in its way",
            remedy: "move the file away, or give another ledger.dir",
        },
        _ => LedgerError::io("creating", path, error),
    }
}

/// The name under which a file is written before it gets its own.
pub(super) fn temporary(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_segments() {
        let name = SegmentName::new(Path::new("/l"), 42);
        assert_eq!(name.file_name(), "seg-0000000000000042.jsonl");
        assert_eq!(SegmentName::of(&name.path), Some(name));
        for other in [
            "seg-42.jsonl",
            "seg-0000000000000042.jsonl.tmp",
            "seg-0000000000000042.jsonl.zst.tmp",
            "seg-0000000000000042.zst",
            "seg-0000000000000042.tree",
            "origin",
        ] {
            assert_eq!(SegmentName::of(Path::new(other)), None, "{other}");
        }
        let name = SegmentName::new(Path::new("/l"), 42).to_compressed();
        assert_eq!(name.file_name(), "seg-0000000000000042.jsonl.zst");
        assert_eq!(name.stem(), "seg-0000000000000042");
        assert_eq!(SegmentName::of(&name.path), Some(name));
    }

    #[test]
    fn a_segment_is_listed_once_and_the_plain_file_wins() {
        let dir = tempfile::tempdir().unwrap();
        let plain = |first| SegmentName::new(dir.path(), first);
        for path in [
            plain(0).to_compressed().path,
            plain(5).path,
            plain(5).to_compressed().path,
            plain(9).path,
        ] {
            fs::write(path, "").unwrap();
        }
        assert_eq!(
            list_segments(dir.path()).unwrap(),
            [plain(0).to_compressed(), plain(5), plain(9)]
        );
    }

    #[test]
    fn a_second_lock_is_refused_and_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::lock(dir.path()).unwrap();
        let refused = Directory::lock(dir.path()).unwrap_err();
        assert_eq!(refused.code(), "LEDGER_LOCKED");
        let own = format!("process {}", std::process::id());
        assert!(refused.to_string().contains(&own), "{refused}");
        drop(first);
        assert!(Directory::lock(dir.path()).is_ok());
    }
}
