//! Rate limits to the request: one client at the door, no upstream to speak of.

use std::num::NonZeroU32;

use tidegate::contract::{Contract, Terms, Throttle};
use tidegate::observation::Take;
use tidegate::policy::rules::{Severity, Stage};
use tidegate::units::{Factor, Millis, PerMinute};

use crate::for_each_seed;
use crate::gateway::{Ask, Course, Gateway};
use crate::random::Random;
use crate::report::Report;
use crate::scenario::{MINUTE, MS, SECOND, Scenario, api};
use crate::upstream::Outcome;

const HOUR: u64 = 60 * MINUTE;

/// A gateway whose upstream answers after a millisecond.
struct Door {
    gateway: Gateway,
    requests: u64,
    ticked: u64,
    now: u64,
}

impl Door {
    fn new(seed: u64, contracts: Vec<Contract>) -> Self {
        let mut scenario = Scenario::new(seed, contracts);
        // What the score refuses asks no limit; here the limits are looked at alone.
        scenario
            .rules
            .stages
            .set(Factor::Concurrency, Stage::Shadow);
        Self {
            gateway: Gateway::new(&scenario),
            requests: 0,
            ticked: 0,
            now: 0,
        }
    }

    /// Asks, and lets the request run on where it is sent.
    fn start(&mut self, client: u64, now: u64) -> (u64, Course) {
        self.now = self.now.max(now);
        while self.ticked <= now {
            self.gateway.tick(self.ticked);
            self.ticked += SECOND;
        }
        let request = self.requests;
        self.requests += 1;
        let path = format!("/api/{request}");
        let ask = Ask {
            client,
            path: &path,
            ..Ask::default()
        };
        (request, self.gateway.admit(request, &ask, now))
    }

    fn ask(&mut self, client: u64, now: u64) -> Course {
        let (request, course) = self.start(client, now);
        if course.forwarded {
            self.gateway.answered(request, now + MS, Outcome::WELL);
        }
        course
    }

    fn close(self) -> Report {
        let report = self.gateway.report(self.now);
        report.check("limits");
        report
    }
}

fn contract_limit(rpm: u32, burst: u32) -> Terms {
    Terms {
        rate_limit: PerMinute::new(rpm),
        burst: NonZeroU32::new(burst),
        ..Terms::default()
    }
}

fn client_limit(rpm: u32, burst: u32) -> Terms {
    Terms {
        client_rate_limit: PerMinute::new(rpm),
        client_burst: NonZeroU32::new(burst),
        ..Terms::default()
    }
}

// R015, R050
#[test]
fn the_burst_passes_and_the_rest_is_refused() {
    for terms in [
        contract_limit(10, 0),
        contract_limit(10, 5),
        client_limit(10, 5),
    ] {
        let burst = terms
            .burst
            .or(terms.client_burst)
            .map_or(1, NonZeroU32::get);
        let mut door = Door::new(1, api(terms));
        let mut passed = 0;
        let mut last = None;
        for number in 0..200 {
            let course = door.ask(1, number * 5 * MS);
            if course.forwarded {
                passed += 1;
                continue;
            }
            assert_eq!(course.severity, Severity::Throttle, "request {number}");
            let pause = course.retry_after_us;
            assert!(
                pause.is_some(),
                "request {number} is not told when: {terms:?}"
            );
            last = pause.map(|pause| number * 5 * MS + pause);
        }
        assert_eq!(passed, burst, "{terms:?}");
        // It is alone and obeys: it gets through, with the first try.
        assert!(door.ask(1, last.unwrap()).forwarded, "{terms:?}");
        door.close();
    }
}

// R050
#[test]
fn a_client_alone_that_obeys_always_gets_through_at_the_second_try() {
    for_each_seed(3, |seed| {
        for terms in [
            contract_limit(10, 1),
            contract_limit(7, 3),
            client_limit(11, 2),
        ] {
            let mut door = Door::new(seed, api(terms));
            let mut random = Random::of(seed, 3);
            let mut now = 0;
            for number in 0..200 {
                now += random.between(0, 9 * SECOND);
                let course = door.ask(1, now);
                if let Some(pause) = course.retry_after_us.filter(|_| !course.forwarded) {
                    now += pause;
                    let again = door.ask(1, now);
                    assert!(
                        again.forwarded,
                        "seed {seed}, {number}: {terms:?} {again:?}"
                    );
                } else {
                    assert!(course.forwarded, "seed {seed}, {number}: {terms:?}");
                }
            }
            door.close();
        }
    });
}

/// Asks at these instants of two hours, and checks every hour in them.
fn check_every_hour(about: &str, terms: Terms, rpm: u64, burst: u64, instants: &[u64]) -> u64 {
    let mut door = Door::new(1, api(terms));
    let passed: Vec<u64> = instants
        .iter()
        .copied()
        .filter(|instant| door.ask(1, *instant).forwarded)
        .collect();
    door.close();
    let limit = 60 * rpm;
    let mut worst = 0;
    for (place, from) in passed.iter().enumerate() {
        let within = passed[place..].partition_point(|at| *at < from + HOUR) as u64;
        // With a burst of 1 nothing is saved up between two arrivals, so less may pass.
        if from + HOUR <= 2 * HOUR && burst > 1 {
            assert!(within + burst >= limit, "{about}: {within} from {from}");
            worst = worst.max(within.abs_diff(limit));
        }
        assert!(within <= limit + burst, "{about}: {within} from {from}");
    }
    worst
}

