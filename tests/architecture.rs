//! Who may import whom, as a test: ARCHITECTURE.md draws the pipeline, this file holds it.
//!
//! The tables below are the rule. A violation names file, line and rule. Code under
//! `#[cfg(test)]` is free: a test may build its input from any module.

// A test may stop at the first surprise.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::path::Path;

use support::source::{Token, paths, tokens};
use support::{files, read, relative};

/// Stages of the pipeline, in the order that a request meets them, with what they speak in.
const STAGES: &[&str] = &[
    "units",
    "observation",
    "contract",
    "policy",
    "risk",
    "decision",
    "enforcement",
];

/// How files are read and what is said about them; pure, and below every stage.
const FILE_READERS: &[&str] = &["yaml", "diagnostic"];

/// Module, and the modules it may name besides itself. A module that is missing here may not
/// exist: add it with its rule.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("diagnostic", &[]),
    ("yaml", &["diagnostic"]),
    ("contract", &["units", "yaml", "diagnostic"]),
    ("observation", &["units", "contract"]),
    ("policy", &["units", "contract", "yaml", "diagnostic"]),
    ("policy::rules", &["units"]),
    // Signed content: it knows what contracts and rules say, and nothing of files and clocks.
    ("bundle", &["units", "contract", "policy"]),
    // The state of a self-test is told in the words of signals.
    (
        "policy::self_tests",
        &["units", "contract", "observation", "yaml", "diagnostic"],
    ),
    ("risk", &["units", "contract", "observation", "policy"]),
    // Signals carry the shed hash, the class mix and the results of the takes.
    ("decision", &["units", "observation", "risk", "policy"]),
    ("enforcement", &["units", "decision"]),
    // Certificates of listeners: files, and what a handshake is made with.
    ("tls", &[]),
    // Files of private keys: whoever signs says in what words its errors speak.
    ("key_file", &[]),
    ("ledger", &["units", "key_file"]),
    (
        "rulebook",
        &[
            "units",
            "contract",
            "observation",
            "policy",
            "risk",
            // A rulebook in force comes from a verified bundle, or says that it does not.
            "bundle",
        ],
    ),
    // The pipeline does not know who writes it down.
    (
        "pipeline",
        &[
            "units",
            "contract",
            "observation",
            "policy",
            "risk",
            "decision",
            "enforcement",
            "rulebook",
        ],
    ),
    // A record is made of what the pipeline hands out, and resolves names in its rulebook.
    (
        "record",
        &[
            "units",
            "contract",
            "observation",
            "policy",
            "risk",
            "decision",
            "enforcement",
            "rulebook",
            "pipeline",
            "ledger",
        ],
    ),
    (
        "replay",
        &[
            "units",
            "contract",
            "observation",
            "policy",
            // A candidate sheds by a hash the record may not carry, and withholds what its tier forbids.
            "decision",
            "enforcement",
            "rulebook",
            "pipeline",
            "record",
            "ledger",
            // Runs what was recorded again, in virtual time; which paths moved is a bundle's matter.
            "simulate",
            "bundle",
        ],
    ),
    (
        "simulate",
        &[
            "units",
            "contract",
            "observation",
            "policy",
            "enforcement",
            "rulebook",
            "pipeline",
            "record",
            "ledger",
        ],
    ),
    // Judges as the gateway does: its answers and its field of importance are named there alone.
    (
        "selftest",
        &[
            "units",
            "contract",
            "observation",
            "policy",
            "risk",
            "decision",
            "enforcement",
            "pipeline",
            "gateway",
        ],
    ),
    (
        "config",
        &[
            "units",
            "contract",
            "policy",
            "yaml",
            "diagnostic",
            // Settings name the files of listeners.
            "tls",
            // Contracts say where they are described.
            "openapi",
            // A root is checked where it is named.
            "bundle",
        ],
    ),
    // Describes every file, and the record.
    (
        "schema",
        &[
            "units",
            "contract",
            "observation",
            "policy",
            "decision",
            "config",
            "record",
            "bundle",
            "yaml",
        ],
    ),
    // Descriptions of APIs become contracts.
    ("openapi", &["contract", "diagnostic"]),
    // Telemetry describes every stage and the ledger; none of them knows it.
    (
        "telemetry",
        &[
            "units",
            "contract",
            "observation",
            "policy",
            "risk",
            "decision",
            "enforcement",
            "rulebook",
            "pipeline",
            "ledger",
            // Names the reasons to refuse a bundle.
            "bundle",
        ],
    ),
    (
        "gateway",
        &[
            "units",
            "contract",
            "observation",
            "decision",
            "enforcement",
            "pipeline",
            "record",
            "rulebook",
            "config",
            "telemetry",
            "ledger",
            // Shakes hands with what the assembly has read.
            "tls",
        ],
    ),
    (
        "admin",
        &[
            "units",
            "contract",
            "observation",
            "policy",
            "risk",
            "decision",
            "enforcement",
            "record",
            "rulebook",
            "config",
            "telemetry",
            "ledger",
            "pipeline",
            // Explains a decision by judging it again.
            "replay",
            // Names the reasons to refuse a bundle, and knows how large one may be.
            "bundle",
        ],
    ),
    // Puts everything together, so it sees everything that runs.
    (
        "assembly",
        &[
            "units",
            "observation",
            "pipeline",
            // The canonical content is kept beside the ledger.
            "policy",
            // Says why files could not be put in force.
            "diagnostic",
            "record",
            "rulebook",
            "config",
            "telemetry",
            "ledger",
            "gateway",
            "admin",
            // Reads certificates at the start and again.
            "tls",
            // Nothing comes into force that fails its own self-tests.
            "selftest",
            // Verifies what is put in force; before the first bundle there is no contract.
            "bundle",
            "contract",
        ],
    ),
    ("main", &["cli"]),
];

