//! `tidegate contract`: what is done about contract files without a gateway, one file per verb.

use clap::{Args, Subcommand};

pub mod import;
pub mod lint;
pub mod owners;

/// Works on contract files.
#[derive(Debug, Args)]
pub struct ContractArgs {
    #[command(subcommand)]
    verb: ContractVerb,
}

#[derive(Debug, Subcommand)]
enum ContractVerb {
    /// Write contracts for the operations of an `OpenAPI` description.
    Import(import::ImportArgs),
    /// Check contract files alone, without a configuration.
    Lint(lint::LintArgs),
    /// Say who answers for each contract, or write it as a forge's file of code owners.
    Owners(owners::OwnersArgs),
}

/// Runs the verb; the result is the exit code.
#[must_use]
pub fn run(args: &ContractArgs) -> u8 {
    match &args.verb {
        ContractVerb::Import(args) => import::run(args),
        ContractVerb::Lint(args) => lint::run(args),
        ContractVerb::Owners(args) => owners::run(args),
    }
}
