//! Results of parts, kept between runs under the commit that they are about.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// A part's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Result {
    /// What was measured.
    pub figure: String,
    /// Whether it is inside the bound.
    pub pass: bool,
    /// How long the part took.
    pub seconds: u64,
    /// Whether it comes from an earlier run.
    pub kept: bool,
}

/// The commit under test; ends in `-changed` when files differ from it.
pub(super) fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown-changed".to_owned();
    };
    // The report of an acceptance run is written by the run and is not part of what it judges.
    match git(&["status", "--porcelain", "--", ".", ":!docs/acceptance"]) {
        Some(changes) if changes.is_empty() => head,
        _ => format!("{head}-changed"),
    }
}

fn file(folder: &Path, part: &str) -> PathBuf {
    folder.join(format!("{part}.result.json"))
}

/// A pass at exactly this commit; anything else is run again.
pub(super) fn load(folder: &Path, part: &str, commit: &str) -> Option<Result> {
    if commit.ends_with("-changed") {
        return None;
    }
    told(folder, part, commit).filter(|result| result.pass)
}

/// What the part found when it was last run at this commit.
pub(super) fn told(folder: &Path, part: &str, commit: &str) -> Option<Result> {
    let value: Value =
        serde_json::from_str(&std::fs::read_to_string(file(folder, part)).ok()?).ok()?;
    if value["commit"] != commit {
        return None;
    }
    Some(Result {
        figure: value["figure"].as_str()?.to_owned(),
        pass: value["pass"].as_bool()?,
        seconds: value["seconds"].as_u64()?,
        kept: true,
    })
}

pub(super) fn save(
    folder: &Path,
    part: &str,
    commit: &str,
    result: &Result,
) -> std::io::Result<()> {
    let value = json!({"commit": commit, "figure": result.figure, "pass": result.pass, "seconds": result.seconds});
    std::fs::write(file(folder, part), value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pass_at_the_same_clean_commit_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let result = |pass| Result {
            figure: "1 of 1".to_owned(),
            pass,
            seconds: 3,
            kept: false,
        };
        let check = |saved_at: &str, pass, asked: &str, expected: bool| {
            save(folder.path(), "wire", saved_at, &result(pass)).unwrap();
            assert_eq!(
                load(folder.path(), "wire", asked).is_some(),
                expected,
                "{saved_at} {pass} {asked}"
            );
        };
        check("abc", true, "abc", true);
        save(folder.path(), "wire", "abc", &result(false)).unwrap();
        assert!(told(folder.path(), "wire", "abc").is_some_and(|result| !result.pass));
        assert_eq!(told(folder.path(), "wire", "abd"), None);
        check("abc", true, "abd", false);
        check("abc", false, "abc", false);
        check("abc-changed", true, "abc-changed", false);
    }
}
