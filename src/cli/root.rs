//! `tidegate root VERB`: who may sign bundles. One file per verb.
//!
//! Exit codes as those of `tidegate bundle`.

mod init;
mod people;
mod rotate;
mod sign;
mod verify;

use clap::{Args, Subcommand};

/// Work on roots.
#[derive(Debug, Args)]
pub struct RootArgs {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the first root of an audience.
    Init(init::InitArgs),
    /// Make the successor of a root.
    Rotate(rotate::RotateArgs),
    /// Sign a root, in place.
    Sign(sign::SignArgs),
    /// Check form, chain and signatures.
    Verify(verify::VerifyArgs),
}

/// Runs the verb; gives the exit code.
#[must_use]
pub fn run(args: &RootArgs) -> u8 {
    match &args.verb {
        Verb::Init(args) => init::run(args),
        Verb::Rotate(args) => rotate::run(args),
        Verb::Sign(args) => sign::run(args),
        Verb::Verify(args) => verify::run(args),
    }
}
