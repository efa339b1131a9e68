//! One thread's share of a replay: judges the lines that it is given, and counts.

use std::path::Path;

use serde::Serialize;

use super::batches::Place;
use super::report::{CandidateReport, Change, Counted};
use crate::cli::offline::{DAMAGED, unwritten};
use crate::ledger::Record;
use crate::observation::UNMATCHED;
use crate::record::DecisionLine;
use crate::replay::{Candidate, Impact, Replay};

/// A candidate, and how it is called.
pub(super) struct Trial {
    pub(super) candidate: Candidate,
    pub(super) policy_hash: String,
}

/// One decision that a candidate would change.
#[derive(Serialize)]
struct Changed<'a> {
    seq: u64,
    decision_id: &'a str,
    ts_us: u64,
    contract: &'a str,
    from: &'static str,
    to: &'static str,
}

/// What one thread has seen.
pub(super) struct Worker<'t> {
    replay: Replay,
    trial: Option<&'t Trial>,
    impact: Impact,
    counted: Counted,
    buffer: Vec<u8>,
    since_us: u64,
    each: bool,
}

impl<'t> Worker<'t> {
    /// Judges decisions made at `since_us` or later.
    pub(super) fn new(folder: &Path, trial: Option<&'t Trial>, since_us: u64, each: bool) -> Self {
        Self {
            replay: Replay::of(folder),
            trial,
            impact: Impact::default(),
            counted: Counted::default(),
            buffer: Vec::new(),
            since_us,
            each,
        }
    }

    /// Takes one line; `printed` gets what goes to stdout before the report.
    pub(super) fn take(&mut self, place: &Place<'_>, line: &[u8], printed: &mut String) {
        let at = || format!("{} at byte {}", place.segment.display(), place.offset);
        if !place.complete {
            let note = format!("{}: the last line is unfinished and was passed over", at());
            self.counted.note(note);
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        match Record::check(line, &mut buffer) {
            Ok(record) => self.record(&record, printed),
            Err(fault) => {
                let note = format!("{}: {}; {DAMAGED}", at(), fault.rule());
                self.counted.unreadable(note);
            }
        }
        self.buffer = buffer;
    }

    fn record(&mut self, record: &Record<'_>, printed: &mut String) {
        let too_old = || {
            record
                .uint("ts_us")
                .is_some_and(|ts_us| ts_us < self.since_us)
        };
        if self.since_us > 0 && too_old() {
            return;
        }
        if record.kind != "decision" {
            self.counted.not_replayable += unwritten(record);
            return;
        }
        self.counted.decisions += 1;
        if let Some(trial) = self.trial {
            self.try_candidate(trial, record, printed);
            return;
        }
        match self.replay.check(record) {
            Ok(None) => {}
            Ok(Some(mismatch)) => self.counted.mismatch(mismatch),
            Err(error) => self.counted.unreadable(error.to_string()),
        }
    }

    fn try_candidate(&mut self, trial: &Trial, record: &Record<'_>, printed: &mut String) {
        let line = match DecisionLine::read(record) {
            Ok(line) => line,
            Err(error) => {
                let note = format!("record {}: {error}", record.seq);
                self.counted.unreadable(note);
                return;
            }
        };
        // A candidate can be judged without the rulebook, only with less knowledge.
        let recorded = self.replay.rule_set(line.policy_hash).ok();
        let change = self.impact.add(&line, &trial.candidate, recorded);
        if let Some((from, to)) = change.filter(|_| self.each) {
            let changed = Changed {
                seq: record.seq,
                decision_id: line.decision_id,
                ts_us: line.wall_us,
                contract: line.contract_id.unwrap_or(UNMATCHED),
                from,
                to,
            };
            // Numbers and plain text: nothing that could fail.
            *printed += &serde_json::to_string(&changed).unwrap_or_default();
            printed.push('\n');
        }
    }
}

/// The report over what all threads have seen.
pub(super) fn join(workers: Vec<Worker<'_>>, trial: Option<&Trial>) -> Counted {
    let (mut counted, mut impact) = (Counted::default(), Impact::default());
    for worker in workers {
        counted.merge(worker.counted);
        impact.merge(worker.impact);
    }
    counted.settle();
    counted.candidate = trial.map(|trial| report_of(trial, impact));
    counted
}

fn report_of(trial: &Trial, impact: Impact) -> CandidateReport {
    CandidateReport {
        policy_hash: trial.policy_hash.clone(),
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
