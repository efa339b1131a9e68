//! Says when a circuit becomes something else: one line for each change that the ticker saw.

use crate::observation::{CircuitState, Mode, Ticker, Transition};
use crate::rulebook::Rulebook;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Takes the changes away and logs them. `taken` is only kept for its memory.
pub(super) fn say(rulebook: &Rulebook, ticker: &mut Ticker, taken: &mut Vec<Transition>) {
    taken.clear();
    let missed = ticker.take_transitions(taken);
    for transition in taken.iter() {
        say_one(rulebook, transition);
    }
    if missed > 0 {
        tracing::warn!(event = "circuit_changes_untold", missed);
    }
}

fn say_one(rulebook: &Rulebook, transition: &Transition) {
    let contract = rulebook.route(transition.route).name();
    let mode = match transition.mode {
        Mode::Dry => "dry",
        Mode::Real => "real",
    };
    let epoch = transition.epoch;
    match transition.to {
        CircuitState::Open => {
            let wait_ms = transition.wait_ns.div_ceil(NANOS_PER_MILLI);
            tracing::warn!(event = "circuit_opened", contract, mode, epoch, wait_ms);
        }
        CircuitState::HalfOpen => {
            tracing::info!(event = "circuit_half_open", contract, mode, epoch);
        }
        CircuitState::Closed => {
            tracing::info!(event = "circuit_closed", contract, mode, epoch);
        }
    }
}
