//! The workflow that is shipped for repositories of contracts: its commands, run as they stand.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::text;

const WORKFLOW: &str = "examples/ci/contracts.yml";

/// The commands of the steps, with whether a step runs only after a failure.
fn steps() -> Vec<(String, bool)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workflow = fs::read_to_string(root.join(WORKFLOW)).unwrap();
    let steps = workflow.split("- name: ").skip(1);
    let steps = steps.map(|step| {
        let command = step.split("run: ").nth(1).expect("a command");
        let line = command.lines().next().unwrap().to_owned();
        (line, step.contains("if: failure()"))
    });
    steps.collect()
}

/// What a repository of contracts holds, as shipped here; below `base`, before the change.
fn repository() -> tempfile::TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    fs::create_dir(&base).unwrap();
    for name in [
        "contracts",
        "policies",
        "self-tests",
        ".github",
        "tidegate.yaml",
    ] {
        for to in [folder.path(), &base] {
            let from = root.join(name);
            let status = Command::new("cp").arg("-r").args([&from, to]).status();
            assert!(status.unwrap().success(), "{name}");
        }
    }
    folder
}

/// The first step that fails, and what is said from there on; `None` where all is well.
fn run(folder: &Path) -> Option<(String, String)> {
    let program = Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut failed: Option<(String, String)> = None;
    for (command, after_failure) in steps() {
        if after_failure != failed.is_some() {
            continue;
        }
        let shell = Command::new("sh")
            .args(["-e", "-c", &command])
            .env("PATH", &path)
            .current_dir(folder)
            .output()
            .unwrap();
        let said = text(&shell.stdout) + &text(&shell.stderr);
        match &mut failed {
            Some((_, all)) => all.push_str(&said),
            None if shell.status.success() => {}
            None => failed = Some((command, said)),
        }
    }
    failed
}

#[test]
fn the_shipped_workflow_blocks_what_breaks_a_rule_and_names_the_owners() {
    // R138
    let commands: Vec<String> = steps().into_iter().map(|(command, _)| command).collect();
    assert!(
        commands.iter().all(|c| c.starts_with("tidegate ")),
        "{commands:?}"
    );
    assert!(commands.len() >= 6, "{commands:?}");
    let whole = repository();
    assert_eq!(run(whole.path()), None);

    let check = |file: &str, from: &str, to: &str, step: &str, said: &str| {
        let folder = repository();
        let path = folder.path().join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "{file} holds no '{from}'");
        fs::write(&path, before.replacen(from, to, 1)).unwrap();
        let (command, all) = run(folder.path()).expect("a step fails");
        assert!(command.starts_with(step), "{command}");
        assert!(all.contains(said), "{all}");
        assert!(all.contains("team-platform"), "nobody is named: {all}");
    };
    let status = "contracts/status.yaml";
    check(
        status,
        "GET /api/v1/status",
        "GET api",
        "tidegate check",
        "::error file=contracts/status.yaml,line=5",
    );
    check(
        status,
        "owner: team-web",
        "owner: team-platform",
        "tidegate check",
        "C142",
    );
    check(
        status,
        "allowed_methods: [GET, HEAD]",
        "allowed_methods: [GET]",
        "tidegate contract diff",
        "status_v1",
    );
    let owners = "contracts/OWNERS.yaml";
    check(
        owners,
        "owner: team-platform",
        "owner: team-core",
        "tidegate contract owners",
        "+/contracts/ ",
    );
}
