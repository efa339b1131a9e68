//! The decisions and their reasons, in `CONTROL`.

use serde_json::{Value, json};

use crate::traffic::{calm, record, records, request};

// R049
#[test]
fn decision_allow() {
    let found = record("control", "GET", "/api/v1/status");
    assert_eq!(found["decision"], "ALLOW");
    assert_eq!(
        (&found["risk_bp"], &found["status"]),
        (&0.into(), &200.into())
    );
    assert_eq!(found["upstream"], "api");
}

// R015, R037, R050
#[test]
fn decision_throttle() {
    // 200 requests in a second against 10 in a minute: the burst of 10 passes.
    let traffic: String = (0..200).map(|n| calm(n * 5, "GET", "/search")).collect();
    let found = records("control", &traffic);
    let decided: Vec<&str> = found
        .iter()
        .map(|record| record["decision"].as_str().unwrap())
        .collect();
    assert_eq!(decided[..10], ["ALLOW"; 10]);
    assert_eq!(decided[10..], ["THROTTLE"; 190]);
    for refused in &found[10..] {
        assert_eq!(refused["status"], 429);
        assert_eq!(refused.get("upstream"), None, "it was not forwarded");
    }
}

// R043, R052
#[test]
fn decision_drop() {
    let wrong_method = record("control", "DELETE", "/api/v1/status");
    assert_eq!(wrong_method["decision"], "DROP");
    assert_eq!(wrong_method["risk_bp"], 9_000);
    assert_eq!(wrong_method["status"], 405);
    let failing: String = (0..6)
        .map(|n| request(n * 100, "GET", "/api/v1/status", 0, 10))
        .collect();
    let open = records("control", &failing).pop().unwrap();
    assert_eq!(open["decision"], "DROP");
    assert_eq!(open["status"], 503);
    assert_eq!(open.get("upstream"), None, "it was not forwarded");
}

// R054
#[test]
fn reason_codes_provided() {
    let codes = |record: &Value| record["reason_codes"].clone();
    for (method, url, expected) in [
        ("GET", "/api/v1/status", json!(["LOW_RISK_SCORE"])),
        (
            "DELETE",
            "/api/v1/status",
            json!(["CONTRACT_METHOD_DISALLOWED", "CRITICAL_RISK_SCORE"]),
        ),
        (
            "GET",
            "/nowhere",
            json!(["HIGH_RISK_SCORE", "NO_CONTRACT_MATCH"]),
        ),
    ] {
        assert_eq!(codes(&record("control", method, url)), expected);
    }
    let many: String = (0..11).map(|n| calm(n, "GET", "/search")).collect();
    let last = records("control", &many).pop().unwrap();
    assert_eq!(
        codes(&last),
        json!(["LOW_RISK_SCORE", "RATE_LIMIT_EXCEEDED"])
    );
}
