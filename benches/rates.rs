//! Rates of the ledger against their bounds: one line each, `name figure bound verdict`.
//!
//! `cargo bench --bench rates`; `RATES_SECONDS` is the length of the sustained run (30 by default),
//! `RATES_MILLIONS` how many million records the flat run has (10), `RATES_ONLY` names the rows that are
//! wanted, with commas (all). "Without sync" means a memory
//! file system, where a sync costs nothing. Closed segments are deleted as the runs go on.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod lines;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lines::{EVENT, Event, RING, encode, feed, source, start};
use tempfile::TempDir;
use tidegate::ledger::{Chain, Lane, Ledger, SyncMode, Verdict, VerifyOptions, ring, verify_with};

const MINUTE: Duration = Duration::from_secs(60);
/// Every figure is the best of so many runs: a shared machine only ever makes things slower.
const RUNS: usize = 3;

/// A figure, and the bound that it must keep.
struct Row {
    name: &'static str,
    figure: String,
    bound: String,
    pass: bool,
}

/// What makes a row.
type Measure = fn() -> Row;

fn at_least(name: &'static str, found: f64, least: f64, unit: &str, more: &str) -> Row {
    Row {
        name,
        figure: format!("{found:.0} {unit}{more}"),
        bound: format!("at least {least} {unit}"),
        pass: found >= least,
    }
}

fn at_most(name: &'static str, found: f64, most: f64, unit: &str, more: &str) -> Row {
    Row {
        name,
        figure: format!("{found:.2} {unit}{more}"),
        bound: format!("at most {most} {unit}"),
        pass: found <= most,
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Processor time of a thread of this process, by its name.
fn cpu_of(thread: &str) -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let paths = tasks.map(|task| task.unwrap().path());
    let named = paths.filter(|path| {
        fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == thread)
    });
    let ns = named.map(|path| {
        let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        text.split(' ')
            .next()
            .and_then(|ns| ns.parse::<u64>().ok())
            .unwrap_or(0)
    });
    Duration::from_nanos(ns.sum())
}

/// Processor time of this thread.
fn thread_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn folder_in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
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
    segments
        .iter()
        .for_each(|path| fs::remove_file(path).unwrap());
    bytes
}

/// Nanoseconds of taking a number and pushing an event, median of full rings.
fn push() -> Row {
    let (mut producer, mut consumer) = ring::<Event>(source(0), RING);
    let mut rounds: Vec<f64> = (0..300)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..RING / 2 {
                let n = producer.next_number();
                producer.push(Lane::Ordinary, Some(n), Event { n, ..EVENT });
            }
            let ns = began.elapsed().as_nanos() as f64 / (RING / 2) as f64;
            while consumer.pop().is_some() {}
            ns
        })
        .collect();
    assert_eq!(producer.lost(), 0);
    rounds.sort_unstable_by(f64::total_cmp);
    at_most("push_ns", rounds[rounds.len() / 2], 30.0, "ns", "")
}

/// Nanoseconds of a line of the usual size, linked and hashed: of the thread's processor time.
fn line_and_hash() -> Row {
    const LINES: u64 = 200_000;
    let (mut chain, mut out) = (Chain::genesis(), Vec::with_capacity(1 << 20));
    let best = (0..RUNS)
        .map(|_| {
            let began = thread_cpu();
            for n in 0..LINES {
                if out.len() > 128 * 1024 {
                    out.clear();
                }
                let event = Event { n, ..EVENT };
                chain.append(&mut out, |entry| {
                    encode(entry, source(0), black_box(&event));
                });
            }
            (thread_cpu() - began).as_nanos() as f64 / LINES as f64
        })
        .fold(f64::INFINITY, f64::min);
    at_most(
        "line_and_hash_ns",
        best,
        1_200.0,
        "ns",
        " of processor time",
    )
}

/// One run of a writer: records per second by the clock and by the writer's own processor time.
struct Run {
    per_second: f64,
    per_cpu_second: f64,
    bytes: u64,
    records: u64,
}

fn run(dir: &Path, seconds: u64) -> Run {
    let (ledger, mut producer) = start(dir, SyncMode::Interval(Duration::from_millis(100)));
    let (began, cpu, mut bytes) = (Instant::now(), cpu_of("ledger-writer"), 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        feed(&ledger, &mut producer, 65_536);
        bytes += remove_closed(dir);
    }
    ledger.flush(MINUTE).unwrap();
    let (spent, cpu) = (began.elapsed(), cpu_of("ledger-writer") - cpu);
    let records = producer.made();
    assert_eq!(
        producer.lost(),
        0,
        "the writer did not keep up with its own ring"
    );
    drop(producer);
    ledger.close().unwrap();
    bytes += left(dir);
    Run {
        per_second: records as f64 / spent.as_secs_f64(),
        per_cpu_second: records as f64 / cpu.as_secs_f64(),
        bytes,
        records,
    }
}

