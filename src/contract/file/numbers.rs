//! The numbers and switches of a contract.

use std::num::NonZeroU32;

use super::Surroundings;
use super::answers::{read_quarantine, read_refusal, read_throttle};
use super::bounds::{COUNT_MAX, LEDGER_REQUIRED, MILLIS_MAX, is_usable_tier};
use super::clients::read_per_client;
use super::consumers::read_consumers;
use super::contradictions::{limits_agree, warn_of_early_deadline};
use super::stage::read_stage;
use super::streams::{read_body_bytes_max, read_upgrade};
use crate::contract::{PathRules, Terms};
use crate::diagnostic::Code;
use crate::units::{BasisPoints, Millis, PartsPerMillion, PerMinute, Tier};
use crate::yaml::{Fields, Sheet};

pub(super) fn read_path_rules(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<PathRules> {
    let allow_encoded_slash = flag(sheet, fields, "allow_encoded_slash");
    let merge_slashes = flag(sheet, fields, "merge_slashes");
    Some(PathRules {
        allow_encoded_slash: allow_encoded_slash?,
        merge_slashes: merge_slashes?,
    })
}

/// A switch that is off unless it says `true`; `None` on a fault.
pub(super) fn flag(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str) -> Option<bool> {
    match fields.get(key) {
        Some(node) => sheet.boolean(node, &format!("'{key}'")),
        None => Some(false),
    }
}

/// The terms of a contract, and the names that belong to them.
pub(super) struct Promises {
    pub(super) terms: Terms,
    pub(super) client_header: Option<Box<str>>,
    pub(super) consumers: Vec<Box<str>>,
    pub(super) divert_upstream: Option<Box<str>>,
}

/// The terms; every one is read, so that every fault is reported.
pub(super) fn read_terms(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    path_rules: Option<PathRules>,
    around: Surroundings<'_>,
) -> Option<Promises> {
    let max_latency = millis(sheet, fields, "max_latency_ms", 1_000);
    let timeout = millis(sheet, fields, "timeout_ms", 30_000);
    let error_budget = error_budget(sheet, fields);
    let circuit_threshold = circuit_threshold(sheet, fields);
    let rate_limit = count(sheet, fields, "rate_limit_rpm");
    let burst = count(sheet, fields, "burst");
    let max_in_flight = count(sheet, fields, "max_in_flight");
    let body_bytes_max = read_body_bytes_max(sheet, fields);
    let stream = flag(sheet, fields, "stream");
    let websocket = read_upgrade(sheet, fields);
    let tier = read_tier(sheet, fields, around.tier);
    let stage = read_stage(sheet, fields, around);
    let client = read_per_client(sheet, fields);
    let quarantine = read_quarantine(sheet, fields, around);
    let throttle = read_throttle(sheet, fields);
    let refusal = read_refusal(sheet, fields);
    let ledger_required = read_ledger(sheet, fields);
    if let (Some(max_latency), Some(timeout)) = (max_latency, timeout) {
        warn_of_early_deadline(sheet, fields, max_latency, timeout);
    }
    if let (Some(node), Some(None)) = (fields.get("burst"), rate_limit) {
        let message = "'burst' means nothing without 'rate_limit_rpm'".to_owned();
        sheet.error(node.place, Code::BurstWithoutLimit, message);
        return None;
    }
    let consumers = read_consumers(sheet, fields)?;
    let client = client?;
    let (quarantine, divert_upstream) = quarantine?;
    let terms = Terms {
        max_latency: max_latency?,
        timeout: timeout?,
        error_budget: error_budget?,
        circuit_threshold: circuit_threshold?,
        rate_limit: rate_limit?.and_then(|rpm| PerMinute::new(rpm.get())),
        burst: burst?,
        client_rate_limit: client.as_ref().map(|client| client.rate_limit),
        client_burst: client.as_ref().and_then(|client| client.burst),
        max_in_flight: max_in_flight?,
        body_bytes_max: body_bytes_max?,
        stream: stream?,
        websocket: websocket?,
        tier: tier?,
        stage: stage?,
        path_rules: path_rules?,
        quarantine,
        throttle: throttle?,
        refusal: refusal?,
        ledger_required: ledger_required?,
    };
    limits_agree(sheet, fields, &terms, client.as_ref(), around).then(|| Promises {
        terms,
        client_header: client.and_then(|client| client.header),
        consumers,
        divert_upstream,
    })
}

/// Whether the contract does without answers rather than without records.
fn read_ledger(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<bool> {
    match fields.get("ledger") {
        Some(node) => sheet.choice(node, "'ledger'", &[LEDGER_REQUIRED], |text| {
            (text == LEDGER_REQUIRED).then_some(true)
        }),
        None => Some(false),
    }
}

fn millis(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str, default: u32) -> Option<Millis> {
    let Some(node) = fields.get(key) else {
        return Some(Millis::new(default));
    };
    let value = sheet.integer(node, &format!("'{key}'"), 1, u64::from(MILLIS_MAX))?;
    u32::try_from(value).ok().map(Millis::new)
}

/// A count that may be left out.
pub(super) fn count(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    key: &str,
) -> Option<Option<NonZeroU32>> {
    let Some(node) = fields.get(key) else {
        return Some(None);
    };
    let value = sheet.integer(node, &format!("'{key}'"), 1, u64::from(COUNT_MAX))?;
    u32::try_from(value).ok().map(NonZeroU32::new)
}

/// A budget of nothing would be spent at once, and dividing by it has no meaning.
fn error_budget(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<PartsPerMillion> {
    let Some(node) = fields.get("error_budget") else {
        return PartsPerMillion::new(10_000);
    };
    let ppm = sheet.positive_share(node, "'error_budget'", 6)?;
    PartsPerMillion::new(ppm)
}

fn circuit_threshold(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<BasisPoints> {
    let Some(node) = fields.get("circuit_threshold") else {
        return BasisPoints::new(5_000);
    };
    let share = sheet.positive_share(node, "'circuit_threshold'", 4)?;
    BasisPoints::new(share)
}

fn read_tier(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    process: Option<Tier>,
) -> Option<Option<Tier>> {
    let Some(node) = fields.get("tier") else {
        return Some(None);
    };
    let choices = Tier::ALL.map(Tier::key);
    let tier = sheet.choice(node, "'tier'", &choices, Tier::from_key)?;
    if !is_usable_tier(tier) {
        let message = "'autonomous' needs a signed envelope".to_owned();
        sheet.error(node.place, Code::TierUnavailable, message);
        return None;
    }
    if let Some(process) = process.filter(|process| tier > *process) {
        let (own, process) = (tier.key(), process.key());
        let message = format!("'{own}' has no effect below a process in '{process}'");
        sheet.warning(node.place, Code::TierAboveProcess, message);
    }
    Some(Some(tier))
}
