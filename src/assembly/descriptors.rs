//! File descriptors: every connection needs one on each side.
//!
//! A gateway without descriptors takes no connection and answers no health check, so the cap on
//! connections stays below what the system grants, whatever the configuration says.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::convert;
use crate::config::Settings;

/// Descriptors for what there is once: ledger, standard streams, and the connections of the admin
/// listener.
const RESERVE: u64 = 128;

/// Descriptors of a worker's runtime.
const PER_WORKER: u64 = 4;

/// Descriptors of a worker on each listener.
const PER_LISTENER: u64 = 3;

/// A client's connection can need another one to an upstream.
const PER_CONNECTION: u64 = 2;

/// Raises the soft limit to the hard one, and says so where even that is too low for the
/// connections that the settings allow. Never fails: fewer descriptors mean fewer connections.
pub(super) fn make_room(settings: &Settings) {
    let wanted = u64::from(settings.limits.connections);
    let needed = wanted * PER_CONNECTION + reserve(settings);
    let limit = getrlimit(Resource::Nofile);
    let enough = |current: Option<u64>| current.is_none_or(|current| current >= needed);
    if enough(limit.current) {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let available = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    if !enough(available) {
        tracing::warn!(
            event = "few_descriptors",
            available = available.unwrap_or(u64::MAX),
            needed,
            connections = connections_max(settings),
            "limits.connections cannot be reached; raise the limit of open files (ulimit -n, \
             LimitNOFILE=) or lower limits.connections"
        );
    }
}

/// The most client connections: what the settings allow, or what there are descriptors for.
pub(super) fn connections_max(settings: &Settings) -> usize {
    let wanted = u64::from(settings.limits.connections);
    let granted = getrlimit(Resource::Nofile).current;
    let most = granted.map_or(wanted, |granted| {
        wanted.min(fitting(granted, reserve(settings)))
    });
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// Each worker has a socket of its own on each listener; one copy of it is kept to be handed on, and one to empty its queue at
/// a stop.
fn reserve(settings: &Settings) -> u64 {
    let per_worker = PER_WORKER + PER_LISTENER * settings.listeners.len() as u64;
    RESERVE + convert::workers(settings) as u64 * per_worker
}

fn fitting(descriptors: u64, reserve: u64) -> u64 {
    let left = descriptors - reserve.min(descriptors / 2);
    (left / PER_CONNECTION).max(1)
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn some_descriptors_are_always_left() {
        for (descriptors, connections) in [
            (1 << 20, 524_224),
            (1_024, 448),
            (256, 64),
            (64, 16),
            (1, 1),
            (0, 1),
        ] {
            assert_eq!(fitting(descriptors, 128), connections, "{descriptors}");
        }
    }
}
