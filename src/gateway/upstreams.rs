//! Where the servers of each upstream group are.
//!
//! Invariant: no name is looked up on the way of a request. Names are resolved on a thread of
//! their own, at the start and every 30 s; a lookup that fails leaves the last addresses.
//! Deliberately not here: health; what is known about a failing upstream is the circuit's.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::settings::UpstreamGroup;

/// How long an address found is believed.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// How long a start waits for the first lookups.
const FIRST_LOOKUP_MAX: Duration = Duration::from_secs(2);

/// All upstream groups, in the order of the settings.
#[derive(Debug)]
pub(crate) struct Upstreams {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    servers: Vec<String>,
    addresses: ArcSwap<Vec<Address>>,
}

/// Where one server of a group can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    /// The address itself.
    pub(crate) socket: SocketAddr,
    /// The number of its server in the group.
    pub(crate) server: usize,
}

impl Upstreams {
    /// The groups, with every literal address known and names being looked up.
    pub(crate) fn new(groups: &[UpstreamGroup]) -> Arc<Self> {
        let upstreams = Arc::new(Self {
            groups: groups.iter().map(Group::new).collect(),
        });
        if upstreams.groups.iter().any(Group::has_names) {
            upstreams.resolve_in_background();
        }
        upstreams
    }

    /// An address of group `group`, the next one each time `turn` is asked; `None` while the
    /// group has none.
    pub(crate) fn pick(&self, group: usize, turn: &AtomicUsize) -> Option<Address> {
        let addresses = self.groups.get(group)?.addresses.load();
        let turn = match addresses.len() {
            0 | 1 => 0,
            many => turn.fetch_add(1, Ordering::Relaxed) % many,
        };
        addresses.get(turn).copied()
    }

    /// What the settings call server `server` of group `group`: host and port.
    pub(crate) fn authority(&self, group: usize, server: usize) -> Option<&str> {
        let servers = &self.groups.get(group)?.servers;
        servers.get(server).map(String::as_str)
    }

    fn resolve_in_background(self: &Arc<Self>) {
        let (first_done, first) = mpsc::sync_channel(1);
        let upstreams = Arc::downgrade(self);
        let spawned = std::thread::Builder::new()
            .name("resolver".to_owned())
            .spawn(move || resolve_while_used(&upstreams, &first_done));
        if let Err(error) = spawned {
            tracing::error!(event = "resolver_not_started", %error);
            return;
        }
        if let Err(RecvTimeoutError::Timeout) = first.recv_timeout(FIRST_LOOKUP_MAX) {
            tracing::warn!(
                event = "resolver_slow",
                "starting without all upstream addresses"
            );
        }
    }
}

fn resolve_while_used(upstreams: &Weak<Upstreams>, first_done: &mpsc::SyncSender<()>) {
    while let Some(upstreams) = upstreams.upgrade() {
        upstreams.groups.iter().for_each(Group::resolve);
        drop(upstreams);
        _ = first_done.try_send(());
        std::thread::park_timeout(RESOLVE_EVERY);
    }
}

impl Group {
    fn new(settings: &UpstreamGroup) -> Self {
        let literal = |(server, text): (usize, &String)| {
            let socket = text.parse().ok()?;
            Some(Address { socket, server })
        };
        let servers = settings.servers.iter().enumerate();
        Self {
            addresses: ArcSwap::from_pointee(servers.filter_map(literal).collect()),
            servers: settings.servers.clone(),
        }
    }

    fn has_names(&self) -> bool {
        self.servers
            .iter()
            .any(|s| s.parse::<SocketAddr>().is_err())
    }

    fn resolve(&self) {
        let mut found = Vec::new();
        for (number, server) in self.servers.iter().enumerate() {
            match server.to_socket_addrs() {
                Ok(addresses) => found.extend(addresses.map(|socket| Address {
                    socket,
                    server: number,
                })),
                Err(error) => {
                    tracing::warn!(event = "resolver_failed", server, %error);
                    return;
                }
            }
        }
        found.sort_unstable();
        found.dedup_by_key(|address| address.socket);
        if !found.is_empty() && found != **self.addresses.load() {
            self.addresses.store(Arc::new(found));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::{UpstreamGroup, Upstreams};

    fn group(servers: &[&str]) -> UpstreamGroup {
        UpstreamGroup {
            name: "orders".to_owned(),
            servers: servers.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    #[test]
    fn servers_take_turns() {
        let upstreams = Upstreams::new(&[group(&["127.0.0.1:1", "127.0.0.1:2"])]);
        let turn = AtomicUsize::new(0);
        let picks: Vec<u16> = (0..4)
            .filter_map(|_| upstreams.pick(0, &turn))
            .map(|address| address.socket.port())
            .collect();
        assert_eq!(picks, [1, 2, 1, 2]);
        assert_eq!(upstreams.pick(1, &turn), None);
    }

    #[test]
    fn a_name_is_known_after_the_start() {
        let upstreams = Upstreams::new(&[group(&["localhost:80"])]);
        let address = upstreams.pick(0, &AtomicUsize::new(0)).unwrap();
        let socket = address.socket;
        assert!(socket.ip().is_loopback() && socket.port() == 80, "{socket}");
        assert_eq!(upstreams.authority(0, address.server), Some("localhost:80"));
    }
}
