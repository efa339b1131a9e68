//! Checks a ledger offline: every line by itself, the chain, the accounts, the tree and its signed
//! heads, and in a directory the files that the records vouch for.
//!
//! Reads what the writer wrote with code of its own; the two share only the hash rule, the format's
//! constants, the names of files and the form of a note. Changes nothing; needs no lock. Segments
//! are checked side by side ([`part`]) and joined in their order ([`join`]); memory is bounded for
//! each segment, whatever its length. The first broken rule in the order of the log is named.

mod accounts;
mod check;
mod evidence;
mod heads;
mod join;
mod keys;
mod lines;
mod numbers;
mod options;
mod part;
mod pieces;
mod removed;
mod report;
mod side_by_side;
mod steps;
mod told;
mod tree;
mod tree_check;

use std::io;
use std::path::Path;

use check::Check;
pub use keys::TrustedKey;
pub use options::{KnownHead, VerifyOptions};
pub use report::{Damage, Report, Verdict};

/// Checks a ledger directory or one segment file.
///
/// # Errors
/// What the system answers when the files cannot be read.
pub fn verify(path: &Path) -> io::Result<Report> {
    verify_with(path, &VerifyOptions::default())
}

/// Checks a ledger directory or one segment file, whole or in part, against given keys and heads.
///
/// # Errors
/// What the system answers when the files cannot be read.
pub fn verify_with(path: &Path, options: &VerifyOptions) -> io::Result<Report> {
    let (report, missed) = Check::new(path, options)?.run(&[])?;
    if missed.is_empty() {
        return Ok(report);
    }
    // Checkpoint records about sizes that lay too far back, with no note in heads.log: now that
    // the sizes are known, once more.
    Ok(Check::new(path, options)?.run(&missed)?.0)
}
