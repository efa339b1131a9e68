//! An upstream that takes several times as long, and then recovers.

use std::num::NonZeroU32;

use tidegate::contract::Terms;
use tidegate::observation::CircuitState;
use tidegate::units::{Millis, Tier};

use crate::report::Report;
use crate::scenario::{Arrivals, Crowd, SECOND, Scenario, api};
use crate::upstream::{Model, Mood};
use crate::{for_each_seed, run};

const FROM: u64 = 20;
const TO: u64 = 50;
const ENDS: u64 = 110;

fn world(seed: u64, tier: Tier, times: u64) -> Report {
    let terms = Terms {
        max_latency: Millis::new(250),
        max_in_flight: NonZeroU32::new(20),
        ..Terms::default()
    };
    run(Scenario {
        tier,
        upstreams: vec![Model {
            moods: vec![
                (FROM * SECOND, Mood::Slow(times)),
                (TO * SECOND, Mood::Well),
            ],
            ..Model::default()
        }],
        crowds: vec![Crowd {
            arrivals: Arrivals::steady(50),
            retries: 2,
            ..Crowd::default()
        }],
        ends_us: ENDS * SECOND,
        ..Scenario::new(seed, api(terms))
    })
}

// R034
#[test]
fn a_slow_upstream_is_spared_until_it_is_quick_again() {
    for_each_seed(2, |seed| {
        for times in [2, 6] {
            let about = format!("SIMULATION_SEED={seed}, {times} times slower");
            let control = world(seed, Tier::Control, times);
            let observing = world(seed, Tier::ObserveOnly, times);
            let seen = &control.crowds[0];
            let again = seen.well_again(TO, ENDS, 950);
            let opened = control.circuit();
            println!(
                "slow upstream, seed {seed}, {times}x: good while slow {} (observed {}) of 1000, \
                 95 % again {again:?} (slow until {TO}; observed {:?}), circuit {opened:?}, {:?}",
                seen.permille(FROM..TO),
                observing.crowds[0].permille(FROM..TO),
                observing.crowds[0].well_again(TO, ENDS, 950),
                control.reasons,
            );
            assert!(seen.permille(5..FROM) >= 990, "{about}: sound before");
            assert!(again.is_some_and(|at| at <= TO + 30), "{about}: {again:?}");
            assert_eq!(control.quarantined, 0, "{about}: quarantined");
            assert!(control.refused > 0, "{about}: nothing was done");
            if times == 6 {
                // R039: nearly all are slow, so the circuit opens, and closes when they are not.
                let states: Vec<_> = opened.iter().map(|change| change.1).collect();
                assert_eq!(states.first(), Some(&CircuitState::Open), "{about}");
                assert_eq!(states.last(), Some(&CircuitState::Closed), "{about}");
            }
        }
    });
}
