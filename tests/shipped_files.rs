//! What the repository ships beside code is held to the same standard: configurations load,
//! documents name tests that exist, and no file speaks of the machine it was written on.

// A test may stop at the first surprise.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{files, read, relative, root};

const REQUIREMENTS: &str = "docs/requirements.md";

/// The requirements of observing.
const OBSERVING: [&str; 53] = [
    "R001", "R002", "R003", "R004", "R005", "R006", "R007", "R008", "R009", "R010", "R011", "R013",
    "R019", "R020", "R031", "R032", "R034", "R035", "R042", "R045", "R046", "R047", "R049", "R053",
    "R054", "R055", "R060", "R061", "R062", "R063", "R064", "R069", "R071", "R072", "R079", "R080",
    "R081", "R082", "R083", "R084", "R086", "R087", "R104", "R111", "R196", "R200", "R237", "R260",
    "R261", "R262", "R272", "R280", "R297",
];

/// The requirements of controlling.
const CONTROLLING: [&str; 35] = [
    "R012", "R014", "R015", "R016", "R018", "R036", "R037", "R038", "R039", "R040", "R041", "R043",
    "R044", "R050", "R051", "R052", "R057", "R059", "R066", "R067", "R073", "R074", "R075", "R076",
    "R077", "R194", "R263", "R271", "R274", "R276", "R283", "R292", "R295", "R296", "R308",
];

/// The requirements of the ledger as evidence.
const PROVING: [&str; 13] = [
    "R085", "R088", "R089", "R090", "R091", "R092", "R102", "R198", "R199", "R264", "R277", "R281",
    "R282",
];

/// The requirements of bundles.
const BUNDLING: [&str; 32] = [
    "R017", "R021", "R022", "R023", "R024", "R025", "R026", "R027", "R033", "R065", "R103", "R105",
    "R106", "R107", "R108", "R109", "R110", "R112", "R113", "R116", "R117", "R119", "R120", "R122",
    "R125", "R138", "R147", "R168", "R278", "R285", "R290", "R303",
];

fn fail_with(problems: Vec<String>) {
    assert!(
        problems.is_empty(),
        "{} problem(s):\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// Every configuration that is shipped: `tidegate*.yaml` of the root and `tidegate.yaml` of folders.
fn configurations() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = root_files()
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("tidegate") && name.ends_with(".yaml")
        })
        .collect();
    for folder in ["examples", "deploy", "testdata"] {
        found.extend(files(folder, "tidegate.yaml"));
    }
    found
}

/// The files that stand in the root itself.
fn root_files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root()).expect("a readable root");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect()
}

// R031
#[test]
fn every_shipped_configuration_passes_check() {
    let configurations = configurations();
    assert!(!configurations.is_empty(), "no tidegate.yaml is shipped");
    let mut problems = Vec::new();
    for file in configurations {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .arg("check")
            .arg("-c")
            .arg(&file)
            .arg("--deny-warnings")
            .output()
            .expect("the built program starts");
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            problems.push(format!("{}: {}\n{said}", relative(&file), output.status));
        }
    }
    fail_with(problems);
}

/// A contract or policy that no shipped configuration reads would be checked by nobody.
#[test]
fn every_shipped_contract_and_policy_is_read_by_a_configuration() {
    let configurations: String = configurations().iter().map(|file| read(file)).collect();
    let mut problems = Vec::new();
    for file in files("contracts", ".yaml") {
        if !configurations.contains("contracts: contracts") {
            problems.push(format!(
                "{} is read by no shipped tidegate.yaml",
                relative(&file)
            ));
        }
    }
    for file in files("policies", ".yaml") {
        let name = relative(&file);
        if !configurations.contains(&format!("policy: {name}")) {
            problems.push(format!("{name} is read by no shipped tidegate.yaml"));
        }
    }
    fail_with(problems);
}

/// One row of the table: id and the tests that its last column names.
struct Row {
    line: usize,
    id: String,
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    let text = read(&root().join(REQUIREMENTS));
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line
            .trim()
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        let id = cells[0];
        let is_id =
            id.len() == 4 && id.starts_with('R') && id[1..].chars().all(|c| c.is_ascii_digit());
        if !is_id {
            continue;
        }
        assert_eq!(
            cells.len(),
            4,
            "{REQUIREMENTS}:{}: a row has four cells",
            n + 1
        );
        let tests = cells[3]
            .split(',')
            .map(|t| t.trim().trim_matches('`').to_owned())
            .collect();
        found.push(Row {
            line: n + 1,
            id: id.to_owned(),
            tests,
        });
    }
    found
}

#[test]
fn every_requirement_names_a_test_that_exists() {
    let mut problems = Vec::new();
    for row in rows() {
        for test in &row.tests {
            if let Err(why) = find_test(test) {
                problems.push(format!("{REQUIREMENTS}:{}: {}: {why}", row.line, row.id));
            }
        }
    }
    fail_with(problems);
}

