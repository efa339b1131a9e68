//! The numbers and switches of a contract.

use std::num::NonZeroU32;

use super::bounds::{COUNT_MAX, MILLIS_MAX, is_usable_tier};
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

/// The numbers; every one is read, so that every fault is reported.
pub(super) fn read_terms(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    path_rules: Option<PathRules>,
    process: Option<Tier>,
) -> Option<Terms> {
    let max_latency = millis(sheet, fields, "max_latency_ms", 1_000);
    let timeout = millis(sheet, fields, "timeout_ms", 30_000);
    let error_budget = error_budget(sheet, fields);
    let circuit_threshold = circuit_threshold(sheet, fields);
    let rate_limit = count(sheet, fields, "rate_limit_rpm");
    let burst = count(sheet, fields, "burst");
    let max_in_flight = count(sheet, fields, "max_in_flight");
    let stream = flag(sheet, fields, "stream");
    let tier = read_tier(sheet, fields, process);
    if let (Some(latency), Some(timeout)) = (max_latency, timeout)
        && timeout < latency
    {
        let place = fields.get("timeout_ms").map_or(fields.place(), |n| n.place);
        let message = format!(
            "requests end after {} ms, before the promised {} ms",
            timeout.get(),
            latency.get()
        );
        sheet.warning(place, Code::TimeoutBelowLatency, message);
    }
    if let (Some(node), Some(None)) = (fields.get("burst"), rate_limit) {
        let message = "'burst' means nothing without 'rate_limit_rpm'".to_owned();
        sheet.error(node.place, Code::BurstWithoutLimit, message);
        return None;
    }
    Some(Terms {
        max_latency: max_latency?,
        timeout: timeout?,
        error_budget: error_budget?,
        circuit_threshold: circuit_threshold?,
        rate_limit: rate_limit?.and_then(|rpm| PerMinute::new(rpm.get())),
        burst: burst?,
        max_in_flight: max_in_flight?,
        stream: stream?,
        tier: tier?,
        path_rules: path_rules?,
        ..Terms::default()
    })
}

fn millis(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str, default: u32) -> Option<Millis> {
    let Some(node) = fields.get(key) else {
        return Some(Millis::new(default));
    };
    let value = sheet.integer(node, &format!("'{key}'"), 1, u64::from(MILLIS_MAX))?;
    u32::try_from(value).ok().map(Millis::new)
}

fn count(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str) -> Option<Option<NonZeroU32>> {
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
    let ppm = sheet.share(node, "'error_budget'", 6)?;
    if ppm == 0 {
        let message = "'error_budget' is above 0 and at most 1".to_owned();
        sheet.error(node.place, Code::OutOfRange, message);
        return None;
    }
    PartsPerMillion::new(ppm)
}

fn circuit_threshold(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<BasisPoints> {
    let Some(node) = fields.get("circuit_threshold") else {
        return BasisPoints::new(5_000);
    };
    let share = sheet.share(node, "'circuit_threshold'", 4)?;
    if share == 0 {
        let message = "'circuit_threshold' is above 0 and at most 1".to_owned();
        sheet.error(node.place, Code::OutOfRange, message);
        return None;
    }
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
