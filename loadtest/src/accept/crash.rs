//! SIGKILL under load: what was decided a second before it is in the ledger, what is left
//! verifies after a restart, and the cut is told.
//!
//! A kill seldom cuts a write in two, so each is followed by an artificial torn tail.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::chain::verified;
use super::{Context, Verdict};
use crate::drive;
use crate::site::{self, PATIENCE, Setup, Site, get, segments};
use crate::upstream::Upstream;

/// Half a record, as a write that was cut short leaves it.
const TORN: &[u8] = b"{\"action\":\"ALLOW\",\"bou";
/// The time within which a decision must be in the file.
const GRACE: Duration = Duration::from_secs(1);

pub(super) fn killed(context: &Context) -> anyhow::Result<Verdict> {
    let kills = context.pick(2, 10);
    let upstream = Upstream::start()?;
    let site = Site::prepare(
        &context.folder("kill"),
        &Setup::observing(upstream.address()),
    )?;
    let (mut promised, mut survived) = (0, 0);
    let mut written_before = (PathBuf::new(), Vec::new());
    let mut all_survived = true;
    for n in 0..kills {
        let before = decisions_in(&site)?;
        let counted = kill_under_load(context, &site, n)?;
        let written = decisions_in(&site)? - before;
        all_survived &= counted > 0 && written >= counted;
        promised += counted;
        survived += written;
        let segment = segments(&site.ledger())?.pop().context("a segment")?;
        written_before = (segment.clone(), whole_lines(&segment)?);
        OpenOptions::new()
            .append(true)
            .open(segment)?
            .write_all(TORN)?;
    }
    let mut gateway = site.start()?;
    let after = drive::run(&drive::Options::new(site.listen, "mixed", 500))?;
    gateway.stop(PATIENCE)?;

    let report = verified(&site)?;
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
    // R079: what stood there was added to, and not a byte of it was written again.
    let added_to = std::fs::read(&written_before.0)?.starts_with(&written_before.1);
    let pass = report.code == Some(0)
        && all_survived
        && added_to
        && report.json["decisions"] == survived + after.heads
        && opens.len() == kills + 1
        && told == kills
        && kept == kills;
    let figure = format!(
        "{kills} kills: {promised} decisions counted a second before, {survived} in the ledger; \
         artificial torn tails: {told} reported, {kept} kept; {} open records; earlier bytes {}; \
         after the restart {} decisions, {}, exit {:?}",
        opens.len(),
        if added_to { "unchanged" } else { "CHANGED" },
        report.json["decisions"],
        report.json["verdict"],
        report.code,
    );
    Ok(Verdict::new(pass, figure))
}

/// Decisions in the ledger now; a last line that was cut short is none.
fn decisions_in(site: &Site) -> anyhow::Result<u64> {
    if !site.ledger().exists() {
        return Ok(0);
    }
    let mut count = 0;
    for segment in segments(&site.ledger())? {
        let mut file = BufReader::new(File::open(segment)?);
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line)? > 0 {
            if let Some(whole) = line.strip_suffix(b"\n") {
                let record: serde_json::Value = serde_json::from_slice(whole)?;
                count += u64::from(record["kind"] == "decision");
            }
            line.clear();
        }
    }
    Ok(count)
}

/// A file up to its last line break.
fn whole_lines(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = std::fs::read(file)?;
    let end = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    bytes.truncate(end);
    Ok(bytes)
}

/// Starts the gateway, loads it, and kills it a second after it told how much it had decided.
fn kill_under_load(context: &Context, site: &Site, n: usize) -> anyhow::Result<u64> {
    let mut gateway = site.start()?;
    let mut load = drive::Options::new(site.listen, "mixed", 1_000_000);
    load.seed = 100 + n as u64;
    let driver = std::thread::spawn(move || drive::run(&load));
    let began = Instant::now();
    let enough = 300 * (1 + n as u64);
    let counted = loop {
        let counted = site.metrics()?.sum("tidegate_decisions_total");
        if counted >= enough {
            break counted;
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "no load arrives");
        std::thread::sleep(Duration::from_millis(10));
    };
    // What is younger than this may still be under way to the file when the process is gone.
    std::thread::sleep(GRACE);
    if context.pick(true, false) {
        written(site, counted)?;
    }
    anyhow::ensure!(!driver.is_finished(), "the load ended before the kill");
    gateway.kill()?;
    anyhow::ensure!(
        get(site.admin, "/livez").is_err(),
        "something still answers on the admin address"
    );
    match driver.join() {
        Ok(tally) => tally.map(|_| counted),
        Err(_) => anyhow::bail!("the load driver failed"),
    }
}

/// Waits until the gateway says that it has written so many decisions. A reduced run shows with it only that
/// what was said to be written is in the file; how soon it is there is judged at full scale.
fn written(site: &Site, decisions: u64) -> anyhow::Result<()> {
    /// More than the records of other kinds that it has written by then.
    const OTHERS: u64 = 100;
    let began = Instant::now();
    while site.metrics()?.sum("tidegate_ledger_records_total") < decisions + OTHERS {
        anyhow::ensure!(began.elapsed() < PATIENCE, "nothing is written");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
