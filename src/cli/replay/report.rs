//! What a replay counted, as data and as text.

use serde::Serialize;

use crate::cli::bundle::facts::Facts;
use crate::replay::{Assumed, Mismatch, Rerun};

/// How many findings are shown; all are counted.
const SHOWN_MAX: usize = 20;

/// What was counted, and the first findings.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Counted {
    pub(super) decisions: u64,
    pub(super) differences: u64,
    pub(in crate::cli) unreadable: u64,
    pub(in crate::cli) not_replayable: u64,
    pub(super) shown: Vec<Shown>,
    pub(super) notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) candidate: Option<CandidateReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bundle: Option<Facts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) rerun: Option<RerunReport>,
}

/// What came of running everything again.
#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct RerunReport {
    pub(in crate::cli) requests: u64,
    pub(in crate::cli) changed: u64,
    pub(in crate::cli) assumed: AssumedReport,
    pub(in crate::cli) changes: Vec<Change>,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct AssumedReport {
    outcomes: u64,
    paths: u64,
    tiers: u64,
    fields: u64,
}

impl RerunReport {
    pub(super) fn of(rerun: &Rerun) -> Self {
        let Assumed {
            outcomes,
            paths,
            tiers,
            fields,
        } = rerun.assumed;
        let changes = rerun.counts().into_iter();
        Self {
            requests: rerun.requests,
            changed: rerun.changed.len() as u64,
            assumed: AssumedReport {
                outcomes,
                paths,
                tiers,
                fields,
            },
            changes: changes
                .map(|((contract, from, to), count)| Change {
                    contract: contract.to_owned(),
                    from,
                    to,
                    count,
                })
                .collect(),
        }
    }

    /// What was assumed, for people; one line each.
    pub(in crate::cli) fn assumptions(&self) -> Vec<String> {
        let told = [
            (
                self.assumed.outcomes,
                "would be forwarded, and what the upstream would have answered is not recorded: \
                 status 200 after the contract's median latency",
            ),
            (
                self.assumed.paths,
                "may have a path that the candidate gives to another contract; no path is recorded",
            ),
            (
                self.assumed.tiers,
                "were decided under a lower tier than the candidate's; the listener's is not recorded",
            ),
            (
                self.assumed.fields,
                "may carry fields that the candidate reads: who the client is, or that it tries \
                 again; fields are not recorded",
            ),
        ];
        let mut some: Vec<String> = told
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("assumed: {count} {what}"))
            .collect();
        if some.is_empty() {
            some.push("assumed: nothing".to_owned());
        }
        some
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) seq: u64,
    pub(super) decision_id: String,
    pub(super) member: String,
    pub(super) recorded: String,
    pub(super) recomputed: String,
}

#[derive(Debug, Serialize)]
pub(super) struct CandidateReport {
    pub(super) policy_hash: String,
    pub(super) judged: u64,
    pub(super) changed: u64,
    pub(super) not_replayable: u64,
    pub(super) unmatched: u64,
    pub(super) limits_assumed: u64,
    pub(super) rate_estimated: u64,
    pub(super) tier_assumed: u64,
    pub(super) changes: Vec<Change>,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct Change {
    pub(in crate::cli) contract: String,
    pub(in crate::cli) from: &'static str,
    pub(in crate::cli) to: &'static str,
    pub(in crate::cli) count: u64,
}

impl Counted {
    /// Adds what another thread has seen.
    pub(super) fn merge(&mut self, other: Self) {
        self.decisions += other.decisions;
        self.differences += other.differences;
        self.unreadable += other.unreadable;
        self.not_replayable += other.not_replayable;
        self.shown.extend(other.shown);
        self.notes.extend(other.notes);
    }

