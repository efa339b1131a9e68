//! `tidegate replay`: every decision of a ledger judged again, from its own inputs.
//!
//! Without a candidate the question is whether the ledger is true: any difference is a matter of
//! integrity. With one (`-c`, `--bundle`) it is what the candidate would have decided on the same
//! inputs; a bundle is also run: every recorded request again, with limits and windows of its own.
//! The chain itself is the business of `ledger verify`.

mod batches;
mod report;
mod worker;

use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::cli::bundle::content::bundle_or_tell;
use crate::cli::offline::{FAILED, FINDINGS, INTEGRITY, OK, load_or_tell, open_ledger, tell};
use crate::cli::period::{newest_decision_us, period_us};
use crate::cli::stdio::put;
use crate::replay::{Candidate, RuleSet};
use batches::in_parallel;
use report::pretty;
use worker::Worker;

pub(in crate::cli) use report::{Counted, RerunReport};
pub(in crate::cli) use worker::Trial;

/// Judges every decision of a ledger again.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The folder of the ledger, or one of its segments.
    #[arg(value_name = "LEDGER_DIR")]
    pub ledger: PathBuf,
    /// A candidate configuration: what would it have decided on the same inputs?
    // Not TIDEGATE_CONFIG: the file of the running gateway is no candidate.
    #[arg(
        short,
        long = "config",
        env = "TIDEGATE_CANDIDATE",
        value_name = "FILE",
        group = "trial"
    )]
    pub candidate: Option<PathBuf>,
    /// A candidate bundle, signed or not: what would have become of the same requests?
    #[arg(
        long,
        env = "TIDEGATE_REPLAY_BUNDLE",
        value_name = "FILE",
        group = "trial"
    )]
    pub bundle: Option<PathBuf>,
    /// With a bundle: how many gateways share its limits, as `instances` of the configuration.
    #[arg(
        long,
        env = "TIDEGATE_REPLAY_INSTANCES",
        value_name = "N",
        default_value = "1"
    )]
    pub instances: NonZeroU32,
    /// How far to look back from the newest decision, such as 12h or 7d; without it, everything.
    #[arg(long, env = "TIDEGATE_REPLAY_SINCE", value_name = "TIME", value_parser = period_us)]
    pub since: Option<u64>,
    /// With a candidate: first one JSON object per line for each decision that would change.
    #[arg(long, env = "TIDEGATE_EACH", requires = "trial")]
    pub each: bool,
    /// How many threads judge.
    #[arg(long, env = "TIDEGATE_REPLAY_THREADS", value_name = "N", default_value_t = cores())]
    pub threads: NonZeroUsize,
    /// How the result is written to stdout.
    // Not TIDEGATE_FORMAT: other verbs know forms that this one does not.
    #[arg(long, env = "TIDEGATE_REPLAY_FORMAT", value_enum, default_value_t)]
    pub format: ReportFormat,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    #[value(alias = "text")]
    Pretty,
    /// One JSON object.
    Json,
}

/// Runs the verb; the result is the exit code: 0, 3 where a decision does not follow from its own
/// record or a candidate changes one, 65 where records or rulebooks cannot be read, 1 where there
/// is no ledger, 78 where the candidate is not valid.
#[must_use]
pub fn run(args: &ReplayArgs) -> u8 {
    let trial = match (&args.candidate, &args.bundle) {
        (Some(path), _) => trial_of(path).map(Some),
        (None, Some(path)) => bundle_or_tell(path)
            .and_then(|content| Trial::of_content(content, args.instances))
            .map(Some),
        (None, None) => Ok(None),
    };
    let trial = match trial {
        Ok(trial) => trial,
        Err(code) => return code,
    };
    let counted = match replay(&Reading::of(args), trial.as_ref()) {
        Ok(counted) => counted,
        Err(error) if is_broken_pipe(&error) => return OK,
        Err(error) => return tell(&error, FAILED),
    };
    let text = match args.format {
        ReportFormat::Pretty => pretty(&counted),
        ReportFormat::Json => match serde_json::to_string(&counted) {
            Ok(text) => text + "\n",
            Err(error) => return tell(&error.into(), FAILED),
        },
    };
    put(&text, code_of(&counted))
}

fn code_of(counted: &Counted) -> u8 {
    if counted.unreadable > 0 {
        return INTEGRITY;
    }
    let changed = counted
        .candidate
        .as_ref()
        .map_or(0, |candidate| candidate.changed);
    let rerun = counted.rerun.as_ref().map_or(0, |rerun| rerun.changed);
    if counted.differences + changed + rerun > 0 {
        FINDINGS
    } else {
        OK
    }
}

pub(in crate::cli) fn cores() -> NonZeroUsize {
    available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn trial_of(path: &Path) -> Result<Trial, u8> {
    let loaded = load_or_tell(path)?;
    let rules = RuleSet::new(loaded.rules, loaded.catalogue.contracts().to_vec());
    Ok(Trial {
        policy_hash: loaded.content.digest_hex(),
        candidate: Candidate::new(rules, loaded.settings.tier),
        rulebook: None,
        bundle: None,
    })
}

/// What of a ledger is read, and how.
pub(in crate::cli) struct Reading<'a> {
    pub(in crate::cli) ledger: &'a Path,
    pub(in crate::cli) since: Option<u64>,
    pub(in crate::cli) each: bool,
    pub(in crate::cli) threads: NonZeroUsize,
}

impl<'a> Reading<'a> {
    fn of(args: &'a ReplayArgs) -> Self {
        Self {
            ledger: &args.ledger,
            since: args.since,
            each: args.each,
            threads: args.threads,
        }
    }
}

/// Reads a ledger and judges what it holds.
pub(in crate::cli) fn replay(reading: &Reading<'_>, trial: Option<&Trial>) -> Result<Counted> {
    let path = reading.ledger;
    let lines = open_ledger(path)?;
    let since = match reading.since {
        Some(period) => newest_decision_us(path)?.saturating_sub(period),
        None => 0,
    };
    let folder = if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(Path::new(""))
    };
    let begin = || Worker::new(folder, trial, since, reading.each);
    let (workers, any) = in_parallel(lines, reading.threads.get(), begin, Worker::take)?;
    if !any {
        let path = path.display();
        bail!("{path} holds no ledger record; name the folder where 'seg-*.jsonl' lies");
    }
    worker::join(workers, trial, reading.each)
}
