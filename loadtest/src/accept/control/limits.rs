//! Rate limits: what passes at once, what is told to the rest, and how much passes in an hour.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::super::{Context, Verdict};
use crate::ask::{Client, Reply};
use crate::site::{PATIENCE, Site, said};
use crate::upstream::Upstream;

const BURST: u64 = 5;
const PER_MINUTE: u64 = 10;
const CONTRACTS: &str = "version: 1\ncontracts:\n  - {id: ten_v1, owner: me, endpoint: \"GET /ten\", rate_limit_rpm: 10, burst: 5}\n";
/// Requests of the burst.
const REQUESTS: usize = 200;
const HOUR_MS: u64 = 3_600_000;

// R015, R050
pub(super) fn burst(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let site = Site::controlling(&context.folder("limits"), upstream.address(), CONTRACTS)?;
    let mut gateway = site.start()?;
    let mut client = Client::new(site.listen)?;
    let began = Instant::now();
    let mut replies = Vec::new();
    for _ in 0..REQUESTS {
        replies.push(client.get("/ten")?);
    }
    let took = began.elapsed();
    let of = |status: u16| {
        replies
            .iter()
            .filter(|reply| reply.status == status)
            .count()
    };
    let (passed, refused) = (of(200), of(429));
    let untold = replies
        .iter()
        .filter(|reply| reply.status == 429 && !tells(reply))
        .count();
    let in_order = replies.iter().take(passed).all(|reply| reply.status == 200);

    let mut wait = replies.last().and_then(|reply| reply.number("retry-after"));
    let mut obeyed = Vec::new();
    for _ in 0..context.pick(1, 3) {
        let seconds = wait.context("no Retry-After")?;
        std::thread::sleep(Duration::from_secs(seconds));
        obeyed.push((seconds, client.get("/ten")?.status));
        wait = client.get("/ten")?.number("retry-after");
    }
    gateway.stop(PATIENCE)?;
    let pass = passed as u64 == BURST
        && refused == REQUESTS - passed
        && in_order
        && untold == 0
        && took < Duration::from_secs(1)
        && obeyed.iter().all(|(_, status)| *status == 200)
        && upstream.seen().requests == BURST + obeyed.len() as u64;
    let figure = format!(
        "{REQUESTS} in {} ms: {passed} passed, {refused} times 429, {untold} of them without Retry-After, RateLimit or RateLimit-Policy; \
         after Retry-After (seconds, status): {obeyed:?}; at the upstream {}",
        took.as_millis(),
        upstream.seen().requests,
    );
    Ok(Verdict::new(pass, figure))
}

/// Whether a refusal says when to come again, and what the limit is.
fn tells(reply: &Reply) -> bool {
    let named = |name| {
        reply
            .head
            .header(name)
            .is_some_and(|value| value.contains("\"contract\""))
    };
    reply
        .number("retry-after")
        .is_some_and(|seconds| (1..=60).contains(&seconds))
        && named("ratelimit")
        && named("ratelimit-policy")
        && reply.head.header("content-type") == Some("application/problem+json")
}

// R015
pub(super) fn hour(context: &Context) -> anyhow::Result<Verdict> {
    let nowhere = ([127, 0, 0, 1], 9).into();
    let site = Site::controlling(&context.folder("hour"), nowhere, CONTRACTS)?;
    let limit = PER_MINUTE * 60;
    let (mut pass, mut figures) = (true, Vec::new());
    for phase in 0..context.pick(3, 12) {
        // Each phase begins elsewhere in the minute and comes in its own rhythm.
        let (from, gap) = (phase * 4_999, 450 + phase * 97);
        std::fs::write(site.folder().join("traffic.jsonl"), traffic(from, gap))?;
        let output = site.run(&["simulate", "traffic.jsonl", "-c", "tidegate.yaml"])?;
        anyhow::ensure!(output.status.success(), "simulate: {}", said(&output));
        let (mut admitted, mut all) = (0_u64, 0_u64);
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let record: Value = serde_json::from_str(line)?;
            all += 1;
            admitted += u64::from(record["decision"] == "ALLOW");
        }
        pass &= admitted.abs_diff(limit) <= BURST && all == HOUR_MS.div_ceil(gap);
        figures.push(format!("{admitted} of {all}"));
    }
    Ok(Verdict::new(
        pass,
        format!(
            "limit {limit} an hour, burst {BURST}; admitted by phase: {}",
            figures.join(", ")
        ),
    ))
}

fn traffic(from: u64, gap: u64) -> String {
    let mut text = String::new();
    for n in 0..HOUR_MS.div_ceil(gap) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{{\"at_ms\":{},\"method\":\"GET\",\"url\":\"/ten\",\"client\":\"10.0.0.{}\",\"status\":200,\"latency_ms\":3}}",
            from + n * gap,
            n % 7
        );
    }
    text
}
