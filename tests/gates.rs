//! The speed gate itself: what costs more than its ceiling makes it fail.
//!
//! The script runs as it is, on the table that is shipped; in place of the measuring tool stands one
//! that says how many instructions each function took. A gate that passes whatever is measured
//! would look the same in every other run.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const TABLE: &str = include_str!("../benches/gate.tsv");
const SCRIPT: &str = include_str!("../.ci/gate");

/// Function, calls, ceiling, and most allocations and clock reads of each row.
fn rows() -> Vec<(&'static str, u64, u64, [u64; 2])> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let rows = rows.filter(|line| !line.is_empty()).map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        (
            cells[0],
            cells[1].parse().unwrap(),
            cells[2].parse().unwrap(),
            [cells[3].parse().unwrap(), cells[4].parse().unwrap()],
        )
    });
    rows.collect()
}

fn program(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    fs::write(&file, format!("#!/usr/bin/env bash\n{text}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the gate with so many instructions per call, and one function that calls another one so
/// often: whether it passed, and what it printed.
fn gate(counted: &BTreeMap<&str, u64>, callee: (&str, &str, u64)) -> (bool, String) {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    for folder in [".ci", "benches", "bin"] {
        fs::create_dir(at(folder)).unwrap();
    }
    fs::write(at("benches/gate.tsv"), TABLE).unwrap();
    program(&at(".ci"), "gate", SCRIPT.split_once('\n').unwrap().1);
    program(&at("bin"), "cargo", "exit 0");
    let mut cases = String::new();
    for (function, calls, ..) in rows() {
        let total = counted.get(function).copied().unwrap_or(0) * calls;
        let (name, times) = match callee {
            (caller, name, times) if caller == function => (name, times),
            _ => ("memcpy", 7),
        };
        // The name stands where it is met first; from then on its number alone.
        let words = [
            "fn=(1) main".to_owned(),
            format!("cfn=(2) {name}"),
            "calls=0 0".to_owned(),
            "cfn=(1)".to_owned(),
            "calls=9 0".to_owned(),
            "cfn=(2)".to_owned(),
            format!("calls={times} 0"),
            format!("totals: {total}"),
        ];
        let text = words.join("\\n");
        cases += &format!("  {function}) printf '{text}\\n' >\"$out\" ;;\n");
    }
    let measure = format!(
        "for word in \"$@\"; do case \"$word\" in --callgrind-out-file=*) out=${{word#*=}} ;; esac; done\n\
         case \"${{@: -1}}\" in\n{cases}esac"
    );
    program(&at("bin"), "valgrind", &measure);
    let path = std::env::var("PATH").unwrap();
    let ran = Command::new(at(".ci/gate"))
        .env("PATH", format!("{}:{path}", at("bin").display()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    let errors = String::from_utf8_lossy(&ran.stderr);
    (ran.status.success(), told + &errors)
}

// R271
#[test]
fn what_costs_more_than_its_ceiling_fails_the_gate() {
    const NOTHING: (&str, &str, u64) = ("", "", 0);
    let rows = rows();
    assert!(rows.len() >= 5, "the table holds too little: {rows:?}");
    let ceilings: BTreeMap<&str, u64> = rows.iter().map(|row| (row.0, row.2)).collect();
    let (passed, told) = gate(&ceilings, NOTHING);
    assert!(passed, "{told}");
    assert!(!told.contains("FAIL"), "{told}");
    for (function, _, ceiling, _) in &rows {
        let mut slower = ceilings.clone();
        slower.insert(function, ceiling * 115 / 100 + 1);
        let (passed, told) = gate(&slower, NOTHING);
        assert!(!passed, "{function} became slower: {told}");
        let failed: Vec<&str> = told.lines().filter(|line| line.contains("FAIL")).collect();
        assert_eq!(failed.len(), 1, "{told}");
        assert!(failed[0].starts_with(function), "{told}");
    }
    let mut silent = ceilings;
    silent.remove(rows[0].0);
    let (passed, told) = gate(&silent, NOTHING);
    assert!(!passed && told.contains("nothing was counted"), "{told}");
}

// R271
#[test]
fn one_more_allocation_or_clock_read_fails_the_gate() {
    let rows = rows();
    let ceilings: BTreeMap<&str, u64> = rows.iter().map(|row| (row.0, row.2)).collect();
    let callees = [
        ("malloc", 0, "allocations"),
        ("clock_gettime@@GLIBC_2.17", 1, "clock reads"),
    ];
    for (function, _, _, most) in &rows {
        for (name, column, word) in callees {
            let (passed, told) = gate(&ceilings, (function, name, most[column] + 1));
            assert!(!passed, "{function} calls {name} once more: {told}");
            let failed: Vec<&str> = told.lines().filter(|line| line.contains("FAIL")).collect();
            assert_eq!(failed.len(), 1, "{told}");
            assert!(failed[0].starts_with(function), "{told}");
            assert!(failed[0].ends_with(word), "{told}");
        }
        if most[1] > 0 {
            let (passed, told) = gate(&ceilings, (function, "clock_gettime", most[1]));
            assert!(
                passed,
                "{function} reads the clock as often as it may: {told}"
            );
        }
    }
}
