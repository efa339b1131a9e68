//! What a probe of a half-open circuit is judged by: the upstream's time and nothing else; and how
//! long a request is overdue. On real sockets, with the ticks of a real worker.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use tidegate::contract::Terms;
use tidegate::gateway::clock;
use tidegate::observation::{Backoff, CircuitReading, CircuitState, Mode};
use tidegate::units::Millis;

use crate::governed::{Governed, Plan, contract, send};
use crate::wire::{Client, PATIENCE, UNHURRIED, Upstream, eventually};

/// Half of what the upstream of a probe has; long enough for one that answers at once.
const MAX_LATENCY: Duration = UNHURRIED;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

fn terms() -> Terms {
    Terms {
        max_latency: Millis::new(MAX_LATENCY.as_millis() as u32),
        ..Terms::default()
    }
}

/// A gateway whose only circuit has just become half open.
fn half_open(upstream: &Upstream, terms: Terms) -> Governed {
    let mut plan = Plan::of(upstream.address, vec![contract("api_v1", "/api", terms)]);
    // Who outlasts a probe with a body is not too slow for the edge.
    plan.adjust = |settings| settings.timeouts.rate_grace = PATIENCE;
    let gateway = plan.start();
    let at_once = Backoff {
        first: Millis::new(1),
        longest: Millis::new(60_000),
    };
    let circuit = gateway.route(0).circuit(Mode::Real);
    assert!(circuit.trip(0, clock::now().monotonic_ns, at_once));
    eventually("the circuit to be half open", || {
        reading(&gateway).state == CircuitState::HalfOpen
    });
    gateway
}

fn reading(gateway: &Governed) -> CircuitReading {
    let now_ns = clock::now().monotonic_ns;
    gateway.route(0).circuit(Mode::Real).read(now_ns)
}

/// Lets the worker tick until a probe whose time runs would have failed.
fn outlast_a_probe() {
    let began = clock::now();
    let enough = (2 * MAX_LATENCY + UNHURRIED).as_nanos() as u64;
    eventually("the time of a probe", || {
        clock::now().nanos_since(began) > enough
    });
}

/// Sends the head of an answer and keeps the rest of it.
fn half_answers() -> Upstream {
    Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        if conn.request().is_some() {
            conn.send(HEAD);
            conn.rest();
        }
    })
}

fn probe(gateway: &Governed, fields: &str) -> Client {
    let mut client = gateway.connect();
    send(&mut client, "GET", "/api", fields);
    client
}

// R076
#[test]
fn the_probe_of_a_stream_is_judged_at_its_head() {
    let upstream = half_answers();
    let stream = Terms {
        stream: true,
        ..terms()
    };
    let gateway = half_open(&upstream, stream);
    let mut streams: Vec<Client> = (0..4).map(|_| probe(&gateway, "")).collect();
    for client in &mut streams {
        let head = client.head().expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    eventually("the circuit to close while the streams run", || {
        reading(&gateway).state == CircuitState::Closed
    });
    assert_eq!(reading(&gateway).epoch, 1);
}

// R076
#[test]
fn a_slow_upload_is_no_failed_probe() {
    let upstream = Upstream::ok();
    let gateway = half_open(&upstream, terms());
    let mut uploads: Vec<Client> = (0..4)
        .map(|_| probe(&gateway, "Content-Length: 2\r\n"))
        .collect();
    eventually("four probes", || reading(&gateway).probes.issued == 4);
    outlast_a_probe();
    for client in &mut uploads {
        client.send("ok");
        assert_eq!(client.response().status(), 200);
    }
    eventually("the circuit to close", || {
        reading(&gateway).state == CircuitState::Closed
    });
    assert_eq!(reading(&gateway).epoch, 1, "it never opened again");
}

// R076
#[test]
fn probes_without_an_answer_fail_after_twice_the_promised_time() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    });
    let gateway = half_open(&upstream, terms());
    let clients: Vec<Client> = (0..2).map(|_| probe(&gateway, "")).collect();
    eventually("the circuit to open again", || reading(&gateway).epoch == 2);
    // They fail once: what becomes of them later says nothing more.
    drop(clients);
    eventually("their end", || gateway.control.in_flight() == 0);
    assert_eq!(reading(&gateway).epoch, 2);
}

// R035
#[test]
fn a_request_is_overdue_no_longer_than_until_its_head() {
    let (send, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        if conn.request().is_some() {
            gate.lock().unwrap().recv().unwrap();
            conn.send(HEAD);
            conn.rest();
        }
    });
    let plan = Plan::of(upstream.address, vec![contract("api_v1", "/api", terms())]);
    let gateway = plan.start();
    let mut client = probe(&gateway, "");
    let began = || gateway.totals(0).overdue_began;
    eventually("the request to be overdue", || began() == 1);
    send.send(()).unwrap();
    client.head().expect("a late head");
    eventually("its end as an overdue one", || {
        gateway.totals(0).overdue_ended == 1
    });
    let open = gateway.totals(0);
    assert_eq!((open.ended, open.completed, open.slow), (0, 1, 1));
    drop(client);
    eventually("the end of the request", || gateway.totals(0).ended == 1);
    let all = gateway.totals(0);
    assert_eq!((all.completed, all.slow, all.overdue_ended), (1, 1, 1));
}
