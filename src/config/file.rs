//! `tidegate.yaml`: YAML in, settings and the places of the other files out.

use std::path::{Path, PathBuf};

use crate::config::address::{read_network, read_server, read_socket};
use crate::config::settings::{
    Environment, LedgerSettings, Limits, Listener, Settings, Timeouts, Upstream,
};
use crate::contract::ContractId;
use crate::diagnostic::{Code, Place};
use crate::units::{Millis, Tier};
use crate::yaml::{Fields, Keys, Node, Sheet};

const FILE_KEYS: Keys = Keys {
    what: "the configuration",
    known: &[
        "version",
        "tier",
        "environment",
        "threads",
        "listeners",
        "upstreams",
        "default_upstream",
        "trusted_proxies",
        "contracts",
        "policy",
        "ledger",
        "admin",
        "state_dir",
        "metrics",
        "expose_headers",
        "timeouts",
        "limits",
    ],
    later: &["bundle"],
    computed: &["policy_hash", "content_digest"],
};

macro_rules! keys {
    ($name:ident, $what:literal, $($key:literal),+) => {
        const $name: Keys = Keys {
            what: $what,
            known: &[$($key),+],
            later: &[],
            computed: &[],
        };
    };
}

keys!(LISTENER_KEYS, "a listener", "bind", "tier");
keys!(UPSTREAM_KEYS, "an upstream", "servers");
keys!(LEDGER_KEYS, "'ledger'", "dir");
keys!(ADMIN_KEYS, "'admin'", "bind");
keys!(METRICS_KEYS, "'metrics'", "series_max");
keys!(
    TIMEOUT_KEYS,
    "'timeouts'",
    "connect_ms",
    "header_ms",
    "idle_ms",
    "upstream_idle_ms"
);
keys!(
    LIMIT_KEYS,
    "'limits'",
    "connections",
    "connections_per_address",
    "requests_per_connection"
);

const LIST_ITEMS_MAX: usize = 1_024;
const PATH_CHARS_MAX: usize = 4_096;
const THREADS_MAX: u64 = 256;
const MILLIS_MAX: u64 = 3_600_000;

/// What the configuration file says.
#[derive(Debug)]
pub(super) struct Main {
    /// The settings; `None` where a part of them had a fault.
    pub(super) settings: Option<Settings>,
    /// The names of the upstreams, for contracts.
    pub(super) upstreams: Vec<Box<str>>,
    /// Whether unnamed traffic has an upstream.
    pub(super) has_default_upstream: bool,
    /// The folder of the contracts, and where it is named.
    pub(super) contracts: Option<(PathBuf, Place)>,
    /// The policy file, and where it is named.
    pub(super) policy: Option<(PathBuf, Place)>,
}

/// Reads the configuration; paths in it are relative to `folder`.
pub(super) fn read_main(sheet: &mut Sheet<'_>, root: &Node, folder: &Path) -> Option<Main> {
    let fields = sheet.fields(root, &FILE_KEYS)?;
    sheet.format_version(fields);
    let (upstreams, default_upstream) = read_upstreams(sheet, fields);
    let names = upstreams.iter().map(|u| u.name.clone()).collect();
    let has_default_upstream = default_upstream.is_some();
    let contracts = sheet.required(fields, "contracts");
    let contracts = contracts.and_then(|node| path_at(sheet, node, "'contracts'", folder));
    let policy = fields.get("policy");
    let policy = policy.and_then(|node| path_at(sheet, node, "'policy'", folder));
    let settings = read_settings(sheet, fields, folder, upstreams, default_upstream);
    Some(Main {
        settings,
        upstreams: names,
        has_default_upstream,
        contracts,
        policy,
    })
}

