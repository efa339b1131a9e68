//! The rules in canonical form.

mod circuit;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::ReadError;
use crate::contract::file::bounds::COUNT_MAX;
use crate::policy::bounds::{self, CONSUMER_ACTIONS, NAME_CHARS_MAX, is_version, may_have};
use crate::policy::rules::{Bands, PerFactor, Rules, Severity, Stage, UnknownEndpoint};
use crate::units::{Action, ActionSet, BasisPoints, Factor, PerMinute, Tier};
use crate::yaml::is_printable;
use circuit::{CircuitForm, RetryForm};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyForm {
    bands_bp: BandsForm,
    circuit: CircuitForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consumer_not_declared: Option<ActionForm>,
    method_disallowed: ActionForm,
    name: String,
    retry: RetryForm,
    stages: BTreeMap<String, StageForm>,
    tiers: BTreeMap<String, Vec<String>>,
    unknown_endpoint: UnknownForm,
    version: String,
    weights_bp: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BandsForm {
    critical: u64,
    high: u64,
    low: u64,
    medium: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionForm {
    action: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnknownForm {
    action: String,
    answer: u16,
    burst: u32,
    rate_limit_rpm: u32,
}

/// `"enforced"`, `"shadow"`, or `{"canary_bp": 2500}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum StageForm {
    Enforced,
    Shadow,
    CanaryBp(u64),
}

impl From<&Rules> for PolicyForm {
    fn from(rules: &Rules) -> Self {
        let stage = |factor| match rules.stages.of(factor) {
            Stage::Enforced => StageForm::Enforced,
            Stage::Shadow => StageForm::Shadow,
            Stage::Canary(share) => StageForm::CanaryBp(share.wide()),
        };
        let actions = |tier| {
            let actions = rules.allowed(tier).iter();
            actions.map(|action| action.name().to_owned()).collect()
        };
        let name = |factor: Factor| factor.name().to_owned();
        let factors = || Factor::ALL.into_iter();
        Self {
            bands_bp: BandsForm {
                critical: rules.bands.critical().wide(),
                high: rules.bands.high().wide(),
                low: rules.bands.low().wide(),
                medium: rules.bands.medium().wide(),
            },
            circuit: CircuitForm::from(&rules.circuit),
            method_disallowed: ActionForm {
                action: rules.method_disallowed.key().to_owned(),
            },
            consumer_not_declared: (rules.consumer_not_declared != Severity::Allow).then(|| {
                ActionForm {
                    action: rules.consumer_not_declared.key().to_owned(),
                }
            }),
            name: rules.name.to_string(),
            retry: RetryForm::from(&rules.retry),
            stages: factors().map(|f| (name(f), stage(f))).collect(),
            tiers: Tier::ALL
                .into_iter()
                .map(|tier| (tier.key().to_owned(), actions(tier)))
                .collect(),
            unknown_endpoint: UnknownForm {
                action: rules.unknown_endpoint.action.key().to_owned(),
                answer: rules.unknown_endpoint.answer_status,
                burst: rules.unknown_endpoint.burst.get(),
                rate_limit_rpm: rules.unknown_endpoint.rate_limit.get(),
            },
            version: rules.version.to_string(),
            weights_bp: factors()
                .map(|f| (name(f), rules.weights.of(f).wide()))
                .collect(),
        }
    }
}

impl TryFrom<PolicyForm> for Rules {
    type Error = ReadError;

    fn try_from(form: PolicyForm) -> Result<Self, ReadError> {
        let bad = |reason| ReadError::value("policy", reason);
        let bands =
            bands(&form.bands_bp).ok_or_else(|| bad("the bands do not rise from above 0"))?;
        let weight = |bp: &u64| BasisPoints::new(*bp);
        let weights = per_factor(&form.weights_bp, weight, BasisPoints::ZERO);
        let weights = weights.ok_or_else(|| bad("the weights are not valid"))?;
        let stages = per_factor(&form.stages, stage, Stage::Shadow);
        let stages = stages.ok_or_else(|| bad("the stages are not valid"))?;
        if !is_printable(&form.name, NAME_CHARS_MAX) {
            return Err(bad("the name is not valid"));
        }
        if !is_version(&form.version) {
            return Err(bad("the version is not valid"));
        }
        let unknown = unknown_endpoint(&form.unknown_endpoint);
        let method = severity(&form.method_disallowed.action);
        let consumer = consumer(form.consumer_not_declared.as_ref());
        Ok(Self {
            version: form.version.into(),
            name: form.name.into(),
            bands,
            weights,
            stages,
            unknown_endpoint: unknown.ok_or_else(|| bad("unknown_endpoint is not valid"))?,
            method_disallowed: method.ok_or_else(|| bad("method_disallowed is not valid"))?,
            consumer_not_declared: consumer
                .ok_or_else(|| bad("consumer_not_declared is not valid"))?,
            tiers: tiers(&form.tiers).ok_or_else(|| bad("the tiers are not valid"))?,
            circuit: form
                .circuit
                .rules()
                .ok_or_else(|| bad("circuit is not valid"))?,
            retry: form
                .retry
                .rules()
                .ok_or_else(|| bad("retry is not valid"))?,
        })
    }
}

fn bands(form: &BandsForm) -> Option<Bands> {
    bounds::bands(
        BasisPoints::new(form.low)?,
        BasisPoints::new(form.medium)?,
        BasisPoints::new(form.high)?,
        BasisPoints::new(form.critical)?,
    )
}

/// One value for each factor; exactly the eleven names.
fn per_factor<F, T: Copy>(
    form: &BTreeMap<String, F>,
    convert: impl Fn(&F) -> Option<T>,
    start: T,
) -> Option<PerFactor<T>> {
    let mut values = PerFactor::from_fn(|_| start);
    for factor in Factor::ALL {
        values = values.with(factor, convert(form.get(factor.name())?)?);
    }
    (form.len() == Factor::ALL.len()).then_some(values)
}

fn stage(form: &StageForm) -> Option<Stage> {
    match form {
        StageForm::Enforced => Some(Stage::Enforced),
        StageForm::Shadow => Some(Stage::Shadow),
        StageForm::CanaryBp(share) => BasisPoints::new(*share).map(Stage::Canary),
    }
}

fn severity(key: &str) -> Option<Severity> {
    Severity::ALL.into_iter().find(|action| action.key() == key)
}

/// What is left out is what the file has without it, and is not written.
fn consumer(form: Option<&ActionForm>) -> Option<Severity> {
    match form {
        None => Some(Severity::Allow),
        Some(form) => severity(&form.action)
            .filter(|action| *action != Severity::Allow && CONSUMER_ACTIONS.contains(action)),
    }
}

fn unknown_endpoint(form: &UnknownForm) -> Option<UnknownEndpoint> {
    let action = severity(&form.action)?;
    let answer_status = form.answer;
    let is_count = |count: u32| count <= COUNT_MAX;
    let is_valid =
        matches!(answer_status, 403 | 404) && is_count(form.rate_limit_rpm) && is_count(form.burst);
    let (rate_limit, burst) = (
        PerMinute::new(form.rate_limit_rpm)?,
        NonZeroU32::new(form.burst)?,
    );
    is_valid.then_some(UnknownEndpoint {
        action,
        answer_status,
        rate_limit,
        burst,
    })
}

/// Only what each tier may ever have: the ceiling of a tier holds without the policy, and a
/// content that claims more was not made from a file.
fn tiers(form: &BTreeMap<String, Vec<String>>) -> Option<[ActionSet; 3]> {
    let mut sets = [ActionSet::EMPTY; 3];
    for (tier, set) in Tier::ALL.into_iter().zip(&mut sets) {
        for name in form.get(tier.key())? {
            let action = Action::from_name(name);
            *set = set.with(action.filter(|action| may_have(tier, *action))?);
        }
    }
    (form.len() == Tier::ALL.len()).then_some(sets)
}
