//! Judges recorded decisions again: from the record's own inputs and the rulebook it names.
//!
//! Zero differences is the bar. A candidate can be judged on the same inputs: then the question is
//! not whether the record is true, but what the candidate would have decided.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::contract::Contract;
use crate::ledger::Record;
use crate::pipeline::{Judgement, judge};
use crate::policy::canonical;
use crate::policy::rules::{Rules, Severity};
use crate::record::{DecisionLine, Difference, LineError, differences};
use crate::units::BasisPoints;

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
    loaded: HashMap<Box<str>, RuleSet>,
}

impl Replay {
    /// A replay of the ledger in `ledger_dir`.
    #[must_use]
    pub fn of(ledger_dir: &Path) -> Self {
        Self {
            folder: ledger_dir.join("rulebooks"),
            loaded: HashMap::new(),
        }
    }

    /// Judges one decision again. `Ok(None)` = it follows from its inputs.
    ///
    /// # Errors
    /// [`ReplayError`] where it cannot be judged.
    pub fn check(&mut self, record: &Record<'_>) -> Result<Option<Mismatch>, ReplayError> {
        let (line, judged) = self.judge(record)?;
        let differences = differences(record, &line.signals, &judged);
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

    /// The rulebook of a digest.
    ///
    /// # Errors
    /// [`ReplayError::Rulebook`] where it is not there, or not what its name says.
    pub fn rule_set(&mut self, digest: &str) -> Result<&RuleSet, ReplayError> {
        if !self.loaded.contains_key(digest) {
            let rules = load(&self.folder, digest)?;
            self.loaded.insert(digest.into(), rules);
        }
        self.loaded
            .get(digest)
            .ok_or_else(|| fault(&self.folder, "is not there".to_owned()))
    }
}

fn fault(path: &Path, rule: String) -> ReplayError {
    ReplayError::Rulebook {
        path: path.to_owned(),
        rule,
    }
}

fn load(folder: &Path, digest: &str) -> Result<RuleSet, ReplayError> {
    let plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let path = folder.join(format!("{digest}.json"));
    if digest.len() != 64 || !digest.bytes().all(plain) {
        return Err(fault(folder, format!("{digest:?} is not a digest")));
    }
    let bytes = std::fs::read(&path).map_err(|error| fault(&path, error.to_string()))?;
    if hex::encode(Sha256::digest(&bytes)) != digest {
        return Err(fault(&path, "its bytes do not hash to its name".to_owned()));
    }
    let (contracts, rules) =
        canonical::read(&bytes).map_err(|error| fault(&path, error.to_string()))?;
    Ok(RuleSet::new(rules, contracts))
}

/// What a candidate would have decided on the same inputs.
#[derive(Debug, Default)]
pub struct Impact {
    /// Decisions judged under both.
    pub judged: u64,
    /// Decisions of contracts that the candidate does not have.
    pub not_replayable: u64,
    /// How many changed, per contract, from what to what.
    pub changed: BTreeMap<(String, &'static str, &'static str), u64>,
}

impl Impact {
    /// Adds one recorded decision.
    pub fn add(&mut self, line: &DecisionLine<'_>, recorded: Severity, candidate: &RuleSet) {
        let Some(judged) = candidate.judge(line) else {
            self.not_replayable += 1;
            return;
        };
        self.judged += 1;
        let would_be = judged.decision.severity();
        if would_be != recorded {
            let contract = line.contract_id.unwrap_or(crate::observation::UNMATCHED);
            let key = (contract.to_owned(), recorded.name(), would_be.name());
            *self.changed.entry(key).or_default() += 1;
        }
    }

    /// How many decisions changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changed.values().sum()
    }
}

/// The score of a judgement as a share, for people.
#[must_use]
pub fn percent(score: BasisPoints) -> String {
    format!("{}.{:02} %", score.get() / 100, score.get() % 100)
}
