//! Traffic for the simulation, and the records that came of it.

use serde_json::{Value, json};

use crate::place::Place;

const CONTRACTS: &str = r#"version: 1
contracts:
  - { id: status_get_v1, owner: platform, endpoint: "GET /api/v1/status", max_latency_ms: 100 }
  - { id: deploy_get_v1, owner: platform, endpoint: "GET /api/v1/deployments/{id}" }
  - { id: any_get_v1, owner: platform, endpoint: "GET /api/v1/{name}" }
  - { id: search_get_v1, owner: platform, endpoint: "GET /search", rate_limit_rpm: 10, burst: 10 }
"#;

/// A folder with the contracts of these tests.
pub(crate) fn place() -> Place {
    let place = Place::new();
    place.write("contracts/contracts.yaml", CONTRACTS);
    place
}

/// A request and what its upstream answers.
pub(crate) fn request(at_ms: u64, method: &str, url: &str, status: u16, latency_ms: u64) -> String {
    let client = format!("10.0.0.{}", at_ms / 10 % 200);
    request_of(&client, at_ms, method, url, status, latency_ms)
}

/// The same of a client.
pub(crate) fn request_of(
    client: &str,
    at_ms: u64,
    method: &str,
    url: &str,
    status: u16,
    latency_ms: u64,
) -> String {
    let line = json!({"at_ms": at_ms, "method": method, "url": url, "client": client,
                      "status": status, "latency_ms": latency_ms});
    format!("{line}\n")
}

/// A request that goes well.
pub(crate) fn calm(at_ms: u64, method: &str, url: &str) -> String {
    request(at_ms, method, url, 200, 20)
}

/// The records of this traffic in that tier, in order.
pub(crate) fn records(tier: &str, traffic: &str) -> Vec<Value> {
    records_in(&place(), tier, traffic)
}

/// The same in a folder that is looked at afterwards.
pub(crate) fn records_in(place: &Place, tier: &str, traffic: &str) -> Vec<Value> {
    place.write("traffic.jsonl", traffic);
    let ran = place.run(&format!("simulate traffic.jsonl --tier {tier}"));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines = ran.out.lines();
    let found: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(found.len(), traffic.lines().count());
    found
}

/// The record of one calm request.
pub(crate) fn record(tier: &str, method: &str, url: &str) -> Value {
    records(tier, &calm(0, method, url)).pop().unwrap()
}
