//! SIGKILL under load, many times: clients keep the ids of answered requests, and each that was
//! answered longer ago than the durable lag must be in the ledger; what else was made is told
//! exactly by the next start.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::account::Account;
use super::{Context, Verdict};
use crate::accept::chain::verified;
use crate::ask::Client;
use crate::site::{PATIENCE, Setup, Site};
use crate::upstream::Upstream;

/// What docs/ledger-format.md states: a decision is durable at most a second after it was made.
const DURABLE_LAG: Duration = Duration::from_secs(1);
/// Clients of one gateway.
const CLIENTS: usize = 3;
/// Gateways that are killed side by side.
const SIDES: usize = 3;
/// Between two requests of one client, so that the clients leave the gateway its cores.
const PAUSE: Duration = Duration::from_micros(300);

/// What a side found.
#[derive(Default)]
struct Found {
    kills: u64,
    answered: u64,
    promised: u64,
    missing: u64,
    younger_missing: u64,
    made: u64,
    unaccounted: u64,
    unbalanced: u64,
    not_intact: u64,
}

pub(super) fn under_load(context: &Context) -> anyhow::Result<Verdict> {
    let kills: u64 = context.pick(6, 201);
    let found: Vec<anyhow::Result<Found>> = std::thread::scope(|scope| {
        let sides = (0..SIDES).map(|side| {
            scope.spawn(move || {
                let folder = context.folder(&format!("kills-{side}"));
                one_side(&folder, kills / SIDES as u64)
            })
        });
        let sides: Vec<_> = sides.collect();
        let joined = sides.into_iter().map(|side| side.join());
        joined
            .map(|side| side.unwrap_or_else(|_| Err(anyhow::anyhow!("a side panicked"))))
            .collect()
    });
    let mut all = Found::default();
    for side in found {
        let side = side?;
        all.kills += side.kills;
        all.answered += side.answered;
        all.promised += side.promised;
        all.missing += side.missing;
        all.younger_missing += side.younger_missing;
        all.made += side.made;
        all.unaccounted += side.unaccounted;
        all.unbalanced += side.unbalanced;
        all.not_intact += side.not_intact;
    }
    let pass = all.missing == 0
        && all.unbalanced == 0
        && all.not_intact == 0
        && all.promised > 0
        && all.younger_missing <= all.unaccounted;
    let figure = format!(
        "{} kills; {} answers with a decision id, {} of them more than {} ms before the kill: {} missing; \
         {} of the younger ones missing; {} decisions made, {} of them told as unaccounted, {} boots that do not balance; {} ledgers not intact",
        all.kills,
        all.answered,
        all.promised,
        DURABLE_LAG.as_millis(),
        all.missing,
        all.younger_missing,
        all.made,
        all.unaccounted,
        all.unbalanced,
        all.not_intact,
    );
    Ok(Verdict::new(pass, figure))
}

fn one_side(folder: &std::path::Path, kills: u64) -> anyhow::Result<Found> {
    let upstream = Upstream::start()?;
    let setup = Setup {
        contracts: 20,
        ..Setup::observing(upstream.address())
    };
    let site = Site::prepare(folder, &setup)?;
    site.ledger_keys("segment_mib: 1, compress: false")?;
    let mut answered: Vec<(bool, String)> = Vec::new();
    for kill in 0..kills {
        let mut gateway = site.start()?;
        let ended = AtomicBool::new(false);
        let (killed_at, ids) = std::thread::scope(|scope| -> anyhow::Result<_> {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| scope.spawn(|| requests(site.listen, &ended)))
                .collect();
            // The kill falls at another moment of the sync interval each time.
            std::thread::sleep(DURABLE_LAG + Duration::from_millis(200 + kill * 37 % 300));
            let killed_at = Instant::now();
            let killed = gateway.kill();
            ended.store(true, Ordering::Relaxed);
            killed?;
            let mut ids = Vec::new();
            for client in clients {
                let client = client
                    .join()
                    .map_err(|_| anyhow::anyhow!("a client panicked"))?;
                ids.extend(client);
            }
            Ok((killed_at, ids))
        })?;
        answered.extend(
            ids.into_iter()
                .map(|(at, id)| (killed_at.saturating_duration_since(at) > DURABLE_LAG, id)),
        );
    }
    site.start()?.stop(PATIENCE)?;
    let account = Account::of(&site)?;
    let missing = |promised: bool| {
        let gone = answered
            .iter()
            .filter(|(was, id)| *was == promised && !account.decision_ids.contains(id));
        gone.count() as u64
    };
    let report = verified(&site)?;
    Ok(Found {
        kills,
        answered: answered.len() as u64,
        promised: answered.iter().filter(|(promised, _)| *promised).count() as u64,
        missing: missing(true),
        younger_missing: missing(false),
        made: account.made(),
        unaccounted: account.unaccounted(),
        unbalanced: account
            .boots
            .values()
            .filter(|boot| !boot.balances())
            .count() as u64,
        not_intact: u64::from(report.code != Some(0)),
    })
}

/// Asks until the gateway is gone; when each answer was there, and its decision id.
fn requests(listen: SocketAddr, ended: &AtomicBool) -> Vec<(Instant, String)> {
    let mut answers = Vec::new();
    let Ok(mut client) = Client::new(listen) else {
        return answers;
    };
    while !ended.load(Ordering::Relaxed) {
        let Ok(reply) = client.get("/echo").context("a request") else {
            continue;
        };
        if let Some(id) = reply.head.header("tidegate-decision-id") {
            answers.push((Instant::now(), id.to_owned()));
        }
        std::thread::sleep(PAUSE);
    }
    answers
}
