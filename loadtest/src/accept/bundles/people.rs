//! Three people with keys, a root of theirs, and the bundles that they make, all through the verbs.

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::Context as _;

use crate::site::{Site, said};

/// Who they are; the first one makes the bundles.
pub(crate) const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// The root, in the folder of the site.
pub(crate) const ROOT: &str = "root.json";

/// Makes keys and a root that two of the three sign, owners included.
pub(crate) fn found(site: &Site) -> anyhow::Result<()> {
    let mut principals = Vec::new();
    for name in NAMES {
        let key = key_of(name);
        let made = ok(site, &["bundle", "keygen", "--out", &key])?;
        let public = public_of(&made).with_context(|| format!("the public half of {name}"))?;
        principals.push(format!("{name}={public}"));
    }
    let mut args = vec!["root", "init", "--audience", "accept", "-o", ROOT];
    for principal in &principals {
        args.extend(["--principal", principal]);
    }
    let keys = [key_of("alice"), key_of("bob")];
    args.extend([
        "--group",
        "me=bob,carol",
        "--key",
        &keys[0],
        "--key",
        &keys[1],
    ]);
    ok(site, &args)?;
    ok(site, &["root", "verify", ROOT]).map(|_| ())
}

/// Lets the site's gateway take its rules from bundles alone.
pub(crate) fn run_on_bundles(site: &Site) -> anyhow::Result<()> {
    std::fs::create_dir_all(site.folder().join("bundles"))?;
    let root = site.folder().join(ROOT);
    let dir = site.folder().join("bundles");
    let section = format!(
        "version: 1\nbundle: {{ root: \"{}\", dir: \"{}\", on_none: refuse }}",
        root.display(),
        dir.display()
    );
    site.amend("version: 1", &section)
}

/// Builds a bundle from the site's files, signed by its author alone.
pub(crate) fn build(site: &Site, out: &str, parent: Option<&str>) -> anyhow::Result<()> {
    let key = key_of("alice");
    let mut args = vec![
        "bundle",
        "build",
        "-c",
        "tidegate.yaml",
        "--root",
        ROOT,
        "--author",
        "alice",
        "--key",
        &key,
        "--tier-max",
        "control",
        "-o",
        out,
    ];
    if let Some(parent) = parent {
        args.extend(["--parent", parent]);
    }
    ok(site, &args).map(|_| ())
}

/// One person signs.
pub(crate) fn sign(site: &Site, who: &str, bundle: &str) -> anyhow::Result<()> {
    ok(site, &["bundle", "sign", "--key", &key_of(who), bundle]).map(|_| ())
}

/// Builds, and everybody signs.
pub(crate) fn agree(site: &Site, out: &str, parent: Option<&str>) -> anyhow::Result<()> {
    build(site, out, parent)?;
    sign(site, "bob", out)?;
    sign(site, "carol", out)
}

/// Where the gateway finds its first bundle.
pub(crate) fn candidate(site: &Site) -> PathBuf {
    site.folder().join("bundles/bundle.json")
}

/// The bundle digest, as the verb prints it for machines.
pub(crate) fn digest(site: &Site, bundle: &str) -> anyhow::Result<String> {
    let output = site.run(&[
        "bundle", "verify", bundle, "--root", ROOT, "--format", "json",
    ])?;
    let told: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("verify {bundle}: {}", said(&output)))?;
    let digest = told["digest"].as_str().context("digest")?;
    Ok(digest.to_owned())
}

fn key_of(name: &str) -> String {
    format!("{name}.key")
}

/// The base64 of 32 bytes that the verb printed: 44 characters, the last one `=`.
fn public_of(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = |word: &&str| word.len() == 44 && word.ends_with('=');
    text.split_whitespace().find(word).map(str::to_owned)
}

/// Runs a verb that has to succeed.
pub(crate) fn ok(site: &Site, args: &[&str]) -> anyhow::Result<Output> {
    let output = site.run(args)?;
    let told = said(&output);
    anyhow::ensure!(
        output.status.success(),
        "tidegate {}: {told}",
        args.join(" ")
    );
    Ok(output)
}

/// Puts a file in place in one step.
pub(crate) fn put(from: &Path, to: &Path) -> anyhow::Result<()> {
    let under_way = to.with_extension("tmp");
    std::fs::copy(from, &under_way)?;
    std::fs::rename(&under_way, to)?;
    Ok(())
}
