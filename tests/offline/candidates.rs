//! `replay -c`: what other limits and tiers would have decided on the same inputs, key by key.

use crate::place::{Place, configuration};

/// A contract with some terms, and a configuration of some tier that names it.
fn write(place: &Place, name: &str, tier: &str, terms: &str) {
    let contracts = format!(
        "version: 1\ncontracts:\n  - id: status_get_v1\n    endpoint: \"GET /api/v1/status\"\n    \
         owner: platform\n{terms}"
    );
    std::fs::create_dir_all(place.path(name)).unwrap();
    place.write(&format!("{name}/contracts.yaml"), &contracts);
    let text = configuration("policy.yaml")
        .replace("contracts: contracts/", &format!("contracts: {name}/"))
        .replace("tier: control", &format!("tier: {tier}"));
    place.write(&format!("{name}.yaml"), &text);
}

/// 60 requests, 100 ms apart, each 450 ms long: ten per second, five or so at once.
fn traffic() -> String {
    (0..60_u64)
        .map(|number| {
            format!(
                "{{\"at_ms\":{},\"method\":\"GET\",\"url\":\"/api/v1/status\",\
                 \"client\":\"10.0.0.{number}\",\"latency_ms\":450}}\n",
                number * 100
            )
        })
        .collect()
}

struct Outcome {
    code: i32,
    json: serde_json::Value,
    pretty: String,
}

impl Outcome {
    fn count(&self, from: &str, to: &str) -> u64 {
        let changes = self.json["changes"].as_array().unwrap();
        changes
            .iter()
            .filter(|change| change["from"] == from && change["to"] == to)
            .map(|change| change["count"].as_u64().unwrap())
            .sum()
    }

    fn number(&self, name: &str) -> u64 {
        self.json[name].as_u64().unwrap()
    }
}

/// The traffic under one configuration, judged again under another.
fn replayed(now: (&str, &str), then: (&str, &str)) -> Outcome {
    let place = Place::new();
    write(&place, "now", now.0, now.1);
    write(&place, "then", then.0, then.1);
    place.write("traffic.jsonl", &traffic());
    let ran = place.run("simulate traffic.jsonl -c now.yaml --ledger l");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    // Nothing changes under the same configuration, whatever was refused.
    let same = place.run("replay l -c now.yaml");
    assert_eq!(same.code, 0, "{}", same.out);
    assert!(same.out.contains(": 0 would change"), "{}", same.out);
    assert_eq!(
        same.out.lines().count(),
        2,
        "nothing is assumed: {}",
        same.out
    );

    let pretty = place.run("replay l -c then.yaml");
    let ran = place.run("replay l -c then.yaml --format json");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    Outcome {
        code: ran.code,
        json: json["candidate"].clone(),
        pretty: pretty.out,
    }
}

const SLOW_RATE: &str = "    rate_limit_rpm: 60\n    burst: 2\n";

#[test]
fn a_raised_rate_limit_grants_what_was_refused() {
    let raised = "    rate_limit_rpm: 6000\n    burst: 600\n";
    let found = replayed(("control", SLOW_RATE), ("control", raised));
    assert_eq!(found.code, 3);
    assert!(found.count("THROTTLE", "ALLOW") > 40, "{}", found.pretty);
    assert_eq!(found.number("changed"), found.count("THROTTLE", "ALLOW"));
    // And without any limit at all.
    let found = replayed(("control", SLOW_RATE), ("control", ""));
    assert!(found.count("THROTTLE", "ALLOW") > 40, "{}", found.pretty);
    assert_eq!(found.number("limits_assumed"), 0);
}

/// The state of one limit is not that of another: a rate of twice the size has half the tolerance.
#[test]
fn a_wider_rate_never_refuses_more_and_a_narrower_never_less() {
    for (rpm, impossible) in [(120, ("ALLOW", "THROTTLE")), (30, ("THROTTLE", "ALLOW"))] {
        let other = format!("    rate_limit_rpm: {rpm}\n    burst: 2\n");
        let found = replayed(("control", SLOW_RATE), ("control", &other));
        assert_eq!(
            found.count(impossible.0, impossible.1),
            0,
            "{}",
            found.pretty
        );
        assert_eq!(found.number("rate_estimated"), 60);
        let told = "60 of them were asked another rate limit";
        assert!(found.pretty.contains(told), "{}", found.pretty);
    }
}

#[test]
fn a_lowered_rate_limit_refuses_what_was_granted() {
    let fast = "    rate_limit_rpm: 60\n    burst: 30\n";
    let found = replayed(("control", fast), ("control", SLOW_RATE));
    assert_eq!(found.code, 3);
    assert!(found.count("ALLOW", "THROTTLE") > 20, "{}", found.pretty);
    assert_eq!(found.number("changed"), found.count("ALLOW", "THROTTLE"));
    assert_eq!(found.number("limits_assumed"), 0);
}

#[test]
fn a_limit_in_flight_is_asked_with_the_recorded_number() {
    let (narrow, wide) = ("    max_in_flight: 2\n", "    max_in_flight: 90\n");
    let found = replayed(("control", narrow), ("control", wide));
    assert_eq!(found.code, 3);
    let granted = found.count("THROTTLE", "ALLOW");
    assert!(granted > 20, "{}", found.pretty);
    assert_eq!(found.number("changed"), granted);
    let found = replayed(("control", wide), ("control", narrow));
    assert!(found.count("ALLOW", "THROTTLE") > 40, "{}", found.pretty);
    // The rate is asked first.
    let both = "    rate_limit_rpm: 6000\n    burst: 600\n    max_in_flight: 2\n";
    let found = replayed(("control", wide), ("control", both));
    assert!(found.count("ALLOW", "THROTTLE") > 40, "{}", found.pretty);
    assert!(found.number("limits_assumed") > 0);
}

#[test]
fn a_limit_that_was_not_there_is_assumed_to_grant() {
    for limit in [SLOW_RATE, "    max_in_flight: 1\n"] {
        let found = replayed(("control", ""), ("control", limit));
        assert_eq!((found.code, found.number("changed")), (0, 0));
        assert_eq!(found.number("limits_assumed"), 60);
        let told = "60 of them hold no state of a limit that the candidate would ask";
        assert!(found.pretty.contains(told), "{}", found.pretty);
    }
}

#[test]
fn a_lowered_tier_withholds_what_was_taken() {
    let observed = format!("{SLOW_RATE}    tier: observe_only\n");
    for then in [("control", observed.as_str()), ("observe_only", SLOW_RATE)] {
        let found = replayed(("control", SLOW_RATE), then);
        assert_eq!(found.code, 3);
        let withheld = found.count("THROTTLE", "THROTTLE withheld");
        assert!(withheld > 40, "{}", found.pretty);
        assert_eq!(found.number("changed"), withheld);
        assert_eq!(found.number("tier_assumed"), 0);
    }
}

#[test]
fn a_raised_tier_is_told_and_not_guessed() {
    let observed = format!("{SLOW_RATE}    tier: observe_only\n");
    for now in [("control", observed.as_str()), ("observe_only", SLOW_RATE)] {
        let found = replayed(now, ("control", SLOW_RATE));
        assert_eq!((found.code, found.number("changed")), (0, 0));
        assert_eq!(found.number("tier_assumed"), 60);
        let told = "60 of them were decided under a lower tier than the candidate's";
        assert!(found.pretty.contains(told), "{}", found.pretty);
    }
}
