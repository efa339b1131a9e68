//! The state of route, client and gateway that a self-test supposes.
//!
//! What is not said is at rest: nothing failed, nothing is used up, nothing is known of the long
//! windows. Deliberately not here: how a state came about; only what a decision is made from.

mod faults;
mod words;

use crate::observation::{ALL_ORDINARY_BP, CircuitState, LedgerStanding, RetryKind, Share};
use crate::units::{Band, BasisPoints, Millis, Tier};

pub(super) use words::{CIRCUITS, LEDGERS, RETRIES, ledger_key, retry_key};

/// The largest spread of the usual load: its variance has to fit.
pub(super) const SPREAD_MAX: u32 = 1_000_000;
/// Draws are below this.
pub(super) const DRAWS: u16 = 10_000;

/// A state, as plain numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestState {
    /// The tier of process and listener; the contract's own may be lower.
    pub tier: Tier,
    /// The route's circuit.
    pub circuit: CircuitState,
    /// No probe is left of a half-open circuit.
    pub probes_spent: bool,
    /// What is still shed at least because the circuit closed a moment ago.
    pub slow_start: BasisPoints,
    /// The band that is held for the route.
    pub band: Band,
    /// Failed of completed, 10 s.
    pub failed: Option<Share>,
    /// Slow of completed, 60 s.
    pub slow: Option<Share>,
    /// Retries of offered, 10 s.
    pub retries: Option<Share>,
    /// Requests in flight before this one.
    pub in_flight: u32,
    /// Requests that wait for their turn.
    pub waiting: u32,
    /// The tail of the last minute against the usual one.
    pub latency: Option<TailState>,
    /// The load of the last minute against the usual one.
    pub traffic: Option<LoadState>,
    /// Failed of completed in the long windows.
    pub burn: BurnShares,
    /// Shares of retries, ordinary requests and those of high priority, basis points.
    pub class_mix_bp: [u16; 3],
    /// The client's own rate limit.
    pub client_limit: Option<LimitState>,
    /// How often the client was refused in this minute.
    pub client_refusals: u32,
    /// The contract's rate limit, or that of all unknown paths.
    pub rate_limit: Option<LimitState>,
    /// Whether the request is a retry; a field of the request may declare it as well.
    pub retry: RetryKind,
    /// Whether the ledger can keep the record.
    pub ledger: LedgerStanding,
    /// Where the draw falls, basis points below 10000; `None` = the decision must not depend on it.
    pub draw_bp: Option<u16>,
}

/// A rate limit that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitState {
    /// For longer than anybody waits.
    Spent,
    /// It lets the next request pass after so long.
    FreeIn(Millis),
}

/// p95 of the last closed minute and the usual one, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailState {
    /// Of the last closed minute.
    pub p95_us: u32,
    /// The usual one.
    pub baseline_us: u32,
}

/// Requests of the last closed minute and the usual number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadState {
    /// Offered in the last closed minute.
    pub offered: u32,
    /// The usual number.
    pub usual: u32,
    /// Its standard deviation.
    pub spread: u32,
}

/// Failed of completed in the windows by which an error budget is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BurnShares {
    /// Five minutes.
    pub m5: Option<Share>,
    /// Half an hour.
    pub m30: Option<Share>,
    /// One hour.
    pub h1: Option<Share>,
    /// Six hours.
    pub h6: Option<Share>,
    /// Three days.
    pub d3: Option<Share>,
}

impl BurnShares {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    const fn all(&self) -> [Option<Share>; 5] {
        [self.m5, self.m30, self.h1, self.h6, self.d3]
    }
}

impl Default for TestState {
    fn default() -> Self {
        Self {
            // The tier that acts: a test of what is refused is the usual one.
            tier: Tier::Control,
            circuit: CircuitState::Closed,
            probes_spent: false,
            slow_start: BasisPoints::ZERO,
            band: Band::Low,
            failed: None,
            slow: None,
            retries: None,
            in_flight: 0,
            waiting: 0,
            latency: None,
            traffic: None,
            burn: BurnShares::default(),
            class_mix_bp: ALL_ORDINARY_BP,
            client_limit: None,
            client_refusals: 0,
            rate_limit: None,
            retry: RetryKind::First,
            ledger: LedgerStanding::Available,
            draw_bp: None,
        }
    }
}
