//! What the gateway costs: memory under hostile paths, CPU per request, benchmarks.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use super::{Context, Verdict};
use crate::process::rss_kib;
use crate::site::{PATIENCE, Setup, Site};
use crate::upstream::Upstream;
use crate::{cpu_ratio, drive};

const GROWTH_KIB_MAX: u64 = 10 * 1024;
const OVERHEAD_PERCENT_MAX: f64 = 12.0;

pub(super) fn unknown_paths(context: &Context) -> anyhow::Result<Verdict> {
    let requests = context.pick(20_000, 1_000_000);
    let upstream = Upstream::start()?;
    let site = Site::prepare(
        &context.folder("memory"),
        &Setup::observing(upstream.address()),
    )?;
    let mut gateway = site.start()?;
    // Pools, rings and buffers reach their size in the warm-up; what grows after it is a leak.
    let mut load = drive::Options::new(site.listen, "unknown", context.pick(10_000, 50_000));
    load.seed = 900;
    drive::run(&load)?;
    let (rss, series) = (rss_kib(gateway.id())?, site.metrics()?.series());
    load.seed = 901;
    load.requests = requests;
    let tally = drive::run(&load)?;
    let (rss_after, series_after) = (rss_kib(gateway.id())?, site.metrics()?.series());
    gateway.stop(PATIENCE)?;
    let growth = rss_after.saturating_sub(rss);
    let pass = growth < GROWTH_KIB_MAX && series_after == series && tally.answers() == requests;
    Ok(Verdict::new(
        pass,
        format!(
            "{} answers; RSS {rss} -> {rss_after} KiB (+{growth}); series {series} -> {series_after}",
            tally.answers()
        ),
    ))
}

pub(super) fn cpu(context: &Context) -> anyhow::Result<Verdict> {
    let options = cpu_ratio::Options {
        rounds: context.pick(1, 7),
        requests: context.pick(20_000, 100_000),
        connections: 64,
        threads: 1,
        contracts: 1000,
        dir: context.folder("cpu"),
    };
    let figures = cpu_ratio::run(&options)?;
    let (median, _, _) = figures.overhead_percent();
    // One short round is noise: at small scale only a gross fault counts.
    let bound = context.pick(100.0, OVERHEAD_PERCENT_MAX);
    Ok(Verdict::new(median <= bound, figures.to_json().to_string()))
}

/// Part of a benchmark's id, and its median in nanoseconds at most.
const BENCHES: &[(&str, f64)] = &[
    ("match/1000", 60.0),
    ("match/100000", 200.0),
    ("admit", 250.0),
    ("complete", 150.0),
    ("ring_push", 30.0),
    ("line_and_hash", 1_200.0),
];

pub(super) fn benches(_: &Context) -> anyhow::Result<Verdict> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let results = Path::new(&target).join("criterion");
    if results.exists() {
        std::fs::remove_dir_all(&results)?;
    }
    let status = Command::new(cargo)
        .args([
            "bench", "--locked", "-p", "tidegate", "--bench", "*", "--", "--noplot",
        ])
        .status()?;
    anyhow::ensure!(status.success(), "cargo bench: {status}");
    let mut medians = Vec::new();
    collect(&results, &mut medians)?;
    let mut pass = true;
    let mut figures = Vec::new();
    for (name, most) in BENCHES {
        let worst = medians
            .iter()
            .filter(|(id, _)| id.contains(name))
            .map(|(_, ns)| *ns)
            .reduce(f64::max);
        pass &= worst.is_some_and(|ns| ns <= *most);
        figures.push(match worst {
            Some(ns) => format!("{name} {ns:.0} ns (at most {most:.0})"),
            None => format!("{name} not measured"),
        });
    }
    Ok(Verdict::new(pass, figures.join(", ")))
}

/// Ids and medians of every benchmark below criterion's folder.
fn collect(folder: &Path, into: &mut Vec<(String, f64)>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let json = |name| -> Option<Value> {
            serde_json::from_str(&std::fs::read_to_string(path.join(name)).ok()?).ok()
        };
        match (json("benchmark.json"), json("estimates.json")) {
            (Some(benchmark), Some(estimates)) if path.ends_with("new") => into.push((
                benchmark["full_id"].as_str().unwrap_or_default().to_owned(),
                estimates["median"]["point_estimate"]
                    .as_f64()
                    .unwrap_or(f64::INFINITY),
            )),
            _ => collect(&path, into)?,
        }
    }
    Ok(())
}
