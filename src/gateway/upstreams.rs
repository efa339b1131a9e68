//! Where the servers of each upstream group are.
//!
//! Invariant: no name is looked up on the way of a request. Names are resolved on a thread of
//! their own, at the start and every 30 s, every second while a group has no address at all. A
//! lookup that fails leaves the last addresses of its server and touches no other one's.
//! Deliberately not here: health; what is known about a failing upstream is the circuit's.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::settings::UpstreamGroup;

/// How often the resolver looks whether something is due.
const ROUND: Duration = Duration::from_secs(1);
/// How long an address found is believed, in rounds.
const ROUNDS_BELIEVED: u64 = 30;
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
    for round in 0.. {
        let Some(upstreams) = upstreams.upgrade() else {
            return;
        };
        let groups = upstreams.groups.iter();
        groups
            .filter(|group| group.is_due(round))
            .for_each(Group::resolve);
        drop(upstreams);
        _ = first_done.try_send(());
        std::thread::park_timeout(ROUND);
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

    fn is_due(&self, round: u64) -> bool {
        round.is_multiple_of(ROUNDS_BELIEVED) || self.addresses.load().is_empty()
    }

    fn resolve(&self) {
        for (number, server) in self.servers.iter().enumerate() {
            match server.to_socket_addrs() {
                Ok(found) => self.publish(number, found),
                Err(error) => tracing::warn!(event = "resolver_failed", server, %error),
            }
        }
    }

    /// Puts what was found for one server in the place of what was known about it.
    fn publish(&self, server: usize, found: impl Iterator<Item = SocketAddr>) {
        let known = self.addresses.load();
        let mut all: Vec<Address> = found.map(|socket| Address { socket, server }).collect();
        if all.is_empty() {
            return;
        }
        all.extend(known.iter().filter(|address| address.server != server));
        all.sort_unstable();
        all.dedup_by_key(|address| address.socket);
        if all != **known {
            self.addresses.store(Arc::new(all));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::AtomicUsize;

    use super::{Group, UpstreamGroup, Upstreams};

    fn group(servers: &[&str]) -> UpstreamGroup {
        UpstreamGroup {
            name: "orders".to_owned(),
            servers: servers.iter().map(|s| (*s).to_owned()).collect(),
            http2: false,
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

    #[test]
    fn a_name_that_is_nowhere_leaves_the_others_alone() {
        for servers in [
            ["localhost:81", "nonexistent.invalid:80"],
            ["nonexistent.invalid:80", "localhost:81"],
            ["nonexistent.invalid:80", "127.0.0.1:81"],
        ] {
            let upstreams = Upstreams::new(&[group(&servers)]);
            let address = upstreams.pick(0, &AtomicUsize::new(0));
            assert_eq!(
                address.map(|address| address.socket.port()),
                Some(81),
                "{servers:?}"
            );
        }
    }

    #[test]
    fn a_lookup_replaces_what_was_known_about_its_server_alone() {
        let group = Group::new(&group(&["a:1", "b:1", "127.0.0.1:1"]));
        let socket = |last: u8| SocketAddr::from(([10, 0, 0, last], 1));
        group.publish(0, [socket(1), socket(2)].into_iter());
        group.publish(1, [socket(3)].into_iter());
        group.publish(0, [socket(4)].into_iter());
        group.publish(1, std::iter::empty());
        let known: Vec<SocketAddr> = group.addresses.load().iter().map(|a| a.socket).collect();
        let literal = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(known, [socket(3), socket(4), literal]);
    }

    #[test]
    fn a_group_without_an_address_is_looked_up_every_round() {
        let named = Group::new(&group(&["a:1"]));
        let rounds = |group: &Group| (0..61).filter(|round| group.is_due(*round)).count();
        assert_eq!(rounds(&named), 61);
        named.publish(0, [SocketAddr::from(([10, 0, 0, 1], 1))].into_iter());
        assert_eq!(rounds(&named), 3);
    }
}
