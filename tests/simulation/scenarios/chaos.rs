//! Everything at once: an upstream of random moods, random paths, clients of all kinds.

use std::num::NonZeroU32;

use tidegate::contract::{Contract, Method, Terms, Throttle};
use tidegate::observation::UpstreamError;
use tidegate::units::{Millis, PerMinute, Tier};

use crate::random::Random;
use crate::report::Report;
use crate::scenario::{Arrivals, Crowd, MS, SECOND, Scenario, contract};
use crate::upstream::{Model, Mood, Outcome};
use crate::{for_each_seed, run};

const TROUBLE_ENDS: u64 = 25 * SECOND;
/// From then on nobody may be refused for the route's sake: the last bad time is over for longer
/// than the longest window (60 s) and the hold of a band (10 s).
const CALM_FROM: u64 = TROUBLE_ENDS + 80 * SECOND;

fn contracts() -> Vec<Contract> {
    let api = Terms {
        max_latency: Millis::new(60),
        timeout: Millis::new(3_000),
        max_in_flight: NonZeroU32::new(10),
        rate_limit: PerMinute::new(9_000),
        client_rate_limit: PerMinute::new(900),
        ..Terms::default()
    };
    let observed = Terms {
        tier: Some(Tier::ObserveOnly),
        ..api
    };
    let held = Terms {
        rate_limit: PerMinute::new(300),
        burst: NonZeroU32::new(2),
        throttle: Throttle::Delay {
            wait_max: Millis::new(400),
            held_max: NonZeroU32::new(3).unwrap(),
        },
        ..api
    };
    vec![
        contract("api", "GET /api/{id}", api),
        contract("held", "GET /held/{id}", held),
        contract("observed", "GET /observed", observed),
    ]
}

fn moods(random: &mut Random) -> Vec<(u64, Mood)> {
    let mut moods = Vec::new();
    let mut at = 5 * SECOND;
    while at < TROUBLE_ENDS - 4 * SECOND {
        let mood = [
            Mood::Well,
            Mood::Slow(12),
            Mood::Failing(80, Outcome::Answer(503), None),
            Mood::Failing(50, Outcome::Broken(UpstreamError::Reset), None),
            Mood::Failing(30, Outcome::Answer(429), None),
            Mood::Stalled,
            Mood::Refusing,
        ][random.between(0, 7) as usize];
        moods.push((at, mood));
        at += random.between(2, 7) * SECOND;
    }
    // Every world has a failing time, so that there is something to refuse.
    let failing = Mood::Failing(100, Outcome::Answer(503), None);
    moods.push((TROUBLE_ENDS - 4 * SECOND, failing));
    moods.push((TROUBLE_ENDS, Mood::Well));
    moods
}

fn world(seed: u64, tier: Tier) -> Scenario {
    let crowd = |path, per_second| Crowd {
        path,
        clients: 16,
        arrivals: Arrivals::steady(per_second),
        patience_us: (SECOND, 8 * SECOND),
        retries: 2,
        backoff_us: 50 * MS,
        declares: false,
        ..Crowd::default()
    };
    let mut random = Random::of(seed, 1);
    Scenario {
        tier,
        crowds: vec![
            crowd("/api/", 12),
            Crowd {
                declares: true,
                obeys_retry_after: true,
                ..crowd("/api/", 6)
            },
            crowd("/held/", 5),
            crowd("/observed", 4),
            crowd("/nothing/here", 1),
            crowd("/api/../1", 1),
            Crowd {
                method: Method::Delete,
                ..crowd("/api/1", 1)
            },
        ],
        upstreams: vec![Model {
            service_us: (2 * MS, 15 * MS),
            queue_max: 200,
            moods: moods(&mut random),
            ..Model::default()
        }],
        ends_us: CALM_FROM + 5 * SECOND,
        records_every: 4,
        ..Scenario::new(seed, contracts())
    }
}

fn check_calm(about: &str, report: &Report) {
    assert!(report.decisions > 1_000, "{about}: {}", report.decisions);
    let calm = CALM_FROM / SECOND;
    let refused = report.innocents_refused.sum(calm..calm + 10);
    assert_eq!(refused, 0, "{about}: refused long after the trouble");
}

// R047, R056
#[test]
fn the_gateway_keeps_its_word_whatever_the_upstream_does() {
    for_each_seed(3, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let controlled = run(world(seed, Tier::Control));
        check_calm(&about, &controlled);
        assert!(controlled.refused > 0, "{about}: nothing was ever refused");
        let observed = run(world(seed, Tier::ObserveOnly));
        check_calm(&about, &observed);
        assert_eq!(observed.refused, 0, "{about}: an observer refused");
        assert!(observed.withheld > 0, "{about}: nothing was withheld");
    });
}

// R047, R297
#[test]
fn the_same_seed_gives_the_same_bytes() {
    for_each_seed(1, |seed| {
        let short = |seed| Scenario {
            ends_us: 20 * SECOND,
            ..world(seed, Tier::Control)
        };
        let (first, second) = (run(short(seed)), run(short(seed)));
        assert_eq!(first, second, "SIMULATION_SEED={seed}");
        let other = run(short(seed + 1)).head;
        assert_ne!(first.head, other, "the seed is used");
    });
}
