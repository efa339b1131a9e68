//! `tidegate contract VERB`: what is done about contracts without a gateway. One file per verb.

mod callers;
mod diff;
pub mod import;
pub mod lint;
pub mod owners;
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
    /// Write contracts for the operations of an `OpenAPI` description.
    Import(import::ImportArgs),
    /// Check contract files alone, without a configuration.
    Lint(lint::LintArgs),
    /// Say who answers for each contract, or write it as a forge's file of code owners.
    Owners(owners::OwnersArgs),
}

/// Runs the verb; gives the exit code.
#[must_use]
pub fn run(args: &ContractArgs) -> u8 {
    match &args.verb {
        Verb::Callers(args) => callers::run(args),
        Verb::Diff(args) => diff::run(args),
        Verb::Import(args) => import::run(args),
        Verb::Lint(args) => lint::run(args),
        Verb::Owners(args) => owners::run(args),
    }
}
