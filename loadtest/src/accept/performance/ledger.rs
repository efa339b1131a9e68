//! What the ledger costs: the writer's rate without a gateway around it, and the CPU time of its
//! threads per request of a gateway that serves as fast as it can.
//!
//! Times are the threads' own, so busy neighbours count little.

use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;

use super::super::{Context, Verdict};
use crate::cpu_ratio::{asked, paths_of};
use crate::process::{Process, cpu_us, thread_cpu_ns};
use crate::site::{Nginx, PATIENCE, Setup, Site, said};
use crate::upstream::Upstream;

/// The threads behind the rings.
const WRITER: &str = "ledger-writer";
const SYNC: &str = "ledger-sync";
/// CPU of the writer per request, nanoseconds.
const WRITER_NS_MAX: f64 = 2_000.0;
/// A debug build or a machine in trouble is told apart from a regression at full scale alone.
const WRITER_NS_GROSS: f64 = 20_000.0;
const CONTRACTS: u32 = 1_000;

/// Rows of the benchmark `rates` that need no sync and no long run.
const ROWS: &str = "push_ns,line_and_hash_ns,writer_without_sync";

pub(super) fn writer(_: &Context) -> anyhow::Result<Verdict> {
    let output = Command::new("cargo")
        .args([
            "bench",
            "--locked",
            "--quiet",
            "--profile",
            "fast",
            "-p",
            "tidegate",
            "--bench",
            "rates",
        ])
        .env("RATES_ONLY", ROWS)
        .output()
        .context("run the benchmark rates")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
    anyhow::ensure!(rows.len() == ROWS.split(',').count(), "{}", said(&output));
    Ok(Verdict::new(output.status.success(), rows.join("; ")))
}

pub(super) fn cost(context: &Context) -> anyhow::Result<Verdict> {
    let folder = context.folder("ledger-cost");
    std::fs::create_dir_all(&folder)?;
    let nginx = Nginx::start(&folder.join("nginx"))?;
    let own = match nginx {
        Some(_) => None,
        None => Some(Upstream::start()?),
    };
    let upstream = nginx.as_ref().map(|nginx| nginx.address);
    let upstream = upstream.or(own.as_ref().map(Upstream::address));
    let setup = Setup {
        contracts: CONTRACTS,
        threads: 1,
        tier: "control",
        ..Setup::observing(upstream.context("no upstream")?)
    };
    let site = Site::prepare(&folder.join("site"), &setup)?;
    let mut gateway = site.start()?;
    let mut rounds = Vec::new();
    // The first round warms pools, rings and buffers, and is not counted.
    for round in 0..=context.pick(1, 5) {
        let found = one_round(&site, &gateway, context.pick(45_000, 300_000))?;
        if round > 0 {
            rounds.push(found);
        }
    }
    gateway.stop(PATIENCE)?;
    rounds.sort_by(|a, b| a.writer_ns.total_cmp(&b.writer_ns));
    let median = rounds.get(rounds.len() / 2).context("no round")?;
    let bound = context.pick(WRITER_NS_GROSS, WRITER_NS_MAX);
    let each: Vec<String> = rounds
        .iter()
        .map(|r| format!("{:.0}", r.writer_ns))
        .collect();
    let figure = format!(
        "writer {:.0} ns a request in the median [{}], its syncs {:.0} ns, of {:.1} us of the whole process, at {:.0} requests/s; at most {bound:.0} ns",
        median.writer_ns,
        each.join(", "),
        median.sync_ns,
        median.process_us,
        median.per_second,
    );
    Ok(Verdict::new(median.writer_ns <= bound, figure))
}

/// CPU per answered request, and how many there were in a second.
struct Round {
    writer_ns: f64,
    sync_ns: f64,
    process_us: f64,
    per_second: f64,
}

fn one_round(site: &Site, gateway: &Process, requests: u64) -> anyhow::Result<Round> {
    let id = gateway.id();
    let used = || -> anyhow::Result<(u64, u64, u64)> {
        let of = |name| thread_cpu_ns(id, name);
        Ok((of(WRITER)?, of(SYNC)?, cpu_us(id)?))
    };
    let (before, began) = (used()?, Instant::now());
    let answered = asked(
        site.listen,
        &paths_of(CONTRACTS),
        requests,
        64,
        site.folder(),
    )? as f64;
    let (after, spent) = (used()?, began.elapsed());
    Ok(Round {
        writer_ns: (after.0 - before.0) as f64 / answered,
        sync_ns: (after.1 - before.1) as f64 / answered,
        process_us: (after.2 - before.2) as f64 / answered,
        per_second: answered / spent.as_secs_f64(),
    })
}
