//! How many client connections the process has descriptors for.
//!
//! A gateway without descriptors takes no connection and answers no health check, so the cap on
//! connections stays below what the system grants, whatever the configuration says.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for what there is once: ledger, standard streams, and the connections of the admin
/// listener.
const RESERVED: u64 = 128;

/// Descriptors of a worker's runtime.
const PER_WORKER: u64 = 4;

/// A client connection can need one to an upstream.
const PER_CONNECTION: u64 = 2;

/// The cap on client connections: `wanted`, or what there are descriptors for beside the sockets
/// of all `workers` on all `listeners`. Raises the soft limit of the process as far as it may.
pub(super) fn connections_max(wanted: u32, workers: usize, listeners: usize) -> usize {
    let reserved = RESERVED + workers as u64 * (PER_WORKER + listeners as u64);
    let granted = raise();
    let fitting = granted.map_or(u64::MAX, |granted| fitting(granted, reserved));
    if fitting < u64::from(wanted) {
        tracing::warn!(
            event = "connections_capped",
            wanted,
            max = fitting,
            descriptors = granted,
            "fewer descriptors than limits.connections needs; raise the limit (LimitNOFILE, ulimit -n)"
        );
    }
    usize::try_from(fitting.min(u64::from(wanted))).unwrap_or(usize::MAX)
}

/// The limit after it was raised; `None` = there is none.
fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current?;
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // What was granted before is still granted.
        Err(_) => Some(soft),
    }
}

fn fitting(descriptors: u64, reserved: u64) -> u64 {
    let left = descriptors - reserved.min(descriptors / 2);
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
