//! `tidegate bundle sign`: one more signature, in place.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::verify::about;
use crate::bundle::envelope::{BUNDLE_TYPE, Envelope};
use crate::bundle::payload::Payload;
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::cli::offline::OK;
use crate::cli::signing::{end, id_of, keys, names, read, read_root, replace, row};
use crate::cli::stdio::put;
use crate::gateway::clock;

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The bundle.
    bundle: PathBuf,
    /// The private key; several sign one after the other.
    #[arg(long, required = true, value_name = "FILE")]
    key: Vec<PathBuf>,
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
    for key in keys(&args.key)? {
        let id = id_of(&key);
        if root.is_some_and(|root| root.holder(&id).is_none()) {
            let detail = format!("key {id} is in no principal's hands");
            let remedy = "sign with a key of the root, or rotate the root first";
            return Err(Refused::new(RefusalCode::UnknownKey, detail, remedy).into());
        }
        envelope.sign(&key).with_context(file)?;
    }
    replace(&args.bundle, &envelope.to_bytes())?;
    let ids = envelope.signatures().iter();
    let ids: Vec<String> = ids.map(|signature| signature.key_id.clone()).collect();
    let text = format!(
        "{}signed    by {}\n",
        about(&payload, clock::now().wall_us),
        row(&names(root, &ids))
    );
    Ok(put(&text, OK))
}
