//! Little traffic, and the first traffic: what is not known is not acted upon.

use tidegate::contract::Terms;
use tidegate::units::{Factor, Millis};

use crate::scenario::{Arrivals, Crowd, MINUTE, SECOND, Scenario, api};
use crate::upstream::{Model, Mood, Outcome};
use crate::{for_each_seed, run};

// R034, R035
#[test]
fn a_request_a_minute_is_never_enough() {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let terms = Terms {
            max_latency: Millis::new(20),
            ..Terms::default()
        };
        // Every one of them is slow, and every one fails.
        let always = Mood::Failing(100, Outcome::Answer(503), None);
        let report = run(Scenario {
            upstreams: vec![Model {
                moods: vec![(0, always)],
                ..Model::default()
            }],
            crowds: vec![Crowd {
                clients: 1,
                arrivals: Arrivals::regular(seed % 8 * 7 * SECOND, MINUTE, 60),
                ..Crowd::default()
            }],
            ends_us: 61 * MINUTE,
            records_every: 1,
            ..Scenario::new(seed, api(terms))
        });
        assert_eq!(report.forwarded, 60, "{about}: all of them");
        assert_eq!(report.circuit(), [], "{about}: circuit");
        for minute in 0..60 {
            let readings = report.minute(minute);
            for factor in Factor::ALL {
                assert_eq!(readings.of(factor), 0, "{about}: {factor:?} in {minute}");
            }
            for factor in [Factor::Latency, Factor::ErrorRate] {
                assert!(!readings.knows(factor), "{about}: {factor:?} in {minute}");
            }
        }
    });
}

// R034, R035
#[test]
fn a_cold_start_knows_nothing_and_then_something() {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let report = run(Scenario {
            crowds: vec![Crowd {
                // Fifteen in the first minute, and then enough.
                arrivals: Arrivals::At(
                    (0..15)
                        .map(|number| 1 + number * 4 * SECOND)
                        .chain((0..600).map(|number| MINUTE + number * SECOND / 5))
                        .collect(),
                ),
                ..Crowd::default()
            }],
            ends_us: 4 * MINUTE,
            ..Scenario::new(seed, api(Terms::default()))
        });
        for factor in [Factor::Latency, Factor::ErrorRate] {
            assert!(
                !report.minute(0).knows(factor),
                "{about}: {factor:?} at first"
            );
            assert!(report.minute(2).knows(factor), "{about}: {factor:?} later");
            assert_eq!(
                report.minute(2).of(factor),
                0,
                "{about}: {factor:?} is calm"
            );
        }
        assert_eq!(report.refused, 0, "{about}: refused");
    });
}
