//! p99 of requests while a bundle comes into force ten times a second, in rounds that alternate
//! with quiet ones.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::{Context, Verdict};
use super::people;
use super::swaps::{apply, name, prepare};
use crate::drive;
use crate::site::{PATIENCE, Site};
use crate::upstream::Upstream;

const EVERY: Duration = Duration::from_millis(100);

/// A hundred contracts; one number differs from version to version.
fn contracts(version: u32) -> String {
    let mut text = "version: 1\ncontracts:\n".to_owned();
    for n in 0..100 {
        let latency = 500 + version % 2;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  - {{id: c{n}, owner: me, endpoint: \"GET /c{n}/{{x}}\", max_latency_ms: {latency}}}"
        );
    }
    text + "  - {id: echo, owner: me, endpoint: \"GET /echo\"}\n"
}

pub(super) fn unnoticed(context: &Context) -> anyhow::Result<Verdict> {
    let rounds: u32 = context.pick(1, 7);
    let requests: u64 = 60_000;
    // More than ten a second for the longest round.
    let count = context.pick(60, 700);
    let upstream = Upstream::start()?;
    let site = Site::controlling(
        &context.folder("swap_cost"),
        upstream.address(),
        &contracts(0),
    )?;
    prepare(&site, count, contracts)?;
    let mut gateway = site.start()?;
    let (mut quiet, mut swapping) = (Vec::new(), Vec::new());
    let mut next = 1;
    let mut in_force = people::digest(&site, &name(0))?;
    for _ in 0..rounds {
        quiet.push(round(&site, requests, || Ok(()))?);
        let mut swap = || -> anyhow::Result<()> {
            if next <= count {
                in_force = apply(&site, next, &in_force)?;
                next += 1;
            }
            Ok(())
        };
        swapping.push(round(&site, requests, &mut swap)?);
    }
    gateway.stop(PATIENCE)?;
    let worst = quiet.iter().copied().max().unwrap_or(0);
    let mut sorted = swapping.clone();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let swaps = next - 1;
    let figure = format!(
        "{swaps} swaps; p99 quiet {quiet:?} us, with swaps {swapping:?} us; median with swaps {median}, at most {worst}"
    );
    // One short round says nothing about a spread; it shows that swaps and load run together.
    let enough = swaps >= rounds * 5;
    Ok(Verdict::new(
        enough && (rounds == 1 || median <= worst),
        figure,
    ))
}

/// p99 of one round in microseconds, with something done every 100 ms meanwhile.
fn round(
    site: &Site,
    requests: u64,
    mut each: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<u32> {
    let done = AtomicBool::new(false);
    let tally = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut options = drive::Options::new(site.listen, "echo", requests);
            options.connections = 4;
            let tally = drive::run(&options);
            done.store(true, Ordering::Relaxed);
            tally
        });
        let mut at = Instant::now();
        let mut ended = Ok(());
        while !done.load(Ordering::Relaxed) && ended.is_ok() {
            ended = each();
            at += EVERY;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
        }
        let tally = load
            .join()
            .map_err(|_| anyhow::anyhow!("the driver panicked"))?;
        ended.and(tally)
    })?;
    Ok(tally.latency_us(0.99))
}
