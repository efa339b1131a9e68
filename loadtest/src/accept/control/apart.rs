//! Requests that wait for their turn, that are set apart, or whose connection is closed.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::time::Duration;

use super::super::{Context, Verdict};
use crate::ask::{Client, Reply};
use crate::site::{PATIENCE, Site};
use crate::upstream::Upstream;

/// A turn every 100 ms.
const DELAYED: &str = "version: 1\ncontracts:\n  - {id: slow_v1, owner: me, endpoint: \"GET /slow\", rate_limit_rpm: 600, burst: 1, throttle: {mode: delay, wait_max_ms: 800, held_max: 4}}\n";
const HELD_MAX: usize = 4;
const WAIT_MAX: Duration = Duration::from_millis(800);
const AT_ONCE: u8 = 20;

/// How far apart the decisions may be: half a turn. On a machine that stood still meanwhile, turns
/// came before the requests, and nothing can be said of who had to wait.
const TOGETHER_US: u64 = 50_000;
const TRIES: usize = 10;

struct Round {
    served: usize,
    waited: usize,
    refused: usize,
    longest: Duration,
    sound: bool,
    spread_us: u64,
}

// R050
pub(super) fn delayed(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let mut round = at_once(context, &upstream, 0)?;
    let mut tries = 1;
    while round.spread_us > TOGETHER_US && tries < TRIES {
        round = at_once(context, &upstream, tries)?;
        tries += 1;
    }
    let pass = round.sound && round.spread_us <= TOGETHER_US;
    Ok(Verdict::new(
        pass,
        format!(
            "{AT_ONCE} within {} ms (try {tries}), a turn every 100 ms, {HELD_MAX} may wait: {} served, {} of them waited, longest {} ms; {} refused",
            round.spread_us / 1_000,
            round.served,
            round.waited,
            round.longest.as_millis(),
            round.refused,
        ),
    ))
}

fn at_once(context: &Context, upstream: &Upstream, number: usize) -> anyhow::Result<Round> {
    let folder = context.folder(&format!("delay-{number}"));
    let site = Site::controlling(&folder, upstream.address(), DELAYED)?;
    let mut gateway = site.start()?;
    let start = Barrier::new(usize::from(AT_ONCE));
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let (start, listen) = (&start, site.listen);
        let ask = |n: u8| {
            let at = Ipv4Addr::new(127, 0, 5, n + 1);
            scope.spawn(move || {
                let client = Client::at(at, listen);
                start.wait();
                client?.get("/slow")
            })
        };
        // All threads have to be there before the first one is waited for.
        let all: Vec<_> = (0..AT_ONCE).map(ask).collect();
        let joined = all.into_iter().map(|one| {
            one.join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))?
        });
        joined.collect::<anyhow::Result<_>>()
    })?;
    gateway.stop(PATIENCE)?;
    let records = site.decisions()?;
    let of = |status: u16| replies.iter().filter(move |reply| reply.status == status);
    let longest = of(200).map(|reply| reply.took).max().unwrap_or_default();
    // One that takes long is recorded while it still runs.
    let waited = records
        .iter()
        .filter(|record| record["decision"] == "THROTTLE" && record["outcome"] != "refused")
        .count();
    let (served, refused) = (of(200).count(), of(429).count());
    let times: Vec<u64> = (records.iter().filter_map(|record| record["ts_us"].as_u64())).collect();
    let spread_us = times.iter().max().zip(times.iter().min());
    Ok(Round {
        served,
        waited,
        refused,
        longest,
        // A turn may come while the later ones still arrive, so a few more may be held in all.
        sound: served + refused == usize::from(AT_ONCE)
            && (2..=2 * HELD_MAX).contains(&waited)
            && served == waited + 1
            && longest < WAIT_MAX + Duration::from_millis(400)
            && longest > Duration::from_millis(90)
            && of(429).all(|reply| reply.number("retry-after").is_some()),
        spread_us: spread_us.map_or(u64::MAX, |(last, first)| last - first),
    })
}

