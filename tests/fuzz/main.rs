//! The fuzz targets as ordinary tests: every seed, and a few thousand mutations of each. `make fuzz`
//! runs them longer, and led by coverage.

// What the targets check they check by panicking.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    missing_docs
)]

#[path = "../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mutate::{Random, mutate};
use targets::{ALL, Target};

/// Mutations of each target; more with this variable.
const RUNS: &str = "TIDEGATE_FUZZ_RUNS";
const RUNS_USUAL: u64 = 3_000;

fn below(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(folder);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let files = below(&format!("seeds/{}", target.name));
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

fn check(name: &str) {
    let target = ALL.iter().find(|target| target.name == name).unwrap();
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    seeds.iter().for_each(|seed| (target.run)(seed));
    let asked = std::env::var(RUNS).ok().and_then(|runs| runs.parse().ok());
    let runs = asked.unwrap_or(RUNS_USUAL);
    let mut random = Random::new(1);
    for _ in 0..runs {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        let other = &seeds[random.below(seeds.len())];
        mutate(&mut random, &mut bytes, other, target.bytes_max);
        (target.run)(&bytes);
    }
    println!("{name}: {} seeds, {runs} mutations", seeds.len());
}

#[test]
fn paths_have_one_spelling() {
    check("path");
}

#[test]
fn other_parsers_see_the_same_path() {
    check("differential");
}

#[test]
fn contract_files_give_contracts_or_findings() {
    check("contracts");
}

#[test]
fn no_other_bundle_verifies() {
    check("bundle");
}

#[test]
fn no_changed_ledger_is_intact() {
    check("ledger");
}

#[test]
fn heads_are_framed_as_others_frame_them() {
    check("head");
}

#[test]
fn chunked_bodies_end_where_others_end_them() {
    check("chunked");
}

#[test]
fn proxy_headers_name_the_client_that_others_read() {
    check("proxy");
}

/// A target without seeds, or one that libFuzzer does not know, would be run by nobody.
#[test]
fn each_target_has_seeds_and_a_binary() {
    let stems = |folder: &str| -> BTreeSet<String> {
        let stem = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        below(folder).iter().map(stem).collect()
    };
    let names: BTreeSet<String> = ALL.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(stems("seeds"), names);
    assert_eq!(stems("fuzz_targets"), names);
}

/// `docs/faults.md` tells the laws of each.
#[test]
fn each_target_is_in_the_docs() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, laws) = text.split_once("| target | laws |").unwrap();
    let told: BTreeSet<&str> = laws.lines().filter_map(|l| l.split('`').nth(1)).collect();
    assert_eq!(told, ALL.iter().map(|target| target.name).collect());
}
