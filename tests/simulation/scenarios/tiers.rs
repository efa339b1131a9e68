//! The same traffic under two tiers: judged alike until one of them acts.

use std::num::NonZeroU32;

use tidegate::contract::Terms;
use tidegate::policy::rules::Severity;
use tidegate::units::{Millis, PerMinute, Tier};

use crate::scenario::{Arrivals, Crowd, SECOND, Scenario, api};
use crate::upstream::{Model, Mood, Outcome};
use crate::{for_each_seed, run};

fn check(about: &str, terms: Terms, mood: Mood) {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed} {about}");
        let world = |tier| {
            run(Scenario {
                tier,
                upstreams: vec![Model {
                    moods: vec![(10 * SECOND, mood), (25 * SECOND, Mood::Well)],
                    ..Model::default()
                }],
                crowds: vec![Crowd {
                    clients: 50,
                    arrivals: Arrivals::steady(40),
                    retries: 1,
                    ..Crowd::default()
                }],
                ends_us: 30 * SECOND,
                ..Scenario::new(seed, api(terms))
            })
        };
        let (observing, control) = (world(Tier::ObserveOnly), world(Tier::Control));
        assert_eq!(observing.refused, 0, "{about}: an observer refused");
        let (seen, done) = (&observing.until_first, &control.until_first);
        assert_eq!(seen.len(), done.len(), "{about}: the first one");
        for ((at, would), (_, did)) in seen.iter().zip(done) {
            assert_eq!(would.assessment, did.assessment, "{about}: at {at}");
            assert_eq!(would.decision, did.decision, "{about}: at {at}");
            let taken = would.permit.taken();
            assert!(taken.minus(would.permit.allowed()).is_empty(), "{about}");
        }
        let (at, last) = done.last().unwrap();
        println!(
            "{about}: {} judged alike; the first that is acted upon, at {} ms: {:?}",
            done.len(),
            at / 1_000,
            last.decision.deciding(),
        );
        assert!(last.decision.severity() > Severity::Allow, "{about}: never");
        assert!(done.len() > 50, "{about}: at once");
    });
}

// R047, R056, R057
#[test]
fn two_tiers_judge_alike_until_the_first_is_enforced() {
    let terms = Terms {
        max_latency: Millis::new(300),
        ..Terms::default()
    };
    let limited = Terms {
        rate_limit: PerMinute::new(1_500),
        ..terms
    };
    let crowded = Terms {
        max_in_flight: NonZeroU32::new(15),
        ..terms
    };
    check("a rate", limited, Mood::Well);
    check("places", crowded, Mood::Stalled);
    check("slowness", terms, Mood::Slow(4));
    check(
        "failures",
        terms,
        Mood::Failing(100, Outcome::Answer(500), None),
    );
    check("no connection", terms, Mood::Refusing);
}
