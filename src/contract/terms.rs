//! What a contract promises and tolerates.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use crate::contract::{ContractId, Lifecycle, MethodSet, Stage, Status, Version};
use crate::units::{BasisPoints, Millis, PartsPerMillion, PerMinute, Tier};

/// One contract, compiled: valid by construction, never changed afterwards.
///
/// In the order in which it lies: the terms on one cache line, all else on another. What it is called
/// is one piece of text; with thousands of contracts, reading a line is mostly waiting for it.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Contract {
    terms: Terms,
    /// Followed by method and template, upstream, and the field that names the client.
    id: ContractId,
    consumers: Box<[Box<str>]>,
    about: Arc<About>,
    /// Where method and template end behind the id, and where the upstream ends.
    endpoint_end: u32,
    upstream_end: u32,
    methods: MethodSet,
    has_upstream: bool,
    has_client_header: bool,
}

/// What an ordinary request does not ask for. Many contracts say the same here, and share it.
#[derive(Debug, PartialEq, Eq)]
struct About {
    divert_upstream: Option<Box<str>>,
    owner: Option<Box<str>>,
    version: Version,
    lifecycle: Lifecycle,
    backup_owner: Option<Box<str>>,
    service: Option<Box<str>>,
}

/// What contracts said about themselves that were looked at lately. Few kinds of it are many
/// contracts', so a short list finds most.
#[derive(Debug, Default)]
pub(super) struct Alike {
    seen: [Option<Arc<About>>; 16],
    next: usize,
}

impl Alike {
    /// Lets a contract share what an earlier one says as well.
    pub(super) fn share(&mut self, contract: &mut Contract) {
        let same = |seen: &&Arc<About>| ***seen == *contract.about;
        if let Some(same) = self.seen.iter().flatten().find(same) {
            contract.about = Arc::clone(same);
            return;
        }
        if let Some(place) = self.seen.get_mut(self.next) {
            *place = Some(Arc::clone(&contract.about));
        }
        self.next = (self.next + 1) % self.seen.len();
    }
}

/// What a contract is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractParts {
    /// The name.
    pub id: ContractId,
    /// Method and a template that parses, such as `GET /api/v1/deployments/{id}`.
    pub endpoint_key: Box<str>,
    /// The allowed methods, not empty.
    pub methods: MethodSet,
    /// The upstream group; `None` = the default one.
    pub upstream: Option<Box<str>>,
    /// The upstream group of diverted requests; there where [`Quarantine::Divert`] is.
    pub divert_upstream: Option<Box<str>>,
    /// The field that names the client, lower case; `None` = the peer's address.
    pub client_header: Option<Box<str>>,
    /// Who answers for it.
    pub owner: Option<Box<str>>,
    /// Which version of itself it is.
    pub version: Version,
    /// Where in its life it is.
    pub lifecycle: Lifecycle,
    /// Who answers for it when the owner cannot.
    pub backup_owner: Option<Box<str>>,
    /// The service that it is part of, a valid name.
    pub service: Option<Box<str>>,
    /// Who may call it, by the names that callers prove; empty = anybody.
    pub consumers: Vec<Box<str>>,
    /// The numbers.
    pub terms: Terms,
}

impl ContractParts {
    /// A contract that leaves out all that may be left out.
    #[must_use]
    pub fn new(id: ContractId, endpoint_key: &str, methods: MethodSet, terms: Terms) -> Self {
        Self {
            id,
            endpoint_key: endpoint_key.into(),
            methods,
            upstream: None,
            divert_upstream: None,
            client_header: None,
            owner: None,
            version: Version::FIRST,
            lifecycle: Lifecycle::default(),
            backup_owner: None,
            service: None,
            consumers: Vec::new(),
            terms,
        }
    }
}

/// What becomes of a request that is set apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Quarantine {
    /// It is answered with 403 and the case.
    #[default]
    Reject,
    /// It goes to another upstream group, marked with the case.
    Divert,
    /// It goes on, marked with the case.
    Shadow,
}

/// What becomes of a request that is over a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Throttle {
    /// It is answered with 429.
    #[default]
    Reject,
    /// It waits for its turn where that is near, and few wait already.
    Delay {
        /// The longest wait; a turn that is later is answered with 429.
        wait_max: Millis,
        /// Requests of the contract that wait at once; one more is answered with 429.
        held_max: NonZeroU32,
    },
}

/// How a refused request hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Refusal {
    /// By an answer.
    #[default]
    Respond,
    /// Its connection is closed without one.
    Close,
}

