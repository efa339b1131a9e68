//! What is known of the servers behind the gateway, and its metrics.
//!
//! Labels are names of the configuration and states: addresses are in `/v1/status` and in the log.

use std::net::SocketAddr;

use crate::telemetry::exposition::Exposition;
use crate::telemetry::names;

/// How a server fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// It gets requests.
    Healthy,
    /// It failed several times in a row and is left out for a while.
    Ejected,
    /// Its checks fail.
    Unhealthy,
}

impl ServerState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Ejected, Self::Unhealthy];

    /// The name in metrics and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Ejected => "ejected",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// One server of an upstream, at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerView {
    /// What the settings call it.
    pub server: String,
    /// Where it is.
    pub address: SocketAddr,
    /// How it fares.
    pub state: ServerState,
    /// Its share in relation to the others'.
    pub weight: u32,
    /// Requests that it has and has not answered.
    pub in_flight: u64,
}

/// One upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamView {
    /// Its name.
    pub name: String,
    /// Its servers at all their addresses; none while no name has been found.
    pub servers: Vec<ServerView>,
    /// Whether no server is well, so that all get requests.
    pub in_panic: bool,
    /// How often a server was left out because it failed.
    pub ejections: u64,
    /// Checks that failed.
    pub checks_failed: u64,
}

/// Tells the upstreams when it is asked.
pub type UpstreamReader = Box<dyn Fn() -> Vec<UpstreamView> + Send + Sync>;

/// Writes the metrics of all upstreams.
pub(super) fn write(text: &mut Exposition<'_>, upstreams: &[UpstreamView]) {
    for upstream in upstreams {
        for state in ServerState::ALL {
            let servers = upstream.servers.iter();
            let count = servers.filter(|server| server.state == state).count();
            let labels = [&*upstream.name, state.name()];
            text.sample(&names::UPSTREAM_SERVERS, &labels, count as f64);
        }
    }
    for upstream in upstreams {
        let in_panic = f64::from(u8::from(upstream.in_panic));
        text.sample(&names::UPSTREAM_PANIC, &[&upstream.name], in_panic);
    }
    for upstream in upstreams {
        let ejections = upstream.ejections as f64;
        text.sample(&names::UPSTREAM_EJECTIONS, &[&upstream.name], ejections);
    }
    for upstream in upstreams {
        let failed = upstream.checks_failed as f64;
        text.sample(&names::UPSTREAM_CHECKS_FAILED, &[&upstream.name], failed);
    }
}
