//! The life of a bundle from an empty folder, as the README tells it.

use std::fs;

use serde_json::Value;

use super::super::{Context, Verdict};
use super::people::{self, ROOT};
use crate::site::{PATIENCE, Site, get, lines, said};
use crate::upstream::Upstream;

fn contracts(limit: u32) -> String {
    format!(
        "version: 1\ncontracts:\n  - {{id: one, owner: me, endpoint: \"GET /one\", rate_limit_rpm: {limit}}}\n"
    )
}

/// What was done, what should have come of it, and what did.
#[derive(Default)]
struct Steps {
    done: u32,
    wrong: Vec<String>,
}

impl Steps {
    fn check(&mut self, what: &str, holds: bool, told: &str) {
        self.done += 1;
        if !holds {
            self.wrong.push(format!("{what}: {told}"));
        }
    }

    /// A verb with the exit code that it has to have, and a word that it has to say.
    fn verb(&mut self, site: &Site, args: &[&str], code: i32, word: &str) -> anyhow::Result<()> {
        let output = site.run(args)?;
        let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let says = String::from_utf8_lossy(&text).contains(word);
        let told = format!("exit {:?}, {}", output.status.code(), said(&output));
        self.check(
            &args.join(" "),
            output.status.code() == Some(code) && says,
            &told,
        );
        Ok(())
    }

    /// Whether this bundle is in force, by the status.
    fn in_force(&mut self, site: &Site, digest: &str) -> anyhow::Result<()> {
        let status = site.told("/v1/status")?;
        let active = &status["bundle"]["active"]["digest"];
        self.check("in force", active == digest, &status["bundle"].to_string());
        Ok(())
    }
}

pub(super) fn from_an_empty_folder(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let folder = context.folder("story");
    let site = Site::controlling(&folder, upstream.address(), &contracts(600))?;
    people::found(&site)?;
    people::run_on_bundles(&site)?;
    people::agree(&site, "one.json", None)?;
    let mut steps = Steps::default();
    steps.verb(
        &site,
        &["bundle", "verify", "one.json", "--root", ROOT],
        0,
        "",
    )?;
    let first = people::digest(&site, "one.json")?;
    people::put(&folder.join("one.json"), &people::candidate(&site))?;

    let mut gateway = site.start()?;
    steps.in_force(&site, &first)?;
    let (status, _) = get(site.listen, "/one")?;
    steps.check("a request", status == 200, &status.to_string());

    site.write("contracts/own.yaml", &contracts(6_000))?;
    people::build(&site, "looser.json", Some("one.json"))?;
    people::sign(&site, "bob", "looser.json")?;
    let apply = |bundle| ["bundle", "apply", bundle, "-c", "tidegate.yaml"];
    steps.verb(&site, &apply("looser.json"), 1, "THRESHOLD_NOT_MET")?;
    steps.in_force(&site, &first)?;
    people::sign(&site, "carol", "looser.json")?;
    steps.verb(&site, &apply("looser.json"), 0, "")?;
    let second = people::digest(&site, "looser.json")?;
    steps.in_force(&site, &second)?;

    steps.verb(&site, &apply("one.json"), 1, "ROLLBACK_REJECTED")?;
    gateway.stop(PATIENCE)?;
    let mut gateway = site.start()?;
    steps.in_force(&site, &second)?;
    steps.verb(&site, &apply("one.json"), 1, "ROLLBACK_REJECTED")?;
    let mut bytes = fs::read(folder.join("looser.json"))?;
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    fs::write(folder.join("flipped.json"), bytes)?;
    steps.verb(&site, &apply("flipped.json"), 65, "")?;
    steps.verb(
        &site,
        &["bundle", "verify", "flipped.json", "--root", ROOT],
        65,
        "",
    )?;
    steps.in_force(&site, &second)?;
    told_everywhere(&site, &mut steps)?;
    gateway.stop(PATIENCE)?;
    recorded(&site, &mut steps)?;
    let figure = format!(
        "{} steps and checks, {} wrong {:?}",
        steps.done,
        steps.wrong.len(),
        steps.wrong
    );
    Ok(Verdict::new(steps.wrong.is_empty(), figure))
}

/// The last refusal in status, metrics and log.
fn told_everywhere(site: &Site, steps: &mut Steps) -> anyhow::Result<()> {
    let status = site.told("/v1/status")?;
    let last = &status["bundle"]["last_attempt"];
    let told = last["result"] == "refused" && last["code"].is_string();
    steps.check("the refusal in the status", told, &last.to_string());
    let metrics = site.metrics()?;
    let refused = metrics.labelled("tidegate_bundle_activations_total", "result=\"refused\"");
    steps.check(
        "the refusals in the metrics",
        refused > 1.5,
        &refused.to_string(),
    );
    let log = fs::read_to_string(site.folder().join(crate::site::LOG))?;
    let told = log.contains("ROLLBACK_REJECTED");
    steps.check(
        "the refusal in the log",
        told,
        "ROLLBACK_REJECTED is not there",
    );
    Ok(())
}

/// Activations and refusals in the ledger, which verifies.
fn recorded(site: &Site, steps: &mut Steps) -> anyhow::Result<()> {
    let mut changes: Vec<Value> = Vec::new();
    lines(&site.ledger(), |line| {
        if line["kind"] == "bundle" {
            changes.push(line.clone());
        }
    })?;
    let has = |result: &str, code: Option<&str>| {
        changes.iter().any(|change| {
            change["result"] == result && code.is_none_or(|code| change["code"] == code)
        })
    };
    let all = has("activated", None)
        && has("rejected", Some("THRESHOLD_NOT_MET"))
        && has("rejected", Some("ROLLBACK_REJECTED"));
    steps.check("each in the ledger", all, &format!("{changes:?}"));
    let verified = site.verify(&site.ledger())?;
    steps.check("the ledger", verified.status.success(), &said(&verified));
    Ok(())
}
