//! What the ledger costs: on the worker (push), on the writer (line, hash, tree, write), end to
//! end, and in the verifier. The sustained runs last `LEDGER_SECONDS` each (default 3) and delete
//! their closed segments as they go.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate::ledger::{
    BootId, Chain, EntryBuilder, Frontier, Lane, Ledger, LedgerKey, LogTree, OpenFacts, Producer,
    Settings, Source, SyncMode, TreeBuilder, Verdict, ring, verify,
};

/// The rulebook that the records name, and its SHA-256.
const RULEBOOK: &[u8] = b"{}";
const POLICY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
/// Events that the ring holds.
const RING: usize = 1 << 13;
/// What the writer hands to the system at once, and a segment's usual size.
const GROUP_BYTES: usize = 128 * 1024;
const SEGMENT_BYTES: u64 = 256 << 20;

/// As large as the event of a real decision.
#[derive(Clone, Copy)]
struct Event {
    n: u64,
    numbers: [u64; 70],
    text: [u8; 128],
}

const EVENT: Event = Event {
    n: 0,
    numbers: [123_456; 70],
    text: [b'a'; 128],
};

fn source(worker: u8) -> Source {
    Source {
        boot: BootId::from_u32(1),
        worker,
    }
}

/// A decision line of the usual size, about 900 bytes, with the usual types of member.
fn encode(entry: &mut EntryBuilder<'_>, source: Source, event: &Event) {
    let [a, b, c, ..] = event.numbers;
    let mut id = [0_u8; 22];
    hex::encode_to_slice(source.boot.as_u32().to_be_bytes(), &mut id[..8]).unwrap();
    hex::encode_to_slice([source.worker], &mut id[8..10]).unwrap();
    hex::encode_to_slice(&event.n.to_be_bytes()[2..], &mut id[10..]).unwrap();
    entry.uint("abuse_bp", a);
    entry.names("actions_taken", ["log", "report"]);
    entry.names("allowed_actions", ["log", "propose", "report"]);
    entry.text("circuit", "closed");
    entry.text("client", "0123456789abcdef");
    entry.text("contract_id", "deploy_get_v1");
    entry.text("decision", "ALLOW");
    entry.bytes("decision_id", &id);
    entry.uint("distress_bp", b);
    entry.text("endpoint_key", "GET /api/v1/deployments/{id}");
    entry.counts("factors", [("error_rate", a), ("latency", b)]);
    entry.uints("inputs", event.numbers.into_iter().take(24));
    entry.text("instance", "gateway-1");
    entry.text("kind", "decision");
    entry.uint("latency_us", c);
    entry.text("method", "GET");
    entry.uint("n", event.n);
    entry.text("outcome", "done");
    entry.text("phase", "enforce");
    entry.text("policy_hash", POLICY_HASH);
    entry.names("reason_codes", ["LOW_RISK_SCORE"]);
    entry.uint("risk_bp", a);
    entry.uint("status", 200);
    entry.text("tier", "OBSERVE_ONLY");
    entry.bytes("trace_id", &event.text[..32]);
    entry.uint("ts_us", 1_700_000_000_000_000 + event.n);
    entry.uint("upstream_status", 200);
    entry.uint("worker", u64::from(source.worker));
}

fn push(criterion: &mut Criterion) {
    println!("event: {} bytes", size_of::<Event>());
    let (mut producer, mut consumer) = ring::<Event>(source(0), RING);
    let mut event = EVENT;
    criterion.bench_function("ring push, event of ~700 bytes", |bench| {
        bench.iter_custom(|count| {
            let mut spent = Duration::ZERO;
            let mut left = count;
            while left > 0 {
                let turn = left.min(RING as u64);
                let began = Instant::now();
                for _ in 0..turn {
                    event.n = producer.next_number();
                    black_box(producer.push(Lane::Ordinary, Some(event.n), *black_box(&event)));
                }
                spent += began.elapsed();
                while consumer.pop().is_some() {}
                left -= turn;
            }
            spent
        });
    });
    assert_eq!(producer.lost(), 0);
}

fn line(criterion: &mut Criterion) {
    let mut chain = Chain::genesis();
    let mut out = Vec::with_capacity(1 << 20);
    chain.append(&mut out, |entry| encode(entry, source(0), &EVENT));
    println!("line: {} bytes", out.len());
    let mut group = criterion.benchmark_group("writer");
    group.throughput(Throughput::Elements(1));
    group.bench_function("line + chain", |bench| {
        bench.iter(|| {
            if out.len() > GROUP_BYTES {
                out.clear();
            }
            chain.append(&mut out, |entry| {
                encode(entry, source(0), black_box(&EVENT))
            })
        });
    });
    let mut tree = LogTree::new(Frontier::new(), TreeBuilder::new(0));
    group.bench_function("line + chain + tree", |bench| {
        bench.iter(|| {
            if out.len() > GROUP_BYTES {
                out.clear();
            }
            let leaf = chain.append(&mut out, |entry| {
                encode(entry, source(0), black_box(&EVENT))
            });
            tree.push(leaf);
        });
    });
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::create(dir.path().join("lines")).unwrap();
    let mut written = 0;
    group.bench_function("line + chain + tree + write, no sync", |bench| {
        bench.iter(|| {
            if out.len() > GROUP_BYTES {
                file.write_all(&out).unwrap();
                written += out.len() as u64;
                out.clear();
                if written > SEGMENT_BYTES {
                    file = File::create(dir.path().join("lines")).unwrap();
                    written = 0;
                }
            }
            let leaf = chain.append(&mut out, |entry| {
                encode(entry, source(0), black_box(&EVENT))
            });
            tree.push(leaf);
        });
    });
    let mut entry = Vec::new();
    chain.append(&mut entry, |line| encode(line, source(0), &EVENT));
    entry.truncate(900);
    group.bench_function("hash of 900 bytes", |bench| {
        bench.iter(|| tidegate::ledger::entry_hash(black_box(&entry)));
    });
    group.finish();
}