/// The command line sees everything; nothing may see it but `main`.
const SEES_ALL: &[&str] = &["cli", "lib"];

/// External name, the modules that may use it, and why.
const EXTERNAL: &[(&str, &[&str], &str)] = &[
    (
        "pingora",
        &["gateway"],
        "the proxy engine is named in one place",
    ),
    (
        "h2",
        &["gateway"],
        "the HTTP/2 under the proxy engine is named beside it",
    ),
    (
        "metrics",
        &["telemetry"],
        "metric names are constants and handles are resolved at load",
    ),
    (
        "metrics_exporter_prometheus",
        &["telemetry"],
        "one exporter, rendered by the admin listener",
    ),
    (
        "http_body",
        &["admin"],
        "only the text of a scrape is sent while it is written",
    ),
    (
        "axum",
        &["admin", "cli::demo"],
        "the admin listener is the only web server of ours, the demo's upstream aside",
    ),
    ("anyhow", &["cli", "main"], "the library has typed errors"),
    (
        "clap",
        &["cli", "main"],
        "arguments are parsed at the edge of the program",
    ),
    ("quanta", CLOCKS, "one clock, read by the shell"),
    ("serde", FILES, "core types are not file types"),
    ("serde_json", FILES, "core types are not file types"),
    ("serde_saphyr", FILES, "core types are not file types"),
];

/// Where time may be read; everything else is told the time.
const CLOCKS: &[&str] = &["gateway", "ledger::clock", "admin::held", "cli::demo"];
const CLOCK_CALLS: &[[&str; 2]] = &[["Instant", "now"], ["SystemTime", "now"]];

/// Where file formats, records and outward messages live.
const FILES: &[&str] = &[
    "yaml",
    "diagnostic",
    "contract",
    "policy",
    "bundle",
    "config",
    "openapi",
    "record",
    "ledger",
    "rulebook",
    "schema",
    "simulate",
    "admin",
    "cli",
    "assembly::snapshot",
    "assembly::bundles::store",
    "gateway::respond",
    "telemetry::log",
];

