//! Waits that hardly come about: a turn that is further away than anybody may wait, and room for
//! more than could ever wait.
//!
//! Warnings, for the gateway works with them: a limit divided among instances, or a burst that has
//! run out at the right moment, still lets some requests wait.

use super::contradictions::place;
use crate::contract::{Terms, Throttle};
use crate::diagnostic::Code;
use crate::units::PerMinute;
use crate::yaml::{Fields, Node, Sheet, Value};

const MILLIS_PER_MINUTE: u64 = 60_000;

pub(super) fn warn_of_waits(sheet: &mut Sheet<'_>, fields: Fields<'_>, terms: &Terms) {
    let Throttle::Delay { wait_max, held_max } = terms.throttle else {
        return;
    };
    let fastest = terms.rate_limit.max(terms.client_rate_limit);
    let Some(rate) = fastest.map(PerMinute::get) else {
        return;
    };
    let wait_ms = u64::from(wait_max.get());
    let turns = u64::from(rate) * wait_ms / MILLIS_PER_MINUTE;
    if turns == 0 {
        let period_ms = MILLIS_PER_MINUTE.div_ceil(u64::from(rate));
        let message = format!(
            "almost nobody ever waits: turns are {period_ms} ms apart, and {wait_ms} ms is the longest wait"
        );
        let remedy = "raise 'wait_max_ms' or the rate, or write 'throttle: reject'".to_owned();
        let place =
            stated(fields, "wait_max_ms").map_or(place(fields, "throttle"), |node| node.place);
        sheet.warning_with(place, Code::OutOfReach, message, remedy);
        return;
    }
    // How many clients may wait for limits of their own cannot be said.
    if terms.client_rate_limit.is_none()
        && u64::from(held_max.get()) > turns
        && let Some(node) = stated(fields, "held_max")
    {
        let message = format!(
            "{held_max} waiting requests can never be reached: within {wait_ms} ms come {turns} turns"
        );
        let remedy = "lower 'held_max', or raise 'wait_max_ms'".to_owned();
        sheet.warning_with(node.place, Code::OutOfReach, message, remedy);
    }
}

/// A key of the map `throttle`, where it was written.
fn stated<'n>(fields: Fields<'n>, key: &str) -> Option<&'n Node> {
    match &fields.get("throttle")?.value {
        Value::Map(entries) => entries
            .iter()
            .find(|(name, _)| &*name.text == key)
            .map(|(_, node)| node),
        _ => None,
    }
}
