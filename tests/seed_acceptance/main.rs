//! The behaviours that the sources name for the engine, one test each and named after it, with the
//! checks of format versions and of errors that they name beside them, and what else
//! docs/requirements.md shows with the program as a whole (`feedback`, `measured`).
//!
//! Each runs the built program or the gateway on real sockets and reads what it wrote; nothing here
//! calls the library.

// R295, R308
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code // The helpers are shared with tests that use more of them.
)]

mod artifact;
mod chain;
mod decisions;
mod errors;
mod feedback;
#[path = "../run/installation.rs"]
mod installation;
mod matching;
mod measured;
#[path = "../offline/place.rs"]
mod place;
#[path = "../run/process.rs"]
mod process;
mod risk;
mod tiers;
mod tiers_compared;
mod traffic;
mod versions;
#[path = "../support/wire.rs"]
mod wire;

/// A behaviour that is dropped must be missed: the lists are counted.
// R295, R308
#[test]
fn there_are_twenty_five_behaviours_and_three_versions() {
    let tests = |source: &str| source.matches("#[test]\nfn ").count();
    let behaviours = [
        tests(include_str!("matching.rs")),
        tests(include_str!("tiers.rs")),
        tests(include_str!("chain.rs")),
        tests(include_str!("risk.rs")),
        tests(include_str!("decisions.rs")),
        tests(include_str!("artifact.rs")),
        tests(include_str!("tiers_compared.rs")),
    ];
    assert_eq!(behaviours, [4, 4, 2, 4, 4, 2, 5]);
    assert_eq!(behaviours.iter().sum::<usize>(), 25);
    assert_eq!(tests(include_str!("versions.rs")), 3);
    assert_eq!(tests(include_str!("errors.rs")), 3);
}
