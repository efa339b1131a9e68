//! Every member is compared, each with its class.

use serde_json::{Value, json};

use super::{Class, ContractChange, Effect, Member, compare};
use crate::contract::Contract;
use crate::policy::canonical;
use crate::policy::rules::Rules;

/// A contract in canonical form that says everything it can.
fn full() -> Value {
    json!({
        "allow_encoded_slash": false,
        "allowed_methods": ["GET", "HEAD"],
        "backup_owner": "team-c",
        "body_bytes_max": 1_000,
        "burst": 10,
        "circuit_threshold_bp": 5_000,
        "consumers": ["cart", "web"],
        "drop": {"mode": "respond"},
        "endpoint": "GET /a/{id}",
        "error_budget_ppm": 10_000,
        "id": "a",
        "ledger": "required",
        "lifecycle": {
            "deprecated_on": "2025-01-01",
            "migration_guide": "https://example.org/move",
            "stability": "stable",
            "status": "deprecated",
            "successor": "b",
            "sunset_on": "2026-01-01",
        },
        "max_in_flight": 50,
        "max_latency_ms": 500,
        "merge_slashes": false,
        "owner": "team-a",
        "per_client": {"burst": 5, "key": "peer", "rate_limit_rpm": 60},
        "quarantine": {"mode": "divert", "upstream": "u1"},
        "rate_limit_rpm": 100,
        "service": "shop",
        "stage": {"canary_bp": 1_000},
        "stream": false,
        "throttle": {"held_max": 10, "mode": "delay", "wait_max_ms": 1_000},
        "tier": "control",
        "timeout_ms": 30_000,
        "upstream": "u1",
        "version": "1.0.1",
    })
}

fn contracts(form: &Value) -> Vec<Contract> {
    let empty = canonical::write([], &Rules::default()).expect("canonical content");
    let mut content: Value = serde_json::from_slice(empty.bytes()).expect("JSON");
    let mut other = form.clone();
    other["id"] = json!("b");
    other["endpoint"] = json!("GET /b");
    other["lifecycle"] = Value::Null;
    let other = other.as_object_mut().expect("an object");
    other.retain(|_, value| !value.is_null());
    content["contracts"] = json!([form, other]);
    let bytes = serde_json_canonicalizer::to_vec(&content).expect("canonical");
    let (mut contracts, _) = canonical::read(&bytes).expect("canonical content");
    contracts.truncate(1);
    contracts
}

/// The full contract with the member at `pointer` set to `value`; null = left out.
fn with(pointer: &str, value: Value) -> Value {
    let mut form = full();
    let (map, name) = pointer.rsplit_once('/').expect("a pointer");
    let map = form.pointer_mut(map).expect("a map").as_object_mut();
    let map = map.expect("an object");
    if value.is_null() {
        map.remove(name);
    } else {
        map.insert(name.to_owned(), value);
    }
    form
}

/// What changes when the member at `pointer` becomes `value`.
fn changes(pointer: &str, value: Value) -> Vec<ContractChange> {
    compare(&contracts(&full()), &contracts(&with(pointer, value)))
}

