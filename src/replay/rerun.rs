//! Runs recorded requests through a candidate's pipeline, in virtual time.
//!
//! Unlike a judgement of each record, limits, windows and circuits fill here as the candidate's
//! would. Invariant: two runs over the same records give the same result. What the records cannot
//! tell is assumed, and counted: above all what an upstream would have answered to a request that
//! never reached it. Deliberately not here: state from before the first record.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::arrivals::{Arrivals, Place, Recorded};
use super::course::{DIVERTED, course};
use crate::contract::{Contract, Method, Pairing, PathFault, canonicalise};
use crate::observation::{Arrival, ClientKey, Ending, RequestKey, RetryKind, UNMATCHED};
use crate::pipeline::{Admission, Way};
use crate::record::DecisionId;
use crate::rulebook::Rulebook;
use crate::simulate::{Engine, Fate, Origin, Told};
use crate::units::Tier;

/// What is assumed of an upstream that was never asked.
const ASSUMED_STATUS: u16 = 200;

/// What was taken for granted, in requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Assumed {
    /// They would be forwarded, and what the upstream would have answered is not recorded: status
    /// 200 after the median latency of the contract's recorded answers (of half its
    /// `max_latency_ms` where there are none).
    pub outcomes: u64,
    /// The candidate may give their path to another contract; which path it was is not recorded.
    pub paths: u64,
    /// Process and contract of the candidate allow more than the recorded tier; that of the
    /// listener is not recorded.
    pub tiers: u64,
    /// The candidate reads fields of requests, which are not recorded: one that names the client,
    /// so that its address counts too, or one that declares a retry and did not before.
    pub fields: u64,
}

impl Assumed {
    /// How often anything was assumed.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.outcomes + self.paths + self.tiers + self.fields
    }
}

/// A request that would fare otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherCourse {
    /// Its record.
    pub seq: u64,
    /// Its decision.
    pub id: DecisionId,
    /// When, microseconds since 1970.
    pub ts_us: u64,
    /// The contract it was recorded under.
    pub contract: Arc<str>,
    /// What became of it.
    pub from: &'static str,
    /// What would have become of it.
    pub to: &'static str,
}

/// What came of running everything again.
#[derive(Debug, Default)]
pub struct Rerun {
    /// Requests that were run.
    pub requests: u64,
    /// Those that would fare otherwise, in the order of their records.
    pub changed: Vec<OtherCourse>,
    /// What was assumed.
    pub assumed: Assumed,
}

impl Rerun {
    /// How many fare otherwise, per contract, from what to what.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<(&str, &'static str, &'static str), u64> {
        let mut counts = BTreeMap::new();
        for change in &self.changed {
            let key = (&*change.contract, change.from, change.to);
            *counts.entry(key).or_default() += 1;
        }
        counts
    }
}

/// Runs everything that arrived under a rulebook that has seen nothing yet.
#[must_use]
pub fn rerun(mut arrivals: Arrivals, rulebook: &Rulebook) -> Rerun {
    arrivals.settle();
    let mut run = Run::new(&arrivals.list, rulebook);
    for arrival in &arrivals.list {
        run.one(arrival);
    }
    let mut result = run.result;
    result.changed.sort_by_key(|change| change.seq);
    result
}

struct Run<'a> {
    engine: Engine<'a>,
    rulebook: &'a Rulebook,
    origin: Origin,
    /// By the one copy of each place.
    pairings: HashMap<*const Place, Pairing>,
    names: HashMap<Box<str>, Arc<str>>,
    latencies: HashMap<Option<&'a str>, u64>,
    failed: HashMap<(ClientKey, Method, *const Place), RequestKey>,
    result: Rerun,
}

impl<'a> Run<'a> {
    fn new(list: &'a [Recorded], rulebook: &'a Rulebook) -> Self {
        let origin = Origin::before(list.first().map_or(0, |first| first.wall_us));
        Self {
            // The status of a refusal is written down, and nothing here is.
            engine: Engine::new(rulebook, |_, _| 0).starting_at(origin),
            rulebook,
            origin,
            pairings: HashMap::new(),
            names: HashMap::new(),
            latencies: median_latencies(list),
            failed: HashMap::new(),
            result: Rerun::default(),
        }
    }

    fn one(&mut self, recorded: &Recorded) {
        let pairing = self.pairing(&recorded.place);
        let contract = match pairing {
            Pairing::Contracted(index) | Pairing::MethodNotAllowed(index) => {
                self.rulebook.contract_of(index.get())
            }
            Pairing::Unknown | Pairing::Ambiguous(_) | Pairing::Alias { .. } => None,
        };
        let mut arrival = self.arrival(recorded);
        // Where the list is another one, the record does not say whether it has the caller.
        arrival.undeclared &= contract.is_some_and(|contract| !contract.consumers().is_empty());
        let fate = recorded
            .fate
            .unwrap_or_else(|| self.assumed(recorded, contract));
        let admission = self.engine.offer(pairing, &arrival, fate, &Told::default());
        while self.engine.next_ended().is_some() {}
        self.count(recorded, contract, &admission);
    }

