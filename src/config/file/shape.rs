//! What tidegate.yaml may hold, for its JSON Schema. A new key gets one line here.

use super::bounds::{COUNT_MAX, LIMIT_KEYS, METRICS_KEYS, MILLIS_MAX, TIMEOUT_KEYS};
use super::bundle::KEYS as BUNDLE_KEYS;
use super::ledger::{
    DISK_MIB_MAX, DISK_MIB_MIN, HEADS_SECS_MAX, KEYS as LEDGER_KEYS, RETENTION_DAYS_MAX,
    RETENTION_KEYS, SEGMENT_HOURS_MAX, SEGMENT_MIB_MAX, SYNC_INTERVAL_MS_MAX, SYNCS,
};
use super::listeners::{ADMIN_KEYS, LISTENER_KEYS};
use super::upstreams::{LIST_ITEMS_MAX, UPSTREAM_KEYS};
use super::{FILE_KEYS, INSTANCES_MAX, PATH_CHARS_MAX, THREADS_MAX};
use crate::config::settings::{Environment, OnNone, OnUnavailable};
use crate::contract::ContractId;
use crate::contract::file::bounds::is_usable_tier;
use crate::contract::file::shape::NAME;
use crate::units::Tier;
use crate::yaml::{Kind, Line, Shape};

const PATH: Kind = Kind::Text(PATH_CHARS_MAX);
/// An address with its port, or `[address]` and its port, or a name and a port.
const SOCKET: Kind = Kind::Form("^.+:[0-9]{1,5}$");
const TIER: Kind = Kind::Choice(|| {
    let usable = Tier::ALL.into_iter().filter(|tier| is_usable_tier(*tier));
    usable.map(Tier::key).collect()
});

const fn up_to(max: u64) -> Kind {
    Kind::Integer { min: 1, max }
}

const fn list_of(of: &'static Kind, min: usize) -> Kind {
    Kind::List {
        of,
        min,
        max: LIST_ITEMS_MAX,
    }
}

/// tidegate.yaml.
pub const SHAPE: Shape = Shape {
    keys: FILE_KEYS,
    lines: &[
        Line::new("version", Kind::Version, "the version of the format").needed(),
        Line::new("tier", TIER, "the most this process may do"),
        Line::new(
            "environment",
            Kind::Choice(|| Environment::ALL.map(Environment::key).to_vec()),
            "where it runs",
        ),
        Line::new(
            "instances",
            up_to(INSTANCES_MAX),
            "gateways that share the limits of rate, this one included",
        ),
        Line::new(
            "watch",
            Kind::Boolean,
            "whether changed files come into force by themselves",
        ),
        Line::new("threads", up_to(THREADS_MAX), "worker threads"),
        Line::new(
            "listeners",
            list_of(&Kind::Map(&LISTENER), 1),
            "where requests come in",
        )
        .needed(),
        Line::new(
            "upstreams",
            Kind::Named {
                names: ContractId::FORM,
                min: 1,
                of: &Kind::Map(&UPSTREAM),
            },
            "where requests go, by name",
        )
        .needed(),
        Line::new("default_upstream", NAME, "where unmatched traffic goes"),
        Line::new(
            "trusted_proxies",
            list_of(&Kind::Form("^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"), 0),
            "peers whose forwarded-for headers are believed",
        ),
        // Needed where there is no `bundle`: a rule between keys, so the reader's.
        Line::new("contracts", PATH, "the folder of the contracts"),
        Line::new("policy", PATH, "the policy file"),
        Line::new(
            "self_tests",
            PATH,
            "the file or the folder of the self-tests",
        ),
        Line::new("charter", PATH, "the charter file"),
        Line::new(
            "bundle",
            Kind::Map(&BUNDLE),
            "who signs contracts and policy, and where bundles come from",
        ),
        Line::new(
            "ledger",
            Kind::Map(&LEDGER),
            "where records are kept, how safely and how long",
        ),
        Line::new(
            "admin",
            Kind::Map(&Shape {
                keys: ADMIN_KEYS,
                lines: &[Line::new("bind", SOCKET, "its address, on loopback")],
            }),
            "the admin listener",
        ),
        Line::new("state_dir", PATH, "where the gateway keeps its own state"),
        Line::new(
            "metrics",
            Kind::Map(&Shape {
                keys: METRICS_KEYS,
                lines: &[Line::new(
                    "series_max",
                    up_to(COUNT_MAX),
                    "beyond it the label is contract=\"_other\"",
                )],
            }),
            "bounds of the metrics",
        ),
        Line::new(
            "expose_headers",
            Kind::Boolean,
            "adds contract, decision and risk to responses",
        ),
        Line::new("timeouts", Kind::Map(&TIMEOUTS), "clocks of connections"),
        Line::new("limits", Kind::Map(&LIMITS), "bounds of connections"),
    ],
};

