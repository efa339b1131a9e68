//! Judges recorded decisions again: from the record's own inputs and the rulebook it names.
//!
//! Zero differences is the bar. A candidate can be judged on the same inputs: then the question is
//! not whether the record is true, but what the candidate would have decided.

mod arrivals;
mod course;
mod distinct;
mod effect;
mod impact;
mod limits;
mod readiness;
mod rerun;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::contract::Contract;
use crate::ledger::{Record, as_text};
use crate::pipeline::{Judgement, judge};
use crate::policy::canonical;
use crate::policy::rules::Rules;
use crate::record::{Comparison, DecisionLine, Difference, LineError, contradictions};

pub use arrivals::Arrivals;
pub use distinct::{Distinct, KEPT};
pub use effect::Effect;
pub use impact::{Candidate, Impact};
pub use readiness::{Cause, Contradiction, Count, Readiness, RouteReadiness, Verdict};
pub use rerun::{Assumed, OtherCourse, Rerun, rerun};

/// Rules and contracts by id: what a judgement needs of a rulebook.
#[derive(Debug)]
pub struct RuleSet {
    rules: Rules,
    contracts: HashMap<Box<str>, Contract>,
}

impl RuleSet {
    /// The rules and contracts given.
    #[must_use]
    pub fn new(rules: Rules, contracts: Vec<Contract>) -> Self {
        let by_id = |contract: Contract| (Box::from(contract.id().as_str()), contract);
        Self {
            rules,
            contracts: contracts.into_iter().map(by_id).collect(),
        }
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// All contracts, in no order.
    pub fn contracts(&self) -> impl Iterator<Item = &Contract> {
        self.contracts.values()
    }

    /// The contract of that id.
    #[must_use]
    pub fn contract(&self, id: &str) -> Option<&Contract> {
        self.contracts.get(id)
    }

    /// The judgement of a recorded decision under these rules; `None` where its contract is none
    /// of theirs.
    #[must_use]
    pub fn judge(&self, line: &DecisionLine<'_>) -> Option<Judgement> {
        let terms = match line.contract_id {
            Some(id) => Some(self.contracts.get(id)?.terms()),
            None => None,
        };
        Some(judge(&self.rules, terms, &line.signals))
    }
}

/// Why a decision could not be judged again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The line is not as the format says.
    #[error("record {seq}: {error}; the record does not follow docs/ledger-format.md")]
    Line {
        /// The record.
        seq: u64,
        /// What is wrong.
        error: LineError,
    },
    /// The rulebook of a record is not beside the ledger, or is not what its name says.
    #[error("rulebook {path}: {rule}; restore the file of that digest from the gateway's ledger")]
    Rulebook {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        rule: String,
    },
    /// The rulebook has no contract of the record's id.
    #[error("record {seq}: contract {contract} is not in rulebook {policy_hash}")]
    Contract {
        /// The record.
        seq: u64,
        /// The contract.
        contract: String,
        /// The rulebook.
        policy_hash: String,
    },
}

/// A decision that does not follow from its own inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The record.
    pub seq: u64,
    /// Its decision.
    pub decision_id: String,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// The rulebooks beside a ledger, loaded when a record first names them.
#[derive(Debug)]
pub struct Replay {
    folder: PathBuf,
    loaded: Vec<(Box<str>, Result<RuleSet, String>)>,
    /// The place of the rulebook that the last record named: most name the same.
    last: usize,
    comparison: Comparison,
}

impl Replay {
    /// A replay of the ledger in `ledger_dir`.
    #[must_use]
    pub fn of(ledger_dir: &Path) -> Self {
        Self {
            folder: ledger_dir.join("rulebooks"),
            loaded: Vec::new(),
            last: 0,
            comparison: Comparison::default(),
        }
    }