/// The numbers of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The promised time from sending the request upstream to the last byte of the answer.
    pub max_latency: Millis,
    /// The longest wait for the next bytes of the upstream, where the tier lets us set one.
    pub timeout: Millis,
    /// The share of requests that may fail.
    pub error_budget: PartsPerMillion,
    /// The share of failures that makes the error rate reach its worst.
    pub circuit_threshold: BasisPoints,
    /// Requests per minute over all clients; `None` = no limit.
    pub rate_limit: Option<PerMinute>,
    /// Requests of the rate limit at once; a [`Contract`] has it exactly where it has the limit.
    pub burst: Option<NonZeroU32>,
    /// Requests per minute of each single client; `None` = no limit.
    pub client_rate_limit: Option<PerMinute>,
    /// Requests of that limit at once; a [`Contract`] has it exactly where it has the limit.
    pub client_burst: Option<NonZeroU32>,
    /// Requests in flight at once; `None` = no limit.
    pub max_in_flight: Option<NonZeroU32>,
    /// Bytes of a request body; `None` = no bound.
    pub body_bytes_max: Option<NonZeroU64>,
    /// Latency ends at the response head, and a running body is never overdue.
    pub stream: bool,
    /// Whether a WebSocket handshake is passed on, so that the connection may become a tunnel.
    pub websocket: bool,
    /// The most this contract lets the gateway do; `None` = whatever the process may.
    pub tier: Option<Tier>,
    /// How far it has been rolled out.
    pub stage: Stage,
    /// What spellings of the path it accepts.
    pub path_rules: PathRules,
    /// What becomes of requests that are set apart.
    pub quarantine: Quarantine,
    /// What becomes of requests over a rate limit.
    pub throttle: Throttle,
    /// How refused requests hear of it.
    pub refusal: Refusal,
    /// Nothing is forwarded while the ledger keeps no records.
    pub ledger_required: bool,
}

impl Terms {
    /// Half of the requests failing is the worst, where a contract does not say.
    pub const DEFAULT_CIRCUIT_THRESHOLD: BasisPoints = BasisPoints::saturating(5_000);
    /// One request in a hundred may fail, where a contract does not say.
    pub const DEFAULT_ERROR_BUDGET: PartsPerMillion = PartsPerMillion::saturating(10_000);
    /// The promised time where a contract does not say.
    pub const DEFAULT_MAX_LATENCY: Millis = Millis::new(1_000);
    /// The hard deadline where a contract does not say.
    pub const DEFAULT_TIMEOUT: Millis = Millis::new(30_000);

    /// The most that may be done about the requests of any client: by its tier and its stage.
    #[must_use]
    pub fn ceiling(&self) -> Tier {
        let tier = self.tier.unwrap_or(Tier::Autonomous);
        match self.stage {
            Stage::Enforced => tier,
            Stage::Canary(share) if share > BasisPoints::ZERO => tier,
            Stage::Canary(_) | Stage::Shadow | Stage::Retired => Tier::ObserveOnly,
        }
    }

    /// A tenth of a minute's worth at once, at least 1, where a contract does not say.
    #[must_use]
    pub fn default_burst(rate: PerMinute) -> NonZeroU32 {
        NonZeroU32::new(rate.get() / 10).unwrap_or(NonZeroU32::MIN)
    }

    /// The same terms with the burst written out, so that equal limits are equal terms, and with
    /// the tier of a draft, so that nothing on a request's way asks for the status.
    fn written_out(self, status: Status) -> Self {
        let written_out = |rate: Option<PerMinute>, burst: Option<NonZeroU32>| {
            rate.map(|rate| burst.unwrap_or_else(|| Self::default_burst(rate)))
        };
        Self {
            burst: written_out(self.rate_limit, self.burst),
            client_burst: written_out(self.client_rate_limit, self.client_burst),
            tier: match status {
                Status::Draft => Some(Tier::ObserveOnly),
                Status::Active | Status::Deprecated | Status::Sunset => self.tier,
            },
            ..self
        }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            max_latency: Self::DEFAULT_MAX_LATENCY,
            timeout: Self::DEFAULT_TIMEOUT,
            error_budget: Self::DEFAULT_ERROR_BUDGET,
            circuit_threshold: Self::DEFAULT_CIRCUIT_THRESHOLD,
            rate_limit: None,
            burst: None,
            client_rate_limit: None,
            client_burst: None,
            max_in_flight: None,
            body_bytes_max: None,
            stream: false,
            websocket: false,
            tier: None,
            stage: Stage::Enforced,
            path_rules: PathRules::default(),
            quarantine: Quarantine::Reject,
            throttle: Throttle::Reject,
            refusal: Refusal::Respond,
            ledger_required: false,
        }
    }
}

/// Spellings that are refused unless the contract allows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathRules {
    /// `%2F` inside a segment is matched undecoded and forwarded as sent.
    pub allow_encoded_slash: bool,
    /// `//` is matched and forwarded as `/`.
    pub merge_slashes: bool,
}

