//! What leaves a contract and is let through all the same.
//!
//! A route or a method that is gone is refused where the rules say so, and then nothing is less
//! protected. Where they let through what no contract knows, its limits are gone and its traffic is
//! not: that is a loosening, whatever it means to callers. The rules that count are those of the
//! candidate. Not here: what rules mean to a request, which is decided in `decision`.

use super::table::{self, Row};
use super::{Change, Verdict};
use crate::policy::rules::{Band, Rules, Severity, Stage};
use crate::units::Factor;

/// Puts routes and methods that are gone under the row that says what becomes of their requests.
/// Takes the changes of contracts only.
pub(super) fn weigh(rules: &Rules, found: &mut [Change]) {
    let unknown = rules.unknown_endpoint.action;
    let unknown = lets_through(rules, unknown, Factor::UnknownEndpoint);
    let method = lets_through(rules, rules.method_disallowed, Factor::MethodDisallowed);
    for change in found.iter_mut().filter(|change| change.to.is_none()) {
        let row: Row = match (&*change.what, change.consumer) {
            ("endpoint", Verdict::None) if unknown => table::ROUTE_OVER_OPEN,
            ("endpoint", _) if unknown => table::ROUTE_REMOVED_OPEN,
            ("allowed_methods", _) if method => table::METHOD_REMOVED_OPEN,
            _ => continue,
        };
        (change.consumer, change.protection) = (row.consumer, row.protection);
    }
}

/// Whether some request of that kind is forwarded: by the action, which is a floor, and by the band
/// that the factor reaches alone. A factor that counts for a share of requests lets the others go.
fn lets_through(rules: &Rules, action: Severity, factor: Factor) -> bool {
    let is_enforced = rules.stages.of(factor) == Stage::Enforced;
    let band = rules.bands.band(rules.weights.of(factor));
    action == Severity::Allow && !(is_enforced && band >= Band::Medium)
}
