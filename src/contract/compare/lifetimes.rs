//! Two lifecycles: what callers were told, and what they are told now.
//!
//! Telling callers to leave breaks nothing. Taking back what they were told does: an earlier
//! sunset, one that is no longer named, a shorter notice, a promise that is a draft again.

use super::pair::Changes;
use super::{Class, Effect, Member};
use crate::contract::{Lifecycle, LifecycleParts, Stability, Status};
use crate::units::Date;

pub(super) fn compare_lifecycles(changes: &mut Changes, old: &Lifecycle, new: &Lifecycle) {
    let old = old.parts();
    let LifecycleParts {
        status,
        deprecated_on,
        sunset_on,
        successor,
        stability,
        migration_guide,
    } = new.parts();
    compare_status(changes, [old.status, *status]);
    let date = |day: &Option<Date>| day.map(|day| day.to_string().into());
    let days = [date(&old.deprecated_on), date(deprecated_on)];
    changes.plain(Member::DeprecatedOn, days);
    compare_sunsets(changes, [old.sunset_on, *sunset_on], status.is_leaving());
    let successors = [&old.successor, successor];
    let successors = successors.map(|id| id.as_ref().map(|id| id.as_str().into()));
    changes.plain(Member::Successor, successors);
    compare_stabilities(changes, [old.stability, *stability]);
    let guides = [old.migration_guide.clone(), migration_guide.clone()];
    changes.plain(Member::MigrationGuide, guides);
}

fn compare_status(changes: &mut Changes, statuses: [Status; 2]) {
    let class = match statuses {
        [from, to] if from == to => return,
        [_, Status::Draft] => Class::BreakingChange,
        _ => Class::BackwardCompatible,
    };
    let values = statuses.map(|status| Some(status.key().into()));
    changes.push(Member::Status, Effect::Changed, values, class);
}

fn compare_sunsets(changes: &mut Changes, days: [Option<Date>; 2], is_leaving: bool) {
    let (effect, class) = match days {
        [from, to] if from == to => return,
        [Some(from), Some(to)] if to < from => (Effect::Tightened, Class::BreakingChange),
        [Some(_), Some(_)] => (Effect::Loosened, Class::BackwardCompatible),
        // Still to be removed, but nobody says when any more.
        [Some(_), None] if is_leaving => (Effect::Changed, Class::BreakingChange),
        _ => (Effect::Changed, Class::BackwardCompatible),
    };
    let values = days.map(|day| day.map(|day| day.to_string().into()));
    changes.push(Member::SunsetOn, effect, values, class);
}

fn compare_stabilities(changes: &mut Changes, both: [Stability; 2]) {
    let (effect, class) = match both {
        [Stability::Stable, Stability::Beta] => (Effect::Tightened, Class::BreakingChange),
        [Stability::Beta, Stability::Stable] => (Effect::Loosened, Class::BackwardCompatible),
        _ => return,
    };
    let values = both.map(|stability| Some(stability.key().into()));
    changes.push(Member::Stability, effect, values, class);
}
