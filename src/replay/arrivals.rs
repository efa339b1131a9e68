//! What a ledger tells of the requests that arrived: enough to run them again.
//!
//! A record has no path. A request whose contract is known is given the template for a path: the
//! matcher takes `{id}` for a parameter and never for a literal. One that no contract claimed has
//! the shape of its path, with `{}` for what looked like an identifier. Where that may be another
//! path than the one that came, the request is marked, and counted as assumed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::course::recorded_course;
use super::impact::Candidate;
use crate::bundle::change::losing_paths;
use crate::contract::{Catalogue, Contract, Folds, Method, Pairing, PathFault, Stage};
use crate::ledger::{Record, as_text, as_uint};
use crate::observation::{ClientKey, Ending, LedgerStanding, RetryKind, Standing, UpstreamError};
use crate::record::{DecisionId, DecisionLine, SHAPE_BYTES_MAX};
use crate::replay::RuleSet;
use crate::simulate::Fate;
use crate::units::Tier;

/// Everything that arrived, in no order: about 150 bytes each.
#[derive(Debug, Default)]
pub struct Arrivals {
    pub(super) list: Vec<Recorded>,
    outcomes: HashMap<DecisionId, Fate>,
    places: HashSet<Arc<Place>>,
    moved: HashMap<Box<str>, Moved>,
}

/// Where a request belongs.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) contract: Option<Box<str>>,
    /// A template, or the shape of a path; `None` = the path had no canonical form.
    pub(super) path: Option<Box<str>>,
    pub(super) method: Method,
    pub(super) is_ambiguous: bool,
    /// The contract that a looser reading of the path would have reached, and how it was read: its
    /// spelling is not in the shape.
    pub(super) alias: Option<(Box<str>, Folds)>,
    /// The path may have been one that the candidate gives to another contract.
    pub(super) is_assumed: bool,
    /// The candidate tells its clients apart by something else.
    pub(super) is_key_changed: bool,
    /// The candidate knows retries by a field that was not read.
    pub(super) may_declare: bool,
}

impl Place {
    /// What the path is that no contract has, where the candidate has the contract that the
    /// recorded one was an alias of, and where it has not.
    pub(super) fn with_alias(&self, catalogue: &Catalogue, fault: Option<PathFault>) -> Pairing {
        let alias = self.alias.as_ref();
        let known = alias.and_then(|(id, folds)| Some((catalogue.find(id)?, *folds)));
        match (known, fault) {
            (Some((contract, folds)), fault) => Pairing::Alias {
                contract,
                folds,
                fault,
            },
            (None, Some(fault)) => Pairing::Ambiguous(fault),
            (None, None) => Pairing::Unknown,
        }
    }
}

/// One request as its record tells it.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) seq: u64,
    pub(super) id: DecisionId,
    pub(super) wall_us: u64,
    pub(super) place: Arc<Place>,
    pub(super) client: ClientKey,
    pub(super) listener_tier: Tier,
    pub(super) tier: Tier,
    pub(super) is_privileged: bool,
    pub(super) retry: RetryKind,
    pub(super) declared_retries: u8,
    pub(super) ledger: LedgerStanding,
    pub(super) undeclared: bool,
    /// What became of it.
    pub(super) course: &'static str,
    /// What its upstream did; `None` where it was not asked, or the end is not recorded.
    pub(super) fate: Option<Fate>,
}

/// What the candidate does to the paths of one recorded rulebook.
#[derive(Debug, Default)]
struct Moved {
    losers: BTreeSet<Box<str>>,
    has_other_templates: bool,
    reads_other_fields: bool,
}

