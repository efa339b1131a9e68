//! Why a step of the keeper came to nothing.

use std::io;
use std::path::Path;

use super::super::error::LedgerError;
use super::super::stats::KeptDamage;
use super::pace::Stopped;

/// What kept a step from being done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The keeper is to end; nothing is wrong.
    Stopped,
    /// The file is not what was written: evidence, left as it is.
    Damaged(KeptDamage),
    /// The system's answer, or the writer's.
    Ledger(LedgerError),
}

impl Trouble {
    /// A system error at a file.
    pub(super) fn io(action: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Ledger(LedgerError::io(action, path, error))
    }
}

impl From<Stopped> for Trouble {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<Trouble> for LedgerError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Stopped => Self::Unavailable("the keeper was asked to end".to_owned()),
            Trouble::Damaged(damage) => Self::Damaged {
                path: damage.file,
                offset: damage.offset,
                seq: damage.seq,
                rule: damage.rule,
            },
            Trouble::Ledger(error) => error,
        }
    }
}
