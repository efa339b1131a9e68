//! What tidegate.yaml may hold, for its JSON Schema. A new key gets one line here.

use super::bounds::{
    COUNT_MAX, LIMIT_KEYS, METRICS_KEYS, MILLIS_MAX, TIMEOUT_KEYS, TUNNEL_AGE_MILLIS_MAX,
};
use super::bundle::KEYS as BUNDLE_KEYS;
use super::ledger::{
    DISK_MIB_MAX, DISK_MIB_MIN, HEADS_SECS_MAX, KEYS as LEDGER_KEYS, RETENTION_DAYS_MAX,
    RETENTION_KEYS, SEGMENT_HOURS_MAX, SEGMENT_MIB_MAX, SYNC_INTERVAL_MS_MAX, SYNCS,
};
use super::listener_tls::{CERTIFICATE_KEYS, TLS_KEYS};
use super::listeners::{ADMIN_KEYS, LISTENER_KEYS};
use super::upstream_tls::TLS_KEYS as UPSTREAM_TLS_KEYS;
use super::upstreams::{
    EJECT_KEYS, HEALTH_KEYS, LIST_ITEMS_MAX, MILLIS_MIN, ROW_MAX, SERVER_KEYS, UPSTREAM_KEYS,
    WEIGHT_MAX,
};
use super::{FILE_KEYS, INSTANCES_MAX, PATH_CHARS_MAX, THREADS_MAX};
use crate::config::settings::{Balance, Environment, OnNone, OnUnavailable, Protocol};
use crate::contract::ContractId;
use crate::contract::file::bounds::{FIELD_CHARS_MAX, is_usable_tier};
use crate::contract::file::shape::NAME;
use crate::tls::ClientAuth;
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
        Line::new(
            "caller_header",
            Kind::Text(FIELD_CHARS_MAX),
            "the field by which a trusted proxy names the caller",
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
        Line::new(
            "fast_lane",
            Kind::Boolean,
            "whether ordinary requests pass by the full proxy",
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
        Line::new("tls", Kind::Map(&TLS), "TLS, versions 1.2 and 1.3"),
        Line::new(
            "http2",
            Kind::Boolean,
            "whether HTTP/2 is offered with TLS; on where there is 'tls'",
        ),
        Line::new(
            "h2c",
            Kind::Boolean,
            "whether HTTP/2 without TLS is taken from clients that begin with it",
        ),
        Line::new(
            "proxy_protocol",
            Kind::Boolean,
            "whether every connection begins with a PROXY header, version 2, of a trusted proxy",
        ),
    ],
};

const TLS: Shape = Shape {
    keys: TLS_KEYS,
    lines: &[
        Line::new(
            "certificates",
            list_of(&Kind::Map(&CERTIFICATE), 1),
            "chosen by the name that a client asks for; the first is the default",
        )
        .needed(),
        Line::new(
            "client_ca",
            PATH,
            "the authorities that sign certificates of clients, as PEM",
        ),
        Line::new(
            "client_auth",
            Kind::Choice(|| ClientAuth::ALL.map(ClientAuth::key).to_vec()),
            "whether clients are asked for a certificate; 'required' with 'client_ca', else 'none'",
        ),
    ],
};

const CERTIFICATE: Shape = Shape {
    keys: CERTIFICATE_KEYS,
    lines: &[
        Line::new("cert", PATH, "the chain as PEM, its own certificate first").needed(),
        Line::new("key", PATH, "its private key as PEM").needed(),
    ],
};

const fn from_to(min: u64, max: u64) -> Kind {
    Kind::Integer { min, max }
}

const UPSTREAM: Shape = Shape {
    keys: UPSTREAM_KEYS,
    lines: &[
        Line::new(
            "servers",
            list_of(&Kind::Either(&[SOCKET, Kind::Map(&SERVER)]), 1),
            "host:port, an address or a name, without scheme; or the same with a weight",
        )
        .needed(),
        Line::new(
            "balance",
            Kind::Choice(|| Balance::ALL.map(Balance::key).to_vec()),
            "how requests are spread over the servers",
        ),
        Line::new(
            "protocol",
            Kind::Choice(|| Protocol::ALL.map(Protocol::key).to_vec()),
            "what the servers speak; auto takes tls",
        ),
        Line::new(
            "tls",
            Kind::Map(&UPSTREAM_TLS),
            "secures connections, also where it is empty",
        ),
        Line::new(
            "eject",
            Kind::Map(&EJECT),
            "when a server that fails is left out",
        ),
        Line::new(
            "health",
            Kind::Map(&HEALTH),
            "how servers are asked whether they are well",
        ),
    ],
};

