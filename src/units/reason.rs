//! The closed set of reason codes.

/// Why a decision is what it is. The order is the alphabetical order of the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The path has no single meaning.
    AmbiguousTarget,
    /// The route's circuit is open, or no probe was left.
    CircuitOpen,
    /// The route's circuit closed a moment ago, and load comes back little by little.
    CircuitRecovering,
    /// The contract's requests in flight are used up.
    ConcurrencyExceeded,
    /// The contract says who may call it, and the caller is none of them.
    ConsumerNotDeclared,
    /// A looser reading of the path is that of a contract.
    ContractAlias,
    /// The path is in a contract, the method is not.
    ContractMethodDisallowed,
    /// The score is in the critical band.
    CriticalRiskScore,
    /// The score is in the high band.
    HighRiskScore,
    /// The ledger keeps no records, and contract or configuration forbid to go on without.
    LedgerUnavailable,
    /// The score is below the medium band.
    LowRiskScore,
    /// The head cannot be read as a request.
    MalformedRequest,
    /// The score is in the medium band.
    MediumRiskScore,
    /// No contract has the path.
    NoContractMatch,
    /// The client or route is in an open quarantine case.
    QuarantinedSubject,
    /// A rate limit is used up.
    RateLimitExceeded,
    /// The request is a retry while many are retrying.
    RetryStormDetected,
}

impl Reason {
    /// All reasons, alphabetically.
    pub const ALL: [Self; 17] = [
        Self::AmbiguousTarget,
        Self::CircuitOpen,
        Self::CircuitRecovering,
        Self::ConcurrencyExceeded,
        Self::ConsumerNotDeclared,
        Self::ContractAlias,
        Self::ContractMethodDisallowed,
        Self::CriticalRiskScore,
        Self::HighRiskScore,
        Self::LedgerUnavailable,
        Self::LowRiskScore,
        Self::MalformedRequest,
        Self::MediumRiskScore,
        Self::NoContractMatch,
        Self::QuarantinedSubject,
        Self::RateLimitExceeded,
        Self::RetryStormDetected,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AmbiguousTarget => "AMBIGUOUS_TARGET",
            Self::CircuitOpen => "CIRCUIT_OPEN",
            Self::CircuitRecovering => "CIRCUIT_RECOVERING",
            Self::ConcurrencyExceeded => "CONCURRENCY_EXCEEDED",
            Self::ConsumerNotDeclared => "CONSUMER_NOT_DECLARED",
            Self::ContractAlias => "CONTRACT_ALIAS",
            Self::ContractMethodDisallowed => "CONTRACT_METHOD_DISALLOWED",
            Self::CriticalRiskScore => "CRITICAL_RISK_SCORE",
            Self::HighRiskScore => "HIGH_RISK_SCORE",
            Self::LedgerUnavailable => "LEDGER_UNAVAILABLE",
            Self::LowRiskScore => "LOW_RISK_SCORE",
            Self::MalformedRequest => "MALFORMED_REQUEST",
            Self::MediumRiskScore => "MEDIUM_RISK_SCORE",
            Self::NoContractMatch => "NO_CONTRACT_MATCH",
            Self::QuarantinedSubject => "QUARANTINED_SUBJECT",
            Self::RateLimitExceeded => "RATE_LIMIT_EXCEEDED",
            Self::RetryStormDetected => "RETRY_STORM_DETECTED",
        }
    }

    /// What it says, for a person.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::AmbiguousTarget => "the path has no single meaning",
            Self::CircuitOpen => "the route's circuit is open, or no probe was left",
            Self::CircuitRecovering => "the route's circuit closed a moment ago",
            Self::ConcurrencyExceeded => "the contract's requests in flight are used up",
            Self::ConsumerNotDeclared => "the contract does not name the caller",
            Self::ContractAlias => {
                "servers that read the path more loosely take it for a contract's"
            }
            Self::ContractMethodDisallowed => "the path is in a contract, the method is not",
            Self::CriticalRiskScore => "the score is in the critical band",
            Self::HighRiskScore => "the score is in the high band",
            Self::LedgerUnavailable => {
                "the ledger keeps no records, and nothing may go on without one"
            }
            Self::LowRiskScore => "the score is below the medium band",
            Self::MalformedRequest => "the head cannot be read as a request",
            Self::MediumRiskScore => "the score is in the medium band",
            Self::NoContractMatch => "no contract has the path",
            Self::QuarantinedSubject => "client or route is in an open quarantine case",
            Self::RateLimitExceeded => "a rate limit is used up",
            Self::RetryStormDetected => "a retry while many are retrying",
        }
    }

    /// The key of contract or policy that changes when this reason applies.
    #[must_use]
    pub const fn governed_by(self) -> &'static str {
        match self {
            Self::AmbiguousTarget => "contract: allow_encoded_slash, merge_slashes",
            Self::CircuitOpen => "contract: circuit_threshold; policy: circuit",
            Self::CircuitRecovering => "policy: circuit.slow_start_ms",
            Self::ConcurrencyExceeded => "contract: max_in_flight",
            Self::ConsumerNotDeclared => {
                "contract: consumers; policy: consumer_not_declared; configuration: caller_header, tls.client_ca"
            }
            Self::ContractAlias => "contract: endpoint",
            Self::ContractMethodDisallowed => "contract: allowed_methods",
            Self::CriticalRiskScore => "policy: bands.critical, weights",
            Self::HighRiskScore => "policy: bands.high, weights",
            Self::LedgerUnavailable => "contract: ledger; configuration: ledger.on_unavailable",
            Self::LowRiskScore => "policy: bands.medium, weights",
            Self::MalformedRequest => "none (RFC 9112; the edge's limits)",
            Self::MediumRiskScore => "policy: bands.medium, weights",
            Self::NoContractMatch => "contract: endpoint; policy: unknown_endpoint",
            Self::QuarantinedSubject => "none (not given in this version)",
            Self::RateLimitExceeded => {
                "contract: rate_limit_rpm, burst, per_client; policy: unknown_endpoint"
            }
            Self::RetryStormDetected => "policy: weights.retry_storm, retry.headers",
        }
    }
}

/// A set of reasons, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ReasonSet(u32);

impl ReasonSet {
    /// No reason.
    pub const EMPTY: Self = Self(0);

    /// This set and `reason`.
    #[must_use]
    pub const fn with(self, reason: Reason) -> Self {
        Self(self.0 | 1 << reason as u8)
    }

    /// Whether `reason` is in the set.
    #[must_use]
    pub const fn contains(self, reason: Reason) -> bool {
        self.0 & 1 << reason as u8 != 0
    }

    /// The reasons in the set, alphabetically.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let reason = Reason::ALL.get(left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(*reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn codes_are_in_alphabetical_order() {
        // R054: records list them sorted because the set iterates in this order.
        for (number, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
        }
        assert!(Reason::ALL.is_sorted_by_key(|reason| reason.code()));
    }
}
