//! What no gateway could be in: numbers beyond their bounds, and states that exclude each other.

use super::{DRAWS, LimitState, SPREAD_MAX, TestState};
use crate::contract::file::bounds::{COUNT_MAX, WAIT_MILLIS_MAX};
use crate::observation::{CircuitState, SLOW_START_MAX_BP, Share};
use crate::units::BasisPoints;

impl TestState {
    /// What cannot be, as a sentence.
    pub(in crate::policy::self_tests) fn fault(&self) -> Option<&'static str> {
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
