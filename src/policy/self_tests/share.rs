//! Shares and waits as people write them: `3 of 100`, `30% of 200`, `25%`, `free in 300 ms`.
//!
//! Invariant: exact or refused. A percentage that is no whole number of requests is no number that
//! a gateway could have counted.

use crate::contract::file::bounds::COUNT_MAX;
use crate::observation::Share;
use crate::policy::self_tests::LimitState;
use crate::units::Millis;
use crate::yaml::parse_decimal;

/// `3 of 100` or `30% of 200`.
pub(super) fn parse_share(text: &str) -> Option<Share> {
    let (part, whole) = text.split_once(" of ")?;
    let whole = count(whole.trim())?;
    let part = match part.trim().strip_suffix('%') {
        Some(percent) => {
            let bp = parse_decimal(percent, 2).ok().filter(|bp| *bp <= 10_000)?;
            let parts = bp * u64::from(whole);
            (parts.is_multiple_of(10_000)).then_some(parts / 10_000)?
        }
        None => u64::from(count(part.trim())?),
    };
    let part = u32::try_from(part).ok()?;
    (whole > 0 && part <= whole).then_some(Share { part, whole })
}

fn count(text: &str) -> Option<u32> {
    let value = parse_decimal(text, 0)
        .ok()
        .filter(|_| !text.contains('.'))?;
    u32::try_from(value)
        .ok()
        .filter(|value| *value <= COUNT_MAX)
}

/// `25%` or `0.5%`, in basis points.
pub(super) fn parse_percent(text: &str) -> Option<u16> {
    let bp = parse_decimal(text.strip_suffix('%')?, 2).ok()?;
    u16::try_from(bp).ok().filter(|bp| *bp <= 10_000)
}

/// `spent` or `free in 300 ms`.
pub(super) fn parse_limit(text: &str) -> Option<LimitState> {
    if text == "spent" {
        return Some(LimitState::Spent);
    }
    let wait = text.strip_prefix("free in ")?.strip_suffix("ms")?;
    let wait = count(wait.trim()).filter(|wait| *wait > 0)?;
    Some(LimitState::FreeIn(Millis::new(wait)))
}

#[cfg(test)]
mod tests {
    use super::{parse_limit, parse_percent, parse_share};
    use crate::policy::self_tests::LimitState;
    use crate::units::Millis;

    #[test]
    fn shares_are_exact_or_refused() {
        for (text, expected) in [
            ("3 of 100", Some((3, 100))),
            ("0 of 1", Some((0, 1))),
            ("30% of 200", Some((60, 200))),
            ("0.5% of 200", Some((1, 200))),
            ("100% of 7", Some((7, 7))),
            ("12.34% of 10000", Some((1_234, 10_000))),
            ("30% of 7", None),
            ("101% of 100", None),
            ("0.001% of 100000", None),
            ("4 of 3", None),
            ("0 of 0", None),
            ("1.0 of 3", None),
            ("-1 of 3", None),
            ("3/100", None),
            ("30%", None),
            ("1 of 1000000001", None),
            ("1 of 99999999999999999999", None),
        ] {
            let found = parse_share(text).map(|share| (share.part, share.whole));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn percents_and_limits() {
        for (text, expected) in [
            ("25%", Some(2_500)),
            ("0.01%", Some(1)),
            ("100%", Some(10_000)),
            ("100.01%", None),
            ("0.001%", None),
            ("25", None),
        ] {
            assert_eq!(parse_percent(text), expected, "{text}");
        }
        let free = |wait| Some(LimitState::FreeIn(Millis::new(wait)));
        for (text, expected) in [
            ("spent", Some(LimitState::Spent)),
            ("free in 300 ms", free(300)),
            ("free in 300ms", free(300)),
            ("free in 0 ms", None),
            ("free in 3 s", None),
            ("full", None),
        ] {
            assert_eq!(parse_limit(text), expected, "{text}");
        }
    }
}
