//! What the ticker takes of a core while traffic goes over all contracts.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::super::{Context, Verdict};
use crate::cpu_ratio::paths_of;
use crate::crowd::{self, Crowd};
use crate::process::thread_cpu_ns;
use crate::site::{PATIENCE, Setup, Site};
use crate::upstream::Upstream;

const PER_SECOND: u32 = 2_000;

pub(super) fn share(context: &Context) -> anyhow::Result<Verdict> {
    let (mut pass, mut figures) = (true, Vec::new());
    for (contracts, most) in [(100, 0.2), (10_000, 5.0)] {
        let percent = measured(context, contracts)?;
        pass &= percent <= most;
        figures.push(format!(
            "{contracts} contracts: {percent:.3} % of a core, at most {most} %"
        ));
    }
    Ok(Verdict::new(
        pass,
        format!(
            "{PER_SECOND} requests a second over all contracts; {}",
            figures.join("; ")
        ),
    ))
}

fn measured(context: &Context, contracts: u32) -> anyhow::Result<f64> {
    let upstream = Upstream::start()?;
    let setup = Setup {
        contracts,
        tier: "control",
        ..Setup::observing(upstream.address())
    };
    let site = Site::prepare(&context.folder(&format!("ticker-{contracts}")), &setup)?;
    let mut gateway = site.start()?;
    let crowd = Crowd {
        paths: paths_of(contracts),
        ..Crowd::patient(site.listen, "/", PER_SECOND)
    };
    // The last seconds of the warm-up fill the windows of every contract.
    crowd::run(
        &crowd,
        Duration::from_secs(context.pick(2, 10)),
        &AtomicBool::new(false),
    )?;
    let (before, began) = (thread_cpu_ns(gateway.id(), "ticker")?, Instant::now());
    crowd::run(
        &crowd,
        Duration::from_secs(context.pick(5, 60)),
        &AtomicBool::new(false),
    )?;
    let used = thread_cpu_ns(gateway.id(), "ticker")? - before;
    let percent = used as f64 / began.elapsed().as_nanos() as f64 * 100.0;
    gateway.stop(PATIENCE)?;
    Ok(percent)
}
