//! CPU per proxied request: the gateway against a bare pass-through on the same engine.
//!
//! Rounds are interleaved, because this class of machine drifts; the ratio inside a round is
//! what counts, and the spread over the rounds says how far to trust it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::drive;
use crate::process::{cpu_us, installed, rss_kib};
use crate::site::{Nginx, Setup, Site, bare_pingora};
use crate::upstream::Upstream;

/// What to compare, and how long.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Interleaved rounds
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Requests per round and proxy
    #[arg(long, default_value_t = 100_000)]
    pub requests: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    pub connections: u32,
    /// Worker threads of each proxy
    #[arg(long, default_value_t = 1)]
    pub threads: u32,
    /// Contracts of the gateway
    #[arg(long, default_value_t = 1000)]
    pub contracts: u32,
    /// Folder for the gateway's files; emptied
    #[arg(long, default_value = "target/cpu-ratio")]
    pub dir: PathBuf,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Figures {
    gateway_us: Vec<f64>,
    bare_us: Vec<f64>,
    gateway_rss_kib: u64,
    bare_rss_kib: u64,
    upstream: &'static str,
}

impl Figures {
    /// CPU over the bare proxy in percent: median, least and most of the rounds.
    #[must_use]
    pub fn overhead_percent(&self) -> (f64, f64, f64) {
        let mut each: Vec<f64> = self
            .gateway_us
            .iter()
            .zip(&self.bare_us)
            .map(|(g, b)| (g / b - 1.0) * 100.0)
            .collect();
        each.sort_by(f64::total_cmp);
        let at = |n: usize| each.get(n).copied().unwrap_or(f64::NAN);
        (at(each.len() / 2), at(0), at(each.len().saturating_sub(1)))
    }

    /// As the command prints them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (median, least, most) = self.overhead_percent();
        json!({
            "upstream": self.upstream,
            "gateway_cpu_us_per_request": rounded(&self.gateway_us),
            "bare_cpu_us_per_request": rounded(&self.bare_us),
            "overhead_percent_median": tenth(median),
            "overhead_percent_least": tenth(least),
            "overhead_percent_most": tenth(most),
            "gateway_rss_kib": self.gateway_rss_kib,
            "bare_rss_kib": self.bare_rss_kib,
        })
    }
}

fn tenth(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

fn rounded(all: &[f64]) -> Vec<f64> {
    all.iter().map(|x| tenth(*x)).collect()
}

/// Runs all rounds.
///
/// # Errors
/// When one of the processes does not come up or a round loses requests.
pub fn run(options: &Options) -> anyhow::Result<Figures> {
    std::fs::create_dir_all(&options.dir)?;
    let nginx = Nginx::start(&options.dir.join("nginx"))?;
    let own = if nginx.is_none() {
        Some(Upstream::start()?)
    } else {
        None
    };
    let (upstream, name) = match (&nginx, &own) {
        (Some(nginx), _) => (nginx.address, "nginx"),
        (None, Some(own)) => (own.address(), "own"),
        (None, None) => anyhow::bail!("no upstream"),
    };
    let setup = Setup {
        contracts: options.contracts,
        threads: options.threads,
        ..Setup::observing(upstream)
    };
    let site = Site::prepare(&options.dir.join("site"), &setup)?;
    let gateway = site.start()?;
    let (bare, bare_address) = bare_pingora(&options.dir, upstream, options.threads)?;

    let mut figures = Figures {
        gateway_us: vec![],
        bare_us: vec![],
        gateway_rss_kib: 0,
        bare_rss_kib: 0,
        upstream: name,
    };
    // The first round warms pools and caches and is not counted.
    for round in 0..=options.rounds {
        let gateway_us = one_round(options, site.listen, gateway.id(), site.folder())?;
        let bare_us = one_round(options, bare_address, bare.id(), site.folder())?;
        if round > 0 {
            figures.gateway_us.push(gateway_us);
            figures.bare_us.push(bare_us);
        }
    }
    figures.gateway_rss_kib = rss_kib(gateway.id())?;
    figures.bare_rss_kib = rss_kib(bare.id())?;
    Ok(figures)
}

/// What wrk sends.
struct Load<'a> {
    paths: &'a [String],
    requests: u64,
    connections: u32,
}

