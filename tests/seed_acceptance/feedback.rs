//! What comes back from answers: circuits, retries, and the parameters that judge them.

use std::fs;

use serde_json::Value;

use crate::traffic::{place, records, records_in, request, request_of};

const STATUS: &str = "/api/v1/status";

/// The states of the circuit that each of these requests met.
fn circuits(traffic: &str) -> Vec<String> {
    let found = records("observe_only", traffic);
    let states = found
        .iter()
        .map(|record| record["circuit"].as_str().unwrap());
    states.map(str::to_owned).collect()
}

/// A request per 100 ms from `from_ms` on, with these answers.
fn answers(from_ms: u64, statuses: &[u16]) -> String {
    let requests = statuses.iter().zip(0..);
    requests
        .map(|(status, n)| request(from_ms + n * 100, "GET", STATUS, *status, 10))
        .collect()
}

// R016, R074
#[test]
fn half_of_twenty_opens_a_circuit_and_one_alone_does_not() {
    let one = answers(0, &[500, 200]);
    assert_eq!(circuits(&one), ["closed", "closed"]);
    let all = |failed: usize| {
        let mut statuses = [200; 21];
        statuses[..failed].fill(500);
        circuits(&answers(0, &statuses)).pop().unwrap()
    };
    assert_eq!(all(9), "closed");
    assert_eq!(all(10), "open");
}

// R075: what left the window of 10 s opens nothing.
#[test]
fn old_errors_open_no_circuit() {
    let fifteen = [500; 15];
    let apart = answers(0, &fifteen) + &answers(12_000, &fifteen) + &answers(14_000, &[200]);
    assert!(circuits(&apart).iter().all(|state| state == "closed"));
    let together = answers(0, &fifteen) + &answers(1_500, &fifteen) + &answers(4_000, &[200]);
    assert!(circuits(&together).iter().any(|state| state == "open"));
}

// R044: the same request again within 10 s of a failure is a retry, whatever its fields say.
#[test]
fn repeats_after_failures_are_a_retry_storm_without_any_header() {
    let mut traffic = String::new();
    for n in 0..60 {
        let status = if n % 3 == 0 { 500 } else { 200 };
        let client = format!("10.0.1.{n}");
        traffic += &request_of(&client, n * 50, "GET", STATUS, status, 10);
    }
    // Those that failed come again, and in between others come for the first time.
    for n in 0..40 {
        let client = match n % 2 {
            0 => format!("10.0.1.{}", n / 2 * 3),
            _ => format!("10.0.2.{n}"),
        };
        traffic += &request_of(&client, 3_000 + n * 50, "GET", STATUS, 200, 10);
    }
    let found = records("observe_only", &traffic);
    assert!(found.iter().all(|record| record["retry_count"] == 0));
    let storm = |record: &Value| record["factors"]["retry_storm"].as_u64();
    assert!(found[..60].iter().all(|record| storm(record).is_none()));
    // 19 of 98 were retries: (19.4 % - 10 %) of the way from 10 % to 50 %.
    let last_repeat = &found[98];
    let reading = storm(last_repeat).unwrap();
    assert!((2_000..=2_600).contains(&reading), "{last_repeat}");
    let codes = last_repeat["reason_codes"].to_string();
    assert!(codes.contains("RETRY_STORM_DETECTED"), "{codes}");
    assert_eq!(storm(&found[99]), None, "a first request is no storm");
}

// R067: what a circuit goes by is part of the rules that the record names.
#[test]
fn a_changed_parameter_changes_the_hash_of_later_records() {
    let mut hashes = Vec::new();
    for threshold in ["0.5", "0.3", "0.5"] {
        let place = place();
        let contract = format!(
            "version: 1\ncontracts:\n  - {{ id: status_get_v1, owner: platform, \
             endpoint: \"GET {STATUS}\", circuit_threshold: {threshold} }}\n"
        );
        place.write("contracts/contracts.yaml", &contract);
        let last = records_in(&place, "control", &answers(0, &[200]))
            .pop()
            .unwrap();
        let hash = last["policy_hash"].as_str().unwrap().to_owned();
        place.simulated();
        let rulebook = place.path(&format!("l/rulebooks/{hash}.json"));
        let rules: Value = serde_json::from_slice(&fs::read(rulebook).unwrap()).unwrap();
        let in_force = rules["contracts"][0]["circuit_threshold_bp"].clone();
        hashes.push((hash, in_force));
    }
    assert_ne!(hashes[0], hashes[1]);
    assert_eq!(hashes[0], hashes[2]);
    assert_ne!(
        hashes[0].1, hashes[1].1,
        "the parameter stands in the rulebook"
    );
    assert!(!hashes[0].1.is_null());
}
