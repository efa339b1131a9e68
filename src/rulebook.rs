//! A rulebook: compiled contracts, rules and tier, with the digest that names them.
//!
//! A request loads the active rulebook once and keeps it to its end; its record names it. Whoever
//! has the record and the file of that digest can judge the request again.

mod notice;
mod parts;
mod registry;

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::contract::{Catalogue, Contract, Throttle};
use crate::observation::{Board, Limit, RouteState, Signals, Standing};
use crate::policy::rules::Rules;
use crate::risk;
use crate::units::{PerMinute, Tier};

pub use notice::DeprecationNotice;
pub use parts::{BundleFacts, LocalParts, RulebookParts, signed_tier};
pub use registry::Registry;

/// One compiled policy with its contracts, never changed after it was made.
#[derive(Debug)]
pub struct Rulebook {
    serial: u32,
    digest_hex: Box<str>,
    catalogue: Catalogue,
    rules: Rules,
    tier: Tier,
    default_upstream: Box<str>,
    /// Of each route; empty where no contract has a limit.
    limits: Box<[Option<Limit>]>,
    /// The same of single clients.
    client_limits: Box<[Option<ClientLimits>]>,
    /// Of each route; `None` where no contract is deprecated.
    notices: Option<Arc<[Option<Arc<DeprecationNotice>>]>>,
    unknown_limit: Limit,
    stray: RouteState,
    canary: bool,
    board: Arc<Board>,
    instances: NonZeroU32,
    bundle: Option<Arc<BundleFacts>>,
}

/// The limits of single clients of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Of the client as the contract knows it.
    pub own: Limit,
    /// Of the address behind a client that goes by a field: ten times as much.
    pub address: Limit,
}

impl ClientLimits {
    /// How many times the limit of a client its address has.
    pub const ADDRESS_FACTOR: u32 = 10;

    /// Of a contract that limits its clients, divided among so many instances.
    #[must_use]
    pub fn of(contract: &Contract, instances: NonZeroU32) -> Option<Self> {
        let terms = contract.terms();
        let rate = terms.client_rate_limit?;
        let times = |value: u32| value.saturating_mul(Self::ADDRESS_FACTOR);
        let address_rate = PerMinute::new(times(rate.get())).unwrap_or(rate);
        let address_burst = terms
            .client_burst
            .map(|burst| NonZeroU32::new(times(burst.get())).unwrap_or(burst));
        Some(Self {
            own: share(rate, terms.client_burst, instances).with_wait(wait_ns(contract)),
            address: share(address_rate, address_burst, instances).with_wait(wait_ns(contract)),
        })
    }

    /// Whether the address behind the client was over its limit when the client was not; only
    /// where the client goes by a field, and where its own limit was looked at.
    #[must_use]
    pub fn is_address_over(&self, contract: &Contract, signals: &Signals) -> bool {
        contract.client_header().is_some()
            && signals.standing == Standing::Contracted
            && signals.client_over
            && self.own.wait_ns(signals.client_tat_ns) == 0
    }
}

/// How far ahead a request over a limit may take its turn.
fn wait_ns(contract: &Contract) -> u64 {
    match contract.terms().throttle {
        Throttle::Reject => 0,
        Throttle::Delay { wait_max, .. } => wait_max.as_nanos(),
    }
}

/// One instance's share of a limit, rounded up, so that it is never nothing.
fn share(rate: PerMinute, burst: Option<NonZeroU32>, instances: NonZeroU32) -> Limit {
    let part = |whole: u32| whole.div_ceil(instances.get());
    let rate = PerMinute::new(part(rate.get())).unwrap_or(rate);
    let burst = burst.map(|burst| NonZeroU32::new(part(burst.get())).unwrap_or(burst));
    Limit::new(rate, burst)
}

/// What contracts have, by route; empty where none has it, so that a request finds that in a line
/// that it needs anyway.
fn of_each<T>(catalogue: &Catalogue, one: impl Fn(&Contract) -> Option<T>) -> Box<[Option<T>]> {
    let all: Box<[_]> = catalogue.contracts().iter().map(one).collect();
    if all.iter().any(Option::is_some) {
        all
    } else {
        Box::default()
    }
}

/// `None` where there is nothing to tell, so that most requests ask one question.
fn notices(catalogue: &Catalogue) -> Option<Arc<[Option<Arc<DeprecationNotice>>]>> {
    let of = |contract: &Contract| DeprecationNotice::of(contract, catalogue).map(Arc::new);
    let notices: Vec<_> = catalogue.contracts().iter().map(of).collect();
    notices.iter().any(Option::is_some).then(|| notices.into())
}

impl Rulebook {
    /// Puts the parts together. `serial` is its place in the [`Registry`].
    #[must_use]
    pub fn new(serial: u32, parts: RulebookParts) -> Self {
        Self::for_instances(serial, parts, NonZeroU32::MIN)
    }

    /// The same for one of several gateways that share the limits of rate: each holds its part,
    /// rounded up. Limits of requests in flight are each instance's own.
    #[must_use]
    pub fn for_instances(serial: u32, parts: RulebookParts, instances: NonZeroU32) -> Self {
        let names = parts.catalogue.contracts().iter();
        let board = Board::new(names.map(|c| c.id().as_str()), parts.workers);
        let first = Self::on_board(serial, parts, board, instances);
        // Nothing is used up yet, at no time.
        first.limit_rates(0);
        first
    }

