//! The decision path: what one request costs on the worker and on the ledger's writer.
//!
//! The ids stand in benches/figures.tsv with their goals; `make figures` prints both.

#![allow(missing_docs, clippy::indexing_slicing, clippy::unwrap_used)]

mod scene;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use tidegate::contract::{Method, Terms, canonicalise};
use tidegate::gateway::head_len;
use tidegate::gateway::settings::Limits;
use tidegate::ledger::{BootId, Chain, Lane, Source, entry_hash, ring};
use tidegate::observation::{BurnPair, Lateness, RetryKind, Share, Signals, Standing};
use tidegate::pipeline;
use tidegate::policy::rules::Rules;
use tidegate::record::{Encoder, Event};
use tidegate::risk::assess;
use tidegate::units::{FACTOR_COUNT, FactorSet, Tier};

const BATCH: u64 = 4_096;

/// Times `BATCH` calls at a time; `between` tidies up untimed.
fn batches<S>(
    bencher: &mut Bencher<'_>,
    state: &mut S,
    mut call: impl FnMut(&mut S, u64),
    mut between: impl FnMut(&mut S),
) {
    let mut number = 0;
    bencher.iter_custom(|count| {
        let (mut spent, mut left) = (Duration::ZERO, count);
        while left > 0 {
            let turn = left.min(BATCH);
            let began = Instant::now();
            for _ in 0..turn {
                call(state, number);
                number += 1;
            }
            spent += began.elapsed();
            between(state);
            left -= turn;
        }
        spent
    });
}

fn admit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit");
    let busy: Vec<String> = scene::paths()
        .into_iter()
        .take(scene::BUSY_ROUTES)
        .collect();
    let unknown = vec!["/api/v2/nobody/knows/this".to_owned()];
    let failing = vec![scene::failing_path()];
    for (name, tier, method, paths) in [
        ("observe", Tier::ObserveOnly, Method::Get, &busy),
        ("control", Tier::Control, Method::Get, &busy),
        ("unknown_path", Tier::Control, Method::Get, &unknown),
        ("wrong_method", Tier::Control, Method::Delete, &busy),
        ("distressed", Tier::Control, Method::Get, &failing),
    ] {
        let registry = scene::registry(tier);
        let rulebook = registry.active().load_full();
        let mut paths = paths.iter().cycle();
        group.bench_function(name, |bencher| {
            let call = |_: &mut (), number| {
                let path = paths.next().unwrap();
                let arrival = scene::arrival(number);
                black_box(scene::admit(&rulebook, method, black_box(path), &arrival));
            };
            batches(bencher, &mut (), call, |()| ());
        });
    }
    group.finish();
}

fn complete(criterion: &mut Criterion) {
    let registry = scene::registry(Tier::Control);
    let rulebook = registry.active().load_full();
    let paths = scene::paths();
    let admissions: Vec<_> = (0..scene::BUSY_ROUTES)
        .map(|n| scene::admit(&rulebook, Method::Get, &paths[n], &scene::arrival(n as u64)))
        .collect();
    let completion = scene::answered(scene::at(0), 200);
    let mut next = admissions.iter().cycle();
    criterion.bench_function("complete", |bencher| {
        bencher.iter(|| {
            let admission = next.next().unwrap();
            pipeline::complete(
                &rulebook,
                0,
                black_box(admission),
                Lateness::InTime,
                black_box(&completion),
            );
        });
    });
}

fn desk(criterion: &mut Criterion) {
    for (name, tier) in [("observe", Tier::ObserveOnly), ("control", Tier::Control)] {
        let mut office = scene::office(tier);
        criterion.bench_function(&format!("desk_whole_request_{name}"), |bencher| {
            batches(
                bencher,
                &mut office,
                |office, number| office.serve(number),
                scene::Office::empty_ring,
            );
        });
    }
}

