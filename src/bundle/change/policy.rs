//! The policy: what differs between two sets of rules.
//!
//! Invariant: rules are taken apart without `..`, so a new member does not compile until it has its
//! row.

use super::Change;
use super::rows::Rows;
use super::table::{self, Ordered};
use crate::policy::rules::{
    CircuitRules, PerFactor, RetryRules, Rules, Severity, Stage, UnknownEndpoint,
};
use crate::units::{Action, ActionSet, Bands, BasisPoints, Factor, Tier};

/// The name of the policy among the subjects of changes.
pub(super) const SUBJECT: &str = "policy";

/// Every change of the rules.
pub(super) fn compare(from: &Rules, to: &Rules, found: &mut Vec<Change>) {
    let Rules {
        version,
        name,
        bands,
        weights,
        stages,
        unknown_endpoint,
        method_disallowed,
        consumer_not_declared,
        tiers,
        circuit,
        retry,
    } = to;
    let rows = &mut Rows {
        subject: SUBJECT,
        owner: None,
        found,
    };
    rows.text(
        table::RENAMED,
        "version",
        Some(&from.version),
        Some(version),
    );
    rows.text(table::RENAMED, "name", Some(&from.name), Some(name));
    compare_bands(rows, &from.bands, bands);
    compare_weights(rows, &from.weights, weights);
    compare_stages(rows, &from.stages, stages);
    compare_unknown(rows, &from.unknown_endpoint, unknown_endpoint);
    severity(
        rows,
        Ordered::SEVERITY,
        "method_disallowed.action",
        from.method_disallowed,
        *method_disallowed,
    );
    severity(
        rows,
        Ordered::SEVERITY,
        "consumer_not_declared.action",
        from.consumer_not_declared,
        *consumer_not_declared,
    );
    for ((tier, from), to) in Tier::ALL.into_iter().zip(from.tiers).zip(*tiers) {
        compare_rights(rows, tier, from, to);
    }
    compare_circuits(rows, &from.circuit, circuit);
    compare_retries(rows, &from.retry, retry);
}

/// A band that begins lower holds more requests.
fn compare_bands(rows: &mut Rows<'_>, from: &Bands, to: &Bands) {
    let bounds = [
        ("bands.low", from.low(), to.low()),
        ("bands.medium", from.medium(), to.medium()),
        ("bands.high", from.high(), to.high()),
        ("bands.critical", from.critical(), to.critical()),
    ];
    for (what, from, to) in bounds {
        rows.number(Ordered::SEVERITY, what, Some(from.wide()), Some(to.wide()));
    }
}

fn compare_weights(
    rows: &mut Rows<'_>,
    from: &PerFactor<BasisPoints>,
    to: &PerFactor<BasisPoints>,
) {
    for factor in Factor::ALL {
        let (old, new) = (from.of(factor), to.of(factor));
        if old == new {
            continue;
        }
        let row = match new {
            BasisPoints::ZERO => table::FACTOR_DROPPED,
            _ => table::WEIGHT_CHANGED,
        };
        let what = format!("weights.{}", factor.name());
        let text = |bp: BasisPoints| Some(bp.wide().to_string());
        rows.push(row, &what, text(old), text(new));
    }
}

/// A factor that fewer requests meet is dropped for the others.
fn compare_stages(rows: &mut Rows<'_>, from: &PerFactor<Stage>, to: &PerFactor<Stage>) {
    for factor in Factor::ALL {
        let [(old, old_text), (new, new_text)] = [from, to].map(|stages| stage(stages.of(factor)));
        let what = format!("stages.{}", factor.name());
        rows.choice(Ordered::STAGE, &what, (old, &old_text), (new, &new_text));
    }
}

fn stage(stage: Stage) -> ((u8, u64), String) {
    match stage {
        Stage::Shadow => ((0, 0), "shadow".to_owned()),
        Stage::Canary(share) => ((1, share.wide()), format!("canary {}", share.wide())),
        Stage::Enforced => ((2, 0), "enforced".to_owned()),
    }
}

