//! `tidegate root verify`: whether a root is signed, and follows the one before it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::people::about;
use crate::bundle::envelope::{Envelope, ROOT_TYPE};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::verify::{VerifiedRoot, verify_root};
use crate::cli::offline::{FAILED, OK};
use crate::cli::signing::{Format, end, end_in_json, in_json, read, read_root};
use crate::cli::stdio::{note, put};
use crate::gateway::clock;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The root.
    root: PathBuf,
    /// The root before it, which is believed.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// The form of the answer.
    #[arg(long, env = "TIDEGATE_FORMAT", value_enum, default_value_t)]
    format: Format,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &VerifyArgs) -> u8 {
    let verified = verify(args);
    match args.format {
        Format::Json => end_in_json(verified),
        Format::Pretty => end(verified),
    }
}

fn verify(args: &VerifyArgs) -> Result<u8> {
    let now_us = clock::now().wall_us;
    let bytes = read(&args.root)?;
    let previous = args.previous.as_deref().map(read_root).transpose()?;
    let root = verify_root(&bytes, previous.as_ref())
        .with_context(|| format!("root {}", args.root.display()))?;
    let ended = root.is_expired(now_us).then(|| {
        let detail = "its time is over, and it activates nothing new";
        let remedy = "rotate it: tidegate root rotate";
        Refused::new(RefusalCode::RootExpired, detail, remedy)
    });
    let code = if ended.is_some() { FAILED } else { OK };
    let code = put(&answer(args, &root, ended.as_ref(), now_us)?, code);
    if let Some(ended) = &ended {
        note(format_args!("error: {ended}"));
    }
    Ok(code)
}

fn answer(
    args: &VerifyArgs,
    root: &VerifiedRoot,
    ended: Option<&Refused>,
    now_us: u64,
) -> Result<String> {
    // Before the first root there is none.
    let is_checked = args.previous.is_some() || root.root().parts().version == 1;
    if args.format == Format::Pretty {
        let envelope = Envelope::parse(root.envelope(), ROOT_TYPE)?;
        let mut text = about(root.root(), &envelope, now_us);
        if !is_checked {
            text += "chain     not checked: name the root before it with --previous\n";
        }
        return Ok(text);
    }
    let parts = root.root().parts();
    let answer = json!({
        "result": if ended.is_some() { "expired" } else { "ok" },
        "digest": root.root().digest(),
        "audience": parts.audience,
        "version": parts.version,
        "epoch": parts.epoch,
        "production": parts.is_production,
        "expires_at_us": parts.expires_at_us,
        "signers": root.signers(),
        "chain_checked": is_checked,
        "refusal": ended.map(in_json),
    });
    Ok(format!("{answer:#}\n"))
}
