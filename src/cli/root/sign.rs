//! `tidegate root sign`: one more signature, or one less, in place.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use super::people::{about, unknown};
use crate::bundle::envelope::{Envelope, ROOT_TYPE};
use crate::bundle::root::Root;
use crate::cli::offline::OK;
use crate::cli::signing::{Usage, add, end, key_digits, keys, read, read_root, replace, take_out};
use crate::cli::stdio::put;
use crate::gateway::clock;

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The root.
    root: PathBuf,
    /// The private key; several sign one after the other.
    #[arg(long, required_unless_present = "remove", value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Take out the signature of this key first: its id, or at least 12 digits of it.
    #[arg(long, value_name = "KEYID", value_parser = key_digits)]
    remove: Vec<String>,
    /// The root before it, whose people sign as well.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &SignArgs) -> u8 {
    end(sign(args))
}

fn sign(args: &SignArgs) -> Result<u8> {
    let file = || format!("root {}", args.root.display());
    let mut envelope = Envelope::parse(&read(&args.root)?, ROOT_TYPE).with_context(file)?;
    let root = Root::read(envelope.unverified_payload()).with_context(file)?;
    let previous = args.previous.as_deref().map(read_root).transpose()?;
    let previous = previous.as_ref().map(|previous| previous.root());
    if let Some(previous) = previous {
        is_next(&root, previous)?;
    }
    take_out(&mut envelope, &args.remove).with_context(file)?;
    let keys = keys(&args.key)?;
    if let Some(key) = unknown(&keys, &root, previous) {
        let remedy = match (previous, root.parts().version) {
            (Some(_), _) | (None, 1) => "sign with a key of the root",
            (None, _) => "if it is of the root before it, name that one with --previous",
        };
        return Err(anyhow!(key.unknown(remedy)));
    }
    for key in &keys {
        add(&mut envelope, key)?;
    }
    replace(&args.root, &envelope.to_bytes())?;
    Ok(put(&about(&root, &envelope, clock::now().wall_us), OK))
}

/// Who names another root by mistake would let its people sign.
fn is_next(root: &Root, previous: &Root) -> Result<()> {
    let (new, old) = (root.parts(), previous.parts());
    if new.audience == old.audience && old.version.checked_add(1) == Some(new.version) {
        return Ok(());
    }
    let told = format!(
        "--previous is version {} for '{}', and the root is version {} for '{}'; name the one \
         right before it",
        old.version, old.audience, new.version, new.audience
    );
    Err(Usage(told).into())
}
