//! From the configuration's settings to those of the parts.

use std::thread::available_parallelism;
use std::time::Duration;

use crate::config::{Server, Settings};
use crate::gateway::Control;
use crate::gateway::settings::{
    GatewaySettings, Limits, ListenerSettings, Timeouts, UpstreamGroup,
};
use crate::telemetry::{ConnectionCounts, ConnectionReader};
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
pub(super) fn gateway_settings(settings: &Settings, connections_max: usize) -> GatewaySettings {
    let group = |upstream: &crate::config::Upstream| UpstreamGroup {
        name: upstream.name.to_string(),
        servers: upstream.servers.iter().map(server).collect(),
    };
    GatewaySettings {
        listeners: settings
            .listeners
            .iter()
            .map(|listener| ListenerSettings {
                bind: listener.bind,
            })
            .collect(),
        upstreams: settings.upstreams.iter().map(group).collect(),
        limits: limits(settings, connections_max),
        timeouts: timeouts(settings),
        trusted_proxies: settings.trusted_proxies.clone(),
        runtime_dir: settings.state_dir.clone(),
        // The edge does not see the requests inside an HTTP/2 connection, so its bounds would not
        // hold there.
        h2c: false,
    }
}

fn server(server: &Server) -> String {
    match server {
        Server::Address(address) => address.to_string(),
        Server::Name { host, port } => format!("{host}:{port}"),
    }
}

fn limits(settings: &Settings, connections_max: usize) -> Limits {
    let configured = &settings.limits;
    Limits {
        connections_max,
        connections_per_address_max: configured.connections_per_address as usize,
        requests_per_connection_max: configured.requests_per_connection,
        // Never smaller than what can be in flight: else a new connection per request.
        upstream_pool_per_worker: connections_max,
        ..Limits::default()
    }
}

fn timeouts(settings: &Settings) -> Timeouts {
    let configured = &settings.timeouts;
    Timeouts {
        connect: duration(configured.connect),
        head: duration(configured.header),
        idle: duration(configured.idle),
        upstream_idle: duration(configured.upstream_idle),
        stop: duration(configured.drain),
        drain_notice: duration(configured.drain_notice),
        ..Timeouts::default()
    }
}

const fn duration(millis: Millis) -> Duration {
    Duration::from_millis(millis.get() as u64)
}

/// Reads the connection counts at scrape.
pub(super) fn connection_reader(control: &Control) -> ConnectionReader {
    let control = control.clone();
    Box::new(move || {
        let connections = control.connections();
        ConnectionCounts {
            open: connections.open() as u64,
            in_flight: control.in_flight() as u64,
            refused_all: connections.refused_all(),
            refused_address: connections.refused_address(),
        }
    })
}
