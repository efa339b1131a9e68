//! Client keys without end: what a decision costs with all of them, beside a few.

use std::time::Duration;

use super::super::super::{Context, Verdict};
use crate::drive;
use crate::process::{cpu_us, rss_kib};
use crate::site::{PATIENCE, Site};
use crate::upstream::Upstream;

/// A slot is busy for as long as its client's limit remembers a request: here a tenth of a second.
const CONTRACTS: &str = "version: 1\ncontracts:\n  - {id: keyed_v1, owner: me, endpoint: \"GET /keyed\", per_client: {key: \"header:x-api-key\", rate_limit_rpm: 600, burst: 20}}\n  - {id: free_v1, owner: me, endpoint: \"GET /\"}\n";
const REST: Duration = Duration::from_secs(2);
/// Rounds until memory has reached its size, and what it grows by in a round when it has.
const WARM_UPS: usize = 8;
const STILL_KIB: u64 = 512;
/// Rounds of the first tenth of the keys.
const ROUNDS: usize = 3;
const GROWTH_KIB_MAX: u64 = 10 * 1_024;
/// What a request may cost with all keys beside a tenth of them, percent; and on a busy machine.
const COST_MAX: u64 = 110;
const COST_MAX_BUSY: u64 = 300;
/// A slot of the table: `src/observation/clients.rs`.
const SLOTS: u64 = 1 << 16;
const SLOT_BYTES: u64 = 64;

pub(in super::super) fn bounded(context: &Context) -> anyhow::Result<Verdict> {
    let keys: u64 = context.pick(30_000, 1_000_000);
    let upstream = Upstream::start()?;
    let site = Site::controlling(
        &context.folder("client-keys"),
        upstream.address(),
        CONTRACTS,
    )?;
    // Each key comes from an address of its own as well, named by a proxy.
    site.amend(
        "version: 1",
        "version: 1\ntrusted_proxies: [\"127.0.0.0/8\"]",
    )?;
    let mut gateway = site.start()?;
    let before = warmed(&site, gateway.id())?;
    let mut failed = 0;
    let mut round = |requests: u64| -> anyhow::Result<u64> {
        let began = cpu_us(gateway.id())?;
        let tally = drive::run(&drive::Options::new(site.listen, "keys", requests))?;
        failed += requests - tally.statuses.get(&200).copied().unwrap_or(0);
        Ok((cpu_us(gateway.id())? - began) * 1_000 / requests)
    };
    // The same few keys, until nothing is new about them, and then as many as there are.
    let mut few = Vec::new();
    for _ in 0..ROUNDS {
        few.push(round(keys / 10)?);
    }
    let many = round(keys)?;
    few.sort_unstable();
    let few = few.get(few.len() / 2).copied().unwrap_or(0);
    std::thread::sleep(REST);
    let after = rss_kib(gateway.id())?;
    let shared = site.metrics()?.sum("tidegate_client_slots_overflow_total");
    gateway.stop(PATIENCE)?;
    let growth = after.saturating_sub(before);
    let most = context.pick(COST_MAX_BUSY, COST_MAX);
    let pass = failed == 0 && growth <= GROWTH_KIB_MAX && many * 100 <= few * most;
    Ok(Verdict::new(
        pass,
        format!(
            "{keys} keys: {failed} failed; RSS {before} -> {after} KiB (+{growth}); CPU per request {few} ns with a tenth of the keys, {many} with all (at most {most} %); {shared} shared a slot; the table is {SLOTS} slots of {SLOT_BYTES} bytes, whoever comes"
        ),
    ))
}

/// Memory when pools, rings and the table have reached their size: a worker touches all of its ring only
/// after so many events of its own, and which worker gets a connection is chance.
fn warmed(site: &Site, id: u32) -> anyhow::Result<u64> {
    let mut before = 0;
    for _ in 0..WARM_UPS {
        for (mix, requests) in [("echo", 20_000), ("keys", 1_000)] {
            let mut load = drive::Options::new(site.listen, mix, requests);
            load.seed = 900;
            drive::run(&load)?;
        }
        std::thread::sleep(REST);
        let now = rss_kib(id)?;
        if now.saturating_sub(before) <= STILL_KIB {
            return Ok(now);
        }
        before = now;
    }
    // Whatever grows on is a leak, and the judgement of what follows finds it.
    Ok(before)
}