fn left(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .map(|path| fs::metadata(path).unwrap().len())
        .sum()
}

fn without_sync() -> Row {
    let runs = (0..RUNS).map(|_| run(folder_in_memory().path(), 3));
    let best = runs
        .max_by(|a, b| a.per_cpu_second.total_cmp(&b.per_cpu_second))
        .unwrap();
    let more = format!(
        " of the writer's processor time ({:.0}/s by the clock, {} bytes each)",
        best.per_second,
        best.bytes / best.records,
    );
    at_least(
        "writer_without_sync",
        best.per_cpu_second,
        700_000.0,
        "records/s",
        &more,
    )
}

fn with_sync() -> Row {
    let seconds = number("RATES_SECONDS", 30);
    let run = run(tempfile::tempdir().unwrap().path(), seconds);
    let more = format!(
        " for {seconds} s, {} MiB/s, all durable ({:.0}/s of the writer's processor time)",
        (run.per_second * (run.bytes / run.records) as f64) as u64 >> 20,
        run.per_cpu_second,
    );
    at_least(
        "writer_with_sync",
        run.per_second,
        300_000.0,
        "records/s",
        &more,
    )
}

/// R264: processor time per record of the first and of the last million.
fn flat() -> Row {
    let millions = number("RATES_MILLIONS", 10);
    let dir = folder_in_memory();
    let (ledger, mut producer) = start(dir.path(), SyncMode::Interval(Duration::from_millis(100)));
    let costs: Vec<f64> = (0..millions)
        .map(|_| {
            let cpu = cpu_of("ledger-writer");
            for _ in 0..16 {
                feed(&ledger, &mut producer, 62_500);
                remove_closed(dir.path());
            }
            ledger.flush(MINUTE).unwrap();
            (cpu_of("ledger-writer") - cpu).as_nanos() as f64 / 1_000_000.0
        })
        .collect();
    drop(producer);
    ledger.close().unwrap();
    let (first, last) = (costs[0], costs[costs.len() - 1]);
    let more = format!(" (first million {first:.0} ns each, million {millions} {last:.0} ns each)");
    at_most("flat_cost_ratio", last / first, 1.15, "times", &more)
}

/// R088: from the call to durable, one record at a time, in mode `group`.
fn durable() -> Row {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, mut producer) = start(dir.path(), SyncMode::Group);
    let mut times: Vec<f64> = (0..2_000)
        .map(|_| {
            feed(&ledger, &mut producer, 1);
            let began = Instant::now();
            ledger.flush(MINUTE).unwrap();
            began.elapsed().as_micros() as f64 / 1e3
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    let more = format!(" (median {:.2} ms)", times[1_000]);
    at_most("durable_group_p99", times[1_980], 5.0, "ms", &more)
}

/// A signed ledger of some hundred thousand records.
fn written(dir: &Path, decisions: u64) -> Ledger {
    let (ledger, mut producer) = start(dir, SyncMode::Interval(Duration::from_millis(100)));
    feed(&ledger, &mut producer, decisions);
    drop(producer);
    ledger.close().unwrap();
    ledger
}

fn verified() -> Row {
    let dir = folder_in_memory();
    let records = written(dir.path(), 400_000).snapshot().records;
    let options = VerifyOptions {
        threads: 1,
        ..VerifyOptions::default()
    };
    let best = (0..RUNS)
        .map(|_| {
            let began = process_cpu();
            let report = verify_with(dir.path(), &options).unwrap();
            assert_eq!(report.verdict, Verdict::Intact);
            assert_eq!(report.records, records);
            records as f64 / (process_cpu() - began).as_secs_f64()
        })
        .fold(0.0, f64::max);
    let more = " of processor time, heads and tree checked";
    at_least("verify_per_core", best, 400_000.0, "records/s", more)
}

/// Processor time of the whole process, in ticks of 10 ms: fields 14 and 15 of /proc/self/stat.
fn process_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn main() -> ExitCode {
    println!("{:<22} {:<60} {:<28} verdict", "rate", "figure", "bound");
    let mut pass = true;
    let only = std::env::var("RATES_ONLY").ok();
    let rows: [(&str, Measure); 7] = [
        ("push_ns", push),
        ("line_and_hash_ns", line_and_hash),
        ("writer_without_sync", without_sync),
        ("writer_with_sync", with_sync),
        ("flat_cost_ratio", flat),
        ("durable_group_p99", durable),
        ("verify_per_core", verified),
    ];
    let wanted = |name: &str| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|row| row == name))
    };
    for (_, row) in rows.into_iter().filter(|(name, _)| wanted(name)) {
        let Row {
            name,
            figure,
            bound,
            pass: kept,
        } = row();
        let verdict = if kept { "pass" } else { "FALLS SHORT" };
        println!("{name:<22} {figure:<60} {bound:<28} {verdict}");
        pass &= kept;
    }
    if pass {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
