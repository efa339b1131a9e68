//! What the documents tell people to type, they can type: commands of the README run, and every
//! verb, flag, metric, header, key and file that a document names exists.

// A test may stop at the first surprise.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{files, read, relative, root};
use tidegate::telemetry::names;

/// Documents whose names of things are checked.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    found.extend(files("docs", ".md"));
    assert!(found.len() > 15, "the scan found too little");
    found
}

/// Fails with every problem of every document.
fn check_all(check: impl Fn(&str, &mut Vec<String>)) {
    let mut problems = Vec::new();
    for file in documents() {
        let mut found = Vec::new();
        check(&read(&file), &mut found);
        let at = relative(&file);
        problems.extend(found.into_iter().map(|problem| format!("{at}: {problem}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn tidegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(arguments)
        .output()
        .expect("the built program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A fenced block: what stands behind the fence, and its lines.
struct Block {
    language: String,
    body: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut parts = text.split("\n```").skip(1);
    let mut found = Vec::new();
    while let (Some(open), _) = (parts.next(), parts.next()) {
        let (language, body) = open.split_once('\n').unwrap_or((open, ""));
        found.push(Block {
            language: language.to_owned(),
            body: body.to_owned(),
        });
    }
    found
}

/// Code of a document: what stands between backticks, fenced or not.
fn code_of(text: &str) -> Vec<String> {
    let fenced = blocks(text).into_iter().map(|block| block.body);
    let prose = text
        .split("\n```")
        .step_by(2)
        .flat_map(|part| part.lines().skip(1));
    let inline = prose.flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned));
    fenced.chain(inline).collect()
}

/// The whole help of every verb, by `verb` or `verb subverb`.
fn helps() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let verbs = |help: &str| -> Vec<String> {
        help.lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .filter(|verb| verb != "help")
            .collect()
    };
    for verb in verbs(&text(&tidegate(&["--help"]).stdout)) {
        let help = text(&tidegate(&[&verb, "--help"]).stdout);
        for sub in verbs(&help) {
            let help = text(&tidegate(&[&verb, &sub, "--help"]).stdout);
            found.insert(format!("{verb} {sub}"), help);
        }
        found.insert(verb, help);
    }
    found
}

#[test]
fn every_command_names_a_verb_and_flags_that_exist() {
    let helps = helps();
    assert!(helps.contains_key("ledger verify"), "{:?}", helps.keys());
    let mut seen = 0;
    for file in documents() {
        let lines = code_of(&read(&file));
        let commands = lines
            .iter()
            .flat_map(|code| code.lines())
            .flat_map(|line| line.split(&['|', ';', '&'][..]))
            .map(|part| part.trim().trim_start_matches("$ "))
            .filter_map(|part| part.strip_prefix("tidegate "));
        for command in commands {
            let words: Vec<&str> = command.split_whitespace().collect();
            let pair = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
            let has_subverbs = helps
                .keys()
                .any(|key| key.starts_with(&format!("{} ", words[0])));
            let alone = if words.len() > 1 && has_subverbs {
                None
            } else {
                helps.get(words[0])
            };
            let help = helps.get(&pair).or(alone);
            let help = help.unwrap_or_else(|| panic!("{}: {command}: no verb", relative(&file)));
            for flag in words.iter().filter(|word| word.starts_with('-')) {
                let flag: &str = flag.split('=').next().unwrap();
                assert!(
                    help.contains(flag) || flag == "-",
                    "{}: {command}: no flag {flag}",
                    relative(&file)
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "found {seen} commands only");
}

/// Words of letters, digits and underscores.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
}

#[test]
fn every_metric_that_a_document_names_exists() {
    let known: BTreeSet<String> = names::ALL
        .iter()
        .flat_map(|metric| names::series_names(metric).chain([metric.name.to_owned()]))
        .collect();
    check_all(|document, problems| {
        for code in code_of(document) {
            for word in words(&code) {
                let ours = ["tidegate_", "process_", "http_server_"];
                if ours.iter().any(|prefix| word.starts_with(prefix)) && !known.contains(word) {
                    problems.push(format!("no metric {word}"));
                }
            }
        }
    });
}

#[test]
fn every_header_code_and_variable_that_a_document_names_is_in_the_source() {
    let source: String = files("src", ".rs").iter().map(|file| read(file)).collect();
    let lower = source.to_lowercase();
    check_all(|document, problems| {
        for word in document.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))) {
            let header = word.starts_with("Tidegate-") && word.len() > "Tidegate-".len();
            let variable = word.starts_with("TIDEGATE_") || word.starts_with("LEDGER_");
            let named = header.then(|| lower.contains(&word.to_lowercase()));
            let named = named.or_else(|| variable.then(|| source.contains(word)));
            if named == Some(false) && word != "TIDEGATE_" {
                problems.push(format!("{word} is not in the source"));
            }
        }
    });
}

#[test]
fn every_key_that_a_document_names_is_in_the_shipped_files() {
    let shipped: Vec<String> = ["tidegate.yaml", "policies/default.yaml"]
        .iter()
        .map(|name| read(&root().join(name)))
        .collect();
    let sections = ["limits", "timeouts", "ledger", "admin", "metrics", "bands"];
    check_all(|document, problems| {
        for code in code_of(document) {
            let Some((section, key)) = code.split_once('.') else {
                continue;
            };
            let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            // `/v1/status` also has a `ledger`.
            if !is_key || !sections.contains(&section) || code == "ledger.head" {
                continue;
            }
            let told = |text: &String| {
                text.contains(&format!("{section}:")) && text.contains(&format!("{key}:"))
            };
            if !shipped.iter().any(told) {
                problems.push(format!("no key {code} in the shipped files"));
            }
        }
    });
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let folders = [
        "src/",
        "tests/",
        "docs/",
        "deploy/",
        "examples/",
        "policies/",
        "benches/",
        "loadtest/",
        ".ci/",
    ];
    // Made by the commands of the README.
    let made = ["policies/milder.yaml"];
    check_all(|document, problems| {
        for code in code_of(document) {
            for word in code.split(|c: char| c.is_whitespace() || ",()'\"".contains(c)) {
                let path = word.split("::").next().unwrap_or(word);
                let ours = folders.iter().any(|folder| path.starts_with(folder));
                let pattern = path.contains(['*', '<', '{']);
                let there = |path: &str| {
                    root().join(path).exists() || root().join(format!("{path}.rs")).exists()
                };
                if ours && !pattern && !made.contains(&path) && !there(path) {
                    problems.push(format!("{path} does not exist"));
                }
            }
        }
    });
}

#[test]
fn every_path_of_the_admin_listener_that_operating_names_is_served() {
    let served = read(&root().join("src/admin/openapi.json"));
    let document = read(&root().join("docs/operating.md"));
    let mut seen = 0;
    for code in code_of(&document).iter().filter(|c| c.starts_with('/')) {
        seen += 1;
        assert!(served.contains(&format!("\"{code}\"")) || code == "/openapi.json");
    }
    assert!(seen >= 7, "{seen}");
}

/// A folder with what the commands of the README need.
fn copied() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut wanted = vec![root().join("tidegate.yaml")];
    for tree in ["contracts", "policies", "self-tests", "examples"] {
        wanted.extend(files(tree, ""));
    }
    for from in wanted {
        let to = folder.path().join(relative(&from));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&from, &to).unwrap();
    }
    folder
}

