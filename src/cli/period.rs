//! "The last seven days": a period on the command line, counted back from a ledger's newest decision.

use std::path::Path;

use anyhow::Result;

use crate::cli::offline::open_ledger;
use crate::ledger::{Record, Tail};

/// Where the newest decision is looked for before the whole ledger is.
const LAST_LINES: u64 = 1_000;

/// A number and its unit, in microseconds.
pub(super) fn period_us(text: &str) -> Result<u64, String> {
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
        number.checked_mul(seconds * 1_000_000)
    });
    parsed
        .filter(|period_us| *period_us > 0)
        .ok_or_else(|| "give seconds, minutes, hours or days, such as 90s, 30m, 12h or 7d".into())
}

/// When the newest decision was made. Records of other kinds are no measure: a simulation's tell
/// the time of the host, and its decisions a virtual one. What cannot be read is passed over: the
/// pass that counts will tell.
pub(super) fn newest_decision_us(path: &Path) -> Result<u64> {
    let mut buffer = Vec::new();
    let mut made_us = |line: &[u8]| {
        let record = Record::check(line, &mut buffer).ok();
        let decision = record.filter(|record| record.kind == "decision");
        decision.and_then(|record| record.uint("ts_us"))
    };
    let mut newest = None;
    if let Ok(mut tail) = Tail::open(path, LAST_LINES) {
        while let Some(line) = tail.next_line()? {
            newest = newest.max(made_us(&line));
        }
    }
    if let Some(newest) = newest {
        return Ok(newest);
    }
    let mut lines = open_ledger(path)?;
    while let Some((_, line)) = lines.next()? {
        newest = newest.max(made_us(line.bytes));
    }
    Ok(newest.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::period_us;

    #[test]
    fn periods_are_numbers_with_a_unit() {
        let check = |text, expected| assert_eq!(period_us(text).ok(), expected, "{text}");
        check("90s", Some(90_000_000));
        check("30m", Some(1_800_000_000));
        check("12h", Some(43_200_000_000));
        check("7d", Some(604_800_000_000));
        for wrong in [
            "",
            "7",
            "d",
            "0d",
            "-1d",
            "1.5d",
            "7 d",
            "7w",
            "99999999999999d",
        ] {
            check(wrong, None);
        }
    }
}
