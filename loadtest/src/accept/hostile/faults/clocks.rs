//! The wall clock jumps while requests come: windows, limits and deadlines go by the other clock, and
//! the ledger stays a chain.

use std::time::Duration;

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
            let wall = last_wall_us(&place)?;
            let off = (wall - now_us()) / 1_000_000 - step;
            // The newest record is a moment old.
            anyhow::ensure!(off.abs() < 5, "records are {off} s off the stepped clock");
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

/// The time of the newest record on disk.
fn last_wall_us(place: &Place) -> anyhow::Result<i64> {
    // What was decided is in the file within the interval of syncs.
    std::thread::sleep(LONG);
    let mut last = 0;
    for segment in crate::site::segments(&place.site.ledger())? {
        let text = std::fs::read_to_string(segment)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().rev().take(50);
        let times = lines.filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line["kind"] == "decision").then(|| line["ts_us"].as_i64())?
        });
        last = times
            .max_by_key(|time| (time - now_us()).abs())
            .unwrap_or(last);
    }
    Ok(last)
}
