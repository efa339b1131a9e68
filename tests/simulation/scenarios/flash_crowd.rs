//! Ten times the usual load for half a minute.

use std::num::NonZeroU32;

use tidegate::contract::Terms;
use tidegate::units::Millis;

use crate::scenario::{Arrivals, Crowd, SECOND, Scenario, api};
use crate::{for_each_seed, run};

const FROM: u64 = 20;
const TO: u64 = 50;
const ENDS: u64 = 90;
/// What the upstream can do in a second.
const CAPACITY: u64 = 100;

fn world(seed: u64) -> Scenario {
    let terms = Terms {
        max_latency: Millis::new(500),
        max_in_flight: NonZeroU32::new(20),
        ..Terms::default()
    };
    Scenario {
        crowds: vec![Crowd {
            clients: 4_000,
            arrivals: Arrivals::crowded(50, 10, (FROM * SECOND, TO * SECOND)),
            retries: 1,
            ..Crowd::default()
        }],
        ends_us: ENDS * SECOND,
        ..Scenario::new(seed, api(terms))
    }
}

// R038
#[test]
fn a_flash_crowd_leaves_the_upstream_at_its_capacity() {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let report = run(world(seed));
        let seen = &report.crowds[0];
        let goodput = seen.well.sum(FROM + 2..TO) / (TO - FROM - 2);
        let again = seen.well_again(TO, ENDS, 980);
        println!(
            "flash crowd, seed {seed}: {goodput}/s of {CAPACITY}/s, begun {}/s, \
             98 % again at {again:?} (crowd ends at {TO}), {:?}",
            seen.begun.sum(FROM..TO) / (TO - FROM),
            report.reasons
        );
        assert!(seen.permille(5..FROM) >= 995, "{about}: sound before");
        assert!(
            goodput >= CAPACITY * 85 / 100,
            "{about}: {goodput} a second"
        );
        assert!(again.is_some_and(|at| at <= TO + 15), "{about}: {again:?}");
        assert_eq!(report.quarantined, 0, "{about}: quarantined");
    });
}
