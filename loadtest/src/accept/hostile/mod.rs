//! The list of hostile input: protocols, one view of every request, abuse, faults.

mod http2;

use super::{List, full_part, part, tested};

/// Safe in front of anything.
pub static HOSTILE: List = List {
    name: "hostile",
    title: "Acceptance: protocols, hostile input, faults",
    parts: &[
        part(
            "h2load",
            "200,000 requests over HTTP/2 without TLS, 8 connections of 50 streams: all answered",
            http2::h2load,
        ),
        part(
            "http2-floods",
            "rapid reset, CONTINUATION, SETTINGS, PING, empty DATA, closed windows, half heads: a \
             clean client at 100 %, at most 1 us of CPU per attacker's byte, at most 64 MiB more",
            http2::floods,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
    ],
};
