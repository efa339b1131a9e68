//! Contract files and what stands beside them, through the built program: owners, exemptions,
//! lints, the catalogue of services, imported descriptions, the workflow of a repository.

// A test may stop at the first surprise.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod exemptions;
mod importing;
mod lints;
mod owners;
mod workflow;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const CONFIG: &str = "version: 1
listeners: [{ bind: \"127.0.0.1:0\" }]
upstreams:
  orders: { servers: [\"127.0.0.1:9000\"] }
  stock: { servers: [\"127.0.0.1:9001\"] }
default_upstream: orders
contracts: contracts/
policy: policy.yaml
";
const POLICY: &str = "version: 1\nname: default\n";

/// A configuration, a policy and these files.
fn site(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("contracts")).unwrap();
    for (file, text) in [("tidegate.yaml", CONFIG), ("policy.yaml", POLICY)]
        .iter()
        .chain(files)
    {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn tidegate(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIDEGATE_")) {
        command.env_remove(name);
    }
    let output = command.args(args).current_dir(folder).output();
    output.expect("the built program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The findings of `check` or `contract lint` as `file:line code`, and the exit code.
fn findings(folder: &Path, args: &[&str]) -> (Vec<String>, Option<i32>) {
    let args = [args, &["--format", "json"]].concat();
    let output = tidegate(folder, &args);
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let list = value["diagnostics"].as_array().expect("diagnostics");
    let one = |d: &Value| {
        let path = Path::new(d["file"].as_str().unwrap());
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        format!("{file}:{} {}", d["line"], d["code"].as_str().unwrap())
    };
    (list.iter().map(one).collect(), output.status.code())
}

/// What `check` finds in these files, beside a configuration and a policy.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let folder = site(files);
    let (found, code) = findings(folder.path(), &["check"]);
    assert_eq!(found, expected, "{files:#?}");
    let output = tidegate(folder.path(), &["check", "--format", "json"]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = if value["errors"] == 0 { 0 } else { 78 };
    assert_eq!(code, Some(expected), "{files:#?}");
}
