//! The ledger from outside: other people's tools verify it, every damage is found and named, and
//! a start refuses what it cannot continue.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod balanced;
mod beside;
mod edited;
mod form;
mod killed;
mod read;
mod started;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate::ledger::{
    BootId, Chain, EntryBuilder, Lane, Ledger, Members, OpenFacts, Producer, Record, Report,
    Settings, Source, Verdict, ring, verify,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// The rulebook in force, and its SHA-256.
const RULEBOOK: &[u8] = b"{}";
const POLICY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn facts(boot: u32) -> OpenFacts {
    OpenFacts {
        boot: BootId::from_u32(boot),
        instance: "gateway-1".to_owned(),
        version: "0.1.0".to_owned(),
        policy_hash: POLICY_HASH.to_owned(),
        client_key_id: Some("k1".to_owned()),
        bundle: None,
    }
}

fn source(boot: u32, worker: u8) -> Source {
    Source {
        boot: BootId::from_u32(boot),
        worker,
    }
}

fn encode(entry: &mut EntryBuilder<'_>, source: Source, n: &u64) {
    let id = format!("{}{:02x}{n:012x}", source.boot, source.worker);
    entry.text("decision_id", &id);
    entry.counts("factors", [("error_rate", 12), ("latency", *n)]);
    entry.text("kind", "decision");
    entry.uint("n", *n);
    entry.uint("ts_us", 1_700_000_000_000_000 + *n);
    entry.text("unmatched_shape", "/a\"b\\c\u{7f}\u{e9}");
    entry.uint("worker", u64::from(source.worker));
}

fn push(producer: &mut Producer<u64>, count: u64) {
    for _ in 0..count {
        let n = producer.next_number();
        producer.push(Lane::Ordinary, Some(n), n);
    }
}

/// Adds one boot with `count` decisions to a ledger.
fn write(dir: &Path, boot: u32, count: u64) -> Ledger {
    let (mut producer, consumer) = ring(source(boot, 0), 1 << 14);
    let settings = Settings::new(dir);
    let ledger = Ledger::start(&settings, &facts(boot), RULEBOOK, vec![consumer], encode).unwrap();
    push(&mut producer, count);
    drop(producer);
    ledger.flush(PATIENCE).unwrap();
    ledger
}

fn small(dir: &Path) -> (PathBuf, Vec<u8>) {
    write(dir, 1, 4).close().unwrap();
    let segment = dir.join("seg-0000000000000000.jsonl");
    let bytes = fs::read(&segment).unwrap();
    (segment, bytes)
}

fn check(dir: &Path) -> Report {
    verify(dir).unwrap()
}

fn damage_at(dir: &Path) -> Option<u64> {
    match check(dir).verdict {
        Verdict::Intact | Verdict::NothingChecked => None,
        Verdict::TornTail(damage) | Verdict::Damaged(damage) => Some(damage.seq),
    }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn start(dir: &Path) -> Result<Ledger, tidegate::ledger::LedgerError> {
    Ledger::start(&Settings::new(dir), &facts(9), RULEBOOK, Vec::new(), encode)
}

fn copy_around(from: &Path, to: &Path) {
    fs::create_dir(to.join("rulebooks")).unwrap();
    fs::copy(from.join("origin"), to.join("origin")).unwrap();
    fs::copy(rulebook(from), rulebook(to)).unwrap();
}

/// Where the rulebook in force lies.
fn rulebook(dir: &Path) -> PathBuf {
    dir.join(format!("rulebooks/{POLICY_HASH}.json"))
}
