//! Start, health and stop of the listener.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::bench::{Bench, PATIENCE};
use crate::admin::{AdminError, AdminPort};
use crate::units::Tier;

#[test]
fn health_follows_start_drain_and_ledger() {
    // R199
    let bench = Bench::start(Tier::ObserveOnly);
    assert_eq!(bench.get("/livez").body, "alive\n");
    assert_eq!(bench.get("/readyz").status, 200);
    bench.state.set_ready(false);
    bench.get("/readyz").check_problem(503, "not-ready");
    bench.state.set_ready(true);
    bench.draining.store(true, Ordering::Relaxed);
    let reply = bench.get("/readyz");
    reply.check_problem(503, "not-ready");
    assert_eq!(reply.json()["detail"], "the gateway is draining");
    assert_eq!(bench.get("/livez").status, 200, "draining is alive");
}

#[test]
fn a_gateway_whose_ledger_writer_has_died_is_not_ready() {
    // R199
    let bench = Bench::start(Tier::ObserveOnly);
    assert_eq!(bench.get("/readyz").status, 200);
    let killed = bench.ledger.record(
        |_| panic!("this ends the writer's thread"),
        std::time::Duration::from_secs(20),
    );
    assert_eq!(killed.expect_err("it is gone").code(), "LEDGER_UNAVAILABLE");
    // Whoever waited for an answer hears of it a moment before the thread has unwound.
    let began = std::time::Instant::now();
    while bench.ledger.snapshot().ok {
        assert!(began.elapsed() < PATIENCE, "the writer does not end");
        std::thread::yield_now();
    }
    let reply = bench.get("/readyz");
    reply.check_problem(503, "not-ready");
    assert_eq!(reply.json()["detail"], "the ledger cannot be written");
    let status = bench.get("/v1/status").json();
    assert_eq!(status["ledger"]["state"], "UNAVAILABLE");
}

#[test]
fn a_port_in_use_and_an_open_address_are_refused_with_a_remedy() {
    // R280
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let error = AdminPort::open(address).expect_err("it is taken");
    assert!(matches!(error, AdminError::Bind { .. }));
    let said = error.to_string();
    assert!(
        said.contains(&address.to_string()) && said.contains("admin.bind"),
        "{said}"
    );
    for open in ["0.0.0.0:0", "10.0.0.1:0", "[::]:0"] {
        let address = open.parse().expect("an address");
        let error = AdminPort::open(address).expect_err("not loopback");
        assert!(error.to_string().contains("127.0.0.1:9901"), "{error}");
    }
}

#[test]
fn a_stop_ends_idle_connections_and_frees_the_port() {
    let mut bench = Bench::start(Tier::ObserveOnly);
    let address = bench.address();
    let mut kept = TcpStream::connect(address).expect("it listens");
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it reads");
    let mut byte = [0_u8; 1];
    kept.read_exact(&mut byte).expect("it answers");
    let silent = TcpStream::connect(address).expect("it listens");
    let began = Instant::now();
    let admin = bench.admin.take().expect("running");
    assert_eq!(admin.stop(PATIENCE), 0);
    // Not as long as a connection may be silent.
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).expect("closed");
    drop(silent);
    TcpListener::bind(address).expect("the port is free again");
}
