//! SIGKILL at several instants under load: what is left is a ledger that verifies and balances, and
//! the next start serves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Rows;
use super::client::{Ended, many};
use super::place::{CLEAN, Place};
use crate::accept::Context;
use crate::site::PATIENCE;

/// Milliseconds of load before each kill: while the first record is written, between two syncs,
/// behind a checkpoint.
const AT_MS: &[u64] = &[0, 7, 60, 130, 333, 1_100];

pub(super) fn rows(context: &Context, rows: &mut Rows) {
    rows.note("SIGKILL at any moment", killed(context));
}

fn killed(context: &Context) -> anyhow::Result<String> {
    let place = Place::new(&context.folder("faults-kill"))?;
    let listen = place.site.listen;
    let served = AtomicU64::new(0);
    let (rounds, every) = context.pick((1, 2), (10, 1));
    let mut kills = 0_u64;
    let last_at = AT_MS.iter().step_by(every).next_back();
    for at in std::iter::repeat_n(AT_MS, rounds).flatten().step_by(every) {
        let mut gateway = place.start(&[])?;
        let loaded = std::thread::scope(|scope| {
            let load = scope.spawn(|| load(listen, &served));
            std::thread::sleep(Duration::from_millis(*at + kills * 3 % 11));
            // On a slow machine no kill may have met a gateway that had served.
            let began = Instant::now();
            while Some(at) == last_at
                && served.load(Ordering::Relaxed) == 0
                && began.elapsed() < PATIENCE
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            let killed = gateway.kill();
            kills += 1;
            let load = load.join();
            killed.and(load.map_err(|_| anyhow::anyhow!("the load panicked"))?)
        });
        loaded?;
    }
    let mut last = place.start(&[])?;
    let answers = many(listen, [CLEAN; 4])?;
    let well = answers
        .iter()
        .all(|answer| answer.ended == Ended::Whole(200, false));
    anyhow::ensure!(well, "after the last kill: {answers:?}");
    last.stop(PATIENCE)?;
    let account = place.account(None)?;
    let served = served.load(Ordering::Relaxed);
    anyhow::ensure!(served > 0, "no request was served before a kill");
    Ok(format!(
        "{kills} kills, {served} requests served before them; {account}"
    ))
}

/// Requests until the gateway is gone.
fn load(listen: std::net::SocketAddr, served: &AtomicU64) -> anyhow::Result<()> {
    loop {
        let answers = many(listen, [CLEAN; 8])?;
        let good = answers
            .iter()
            .filter(|a| a.ended == Ended::Whole(200, false));
        served.fetch_add(good.count() as u64, Ordering::Relaxed);
        if answers.iter().any(|a| a.ended == Ended::Unanswered) {
            return Ok(());
        }
    }
}
