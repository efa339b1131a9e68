//! What contracts and policy files say about answers, done by the program.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Message, Upstream, eventually};

fn told(answer: &Message) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn ask(process: &Process, path: &str, fields: &str) -> Message {
    let mut client = process.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    client.response()
}

#[test]
fn clients_are_limited_one_by_one() {
    // R050
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling().contract(
        r#"{id: mine_v1, owner: me, endpoint: "GET /mine", per_client: {key: "header:X-Api-Key", rate_limit_rpm: 1, burst: 1}}"#,
    );
    let process = Process::start(&installation);
    let mine = |key: &str| ask(&process, "/mine", &format!("X-Api-Key: {key}\r\n"));
    assert_eq!(mine("a").field("ratelimit"), Some("\"client\";r=0;t=60"));
    let refused = mine("a");
    assert_eq!(refused.status(), 429);
    assert_eq!(
        refused.field("ratelimit-policy"),
        Some("\"client\";q=1;w=60")
    );
    assert!(
        told(&refused)["type"]
            .as_str()
            .unwrap()
            .ends_with("#quota-exceeded")
    );
    assert_eq!(mine("b").status(), 200);
    process.stop();
    assert_eq!(installation.replay(), 3);
}

/// An installation whose clients are set apart as soon as they are over their limit.
fn strict(main: &Upstream, mode: &str) -> Installation {
    Installation::in_front_of(main.address)
        .controlling()
        .policy("bands: {low: 0.2, medium: 0.4, high: 0.45, critical: 0.9}")
        .policy("weights: {rate_limit: 1.0}")
        .contract(&format!(
            r#"{{id: mine_v1, owner: me, endpoint: "GET /mine", quarantine: {mode}, per_client: {{rate_limit_rpm: 1, burst: 1}}}}"#
        ))
}

#[test]
fn a_quarantine_is_what_its_contract_says() {
    // R051, R066
    let main = Upstream::ok();
    let sandbox = Upstream::ok();
    for (mode, statuses) in [
        ("reject", [200, 403, 403]),
        ("shadow", [200, 200, 200]),
        ("{mode: divert, upstream: sandbox}", [200, 200, 200]),
    ] {
        let before = (main.seen().len(), sandbox.seen().len());
        let both = format!(
            "upstreams: {{main: {{servers: [\"{}\"]}}, sandbox: {{servers: [\"{}\"]}}}}\ndefault_upstream: main",
            main.address, sandbox.address
        );
        let one = format!("upstreams: {{main: {{servers: [\"{}\"]}}}}", main.address);
        let installation = strict(&main, mode).with(&one, &both);
        let process = Process::start(&installation);
        let seen: Vec<u16> = (0..3).map(|_| process.get("/mine").status()).collect();
        assert_eq!(seen, statuses, "{mode}");
        process.stop();
        let reached = (
            main.seen().len() - before.0,
            sandbox.seen().len() - before.1,
        );
        let wanted = match mode {
            "reject" => (1, 0),
            "shadow" => (3, 0),
            _ => (1, 2),
        };
        assert_eq!(reached, wanted, "{mode}");
        let records = installation.decisions();
        let cases: Vec<(&str, u64)> = records
            .iter()
            .filter_map(|record| {
                let day = record["ts_us"].as_u64()? / 86_400_000_000;
                Some((record["case_id"].as_str()?, day))
            })
            .collect();
        let [(one, day), (other, later)] = cases[..] else {
            panic!("{mode}: {cases:?}");
        };
        assert_eq!(one == other, day == later, "{mode}: one a client and day");
        assert_eq!(installation.replay(), 3, "{mode}");
    }
}

#[test]
fn a_drop_can_be_silent() {
    // R052
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .contract(r#"{id: quiet_v1, owner: me, endpoint: "GET /quiet", drop: close}"#);
    let process = Process::start(&installation);
    let mut client = process.connect();
    client.send("DELETE /quiet HTTP/1.1\r\nHost: test\r\n\r\n");
    client.is_closed();
    assert_eq!(process.get("/quiet").status(), 200);
    process.stop();
    let records = installation.decisions();
    assert_eq!(
        (&records[0]["status"], &records[0]["outcome"]),
        (&0.into(), &"refused".into())
    );
    assert_eq!(installation.replay(), 2);
}

#[test]
fn a_throttled_request_can_wait_for_its_turn() {
    // R050
    let upstream = Upstream::ok();
    // A period of half a second.
    let installation = Installation::in_front_of(upstream.address).controlling().contract(
        r#"{id: calm_v1, owner: me, endpoint: "GET /calm", rate_limit_rpm: 120, burst: 1, throttle: {mode: delay, wait_max_ms: 5000, held_max: 5}}"#,
    );
    let process = Process::start(&installation);
    let mut clients = [(); 4].map(|()| process.connect());
    let begun = Instant::now();
    for client in &mut clients {
        client.send("GET /calm HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(1_490),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(process.metric("tidegate_held_requests", "calm_v1"), 0.0);
    process.stop();
    let mut records = installation.decisions();
    records.retain(|record| record["decision"] == "THROTTLE");
    // Three, but for those before which a machine stood still until their turn had come.
    assert!(!records.is_empty());
    // The wait is no latency of the upstream. One that the machine held up may have some of its own.
    let quickest_us = records
        .iter()
        .map(|record| record["latency_us"].as_u64().unwrap())
        .min();
    assert!(quickest_us < Some(200_000), "{records:?}");
    assert_eq!(installation.replay(), 4);
}

#[test]
fn the_books_agree_where_a_client_leaves_before_its_turn() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling().contract(
        r#"{id: calm_v1, owner: me, endpoint: "GET /calm", rate_limit_rpm: 1, burst: 1, throttle: {mode: delay, wait_max_ms: 60000}}"#,
    );
    let process = Process::start(&installation);
    assert_eq!(process.get("/calm").status(), 200);
    let mut client = process.connect();
    client.send("GET /calm HTTP/1.1\r\nHost: test\r\n\r\n");
    let metric = |name: &str| process.metric(name, "calm_v1");
    eventually("a request to wait", || {
        metric("tidegate_held_requests") == 1.0
    });
    drop(client);
    // It gives its place back a moment before it is counted.
    eventually("its end", || {
        let never_sent = metric("tidegate_upstream_never_sent_total");
        metric("tidegate_inflight_requests") == 0.0 && never_sent == 1.0
    });
    assert_eq!(metric("tidegate_held_requests"), 0.0);
    assert_eq!(metric("tidegate_forwarded_total"), 2.0);
    assert_eq!(upstream.seen().len(), 1);
}
