//! The list of hostile input: protocols, one view of every request, abuse, faults.

mod tls;

use super::{List, full_part, part, tested};

/// Safe in front of anything.
pub static HOSTILE: List = List {
    name: "hostile",
    title: "Acceptance: protocols, hostile input, faults",
    parts: &[
        part(
            "tls-programs",
            "curl (HTTP/1.1 and HTTP/2), openssl, h2load and a browser over TLS: all requests answered and recorded",
            tls::programs,
        ),
        part(
            "tls-slow-handshakes",
            "500 handshakes that never end: a clean client keeps 100 % success, each is ended at its deadline",
            tls::slow_handshakes,
        ),
        part(
            "tls-exchanges",
            "certificates exchanged 1,000 times under TLS load: 0 failed requests",
            tls::exchanges,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
    ],
};
