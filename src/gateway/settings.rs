//! What the gateway must know to start: plain data, already checked by the configuration.
//!
//! Invariant: no file format here; every bound has a name and a default. Deliberately not here:
//! contracts and policy, which change while the gateway runs.

mod upstreams;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::tls::ListenerTls;
pub use upstreams::{ServerSettings, UpstreamGroup};

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
    /// The field by which a trusted proxy names the caller, lower case.
    pub caller_header: Option<http::HeaderName>,
    /// Whether ordinary requests take the fast lane past the full proxy.
    pub fast_lane: bool,
    /// Where the process may leave its runtime files.
    pub runtime_dir: PathBuf,
}

impl GatewaySettings {
    /// Settings with one listener, one upstream group and every bound at its default.
    #[must_use]
    pub fn new(bind: SocketAddr, upstream: UpstreamGroup) -> Self {
        Self {
            listeners: vec![ListenerSettings::plain(bind)],
            upstreams: vec![upstream],
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            trusted_proxies: Vec::new(),
            caller_header: None,
            fast_lane: true,
            runtime_dir: PathBuf::from("."),
        }
    }

    /// The listener of this number.
    pub(crate) fn listener(&self, number: u16) -> Option<&ListenerSettings> {
        self.listeners.get(usize::from(number))
    }

    /// Whether the listener of this number takes HTTP/2 without TLS.
    pub(crate) fn takes_h2c(&self, number: u16) -> bool {
        self.listener(number).is_some_and(|listener| listener.h2c)
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
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// The address and port.
    pub bind: SocketAddr,
    /// What its handshakes are made with; `None` without TLS.
    pub tls: Option<Arc<ListenerTls>>,
    /// Whether HTTP/2 without TLS is accepted on a connection that begins with its preface.
    pub h2c: bool,
    /// Whether connections begin with a PROXY header, version 2, of a trusted proxy.
    pub proxy_protocol: bool,
}

impl ListenerSettings {
    /// A listener of HTTP/1 without TLS, whose clients may begin HTTP/2 by its preface.
    #[must_use]
    pub const fn plain(bind: SocketAddr) -> Self {
        Self {
            bind,
            tls: None,
            h2c: true,
            proxy_protocol: false,
        }
    }

    /// Whether anything comes before HTTP on its connections.
    pub(crate) const fn has_handshake(&self) -> bool {
        self.tls.is_some() || self.proxy_protocol
    }
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
    /// Handshakes (TLS, PROXY headers) under way; one more is closed at once.
    pub handshakes_max: usize,
    /// Idle connections kept open to upstreams, per worker. Keep it above the requests in
    /// flight: a smaller pool means a new connection per request.
    pub upstream_pool_per_worker: usize,
    /// Streams of one HTTP/2 connection at once.
    pub h2_streams_max: u32,
    /// Bytes per second that a client has to send of a request body while the gateway waits for it;
    /// 0 = any. See [`Timeouts::rate_grace`].
    pub body_rate_min: u32,
    /// Bytes per second that a client has to read of a response that waits for it; 0 = any.
    pub response_rate_min: u32,
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
            handshakes_max: 4_096,
            upstream_pool_per_worker: 1_024,
            h2_streams_max: 100,
            body_rate_min: 240,
            response_rate_min: 240,
        }
    }
}

/// How long the gateway waits for whom.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// From the accept to the first byte of HTTP: a PROXY header, TLS, or both; then a silent close.
    pub handshake: Duration,
    /// From the first byte of a request head (or from the accept, or the end of the handshake) to
    /// its end; then 408.
    pub head: Duration,
    /// From the end of a response to the first byte of the next request; then a silent close.
    pub idle: Duration,
    /// How old an HTTP/2 connection may become; then it is told to go, and its streams end.
    pub age: Duration,
    /// From when a request body is first waited for to its end; 0 = any.
    pub body: Duration,
    /// For each read of a request body; a body that stands still longer loses its connection.
    pub body_read: Duration,
    /// For each write of a response to the client.
    pub client_write: Duration,
    /// How long a client may be waited for before its rate counts.
    pub rate_grace: Duration,
    /// How long nothing may move in a tunnel, neither way.
    pub tunnel_idle: Duration,
    /// How long a tunnel may last.
    pub tunnel_age: Duration,
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
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            age: Duration::from_secs(3_600),
            body: Duration::from_secs(1_800),
            body_read: Duration::from_secs(60),
            client_write: Duration::from_secs(60),
            rate_grace: Duration::from_secs(5),
            tunnel_idle: Duration::from_secs(300),
            tunnel_age: Duration::from_secs(24 * 3_600),
            drain_body: Duration::from_secs(2),
            connect: Duration::from_secs(1),
            upstream_write: Duration::from_secs(30),
            upstream_idle: Duration::from_secs(55),
            stop: Duration::from_secs(8),
            drain_notice: Duration::ZERO,
        }
    }
}
