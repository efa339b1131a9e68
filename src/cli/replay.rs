//! `tidegate replay`: every decision of a ledger judged again, from its own inputs.
//!
//! Without a candidate the question is whether the ledger is true: any difference is a matter of
//! integrity. With one (`-c`) it is what the candidate would have decided on the same inputs.
//! The chain itself is the business of `ledger verify`.

mod report;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::cli::offline::{
    DAMAGED, FAILED, FINDINGS, INTEGRITY, OK, load_or_tell, open_ledger, put, tell, unwritten,
};
use crate::ledger::Record;
use crate::record::DecisionLine;
use crate::replay::{Candidate, Impact, Replay, RuleSet};
use report::{CandidateReport, Change, Counted, pretty};

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
        value_name = "FILE"
    )]
    pub candidate: Option<PathBuf>,
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
    Pretty,
    /// One JSON object.
    Json,
}

/// Runs the verb; the result is the exit code: 0, 3 where a decision does not follow from its own
/// record or a candidate changes one, 65 where records or rulebooks cannot be read, 1 where there
/// is no ledger, 78 where the candidate is not valid.
#[must_use]
pub fn run(args: &ReplayArgs) -> u8 {
    let trial = match args.candidate.as_deref().map(trial_of).transpose() {
        Ok(trial) => trial,
        Err(code) => return code,
    };
    let counted = match replay(&args.ledger, trial) {
        Ok(counted) => counted,
        Err(error) => return tell(&error, FAILED),
    };
    match args.format {
        ReportFormat::Pretty => put(&pretty(&counted)),
        ReportFormat::Json => match serde_json::to_string(&counted) {
            Ok(text) => put(&(text + "\n")),
            Err(error) => return tell(&error.into(), FAILED),
        },
    }
    code_of(&counted)
}

fn code_of(counted: &Counted) -> u8 {
    if counted.unreadable > 0 {
        return INTEGRITY;
    }
    let changed = counted
        .candidate
        .as_ref()
        .map_or(0, |candidate| candidate.changed);
    if counted.differences + changed > 0 {
        FINDINGS
    } else {
        OK
    }
}

struct Trial {
    candidate: Candidate,
    policy_hash: String,
    impact: Impact,
}

fn trial_of(path: &Path) -> Result<Trial, u8> {
    let loaded = load_or_tell(path)?;
    let rules = RuleSet::new(loaded.rules, loaded.catalogue.contracts().to_vec());
    Ok(Trial {
        policy_hash: loaded.content.digest_hex(),
        candidate: Candidate::new(rules, loaded.settings.tier),
        impact: Impact::default(),
    })
}

fn replay(path: &Path, mut trial: Option<Trial>) -> Result<Counted> {
    let mut lines = open_ledger(path)?;
    let folder = if path.is_dir() {
        Some(path)
    } else {
        path.parent()
    };
    let mut replay = Replay::of(folder.unwrap_or(Path::new("")));
    let mut counted = Counted::default();
    let mut buffer = Vec::new();
    let mut any = false;
    while let Some((segment, line)) = lines.next()? {
        any = true;
        let at = || format!("{} at byte {}", segment.path.display(), line.offset);
        if !line.complete {
            counted.note(format!(
                "{}: the last line is unfinished and was passed over",
                at()
            ));
            continue;
        }
        match Record::check(line.bytes, &mut buffer) {
            Ok(record) => take(&mut counted, &mut replay, trial.as_mut(), &record),
            Err(fault) => counted.unreadable(format!("{}: {}; {DAMAGED}", at(), fault.rule())),
        }
    }
    if !any {
        let path = path.display();
        bail!("{path} holds no ledger record; name the folder where 'seg-*.jsonl' lies");
    }
    counted.candidate = trial.map(report_of);
    Ok(counted)
}

fn take(
    counted: &mut Counted,
    replay: &mut Replay,
    trial: Option<&mut Trial>,
    record: &Record<'_>,
) {
    if record.kind != "decision" {
        counted.not_replayable += unwritten(record);
        return;
    }
    counted.decisions += 1;
    if let Some(Trial {
        candidate, impact, ..
    }) = trial
    {
        match DecisionLine::read(record) {
            // A candidate can be judged without the rulebook, only with less knowledge.
            Ok(line) => impact.add(&line, candidate, replay.rule_set(line.policy_hash).ok()),
            Err(error) => counted.unreadable(format!("record {}: {error}", record.seq)),
        }
        return;
    }
    match replay.check(record) {
        Ok(None) => {}
        Ok(Some(mismatch)) => counted.mismatch(mismatch),
        Err(error) => counted.unreadable(error.to_string()),
    }
}

fn report_of(trial: Trial) -> CandidateReport {
    let impact = trial.impact;
    CandidateReport {
        policy_hash: trial.policy_hash,
        judged: impact.judged,
        changed: impact.changes(),
        not_replayable: impact.not_replayable,
        unmatched: impact.unmatched,
        limits_assumed: impact.limits_assumed,
        rate_estimated: impact.rate_estimated,
        tier_assumed: impact.tier_assumed,
        changes: impact
            .changed
            .into_iter()
            .map(|((contract, from, to), count)| Change {
                contract,
                from,
                to,
                count,
            })
            .collect(),
    }
}
