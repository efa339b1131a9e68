//! A ledger on a file system of 8 MB: it fills up under load, and gets more room later.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::account::Account;
use super::{Context, Verdict};
use crate::accept::chain::verified;
use crate::drive;
use crate::site::{PATIENCE, Setup, Site};
use crate::upstream::Upstream;

/// Contracts of the gateway and of the load.
const CONTRACTS: u32 = 20;

/// A mounted tmpfs; unmounted when it goes out of scope.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(at: &'a Path, options: &str) -> anyhow::Result<Self> {
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                options,
                "tmpfs",
                &at.display().to_string(),
            ],
        )
        .context("a tmpfs takes root, or a container that may mount")?;
        Ok(Self(at))
    }

    fn grow(&self, options: &str) -> anyhow::Result<()> {
        let options = format!("remount,{options}");
        run("mount", &["-o", &options, &self.0.display().to_string()])
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let at = self.0.display().to_string();
        if let Err(error) = run("umount", &["--lazy", &at]) {
            eprintln!("{at} stays mounted: {error:#}");
        }
    }
}

fn run(program: &str, args: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(args).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "{program} {}: {}",
        args.join(" "),
        said.trim()
    );
    Ok(())
}

pub(super) fn fills_up(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let setup = Setup {
        contracts: CONTRACTS,
        ..Setup::observing(upstream.address())
    };
    let site = Site::prepare(&context.folder("small_disk"), &setup)?;
    std::fs::create_dir_all(site.ledger())?;
    let ledger = site.ledger();
    let tmpfs = Tmpfs::mount(&ledger, "size=8m")?;
    site.ledger_keys("segment_mib: 1, compress: false")?;
    let mut gateway = site.start()?;
    // Twice of what the disk can hold.
    let first = drive::run(&load(site.listen, 16_000))?;
    let full = until(&site, |ok, _| ok == 0.0)?;
    let while_full = drive::run(&drive::Options::new(
        site.listen,
        "echo",
        context.pick(4_000, 40_000),
    ))?;
    let told = site.metrics()?.value("tidegate_ledger_ok");
    tmpfs.grow("size=64m")?;
    let again = until(&site, |ok, lag| ok == 1.0 && lag < 1.0)?;
    let after = drive::run(&load(site.listen, 1_000))?;
    gateway.stop(PATIENCE)?;
    let account = Account::of(&site)?;
    let report = verified(&site)?;
    let answered = [&first, &while_full, &after]
        .map(drive::Tally::answers)
        .iter()
        .sum::<u64>();
    let heads = first.heads + while_full.heads + after.heads;
    let boot = account.boots.values().next().context("a boot")?.clone();
    let lost = first.lost + while_full.lost + after.lost;
    let faults = account.faults.get("LEDGER_DISK_FULL").copied().unwrap_or(0);
    let pass = lost == 0
        && answered == heads
        && told == 0.0
        && boot.balances()
        && boot.unaccounted == 0
        && boot.made == Some(heads)
        && boot.rolled_up > 0
        && faults > 0
        && report.code == Some(0);
    let figure = format!(
        "{heads} requests, {answered} answered, {lost} without an answer; full after {full:?}, well {again:?} after it grew; \
         {} made = {} lines + {} rolled up + {} lost + {} unaccounted; {faults} LEDGER_DISK_FULL; verify exit {:?}",
        boot.made.unwrap_or(0),
        boot.lines,
        boot.rolled_up,
        boot.lost,
        boot.unaccounted,
        report.code,
    );
    drop(tmpfs);
    Ok(Verdict::new(pass, figure))
}

/// Requests that are admitted: of those alone a summary may take the place of the lines.
fn load(listen: std::net::SocketAddr, requests: u64) -> drive::Options {
    let mut load = drive::Options::new(listen, "contracts", requests);
    load.contracts = CONTRACTS;
    load
}

/// Waits until the gauges are as wanted; gives how long that took.
fn until(site: &Site, wanted: impl Fn(f64, f64) -> bool) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        let metrics = site.metrics()?;
        let ok = metrics.value("tidegate_ledger_ok");
        let lag = metrics.value("tidegate_ledger_durable_lag_seconds");
        if wanted(ok, lag) {
            return Ok(began.elapsed());
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "ok {ok}, lag {lag} s");
        std::thread::sleep(Duration::from_millis(20));
    }
}
