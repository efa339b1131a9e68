//! A gateway over a ledger with closed segments.

use std::fs;
use std::io::Write;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use tidegate::ledger::{Record, TreeBuilder};

use crate::installation::{Installation, Ran, program};
use crate::process::Process;
use crate::wire::{Upstream, eventually};

/// Makes two segments of the one that is there: it ends before its last record.
fn close_a_segment(ledger: &Path) -> std::path::PathBuf {
    let first = ledger.join("seg-0000000000000000.jsonl");
    let text = fs::read_to_string(&first).unwrap();
    let (mut tree, mut scratch) = (TreeBuilder::new(0), Vec::new());
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let last = lines.pop().unwrap();
    let mut head = [b'0'; 64];
    for line in &lines {
        let record = Record::check(line.trim_end().as_bytes(), &mut scratch).unwrap();
        let mut leaf = [0; 32];
        hex::decode_to_slice(record.hash, &mut leaf).unwrap();
        tree.push(leaf);
        head = record.hash;
    }
    let next = format!("seg-{:016}.jsonl", lines.len());
    fs::write(ledger.join(next), last).unwrap();
    let tree = tree.finish(&head).to_text();
    fs::write(ledger.join("seg-0000000000000000.tree"), tree).unwrap();
    fs::write(&first, lines.concat()).unwrap();
    first
}

// R277
#[test]
fn a_tampered_closed_segment_turns_the_gauge_to_0_and_is_named_in_the_log() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    for _ in 0..5 {
        process.get("/api/v1/status");
    }
    process.stop();
    let segment = close_a_segment(&installation.ledger());
    let whole = fs::read_to_string(&segment).unwrap();
    // The second record; the rest stays as it is, its length as well.
    let at = whole.find('\n').unwrap();
    let changed = whole[at..].replacen("\"ts_us\":1", "\"ts_us\":2", 1);
    let changed = format!("{}{changed}", &whole[..at]);
    assert_ne!(changed, whole);
    fs::write(&segment, &changed).unwrap();
    let process = Process::start_again(&installation);
    eventually("the gauge", || {
        process.metric("tidegate_ledger_ok", "") == 0.0
    });
    assert_eq!(process.metric("tidegate_ledger_damaged_seq", ""), 1.0);
    let status = &process.status()["ledger"];
    assert_eq!(
        (&status["ok"], &status["damaged_seq"]),
        (&false.into(), &1.into())
    );
    let file = status["damaged_file"].as_str().unwrap();
    assert!(file.ends_with("seg-0000000000000000.jsonl"), "{file}");
    assert_eq!(process.get("/api/v1/status").status(), 200);
    assert_eq!(process.ask("/readyz").status(), 200, "it still writes");
    eventually("the log", || process.said("ledger_damaged"));
    let told = process.log();
    let told = told.iter().find(|line| line["event"] == "ledger_damaged");
    let told = told.unwrap_or_else(|| panic!("{:?}", process.log()));
    assert_eq!(
        (&told["seq"], &told["offset"]),
        (&1.into(), &(at + 1).into())
    );
    assert_eq!(fs::read_to_string(&segment).unwrap(), changed);
    process.stop();
    assert_eq!(installation.verify(&[]).code, Some(65));
}

// R277
#[test]
fn damage_that_a_start_finds_counts_from_the_first_moment() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    process.get("/api/v1/status");
    process.stop();
    let segment = installation.ledger().join("seg-0000000000000000.jsonl");
    let whole = fs::read_to_string(&segment).unwrap();
    let at = whole.find('\n').unwrap();
    let changed = whole[at..].replacen("\"ts_us\":1", "\"ts_us\":2", 1);
    fs::write(&segment, format!("{}{changed}", &whole[..at])).unwrap();
    let process = Process::start_again(&installation);
    // Not eventually: the first scrape must not say that all is well.
    assert_eq!(process.metric("tidegate_ledger_ok", ""), 0.0);
    let status = &process.status()["ledger"];
    assert_eq!(
        (&status["ok"], &status["damaged_seq"]),
        (&false.into(), &1.into())
    );
    assert_eq!(process.ask("/readyz").status(), 200);
    process.stop();
    // A later start finds its own segment whole; what was told is not forgotten.
    Process::start_again(&installation).stop();
    let mut recover = program();
    let recover = recover
        .args(["ledger", "recover"])
        .arg(installation.ledger());
    let recovered = Ran::of(recover.output().unwrap());
    let known = "known damage at record 1 of seg-0000000000000000.jsonl, not repaired\n";
    assert!(recovered.stdout.ends_with(known), "{recovered:?}");
    assert_eq!(recovered.code, Some(65), "{recovered:?}");
}