impl Arrivals {
    /// Adds a decision; one of a head that could not be read is judged by no policy.
    pub fn add(
        &mut self,
        seq: u64,
        line: &DecisionLine<'_>,
        candidate: &Candidate,
        under: Option<&RuleSet>,
    ) {
        let signals = &line.signals;
        let Some(id) = DecisionId::from_text(line.decision_id) else {
            return;
        };
        if signals.standing == Standing::Malformed {
            return;
        }
        let contract = line.contract_id.and_then(|id| under?.contract(id));
        let is_explained = contract.is_some_and(|contract| explains(contract, signals.tier))
            || signals.ledger == LedgerStanding::ObserveOnly;
        let retries = as_uint(line.member("retry_count")).unwrap_or(0);
        let place = self.place(line, contract, candidate, under);
        self.list.push(Recorded {
            seq,
            id,
            wall_us: line.wall_us,
            place,
            client: line.client,
            // The tiers of process and listener are in no record, only the lowest of all.
            listener_tier: if is_explained {
                Tier::Autonomous
            } else {
                signals.tier
            },
            tier: signals.tier,
            is_privileged: signals.class == 2,
            retry: signals.retry,
            declared_retries: u8::try_from(retries).unwrap_or(u8::MAX),
            ledger: signals.ledger,
            undeclared: signals.undeclared,
            course: recorded_course(line, contract.map(|contract| contract.terms().quarantine)),
            fate: fate_of(line),
        });
    }

    /// Adds the end of a request that was still running when its decision was written.
    pub fn add_outcome(&mut self, record: &Record<'_>) {
        let id = record.text("decision_id").and_then(DecisionId::from_text);
        let number = |name| record.uint(name).unwrap_or(0);
        let is_failed = record.member("upstream_error").is_some();
        let fate = fate(
            number("status"),
            number("upstream_status"),
            number("latency_us"),
            is_failed,
        );
        if let (Some(id), "outcome") = (id, record.kind) {
            self.outcomes.insert(id, fate);
        }
    }

    /// Adds what another one holds.
    pub fn merge(&mut self, other: Self) {
        self.list.extend(other.list);
        self.outcomes.extend(other.outcomes);
    }

    /// In the order of their arrival, with the ends that came later.
    pub(super) fn settle(&mut self) {
        let Self {
            list,
            outcomes,
            places,
            ..
        } = self;
        for arrival in list.iter_mut() {
            arrival.fate = arrival.fate.or_else(|| outcomes.get(&arrival.id).copied());
            // Each thread that read had places of its own; the same place is one from here on.
            match places.get(&arrival.place) {
                Some(known) => arrival.place = Arc::clone(known),
                None => _ = places.insert(Arc::clone(&arrival.place)),
            }
        }
        list.sort_by_key(|arrival| (arrival.wall_us, arrival.id, arrival.seq));
    }

    fn place(
        &mut self,
        line: &DecisionLine<'_>,
        contract: Option<&Contract>,
        candidate: &Candidate,
        under: Option<&RuleSet>,
    ) -> Arc<Place> {
        let template = contract.map(Contract::template);
        // Where the rulebook is gone, the record has the endpoint; a method stands before it.
        let endpoint = as_text(line.member("endpoint_key"));
        let told = endpoint.and_then(|key| Some(key.split_once(' ')?.1));
        let path = template
            .or(told)
            .or(as_text(line.member("unmatched_shape")));
        let moved = self.moved(line.policy_hash, candidate, under);
        let is_assumed = match line.contract_id {
            Some(id) => moved.losers.contains(id) || is_spelling_refused(contract, candidate),
            None => moved.has_other_templates && path.is_some_and(is_shortened),
        };
        let place = Place {
            contract: line.contract_id.map(Into::into),
            path: path.map(Into::into),
            method: Method::from_token(as_text(line.member("method")).unwrap_or_default()),
            is_ambiguous: line.signals.standing == Standing::Ambiguous,
            alias: as_text(line.member("alias_of"))
                .map(|id| (id.into(), Folds::from_bits(line.signals.alias))),
            is_assumed,
            is_key_changed: is_key_changed(contract, candidate),
            may_declare: moved.reads_other_fields,
        };
        if let Some(known) = self.places.get(&place) {
            return Arc::clone(known);
        }
        let place = Arc::new(place);
        self.places.insert(Arc::clone(&place));
        place
    }

