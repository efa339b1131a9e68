//! What a prune or a redaction would give up, segment by segment.
//!
//! Invariant: everything that can be refused is refused here, and nothing is changed. Not here: how
//! it is recorded and carried out.

use std::path::Path;

use super::super::check::check;
use super::super::class::{Class, is_frame};
use super::super::files::Closed;
use super::super::notice::{Notice, What};
use super::super::pace::Pace;
use super::super::rewrite::plan;
use super::super::stub::StubSet;
use super::super::walk::walk;
use super::newest::{list, newest_facts};
use super::{OfflineError, refused};

/// Ranges that one record names.
const RANGES_MAX: usize = 24;

/// One segment of which something goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The segment's file name without suffix.
    pub segment: String,
    /// Its first number, and the number after its last.
    pub first_seq: u64,
    /// See `first_seq`.
    pub next_seq: u64,
    /// The time of its newest record, microseconds since 1970.
    pub newest_us: u64,
    /// How many records become stubs or are that already; `None` where the whole segment goes.
    pub stubs: Option<u64>,
}

/// What is to be done to one segment.
pub(super) struct Plan {
    pub(super) planned: Planned,
    pub(super) notice: Notice,
}

/// Before a lock is taken, which would leave a file behind where no ledger is.
fn require_segments(dir: &Path) -> Result<(), OfflineError> {
    if list(dir)?.newest.is_some() {
        return Ok(());
    }
    let rule = format!("{} has no segment of a ledger", dir.display());
    let remedy = "name the directory in ledger.dir; nothing was changed";
    Err(refused("LEDGER_NOT_A_LEDGER", rule, remedy))
}

/// What a `prune` would give up: whole segments from the oldest on whose newest record is older
/// than `before_us`, or with a class the records of that class in every such segment.
///
/// # Errors
/// What the system answers; a damaged segment.
pub fn plan_prune(
    dir: &Path,
    before_us: u64,
    class: Option<Class>,
) -> Result<Vec<Planned>, OfflineError> {
    let plans = plans_to_prune(dir, before_us, class)?;
    Ok(plans.into_iter().map(|plan| plan.planned).collect())
}

pub(super) fn plans_to_prune(
    dir: &Path,
    before_us: u64,
    class: Option<Class>,
) -> Result<Vec<Plan>, OfflineError> {
    require_segments(dir)?;
    let mut pace = Pace::free();
    let mut plans = Vec::new();
    for closed in &list(dir)?.closed {
        let checked = check(closed, &mut pace)?;
        let old = checked.newest_us < before_us;
        match class {
            None if !old => break,
            Some(class) if !old || checked.of(class) == 0 => continue,
            _ => {}
        }
        let what = class.map_or(What::Whole, What::Class);
        let stubs = match what {
            What::Whole => None,
            _ => Some(plan(closed, &what, &mut pace)?),
        };
        plans.push(planned(
            closed,
            what,
            stubs,
            checked.head,
            checked.newest_us,
        ));
    }
    // Of a segment that holds nothing but stubs the age is not known: it goes with a later one.
    while class.is_none() && plans.last().is_some_and(|plan| plan.planned.newest_us == 0) {
        plans.pop();
    }
    Ok(plans)
}

fn planned(
    closed: &Closed,
    what: What,
    stubs: Option<StubSet>,
    head: [u8; 64],
    newest_us: u64,
) -> Plan {
    Plan {
        planned: Planned {
            segment: closed.name(),
            first_seq: closed.first_seq,
            next_seq: closed.next_seq,
            newest_us,
            stubs: stubs.as_ref().map(|stubs| stubs.count),
        },
        notice: Notice {
            first_seq: closed.first_seq,
            next_seq: closed.next_seq,
            head,
            what,
            stubs,
        },
    }
}

/// Whether these records (both ends included) can be redacted; changes nothing.
///
/// # Errors
/// The first rule that the request breaks.
pub fn check_redactable(dir: &Path, ranges: &[(u64, u64)]) -> Result<(), OfflineError> {
    plans_to_redact(dir, ranges).map(drop)
}

pub(super) fn plans_to_redact(
    dir: &Path,
    ranges: &[(u64, u64)],
) -> Result<Vec<Plan>, OfflineError> {
    require_segments(dir)?;
    let segments = list(dir)?;
    let (oldest, newest) = (
        segments.closed.first().map_or(0, |closed| closed.first_seq),
        segments.newest.as_ref().map_or(0, |newest| newest.0),
    );
    for (first, last) in ranges {
        if first > last {
            let rule =
                format!("a range goes from its smaller number to its larger: {first}-{last}");
            return Err(refused("LEDGER_RANGE", rule, "write --seq FIRST-LAST"));
        }
        if *last >= newest {
            let records = newest_facts(dir)?.records;
            if *last >= records {
                let rule = format!(
                    "there is no record {last}: {} holds {records}",
                    dir.display()
                );
                return Err(refused("LEDGER_RANGE", rule, "name records that are here"));
            }
            let rule = format!("record {last} is not in a closed segment (those end at {newest})");
            let remedy = "wait until its segment is closed (ledger.segment_hours)";
            return Err(refused("LEDGER_NOT_CLOSED", rule, remedy));
        }
        if *first < oldest {
            let rule = format!("record {first} is gone: the oldest one here is {oldest}");
            return Err(refused("LEDGER_RANGE", rule, "name records that are here"));
        }
    }
    let mut plans = Vec::new();
    for closed in &segments.closed {
        plans.extend(plan_to_redact(closed, ranges)?);
    }
    Ok(plans)
}

fn plan_to_redact(closed: &Closed, ranges: &[(u64, u64)]) -> Result<Option<Plan>, OfflineError> {
    let last_here = closed.next_seq - 1;
    let clip = |(first, last): &(u64, u64)| {
        let clipped = ((*first).max(closed.first_seq), (*last).min(last_here));
        (clipped.0 <= clipped.1).then_some(clipped)
    };
    let mut here: Vec<(u64, u64)> = ranges.iter().filter_map(clip).collect();
    if here.is_empty() {
        return Ok(None);
    }
    here.sort_unstable();
    let here = merged(&here);
    if here.len() > RANGES_MAX {
        let rule = format!(
            "a redact record names at most {RANGES_MAX} ranges of {}",
            closed.name()
        );
        return Err(refused("LEDGER_RANGE", rule, "ask in several steps"));
    }
    let mut pace = Pace::free();
    let mut frame = None;
    walk(&closed.path(), closed, &mut pace, |step| {
        let asked = here.iter().any(|(a, b)| (*a..=*b).contains(&step.seq));
        if let Some(record) = step.record.filter(|record| asked && is_frame(record.kind)) {
            frame.get_or_insert((record.seq, record.kind.to_owned()));
        }
        Ok(())
    })?;
    if let Some((seq, kind)) = frame {
        let rule = format!("record {seq} is of kind {kind}, which holds the accounts together");
        let remedy = "leave it out of the ranges; it holds nothing about requests";
        return Err(refused("LEDGER_FRAME_RECORD", rule, remedy));
    }
    let checked = check(closed, &mut pace)?;
    let what = What::Ranges(here);
    let stubs = plan(closed, &what, &mut pace)?;
    if stubs == checked.stubs {
        return Ok(None);
    }
    let (head, newest_us) = (checked.head, checked.newest_us);
    Ok(Some(planned(closed, what, Some(stubs), head, newest_us)))
}

/// Ascending ranges without those that overlap or touch.
fn merged(ranges: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if *first <= before.1.saturating_add(1) => {
                before.1 = before.1.max(*last);
            }
            _ => merged.push((*first, *last)),
        }
    }
    merged
}
