//! `tidegate root sign`: one more signature, in place.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::people::{about, sign as sign_with};
use crate::bundle::envelope::{Envelope, ROOT_TYPE};
use crate::bundle::root::Root;
use crate::cli::offline::OK;
use crate::cli::signing::{end, read, replace};
use crate::cli::stdio::{note, put};
use crate::gateway::clock;

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The root.
    root: PathBuf,
    /// The private key; several sign one after the other.
    #[arg(long, required = true, value_name = "FILE")]
    key: Vec<PathBuf>,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &SignArgs) -> u8 {
    end(sign(args))
}

fn sign(args: &SignArgs) -> Result<u8> {
    let file = || format!("root {}", args.root.display());
    let mut envelope = Envelope::parse(&read(&args.root)?, ROOT_TYPE).with_context(file)?;
    let root = Root::read(envelope.unverified_payload()).with_context(file)?;
    let ids = sign_with(&mut envelope, &args.key).with_context(file)?;
    replace(&args.root, &envelope.to_bytes())?;
    let code = put(&about(&root, &envelope, clock::now().wall_us), OK);
    for id in ids.iter().filter(|id| root.holder(id).is_none()) {
        note(format_args!(
            "key {id} is not in this root; its signature counts only for the root before it"
        ));
    }
    Ok(code)
}
