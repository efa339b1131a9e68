//! `simulate`: records on stdout, a real ledger beside them, clear refusals.

use std::fs;

use tidegate::ledger::{Verdict, verify};

use crate::place::Place;

fn without_hashes(line: &str) -> String {
    let (entry, _) = line.rsplit_once(",\"hash\":").unwrap();
    let (head, tail) = entry.split_once(",\"prev\":\"").unwrap();
    format!("{head}{}}}", &tail[65..])
}

// R004, R047, R082
#[test]
fn stdout_is_the_ledger_without_its_hashes_and_the_same_every_time() {
    let place = Place::new();
    let ran = place.simulated();
    let ledger = place.ledger_lines();
    let kinds = |kind: &str| {
        let member = format!("\"kind\":\"{kind}\"");
        ledger.iter().filter(|line| line.contains(&member)).count()
    };
    assert_eq!(
        (kinds("open"), kinds("decision"), kinds("close")),
        (1, 600, 1)
    );
    let written: Vec<String> = ledger[1..601]
        .iter()
        .map(|line| without_hashes(line))
        .collect();
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), written);
    assert!(
        ran.out
            .contains("\"endpoint_key\":\"GET /api/v1/search/{term}\"")
    );
    assert!(!ran.out.contains("tides"), "a raw path stands in no record");
    assert_eq!(ran.out, place.run("simulate traffic.jsonl").out);

    let report = verify(&place.path("l")).unwrap();
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
}

#[test]
fn a_simulated_ledger_is_signed_where_there_is_a_key() {
    let place = Place::new();
    assert_eq!(place.run("ledger keygen k").code, 0);
    let ran = place.run("simulate traffic.jsonl --ledger l --key k");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let proved = place.run("ledger prove l 300");
    assert_eq!((proved.code, proved.err.as_str()), (0, ""));
    let proof: serde_json::Value = serde_json::from_str(&proved.out).unwrap();
    assert!(proof["note"].is_string(), "{proof}");
    assert_eq!(place.run("simulate traffic.jsonl --key k").code, 2);
    let ran = place.run("simulate traffic.jsonl --ledger other --key none");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("LEDGER_KEY"), "{}", ran.err);
    assert!(!place.path("other").exists());
}

#[test]
fn every_decision_is_in_the_order_of_the_file_and_on_the_virtual_clock() {
    let ran = Place::new().run("simulate traffic.jsonl --tier observe_only");
    for (number, line) in ran.out.lines().enumerate() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let at_us = 1_767_225_600_000_000 + number as u64 * 50_000;
        assert_eq!(record["ts_us"], at_us);
        assert_eq!(record["n"], number as u64);
        assert_eq!(record["decision_id"], format!("{number:022x}"));
        assert_eq!(record["instance"], "simulate");
        assert_eq!(record["tier"], "OBSERVE_ONLY");
        assert_eq!(record["outcome"], "done", "an observer forwards everything");
    }
    assert_eq!(ran.out.lines().count(), 600);
}

// R055, R060, R071
#[test]
fn the_flag_replaces_the_tier_of_the_file() {
    let place = Place::new();
    let drops = |ran: &str, taken: &str| {
        let dropped = ran
            .lines()
            .filter(|line| line.contains("\"decision\":\"DROP\""))
            .filter(|line| line.contains("CONTRACT_METHOD_DISALLOWED"));
        let taken = format!("\"actions_taken\":[{taken}]");
        dropped.filter(|line| line.contains(&taken)).count()
    };
    let controlled = place.run("simulate traffic.jsonl --tier control").out;
    assert_eq!(drops(&controlled, "\"drop\",\"log\""), 50);
    assert!(controlled.contains("\"phase\":5,"));
    let observed = place.run("simulate traffic.jsonl --tier observe_only").out;
    assert_eq!(drops(&observed, "\"log\""), 50);
    assert!(!observed.contains("\"phase\":5,"));
}

// R045
#[test]
fn contributions_are_shown_on_request() {
    let place = Place::new();
    let plain = place.run("simulate traffic.jsonl").out;
    assert!(!plain.contains("contributions"));
    let explained = place.run("simulate traffic.jsonl --explain").out;
    let unknown = explained.lines().nth(1).unwrap();
    assert!(
        unknown
            .contains("\"contributions\":{\"unknown_endpoint\":7000},\"decision\":\"QUARANTINE\""),
        "{unknown}"
    );
}