/// Once each, so that the order of a file means nothing.
fn sorted(mut names: Vec<Box<str>>) -> Box<[Box<str>]> {
    names.sort_unstable();
    names.dedup();
    names.into()
}

impl Contract {
    /// A contract of valid parts. The bursts get their default, or go where no limit uses them; a
    /// draft has the tier that only observes, whatever it says.
    #[must_use]
    pub fn new(parts: ContractParts) -> Self {
        let upstream = parts.upstream.as_deref().unwrap_or_default();
        let client_header = parts.client_header.as_deref().unwrap_or_default();
        let texts = [&*parts.endpoint_key, upstream, client_header];
        let endpoint_end = parts.endpoint_key.len() as u32;
        Self {
            terms: parts.terms.written_out(parts.lifecycle.status()),
            id: parts.id.followed_by(&texts),
            consumers: sorted(parts.consumers),
            endpoint_end,
            upstream_end: endpoint_end.saturating_add(upstream.len() as u32),
            methods: parts.methods,
            has_upstream: parts.upstream.is_some(),
            has_client_header: parts.client_header.is_some(),
            about: Arc::new(About {
                divert_upstream: parts.divert_upstream,
                owner: parts.owner,
                version: parts.version,
                lifecycle: parts.lifecycle,
                backup_owner: parts.backup_owner,
                service: parts.service,
            }),
        }
    }

    /// What it is made of, all of it: whoever compares takes this apart without leaving anything out.
    #[must_use]
    pub fn parts(&self) -> ContractParts {
        ContractParts {
            id: self.id.clone(),
            endpoint_key: self.endpoint_key().into(),
            methods: self.methods,
            upstream: self.upstream().map(Into::into),
            divert_upstream: self.about.divert_upstream.clone(),
            client_header: self.client_header().map(Into::into),
            owner: self.about.owner.clone(),
            backup_owner: self.about.backup_owner.clone(),
            service: self.about.service.clone(),
            consumers: self.consumers.to_vec(),
            version: self.about.version,
            lifecycle: self.about.lifecycle.clone(),
            terms: self.terms,
        }
    }

    /// The name.
    #[must_use]
    pub const fn id(&self) -> &ContractId {
        &self.id
    }

    /// The path template, such as `/api/v1/deployments/{id}`.
    #[must_use]
    pub fn template(&self) -> &str {
        let key = self.endpoint_key();
        key.split_once(' ').map_or(key, |(_, template)| template)
    }

    /// Method and template as the file says them, such as `GET /api/v1/deployments/{id}`.
    #[must_use]
    pub fn endpoint_key(&self) -> &str {
        self.id.behind(0, self.endpoint_end)
    }

    /// The allowed methods.
    #[must_use]
    pub const fn methods(&self) -> MethodSet {
        self.methods
    }

    /// The name of the upstream group; `None` = the default upstream.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        let upstream = self.id.behind(self.endpoint_end, self.upstream_end);
        self.has_upstream.then_some(upstream)
    }

    /// The upstream group of diverted requests.
    #[must_use]
    pub fn divert_upstream(&self) -> Option<&str> {
        self.about.divert_upstream.as_deref()
    }

    /// The field that names the client, lower case; [`BY_CERTIFICATE`](super::BY_CERTIFICATE) for its
    /// certificate; `None` = the peer's address.
    #[must_use]
    #[inline]
    pub fn client_header(&self) -> Option<&str> {
        let header = || self.id.behind_from(self.upstream_end);
        self.has_client_header.then(header)
    }

    /// Who may call it, sorted; empty = anybody.
    #[must_use]
    pub fn consumers(&self) -> &[Box<str>] {
        &self.consumers
    }

    /// Whether it says who may call it, and `caller` is none of them. Who proves no name is none.
    #[must_use]
    #[inline]
    pub fn excludes(&self, caller: Option<&str>) -> bool {
        !self.consumers.is_empty() && !caller.is_some_and(|caller| self.names(caller))
    }

    // Aside: of an ordinary request only the empty list is looked at.
    #[cold]
    #[inline(never)]
    fn names(&self, caller: &str) -> bool {
        let found = self.consumers.binary_search_by(|name| (**name).cmp(caller));
        found.is_ok()
    }

    /// Who answers for it.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.about.owner.as_deref()
    }

    /// Who answers for it when the owner cannot.
    #[must_use]
    pub fn backup_owner(&self) -> Option<&str> {
        self.about.backup_owner.as_deref()
    }

    /// The service that it is part of.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.about.service.as_deref()
    }

    /// Which version of itself it is.
    #[must_use]
    pub fn version(&self) -> Version {
        self.about.version
    }

    /// Where in its life it is.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.about.lifecycle
    }

    /// The numbers.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }
}

