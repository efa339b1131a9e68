//! What a replay counted, as data and as text.

use serde::Serialize;

use crate::replay::Mismatch;

/// How many findings are shown; all are counted.
const SHOWN_MAX: usize = 20;

/// What was counted, and the first findings.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counted {
    pub(super) decisions: u64,
    pub(super) differences: u64,
    pub(super) unreadable: u64,
    pub(super) not_replayable: u64,
    pub(super) shown: Vec<Shown>,
    pub(super) notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) candidate: Option<CandidateReport>,
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

#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) contract: String,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) count: u64,
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
