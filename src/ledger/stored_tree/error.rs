//! Why a proof cannot be made, and whether the evidence itself is the reason.

use std::io;
use std::path::{Path, PathBuf};

/// Why a proof cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The system's answer.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("LEDGER_DAMAGED: {}: {rule}; keep the directory as evidence, tidegate ledger verify says what is intact", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Place and rule.
        rule: String,
    },
    /// The records do not have the root that was signed.
    #[error(
        "LEDGER_DAMAGED: the first {size} records have the root {computed}, and {signed} was signed; keep the directory as evidence, tidegate ledger verify says what is intact"
    )]
    OtherRoot {
        /// How many records.
        size: u64,
        /// Their root, hex.
        computed: String,
        /// The root in the note, hex.
        signed: String,
    },
    /// What was asked for is not there.
    #[error("{what}; {remedy}")]
    Absent {
        /// What.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl ProofError {
    pub(in crate::ledger) fn io(path: &Path, source: io::Error) -> Self {
        // A damaged zstd frame is no fault of the disk.
        if source.kind() == io::ErrorKind::InvalidData {
            return Self::damaged(path, source.to_string());
        }
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }

    pub(in crate::ledger) fn damaged(path: &Path, rule: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_path_buf(),
            rule: rule.into(),
        }
    }

    /// True where the evidence itself is the obstacle.
    #[must_use]
    pub const fn is_about_evidence(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::OtherRoot { .. })
    }
}