const APART: &str = r#"version: 1
contracts:
  - {id: reject_v1, owner: me, endpoint: "GET /reject", per_client: {key: "header:x-api-key", rate_limit_rpm: 1, burst: 1}}
  - {id: divert_v1, owner: me, endpoint: "GET /divert", quarantine: {mode: divert, upstream: sandbox}, per_client: {key: "header:x-api-key", rate_limit_rpm: 1, burst: 1}}
  - {id: shadow_v1, owner: me, endpoint: "GET /shadow", quarantine: shadow, per_client: {key: "header:x-api-key", rate_limit_rpm: 1, burst: 1}}
  - {id: close_v1, owner: me, endpoint: "GET /close", drop: close}
"#;
/// Who is over the own limit is set apart at once.
const POLICY: &str = "version: 1\nname: apart\nbands: {low: 0.2, medium: 0.4, high: 0.45, critical: 0.95}\nweights: {rate_limit: 0.9}\n";

// R051, R052
pub(super) fn set_apart(context: &Context) -> anyhow::Result<Verdict> {
    let (main, sandbox) = (Upstream::start()?, Upstream::start()?);
    let site = Site::controlling(&context.folder("apart"), main.address(), APART)?;
    site.write("policy.yaml", POLICY)?;
    let upstreams = format!(
        "upstreams:\n  sandbox: {{ servers: [\"{}\"] }}\n",
        sandbox.address()
    );
    site.amend("upstreams:\n", &upstreams)?;
    let mut gateway = site.start()?;
    let mut client = Client::new(site.listen)?;
    let mut ask = |path: &str| -> anyhow::Result<(u16, String)> {
        let forged = [("X-Api-Key", "a"), ("Tidegate-Quarantine", "q-forged")];
        let reply = client.ask("GET", &format!("{path}?do=head"), &forged)?;
        Ok((
            reply.status,
            String::from_utf8_lossy(&reply.body).into_owned(),
        ))
    };
    // Twice within its limit, or one too many; then further ones over it.
    let mut told = Vec::new();
    for path in ["/reject", "/divert", "/shadow"] {
        told.push([ask(path)?, ask(path)?, ask(path)?]);
    }
    let close = client_closed(&site)?;
    gateway.stop(PATIENCE)?;
    let records = site.decisions()?;
    let case = |contract: &str| -> BTreeSet<String> {
        let own = records
            .iter()
            .filter(|record| record["contract_id"] == contract);
        own.filter_map(|record| record["case_id"].as_str().map(str::to_owned))
            .collect()
    };
    let cases = ["reject_v1", "divert_v1", "shadow_v1"].map(case);
    let statuses: Vec<Vec<u16>> = told
        .iter()
        .map(|all| all.iter().map(|one| one.0).collect())
        .collect();
    // Each case is one, and it is told where the request, or its refusal, arrives.
    let named = told.iter().zip(&cases).all(|(all, cases)| {
        let marked =
            |(_, body): &(u16, String)| cases.iter().any(|case| body.contains(case.as_str()));
        cases.len() == 1 && !marked(&all[0]) && all.iter().skip(1).all(marked)
    });
    let forged = told
        .iter()
        .flatten()
        .any(|(_, body)| body.contains("q-forged"));
    let reached = (main.seen().requests, sandbox.seen().requests);
    let dropped = records
        .iter()
        .filter(|record| record["decision"] == "DROP" && record["status"] == 0)
        .count();
    let pass = statuses == [[200, 403, 403], [200, 200, 200], [200, 200, 200]]
        && named
        && !forged
        && reached == (5, 2)
        && close == 0
        && dropped == 1;
    Ok(Verdict::new(
        pass,
        format!(
            "reject, divert, shadow: {statuses:?}; one case each, told to whom it concerns: {named}; forged marks passed: {forged}; \
             at the upstream and the sandbox {reached:?}; drop close: status {close}, {dropped} recorded with status 0"
        ),
    ))
}

/// The status of a dropped request whose contract closes: 0.
fn client_closed(site: &Site) -> anyhow::Result<u16> {
    let mut client = Client::new(site.listen)?;
    Ok(client
        .ask("POST", "/close", &[])
        .map_or(0, |reply| reply.status))
}
