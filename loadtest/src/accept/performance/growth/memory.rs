//! What a running gateway takes, by its contracts.

use std::time::Duration;

use anyhow::Context as _;

use super::super::super::{Context, Verdict};
use super::scene::Scene;
use crate::process::{rss_kib, rss_peak_kib, rss_peak_reset};
use crate::site::PATIENCE;
use crate::upstream::Upstream;

const SIZES: [u32; 4] = [10, 1_000, 10_000, 100_000];
const JUDGED: u32 = 10_000;
const MAX_KIB: u64 = 64 * 1_024;
/// What a reduced run holds it to, until the goal is met: started, and when each contract was used.
const KEPT_KIB_MAX: (u64, u64) = (64 * 1_024, 80 * 1_024);
/// What the start needed alone is given back meanwhile, and rings are written.
const SETTLED: Duration = Duration::from_secs(5);

/// Resident memory at three moments, and the most while other rules came into force.
struct Taken {
    idle: u64,
    used: u64,
    swap_peak: u64,
    swapped: u64,
}

pub(in super::super) fn of_contracts(context: &Context) -> anyhow::Result<Verdict> {
    let runs: &[(u32, u32)] = context.pick(
        &[(10, 1), (10_000, 1)],
        &[
            (10, 1),
            (1_000, 1),
            (10_000, 1),
            (100_000, 1),
            (10, 2),
            (10_000, 2),
            (100_000, 2),
        ],
    );
    debug_assert!(runs.iter().all(|(size, _)| SIZES.contains(size)));
    let upstream = Upstream::start()?;
    let (mut lines, mut pass, mut least) = (Vec::new(), true, 0);
    for (size, threads) in runs {
        let taken = of_one(context, &upstream, *size, *threads)?;
        if *size == 10 {
            least = taken.idle;
        }
        if *size == JUDGED {
            let (idle_max, used_max) = context.pick(KEPT_KIB_MAX, (MAX_KIB, MAX_KIB));
            pass &= taken.idle <= idle_max && taken.used <= used_max;
        }
        let each = |kib: u64| kib.saturating_sub(least) * 1_024 / u64::from(*size);
        lines.push(format!(
            "{size} contracts, {threads} worker(s): {} KiB started ({} bytes each beyond 10), {} KiB when each was used ({} bytes), at most {} KiB while all were exchanged, {} KiB after",
            taken.idle,
            each(taken.idle),
            taken.used,
            each(taken.used),
            taken.swap_peak,
            taken.swapped
        ));
    }
    Ok(Verdict::new(
        pass,
        format!("{} (goal {MAX_KIB} KiB at {JUDGED})", lines.join("; ")),
    ))
}

fn of_one(
    context: &Context,
    upstream: &Upstream,
    size: u32,
    threads: u32,
) -> anyhow::Result<Taken> {
    let folder = context.folder("memory").join(format!("{size}x{threads}"));
    let scene = Scene::prepare(&folder, upstream.address(), size, threads)?;
    // What a first start alone needs is not what a gateway lives with.
    scene.site.start()?.stop(PATIENCE)?;
    let mut gateway = scene.site.start()?;
    std::thread::sleep(SETTLED);
    scene.site.metrics()?;
    let idle = rss_kib(gateway.id())?;
    let good = scene.ask_each()?;
    anyhow::ensure!(good == scene.contracts.len(), "{good} of {size} answered");
    std::thread::sleep(SETTLED);
    scene.site.metrics()?;
    let used = rss_kib(gateway.id())?;
    rss_peak_reset(gateway.id()).context("forget the peak of memory")?;
    scene.swap()?;
    let swap_peak = rss_peak_kib(gateway.id())?;
    std::thread::sleep(SETTLED);
    let swapped = rss_kib(gateway.id())?;
    gateway.stop(PATIENCE)?;
    Ok(Taken {
        idle,
        used,
        swap_peak,
        swapped,
    })
}
