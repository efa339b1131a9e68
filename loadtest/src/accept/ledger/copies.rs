//! Two processes on one directory; a directory that was copied and goes on in two places.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::account::Account;
use super::{Context, Verdict};
use crate::accept::chain::{second_process, verified};
use crate::drive;
use crate::site::{PATIENCE, Setup, Site, said};
use crate::upstream::Upstream;

pub(super) fn told_apart(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let setup = Setup {
        contracts: 20,
        ..Setup::observing(upstream.address())
    };
    let site = Site::prepare(&context.folder("copies"), &setup)?;
    let second = second_process(context)?;
    go_on(&site, 500)?;

    let copy = site.folder().join("copied");
    copy_folder(&site.ledger(), &copy)?;
    // Both go on: the original first, then the copy in its place.
    go_on(&site, 200)?;
    let head_of_original = head(&site)?;
    let original = site.folder().join("original");
    std::fs::rename(site.ledger(), &original)?;
    std::fs::rename(&copy, site.ledger())?;
    go_on(&site, 300)?;
    let moved = Account::of(&site)?;
    let intact = verified(&site)?.code;
    let told_moved = moves(&site)?;
    // By itself each is whole; only a head kept elsewhere shows that there were two.
    let note = site.folder().join("original.note");
    std::fs::write(&note, head_of_original)?;
    let forked = site.run(&[
        "ledger",
        "verify",
        "--head",
        &note.display().to_string(),
        &site.ledger().display().to_string(),
    ])?;
    let pass = second.pass
        && intact == Some(0)
        && told_moved == 1
        && forked.status.code() == Some(65)
        && moved.of_kind("open") == 2;
    let figure = format!(
        "a second process: {}; the copy alone: exit {intact:?}, its open says moved: {told_moved}; against the original's head: exit {:?} ({})",
        second.figure,
        forked.status.code(),
        said(&forked).chars().take(160).collect::<String>(),
    );
    Ok(Verdict::new(pass, figure))
}

fn go_on(site: &Site, requests: u64) -> anyhow::Result<()> {
    let mut gateway = site.start()?;
    drive::run(&drive::Options::new(site.listen, "echo", requests))?;
    gateway.stop(PATIENCE)?;
    Ok(())
}

fn head(site: &Site) -> anyhow::Result<String> {
    let path = site.ledger().join("checkpoint");
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// `open` records that say that the directory is another one.
fn moves(site: &Site) -> anyhow::Result<u64> {
    let mut moves = 0;
    crate::site::lines(&site.ledger(), |line| {
        moves += u64::from(line["kind"] == "open" && line["moved"] == true);
    })?;
    Ok(moves)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    let output = Command::new("cp").arg("-r").arg(from).arg(to).output()?;
    anyhow::ensure!(output.status.success(), "cp: {}", said(&output));
    Ok(())
}
