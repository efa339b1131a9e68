//! Client keys without end: memory is bounded, and who shares a slot is counted.

use std::time::Duration;

use super::super::{Context, Verdict};
use crate::drive;
use crate::process::rss_kib;
use crate::site::{PATIENCE, Site};
use crate::upstream::Upstream;

/// Six a minute each: a slot is busy for ten seconds, so a hundred thousand keys cannot all have one.
const CONTRACTS: &str = "version: 1\ncontracts:\n  - {id: keyed_v1, owner: me, endpoint: \"GET /keyed\", per_client: {key: \"header:x-api-key\", rate_limit_rpm: 6, burst: 2}}\n  - {id: free_v1, owner: me, endpoint: \"GET /\"}\n";
/// What waits in the rings is written meanwhile, and its memory given back.
const REST: Duration = Duration::from_secs(2);
const GROWTH_KIB_MAX: u64 = 10 * 1024;

// R194
pub(super) fn bounded(context: &Context) -> anyhow::Result<Verdict> {
    let keys = context.pick(50_000, 1_000_000);
    let upstream = Upstream::start()?;
    let site = Site::controlling(&context.folder("keys"), upstream.address(), CONTRACTS)?;
    // Each key comes from an address of its own as well, named by a proxy.
    site.amend(
        "version: 1",
        "version: 1\ntrusted_proxies: [\"127.0.0.0/8\"]",
    )?;
    let mut gateway = site.start()?;
    // Pools and both rings of a worker, that of refusals and that of the rest, reach their size
    // with paths that have no clients' limits.
    let requests = context.pick(20_000, 50_000);
    for _ in 0..context.pick(2, 4) {
        for mix in ["unknown", "echo"] {
            let mut load = drive::Options::new(site.listen, mix, requests);
            load.seed = 900;
            drive::run(&load)?;
        }
        site.metrics()?;
    }
    std::thread::sleep(REST);
    let before = rss_kib(gateway.id())?;
    let series = site.metrics()?.series();
    let tally = drive::run(&drive::Options::new(site.listen, "keys", keys))?;
    let metrics = site.metrics()?;
    std::thread::sleep(REST);
    let after = rss_kib(gateway.id())?;
    gateway.stop(PATIENCE)?;
    let growth = after.saturating_sub(before);
    let shared = metrics.sum("tidegate_client_slots_overflow_total");
    let passed = tally.statuses.get(&200).copied().unwrap_or(0);
    let pass = growth < GROWTH_KIB_MAX && shared > 0 && tally.answers() == keys && passed > 0;
    Ok(Verdict::new(
        pass,
        format!(
            "{keys} keys, statuses {:?}; RSS {before} -> {after} KiB (+{growth}); {shared} shared a slot; series {series} -> {}",
            tally.statuses,
            metrics.series()
        ),
    ))
}
