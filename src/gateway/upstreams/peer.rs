//! What Pingora needs to connect to a server of a group.
//!
//! Invariant: connections of two groups never mix, nor those made before and after a change of
//! certificates: Pingora's own key of a kept connection knows neither protocol nor authority. The
//! server's name is never empty where there is TLS: Pingora takes that as a wish not to verify.

use std::sync::Arc;
use std::time::Duration;

use pingora::upstreams::peer::{ALPN, HttpPeer};

use super::Address;
use super::group::Group;
use super::tls::TlsFiles;
use crate::config::Protocol;
use crate::gateway::settings::UpstreamGroup;

/// Requests at once on one HTTP/2 connection to a server; further ones open another one.
const H2_STREAMS: usize = 100;
/// How often a connection of HTTP/2 is asked whether the other side is still there.
const H2_PING_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct PeerSettings {
    number: u32,
    protocol: Protocol,
    pub(super) tls: Option<TlsFiles>,
    /// What certificates are verified against, by server.
    names: Box<[Box<str>]>,
}

impl PeerSettings {
    pub(super) fn new(number: usize, settings: &UpstreamGroup, tls: Option<TlsFiles>) -> Self {
        let given = settings.tls.as_ref();
        let given = given.and_then(|tls| tls.server_name.as_deref());
        let name = |address: &str| given.unwrap_or_else(|| host_of(address)).into();
        let servers = settings.servers.iter();
        Self {
            number: number as u32,
            protocol: settings.protocol,
            tls,
            names: servers.map(|server| name(&server.address)).collect(),
        }
    }

    /// HTTP/1 without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.tls.is_none() && self.protocol != Protocol::Http2
    }

    /// What certificates of a server are verified against.
    pub(super) fn server_name(&self, server: usize) -> &str {
        self.names.get(server).map_or("invalid", |name| name)
    }

    /// What a request of our own says in `Host`: the given name where there is TLS with one, else
    /// the server's address.
    pub(super) fn host(&self, server: usize, authority: Option<&str>) -> String {
        let own = authority.unwrap_or_default();
        let name = self.server_name(server);
        let is_given = self.tls.is_some() && name != host_of(own);
        if is_given { name } else { own }.to_owned()
    }
}

impl Group {
    /// A connection to this address, without bounds of time.
    pub(super) fn peer(&self, address: Address) -> HttpPeer {
        let peers = self.peers();
        let mut peer = match &peers.tls {
            None => HttpPeer::new(address.socket, false, String::new()),
            Some(_) => {
                let name = peers.server_name(address.server);
                HttpPeer::new(address.socket, true, name.to_owned())
            }
        };
        let mut generation = 0;
        if let Some(tls) = &peers.tls {
            let files = tls.current();
            generation = files.generation;
            peer.options.verify_cert = tls.verifies();
            peer.options.verify_hostname = tls.verifies();
            peer.options.ca = files.ca.as_ref().map(Arc::clone);
            peer.client_cert_key = files.client.as_ref().map(Arc::clone);
        }
        peer.group_key = u64::from(peers.number) << 32 | u64::from(generation);
        peer.options.alpn = match peers.protocol {
            Protocol::Http1 => ALPN::H1,
            Protocol::Http2 => ALPN::H2,
            Protocol::Auto => ALPN::H2H1,
        };
        if peers.protocol != Protocol::Http1 {
            peer.options.max_h2_streams = H2_STREAMS;
            peer.options.h2_ping_interval = Some(H2_PING_EVERY);
        }
        peer
    }
}

/// The host of `host:port`, without the brackets of an address of IPv6.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}
