//! How results are shown: a line each, and a page with the commit.

use std::fmt::Write as _;
use std::path::Path;

use super::PartResult;

fn word(result: &PartResult) -> &'static str {
    if result.pass { "pass" } else { "fall short" }
}

/// One line for a terminal.
pub(super) fn line(name: &str, result: &PartResult) -> String {
    let kept = if result.kept { " (kept)" } else { "" };
    format!(
        "{name:<12} {:<10} {:>4} s{kept}  {}",
        word(result),
        result.seconds,
        result.figure
    )
}

/// The page of a full run of a list.
pub(super) fn write(
    list: &str,
    title: &str,
    commit: &str,
    rows: &[(&str, &str, Option<&PartResult>)],
) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut page = format!(
        "# {title}\n\n`make accept-{list} SCALE=full` at commit `{commit}`, \
         {cores} cores, loopback.\n\n| part | asks | figure | verdict |\n|---|---|---|---|\n"
    );
    for (name, asks, result) in rows {
        let figure = result.map_or("-".to_owned(), |r| {
            without_folders(&r.figure).replace('|', "/")
        });
        let verdict = result.map_or("not run", word);
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| {name} | {asks} | {figure} | {verdict} |");
    }
    let folder = Path::new("docs/acceptance");
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(format!("{list}.md")), page)?;
    Ok(())
}

/// A figure without the folder of the machine that ran it: the page is for strangers.
fn without_folders(figure: &str) -> String {
    match std::env::current_dir() {
        Ok(folder) => figure.replace(&format!("{}/", folder.display()), ""),
        Err(_) => figure.to_owned(),
    }
}