const BUNDLE: Shape = Shape {
    keys: BUNDLE_KEYS,
    lines: &[
        Line::new("root", PATH, "the pinned root").needed(),
        Line::new("dir", PATH, "a folder that is watched for bundles"),
        Line::new(
            "on_none",
            Kind::Choice(|| OnNone::ALL.map(OnNone::key).to_vec()),
            "what holds while there is no bundle",
        ),
    ],
};

const LISTENER: Shape = Shape {
    keys: LISTENER_KEYS,
    lines: &[
        Line::new("bind", SOCKET, "address:port; port 0 takes a free one").needed(),
        Line::new("tier", TIER, "lowers the tier for this listener"),
    ],
};

const UPSTREAM: Shape = Shape {
    keys: UPSTREAM_KEYS,
    lines: &[Line::new(
        "servers",
        list_of(&SOCKET, 1),
        "host:port, an address or a name, without scheme",
    )
    .needed()],
};

const TIMEOUTS: Shape = Shape {
    keys: TIMEOUT_KEYS,
    lines: &[
        Line::new("connect_ms", up_to(MILLIS_MAX), "to connect to a server"),
        Line::new(
            "drain_ms",
            up_to(MILLIS_MAX),
            "for running requests to finish at a stop and at an upgrade",
        ),
        Line::new(
            "drain_notice_ms",
            Kind::Integer {
                min: 0,
                max: MILLIS_MAX,
            },
            "between saying 'not ready' and letting nobody in any more, at a stop",
        ),
        Line::new(
            "header_ms",
            up_to(MILLIS_MAX),
            "for a client to send a whole request head",
        ),
        Line::new(
            "idle_ms",
            up_to(MILLIS_MAX),
            "for a client between two requests",
        ),
        Line::new(
            "upstream_idle_ms",
            up_to(MILLIS_MAX),
            "that a kept connection to a server waits for its next request",
        ),
    ],
};

const LIMITS: Shape = Shape {
    keys: LIMIT_KEYS,
    lines: &[
        Line::new(
            "connections",
            up_to(COUNT_MAX),
            "client connections at once",
        ),
        Line::new(
            "connections_per_address",
            up_to(COUNT_MAX),
            "client connections at once from one address",
        ),
        Line::new(
            "requests_per_connection",
            up_to(COUNT_MAX),
            "requests on one client connection",
        ),
    ],
};

const LEDGER: Shape = Shape {
    keys: LEDGER_KEYS,
    lines: &[
        Line::new("dir", PATH, "where records are kept"),
        Line::new("key", PATH, "the private key that signs checkpoints"),
        Line::new(
            "sync",
            Kind::Choice(|| SYNCS.to_vec()),
            "when records are made durable",
        ),
        Line::new(
            "sync_interval_ms",
            up_to(SYNC_INTERVAL_MS_MAX),
            "the interval of syncs",
        ),
        Line::new(
            "segment_mib",
            up_to(SEGMENT_MIB_MAX),
            "a segment that has grown to this is closed",
        ),
        Line::new(
            "segment_hours",
            up_to(SEGMENT_HOURS_MAX),
            "a segment that is this old is closed",
        ),
        Line::new(
            "compress",
            Kind::Boolean,
            "whether closed segments are compressed after they were verified",
        ),
        Line::new(
            "retention_days",
            Kind::Map(&RETENTION),
            "how long records are kept",
        ),
        Line::new(
            "disk_mib_max",
            Kind::Integer {
                min: DISK_MIB_MIN,
                max: DISK_MIB_MAX,
            },
            "the disk budget",
        ),
        Line::new(
            "on_unavailable",
            Kind::Choice(|| OnUnavailable::ALL.map(OnUnavailable::key).to_vec()),
            "what holds while no record can be kept",
        ),
        Line::new(
            "heads_every_secs",
            Kind::Integer {
                min: 0,
                max: HEADS_SECS_MAX,
            },
            "how often the newest signed head goes to stdout; 0 never",
        ),
    ],
};

const RETENTION: Shape = Shape {
    keys: RETENTION_KEYS,
    lines: &[
        Line::new(
            "access",
            up_to(RETENTION_DAYS_MAX),
            "requests let through or throttled",
        ),
        Line::new(
            "security",
            up_to(RETENTION_DAYS_MAX),
            "requests quarantined or dropped, and all that is not a request",
        ),
    ],
};