#[test]
fn requirements_have_one_row_each() {
    let ids: Vec<String> = rows().into_iter().map(|row| row.id).collect();
    assert!(!ids.is_empty(), "{REQUIREMENTS} has no rows");
    let sorted: Vec<String> = ids
        .iter()
        .cloned()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(ids, sorted, "ids are unique and in order");
}

/// A requirement without a row would be shown by nothing, and missed by nobody.
#[test]
fn every_requirement_has_its_row() {
    let there: BTreeSet<String> = rows().into_iter().map(|row| row.id).collect();
    let wanted = OBSERVING
        .iter()
        .chain(&CONTROLLING)
        .chain(&PROVING)
        .chain(&BUNDLING);
    let missing = wanted.filter(|id| !there.contains(**id));
    fail_with(
        missing
            .map(|id| format!("{REQUIREMENTS} has no row {id}"))
            .collect(),
    );
}

/// Looks for `dir/file.rs::name` or `module::path::name`.
fn find_test(test: &str) -> Result<(), String> {
    let Some((place, name)) = test.rsplit_once("::") else {
        return Err(format!(
            "{test:?} is not module::path::test_name or dir/file.rs::test_name"
        ));
    };
    let candidates = if place.ends_with(".rs") {
        vec![root().join(place)]
    } else {
        module_files(place)
    };
    let existing: Vec<&PathBuf> = candidates.iter().filter(|file| file.is_file()).collect();
    if existing.is_empty() {
        return Err(format!("there is no file for {place}"));
    }
    let wanted = format!("fn {name}(");
    if existing.iter().any(|file| read(file).contains(&wanted)) {
        return Ok(());
    }
    let looked: Vec<String> = existing.iter().map(|file| relative(file)).collect();
    Err(format!("no test function {name} in {}", looked.join(", ")))
}

/// The files that can hold `module::path`: the module's own, its tests', and for an inner
/// `tests` module its parent's.
fn module_files(place: &str) -> Vec<PathBuf> {
    let mut parts: Vec<&str> = place.split("::").collect();
    let source = if parts.first() == Some(&"loadtest") {
        parts.remove(0);
        "loadtest/src"
    } else {
        "src"
    };
    let inner = parts.last() == Some(&"tests");
    if inner {
        parts.pop();
    }
    let base = root().join(source).join(parts.join("/"));
    let with = |suffix: &str| PathBuf::from(format!("{}{suffix}", base.display()));
    vec![
        with(".rs"),
        with("/mod.rs"),
        with("/tests.rs"),
        with("_tests.rs"),
    ]
}

#[test]
fn the_search_for_tests_finds_what_is_there_and_only_that() {
    let check = |test: &str, found: bool| assert_eq!(find_test(test).is_ok(), found, "{test}");
    check(
        "tests/shipped_files.rs::requirements_have_one_row_each",
        true,
    );
    check("loadtest::generate::tests::same_seed_same_bytes", true);
    check("loadtest::generate::tests::no_such_test", false);
    check("no::such::module::tests::name", false);
    check("-", false);
}

/// Documents, settings and scripts that people read.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = root_files()
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name == "Makefile" || [".md", ".toml", ".yaml"].iter().any(|s| name.ends_with(s))
        })
        .collect();
    for folder in ["docs", "contracts", "policies", "deploy", "examples", ".ci"] {
        found.extend(files(folder, ""));
    }
    found
}

#[test]
fn no_document_names_a_folder_of_one_machine() {
    const FOLDERS: [&str; 4] = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
    ];
    let documents = documents();
    assert!(
        documents.len() > 5,
        "the scan found too little to mean anything"
    );
    let mut problems = Vec::new();
    for file in documents {
        for (n, line) in read(&file).lines().enumerate() {
            for folder in FOLDERS.iter().filter(|f| line.contains(**f)) {
                problems.push(format!("{}:{}: names {folder}", relative(&file), n + 1));
            }
        }
    }
    fail_with(problems);
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let mut problems = Vec::new();
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml", "loadtest/Cargo.toml"] {
        let text = read(&root().join(manifest));
        let (mut inside, mut before) = (false, "");
        for (n, line) in text.lines().enumerate() {
            if line.starts_with('[') {
                inside = line.ends_with("dependencies]");
            } else if inside
                && line.contains('=')
                && !line.starts_with([' ', '#'])
                && !before.starts_with("# ")
            {
                problems.push(format!("{manifest}:{}: no comment above {line}", n + 1));
            }
            before = line;
        }
    }
    fail_with(problems);
}

/// Relative links of documents lead to files that exist.
#[test]
fn links_between_documents_hold() {
    let mut problems = Vec::new();
    for file in documents()
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "md"))
    {
        let folder = file.parent().unwrap_or(Path::new(""));
        for (n, line) in read(file).lines().enumerate() {
            for target in line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                let target = target.split('#').next().unwrap_or_default();
                let external = target.is_empty() || target.contains("://");
                if !external && !folder.join(target).exists() {
                    problems.push(format!(
                        "{}:{}: {target} does not exist",
                        relative(file),
                        n + 1
                    ));
                }
            }
        }
    }
    fail_with(problems);
}