const PRINTERS: &[&str] = &["println", "print", "eprintln", "eprint", "dbg"];
/// Where stdout and stderr are written, and what becomes of an error there.
const STDIO: &str = "cli::stdio";
/// Those that write as they go and look at every error themselves, and one that asks for a terminal.
const STDOUT: &[&str] = &[
    STDIO,
    "cli::run::heads",
    "cli::simulate",
    "cli::replay::batches",
    "cli::ledger::tail",
    "cli::demo",
];

/// A file of the library, with its module path.
struct Unit {
    file: String,
    module: Vec<String>,
    tokens: Vec<Token>,
}

fn units() -> Vec<Unit> {
    let found: Vec<Unit> = files("src", ".rs")
        .iter()
        .filter(|path| !is_test_file(path))
        .map(|path| {
            let file = relative(path);
            let module = module_of(&file);
            Unit {
                file,
                module,
                tokens: tokens(&read(path)),
            }
        })
        .collect();
    assert!(
        !found.is_empty(),
        "no source found: the scan would pass for the wrong reason"
    );
    found
}

/// A module that its parent declares under `#[cfg(test)]`, or one inside of it; the name is the
/// convention.
fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_inside = relative(path).split('/').any(|part| part == "tests");
    is_inside || name == "tests.rs" || name.ends_with("_tests.rs")
}

/// `src/risk/factor.rs` is `risk::factor`; `src/risk/mod.rs` is `risk`.
fn module_of(file: &str) -> Vec<String> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|p| p == "mod") {
        parts.pop();
    }
    parts
}

/// Whether `module` is one of `allowed` or inside one.
fn within(module: &[String], allowed: &[&str]) -> bool {
    allowed.iter().any(|a| {
        let wanted: Vec<&str> = a.split("::").collect();
        module.len() >= wanted.len() && module.iter().zip(&wanted).all(|(m, w)| m == w)
    })
}

/// The absolute module path that `path` means inside `module`, if it is one of ours.
fn resolve(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let first = path.first()?.as_str();
    if first == "crate" || first == "tidegate" {
        return Some(path[1..].to_vec());
    }
    let ups = path.iter().take_while(|p| *p == "super").count();
    if ups == 0 {
        return None;
    }
    let mut base = module.get(..module.len().checked_sub(ups)?)?.to_vec();
    base.extend_from_slice(&path[ups..]);
    Some(base)
}

/// The most exact rule for a module.
fn rule(module: &[String]) -> Option<&'static (&'static str, &'static [&'static str])> {
    MAY_IMPORT
        .iter()
        .filter(|(name, _)| within(module, &[name]))
        .max_by_key(|(name, _)| name.len())
}

