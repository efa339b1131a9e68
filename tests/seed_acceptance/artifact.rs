//! The rules that decided are a file whose bytes are named by their digest.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::place::Place;
use crate::traffic::{calm, place};

/// A ledger of some decisions, and the one rulebook beside it.
fn ledger() -> (Place, PathBuf) {
    let place = place();
    let urls = ["/api/v1/status", "/nowhere", "/api/v1/deployments/7"];
    let traffic: String = (0..30)
        .map(|n| calm(n * 10, "GET", urls[n as usize % 3]))
        .collect();
    place.write("traffic.jsonl", &traffic);
    place.simulated();
    let mut entries = fs::read_dir(place.path("l/rulebooks")).unwrap();
    let rulebook = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "one rulebook decided");
    (place, rulebook)
}

// R103
#[test]
fn artifact_verified() {
    let (place, rulebook) = ledger();
    let digest = hex::encode(Sha256::digest(fs::read(&rulebook).unwrap()));
    assert_eq!(rulebook.file_stem().unwrap().to_str(), Some(&*digest));
    let lines = place.ledger_lines();
    let named = lines.iter().filter_map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        (record["kind"] == "decision").then(|| record["policy_hash"].clone())
    });
    assert_eq!(named.collect::<Vec<_>>(), vec![Value::from(&*digest); 30]);
    assert_eq!(place.run("ledger verify l").code, 0);
    let replayed = place.run("replay l");
    assert_eq!(replayed.code, 0);
    assert!(replayed.out.starts_with("30 decisions, 0 differences"));
}

// R065, R080
#[test]
fn artifact_tampering_detected() {
    let (place, rulebook) = ledger();
    let bytes = fs::read(&rulebook).unwrap();
    let places = (0..bytes.len()).step_by(bytes.len() / 7);
    for at in places {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&rulebook, &changed).unwrap();
        assert_eq!(place.run("ledger verify l").code, 65, "byte {at}");
        let replayed = place.run("replay l");
        assert_eq!(replayed.code, 65, "byte {at}");
        assert!(
            replayed.out.contains("its bytes do not hash to its name"),
            "{}",
            replayed.out
        );
    }
    fs::write(&rulebook, &bytes).unwrap();
    assert_eq!(place.run("ledger verify l").code, 0);
}
