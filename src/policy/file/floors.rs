//! Whether the actions of a policy can have an effect.
//!
//! An action is a floor: a request gets at least that. The weight of the same factor gives a
//! score, and the band of the score may ask for more; then the action says one thing and the
//! gateway does another. Such a policy works, so this is a warning.

use crate::diagnostic::{Code, Place};
use crate::policy::rules::{Band, Rules, Severity, Stage};
use crate::units::{BasisPoints, Factor};
use crate::yaml::{Fields, Node, Sheet, Value};

/// Warns of every action that is milder than what the weight of its factor reaches alone.
pub(super) fn warn_of_actions_without_effect(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    rules: &Rules,
) {
    let actions = [
        (Factor::UnknownEndpoint, rules.unknown_endpoint.action),
        (Factor::MethodDisallowed, rules.method_disallowed),
    ];
    for (factor, action) in actions {
        let weight = rules.weights.of(factor);
        let reached = severity_of(rules.bands.band(weight));
        if reached <= action || !counts(rules.stages.of(factor)) {
            continue;
        }
        let (name, weight, bands) = (factor.name(), decimal(weight), rules.bands);
        let (band, below) = match action {
            Severity::Allow => ("medium", bands.medium()),
            Severity::Throttle => ("high", bands.high()),
            Severity::Quarantine | Severity::Drop => ("critical", bands.critical()),
        };
        let (action, reached) = (action.key(), reached.key());
        let message = format!(
            "'{name}.action: {action}' has no effect: 'weights.{name}' of {weight} alone leads to {reached}"
        );
        let remedy = format!(
            "set 'weights.{name}' below {} ('bands.{band}'), or '{name}.action: {reached}'",
            decimal(below)
        );
        sheet.warning_with(place(fields, name), Code::ActionTooMild, message, remedy);
    }
}

/// What a band asks for where a request itself is judged.
const fn severity_of(band: Band) -> Severity {
    match band {
        Band::Low | Band::Watch => Severity::Allow,
        Band::Medium => Severity::Throttle,
        Band::High => Severity::Quarantine,
        Band::Critical => Severity::Drop,
    }
}

/// Whether the factor scores anything for anyone.
fn counts(stage: Stage) -> bool {
    match stage {
        Stage::Enforced => true,
        Stage::Canary(share) => share > BasisPoints::ZERO,
        Stage::Shadow => false,
    }
}

/// Where the action stands; where it is left out, what overrules it: the weight or the bands.
fn place(fields: Fields<'_>, name: &str) -> Place {
    let inner = |outer: &str, key: &str| entry(fields.get(outer)?, key);
    inner(name, "action")
        .or_else(|| inner("weights", name))
        .or_else(|| fields.get("bands"))
        .map_or(fields.place(), |node| node.place)
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    let entry = entries.iter().find(|(k, _)| &*k.text == key);
    entry.map(|(_, node)| node)
}

/// A share as policies write it: `0.35`.
fn decimal(share: BasisPoints) -> String {
    let (whole, rest) = (share.get() / 10_000, share.get() % 10_000);
    let text = format!("{whole}.{rest:04}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
