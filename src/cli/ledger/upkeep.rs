//! What the verbs that change a ledger share: arguments, the key, how they end.

use std::path::Path;

use super::{FAILED, INTEGRITY};
use crate::cli::stdio::note;
use crate::ledger::{KeyError, LedgerKey, Offline, OfflineError};

/// Reads the key, where one is named.
pub(super) fn key(path: Option<&Path>) -> Result<Option<LedgerKey>, KeyError> {
    path.map(LedgerKey::read).transpose()
}

/// Does the work on an open ledger, and closes it whatever came of it.
pub(super) fn closed<T>(
    ledger: &Offline,
    work: impl FnOnce(&Offline) -> Result<T, OfflineError>,
) -> Result<T, OfflineError> {
    let done = work(ledger);
    let closed = ledger.close();
    let done = done?;
    closed?;
    Ok(done)
}

/// Tells why nothing, or not everything, was done; gives the exit code.
pub(super) fn refused(error: &OfflineError) -> u8 {
    note(format_args!("tidegate: {error}"));
    match error {
        OfflineError::Ledger(ledger) if ledger.is_about_evidence() => INTEGRITY,
        _ => FAILED,
    }
}

/// Words that say something.
pub(super) fn words(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > 1_000 {
        return Err("say it in 1 to 1,000 bytes".to_owned());
    }
    Ok(text.to_owned())
}

/// The first microsecond of a day in UTC, written as 2026-01-31.
pub(super) fn date_us(text: &str) -> Result<u64, String> {
    let wrong = || "write a day as 2026-01-31".to_owned();
    let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Some(year)), Some(Some(month)), Some(Some(day)), None) => (year, month, day),
        _ => return Err(wrong()),
    };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || text.len() != 10 {
        return Err(wrong());
    }
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let length = |month: u64| match month {
        2 => 28 + u64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=length(month)).contains(&day) {
        return Err(wrong());
    }
    let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let months: u64 = (1..month).map(length).sum();
    Ok((years + months + day - 1) * 86_400 * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            // date -u -d 2024-02-29 +%s
            ("2024-02-29", Some(1_709_164_800)),
            ("2026-11-20", Some(1_795_132_800)),
            ("2100-03-01", Some(4_107_542_400)),
            ("2023-02-29", None),
            ("2100-02-29", None),
            ("2026-13-01", None),
            ("2026-1-1", None),
            ("2026-01-00", None),
            ("1969-12-31", None),
            ("tomorrow", None),
        ] {
            let expected = expected.map(|seconds: u64| seconds * 1_000_000);
            assert_eq!(date_us(text).ok(), expected, "{text}");
        }
    }
}