/// CPU microseconds per request of process `id` while wrk asks it for `paths` in turn.
///
/// # Errors
/// When wrk is not installed, or an answer is not 2xx.
pub fn used_per_request(
    target: SocketAddr,
    id: u32,
    paths: &[String],
    requests: u64,
    folder: &Path,
) -> anyhow::Result<f64> {
    let before = cpu_us(id)?;
    let answered = asked(target, paths, requests, 32, folder)?;
    Ok((cpu_us(id)? - before) as f64 / answered as f64)
}

/// Asks for `paths` in turn with wrk, about `requests` times; gives the number of answers.
///
/// # Errors
/// When wrk is not installed, or an answer is not 2xx.
pub fn asked(
    target: SocketAddr,
    paths: &[String],
    requests: u64,
    connections: u32,
    folder: &Path,
) -> anyhow::Result<u64> {
    let wrk = installed("wrk").context("wrk is not installed; make tools")?;
    let load = Load {
        paths,
        requests,
        connections,
    };
    with_wrk(&wrk, &load, target, folder)
}

/// CPU microseconds per request of process `id` while it is driven.
fn one_round(options: &Options, target: SocketAddr, id: u32, folder: &Path) -> anyhow::Result<f64> {
    let before = cpu_us(id)?;
    let answered = match installed("wrk") {
        Some(wrk) => {
            let load = Load {
                paths: &paths_of(options.contracts),
                requests: options.requests,
                connections: options.connections,
            };
            with_wrk(&wrk, &load, target, folder)?
        }
        None => with_own_driver(options, target)?,
    };
    let used = cpu_us(id)? - before;
    anyhow::ensure!(
        used > 0,
        "process {id} used no CPU: it is not the one that answers"
    );
    Ok(used as f64 / answered as f64)
}

fn with_own_driver(options: &Options, target: SocketAddr) -> anyhow::Result<u64> {
    let mut load = drive::Options::new(target, "contracts", options.requests);
    load.connections = options.connections;
    load.contracts = options.contracts;
    let tally = drive::run(&load)?;
    anyhow::ensure!(
        tally.lost == 0 && tally.not_sent == 0,
        "requests were lost: {}",
        tally.to_json()
    );
    Ok(tally.answers())
}

/// wrk runs for a time, not for a count; a second per 15,000 requests is close enough, because
/// the figure is per request answered.
fn with_wrk(wrk: &Path, load: &Load<'_>, target: SocketAddr, folder: &Path) -> anyhow::Result<u64> {
    let seconds = (load.requests / 15_000).max(2);
    let script = folder.join("paths.lua");
    std::fs::write(&script, paths_script(load.paths))?;
    let output = Command::new(wrk)
        .args([
            "-t1",
            &format!("-c{}", load.connections),
            &format!("-d{seconds}s"),
            // A machine that stands still loses no request.
            "--timeout",
            "30s",
            "-s",
        ])
        .arg(&script)
        .arg(format!("http://{target}"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    anyhow::ensure!(
        !text.contains("Socket errors") && !text.contains("Non-2xx"),
        "wrk reports errors: {text}"
    );
    let line = text
        .lines()
        .find(|l| l.contains(" requests in "))
        .with_context(|| format!("wrk: {text}"))?;
    line.split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .context("wrk's count of requests")
}

/// Paths of the generated contracts that have GET.
#[must_use]
pub fn paths_of(contracts: u32) -> Vec<String> {
    let all = crate::generate::contracts(contracts, crate::generate::SEED);
    let with_get = all.iter().filter(|c| c.methods.first() == Some(&"GET"));
    with_get.map(|c| c.path(7)).collect()
}

/// Cycles through GET requests, prepared once so that wrk stays cheap.
fn paths_script(paths: &[String]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| format!("  wrk.format(\"GET\", \"{path}\"),"))
        .collect();
    format!(
        "local requests = {{}}\nlocal at = 0\ninit = function(args)\n  requests = {{\n{}\n}}\nend\n\
         request = function()\n  at = at % #requests + 1\n  return requests[at]\nend\n",
        paths.join("\n")
    )
}
