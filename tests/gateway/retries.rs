//! How often the gateway itself asks twice.

use std::time::Duration;

use tidegate::contract::Terms;
use tidegate::gateway::governor::{Course, Forward};
use tidegate::units::{BasisPoints, Tier};

use crate::governed::{Plan, contract};
use crate::harness::{Running, forward, settings};
use crate::script::Script;
use crate::wire::{OK, Upstream, nobody, reset};

#[test]
fn retries_keep_to_their_budget() {
    let upstream = Upstream::ok();
    let mut plan = Plan::of(
        upstream.address,
        vec![contract("a_v1", "/a", Terms::default())],
    );
    plan.upstreams = vec![("main", vec![nobody(), upstream.address])];
    plan.rules.retry.budget = BasisPoints::ZERO;
    let gateway = plan.start();
    // The servers take turns, and each retry takes one: so every first attempt meets the one that
    // is down until the reserve is used up, and every other one after that.
    let statuses: Vec<u16> = (0..7).map(|_| gateway.get("/a").status()).collect();
    assert_eq!(statuses, [200, 200, 200, 502, 200, 502, 200]);
}

#[test]
fn no_retry_while_the_upstream_pushes_back() {
    let upstream = Upstream::answering(
        "HTTP/1.1 429 Too Many\r\nRetry-After: 50\r\nContent-Length: 0\r\n\r\n",
    );
    let mut plan = Plan::of(
        upstream.address,
        vec![contract("a_v1", "/a", Terms::default())],
    );
    plan.upstreams = vec![("main", vec![nobody(), upstream.address])];
    let gateway = plan.start();
    assert_eq!(
        gateway.get("/a").status(),
        429,
        "a retry, and the upstream's own answer"
    );
    assert_eq!(gateway.get("/a").status(), 502, "none now");
    assert_eq!(gateway.get("/a").status(), 429);
    assert_eq!(gateway.get("/a").status(), 502);
}

#[test]
fn a_kept_connection_that_closes_first_is_replaced_within_the_budget() {
    let closing = || {
        Upstream::start(|mut conn, _| {
            conn.request();
            conn.send(OK);
            let mut one = [0];
            _ = std::io::Read::read(&mut conn.stream, &mut one);
            reset(conn);
        })
    };
    for (may_retry, status) in [(true, 502), (false, 200)] {
        let upstream = closing();
        let gateway = Running::start(
            settings(&[upstream.address]),
            Script::scripted(Box::new(move |_| {
                Course::Forward(Forward {
                    may_retry,
                    ..forward()
                })
            })),
        );
        let mut client = gateway.connect();
        for _ in 0..2 {
            assert_eq!(client.get("/").status(), 200);
        }
        gateway.governor.go_broke();
        // Where the gateway only observes, the client must not meet a race of its making.
        assert_eq!(client.get("/").status(), status, "{may_retry}");
    }
}

#[test]
fn who_only_observes_never_tries_a_connection_twice() {
    let upstream = Upstream::ok();
    let mut plan = Plan::of(
        upstream.address,
        vec![contract("a_v1", "/a", Terms::default())],
    );
    plan.upstreams = vec![("main", vec![nobody(), upstream.address])];
    plan.tier = Tier::ObserveOnly;
    let gateway = plan.start();
    let statuses: Vec<u16> = (0..4).map(|_| gateway.get("/a").status()).collect();
    assert_eq!(statuses, [502, 200, 502, 200]);
}

#[test]
fn push_back_is_told_to_the_governor() {
    let check = |head: &str, quiet: Option<u64>| {
        let upstream = Upstream::answering(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n"));
        let gateway = Running::forwarding_to(upstream.address);
        gateway.connect().get("/");
        gateway.completions(1);
        let told = gateway.governor.pushed_back();
        let wanted: Vec<Duration> = quiet.map(Duration::from_secs).into_iter().collect();
        assert_eq!(told, wanted, "{head}");
    };
    check("429 Slow\r\nRetry-After: 7", Some(7));
    check("429 Slow", Some(1));
    check("503 Busy\r\nRetry-After: 3600", Some(60));
    check("503 Busy", None);
    check("200 OK\r\nRetry-After: 7", None);
}

#[test]
fn a_request_that_is_held_is_sent_after_its_wait() {
    let upstream = Upstream::ok();
    let gateway = Running::scripted(upstream.address, |_| {
        Course::Forward(Forward {
            hold: Duration::from_millis(100),
            ..forward()
        })
    });
    let begun = std::time::Instant::now();
    let mut client = gateway.connect();
    assert_eq!(client.get("/").status(), 200);
    assert!(begun.elapsed() >= Duration::from_millis(100));
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.response().status(), 200);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(gateway.governor.turns(), 2);
}
