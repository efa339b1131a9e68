//! What a path without contract deserves.

use std::num::NonZeroU32;

use super::read_severity;
use crate::contract::Terms;
use crate::contract::file::bounds::COUNT_MAX;
use crate::diagnostic::Code;
use crate::policy::rules::{Severity, UnknownEndpoint};
use crate::units::PerMinute;
use crate::yaml::{Fields, Keys, Sheet};

pub(super) const UNKNOWN_KEYS: Keys = Keys::plain(
    "'unknown_endpoint'",
    &["action", "answer", "rate_limit_rpm", "burst"],
);

/// The statuses that a quarantine of an unknown path can have.
pub(super) const ANSWERS: [&str; 2] = ["404", "403"];

/// Where something was reported, the default stays.
pub(super) fn read_unknown_endpoint(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    value: &mut UnknownEndpoint,
) {
    let Some(node) = fields.get("unknown_endpoint") else {
        return;
    };
    let Some(fields) = sheet.fields(node, &UNKNOWN_KEYS) else {
        return;
    };
    let action = fields
        .get("action")
        .map(|node| read_severity(sheet, node, &Severity::ALL).ok_or(()));
    if let Some(Ok(action)) = action {
        value.action = action;
    }
    if let Some(node) = fields.get("answer")
        && let Some(status) =
            sheet.choice(node, "'answer'", &ANSWERS, |text| text.parse::<u16>().ok())
    {
        value.answer_status = status;
    }
    read_limit(sheet, fields, value);
    if action != Some(Err(())) {
        warn_of_unused_limit(sheet, fields, *value);
    }
}

/// A rate that is said alone brings its own burst, as that of a contract does.
fn read_limit(sheet: &mut Sheet<'_>, fields: Fields<'_>, value: &mut UnknownEndpoint) {
    if let Some(rate) = count(sheet, fields, "rate_limit_rpm")
        && let Some(rate) = PerMinute::new(rate.get())
    {
        value.rate_limit = rate;
        value.burst = Terms::default_burst(rate);
    }
    if let Some(burst) = count(sheet, fields, "burst") {
        value.burst = burst;
    }
}

fn count(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str) -> Option<NonZeroU32> {
    let node = fields.get(key)?;
    let value = sheet.integer(node, &format!("'{key}'"), 1, u64::from(COUNT_MAX))?;
    u32::try_from(value).ok().and_then(NonZeroU32::new)
}

/// Only what is let through takes from the limit. Whoever writes the defaults out claims nothing.
fn warn_of_unused_limit(sheet: &mut Sheet<'_>, fields: Fields<'_>, value: UnknownEndpoint) {
    let default = UnknownEndpoint::default();
    let written = [
        ("rate_limit_rpm", value.rate_limit != default.rate_limit),
        ("burst", value.burst != default.burst),
    ];
    if value.action == Severity::Allow {
        return;
    }
    for (key, differs) in written {
        if let Some(node) = fields.get(key).filter(|_| differs) {
            let action = value.action.key();
            let message =
                format!("'{key}' has no effect: 'action: {action}' lets no unknown path through");
            sheet.warning(node.place, Code::UnknownLimit, message);
        }
    }
}
