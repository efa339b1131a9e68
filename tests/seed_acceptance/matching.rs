//! The contract of a request is found, and where there is none that is seen.

use serde_json::json;

use crate::traffic::{place, record};

// R006, R008
#[test]
fn contract_match_exact() {
    let found = record("control", "GET", "/api/v1/status");
    // `/api/v1/{name}` would take it as well.
    assert_eq!(found["contract_id"], "status_get_v1");
    assert_eq!(found["endpoint_key"], "GET /api/v1/status");
    let other = record("control", "GET", "/api/v1/stat");
    assert_eq!(other["contract_id"], "any_get_v1");
}

// R004, R006
#[test]
fn contract_match_by_template() {
    let found = record("control", "GET", "/api/v1/deployments/abc123");
    assert_eq!(found["contract_id"], "deploy_get_v1");
    assert_eq!(found["endpoint_key"], "GET /api/v1/deployments/{id}");
    let told = place().run("match GET /api/v1/deployments/abc123");
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("deploy_get_v1"), "{}", told.out);
    assert!(told.out.contains("id=abc123"), "{}", told.out);
}

// R019
#[test]
fn unknown_endpoint_detected() {
    let found = record("observe_only", "GET", "/api/v2/status");
    assert_eq!(found.get("contract_id"), None);
    assert_eq!(found["factors"], json!({"unknown_endpoint": 10_000}));
    let codes = found["reason_codes"].as_array().unwrap();
    assert!(codes.contains(&json!("NO_CONTRACT_MATCH")), "{codes:?}");
}

// R012: a wrong method is not an unknown endpoint.
#[test]
fn method_disallowed_detected() {
    let found = record("observe_only", "DELETE", "/api/v1/status");
    assert_eq!(found["contract_id"], "status_get_v1");
    assert_eq!(found["factors"], json!({"method_disallowed": 10_000}));
    let codes = found["reason_codes"].as_array().unwrap();
    assert!(codes.contains(&json!("CONTRACT_METHOD_DISALLOWED")));
    assert!(!codes.contains(&json!("NO_CONTRACT_MATCH")), "{codes:?}");
}
