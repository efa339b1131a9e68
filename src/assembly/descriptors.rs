//! File descriptors: every connection needs one on each side.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;

/// Listeners, the ledger, the admin listener, the runtime.
const RESERVE: u64 = 64;

/// Raises the soft limit to the hard one, and says so where even that is too low for the
/// connections that the settings allow. Never fails: fewer descriptors mean fewer connections.
pub(super) fn make_room(settings: &Settings) {
    let needed = u64::from(settings.limits.connections) * 2 + RESERVE;
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
            "limits.connections cannot be reached; raise the limit of open files (ulimit -n, \
             LimitNOFILE=) or lower limits.connections"
        );
    }
}
