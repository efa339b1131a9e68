//! Rates of the ledger: replay through the command line, the rest through the benchmarks.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;

use super::{Context, Verdict};
use crate::site::{Setup, Site, said};
use crate::upstream::Upstream;

/// Decisions per second that one core must judge.
const REPLAY_MIN: f64 = 300_000.0;

pub(super) fn replay(context: &Context) -> anyhow::Result<Verdict> {
    let decisions: u64 = context.pick(50_000, 1_000_000);
    let upstream = Upstream::start()?;
    let site = Site::prepare(
        &context.folder("replay"),
        &Setup::observing(upstream.address()),
    )?;
    site.write("traffic.jsonl", &traffic(decisions))?;
    let made = site.run(&[
        "simulate",
        "traffic.jsonl",
        "-c",
        "tidegate.yaml",
        "--ledger",
        "simulated",
    ])?;
    anyhow::ensure!(made.status.success(), "simulate: {}", said(&made));
    let ours = timed(
        &site,
        &["replay", "simulated", "--threads", "1", "--format", "json"],
    )?;
    write_candidate(&site)?;
    let theirs = timed(
        &site,
        &[
            "replay",
            "simulated",
            "-c",
            "candidate.yaml",
            "--threads",
            "1",
            "--format",
            "json",
        ],
    )?;
    let rate = |seconds: f64| decisions as f64 / seconds;
    let fast = rate(ours.cpu_s) >= REPLAY_MIN && rate(theirs.cpu_s) >= REPLAY_MIN;
    let right = ours.code == Some(0)
        && ours.json["decisions"] == decisions
        && ours.json["differences"] == 0
        && theirs.code == Some(3)
        && theirs.json["candidate"]["changed"].as_u64() > Some(0);
    // At small scale the start of the program weighs too much for a rate.
    let judged = context.pick(true, fast);
    let figure = format!(
        "{decisions} decisions: {:.0}/s of CPU, {} differences, exit {:?}; with a candidate {:.0}/s, {} would change, exit {:?}; asked {REPLAY_MIN:.0}/s",
        rate(ours.cpu_s),
        ours.json["differences"],
        ours.code,
        rate(theirs.cpu_s),
        theirs.json["candidate"]["changed"],
        theirs.code,
    );
    Ok(Verdict::new(right && judged, figure))
}

/// So many requests, a third of them to what no contract has.
fn traffic(decisions: u64) -> String {
    let mut traffic = String::new();
    for n in 0..decisions {
        // Writing to a string cannot fail.
        let _ = writeln!(
            traffic,
            "{{\"at_ms\":{},\"method\":\"GET\",\"url\":\"/api/v1/{}/{n}\",\"client\":\"10.0.{}.{}\",\"status\":200,\"latency_ms\":20}}",
            n / 4,
            if n % 3 == 0 { "unknown" } else { "orders" },
            n % 7,
            n % 250,
        );
    }
    traffic
}

/// A configuration that refuses what the other one only observes.
fn write_candidate(site: &Site) -> anyhow::Result<()> {
    site.write(
        "stricter.yaml",
        "version: 1\nname: stricter\nunknown_endpoint: {action: drop}\n",
    )?;
    let config = std::fs::read_to_string(site.config())?;
    let candidate = config
        .replace("policy: policy.yaml", "policy: stricter.yaml")
        .replace("tier: observe_only", "tier: control");
    site.write("candidate.yaml", &candidate)
}

struct Timed {
    cpu_s: f64,
    code: Option<i32>,
    json: serde_json::Value,
}

/// Runs a verb and takes the CPU time of the finished children before and after it.
fn timed(site: &Site, args: &[&str]) -> anyhow::Result<Timed> {
    let (before, began) = (children_cpu_s()?, Instant::now());
    let output = site.run(args)?;
    let cpu_s = children_cpu_s()? - before;
    let json = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{}: {}", args.join(" "), said(&output)))?;
    anyhow::ensure!(cpu_s > 0.0, "no CPU time in {:?}", began.elapsed());
    Ok(Timed {
        cpu_s,
        code: output.status.code(),
        json,
    })
}

/// User and system time of children that have been waited for: fields 16 and 17 of /proc/self/stat.
fn children_cpu_s() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().context("a name in parentheses")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = (ticks(13), ticks(14));
    Ok((user.context("cutime")? + system.context("cstime")?) / 100.0)
}

/// Lines of `.ci/ledger-figures`: name, figure, bound, pass or fall short.
pub(super) fn benches(_: &Context) -> anyhow::Result<Verdict> {
    let output = Command::new(".ci/ledger-figures")
        .output()
        .context("run .ci/ledger-figures")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
    anyhow::ensure!(rows.len() >= 6, "{}", said(&output));
    Ok(Verdict::new(output.status.success(), rows.join("; ")))
}
