//! What was counted in one world.

use std::collections::BTreeMap;

use tidegate::observation::{CircuitState, Mode, RouteState, TotalsReading};
use tidegate::pipeline::Judgement;
use tidegate::units::{FACTOR_COUNT, Factor, FactorSet};

use crate::scenario::{MINUTE, SECOND};

/// What the gateway did and what is left of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) decisions: u64,
    pub(crate) forwarded: u64,
    pub(crate) refused: u64,
    pub(crate) withheld: u64,
    pub(crate) offered: u64,
    pub(crate) acts_above_tier: u64,
    /// Refusals for the route's sake: not the client's, and no rate was used up. By the second.
    pub(crate) innocents_refused: Series,
    /// Contracted requests that were to be set apart.
    pub(crate) quarantined: u64,
    pub(crate) over_the_places: u64,
    pub(crate) left_in_flight: u32,
    pub(crate) left_held: u32,
    pub(crate) left_overdue: u32,
    pub(crate) left_probes: u32,
    /// The most probes that one half-open time let pass and did not get back unjudged.
    pub(crate) most_probes: u32,
    /// Deciding reasons of severe decisions.
    pub(crate) reasons: BTreeMap<&'static str, u64>,
    /// Every change of a circuit: when, of which route, to what, how often it had opened.
    pub(crate) circuits: Vec<(u64, String, CircuitState, u32)>,
    /// The worst of each factor in each minute, of the first contract's requests.
    pub(crate) minutes: Vec<Readings>,
    pub(crate) differences: Vec<String>,
    /// The hash of the last record: of all of them.
    pub(crate) head: String,
    /// The judgements up to the first that is not to forward, or would not be.
    pub(crate) until_first: Vec<(u64, Judgement)>,
    /// What the clients of each crowd saw.
    pub(crate) crowds: Vec<Seen>,
}

/// What the clients of a crowd saw, by the second.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Requests that began; their retries are not counted again.
    pub(crate) begun: Series,
    /// Those of them that came to a good end, by the second they began in.
    pub(crate) begun_well: Series,
    /// Good ends: the goodput.
    pub(crate) well: Series,
    /// Attempts.
    pub(crate) attempts: Series,
    /// Attempts that the gateway refused.
    pub(crate) refused: Series,
}

/// A count for each second.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Series(Vec<u64>);

impl Series {
    pub(crate) fn note(&mut self, at_us: u64) {
        let second = (at_us / SECOND) as usize;
        if self.0.len() <= second {
            self.0.resize(second + 1, 0);
        }
        self.0[second] += 1;
    }

    pub(crate) fn at(&self, second: u64) -> u64 {
        self.0.get(second as usize).copied().unwrap_or(0)
    }

    pub(crate) fn sum(&self, seconds: std::ops::Range<u64>) -> u64 {
        seconds.map(|second| self.at(second)).sum()
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Seen {
    /// Of a thousand requests that began in these seconds, how many came to a good end.
    pub(crate) fn permille(&self, seconds: std::ops::Range<u64>) -> u64 {
        let begun = self.begun.sum(seconds.clone()).max(1);
        1_000 * self.begun_well.sum(seconds) / begun
    }

    /// The first second from which on `permille` of a thousand come to a good end in every five
    /// seconds until `end`.
    pub(crate) fn well_again(&self, from: u64, end: u64, permille: u64) -> Option<u64> {
        let well = |second: u64| self.permille(second..(second + 5).min(end)) >= permille;
        let first = (from..end - 4).rev().take_while(|second| well(*second));
        first.last()
    }
}

/// What the factors read in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Readings {
    worst: [u16; FACTOR_COUNT],
    /// Those that could not be read at its end.
    insufficient: u16,
    known: bool,
}

impl Readings {
    pub(crate) fn of(&self, factor: Factor) -> u16 {
        self.worst[factor as usize]
    }

    /// Whether there was a request, and the factor could be read for the last one.
    pub(crate) fn knows(&self, factor: Factor) -> bool {
        self.known && !FactorSet::from_bits(self.insufficient).contains(factor)
    }
}

impl Report {
    pub(crate) fn note_readings(
        &mut self,
        now: u64,
        reading: impl Fn(Factor) -> u16,
        insufficient: FactorSet,
    ) {
        let minute = (now / MINUTE) as usize;
        if self.minutes.len() <= minute {
            self.minutes.resize(minute + 1, Readings::default());
        }
        let readings = &mut self.minutes[minute];
        for factor in Factor::ALL {
            let worst = &mut readings.worst[factor as usize];
            *worst = reading(factor).max(*worst);
        }
        readings.insufficient = insufficient.bits();
        readings.known = true;
    }

    pub(crate) fn minute(&self, minute: u64) -> Readings {
        self.minutes
            .get(minute as usize)
            .copied()
            .unwrap_or_default()
    }

    /// The changes of the circuit of `api`.
    pub(crate) fn circuit(&self) -> Vec<(u64, CircuitState)> {
        self.changes_of("api")
    }

    pub(crate) fn changes_of(&self, contract: &str) -> Vec<(u64, CircuitState)> {
        let of_route = self.circuits.iter().filter(|change| change.1 == contract);
        of_route.map(|change| (change.0, change.2)).collect()
    }

    /// Notes what is left of a route that nobody uses any more.
    pub(crate) fn note_left(&mut self, route: &RouteState, totals: TotalsReading, now_ns: u64) {
        self.offered += u64::from(totals.offered);
        self.left_overdue += totals.overdue_began.wrapping_sub(totals.overdue_ended);
        self.left_held += route.held();
        for mode in [Mode::Dry, Mode::Real] {
            self.left_in_flight += route.in_flight(mode);
            let circuit = route.circuit(mode).read(now_ns);
            if circuit.state == CircuitState::HalfOpen {
                let known = circuit.probes.succeeded + circuit.probes.failed;
                self.left_probes += u32::from(circuit.probes.issued.saturating_sub(known));
            }
        }
    }

    /// Places come back, limits hold, nothing is done above the tier, every record replays.
    pub(crate) fn check(&self, about: &str) {
        let none = Vec::<String>::new();
        assert_eq!(
            self.differences, none,
            "{about}: records that do not replay"
        );
        assert_eq!(self.left_in_flight, 0, "{about}: in flight after the end");
        assert_eq!(self.left_held, 0, "{about}: held after the end");
        assert_eq!(self.left_overdue, 0, "{about}: overdue after the end");
        assert_eq!(self.left_probes, 0, "{about}: probes after the end");
        assert_eq!(self.over_the_places, 0, "{about}: above max_in_flight");
        assert!(
            self.most_probes <= 5,
            "{about}: {} probes",
            self.most_probes
        );
        assert_eq!(self.acts_above_tier, 0, "{about}: acts above the tier");
        assert_eq!(self.offered, self.decisions, "{about}: offered and decided");
        let courses = self.forwarded + self.refused;
        assert_eq!(courses, self.decisions, "{about}: each has one course");
    }
}