fn compare_unknown(rows: &mut Rows<'_>, from: &UnknownEndpoint, to: &UnknownEndpoint) {
    let UnknownEndpoint {
        action,
        answer_status,
        rate_limit,
        burst,
    } = *to;
    severity(
        rows,
        Ordered::UNKNOWN,
        "unknown_endpoint.action",
        from.action,
        action,
    );
    let [old, new] = [from.answer_status, answer_status].map(|status| status.to_string());
    rows.text(
        table::UNKNOWN_ANSWER,
        "unknown_endpoint.answer",
        Some(&old),
        Some(&new),
    );
    let [old, new] = [from.rate_limit, rate_limit].map(|rate| Some(u64::from(rate.get())));
    rows.number(
        Ordered::UNKNOWN,
        "unknown_endpoint.rate_limit_rpm",
        old,
        new,
    );
    let [old, new] = [from.burst, burst].map(|burst| Some(u64::from(burst.get())));
    rows.number(Ordered::UNKNOWN, "unknown_endpoint.burst", old, new);
}

fn severity(rows: &mut Rows<'_>, ordered: Ordered, what: &str, from: Severity, to: Severity) {
    rows.choice(ordered, what, (from, from.key()), (to, to.key()));
}

/// What a tier may do about requests is authority; what it may write down is not.
fn compare_rights(rows: &mut Rows<'_>, tier: Tier, from: ActionSet, to: ActionSet) {
    for action in Action::BY_NAME {
        let (was, is) = (from.contains(action), to.contains(action));
        let (given, taken) = match action {
            Action::Log | Action::Report | Action::Propose => {
                (table::NOTE_GIVEN, table::NOTE_TAKEN)
            }
            Action::Throttle
            | Action::Quarantine
            | Action::Drop
            | Action::CircuitOpen
            | Action::PolicyUpdate => (table::RIGHT_GIVEN, table::RIGHT_TAKEN),
        };
        let what = format!("tiers.{}", tier.key());
        let name = |there: bool| there.then(|| action.name());
        let row = if is { given } else { taken };
        rows.text(row, &what, name(was), name(is));
    }
}

fn compare_circuits(rows: &mut Rows<'_>, from: &CircuitRules, to: &CircuitRules) {
    let CircuitRules {
        broken_in_a_row,
        samples_min,
        slow_share,
        open,
        open_max,
        slow_start,
    } = *to;
    let count = |count: std::num::NonZeroU32| Some(u64::from(count.get()));
    let falling = [
        (
            "circuit.broken_in_a_row",
            count(from.broken_in_a_row),
            count(broken_in_a_row),
        ),
        (
            "circuit.samples_min",
            count(from.samples_min),
            count(samples_min),
        ),
        (
            "circuit.slow_share",
            Some(from.slow_share.wide()),
            Some(slow_share.wide()),
        ),
    ];
    for (what, from, to) in falling {
        rows.number(Ordered::CIRCUIT, what, from, to);
    }
    let rising = [
        ("circuit.open_ms", from.open, open),
        ("circuit.open_ms_max", from.open_max, open_max),
        ("circuit.slow_start_ms", from.slow_start, slow_start),
    ];
    for (what, from, to) in rising {
        rows.rising(Ordered::CIRCUIT, what, from.get().into(), to.get().into());
    }
}

/// The order of the fields means nothing, but it is content: a change of it is told.
fn compare_retries(rows: &mut Rows<'_>, from: &RetryRules, to: &RetryRules) {
    let RetryRules { headers, budget } = to;
    let (old, new) = (from.budget.wide(), budget.wide());
    rows.number(Ordered::RETRIES, "retry.budget", Some(old), Some(new));
    let before = rows.found.len();
    for name in headers.iter().filter(|name| !from.headers.contains(name)) {
        rows.push(
            table::RETRY_KNOWN,
            "retry.headers",
            None,
            Some(name.to_string()),
        );
    }
    for name in from.headers.iter().filter(|name| !headers.contains(name)) {
        rows.push(
            table::RETRY_UNKNOWN,
            "retry.headers",
            Some(name.to_string()),
            None,
        );
    }
    if rows.found.len() == before && from.headers != *headers {
        let [old, new] = [&from.headers, headers].map(|names| names.join(", "));
        rows.push(table::RENAMED, "retry.headers", Some(old), Some(new));
    }
}
