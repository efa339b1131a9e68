//! What survives the process: counters of the workers in a file, and the mark of a boot that has no
//! ledger yet.
//!
//! Invariant: trouble with either is told and never stops a start; a crash is then told by less.

use super::super::counters::Counters;
use super::super::frame::BootId;
use super::super::ring::{Counts, Source};
use super::super::settings::Settings;
use super::super::unopened::Mark;

/// From here on the workers also count in the file that survives the process. By now recovery has read
/// the one of the boot before.
pub(super) fn survive<'r>(
    settings: &Settings,
    boot: BootId,
    rings: impl Iterator<Item = (Source, &'r Counts)>,
) {
    match Counters::create(&settings.disk, &settings.dir, boot) {
        Ok(survivors) => count_in(&survivors, boot, rings),
        Err(error) => told_in_memory(&error),
    }
}

fn count_in<'r>(
    survivors: &Counters,
    boot: BootId,
    rings: impl Iterator<Item = (Source, &'r Counts)>,
) {
    for (source, counts) in rings.filter(|(source, _)| source.boot == boot) {
        counts.survive_in(survivors.slot(source.worker));
    }
}

/// What a crash then leaves unaccounted is found by the gaps in the numbers, all but the last.
pub(super) fn told_in_memory(error: &std::io::Error) {
    tracing::warn!(event = "ledger_counters_in_memory", %error);
}

/// The mark of a boot that decides before it has the ledger, with its counters in it. Without one a
/// crash until then is told by nobody but the log.
pub(super) fn marked<'r>(
    settings: &Settings,
    boot: BootId,
    rings: impl Iterator<Item = (Source, &'r Counts)>,
) -> Option<Mark> {
    let put = Mark::put(&settings.disk, &settings.dir, boot);
    let failed = |error: &_| tracing::warn!(event = "ledger_not_marked", %error);
    let mark = put.inspect_err(failed).ok()?;
    match mark.counters() {
        Ok(survivors) => count_in(&survivors, boot, rings),
        Err(error) => told_in_memory(&error),
    }
    Some(mark)
}
