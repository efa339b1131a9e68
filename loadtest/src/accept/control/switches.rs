//! What lowers a tier while the gateway runs, and for one listener of it.

use super::super::{Context, Verdict};
use crate::ask::Client;
use crate::site::{PATIENCE, Site, free, post, said};
use crate::upstream::Upstream;

const CONTRACTS: &str =
    "version: 1\ncontracts:\n  - {id: plain_v1, owner: me, endpoint: \"GET /plain\"}\n";
/// A request that is refused where the gateway acts.
const UNKNOWN: &str = "/nowhere";

// R059
pub(super) fn hold(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let site = Site::controlling(&context.folder("switches"), upstream.address(), CONTRACTS)?;
    let milder = free()?;
    let listeners = format!(
        "listeners: [{{ bind: \"{}\" }}, {{ bind: \"{milder}\", tier: observe_only }}]",
        site.listen
    );
    site.amend(
        &format!("listeners: [{{ bind: \"{}\" }}]", site.listen),
        &listeners,
    )?;
    let mut gateway = site.start()?;
    // A connection keeps its place, so what changes holds for running connections too.
    let mut client = Client::new(site.listen)?;
    let mut steps: Vec<(&str, u16, u16)> = Vec::new();
    steps.push(("controlling", 404, client.get(UNKNOWN)?.status));
    steps.push((
        "milder listener",
        200,
        Client::new(milder)?.get(UNKNOWN)?.status,
    ));
    let lowered = post(site.admin, "/v1/tier", r#"{"tier":"observe_only"}"#)?.0;
    steps.push(("lowered", 200, lowered));
    steps.push(("observing", 200, client.get(UNKNOWN)?.status));
    let raised = post(site.admin, "/v1/tier", r#"{"tier":"control"}"#)?.0;
    steps.push(("raised", 409, raised));
    steps.push(("still observing", 200, client.get(UNKNOWN)?.status));
    let reloaded = post(site.admin, "/v1/reload", "{}")?.0;
    steps.push(("reloaded", 200, reloaded));
    steps.push(("observing after a reload", 200, client.get(UNKNOWN)?.status));
    gateway.stop(PATIENCE)?;
    gateway = site.start()?;
    let mut client = Client::new(site.listen)?;
    steps.push((
        "observing after a restart",
        200,
        client.get(UNKNOWN)?.status,
    ));
    let output = site.run(&["tier", "reset", "-c", "tidegate.yaml"])?;
    anyhow::ensure!(output.status.success(), "tier reset: {}", said(&output));
    steps.push(("controlling again", 404, client.get(UNKNOWN)?.status));
    gateway.stop(PATIENCE)?;

    let wrong: Vec<_> = steps.iter().filter(|step| step.1 != step.2).collect();
    let suppressed = site
        .decisions()?
        .iter()
        .filter(|record| record["tier"] == "OBSERVE_ONLY" && record["decision"] != "ALLOW")
        .count();
    let pass = wrong.is_empty() && suppressed == 5;
    let said: Vec<String> = steps
        .iter()
        .map(|(what, _, status)| format!("{what} {status}"))
        .collect();
    Ok(Verdict::new(
        pass,
        format!(
            "{}; {suppressed} of 5 refusals only recorded; wrong {wrong:?}",
            said.join(", ")
        ),
    ))
}