    /// The rulebook that follows this one: contracts that stay keep their state. Before it is put
    /// in force, [`Rulebook::limit_rates`].
    #[must_use]
    pub fn successor(&self, serial: u32, parts: RulebookParts) -> Self {
        let names = parts.catalogue.contracts().iter();
        let board = self.board.successor(names.map(|c| c.id().as_str()));
        Self::on_board(serial, parts, board, self.instances)
    }

    /// What was used up of the rate limits counts under those of this rulebook from now on: as
    /// many requests as before, at most all of them. Requests of the rulebook before it that ask at
    /// this very instant count in its measure; the words are whole again within one burst.
    pub fn limit_rates(&self, now_ns: u64) {
        for route in 0..self.board.routes() {
            let limit = if route == self.board.unmatched() {
                Some(&self.unknown_limit)
            } else {
                self.limit_of(route)
            };
            self.route(route).limit_rate(limit, now_ns);
        }
    }

    /// The same content under another tier. It stands on the same board.
    fn in_tier(&self, serial: u32, tier: Tier) -> Self {
        Self {
            serial,
            digest_hex: self.digest_hex.clone(),
            catalogue: self.catalogue.clone(),
            rules: self.rules.clone(),
            tier,
            default_upstream: self.default_upstream.clone(),
            limits: self.limits.clone(),
            client_limits: self.client_limits.clone(),
            notices: self.notices.clone(),
            unknown_limit: self.unknown_limit,
            stray: RouteState::new("", 0),
            canary: self.canary,
            board: Arc::clone(&self.board),
            instances: self.instances,
            bundle: self.bundle.clone(),
        }
    }

    fn on_board(serial: u32, parts: RulebookParts, board: Board, instances: NonZeroU32) -> Self {
        let limit_of = |contract: &Contract| {
            let terms = contract.terms();
            let rate = terms.rate_limit?;
            Some(share(rate, terms.burst, instances).with_wait(wait_ns(contract)))
        };
        let client_limits = |contract: &Contract| ClientLimits::of(contract, instances);
        Self {
            serial,
            digest_hex: hex::encode(parts.content_digest).into(),
            limits: of_each(&parts.catalogue, limit_of),
            client_limits: of_each(&parts.catalogue, client_limits),
            notices: notices(&parts.catalogue),
            unknown_limit: share(
                parts.rules.unknown_endpoint.rate_limit,
                Some(parts.rules.unknown_endpoint.burst),
                instances,
            ),
            canary: risk::canary_hash_needed(&parts.rules),
            stray: RouteState::new("", 0),
            board: Arc::new(board),
            instances,
            catalogue: parts.catalogue,
            rules: parts.rules,
            tier: parts.tier,
            default_upstream: parts.default_upstream,
            bundle: parts.bundle,
        }
    }

    /// Its place in the registry.
    #[must_use]
    pub const fn serial(&self) -> u32 {
        self.serial
    }

    /// The content digest, 64 hex digits: `policy_hash` of every record made under it.
    #[must_use]
    pub fn digest_hex(&self) -> &str {
        &self.digest_hex
    }

    /// The bundle that it is; `None` where it was made of plain files.
    #[must_use]
    pub fn bundle(&self) -> Option<&BundleFacts> {
        self.bundle.as_deref()
    }

    /// The contracts.
    #[must_use]
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The tier of the process.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// The state of its routes.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The contract of a route; `None` for the unmatched one.
    #[must_use]
    #[inline]
    pub fn contract_of(&self, route: usize) -> Option<&Contract> {
        self.catalogue.contracts().get(route)
    }

    /// The rate limit of a route's contract.
    #[must_use]
    #[inline]
    pub fn limit_of(&self, route: usize) -> Option<&Limit> {
        self.limits.get(route)?.as_ref()
    }

    /// The limits of single clients of a route's contract.
    #[must_use]
    #[inline]
    pub fn client_limits_of(&self, route: usize) -> Option<&ClientLimits> {
        self.client_limits.get(route)?.as_ref()
    }

    /// What answers of a route's contract tell of its deprecation, where it is deprecated.
    #[must_use]
    #[inline]
    pub fn notice_of(&self, route: usize) -> Option<&Arc<DeprecationNotice>> {
        self.notices.as_ref()?.get(route)?.as_ref()
    }

    /// The limit of all unknown paths together.
    #[must_use]
    pub const fn unknown_limit(&self) -> &Limit {
        &self.unknown_limit
    }

    /// The state of a route. A number that is none of this rulebook's gets one that nobody reads.
    #[must_use]
    #[inline]
    pub fn route(&self, route: usize) -> &RouteState {
        self.board.route(route).map_or(&self.stray, |route| route)
    }

    /// The upstream group that a route's requests go to.
    #[must_use]
    pub fn upstream_of(&self, route: usize) -> &str {
        self.contract_of(route)
            .and_then(Contract::upstream)
            .unwrap_or(&self.default_upstream)
    }

    /// The upstream group that a route's diverted requests go to.
    #[must_use]
    pub fn divert_upstream_of(&self, route: usize) -> &str {
        self.contract_of(route)
            .and_then(Contract::divert_upstream)
            .unwrap_or_else(|| self.upstream_of(route))
    }

    /// Whether the score of every request needs its shed hash.
    #[must_use]
    pub const fn needs_canary_hash(&self) -> bool {
        self.canary
    }
}

#[cfg(test)]
#[path = "rulebook/registry_tests.rs"]
mod registry_tests;