fn start(dir: &Path, mode: SyncMode) -> (Ledger, Producer<Event>) {
    let (producer, consumer) = ring::<Event>(source(0), RING);
    let facts = OpenFacts {
        boot: source(0).boot,
        instance: "gateway-1".to_owned(),
        version: "0".to_owned(),
        policy_hash: POLICY_HASH.to_owned(),
        client_key_id: None,
    };
    let settings = Settings::new(dir)
        .sync(mode)
        .signed_by(LedgerKey::from_seed([1; 32]));
    let ledger = Ledger::start(&settings, &facts, RULEBOOK, vec![consumer], encode).unwrap();
    (ledger, producer)
}

/// Pushes `count` events as fast as the writer takes them.
fn feed(ledger: &Ledger, producer: &mut Producer<Event>, count: u64) {
    for _ in 0..count {
        if producer.made().is_multiple_of(1_024) {
            while ledger.snapshot().queued > RING as u64 - 2_048 {
                std::thread::yield_now();
            }
        }
        let n = producer.next_number();
        producer.push(Lane::Ordinary, Some(n), Event { n, ..EVENT });
    }
}

fn throughput(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    let minute = Duration::from_secs(60);
    for (name, interval) in [
        (
            "ring to file, sync every 100 ms",
            Duration::from_millis(100),
        ),
        ("ring to file, sync by volume only", minute),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, mut producer) = start(dir.path(), SyncMode::Interval(interval));
        group.bench_function(name, |bench| {
            bench.iter_custom(|count| {
                let began = Instant::now();
                feed(&ledger, &mut producer, count);
                ledger.flush(minute).unwrap();
                began.elapsed()
            });
        });
        assert_eq!(producer.lost(), 0);
    }
    let dir = tempfile::tempdir().unwrap();
    let (ledger, mut producer) = start(dir.path(), SyncMode::Interval(minute));
    feed(&ledger, &mut producer, 100_000);
    drop(producer);
    ledger.close().unwrap();
    let records = ledger.snapshot().records;
    group.throughput(Throughput::Elements(records));
    group.bench_function("verify, 100,000 decisions", |bench| {
        bench.iter(|| assert_eq!(verify(dir.path()).unwrap().verdict, Verdict::Intact));
    });
    group.finish();
}

/// Removes the segments that have a successor; gives their bytes.
fn remove_closed(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    segments.sort();
    segments.pop();
    let bytes = segments
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    for path in segments {
        fs::remove_file(path).unwrap();
    }
    bytes
}

/// R264: records per second over some time, closed segments removed meanwhile, and whether the last
/// records cost what the first did.
fn sustained(_: &mut Criterion) {
    let seconds = std::env::var("LEDGER_SECONDS").map_or(3, |text| text.parse().unwrap());
    for (name, interval) in [("every 100 ms", 100), ("by volume only", 3_600_000)] {
        let dir = tempfile::tempdir().unwrap();
        let interval = Duration::from_millis(interval);
        let (ledger, mut producer) = start(dir.path(), SyncMode::Interval(interval));
        let (began, mut rates, mut bytes) = (Instant::now(), Vec::new(), 0);
        while began.elapsed() < Duration::from_secs(seconds) {
            let (second, before) = (Instant::now(), producer.made());
            while second.elapsed() < Duration::from_secs(1) {
                feed(&ledger, &mut producer, 8_192);
            }
            rates
                .push((producer.made() - before) * 1_000_000 / second.elapsed().as_micros() as u64);
            bytes += remove_closed(dir.path());
        }
        ledger.flush(Duration::from_secs(60)).unwrap();
        let (spent, made) = (began.elapsed(), producer.made());
        assert_eq!(producer.lost(), 0);
        drop(producer);
        ledger.close().unwrap();
        let records = ledger.snapshot().records;
        bytes += fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "jsonl"))
            .map(|entry| entry.metadata().unwrap().len())
            .sum::<u64>();
        println!(
            "sustained, sync {name}: {} records/s for {} s, durable ({made} records, {} bytes each; \
             first second {}/s, last {}/s)",
            made * 1_000 / spent.as_millis() as u64,
            spent.as_secs(),
            bytes / records,
            rates.first().unwrap(),
            rates.last().unwrap(),
        );
    }
}

/// R088: from the call to durable, one record at a time: in mode `group` and in mode `each`.
fn durable(_: &mut Criterion) {
    for mode in [SyncMode::Group, SyncMode::Each] {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, mut producer) = start(dir.path(), mode);
        let mut times: Vec<_> = (0..2_000)
            .map(|_| {
                feed(&ledger, &mut producer, 1);
                let began = Instant::now();
                ledger.flush(Duration::from_secs(60)).unwrap();
                began.elapsed().as_micros()
            })
            .collect();
        times.sort_unstable();
        println!(
            "written to durable, {mode:?}: p50 {} us, p99 {} us, max {} us",
            times[1_000], times[1_980], times[1_999]
        );
    }
}

criterion_group!(benches, push, line, durable, sustained, throughput);
criterion_main!(benches);
