//! The list of hostile input: protocols, one view of every request, abuse, faults.

mod asking;
mod clean;
mod cost;
mod exhaustion;
mod faults;
mod fuzz;
mod graceful;
mod grpc;
mod horde;
mod http2;
mod http2_readers;
mod paths;
mod peer;
mod probes;
pub(crate) mod spellings;
mod streams;
mod tls;
mod upstreams;

pub use faults::print as faults;
pub use fuzz::{Asked as FuzzAsked, print as fuzz};

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
        part(
            "probes",
            "150 malformed and smuggling messages: refused or normalised at least as often as by the best of nginx, HAProxy and a bare Pingora; none passed on malformed, none counted twice, nothing legal refused",
            probes::through_all,
        ),
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
        part(
            "upstreams-flapping",
            "of three servers one flaps at 1 Hz and one is a black hole: at least 99 % good after 2 s, all back within 5 s, counts balance",
            upstreams::flapping,
        ),
        part(
            "upstreams-certificates",
            "a certificate of a server is believed or refused as it should, 8 of 8",
            upstreams::certificates,
        ),
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
        part(
            "h2load",
            "200,000 requests over HTTP/2 without TLS and as many over TLS, 8 connections of 50 streams: all answered",
            http2::h2load,
        ),
        part(
            "http2-floods",
            "without TLS and over TLS: rapid reset, CONTINUATION, SETTINGS, PING, empty DATA, closed windows, half heads: a \
             clean client at 100 %, at most 1 us of CPU per attacker's byte, at most 64 MiB more",
            http2::floods,
        ),
        part(
            "grpc",
            "calls of all kinds with a gRPC library at both ends, without TLS and with it: messages, metadata, trailers, deadlines and limits as they should be, all recorded",
            grpc::calls,
        ),
        part(
            "http2-readers",
            "1,000 streams of one address that nobody reads: a clean client at 100 %, at most 704 KiB each, and all of them ended within 15 s",
            http2_readers::readers,
        ),
        part(
            "upgrades",
            "binary upgrades in a row under load: 0 failed requests, one chain that verifies, made = lines + counted + lost over all boots",
            graceful::upgrades,
        ),
        part(
            "reloads",
            "1,000 reloads under load within 4 minutes: 0 failed requests",
            graceful::reloads,
        ),
        part(
            "stops",
            "TERM under load: each request that was begun is answered, and the accounts are those of the clients",
            graceful::stops,
        ),
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
            "cost",
            "an ordinary request: instructions on its worker at most 2 % above what it took before",
            cost::of_a_request,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
    ],
};
