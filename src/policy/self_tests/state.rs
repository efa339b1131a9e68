//! The state of route, client and gateway that a self-test supposes.
//!
//! What is not said is at rest: nothing failed, nothing is used up, nothing is known of the long
//! windows. Deliberately not here: how a state came about; only what a decision is made from.

use crate::contract::file::bounds::{COUNT_MAX, WAIT_MILLIS_MAX};
use crate::observation::{
    ALL_ORDINARY_BP, CircuitState, LedgerStanding, RetryKind, SLOW_START_MAX_BP, Share,
};
use crate::units::{Band, BasisPoints, Millis, Tier};

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

impl TestState {
    /// What cannot be, as a sentence.
    pub(super) fn fault(&self) -> Option<&'static str> {
        self.number_fault().or_else(|| self.contradiction())
    }

    fn number_fault(&self) -> Option<&'static str> {
        let [m5, m30, h1, h6, d3] = self.burn.all();
        let shares = [self.failed, self.slow, self.retries, m5, m30, h1, h6, d3];
        let is_share = |share: &Share| (1..=COUNT_MAX).contains(&share.whole);
        let is_part = |share: &Share| share.part <= share.whole;
        if !shares.iter().flatten().all(|s| is_share(s) && is_part(s)) {
            return Some("a share is a part of at most a billion");
        }
        let mut counts = vec![self.in_flight, self.waiting, self.client_refusals];
        if let Some(load) = self.traffic {
            counts.extend([load.offered, load.usual]);
        }
        if counts.iter().any(|count| *count > COUNT_MAX) {
            return Some("a count is at most a billion");
        }
        if self.traffic.is_some_and(|load| load.spread > SPREAD_MAX) {
            return Some("'spread' is at most a million");
        }
        if self.latency.is_some_and(|tail| tail.baseline_us == 0) {
            return Some("'baseline_ms' is above 0");
        }
        if self.slow_start.get() > SLOW_START_MAX_BP {
            return Some("'slow_start' is at most 50%");
        }
        if self.draw_bp.is_some_and(|draw| draw >= DRAWS) {
            return Some("'draw' is below 100%");
        }
        let is_wait = |limit: &LimitState| match limit {
            LimitState::Spent => true,
            LimitState::FreeIn(wait) => (1..=WAIT_MILLIS_MAX).contains(&wait.get()),
        };
        let mut limits = self.client_limit.iter().chain(&self.rate_limit);
        (!limits.all(is_wait)).then_some("a limit is free in 1 to 60000 ms, or spent")
    }

    fn contradiction(&self) -> Option<&'static str> {
        let waits = |limit: Option<LimitState>| matches!(limit, Some(LimitState::FreeIn(_)));
        let parts: u32 = self.class_mix_bp.iter().map(|part| u32::from(*part)).sum();
        let is_closed = self.circuit == CircuitState::Closed;
        [
            (
                self.slow_start > BasisPoints::ZERO && !is_closed,
                "'slow_start' follows a circuit that has closed",
            ),
            (
                self.probes_spent && self.circuit != CircuitState::HalfOpen,
                "'probes' belong to a circuit that is half_open",
            ),
            (
                self.client_refusals > 0 && self.client_limit.is_none(),
                "'client_refusals' need a 'client_limit' that refuses",
            ),
            (
                self.waiting > 0 && !waits(self.client_limit) && !waits(self.rate_limit),
                "'waiting' needs a limit that is 'free in' some time",
            ),
            (
                parts != 10_000,
                "the parts of 'class_mix' are 100% together",
            ),
        ]
        .into_iter()
        .find_map(|(is_wrong, what)| is_wrong.then_some(what))
    }
}

/// The states of a circuit.
pub(super) const CIRCUITS: [CircuitState; 3] = [
    CircuitState::Closed,
    CircuitState::Open,
    CircuitState::HalfOpen,
];

/// How the ledger can stand.
pub(super) const LEDGERS: [LedgerStanding; 4] = [
    LedgerStanding::Available,
    LedgerStanding::Unavailable,
    LedgerStanding::ObserveOnly,
    LedgerStanding::FailClosed,
];

/// The kinds of retries.
pub(super) const RETRIES: [RetryKind; 3] = [RetryKind::First, RetryKind::Declared, RetryKind::Seen];

/// What files say of the ledger: `unavailable` goes on, the others do what `on_unavailable` says.
pub(super) const fn ledger_key(standing: LedgerStanding) -> &'static str {
    match standing {
        LedgerStanding::Available => "available",
        LedgerStanding::Unavailable => "unavailable",
        LedgerStanding::ObserveOnly => "unavailable_observe_only",
        LedgerStanding::FailClosed => "unavailable_fail_closed",
    }
}

/// What files say of a retry.
pub(super) const fn retry_key(kind: RetryKind) -> &'static str {
    match kind {
        RetryKind::First => "no",
        RetryKind::Declared => "declared",
        RetryKind::Seen => "seen",
    }
}
