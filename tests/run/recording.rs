//! What the ledger says about traffic, and that every way to ask for it says the same.

use serde_json::Value;

use crate::held::holding;
use crate::installation::{Installation, Ran, program};
use crate::process::Process;
use crate::wire::{Upstream, eventually};

#[test]
fn one_request_is_one_record_and_can_be_found() {
    // R001, R004
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let mut ids = Vec::new();
    for path in [
        "/api/v1/deployments/abc123?q=1",
        "/api/v1/status",
        "/unknown/deep",
    ] {
        let answer = process.get(path);
        ids.push(answer.field("tidegate-decision-id").unwrap().to_owned());
    }
    eventually("the records", || {
        installation.decisions().len() == ids.len()
    });
    for id in &ids {
        let found = process.ask(&format!("/v1/decisions/{id}"));
        assert_eq!(found.status(), 200, "{}", found.text());
        let found: Value = serde_json::from_slice(&found.body).unwrap();
        assert_eq!(found["record"]["decision_id"], *id);
        assert_eq!(
            found["explanation"]["decision"],
            found["record"]["decision"]
        );
    }
    process.stop();
    let decisions = installation.decisions();
    let recorded: Vec<&str> = decisions
        .iter()
        .map(|decision| decision["decision_id"].as_str().unwrap())
        .collect();
    assert_eq!(recorded, ids);
    let keys: Vec<&Value> = decisions
        .iter()
        .map(|decision| &decision["endpoint_key"])
        .collect();
    assert_eq!(keys[0], "GET /api/v1/deployments/{id}");
    assert_eq!(decisions[0]["contract_id"], "deploy_get_v1");
    assert_eq!(keys[1], "GET /api/v1/status");
    assert_eq!(*keys[2], Value::Null);
    for (id, decision) in ids.iter().zip(&decisions) {
        let explained = Ran::of(installation.command("explain").arg(id).output().unwrap());
        assert_eq!(explained.code, Some(0), "{explained:?}");
        let said = explained.stdout;
        assert!(
            said.contains(decision["decision"].as_str().unwrap()),
            "{said}"
        );
    }
    let mut tail = program();
    tail.args(["ledger", "tail"]).arg(installation.ledger());
    let tail = Ran::of(tail.output().unwrap());
    let lines = tail
        .stdout
        .lines()
        .filter(|line| line.contains("\"kind\":\"decision\""));
    assert_eq!(lines.count(), ids.len(), "{tail:?}");
    assert_eq!(installation.replay(), 3);
    let verified = installation.verify(&[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn responses_tell_of_the_decision_where_the_operator_wants_that() {
    // R009
    let upstream = Upstream::ok();
    for exposed in [true, false] {
        let installation = Installation::in_front_of(upstream.address)
            .controlling()
            .and(&format!("expose_headers: {exposed}"));
        let process = Process::start(&installation);
        let want = |told: &'static str| exposed.then_some(told);
        let known = process.get("/api/v1/status");
        assert_eq!(known.field("tidegate-contract"), want("status_v1"));
        assert_eq!(known.field("tidegate-decision"), want("ALLOW"));
        assert_eq!(known.field("tidegate-risk"), want("0.0000"));
        let unknown = process.get("/unknown");
        assert_eq!(unknown.field("tidegate-contract"), None);
        assert_eq!(unknown.field("tidegate-decision"), want("QUARANTINE"));
        assert_eq!(unknown.field("tidegate-risk"), want("0.7000"));
    }
}

#[test]
fn a_request_that_runs_long_is_written_before_it_ends() {
    let (upstream, send) = holding("/held");
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .contract(r#"{id: held_v1, owner: me, endpoint: "GET /held", max_latency_ms: 10}"#);
    let process = Process::start(&installation);
    let mut held = process.connect();
    held.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the record of a running request", || {
        !installation.decisions().is_empty()
    });
    let written = installation.decisions().pop().unwrap();
    assert_eq!(written["outcome"], "open", "{written}");
    assert_eq!(written["status"], 0);
    assert_eq!(process.metric("tidegate_inflight_requests", "held_v1"), 1.0);
    send.send(()).unwrap();
    let answer = held.response();
    assert_eq!(answer.status(), 200);
    let id = answer.field("tidegate-decision-id").unwrap();
    eventually("its outcome", || {
        let found = process.ask(&format!("/v1/decisions/{id}"));
        found.status() == 200 && found.text().contains("\"kind\":\"outcome\"")
    });
    process.stop();
    let mut outcomes = installation.records();
    outcomes.retain(|record| record["kind"] == "outcome");
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0]["decision_id"], id);
    assert_eq!(outcomes[0]["status"], 200);
    assert!(outcomes[0]["latency_us"].as_u64().unwrap() >= 500_000);
    assert_eq!(installation.verify(&[]).code, Some(0));
    assert_eq!(installation.replay(), 1);
}

#[test]
fn overdue_requests_raise_the_latency_of_their_route() {
    let (upstream, send) = holding("");
    let installation = Installation::in_front_of(upstream.address)
        .contract(r#"{id: held_v1, owner: me, endpoint: "GET /held", max_latency_ms: 10}"#);
    let process = Process::start(&installation);
    // Nothing has ended, so whatever the factor reads comes from requests that are overdue.
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut client = process.connect();
        client.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
        held.push(client);
    }
    let latency = || {
        process.metric(
            "tidegate_risk_factor_ratio",
            "contract=\"held_v1\",factor=\"latency\"",
        )
    };
    eventually("the latency factor to rise", || latency() > 0.0);
    assert!(process.metric("tidegate_risk_ratio", "held_v1") > 0.0);
    // The next decision reads it, and the ledger says so.
    let mut next = process.connect();
    next.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the record of the next one", || {
        installation.decisions().len() == 41
    });
    let newest = installation.decisions().pop().unwrap();
    assert!(
        newest["factors"]["latency"].as_u64().unwrap() > 0,
        "{newest}"
    );
    for _ in 0..41 {
        send.send(()).unwrap();
    }
    for client in held.iter_mut().chain([&mut next]) {
        assert_eq!(client.response().status(), 200);
    }
    process.stop();
    assert_eq!(installation.replay(), 41);
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn the_books_agree() {
    // What the upstream saw, the ledger holds and the metrics count are the same requests.
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    for _ in 0..20 {
        let mut client = process.connect();
        for path in [
            "/api/v1/status",
            "/unknown",
            "/a/../b",
            "/api/v1/deployments/x",
        ] {
            client.get(path);
        }
        client.send("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.response().status(), 400, "no Host");
    }
    let total = |name| process.metric(name, "");
    eventually("all records", || installation.decisions().len() == 100);
    // The record of a request that took long is there before its end.
    eventually("all ends", || {
        let ended = ["tidegate_forwarded_total", "tidegate_answered_total"];
        ended.map(total) == [40.0, 40.0]
    });
    assert_eq!(total("tidegate_refused_in_parsing_total"), 20.0);
    assert_eq!(total("tidegate_decisions_total"), 80.0);
    assert_eq!(total("tidegate_requests_total"), 80.0);
    assert_eq!(total("tidegate_ledger_lost_records_total"), 0.0);
    assert_eq!(upstream.seen().len(), 40);
    process.stop();
    assert_eq!(installation.replay(), 100);
}
