//! What is learned over minutes, hours and days: the usual load, the usual tail, the budget.

use std::rc::Rc;

use tidegate::contract::Terms;
use tidegate::policy::rules::Stage;
use tidegate::units::{BasisPoints, Factor, Millis, PartsPerMillion};

use crate::scenario::{Arrivals, Crowd, MINUTE, MS, SECOND, Scenario, api};
use crate::upstream::{Model, Mood, Outcome};
use crate::{for_each_seed, run};

const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Four times as much as at that time of the other days.
const JUMP: u64 = 2 * DAY + 6 * HOUR;
const JUMP_ENDS: u64 = JUMP + 10 * MINUTE;

/// How a day goes, in thousandths of its mean: two parabolas that are nearly a sine.
fn of_the_day(now: u64) -> u64 {
    let half = DAY / 2;
    let at = 1_000 * (now % half) / half;
    let bow = 4 * at * (1_000 - at) / 1_000;
    if now % DAY < half {
        1_000 + bow / 2
    } else {
        1_000 - bow / 2
    }
}

/// Eight a minute on the mean, four to twelve over the day.
fn day(seed: u64) -> Scenario {
    let mean = 8 * 1_000 / 60;
    let rate = move |now| {
        let usual = mean * of_the_day(now) / 1_000;
        if (JUMP..JUMP_ENDS).contains(&now) {
            4 * usual
        } else {
            usual
        }
    };
    Scenario {
        crowds: vec![Crowd {
            arrivals: Arrivals::Poisson(6 * mean, Rc::new(rate)),
            ..Crowd::default()
        }],
        ends_us: JUMP_ENDS + 5 * MINUTE,
        tick_us: SECOND,
        records_every: 1_024,
        ..Scenario::new(seed, api(Terms::default()))
    }
}

// R036
#[test]
fn the_shape_of_a_day_is_no_anomaly_and_a_jump_is() {
    for_each_seed(1, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let report = run(day(seed));
        let reading = |minute| report.minute(minute).of(Factor::TrafficAnomaly);
        let usual: Vec<u16> = (0..JUMP / MINUTE).map(reading).collect();
        let worst = usual.iter().max().unwrap();
        let above = usual.iter().filter(|reading| **reading > 0).count();
        // The minute of the jump is judged in the next one, when it is closed.
        let jump = (JUMP / MINUTE + 1..=JUMP_ENDS / MINUTE).map(reading);
        let jump: Vec<u16> = jump.collect();
        println!(
            "diurnal, seed {seed}: {} requests; of {} minutes {above} above three spreads, worst \
             reading {worst}; four times as much reads {jump:?}",
            report.decisions,
            usual.len(),
        );
        assert!(above * 100 <= usual.len() * 3, "{about}: {above} minutes");
        assert!(*worst < 5_000, "{about}: {worst} on a usual day");
        assert!(jump[..3].iter().all(|reading| *reading > 2_000), "{about}");
        assert!(jump[..4].iter().any(|reading| *reading > 6_000), "{about}");
        assert_eq!(report.refused, 0, "{about}: alone it refuses nobody");
        let known = |minute: u64| report.minute(minute).knows(Factor::TrafficAnomaly);
        assert!(
            (0..28).all(|minute| !known(minute)),
            "{about}: known at once"
        );
        assert!((40..60).any(known), "{about}: never known");
    });
}

/// Three a second, so that a minute has enough for its tail.
fn steady(seed: u64, minutes: u64, terms: Terms, moods: Vec<(u64, Mood)>) -> Scenario {
    Scenario {
        upstreams: vec![Model {
            service_us: (80 * MS, 120 * MS),
            moods,
            ..Model::default()
        }],
        crowds: vec![Crowd {
            arrivals: Arrivals::steady(3),
            ..Crowd::default()
        }],
        ends_us: minutes * MINUTE,
        tick_us: 500 * MS,
        records_every: 1_024,
        ..Scenario::new(seed, api(terms))
    }
}

// R041
#[test]
fn a_tail_that_grows_within_the_promise_is_told() {
    for_each_seed(1, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let terms = Terms {
            max_latency: Millis::new(400),
            ..Terms::default()
        };
        let slower = vec![(18 * MINUTE, Mood::Slow(2)), (21 * MINUTE, Mood::Well)];
        let report = run(steady(seed, 25, terms, slower));
        let factor = Factor::LatencyRegression;
        let readings: Vec<u16> = (0..25).map(|at| report.minute(at).of(factor)).collect();
        println!(
            "regression, seed {seed}: {readings:?}, refused {}",
            report.refused
        );
        assert!(
            (0..11).all(|at| !report.minute(at).knows(factor)),
            "{about}"
        );
        assert!(
            (14..25).all(|at| report.minute(at).knows(factor)),
            "{about}"
        );
        assert!(
            readings[..18].iter().all(|reading| *reading == 0),
            "{about}"
        );
        assert!(
            readings[19..21].iter().all(|reading| *reading > 2_000),
            "{about}"
        );
        assert!(
            readings[23..].iter().all(|reading| *reading == 0),
            "{about}"
        );
        assert_eq!(report.refused, 0, "{about}: nobody is refused for that");
    });
}

// R040
#[test]
fn a_burning_budget_is_told_and_refuses_nobody() {
    for_each_seed(1, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let terms = Terms {
            error_budget: PartsPerMillion::saturating(10_000),
            circuit_threshold: BasisPoints::FULL,
            ..Terms::default()
        };
        let fifth = Mood::Failing(20, Outcome::Answer(500), None);
        let moods = vec![(36 * MINUTE, fifth), (46 * MINUTE, Mood::Well)];
        let mut world = steady(seed, 60, terms, moods);
        // What the last seconds say would be acted upon; here the budget is looked at alone.
        world.rules.stages.set(Factor::ErrorRate, Stage::Shadow);
        let report = run(world);
        let factor = Factor::ErrorBudgetBurn;
        let readings: Vec<u16> = (0..60).map(|at| report.minute(at).of(factor)).collect();
        println!("budget, seed {seed}: {:?}", &readings[34..]);
        assert!(
            (0..29).all(|at| !report.minute(at).knows(factor)),
            "{about}"
        );
        assert!(
            (32..60).all(|at| report.minute(at).knows(factor)),
            "{about}"
        );
        assert!(
            readings[..36].iter().all(|reading| *reading == 0),
            "{about}"
        );
        assert!(
            readings[44..46].iter().all(|reading| *reading > 2_000),
            "{about}"
        );
        assert!(
            readings[53..].iter().all(|reading| *reading == 0),
            "{about}: it stops"
        );
        assert_eq!(report.refused, 0, "{about}: it pages people");
    });
}
