//! What a tier does about a decision, on real sockets.

use serde_json::{Value, json};

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Message, Upstream};

const SEARCH: &str =
    r#"{id: search_v1, owner: me, endpoint: "GET /search", rate_limit_rpm: 1, burst: 1}"#;

/// What came of requests to one gateway.
struct Seen {
    answers: Vec<Message>,
    records: Vec<Value>,
    forwarded: usize,
    suppressed: f64,
}

fn send(control: bool, requests: &[(&str, &str)]) -> Seen {
    let upstream = Upstream::ok();
    let mut installation = Installation::in_front_of(upstream.address).contract(SEARCH);
    if control {
        installation = installation.controlling();
    }
    let process = Process::start(&installation);
    let answers = requests
        .iter()
        .map(|(method, target)| process.request(method, target))
        .collect();
    let suppressed = process.metric("tidegate_actions_suppressed_total", "");
    process.stop();
    Seen {
        answers,
        records: installation.decisions(),
        forwarded: upstream.seen().len(),
        suppressed,
    }
}

const WRONG_METHOD: [(&str, &str); 1] = [("DELETE", "/api/v1/status")];

// R056
#[test]
fn observe_only_takes_no_action_but_log() {
    let seen = send(false, &WRONG_METHOD);
    assert_eq!(seen.answers[0].status(), 200, "the upstream's answer");
    assert_eq!(seen.forwarded, 1);
    assert_eq!(seen.records[0]["actions_taken"], json!(["log"]));
    assert_eq!(seen.records[0]["outcome"], "done");
}

// R055, R060
#[test]
fn observe_only_still_recommends() {
    let seen = send(false, &WRONG_METHOD);
    assert_eq!(seen.records[0]["decision"], "DROP");
    assert_eq!(
        seen.records[0]["recommended_actions"],
        json!(["drop", "log"])
    );
    assert_eq!(seen.suppressed, 1.0);
}

// R057, R066
#[test]
fn control_acts_by_dropping() {
    let seen = send(true, &WRONG_METHOD);
    assert_eq!(seen.answers[0].status(), 405);
    assert_eq!(seen.answers[0].field("allow"), Some("GET"));
    assert_eq!(seen.forwarded, 0, "nothing reached the upstream");
    assert_eq!(seen.records[0]["actions_taken"], json!(["drop", "log"]));
    assert_eq!(seen.suppressed, 0.0);
}

// R050, R057, R066
#[test]
fn control_acts_by_throttling() {
    let seen = send(true, &[("GET", "/search"), ("GET", "/search")]);
    let statuses: Vec<u16> = seen.answers.iter().map(Message::status).collect();
    assert_eq!(statuses, [200, 429]);
    let wait: u64 = seen.answers[1]
        .field("retry-after")
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(seen.forwarded, 1);
    assert_eq!(seen.records[1]["actions_taken"], json!(["log", "throttle"]));
}
