//! Failures: a share of them, one alone, all of them, and what that does to a neighbour.

use tidegate::contract::Terms;
use tidegate::observation::{CircuitState, UpstreamError};
use tidegate::units::{Factor, Millis};

use crate::report::Report;
use crate::scenario::{Arrivals, Crowd, MS, SECOND, Scenario, api, contract};
use crate::upstream::{Model, Mood, Outcome};
use crate::{for_each_seed, run};

const FROM: u64 = 20;
const ENDS: u64 = 120;

fn world(seed: u64, crowd: Crowd, moods: Vec<(u64, Mood)>) -> Scenario {
    let terms = Terms {
        max_latency: Millis::new(500),
        ..Terms::default()
    };
    let mut contracts = api(terms);
    contracts.push(contract("other", "GET /other/{id}", terms));
    Scenario {
        upstreams: vec![Model {
            moods,
            ..Model::default()
        }],
        crowds: vec![
            crowd,
            Crowd {
                path: "/other/",
                first_client: 10_000,
                arrivals: Arrivals::steady(10),
                ..Crowd::default()
            },
        ],
        ends_us: ENDS * SECOND,
        ..Scenario::new(seed, contracts)
    }
}

fn failing(percent: u64, outcome: Outcome, from: u64, to: u64) -> Vec<(u64, Mood)> {
    vec![
        (from, Mood::Failing(percent, outcome, Some(0))),
        (to, Mood::Well),
    ]
}

fn check_neighbour(about: &str, report: &Report) {
    let other = report.crowds[1].permille(0..ENDS - 5);
    assert!(
        other >= 995,
        "{about}: {other} of 1000 of the other contract"
    );
    assert_eq!(
        report.crowds[1].refused.total(),
        0,
        "{about}: others refused"
    );
    assert_eq!(
        report.changes_of("other"),
        [],
        "{about}: the other's circuit"
    );
    assert_eq!(
        report.quarantined, 0,
        "{about}: quarantined for its illness"
    );
}

// R035
#[test]
fn a_third_of_failures_is_told_and_not_made_worse() {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let moods = failing(30, Outcome::Answer(500), FROM * SECOND, 80 * SECOND);
        let crowd = Crowd {
            arrivals: Arrivals::steady(40),
            retries: 2,
            ..Crowd::default()
        };
        let report = run(world(seed, crowd, moods));
        let well = report.crowds[0].permille(FROM..80);
        let reading = report.minute(0).of(Factor::ErrorRate);
        println!(
            "30 % failures, seed {seed}: {well} of 1000 good with two retries, error_rate \
             {reading}, refused {}, {:?}",
            report.refused, report.reasons
        );
        assert!(well >= 900, "{about}: {well} of 1000");
        assert!(reading > 0, "{about}: nobody was told");
        assert_eq!(report.circuit(), [], "{about}: 30 % is below the threshold");
        check_neighbour(&about, &report);
    });
}

// R074, R075
#[test]
fn one_failure_alone_opens_no_circuit() {
    for_each_seed(2, |seed| {
        for outcome in [
            Outcome::Answer(500),
            Outcome::Answer(504),
            Outcome::Broken(UpstreamError::Connect),
            Outcome::Broken(UpstreamError::Timeout),
        ] {
            let about = format!("SIMULATION_SEED={seed} {outcome:?}");
            // One request a second; the bad time is as short as one request.
            let moods = failing(100, outcome, FROM * SECOND, FROM * SECOND + 900 * MS);
            let crowd = Crowd {
                arrivals: Arrivals::regular(SECOND / 2, SECOND, ENDS - 1),
                ..Crowd::default()
            };
            let report = run(world(seed, crowd, moods));
            let seen = &report.crowds[0];
            assert_eq!(seen.begun.total() - seen.well.total(), 1, "{about}: failed");
            assert_eq!(report.circuit(), [], "{about}: a circuit opened");
            assert_eq!(report.refused, 0, "{about}: refused");
            check_neighbour(&about, &report);
        }
    });
}

/// How long each opening lasted until it let a probe pass, milliseconds.
fn open_ms(changes: &[(u64, CircuitState)]) -> Vec<u64> {
    let pairs = changes.windows(2);
    let opened = pairs.filter(|pair| pair[0].1 == CircuitState::Open);
    opened.map(|pair| (pair[1].0 - pair[0].0) / MS).collect()
}

// R039, R074, R076
#[test]
fn a_circuit_lives_its_whole_life() {
    for_each_seed(2, |seed| {
        for outcome in [
            Outcome::Answer(500),
            Outcome::Broken(UpstreamError::Connect),
        ] {
            let about = format!("SIMULATION_SEED={seed} {outcome:?}");
            let ends = 50;
            let moods = failing(100, outcome, FROM * SECOND, ends * SECOND);
            let crowd = Crowd {
                arrivals: Arrivals::steady(40),
                retries: 1,
                ..Crowd::default()
            };
            let report = run(world(seed, crowd, moods));
            let changes = report.circuit();
            let waits = open_ms(&changes);
            let again = report.crowds[0].well_again(ends, ENDS - 5, 950);
            println!(
                "failing upstream, seed {seed}, {outcome:?}: opened after {} ms, open for {waits:?} \
                 ms, at most {} probes, 95 % again {again:?} (failing until {ends}), {:?}",
                changes[0].0 / MS - FROM * 1_000,
                report.most_probes,
                report.reasons,
            );
            assert_eq!(changes[0].1, CircuitState::Open, "{about}: {changes:?}");
            assert!(changes[0].0 > FROM * SECOND, "{about}: before any failure");
            assert!(changes[0].0 < (FROM + 12) * SECOND, "{about}: {changes:?}");
            assert!(
                waits.len() >= 4,
                "{about}: failing probes open it: {waits:?}"
            );
            for pair in waits.windows(2) {
                // Twice as long each time, times 1 to 1.1; seen at ticks of 100 ms.
                let (least, most) = (pair[0] * 170 / 100, pair[0] * 230 / 100);
                assert!((least..=most).contains(&pair[1]), "{about}: {waits:?}");
            }
            let last = changes.last().unwrap();
            assert_eq!(last.1, CircuitState::Closed, "{about}: {changes:?}");
            assert!(last.0 > ends * SECOND, "{about}: closed while it failed");
            assert!(report.most_probes >= 2, "{about}: probes were sent");
            assert!(
                again.is_some_and(|at| at <= ends + 30),
                "{about}: {again:?}"
            );
            check_neighbour(&about, &report);
        }
    });
}

// R075
#[test]
fn few_requests_open_a_circuit_only_where_nobody_answers() {
    for_each_seed(2, |seed| {
        for (outcome, opens) in [
            (Outcome::Broken(UpstreamError::Connect), true),
            (Outcome::Answer(502), true),
            (Outcome::Answer(500), false),
        ] {
            let about = format!("SIMULATION_SEED={seed} {outcome:?}");
            // Six in six seconds: more than five in a row, and fewer than any share needs.
            let moods = failing(100, outcome, FROM * SECOND, (FROM + 6) * SECOND);
            let crowd = Crowd {
                arrivals: Arrivals::regular(SECOND / 2, SECOND, ENDS - 1),
                ..Crowd::default()
            };
            let report = run(world(seed, crowd, moods));
            assert_eq!(!report.circuit().is_empty(), opens, "{about}");
            check_neighbour(&about, &report);
        }
    });
}
