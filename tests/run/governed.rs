//! What is done to a gateway stands in its ledger: rules put in force or refused, levers pulled.

use serde_json::{Value, json};

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Upstream, eventually};

fn of_kind(installation: &Installation, kind: &str) -> Vec<Value> {
    let mut records = installation.records();
    records.retain(|record| record["kind"] == kind);
    records
}

// R092: configuration changes and security events are records like any other.
#[test]
fn a_change_of_the_rules_and_a_refused_one_are_records() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .and("watch: false");
    let process = Process::start(&installation);
    let before = process.status()["policy_hash"].clone();
    let contracts = installation.path("contracts/a.yaml");
    let good = "version: 1\ncontracts:\n  - {id: new_v1, owner: me, endpoint: \"GET /new\"}\n";
    std::fs::write(&contracts, good).unwrap();
    process.post("/v1/reload", "{}");
    let after = process.status()["policy_hash"].clone();
    assert_ne!(before, after);
    std::fs::write(&contracts, "version: 1\ncontracts: 7\n").unwrap();
    process.post("/v1/reload", "{}");
    // Nothing changed, so nothing is written down.
    std::fs::write(&contracts, good).unwrap();
    process.post("/v1/reload", "{}");
    process.stop();
    let changes = of_kind(&installation, "bundle");
    assert_eq!(changes.len(), 2, "{changes:?}");
    let [activated, rejected] = [&changes[0], &changes[1]];
    assert_eq!(activated["result"], "activated");
    assert_eq!(activated["trigger"], "admin");
    assert_eq!(activated["source"], "reload");
    assert_eq!(
        (
            &activated["previous_policy_hash"],
            &activated["policy_hash"]
        ),
        (&before, &after)
    );
    assert_eq!(rejected["result"], "rejected");
    assert_eq!(rejected["policy_hash"], after, "the ones before stay");
    let error = rejected["error"].as_str().unwrap();
    assert!(error.contains("a.yaml:2:"), "{error}");
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn a_pulled_lever_is_a_record() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    process.post("/v1/tier", "{\"tier\":\"observe_only\"}");
    eventually("the tier", || process.status()["tier"] == "OBSERVE_ONLY");
    process.post("/v1/tier", "{\"tier\":\"control\"}");
    process.stop();
    let acts: Vec<_> = of_kind(&installation, "governance")
        .into_iter()
        .map(|act| {
            (
                act["action"].clone(),
                act["actor"].clone(),
                act["result"].clone(),
            )
        })
        .collect();
    let act = |result: &str| (json!("tier_lower"), json!("admin"), json!(result));
    assert_eq!(
        acts,
        [
            act("lowered to OBSERVE_ONLY"),
            act("refused: CONTROL is not below OBSERVE_ONLY")
        ]
    );
    assert_eq!(installation.verify(&[]).code, Some(0));
}
