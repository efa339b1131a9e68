//! From event to line: the members of a record, in the sorted order of the canonical form.
//!
//! Runs on the ledger's writer thread. The frame (`prev`, `seq`, `v`, `hash`) is the ledger's.

use std::sync::Arc;

use super::action_lists::ActionLists;
use super::keys;

use crate::contract::Contract;
use crate::ledger::{Encode, EntryBuilder, Source, Summary};
use crate::observation::UNMATCHED;
use crate::pipeline::Way;
use crate::policy::rules::Severity;
use crate::record::{DecisionEvent, DecisionId, Event, OutcomeEvent, case_id};
use crate::rulebook::{Registry, Rulebook};
use crate::units::{BasisPoints, Factor};

/// Writes events as members; finds the rulebook of each by its serial.
#[derive(Debug)]
pub struct Encoder {
    registry: Arc<Registry>,
    instance: Box<str>,
    current: Arc<Rulebook>,
    lists: ActionLists,
    explained: bool,
}

impl Encoder {
    /// An encoder for the events of `instance`.
    #[must_use]
    pub fn new(registry: Arc<Registry>, instance: &str) -> Self {
        Self {
            current: registry.active().load_full(),
            registry,
            instance: instance.into(),
            lists: ActionLists::new(),
            explained: false,
        }
    }

    /// Adds the member `contributions` to every decision: for people, never for a ledger, because
    /// it follows from the inputs.
    #[must_use]
    pub const fn explained(mut self) -> Self {
        self.explained = true;
        self
    }

    /// The rulebook of a decision; the current one from here on.
    fn rulebook_of(&mut self, decision: &DecisionEvent) -> &Rulebook {
        // Always found: a rulebook is kept until no event in a ring can name it.
        if self.current.serial() != decision.rulebook
            && let Some(rulebook) = self.registry.by_serial(decision.rulebook)
        {
            self.current = rulebook;
        }
        &self.current
    }

    /// Pushes the members of one event's record.
    pub fn encode(&mut self, line: &mut EntryBuilder<'_>, boot: u32, worker: u8, event: &Event) {
        match event {
            Event::Decision(decision) => {
                self.rulebook_of(decision);
                let source = Origin {
                    instance: &self.instance,
                    lists: &self.lists,
                    boot,
                    worker,
                };
                encode_decision(line, &self.current, &source, decision, self.explained);
            }
            Event::Outcome(outcome) => encode_outcome(line, boot, worker, outcome),
        }
    }
}

impl Encode<Event> for Encoder {
    fn line(&mut self, entry: &mut EntryBuilder<'_>, source: Source, event: &Event) {
        self.encode(entry, source.boot.as_u32(), source.worker, event);
    }

    /// What was let through may be counted; whatever was held against a request needs its line.
    fn summary<'a>(&'a mut self, _: Source, event: &'a Event) -> Option<Summary<'a>> {
        let decision = match event {
            Event::Decision(decision) => decision,
            Event::Outcome(_) => return Some(Summary::Ended),
        };
        if decision.judgement.decision.severity() != Severity::Allow {
            return None;
        }
        let rulebook = self.rulebook_of(decision);
        let contract = rulebook
            .contract_of(decision.route as usize)
            .filter(|_| decision.contracted);
        Some(Summary::Admitted {
            n: decision.n,
            contract: contract.map_or(UNMATCHED, |contract| contract.id().as_str()),
            status: decision.ending.status,
            second: decision.wall_us / 1_000_000,
        })
    }
}

/// Where an event was made, and what its line is put together from.
struct Origin<'a> {
    instance: &'a str,
    lists: &'a ActionLists,
    boot: u32,
    worker: u8,
}

/// In the sorted order of the names, in parts that end where a letter does.
fn encode_decision(
    line: &mut EntryBuilder<'_>,
    rulebook: &Rulebook,
    origin: &Origin<'_>,
    event: &DecisionEvent,
    explained: bool,
) {
    let route = event.route as usize;
    let contract = rulebook.contract_of(route).filter(|_| event.contracted);
    from_abuse_to_contract(line, rulebook, contract, origin.lists, event);
    if explained {
        line.counts(keys::CONTRIBUTIONS, contributions(event));
    }
    from_decision_to_instance(line, contract, origin, event);
    from_insufficient_to_outcome(line, event);
    from_phase_to_worker(line, rulebook, origin, event);
}

fn from_abuse_to_contract(
    line: &mut EntryBuilder<'_>,
    rulebook: &Rulebook,
    contract: Option<&Contract>,
    lists: &ActionLists,
    event: &DecisionEvent,
) {
    let judgement = &event.judgement;
    let (decision, permit) = (&judgement.decision, &judgement.permit);
    line.uint(keys::ABUSE_BP, judgement.assessment.abuse().wide());
    line.list(keys::ACTIONS_TAKEN, lists.of(permit.taken()));
    let alias_of = event
        .alias_of
        .map(|index| rulebook.contract_of(index.get()));
    if let Some(contract) = alias_of.flatten() {
        line.text(keys::ALIAS_OF, contract.id().as_str());
    }
    line.list(keys::ALLOWED_ACTIONS, lists.of(permit.allowed()));
    if decision.severity() == Severity::Quarantine {
        let name = contract.map_or(UNMATCHED, |contract| contract.id().as_str());
        let cause = decision.deciding().code();
        line.text(
            keys::CASE_ID,
            &case_id(event.client, name, cause, event.wall_us),
        );
    }
    line.word(keys::CIRCUIT, event.signals.circuit.name());
    line.hex(keys::CLIENT, &event.client.0.to_be_bytes());
    if let Some(contract) = contract {
        line.text(keys::CONTRACT_ID, contract.id().as_str());
    }
}

