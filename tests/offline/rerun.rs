//! `replay --bundle`: what is run again is what a simulation of the same traffic does.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate::bundle::envelope::{BUNDLE_TYPE, Envelope};
use tidegate::bundle::manifest::Manifest;
use tidegate::bundle::payload;
use tidegate::config::load;

use crate::place::{Place, configuration};

/// One row of the change table: contract keys and policy, before and after.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    /// Keys of `status_v1`, policy.
    old: (&'static str, &'static str),
    new: (&'static str, &'static str),
    traffic: fn(u64) -> (u16, &'static str),
    /// Between two requests.
    gap_ms: u64,
    /// Whether some decision must differ: rows about answers, names and disks change none.
    differs: bool,
}

const QUIET: fn(u64) -> (u16, &'static str) = |_| (200, "GET");

const fn terms(name: &'static str, old: &'static str, new: &'static str) -> Row {
    Row {
        name,
        old: (old, ""),
        new: (new, ""),
        traffic: QUIET,
        gap_ms: 50,
        differs: true,
    }
}

const fn policy(name: &'static str, old: &'static str, new: &'static str) -> Row {
    Row {
        old: ("", old),
        new: ("", new),
        ..terms(name, "", "")
    }
}

impl Row {
    const fn under(self, traffic: fn(u64) -> (u16, &'static str)) -> Self {
        Self { traffic, ..self }
    }

    const fn told_only(self) -> Self {
        Self {
            differs: false,
            ..self
        }
    }

    /// The row backwards.
    const fn back(self) -> Self {
        Self {
            old: self.new,
            new: self.old,
            ..self
        }
    }

    /// The same keys of the contract on both sides.
    const fn with(self, keys: &'static str) -> Self {
        Self {
            old: (keys, self.old.1),
            new: (keys, self.new.1),
            ..self
        }
    }
}

const fn tenth_fails(number: u64) -> (u16, &'static str) {
    (if number % 10 == 3 { 500 } else { 200 }, "GET")
}

const fn third_fails(number: u64) -> (u16, &'static str) {
    (if number % 3 == 1 { 500 } else { 200 }, "GET")
}

const fn three_break(number: u64) -> (u16, &'static str) {
    (
        if number >= 200 && number < 203 {
            0
        } else {
            200
        },
        "GET",
    )
}

const fn some_patch(number: u64) -> (u16, &'static str) {
    (
        200,
        if number.is_multiple_of(5) {
            "PATCH"
        } else {
            "GET"
        },
    )
}

const fn some_post(number: u64) -> (u16, &'static str) {
    (
        200,
        if number.is_multiple_of(5) {
            "POST"
        } else {
            "GET"
        },
    )
}

const LIMITED: &str = "    rate_limit_rpm: 600\n    burst: 5\n";
const SHADOW: &str = "    rate_limit_rpm: 600\n    burst: 5\n    stage: { mode: shadow }\n";
const SOME: &str = "    rate_limit_rpm: 600\n    burst: 5\n    stage: { mode: canary 40% }\n";
const RETIRED: &str = "    rate_limit_rpm: 600\n    burst: 5\n    stage: { mode: retired }\n";
const DRAFT: &str = "    rate_limit_rpm: 600\n    burst: 5\n    lifecycle: { status: draft }\n";
const DEPRECATED: &str = "    lifecycle: { status: deprecated, deprecated_on: 2026-01-01 }\n";
const OBSERVE_UNKNOWN: &str =
    "tiers: { control: [log, report, propose, throttle, drop, circuit_open] }\n";
const NO_REPORT: &str =
    "tiers: { control: [log, propose, throttle, quarantine, drop, circuit_open] }\n";
const SLOW: &str = "    max_latency_ms: 400\n";
const DELAY: &str = "    rate_limit_rpm: 600\n    burst: 5\n    throttle: { mode: delay, wait_max_ms: 500, held_max: 20 }\n";
const SHORTER: &str = "    rate_limit_rpm: 600\n    burst: 5\n    throttle: { mode: delay, wait_max_ms: 200, held_max: 20 }\n";
const FEWER: &str = "    rate_limit_rpm: 600\n    burst: 5\n    throttle: { mode: delay, wait_max_ms: 500, held_max: 2 }\n";

/// Rows without a protection verdict.
fn tightening() -> Vec<Row> {
    [terms_tightening(), rules_tightening(), courses_tightening()].concat()
}

/// Keys of a contract.
fn terms_tightening() -> Vec<Row> {
    vec![
        terms("route removed", "", "REMOVED"),
        terms("method removed", "    allowed_methods: [GET, POST]\n", "").under(some_post),
        terms("rate limit new", "", LIMITED),
        terms(
            "rate limit lower",
            "    rate_limit_rpm: 6000\n    burst: 600\n",
            LIMITED,
        ),
        terms(
            "burst lower",
            "    rate_limit_rpm: 900\n    burst: 600\n",
            "    rate_limit_rpm: 900\n    burst: 1\n",
        ),
        terms(
            "client limit new",
            "",
            "    per_client: { key: peer, rate_limit_rpm: 60, burst: 3 }\n",
        ),
        terms(
            "client limit lower",
            "    per_client: { key: peer, rate_limit_rpm: 600, burst: 60 }\n",
            "    per_client: { key: peer, rate_limit_rpm: 60, burst: 3 }\n",
        ),
        terms("in flight new", "", "    max_in_flight: 5\n"),
        terms(
            "in flight lower",
            "    max_in_flight: 100\n",
            "    max_in_flight: 3\n",
        ),
        terms("max latency lower", "", "    max_latency_ms: 100\n"),
        terms("timeout lower", "", "    timeout_ms: 2000\n").told_only(),
        Row {
            old: (
                "    error_budget: 0.9\n    circuit_threshold: 1\n",
                "weights: { error_budget_burn: 1 }\n",
            ),
            new: (
                "    error_budget: 0.0001\n    circuit_threshold: 1\n",
                "weights: { error_budget_burn: 1 }\n",
            ),
            // The shortest window is five minutes.
            gap_ms: 6_000,
            ..terms("error budget lower", "", "")
        }
        .under(tenth_fails),
        terms(
            "circuit threshold lower",
            "    circuit_threshold: 1\n",
            "    circuit_threshold: 0.05\n",
        )
        .under(tenth_fails),
        terms("stream no more", "    stream: true\n", "").told_only(),
        terms("waits no more", DELAY, LIMITED),
        terms("waits shorter", DELAY, SHORTER),
        terms("waits for fewer", DELAY, FEWER),
        terms("dropped without answer", "", "    drop: close\n").told_only(),
        terms("ledger required", "", "    ledger: required\n").told_only(),
    ]
}

/// Rules of a policy that decide on a request.
fn rules_tightening() -> Vec<Row> {
    vec![
        policy(
            "band lowered",
            "",
            "bands: { low: 0.001, medium: 0.002, high: 0.003, critical: 0.06 }\n",
        )
        .with("    circuit_threshold: 1\n")
        .under(third_fails),
        policy("stage stricter", "stages: { latency: shadow }\ncircuit: { samples_min: 1000000 }\n", "circuit: { samples_min: 1000000 }\n").with(SLOW),
        policy(
            "canary wider",
            "stages: { latency: canary 0% }\ncircuit: { samples_min: 1000000 }\n",
            "stages: { latency: canary 80% }\ncircuit: { samples_min: 1000000 }\n",
        )
        .with(SLOW),
        policy(
            "unknown refused",
            "weights: { unknown_endpoint: 0.0001 }\nunknown_endpoint: { action: allow }\n",
            "weights: { unknown_endpoint: 0.0001 }\n",
        ),
        policy(
            "unknown limited",
            "weights: { unknown_endpoint: 0.0001 }\nunknown_endpoint: { action: allow, rate_limit_rpm: 6000 }\n",
            "weights: { unknown_endpoint: 0.0001 }\nunknown_endpoint: { action: allow, rate_limit_rpm: 30, burst: 1 }\n",
        ),
        policy(
            "unknown answered otherwise",
            "",
            "unknown_endpoint: { answer: 403 }\n",
        )
        .told_only(),
        policy("wrong method", "weights: { method_disallowed: 0.0001 }\nmethod_disallowed: { action: allow }\n", "weights: { method_disallowed: 0.0001 }\n").under(some_patch),
        policy(
            "quarantine refuses",
            "weights: { method_disallowed: 0.0001 }\nmethod_disallowed: { action: quarantine }\n",
            "weights: { method_disallowed: 0.0001 }\nmethod_disallowed: { action: drop }\n",
        )
        .with("    quarantine: shadow\n")
        .under(some_patch),
        Row {
            old: (
                "    quarantine: shadow\n",
                "weights: { method_disallowed: 0.0001 }\nmethod_disallowed: { action: quarantine }\n",
            ),
            new: ("", "weights: { method_disallowed: 0.0001 }\nmethod_disallowed: { action: quarantine }\n"),
            ..terms("quarantine stricter", "", "")
        }
        .under(some_patch),
    ]
}

/// Circuits, stages, rights, and what only changes words.
fn courses_tightening() -> Vec<Row> {
    vec![
        policy("circuit sooner", "", "circuit: { broken_in_a_row: 2 }\n").under(three_break),
        policy(
            "circuit longer",
            "circuit: { broken_in_a_row: 2, open_ms: 10 }\n",
            "circuit: { broken_in_a_row: 2, open_ms: 4000 }\n",
        )
        .under(three_break),
        policy(
            "slow start longer",
            "circuit: { broken_in_a_row: 2, slow_start_ms: 1 }\n",
            "circuit: { broken_in_a_row: 2, slow_start_ms: 20000 }\n",
        )
        .under(three_break),
        terms("stage enforced", SHADOW, LIMITED),
        terms("stage of some enforced", SHADOW, SOME),
        terms("stage of all enforced", SOME, LIMITED),
        terms("retired no more", RETIRED, LIMITED),
        terms("a draft no more", DRAFT, LIMITED),
        policy("right given", OBSERVE_UNKNOWN, ""),
        policy("note taken", "", NO_REPORT).told_only(),
        policy("note given", NO_REPORT, "").told_only(),
        terms(
            "service and versions",
            "",
            "    service: shop\n    version: 1.2.0\n",
        )
        .told_only(),
        terms("deprecated", "", DEPRECATED).told_only(),
        policy("fewer retries of ours", "", "retry: { budget: 0.01 }\n").told_only(),
        policy("renamed", "", "policy_version: \"2\"\n").told_only(),
    ]
}

fn write_side(place: &Place, name: &str, side: (&str, &str)) {
    let other =
        "  - id: search_v1\n    endpoint: \"GET /api/v1/search/{term}\"\n    owner: platform\n";
    let status = match side.0 {
        "REMOVED" => String::new(),
        keys => format!(
            "  - id: status_v1\n    endpoint: \"GET /api/v1/status/{{id}}\"\n    owner: platform\n{keys}"
        ),
    };
    std::fs::create_dir_all(place.path(name)).unwrap();
    let contracts = format!("version: 1\ncontracts:\n{other}{status}");
    place.write(&format!("{name}/contracts.yaml"), &contracts);
    let rules = format!("version: 1\nname: plain\n{}", side.1);
    place.write(&format!("{name}-policy.yaml"), &rules);
    let text = configuration(&format!("{name}-policy.yaml"))
        .replace("contracts: contracts/", &format!("contracts: {name}/"));
    place.write(&format!("{name}.yaml"), &text);
}

/// 20 requests in a second for 18 seconds, of ten clients, each 450 ms long; every 13th unknown.
fn traffic(row: &Row) -> String {
    let line = |number: u64| {
        let (status, method) = (row.traffic)(number);
        let url = match number % 13 {
            0 => "/wp-login.php".to_owned(),
            1 => format!("/api/v1/search/{number}"),
            _ => format!("/api/v1/status/{number}?x=1"),
        };
        format!(
            "{{\"at_ms\":{},\"method\":\"{method}\",\"url\":\"{url}\",\"client\":\"10.0.0.{}\",\
             \"status\":{status},\"latency_ms\":450}}\n",
            number * row.gap_ms,
            number % 10
        )
    };
    (0..360).map(line).collect()
}

/// The bundle that these files make, signed by nobody.
fn write_bundle(place: &Place, name: &str) {
    let loaded = load(&place.path(&format!("{name}.yaml"))).unwrap();
    let manifest = Manifest {
        name: "edge".to_owned(),
        epoch: 1,
        serial: 2,
        parent: None,
        author: "alice".to_owned(),
        audience: "edge".to_owned(),
        created_at_us: 1,
        not_before_us: 1,
        expires_at_us: 2,
        engine_min: "0.1.0".to_owned(),
        tier_max: loaded.settings.tier,
        revert_of: None,
        change_request: None,
        breakglass: None,
    };
    let payload = payload::write(&manifest, &loaded.content).unwrap();
    let envelope = Envelope::unsigned(BUNDLE_TYPE, payload).to_bytes();
    place.write(
        &format!("{name}.json"),
        std::str::from_utf8(&envelope).unwrap(),
    );
}

/// What became of each request: decision, whether it was carried out, where it went.
fn fates(text: &str) -> Vec<(String, [String; 3])> {
    let fate = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let decision = record["decision"].as_str().unwrap().to_owned();
        let taken = record["actions_taken"].as_array().unwrap();
        let is_taken = taken
            .iter()
            .any(|action| *action == decision.to_lowercase() || *action == "circuit_open");
        let is_taken = decision != "ALLOW" && is_taken;
        let upstream = record["upstream"].as_str().unwrap_or_default().to_owned();
        let id = record["decision_id"].as_str().unwrap().to_owned();
        (id, [decision, is_taken.to_string(), upstream])
    };
    text.lines().map(fate).collect()
}

struct Found {
    simulated: BTreeSet<String>,
    listed: BTreeSet<String>,
    report: Value,
    place: Place,
}

impl Found {
    fn pretty(&self) -> String {
        self.place.run("replay l --bundle new.json").out
    }
}

fn run(row: &Row) -> Found {
    let place = Place::new();
    write_side(&place, "old", row.old);
    write_side(&place, "new", row.new);
    place.write("traffic.jsonl", &traffic(row));
    let simulate = |words: &str| {
        let ran = place.run(words);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", row.name);
        fates(&ran.out)
    };
    let old = simulate("simulate traffic.jsonl -c old.yaml --ledger l");
    let new = simulate("simulate traffic.jsonl -c new.yaml");
    write_bundle(&place, "new");
    let differing = old.iter().zip(&new).filter(|(old, new)| old != new);
    let simulated = differing.map(|((id, _), _)| id.clone()).collect();

    let ran = place.run("replay l --bundle new.json --each --format json");
    let again = place.run("replay l --bundle new.json --each --format json --threads 1");
    assert_eq!(
        (&ran.out, ran.code),
        (&again.out, again.code),
        "{}",
        row.name
    );
    assert_eq!(ran.err, "", "{}", row.name);
    let mut lines: Vec<Value> = ran
        .out
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let report = lines.pop().unwrap()["rerun"].take();
    let listed: BTreeSet<String> = lines
        .iter()
        .map(|line| line["decision_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(report["changed"], listed.len(), "{}", row.name);
    if !listed.is_empty() {
        assert_eq!(ran.code, 3, "{}", row.name);
    }
    Found {
        simulated,
        listed,
        report,
        place,
    }
}

#[test]
fn a_tightening_is_run_again_exactly_as_simulated() {
    let mut wrong = String::new();
    for row in tightening() {
        let found = run(&row);
        let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).count();
        let (missing, extra) = (
            only(&found.simulated, &found.listed),
            only(&found.listed, &found.simulated),
        );
        // Everything that the new one forwards was forwarded, so nothing had to be assumed. But
        // those that wait no more leave their turns to others.
        let is_told = found.report["assumed"]["outcomes"] == 0 || row.name.starts_with("waits");
        if missing + extra > 0 || !is_told || found.simulated.is_empty() == row.differs {
            wrong += &format!(
                "{}: {} simulated, {missing} missing, {extra} more; {}\n",
                row.name,
                found.simulated.len(),
                found.report
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Rows with a protection verdict, by what was refused before and now would not be.
fn loosening() -> Vec<(Row, &'static str)> {
    let mut rows: Vec<(Row, &'static str)> = tightening()
        .into_iter()
        .filter(|row| row.differs)
        .filter(|row| {
            // What control never refused, and what needs no upstream.
            !["quarantine refuses", "waits shorter"].contains(&row.name)
        })
        .map(|row| (row.back(), "outcomes"))
        .collect();
    let encoded = "    allow_encoded_slash: true\n";
    rows.push((terms("spelling refused", encoded, ""), "paths"));
    let key = "    per_client: { key: 'header:x-key', rate_limit_rpm: 6000 }\n";
    rows.push((terms("client key", "", key), "fields"));
    rows.push((
        policy("retry fields", "", "retry: { headers: [x-again] }\n"),
        "fields",
    ));
    rows.push((
        terms("tier raised", "    tier: observe_only\n", ""),
        "tiers",
    ));
    rows
}

#[test]
fn what_a_loosening_takes_for_granted_is_told() {
    for (row, what) in loosening() {
        let found = run(&row);
        let count = found.report["assumed"][what].as_u64().unwrap();
        assert!(count > 0, "{}: {}", row.name, found.report);
        let told = format!("assumed: {count} ");
        let pretty = found.pretty();
        assert!(pretty.contains(&told), "{}: {pretty}", row.name);
    }
}
