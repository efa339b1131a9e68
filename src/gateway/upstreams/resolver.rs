//! Where names are: looked up on a thread of their own, at the start and every 30 s, every second
//! while a group has no address at all.
//!
//! A lookup that fails leaves the last addresses of its server and touches no other one's.

use std::net::ToSocketAddrs;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Upstreams;
use super::group::Group;

/// How often the resolver looks whether something is due.
const ROUND: Duration = Duration::from_secs(1);
/// How long an address found is believed, in rounds.
const ROUNDS_BELIEVED: u64 = 30;
/// How long a start waits for the first lookups.
const FIRST_LOOKUP_MAX: Duration = Duration::from_secs(2);

/// Starts the thread and waits for its first lookups, not for ever. It ends with the upstreams.
pub(super) fn start(upstreams: &Arc<Upstreams>) {
    let (first_done, first) = mpsc::sync_channel(1);
    let upstreams = Arc::downgrade(upstreams);
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
    pub(super) fn is_due(&self, round: u64) -> bool {
        round.is_multiple_of(ROUNDS_BELIEVED) || self.table.load().known == 0
    }

    fn resolve(&self) {
        for (number, name) in self.names() {
            match name.to_socket_addrs() {
                Ok(found) => self.publish(number, found),
                Err(error) => {
                    tracing::warn!(event = "resolver_failed", server = name, %error);
                }
            }
        }
    }
}
