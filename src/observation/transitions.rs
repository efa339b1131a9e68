//! Changes of circuits, as the ticker sees them: whoever ticks takes them away and says them.
//!
//! A circuit may open and close again between two ticks: its epoch tells. What is certain is
//! counted: to open again or to close, it was half open before.

use crate::observation::{CircuitReading, CircuitState, Mode};

/// Changes that wait to be taken away; of more the number is kept.
pub const TRANSITIONS_MAX: usize = 1_024;

/// A circuit became something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Its route on the board.
    pub route: usize,
    /// Which of its circuits.
    pub mode: Mode,
    /// What it became.
    pub to: CircuitState,
    /// Times it has opened, modulo 2^16.
    pub epoch: u32,
    /// How long until it lets a probe pass; 0 where it is not open any more.
    pub wait_ns: u64,
}

/// Changes that were not taken away yet.
#[derive(Debug, Default)]
pub(super) struct Transitions {
    waiting: Vec<Transition>,
    missed: u64,
}

impl Transitions {
    pub(super) fn push(&mut self, transition: Transition) {
        if self.waiting.len() < TRANSITIONS_MAX {
            self.waiting.push(transition);
        } else {
            self.missed += 1;
        }
    }

    /// Moves what waits behind `into`, and returns how many there was no room for.
    pub(super) fn take(&mut self, into: &mut Vec<Transition>) -> u64 {
        into.append(&mut self.waiting);
        std::mem::take(&mut self.missed)
    }
}

/// How often a circuit became closed, open and half open between two readings, at least.
pub(super) fn changes(before: &CircuitReading, after: &CircuitReading) -> [u32; 3] {
    let opened = times_opened(before.epoch, after.epoch);
    // What opens a second time was half open in between, as was what opens again or closes.
    let again = match before.state {
        CircuitState::Open => opened,
        CircuitState::Closed | CircuitState::HalfOpen => opened.saturating_sub(1),
    };
    let was = if opened > 0 {
        CircuitState::Open
    } else {
        before.state
    };
    let (closed, half_open) = match (was, after.state) {
        (CircuitState::Open, CircuitState::Closed) => (1, 1),
        (CircuitState::HalfOpen, CircuitState::Closed) => (1, 0),
        (CircuitState::Open | CircuitState::Closed, CircuitState::HalfOpen) => (0, 1),
        _ => (0, 0),
    };
    [closed, opened, again + half_open]
}

/// Epochs count modulo 2^16, and none but a circuit that never opened has epoch 0.
const fn times_opened(before: u32, after: u32) -> u32 {
    if after >= before {
        after - before
    } else {
        after + 0xffff - before
    }
}

#[cfg(test)]
mod tests {
    use super::{TRANSITIONS_MAX, Transition, Transitions, changes};
    use crate::observation::CircuitState::{self, Closed, HalfOpen, Open};
    use crate::observation::{CircuitReading, Mode};

    const fn reading(state: CircuitState, epoch: u32) -> CircuitReading {
        CircuitReading {
            state,
            epoch,
            closed_for_ns: None,
            wait_ns: 0,
            probes: crate::observation::Probes {
                issued: 0,
                succeeded: 0,
                failed: 0,
            },
        }
    }

    #[test]
    fn what_happened_between_two_ticks_is_told_by_the_epoch() {
        // Before, after, and how often it closed, opened and half opened.
        let table = [
            ((Closed, 0), (Closed, 0), [0, 0, 0]),
            ((Closed, 0), (Open, 1), [0, 1, 0]),
            ((Open, 1), (Open, 1), [0, 0, 0]),
            ((Open, 1), (HalfOpen, 1), [0, 0, 1]),
            ((HalfOpen, 1), (Closed, 1), [1, 0, 0]),
            ((HalfOpen, 1), (Open, 2), [0, 1, 0]),
            ((Open, 1), (Closed, 1), [1, 0, 1]),
            ((Open, 1), (Open, 2), [0, 1, 1]),
            ((Closed, 0), (Closed, 1), [1, 1, 1]),
            ((Closed, 3), (Open, 5), [0, 2, 1]),
            ((Closed, 3), (HalfOpen, 4), [0, 1, 1]),
            ((Closed, 0xffff), (Open, 1), [0, 1, 0]),
        ];
        for ((was, from), (is, to), want) in table {
            let found = changes(&reading(was, from), &reading(is, to));
            assert_eq!(found, want, "{was:?} {from} to {is:?} {to}");
        }
    }

    #[test]
    fn what_nobody_takes_away_is_bounded() {
        let mut waiting = Transitions::default();
        let transition = Transition {
            route: 1,
            mode: Mode::Real,
            to: Open,
            epoch: 1,
            wait_ns: 5,
        };
        (0..TRANSITIONS_MAX + 3).for_each(|_| waiting.push(transition));
        let mut taken = Vec::new();
        assert_eq!(waiting.take(&mut taken), 3);
        assert_eq!(taken.len(), TRANSITIONS_MAX);
        assert_eq!(waiting.take(&mut taken), 0);
    }
}
