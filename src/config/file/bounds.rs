//! Clocks and bounds, each with its default.

use crate::config::settings::{Limits, Timeouts};
use crate::units::Millis;
use crate::yaml::{Fields, Keys, Sheet};

pub(super) const METRICS_KEYS: Keys = Keys::plain("'metrics'", &["series_max"]);
pub(super) const TIMEOUT_KEYS: Keys = Keys::plain(
    "'timeouts'",
    &[
        "body_ms",
        "connect_ms",
        "drain_ms",
        "drain_notice_ms",
        "handshake_ms",
        "header_ms",
        "idle_ms",
        "upstream_idle_ms",
        "rate_grace_ms",
        "tunnel_idle_ms",
        "tunnel_age_ms",
    ],
);
pub(super) const LIMIT_KEYS: Keys = Keys::plain(
    "'limits'",
    &[
        "connections",
        "connections_per_address",
        "handshakes",
        "requests_per_connection",
        "body_rate_min",
        "response_rate_min",
    ],
);

pub(super) const MILLIS_MAX: u64 = 3_600_000;
/// The longest that a tunnel may last: a week.
pub(super) const TUNNEL_AGE_MILLIS_MAX: u64 = 7 * 86_400_000;
/// The most connections, requests and series.
pub(super) const COUNT_MAX: u64 = 10_000_000;

pub(super) fn read_series_max(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<u32> {
    let default = 50_000;
    let Some(node) = fields.get("metrics") else {
        return Some(default);
    };
    let fields = sheet.fields(node, &METRICS_KEYS)?;
    Some(number(sheet, fields, "series_max", default, 1, COUNT_MAX))
}

pub(super) fn read_timeouts(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Timeouts {
    let default = Timeouts::default();
    let node = fields.get("timeouts");
    let Some(fields) = node.and_then(|node| sheet.fields(node, &TIMEOUT_KEYS)) else {
        return default;
    };
    let none = default.drain_notice.get();
    let drain_notice = number(sheet, fields, "drain_notice_ms", none, 0, MILLIS_MAX);
    let body = number(sheet, fields, "body_ms", default.body.get(), 0, MILLIS_MAX);
    let mut millis =
        |key, default: Millis, max| Millis::new(number(sheet, fields, key, default.get(), 1, max));
    Timeouts {
        body: Millis::new(body),
        connect: millis("connect_ms", default.connect, MILLIS_MAX),
        drain: millis("drain_ms", default.drain, MILLIS_MAX),
        drain_notice: Millis::new(drain_notice),
        handshake: millis("handshake_ms", default.handshake, MILLIS_MAX),
        header: millis("header_ms", default.header, MILLIS_MAX),
        idle: millis("idle_ms", default.idle, MILLIS_MAX),
        upstream_idle: millis("upstream_idle_ms", default.upstream_idle, MILLIS_MAX),
        rate_grace: millis("rate_grace_ms", default.rate_grace, MILLIS_MAX),
        tunnel_idle: millis("tunnel_idle_ms", default.tunnel_idle, MILLIS_MAX),
        tunnel_age: millis("tunnel_age_ms", default.tunnel_age, TUNNEL_AGE_MILLIS_MAX),
    }
}

pub(super) fn read_limits(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Limits {
    let default = Limits::default();
    let node = fields.get("limits");
    let Some(fields) = node.and_then(|node| sheet.fields(node, &LIMIT_KEYS)) else {
        return default;
    };
    let mut count = |key, default, min| number(sheet, fields, key, default, min, COUNT_MAX);
    let per_address = default.connections_per_address;
    let requests = default.requests_per_connection;
    Limits {
        connections: count("connections", default.connections, 1),
        connections_per_address: count("connections_per_address", per_address, 1),
        handshakes: count("handshakes", default.handshakes, 1),
        requests_per_connection: count("requests_per_connection", requests, 1),
        body_rate_min: count("body_rate_min", default.body_rate_min, 0),
        response_rate_min: count("response_rate_min", default.response_rate_min, 0),
    }
}

/// A number of at least `min`; the default also where a fault was reported.
fn number(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    key: &str,
    default: u32,
    min: u64,
    max: u64,
) -> u32 {
    let Some(node) = fields.get(key) else {
        return default;
    };
    let value = sheet.integer(node, &format!("'{key}'"), min, max);
    value
        .and_then(|value| u32::try_from(value).ok())
        .unwrap_or(default)
}