/// The settings; every part is read before any is judged, so that every fault is reported.
fn read_settings(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    folder: &Path,
    upstreams: Vec<Upstream>,
    default_upstream: Option<Box<str>>,
) -> Option<Settings> {
    let tier = match fields.get("tier") {
        Some(node) => read_tier(sheet, node, "'tier'"),
        None => Some(Tier::ObserveOnly),
    };
    let environment = match fields.get("environment") {
        Some(node) => read_environment(sheet, node),
        None => Some(Environment::default()),
    };
    let threads = fields.get("threads").map(|node| {
        let count = sheet.integer(node, "'threads'", 1, THREADS_MAX);
        count.and_then(|count| usize::try_from(count).ok())
    });
    let admin = read_admin(sheet, fields);
    let listeners = read_listeners(sheet, fields, tier.unwrap_or_default(), admin);
    let trusted_proxies = read_trusted(sheet, fields);
    let state_dir = match fields.get("state_dir") {
        Some(node) => path_at(sheet, node, "'state_dir'", folder).map(|(path, _)| path),
        None => Some(folder.join("state")),
    };
    let ledger = read_ledger(sheet, fields, folder, state_dir.as_deref());
    let series_max = read_series_max(sheet, fields);
    let expose_headers = match fields.get("expose_headers") {
        Some(node) => sheet.boolean(node, "'expose_headers'"),
        None => Some(false),
    };
    let timeouts = read_timeouts(sheet, fields);
    let limits = read_limits(sheet, fields);
    Some(Settings {
        tier: tier?,
        environment: environment?,
        threads: match threads {
            Some(count) => Some(std::num::NonZeroUsize::new(count?)?),
            None => None,
        },
        listeners: listeners?,
        upstreams,
        default_upstream: default_upstream?,
        trusted_proxies,
        ledger: ledger?,
        admin: admin?,
        state_dir: state_dir?,
        series_max: series_max?,
        expose_headers: expose_headers?,
        timeouts,
        limits,
    })
}

fn path_at(
    sheet: &mut Sheet<'_>,
    node: &Node,
    what: &str,
    folder: &Path,
) -> Option<(PathBuf, Place)> {
    let text = sheet.text(node, what, PATH_CHARS_MAX)?;
    Some((folder.join(text), node.place))
}

fn read_tier(sheet: &mut Sheet<'_>, node: &Node, what: &str) -> Option<Tier> {
    let tier = sheet.choice(node, what, &Tier::ALL.map(Tier::key), Tier::from_key)?;
    if tier == Tier::Autonomous {
        let message = "'autonomous' needs a signed envelope".to_owned();
        sheet.error(node.place, Code::TierUnavailable, message);
        return None;
    }
    Some(tier)
}

fn read_environment(sheet: &mut Sheet<'_>, node: &Node) -> Option<Environment> {
    let choices = Environment::ALL.map(Environment::key);
    sheet.choice(node, "'environment'", &choices, |text| {
        Environment::ALL.into_iter().find(|e| e.key() == text)
    })
}

