//! Where requests go.

use std::ops::RangeInclusive;
use std::path::Path;

use super::bounds::MILLIS_MAX;
use super::upstream_tls::read_tls;
use crate::config::address::read_server;
use crate::config::settings::{
    Balance, Ejection, Environment, HealthCheck, Protocol, Upstream, WeightedServer,
};
use crate::contract::ContractId;
use crate::diagnostic::{Code, Place};
use crate::units::Millis;
use crate::yaml::{Fields, Keys, Node, Sheet, Value};

pub(super) const UPSTREAM_KEYS: Keys = Keys::plain(
    "an upstream",
    &["servers", "balance", "protocol", "tls", "eject", "health"],
);
pub(super) const SERVER_KEYS: Keys = Keys::plain("a server", &["address", "weight"]);
pub(super) const EJECT_KEYS: Keys = Keys::plain("'eject'", &["failures", "base_ms", "max_percent"]);
pub(super) const HEALTH_KEYS: Keys = Keys::plain(
    "'health'",
    &[
        "path",
        "interval_ms",
        "timeout_ms",
        "healthy",
        "unhealthy",
        "expect",
    ],
);

pub(super) const LIST_ITEMS_MAX: usize = 1_024;
pub(super) const WEIGHT_MAX: u64 = 100;
/// The most failures or checks in a row.
pub(super) const ROW_MAX: u64 = 1_000;
/// The gateway looks after its upstreams ten times a second.
pub(super) const MILLIS_MIN: u64 = 100;
pub(super) const PATH_CHARS_MAX: usize = 1_024;

/// What the reading of an upstream depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpstreamPlace<'a> {
    /// Paths are relative to it.
    pub(super) folder: &'a Path,
    /// Where the gateway runs; `None` where that has a fault.
    pub(super) environment: Option<Environment>,
}

pub(super) fn bounded<'n>(sheet: &mut Sheet<'_>, node: &'n Node, what: &str) -> Option<&'n [Node]> {
    let items = sheet.list(node, what)?;
    if items.len() > LIST_ITEMS_MAX {
        let message = format!(
            "{what} has {} items, more than {LIST_ITEMS_MAX}",
            items.len()
        );
        sheet.error(node.place, Code::TooMany, message);
        return None;
    }
    Some(items)
}

/// The upstreams by name, and the default one. Where one has a fault the rest stands, so that
/// contracts can still be checked against the names.
pub(super) fn read_upstreams(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    place: UpstreamPlace<'_>,
) -> (Vec<Upstream>, Option<Box<str>>) {
    let mut upstreams = Vec::new();
    let Some(node) = sheet.required(fields, "upstreams") else {
        return (upstreams, None);
    };
    let Some(entries) = sheet.entries(node, "'upstreams'") else {
        return (upstreams, None);
    };
    if entries.is_empty() || entries.len() > LIST_ITEMS_MAX {
        let message = format!("'upstreams' has 1 to {LIST_ITEMS_MAX} entries");
        sheet.error(node.place, Code::NoUpstreams, message);
    }
    for (key, node) in entries.iter().take(LIST_ITEMS_MAX) {
        if ContractId::new(&key.text).is_none() {
            let message = "the name of an upstream is 1 to 64 of a-z, 0-9, '_', '.', '-'";
            sheet.error(key.place, Code::UpstreamName, message.to_owned());
        }
        upstreams.push(read_upstream(sheet, &key.text, node, place));
    }
    upstreams.sort_by(|a, b| a.name.cmp(&b.name));
    upstreams.dedup_by(|a, b| a.name == b.name);
    let default_upstream = read_default_upstream(sheet, fields, node.place, &upstreams);
    (upstreams, default_upstream)
}

/// One upstream; what has a fault is left at its default.
fn read_upstream(
    sheet: &mut Sheet<'_>,
    name: &str,
    node: &Node,
    place: UpstreamPlace<'_>,
) -> Upstream {
    let mut upstream = Upstream {
        name: name.into(),
        servers: Vec::new(),
        balance: Balance::default(),
        protocol: Protocol::default(),
        tls: None,
        eject: Ejection::default(),
        health: None,
    };
    let Some(fields) = sheet.fields(node, &UPSTREAM_KEYS) else {
        return upstream;
    };
    upstream.servers = read_servers(sheet, fields);
    if let Some(node) = fields.get("balance") {
        let choices = Balance::ALL.map(Balance::key);
        let of = |text: &str| Balance::ALL.into_iter().find(|it| it.key() == text);
        let balance = sheet.choice(node, "'balance'", &choices, of);
        upstream.balance = balance.unwrap_or_default();
    }
    upstream.tls = fields
        .get("tls")
        .and_then(|node| read_tls(sheet, node, place));
    if let Some(node) = fields.get("protocol") {
        let choices = Protocol::ALL.map(Protocol::key);
        let of = |text: &str| Protocol::ALL.into_iter().find(|it| it.key() == text);
        let protocol = sheet.choice(node, "'protocol'", &choices, of);
        upstream.protocol = protocol.unwrap_or_default();
        if protocol == Some(Protocol::Auto) && fields.get("tls").is_none() {
            let message = "'protocol: auto' without 'tls': there is no handshake to agree in";
            sheet.error(node.place, Code::UpstreamProtocol, message.to_owned());
        }
    }
    if let Some(node) = fields.get("eject") {
        upstream.eject = read_eject(sheet, node);
    }
    if let Some(node) = fields.get("health") {
        upstream.health = read_health(sheet, node);
    }
    upstream
}

