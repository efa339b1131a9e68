//! One client sends more than all others together, and the route is in distress.

use std::num::NonZeroU32;

use tidegate::contract::Terms;
use tidegate::units::{Millis, PerMinute};

use crate::report::Report;
use crate::scenario::{Arrivals, Crowd, SECOND, Scenario, api};
use crate::upstream::{Model, Mood};
use crate::{for_each_seed, run};

const FROM: u64 = 20;
const TO: u64 = 60;

fn world(seed: u64, client_rate_limit: Option<PerMinute>, governed: bool) -> Report {
    let terms = Terms {
        max_latency: Millis::new(400),
        max_in_flight: NonZeroU32::new(20),
        client_rate_limit,
        ..Terms::default()
    };
    run(Scenario {
        governed,
        // Two thirds of its speed: enough for the others, but not for all.
        upstreams: vec![Model {
            service_us: (75_000, 225_000),
            moods: vec![(FROM * SECOND, Mood::Well)],
            ..Model::default()
        }],
        crowds: vec![
            Crowd {
                arrivals: Arrivals::steady(45),
                retries: 1,
                ..Crowd::default()
            },
            Crowd {
                first_client: 10_000,
                clients: 1,
                arrivals: Arrivals::crowded(1, 80, (FROM * SECOND, TO * SECOND)),
                retries: 3,
                declares: false,
                ..Crowd::default()
            },
        ],
        ends_us: 90 * SECOND,
        ..Scenario::new(seed, api(terms))
    })
}

// R015, R044
#[test]
fn an_aggressive_tenant_does_not_take_the_others_down() {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let limited = world(seed, PerMinute::new(600), true);
        let unlimited = world(seed, None, true);
        let alone = world(seed, None, false);
        let of = |report: &Report| {
            let during = FROM + 5..TO;
            [0, 1].map(|crowd| report.crowds[crowd].permille(during.clone()))
        };
        println!(
            "aggressive tenant, seed {seed}: good of 1000, [others, tenant]: with a limit per \
             client {:?}, without {:?}, nobody between {:?}; {:?} {:?}",
            of(&limited),
            of(&unlimited),
            of(&alone),
            limited.reasons,
            unlimited.reasons,
        );
        let [others, _] = of(&limited);
        assert!(others >= 950, "{about}: {others} with a limit per client");
        let [others, _] = of(&unlimited);
        assert!(others >= 200, "{about}: {others} without one");
        assert!(
            of(&alone)[0] < 200,
            "{about}: it would have taken them down"
        );
        for report in [&limited, &unlimited] {
            let again = report.crowds[0].well_again(TO, 88, 950);
            assert!(again.is_some_and(|at| at <= TO + 15), "{about}: {again:?}");
        }
    });
}
