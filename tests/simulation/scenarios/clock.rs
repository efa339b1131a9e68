//! The wall clock jumps; what is counted does not.

use std::num::NonZeroU32;

use tidegate::contract::Terms;
use tidegate::observation::CircuitState;
use tidegate::units::{Millis, PerMinute};

use crate::scenario::{Arrivals, Crowd, SECOND, Scenario, api};
use crate::upstream::{Model, Mood, Outcome};
use crate::{for_each_seed, run};

const HOUR_US: i64 = 3_600_000_000;

fn steps() -> Vec<(u64, i64)> {
    vec![
        (20 * SECOND + 1, HOUR_US),
        (32 * SECOND + 1, -2 * HOUR_US),
        (44 * SECOND + 1, HOUR_US),
        // To 1970, and back again.
        (52 * SECOND + 1, -1_767_225_600_000_000),
        (53 * SECOND + 1, 1_767_225_600_000_000),
    ]
}

// R015
#[test]
fn a_clock_step_refills_no_limit_and_moves_no_window() {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let terms = Terms {
            rate_limit: PerMinute::new(600),
            client_rate_limit: PerMinute::new(60),
            max_in_flight: NonZeroU32::new(30),
            ..Terms::default()
        };
        let world = |steps| {
            run(Scenario {
                crowds: vec![Crowd {
                    clients: 40,
                    arrivals: Arrivals::steady(20),
                    ..Crowd::default()
                }],
                steps,
                ..Scenario::new(seed, api(terms))
            })
        };
        let (still, stepped) = (world(Vec::new()), world(steps()));
        let passed = still.forwarded;
        println!(
            "clock steps, seed {seed}: {passed} and {} passed",
            stepped.forwarded
        );
        // Ten a second, and the sixty of the burst.
        assert!((600..=661).contains(&passed), "{about}: {passed} passed");
        assert_eq!(still.crowds, stepped.crowds, "{about}: what clients saw");
        assert_eq!(still.minutes, stepped.minutes, "{about}: what was read");
        assert_eq!(passed, stepped.forwarded, "{about}");
    });
}

// R074
#[test]
fn a_clock_step_neither_opens_nor_closes_a_circuit() {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let terms = Terms {
            max_latency: Millis::new(500),
            ..Terms::default()
        };
        let failing = Mood::Failing(100, Outcome::Answer(502), None);
        let world = |steps| {
            run(Scenario {
                upstreams: vec![Model {
                    moods: vec![(15 * SECOND, failing), (45 * SECOND, Mood::Well)],
                    ..Model::default()
                }],
                steps,
                ends_us: 90 * SECOND,
                ..Scenario::new(seed, api(terms))
            })
        };
        let (still, stepped) = (world(Vec::new()), world(steps()));
        // The draw of who is shed goes by the wall-clock minute, so not all is the same; but five
        // in a row open it at the same instant, and the first probe passes at the same.
        assert_eq!(still.circuits[..2], stepped.circuits[..2], "{about}");
        let last = stepped.circuit().last().map(|change| change.1);
        assert_eq!(last, Some(CircuitState::Closed), "{about}");
        assert_eq!(still.circuits.len(), stepped.circuits.len(), "{about}");
        let well = stepped.crowds[0].permille(78..88);
        assert!(well >= 990, "{about}: {well} of 1000 in the end");
    });
}
