//! Contracts that are rolled out step by step: who is enforced upon, and that it replays.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::place::Place;

const CLIENTS: u64 = 2_000;

fn contract(stage: &str) -> String {
    format!(
        "version: 1\ncontracts:\n  - id: new_get_v1\n    endpoint: \"GET /api/v1/new\"\n    \
         owner: platform\n    stage: {stage}\n"
    )
}

/// Each client asks twice with a method that the contract has not, minutes apart.
fn traffic() -> String {
    let line = |at_ms: u64, client: u64| {
        let (a, b) = (client / 250, client % 250);
        format!(
            "{{\"at_ms\":{at_ms},\"method\":\"POST\",\"url\":\"/api/v1/new\",\
             \"client\":\"10.0.{a}.{b}\",\"status\":200,\"latency_ms\":5}}\n"
        )
    };
    let first = (0..CLIENTS).map(|client| line(client * 20, client));
    let second = (0..CLIENTS).map(|client| line(600_000 + client * 20, client));
    first.chain(second).collect()
}

/// How often each client was refused, of those that asked twice, by client.
fn refusals(stage: &str) -> BTreeMap<String, u64> {
    let place = Place::new();
    place.write("contracts/contracts.yaml", &contract(stage));
    place.write("traffic.jsonl", &traffic());
    place.simulated();
    let summary = format!("{} decisions, 0 differences, 0 unreadable", 2 * CLIENTS);
    let replayed = place.run("replay l");
    assert!(
        replayed.out.starts_with(&summary),
        "{stage}: {}",
        replayed.out
    );
    assert_eq!(replayed.code, 0);
    let mut refused = BTreeMap::new();
    for line in place.ledger_lines() {
        let record: Value = serde_json::from_str(&line).unwrap();
        if record["kind"] == "decision" {
            assert_eq!(record["decision"], "DROP", "judged alike in every stage");
            let acts = record["tier"] == "CONTROL";
            let taken = record["actions_taken"].as_array().unwrap();
            assert_eq!(taken.iter().any(|action| action == "drop"), acts);
            let client = record["client"].as_str().unwrap().to_owned();
            *refused.entry(client).or_default() += u64::from(acts);
        }
    }
    assert_eq!(refused.len() as u64, CLIENTS);
    refused
}

// R285: a tenth of the clients by hash, each of them every time.
#[test]
fn a_canary_is_enforced_upon_its_share_of_clients_and_always_the_same() {
    let refused = refusals("canary 10%");
    assert!(refused.values().all(|count| [0, 2].contains(count)));
    let on_canary = |refused: BTreeMap<String, u64>| -> BTreeSet<String> {
        let those = refused.into_iter().filter(|(_, count)| *count > 0);
        those.map(|(client, _)| client).collect()
    };
    let tenth = on_canary(refused);
    let count = tenth.len();
    assert!((160..=240).contains(&count), "{count} of {CLIENTS}");
    // Another run has the same, and a larger canary has them too.
    assert_eq!(on_canary(refusals("canary 10%")), tenth);
    let half = on_canary(refusals("{ mode: canary 50%, remove_by: 2999-12-31 }"));
    assert!(tenth.is_subset(&half) && half.len() > count);
}

// R285
#[test]
fn the_other_stages_are_enforced_upon_everybody_or_nobody() {
    let table = [
        ("enforced", 2),
        ("canary 100%", 2),
        ("canary 0%", 0),
        ("shadow", 0),
        ("retired", 0),
    ];
    for (stage, times) in table {
        let refused = refusals(stage);
        assert!(refused.values().all(|count| *count == times), "{stage}");
    }
}

// R285, R047: a record cannot move a client into the canary.
#[test]
fn a_record_that_enforces_outside_of_the_canary_is_found() {
    let place = Place::new();
    place.write("contracts/contracts.yaml", &contract("shadow"));
    place.write("traffic.jsonl", &traffic());
    place.simulated();
    let taken = "\"actions_taken\":[\"log\"]";
    place.forge(1, |line| {
        assert!(line.contains(taken), "{line}");
        line.replace("\"inputs\":[1,", "\"inputs\":[1,1,")
            .replace("\"inputs\":[1,1,0,", "\"inputs\":[1,1,")
    });
    let ran = place.run("replay l");
    assert_eq!(ran.code, 3, "{}", ran.out);
    assert!(
        ran.out.contains("at most \"OBSERVE_ONLY\", the contract's"),
        "{}",
        ran.out
    );
}
