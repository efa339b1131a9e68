//! `tidegate root verify`: whether a root is signed, and follows the one before it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::people::about;
use crate::bundle::envelope::{Envelope, ROOT_TYPE};
use crate::bundle::verify::{VerifiedRoot, verify_root};
use crate::cli::offline::{FAILED, OK};
use crate::cli::signing::{Format, end, read, read_root};
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
    end(verify(args))
}

fn verify(args: &VerifyArgs) -> Result<u8> {
    let now_us = clock::now().wall_us;
    let bytes = read(&args.root)?;
    let previous = args.previous.as_deref().map(read_root).transpose()?;
    let root = verify_root(&bytes, previous.as_ref())
        .with_context(|| format!("root {}", args.root.display()))?;
    let is_expired = root.is_expired(now_us);
    let code = put(
        &answer(args, &root, now_us)?,
        if is_expired { FAILED } else { OK },
    );
    if is_expired {
        note(format_args!(
            "error: ROOT_EXPIRED: it activates nothing new; rotate it: tidegate root rotate"
        ));
    }
    Ok(code)
}

fn answer(args: &VerifyArgs, root: &VerifiedRoot, now_us: u64) -> Result<String> {
    if args.format == Format::Pretty {
        let envelope = Envelope::parse(root.envelope(), ROOT_TYPE)?;
        return Ok(about(root.root(), &envelope, now_us));
    }
    let parts = root.root().parts();
    let answer = json!({
        "result": if root.is_expired(now_us) { "expired" } else { "ok" },
        "digest": root.root().digest(),
        "audience": parts.audience,
        "version": parts.version,
        "epoch": parts.epoch,
        "production": parts.is_production,
        "expires_at_us": parts.expires_at_us,
        "signers": root.signers(),
    });
    Ok(format!("{answer:#}\n"))
}
