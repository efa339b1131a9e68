//! What a gateway needs to know of the servers it sends requests to.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::units::Millis;

/// A group of servers that answer alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The name that contracts use.
    pub name: Box<str>,
    /// Its servers; at least one.
    pub servers: Vec<WeightedServer>,
    /// How requests are spread over them.
    pub balance: Balance,
    /// What they speak.
    pub protocol: Protocol,
    /// How connections are secured; `None` = not at all.
    pub tls: Option<UpstreamTls>,
    /// When a server that fails is left out.
    pub eject: Ejection,
    /// How servers are asked whether they are well; `None` = not at all.
    pub health: Option<HealthCheck>,
}

/// One server of an upstream with its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedServer {
    /// Where it is.
    pub server: Server,
    /// Its share in relation to the others', 1 to 100.
    pub weight: u32,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Server {
    /// An address.
    Address(SocketAddr),
    /// A name, resolved in the background.
    Name {
        /// The host name, lower case.
        host: Box<str>,
        /// The port, above 0.
        port: u16,
    },
}

/// How requests are spread over the servers of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn, as often as their weights say.
    #[default]
    RoundRobin,
    /// Of two drawn by weight, the one with fewer requests in flight for its weight.
    LeastRequest,
}

impl Balance {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::RoundRobin, Self::LeastRequest];

    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastRequest => "least_request",
        }
    }
}

/// What the servers of a group speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    Http2,
    /// What server and gateway agree on in the TLS handshake, HTTP/2 first.
    Auto,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Auto];

    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Auto => "auto",
        }
    }
}

/// How connections to the servers of a group are secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that certificates must have; `None` = the host of each server.
    pub server_name: Option<Box<str>>,
    /// A file of the authorities that are believed; `None` = those of the system.
    pub ca: Option<PathBuf>,
    /// Who the gateway says it is; `None` = nobody.
    pub client: Option<ClientCertificate>,
    /// Whether certificates are verified; never `false` in production.
    pub verify: bool,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self {
            server_name: None,
            ca: None,
            client: None,
            verify: true,
        }
    }
}

/// The files of a certificate of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, then those between it and its authority, as PEM.
    pub cert: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
}

/// When a server that fails is left out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// So many failures in a row; 0 = never.
    pub failures: u32,
    /// For so long the first time, twice as long the second time and so on.
    pub base: Millis,
    /// Not more than this share of the servers at once, in percent.
    pub max_percent: u32,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures: 5,
            base: Millis::new(10_000),
            max_percent: 50,
        }
    }
}

/// How servers are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path that is asked for; `None` = a connection is made and closed.
    pub path: Option<Box<str>>,
    /// How often each server is asked.
    pub interval: Millis,
    /// How long it has to answer; at most `interval`.
    pub timeout: Millis,
    /// Good answers in a row after which it is well again.
    pub healthy: u32,
    /// Bad ones after which it is not.
    pub unhealthy: u32,
    /// The statuses of a good answer.
    pub expect: RangeInclusive<u16>,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            path: None,
            interval: Millis::new(5_000),
            timeout: Millis::new(1_000),
            healthy: 2,
            unhealthy: 3,
            expect: 200..=299,
        }
    }
}