impl Clone for Contract {
    fn clone(&self) -> Self {
        Self {
            terms: self.terms,
            // Of a name alone a copy is made without what stands behind it.
            id: self.id.followed_by(&[self.id.behind_from(0)]),
            consumers: self.consumers.clone(),
            about: Arc::clone(&self.about),
            endpoint_end: self.endpoint_end,
            upstream_end: self.upstream_end,
            methods: self.methods,
            has_upstream: self.has_upstream,
            has_client_header: self.has_client_header,
        }
    }
}

impl PartialEq for Contract {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            terms,
            id,
            consumers,
            about,
            endpoint_end,
            upstream_end,
            methods,
            has_upstream,
            has_client_header,
        } = self;
        // Where the parts of the text end decides what they are, so both are compared.
        id == &other.id
            && id.whole() == other.id.whole()
            && *endpoint_end == other.endpoint_end
            && *upstream_end == other.upstream_end
            && *has_upstream == other.has_upstream
            && *has_client_header == other.has_client_header
            && *methods == other.methods
            && *terms == other.terms
            && *consumers == other.consumers
            && *about == other.about
    }
}

impl Eq for Contract {}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use std::sync::Arc;

    use super::{Alike, Contract, ContractParts, Terms};
    use crate::contract::{ContractId, MethodSet, Status};
    use crate::observation::Limit;
    use crate::units::PerMinute;

    #[test]
    fn contracts_share_what_they_say_alike() {
        // What docs/performance.md says under "Growth".
        assert!(size_of::<Contract>() <= 128, "{}", size_of::<Contract>());
        assert!(size_of::<Terms>() <= 64, "{}", size_of::<Terms>());
        let mut alike = Alike::default();
        let mut contracts: Vec<Contract> = (0..60)
            .map(|number| {
                let id = ContractId::new(&format!("c{number}")).unwrap();
                let methods = MethodSet::EMPTY;
                let mut parts = ContractParts::new(id, "GET /a/{b}", methods, Terms::default());
                parts.owner = Some(format!("team-{}", number % 3).into());
                Contract::new(parts)
            })
            .collect();
        let before = contracts.clone();
        contracts.iter_mut().for_each(|one| alike.share(one));
        assert_eq!(contracts, before, "they say what they said");
        let is_shared =
            |one: usize, other: usize| Arc::ptr_eq(&contracts[one].about, &contracts[other].about);
        assert!(is_shared(0, 57) && is_shared(1, 58) && !is_shared(0, 1));
        assert_eq!(contracts[0].template(), "/a/{b}");
    }

    #[test]
    fn what_a_contract_is_called_comes_back_as_it_was() {
        let some = |text: &str| Some(Box::from(text));
        let mut seen = Vec::new();
        for (upstream, header) in [
            (None, None),
            (some(""), None),
            (None, some("")),
            (some("orders"), None),
            (None, some("orders")),
            (some("ord"), some("ers")),
        ] {
            let id = ContractId::new("c1").unwrap();
            let methods = MethodSet::EMPTY;
            let mut parts = ContractParts::new(id, "GET /a/{b}", methods, Terms::default());
            (parts.upstream, parts.client_header) = (upstream, header);
            let contract = Contract::new(parts.clone());
            assert_eq!(contract.id().as_str(), "c1");
            assert_eq!(contract.endpoint_key(), "GET /a/{b}");
            assert_eq!(contract.upstream(), parts.upstream.as_deref());
            assert_eq!(contract.client_header(), parts.client_header.as_deref());
            assert_eq!(contract.parts(), parts);
            assert_eq!(contract.clone(), contract);
            assert!(!seen.contains(&contract), "{contract:?}");
            seen.push(contract);
        }
    }

    #[test]
    fn a_burst_stands_where_a_limit_does() {
        let check = |rate, burst, expected| {
            let terms = Terms {
                rate_limit: PerMinute::new(rate),
                burst: NonZeroU32::new(burst),
                ..Terms::default()
            };
            let burst = terms.written_out(Status::Active).burst.map(NonZeroU32::get);
            assert_eq!(burst, expected, "{rate} per minute, burst {burst:?}");
        };
        check(100, 0, Some(10));
        check(9, 0, Some(1));
        check(100, 3, Some(3));
        check(0, 0, None);
        check(0, 3, None);
    }

    #[test]
    fn the_default_is_the_one_that_limits_use() {
        for rate in [1, 9, 10, 19, 6_000, u32::MAX] {
            let rate = PerMinute::new(rate).unwrap();
            let burst = Terms::default_burst(rate);
            assert_eq!(Limit::new(rate, None), Limit::new(rate, Some(burst)));
        }
    }
}
