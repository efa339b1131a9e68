//! Requests over a rate that wait for their turn instead of being refused.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use tidegate::contract::{Contract, Terms, Throttle};
use tidegate::units::Millis;

use crate::governed::{Governed, Plan, contract, rate, send};
use crate::wire::{UNHURRIED, Upstream, eventually};

/// How far two readings of time may differ.
const CLOCKS_APART: Duration = Duration::from_millis(10);

fn patient(per_minute: u32, wait_max_ms: u32, held_max: u32) -> Contract {
    let terms = Terms {
        throttle: Throttle::Delay {
            wait_max: Millis::new(wait_max_ms),
            held_max: NonZeroU32::new(held_max).unwrap(),
        },
        ..rate(per_minute, 1)
    };
    contract("patient_v1", "/patient", terms)
}

fn holding(gateway: &Governed, count: u32) {
    eventually("the requests to wait", || gateway.route(0).held() == count);
}

#[test]
fn a_request_over_the_rate_is_sent_when_its_turn_comes() {
    // R050
    let upstream = Upstream::ok();
    // Each one asks long before its turn.
    let period = UNHURRIED;
    let per_minute = (60_000 / period.as_millis()) as u32;
    let gateway = Plan::of(upstream.address, vec![patient(per_minute, 5_000, 10)]).start();
    let begun = Instant::now();
    let ended: Vec<Duration> = (0..3)
        .map(|_| {
            assert_eq!(gateway.get("/patient").status(), 200);
            begun.elapsed()
        })
        .collect();
    let records = gateway.records(3);
    for (number, record) in (0..).zip(&records).skip(1) {
        assert_eq!(record["decision"], "THROTTLE");
        assert_eq!(
            (&record["outcome"], &record["status"]),
            (&"done".into(), &200.into())
        );
        assert_eq!(record["upstream"], "main");
        let turn = number * period;
        let after_turn = ended[number as usize].checked_sub(turn - CLOCKS_APART);
        let after_turn = after_turn.unwrap_or_else(|| panic!("{ended:?}: sent before its turn"));
        // The wait was the gateway's own doing.
        let latency = Duration::from_micros(record["latency_us"].as_u64().unwrap());
        assert!(latency <= after_turn, "{ended:?}: {record}");
    }
    assert_eq!(gateway.route(0).held(), 0);
}

#[test]
fn only_so_many_wait_and_only_so_long() {
    let upstream = Upstream::ok();
    // A period of 20 s: the first turn is in 20 s, the next in 40 s.
    let gateway = Plan::of(upstream.address, vec![patient(3, 30_000, 1)]).start();
    assert_eq!(gateway.get("/patient").status(), 200);
    let mut waiting = gateway.connect();
    send(&mut waiting, "GET", "/patient", "");
    holding(&gateway, 1);
    let refused = gateway.get("/patient");
    assert_eq!(refused.status(), 429, "one waits already");
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((20..=60).contains(&wait), "{wait}");
    let gateway = Plan::of(upstream.address, vec![patient(3, 10_000, 9)]).start();
    assert_eq!(gateway.get("/patient").status(), 200);
    assert_eq!(
        gateway.get("/patient").status(),
        429,
        "its turn is too late"
    );
}

#[test]
fn a_client_that_leaves_while_it_waits_gives_its_place_back() {
    let upstream = Upstream::ok();
    let gateway = Plan::of(upstream.address, vec![patient(3, 60_000, 5)]).start();
    assert_eq!(gateway.get("/patient").status(), 200);
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = gateway.connect();
        send(&mut client, "GET", "/patient", "");
        clients.push(client);
    }
    holding(&gateway, 2);
    drop(clients);
    holding(&gateway, 0);
    let records = gateway.records(3);
    assert_eq!(
        (&records[1]["status"], &records[1]["outcome"]),
        (&0.into(), &"done".into())
    );
    assert_eq!(upstream.seen().len(), 1);
    eventually("nothing in flight", || gateway.control.in_flight() == 0);
}

#[test]
fn what_a_client_sends_ahead_while_it_waits_is_not_lost() {
    let upstream = Upstream::ok();
    let gateway = Plan::of(upstream.address, vec![patient(200, 5_000, 10)]).start();
    let mut client = gateway.connect();
    for _ in 0..3 {
        send(&mut client, "GET", "/patient", "");
    }
    for _ in 0..3 {
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(upstream.seen().len(), 3);
}

#[test]
fn a_stop_does_not_wait_longer_than_its_bound() {
    let upstream = Upstream::ok();
    let mut plan = Plan::of(upstream.address, vec![patient(1, 60_000, 5)]);
    plan.stop = Duration::from_millis(100);
    let mut gateway = plan.start();
    assert_eq!(gateway.get("/patient").status(), 200);
    let mut waiting = gateway.connect();
    send(&mut waiting, "GET", "/patient", "");
    holding(&gateway, 1);
    let begun = Instant::now();
    let ended = gateway.stop();
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!((ended.cut_off, ended.workers_died), (1, 0));
    holding(&gateway, 0);
    let records = gateway.records(2);
    assert_eq!(
        (&records[1]["status"], &records[1]["outcome"]),
        (&0.into(), &"done".into())
    );
}
