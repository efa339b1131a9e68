//! What the verbs that need no gateway share: exit codes, loading, a rulebook for one worker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::stdio::{note, note_text};
use crate::config::{Loaded, load};
use crate::diagnostic::{Format, render};
use crate::ledger::{DirectoryLines, Record};
use crate::policy::canonical::CanonicalContent;
use crate::rulebook::{LocalParts, Registry, RulebookParts};
use crate::units::Tier;

/// Everything is in order.
pub(super) const OK: u8 = 0;
/// It could not be done.
pub(super) const FAILED: u8 = 1;
/// The command cannot be understood.
pub(super) const USAGE: u8 = 2;
/// It was done, and something was found.
pub(super) const FINDINGS: u8 = 3;
/// What was read is not what was written (EX_DATAERR).
pub(super) const INTEGRITY: u8 = 65;
/// The configuration is not valid (EX_CONFIG).
pub(super) const INVALID: u8 = 78;

/// The configuration that a verb works on.
#[derive(Debug, Clone, Args)]
pub struct ConfigArg {
    /// The configuration file.
    #[arg(short, long, env = "TIDEGATE_CONFIG", default_value = "tidegate.yaml")]
    pub config: PathBuf,
}

/// Loads a configuration, or tells on stderr what is wrong with it.
///
/// # Errors
/// The exit code.
pub(super) fn load_or_tell(path: &Path) -> std::result::Result<Loaded, u8> {
    load(path).map_err(|found| {
        note_text(&render(&found, Format::Pretty));
        INVALID
    })
}

/// The registry of a loaded configuration for one worker, and the bytes that its digest names.
pub(super) fn registry_of(loaded: Loaded, tier: Option<Tier>) -> (Arc<Registry>, CanonicalContent) {
    let parts = RulebookParts::unsigned_local(LocalParts {
        catalogue: loaded.catalogue,
        rules: loaded.rules,
        tier: tier.unwrap_or(loaded.settings.tier),
        content_digest: *loaded.content.digest(),
        default_upstream: loaded.settings.default_upstream,
        workers: 1,
    });
    let instances = loaded.settings.instances;
    let registry = Registry::for_instances(parts, instances, Tier::Autonomous);
    (Arc::new(registry), loaded.content)
}

/// The lines of a ledger's folder, or of one of its segments.
///
/// # Errors
/// Where there is nothing that could be read.
pub(super) fn open_ledger(path: &Path) -> Result<DirectoryLines> {
    // Asked first, because a missing path would be taken for a segment and fail later.
    std::fs::metadata(path)
        .and_then(|_| DirectoryLines::open(path))
        .with_context(|| {
            let path = path.display();
            format!("the ledger {path} cannot be read; name the folder where 'seg-*.jsonl' lies")
        })
}

/// How many decisions a record stands for that have no record of their own.
pub(super) fn unwritten(record: &Record<'_>) -> u64 {
    match record.kind {
        "loss" | "rollup" => record.uint("count").unwrap_or(0),
        "stub" => 1,
        _ => 0,
    }
}

/// Tells an error and its causes on stderr; the result is the exit code.
pub(super) fn tell(error: &anyhow::Error, code: u8) -> u8 {
    note(format_args!("error: {error:#}"));
    code
}

/// What to do about a line that is not what its hash says.
pub(super) const DAMAGED: &str =
    "keep the directory as evidence; 'tidegate ledger verify' says what is intact";
