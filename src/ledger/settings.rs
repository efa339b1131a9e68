//! Where a ledger lies and how it is kept.
//!
//! Not here: what is kept of closed segments (`keeper`), and when disk and memory are short
//! (`pressure`).

use std::path::PathBuf;
use std::time::Duration;

use super::disk::Disk;
use super::key::LedgerKey;
use super::pressure::Bounds;

/// When records are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// All that was written, once in this time.
    Interval(Duration),
    /// All that was written, as soon as the sync before it is done.
    Group,
    /// Each event by itself, before the next one is taken.
    Each,
}

/// Where the ledger lies and how it is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) dir: PathBuf,
    pub(super) sync: SyncMode,
    pub(super) segment_bytes: u64,
    pub(super) segment_age: Duration,
    pub(super) key: Option<LedgerKey>,
    pub(super) disk: Disk,
    pub(super) bounds: Bounds,
}

impl Settings {
    /// A ledger in `dir`: made durable every 100 ms, in segments of 256 MiB or a day, unsigned.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            sync: SyncMode::Interval(Duration::from_millis(100)),
            segment_bytes: 256 << 20,
            segment_age: Duration::from_secs(24 * 3_600),
            key: None,
            disk: Disk::default(),
            bounds: Bounds::default(),
        }
    }

    /// Signs checkpoints with this key; without one there are none.
    #[must_use]
    pub fn signed_by(mut self, key: LedgerKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The longest a written record waits for its sync (while the disk answers).
    #[must_use]
    pub const fn sync_interval(self, interval: Duration) -> Self {
        self.sync(SyncMode::Interval(interval))
    }

    /// When records are made durable.
    #[must_use]
    pub const fn sync(mut self, mode: SyncMode) -> Self {
        self.sync = mode;
        self
    }

    /// A segment that has grown to `bytes` (at least 1), or is as old as `age`, is closed; it may
    /// exceed both by what is written until the next one is ready.
    #[must_use]
    pub const fn segments(mut self, bytes: u64, age: Duration) -> Self {
        self.segment_bytes = bytes;
        self.segment_age = age;
        self
    }
}