// R015
#[test]
fn over_an_hour_the_admitted_number_is_the_limit_at_any_phase() {
    for_each_seed(1, |seed| {
        let phases = 4;
        let mut worst = 0;
        for phase in 0..phases {
            // More than enough, and never in step with the six seconds of the limit.
            let first = (phase + (seed - 1) * phases) * 6 * SECOND / phases + seed;
            for gap in [1_300 * MS, 5_900 * MS] {
                for (terms, burst) in [
                    (contract_limit(10, 1), 1),
                    (contract_limit(10, 2), 2),
                    (client_limit(10, 5), 5),
                ] {
                    let about = format!("phase {phase}, gap {gap}, burst {burst}");
                    let times = (2 * HOUR - first) / gap;
                    let instants: Vec<u64> = (0..times).map(|at| first + at * gap).collect();
                    let off = check_every_hour(&about, terms, 10, burst, &instants);
                    worst = worst.max(off);
                }
            }
        }
        println!("limit of 600 an hour, {phases} phases: off by at most {worst}");
    });
}

// R015
#[test]
fn a_fast_client_does_not_use_up_a_slow_ones_limit() {
    let mut door = Door::new(1, api(client_limit(60, 5)));
    let (mut fast, mut slow) = (0, 0);
    for tick in 0..3_000 {
        let now = tick * 20 * MS;
        fast += u64::from(door.ask(1, now).forwarded);
        if tick % 150 == 7 {
            slow += u64::from(door.ask(2, now + MS).forwarded);
        }
    }
    println!("60 per minute each: fast {fast} of 3000, slow {slow} of 20");
    assert_eq!(slow, 20, "the slow one is never refused");
    assert!((55..=65).contains(&fast), "{fast} of the fast one");
    let report = door.close();
    assert_eq!(report.quarantined, 0);
}

// R194
#[test]
fn what_a_later_take_refuses_has_used_up_nothing() {
    let both = Terms {
        client_rate_limit: PerMinute::new(10),
        client_burst: NonZeroU32::new(6),
        max_in_flight: NonZeroU32::new(1),
        ..contract_limit(10, 5)
    };
    let mut door = Door::new(1, api(both));
    let (running, course) = door.start(1, 0);
    assert!(course.forwarded);
    for number in 0..50 {
        let refused = door.ask(1, number * MS);
        assert_eq!(refused.take, Take::Concurrency, "request {number}");
    }
    door.gateway.answered(running, 60 * MS, Outcome::WELL);
    // Four are left of the contract's burst; the fifth is refused by the contract's limit, and
    // each time the client gets its own back: nobody's standing suffers.
    for number in 0..4 {
        assert!(door.ask(1, 61 * MS).forwarded, "request {number}");
    }
    for number in 0..50 {
        let refused = door.ask(1, 62 * MS);
        assert_eq!(refused.take, Take::ContractRate, "request {number}");
    }
    // Five of the client's six are used: after six seconds the contract has one, the client two.
    assert!(door.ask(1, 6 * SECOND).forwarded);
    let refused = door.ask(1, 6 * SECOND);
    assert_eq!(
        refused.take,
        Take::ContractRate,
        "the client itself had one left"
    );
    door.close();
}

// R050
#[test]
fn a_few_wait_for_their_turn_and_the_rest_is_told_when_to_come() {
    let waiting = Terms {
        throttle: Throttle::Delay {
            wait_max: Millis::new(5_000),
            held_max: NonZeroU32::new(2).unwrap(),
        },
        ..contract_limit(60, 1)
    };
    let mut door = Door::new(1, api(waiting));
    let started: Vec<_> = (0..5).map(|client| door.start(client, 0)).collect();
    let holds: Vec<_> = started.iter().map(|(_, course)| course.hold_us).collect();
    assert_eq!(holds, [0, SECOND, 2 * SECOND, 0, 0]);
    let forwarded: Vec<_> = started.iter().map(|(_, course)| course.forwarded).collect();
    assert_eq!(forwarded, [true, true, true, false, false]);
    // The third turn is the next one that is free.
    assert_eq!(started[4].1.retry_after_us, Some(3 * SECOND));
    // One of those that wait leaves: another may wait, but the turn is used up.
    door.gateway.aborted(started[1].0, SECOND / 2);
    let (late, course) = door.start(7, SECOND / 2);
    assert_eq!(course.hold_us, 5 * SECOND / 2);
    for (request, now) in [
        (started[0].0, SECOND),
        (started[2].0, 2 * SECOND),
        (late, 3 * SECOND),
    ] {
        door.gateway.turn_came(request);
        door.gateway.answered(request, now + MS, Outcome::WELL);
    }
    door.now = 4 * SECOND;
    door.close();
}
