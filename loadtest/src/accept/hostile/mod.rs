//! The list of hostile input: protocols, one view of every request, abuse, faults.

mod asking;
mod paths;
mod spellings;

use super::{List, full_part, part, tested};

/// Safe in front of anything.
pub static HOSTILE: List = List {
    name: "hostile",
    title: "Acceptance: protocols, hostile input, faults",
    parts: &[
        part(
            "paths_nginx",
            "20,000 spellings to nginx, slashes merged and not: 0 served by a route that was not matched, 0 of 500 legal paths refused",
            paths::nginx,
        ),
        part(
            "paths_express",
            "20,000 spellings to Express: 0 served by a route that was not matched, 0 of 500 legal paths refused",
            paths::express,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
    ],
};
