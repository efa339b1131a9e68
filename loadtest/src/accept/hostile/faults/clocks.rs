//! The wall clock jumps while requests come: windows, limits and deadlines go by the other clock, and
//! the ledger stays a chain.

use std::time::{Duration, Instant};

use super::Rows;
use super::place::Place;
use super::shim::Shim;
use crate::accept::Context;

const HOUR: i64 = 3_600;
const YEARS: i64 = 10 * 365 * 24 * HOUR;
const STEPS: [(&str, i64); 4] = [
    ("wall clock + 1 h", HOUR),
    ("wall clock - 1 h", -HOUR),
    ("wall clock + 10 years", YEARS),
    ("wall clock - 10 years", -YEARS),
];
/// Between two steps.
const LONG: Duration = Duration::from_millis(300);
/// Within this what was decided is in the file, however slow the machine; then it is of the wrong clock.
const RECORDED: Duration = Duration::from_secs(4);

pub(super) fn rows(context: &Context, rows: &mut Rows) -> anyhow::Result<()> {
    let folder = context.folder("faults-clock");
    let mut place = Place::new(&folder)?;
    let shim = Shim::build(&folder)?;
    let gateway = place.start(&shim.wrapper())?;
    for (name, step) in STEPS {
        // Whatever breaks at an hour breaks at ten years.
        if step.abs() == HOUR && context.pick(true, false) {
            rows.leave_out(name);
            continue;
        }
        let mut stepped = || {
            let before = place.served_for(LONG)?;
            shim.order(step, "")?;
            let after = place.served_for(LONG)?;
            recorded_by(&place, step)?;
            shim.order(0, "")?;
            let again = place.served_for(LONG)?;
            Ok(format!(
                "{} requests served on both sides",
                before + after + again
            ))
        };
        let judged = stepped();
        rows.note(name, judged);
    }
    rows.note("accounts of all steps", place.close(gateway));
    Ok(())
}

fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(0))
}

/// Waits until the newest record on disk is of the clock that was stepped by so many seconds: what was
/// decided is in the file within the interval of syncs, or when the machine gets to it.
fn recorded_by(place: &Place, step: i64) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let off = last_wall_us(place)?.map(|wall| (wall - now_us()) / 1_000_000 - step);
        // The newest record is a moment old.
        if off.is_some_and(|off| off.abs() < 5) {
            return Ok(());
        }
        let waited = began.elapsed();
        anyhow::ensure!(
            waited < RECORDED,
            "records are {off:?} s off the stepped clock"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The time of the newest decision on disk.
fn last_wall_us(place: &Place) -> anyhow::Result<Option<i64>> {
    let Some(segment) = crate::site::segments(&place.site.ledger())?.pop() else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(segment)?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    Ok(whole.lines().rev().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["kind"] == "decision").then(|| line["ts_us"].as_i64())?
    }))
}