const NEW_VALUES: &[(&str, &str)] = &[
    ("/allow_encoded_slash", "true"),
    ("/allowed_methods", r#"["GET"]"#),
    ("/backup_owner", r#""team-d""#),
    ("/body_bytes_max", "999"),
    ("/burst", "9"),
    ("/circuit_threshold_bp", "4000"),
    ("/consumers", r#"["web"]"#),
    ("/drop", r#"{"mode": "close"}"#),
    ("/endpoint", r#""GET /c/{id}""#),
    ("/error_budget_ppm", "9000"),
    ("/ledger", "null"),
    ("/lifecycle/deprecated_on", r#""2025-01-02""#),
    ("/lifecycle/migration_guide", "null"),
    ("/lifecycle/stability", r#""beta""#),
    ("/lifecycle/status", r#""sunset""#),
    ("/lifecycle/successor", "null"),
    ("/lifecycle/sunset_on", r#""2026-01-02""#),
    ("/max_in_flight", "51"),
    ("/max_latency_ms", "499"),
    ("/merge_slashes", "true"),
    ("/owner", r#""team-b""#),
    ("/per_client/burst", "4"),
    ("/per_client/key", r#""header:x-api-key""#),
    ("/per_client/rate_limit_rpm", "59"),
    ("/quarantine/upstream", r#""u2""#),
    ("/rate_limit_rpm", "99"),
    ("/service", r#""stock""#),
    ("/stage", r#""shadow""#),
    ("/stream", "true"),
    ("/throttle/held_max", "9"),
    ("/throttle/wait_max_ms", "999"),
    ("/tier", r#""observe_only""#),
    ("/timeout_ms", "29999"),
    ("/upgrade", r#"["websocket"]"#),
    ("/upstream", r#""u2""#),
    ("/version", r#""1.0.2""#),
];

#[test]
fn equal_contracts_have_no_changes() {
    let contracts = contracts(&full());
    assert_eq!(compare(&contracts, &contracts), []);
    assert_eq!(compare(&[], &[]), []);
}

#[test]
fn one_member_that_differs_is_one_change() {
    for (pointer, value) in NEW_VALUES {
        let value = serde_json::from_str(value).expect("JSON");
        let found = changes(pointer, value);
        assert_eq!(found.len(), 1, "{pointer}: {found:?}");
        assert_ne!(found[0].from(), found[0].to(), "{pointer}");
    }
    let modes = [
        ("/quarantine", json!({"mode": "reject"})),
        ("/throttle", json!({"mode": "reject"})),
    ];
    for (pointer, value) in modes {
        assert!(!changes(pointer, value).is_empty(), "{pointer}");
    }
}

/// The canonical form names its members itself, to whoever gives it another one.
#[test]
fn every_member_of_the_canonical_form_is_compared() {
    let members_at = |map: &str| {
        let form = with(&format!("{map}/nonsense"), json!(1));
        let bytes = serde_json::to_vec(&json!({
            "charter": {}, "contracts": [form], "format_version": 1, "policy": {},
            "self_tests": [],
        }));
        let told = canonical::read(&bytes.expect("JSON")).expect_err("refused");
        let told = told.to_string();
        let (_, members) = told.split_once("expected").expect("a list of members");
        let quoted = members.split('`').skip(1).step_by(2);
        quoted
            .map(|name| format!("{map}/{name}"))
            .collect::<Vec<_>>()
    };
    let maps = ["", "/lifecycle", "/per_client"].map(members_at);
    // Nothing names these two: a tagged form has its own message.
    let tagged = [
        "/quarantine/upstream",
        "/throttle/held_max",
        "/throttle/wait_max_ms",
    ];
    let whole = [
        "/id",
        "/lifecycle",
        "/per_client",
        "/quarantine",
        "/throttle",
    ];
    let mut members: Vec<String> = maps.into_iter().flatten().collect();
    members.extend(tagged.map(str::to_owned));
    members.retain(|member| !whole.contains(&member.as_str()));
    members.sort();
    let mut compared: Vec<&str> = NEW_VALUES.iter().map(|(pointer, _)| *pointer).collect();
    compared.sort_unstable();
    assert_eq!(members, compared);
}

// R147
#[test]
fn one_breaking_change_among_others_makes_all_breaking() {
    let one = contracts(&full());
    let mut other = full();
    other["id"] = json!("0");
    let changes = compare(&one, &contracts(&other));
    let found: Vec<_> = changes.iter().map(|c| (c.member(), c.effect())).collect();
    let expected = [
        (Member::Contract, Effect::Added),
        (Member::Contract, Effect::Removed),
    ];
    assert_eq!(found, expected);
    assert_eq!(super::worst_class(&changes), Class::BreakingChange);
    assert_eq!(super::worst_class(&changes[..1]), Class::BackwardCompatible);
}
