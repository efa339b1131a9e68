//! Lifecycles: what callers were told of the end of a contract, and what they are told now.
//!
//! Telling callers to leave breaks nothing, as long as they have the notice that was promised to
//! them, counted from today: dates of the past would otherwise take a route away at once.

use super::rows::Rows;
use super::table::{self, Ordered, Row};
use crate::contract::{Lifecycle, LifecycleParts, Stability, Status};
use crate::units::Date;

/// Every change between two lifecycles.
pub(super) fn compare(from: &Lifecycle, to: &Lifecycle, today: Date, rows: &mut Rows<'_>) {
    let old = from.parts();
    let LifecycleParts {
        status,
        deprecated_on,
        sunset_on,
        successor,
        stability,
        migration_guide,
    } = to.parts();
    statuses([old.status, *status], rows);
    let (what, day) = ("lifecycle.sunset_on", |day: Date| day.to_string());
    let row = sunset([old.sunset_on, *sunset_on], to, today);
    let [was, is] = [old.sunset_on, *sunset_on].map(|date| date.map(day));
    rows.text(row, what, was.as_deref(), is.as_deref());
    let [was, is] = [old.deprecated_on, *deprecated_on].map(|date| date.map(day));
    let told = [
        ("lifecycle.deprecated_on", was.as_deref(), is.as_deref()),
        (
            "lifecycle.successor",
            old.successor.as_ref().map(|id| id.as_str()),
            successor.as_ref().map(|id| id.as_str()),
        ),
        (
            "lifecycle.migration_guide",
            old.migration_guide.as_deref(),
            migration_guide.as_deref(),
        ),
    ];
    for (what, was, is) in told {
        rows.text(table::LEAVING, what, was, is);
    }
    let row = match stability {
        Stability::Beta => table::STABILITY_LESS,
        Stability::Stable => table::STABILITY_MORE,
    };
    let [was, is] = [old.stability, *stability].map(Stability::key);
    rows.text(row, "lifecycle.stability", Some(was), Some(is));
}

/// A draft is observed only, as in the stage shadow.
fn statuses(both: [Status; 2], rows: &mut Rows<'_>) {
    let row = match both {
        // Who was promised something is promised nothing now.
        [_, Status::Draft] => table::DRAFT_AGAIN,
        [Status::Draft, _] => Ordered::STAGE.tighter,
        [
            Status::Active | Status::Deprecated | Status::Sunset,
            Status::Active | Status::Deprecated | Status::Sunset,
        ] => table::LEAVING,
    };
    let [from, to] = both.map(Status::key);
    rows.text(row, "lifecycle.status", Some(from), Some(to));
}

/// The row of a day that differs.
fn sunset(days: [Option<Date>; 2], to: &Lifecycle, today: Date) -> Row {
    let notice = i64::from(to.parts().stability.notice_days());
    let is_in_time = |day: Date| day.days_since(today) >= notice;
    match days {
        [Some(from), Some(to)] if to < from => table::SUNSET_SHORT,
        [_, Some(day)] if !is_in_time(day) => table::SUNSET_SHORT,
        // Still to be removed, but nobody says when any more.
        [_, None] if to.status().is_leaving() => table::SUNSET_SHORT,
        _ => table::LEAVING,
    }
}
