//! What the ledger costs: on the worker (push), on the writer (line and chain), end to end, and
//! in the verifier.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate::ledger::{
    BootId, Chain, EntryBuilder, Lane, Ledger, OpenFacts, Producer, Settings, Source, Verdict,
    ring, verify,
};

/// The rulebook that the records name, and its SHA-256.
const RULEBOOK: &[u8] = b"{}";
const POLICY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
/// Events that the ring holds.
const RING: usize = 1 << 13;

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
            if out.len() > 128 * 1024 {
                out.clear();
            }
            chain.append(&mut out, |entry| {
                encode(entry, source(0), black_box(&EVENT))
            })
        });
    });
    let entry = out.get(..900).unwrap().to_vec();
    group.bench_function("hash of 900 bytes", |bench| {
        bench.iter(|| tidegate::ledger::entry_hash(black_box(&entry)));
    });
    group.finish();
}

fn start(dir: &Path, interval: Duration) -> (Ledger, Producer<Event>) {
    let (producer, consumer) = ring::<Event>(source(0), RING);
    let facts = OpenFacts {
        boot: source(0).boot,
        instance: "gateway-1".to_owned(),
        version: "0".to_owned(),
        policy_hash: POLICY_HASH.to_owned(),
        client_key_id: None,
    };
    let settings = Settings::new(dir).sync_interval(interval);
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
        let (ledger, mut producer) = start(dir.path(), interval);
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
    let (ledger, mut producer) = start(dir.path(), minute);
    feed(&ledger, &mut producer, 100_000);
    drop(producer);
    ledger.close().unwrap();
    group.throughput(Throughput::Elements(100_002));
    group.bench_function("verify, 100,002 records", |bench| {
        bench.iter(|| assert_eq!(verify(dir.path()).unwrap().verdict, Verdict::Intact));
    });
    group.finish();
}

criterion_group!(benches, push, line, throughput);
criterion_main!(benches);
