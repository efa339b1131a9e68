//! A ledger that another process still has: a start that takes over from it waits for the lock.
//!
//! Invariant: nothing in the directory is changed before the lock is had, but the rulebook, which is
//! named by its content. Meanwhile events are held in memory, then counted, then lost with exact
//! counts: all of it is in the accounts of this boot once the ledger is had. Not here: who holds the lock.

use std::thread;
use std::time::Duration;

use super::clock::{elapsed, wall_us};
use super::directory::Directory;
use super::error::LedgerError;
use super::intake::Intake;
use super::pressure::Period;
use super::rollup::Encode;
use super::settings::Settings;
use super::stats::Stats;

/// How often the lock is tried: the time that a ring must have room for.
const TRY_EVERY: Duration = Duration::from_millis(10);
/// How long the end of this process waits for a ledger that it never had.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

/// What came of waiting.
pub(super) enum Waited {
    /// The ledger is this process'; a period where requests had to be counted meanwhile.
    Had(Directory, Option<Period>),
    /// It ended before: with events that no record tells of, or without any.
    Ended(u64),
}

/// Holds what the workers make until the lock is had.
///
/// # Errors
/// A directory that cannot be locked for another reason than that it is.
pub(super) fn wait<E>(
    settings: &Settings,
    intakes: &mut [Intake<E>],
    encode: &mut impl Encode<E>,
    stats: &Stats,
) -> Result<Waited, LedgerError> {
    let (began_us, began) = (wall_us(), elapsed());
    let mut end_by = None;
    stats.set_notice(Some("the process before still has the ledger"));
    loop {
        match Directory::lock(&settings.dir) {
            Ok(directory) => {
                stats.set_notice(None);
                let counted = intakes.iter().any(|intake| intake.pending() > 0);
                let why = "the process before still had the ledger".to_owned();
                let period = counted.then(|| Period::before(began_us, why, began));
                return Ok(Waited::Had(directory, period));
            }
            Err(LedgerError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
        for intake in &mut *intakes {
            intake.hold(&settings.bounds, encode);
        }
        stats.hear();
        if stats.is_closing() {
            let unwritten: u64 = intakes.iter().map(Intake::made).sum();
            let end_by = *end_by.get_or_insert(elapsed() + PATIENCE);
            if unwritten == 0 || elapsed() >= end_by {
                return Ok(Waited::Ended(unwritten));
            }
        }
        thread::park_timeout(TRY_EVERY);
    }
}