fn push(criterion: &mut Criterion) {
    let event = scene::office(Tier::ObserveOnly).event();
    println!("event: {} bytes", size_of::<Event>());
    let source = Source {
        boot: BootId::from_u32(1),
        worker: 0,
    };
    let mut state = ring::<Event>(source, scene::RING_EVENTS);
    criterion.bench_function("ring_push", |bencher| {
        let call = |state: &mut (_, _), _| {
            let (producer, _): &mut (tidegate::ledger::Producer<Event>, _) = state;
            let number = producer.next_number();
            black_box(producer.push(Lane::Ordinary, Some(number), *black_box(&event)));
        };
        batches(
            bencher,
            &mut state,
            call,
            |(_, consumer)| {
                while consumer.pop().is_some() {}
            },
        );
    });
    assert_eq!(state.0.lost(), 0);
}

fn line(criterion: &mut Criterion) {
    let mut office = scene::office(Tier::ObserveOnly);
    let event = office.event();
    let mut encoder = Encoder::new(Arc::clone(&office.registry), "gateway-1");
    let mut chain = Chain::genesis();
    let mut out = Vec::with_capacity(1 << 20);
    chain.append(&mut out, |line| encoder.encode(line, 1, 0, &event));
    println!("line: {} bytes", out.len());
    let entry = out.clone();
    criterion.bench_function("line_and_hash", |bencher| {
        bencher.iter(|| {
            if out.len() > 128 * 1024 {
                out.clear();
            }
            chain.append(&mut out, |line| {
                encoder.encode(line, 1, 0, black_box(&event));
            })
        });
    });
    criterion.bench_function("hash_alone", |bencher| {
        bencher.iter(|| entry_hash(black_box(&entry)));
    });
}

/// Every factor known and reading something.
fn troubled() -> Signals {
    let share = Share {
        part: 333,
        whole: 1_000,
    };
    let burning = BurnPair {
        short: share,
        long: share,
    };
    let mut signals = Signals {
        standing: Standing::MethodNotAllowed,
        known: FactorSet::from_bits((1 << FACTOR_COUNT) - 1),
        slow: share,
        failed: share,
        in_flight: 90,
        retry: RetryKind::Declared,
        retries: share,
        burn: [burning; 3],
        client_over: true,
        client_refusals: 7,
        ..Signals::default()
    };
    signals.regression.p95_us = 900_000;
    signals.regression.baseline_us = 400_000;
    signals.traffic.offered = 5_000;
    signals.traffic.mean_1024 = 1_024_000;
    signals.traffic.variance_1024 = 1_024_000;
    signals
}

fn scoring(criterion: &mut Criterion) {
    // R262
    let terms = Terms {
        max_in_flight: std::num::NonZeroU32::new(100),
        client_rate_limit: tidegate::units::PerMinute::new(60),
        ..Terms::default()
    };
    let (rules, signals) = (Rules::default(), troubled());
    criterion.bench_function("assess_all_factors", |bencher| {
        bencher.iter(|| assess(&rules, Some(&terms), black_box(&signals)));
    });
}

fn matching(criterion: &mut Criterion) {
    // R260, R261
    let registry = scene::registry(Tier::ObserveOnly);
    let rulebook = registry.active().load_full();
    let paths = scene::paths();
    for (name, segments) in [("match_exact", 4), ("match_three_parameters", 9)] {
        let paths: Vec<_> = paths
            .iter()
            .filter(|path| path.matches('/').count() == segments)
            .map(|path| canonicalise(path.as_bytes()).unwrap())
            .collect();
        assert!(paths.len() > 100, "{name}");
        let mut next = paths.iter().cycle();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let path = next.next().unwrap();
                let path = black_box(path);
                let catalogue = rulebook.catalogue();
                catalogue.pair(Method::Get, path.as_bytes(), Ok(path))
            });
        });
    }
}

fn one_view(criterion: &mut Criterion) {
    // R020: what reads a request strictly, before anything is asked about it.
    let limits = Limits::default();
    let path = b"/api/v1/orders/12345";
    criterion.bench_function("head_and_path", |bencher| {
        bencher.iter(|| {
            let len = head_len(black_box(scene::BROWSER_HEAD), &limits).unwrap();
            (len, canonicalise(black_box(path)).unwrap())
        });
    });
}

criterion_group!(
    benches, admit, complete, desk, push, line, scoring, matching, one_view
);
criterion_main!(benches);
