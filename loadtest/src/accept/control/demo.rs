//! The demo, which checks itself.

use std::process::Command;

use anyhow::Context as _;

use super::super::{Context, Verdict};
use crate::process::beside;

pub(super) fn passes(context: &Context) -> anyhow::Result<Verdict> {
    std::fs::create_dir_all(context.folder("demo"))?;
    let output = Command::new(beside("tidegate")?)
        .args(["demo", "--for", "20s"])
        .current_dir(context.folder("demo"))
        .output()
        .context("run tidegate demo")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let of = |word: &str| {
        text.lines()
            .filter(|line| line.starts_with(word))
            .map(str::trim)
            .collect::<Vec<_>>()
    };
    let (well, failed) = (of("ok "), of("FAIL "));
    let pass = output.status.success() && !well.is_empty() && failed.is_empty();
    Ok(Verdict::new(
        pass,
        format!(
            "{}; {} checks hold, {} do not {failed:?}",
            output.status,
            well.len(),
            failed.len()
        ),
    ))
}
