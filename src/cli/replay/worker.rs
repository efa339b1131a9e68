//! One thread's share of a replay: judges the lines that it is given, and counts.

use std::num::NonZeroU32;
use std::path::Path;

use anyhow::{Result, anyhow};
use serde::Serialize;

use super::batches::{Place, write};
use super::report::{CandidateReport, Change, Counted, RerunReport};
use crate::cli::bundle::content::Content;
use crate::cli::bundle::facts::Facts;
use crate::cli::offline::{DAMAGED, FAILED, tell, unwritten};
use crate::contract::Catalogue;
use crate::ledger::Record;
use crate::observation::UNMATCHED;
use crate::record::DecisionLine;
use crate::replay::{Arrivals, Candidate, Impact, Replay, Rerun, RuleSet, rerun};
use crate::rulebook::{LocalParts, Rulebook, RulebookParts};

/// A candidate, and how it is called.
#[derive(Debug)]
pub(in crate::cli) struct Trial {
    pub(super) candidate: Candidate,
    pub(super) policy_hash: String,
    /// There where the recorded requests are run again.
    pub(super) rulebook: Option<Rulebook>,
    pub(super) bundle: Option<Facts>,
}

impl Trial {
    /// A candidate that is judged and run; `instances` gateways share its limits.
    ///
    /// # Errors
    /// The exit code, after telling: its contracts do not stand together.
    pub(in crate::cli) fn of_content(content: Content, instances: NonZeroU32) -> Result<Self, u8> {
        let catalogue = Catalogue::build(content.contracts.clone()).map_err(|collisions| {
            let collisions = collisions.len();
            let error = anyhow!(
                "the contracts do not stand together: {collisions} collisions; \
                 build the bundle from files that tidegate check accepts"
            );
            tell(&error, FAILED)
        })?;
        let tier = content.tier.unwrap_or_default();
        let parts = RulebookParts::unsigned_local(LocalParts {
            catalogue,
            rules: content.rules.clone(),
            tier,
            content_digest: [0; 32],
            default_upstream: "".into(),
            workers: 1,
        });
        let rules = RuleSet::new(content.rules, content.contracts);
        Ok(Self {
            candidate: Candidate::new(rules, tier),
            policy_hash: hex::encode(content.digest),
            rulebook: Some(Rulebook::for_instances(0, parts, instances)),
            bundle: content.bundle,
        })
    }
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
    arrivals: Arrivals,
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
            arrivals: Arrivals::default(),
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
            if self.trial.is_some_and(|trial| trial.rulebook.is_some()) {
                self.arrivals.add_outcome(record);
            }
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
        if trial.rulebook.is_some() {
            // What is listed is what came of running it, once everything has been read.
            self.arrivals
                .add(record.seq, &line, &trial.candidate, recorded);
            return;
        }
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

/// The report over what all threads have seen; prints each request that a bundle would change.
pub(super) fn join(workers: Vec<Worker<'_>>, trial: Option<&Trial>, each: bool) -> Result<Counted> {
    let (mut counted, mut impact) = (Counted::default(), Impact::default());
    let mut arrivals = Arrivals::default();
    for worker in workers {
        counted.merge(worker.counted);
        impact.merge(worker.impact);
        arrivals.merge(worker.arrivals);
    }
    counted.settle();
    counted.candidate = trial.map(|trial| report_of(trial, impact));
    if let Some((trial, rulebook)) = trial.and_then(|trial| Some((trial, trial.rulebook.as_ref()?)))
    {
        let rerun = rerun(arrivals, rulebook);
        counted.bundle.clone_from(&trial.bundle);
        counted.rerun = Some(RerunReport::of(&rerun));
        if each {
            print_each(&rerun)?;
        }
    }
    Ok(counted)
}

fn print_each(rerun: &Rerun) -> Result<()> {
    let mut text = String::new();
    for change in &rerun.changed {
        let digits = change.id.digits();
        let changed = Changed {
            seq: change.seq,
            decision_id: std::str::from_utf8(&digits).unwrap_or_default(),
            ts_us: change.ts_us,
            contract: &change.contract,
            from: change.from,
            to: change.to,
        };
        text += &serde_json::to_string(&changed)?;
        text.push('\n');
    }
    Ok(write(&text)?)
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
