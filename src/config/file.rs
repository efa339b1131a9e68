//! `tidegate.yaml`: YAML in, settings and the places of the other files out.

mod bounds;
mod bundle;
mod callers;
mod ledger;
mod listener_tls;
mod listeners;
pub(super) mod shape;
mod upstream_tls;
mod upstreams;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::config::address::read_network;
use crate::config::settings::{Environment, Settings, Upstream};
use crate::diagnostic::Place;
use crate::units::Tier;
use crate::yaml::{Fields, Keys, Node, Sheet};
use bounds::{read_limits, read_series_max, read_timeouts};
use bundle::read_bundle;
use callers::read_caller_header;
use ledger::read_ledger;
use listeners::{read_admin, read_listeners, read_tier};
use upstreams::{UpstreamPlace, bounded, read_upstreams};

const FILE_KEYS: Keys = Keys {
    what: "the configuration",
    known: &[
        "version",
        "tier",
        "environment",
        "instances",
        "watch",
        "threads",
        "listeners",
        "upstreams",
        "default_upstream",
        "trusted_proxies",
        "caller_header",
        "contracts",
        "policy",
        "self_tests",
        "charter",
        "ledger",
        "admin",
        "state_dir",
        "metrics",
        "bundle",
        "expose_headers",
        "fast_lane",
        "timeouts",
        "limits",
    ],
    later: &[],
    computed: &["policy_hash", "content_digest"],
};

const PATH_CHARS_MAX: usize = 4_096;
const THREADS_MAX: u64 = 255;
const INSTANCES_MAX: u64 = 10_000;

/// What the configuration file says.
#[derive(Debug)]
pub(super) struct Main {
    /// The settings; `None` where a part of them had a fault.
    pub(super) settings: Option<Settings>,
    /// Where the gateway of this file can be asked; also where other parts have faults.
    pub(super) admin: Option<SocketAddr>,
    /// Where it keeps its state; also where other parts have faults.
    pub(super) state_dir: Option<PathBuf>,
    /// The names of the upstreams, for contracts.
    pub(super) upstreams: Vec<Box<str>>,
    /// Whether unnamed traffic has an upstream.
    pub(super) has_default_upstream: bool,
    /// The tier of the process, for contracts; `None` where it had a fault.
    pub(super) tier: Option<Tier>,
    /// The folder of the contracts, and where it is named.
    pub(super) contracts: Option<(PathBuf, Place)>,
    /// The policy file, and where it is named.
    pub(super) policy: Option<(PathBuf, Place)>,
    /// The folder or file of the self-tests, and where it is named.
    pub(super) self_tests: Option<(PathBuf, Place)>,
    /// The charter file, and where it is named.
    pub(super) charter: Option<(PathBuf, Place)>,
}

/// Reads the configuration; paths in it are relative to `folder`.
pub(super) fn read_main(sheet: &mut Sheet<'_>, root: &Node, folder: &Path) -> Option<Main> {
    let fields = sheet.fields(root, &FILE_KEYS)?;
    sheet.format_version(fields);
    let environment = match fields.get("environment") {
        Some(node) => read_environment(sheet, node),
        None => Some(Environment::default()),
    };
    let place = UpstreamPlace {
        folder,
        environment,
    };
    let (upstreams, default_upstream) = read_upstreams(sheet, fields, place);
    let names = upstreams.iter().map(|u| u.name.clone()).collect();
    let has_default_upstream = default_upstream.is_some();
    // With bundles this folder is only what `bundle build` reads.
    let contracts = match fields.get("bundle") {
        Some(_) => fields.get("contracts"),
        None => sheet.required(fields, "contracts"),
    };
    let contracts = contracts.and_then(|node| path_at(sheet, node, "'contracts'", folder));
    let policy = fields.get("policy");
    let policy = policy.and_then(|node| path_at(sheet, node, "'policy'", folder));
    let self_tests = fields.get("self_tests");
    let self_tests = self_tests.and_then(|node| path_at(sheet, node, "'self_tests'", folder));
    let charter = fields.get("charter");
    let charter = charter.and_then(|node| path_at(sheet, node, "'charter'", folder));
    let tier = match fields.get("tier") {
        Some(node) => read_tier(sheet, node, "'tier'"),
        None => Some(Tier::ObserveOnly),
    };
    let admin = read_admin(sheet, fields);
    let state_dir = match fields.get("state_dir") {
        Some(node) => path_at(sheet, node, "'state_dir'", folder).map(|(path, _)| path),
        None => Some(folder.join("state")),
    };
    let known = Known {
        tier,
        environment,
        admin,
        state_dir: state_dir.clone(),
        upstreams,
        default_upstream,
    };
    let settings = read_settings(sheet, fields, folder, known);
    Some(Main {
        settings,
        admin,
        state_dir,
        upstreams: names,
        has_default_upstream,
        tier,
        contracts,
        policy,
        self_tests,
        charter,
    })
}

