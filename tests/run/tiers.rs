//! The same files and the same traffic under two tiers: what is decided, and what is done.

use serde_json::Value;

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::Upstream;

/// Method, target, and the status where the gateway acts.
const TRAFFIC: &[(&str, &str, u16)] = &[
    ("GET", "/api/v1/status", 200),
    ("GET", "/rare", 200),
    ("GET", "/unknown", 404),
    ("DELETE", "/api/v1/status", 405),
    ("GET", "/a/../b", 400),
    ("GET", "/rare", 429),
    ("GET", "/api/v1/deployments/7", 200),
];

/// The statuses and the records of the traffic, by a process of its own.
fn serve(upstream: &Upstream, control: bool) -> (Vec<u16>, Vec<Value>) {
    let mut installation = Installation::in_front_of(upstream.address).contract(
        r#"{id: rare_v1, owner: me, endpoint: "GET /rare", rate_limit_rpm: 1, burst: 1}"#,
    );
    if control {
        installation = installation.controlling();
    }
    let process = Process::start(&installation);
    let ask = |(method, target, _): &(&str, &str, u16)| process.request(method, target).status();
    let statuses = TRAFFIC.iter().map(ask).collect();
    process.stop();
    assert_eq!(installation.replay(), TRAFFIC.len() as u64);
    (statuses, installation.decisions())
}

#[test]
fn two_tiers_decide_alike_and_act_apart() {
    // R057, R059: the same decision, other actions.
    let upstream = Upstream::ok();
    let (seen, observed) = serve(&upstream, false);
    assert_eq!(seen, [200; 7], "who only observes refuses nothing");
    let (answered, controlled) = serve(&upstream, true);
    let wanted: Vec<u16> = TRAFFIC.iter().map(|(_, _, status)| *status).collect();
    assert_eq!(answered, wanted);
    for ((one, other), (_, target, status)) in observed.iter().zip(&controlled).zip(TRAFFIC) {
        for member in [
            "decision",
            "reason_codes",
            "risk_bp",
            "distress_bp",
            "abuse_bp",
            "factors",
            "recommended_actions",
            "policy_hash",
            "policy_version",
        ] {
            assert_eq!(one[member], other[member], "{target}: {member}");
        }
        assert_eq!(one["tier"], "OBSERVE_ONLY");
        assert_eq!(other["tier"], "CONTROL");
        let refused = *status != 200;
        let same = one["actions_taken"] == other["actions_taken"];
        assert_eq!(same, !refused, "{target}: {one} {other}");
        assert_eq!(one["actions_taken"], serde_json::json!(["log"]), "{target}");
        let refused_by_us = other["outcome"] == "refused";
        assert_eq!(refused_by_us, refused, "{target}");
    }
}

#[test]
fn limits_are_told_where_the_gateway_acts_and_nowhere_else() {
    let upstream = Upstream::ok();
    let observing = Installation::in_front_of(upstream.address).contract(
        r#"{id: some_v1, owner: me, endpoint: "GET /some", rate_limit_rpm: 100, burst: 10}"#,
    );
    let process = Process::start(&observing);
    let answer = process.get("/some");
    assert_eq!((answer.status(), answer.field("ratelimit")), (200, None));
    assert_eq!(answer.field("ratelimit-policy"), None);
    process.stop();
    let process = Process::start(&observing.controlling());
    let answer = process.get("/some");
    let policy = "\"contract\";q=100;w=60";
    assert_eq!(answer.field("ratelimit-policy"), Some(policy));
    assert_eq!(answer.field("ratelimit"), Some("\"contract\";r=9;t=1"));
    assert_eq!(process.get("/api/v1/status").field("ratelimit"), None);
    process.stop();
}
