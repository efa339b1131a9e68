//! The laws of the risk model, for any signals and any policy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod any;
mod cases;
mod judgement;
mod laws;
mod replayed;
