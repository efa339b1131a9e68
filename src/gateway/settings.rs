//! What the gateway must know to start: plain data, already checked by the configuration.
//!
//! Invariant: no file format here; every bound has a name and a default. Deliberately not here:
//! contracts and policy, which change while the gateway runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// Everything the gateway needs to open its listeners.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Where to listen; the position in this list is the number of the listener. Port 0 asks
    /// the kernel for a free one.
    pub listeners: Vec<ListenerSettings>,
    /// The upstream groups; the position in this list is what a decision names.
    pub upstreams: Vec<UpstreamGroup>,
    /// Bounds on what a client may send.
    pub limits: Limits,
    /// How long the gateway waits for whom.
    pub timeouts: Timeouts,
    /// Networks whose forwarded-for headers are believed, whole.
    pub trusted_proxies: Vec<IpNet>,
    /// Where the process may leave its runtime files.
    pub runtime_dir: PathBuf,
    /// Whether HTTP/2 without TLS is accepted on a connection that begins with its preface.
    pub h2c: bool,
}

impl GatewaySettings {
    /// Settings with one listener, one upstream group and every bound at its default.
    #[must_use]
    pub fn new(bind: SocketAddr, upstream: UpstreamGroup) -> Self {
        Self {
            listeners: vec![ListenerSettings { bind }],
            upstreams: vec![upstream],
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            trusted_proxies: Vec::new(),
            runtime_dir: PathBuf::from("."),
            h2c: true,
        }
    }

    /// Whether `peer` is one of the trusted proxies.
    pub(crate) fn trusts(&self, peer: SocketAddr) -> bool {
        // A listener of both families sees IPv4 addresses in their IPv6 form.
        let address = peer.ip().to_canonical();
        self.trusted_proxies
            .iter()
            .any(|net| net.contains(&address))
    }
}

/// One address to listen on.
#[derive(Debug, Clone, Copy)]
pub struct ListenerSettings {
    /// The address and port.
    pub bind: SocketAddr,
}

/// Servers that answer for one another.
#[derive(Debug, Clone)]
pub struct UpstreamGroup {
    /// The name in contracts and metrics.
    pub name: String,
    /// `address:port` or `name:port`, at least one.
    pub servers: Vec<String>,
}

/// Bounds on what a client may send and hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Header fields of one request; one more is answered 431.
    pub fields_max: usize,
    /// Bytes of a whole request head; more is answered 431.
    pub head_bytes_max: usize,
    /// Bytes of the request target; more is answered 414.
    pub target_bytes_max: usize,
    /// Requests on one connection; the last one is answered with `Connection: close`.
    pub requests_per_connection_max: u32,
    /// Open client connections; one more is closed at once.
    pub connections_max: usize,
    /// Open connections of one client address; one more is closed at once.
    pub connections_per_address_max: usize,
    /// Idle connections kept open to upstreams, per worker. Keep it above the requests in
    /// flight: a smaller pool means a new connection per request.
    pub upstream_pool_per_worker: usize,
    /// Streams of one HTTP/2 connection.
    pub h2_streams_max: u32,
}

/// The largest number of fields a head may have whatever the settings say.
pub const FIELDS_CEILING: usize = 100;

impl Default for Limits {
    fn default() -> Self {
        Self {
            fields_max: FIELDS_CEILING,
            head_bytes_max: 32 * 1024,
            target_bytes_max: 8 * 1024,
            requests_per_connection_max: 1_000,
            connections_max: 10_000,
            connections_per_address_max: 1_024,
            upstream_pool_per_worker: 1_024,
            h2_streams_max: 100,
        }
    }
}

/// How long the gateway waits for whom.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// From the first byte of a request head (or from the accept) to its end; then 408.
    pub head: Duration,
    /// From the end of a response to the first byte of the next request; then a silent close.
    pub idle: Duration,
    /// For each read of a request body; a body that stands still longer loses its connection.
    pub body_read: Duration,
    /// For each write of a response to the client.
    pub client_write: Duration,
    /// How long the rest of a refused request's body is read, so that the client sees the answer.
    pub drain_body: Duration,
    /// For a connection to an upstream server.
    pub connect: Duration,
    /// For each write of a request to the upstream.
    pub upstream_write: Duration,
    /// How long an unused upstream connection is kept; below the upstream's own limit.
    pub upstream_idle: Duration,
    /// How long a stop waits for requests in flight. The ledger is closed after that, and the
    /// process shall be gone before the 10 s have passed that container runtimes wait for it.
    pub stop: Duration,
    /// How long a stop goes on serving after it said that it is not ready, for load balancers to notice.
    pub drain_notice: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_read: Duration::from_secs(60),
            client_write: Duration::from_secs(60),
            drain_body: Duration::from_secs(2),
            connect: Duration::from_secs(1),
            upstream_write: Duration::from_secs(30),
            upstream_idle: Duration::from_secs(55),
            stop: Duration::from_secs(8),
            drain_notice: Duration::ZERO,
        }
    }
}
