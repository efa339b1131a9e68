//! Clients that speak HTTP in less usual ways, and many of them.

use std::sync::mpsc;

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Message, OK, Upstream, eventually};

fn path(request: &Message) -> String {
    request.line().split(' ').nth(1).unwrap().to_owned()
}

/// A server that answers with the path and the body it got.
fn echo() -> Upstream {
    Upstream::replying(|request| {
        let text = format!(
            "{} {}",
            path(request),
            String::from_utf8_lossy(&request.body)
        );
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )
        .into_bytes()
    })
}

#[test]
fn http_1_0_is_served_and_closed() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    for control in [false, true] {
        let mut installation = Installation::in_front_of(upstream.address);
        if control {
            installation = installation.controlling();
        }
        let process = Process::start(&installation);
        for request in [
            "GET /api/v1/status HTTP/1.0\r\n\r\n",
            "GET /api/v1/status HTTP/1.0\r\nHost: test\r\n\r\n",
            "GET /api/v1/status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        ] {
            let mut client = process.connect();
            client.send(request);
            let answer = client.response();
            // HTTP/1.0 knows no chunks: the body ends with the connection.
            assert_eq!((answer.status(), answer.text()), (200, "abcde"));
            assert_eq!(answer.field("transfer-encoding"), None);
            assert_eq!(answer.field("connection"), Some("close"));
            assert!(answer.field("tidegate-decision-id").is_some());
            client.is_closed();
        }
        let refused = {
            let mut client = process.connect();
            client.send("GET /unknown HTTP/1.0\r\n\r\n");
            let answer = client.response();
            client.is_closed();
            answer
        };
        assert_eq!(refused.status(), if control { 404 } else { 200 });
    }
}

#[test]
fn http_1_0_may_keep_its_connection_where_the_length_is_known() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let mut client = process.connect();
    for _ in 0..3 {
        client.send("GET /api/v1/status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.response();
        assert_eq!((answer.status(), answer.text()), (200, "ok"));
        assert_eq!(answer.field("connection"), Some("keep-alive"));
    }
}

#[test]
fn http_2_is_refused_and_recorded() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let mut client = process.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.field("connection"), Some("close"));
    let id = answer.field("tidegate-decision-id").unwrap().to_owned();
    client.is_closed();
    process.stop();
    let decisions = installation.decisions();
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0]["decision_id"], id);
    assert_eq!(decisions[0]["status"], 400);
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_head_request_gets_a_head_alone() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n");
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let mut client = process.connect();
    let table = [
        ("/api/v1/deployments/a", "200"),
        ("/unknown", "404"),
        ("/api/v1/status", "405"),
        ("/a/../b", "400"),
        ("/api/v1/deployments/b", "200"),
    ];
    // All on one connection: a body in between would be taken for the next answer.
    for (path, status) in table {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let head = client.head().unwrap();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {head}"
        );
        assert!(head.contains("Tidegate-Decision-Id: "), "{head}");
        if status == "200" {
            assert!(head.contains("\r\nContent-Length: 5\r\n"), "{head}");
        }
    }
    process.stop();
    let decisions = installation.decisions();
    assert_eq!(decisions.len(), table.len());
    assert!(
        decisions
            .iter()
            .all(|decision| decision["method"] == "HEAD")
    );
}

#[test]
fn whoever_waits_for_100_continue_gets_it() {
    let upstream = Upstream::start(|mut conn, _| {
        let head = conn.head().unwrap();
        let lower = head.to_ascii_lowercase();
        if lower.contains("expect: 100-continue") {
            conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        assert_eq!(conn.exactly(4), b"body");
        conn.send(OK);
    });
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let mut client = process.connect();
    let head =
        "POST /upload HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    client.send(head);
    // Nothing but a 100 may come before the body has been sent.
    let first = client.head().unwrap();
    assert!(first.starts_with("HTTP/1.1 100 "), "{first}");
    client.send("body");
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    // A refusal comes at once, instead of the 100.
    let mut client = process.connect();
    client.send(head.replace("/upload", "/unknown"));
    let answer = client.response();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.field("connection"), Some("close"));
    client.is_closed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = echo();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let mut client = process.connect();
    client.send(concat!(
        "GET /api/v1/deployments/1 HTTP/1.1\r\nHost: test\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody",
        "POST /unknown HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nlost",
        "POST /upload HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
        "DELETE /api/v1/status HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /api/v1/deployments/2 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
    ));
    let expected = [
        (200, "/api/v1/deployments/1 "),
        (200, "/upload body"),
        (404, ""),
        (200, "/upload body"),
        (405, ""),
        (200, "/api/v1/deployments/2 "),
    ];
    for (status, text) in expected {
        let answer = client.response();
        assert_eq!(answer.status(), status, "{text}");
        if status == 200 {
            assert_eq!(answer.text(), text);
        }
    }
    client.is_closed();
    process.stop();
    assert_eq!(installation.decisions().len(), expected.len());
}

