//! The limits of a supposed state, asked in the order in which the pipeline asks its own.
//!
//! The rate of the client, the rate of the contract (or of all unknown paths), a turn where one of
//! them says not yet, a place in flight, a probe.

use crate::contract::{Terms, Throttle};
use crate::observation::{CircuitState, Signals, Take};
use crate::policy::rules::{Rules, Severity};
use crate::policy::self_tests::{LimitState, TestState};
use crate::units::{Action, Tier};

/// Sets what came of asking: the take, and how long the request is held.
pub(super) fn ask(
    rules: &Rules,
    terms: Option<&Terms>,
    state: &TestState,
    severity: Severity,
    signals: &mut Signals,
) {
    let is_apart = severity != Severity::Allow;
    let mut asking = Asking {
        patience: if is_apart {
            None
        } else {
            patience(rules, terms, signals.tier)
        },
        first: None,
        hold_ns: 0,
    };
    let has_client_limit = terms.is_some_and(|terms| terms.client_rate_limit.is_some());
    let client = state.client_limit.filter(|_| has_client_limit && !is_apart);
    // Unknown paths that are let through share a limit of their own.
    let has_limit = terms.is_none_or(|terms| terms.rate_limit.is_some());
    let contract = state.rate_limit.filter(|_| has_limit);
    let refused = asking
        .rate(Take::ClientRate, client)
        .or_else(|| asking.rate(Take::ContractRate, contract))
        .or_else(|| asking.turn(state.waiting))
        .or_else(|| place(terms, signals.in_flight))
        .or_else(|| probe(terms, state));
    signals.take = refused.or(asking.first).unwrap_or(Take::Granted);
    signals.hold_ns = match refused {
        Some(_) => 0,
        None => asking.hold_ns,
    };
}

/// The longest wait, nanoseconds, and how many may wait.
fn patience(rules: &Rules, terms: Option<&Terms>, tier: Tier) -> Option<(u64, u32)> {
    let may_throttle = tier > Tier::ObserveOnly && rules.allowed(tier).contains(Action::Throttle);
    match terms?.throttle {
        Throttle::Delay { wait_max, held_max } if may_throttle => {
            Some((wait_max.as_nanos(), held_max.get()))
        }
        _ => None,
    }
}

struct Asking {
    patience: Option<(u64, u32)>,
    /// The first limit that makes the request wait.
    first: Option<Take>,
    hold_ns: u64,
}

impl Asking {
    /// The refusal of a rate that is used up for longer than the request may wait.
    fn rate(&mut self, who: Take, limit: Option<LimitState>) -> Option<Take> {
        let wait_ns = match limit? {
            LimitState::Spent => return Some(who),
            LimitState::FreeIn(wait) => wait.as_nanos(),
        };
        if self.patience.is_none_or(|(longest, _)| wait_ns > longest) {
            return Some(who);
        }
        self.first = self.first.or(Some(who));
        self.hold_ns = self.hold_ns.max(wait_ns);
        None
    }

    /// The refusal of a rate whose turn too many wait for.
    fn turn(&self, waiting: u32) -> Option<Take> {
        let (_, held_max) = self.patience?;
        self.first.filter(|_| waiting >= held_max)
    }
}

fn place(terms: Option<&Terms>, in_flight: u32) -> Option<Take> {
    let max = terms?.max_in_flight?;
    (in_flight >= max.get()).then_some(Take::Concurrency)
}

fn probe(terms: Option<&Terms>, state: &TestState) -> Option<Take> {
    terms?;
    let is_refused = match state.circuit {
        CircuitState::Closed => false,
        CircuitState::Open => true,
        CircuitState::HalfOpen => state.probes_spent,
    };
    is_refused.then_some(Take::Probe)
}