    /// Judges one decision again. `Ok(None)` = it follows from its inputs.
    ///
    /// # Errors
    /// [`ReplayError`] where it cannot be judged.
    pub fn check(&mut self, record: &Record<'_>) -> Result<Option<Mismatch>, ReplayError> {
        let (line, judged) = self.judge(record)?;
        let differences = self.differences(&line, &judged)?;
        if differences.is_empty() {
            return Ok(None);
        }
        Ok(Some(Mismatch {
            seq: record.seq,
            decision_id: line.decision_id.to_owned(),
            differences,
        }))
    }

    /// The arguments of a recorded decision and its judgement under its own rulebook.
    ///
    /// # Errors
    /// [`ReplayError`] where it cannot be judged.
    pub fn judge<'r>(
        &mut self,
        record: &Record<'r>,
    ) -> Result<(DecisionLine<'r>, Judgement), ReplayError> {
        let seq = record.seq;
        let line = DecisionLine::read(record).map_err(|error| ReplayError::Line { seq, error })?;
        let rules = self.rule_set(line.policy_hash)?;
        let judged = rules.judge(&line).ok_or_else(|| ReplayError::Contract {
            seq,
            contract: line.contract_id.unwrap_or_default().to_owned(),
            policy_hash: line.policy_hash.to_owned(),
        })?;
        Ok((line, judged))
    }

    /// What a decision says that does not follow from its inputs, its rulebook and itself.
    ///
    /// # Errors
    /// [`ReplayError::Rulebook`] where its rulebook cannot be read.
    pub fn differences(
        &mut self,
        line: &DecisionLine<'_>,
        judged: &Judgement,
    ) -> Result<Vec<Difference>, ReplayError> {
        let mut found = self.comparison.differences(line, judged);
        let rules = self.rule_set(line.policy_hash)?;
        let contract = line.contract_id.and_then(|id| rules.contract(id));
        found.append(&mut contradictions(line, judged, &rules.rules, contract));
        let alias_of = as_text(line.member("alias_of"));
        if let Some(id) = alias_of.filter(|id| !id.is_empty() && rules.contract(id).is_none()) {
            found.push(Difference {
                member: "alias_of".to_owned(),
                recorded: id.to_owned(),
                recomputed: "a contract of its rulebook".to_owned(),
            });
        }
        Ok(found)
    }

    /// The rulebook of a digest.
    ///
    /// # Errors
    /// [`ReplayError::Rulebook`] where it is not there, or not what its name says.
    pub fn rule_set(&mut self, digest: &str) -> Result<&RuleSet, ReplayError> {
        let is_it = |(named, _): &(Box<str>, _)| **named == *digest;
        if !self.loaded.get(self.last).is_some_and(is_it) {
            let known = self.loaded.iter().position(is_it);
            self.last = known.unwrap_or(self.loaded.len());
            if known.is_none() {
                // A failure is kept too: a missing file is looked for once, not per record.
                self.loaded
                    .push((digest.into(), load(&self.folder, digest)));
            }
        }
        match self.loaded.get(self.last) {
            Some((_, Ok(rules))) => Ok(rules),
            Some((_, Err(rule))) => Err(self.fault(digest, rule.clone())),
            None => Err(self.fault(digest, "is not there".to_owned())),
        }
    }

    fn fault(&self, digest: &str, rule: String) -> ReplayError {
        let path = self.folder.join(format!("{digest}.json"));
        ReplayError::Rulebook { path, rule }
    }
}

fn load(folder: &Path, digest: &str) -> Result<RuleSet, String> {
    let plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digest.len() != 64 || !digest.bytes().all(plain) {
        return Err("its name is not a digest".to_owned());
    }
    let path = folder.join(format!("{digest}.json"));
    let bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
    if hex::encode(Sha256::digest(&bytes)) != digest {
        return Err("its bytes do not hash to its name".to_owned());
    }
    let (contracts, rules) = canonical::read(&bytes).map_err(|error| error.to_string())?;
    Ok(RuleSet::new(rules, contracts))
}
