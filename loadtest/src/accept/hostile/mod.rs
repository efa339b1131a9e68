//! The list of hostile input: protocols, one view of every request, abuse, faults.

mod graceful;

use super::{List, full_part, part, tested};

/// Safe in front of anything.
pub static HOSTILE: List = List {
    name: "hostile",
    title: "Acceptance: protocols, hostile input, faults",
    parts: &[
        part(
            "upgrades",
            "binary upgrades in a row under load: 0 failed requests, one chain that verifies, made = lines + counted + lost over all boots",
            graceful::upgrades,
        ),
        part(
            "reloads",
            "1,000 reloads under load: 0 failed requests",
            graceful::reloads,
        ),
        part(
            "stops",
            "TERM under load: each request that was begun is answered, and the accounts are those of the clients",
            graceful::stops,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
    ],
};
