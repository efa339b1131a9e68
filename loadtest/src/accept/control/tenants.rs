//! One client that is far too fast, among others that are not.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::super::{Context, Verdict};
use crate::crowd::{self, Crowd};
use crate::site::{PATIENCE, Site};
use crate::upstream::Upstream;

/// Five a second for each client, ten at once.
const CONTRACTS: &str = "version: 1\ncontracts:\n  - {id: shared_v1, owner: me, endpoint: \"GET /shared\", max_in_flight: 100, per_client: {rate_limit_rpm: 300, burst: 10}}\n";
const RATE: u64 = 5;
const BURST: u64 = 10;

// R015
pub(super) fn fair(context: &Context) -> anyhow::Result<Verdict> {
    let seconds: u64 = context.pick(5, 30);
    let upstream = Upstream::start()?;
    let site = Site::controlling(&context.folder("tenants"), upstream.address(), CONTRACTS)?;
    let mut gateway = site.start()?;
    let others = Crowd {
        clients: 20,
        net: 6,
        ..Crowd::patient(site.listen, "/shared", 60)
    };
    let fast = Crowd {
        clients: 1,
        net: 7,
        ..Crowd::patient(site.listen, "/shared", 200)
    };
    let long = Duration::from_secs(seconds);
    let (others, fast) = std::thread::scope(|scope| {
        let never = AtomicBool::new(false);
        let fast = scope.spawn(move || crowd::run(&fast, long, &never));
        let others = crowd::run(&others, long, &AtomicBool::new(false));
        let fast = fast
            .join()
            .map_err(|_| anyhow::anyhow!("a crowd panicked"))?;
        anyhow::Ok((others?, fast?))
    })?;
    gateway.stop(PATIENCE)?;
    let (well, passed) = (others.all(), fast.all());
    let most = RATE * seconds + BURST + RATE;
    // Its conduct may set it apart, which lets even less of it through.
    let pass = well.good == well.begun
        && passed.good <= most
        && passed.good >= BURST
        && fast.of(429) + fast.of(403) + fast.of(200) == passed.begun;
    Ok(Verdict::new(
        pass,
        format!(
            "others: {} of {} served; the fast one: {} of {} passed, at most {most}, statuses {:?}",
            well.good, well.begun, passed.good, passed.begun, fast.statuses
        ),
    ))
}
