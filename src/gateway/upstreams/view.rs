//! What others are told of the upstreams: plain data, as of now.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use super::Upstreams;
use super::group::Group;

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

impl Upstreams {
    /// All groups as they are now.
    pub(crate) fn views(&self) -> Vec<UpstreamView> {
        let groups = self.groups.iter().enumerate();
        groups
            .map(|(number, group)| self.view(number, group))
            .collect()
    }

    fn view(&self, number: usize, group: &Group) -> UpstreamView {
        let in_flight = |place| {
            let workers = self.flights.iter();
            workers.map(|flights| flights.count(number, place)).sum()
        };
        UpstreamView {
            name: group.name.clone(),
            servers: group.server_views(in_flight),
            in_panic: group.table.load().in_panic,
            ejections: group.ejections.load(Ordering::Relaxed),
            checks_failed: group.checks_failed.load(Ordering::Relaxed),
        }
    }
}
