//! What a start can say of the boot before: whether it closed, what it made, and whether the
//! directory is still the one that it wrote to.

use super::directory::SegmentName;
use super::error::LedgerError;
use super::frame::BootId;
use super::last_boot::LastBoot;
use super::made::Made;
use super::salvage::salvage;

/// Numbers by worker, as two hex digits.
pub(super) type Counts = Vec<(String, u64)>;

/// The accounts of a boot that did not close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Previous {
    /// Values of `n` taken; only workers that took any.
    pub(super) made: Counts,
    /// Those neither written, nor rolled up, nor lost; only where there are any.
    pub(super) unaccounted: Counts,
}

impl Previous {
    /// Numbers that were made and left no trace.
    pub(super) fn total_unaccounted(&self) -> u64 {
        self.unaccounted.iter().map(|(_, count)| count).sum()
    }
}

/// A boot that counted here and that no record names: an older state of the ledger was put back in
/// its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissingBoot {
    pub(super) boot: BootId,
    /// Values of `n` taken; only workers that took any.
    pub(super) made: Counts,
}

impl MissingBoot {
    /// Numbers that it took, all workers together.
    pub(super) fn total(&self) -> u64 {
        self.made.iter().map(|(_, count)| count).sum()
    }
}

/// Reads older segments, the newest first, until `newest` says who wrote last and how much of it
/// the lines account for. `all` also wants the newest `open`.
pub(super) fn complete(
    newest: &mut LastBoot,
    segments: &[SegmentName],
    made: Option<&Made>,
    all: bool,
) -> Result<(), LedgerError> {
    for pair in segments.windows(2).rev() {
        let [older, next] = pair else { continue };
        let wanted = made.is_some_and(|made| !newest.closed && lacks(newest, made));
        let unknown = made.is_some_and(|made| !made.moved && !newest.names_counting);
        if !(wanted || (all || unknown) && newest.opened.is_none()) {
            return Ok(());
        }
        let lines = next.first_seq - older.first_seq;
        let counting = made.map(|made| made.boot);
        let read = salvage(&older.path, older.first_seq, Some(lines), counting)
            .map_err(|e| LedgerError::io("reading", &older.path, e))?;
        newest.preceded_by(&read.last_boot);
    }
    Ok(())
}

/// Whether the counters are, or may be, of the last boot and the lines do not tell all of it yet.
fn lacks(newest: &LastBoot, made: &Made) -> bool {
    match &newest.boot {
        None => true,
        Some(boot) => *boot == made.boot.to_string() && newest.accounted().is_none(),
    }
}

/// The accounts of the last boot, where its counters survived and it did not close.
pub(super) fn accounts(newest: &LastBoot, made: Option<&Made>) -> Option<Previous> {
    let made = made.filter(|made| newest.boot.as_ref() == Some(&made.boot.to_string()))?;
    let accounted = newest.accounted()?;
    if made.moved || newest.closed {
        return None;
    }
    let mut previous = Previous {
        made: Vec::new(),
        unaccounted: Vec::new(),
    };
    for (worker, known) in accounted.iter().enumerate() {
        // After a power loss the counters may be older than the lines.
        let taken = made.counts.get(worker).copied().unwrap_or(0).max(*known);
        let name = || format!("{worker:02x}");
        if taken > 0 {
            previous.made.push((name(), taken));
        }
        if taken > *known {
            previous.unaccounted.push((name(), taken - known));
        }
    }
    Some(previous)
}

/// The boot of the counters, where they were written here and no `open` names it: it stands in the
/// records before it counts. A boot without counters of its own names it as the one before.
pub(super) fn missing(newest: &LastBoot, made: Option<&Made>) -> Option<MissingBoot> {
    let made = made.filter(|made| !made.moved && !newest.names_counting)?;
    let taken = made.counts.iter().enumerate().filter(|(_, n)| **n > 0);
    Some(MissingBoot {
        boot: made.boot,
        made: taken.map(|(w, n)| (format!("{w:02x}"), *n)).collect(),
    })
}

/// Whether the last boot wrote to another directory.
pub(super) fn moved(newest: &LastBoot, made: Option<&Made>) -> bool {
    made.is_some_and(|made| made.moved && newest.boot.as_ref() == Some(&made.boot.to_string()))
}
