//! The list of hostile input: protocols, one view of every request, abuse, faults.

mod clean;
mod exhaustion;
mod horde;
mod peer;
mod streams;

use super::{List, full_part, part, tested};

/// Safe in front of anything.
pub static HOSTILE: List = List {
    name: "hostile",
    title: "Acceptance: protocols, hostile input, faults",
    parts: &[
        part(
            "slow-heads",
            "1,000 slow heads on fresh connections and 1,000 on reused ones: a clean client keeps 100 % and p99 <= 2x its quiet one; memory, descriptors, series bounded",
            exhaustion::heads,
        ),
        part(
            "slow-bodies",
            "the same with 500 slow bodies and 500 slow readers",
            exhaustion::bodies,
        ),
        part(
            "names",
            "the same with 100,000 paths and 100,000 clients",
            exhaustion::names,
        ),
        part(
            "big",
            "1 GiB up and 1 GiB down, every byte checked, memory grows by at most 32 MiB, recorded",
            streams::big,
        ),
        part(
            "idle",
            "9,000 idle connections answer once more; memory of each at most 16 KiB",
            streams::idle,
        ),
        part(
            "tunnels",
            "WebSocket with a library and a browser, events as they come, refused where the contract does not say so, recorded",
            streams::tunnels,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
    ],
};
