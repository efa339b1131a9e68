//! Clients that go away: nothing they began stays behind.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Client, OK, Upstream, eventually, reset};

/// Clients that leave, per test.
const CLIENTS: usize = 200;

/// Whatever time the clients take to come, nobody is late: else some would be refused.
const CONTRACT: &str = r#"{id: held_v1, owner: me, endpoint: "POST /held", allowed_methods: [GET, POST], max_in_flight: 300, max_latency_ms: 30000}"#;

/// A server that answers nothing until the sender has gone, and counts what it was asked.
fn held() -> (Upstream, mpsc::Sender<()>) {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let upstream = Upstream::start(move |mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        if conn.head().is_some_and(|head| !head.contains("/held")) {
            return conn.send(OK);
        }
        // Until the gateway, or the test, gives up.
        _ = conn.rest();
        drop(gate.lock());
    });
    (upstream, release)
}

/// Lets many clients begin what `begin` does, leave, and looks for what they left.
fn leave(begin: &str, abruptly: bool) {
    // R038
    let (upstream, _release) = held();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .contract(CONTRACT);
    let process = Process::start(&installation);
    assert_eq!(process.get("/api/v1/status").status(), 200);
    let descriptors = process.metric("process_open_fds", "");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| process.connect()).collect();
    for client in &mut clients {
        client.send(begin);
    }
    process.until_in_flight("held_v1", CLIENTS as u32);
    for client in clients {
        if abruptly {
            reset(client);
        }
    }
    process.until_in_flight("held_v1", 0);
    eventually("the descriptors to close", || {
        process.metric("process_open_fds", "") <= descriptors
    });
    eventually("the records", || {
        installation.decisions().len() == CLIENTS + 1
    });
    assert_eq!(process.get("/api/v1/status").status(), 200, "it serves on");
    process.stop();
    let records = installation.records();
    let ends = records
        .iter()
        .filter(|record| record["kind"] == "outcome" || record["outcome"] == "done");
    let left: Vec<&Value> = ends.filter(|end| end["status"] == 0).collect();
    assert_eq!(left.len(), CLIENTS, "each has an end");
    for end in left {
        // Nobody was told anything, and that says nothing against the upstream.
        assert_eq!(end["upstream_status"], 0, "{end}");
        assert_eq!(end.get("upstream_error"), None, "{end}");
        assert_eq!(end["error_count"].as_u64().unwrap_or(0), 0, "{end}");
    }
    assert_eq!(installation.replay(), CLIENTS as u64 + 2);
    let verified = installation.verify(&[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn clients_that_leave_while_they_wait_leave_nothing_behind() {
    leave("GET /held HTTP/1.1\r\nHost: test\r\n\r\n", false);
}

#[test]
fn clients_that_leave_within_their_body_leave_nothing_behind() {
    leave(
        "POST /held HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf",
        false,
    );
}

#[test]
fn clients_that_reset_within_a_chunk_leave_nothing_behind() {
    leave(
        "POST /held HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
        true,
    );
}

#[test]
fn clients_that_leave_within_the_answer_leave_nothing_behind() {
    // R038: what had been told stands in the record, and the upstream did nothing wrong.
    let upstream = Upstream::start(|mut conn, _| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nbegin");
        _ = conn.rest();
    });
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .contract(CONTRACT);
    let process = Process::start(&installation);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| process.connect()).collect();
    for client in &mut clients {
        client.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    for client in &mut clients {
        assert!(client.head().unwrap().starts_with("HTTP/1.1 200 "));
    }
    drop(clients);
    process.until_in_flight("held_v1", 0);
    process.stop();
    let records = installation.records();
    let ends = records
        .iter()
        .filter(|record| record["kind"] == "outcome" || record["outcome"] == "done");
    let ends: Vec<&Value> = ends.collect();
    assert_eq!(ends.len(), CLIENTS);
    for end in ends {
        assert_eq!(
            (&end["status"], &end["upstream_status"]),
            (&200.into(), &200.into())
        );
        assert_eq!(end["error_count"].as_u64().unwrap_or(0), 0, "{end}");
        assert_eq!(end.get("upstream_error"), None, "{end}");
    }
    assert_eq!(installation.replay(), CLIENTS as u64);
}

#[test]
fn clients_that_leave_within_their_head_are_no_decisions() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let open = || process.metric("tidegate_connections", "");
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|_| {
            let mut client = process.connect();
            client.send("GET /api/v1/status HTT");
            client
        })
        .collect();
    eventually("all connections", || open() == CLIENTS as f64);
    drop(clients);
    eventually("no connection", || open() == 0.0);
    process.stop();
    assert_eq!(installation.decisions().len(), 0);
    assert!(upstream.seen().is_empty());
}
