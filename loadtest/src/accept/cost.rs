//! What the gateway costs from outside: memory under hostile paths, CPU per request.
//!
//! What single functions cost is judged in `speed`.

use super::{Context, Verdict};
use crate::process::rss_kib;
use crate::site::{PATIENCE, Setup, Site};
use crate::upstream::Upstream;
use crate::{cpu_ratio, drive};

const GROWTH_KIB_MAX: u64 = 10 * 1024;
const OVERHEAD_PERCENT_MAX: f64 = 12.0;

/// Rounds of requests and a scrape before memory is judged.
const WARM_UPS: usize = 4;

pub(super) fn unknown_paths(context: &Context) -> anyhow::Result<Verdict> {
    let requests = context.pick(20_000, 1_000_000);
    let upstream = Upstream::start()?;
    let site = Site::prepare(
        &context.folder("memory"),
        &Setup::observing(upstream.address()),
    )?;
    let mut gateway = site.start()?;
    // Pools, rings and buffers reach their size in the warm-up; what grows after it is a leak.
    // A ring touches all its memory only after 8,192 events of its worker.
    let mut load = drive::Options::new(site.listen, "unknown", 50_000);
    load.seed = 900;
    // Scrapes take memory for their text, whatever the paths were, and the allocator keeps it.
    let mut series = 0;
    for _ in 0..WARM_UPS {
        drive::run(&load)?;
        series = site.metrics()?.series();
    }
    let rss = rss_kib(gateway.id())?;
    load.seed = 901;
    load.requests = requests;
    let tally = drive::run(&load)?;
    let series_after = site.metrics()?.series();
    let rss_after = rss_kib(gateway.id())?;
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
        rounds: context.pick(3, 7),
        requests: context.pick(20_000, 100_000),
        connections: 64,
        threads: 1,
        contracts: 1000,
        dir: context.folder("cpu"),
    };
    let figures = cpu_ratio::run(&options)?;
    let (median, _, _) = figures.overhead_percent();
    // Short rounds beside other work are coarse: a reduced run stands against twice the cost, such as a
    // path that copies or waits where the lane does not.
    let bound = context.pick(100.0, OVERHEAD_PERCENT_MAX);
    Ok(Verdict::new(median <= bound, figures.to_json().to_string()))
}
