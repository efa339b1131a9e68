//! Why a gateway cannot start: each reason with what to do.

use std::path::PathBuf;

use super::ClientKeyError;
use crate::admin::AdminError;
use crate::diagnostic::Diagnostic;
use crate::gateway::OpenError;
use crate::ledger::{KeyError, LedgerError};

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The files do not decide as their self-tests say.
    #[error("{}: {}; {}", .0.file, .0.message, .0.remedy)]
    SelfTests(Box<Diagnostic>),
    /// The state directory cannot be made or used.
    #[error("state directory {path}: {error}; set state_dir to a directory this user can write")]
    State {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The secret of client identities cannot be read or made.
    #[error(transparent)]
    ClientKey(#[from] ClientKeyError),
    /// The key of the ledger cannot be read or made.
    #[error(transparent)]
    LedgerKey(#[from] KeyError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The root of bundles cannot be used.
    #[error(
        "the root {path}: {reason}; 'bundle.root' names the file that 'tidegate root init' made"
    )]
    Root {
        /// The pinned file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What is in force is not the policy that whoever started the gateway expects.
    #[error("{0}")]
    UnexpectedPolicy(String),
    /// A certificate or its key cannot be used.
    #[error("{0}")]
    Tls(String),
    /// No random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// A port cannot be opened, or a certificate cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The gateway that serves does not give way.
    #[error("the running gateway does not hand over, and goes on: {0}; its log says more")]
    NotHandedOver(std::io::Error),
    /// The admin listener cannot be opened.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A thread cannot be started.
    #[error("cannot start thread {name}: {error}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
}