/// What is read before the rest, because others ask for it too.
struct Known {
    tier: Option<Tier>,
    environment: Option<Environment>,
    admin: Option<SocketAddr>,
    state_dir: Option<PathBuf>,
    upstreams: Vec<Upstream>,
    default_upstream: Option<Box<str>>,
}

/// The settings; every part is read before any is judged, so that every fault is reported.
fn read_settings(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    folder: &Path,
    known: Known,
) -> Option<Settings> {
    let Known {
        tier,
        environment,
        admin,
        state_dir,
        upstreams,
        default_upstream,
    } = known;
    let instances = match fields.get("instances") {
        Some(node) => {
            let count = sheet.integer(node, "'instances'", 1, INSTANCES_MAX);
            count.and_then(|count| NonZeroU32::new(u32::try_from(count).ok()?))
        }
        None => Some(NonZeroU32::MIN),
    };
    let watch = match fields.get("watch") {
        Some(node) => sheet.boolean(node, "'watch'"),
        None => Some(true),
    };
    let threads = fields.get("threads").map(|node| {
        let count = sheet.integer(node, "'threads'", 1, THREADS_MAX);
        count.and_then(|count| usize::try_from(count).ok())
    });
    let listeners = read_listeners(sheet, fields, tier.unwrap_or_default(), admin, folder);
    let trusted_proxies = read_trusted(sheet, fields);
    let caller_header = read_caller_header(sheet, fields);
    let ledger = read_ledger(sheet, fields, folder, state_dir.as_deref(), environment);
    let bundle = read_bundle(sheet, fields, folder);
    let series_max = read_series_max(sheet, fields);
    let expose_headers = match fields.get("expose_headers") {
        Some(node) => sheet.boolean(node, "'expose_headers'"),
        None => Some(false),
    };
    let fast_lane = match fields.get("fast_lane") {
        Some(node) => sheet.boolean(node, "'fast_lane'"),
        None => Some(true),
    };
    let timeouts = read_timeouts(sheet, fields);
    let limits = read_limits(sheet, fields);
    Some(Settings {
        tier: tier?,
        environment: environment?,
        instances: instances?,
        watch: watch?,
        threads: match threads {
            Some(count) => Some(std::num::NonZeroUsize::new(count?)?),
            None => None,
        },
        listeners: listeners?,
        upstreams,
        default_upstream: default_upstream?,
        trusted_proxies,
        caller_header: caller_header?,
        ledger: ledger?,
        bundle: bundle?,
        admin: admin?,
        state_dir: state_dir?,
        series_max: series_max?,
        expose_headers: expose_headers?,
        fast_lane: fast_lane?,
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

fn read_environment(sheet: &mut Sheet<'_>, node: &Node) -> Option<Environment> {
    let choices = Environment::ALL.map(Environment::key);
    sheet.choice(node, "'environment'", &choices, |text| {
        Environment::ALL.into_iter().find(|e| e.key() == text)
    })
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
