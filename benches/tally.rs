//! What counting costs a worker: the bar is 8 ns an addition.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate::telemetry::{Family, Key, Tally};

const SERIES_MAX: usize = 50_000;

fn add(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tally");
    group.throughput(Throughput::Elements(1));
    // 16 series are what a worker touches over and over; 10,000 spread over the whole table.
    for series in [16, 1_000, 10_000] {
        let (_, writer) = Tally::new(SERIES_MAX);
        let mut number = 0_u32;
        group.bench_function(format!("add, {series} series"), |bencher| {
            bencher.iter(|| {
                number = if number + 1 < series { number + 1 } else { 0 };
                writer.add(black_box(Key::of(Family::Request, number).a(2)), 1);
            });
        });
    }
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let (tally, writer) = Tally::new(SERIES_MAX);
    for route in 0..SERIES_MAX as u32 / 2 {
        writer.add(Key::of(Family::Request, route), 1);
    }
    criterion.bench_function("tally/read 25,000 series", |bencher| {
        bencher.iter(|| tally.read().map(|(_, count)| count).sum::<u64>());
    });
}

criterion_group!(benches, add, read);
criterion_main!(benches);
