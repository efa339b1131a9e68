//! `tidegate readiness`: what CONTROL would have done in the recorded period, per contract.
//!
//! For whoever only observes and wants to know what changes when the gateway acts. The ledger is
//! read as a stream, and each decision is judged again from its own inputs. What other rules would
//! have decided is the question of `replay -c`; whether the chain is whole, that of `ledger verify`.

mod report;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::cli::offline::{
    ConfigArg, DAMAGED, FAILED, INTEGRITY, OK, load_or_tell, open_ledger, tell, unwritten,
};
use crate::cli::period::{newest_decision_us, period_us};
use crate::cli::stdio::put;
use crate::ledger::Record;
use crate::replay::{Readiness, Replay};
use report::Gathered;

/// Says what CONTROL would have done with recorded requests.
#[derive(Debug, Args)]
pub struct ReadinessArgs {
    /// The folder of the ledger, or one of its segments; without it, the one of the configuration.
    #[arg(value_name = "LEDGER_DIR")]
    pub ledger: Option<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How far to look back from the newest decision, such as 12h or 7d.
    #[arg(long, env = "TIDEGATE_SINCE", value_name = "TIME", default_value = "7d", value_parser = period_us)]
    pub since: u64,
    /// How the result is written to stdout.
    // Not TIDEGATE_FORMAT: other verbs know forms that this one does not.
    #[arg(long, env = "TIDEGATE_READINESS_FORMAT", value_enum, default_value_t)]
    pub format: ReportFormat,
}

/// The form of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    #[value(alias = "pretty")]
    Text,
    /// One JSON object.
    Json,
}

/// Runs the verb; the result is the exit code: 0 whatever the verdicts, 1 where there is no
/// ledger, 65 where records or rulebooks cannot be read or a decision does not follow from its own
/// record, 78 where the configuration is not valid.
#[must_use]
pub fn run(args: &ReadinessArgs) -> u8 {
    let dir = match &args.ledger {
        Some(dir) => dir.clone(),
        None => match load_or_tell(&args.config.config) {
            Ok(loaded) => loaded.settings.ledger.dir,
            Err(code) => return code,
        },
    };
    let gathered = match gather(&dir, args.since) {
        Ok(gathered) => gathered,
        Err(error) => return tell(&error, FAILED),
    };
    let text = match args.format {
        ReportFormat::Text => gathered.text(),
        ReportFormat::Json => match gathered.json() {
            Ok(text) => text + "\n",
            Err(error) => return tell(&error.into(), FAILED),
        },
    };
    let code = if gathered.unreadable > 0 {
        INTEGRITY
    } else {
        OK
    };
    put(&text, code)
}

fn gather(path: &Path, since_us: u64) -> Result<Gathered> {
    let earliest_us = newest_decision_us(path)?.saturating_sub(since_us);
    let folder = if path.is_dir() {
        Some(path)
    } else {
        path.parent()
    };
    let mut replay = Replay::of(folder.unwrap_or(Path::new("")));
    let mut gathered = Gathered::default();
    let mut lines = open_ledger(path)?;
    let mut buffer = Vec::new();
    let mut any = false;
    while let Some((segment, line)) = lines.next()? {
        any = true;
        let at = || format!("{} at byte {}", segment.path.display(), line.offset);
        if !line.complete {
            let note = "the last line is unfinished and was passed over";
            gathered.note(format!("{}: {note}", at()));
            continue;
        }
        match Record::check(line.bytes, &mut buffer) {
            Ok(record) => take(&mut gathered, &mut replay, &record, earliest_us),
            Err(fault) => gathered.unreadable(format!("{}: {}; {DAMAGED}", at(), fault.rule())),
        }
    }
    if !any {
        let path = path.display();
        bail!("{path} holds no ledger record; name the folder where 'seg-*.jsonl' lies");
    }
    Ok(gathered)
}

fn take(gathered: &mut Gathered, replay: &mut Replay, record: &Record<'_>, earliest_us: u64) {
    if record.uint("ts_us").unwrap_or(0) < earliest_us {
        return;
    }
    if record.kind != "decision" {
        gathered.lost += unwritten(record);
        take_other(&mut gathered.readiness, record);
        return;
    }
    if let Err(fault) = add(&mut gathered.readiness, replay, record) {
        gathered.unreadable(fault);
    }
}

fn take_other(readiness: &mut Readiness, record: &Record<'_>) {
    let ended = record
        .text("decision_id")
        .zip(record.uint("latency_us"))
        .filter(|_| record.kind == "outcome");
    match (record.kind, ended) {
        ("open", _) => readiness.start(),
        (_, Some((id, latency_us))) => readiness.end(id, latency_us),
        _ => {}
    }
}

fn add(readiness: &mut Readiness, replay: &mut Replay, record: &Record<'_>) -> Result<(), String> {
    let (line, judged) = replay.judge(record).map_err(|error| error.to_string())?;
    let rules = replay
        .rule_set(line.policy_hash)
        .map_err(|error| error.to_string())?;
    let added = readiness.add(&line, &judged.decision, rules);
    added.map_err(|error| format!("record {}: {error}", record.seq))
}
