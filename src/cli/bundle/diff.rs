//! `tidegate bundle diff`: what changes, which signatures that takes, and what it would have done.
//!
//! Nothing is verified, because a change is compared before anybody signs it; the report says so.
//! The classes are those that a gateway computes. Exit 0 where nothing changes, 3 where something
//! does.

mod markdown;
mod needs;
mod report;
mod sides;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::content::{Content, read_or_tell};
use crate::bundle::change::classify;
use crate::bundle::envelope::{Envelope, ROOT_TYPE};
use crate::bundle::root::Root;
use crate::cli::offline::{FAILED, FINDINGS, INTEGRITY, OK, tell};
use crate::cli::period::period_us;
use crate::cli::replay::{Reading, Trial, cores, replay};
use crate::cli::stdio::put;
use crate::cli::today;
use needs::Needs;
use report::{Impact, Report};
use sides::{Side, emergency};

/// Says what changes from one bundle to another, and which signatures that takes.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// What is in force: a bundle, a tidegate.yaml, or a content file of a ledger's rulebooks.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// What is to be.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// The root whose thresholds hold; without it the classes are told, and no numbers.
    #[arg(long, env = "TIDEGATE_ROOT", value_name = "FILE")]
    root: Option<PathBuf>,
    /// A ledger: its requests are run again under the new one.
    // Not TIDEGATE_LEDGER: whoever has that set for `explain` asked for no replay.
    #[arg(long, env = "TIDEGATE_DIFF_LEDGER", value_name = "DIR")]
    ledger: Option<PathBuf>,
    /// How far to look back from the newest decision, such as 12h or 7d; without it, everything.
    #[arg(
        long,
        env = "TIDEGATE_DIFF_SINCE",
        value_name = "TIME",
        value_parser = period_us,
        requires = "ledger"
    )]
    since: Option<u64>,
    /// How many gateways share the limits.
    #[arg(
        long,
        env = "TIDEGATE_DIFF_INSTANCES",
        value_name = "N",
        default_value = "1"
    )]
    instances: NonZeroU32,
    /// How many threads judge.
    #[arg(long, env = "TIDEGATE_DIFF_THREADS", value_name = "N", default_value_t = cores())]
    threads: NonZeroUsize,
    /// How the result is written to stdout.
    #[arg(long, env = "TIDEGATE_DIFF_FORMAT", value_enum, default_value_t)]
    format: Form,
}

/// The form of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    #[value(alias = "text")]
    Pretty,
    /// One JSON object.
    Json,
    /// For a pull request.
    Markdown,
}

/// Runs the verb; the result is the exit code: 0, 3 where something changes, 65 where a file is not
/// what it claims to be, 1 where one cannot be read, 78 where a configuration is not valid.
pub(super) fn run(args: &DiffArgs) -> u8 {
    let report = match compared(args) {
        Ok(report) => report,
        Err(code) => return code,
    };
    let code = if report.is_empty() { OK } else { FINDINGS };
    let text = match args.format {
        Form::Pretty => report.pretty(),
        Form::Markdown => markdown::text(&report),
        Form::Json => match serde_json::to_string(&report) {
            Ok(text) => text + "\n",
            Err(error) => return tell(&error.into(), FAILED),
        },
    };
    put(&text, code)
}

fn compared(args: &DiffArgs) -> Result<Report, u8> {
    let (old, new) = (read_or_tell(&args.old)?, read_or_tell(&args.new)?);
    let root = args.root.as_deref().map(root_or_tell).transpose()?;
    let classified = classify(Some(old.side(&new)), new.side(&old), today());
    let (classified, too_wide) = emergency(&old, &new, classified);
    let sides = [&old, &new].map(Side::of);
    let needs = root.map(|root| Needs::of(&root, &classified));
    let impact = match &args.ledger {
        Some(ledger) => Some(impact_or_tell(args, ledger, new, old.tier)?),
        None => None,
    };
    Ok(Report::new(sides, classified, too_wide, needs, impact))
}

fn root_or_tell(path: &Path) -> Result<Root, u8> {
    let bytes = std::fs::read(path).map_err(|error| {
        let path = path.display();
        tell(
            &anyhow::anyhow!("{path}: {error}; name the root's file"),
            FAILED,
        )
    })?;
    let root = Envelope::parse(&bytes, ROOT_TYPE)
        .and_then(|envelope| Root::read(envelope.unverified_payload()));
    root.map_err(|refused| {
        let code = if refused.code.is_integrity() {
            INTEGRITY
        } else {
            FAILED
        };
        tell(&anyhow::anyhow!("{}: {refused}", path.display()), code)
    })
}

fn impact_or_tell(
    args: &DiffArgs,
    ledger: &Path,
    mut new: Content,
    old_tier: Option<crate::units::Tier>,
) -> Result<Impact, u8> {
    new.tier = new.tier.or(old_tier);
    let trial = Trial::of_content(new, args.instances)?;
    let reading = Reading {
        ledger,
        since: args.since,
        each: false,
        threads: args.threads,
    };
    let counted = replay(&reading, Some(&trial)).map_err(|error| tell(&error, FAILED))?;
    Ok(Impact::of(counted))
}
