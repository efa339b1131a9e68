//! From the configuration's settings to those of the parts.

use std::thread::available_parallelism;
use std::time::Duration;

use super::certificates::Certificates;
use crate::config::{Server, Settings, WeightedServer};
use crate::gateway::settings::{
    GatewaySettings, Limits, ListenerSettings, ServerSettings, Timeouts, UpstreamGroup,
};
use crate::gateway::{Closed, Control, ProxyRefusal, TlsEnd};
use crate::telemetry::{ConnectionCounts, ConnectionReader, UpstreamReader};
use crate::units::{Millis, Tier};

/// Worker threads: what the file says, else one per core.
pub(super) fn workers(settings: &Settings) -> usize {
    let cores = available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    settings.threads.map_or(cores, std::num::NonZeroUsize::get)
}

/// What each listener may do, by its number: what it says itself. The tier of the process may change
/// while it runs, and the lower one of both holds.
pub(super) fn listener_tiers(settings: &Settings) -> Vec<Tier> {
    let tier = |listener: &crate::config::Listener| listener.tier.unwrap_or(Tier::Autonomous);
    settings.listeners.iter().map(tier).collect()
}

/// The names of the upstream groups, in the order of the gateway's settings.
pub(super) fn upstream_names(settings: &Settings) -> Vec<String> {
    settings
        .upstreams
        .iter()
        .map(|upstream| upstream.name.to_string())
        .collect()
}

/// What the gateway's shell needs; `connections_max` is what there are descriptors for.
pub(super) fn gateway_settings(
    settings: &Settings,
    certificates: &Certificates,
    connections_max: usize,
) -> GatewaySettings {
    let group = |upstream: &crate::config::Upstream| UpstreamGroup {
        name: upstream.name.to_string(),
        servers: upstream.servers.iter().map(server).collect(),
        balance: upstream.balance,
        protocol: upstream.protocol,
        tls: upstream.tls.clone(),
        eject: upstream.eject,
        health: upstream.health.clone(),
    };
    GatewaySettings {
        listeners: settings
            .listeners
            .iter()
            .enumerate()
            .map(|(number, listener)| ListenerSettings {
                bind: listener.bind,
                tls: certificates.of(number),
                h2c: listener.h2c,
                proxy_protocol: listener.proxy_protocol,
            })
            .collect(),
        upstreams: settings.upstreams.iter().map(group).collect(),
        limits: limits(settings, connections_max),
        timeouts: timeouts(settings),
        trusted_proxies: settings.trusted_proxies.clone(),
        caller_header: settings
            .caller_header
            .as_deref()
            .and_then(|name| name.parse().ok()),
        fast_lane: settings.fast_lane,
        runtime_dir: settings.state_dir.clone(),
    }
}

fn server(server: &WeightedServer) -> ServerSettings {
    ServerSettings {
        address: match &server.server {
            Server::Address(address) => address.to_string(),
            Server::Name { host, port } => format!("{host}:{port}"),
        },
        weight: server.weight,
    }
}

fn limits(settings: &Settings, connections_max: usize) -> Limits {
    let configured = &settings.limits;
    Limits {
        connections_max,
        connections_per_address_max: configured.connections_per_address as usize,
        handshakes_max: configured.handshakes as usize,
        requests_per_connection_max: configured.requests_per_connection,
        // Never smaller than what can be in flight: else a new connection per request.
        upstream_pool_per_worker: connections_max,
        body_rate_min: configured.body_rate_min,
        response_rate_min: configured.response_rate_min,
        ..Limits::default()
    }
}

fn timeouts(settings: &Settings) -> Timeouts {
    let configured = &settings.timeouts;
    Timeouts {
        body: duration(configured.body),
        connect: duration(configured.connect),
        handshake: duration(configured.handshake),
        head: duration(configured.header),
        idle: duration(configured.idle),
        upstream_idle: duration(configured.upstream_idle),
        rate_grace: duration(configured.rate_grace),
        tunnel_idle: duration(configured.tunnel_idle),
        tunnel_age: duration(configured.tunnel_age),
        stop: duration(configured.drain),
        drain_notice: duration(configured.drain_notice),
        ..Timeouts::default()
    }
}

const fn duration(millis: Millis) -> Duration {
    Duration::from_millis(millis.get() as u64)
}

/// Reads the upstreams at scrape.
pub(super) fn upstream_reader(control: &Control) -> UpstreamReader {
    let control = control.clone();
    Box::new(move || control.upstreams())
}

/// Reads the connection counts at scrape.
pub(super) fn connection_reader(control: &Control) -> ConnectionReader {
    let control = control.clone();
    Box::new(move || {
        let connections = control.connections();
        let handshakes = connections.handshakes();
        let counts = connections.counts();
        let named = |closed: Closed| (closed.name(), counts.closed_as(closed));
        ConnectionCounts {
            accepted: counts.accepted,
            closed: Closed::ALL.map(named).to_vec(),
            reading_head: counts.reading_head,
            tunnels: counts.tunnels,
            open: counts.open,
            in_flight: control.in_flight() as u64,
            refused_all: counts.closed_as(Closed::FullAll),
            refused_address: counts.closed_as(Closed::FullAddress),
            refused_streams: counts.streams_refused,
            handshakes: handshakes.under_way() as u64,
            refused_handshakes: handshakes.refused(),
            tls: TlsEnd::ALL.map(|end| (end.name(), handshakes.tls(end))),
            proxy: ProxyRefusal::ALL.map(|refusal| (refusal.name(), handshakes.proxy(refusal))),
        }
    })
}
