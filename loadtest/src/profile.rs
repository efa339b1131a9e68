//! Where the CPU time of a request goes, by function, of the kernel as well: a table as text.
//!
//! `perf` samples the worker while wrk asks, once on the fast lane and once on the full proxy, which
//! is what each request took before there was a lane. Deliberately not here: figures to judge by;
//! sampling says where, `peers` says how much.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::Args;

use crate::cpu_ratio::{paths_of, used_per_request};
use crate::process::installed;
use crate::site::{Nginx, Setup, Site};

/// Contracts of the gateway.
const CONTRACTS: u32 = 10;
/// Requests that are sampled.
const REQUESTS: u64 = 150_000;
/// Functions below this share are left out.
const SHARE_MIN_PERCENT: &str = "0.7";

/// What to sample.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Folder that gets `lane.txt` and `full-proxy.txt`
    #[arg(long)]
    pub out: PathBuf,
    /// Folder for the gateway's files; emptied
    #[arg(long, default_value = "target/profile")]
    pub dir: PathBuf,
}

/// Writes both tables.
///
/// # Errors
/// When perf, wrk or nginx is not installed, or a run fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let perf = installed("perf").context("perf is not installed")?;
    std::fs::create_dir_all(&options.out)?;
    for (file, fast_lane) in [("full-proxy.txt", false), ("lane.txt", true)] {
        let table = one(options, &perf, fast_lane)?;
        std::fs::write(options.out.join(file), table)?;
        println!("{}", options.out.join(file).display());
    }
    Ok(())
}

fn one(options: &Options, perf: &Path, fast_lane: bool) -> anyhow::Result<String> {
    let folder = options.dir.join(if fast_lane { "lane" } else { "full" });
    std::fs::create_dir_all(&folder)?;
    let nginx = Nginx::start(&folder.join("nginx"))?.context("nginx is not installed")?;
    let setup = Setup {
        contracts: CONTRACTS,
        threads: 1,
        tier: "control",
        ..Setup::observing(nginx.address)
    };
    let site = Site::prepare(&folder.join("site"), &setup)?;
    site.amend(
        "expose_headers: false",
        &format!("expose_headers: false\nfast_lane: {fast_lane}"),
    )?;
    let gateway = site.start()?;
    let data = site.folder().join("perf.data");
    let mut sampling = Command::new(perf)
        .args([
            "record",
            "-q",
            "-F",
            "1999",
            "-p",
            &gateway.id().to_string(),
            "-o",
        ])
        .arg(&data)
        .spawn()?;
    let paths = paths_of(CONTRACTS);
    let used = used_per_request(site.listen, gateway.id(), &paths, REQUESTS, site.folder());
    Command::new("kill")
        .args(["-INT", &sampling.id().to_string()])
        .status()?;
    sampling.wait()?;
    let report = Command::new(perf)
        .args([
            "report",
            "--stdio",
            "-q",
            "--no-children",
            "--sort",
            "comm,dso,symbol",
        ])
        .args(["--percent-limit", SHARE_MIN_PERCENT, "-i"])
        .arg(&data)
        .output()?;
    anyhow::ensure!(report.status.success(), "perf report failed");
    let way = if fast_lane { "fast lane" } else { "full proxy" };
    let lines = String::from_utf8_lossy(&report.stdout);
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    let lines: Vec<_> = lines.map(str::trim_end).collect();
    Ok(format!(
        "{way}: {:.1} us of CPU per request while sampled; share of samples, thread, program, function\n{}\n",
        used?,
        lines.join("\n")
    ))
}