    /// Puts what is shown in the ledger's order, whoever saw it first.
    pub(super) fn settle(&mut self) {
        self.shown.sort_by_key(|shown| shown.seq);
        self.shown.truncate(SHOWN_MAX);
        self.notes.sort();
        self.notes.dedup();
        self.notes.truncate(SHOWN_MAX);
    }

    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < SHOWN_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn unreadable(&mut self, note: String) {
        self.unreadable += 1;
        self.note(note);
    }

    pub(super) fn mismatch(&mut self, mismatch: Mismatch) {
        self.differences += 1;
        for difference in mismatch.differences {
            if self.shown.len() == SHOWN_MAX {
                return;
            }
            self.shown.push(Shown {
                seq: mismatch.seq,
                decision_id: mismatch.decision_id.clone(),
                member: difference.member,
                recorded: difference.recorded,
                recomputed: difference.recomputed,
            });
        }
    }
}

/// The report for a person.
pub(super) fn pretty(counted: &Counted) -> String {
    let mut text = String::new();
    for shown in &counted.shown {
        let member = |value: &str| {
            if value.is_empty() {
                "nothing".to_owned()
            } else {
                value.to_owned()
            }
        };
        text += &format!(
            "record {} decision {}: {} recorded {}, recomputed {}\n",
            shown.seq,
            shown.decision_id,
            shown.member,
            member(&shown.recorded),
            member(&shown.recomputed)
        );
    }
    for note in &counted.notes {
        text += note;
        text.push('\n');
    }
    match &counted.candidate {
        None => text += &summary(counted),
        Some(candidate) => text += &candidate_text(counted, candidate),
    }
    if let Some(rerun) = &counted.rerun {
        text += &rerun_text(counted, rerun);
    }
    text
}

fn rerun_text(counted: &Counted, rerun: &RerunReport) -> String {
    let mut text = counted.bundle.as_ref().map(Facts::text).unwrap_or_default();
    text += &format!(
        " (not verified here)\nrun again with limits, windows and circuits of its own: {} requests, {} would fare \
         otherwise\n",
        rerun.requests, rerun.changed
    );
    for change in &rerun.changes {
        text += &format!(
            "{:>9}  {}: {} -> {}\n",
            change.count, change.contract, change.from, change.to
        );
    }
    for assumption in rerun.assumptions() {
        text += &assumption;
        text.push('\n');
    }
    text
}

fn summary(counted: &Counted) -> String {
    format!(
        "{} decisions, {} differences, {} unreadable, {} not replayable\n",
        counted.decisions, counted.differences, counted.unreadable, counted.not_replayable
    )
}

fn candidate_text(counted: &Counted, candidate: &CandidateReport) -> String {
    let mut text = String::new();
    for change in &candidate.changes {
        text += &format!(
            "{:>9}  {}: {} -> {}\n",
            change.count, change.contract, change.from, change.to
        );
    }
    text += &format!(
        "{} decisions, {} judged on the same inputs under candidate {}: {} would change\n\
         {} not replayable, {} of contracts that the candidate does not have, {} unreadable\n",
        counted.decisions,
        candidate.judged,
        candidate.policy_hash.get(..12).unwrap_or_default(),
        candidate.changed,
        counted.not_replayable,
        candidate.not_replayable,
        counted.unreadable,
    );
    if candidate.limits_assumed > 0 {
        text += &format!(
            "{} of them hold no state of a limit that the candidate would ask; it is taken as granted\n",
            candidate.limits_assumed
        );
    }
    if candidate.rate_estimated > 0 {
        text += &format!(
            "{} of them were asked another rate limit with the state that their own left; \
             over time more or fewer would be refused\n",
            candidate.rate_estimated
        );
    }
    if candidate.tier_assumed > 0 {
        text += &format!(
            "{} of them were decided under a lower tier than the candidate's; theirs is kept, \
             because the listener's is in no record\n",
            candidate.tier_assumed
        );
    }
    if candidate.unmatched > 0 {
        text += &format!(
            "{} of them matched no contract; whether a new one would claim them cannot be said\n",
            candidate.unmatched
        );
    }
    text
}
