//! Client keys without end: memory is bounded, and who shares a slot is counted.

use std::collections::BTreeMap;
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
/// The keys come in so many rounds. The ledger keeps what its disk has not taken, so one round may
/// grow on a machine that stood still, and the next one shrink; what is kept of each key grows in all.
/// The first one makes the table of slots.
const ROUNDS: u64 = 4;
const GROWTH_KIB_MAX: u64 = 10 * 1024;
/// The median round, in bytes for each of its keys: fewer than the shortest key and a word.
const BYTES_A_KEY_MAX: u64 = 20;

// R194
pub(super) fn bounded(context: &Context) -> anyhow::Result<Verdict> {
    let keys = context.pick(20_000, 250_000);
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
    let series = site.metrics()?.series();
    let mut rss = vec![rss_kib(gateway.id())?];
    let mut statuses = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut load = drive::Options::new(site.listen, "keys", keys);
        load.seed = round;
        for (status, count) in drive::run(&load)?.statuses {
            *statuses.entry(status).or_default() += count;
        }
        std::thread::sleep(REST);
        rss.push(rss_kib(gateway.id())?);
    }
    let metrics = site.metrics()?;
    gateway.stop(PATIENCE)?;
    let mut grown: Vec<u64> = rss
        .windows(2)
        .skip(1)
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .collect();
    grown.sort_unstable();
    let median = grown
        .get(grown.len() / 2)
        .copied()
        .unwrap_or(u64::MAX / 1_024);
    let growth = rss.last().unwrap_or(&u64::MAX).saturating_sub(rss[0]);
    let bytes_a_key = median * 1_024 / keys;
    let shared = metrics.sum("tidegate_client_slots_overflow_total");
    let answers: u64 = statuses.values().sum();
    let passed = statuses.get(&200).copied().unwrap_or(0);
    // A short run is for what grows with the keys; the bound of the whole is that of the long one.
    let bounded = context.pick(true, growth < GROWTH_KIB_MAX) && bytes_a_key < BYTES_A_KEY_MAX;
    Ok(Verdict::new(
        bounded && shared > 0 && answers == keys * ROUNDS && passed > 0,
        format!(
            "{ROUNDS} times {keys} keys, statuses {statuses:?}; RSS {rss:?} KiB (+{growth}), in the median round {bytes_a_key} bytes a key, at most {BYTES_A_KEY_MAX}; {shared} shared a slot; series {series} -> {}",
            metrics.series()
        ),
    ))
}
