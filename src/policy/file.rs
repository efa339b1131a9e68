//! The policy file: YAML in, valid rules out. What is left out keeps its default.
//!
//! `version` is the version of the format (1); the policy's own version is `policy_version`.
//! See docs/policy-format.md.

pub mod charter;
mod circuit;
mod floors;
mod retry;
pub mod shape;
mod stages;
mod unknown;

use crate::diagnostic::Code;
use crate::policy::bounds::{
    self, CONSUMER_ACTIONS, NAME_CHARS_MAX, VERSION_CHARS_MAX, is_version, may_have,
};
use crate::policy::rules::{Bands, PerFactor, Rules, Severity};
use crate::units::{Action, ActionSet, BasisPoints, Date, Factor, Tier};
use crate::yaml::{Fields, Keys, Node, Sheet};
use circuit::read_circuit;
use floors::warn_of_actions_without_effect;
use retry::read_retry;
use stages::read_stage;
use unknown::read_unknown_endpoint;

pub use charter::read_charter;

const POLICY_KEYS: Keys = Keys {
    what: "a policy",
    known: &[
        "version",
        "policy_version",
        "name",
        "bands",
        "weights",
        "stages",
        "unknown_endpoint",
        "method_disallowed",
        "consumer_not_declared",
        "tiers",
        "circuit",
        "retry",
    ],
    later: &[],
    computed: &["policy_hash", "content_digest"],
};

const BAND_KEYS: Keys = Keys::plain("'bands'", &["low", "medium", "high", "critical"]);

const METHOD_KEYS: Keys = Keys::plain("'method_disallowed'", &["action"]);
const CONSUMER_KEYS: Keys = Keys::plain("'consumer_not_declared'", &["action"]);

const FACTOR_NAMES: [&str; Factor::ALL.len()] = [
    Factor::Latency.name(),
    Factor::LatencyRegression.name(),
    Factor::ErrorRate.name(),
    Factor::ErrorBudgetBurn.name(),
    Factor::Circuit.name(),
    Factor::Concurrency.name(),
    Factor::TrafficAnomaly.name(),
    Factor::RateLimit.name(),
    Factor::UnknownEndpoint.name(),
    Factor::MethodDisallowed.name(),
    Factor::RetryStorm.name(),
];

const WEIGHT_KEYS: Keys = Keys::plain("'weights'", &FACTOR_NAMES);

const STAGE_KEYS: Keys = Keys::plain("'stages'", &FACTOR_NAMES);

const TIER_KEYS: Keys = Keys::plain("'tiers'", &["observe_only", "control", "autonomous"]);

/// The rules of a policy file; where something was reported, defaults stand in for it.
pub fn read_rules(sheet: &mut Sheet<'_>, root: &Node, today: Option<Date>) -> Rules {
    let mut rules = Rules::default();
    let Some(fields) = sheet.fields(root, &POLICY_KEYS) else {
        return rules;
    };
    sheet.format_version(fields);
    if let Some(node) = sheet.required(fields, "name")
        && let Some(name) = sheet.text(node, "'name'", NAME_CHARS_MAX)
    {
        rules.name = name.into();
    }
    if let Some(node) = fields.get("policy_version")
        && let Some(version) = read_version(sheet, node)
    {
        rules.version = version;
    }
    if let Some(node) = fields.get("bands") {
        rules.bands = read_bands(sheet, node).unwrap_or_default();
    }
    if let Some(node) = fields.get("weights") {
        read_per_factor(sheet, node, &WEIGHT_KEYS, &mut rules.weights, read_weight);
    }
    if let Some(node) = fields.get("stages") {
        let read =
            |sheet: &mut Sheet<'_>, node: &Node, factor| read_stage(sheet, node, factor, today);
        read_per_factor(sheet, node, &STAGE_KEYS, &mut rules.stages, read);
    }
    read_unknown_endpoint(sheet, fields, &mut rules.unknown_endpoint);
    let method = read_floor(
        sheet,
        fields,
        ("method_disallowed", &METHOD_KEYS),
        &Severity::ALL,
    );
    rules.method_disallowed = method.unwrap_or(rules.method_disallowed);
    let consumer = read_floor(
        sheet,
        fields,
        ("consumer_not_declared", &CONSUMER_KEYS),
        &CONSUMER_ACTIONS,
    );
    rules.consumer_not_declared = consumer.unwrap_or(rules.consumer_not_declared);
    if let Some(node) = fields.get("tiers") {
        read_tiers(sheet, node, &mut rules.tiers);
    }
    if let Some(node) = fields.get("circuit") {
        rules.circuit = read_circuit(sheet, node).unwrap_or_default();
    }
    if let Some(node) = fields.get("retry") {
        rules.retry = read_retry(sheet, node).unwrap_or_default();
    }
    // After an error a default stands in for what was meant: nothing can be said of it.
    if !sheet.has_errors() {
        warn_of_actions_without_effect(sheet, fields, &rules);
    }
    rules
}

