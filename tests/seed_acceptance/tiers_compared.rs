//! The same traffic in both tiers: the same judgement, other actions.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::traffic::{calm, records, request};

/// Calm, late, unknown and not allowed requests; none of them changes what comes after it by being
/// refused.
static BOTH: LazyLock<[Vec<Value>; 2]> = LazyLock::new(|| {
    let traffic: String = (0..120)
        .map(|n| match n % 6 {
            0 => calm(n * 100, "GET", "/nowhere"),
            // On a route of its own: forwarded, it would count among the answers of that route.
            1 => calm(n * 100, "DELETE", "/api/v1/deployments/7"),
            2 => request(n * 100, "GET", "/api/v1/status", 200, 150),
            _ => calm(n * 100, "GET", "/api/v1/status"),
        })
        .collect();
    ["observe_only", "control"].map(|tier| records(tier, &traffic))
});

/// The values of one member in both tiers, and that there are `distinct` different ones.
fn equal(member: &str, distinct: usize) {
    let [observed, controlled] = &*BOTH;
    let values = |records: &[Value]| -> Vec<Value> {
        records
            .iter()
            .map(|record| record[member].clone())
            .collect()
    };
    let mut seen = values(observed);
    assert_eq!(seen.len(), 120);
    assert!(seen.iter().all(|value| !value.is_null()), "{member}");
    assert_eq!(seen, values(controlled), "{member}");
    seen.sort_by_key(Value::to_string);
    seen.dedup();
    assert!(seen.len() >= distinct, "{member}: {seen:?}");
}

// R059
#[test]
fn same_policy_version_across_tiers() {
    equal("policy_version", 1);
}

// R059
#[test]
fn same_policy_hash_across_tiers() {
    equal("policy_hash", 1);
}

// R059
#[test]
fn same_risk_across_tiers() {
    // Calm, unknown, wrong method, and what the late ones make of the route.
    equal("risk_bp", 4);
    equal("factors", 4);
}

// R059
#[test]
fn same_decision_across_tiers() {
    equal("decision", 3);
    equal("recommended_actions", 3);
}

// R055, R059
#[test]
fn different_actions_across_tiers() {
    let [observed, controlled] = &*BOTH;
    let mut differ = 0;
    for (one, other) in observed.iter().zip(controlled) {
        assert_eq!(one["tier"], "OBSERVE_ONLY");
        assert_eq!(other["tier"], "CONTROL");
        let acts = one["decision"] != "ALLOW";
        assert_eq!(one["actions_taken"] != other["actions_taken"], acts);
        assert_eq!(other["actions_taken"], other["recommended_actions"]);
        if acts {
            assert_eq!(one["actions_taken"], json!(["log"]));
            differ += 1;
        }
    }
    assert!(differ >= 40, "{differ} of 120 were refused");
}
