//! `tidegate bundle sign`: one more signature, or one less, in place.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use super::verify::about;
use crate::bundle::envelope::{BUNDLE_TYPE, Envelope};
use crate::bundle::payload::Payload;
use crate::cli::offline::OK;
use crate::cli::signing::{
    add, end, key_digits, keys, names, read, read_root, replace, row, take_out,
};
use crate::cli::stdio::{note, put};
use crate::gateway::clock;

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The bundle.
    bundle: PathBuf,
    /// The private key; several sign one after the other.
    #[arg(long, required_unless_present = "remove", value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Take out the signature of this key first: its id, or at least 12 digits of it.
    #[arg(long, value_name = "KEYID", value_parser = key_digits)]
    remove: Vec<String>,
    /// The root: a key that it does not know does not sign.
    #[arg(long, env = "TIDEGATE_ROOT", value_name = "FILE")]
    root: Option<PathBuf>,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &SignArgs) -> u8 {
    end(sign(args))
}

fn sign(args: &SignArgs) -> Result<u8> {
    let file = || format!("bundle {}", args.bundle.display());
    let mut envelope = Envelope::parse(&read(&args.bundle)?, BUNDLE_TYPE).with_context(file)?;
    // Nobody signs what no gateway could read.
    let payload = Payload::read(envelope.unverified_payload()).with_context(file)?;
    let root = args.root.as_deref().map(read_root).transpose()?;
    let root = root.as_ref().map(|root| root.root());
    take_out(&mut envelope, &args.remove).with_context(file)?;
    for key in keys(&args.key)? {
        if root.is_some_and(|root| root.holder(&key.id).is_none()) {
            let remedy = "sign with a key of the root, or rotate the root first";
            return Err(anyhow!(key.unknown(remedy)));
        }
        add(&mut envelope, &key)?;
    }
    replace(&args.bundle, &envelope.to_bytes())?;
    let ids = envelope.signatures().iter();
    let ids: Vec<String> = ids.map(|signature| signature.key_id.clone()).collect();
    let text = format!(
        "{}signed    by {}\n",
        about(&payload, clock::now().wall_us),
        row(&names(root, &ids))
    );
    let code = put(&text, OK);
    if root.is_none() && !args.key.is_empty() {
        note(format_args!(
            "warning: nobody checked the key: one that the root does not know spoils the bundle; \
             name the root with --root"
        ));
    }
    Ok(code)
}