fn bounded<'n>(sheet: &mut Sheet<'_>, node: &'n Node, what: &str) -> Option<&'n [Node]> {
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

fn read_listeners(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    process: Tier,
    admin: Option<std::net::SocketAddr>,
) -> Option<Vec<Listener>> {
    let node = sheet.required(fields, "listeners")?;
    let items = bounded(sheet, node, "'listeners'")?;
    let mut listeners: Vec<Listener> = Vec::new();
    let mut is_whole = true;
    for item in items {
        let Some(listener) = read_listener(sheet, item, process) else {
            is_whole = false;
            continue;
        };
        let bind = listener.bind;
        let taken = listeners.iter().map(|other| other.bind).chain(admin);
        if bind.port() != 0 && taken.into_iter().any(|other| other == bind) {
            let message = format!("{bind} is taken already");
            sheet.error(item.place, Code::SameAddress, message);
            is_whole = false;
        }
        listeners.push(listener);
    }
    if items.is_empty() {
        let message = "'listeners' is empty: no request could come in".to_owned();
        sheet.error(node.place, Code::MissingKey, message);
        is_whole = false;
    }
    is_whole.then_some(listeners)
}

fn read_listener(sheet: &mut Sheet<'_>, node: &Node, process: Tier) -> Option<Listener> {
    let fields = sheet.fields(node, &LISTENER_KEYS)?;
    let bind = sheet.required(fields, "bind");
    let bind = bind.and_then(|node| read_socket(sheet, node, "'bind'"));
    let tier = match fields.get("tier") {
        Some(node) => Some(read_tier(sheet, node, "'tier'")?),
        None => None,
    };
    if let (Some(node), Some(tier)) = (fields.get("tier"), tier)
        && tier > process
    {
        let (own, process) = (tier.key(), process.key());
        let message = format!("'{own}' has no effect below a process in '{process}'");
        sheet.warning(node.place, Code::TierAboveProcess, message);
    }
    Some(Listener { bind: bind?, tier })
}

/// The upstreams by name, and the default one. Where one has a fault the rest stands, so that
/// contracts can still be checked against the names.
fn read_upstreams(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> (Vec<Upstream>, Option<Box<str>>) {
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
        let servers = read_servers(sheet, node);
        let name = key.text.clone();
        upstreams.push(Upstream { name, servers });
    }
    upstreams.sort_by(|a, b| a.name.cmp(&b.name));
    upstreams.dedup_by(|a, b| a.name == b.name);
    let default_upstream = read_default_upstream(sheet, fields, node.place, &upstreams);
    (upstreams, default_upstream)
}

fn read_servers(sheet: &mut Sheet<'_>, node: &Node) -> Vec<crate::config::Server> {
    let Some(fields) = sheet.fields(node, &UPSTREAM_KEYS) else {
        return Vec::new();
    };
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
        .filter_map(|item| read_server(sheet, item))
        .collect()
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

fn read_trusted(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Vec<ipnet::IpNet> {
    let Some(node) = fields.get("trusted_proxies") else {
        return Vec::new();
    };
    let items = bounded(sheet, node, "'trusted_proxies'").unwrap_or_default();
    let networks = items.iter();
    networks
        .filter_map(|item| read_network(sheet, item))
        .collect()
}

/// R280: the admin listener has no authentication, so nothing but loopback may reach it.
fn read_admin(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<std::net::SocketAddr> {
    let default = std::net::SocketAddr::from(([127, 0, 0, 1], 9_901));
    let Some(node) = fields.get("admin") else {
        return Some(default);
    };
    let fields = sheet.fields(node, &ADMIN_KEYS)?;
    let Some(node) = fields.get("bind") else {
        return Some(default);
    };
    let bind = read_socket(sheet, node, "'bind'")?;
    if !bind.ip().is_loopback() {
        let message = format!("{bind} can be reached by others");
        sheet.error(node.place, Code::AdminExposed, message);
        return None;
    }
    Some(bind)
}

fn read_ledger(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    folder: &Path,
    state_dir: Option<&Path>,
) -> Option<LedgerSettings> {
    let default = state_dir.map(|dir| dir.join("ledger"));
    let dir = match fields.get("ledger") {
        None => default,
        Some(node) => match sheet.fields(node, &LEDGER_KEYS)?.get("dir") {
            Some(node) => path_at(sheet, node, "'dir'", folder).map(|(path, _)| path),
            None => default,
        },
    };
    dir.map(|dir| LedgerSettings { dir })
}

fn read_series_max(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<u32> {
    let default = 50_000;
    let Some(node) = fields.get("metrics") else {
        return Some(default);
    };
    let fields = sheet.fields(node, &METRICS_KEYS)?;
    Some(number(sheet, fields, "series_max", default, 10_000_000))
}

fn read_timeouts(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Timeouts {
    let default = Timeouts::default();
    let node = fields.get("timeouts");
    let Some(fields) = node.and_then(|node| sheet.fields(node, &TIMEOUT_KEYS)) else {
        return default;
    };
    let mut millis =
        |key, default: Millis| Millis::new(number(sheet, fields, key, default.get(), MILLIS_MAX));
    Timeouts {
        connect: millis("connect_ms", default.connect),
        header: millis("header_ms", default.header),
        idle: millis("idle_ms", default.idle),
        upstream_idle: millis("upstream_idle_ms", default.upstream_idle),
    }
}

fn read_limits(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Limits {
    let default = Limits::default();
    let node = fields.get("limits");
    let Some(fields) = node.and_then(|node| sheet.fields(node, &LIMIT_KEYS)) else {
        return default;
    };
    let mut count = |key, default| number(sheet, fields, key, default, 10_000_000);
    Limits {
        connections: count("connections", default.connections),
        connections_per_address: count("connections_per_address", default.connections_per_address),
        requests_per_connection: count("requests_per_connection", default.requests_per_connection),
    }
}

/// A number of at least 1; the default also where a fault was reported.
fn number(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str, default: u32, max: u64) -> u32 {
    let Some(node) = fields.get(key) else {
        return default;
    };
    let value = sheet.integer(node, &format!("'{key}'"), 1, max);
    value
        .and_then(|value| u32::try_from(value).ok())
        .unwrap_or(default)
}
