//! An upstream that says itself that it has enough: its word is about the client, not the route.

use std::num::NonZeroU32;

use tidegate::contract::Terms;
use tidegate::units::{Factor, Millis};

use crate::report::Report;
use crate::scenario::{Arrivals, Crowd, SECOND, Scenario, api};
use crate::upstream::{Model, Outcome};
use crate::{for_each_seed, run};

const FROM: u64 = 15;
const TO: u64 = 35;

fn world(seed: u64, status: u16, places: u32) -> Report {
    let terms = Terms {
        max_latency: Millis::new(1_000),
        max_in_flight: NonZeroU32::new(places),
        ..Terms::default()
    };
    run(Scenario {
        upstreams: vec![Model {
            queue_max: 20,
            push_back: Outcome::Answer(status),
            ..Model::default()
        }],
        crowds: vec![Crowd {
            arrivals: Arrivals::crowded(50, 6, (FROM * SECOND, TO * SECOND)),
            retries: 1,
            ..Crowd::default()
        }],
        ends_us: 80 * SECOND,
        ..Scenario::new(seed, api(terms))
    })
}

// R035
#[test]
fn a_429_of_the_upstream_counts_nowhere() {
    for_each_seed(1, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let report = world(seed, 429, 0);
        let errors = (0..2).map(|at| report.minute(at).of(Factor::ErrorRate));
        let well = report.crowds[0].well.sum(FROM + 2..TO) / (TO - FROM - 2);
        println!(
            "push-back by 429, seed {seed}: {well}/s good of 100/s, {:?}",
            report.reasons
        );
        assert_eq!(errors.max(), Some(0), "{about}: it failed nobody");
        assert_eq!(report.circuit(), [], "{about}: circuit");
        assert!(well >= 90, "{about}: {well} a second");
    });
}

// R035, R075
#[test]
fn a_503_of_the_upstream_is_a_failure() {
    for_each_seed(1, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let report = world(seed, 503, 0);
        let again = report.crowds[0].well_again(TO, 78, 950);
        let goodput = |report: &Report| report.crowds[0].well.sum(FROM + 2..TO) / (TO - FROM - 2);
        // As many places as the upstream has: then it never has to say so.
        let limited = world(seed, 503, 28);
        println!(
            "push-back by 503, seed {seed}: {}/s good of 100/s, 95 % again {again:?} (until {TO}), \
             {} changes of the circuit; with max_in_flight {}/s, {}",
            goodput(&report),
            report.circuit().len(),
            goodput(&limited),
            limited.circuit().len(),
        );
        assert!(goodput(&limited) >= 90, "{about}: limited");
        assert_eq!(limited.circuit(), [], "{about}: limited");
        assert!(
            report.minute(0).of(Factor::ErrorRate) > 0,
            "{about}: untold"
        );
        assert!(again.is_some_and(|at| at <= TO + 30), "{about}: {again:?}");
    });
}
