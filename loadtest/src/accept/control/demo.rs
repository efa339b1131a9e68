//! The demo, which checks itself.

use std::process::Command;

use anyhow::Context as _;

use super::super::{Context, Verdict};
use crate::process::beside;

// R301
pub(super) fn passes(context: &Context) -> anyhow::Result<Verdict> {
    std::fs::create_dir_all(context.folder("demo"))?;
    let output = Command::new(beside("tidegate")?)
        .args(["demo", "--for", "20s"])
        .current_dir(context.folder("demo"))
        .output()
        .context("run tidegate demo")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let mut last: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .rev()
        .take(3)
        .collect();
    last.reverse();
    Ok(Verdict::new(
        output.status.success(),
        format!("{}; {}", output.status, last.join("; ")),
    ))
}