fn shell(command: &str, folder: &Path) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    Command::new("sh")
        .args(["-e", "-c", command])
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .expect("sh starts")
}

/// One space between words, so that aligned columns compare.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

// The `sh` blocks but those with `make` run in their order, and say what the `text` block
// behind them shows.
#[test]
fn the_commands_of_the_readme_run_and_say_what_it_shows() {
    let folder = copied();
    let blocks = blocks(&read(&root().join("README.md")));
    let mut said = String::new();
    let mut ran = 0;
    // As in one terminal: where a block went, the next one is.
    let (mut here, place) = (folder.path().to_owned(), folder.path().join(".here"));
    for block in &blocks {
        match block.language.as_str() {
            "sh" if !block.body.contains("make ") => {
                let body = format!("{}\npwd > '{}'", block.body, place.display());
                let output = shell(&body, &here);
                said = squeezed_lines(&output);
                assert!(output.status.success(), "{}\n{said}", block.body);
                here = PathBuf::from(read(&place).trim());
                ran += 1;
            }
            "text" => {
                let missing: Vec<String> = block
                    .body
                    .lines()
                    .map(squeezed)
                    .filter(|line| !said.contains(line.as_str()))
                    .collect();
                assert!(missing.is_empty(), "{missing:#?} not in\n{said}");
            }
            _ => {}
        }
    }
    assert!(ran >= 4, "only {ran} blocks ran");
}

fn squeezed_lines(output: &Output) -> String {
    let all = text(&output.stdout) + &text(&output.stderr);
    all.lines().map(|line| squeezed(line) + "\n").collect()
}

#[test]
fn the_files_of_the_readme_pass_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let yaml: Vec<Block> = blocks(&read(&root().join("README.md")))
        .into_iter()
        .filter(|block| block.language == "yaml")
        .collect();
    assert_eq!(yaml.len(), 2, "a configuration and a contract");
    std::fs::create_dir(folder.path().join("contracts")).unwrap();
    std::fs::write(folder.path().join("tidegate.yaml"), &yaml[0].body).unwrap();
    std::fs::write(folder.path().join("contracts/orders.yaml"), &yaml[1].body).unwrap();
    let output = shell("tidegate check --deny-warnings", folder.path());
    assert!(output.status.success(), "{}", squeezed_lines(&output));
}
