//! The functions whose instructions `make gate` counts: `gate NAME [FAULT]` runs one of them.
//!
//! Each is `#[inline(never)]`, takes its input ready-made and makes the number of calls that
//! benches/gate.tsv names, so that the count divided by it is the cost of one call.
//! Everything has run before it is counted: tables are filled, routes have traffic.
//!
//! A fault is committed once with every call, so that anybody can see that the gate finds it:
//! `allocation` or `clock`. Without one there is nothing in its place.

#![allow(missing_docs, clippy::expect_used, clippy::panic)]

#[path = "../benches/scene/mod.rs"]
mod scene;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use scene::Office;
use tidegate::contract::{CanonicalPath, Method, canonicalise};
use tidegate::gateway::governor::{Course, DecisionId};
use tidegate::gateway::head_len;
use tidegate::gateway::respond::Answer;
use tidegate::gateway::settings::Limits;
use tidegate::ledger::{BootId, Chain, EntryBuilder, Lane, Producer, Source, ring};
use tidegate::observation::{Completion, Lateness};
use tidegate::pipeline::{self, Admission};
use tidegate::record::{Encoder, Event};
use tidegate::rulebook::Rulebook;
use tidegate::units::Tier;

const CALLS: u64 = 1_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let known = match arguments.next().as_deref() {
        None => measure(&name, || ()),
        Some("allocation") => measure(&name, || drop(black_box(Box::new(0_u64)))),
        Some("clock") => measure(&name, || _ = black_box(Instant::now())),
        Some(_) => false,
    };
    if known {
        return ExitCode::SUCCESS;
    }
    eprintln!("gate: no function {name:?} or no such fault; see benches/gate.tsv");
    ExitCode::from(2)
}

/// Whether there is a function of that name, which then has run.
fn measure(name: &str, fault: impl Fn()) -> bool {
    use Tier::{Control, ObserveOnly};
    match name {
        "admit_observe" => with_rulebook(ObserveOnly, |r, paths| admit_observe(r, paths, fault)),
        "admit_control" => with_rulebook(Control, |r, paths| admit_control(r, paths, fault)),
        "complete_answered" => with_rulebook(Control, |rulebook, paths| {
            let admit =
                |n: u64| scene::admit(rulebook, Method::Get, path(paths, n), &scene::arrival(n));
            let answered = scene::answered(scene::at(0), 200);
            // A contract's first answer makes room for its latencies.
            for number in 0..scene::BUSY_ROUTES as u64 {
                pipeline::complete(rulebook, 0, &admit(number), Lateness::InTime, &answered);
            }
            let admissions: Vec<Admission> = (0..CALLS).map(admit).collect();
            complete_answered(rulebook, &admissions, &answered, fault);
        }),
        "match_1000" => with_rulebook(Control, |rulebook, _| {
            let paths = scene::paths();
            let canonical = |path| canonicalise(str::as_bytes(path)).expect("a canonical path");
            let paths: Vec<_> = paths.iter().map(|path| canonical(path)).collect();
            match_1000(rulebook, &paths, fault);
        }),
        "path_1000" => with_rulebook(Control, |rulebook, _| {
            path_1000(rulebook, &scene::paths(), fault);
        }),
        "desk_observe" => with_office(ObserveOnly, |office| desk_observe(office, fault)),
        "desk_control" => with_office(Control, |office| desk_control(office, fault)),
        "desk_refused" => with_refusing_office(|office| desk_refused(office, fault)),
        "answer_429" => with_refusing_office(|office| {
            let exchange = office.serve_refused(CALLS);
            let Course::Answer(answer) = exchange.course() else {
                panic!("the limit is used up");
            };
            let mut out = Vec::with_capacity(4_096);
            answer_429(answer, exchange.decision_id(), &mut out, fault);
        }),
        "ring_push" => {
            let event = scene::office(ObserveOnly).event();
            let source = Source {
                boot: BootId::from_u32(1),
                worker: 0,
            };
            let (mut producer, _consumer) = ring::<Event>(source, scene::RING_EVENTS);
            ring_push(&mut producer, &event, fault);
        }
        "line_members" => lines(fault),
        "edge_head" => edge_head(scene::BROWSER_HEAD, &Limits::default(), fault),
        _ => return false,
    }
    true
}

fn with_rulebook(tier: Tier, run: impl FnOnce(&Rulebook, &[String])) {
    let mut paths = scene::paths();
    paths.truncate(scene::BUSY_ROUTES);
    let registry = scene::registry(tier);
    run(&registry.active().load_full(), &paths);
}

fn with_office(tier: Tier, run: impl FnOnce(&mut Office)) {
    let mut office = scene::office(tier);
    for number in 0..CALLS {
        office.serve(number);
    }
    run(&mut office);
}

