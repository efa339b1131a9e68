//! What one gateway needs to know besides contracts and rules: valid values, no file types.

mod upstreams;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::tls::TlsFiles;
use crate::units::{Millis, Tier};

pub use upstreams::{
    Balance, ClientCertificate, Ejection, HealthCheck, Protocol, Server, Upstream, UpstreamTls,
    WeightedServer,
};

/// The settings of one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The most this process may do; never `Autonomous` without an envelope.
    pub tier: Tier,
    /// Where it runs.
    pub environment: Environment,
    /// How many gateways share the limits of rate, this one included.
    pub instances: NonZeroU32,
    /// Whether a change of the files is taken by itself.
    pub watch: bool,
    /// Worker threads; `None` = one per core.
    pub threads: Option<NonZeroUsize>,
    /// Where requests come in; at least one, addresses do not overlap (but for port 0).
    pub listeners: Vec<Listener>,
    /// Where requests go to; at least one, sorted by name, names unique.
    pub upstreams: Vec<Upstream>,
    /// The name of the upstream of unmatched traffic; always one of `upstreams`.
    pub default_upstream: Box<str>,
    /// Peers whose forwarded-for headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The field by which a trusted proxy names the caller, lower case; `None` = none.
    pub caller_header: Option<Box<str>>,
    /// The ledger.
    pub ledger: LedgerSettings,
    /// Where bundles come from; `None` where plain files are in force, unsigned.
    pub bundle: Option<BundleSettings>,
    /// The admin listener; always a loopback address.
    pub admin: SocketAddr,
    /// Where the gateway keeps its own state.
    pub state_dir: PathBuf,
    /// The most metric series; beyond it `contract="_other"`.
    pub series_max: u32,
    /// Whether responses carry contract, decision and risk.
    pub expose_headers: bool,
    /// Whether ordinary requests take the fast lane past the full proxy.
    pub fast_lane: bool,
    /// Clocks of connections.
    pub timeouts: Timeouts,
    /// Bounds of connections.
    pub limits: Limits,
}

/// Where a gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Environment {
    /// For trying things out.
    Sandbox,
    /// For building.
    Development,
    /// For real.
    #[default]
    Production,
}

impl Environment {
    /// All environments.
    pub const ALL: [Self; 3] = [Self::Sandbox, Self::Development, Self::Production];

    /// The name in files and records.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Development => "development",
            Self::Production => "production",
        }
    }
}

/// A socket that takes requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its address; port 0 takes a free port.
    pub bind: SocketAddr,
    /// The most this listener may do; `None` = whatever the process may.
    pub tier: Option<Tier>,
    /// What it shows and asks for; `None` without TLS.
    pub tls: Option<TlsFiles>,
    /// Whether HTTP/2 is offered; only with TLS.
    pub http2: bool,
    /// Whether HTTP/2 without TLS is taken; only without TLS.
    pub h2c: bool,
    /// Whether every connection begins with a PROXY header of a trusted proxy.
    pub proxy_protocol: bool,
}

/// Where the ledger lies, how safely and how long it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSettings {
    /// The directory.
    pub dir: PathBuf,
    /// The file of the key that signs checkpoints.
    pub key: PathBuf,
    /// Whether the file names the key; otherwise a missing one is made.
    pub key_is_given: bool,
    /// When records are made durable.
    pub sync: LedgerSync,
    /// A segment that has grown to this is closed.
    pub segment_bytes: u64,
    /// A segment that is this old is closed.
    pub segment_age: Duration,
    /// Whether closed segments are compressed after they were verified.
    pub compress: bool,
    /// How long records are kept.
    pub retention: Retention,
    /// What the directory may take on the disk; `None` = no budget.
    pub disk_bytes_max: Option<u64>,
    /// What holds while no record can be kept.
    pub on_unavailable: OnUnavailable,
    /// How often a signed head goes to stdout; `None` = never.
    pub heads_every: Option<Duration>,
}

impl LedgerSettings {
    /// The defaults of an environment.
    #[must_use]
    pub const fn new(dir: PathBuf, key: PathBuf, environment: Environment) -> Self {
        Self {
            dir,
            key,
            key_is_given: false,
            sync: LedgerSync::Interval(Duration::from_millis(100)),
            segment_bytes: 256 << 20,
            segment_age: Duration::from_secs(24 * 3_600),
            compress: true,
            retention: Retention::of(environment),
            disk_bytes_max: None,
            on_unavailable: OnUnavailable::Continue,
            heads_every: Some(Duration::from_secs(60)),
        }
    }
}