fn read_servers(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Vec<WeightedServer> {
    let Some(node) = sheet.required(fields, "servers") else {
        return Vec::new();
    };
    let items = bounded(sheet, node, "'servers'").unwrap_or_default();
    if items.is_empty() {
        let message = "'servers' names no server".to_owned();
        sheet.error(node.place, Code::MissingKey, message);
    }
    let servers = items.iter();
    servers
        .filter_map(|item| read_weighted(sheet, item))
        .collect()
}

/// `host:port`, or the same with a weight.
fn read_weighted(sheet: &mut Sheet<'_>, node: &Node) -> Option<WeightedServer> {
    if !matches!(node.value, Value::Map(_)) {
        let server = read_server(sheet, node)?;
        return Some(WeightedServer { server, weight: 1 });
    }
    let fields = sheet.fields(node, &SERVER_KEYS)?;
    let weight = number(sheet, fields, "weight", 1, (1, WEIGHT_MAX));
    let address = sheet.required(fields, "address")?;
    let server = read_server(sheet, address)?;
    Some(WeightedServer { server, weight })
}

fn read_eject(sheet: &mut Sheet<'_>, node: &Node) -> Ejection {
    let default = Ejection::default();
    let Some(fields) = sheet.fields(node, &EJECT_KEYS) else {
        return default;
    };
    Ejection {
        failures: number(sheet, fields, "failures", default.failures, (0, ROW_MAX)),
        base: millis(sheet, fields, "base_ms", default.base),
        max_percent: number(sheet, fields, "max_percent", default.max_percent, (0, 100)),
    }
}

fn read_health(sheet: &mut Sheet<'_>, node: &Node) -> Option<HealthCheck> {
    let default = HealthCheck::default();
    let fields = sheet.fields(node, &HEALTH_KEYS)?;
    let path = match fields.get("path") {
        Some(node) => Some(read_path(sheet, node)?),
        None => None,
    };
    let check = HealthCheck {
        path,
        interval: millis(sheet, fields, "interval_ms", default.interval),
        timeout: millis(sheet, fields, "timeout_ms", default.timeout),
        healthy: number(sheet, fields, "healthy", default.healthy, (1, ROW_MAX)),
        unhealthy: number(sheet, fields, "unhealthy", default.unhealthy, (1, ROW_MAX)),
        expect: match fields.get("expect") {
            Some(node) => read_statuses(sheet, node)?,
            None => default.expect,
        },
    };
    if check.timeout > check.interval {
        let message = "'timeout_ms' is longer than 'interval_ms': checks would overtake each other";
        sheet.error(node.place, Code::UpstreamHealth, message.to_owned());
    }
    if check.path.is_none() && fields.get("expect").is_some() {
        let message = "'expect' without 'path': a connection has no status";
        sheet.error(node.place, Code::UpstreamHealth, message.to_owned());
    }
    Some(check)
}

fn read_path(sheet: &mut Sheet<'_>, node: &Node) -> Option<Box<str>> {
    let text = sheet.text(node, "'path'", PATH_CHARS_MAX)?;
    let is_visible = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !text.starts_with('/') || !is_visible {
        let message = format!("the path of a check begins with '/' and is ASCII, not '{text}'");
        sheet.error(node.place, Code::UpstreamHealth, message);
        return None;
    }
    Some(text.into())
}

/// `200..299`, both included.
fn read_statuses(sheet: &mut Sheet<'_>, node: &Node) -> Option<RangeInclusive<u16>> {
    let text = sheet.text(node, "'expect'", 16)?;
    let status = |text: &str| {
        let is_one = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let status = text.parse::<u16>().ok()?;
        (is_one && (200..=599).contains(&status)).then_some(status)
    };
    let ends = text.split_once("..");
    let range = ends.and_then(|(from, to)| Some(status(from)?..=status(to)?));
    let range = range.filter(|range| !range.is_empty());
    if range.is_none() {
        let message = format!("statuses are written as '200..299', not '{text}'");
        sheet.error(node.place, Code::UpstreamHealth, message);
    }
    range
}

fn millis(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str, default: Millis) -> Millis {
    let bounds = (MILLIS_MIN, MILLIS_MAX);
    Millis::new(number(sheet, fields, key, default.get(), bounds))
}

/// A number within bounds; the default also where a fault was reported.
fn number(
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

fn read_default_upstream(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    place: Place,
    upstreams: &[Upstream],
) -> Option<Box<str>> {
    if let Some(node) = fields.get("default_upstream") {
        let name = sheet.text(node, "'default_upstream'", 64)?;
        if !upstreams.iter().any(|upstream| *upstream.name == *name) {
            let message = format!("there is no upstream '{name}'");
            sheet.error(node.place, Code::UnknownUpstream, message);
            return None;
        }
        return Some(name.into());
    }
    match upstreams {
        [] => None,
        [only] => Some(only.name.clone()),
        _ => {
            let message = "several upstreams, and no 'default_upstream'".to_owned();
            sheet.error(place, Code::DefaultUpstream, message);
            None
        }
    }
}
