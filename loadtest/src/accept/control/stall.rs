//! An upstream stands still for five seconds at 70 % load, with clients that give up and retry.
//!
//! Ten workers of 100 ms each can do 100 requests a second. They go on with what nobody waits for
//! any more, so after the stall a queue longer than the clients' patience keeps itself alive.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::super::{Context, Verdict};
use crate::crowd::{self, Crowd, Outcome};
use crate::site::{PATIENCE, Site};
use crate::upstream::Upstream;

const CONTRACTS: &str = "version: 1\ncontracts:\n  - {id: work_v1, owner: me, endpoint: \"GET /work\", max_latency_ms: 500, max_in_flight: 20}\n";
const PER_SECOND: u32 = 70;
const STALL: usize = 5;
/// Within so many seconds of the stall's end it has to be well.
const WELL_WITHIN: usize = 15;
/// Seconds that are looked at together.
const TOGETHER: usize = 3;

/// One run: the load straight at the upstream, or through a gateway.
fn run(context: &Context, governed: bool) -> anyhow::Result<Outcome> {
    let before = context.pick(4, 10);
    let whole = before + STALL + WELL_WITHIN + context.pick(2, 15);
    let upstream = Upstream::start()?;
    let mut target = upstream.address();
    let mut gateway = None;
    if governed {
        let site = Site::controlling(&context.folder("stall"), target, CONTRACTS)?;
        target = site.listen;
        gateway = Some(site.start()?);
    }
    let crowd = Crowd {
        clients: 100,
        patience: Duration::from_secs(1),
        retries: 3,
        net: if governed { 3 } else { 4 },
        ..Crowd::patient(target, "/work?do=work/100", PER_SECOND)
    };
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(before as u64));
            upstream.health().stall(true);
            std::thread::sleep(Duration::from_secs(STALL as u64));
            upstream.health().stall(false);
        });
        let long = Duration::from_secs(whole as u64);
        crowd::run(&crowd, long, &AtomicBool::new(false))
    })?;
    if let Some(mut gateway) = gateway {
        gateway.stop(PATIENCE)?;
    }
    Ok(outcome)
}

/// Percent of good answers that are called well; and in a short run, where a machine that stands still
/// by itself must not count: without the gateway nothing is good any more, which is what to tell apart.
const WELL: u64 = 95;
const WELL_BUSY: u64 = 50;

/// The second from which on so many percent of each few seconds are good.
fn well_from(outcome: &Outcome, from: usize, percent: u64) -> Option<usize> {
    // The last second is cut short.
    let end = outcome.seconds.len().saturating_sub(1);
    let well = |at: usize| {
        let few = outcome.between(at, (at + TOGETHER).min(end));
        few.good * 100 >= few.begun * percent
    };
    let ill = (from..end).rev().find(|at| !well(*at));
    match ill {
        None => Some(from),
        Some(last) if last + 1 < end => Some(last + 1),
        Some(_) => None,
    }
}

fn percent(outcome: &Outcome, from: usize, to: usize) -> u64 {
    let sum = outcome.between(from, to);
    (sum.good * 100).checked_div(sum.begun).unwrap_or(0)
}

// R038
pub(super) fn both(context: &Context) -> anyhow::Result<Verdict> {
    let (governed, alone) = std::thread::scope(|scope| {
        let alone = scope.spawn(|| run(context, false));
        let governed = run(context, true);
        let alone = alone
            .join()
            .map_err(|_| anyhow::anyhow!("a run panicked"))?;
        anyhow::Ok((governed?, alone?))
    })?;
    let before = context.pick(4, 10);
    let stalled = before + STALL;
    let end = stalled + WELL_WITHIN;
    let well = context.pick(WELL_BUSY, WELL);
    let again = well_from(&governed, stalled, well).map(|at| at - stalled);
    let sound = [&governed, &alone].map(|outcome| percent(outcome, 1, before - 1));
    let late = [&governed, &alone].map(|outcome| percent(outcome, end - 3, end));
    let pass = again.is_some_and(|seconds| seconds <= WELL_WITHIN)
        && sound.iter().all(|percent| *percent >= well)
        && late[0] >= well
        && late[1] < 50;
    let by_second =
        |outcome: &Outcome| -> Vec<u64> { outcome.seconds.iter().map(|s| s.good).collect() };
    let figure = format!(
        "{PER_SECOND} a second, stalled from second {before} to {stalled}; CONTROL: {} % before, well ({well} %) again {} s after it, {} % in the last 3 of {WELL_WITHIN} s, \
         statuses {:?}; without tidegate: {} % before, {} % in the same 3 s; good answers by second: CONTROL {:?}, without {:?}",
        sound[0],
        again.map_or("never".to_owned(), |seconds| seconds.to_string()),
        late[0],
        governed.statuses,
        sound[1],
        late[1],
        by_second(&governed),
        by_second(&alone),
    );
    Ok(Verdict::new(pass, figure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Second;

    #[test]
    fn well_is_what_stays_well() {
        let check = |good: &[u64], expected| {
            let seconds = good
                .iter()
                .map(|good| Second {
                    begun: 10,
                    good: *good,
                })
                .collect();
            let outcome = Outcome {
                seconds,
                ..Outcome::default()
            };
            assert_eq!(well_from(&outcome, 1, WELL), expected, "{good:?}");
        };
        check(&[0, 10, 10, 10, 10, 10, 0], Some(1));
        check(&[0, 0, 10, 10, 10, 10, 0], Some(2));
        check(&[0, 10, 10, 0, 10, 10, 0], Some(4));
        check(&[0, 10, 10, 10, 10, 0, 0], None);
    }
}