const SERVER: Shape = Shape {
    keys: SERVER_KEYS,
    lines: &[
        Line::new("address", SOCKET, "host:port, an address or a name").needed(),
        Line::new(
            "weight",
            from_to(1, WEIGHT_MAX),
            "its share in relation to the others'",
        ),
    ],
};

const UPSTREAM_TLS: Shape = Shape {
    keys: UPSTREAM_TLS_KEYS,
    lines: &[
        Line::new(
            "server_name",
            Kind::Form("^[A-Za-z0-9._:-]{1,253}$"),
            "the name in certificates and in the handshake, else the host of each server",
        ),
        Line::new("ca", PATH, "the authorities that are believed, as PEM"),
        Line::new("cert", PATH, "the gateway's own certificate, as PEM"),
        Line::new("key", PATH, "its private key, as PEM"),
        Line::new(
            "verify",
            Kind::Boolean,
            "whether certificates are verified; false is refused in production",
        ),
    ],
};

const EJECT: Shape = Shape {
    keys: EJECT_KEYS,
    lines: &[
        Line::new(
            "failures",
            from_to(0, ROW_MAX),
            "failures in a row; 0 leaves nobody out",
        ),
        Line::new(
            "base_ms",
            from_to(MILLIS_MIN, MILLIS_MAX),
            "how long the first time",
        ),
        Line::new(
            "max_percent",
            from_to(0, 100),
            "the share of the servers that may be out at once",
        ),
    ],
};

const HEALTH: Shape = Shape {
    keys: HEALTH_KEYS,
    lines: &[
        Line::new(
            "path",
            Kind::Form("^/[!-\"$-~]*$"),
            "what is asked for; without it a connection is made",
        ),
        Line::new(
            "interval_ms",
            from_to(MILLIS_MIN, MILLIS_MAX),
            "how often each server is asked",
        ),
        Line::new(
            "timeout_ms",
            from_to(MILLIS_MIN, MILLIS_MAX),
            "how long it has to answer; at most interval_ms",
        ),
        Line::new(
            "healthy",
            up_to(ROW_MAX),
            "good answers in a row after which it is well",
        ),
        Line::new(
            "unhealthy",
            up_to(ROW_MAX),
            "bad answers in a row after which it is not",
        ),
        Line::new(
            "expect",
            Kind::Form("^[2-5][0-9]{2}\\.\\.[2-5][0-9]{2}$"),
            "the statuses of a good answer",
        ),
    ],
};

const TIMEOUTS: Shape = Shape {
    keys: TIMEOUT_KEYS,
    lines: &[
        Line::new(
            "body_ms",
            Kind::Integer {
                min: 0,
                max: MILLIS_MAX,
            },
            "for a client to send a whole request body; 0 = any",
        ),
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
            "handshake_ms",
            up_to(MILLIS_MAX),
            "for a PROXY header and TLS, together",
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
        Line::new(
            "rate_grace_ms",
            up_to(MILLIS_MAX),
            "that a client may be waited for before its rate counts",
        ),
        Line::new(
            "tunnel_idle_ms",
            up_to(MILLIS_MAX),
            "that nothing may move in a tunnel",
        ),
        Line::new(
            "tunnel_age_ms",
            up_to(TUNNEL_AGE_MILLIS_MAX),
            "that a tunnel may last",
        ),
    ],
};

const RATE: Kind = Kind::Integer {
    min: 0,
    max: COUNT_MAX,
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
            "handshakes",
            up_to(COUNT_MAX),
            "handshakes (PROXY headers, TLS) at once",
        ),
        Line::new(
            "requests_per_connection",
            up_to(COUNT_MAX),
            "requests on one client connection",
        ),
        Line::new(
            "body_rate_min",
            RATE,
            "bytes per second of a request body that is waited for; 0 = any",
        ),
        Line::new(
            "response_rate_min",
            RATE,
            "bytes per second of a response that waits for its client; 0 = any",
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
