//! A stall of five seconds with clients that retry: an overload that outlives its cause.
//!
//! The clients give up after a second, and the upstream goes on with work that nobody waits for.
//! Once its queue is longer than their patience everything it does is in vain.

use std::num::NonZeroU32;

use tidegate::contract::Terms;
use tidegate::units::{Millis, Tier};

use crate::report::{Report, Seen};
use crate::scenario::{Arrivals, Crowd, SECOND, Scenario, api};
use crate::upstream::{Model, Mood};
use crate::{for_each_seed, run};

const STALL: u64 = 20;
const STALL_ENDS: u64 = STALL + 5;
const ENDS: u64 = 70;

fn world(seed: u64, tier: Tier, governed: bool, places: u32) -> Scenario {
    let terms = Terms {
        max_latency: Millis::new(500),
        max_in_flight: NonZeroU32::new(places),
        ..Terms::default()
    };
    Scenario {
        tier,
        governed,
        upstreams: vec![Model {
            moods: vec![
                (STALL * SECOND, Mood::Stalled),
                (STALL_ENDS * SECOND, Mood::Well),
            ],
            ..Model::default()
        }],
        crowds: vec![Crowd {
            arrivals: Arrivals::steady(70),
            retries: 3,
            ..Crowd::default()
        }],
        ends_us: ENDS * SECOND,
        ..Scenario::new(seed, api(terms))
    }
}

fn print(seed: u64, [control, observing, alone]: [&Seen; 3]) {
    println!("stall, seed {seed}: good answers per second, of those asked for");
    println!("second  begun  CONTROL  OBSERVE_ONLY  nobody between");
    for second in STALL - 3..ENDS {
        let mark = match second {
            STALL..STALL_ENDS => "  stall",
            _ => "",
        };
        let well = |seen: &Seen| seen.well.at(second);
        println!(
            "{second:6} {:6} {:8} {:13} {:15}{mark}",
            control.begun.at(second),
            well(control),
            well(observing),
            well(alone),
        );
    }
}

// R038, R044
#[test]
fn a_stall_ends_with_its_cause_only_where_the_gateway_controls() {
    for_each_seed(2, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let control: Report = run(world(seed, Tier::Control, true, 20));
        let observing = run(world(seed, Tier::ObserveOnly, true, 20));
        let alone = run(world(seed, Tier::Control, false, 20));
        let seen = [&control, &observing, &alone].map(|report| &report.crowds[0]);
        print(seed, seen);
        let [control_seen, observed_seen, alone_seen] = seen;
        assert_eq!(observed_seen, alone_seen, "{about}: an observer changed it");
        assert!(
            alone_seen.permille(5..STALL) >= 990,
            "{about}: sound before"
        );
        let dead = alone_seen.permille(ENDS - 15..ENDS - 5);
        assert!(dead < 100, "{about}: {dead} of 1000 without control");
        let again = control_seen.well_again(STALL_ENDS, ENDS - 5, 950).unwrap();
        println!(
            "well again {} s after the stall; reasons {:?}",
            again.saturating_sub(STALL_ENDS),
            control.reasons
        );
        assert!(again <= STALL_ENDS + 15, "{about}: well again at {again} s");
        assert_eq!(control.quarantined, 0, "{about}: quarantined");
    });
}

// R038, R044, R074
#[test]
fn without_a_limit_of_places_circuits_and_shedding_end_a_stall_too() {
    for_each_seed(1, |seed| {
        let about = format!("SIMULATION_SEED={seed}");
        let report = run(world(seed, Tier::Control, true, 0));
        let again = report.crowds[0].well_again(STALL_ENDS, ENDS - 5, 950);
        println!(
            "stall without max_in_flight, seed {seed}: 95 % again {again:?} (stalled until \
             {STALL_ENDS}), {:?}, {:?}",
            report.circuit(),
            report.reasons,
        );
        assert!(again.is_some_and(|at| at <= STALL_ENDS + 30), "{about}");
        assert_eq!(report.quarantined, 0, "{about}: quarantined");
    });
}
