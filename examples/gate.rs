//! The functions whose instructions `make gate` counts: `gate NAME` runs one of them.
//!
//! Each is `#[inline(never)]`, takes its input ready-made and makes the number of calls that
//! benches/gate.tsv names, so that the count divided by it is the cost of one call.
//! Everything has run before it is counted: tables are filled, routes have traffic.

#![allow(missing_docs, clippy::expect_used)]

#[path = "../benches/scene/mod.rs"]
mod scene;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use scene::Office;
use tidegate::contract::{CanonicalPath, Method, canonicalise};
use tidegate::gateway::head_len;
use tidegate::gateway::settings::Limits;
use tidegate::ledger::{BootId, Chain, EntryBuilder, Lane, Producer, Source, ring};
use tidegate::observation::{Completion, Lateness};
use tidegate::pipeline::{self, Admission};
use tidegate::record::{Encoder, Event};
use tidegate::rulebook::Rulebook;
use tidegate::units::Tier;

const CALLS: u64 = 1_000;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    match name.as_str() {
        "admit_observe" => with_rulebook(Tier::ObserveOnly, admit_observe),
        "admit_control" => with_rulebook(Tier::Control, admit_control),
        "complete_answered" => {
            with_rulebook(Tier::Control, |rulebook, paths| {
                let admit = |n: u64| {
                    scene::admit(rulebook, Method::Get, path(paths, n), &scene::arrival(n))
                };
                let admissions: Vec<Admission> = (0..CALLS).map(admit).collect();
                complete_answered(rulebook, &admissions, &scene::answered(scene::at(0), 200));
            });
        }
        "match_1000" => with_rulebook(Tier::Control, |rulebook, _| {
            let paths = scene::paths();
            let canonical = |path| canonicalise(str::as_bytes(path)).expect("a canonical path");
            let paths: Vec<_> = paths.iter().map(|path| canonical(path)).collect();
            match_1000(rulebook, &paths);
        }),
        "path_1000" => with_rulebook(Tier::Control, |rulebook, _| {
            path_1000(rulebook, &scene::paths());
        }),
        "desk_observe" => with_office(Tier::ObserveOnly, desk_observe),
        "desk_control" => with_office(Tier::Control, desk_control),
        "ring_push" => {
            let event = scene::office(Tier::ObserveOnly).event();
            let source = Source {
                boot: BootId::from_u32(1),
                worker: 0,
            };
            let (mut producer, _consumer) = ring::<Event>(source, scene::RING_EVENTS);
            ring_push(&mut producer, &event);
        }
        "line_members" => lines(),
        "edge_head" => edge_head(scene::BROWSER_HEAD, &Limits::default()),
        _ => {
            eprintln!("gate: no function {name:?}; the names stand in benches/gate.tsv");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn with_rulebook(tier: Tier, run: impl FnOnce(&Rulebook, &[String])) {
    let mut paths = scene::paths();
    paths.truncate(scene::BUSY_ROUTES);
    let registry = scene::registry(tier);
    run(&registry.active().load_full(), &paths);
}

fn with_office(tier: Tier, run: impl FnOnce(&mut Office, u64)) {
    let mut office = scene::office(tier);
    for number in 0..CALLS {
        office.serve(number);
    }
    run(&mut office, CALLS);
}

fn path(paths: &[String], number: u64) -> &str {
    let place = number as usize % scene::BUSY_ROUTES;
    paths.get(place).map_or("/", String::as_str)
}

#[inline(always)]
fn admit(rulebook: &Rulebook, paths: &[String]) {
    for number in 0..CALLS {
        let arrival = scene::arrival(number);
        let path = black_box(path(paths, number));
        black_box(scene::admit(rulebook, Method::Get, path, &arrival));
    }
}

#[inline(never)]
fn admit_observe(rulebook: &Rulebook, paths: &[String]) {
    admit(black_box(rulebook), paths);
}

#[inline(never)]
fn admit_control(rulebook: &Rulebook, paths: &[String]) {
    admit(black_box(rulebook), black_box(paths));
}

#[inline(never)]
fn complete_answered(rulebook: &Rulebook, admissions: &[Admission], completion: &Completion) {
    for admission in admissions {
        pipeline::complete(
            rulebook,
            0,
            black_box(admission),
            Lateness::InTime,
            black_box(completion),
        );
    }
}

#[inline(never)]
fn match_1000(rulebook: &Rulebook, paths: &[CanonicalPath<'_>]) {
    for path in paths.iter().cycle().take(CALLS as usize) {
        let path = black_box(path);
        let pairing = rulebook
            .catalogue()
            .pair(Method::Get, path.as_bytes(), Ok(path));
        black_box(pairing);
    }
}

/// From the bytes of an ordinary path to its contract: what the one view costs.
#[inline(never)]
fn path_1000(rulebook: &Rulebook, paths: &[String]) {
    for path in paths.iter().cycle().take(CALLS as usize) {
        let raw_path = black_box(path.as_bytes());
        let path = canonicalise(raw_path);
        let path = path.as_ref().map_err(|fault| *fault);
        black_box(rulebook.catalogue().pair(Method::Get, raw_path, path));
    }
}

#[inline(never)]
fn desk_observe(office: &mut Office, from: u64) {
    for number in from..from + CALLS {
        office.serve(number);
    }
}

#[inline(never)]
fn desk_control(office: &mut Office, from: u64) {
    for number in from..from + CALLS {
        black_box(&mut *office).serve(number);
    }
}

#[inline(never)]
fn edge_head(head: &[u8], limits: &Limits) {
    for _ in 0..CALLS {
        black_box(head_len(black_box(head), limits)).expect("an ordinary head");
    }
}

#[inline(never)]
fn ring_push(producer: &mut Producer<Event>, event: &Event) {
    for _ in 0..CALLS {
        let number = producer.next_number();
        black_box(producer.push(Lane::Ordinary, Some(number), *black_box(event)));
    }
}

fn lines() {
    let mut office = scene::office(Tier::ObserveOnly);
    let event = office.event();
    let mut encoder = Encoder::new(Arc::clone(&office.registry), "gateway-1");
    let mut chain = Chain::genesis();
    let mut out = Vec::with_capacity(4 << 20);
    for _ in 0..CALLS {
        chain.append(&mut out, |entry| line_members(&mut encoder, entry, &event));
    }
}

/// The members of a record without frame and hash: what hashing costs depends on instructions
/// that the counting machine does not have.
#[inline(never)]
fn line_members(encoder: &mut Encoder, entry: &mut EntryBuilder<'_>, event: &Event) {
    encoder.encode(entry, 1, 0, black_box(event));
}
