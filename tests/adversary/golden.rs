//! The golden ledger of format version 1: every kind, a compressed segment, one that is removed and one
//! with stubs. It verifies for ever, with the stored report.
//!
//! `UPDATE_GOLDEN=1 cargo nextest run --test adversary golden` makes it anew: for a new kind only, never
//! to get a changed verifier to agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate::ledger::{KINDS, Lines};

use super::site::{Site, put_all};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// Four segments: removed, with stubs, compressed, newest; a boot that closed, one that was killed, and
/// one that was handed over.
fn golden() -> Site {
    let mut site = Site::new(9, 1);
    site.decisions(4);
    site.checkpoint();
    site.rotate();
    let stubs = site.next_seq();
    site.decisions(5);
    site.rollup(3);
    site.rollup_with(2, Some(4));
    site.rollup_with(0, Some(1));
    site.loss(2);
    site.outcome(4);
    site.checkpoint();
    site.rotate();
    site.forget();
    site.close();
    site.open(true);
    site.use_key(2);
    site.decisions(300);
    site.checkpoint();
    site.forget();
    site.open(false);
    site.bundle();
    site.governance();
    site.fault("LEDGER_DISK_FULL");
    site.decisions(2);
    let (gone, thinned) = (site.bounds(0), site.bounds(1));
    site.prune(&gone, None);
    site.redact(thinned.0, &[stubs + 1, stubs + 2]);
    site.checkpoint();
    site.stub(stubs + 1);
    site.stub(stubs + 2);
    site.rotate();
    site.decisions(3);
    site.handover();
    site.checkpoint();
    site
}

fn update(site: &Site) {
    let folder = folder();
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    let mut files = site.files();
    files.remove("seg-0000000000000000.jsonl").unwrap();
    let large = format!("seg-{:016}.jsonl", site.segments[2].0);
    let plain = files.remove(&large).unwrap();
    let frame = zstd::encode_all(&plain[..], 19).unwrap();
    files.insert(format!("{large}.zst"), frame);
    put_all(&folder, &files);
}

/// What the command says, with the directory left out.
fn report() -> (Option<i32>, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["ledger", "verify", "--format", "json"])
        .arg(folder())
        .output()
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
    (ran.status.code(), text)
}

#[test]
fn the_golden_ledger_verifies_with_its_stored_report() {
    let stored = folder().with_file_name("v1.report.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update(&golden());
        fs::write(&stored, report().1).unwrap();
    }
    let (code, report) = report();
    assert_eq!(report, fs::read_to_string(stored).unwrap());
    assert_eq!(code, Some(0));
}

#[test]
fn the_golden_ledger_has_every_kind_and_stays_small() {
    let mut kinds = BTreeSet::new();
    let mut bytes = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        bytes += fs::metadata(&path).unwrap().len();
        if !path.to_str().unwrap().contains(".jsonl") {
            continue;
        }
        let mut lines = Lines::open(&path).unwrap();
        while let Some(line) = lines.next().unwrap() {
            let value: serde_json::Value = serde_json::from_slice(line.bytes).unwrap();
            kinds.insert(value["kind"].as_str().unwrap().to_owned());
        }
    }
    // The prune and the genesis are told apart by what is left: the removed segment's tree file.
    let expected: BTreeSet<String> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
    assert_eq!(kinds, expected);
    assert!(bytes < 100_000, "{bytes} bytes");
}

#[test]
fn stats_counts_the_golden_ledger() {
    let ran = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["ledger", "stats", "--format", "json", "--top", "0"])
        .arg(folder())
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let stats: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(stats["segments"]["compressed"], 1, "{stats}");
    assert_eq!(stats["segments"]["removed"], 1, "{stats}");
    assert_eq!(stats["kinds"]["stub"], 2, "{stats}");
    assert_eq!(stats["rolled_up"], 5, "{stats}");
    assert_eq!(stats["outcomes_rolled_up"], 5, "{stats}");
    assert_eq!(stats["lost"], 3, "{stats}");
    assert_eq!(stats["unaccounted"], 2, "{stats}");
    assert_eq!(
        stats["contracts_not_listed"], stats["decisions"]["ALLOW"],
        "{stats}"
    );
    assert_eq!(stats["heads"], 5, "{stats}");
}
