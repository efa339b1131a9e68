//! Bundles and roots through the program itself, and before judges that are not ours: openssl,
//! securesystemslib, rfc8785.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod diffed;
mod files;
mod oracles;
mod page;
mod place;
mod refused;
mod roots;
mod twice;
mod whole;
