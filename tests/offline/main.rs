//! The verbs that need no gateway, from outside: files and arguments in, text and exit codes out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod candidates;
mod contracts;
mod diffed;
mod documents;
mod explained;
mod forged;
mod place;
mod readiness;
mod replayed;
mod rerun;
mod simulated;
mod staged;
