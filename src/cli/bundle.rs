//! `tidegate bundle VERB`: contracts and policy as one signed artifact. One file per verb.
//!
//! Exit codes: 0 in order, 1 refused or not done, 2 wrong usage, 3 something differs, 65 bytes or
//! signatures are not what they claim, 69 no gateway answers, 78 the configuration is not valid.

mod apply;
mod build;
pub(in crate::cli) mod content;
mod diff;
pub(super) mod facts;
mod keygen;
mod sign;
mod verify;

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
    /// Have the running gateway put a signed bundle in force.
    Apply(apply::ApplyArgs),
    /// Make one canonical file of contracts and policy, ready to be signed.
    Build(Box<build::BuildArgs>),
    /// Say what changes from one bundle to another, and which signatures that takes.
    Diff(diff::DiffArgs),
    /// Make a private key that signs bundles and roots.
    Keygen(keygen::KeygenArgs),
    /// Sign a bundle, in place.
    Sign(sign::SignArgs),
    /// Check form, signatures and validity, and say what the bundle changes.
    Verify(verify::VerifyArgs),
}

/// Runs the verb; gives the exit code.
#[must_use]
pub fn run(args: &BundleArgs) -> u8 {
    match &args.verb {
        Verb::Apply(args) => apply::run(args),
        Verb::Build(args) => build::run(args),
        Verb::Diff(args) => diff::run(args),
        Verb::Keygen(args) => keygen::run(args),
        Verb::Sign(args) => sign::run(args),
        Verb::Verify(args) => verify::run(args),
    }
}