#[test]
fn a_large_body_streams_in_both_directions() {
    let upstream = Upstream::replying(|request| {
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            request.body.len()
        )
        .into_bytes();
        answer.extend_from_slice(&request.body);
        answer
    });
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let body: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = process.connect();
    client.send(format!(
        "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.send(&body);
    let answer = client.response();
    assert_eq!(answer.status(), 200);
    assert!(answer.body == body, "4 MB came back changed");
}

#[test]
fn an_answer_is_passed_on_while_it_is_made() {
    let (send, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        _ = gate.lock().unwrap().recv();
        conn.send("half");
    });
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let mut client = process.connect();
    client.send("GET /api/v1/status HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.exactly(4), b"half");
    send.send(()).unwrap();
    assert_eq!(client.exactly(4), b"half");
}

#[test]
fn unknown_paths_do_not_make_series() {
    // R019
    const PATHS: usize = 20_000;
    const PER_CONNECTION: usize = 500;
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let ask = |from: usize, count: usize| {
        let mut client = process.connect();
        let mut requests = String::new();
        for n in from..from + count {
            requests += &format!(
                "GET /x{n}/{:x}?q={n} HTTP/1.1\r\nHost: test\r\n\r\n",
                n * 7919
            );
        }
        client.send(requests);
        for _ in 0..count {
            assert_eq!(client.response().status(), 404);
        }
    };
    ask(0, PER_CONNECTION);
    let keys = |series: Vec<String>| -> Vec<String> {
        let key = |line: &String| line.rsplit_once(' ').unwrap().0.to_owned();
        let mut keys: Vec<String> = series.iter().map(key).collect();
        // There from the first checkpoint of the ledger on, whenever that is written.
        keys.retain(|key| key != "tidegate_ledger_checkpoint_timestamp_seconds");
        keys.sort_unstable();
        keys
    };
    // There once the keeper of the ledger has looked, on a thread of low priority.
    eventually("the room of the ledger", || {
        process.metric("tidegate_ledger_disk_free_bytes", "") > 0.0
    });
    let before = keys(process.series());
    for batch in 1..PATHS / PER_CONNECTION {
        ask(batch * PER_CONNECTION, PER_CONNECTION);
    }
    assert_eq!(keys(process.series()), before);
    let unknown = process.metric("tidegate_decisions_total", "contract=\"_unmatched\"");
    assert_eq!(unknown, PATHS as f64);
    process.stop();
    // On a busy machine a ring may overflow: then the ledger says how many it lost.
    let report = installation.verify(&["--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    let lost = report["lost"].as_u64().unwrap() + report["unaccounted"].as_u64().unwrap();
    assert_eq!(installation.replay() + lost, PATHS as u64);
}

#[test]
fn more_clients_than_descriptors_do_not_stop_the_gateway() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start_with_descriptors(&installation, 256);
    let warned = |entry: &serde_json::Value| entry["event"] == "few_descriptors";
    assert!(process.log().iter().any(warned), "{:?}", process.log());
    let mut clients: Vec<_> = (0..300).map(|_| process.connect()).collect();
    eventually("refusals", || {
        process.metric("tidegate_connections_refused_total", "") >= 200.0
    });
    // Those who were first are served, and so are operators.
    assert_eq!(clients[0].get("/api/v1/status").status(), 200);
    assert_eq!(process.ask("/readyz").status(), 200);
    drop(clients);
    eventually("a place", || {
        process.metric("tidegate_connections", "") == 0.0
    });
    assert_eq!(process.get("/api/v1/status").status(), 200);
    process.stop();
    assert_eq!(installation.replay(), 2);
}
