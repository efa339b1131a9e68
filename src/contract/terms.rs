//! What a contract promises and tolerates.

use std::num::{NonZeroU32, NonZeroU64};

use crate::contract::{ContractId, Lifecycle, MethodSet, Stage, Status, Version};
use crate::units::{BasisPoints, Millis, PartsPerMillion, PerMinute, Tier};

/// One contract, compiled: valid by construction, never changed afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    id: ContractId,
    template: Box<str>,
    endpoint_key: Box<str>,
    methods: MethodSet,
    upstream: Option<Box<str>>,
    divert_upstream: Option<Box<str>>,
    client_header: Option<Box<str>>,
    owner: Option<Box<str>>,
    version: Version,
    lifecycle: Box<Lifecycle>,
    backup_owner: Option<Box<str>>,
    service: Option<Box<str>>,
    consumers: Box<[Box<str>]>,
    terms: Terms,
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
        let template = match parts.endpoint_key.split_once(' ') {
            Some((_, template)) => template.into(),
            None => parts.endpoint_key.clone(),
        };
        Self {
            id: parts.id,
            template,
            endpoint_key: parts.endpoint_key,
            methods: parts.methods,
            upstream: parts.upstream,
            divert_upstream: parts.divert_upstream,
            client_header: parts.client_header,
            owner: parts.owner,
            backup_owner: parts.backup_owner,
            service: parts.service,
            consumers: sorted(parts.consumers),
            version: parts.version,
            terms: parts.terms.written_out(parts.lifecycle.status()),
            lifecycle: Box::new(parts.lifecycle),
        }
    }

    /// What it is made of, all of it: whoever compares takes this apart without leaving anything out.
    #[must_use]
    pub fn parts(&self) -> ContractParts {
        ContractParts {
            id: self.id.clone(),
            endpoint_key: self.endpoint_key.clone(),
            methods: self.methods,
            upstream: self.upstream.clone(),
            divert_upstream: self.divert_upstream.clone(),
            client_header: self.client_header.clone(),
            owner: self.owner.clone(),
            backup_owner: self.backup_owner.clone(),
            service: self.service.clone(),
            consumers: self.consumers.to_vec(),
            version: self.version,
            lifecycle: (*self.lifecycle).clone(),
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
        &self.template
    }

    /// Method and template as the file says them, such as `GET /api/v1/deployments/{id}`.
    #[must_use]
    pub fn endpoint_key(&self) -> &str {
        &self.endpoint_key
    }

    /// The allowed methods.
    #[must_use]
    pub const fn methods(&self) -> MethodSet {
        self.methods
    }

    /// The name of the upstream group; `None` = the default upstream.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    /// The upstream group of diverted requests.
    #[must_use]
    pub fn divert_upstream(&self) -> Option<&str> {
        self.divert_upstream.as_deref()
    }

    /// The field that names the client, lower case; [`BY_CERTIFICATE`](super::BY_CERTIFICATE) for its
    /// certificate; `None` = the peer's address.
    #[must_use]
    pub fn client_header(&self) -> Option<&str> {
        self.client_header.as_deref()
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
        self.owner.as_deref()
    }

    /// Who answers for it when the owner cannot.
    #[must_use]
    pub fn backup_owner(&self) -> Option<&str> {
        self.backup_owner.as_deref()
    }

    /// The service that it is part of.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Which version of itself it is.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Where in its life it is.
    #[must_use]
    pub const fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// The numbers.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::Terms;
    use crate::contract::Status;
    use crate::observation::Limit;
    use crate::units::PerMinute;

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
