//! `tidegate bundle VERB`: bundles as files, with no gateway running.
//!
//! Data goes to stdout, messages to stderr. One file per verb.

pub(in crate::cli) mod content;
mod diff;

use clap::{Args, Subcommand};

/// Work on bundles.
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what changes from one bundle to another, and which signatures that takes.
    Diff(diff::DiffArgs),
}

/// Runs the verb; the result is the exit code.
#[must_use]
pub fn run(args: &BundleArgs) -> u8 {
    match &args.verb {
        Verb::Diff(args) => diff::run(args),
    }
}
