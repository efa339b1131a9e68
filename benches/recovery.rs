//! How long a start takes to find the end of a ledger whose newest segment holds 256 MiB.
//!
//! `cargo bench --bench recovery`; the bound is 2 s. The segment is copied for each start, because
//! a start appends to it. Deletes what it wrote.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate::ledger::{
    BootId, Chain, Checkpoint, EntryBuilder, Frontier, Ledger, LedgerKey, OpenFacts, Settings,
    Source, ring,
};

const TAIL_BYTES: usize = 256 << 20;
const ROUNDS: usize = 5;
/// The rulebook in force, and its SHA-256.
const RULEBOOK: &[u8] = b"{}";
const POLICY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const INSTANCE: &str = "gateway-1";

fn key() -> LedgerKey {
    LedgerKey::from_seed([1; 32])
}

fn facts(boot: u32) -> OpenFacts {
    OpenFacts {
        boot: BootId::from_u32(boot),
        instance: INSTANCE.to_owned(),
        version: "0".to_owned(),
        policy_hash: POLICY_HASH.to_owned(),
        client_key_id: None,
        bundle: None,
    }
}

fn start(dir: &Path, boot: u32) -> Ledger {
    let source = Source {
        boot: BootId::from_u32(boot),
        worker: 0,
    };
    let (_, consumer) = ring::<u64>(source, 8);
    let settings = Settings::new(dir).signed_by(key());
    Ledger::start(
        &settings,
        &facts(boot),
        RULEBOOK,
        vec![consumer],
        |_: &mut EntryBuilder<'_>, _: Source, _: &u64| {},
    )
    .unwrap()
}

/// A decision line of the usual size.
fn line(chain: &mut Chain, out: &mut Vec<u8>, n: u64) {
    let shape = "x".repeat(100);
    chain.append(out, |entry| {
        entry.uint("abuse_bp", 12);
        entry.names("actions_taken", ["log", "report"]);
        entry.text("client", "0123456789abcdef");
        entry.text("contract_id", "deploy_get_v1");
        entry.text("decision", "ALLOW");
        entry.text("decision_id", &format!("0000000100{n:012x}"));
        entry.uint("distress_bp", 40);
        entry.text("endpoint_key", "GET /api/v1/deployments/{id}");
        entry.counts("factors", [("error_rate", 12), ("latency", 34)]);
        entry.uints("inputs", 100_000..100_024);
        entry.text("instance", INSTANCE);
        entry.text("kind", "decision");
        entry.uint("latency_us", 1_234);
        entry.text("method", "GET");
        entry.uint("n", n);
        entry.text("outcome", "done");
        entry.text("phase", "enforce");
        entry.text("policy_hash", POLICY_HASH);
        entry.names("reason_codes", ["LOW_RISK_SCORE"]);
        entry.uint("risk_bp", 77);
        entry.uint("status", 200);
        entry.text("tier", "OBSERVE_ONLY");
        entry.uint("ts_us", 1_700_000_000_000_000 + n);
        entry.text("unmatched_shape", &shape);
        entry.uint("worker", 0);
    });
}

/// Appends 256 MiB to a new ledger and signs a head over half of it.
fn fill(dir: &Path) -> u64 {
    start(dir, 1).close().unwrap();
    let segment = dir.join("seg-0000000000000000.jsonl");
    let mut bytes = fs::read(&segment).unwrap();
    // The chain so far, from the lines themselves.
    let mut tree = Frontier::new();
    let mut chain = Chain::genesis();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let digits: [u8; 64] = line[line.len() - 67..line.len() - 3].try_into().unwrap();
        let mut leaf = [0; 32];
        hex::decode_to_slice(digits, &mut leaf).unwrap();
        tree.push(leaf);
        chain = Chain::resume(tree.size(), digits);
    }
    let mut signed = None;
    let mut n = 0;
    while bytes.len() < TAIL_BYTES {
        line(&mut chain, &mut bytes, n);
        n += 1;
        let mut leaf = [0; 32];
        hex::decode_to_slice(chain.head(), &mut leaf).unwrap();
        tree.push(leaf);
        if signed.is_none() && bytes.len() > TAIL_BYTES / 2 {
            signed = Some((tree.size(), tree.root()));
        }
    }
    fs::write(&segment, &bytes).unwrap();
    let (size, root) = signed.unwrap();
    let origin = fs::read_to_string(dir.join("origin")).unwrap();
    let origin = origin.trim().to_owned();
    let note = key().sign(&Checkpoint { origin, size, root }).unwrap();
    fs::write(dir.join("checkpoint"), note.to_text()).unwrap();
    chain.next_seq()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// Processor time of this thread, which does all of a start: busy neighbours do not count.
fn cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    fs::create_dir_all(&whole).unwrap();
    let records = fill(&whole);
    let bytes = fs::metadata(whole.join("seg-0000000000000000.jsonl"))
        .unwrap()
        .len();
    println!(
        "tail: {bytes} bytes, {records} records, {} bytes each",
        bytes / records
    );
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            let here = dir.path().join("copy");
            copy(&whole, &here);
            let (began, cpu) = (Instant::now(), cpu_ns());
            let ledger = start(&here, 2);
            let (took, cpu) = (began.elapsed(), cpu_ns() - cpu);
            assert_eq!(ledger.recovered().records, records);
            ledger.close().unwrap();
            fs::remove_dir_all(here).unwrap();
            let (took_ms, cpu_ms) = (took.as_millis(), cpu / 1_000_000);
            println!("start {round}: {took_ms} ms, of these {cpu_ms} ms of processor time");
            took
        })
        .collect();
    times.sort();
    let median = times[ROUNDS / 2];
    println!(
        "median {} ms, {} records/s; bound 2000 ms",
        median.as_millis(),
        u128::from(records) * 1_000 / median.as_millis().max(1)
    );
}
