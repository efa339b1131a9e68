//! What the verbs that change a ledger share: arguments, the key, how they end.

use std::path::Path;

use super::{FAILED, INTEGRITY};
use crate::cli::stdio::note;
use crate::ledger::{KeyError, LedgerKey, Offline, OfflineError};
use crate::units::Date;

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
    let day = Date::parse(text).ok_or_else(|| "write a day as 2026-01-31".to_owned())?;
    Ok(day.unix_seconds() * 1_000_000)
}
