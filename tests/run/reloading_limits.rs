//! What a used-up limit of rate is worth under another limit, after a reload or a restart.

use serde_json::json;

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Upstream, eventually};

fn limited(installation: &Installation, limit: &str) {
    let text = format!(
        "version: 1\ncontracts:\n  - {{id: a, owner: me, endpoint: \"GET /a\"{limit}}}\n  - {{id: b, owner: me, endpoint: \"GET /b\"}}\n"
    );
    std::fs::write(installation.path("contracts/a.yaml"), text).unwrap();
}

/// By way of these files, one after the other.
fn reload(installation: &Installation, process: &Process, limits: &[&str]) {
    for limit in limits {
        limited(installation, limit);
        let answer = process.post("/v1/reload", "{}");
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
}

fn passed(process: &Process, sent: usize) -> usize {
    let mut client = process.connect();
    (0..sent)
        .filter(|_| client.get("/a").status() == 200)
        .count()
}

const SLOW: &str = ", rate_limit_rpm: 1, burst: 60";
const FAST: &str = ", rate_limit_rpm: 6000, burst: 600";
const MEDIUM: &str = ", rate_limit_rpm: 2, burst: 10";
const LOW: &str = ", rate_limit_rpm: 1, burst: 10";

/// Sends so many under the first limit and says how many of so many pass under the others.
fn passed_after(first: &str, sent: usize, then: &[&str], restart: bool, asked: usize) -> usize {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .and("watch: false");
    installation.write();
    limited(&installation, first);
    let mut process = Process::start_again(&installation);
    assert_eq!(passed(&process, sent), sent, "a burst");
    if restart {
        process.stop();
        limited(&installation, then.last().unwrap());
        process = Process::start_again(&installation);
    } else {
        reload(&installation, &process, then);
    }
    let found = passed(&process, asked);
    process.stop();
    found
}

#[test]
fn a_raised_limit_is_open_at_once() {
    // R073
    for (then, restart) in [
        (&[FAST][..], false),
        (&["", FAST][..], false),
        (&[FAST][..], true),
    ] {
        let found = passed_after(SLOW, 30, then, restart, 100);
        assert_eq!(found, 100, "{then:?}, restart: {restart}");
    }
}

#[test]
fn a_lowered_limit_refills_nothing() {
    // R073: the first limit gives back one in half a minute, which a slow machine may need.
    for (then, restart) in [
        (&[LOW][..], false),
        (&["", LOW][..], false),
        (&[LOW][..], true),
    ] {
        let found = passed_after(MEDIUM, 10, then, restart, 5);
        assert!(
            found <= 1,
            "{found} pass after {then:?}, restart: {restart}"
        );
    }
}

#[test]
fn a_raised_limit_of_a_client_is_open_in_a_moment() {
    // R074
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .and("watch: false");
    let process = Process::start(&installation);
    let slow = ", per_client: {rate_limit_rpm: 1, burst: 60}";
    let fast = ", per_client: {rate_limit_rpm: 6000, burst: 600}";
    reload(&installation, &process, &[slow]);
    assert_eq!(passed(&process, 30), 30);
    reload(&installation, &process, &[fast]);
    let first = process.get("/a");
    let wait = first.field("retry-after").unwrap_or("1");
    assert_eq!(wait, "1", "{}", first.text());
    eventually("a turn", || process.get("/a").status() == 200);
    process.stop();
}

#[test]
fn the_last_contract_is_not_taken_by_a_reload() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let (from, to) = (installation.path("contracts/a.yaml"), "elsewhere.yaml");
    std::fs::rename(&from, installation.path(to)).unwrap();
    eventually("the emptied folder", || {
        process.status()["last_reload"]["result"] == "refused"
    });
    assert_eq!(process.get("/api/v1/status").status(), 200);
    assert_eq!(process.status()["serial"], 0);
    let finding = process.status()["last_reload"]["findings"][0].clone();
    assert_eq!(finding["code"], "C116", "{finding}");
    assert!(finding["file"].as_str().unwrap().ends_with("contracts"));
    let remedy = finding["remedy"].as_str().unwrap();
    assert!(remedy.contains("leave one contract"), "{remedy}");
    assert!(remedy.contains("restart"), "{remedy}");
    std::fs::rename(installation.path(to), &from).unwrap();
    eventually("the contracts", || {
        process.status()["last_reload"]["result"] == "unchanged"
    });
    process.stop();
    // What a start was told to do it does.
    std::fs::remove_file(&from).unwrap();
    let process = Process::start_again(&installation);
    let answer = process.post("/v1/reload", "{}");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    process.stop();
}

#[test]
fn a_new_upstream_takes_a_restart_and_its_contract_says_so() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .and("watch: false");
    let process = Process::start(&installation);
    let main = std::fs::read_to_string(installation.path("tidegate.yaml")).unwrap();
    let with_other = main.replace("main: {", "other: {servers: [\"127.0.0.1:9\"]}, main: {");
    let text = with_other + "default_upstream: main\n";
    std::fs::write(installation.path("tidegate.yaml"), text).unwrap();
    let other = ", upstream: other";
    let divert = ", quarantine: {mode: divert, upstream: other}";
    for (limit, column) in [(other, 60), (divert, 87)] {
        limited(&installation, limit);
        let answer = process.post("/v1/reload", "{}");
        assert_eq!(answer.status(), 422, "{}", answer.text());
        let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let finding = &told["findings"][0];
        assert!(
            finding["file"].as_str().unwrap().ends_with("a.yaml"),
            "{told}"
        );
        assert_eq!(
            (&finding["code"], &finding["line"]),
            (&json!("C108"), &json!(3)),
            "{told}"
        );
        assert!(finding["column"].as_u64().unwrap() > column - 20, "{told}");
        let remedy = finding["remedy"].as_str().unwrap();
        assert!(remedy.starts_with("restart the gateway"), "{remedy}");
        assert_eq!(told["needs_restart"], json!(["upstreams"]));
    }
    process.stop();
}

#[test]
fn metric_and_status_tell_the_same_serial() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .and("watch: false");
    let process = Process::start(&installation);
    for (serial, limit) in [(1, ""), (2, FAST)] {
        reload(&installation, &process, &[limit]);
        assert_eq!(process.status()["serial"], serial);
        let label = format!("serial=\"{serial}\"");
        assert_eq!(process.metric("tidegate_bundle_info", &label), 1.0);
    }
    process.stop();
}