fn fail_with(problems: Vec<String>) {
    assert!(
        problems.is_empty(),
        "{} violation(s):\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut problems = Vec::new();
    for unit in units() {
        if within(&unit.module, SEES_ALL) {
            continue;
        }
        let Some((name, allowed)) = rule(&unit.module) else {
            problems.push(format!(
                "{}:1: module {} has no row in MAY_IMPORT",
                unit.file,
                unit.module.join("::")
            ));
            continue;
        };
        let own = unit.module.first().map_or("", String::as_str);
        for (path, line) in paths(&unit.tokens) {
            let Some(target) = resolve(&unit.module, &path) else {
                continue;
            };
            let Some(top) = target.first() else { continue };
            if !top.starts_with(char::is_lowercase) || top == own || within(&target, allowed) {
                continue;
            }
            problems.push(format!(
                "{}:{line}: {} names {}; rule: {name} may name {:?}",
                unit.file,
                unit.module.join("::"),
                target.join("::"),
                allowed
            ));
        }
    }
    fail_with(problems);
}

#[test]
fn external_names_stay_where_they_belong() {
    let mut problems = Vec::new();
    for unit in units() {
        for (path, line) in paths(&unit.tokens) {
            let Some(first) = path.first() else { continue };
            for (name, allowed, why) in EXTERNAL {
                let hit = first == name || *name == "pingora" && first.starts_with("pingora_");
                if hit && !within(&unit.module, allowed) {
                    problems.push(format!(
                        "{}:{line}: {name} only in {allowed:?}: {why}",
                        unit.file
                    ));
                }
            }
        }
    }
    fail_with(problems);
}

#[test]
fn clocks_are_read_only_in_the_shell() {
    let mut problems = Vec::new();
    for unit in units().iter().filter(|u| !within(&u.module, CLOCKS)) {
        for (path, line) in paths(&unit.tokens) {
            if path
                .windows(2)
                .any(|pair| CLOCK_CALLS.iter().any(|call| pair == call))
            {
                problems.push(format!(
                    "{}:{line}: {} only in {CLOCKS:?}",
                    unit.file,
                    path.join("::")
                ));
            }
        }
    }
    fail_with(problems);
}

#[test]
fn printing_goes_through_one_place() {
    let mut problems = Vec::new();
    for unit in units().iter() {
        for pair in unit.tokens.windows(2) {
            let (word, next) = (pair[0].text.as_str(), pair[1].text.as_str());
            let place = format!("{}:{}", unit.file, pair[0].line);
            if PRINTERS.contains(&word) && next == "!" {
                problems.push(format!(
                    "{place}: {word}! panics where nobody reads; use {STDIO}"
                ));
            }
            if word == "stdout" && next == "(" && !within(&unit.module, STDOUT) {
                problems.push(format!("{place}: stdout only through {STDIO}"));
            }
        }
    }
    fail_with(problems);
}

/// The one module with `unsafe`: it maps the counters, and argues why that is safe.
const UNSAFE: &str = "ledger::counters";

#[test]
fn unsafe_code_stays_in_one_module_that_argues_for_it() {
    let mut problems = Vec::new();
    for unit in units() {
        let found = unit.tokens.iter().find(|token| token.text == "unsafe");
        match (found, within(&unit.module, &[UNSAFE])) {
            (Some(token), false) => {
                problems.push(format!(
                    "{}:{}: unsafe only in {UNSAFE}",
                    unit.file, token.line
                ));
            }
            (None, true) => problems.push(format!("{}:1: no unsafe left: drop its row", unit.file)),
            (Some(_), true) => {
                let text = read(Path::new(&unit.file));
                let blocks = unit.tokens.iter().filter(|t| t.text == "unsafe").count();
                let argued = text.matches("// SAFETY:").count();
                if !text.contains("//! # Safety") || argued < blocks {
                    problems.push(format!("{}:1: each unsafe has its argument", unit.file));
                }
            }
            (None, false) => {}
        }
    }
    fail_with(problems);
}

/// The request path must not grow an import of what is built on top of it.
#[test]
fn stages_never_name_the_shell() {
    for stage in STAGES {
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| name == stage)
            .expect("every stage has a row");
        for name in *allowed {
            assert!(
                STAGES.contains(name) || FILE_READERS.contains(name),
                "the table lets {stage} name {name}, which is no stage"
            );
        }
    }
}

/// How a rulebook may come to be, and who may do so. The fields of its parts are private, so there is
/// no other way.
const RULEBOOKS: &[(&str, &[&str])] = &[
    ("signed", &["assembly::bundles"]),
    // The last one is compiled for tests alone.
    (
        "unsigned_local",
        &[
            "assembly",
            "cli::offline",
            "cli::replay",
            "telemetry::fixture",
        ],
    ),
];

// R065
#[test]
fn only_verified_bundles_and_unsigned_local_files_become_rulebooks() {
    let mut problems = Vec::new();
    let mut seen = Vec::new();
    for unit in units() {
        for (path, line) in paths(&unit.tokens) {
            let is_parts = |name: &String| name == "RulebookParts" || name == "VerifiedBundle";
            let Some(at) = path.iter().position(is_parts) else {
                continue;
            };
            let Some(called) = path.get(at + 1) else {
                continue;
            };
            let allowed = if path[at] == "RulebookParts" {
                let rule = RULEBOOKS.iter().find(|(name, _)| name == called);
                rule.map_or(&[][..], |(_, allowed)| allowed)
            } else if called == "new" {
                &["bundle::verify"][..]
            } else {
                continue;
            };
            if within(&unit.module, allowed) {
                seen.push(called.clone());
            } else if called.starts_with(char::is_lowercase) {
                let file = &unit.file;
                problems.push(format!("{file}:{line}: {called} only in {allowed:?}"));
            }
        }
    }
    for (name, _) in RULEBOOKS {
        assert!(
            seen.iter().any(|called| called == name),
            "nobody names {name}"
        );
    }
    fail_with(problems);
}

