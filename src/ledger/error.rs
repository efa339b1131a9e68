//! What can go wrong with a ledger directory, each with place, rule and remedy.

use std::io;
use std::path::{Path, PathBuf};

/// A ledger that cannot be opened, written or closed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process holds the directory.
    #[error(
        "LEDGER_LOCKED: {} is held by {}; a ledger has one writer: stop that process, or give this one another ledger.dir",
        dir.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The ledger directory.
        dir: PathBuf,
        /// The holder, where it is known.
        pid: Option<u32>,
    },
    /// The directory or a file in it may not be written.
    #[error("LEDGER_NOT_WRITABLE: cannot write {} ({source}); give the user of this process write permission, or another ledger.dir", path.display())]
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file system is full.
    #[error("LEDGER_DISK_FULL: no space for {} ({source}); free at least {needed} bytes on that file system, or give another ledger.dir", path.display())]
    DiskFull {
        /// The file that was to grow.
        path: PathBuf,
        /// Bytes that the ledger wanted to reserve.
        needed: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// What lies in the directory is not a ledger that this program wrote.
    #[error("LEDGER_NOT_A_LEDGER: {}: {rule}; {remedy}", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        rule: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A record inside the ledger is damaged; nothing was changed.
    #[error(
        "LEDGER_DAMAGED: {} at byte {offset}, record {seq}: {rule}; nothing was changed: move the \
         directory aside as evidence (`mv {dir} {dir}.damaged`) and start again, which begins a new \
         ledger there; `tidegate ledger verify {dir}.damaged` says what is intact",
        path.display(),
        dir = path.parent().unwrap_or(path).display()
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the line starts.
        offset: u64,
        /// The number that the line should carry.
        seq: u64,
        /// The rule that it breaks.
        rule: String,
    },
    /// Fewer records than a signed head promises; nothing was changed.
    #[error(
        "LEDGER_ROLLBACK: {} has {records} records, and a signed head covers {signed_size}: it was \
         cut off or an older copy was put back; nothing was changed: bring the newest files back, \
         or accept the loss on the record with `tidegate ledger recover {} --accept-rollback \
         --reason TEXT --key FILE`",
        dir.display(),
        dir.display()
    )]
    Rollback {
        /// The ledger directory.
        dir: PathBuf,
        /// Good records that are there.
        records: u64,
        /// Records that the newest valid note covers.
        signed_size: u64,
    },
    /// Any other answer of the system.
    #[error(
        "LEDGER_IO: {action} {} failed: {source}; check that the path of ledger.dir exists and \
         that this user may use it",
        path.display()
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The writer did not confirm in time, is gone, or could not be started.
    #[error("LEDGER_UNAVAILABLE: {0}")]
    Unavailable(String),
}

impl LedgerError {
    /// Sorts a system error into the cases that have a remedy of their own.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source }
            }
            _ if is_full(&source) => Self::DiskFull {
                path,
                needed: super::directory::RESERVE_BYTES,
                source,
            },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// True where the evidence itself is the obstacle: what lies in the directory is damaged,
    /// cut off below a signed head, or not a ledger. An operator has to look at it; starting again does not help.
    #[must_use]
    pub const fn is_about_evidence(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::NotALedger { .. } | Self::Rollback { .. }
        )
    }

    /// The stable code at the start of the message.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "LEDGER_LOCKED",
            Self::NotWritable { .. } => "LEDGER_NOT_WRITABLE",
            Self::DiskFull { .. } => "LEDGER_DISK_FULL",
            Self::NotALedger { .. } => "LEDGER_NOT_A_LEDGER",
            Self::Damaged { .. } => "LEDGER_DAMAGED",
            Self::Rollback { .. } => "LEDGER_ROLLBACK",
            Self::Io { .. } => "LEDGER_IO",
            Self::Unavailable(_) => "LEDGER_UNAVAILABLE",
        }
    }
}

/// True for the errors that go away when space is freed.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
