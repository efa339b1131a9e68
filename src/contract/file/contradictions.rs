//! Numbers of one contract that speak against each other.
//!
//! What can have no meaning at all is an error. What works, but hardly as it was meant, is a
//! warning: it may depend on the gateway, or on a default that nobody wrote.

use super::Surroundings;
use super::bounds::{is_client_above_all, is_delay_without_limit};
use super::clients::PerClient;
use super::waiting::warn_of_waits;
use crate::contract::Terms;
use crate::diagnostic::{Code, Place};
use crate::units::Millis;
use crate::yaml::{Fields, Sheet};

/// Parts per million of one basis point.
const PPM_PER_BASIS_POINT: u32 = 100;

pub(super) fn warn_of_early_deadline(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    max_latency: Millis,
    timeout: Millis,
) {
    if timeout >= max_latency {
        return;
    }
    let message = format!(
        "requests end after {} ms, before the promised {} ms",
        timeout.get(),
        max_latency.get()
    );
    let place = place(fields, "timeout_ms");
    sheet.warning(place, Code::TimeoutBelowLatency, message);
}

/// Whether the limits agree; where they do not, it is reported.
pub(super) fn limits_agree(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    terms: &Terms,
    client: Option<&PerClient>,
    around: Surroundings<'_>,
) -> bool {
    let mut agree = true;
    if let (Some(client), Some(all)) = (client, terms.rate_limit)
        && is_client_above_all(terms)
    {
        let (own, all) = (client.rate_limit.get(), all.get());
        let message =
            format!("one client may send {own} per minute, all clients together only {all}");
        sheet.error(client.rate_place, Code::ClientAboveAll, message);
        agree = false;
    }
    if is_delay_without_limit(terms) {
        let message = "there is no limit whose turn a request could wait for".to_owned();
        sheet.error(place(fields, "throttle"), Code::DelayWithoutLimit, message);
        agree = false;
    }
    if agree {
        warn_of_client_burst(sheet, terms, client);
        warn_of_places(sheet, fields, terms, around);
        warn_of_early_circuit(sheet, fields, terms);
        warn_of_waits(sheet, fields, terms);
    }
    agree
}

/// Said only of a burst that was written: the default of one limit knows nothing of the other.
fn warn_of_client_burst(sheet: &mut Sheet<'_>, terms: &Terms, client: Option<&PerClient>) {
    let Some((client, rate)) = client.zip(terms.rate_limit) else {
        return;
    };
    let all = terms.burst.unwrap_or_else(|| Terms::default_burst(rate));
    if let (Some(own), Some(place)) = (client.burst, client.burst_place)
        && own > all
    {
        let message =
            format!("a client's burst of {own} can never be reached: that of all is {all}");
        let remedy = "lower 'per_client.burst', or raise 'burst'".to_owned();
        sheet.warning_with(place, Code::OutOfReach, message, remedy);
    }
}

/// Each client connection has one request at a time.
fn warn_of_places(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    terms: &Terms,
    around: Surroundings<'_>,
) {
    if let (Some(max), Some(connections)) = (terms.max_in_flight, around.connections)
        && max.get() > connections
    {
        let message = format!(
            "{max} requests in flight can never be reached: 'limits.connections' is {connections}"
        );
        let remedy = "lower 'max_in_flight', or raise 'limits.connections'".to_owned();
        let place = place(fields, "max_in_flight");
        sheet.warning_with(place, Code::OutOfReach, message, remedy);
    }
}

fn warn_of_early_circuit(sheet: &mut Sheet<'_>, fields: Fields<'_>, terms: &Terms) {
    let threshold = u32::from(terms.circuit_threshold.get()) * PPM_PER_BASIS_POINT;
    if threshold > terms.error_budget.get() {
        return;
    }
    let key = match fields.get("circuit_threshold") {
        Some(_) => "circuit_threshold",
        None => "error_budget",
    };
    let message = "the circuit opens while the failures are within the budget".to_owned();
    sheet.warning(place(fields, key), Code::CircuitWithinBudget, message);
}

pub(super) fn place(fields: Fields<'_>, key: &str) -> Place {
    fields.get(key).map_or(fields.place(), |node| node.place)
}
