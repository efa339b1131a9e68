//! Matching: how long one request takes to find its contract, and how long a catalogue takes
//! to build, at 10 to 100,000 contracts; a radix tree (matchit) for comparison.
//!
//! Every path is different and the order is shuffled, so that at 100,000 contracts the caches
//! miss as they would under real traffic; `hot` asks for 64 paths only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a benchmark may fail"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tidegate::contract::{
    CanonicalPath, Catalogue, Contract, ContractId, ContractParts, Method, MethodSet, Terms,
    canonicalise,
};

const SIZES: [usize; 4] = [10, 1_000, 10_000, 100_000];

fn template(number: usize) -> String {
    let (service, resource) = (number % 97, number / 97);
    let end = match number % 4 {
        0 => "/{id}",
        1 => "",
        2 => "/{id}/items",
        _ => "/{id}/items/{item}",
    };
    format!("/api/v1/svc{service}/res{resource}{end}")
}

fn contract(number: usize) -> Contract {
    let id = ContractId::new(&format!("c{number}")).expect("a valid id");
    let endpoint = format!("GET {}", template(number));
    let methods = MethodSet::EMPTY.with(Method::Get);
    Contract::new(ContractParts::new(id, &endpoint, methods, Terms::default()))
}

fn catalogue(size: usize) -> Catalogue {
    Catalogue::build((0..size).map(contract).collect()).expect("no collision")
}

/// One path of each template, in an order that no cache foresees.
fn paths(size: usize) -> Vec<String> {
    let fill = |t: String| t.replace("{id}", "abc123").replace("{item}", "77");
    let mut paths: Vec<String> = (0..size).map(|n| fill(template(n))).collect();
    let mut state = 12_345_u64;
    for last in (1..paths.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        paths.swap(last, (state >> 33) as usize % (last + 1));
    }
    // Copied in their new order: a path that a gateway matches has just been read, so it is the
    // catalogue that must miss the caches and not the path.
    paths.iter().map(|path| path.as_str().to_owned()).collect()
}

fn canonical(paths: &[String]) -> Vec<CanonicalPath<'_>> {
    let paths = paths.iter();
    paths
        .map(|path| canonicalise(path.as_bytes()).expect("a canonical path"))
        .collect()
}

fn pair(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pair");
    for size in SIZES {
        let catalogue = catalogue(size);
        let paths = paths(size);
        let canonical = canonical(&paths);
        let mut next = canonical.iter().cycle();
        group.bench_function(format!("{size}"), |bencher| {
            bencher.iter(|| {
                next.next()
                    .map(|path| catalogue.pair(Method::Get, path.as_bytes(), Ok(black_box(path))))
            });
        });
        let mut next = canonical.iter().take(64).cycle();
        group.bench_function(format!("{size} hot"), |bencher| {
            bencher.iter(|| {
                next.next()
                    .map(|path| catalogue.pair(Method::Get, path.as_bytes(), Ok(black_box(path))))
            });
        });
        let mut router = matchit::Router::new();
        for number in 0..size {
            router
                .insert(template(number), number)
                .expect("no conflict");
        }
        let mut next = paths.iter().cycle();
        group.bench_function(format!("{size} radix tree"), |bencher| {
            bencher.iter(|| {
                next.next()
                    .map(|path| router.at(black_box(path)).map(|m| *m.value))
            });
        });
    }
    group.finish();
}

fn canonicalising(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("canonicalise");
    for (name, path) in [
        ("as sent", "/api/v1/svc42/res1023/abc123/items/77"),
        ("with escapes", "/api/v1/svc42/caf%c3%a9/%61bc123/items"),
        ("refused", "/api/v1/svc42/%2e%2e/abc123"),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| canonicalise(black_box(path.as_bytes())).is_ok());
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("folded view");
    let catalogue = catalogue(1_000);
    for (name, path) in [
        ("unknown", "/nobody/knows/this/path"),
        ("other spelling", "/API/v1//svc42/%52es1023/abc123;v=1/"),
    ] {
        let canonical = canonicalise(path.as_bytes());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let path = black_box(path.as_bytes());
                catalogue.pair(
                    Method::Get,
                    path,
                    canonical.as_ref().map_err(|fault| *fault),
                )
            });
        });
    }
    group.finish();
}

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    for size in SIZES {
        let contracts: Vec<Contract> = (0..size).map(contract).collect();
        group.bench_function(format!("{size}"), |bencher| {
            let setup = || contracts.clone();
            bencher.iter_batched(setup, Catalogue::build, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, pair, canonicalising, build);
criterion_main!(benches);
