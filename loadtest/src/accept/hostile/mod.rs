//! The list of hostile input: protocols, one view of every request, abuse, faults.

mod faults;
mod fuzz;

pub use faults::print as faults;
pub use fuzz::{Asked as FuzzAsked, print as fuzz};

use super::{List, full_part, part, tested};

/// Safe in front of anything.
pub static HOSTILE: List = List {
    name: "hostile",
    title: "Acceptance: protocols, hostile input, faults",
    parts: &[
        part(
            "faults",
            "each fault of disk, clock, descriptors, upstream, bundle and process is survived: survived = tried",
            faults::survived,
        ),
        full_part(
            "fuzz",
            "at least 10 million executions of each fuzz target, 0 crashes",
            fuzz::ten_million,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
    ],
};
