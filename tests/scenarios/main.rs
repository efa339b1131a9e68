//! Scenarios: text files in this folder, each a small configuration, a table of traffic and the
//! table of decisions that follows. They run through the real pipeline in virtual time.
//!
//! `UPDATE_SCENARIOS=1` writes the decisions that were found into the files; read the difference
//! before you keep it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod run;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn check(name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let text = fs::read_to_string(&path).unwrap();
    let scenario = text::read(&text).unwrap_or_else(|rule| panic!("{name}.txt: {rule}"));
    let found = run::decisions(&scenario);
    if found == scenario.expected {
        return;
    }
    if std::env::var_os("UPDATE_SCENARIOS").is_some() {
        fs::write(&path, text::with_decisions(&text, &found)).unwrap();
        return;
    }
    panic!(
        "{name}.txt decides otherwise (- expected, + found):\n{}",
        difference(&scenario.expected, &found)
    );
}

/// The lines that differ, between what both have in common at the start and at the end.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = expected.iter().zip(&found).take_while(same).count();
    let rest = expected.len().min(found.len()) - head;
    let ends = expected.iter().rev().zip(found.iter().rev()).take(rest);
    let tail = ends.take_while(same).count();
    let part = |lines: &[&str], sign: &str| {
        let lines = &lines[head..lines.len() - tail];
        lines
            .iter()
            .map(|line| format!("{sign} {line}\n"))
            .collect::<String>()
    };
    part(&expected, "-") + &part(&found, "+")
}

macro_rules! scenarios {
    ($($(#[$about:meta])* $name:ident,)+) => {
        $($(#[$about])* #[test] fn $name() { check(stringify!($name)); })+

        #[test]
        fn every_file_is_run() {
            let known = [$(concat!(stringify!($name), ".txt")),+];
            let mut found = 0;
            for entry in fs::read_dir(folder()).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name.ends_with(".txt") {
                    assert!(known.contains(&name.as_str()), "{name} is not listed in main.rs");
                    found += 1;
                }
            }
            assert_eq!(found, known.len());
        }
    };
}

// What each accepts is written in its file.
scenarios! {
    calm_traffic,              // R001, R004, R049
    undeclared_consumer,       // R028
    undeclared_consumer_noted, // R028
    unknown_path,              // R042
    wrong_method,              // R054
    ambiguous_path,            // R020
    slow_upstream,             // R034
    failing_upstream_control,  // R035, R053
    failing_upstream_observed, // R055, R056, R060
    concurrency_limit,         // R038
    rate_limit,                // R015
    contract_tier,             // R056
    contract_canary,           // R285
    contract_stages,           // R285
    retries_first,             // R045
    shadow_stage,              // R045
    canary_stage,              // R045
    stalled_upstream,          // R034
    limits_give_back,          // R015, R038
    low_traffic,               // R035
    two_reasons,               // R046
    unknown_allowed,           // R042
    pushed_back,               // R035
    canary_route,              // R045
    wrong_method_throttled,    // R054
    late_failures,             // R035
    client_limit,              // R015, R037
    client_by_field,           // R015
    throttle_delay,            // R050
    circuit_life,              // R039, R074, R076
    one_failure,               // R016, R075
    circuit_by_share,          // R016, R075
    quarantine_shadow,         // R051
    quarantine_shadow_limits,  // R015, R051
    delay_two_limits,          // R015, R050
    delay_not_allowed,         // R050, R056
    address_of_many_names,     // R015, R037, R194
}
