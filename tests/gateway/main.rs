//! The gateway on real sockets: every test starts its own on a free port, in front of an
//! upstream that does exactly what the test says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod answers;
mod apart;
#[path = "../support/backend.rs"]
mod backend;
mod bodies;
mod connections;
mod failures;
mod forwarding;
mod governed;
mod harness;
mod http2;
mod lane_mixed;
mod pace;
mod permits;
mod probing;
mod proxied;
mod refusals;
mod retries;
mod script;
mod secure;
mod stopping;
mod tls;
mod tunnels;
mod upstream_tls;
mod upstreams;
mod waiting;
#[path = "../support/wire.rs"]
mod wire;
