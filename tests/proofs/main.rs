//! Proofs, notes, keys and tiles of the ledger before judges that are not ours: ct-merkle,
//! signed_note, tlog_tiles, openssl, jq and sha256sum.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod commands;
mod made;
mod merkle;
mod notes;
mod streams;
mod tiles;
mod tools;
mod vectors;
mod walkthrough;
mod written;
