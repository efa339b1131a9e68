//! SIGKILL under load: what is left must verify after a restart, and the cut must be told.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{Context, Verdict};
use crate::drive;
use crate::site::{self, PATIENCE, Setup, Site, get, said, segments};
use crate::upstream::Upstream;

/// Half a record, as a write that was cut short leaves it.
const TORN: &[u8] = b"{\"action\":\"ALLOW\",\"bou";

pub(super) fn killed(context: &Context) -> anyhow::Result<Verdict> {
    let kills = context.pick(2, 10);
    let upstream = Upstream::start()?;
    let site = Site::prepare(
        &context.folder("kill"),
        &Setup::observing(upstream.address()),
    )?;
    for n in 0..kills {
        kill_under_load(&site, n)?;
        let segment = segments(&site.ledger())?.pop().context("a segment")?;
        OpenOptions::new()
            .append(true)
            .open(segment)?
            .write_all(TORN)?;
    }
    let mut gateway = site.start()?;
    drive::run(&drive::Options::new(site.listen, "mixed", 500))?;
    gateway.stop(PATIENCE)?;

    let output = site.verify(&site.ledger())?;
    let mut opens = Vec::new();
    site::lines(&site.ledger(), |line| {
        if line["kind"] == "open" {
            opens.push(line.to_string());
        }
    })?;
    let told = opens
        .iter()
        .filter(|open| open.contains("torn") || open.contains("quarantine"))
        .count();
    let kept = std::fs::read_dir(site.ledger().join("quarantine")).map_or(0, Iterator::count);
    let pass = output.status.code() == Some(0)
        && opens.len() == kills + 1
        && told >= kills
        && kept >= kills;
    let figure = format!(
        "{kills} kills, {} open records, {told} report a torn tail, {kept} tails kept; {}: {}",
        opens.len(),
        output.status,
        said(&output)
    );
    Ok(Verdict::new(pass, figure))
}

/// Starts the gateway, loads it, and kills it once it has decided a few hundred requests.
fn kill_under_load(site: &Site, n: usize) -> anyhow::Result<()> {
    let mut gateway = site.start()?;
    let mut load = drive::Options::new(site.listen, "mixed", 1_000_000);
    load.seed = 100 + n as u64;
    let driver = std::thread::spawn(move || drive::run(&load));
    let began = Instant::now();
    let enough = 300 * (1 + n as u64);
    while site.metrics()?.sum("tidegate_decisions_total") < enough {
        anyhow::ensure!(began.elapsed() < PATIENCE, "no load arrives");
        std::thread::sleep(Duration::from_millis(10));
    }
    gateway.kill()?;
    anyhow::ensure!(
        get(site.admin, "/livez").is_err(),
        "something still answers on the admin address"
    );
    match driver.join() {
        Ok(tally) => tally.map(drop),
        Err(_) => anyhow::bail!("the load driver failed"),
    }
}
