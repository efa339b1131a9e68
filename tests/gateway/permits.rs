//! Places in flight and probes come back, whatever ends a request; circuits on real sockets.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tidegate::contract::Terms;
use tidegate::gateway::clock;
use tidegate::observation::{CircuitReading, CircuitState, Mode};
use tidegate::policy::rules::Rules;
use tidegate::units::{BasisPoints, Factor, Millis};

use crate::governed::{Governed, Plan, contract, send};
use crate::wire::{Client, OK, Upstream, eventually, reset};

/// Reads requests and never answers.
fn silent() -> Upstream {
    Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    })
}

fn waiting(gateway: &Governed, count: usize, path: &str) -> Vec<Client> {
    let ask = |_| {
        let mut client = gateway.connect();
        send(&mut client, "GET", path, "");
        client
    };
    (0..count).map(ask).collect()
}

#[test]
fn places_in_flight_come_back_when_a_hundred_clients_are_killed() {
    // R038
    let upstream = silent();
    let terms = Terms {
        max_in_flight: NonZeroU32::new(100),
        max_latency: Millis::new(60_000),
        ..Terms::default()
    };
    let mut plan = Plan::of(upstream.address, vec![contract("busy_v1", "/busy", terms)]);
    // A full route is in distress as well; without this a part of its requests is shed.
    let low = BasisPoints::saturating(1_000);
    plan.rules.weights.set(Factor::Concurrency, low);
    let gateway = plan.start();
    for _ in 0..3 {
        let clients = waiting(&gateway, 100, "/busy");
        eventually("a hundred requests", || gateway.in_flight(0) == 100);
        assert_eq!(gateway.get("/busy").status(), 503, "no place is left");
        drop(clients);
        eventually("all places to come back", || gateway.in_flight(0) == 0);
    }
    eventually("nothing in flight", || gateway.control.in_flight() == 0);
}

#[test]
fn places_in_flight_come_back_at_a_stop() {
    // R038
    let upstream = silent();
    let terms = Terms {
        max_in_flight: NonZeroU32::new(10),
        ..Terms::default()
    };
    let mut plan = Plan::of(upstream.address, vec![contract("busy_v1", "/busy", terms)]);
    plan.stop = Duration::from_millis(50);
    let mut gateway = plan.start();
    let clients = waiting(&gateway, 5, "/busy");
    eventually("five requests", || gateway.in_flight(0) == 5);
    assert_eq!(gateway.stop().cut_off, 5);
    assert_eq!(gateway.in_flight(0), 0);
    drop(clients);
}