fn from_decision_to_instance(
    line: &mut EntryBuilder<'_>,
    contract: Option<&Contract>,
    origin: &Origin<'_>,
    event: &DecisionEvent,
) {
    let judgement = &event.judgement;
    let id = DecisionId {
        boot: origin.boot,
        worker: origin.worker,
        n: event.n,
    };
    line.word(keys::DECISION, judgement.decision.severity().name());
    line.plain(keys::DECISION_ID, &id.digits());
    line.uint(keys::DISTRESS_BP, judgement.assessment.distress().wide());
    if let Some(key) = contract.map(Contract::endpoint_key) {
        line.text(keys::ENDPOINT_KEY, key);
    }
    line.uint(keys::ERROR_COUNT, event.ending.error_count());
    line.counts(keys::FACTORS, readings(event));
    inputs(line, event);
    line.text(keys::INSTANCE, origin.instance);
}

fn from_insufficient_to_outcome(line: &mut EntryBuilder<'_>, event: &DecisionEvent) {
    let insufficient = event.judgement.assessment.insufficient();
    if !insufficient.is_empty() {
        line.words(
            keys::INSUFFICIENT,
            sorted_names(|factor| insufficient.contains(factor)),
        );
    }
    line.word(keys::KIND, "decision");
    line.uint(keys::LATENCY_US, event.ending.latency_us);
    line.text(keys::METHOD, event.method_text());
    line.uint(keys::N, event.n);
    line.word(keys::OUTCOME, event.ending.outcome.name());
}

fn from_phase_to_worker(
    line: &mut EntryBuilder<'_>,
    rulebook: &Rulebook,
    origin: &Origin<'_>,
    event: &DecisionEvent,
) {
    let judgement = &event.judgement;
    let (decision, permit) = (&judgement.decision, &judgement.permit);
    line.uint(keys::PHASE, event.phase as u64);
    line.plain(keys::POLICY_HASH, rulebook.digest_hex().as_bytes());
    line.text(keys::POLICY_VERSION, &rulebook.rules().version);
    line.words(
        keys::REASON_CODES,
        decision.reasons().iter().map(|reason| reason.code()),
    );
    let recommended = origin.lists.of(permit.recommended());
    line.list(keys::RECOMMENDED_ACTIONS, recommended);
    line.uint(keys::RETRY_COUNT, u64::from(event.retry_count));
    line.uint(keys::RISK_BP, judgement.assessment.risk().wide());
    line.uint(keys::STATUS, u64::from(event.ending.status));
    line.word(keys::TIER, permit.tier().name());
    if event.trace_id != [0; 16] {
        line.hex(keys::TRACE_ID, &event.trace_id);
    }
    line.uint(keys::TS_US, event.wall_us);
    if !event.shape.is_empty() {
        line.text(keys::UNMATCHED_SHAPE, event.shape.as_str());
    }
    let route = event.route as usize;
    match event.way {
        Way::Refuse => {}
        Way::Forward | Way::Shadow => line.text(keys::UPSTREAM, rulebook.upstream_of(route)),
        Way::Divert => line.text(keys::UPSTREAM, rulebook.divert_upstream_of(route)),
    }
    line.uint(
        keys::UPSTREAM_STATUS,
        u64::from(event.ending.upstream_status),
    );
    line.uint(keys::WORKER, u64::from(origin.worker));
}

fn encode_outcome(line: &mut EntryBuilder<'_>, boot: u32, worker: u8, event: &OutcomeEvent) {
    let id = DecisionId {
        boot,
        worker,
        n: event.n,
    };
    line.plain(keys::DECISION_ID, &id.digits());
    line.word(keys::KIND, "outcome");
    line.uint(keys::LATENCY_US, event.ending.latency_us);
    line.uint(keys::STATUS, u64::from(event.ending.status));
    line.uint(keys::TS_US, event.wall_us);
    if let Some(error) = event.ending.error {
        line.word(keys::UPSTREAM_ERROR, error.name());
    }
    line.uint(
        keys::UPSTREAM_STATUS,
        u64::from(event.ending.upstream_status),
    );
}

fn contributions(event: &DecisionEvent) -> impl Iterator<Item = (&'static str, u64)> {
    let assessment = event.judgement.assessment;
    Factor::BY_NAME
        .into_iter()
        .map(move |factor| (factor.name(), assessment.contribution(factor).wide()))
        .filter(|(_, counted)| *counted > 0)
}

fn readings(event: &DecisionEvent) -> impl Iterator<Item = (&'static str, u64)> {
    let assessment = event.judgement.assessment;
    Factor::BY_NAME
        .into_iter()
        .map(move |factor| (factor.name(), assessment.reading(factor)))
        .filter(|(_, reading)| *reading > BasisPoints::ZERO)
        .map(|(name, reading)| (name, reading.wide()))
}

fn sorted_names(wanted: impl Fn(Factor) -> bool) -> impl Iterator<Item = &'static str> {
    Factor::BY_NAME
        .into_iter()
        .filter(move |factor| wanted(*factor))
        .map(Factor::name)
}

/// Zeros at the end say nothing, so they are left out; most records have many.
fn inputs(line: &mut EntryBuilder<'_>, event: &DecisionEvent) {
    let inputs = event.signals.to_inputs();
    let used = inputs
        .iter()
        .rposition(|&input| input != 0)
        .map_or(0, |last| last + 1);
    line.ints(keys::INPUTS, inputs.into_iter().take(used));
}
