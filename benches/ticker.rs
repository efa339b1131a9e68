//! What the ticker costs: the share of one core, with every contract busy.
//!
//! The bars are 0.2 % at 100 contracts and 5 % at 10,000. Two threads count traffic on every
//! contract before each tick, so that the ticker finds their lines in foreign caches; its own CPU
//! time comes from the kernel, so busy neighbours do not count. Whole minutes are measured: what
//! is done once a minute is part of the cost.

#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tidegate::contract::{
    Catalogue, Contract, ContractId, ContractParts, Method, MethodSet, Terms,
};
use tidegate::observation::{Board, Offered, TICK_NS, Ticker};
use tidegate::pipeline;
use tidegate::policy::rules::Rules;
use tidegate::rulebook::{LocalParts, Registry, RulebookParts};
use tidegate::units::{Moment, Tier};

const WORKERS: usize = 2;
const TICKS_PER_MINUTE: u64 = 600;
/// Minutes before the measurement, so that every factor is known.
const MINUTES_BEFORE: u64 = 200;

fn main() {
    println!("contracts  traffic  us/tick  longest us  snapshot us  % of a core  bar");
    for (contracts, minutes, bar) in [(100, 5, 0.2), (1_000, 2, 0.5), (10_000, 2, 5.0)] {
        for (traffic, failing) in [("calm", false), ("failing", true)] {
            let (mean_us, longest_us, snapshot_us) = measure(contracts, minutes, failing);
            let share = mean_us / (TICK_NS as f64 / 1_000.0) * 100.0;
            let verdict = if share <= bar { "met" } else { "MISSED" };
            println!(
                "{contracts:>9}  {traffic:<7}  {mean_us:>7.1}  {longest_us:>10}  {snapshot_us:>11}  {share:>11.3}  {bar} {verdict}"
            );
        }
    }
}

fn registry(contracts: usize) -> Registry {
    let contract = |number: usize| {
        let id = ContractId::new(&format!("contract_{number}")).unwrap();
        let methods = MethodSet::EMPTY.with(Method::Get);
        let key = format!("GET /api/v1/resource{number}/{{id}}");
        Contract::new(ContractParts::new(id, &key, methods, Terms::default()))
    };
    Registry::new(RulebookParts::unsigned_local(LocalParts {
        catalogue: Catalogue::build((0..contracts).map(contract).collect()).unwrap(),
        rules: Rules::default(),
        tier: Tier::Control,
        content_digest: [0xab; 32],
        default_upstream: "orders".into(),
        workers: WORKERS,
    }))
}

/// Four requests on each contract; one in a hundred or so fails where `failing`.
fn count(board: &Board, worker: usize, contracts: usize, tick: u64, failing: bool) {
    for route in 0..contracts {
        if let Some(totals) = board.touch(worker, route) {
            for request in 0..2_u64 {
                let mixed = tick
                    .wrapping_mul(2_654_435_761)
                    .wrapping_add(request * 7 + route as u64);
                totals.note_offered(Offered::Ordinary);
                totals.note_forwarded();
                totals.note_outcome(
                    2_000 + mixed % 3_000,
                    false,
                    failing && mixed.is_multiple_of(101),
                    false,
                );
            }
        }
    }
}

fn measure(contracts: usize, minutes: u64, failing: bool) -> (f64, u128, u128) {
    let registry = registry(contracts);
    let rulebook = registry.active().load_full();
    let mut ticker = Ticker::default();
    let at = |tick: u64| Moment::default().plus_nanos(tick * TICK_NS);
    for minute in 0..MINUTES_BEFORE {
        (0..WORKERS).for_each(|worker| count(rulebook.board(), worker, contracts, minute, failing));
        pipeline::tick(&rulebook, &mut ticker, at(minute * TICKS_PER_MINUTE));
    }
    let (before, after) = (Barrier::new(WORKERS + 1), Barrier::new(WORKERS + 1));
    let ended = AtomicBool::new(false);
    let ticks = minutes * TICKS_PER_MINUTE;
    let (mut longest, mut spent) = (0, 0);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (rulebook, before, after, ended) = (&rulebook, &before, &after, &ended);
            scope.spawn(move || {
                for tick in 0.. {
                    before.wait();
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    count(rulebook.board(), worker, contracts, tick, failing);
                    after.wait();
                }
            });
        }
        let began = cpu_ns();
        for tick in 0..ticks {
            before.wait();
            after.wait();
            let began = Instant::now();
            let now = at(MINUTES_BEFORE * TICKS_PER_MINUTE + tick);
            pipeline::tick(&rulebook, &mut ticker, now);
            longest = longest.max(began.elapsed().as_micros());
        }
        spent = cpu_ns() - began;
        ended.store(true, Ordering::Relaxed);
        before.wait();
    });
    let began = Instant::now();
    let snapshot = ticker.snapshot(rulebook.board(), ticker.ticked());
    let snapshot_us = began.elapsed().as_micros();
    assert_eq!(snapshot.routes.len(), contracts + 1);
    (spent as f64 / 1_000.0 / ticks as f64, longest, snapshot_us)
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
