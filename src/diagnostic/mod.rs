//! What is wrong with a file: place, rule and remedy.
//!
//! Every reader of files reports through this type, several findings per file, all files of a
//! run. Codes are stable: scripts may rely on them, docs/diagnostics.md explains each.

mod code;
mod lint;
mod render;

pub use code::Code;
pub use render::{Format, render};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The files cannot be used.
    Error,
    /// The files can be used, and someone should look.
    Warning,
}

impl Severity {
    /// The name in every rendering.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place in a file: line and column from 1, columns in characters. 0, 0 is the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

/// One finding. The order is that of places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The file as the user named it, or as its folder was named.
    pub file: Box<str>,
    /// Where in the file.
    pub place: Place,
    /// The rule that is broken.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong here.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// The line of the file, for people; at most 160 characters.
    pub excerpt: Option<Box<str>>,
}

/// How many of these are errors.
#[must_use]
pub fn error_count(found: &[Diagnostic]) -> usize {
    let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
    found.iter().filter(is_error).count()
}
