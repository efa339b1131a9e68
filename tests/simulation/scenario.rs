//! What a world is made of: contracts, an upstream, crowds of clients, and what happens to them.

use std::rc::Rc;

use tidegate::contract::{Contract, ContractId, ContractParts, Method, MethodSet, Terms};
use tidegate::policy::rules::Rules;
use tidegate::units::Tier;

use crate::upstream::Model;

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;

/// Clients of one kind.
#[derive(Clone)]
pub(crate) struct Crowd {
    pub(crate) first_client: u64,
    pub(crate) clients: u64,
    pub(crate) method: Method,
    /// One that ends in a slash gets a number of its own for each request.
    pub(crate) path: &'static str,
    pub(crate) upstream: usize,
    pub(crate) arrivals: Arrivals,
    /// The shortest and the longest wait of an attempt.
    pub(crate) patience_us: (u64, u64),
    pub(crate) retries: u8,
    /// The pause before the first retry; doubled each time, and shortened by up to a half.
    pub(crate) backoff_us: u64,
    pub(crate) obeys_retry_after: bool,
    /// Whether a retry says that it is one.
    pub(crate) declares: bool,
}

/// When a crowd's requests begin, whatever became of the earlier ones.
#[derive(Clone)]
pub(crate) enum Arrivals {
    /// By chance: at most so many in a thousand seconds, and how many at each instant.
    Poisson(u64, Rc<dyn Fn(u64) -> u64>),
    /// At these instants.
    At(Vec<u64>),
}

impl Arrivals {
    /// So many a second, by chance.
    pub(crate) fn steady(per_second: u64) -> Self {
        Self::Poisson(per_second * 1_000, Rc::new(move |_| per_second * 1_000))
    }

    /// So many a second, and `times` as many between two instants.
    pub(crate) fn crowded(per_second: u64, times: u64, (from, to): (u64, u64)) -> Self {
        let usual = per_second * 1_000;
        let rate = move |now| {
            if now >= from && now < to {
                usual * times
            } else {
                usual
            }
        };
        Self::Poisson(usual * times, Rc::new(rate))
    }

    /// One every `gap_us`, `count` times, the first at `from_us`.
    pub(crate) fn regular(from_us: u64, gap_us: u64, count: u64) -> Self {
        Self::At((0..count).map(|number| from_us + number * gap_us).collect())
    }
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            first_client: 1,
            clients: 400,
            method: Method::Get,
            path: "/api/",
            upstream: 0,
            arrivals: Arrivals::steady(50),
            patience_us: (SECOND, SECOND),
            retries: 0,
            backoff_us: 100 * MS,
            obeys_retry_after: false,
            declares: true,
        }
    }
}

/// A whole world.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) contracts: Vec<Contract>,
    pub(crate) rules: Rules,
    pub(crate) tier: Tier,
    /// Without it the clients ask the upstream itself.
    pub(crate) governed: bool,
    pub(crate) upstreams: Vec<Model>,
    pub(crate) crowds: Vec<Crowd>,
    pub(crate) ends_us: u64,
    pub(crate) tick_us: u64,
    /// Every how many decisions one goes through the ledger's format; all are judged again.
    pub(crate) records_every: u64,
    /// Wall-clock steps: when, and by how much.
    pub(crate) steps: Vec<(u64, i64)>,
    /// New rulebooks: when, and what is in them.
    pub(crate) swaps: Vec<(u64, Vec<Contract>)>,
}

impl Scenario {
    pub(crate) fn new(seed: u64, contracts: Vec<Contract>) -> Self {
        Self {
            seed,
            contracts,
            rules: Rules::default(),
            tier: Tier::Control,
            governed: true,
            upstreams: vec![Model::default()],
            crowds: vec![Crowd::default()],
            ends_us: MINUTE,
            tick_us: 100 * MS,
            records_every: 64,
            steps: Vec::new(),
            swaps: Vec::new(),
        }
    }
}

pub(crate) fn contract(id: &str, endpoint: &str, terms: Terms) -> Contract {
    let methods = MethodSet::EMPTY.with(Method::Get);
    let id = ContractId::new(id).unwrap();
    Contract::new(ContractParts::new(id, endpoint, methods, terms))
}

/// The contract `api` alone.
pub(crate) fn api(terms: Terms) -> Vec<Contract> {
    vec![contract("api", "GET /api/{id}", terms)]
}
