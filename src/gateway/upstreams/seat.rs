//! What is known of one place of a group: who sits there and how it fares.
//!
//! Pure: times are given, nothing is read. Deliberately not here: how many may be left out.

use std::net::SocketAddr;

use crate::config::Ejection;
use crate::telemetry::ServerState;

/// An ejection never lasts longer than so many times its base.
const REPEATS_MAX: u32 = 10;

/// One place.
#[derive(Debug, Clone, Default)]
pub(super) struct Seat {
    /// Who sits here; `None` while nobody does.
    pub(super) socket: Option<SocketAddr>,
    /// Until when it is left out; `None` while it is not.
    ejected_until_ns: Option<u64>,
    /// Ejections that have not been forgotten.
    repeats: u32,
    /// Since when it has been in.
    in_since_ns: u64,
    /// Whether checks say that it is down.
    is_unhealthy: bool,
    /// Checks in a row that contradict that.
    contrary: u32,
    /// When the next check is due.
    pub(super) check_at_ns: u64,
}

impl Seat {
    /// For a new server.
    pub(super) fn of(socket: SocketAddr) -> Self {
        Self {
            socket: Some(socket),
            ..Self::default()
        }
    }

    pub(super) const fn state(&self) -> ServerState {
        if self.is_unhealthy {
            ServerState::Unhealthy
        } else if self.ejected_until_ns.is_some() {
            ServerState::Ejected
        } else {
            ServerState::Healthy
        }
    }

    pub(super) fn is_well(&self) -> bool {
        self.state() == ServerState::Healthy
    }

    pub(super) const fn is_ejected(&self) -> bool {
        self.ejected_until_ns.is_some()
    }

    /// Leaves it out; gives for how long, nanoseconds.
    pub(super) fn eject(&mut self, rule: &Ejection, now_ns: u64) -> u64 {
        self.repeats = (self.repeats + 1).min(REPEATS_MAX);
        let lasts_ns = rule.base.as_nanos().saturating_mul(u64::from(self.repeats));
        self.ejected_until_ns = Some(now_ns.saturating_add(lasts_ns));
        lasts_ns
    }

    /// Lets time pass: whether an ejection is over now. Each base time without one lets one that
    /// was before be forgotten.
    pub(super) fn pass(&mut self, rule: &Ejection, now_ns: u64) -> bool {
        match self.ejected_until_ns {
            Some(until_ns) if until_ns <= now_ns => {
                self.ejected_until_ns = None;
                self.in_since_ns = now_ns;
                true
            }
            Some(_) => false,
            None => {
                let in_for_ns = now_ns.saturating_sub(self.in_since_ns);
                if self.repeats > 0 && in_for_ns >= rule.base.as_nanos() {
                    self.repeats -= 1;
                    self.in_since_ns = now_ns;
                }
                false
            }
        }
    }

    /// A check came to its end; whether that changes what is thought of the server.
    pub(super) const fn checked(&mut self, is_good: bool, healthy: u32, unhealthy: u32) -> bool {
        if is_good != self.is_unhealthy {
            self.contrary = 0;
            return false;
        }
        self.contrary += 1;
        let enough = if is_good { healthy } else { unhealthy };
        if self.contrary < enough {
            return false;
        }
        self.contrary = 0;
        self.is_unhealthy = !is_good;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Ejection, Seat};
    use crate::units::Millis;

    const RULE: Ejection = Ejection {
        failures: 5,
        base: Millis::new(1_000),
        max_percent: 50,
    };
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn an_ejection_lasts_longer_each_time_and_is_forgotten() {
        let mut seat = Seat::default();
        let mut now = 100 * SECOND;
        for repeat in 1..=12 {
            let lasts = seat.eject(&RULE, now);
            assert_eq!(lasts, repeat.min(10) * SECOND);
            assert!(!seat.is_well() && !seat.pass(&RULE, now + lasts - 1));
            now += lasts;
            assert!(seat.pass(&RULE, now) && seat.is_well());
        }
        for _ in 0..10 {
            assert!(!seat.pass(&RULE, now + SECOND - 1));
            now += SECOND;
            assert!(!seat.pass(&RULE, now));
        }
        assert_eq!(seat.eject(&RULE, now), SECOND, "all is forgotten");
    }

    #[test]
    fn checks_in_a_row_change_what_is_thought() {
        let mut seat = Seat::default();
        let mut told = String::new();
        for check in "--+---+-++--+---".chars() {
            seat.checked(check == '+', 2, 3);
            told.push(if seat.is_well() { 'w' } else { 'd' });
        }
        assert_eq!(told, "wwwwwdddd wwwwwwd".replace(' ', ""));
    }
}
