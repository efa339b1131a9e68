//! The list of bundles: rules come into force only signed, by enough people, and never backwards.

mod flips;
pub(crate) mod people;
mod rates;
mod story;
mod swap_cost;
mod swaps;

use super::{Context, Verdict};
use super::{List, full_part, part, tested};

/// Signed policy, approvals by class of change, no rollback, proof before change.
pub static BUNDLES: List = List {
    name: "bundles",
    title: "Acceptance: verified bundles",
    parts: &[
        part(
            "story",
            "from an empty folder: three keys, a root 2 of 3, a bundle, run, a looser one refused with one signature and active with two, the old one refused also after a restart, a changed bit refused with 65",
            story::from_an_empty_folder,
        ),
        part(
            "flips",
            "bits of a signed bundle flipped, the verb asked about each: none is accepted, each has a code",
            flips::all_refused,
        ),
        part(
            "swaps",
            "swaps of signed bundles under load: 0 failed requests, 0 records with two policies",
            swaps::under_load,
        ),
        part(
            "swap_cost",
            "ten swaps a second at 100 contracts: p99 within the spread of rounds without swaps",
            swap_cost::unnoticed,
        ),
        part(
            "check",
            "tidegate check of 1,000 contract files in less than 100 ms",
            rates::check_of_files,
        ),
        // At small scale these run among the unit tests.
        full_part(
            "refusals",
            "each reason to refuse: expired, too early, rollback, reset epoch, skipped root, missing thresholds, one person with two keys, other types, other spellings, too large, too deep, every bit flipped",
            refusals,
        ),
        full_part(
            "running",
            "symlink swaps, half-written files, races, a crash between keeping and swapping, a clock that went back: the rules in force stay, and it is told",
            running,
        ),
        full_part(
            "changes",
            "each row of the table of changes: replay lists exactly what simulate makes differently, or says what it assumed",
            changes,
        ),
        full_part(
            "oracles",
            "securesystemslib verifies the envelope, rfc8785 makes the same payload, openssl accepts a signature",
            oracles,
        ),
        full_part(
            "speed",
            "verify and compile 10,000 contracts in 100 ms, diff of 10,000 in 500 ms, and one where each takes paths from each ends",
            rates::of_bundles,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
    ],
};

fn refusals(_: &Context) -> anyhow::Result<Verdict> {
    tested::run(
        &["-E", "test(/^bundle::/) | binary(bundles)"],
        &[("TIDEGATE_TEST_ALL_BITS", "1")],
        50,
    )
}

fn running(_: &Context) -> anyhow::Result<Verdict> {
    let tests = "binary(run) & test(/^bundles::/) | test(/^assembly::bundles::/)";
    tested::run(&["-E", tests], &[], 18)
}

fn changes(_: &Context) -> anyhow::Result<Verdict> {
    let tests = "binary(offline) & test(/^(rerun|diffed)::/) | test(/^bundle::change::/)";
    tested::run(&["-E", tests], &[], 14)
}

/// The commands of openssl stand on a page, and a test runs the page.
fn oracles(_: &Context) -> anyhow::Result<Verdict> {
    let tests = "binary(bundles) & test(/^(oracles|page)::/)";
    tested::run(&["-E", tests], &[("TIDEGATE_TEST_ORACLES", "1")], 2)
}
