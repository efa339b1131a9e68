//! The ledger is a chain: no record changes unseen, and a restart goes on where the last one ended.

use serde_json::Value;

use crate::installation::Installation;
use crate::process::Process;
use crate::traffic::{calm, place};
use crate::wire::Upstream;

// R080, R084
#[test]
fn chain_integrity() {
    let place = place();
    let traffic: String = (0..20)
        .map(|n| calm(n * 10, "GET", "/api/v1/status"))
        .collect();
    place.write("traffic.jsonl", &traffic);
    place.simulated();
    let intact = place.run("ledger verify l");
    assert_eq!(intact.code, 0, "{}", intact.err);
    assert!(
        intact.out.starts_with("intact: 22 records"),
        "{}",
        intact.out
    );
    let whole = place.ledger_lines();
    for (from, to) in [
        ("\"risk_bp\":0", "\"risk_bp\":1"),
        ("\"tier\":\"CONTROL\"", "\"tier\":\"CONTROl\""),
        ("\"phase\":", "\"phasE\":"),
    ] {
        place.edit(7, |line| {
            assert!(line.contains(from), "{line}");
            line.replacen(from, to, 1)
        });
        let found = place.run("ledger verify l");
        assert_eq!(found.code, 65, "{from}");
        assert!(found.out.contains("record 7:"), "{}", found.out);
        place.restore(&whole);
    }
}

// R080, R086
#[test]
fn chain_continuity() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    assert_eq!(process.get("/api/v1/status").status(), 200);
    process.stop();
    let process = Process::start_again(&installation);
    assert_eq!(process.get("/api/v1/status").status(), 200);
    process.stop();
    let records = installation.records();
    // Who signs and what was signed may stand between.
    let kinds: Vec<&Value> = records
        .iter()
        .map(|record| &record["kind"])
        .filter(|kind| **kind != "key" && **kind != "checkpoint")
        .collect();
    let boot = ["open", "decision", "close"];
    assert_eq!(kinds, boot.repeat(2));
    let mut head = Value::from("0".repeat(64));
    for (seq, record) in records.iter().enumerate() {
        assert_eq!(record["seq"], seq);
        assert_eq!(record["prev"], head, "record {seq} follows the one before");
        head = record["hash"].clone();
    }
    let verified = installation.verify(&[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(verified.stdout.contains(head.as_str().unwrap()));
}
