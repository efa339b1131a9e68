//! p99 of requests while the disk stalls: fdatasync of the real process is held for 5 s by strace,
//! in rounds that alternate with the same under strace without a stall.

use anyhow::Context as _;

use super::account::Account;
use super::{Context, Verdict};
use crate::drive;
use crate::process::installed;
use crate::site::{LOG, PATIENCE, Setup, Site};
use crate::upstream::Upstream;

/// The fifth sync, so that the load has begun.
const STALL: &str = "fdatasync:delay_enter=5000000:when=5";
/// More than this between the medians of both kinds of rounds is a change.
const RATIO_MAX: f64 = 1.15;

pub(super) fn unnoticed(context: &Context) -> anyhow::Result<Verdict> {
    installed("strace").context("strace is missing; 'make tools' installs it")?;
    let rounds = context.pick(1, 5);
    let (mut quiet, mut stalled, mut held) = (Vec::new(), Vec::new(), 0.0_f64);
    let mut gone_wrong = Vec::new();
    for _ in 0..rounds {
        quiet.push(round(context, None)?.0);
        let (p99, lag, fault) = round(context, Some(STALL))?;
        stalled.push(p99);
        held = held.max(lag);
        gone_wrong.extend(fault);
    }
    let (was, is) = (median(&mut quiet), median(&mut stalled));
    let ratio = f64::from(is) / f64::from(was.max(1));
    // One round of a small run says nothing about a ratio; it shows that the stall is real and
    // that nothing is lost.
    let pass = held > 3.0 && gone_wrong.is_empty() && (rounds == 1 || ratio <= RATIO_MAX);
    let figure = format!(
        "p99 {was} us quiet {quiet:?}, {is} us stalled {stalled:?}, ratio {ratio:.2}, at most {RATIO_MAX}; durable lag up to {held:.1} s; {}",
        if gone_wrong.is_empty() {
            "nothing lost".to_owned()
        } else {
            gone_wrong.join(", ")
        },
    );
    Ok(Verdict::new(pass, figure))
}

fn median(values: &mut [u32]) -> u32 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// One run of about six seconds: p99, the longest durable lag that was seen, and what went wrong.
fn round(context: &Context, inject: Option<&str>) -> anyhow::Result<(u32, f64, Option<String>)> {
    let upstream = Upstream::start()?;
    let setup = Setup {
        contracts: 20,
        ..Setup::observing(upstream.address())
    };
    let site = Site::prepare(&context.folder("stall"), &setup)?;
    let inject = inject.map(|inject| format!("inject={inject}"));
    let mut wrapper = vec![
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
    ];
    if let Some(inject) = &inject {
        wrapper.extend(["-e", inject]);
    }
    let mut gateway = site.launch(&wrapper, LOG)?;
    site.ready(&mut gateway)?;
    let (listen, done) = (site.listen, std::sync::atomic::AtomicBool::new(false));
    let (tally, lag) = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut latencies = drive::Options::new(listen, "echo", 30_000);
            latencies.connections = 4;
            let tally = drive::run(&latencies);
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            tally
        });
        let mut lag = 0.0_f64;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            if let Ok(metrics) = site.metrics() {
                lag = lag.max(metrics.value("tidegate_ledger_durable_lag_seconds"));
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        (load.join(), lag)
    });
    let tally = tally.map_err(|_| anyhow::anyhow!("the driver panicked"))??;
    // The stall may outlast the load: a stop has to wait for the disk.
    gateway.stop(PATIENCE)?;
    let account = Account::of(&site)?;
    let wrong = account
        .boots
        .values()
        .find(|boot| !boot.balances() || boot.lost > 0 || boot.unaccounted > 0)
        .map(|boot| format!("{boot:?}"));
    Ok((tally.latency_us(0.99), lag, wrong))
}
