//! How a verb that only reads files ends: what it says, and its exit code.
//!
//! The verb computes an [`Outcome`] without printing, so that tests can ask it; one place prints.

pub(super) use super::offline::{FAILED, INVALID, OK};
use super::stdio::{note_text, put};

/// What a verb prints, and its exit code.
#[derive(Debug)]
pub struct Outcome {
    /// For stdout.
    pub stdout: String,
    /// For stderr.
    pub stderr: String,
    /// The exit code.
    pub code: u8,
}

impl Outcome {
    /// A message instead of what was asked for.
    pub(super) const fn to_stderr(stderr: String, code: u8) -> Self {
        Self {
            stdout: String::new(),
            stderr,
            code,
        }
    }

    /// Prints what there is to say; the result is the exit code.
    pub(super) fn print(&self) -> u8 {
        let code = put(&self.stdout, self.code);
        note_text(&self.stderr);
        code
    }
}