/// Where contracts and policy come from as signed bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleSettings {
    /// The pinned root: who may sign.
    pub root: PathBuf,
    /// The folder that is watched for `bundle.json` and later roots; `None` = none is.
    pub dir: Option<PathBuf>,
    /// What holds while there is no bundle.
    pub on_none: OnNone,
}

/// What holds while there is no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNone {
    /// The data port stays closed until there is one.
    #[default]
    Refuse,
    /// Everything is forwarded and recorded.
    Observe,
}

impl OnNone {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Refuse, Self::Observe];

    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Observe => "observe",
        }
    }
}

/// When records are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerSync {
    /// All that was written, once in this time.
    Interval(Duration),
    /// All that was written, as soon as the sync before it is done.
    Group,
    /// Each record by itself, before the next one is written.
    Each,
}

/// How long records are kept, by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Requests that were let through or throttled.
    pub access_days: u32,
    /// Requests that were quarantined or dropped, and everything that is not a request.
    pub security_days: u32,
}

impl Retention {
    /// 90 days where things are tried out and built, a year in production; security three years.
    #[must_use]
    pub const fn of(environment: Environment) -> Self {
        Self {
            access_days: match environment {
                Environment::Sandbox | Environment::Development => 90,
                Environment::Production => 365,
            },
            security_days: 1_095,
        }
    }
}

/// What holds while no record can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnavailable {
    /// Requests are decided and answered as ever, but for contracts that require the ledger.
    #[default]
    Continue,
    /// Nothing is enforced that could not be proved.
    ObserveOnly,
    /// Nothing is forwarded that could not be proved: 503.
    FailClosed,
}

impl OnUnavailable {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Continue, Self::ObserveOnly, Self::FailClosed];

    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::ObserveOnly => "observe_only",
            Self::FailClosed => "fail_closed",
        }
    }
}

/// Clocks of connections, at least 1 ms where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a client to send a whole request body; 0 = any.
    pub body: Millis,
    /// To connect to a server.
    pub connect: Millis,
    /// For a PROXY header and TLS, together.
    pub handshake: Millis,
    /// For running requests to finish at a stop and at an upgrade.
    pub drain: Millis,
    /// Between saying "not ready" and letting nobody in any more, at a stop; 0 = none.
    pub drain_notice: Millis,
    /// For a client to send a whole request head, also on a reused connection.
    pub header: Millis,
    /// For a client between two requests.
    pub idle: Millis,
    /// For a kept connection to a server between two requests; below the server's own.
    pub upstream_idle: Millis,
    /// That a client may be waited for before its rate counts.
    pub rate_grace: Millis,
    /// That nothing may move in a tunnel.
    pub tunnel_idle: Millis,
    /// That a tunnel may last.
    pub tunnel_age: Millis,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            body: Millis::new(1_800_000),
            connect: Millis::new(3_000),
            handshake: Millis::new(10_000),
            drain: Millis::new(8_000),
            drain_notice: Millis::new(0),
            header: Millis::new(10_000),
            idle: Millis::new(60_000),
            upstream_idle: Millis::new(30_000),
            rate_grace: Millis::new(5_000),
            tunnel_idle: Millis::new(300_000),
            tunnel_age: Millis::new(86_400_000),
        }
    }
}

/// Bounds of connections, all at least 1 but for the rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at once.
    pub connections: u32,
    /// Client connections at once from one address.
    pub connections_per_address: u32,
    /// Handshakes (PROXY headers, TLS) at once.
    pub handshakes: u32,
    /// Requests on one client connection.
    pub requests_per_connection: u32,
    /// Bytes per second of a request body that is waited for; 0 = any.
    pub body_rate_min: u32,
    /// Bytes per second of a response that waits for its client; 0 = any.
    pub response_rate_min: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_address: 1_024,
            // Four times as many as one address may have connections.
            handshakes: 4_096,
            requests_per_connection: 1_000,
            body_rate_min: 240,
            response_rate_min: 240,
        }
    }
}
