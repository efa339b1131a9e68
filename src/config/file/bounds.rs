//! Clocks and bounds, each with its default.

use crate::config::settings::{Limits, Timeouts};
use crate::units::Millis;
use crate::yaml::{Fields, Keys, Sheet};

pub(super) const METRICS_KEYS: Keys = Keys::plain("'metrics'", &["series_max"]);
pub(super) const TIMEOUT_KEYS: Keys = Keys::plain(
    "'timeouts'",
    &[
        "connect_ms",
        "drain_ms",
        "drain_notice_ms",
        "header_ms",
        "idle_ms",
        "upstream_idle_ms",
    ],
);
pub(super) const LIMIT_KEYS: Keys = Keys::plain(
    "'limits'",
    &[
        "connections",
        "connections_per_address",
        "requests_per_connection",
    ],
);

pub(super) const MILLIS_MAX: u64 = 3_600_000;
/// The most connections, requests and series.
pub(super) const COUNT_MAX: u64 = 10_000_000;

pub(super) fn read_series_max(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<u32> {
    let default = 50_000;
    let Some(node) = fields.get("metrics") else {
        return Some(default);
    };
    let fields = sheet.fields(node, &METRICS_KEYS)?;
    Some(number(sheet, fields, "series_max", default, COUNT_MAX))
}

pub(super) fn read_timeouts(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Timeouts {
    let default = Timeouts::default();
    let node = fields.get("timeouts");
    let Some(fields) = node.and_then(|node| sheet.fields(node, &TIMEOUT_KEYS)) else {
        return default;
    };
    let drain_notice = from_zero(sheet, fields, "drain_notice_ms", default.drain_notice.get());
    let mut millis =
        |key, default: Millis| Millis::new(number(sheet, fields, key, default.get(), MILLIS_MAX));
    Timeouts {
        connect: millis("connect_ms", default.connect),
        drain: millis("drain_ms", default.drain),
        drain_notice: Millis::new(drain_notice),
        header: millis("header_ms", default.header),
        idle: millis("idle_ms", default.idle),
        upstream_idle: millis("upstream_idle_ms", default.upstream_idle),
    }
}

pub(super) fn read_limits(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Limits {
    let default = Limits::default();
    let node = fields.get("limits");
    let Some(fields) = node.and_then(|node| sheet.fields(node, &LIMIT_KEYS)) else {
        return default;
    };
    let mut count = |key, default| number(sheet, fields, key, default, COUNT_MAX);
    Limits {
        connections: count("connections", default.connections),
        connections_per_address: count("connections_per_address", default.connections_per_address),
        requests_per_connection: count("requests_per_connection", default.requests_per_connection),
    }
}

/// A number of at least 1; the default also where a fault was reported.
fn number(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str, default: u32, max: u64) -> u32 {
    within(sheet, fields, key, default, (1, max))
}

/// Milliseconds that may be none.
fn from_zero(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str, default: u32) -> u32 {
    within(sheet, fields, key, default, (0, MILLIS_MAX))
}

fn within(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    key: &str,
    default: u32,
    (min, max): (u64, u64),
) -> u32 {
    let Some(node) = fields.get(key) else {
        return default;
    };
    let value = sheet.integer(node, &format!("'{key}'"), min, max);
    value
        .and_then(|value| u32::try_from(value).ok())
        .unwrap_or(default)
}
