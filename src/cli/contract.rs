//! `tidegate contract VERB`: what was agreed, without a gateway. One file per verb.

mod callers;
mod diff;
mod seen;

use clap::{Args, Subcommand};

/// Work on contracts.
#[derive(Debug, Args)]
pub struct ContractArgs {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say who was seen to call a contract.
    Callers(callers::CallersArgs),
    /// List every change between two sets of contracts, and whether callers can stay as they are.
    Diff(diff::DiffArgs),
}

/// Runs the verb; gives the exit code.
#[must_use]
pub fn run(args: &ContractArgs) -> u8 {
    match &args.verb {
        Verb::Callers(args) => callers::run(args),
        Verb::Diff(args) => diff::run(args),
    }
}
