//! The list of hostile input: protocols, one view of every request, abuse, faults.

use super::{List, full_part, tested};

/// Safe in front of anything.
pub static HOSTILE: List = List {
    name: "hostile",
    title: "Acceptance: protocols, hostile input, faults",
    parts: &[full_part(
        "rows",
        "each row of docs/requirements.md names tests that exist",
        tested::rows,
    )],
};
