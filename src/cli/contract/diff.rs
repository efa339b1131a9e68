//! `tidegate contract diff OLD NEW`: every change, its class, and whether it may be taken so.
//!
//! Three questions, each with its own exit code: do the versions say what changed (1 where one
//! rose too little), does the mode of compatibility take the changes (3 where it does not), and
//! otherwise 0. Where both fail the version is told first: with it mended, the other remains.

mod report;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::callers::tell_gaps;
use super::seen::Seen;
use crate::cli::bundle::content::contracts_or_tell;
use crate::cli::offline::{FAILED, FINDINGS, INTEGRITY, OK, tell};
use crate::cli::period::period_us;
use crate::cli::stdio::put;
use crate::config::ContractSet;
use crate::contract::compare::{
    BumpFault, ContractChange, Effect, Member, Mode, bump_faults, compare, excuse_removals, offends,
};
use crate::contract::{Contract, ContractId};
use crate::gateway::clock;
use crate::units::Date;
use report::render;

/// Lists every change between two sets of contracts.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// What was agreed: tidegate.yaml, a folder, a contract file, a bundle, or canonical content
    /// (rulebooks/DIGEST.json of a ledger). Nothing is verified.
    old: PathBuf,
    /// What is to be agreed, in one of the same forms.
    new: PathBuf,
    /// Which changes are taken; without it, what the charter of NEW says, else backward.
    #[arg(long, env = "TIDEGATE_COMPATIBILITY_MODE", value_enum)]
    mode: Option<ModeArg>,
    /// A ledger: a contract that it shows to be called cannot be removed without breaking someone.
    #[arg(long, env = "TIDEGATE_LEDGER", value_name = "DIR")]
    ledger: Option<PathBuf>,
    /// How far to look back in it from its newest decision, such as 12h or 30d.
    #[arg(long, env = "TIDEGATE_CALLERS_SINCE", value_name = "TIME", default_value = "30d", value_parser = period_us)]
    since: u64,
    /// The day by which a sunset has come or not, such as 2026-01-31; without it, today in UTC.
    #[arg(long, env = "TIDEGATE_TODAY", value_name = "DAY", value_parser = day)]
    today: Option<Date>,
    /// How the result is written to stdout.
    #[arg(
        long,
        env = "TIDEGATE_CONTRACT_DIFF_FORMAT",
        value_enum,
        default_value_t
    )]
    format: ReportFormat,
}

/// The form of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// For people.
    #[default]
    #[value(alias = "text")]
    Pretty,
    /// One JSON object.
    Json,
    /// For a pull request.
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeArg {
    /// No breaking change, and the same kinds of statements.
    Strict,
    /// Callers of the old contracts keep working.
    Backward,
    /// Only what a gateway with the old contracts may ignore.
    Forward,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Strict => Self::Strict,
            ModeArg::Backward => Self::Backward,
            ModeArg::Forward => Self::Forward,
        }
    }
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| "write a day as 2026-01-31".to_owned())
}

/// What is known of two sets of contracts.
struct Comparison {
    old: Vec<Contract>,
    changes: Vec<ContractChange>,
    bumps: Vec<BumpFault>,
    mode: Mode,
    today: Date,
    seen: Option<Seen>,
}

impl Comparison {
    /// Whether the mode forbids a change.
    fn offends(&self, change: &ContractChange) -> bool {
        offends(change, self.mode)
    }

    fn code(&self) -> u8 {
        if self.seen.as_ref().is_some_and(|seen| seen.unreadable > 0) {
            INTEGRITY
        } else if !self.bumps.is_empty() {
            FAILED
        } else if self.changes.iter().any(|change| self.offends(change)) {
            FINDINGS
        } else {
            OK
        }
    }
}

/// Runs the verb; the result is the exit code: 0, 1 where a version rose too little or something
/// cannot be read, 3 where the mode does not take the changes, 65 where records of the ledger cannot
/// be read or a bundle or content is not what it claims to be, 78 where files are not valid.
pub(super) fn run(args: &DiffArgs) -> u8 {
    let sides = contracts_or_tell(&args.old).and_then(|old| {
        let new = contracts_or_tell(&args.new)?;
        Ok((old, new))
    });
    let (old, new) = match sides {
        Ok(sides) => sides,
        Err(code) => return code,
    };
    let comparison = match judge(args, old, &new) {
        Ok(comparison) => comparison,
        Err(error) => return tell(&error, FAILED),
    };
    if let Some(seen) = &comparison.seen {
        tell_gaps(seen);
    }
    put(&render(&comparison, args.format), comparison.code())
}

fn judge(args: &DiffArgs, old: ContractSet, new: &ContractSet) -> Result<Comparison> {
    let old = old.contracts;
    let mut changes = compare(&old, &new.contracts);
    let today = args
        .today
        .unwrap_or_else(|| Date::of_unix_seconds(clock::now().wall_us / 1_000_000));
    let removed = removed(&changes);
    let seen = match &args.ledger {
        Some(ledger) => Some(Seen::gather(ledger, args.since, &removed)?),
        None => None,
    };
    let has_callers = |id: &ContractId| {
        let seen = seen
            .as_ref()
            .and_then(|seen| seen.contracts.get(id.as_str()));
        seen.is_some_and(super::seen::Callers::is_any)
    };
    excuse_removals(&mut changes, &old, today, has_callers);
    let charter = new.charter.map(|charter| charter.compatibility());
    Ok(Comparison {
        bumps: bump_faults(&old, &new.contracts, &changes),
        mode: args.mode.map(Mode::from).or(charter).unwrap_or_default(),
        old,
        changes,
        today,
        seen,
    })
}

/// The ids of contracts that are gone.
fn removed(changes: &[ContractChange]) -> BTreeSet<&str> {
    let gone = changes.iter().filter(|change| is_removal(change));
    gone.map(|change| change.contract().as_str()).collect()
}

fn is_removal(change: &ContractChange) -> bool {
    change.member() == Member::Contract && change.effect() == Effect::Removed
}
