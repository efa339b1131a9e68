//! Decisions out of the ledger, explained by the rulebook that made them.

use serde_json::Value;

use super::bench::{Bench, FIRST};
use crate::contract::Pairing;
use crate::telemetry::fixture::known;
use crate::units::Tier;

#[test]
fn a_recent_decision_is_explained() {
    let bench = Bench::start(Tier::ObserveOnly);
    bench.serve(Pairing::Unknown, true);
    bench.serve(known(0), false);
    let found = bench.get(&format!("/v1/decisions/{FIRST}")).json();
    assert_eq!(found["record"]["decision_id"], FIRST);
    assert_eq!(found["record"]["decision"], "QUARANTINE");
    assert_eq!(found["record"]["outcome"], "open");
    assert_eq!(found["outcome"]["status"], 200);
    let why = &found["explanation"];
    let factor = &why["factors"][0];
    assert_eq!(factor["factor"], "unknown_endpoint");
    assert_eq!(factor["reading_bp"], 10_000);
    assert_eq!(factor["weight_bp"], 7_000);
    assert_eq!(factor["contribution_bp"], 7_000);
    assert_eq!(why["abuse_bp"], 7_000);
    assert_eq!(why["deciding_reason"], "NO_CONTRACT_MATCH");
    assert_eq!(why["withheld_actions"][0], "quarantine");
    let second = bench.get("/v1/decisions/deadbeef00000000000001").json();
    assert_eq!(second["record"]["contract_id"], "deploy_get_v1");
    assert_eq!(second["outcome"], Value::Null);
    let unknown = "/v1/decisions/deadbeef00000000000009";
    bench.get(unknown).check_problem(404, "no-such-decision");
    for bad in ["x", "DEADBEEF00000000000000", "..%2f..%2fetc"] {
        let path = format!("/v1/decisions/{bad}");
        bench.get(&path).check_problem(400, "decision-id");
    }
}

#[test]
fn a_decision_without_its_rulebook_is_shown_unexplained() {
    let bench = Bench::start(Tier::ObserveOnly);
    bench.serve(known(0), false);
    let rulebooks = bench.dir.path().join("rulebooks");
    std::fs::remove_dir_all(rulebooks).expect("it is there");
    let found = bench.get(&format!("/v1/decisions/{FIRST}")).json();
    assert_eq!(found["record"]["decision"], "ALLOW");
    let said = found["unexplained"].as_str().expect("a reason");
    assert!(said.contains("restore the file"), "{said}");
}

#[test]
fn a_changed_record_is_not_shown_as_true() {
    let bench = Bench::start(Tier::ObserveOnly);
    bench.serve(known(0), false);
    let segments = std::fs::read_dir(bench.dir.path().join("segments"));
    let segments = segments.or_else(|_| std::fs::read_dir(bench.dir.path()));
    let mut changed = 0;
    for entry in segments.expect("the ledger's directory") {
        let path = entry.expect("an entry").path();
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        if text.contains("\"decision\":\"ALLOW\"") {
            let forged = text.replace("\"decision\":\"ALLOW\"", "\"decision\":\"ALLOW_\"");
            std::fs::write(&path, forged).expect("writable");
            changed += 1;
        }
    }
    assert_eq!(changed, 1);
    let reply = bench.get(&format!("/v1/decisions/{FIRST}"));
    reply.check_problem(500, "ledger-unreadable");
}