/// An office at which the limit of the contract that refuses has been used up.
fn with_refusing_office(run: impl FnOnce(&mut Office)) {
    let mut office = scene::office(Tier::Control);
    for number in 0..CALLS {
        office.serve_refused(number);
    }
    run(&mut office);
}

fn path(paths: &[String], number: u64) -> &str {
    let place = number as usize % scene::BUSY_ROUTES;
    paths.get(place).map_or("/", String::as_str)
}

#[inline(always)]
fn admit(rulebook: &Rulebook, paths: &[String], fault: impl Fn()) {
    let mut admission = Admission::at_rest(&scene::arrival(0));
    for number in 0..CALLS {
        let arrival = scene::arrival(number);
        let path = black_box(path(paths, number));
        // Looked at where it is: handing it over would copy it.
        scene::admit_into(&mut admission, rulebook, Method::Get, path, &arrival);
        black_box(&admission);
        fault();
    }
}

#[inline(never)]
fn admit_observe(rulebook: &Rulebook, paths: &[String], fault: impl Fn()) {
    admit(black_box(rulebook), paths, fault);
}

#[inline(never)]
fn admit_control(rulebook: &Rulebook, paths: &[String], fault: impl Fn()) {
    admit(black_box(rulebook), black_box(paths), fault);
}

#[inline(never)]
fn complete_answered(
    rulebook: &Rulebook,
    admissions: &[Admission],
    completion: &Completion,
    fault: impl Fn(),
) {
    for admission in admissions {
        pipeline::complete(
            rulebook,
            0,
            black_box(admission),
            Lateness::InTime,
            black_box(completion),
        );
        fault();
    }
}

#[inline(never)]
fn match_1000(rulebook: &Rulebook, paths: &[CanonicalPath<'_>], fault: impl Fn()) {
    for path in paths.iter().cycle().take(CALLS as usize) {
        let path = black_box(path);
        let pairing = rulebook
            .catalogue()
            .pair(Method::Get, path.as_bytes(), Ok(path));
        black_box(pairing);
        fault();
    }
}

/// From the bytes of an ordinary path to its contract: what the one view costs.
#[inline(never)]
fn path_1000(rulebook: &Rulebook, paths: &[String], fault: impl Fn()) {
    for path in paths.iter().cycle().take(CALLS as usize) {
        let raw_path = black_box(path.as_bytes());
        let path = canonicalise(raw_path);
        let path = path.as_ref().map_err(|fault| *fault);
        black_box(rulebook.catalogue().pair(Method::Get, raw_path, path));
        fault();
    }
}

#[inline(never)]
fn desk_observe(office: &mut Office, fault: impl Fn()) {
    for number in CALLS..2 * CALLS {
        office.serve(number);
        fault();
    }
}

#[inline(never)]
fn desk_control(office: &mut Office, fault: impl Fn()) {
    for number in CALLS..2 * CALLS {
        black_box(&mut *office).serve(number);
        fault();
    }
}

#[inline(never)]
fn desk_refused(office: &mut Office, fault: impl Fn()) {
    for number in CALLS..2 * CALLS {
        black_box(office.serve_refused(number));
        fault();
    }
}

/// The answer as the bytes that go to the client.
#[inline(never)]
fn answer_429(answer: &Answer, id: DecisionId, out: &mut Vec<u8>, fault: impl Fn()) {
    for _ in 0..CALLS {
        out.clear();
        black_box(answer).write_http1(black_box(id), true, &[], out);
        black_box(&*out);
        fault();
    }
}

#[inline(never)]
fn edge_head(head: &[u8], limits: &Limits, fault: impl Fn()) {
    for _ in 0..CALLS {
        black_box(head_len(black_box(head), limits)).expect("an ordinary head");
        fault();
    }
}

#[inline(never)]
fn ring_push(producer: &mut Producer<Event>, event: &Event, fault: impl Fn()) {
    for _ in 0..CALLS {
        let number = producer.next_number();
        black_box(producer.push(Lane::Ordinary, Some(number), *black_box(event)));
        fault();
    }
}

fn lines(fault: impl Fn()) {
    let mut office = scene::office(Tier::ObserveOnly);
    let event = office.event();
    let mut encoder = Encoder::new(Arc::clone(&office.registry), "gateway-1");
    let mut chain = Chain::genesis();
    let mut out = Vec::with_capacity(4 << 20);
    for _ in 0..CALLS {
        chain.append(&mut out, |entry| {
            line_members(&mut encoder, entry, &event, &fault);
        });
    }
}

/// The members of a record without frame and hash: what hashing costs depends on instructions
/// that the counting machine does not have.
#[inline(never)]
fn line_members(
    encoder: &mut Encoder,
    entry: &mut EntryBuilder<'_>,
    event: &Event,
    fault: impl Fn(),
) {
    encoder.encode(entry, 1, 0, black_box(event));
    fault();
}