    fn moved(&mut self, digest: &str, candidate: &Candidate, under: Option<&RuleSet>) -> &Moved {
        let moved = |under: &RuleSet| {
            let (old, new) = (|| under.contracts(), || candidate.rules().contracts());
            let known: HashSet<&str> = old().map(Contract::template).collect();
            let read = &under.rules().retry.headers;
            let fields = candidate.rules().rules().retry.headers.iter();
            Moved {
                reads_other_fields: fields.into_iter().any(|name| !read.contains(name)),
                losers: losing_paths(old(), new())
                    .into_iter()
                    .map(Into::into)
                    .collect(),
                has_other_templates: new().any(|contract| !known.contains(contract.template())),
            }
        };
        let entry = self.moved.entry(digest.into());
        entry.or_insert_with(|| under.map(moved).unwrap_or_default())
    }
}

/// Whether the contract alone gives a request this tier: by its own, or by its stage, which leaves
/// nothing to those that it is not enforced upon.
fn explains(contract: &Contract, tier: Tier) -> bool {
    let terms = contract.terms();
    terms.tier == Some(tier) || (terms.stage != Stage::Enforced && tier == Tier::ObserveOnly)
}

/// Whether the contract took spellings of paths that the candidate's does not: which request had
/// one is in no record.
fn is_spelling_refused(contract: Option<&Contract>, candidate: &Candidate) -> bool {
    let Some(old) = contract else {
        return false;
    };
    let new = candidate.rules().contract(old.id().as_str());
    let rules = |contract: &Contract| contract.terms().path_rules;
    new.is_some_and(|new| {
        let (old, new) = (rules(old), rules(new));
        old.allow_encoded_slash && !new.allow_encoded_slash
            || old.merge_slashes && !new.merge_slashes
    })
}

/// Whether clients with a limit of their own go by another key than before, or other callers are
/// named: no record has the name.
fn is_key_changed(contract: Option<&Contract>, candidate: &Candidate) -> bool {
    let new = contract.and_then(|old| candidate.rules().contract(old.id().as_str()));
    contract.zip(new).is_some_and(|(old, new)| {
        let is_limited = new.terms().client_rate_limit.is_some();
        let is_other_list = !new.consumers().is_empty() && old.consumers() != new.consumers();
        is_other_list || is_limited && old.client_header() != new.client_header()
    })
}

/// Whether a shape stands for more paths than one.
fn is_shortened(shape: &str) -> bool {
    shape.contains("{}") || shape.len() + "/{}".len() > SHAPE_BYTES_MAX
}

/// What the upstream did to a request that was forwarded and has ended.
fn fate_of(line: &DecisionLine<'_>) -> Option<Fate> {
    if line.member("upstream").is_empty() || as_text(line.member("outcome")) != Some("done") {
        return None;
    }
    let number = |name| as_uint(line.member(name)).unwrap_or(0);
    let is_failed = number("error_count") > 0 && number("upstream_status") == 0;
    Some(fate(
        number("status"),
        number("upstream_status"),
        number("latency_us"),
        is_failed,
    ))
}

/// How the upstream failed is not in a decision: silence has a status of its own, and all else
/// means the same to circuit and windows.
fn fate(status: u64, upstream_status: u64, latency_us: u64, is_failed: bool) -> Fate {
    const GATEWAY_TIMEOUT: u64 = 504;
    let code = |status: u64| u16::try_from(status).unwrap_or(0);
    Fate {
        status: code(status),
        upstream_status: code(upstream_status),
        latency_us,
        ending: match (is_failed, status, upstream_status) {
            (true, GATEWAY_TIMEOUT, _) => Ending::Upstream(UpstreamError::Timeout),
            (true, ..) => Ending::Upstream(UpstreamError::Connect),
            (false, _, 0) => Ending::ClientAbort,
            (false, ..) => Ending::Answered,
        },
    }
}
