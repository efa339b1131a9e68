//! A new rulebook in which contracts stand at other places than before.

use tidegate::contract::Terms;
use tidegate::units::{Factor, Millis};

use super::swap::check_unnoticed;
use crate::scenario::{Arrivals, Crowd, SECOND, Scenario, contract};
use crate::upstream::{Model, Mood, Outcome};
use crate::{for_each_seed, run};

// R109
#[test]
fn a_new_rulebook_keeps_all_that_wherever_the_contract_stands() {
    check_unnoticed(4);
}

// R109
#[test]
fn one_contract_does_not_inherit_anothers_trouble() {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let terms = Terms {
            max_latency: Millis::new(500),
            ..Terms::default()
        };
        let sick = || contract("sick", "GET /sick/{id}", terms);
        let sound = || contract("sound", "GET /sound/{id}", terms);
        let third = Mood::Failing(40, Outcome::Answer(500), Some(1));
        let report = run(Scenario {
            upstreams: vec![Model {
                moods: vec![(10 * SECOND, third)],
                ..Model::default()
            }],
            crowds: vec![
                Crowd {
                    path: "/sound/",
                    ..Crowd::default()
                },
                Crowd {
                    path: "/sick/",
                    first_client: 10_000,
                    arrivals: Arrivals::steady(30),
                    ..Crowd::default()
                },
            ],
            // They change places, and a contract goes and comes back.
            swaps: vec![
                (20 * SECOND, vec![sound(), sick()]),
                (30 * SECOND, vec![sick(), sound()]),
                (40 * SECOND, vec![sound()]),
                (45 * SECOND, vec![sick(), sound()]),
            ],
            ..Scenario::new(seed, vec![sick(), sound()])
        });
        let sound = &report.crowds[0];
        assert_eq!(
            sound.refused.total(),
            0,
            "{about}: the sound one was refused"
        );
        assert_eq!(sound.permille(0..55), 1_000, "{about}");
        assert!(report.minute(0).of(Factor::ErrorRate) > 0, "{about}: sick");
    });
}
