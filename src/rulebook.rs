//! A rulebook: compiled contracts, rules and tier, with the digest that names them.
//!
//! A request loads the active rulebook once and keeps it to its end; its record names it. Whoever
//! has the record and the file of that digest can judge the request again.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::contract::{Catalogue, Contract};
use crate::observation::{Board, Limit, RouteState};
use crate::policy::rules::Rules;
use crate::risk;
use crate::units::{PerMinute, Tier};

/// One compiled policy with its contracts, never changed after it was made.
#[derive(Debug)]
pub struct Rulebook {
    serial: u32,
    digest_hex: Box<str>,
    catalogue: Catalogue,
    rules: Rules,
    tier: Tier,
    default_upstream: Box<str>,
    limits: Box<[Option<Limit>]>,
    client_limits: Box<[Option<ClientLimits>]>,
    unknown_limit: Limit,
    stray: RouteState,
    canary: bool,
    board: Arc<Board>,
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
    const ADDRESS_FACTOR: u32 = 10;

    fn of(contract: &Contract) -> Option<Self> {
        let terms = contract.terms();
        let rate = terms.client_rate_limit?;
        let times = |value: u32| value.saturating_mul(Self::ADDRESS_FACTOR);
        let address_rate = PerMinute::new(times(rate.get())).unwrap_or(rate);
        let address_burst = terms
            .client_burst
            .map(|burst| std::num::NonZeroU32::new(times(burst.get())).unwrap_or(burst));
        Some(Self {
            own: Limit::new(rate, terms.client_burst),
            address: Limit::new(address_rate, address_burst),
        })
    }
}

/// What a rulebook is made of.
#[derive(Debug)]
pub struct RulebookParts {
    /// The contracts, ready for matching.
    pub catalogue: Catalogue,
    /// The rules.
    pub rules: Rules,
    /// The tier of the process.
    pub tier: Tier,
    /// The content digest of contracts and rules.
    pub content_digest: [u8; 32],
    /// The upstream group of everything that names none.
    pub default_upstream: Box<str>,
    /// How many workers count on its board.
    pub workers: usize,
}

impl Rulebook {
    /// Puts the parts together. `serial` is its place in the [`Registry`].
    #[must_use]
    pub fn new(serial: u32, parts: RulebookParts) -> Self {
        let names = parts.catalogue.contracts().iter();
        let board = Board::new(names.map(|c| c.id().as_str()), parts.workers);
        Self::on_board(serial, parts, board)
    }

    /// The rulebook that follows this one: contracts that stay keep their state.
    #[must_use]
    pub fn successor(&self, serial: u32, parts: RulebookParts) -> Self {
        let names = parts.catalogue.contracts().iter();
        let board = self.board.successor(names.map(|c| c.id().as_str()));
        Self::on_board(serial, parts, board)
    }

    fn on_board(serial: u32, parts: RulebookParts, board: Board) -> Self {
        let limit_of = |contract: &Contract| {
            let terms = contract.terms();
            terms.rate_limit.map(|rate| Limit::new(rate, terms.burst))
        };
        Self {
            serial,
            digest_hex: hex::encode(parts.content_digest).into(),
            limits: parts.catalogue.contracts().iter().map(limit_of).collect(),
            client_limits: parts
                .catalogue
                .contracts()
                .iter()
                .map(ClientLimits::of)
                .collect(),
            unknown_limit: Limit::new(
                parts.rules.unknown_endpoint.rate_limit,
                Some(parts.rules.unknown_endpoint.burst),
            ),
            canary: risk::canary_hash_needed(&parts.rules),
            stray: RouteState::new("", 0),
            board: Arc::new(board),
            catalogue: parts.catalogue,
            rules: parts.rules,
            tier: parts.tier,
            default_upstream: parts.default_upstream,
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

/// All rulebooks of this process by serial, and which one is active.
///
/// The ledger writer names a rulebook by the serial in an event; an entry is never removed, so an
/// event that waited in its ring still finds its own.
#[derive(Debug)]
pub struct Registry {
    active: Arc<ArcSwap<Rulebook>>,
    all: ArcSwap<Vec<Arc<Rulebook>>>,
}

impl Registry {
    /// A registry whose first and active rulebook is this one, serial 0.
    #[must_use]
    pub fn new(parts: RulebookParts) -> Self {
        let first = Arc::new(Rulebook::new(0, parts));
        Self {
            active: Arc::new(ArcSwap::new(Arc::clone(&first))),
            all: ArcSwap::from_pointee(vec![first]),
        }
    }

    /// The active rulebook.
    #[must_use]
    pub const fn active(&self) -> &Arc<ArcSwap<Rulebook>> {
        &self.active
    }

    /// The rulebook of a serial.
    #[must_use]
    pub fn by_serial(&self, serial: u32) -> Option<Arc<Rulebook>> {
        self.all.load().get(serial as usize).cloned()
    }
}