    fn count(&mut self, recorded: &Recorded, contract: Option<&Contract>, admission: &Admission) {
        let to = course(&admission.judgement, admission.way);
        let assumed = &mut self.result.assumed;
        let is_elsewhere = (recorded.course == DIVERTED) != (admission.way == Way::Divert);
        let is_untold = recorded.fate.is_none() || is_elsewhere;
        assumed.outcomes += u64::from(admission.is_forwarded() && is_untold);
        assumed.paths += u64::from(recorded.place.is_assumed);
        let bound = contract.and_then(|contract| contract.terms().tier);
        let ceiling = self.rulebook.tier().min(bound.unwrap_or(Tier::Autonomous));
        assumed.tiers += u64::from(ceiling > recorded.tier);
        let limits_names = |contract: &Contract| {
            contract.client_header().is_some() && contract.terms().client_rate_limit.is_some()
        };
        let is_named = contract.is_some_and(limits_names) || recorded.place.is_key_changed;
        assumed.fields += u64::from(is_named || recorded.place.may_declare);
        self.result.requests += 1;
        if to != recorded.course {
            let name = recorded.place.contract.as_deref().unwrap_or(UNMATCHED);
            let names = self.names.entry(name.into());
            self.result.changed.push(OtherCourse {
                seq: recorded.seq,
                id: recorded.id,
                ts_us: recorded.wall_us,
                contract: Arc::clone(names.or_insert_with(|| name.into())),
                from: recorded.course,
                to,
            });
        }
    }

    fn pairing(&mut self, place: &Arc<Place>) -> Pairing {
        let catalogue = self.rulebook.catalogue();
        let find = || {
            let path = place.path.as_deref().unwrap_or_default();
            let raw_path = path.as_bytes();
            let path = canonicalise(raw_path);
            let path = path.as_ref().map_err(|fault| *fault);
            catalogue.pair(place.method, raw_path, path)
        };
        let pairing = self.pairings.entry(Arc::as_ptr(place)).or_insert_with(|| {
            match find() {
                // What made it ambiguous may be what its shape leaves out.
                Pairing::Unknown if place.is_ambiguous => {
                    place.with_alias(catalogue, Some(PathFault::EncodedSlash))
                }
                Pairing::Unknown => place.with_alias(catalogue, None),
                Pairing::Ambiguous(fault) => place.with_alias(catalogue, Some(fault)),
                found => found,
            }
        });
        *pairing
    }

    /// Two requests are the same where the record says that one repeats the other: it has no path,
    /// so the one that is repeated is the client's last failed one of that method and contract.
    fn arrival(&mut self, recorded: &Recorded) -> Arrival {
        let group = (
            recorded.client,
            recorded.place.method,
            Arc::as_ptr(&recorded.place),
        );
        let repeated = self.failed.get(&group).copied();
        let own = || {
            let number = self.result.requests.to_le_bytes();
            RequestKey::of(recorded.client, recorded.place.method, &number, None)
        };
        let request = repeated
            .filter(|_| recorded.retry == RetryKind::Seen)
            .unwrap_or_else(own);
        if recorded.fate.is_some_and(|fate| is_failure(&fate)) {
            self.failed.insert(group, request);
        }
        Arrival {
            method: recorded.place.method,
            client: recorded.client,
            address: None,
            request,
            privileged: recorded.is_privileged,
            at: self.origin.at(recorded.wall_us),
            listener_tier: recorded.listener_tier,
            declared_retries: recorded.declared_retries,
            has_body: false,
            ledger: recorded.ledger,
            undeclared: recorded.undeclared,
        }
    }

    fn assumed(&self, recorded: &Recorded, contract: Option<&Contract>) -> Fate {
        let half = |contract: &Contract| contract.terms().max_latency.as_micros() / 2;
        let id = contract.map(|contract| contract.id().as_str());
        let known = self.latencies.get(&id);
        let known = known.or_else(|| self.latencies.get(&recorded.place.contract.as_deref()));
        Fate {
            status: ASSUMED_STATUS,
            upstream_status: ASSUMED_STATUS,
            latency_us: known.copied().unwrap_or_else(|| contract.map_or(0, half)),
            ending: Ending::Answered,
        }
    }
}

const fn is_failure(fate: &Fate) -> bool {
    fate.upstream_status >= 500 || !matches!(fate.ending, Ending::Answered)
}

/// The median of what upstreams took to answer, per contract.
fn median_latencies(list: &[Recorded]) -> HashMap<Option<&str>, u64> {
    let mut all: HashMap<Option<&str>, Vec<u64>> = HashMap::new();
    for recorded in list {
        if let Some(fate) = recorded.fate.filter(|fate| fate.ending == Ending::Answered) {
            let contract = recorded.place.contract.as_deref();
            all.entry(contract).or_default().push(fate.latency_us);
        }
    }
    let median = |mut taken: Vec<u64>| {
        let middle = taken.len() / 2;
        let (_, median, _) = taken.select_nth_unstable(middle);
        *median
    };
    all.into_iter()
        .map(|(id, taken)| (id, median(taken)))
        .collect()
}