#[test]
fn traffic_can_come_from_stdin_and_ends_without_a_newline() {
    let place = Place::new();
    let line = r#"{"at_ms":0,"method":"GET","url":"/api/v1/status"}"#;
    let ran = place.run_with("simulate - -c tidegate.yaml", line);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 1));
    assert_eq!(
        place.run_with("simulate -", "").code,
        0,
        "no traffic, no records"
    );
}

#[test]
fn what_cannot_be_used_is_refused_with_place_rule_and_remedy() {
    let place = Place::new();
    let good = r#"{"at_ms":5,"method":"GET","url":"/api/v1/status"}"#;
    for (bad, want) in [
        ("{", "line 2: "),
        (
            r#"{"at_ms":4,"method":"GET","url":"/"}"#,
            "line 2: at_ms is smaller",
        ),
        (
            r#"{"at_ms":5,"method":"GET","url":"/","latency":1}"#,
            "unknown field `latency`",
        ),
        (
            r#"{"at_ms":5,"method":"GET","url":"/","status":99}"#,
            "status is neither",
        ),
        (r#"{"at_ms":-5,"method":"GET","url":"/"}"#, "line 2: "),
    ] {
        let ran = place.run_with("simulate - --ledger l", &format!("{good}\n{bad}\n"));
        assert_eq!((ran.code, ran.out.lines().count()), (1, 1), "{}", ran.err);
        assert!(ran.err.contains(want), "{want} in {}", ran.err);
        assert_eq!(verify(&place.path("l")).unwrap().verdict, Verdict::Intact);
        fs::remove_dir_all(place.path("l")).unwrap();
    }
    for (words, code, want) in [
        ("simulate none.jsonl", 1, "none.jsonl cannot be opened"),
        ("simulate", 2, "TRAFFIC.jsonl"),
        (
            "simulate traffic.jsonl --tier autonomous",
            2,
            "observe_only",
        ),
        ("simulate traffic.jsonl -c none.yaml", 78, "none.yaml"),
        (
            "simulate traffic.jsonl --ledger contracts",
            1,
            "is not empty",
        ),
    ] {
        place.refuses(words, code, want);
    }
}

/// An hour of silence is the longest an upstream may take, and costs no time: nothing that cannot
/// change is looked at, however many requests wait.
#[test]
fn long_waits_cost_little_and_longer_ones_are_refused() {
    let place = Place::new();
    let line = |at_ms: u64, latency_ms: u64| {
        format!(
            "{{\"at_ms\":{at_ms},\"method\":\"GET\",\"url\":\"/api/v1/status\",\
             \"latency_ms\":{latency_ms}}}\n"
        )
    };
    let mut text: String = (0..20_000).map(|number| line(number, 3_600_000)).collect();
    let started = std::time::Instant::now();
    let ran = place.run_with("simulate - --tier observe_only", &text);
    assert_eq!(
        (ran.code, ran.out.lines().count()),
        (0, 20_000),
        "{}",
        ran.err
    );
    assert!(ran.out.contains("\"latency_us\":3600000000,"));
    // A look at each of 20,000 open requests at each of 36,000 ticks took half a minute.
    let took = started.elapsed();
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");

    text = line(0, 0) + &line(1, 3_600_001);
    let ran = place.run_with("simulate -", &text);
    assert_eq!((ran.code, ran.out.lines().count()), (1, 1));
    let want = "line 2: latency_ms is more than 3600000; give at most an hour";
    assert!(ran.err.contains(want), "{}", ran.err);
}

/// What ended before a long silence is counted when it ended, not when the silence does.
#[test]
fn a_silence_ages_what_came_before_it() {
    let place = Place::new();
    let line = |at_ms: u64| {
        format!(
            "{{\"at_ms\":{at_ms},\"method\":\"GET\",\"url\":\"/api/v1/status\",\"status\":500}}\n"
        )
    };
    let failures: String = (0..40).map(line).collect();
    let text = failures + &line(3_600_000);
    let ran = place.run_with("simulate - --tier observe_only", &text);
    let last = ran.out.lines().last().unwrap();
    assert!(last.contains("\"distress_bp\":0,"), "{last}");
}
