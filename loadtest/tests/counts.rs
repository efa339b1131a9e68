//! The driver and the upstream agree on what was sent, whatever the exchange was like.

use loadtest::drive::{self, Options};
use loadtest::upstream::Upstream;

#[test]
fn driver_and_upstream_count_the_same() {
    let upstream = Upstream::start().unwrap();
    let options = Options::new(upstream.address(), "echo", 2_000);
    let tally = drive::run(&options).unwrap();
    assert_eq!(
        (tally.heads, tally.answers(), tally.lost, tally.not_sent),
        (2_000, 2_000, 0, 0)
    );
    assert_eq!(tally.statuses.get(&200), Some(&2_000));
    assert_eq!(tally.connections, 64, "keep-alive: one connection per loop");
    assert_eq!(
        tally.without_decision_id, 2_000,
        "this upstream makes no decisions"
    );
    let seen = upstream.seen();
    assert_eq!(
        (seen.requests, seen.duplicates, seen.without_id),
        (2_000, 0, 0)
    );
}

#[test]
fn failures_aborts_and_malformed_heads_are_counted_apart() {
    let upstream = Upstream::start().unwrap();
    let mut options = Options::new(upstream.address(), "faulty", 3_000);
    options.abort_share = 0.02;
    options.malformed_share = 0.02;
    options.retry = true;
    let tally = drive::run(&options).unwrap();
    assert!(
        tally.aborted > 0 && tally.malformed > 0 && tally.lost > 0 && tally.retries > 0,
        "{}",
        tally.to_json()
    );
    assert_eq!(tally.heads, 3_000 + tally.retries);
    assert_eq!(tally.heads, tally.answers() + tally.aborted + tally.lost);
    let seen = upstream.seen();
    // An aborted request is read as well, but maybe not yet.
    assert!(
        seen.requests <= tally.heads && seen.requests >= tally.heads - tally.aborted,
        "{seen:?}"
    );
    assert_eq!(seen.duplicates, 0);
}

#[test]
fn the_same_seed_gives_the_same_answers() {
    let run = || {
        let upstream = Upstream::start().unwrap();
        let tally = drive::run(&Options::new(upstream.address(), "faulty", 1_000)).unwrap();
        (tally.statuses, tally.lost)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_server_that_is_not_there_is_a_count_and_not_a_hang() {
    // Bound and not listening: nobody else can begin to listen there.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let gone = bound.local_addr().unwrap();
    let mut options = Options::new(gone, "echo", 10);
    options.connections = 2;
    let tally = drive::run(&options).unwrap();
    assert_eq!((tally.heads, tally.answers()), (0, 0));
    assert!(tally.not_sent > 0);
}
