//! What the ledger costs: on the worker (push), on the writer (line, hash, tree, write), end to
//! end, and in the verifier. What needs longer runs is in `rates`.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod lines;

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lines::{EVENT, Event, RING, encode, feed, source, start};
use tidegate::ledger::{
    Chain, Frontier, Lane, LogTree, SyncMode, TreeBuilder, Verdict, ring, verify,
};

/// What the writer hands to the system at once, and a segment's usual size.
const GROUP_BYTES: usize = 128 * 1024;
const SEGMENT_BYTES: u64 = 256 << 20;

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

criterion_group!(benches, push, line, throughput);
criterion_main!(benches);
