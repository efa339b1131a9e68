//! `readiness`: what CONTROL would have done, counted from what was recorded.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::place::{Place, Ran};

fn simulate(place: &Place, tier: &str) {
    let ran = place.run(&format!("simulate traffic.jsonl --ledger l --tier {tier}"));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

fn told(ran: &Ran, code: i32) -> Value {
    assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

fn contract<'a>(report: &'a Value, name: &str) -> &'a Value {
    let contracts = report["contracts"].as_array().unwrap();
    let found = contracts.iter().find(|one| one["contract"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {report}"))
}

/// Requests per contract and decision, other than ALLOW, as the ledger's lines say.
fn recorded(place: &Place) -> BTreeMap<(String, String), u64> {
    let mut counted = BTreeMap::new();
    for line in place.ledger_lines() {
        let record: Value = serde_json::from_str(&line).unwrap();
        if record["kind"] == "decision" && record["decision"] != "ALLOW" {
            let text = |value: &Value| value.as_str().unwrap_or("_unmatched").to_owned();
            let key = (text(&record["contract_id"]), text(&record["decision"]));
            *counted.entry(key).or_default() += 1;
        }
    }
    counted
}

fn reported(report: &Value, member: &str) -> BTreeMap<(String, String), u64> {
    let mut counted = BTreeMap::new();
    for contract in report["contracts"].as_array().unwrap() {
        for cause in contract["causes"].as_array().unwrap() {
            assert_eq!(cause["effect"], "refused", "{report}");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let key = (text(&contract["contract"]), text(&cause["decision"]));
            *counted.entry(key).or_default() += cause[member].as_u64().unwrap();
        }
    }
    counted
}

// R283
#[test]
fn what_control_would_have_refused_is_told_per_contract_and_reason() {
    let place = Place::new();
    simulate(&place, "observe_only");
    let report = told(&place.run("readiness l --format json"), 0);
    assert_eq!(report["requests"], 600);
    assert_eq!(reported(&report, "requests"), recorded(&place));
    let unmatched = contract(&report, "_unmatched");
    assert_eq!(
        unmatched["causes"],
        json!([
            {"decision": "QUARANTINE", "effect": "refused", "reason": "NO_CONTRACT_MATCH",
             "requests": 50, "share_ppm": 500_000, "enforced": 0},
            {"decision": "DROP", "effect": "refused", "reason": "AMBIGUOUS_TARGET",
             "requests": 50, "share_ppm": 500_000, "enforced": 0},
        ])
    );
    // Of 40 clients those whose number is 1 or 3 modulo 4.
    for member in ["clients", "clients_affected"] {
        assert_eq!(unmatched[member], 20, "{unmatched}");
    }
    assert_eq!(unmatched["clients_exact"], true);
    for contract in report["contracts"].as_array().unwrap() {
        assert_eq!(contract["enforced"], 0);
        assert_eq!(contract["observed"], contract["requests"]);
        assert_eq!(contract["verdict"], "not_ready");
    }
    let text = place.run("readiness l");
    assert_eq!(text.code, 0);
    for line in [
        "_unmatched  not ready: 100 requests (100.000 %) of 20 clients would be turned away\n",
        "    100 requests of 20 clients: 100 observed, 0 under a tier that acts\n",
        "           50  50.000 %  QUARANTINE refused: NO_CONTRACT_MATCH\n",
        "600 requests in 29 s: 0 ready, 0 to look at, 3 not ready\n",
    ] {
        assert!(text.out.contains(line), "{line}in\n{}", text.out);
    }
}

// R283: what was enforced is not a prediction.
#[test]
fn what_was_enforced_already_is_told_apart() {
    let place = Place::new();
    simulate(&place, "control");
    let report = told(&place.run("readiness l --format json"), 0);
    assert_eq!(reported(&report, "enforced"), recorded(&place));
    assert_eq!(reported(&report, "requests"), recorded(&place));
    for contract in report["contracts"].as_array().unwrap() {
        assert_eq!(contract["observed"], 0);
    }
}

fn line(at_ms: u64, method: &str, url: &str) -> String {
    format!("{{\"at_ms\":{at_ms},\"method\":\"{method}\",\"url\":\"{url}\"}}\n")
}

#[test]
fn one_refusal_in_more_than_a_thousand_is_worth_a_look() {
    let place = Place::new();
    let mut traffic: String = (0..1_000)
        .map(|n| line(n * 100, "GET", "/api/v1/status"))
        .collect();
    let verdict = |traffic: &str| {
        place.write("traffic.jsonl", traffic);
        _ = fs::remove_dir_all(place.path("l"));
        simulate(&place, "observe_only");
        let report = told(&place.run("readiness l --format json"), 0);
        contract(&report, "status_get_v1")["verdict"].clone()
    };
    assert_eq!(verdict(&traffic), "ready");
    traffic += &line(100_000, "POST", "/api/v1/status");
    assert_eq!(verdict(&traffic), "look");
    traffic += &line(100_001, "POST", "/api/v1/status");
    assert_eq!(verdict(&traffic), "not_ready");
}

#[test]
fn what_the_policy_does_not_allow_turns_nobody_away() {
    let place = Place::new();
    let mild = "version: 1\nname: mild\ntiers: { control: [log, report] }\n";
    place.write("policy.yaml", mild);
    simulate(&place, "observe_only");
    let report = told(&place.run("readiness l --format json"), 0);
    let unmatched = contract(&report, "_unmatched");
    assert_eq!(unmatched["verdict"], "ready");
    assert_eq!(unmatched["turned_away"], 0);
    assert_eq!(unmatched["causes"][0]["effect"], "not_allowed");
    assert_eq!(unmatched["clients_affected"], 0);
}

#[test]
fn the_period_ends_with_the_newest_decision() {
    let place = Place::new();
    let early = line(0, "POST", "/api/v1/status");
    let late = line(7_200_000, "GET", "/api/v1/status");
    place.write("traffic.jsonl", &(early + &late));
    simulate(&place, "observe_only");
    for (since, requests, verdict) in [
        ("", 2, "not_ready"),
        (" --since 2h", 2, "not_ready"),
        (" --since 119m", 1, "ready"),
    ] {
        let words = format!("readiness l --format json{since}");
        let report = told(&place.run(&words), 0);
        assert_eq!(report["requests"], requests, "{since}");
        assert_eq!(contract(&report, "status_get_v1")["verdict"], verdict);
    }
    let segment = place.run("readiness l/seg-0000000000000000.jsonl --format json");
    assert_eq!(told(&segment, 0)["requests"], 2);
}

#[test]
fn damage_is_told_and_ends_with_65() {
    let place = Place::new();
    simulate(&place, "observe_only");
    let whole = place.ledger_lines();
    place.edit(3, |line| line.replacen("\"phase\":6", "\"phase\":5", 1));
    let report = told(&place.run("readiness l --format json"), 65);
    assert_eq!(
        (&report["requests"], &report["unreadable"]),
        (&599.into(), &1.into())
    );
    let note = report["notes"][0].as_str().unwrap();
    assert!(
        note.contains("seg-0000000000000000.jsonl at byte "),
        "{note}"
    );
    assert!(note.contains("hash is SHA-256"), "{note}");

    place.restore(&whole);
    place.forge(2, |line| {
        line.replace("\"decision\":\"QUARANTINE\"", "\"decision\":\"ALLOW\"")
    });
    let report = told(&place.run("readiness l --format json"), 65);
    let note = report["notes"][0].as_str().unwrap();
    assert!(
        note.starts_with("record 2: its decision does not follow"),
        "{note}"
    );

    place.restore(&whole);
    assert_eq!(place.run("readiness l").code, 0);
    fs::remove_dir_all(place.path("l/rulebooks")).unwrap();
    let ran = place.run("readiness l");
    assert_eq!(ran.code, 65);
    assert_eq!(
        ran.out.matches("restore the file").count(),
        1,
        "{}",
        ran.out
    );
}

#[test]
fn the_ledger_is_named_or_that_of_the_configuration() {
    let place = Place::new();
    for (words, code, want) in [
        ("readiness none", 1, "cannot be read"),
        ("readiness contracts", 1, "holds no ledger record"),
        ("readiness", 1, "cannot be read"),
        ("readiness -c none.yaml", 78, "none.yaml"),
        ("readiness l --since 7w", 2, "such as 90s, 30m, 12h or 7d"),
    ] {
        place.refuses(words, code, want);
    }
    simulate(&place, "observe_only");
    let named = place.run("readiness l");
    let configured = place.run("readiness -c tidegate.yaml");
    assert_eq!((configured.code, &configured.out), (0, &named.out));
}

#[test]
fn what_was_slower_than_its_timeout_would_have_been_turned_away() {
    let place = Place::new();
    place.write(
        "contracts/contracts.yaml",
        "version: 1\ncontracts:\n  - id: slow_v1\n    endpoint: 'GET /slow'\n    owner: platform\n    \
         max_latency_ms: 300\n    timeout_ms: 1000\n",
    );
    let line = |at_ms: u64, latency_ms: u64| {
        format!(
            "{{\"at_ms\":{at_ms},\"method\":\"GET\",\"url\":\"/slow\",\
             \"status\":200,\"latency_ms\":{latency_ms}}}\n"
        )
    };
    place.write("traffic.jsonl", &(line(0, 1_000) + &line(5_000, 3_000)));
    for (tier, verdict, turned_away) in [("observe_only", "not_ready", 1), ("control", "ready", 0)]
    {
        let words = format!("simulate traffic.jsonl --ledger {tier} --tier {tier}");
        assert_eq!(place.run(&words).code, 0);
        let report = told(&place.run(&format!("readiness {tier} --format json")), 0);
        let slow = contract(&report, "slow_v1");
        assert_eq!(slow["verdict"], verdict, "{slow}");
        assert_eq!(slow["turned_away"], turned_away, "{slow}");
    }
    let text = place.run("readiness observe_only").out;
    let line = "ALLOW timed_out: longer than the contract's timeout_ms";
    assert!(text.contains(line), "{text}");
}