// R083
#[test]
fn a_start_tells_of_a_torn_tail_and_of_the_boot_that_left_it() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let mut process = Process::start(&installation);
    for counters_are_there in [true, false] {
        process.get("/api/v1/status");
        process.signal(Signal::KILL);
        process.ended();
        let segment = installation.ledger().join("seg-0000000000000000.jsonl");
        let mut file = fs::OpenOptions::new().append(true).open(&segment).unwrap();
        file.write_all(b"{\"half").unwrap();
        if !counters_are_there {
            fs::remove_file(installation.ledger().join("made")).unwrap();
        }
        process = Process::start_again(&installation);
        let log = process.log();
        let told = |event| log.iter().find(|line| line["event"] == event).cloned();
        assert!(told("ledger_torn_tail").is_some(), "{log:?}");
        let unclosed = told("ledger_not_closed").unwrap();
        assert_eq!(
            unclosed.get("unaccounted").is_some(),
            counters_are_there,
            "{unclosed}"
        );
    }
    process.stop();
}

// R083
#[test]
fn evidence_that_a_start_makes_anew_is_missed_aloud() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    Process::start(&installation).stop();
    let ledger = installation.ledger();
    for name in ["origin", "checkpoint", "heads.log", "../ledger.key"] {
        fs::remove_file(ledger.join(name)).unwrap();
    }
    fs::remove_dir_all(ledger.join("rulebooks")).unwrap();
    let process = Process::start_again(&installation);
    let log = process.log();
    for event in [
        "ledger_origin_missing",
        "ledger_heads_missing",
        "ledger_rulebook_missing",
        "ledger_key_replaced",
    ] {
        let told = log.iter().find(|line| line["event"] == event);
        assert_eq!(told.unwrap()["level"], "WARN", "{event}: {log:?}");
    }
    process.stop();
    let process = Process::start_again(&installation);
    let missed = |line: &&Value| line["event"].as_str().unwrap().ends_with("_missing");
    assert_eq!(process.log().iter().find(missed), None, "all is there now");
    process.stop();
}

// R198
#[test]
fn an_older_ledger_that_was_put_back_in_place_lacks_a_boot() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    Process::start(&installation).stop();
    let files = ["seg-0000000000000000.jsonl", "checkpoint", "heads.log"];
    let files = files.map(|name| installation.ledger().join(name));
    let older = files.clone().map(|file| fs::read(file).unwrap());
    let process = Process::start_again(&installation);
    process.get("/api/v1/status");
    process.stop();
    let boot = installation.decisions().pop().unwrap()["decision_id"].clone();
    for (file, bytes) in files.iter().zip(older) {
        fs::write(file, bytes).unwrap();
    }
    let process = Process::start_again(&installation);
    let log = process.log();
    let told = log
        .iter()
        .find(|line| line["event"] == "ledger_boot_missing");
    let told = told.unwrap_or_else(|| panic!("{log:?}"));
    assert_eq!(told["made"], 1, "{told}");
    assert_eq!(told["boot"].as_str(), boot.as_str().unwrap().get(..8));
    process.stop();
    let records = installation.records();
    let open = records.iter().rfind(|record| record["kind"] == "open");
    assert_eq!(open.unwrap()["missing_boot"], told["boot"]);
    assert_eq!(installation.verify(&[]).code, Some(0));
}

// R281
#[test]
fn a_whole_one_is_compressed_and_the_doctor_sees_the_gateway() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    for _ in 0..5 {
        process.get("/api/v1/status");
    }
    process.stop();
    let segment = close_a_segment(&installation.ledger());
    let process = Process::start_again(&installation);
    eventually("the compressed one", || {
        segment.with_extension("jsonl.zst").exists() && !segment.exists()
    });
    assert_eq!(process.metric("tidegate_ledger_ok", ""), 1.0);
    assert_eq!(process.metric("tidegate_ledger_verified_segments", ""), 1.0);
    let mut doctor = installation.command("doctor");
    let doctor = Ran::of(doctor.args(["--format", "json"]).output().unwrap());
    let said: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap();
    let checks = said["checks"].as_array().unwrap();
    let ledger = checks.iter().find(|check| check["check"] == "ledger");
    let found = ledger.unwrap()["found"].as_str().unwrap();
    assert!(
        found.ends_with("being written; hashes were not checked"),
        "{found}"
    );
    // The file says port 0, and nobody answers there.
    assert_eq!(doctor.code, Some(3), "{doctor:?}");
    let not_answering = |check: &serde_json::Value| check["code"] == "DOCTOR_NOT_ANSWERING";
    assert!(checks.iter().any(not_answering), "{said}");
    process.stop();
}
