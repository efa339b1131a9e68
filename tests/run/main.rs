//! The program as people run it: `tidegate run` on real sockets, in front of upstreams that do
//! exactly what the test says, stopped by real signals, its ledger read by its own verbs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod answering;
#[path = "../support/backend.rs"]
mod backend;
mod bundles;
mod clients;
mod consuming;
mod controlling;
mod demanding;
mod deprecating;
mod giving_up;
mod governed;
mod handing_streams;
mod heads;
mod held;
mod installation;
mod keeping;
mod leaving;
mod observing;
mod process;
mod recording;
mod reloading;
mod reloading_limits;
mod restarting;
mod secure;
mod serviced;
mod signing;
mod starting;
mod stopping;
mod tiers;
mod upgrading;
mod upstreams;
#[path = "../support/wire.rs"]
mod wire;
