//! The words of a state, wherever it is written.

use crate::observation::{CircuitState, LedgerStanding, RetryKind};

/// The states of a circuit.
pub(in crate::policy::self_tests) const CIRCUITS: [CircuitState; 3] = [
    CircuitState::Closed,
    CircuitState::Open,
    CircuitState::HalfOpen,
];

/// How the ledger can stand.
pub(in crate::policy::self_tests) const LEDGERS: [LedgerStanding; 4] = [
    LedgerStanding::Available,
    LedgerStanding::Unavailable,
    LedgerStanding::ObserveOnly,
    LedgerStanding::FailClosed,
];

/// The kinds of retries.
pub(in crate::policy::self_tests) const RETRIES: [RetryKind; 3] =
    [RetryKind::First, RetryKind::Declared, RetryKind::Seen];

/// What files say of the ledger: `unavailable` goes on, the others do what `on_unavailable` says.
pub(in crate::policy::self_tests) const fn ledger_key(standing: LedgerStanding) -> &'static str {
    match standing {
        LedgerStanding::Available => "available",
        LedgerStanding::Unavailable => "unavailable",
        LedgerStanding::ObserveOnly => "unavailable_observe_only",
        LedgerStanding::FailClosed => "unavailable_fail_closed",
    }
}

/// What files say of a retry.
pub(in crate::policy::self_tests) const fn retry_key(kind: RetryKind) -> &'static str {
    match kind {
        RetryKind::First => "no",
        RetryKind::Declared => "declared",
        RetryKind::Seen => "seen",
    }
}
