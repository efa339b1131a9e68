//! Records given up on request, in a ledger of many segments that the gateway itself wrote, signed
//! and compressed: what is left verifies, and a gateway goes on with it.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tidegate::ledger::DirectoryLines;

use crate::installation::{Installation, Ran, program};
use crate::process::Process;
use crate::wire::{Upstream, eventually};

/// Segments of the ledger whose names end so.
fn segments(installation: &Installation, suffix: &str) -> u64 {
    let names = fs::read_dir(installation.ledger()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let fitting = names.filter(|name| name.starts_with("seg-0") && name.ends_with(suffix));
    fitting.count() as u64
}

/// Sends requests until so many segments are closed; gives how many were sent.
fn fill(installation: &Installation, process: &Process, closed: f64) -> u64 {
    let mut sent = 0;
    eventually("closed segments", || {
        // A connection serves only so many requests.
        let mut client = process.connect();
        for _ in 0..100 {
            assert_eq!(client.get("/api/v1/status").status(), 200);
        }
        sent += 100;
        segments(installation, ".tree") as f64 >= closed
    });
    sent
}

fn ledger(installation: &Installation, verb: &str) -> Command {
    let mut command = program();
    command.args(["ledger", verb]).arg(installation.ledger());
    command
}

/// Runs a command that is to end well; gives what it prints.
fn well(command: &mut Command) -> String {
    let ran = Ran::of(command.output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    ran.stdout
}

/// The report of a ledger that is intact, with nothing but its own key counting.
fn intact(installation: &Installation) -> Value {
    let key = installation.ledger().join("log.vkey");
    let key = key.to_str().unwrap();
    let ran = installation.verify(&["--key", key, "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["lost"], 0, "{report}");
    assert_eq!(report["unaccounted"], 0, "{report}");
    // The last note of a run covers its last record.
    let records = report["last_seq"].as_u64().unwrap() + 1;
    assert_eq!(report["signed_size"], records, "{report}");
    report
}

/// All records, of segments in either form.
fn records(installation: &Installation) -> Vec<Value> {
    let mut lines = DirectoryLines::open(&installation.ledger()).unwrap();
    let mut records = Vec::new();
    while let Some((_, line)) = lines.next().unwrap() {
        records.push(serde_json::from_slice(line.bytes).unwrap());
    }
    records
}

fn proves(installation: &Installation, record: &Value) {
    let seq = record["seq"].to_string();
    let proof = well(ledger(installation, "prove").arg(seq));
    let proof: Value = serde_json::from_str(&proof).unwrap();
    assert_eq!(proof["leaf"].as_str().unwrap_or_default(), record["hash"]);
}

/// A gateway starts on what is there, goes on with it, and finds nothing wrong with it.
fn goes_on(installation: &Installation) {
    let process = Process::start_again(installation);
    assert_eq!(process.get("/api/v1/status").status(), 200);
    let closed = segments(installation, ".zst") as f64;
    eventually("a look at all closed segments", || {
        process.metric("tidegate_ledger_verified_segments", "") >= closed
    });
    assert_eq!(process.metric("tidegate_ledger_ok", ""), 1.0);
    process.stop();
}

/// All that reads reads compressed segments; gives the first 300 decisions.
fn check_compressed(installation: &Installation, sent: u64) -> Vec<Value> {
    let report = intact(installation);
    assert_eq!(
        (&report["decisions"], &report["stubs"]),
        (&sent.into(), &0.into())
    );
    assert_eq!(installation.replay(), sent);
    let all = records(installation);
    let decisions = all.iter().filter(|record| record["kind"] == "decision");
    let early: Vec<Value> = decisions.take(300).cloned().collect();
    proves(installation, &early[0]);
    proves(installation, &early[299]);
    let explained = early[7]["decision_id"].as_str().unwrap();
    let told = well(installation.command("explain").arg(explained));
    assert!(told.contains("status_v1"), "{told}");
    let tail = well(ledger(installation, "tail").args(["-n", "5"]));
    assert_eq!(tail.lines().count(), 5);
    let stats = well(ledger(installation, "stats").args(["--format", "json"]));
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["kinds"]["decision"], sent, "{stats}");
    early
}

// R091, R281
#[test]
fn what_is_given_up_leaves_a_ledger_that_verifies_and_goes_on() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).and("ledger: {segment_mib: 1}");
    let process = Process::start(&installation);
    let sent = fill(&installation, &process, 3.0);
    eventually("verified and compressed segments", || {
        segments(&installation, ".zst") >= 3 && segments(&installation, ".jsonl") == 1
    });
    assert_eq!(process.metric("tidegate_ledger_ok", ""), 1.0);
    process.stop();

    let early = check_compressed(&installation, sent);

    // Twenty records of the first segment, none of them of those that hold the accounts together.
    let key = installation.path("state/ledger.key");
    let some: Vec<String> = early[100..120]
        .iter()
        .map(|r| r["seq"].to_string())
        .collect();
    let mut redact = ledger(&installation, "redact");
    redact.args(["--actor", "dpo", "--reason", "art. 17", "--key"]);
    well(redact.arg(&key).args(["--seq", &some.join(",")]));
    let report = intact(&installation);
    assert_eq!(report["stubs"], 20);
    assert_eq!(report["decisions"], sent - 20);
    proves(&installation, &early[299]);
    goes_on(&installation);
    assert_eq!(intact(&installation)["stubs"], 20);

    let prune = |more: &[&str]| {
        let mut prune = ledger(&installation, "prune");
        prune.args(["--before", "2999-01-01", "--reason", "space", "--key"]);
        well(prune.arg(&key).args(more))
    };
    let told = prune(&["--class", "access"]);
    assert_eq!(told.lines().count() as u64, segments(&installation, ".zst"));
    let report = intact(&installation);
    let stubs = report["stubs"].as_u64().unwrap();
    assert!(stubs > sent / 2, "{report}");
    assert_eq!(report["decisions"].as_u64().unwrap() + stubs, sent + 1);
    goes_on(&installation);
    assert_eq!(intact(&installation)["stubs"], stubs);

    prune(&[]);
    let report = intact(&installation);
    assert_eq!(report["stubs"], 0);
    assert_eq!(report["pruned"], report["first_seq"]);
    assert!(report["pruned"].as_u64() > Some(stubs), "{report}");
    assert_eq!(segments(&installation, ".zst"), 0);
    goes_on(&installation);
    let left = intact(&installation);
    assert_eq!(left["pruned"], report["pruned"]);
    assert_eq!(installation.replay(), left["decisions"].as_u64().unwrap());
    let all = records(&installation);
    proves(&installation, &all[0]);
    proves(&installation, all.last().unwrap());
}
