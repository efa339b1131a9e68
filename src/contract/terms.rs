//! What a contract promises and tolerates.

use std::num::NonZeroU32;

use crate::contract::{ContractId, MethodSet};
use crate::units::{BasisPoints, Millis, PartsPerMillion, PerMinute, Tier};

/// One contract, compiled: valid by construction, never changed afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    id: ContractId,
    template: Box<str>,
    endpoint_key: Box<str>,
    methods: MethodSet,
    upstream: Option<Box<str>>,
    owner: Option<Box<str>>,
    terms: Terms,
}

/// The numbers of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The promised time from sending the request upstream to the last byte of the answer.
    pub max_latency: Millis,
    /// The hard deadline of the upstream exchange, where the tier lets us set one.
    pub timeout: Millis,
    /// The share of requests that may fail.
    pub error_budget: PartsPerMillion,
    /// The share of failures that makes the error rate reach its worst.
    pub circuit_threshold: BasisPoints,
    /// Requests per minute over all clients; `None` = no limit.
    pub rate_limit: Option<PerMinute>,
    /// Requests let through at once by the rate limit; `None` = a tenth of it, at least 1.
    pub burst: Option<NonZeroU32>,
    /// Requests in flight at once; `None` = no limit.
    pub max_in_flight: Option<NonZeroU32>,
    /// Latency ends at the response head, and a running body is never overdue.
    pub stream: bool,
    /// The most this contract lets the gateway do; `None` = whatever the process may.
    pub tier: Option<Tier>,
    /// What spellings of the path it accepts.
    pub path_rules: PathRules,
}

/// Spellings that are refused unless the contract allows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathRules {
    /// `%2F` inside a segment is matched undecoded and forwarded as sent.
    pub allow_encoded_slash: bool,
    /// `//` is matched and forwarded as `/`.
    pub merge_slashes: bool,
}

impl Contract {
    /// A contract of valid parts. `template` is the path part of `endpoint`; `methods` is not empty.
    #[must_use]
    pub fn new(
        id: ContractId,
        endpoint_key: Box<str>,
        methods: MethodSet,
        upstream: Option<Box<str>>,
        owner: Option<Box<str>>,
        terms: Terms,
    ) -> Self {
        let template = match endpoint_key.split_once(' ') {
            Some((_, template)) => template.into(),
            None => endpoint_key.clone(),
        };
        Self {
            id,
            template,
            endpoint_key,
            methods,
            upstream,
            owner,
            terms,
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

    /// Who answers for it.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The numbers.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }
}