#[test]
fn places_in_flight_come_back_when_the_slow_are_cut() {
    // R038
    // A body that stands still, an answer that nobody reads, a tunnel in which nothing moves.
    let cases = [
        "GET /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345",
        "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /slow HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ];
    for asked in cases {
        let upstream = Upstream::start(|mut conn, _| {
            use std::io::Write;
            conn.stream.set_read_timeout(None).unwrap();
            conn.stream.set_write_timeout(None).unwrap();
            let head = conn.head().unwrap().to_ascii_lowercase();
            if head.contains("upgrade: websocket") {
                conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
            } else if !head.contains("content-length") && !head.contains("transfer-encoding") {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
                while conn.stream.write_all(&[b'x'; 65_536]).is_ok() {}
            }
            conn.rest();
        });
        let terms = Terms {
            max_in_flight: NonZeroU32::new(2),
            max_latency: Millis::new(60_000),
            websocket: true,
            ..Terms::default()
        };
        let mut plan = Plan::of(upstream.address, vec![contract("slow_v1", "/slow", terms)]);
        let low = BasisPoints::saturating(1_000);
        plan.rules.weights.set(Factor::Concurrency, low);
        plan.adjust = |settings| {
            settings.limits.body_rate_min = 1_000_000;
            settings.limits.response_rate_min = 1_000_000;
            settings.timeouts.rate_grace = Duration::from_millis(100);
            settings.timeouts.tunnel_idle = Duration::from_millis(100);
        };
        let gateway = plan.start();
        for round in 1..=3 {
            let mut clients: Vec<Client> = (0..2).map(|_| gateway.connect()).collect();
            for client in &mut clients {
                client.send(asked);
            }
            // The clients stay: it is the gateway that lets go, or the next two find no place.
            let records = gateway.records(2 * round);
            assert!(records.iter().all(|record| record["decision"] == "ALLOW"));
            eventually("the places to come back", || gateway.in_flight(0) == 0);
        }
    }
}

const RESETS: u8 = 0;
const STALLS: u8 = 1;
const ANSWERS: u8 = 2;

/// An upstream whose mood changes, and how many requests it got.
struct Moody {
    upstream: Upstream,
    mood: Arc<AtomicU8>,
    asked: Arc<AtomicUsize>,
}

impl Moody {
    fn new() -> Self {
        let (mood, asked) = (
            Arc::new(AtomicU8::new(RESETS)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (now, count) = (Arc::clone(&mood), Arc::clone(&asked));
        let upstream = Upstream::start(move |mut conn, _| {
            conn.stream.set_read_timeout(None).unwrap();
            while conn.request().is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                match now.load(Ordering::SeqCst) {
                    RESETS => return reset(conn),
                    STALLS => {
                        conn.rest();
                        return;
                    }
                    _ => conn.send(OK),
                }
            }
        });
        Self {
            upstream,
            mood,
            asked,
        }
    }

    fn becomes(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn reading(gateway: &Governed) -> CircuitReading {
    let now_ns = clock::now().monotonic_ns;
    gateway.route(0).circuit(Mode::Real).read(now_ns)
}

/// A gateway whose circuit opens for so long; the factors of its failures shed nobody.
fn fragile(upstream: &Moody, open_ms: u32) -> Governed {
    let terms = Terms {
        max_latency: Millis::new(60_000),
        ..Terms::default()
    };
    let mut plan = Plan::of(
        upstream.upstream.address,
        vec![contract("frail_v1", "/frail", terms)],
    );
    let mut rules = Rules::default();
    rules.circuit.open = Millis::new(open_ms);
    rules.circuit.slow_start = Millis::new(1);
    plan.rules = rules;
    let gateway = plan.start();
    for _ in 0..5 {
        assert_eq!(gateway.get("/frail").status(), 502);
    }
    // The client is answered a moment before the end of its request is counted.
    eventually("the circuit to open", || reading(&gateway).epoch == 1);
    gateway
}

#[test]
fn a_circuit_opens_probes_and_closes() {
    // R039
    let upstream = Moody::new();
    let gateway = fragile(&upstream, 3_000);
    upstream.becomes(ANSWERS);
    let before = upstream.asked();
    let began = clock::now();
    let open = reading(&gateway);
    assert_eq!(open.state, CircuitState::Open);
    let mut refused = 0;
    for _ in 0..50 {
        let answer = gateway.get("/frail");
        let asked = upstream.asked();
        // Only what is over by now was asked while the circuit was open.
        if clock::now().nanos_since(began) >= open.wait_ns {
            break;
        }
        assert_eq!(
            (answer.status(), asked),
            (503, before),
            "nothing reaches it"
        );
        let wait: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=4).contains(&wait), "{wait}");
        refused += 1;
    }
    assert!(refused > 0);
    eventually("a probe to pass", || gateway.get("/frail").status() == 200);
    eventually("the circuit to close", || {
        gateway.get("/frail");
        reading(&gateway).state == CircuitState::Closed
    });
    eventually("the end of the slow start", || {
        gateway.get("/frail").status() == 200
    });
    assert_eq!(reading(&gateway).epoch, 1, "it opened once");
}

#[test]
fn probes_come_back_when_their_clients_leave() {
    // R038, R039
    let upstream = Moody::new();
    let gateway = fragile(&upstream, 50);
    upstream.becomes(STALLS);
    for _ in 0..3 {
        let mut clients = Vec::new();
        eventually("five probes", || {
            if reading(&gateway).probes.issued < 5 {
                clients.extend(waiting(&gateway, 1, "/frail"));
            }
            reading(&gateway).probes.issued == 5
        });
        assert_eq!(gateway.get("/frail").status(), 503, "no probe is left");
        drop(clients);
        eventually("the probes to come back", || {
            reading(&gateway).probes.issued == 0
        });
    }
    assert_eq!(reading(&gateway).epoch, 1, "nobody was judged by them");
    upstream.becomes(ANSWERS);
    eventually("the circuit to close", || {
        gateway.get("/frail");
        reading(&gateway).state == CircuitState::Closed
    });
}

#[test]
fn probes_come_back_at_a_stop() {
    let upstream = Moody::new();
    let terms = Terms {
        max_latency: Millis::new(60_000),
        ..Terms::default()
    };
    let mut plan = Plan::of(
        upstream.upstream.address,
        vec![contract("frail_v1", "/frail", terms)],
    );
    plan.rules.circuit.open = Millis::new(1);
    plan.stop = Duration::from_millis(50);
    let mut gateway = plan.start();
    for _ in 0..5 {
        assert_eq!(gateway.get("/frail").status(), 502);
    }
    upstream.becomes(STALLS);
    let mut clients = Vec::new();
    eventually("a probe", || {
        if reading(&gateway).probes.issued == 0 {
            clients.extend(waiting(&gateway, 1, "/frail"));
        }
        reading(&gateway).probes.issued > 0
    });
    gateway.stop();
    assert_eq!(reading(&gateway).probes.issued, 0);
}
