//! Signed heads leave the host: stdout, admin listener, metrics; and what they are good for there.

use std::fs;

use serde_json::Value;
use tidegate::ledger::{Checkpoint, LedgerKey, SignedNote};

use crate::installation::{Installation, Ran, program};
use crate::process::Process;
use crate::wire::{Upstream, eventually};

fn installation(upstream: &Upstream, every: u64) -> Installation {
    Installation::in_front_of(upstream.address)
        .and(&format!("ledger: {{heads_every_secs: {every}}}"))
}

/// The checkpoint of a note that the installation's own key has signed.
fn signed(installation: &Installation, note: &str) -> Checkpoint {
    let note = SignedNote::parse(note.as_bytes()).unwrap();
    let checkpoint = Checkpoint::from_text(&note.text).unwrap();
    let key = LedgerKey::read(&installation.path("state/ledger.key")).unwrap();
    let verifier = key.verifier(&checkpoint.origin).unwrap();
    assert!(note.is_signed_by(&verifier), "{note:?}");
    checkpoint
}

/// The heads that stand on stdout so far.
fn printed(installation: &Installation) -> Vec<Checkpoint> {
    let text = fs::read_to_string(installation.path("out")).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let heads = whole.lines().map(|line| {
        let head: Value = serde_json::from_str(line).expect("a line of JSON and nothing else");
        let checkpoint = signed(installation, head["checkpoint"].as_str().unwrap());
        assert_eq!(head["size"], checkpoint.size);
        assert!(head["ts_us"].as_u64().unwrap() > 1_700_000_000_000_000);
        checkpoint
    });
    heads.collect()
}

fn prove(installation: &Installation, seq: u64, size: u64) -> Ran {
    let mut command = program();
    command.args(["ledger", "prove"]).arg(installation.ledger());
    let (seq, size) = (seq.to_string(), size.to_string());
    Ran::of(command.args([&seq, "--size", &size]).output().unwrap())
}

// R085
#[test]
fn a_head_that_left_the_host_shows_that_the_end_was_cut_off() {
    let upstream = Upstream::ok();
    let installation = installation(&upstream, 1);
    let process = Process::start_with_stdout(&installation, "out");
    assert_eq!(process.get("/api/v1/status").status(), 200);
    eventually("a head on stdout", || !printed(&installation).is_empty());
    eventually("a head at the admin listener", || {
        process.ask("/v1/ledger/checkpoint").status() == 200
    });
    let reply = process.ask("/v1/ledger/checkpoint");
    assert_eq!(
        reply.field("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let asked = signed(&installation, reply.text());
    assert!(process.metric("tidegate_ledger_signed_records", "") >= asked.size as f64);
    let at_s = process.metric("tidegate_ledger_checkpoint_timestamp_seconds", "");
    assert!(at_s > 1_700_000_000.0, "{at_s}");
    for _ in 0..20 {
        assert_eq!(process.get("/api/v1/status").status(), 200);
    }
    process.stop();
    let heads = printed(&installation);
    assert!(heads.windows(2).all(|pair| pair[0].size < pair[1].size));
    let last = heads.last().unwrap();
    let newest = installation.decisions().pop().unwrap();
    let newest = newest["seq"].as_u64().unwrap();
    assert!(newest < last.size, "{newest} is not under {last:?}");
    let proved = prove(&installation, newest, last.size);
    assert_eq!((proved.code, proved.stderr.as_str()), (Some(0), ""));
    let proof: Value = serde_json::from_str(&proved.stdout).unwrap();
    assert_eq!(proof["root"], hex::encode(last.root));
    // Whoever has the disk cuts off lines and notes alike, and the files agree with one another.
    let segment = installation.ledger().join("seg-0000000000000000.jsonl");
    let text = fs::read_to_string(&segment).unwrap();
    let kept: String = text.split_inclusive('\n').take(3).collect();
    fs::write(&segment, kept).unwrap();
    for file in ["checkpoint", "heads.log"] {
        fs::remove_file(installation.ledger().join(file)).unwrap();
    }
    assert_eq!(prove(&installation, 0, 3).code, Some(0));
    // By itself it looks like a ledger of three records, which has no such size.
    assert_eq!(prove(&installation, 0, last.size).code, Some(1));
    assert_eq!(installation.verify(&[]).code, Some(0));
    // A head that is elsewhere tells.
    let printed = fs::read_to_string(installation.path("out")).unwrap();
    let head: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let note = installation.path("kept");
    fs::write(&note, head["checkpoint"].as_str().unwrap()).unwrap();
    let refused = installation.verify(&["--head", note.to_str().unwrap()]);
    assert_eq!(refused.code, Some(65), "{refused:?}");
    assert!(refused.stdout.contains("head"), "{refused:?}");
}

#[test]
fn stdout_stays_empty_where_no_heads_are_wanted() {
    let upstream = Upstream::ok();
    let installation = installation(&upstream, 0);
    let process = Process::start_with_stdout(&installation, "out");
    assert_eq!(process.get("/api/v1/status").status(), 200);
    eventually("a signed head", || {
        process.metric("tidegate_ledger_signed_records", "") > 0.0
    });
    process.stop();
    assert_eq!(fs::read_to_string(installation.path("out")).unwrap(), "");
}
