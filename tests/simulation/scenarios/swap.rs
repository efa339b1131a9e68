//! A new rulebook in the middle: what was used up stays used up.

use std::num::NonZeroU32;

use tidegate::contract::{Contract, Terms};
use tidegate::observation::CircuitState;
use tidegate::units::{Millis, PerMinute};

use crate::scenario::{Arrivals, Crowd, MS, SECOND, Scenario, contract};
use crate::upstream::{Model, Mood, Outcome};
use crate::{for_each_seed, run};

const SWAP: u64 = 30;

/// `others` before it moves the contract to another place.
fn contracts(others: usize, terms: Terms) -> Vec<Contract> {
    let all = ["a0", "a1", "a2"].iter().take(others);
    let mut contracts: Vec<_> = all
        .map(|id| contract(id, &format!("GET /{id}"), Terms::default()))
        .collect();
    contracts.push(contract("api", "GET /api/{id}", terms));
    contracts
}

// R109
#[test]
fn a_new_rulebook_refills_no_limit() {
    for_each_seed(2, |seed| {
        let terms = |rpm| Terms {
            rate_limit: PerMinute::new(rpm),
            client_rate_limit: PerMinute::new(rpm),
            ..Terms::default()
        };
        let world = |swaps| {
            run(Scenario {
                crowds: vec![Crowd {
                    clients: 3,
                    arrivals: Arrivals::steady(20),
                    ..Crowd::default()
                }],
                swaps,
                ..Scenario::new(seed, contracts(0, terms(600)))
            })
        };
        let still = world(Vec::new());
        let often = (1..50).map(|second| {
            let others = second as usize % 4;
            (second * SECOND + 7, contracts(others, terms(600)))
        });
        let swapped = world(often.collect());
        let about = format!("SIMULATION_SEED={seed}");
        assert_eq!(still.crowds, swapped.crowds, "{about}: 49 rulebooks later");
        // A new limit holds at once: from ten a second to one.
        let tighter = world(vec![(SWAP * SECOND, contracts(2, terms(60)))]);
        let passed = tighter.crowds[0].well.sum(SWAP + 2..60);
        println!(
            "swap, seed {seed}: {} passed; {passed} after a tighter limit",
            still.forwarded
        );
        assert!(
            passed <= 30,
            "{about}: {passed} passed in 28 s at one a second"
        );
    });
}

/// A rulebook every 700 ms, with the contract at so many places in turn: nobody notices.
pub(super) fn check_unnoticed(places: usize) {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let terms = Terms {
            max_latency: Millis::new(500),
            max_in_flight: NonZeroU32::new(8),
            ..Terms::default()
        };
        let failing = Mood::Failing(100, Outcome::Answer(503), None);
        let world = |swaps: Vec<_>| {
            run(Scenario {
                upstreams: vec![Model {
                    moods: vec![(20 * SECOND, failing), (50 * SECOND, Mood::Well)],
                    ..Model::default()
                }],
                crowds: vec![Crowd {
                    arrivals: Arrivals::steady(60),
                    retries: 1,
                    ..Crowd::default()
                }],
                swaps,
                ends_us: 100 * SECOND,
                ..Scenario::new(seed, contracts(0, terms))
            })
        };
        let still = world(Vec::new());
        let often = (1..140).map(|number| {
            let others = number as usize % places;
            (number * 700 * MS, contracts(others, terms))
        });
        let swapped = world(often.collect());
        let same = still.crowds == swapped.crowds && still.reasons == swapped.reasons;
        assert!(same, "{about}: 139 rulebooks, {places} places");
        let states: Vec<_> = still.circuit().iter().map(|change| change.1).collect();
        assert_eq!(states.last(), Some(&CircuitState::Closed), "{about}");
        assert!(states.len() >= 6, "{about}: {states:?}");
    });
}

// R109
#[test]
fn a_new_rulebook_keeps_places_circuits_and_windows() {
    check_unnoticed(1);
}