/// Feedback flows through data: no two modules may name each other, not even by a detour.
#[test]
fn the_table_has_no_circles() {
    fn reaches(from: &str, to: &str, seen: &mut Vec<String>) -> bool {
        let next = MAY_IMPORT
            .iter()
            .filter(|(name, _)| *name == from)
            .flat_map(|(_, allowed)| *allowed);
        next.into_iter().any(|name| {
            if *name == to {
                return true;
            }
            let fresh = !seen.iter().any(|s| s == name);
            if fresh {
                seen.push((*name).to_owned());
            }
            fresh && reaches(name, to, seen)
        })
    }
    for (name, _) in MAY_IMPORT {
        assert!(
            !reaches(name, name, &mut Vec::new()),
            "{name} may name itself by a detour"
        );
    }
}

/// What was made is handed on by value, and what was written is only read.
// R079, R083
#[test]
fn no_function_edits_a_record() {
    const RECORDS: [&str; 4] = ["DecisionEvent", "OutcomeEvent", "DecisionLine", "Record"];
    let mut problems = Vec::new();
    for unit in units() {
        for window in unit.tokens.windows(3) {
            let texts: Vec<&str> = window.iter().map(|t| t.text.as_str()).collect();
            if texts[0] == "&" && texts[1] == "mut" && RECORDS.contains(&texts[2]) {
                problems.push(format!(
                    "{}:{}: takes a mutable {}",
                    unit.file, window[0].line, texts[2]
                ));
            }
        }
    }
    fail_with(problems);
}

/// Not a failure: long files are a smell to look at, and the report says which.
#[test]
fn every_file_says_what_it_is_for() {
    let mut problems = Vec::new();
    let mut lengths = Vec::new();
    for path in files("src", ".rs")
        .iter()
        .chain(&files("loadtest/src", ".rs"))
    {
        let text = read(path);
        if !is_test_file(path) && !text.starts_with("//!") {
            problems.push(format!(
                "{}:1: a file opens with //! saying what it is for",
                relative(path)
            ));
        }
        lengths.push((text.lines().count(), relative(path)));
    }
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    for (lines, file) in lengths.iter().take(5) {
        println!("{lines:>5} lines  {file}");
    }
    fail_with(problems);
}

#[test]
fn the_scan_sees_through_groups_strings_and_tests() {
    let source = r##"
        //! crate::hidden::in_comment
        use crate::{risk::Score, units::{BasisPoints, Tier}};
        use super::super::gateway::edge;
        fn f() { let s = "crate::hidden"; let r = r#"crate::hidden"#; let c = '"'; metrics::counter!(s); }
        #[cfg(test)]
        mod tests { use crate::cli::Hidden; }
        fn g<'a>(x: &'a str) { std::time::Instant::now(); }
    "##;
    let found: Vec<String> = paths(&tokens(source))
        .iter()
        .map(|(p, _)| p.join("::"))
        .collect();
    assert_eq!(
        found,
        [
            "crate::risk::Score",
            "crate::units::BasisPoints",
            "crate::units::Tier",
            "super::super::gateway::edge",
            "metrics::counter",
            "std::time::Instant::now",
        ]
    );
    let inside: Vec<String> = ["risk".into(), "factor".into()].into();
    let up: Vec<String> = ["super".into(), "super".into(), "gateway".into()].into();
    assert_eq!(resolve(&inside, &up), Some(vec!["gateway".to_owned()]));
}