/// The action below `key`; `None` where it is not said, or not well.
fn read_floor(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    (key, keys): (&str, &Keys),
    actions: &[Severity],
) -> Option<Severity> {
    let fields = sheet.fields(fields.get(key)?, keys)?;
    read_severity(sheet, fields.get("action")?, actions)
}

fn read_version(sheet: &mut Sheet<'_>, node: &Node) -> Option<Box<str>> {
    let text = sheet.text(node, "'policy_version'", VERSION_CHARS_MAX)?;
    if !is_version(text) {
        let message = "'policy_version' is letters, digits, '.', '-', '+', '_'".to_owned();
        sheet.error(node.place, Code::Text, message);
        return None;
    }
    Some(text.into())
}

fn read_bands(sheet: &mut Sheet<'_>, node: &Node) -> Option<Bands> {
    let fields = sheet.fields(node, &BAND_KEYS)?;
    let default = Bands::default();
    let low = read_bound(sheet, fields, "low", default.low());
    let medium = read_bound(sheet, fields, "medium", default.medium());
    let high = read_bound(sheet, fields, "high", default.high());
    let critical = read_bound(sheet, fields, "critical", default.critical());
    let (low, medium, high, critical) = (low?, medium?, high?, critical?);
    let bands = bounds::bands(low, medium, high, critical);
    if bands.is_none() {
        let shown = [low, medium, high, critical].map(|bound| bound.get().to_string());
        let message = format!(
            "the bands are {} basis points; they must rise, and begin above 0",
            shown.join(", ")
        );
        sheet.error(node.place, Code::Bands, message);
        return None;
    }
    bands
}

fn read_bound(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    key: &str,
    default: BasisPoints,
) -> Option<BasisPoints> {
    match fields.get(key) {
        None => Some(default),
        Some(node) => {
            let value = sheet.share(node, &format!("'{key}'"), 4)?;
            BasisPoints::new(value)
        }
    }
}

fn read_per_factor<T: Copy>(
    sheet: &mut Sheet<'_>,
    node: &Node,
    keys: &Keys,
    values: &mut PerFactor<T>,
    read: impl Fn(&mut Sheet<'_>, &Node, Factor) -> Option<T>,
) {
    let Some(fields) = sheet.fields(node, keys) else {
        return;
    };
    for factor in Factor::ALL {
        if let Some(node) = fields.get(factor.name())
            && let Some(value) = read(sheet, node, factor)
        {
            *values = values.with(factor, value);
        }
    }
}

fn read_weight(sheet: &mut Sheet<'_>, node: &Node, factor: Factor) -> Option<BasisPoints> {
    let value = sheet.share(node, &format!("the weight of '{}'", factor.name()), 4)?;
    BasisPoints::new(value)
}

fn read_severity(sheet: &mut Sheet<'_>, node: &Node, actions: &[Severity]) -> Option<Severity> {
    let choices: Vec<&str> = actions.iter().map(|action| action.key()).collect();
    sheet.choice(node, "'action'", &choices, |text| {
        actions.iter().copied().find(|action| action.key() == text)
    })
}

fn read_tiers(sheet: &mut Sheet<'_>, node: &Node, tiers: &mut [ActionSet; 3]) {
    let Some(fields) = sheet.fields(node, &TIER_KEYS) else {
        return;
    };
    for (tier, actions) in Tier::ALL.into_iter().zip(tiers) {
        if let Some(node) = fields.get(tier.key())
            && let Some(items) = sheet.list(node, &format!("'{}'", tier.key()))
        {
            let read = items
                .iter()
                .filter_map(|item| read_action(sheet, item, tier));
            *actions = read.fold(ActionSet::EMPTY, ActionSet::with);
        }
    }
}

fn read_action(sheet: &mut Sheet<'_>, node: &Node, tier: Tier) -> Option<Action> {
    let choices = Action::ALL.map(Action::name);
    let action = sheet.choice(node, "an action", &choices, Action::from_name)?;
    if !may_have(tier, action) {
        let (action, tier) = (action.name(), tier.key());
        let message = format!("'{action}' is more than '{tier}' may ever do");
        sheet.error(node.place, Code::TierActions, message);
        return None;
    }
    Some(action)
}
