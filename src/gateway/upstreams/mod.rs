//! Which server of an upstream group a request goes to.
//!
//! A group has places: one for each address that is configured, several for each name. What is
//! known of a place (found, unhealthy, ejected) is written by the threads `resolver` and
//! `upstreams` and, when the last failure of a row comes, by a worker; each change is published as
//! a table of turns. Invariant: on the way of a request nothing is looked up, checked or locked;
//! a worker reads the table and writes counters of its own. Deliberately not here: circuits, which
//! judge a contract and not a server, and the budget of retries.

mod balance;
mod check;
mod group;
mod keeper;
mod peer;
mod picker;
mod resolver;
mod seat;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use super::settings::UpstreamGroup;
use group::Group;
use picker::Flights;

pub(crate) use picker::{Picker, Target};
pub use tls::{TlsFileError, tls_file_fault};

/// All upstream groups, in the order of the settings.
#[derive(Debug)]
pub(crate) struct Upstreams {
    groups: Box<[Group]>,
    /// Requests in flight per worker, group and place.
    flights: Box<[Arc<Flights>]>,
}

impl Upstreams {
    /// The groups for so many workers, with every literal address known and names being looked up.
    ///
    /// # Errors
    /// When a file of a certificate cannot be used.
    pub(crate) fn new(groups: &[UpstreamGroup], workers: usize) -> Result<Arc<Self>, TlsFileError> {
        let groups = groups.iter().enumerate();
        let groups = groups.map(|(number, settings)| Group::new(number, settings));
        let groups: Box<[Group]> = groups.collect::<Result<_, _>>()?;
        let places: Vec<usize> = groups.iter().map(Group::places).collect();
        let flights = (0..workers).map(|_| Arc::new(Flights::new(&places)));
        let upstreams = Arc::new(Self {
            flights: flights.collect(),
            groups,
        });
        if upstreams.groups.iter().any(Group::has_names) {
            resolver::start(&upstreams);
        }
        if upstreams.groups.iter().any(Group::needs_keeping) {
            keeper::start(&upstreams);
        }
        Ok(upstreams)
    }

    /// The choices of one worker.
    pub(crate) fn picker(self: &Arc<Self>, worker: usize) -> Picker {
        Picker::new(Arc::clone(self), worker)
    }

    /// What the settings call server `server` of group `group`: host and port.
    pub(crate) fn authority(&self, group: usize, server: usize) -> Option<&str> {
        self.groups.get(group)?.authority(server)
    }
}

/// Where one server of a group can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    /// The address itself.
    pub(crate) socket: SocketAddr,
    /// The number of its server in the group.
    pub(crate) server: usize,
    /// The number of its place in the group.
    pub(crate) place: usize,
}
