//! The errors that the sources name and that can occur here.

use serde_json::{Value, json};

use crate::installation::Installation;
use crate::process::Process;
use crate::traffic::place;
use crate::wire::{Upstream, nobody};

// R196: an error has a stable code, a message and its context.
#[test]
fn governance_error() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let answer = process.request("DELETE", "/api/v1/status");
    assert_eq!(
        answer.field("content-type"),
        Some("application/problem+json")
    );
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["status"], 405);
    let codes = json!(["CONTRACT_METHOD_DISALLOWED", "CRITICAL_RISK_SCORE"]);
    assert_eq!(told["reason_codes"], codes);
    let id = answer.field("tidegate-decision-id").unwrap();
    assert_eq!(told["instance"], id);
    assert!(!told["detail"].as_str().unwrap().is_empty());
}

// R200
#[test]
fn gateway_error() {
    let installation = Installation::in_front_of(nobody()).controlling();
    let process = Process::start(&installation);
    let answer = process.get("/api/v1/status");
    assert_eq!(answer.status(), 502);
    let cause = answer.field("proxy-status").unwrap();
    assert!(cause.contains("connection_refused"), "{cause}");
    process.stop();
    let record = installation.decisions().pop().unwrap();
    assert_eq!(
        (&record["status"], &record["error_count"]),
        (&502.into(), &1.into())
    );
    assert_eq!(record["upstream_status"], 0);
}

// R197
#[test]
fn configuration_error() {
    let place = place();
    place.write(
        "policy.yaml",
        "version: 1\nname: x\nweights: { latency: 2 }\n",
    );
    let ran = place.run("run -c tidegate.yaml");
    assert_eq!((ran.code, ran.out.as_str()), (78, ""));
    assert!(ran.err.contains("policy.yaml:3"), "{}", ran.err);
    assert!(!place.path("l").exists(), "nothing was begun");
}
