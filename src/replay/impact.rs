//! What a candidate would have decided on the inputs of recorded decisions.
//!
//! Limits and tier are asked again, because a candidate may have others. What a record cannot tell
//! is not guessed in silence: it is counted. Deliberately not here: how the candidate's own limits
//! would have filled ([`rerun`](super::rerun())); each record is asked with the state that it carries.

use std::collections::BTreeMap;

use crate::contract::Terms;
use crate::decision::{numbered_hash, shed_hash};
use crate::enforcement::Measure;
use crate::observation::{Signals, Standing, Take, UNMATCHED};
use crate::pipeline::{Judgement, asks_limits, contract_ceiling, judge};
use crate::policy::rules::Severity;
use crate::record::DecisionLine;
use crate::replay::RuleSet;
use crate::replay::course::recorded;
use crate::replay::limits::ask;
use crate::units::Tier;

/// Rules, contracts and the process's tier of a configuration that is not in force.
#[derive(Debug)]
pub struct Candidate {
    rules: RuleSet,
    tier: Tier,
}

impl Candidate {
    /// A candidate for these rules under this tier of the process.
    #[must_use]
    pub const fn new(rules: RuleSet, tier: Tier) -> Self {
        Self { rules, tier }
    }

    /// The most that process and contract would allow for the client; a listener may allow less.
    fn ceiling(&self, terms: Option<&Terms>, line: &DecisionLine<'_>) -> Tier {
        let contract = line.contract_id.unwrap_or(UNMATCHED);
        let own = terms.map(|terms| contract_ceiling(terms, line.client, contract));
        own.map_or(self.tier, |own| own.min(self.tier))
    }

    fn judge(&self, terms: Option<&Terms>, signals: &Signals) -> Judgement {
        judge(self.rules.rules(), terms, signals)
    }

    /// Its rules and contracts.
    #[must_use]
    pub const fn rules(&self) -> &RuleSet {
        &self.rules
    }
}

/// What a candidate would have decided on the same inputs.
#[derive(Debug, Default)]
pub struct Impact {
    /// Decisions judged under both.
    pub judged: u64,
    /// Of these, decisions that no contract claimed: a new route of the candidate might.
    pub unmatched: u64,
    /// Of these, decisions whose record does not hold the state of a limit that the candidate
    /// would ask: the limit is taken as granted.
    pub limits_assumed: u64,
    /// Of these, decisions that were asked another rate limit, each with the state that its own
    /// left: how the other would have filled over time is not in a record.
    pub rate_estimated: u64,
    /// Of these, decisions made under a lower tier than the candidate's process and contract have:
    /// the recorded tier is kept, because the listener's is in no record.
    pub tier_assumed: u64,
    /// Decisions of contracts that the candidate does not have.
    pub not_replayable: u64,
    /// How many changed, per contract, from what to what.
    pub changed: BTreeMap<(String, &'static str, &'static str), u64>,
}

impl Impact {
    /// Adds one recorded decision; gives what it was and what it would be, where these differ.
    /// `recorded` is the rulebook it was made under, where it is known: it tells which limits the
    /// record holds the state of.
    pub fn add(
        &mut self,
        line: &DecisionLine<'_>,
        candidate: &Candidate,
        recorded: Option<&RuleSet>,
    ) -> Option<(&'static str, &'static str)> {
        let terms = terms_in(&candidate.rules, line);
        if line.contract_id.is_some() && terms.is_none() {
            self.not_replayable += 1;
            return None;
        }
        self.judged += 1;
        self.unmatched += u64::from(line.contract_id.is_none());
        let judged = self.judge(line, candidate, terms.as_ref(), recorded);
        let (was, would_be) = (recorded_course(line), course_of(&judged));
        if would_be == was {
            return None;
        }
        let contract = line.contract_id.unwrap_or(UNMATCHED);
        let key = (contract.to_owned(), was, would_be);
        *self.changed.entry(key).or_default() += 1;
        Some((was, would_be))
    }

    /// Adds what another impact has counted.
    pub fn merge(&mut self, other: Self) {
        self.judged += other.judged;
        self.unmatched += other.unmatched;
        self.limits_assumed += other.limits_assumed;
        self.rate_estimated += other.rate_estimated;
        self.tier_assumed += other.tier_assumed;
        self.not_replayable += other.not_replayable;
        for (key, count) in other.changed {
            *self.changed.entry(key).or_default() += count;
        }
    }

    /// How many decisions changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changed.values().sum()
    }

    fn judge(
        &mut self,
        line: &DecisionLine<'_>,
        candidate: &Candidate,
        terms: Option<&Terms>,
        recorded: Option<&RuleSet>,
    ) -> Judgement {
        let ceiling = candidate.ceiling(terms, line);
        self.tier_assumed += u64::from(ceiling > line.signals.tier);
        let contract = line.contract_id.unwrap_or(UNMATCHED);
        let mut signals = Signals {
            tier: line.signals.tier.min(ceiling),
            // A record carries the hash only where its own policy needed it.
            shed_hash: match line.signals.draw_number {
                0 => shed_hash(line.client, line.wall_us, contract),
                number => numbered_hash(line.client, number, contract),
            },
            take: Take::NotAsked,
            ..line.signals
        };
        let judged = candidate.judge(terms, &signals);
        if !asks_limits(&judged, terms, &signals) {
            return judged;
        }
        let unknown = line.signals.standing == Standing::Unknown;
        let had = recorded.and_then(|rules| match unknown {
            true => Some(unknown_limits(rules)),
            false => terms_in(rules, line),
        });
        let has = match unknown {
            true => Some(unknown_limits(&candidate.rules)),
            false => terms.copied(),
        };
        let Some(mut has) = has else {
            return judged;
        };
        // What is set apart does not meet its client's own limit.
        if judged.decision.severity() != Severity::Allow {
            has.client_rate_limit = None;
        }
        let asked = ask(&has, &line.signals, had.as_ref());
        self.limits_assumed += u64::from(asked.is_assumed);
        self.rate_estimated += u64::from(asked.is_estimated);
        signals.take = asked.take;
        candidate.judge(terms, &signals)
    }
}

fn terms_in(rules: &RuleSet, line: &DecisionLine<'_>) -> Option<Terms> {
    let contract = line.contract_id.and_then(|id| rules.contract(id));
    contract.map(|contract| *contract.terms())
}

/// The limits of unknown paths, as if they were a contract's.
fn unknown_limits(rules: &RuleSet) -> Terms {
    let unknown = &rules.rules().unknown_endpoint;
    Terms {
        rate_limit: Some(unknown.rate_limit),
        burst: Some(unknown.burst),
        ..Terms::default()
    }
}

/// A decision and whether the tier let it be carried out, in one name.
fn course(severity: Severity, is_taken: bool) -> &'static str {
    match (severity, is_taken) {
        (Severity::Allow, _) => "ALLOW",
        (Severity::Throttle, true) => "THROTTLE",
        (Severity::Throttle, false) => "THROTTLE withheld",
        (Severity::Quarantine, true) => "QUARANTINE",
        (Severity::Quarantine, false) => "QUARANTINE withheld",
        (Severity::Drop, true) => "DROP",
        (Severity::Drop, false) => "DROP withheld",
    }
}

fn course_of(judged: &Judgement) -> &'static str {
    let withheld = judged.permit.measure() == Measure::Forward;
    course(judged.decision.severity(), !withheld)
}

fn recorded_course(line: &DecisionLine<'_>) -> &'static str {
    recorded(line).map_or("none", |(severity, is_taken)| course(severity, is_taken))
}
