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
mod bodies;
mod connections;
mod failures;
mod forwarding;
mod governed;
mod harness;
mod http2;
mod pace;
mod permits;
mod probing;
mod refusals;
mod retries;
mod script;
mod stopping;
mod tunnels;
mod waiting;
#[path = "../support/wire.rs"]
mod wire;
