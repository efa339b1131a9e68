//! The decision path does not allocate: counted by the allocator itself.
//!
//! A test binary of its own, because there is one allocator per process. Every count is of one
//! thread, so the harness may do what it likes on others. What allocates by design is counted
//! too, so that the documentation of performance cannot promise more than holds.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(
    unsafe_code,
    reason = "an allocator can only be written with it; it forwards every call unchanged"
)]

#[path = "../benches/scene/mod.rs"]
mod scene;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use tidegate::contract::Method;
use tidegate::gateway::governor::Course;
use tidegate::observation::{Lateness, Offered, OpenToken, TICK_NS, Ticker};
use tidegate::pipeline;
use tidegate::units::Tier;

/// The system's allocator, counting.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is being torn down has no count any more, and needs none.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: each method hands its arguments to `System` and its result back; the counter is a
// thread-local `Cell` with constant initialisation, so counting never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` ran.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    let found = allocations(|| {
        let mut some = black_box(Vec::<u8>::with_capacity(8));
        some.reserve_exact(black_box(64));
        black_box(&some);
    });
    assert_eq!(found, 2);
}

#[test]
fn the_pipeline_does_not_allocate() {
    for tier in [Tier::ObserveOnly, Tier::Control] {
        let registry = scene::registry(tier);
        let rulebook = registry.active().load_full();
        let failing = scene::failing_path();
        let busy = scene::paths();
        for (what, method, path) in [
            ("contracted", Method::Get, busy[0].as_str()),
            ("distressed", Method::Get, failing.as_str()),
            ("wrong method", Method::Delete, busy[0].as_str()),
            ("unknown path", Method::Get, "/nobody/knows/this"),
            ("no single meaning", Method::Get, "/a/../b"),
        ] {
            let serve = |number| {
                let arrival = scene::arrival(number);
                let admission = scene::admit(&rulebook, method, path, &arrival);
                let completion = scene::answered(arrival.at, 200);
                pipeline::complete(&rulebook, 0, &admission, Lateness::InTime, &completion);
            };
            let first = allocations(|| serve(0));
            let found = allocations(|| (1..101).for_each(serve));
            // Only a path that no contract has is read more loosely, and that takes a few texts.
            let most = if what == "no single meaning" {
                100 * 12
            } else {
                0
            };
            assert!(found <= most, "{what} under {tier:?}: {found}");
            // The first answer of a contract makes room for latencies like its own.
            let at_first = most / 100 + 1;
            assert!(first <= at_first, "{what} under {tier:?}: {first} at first");
        }
    }
}

#[test]
fn a_forwarded_request_at_the_desk_does_not_allocate() {
    for tier in [Tier::ObserveOnly, Tier::Control] {
        let mut office = scene::office(tier);
        // The first requests fill tables: routes of the rulebook, places of open requests.
        for number in 0..1_000 {
            office.serve(number);
        }
        office.empty_ring();
        let found = allocations(|| {
            for number in 1_000..2_000 {
                office.serve(number);
            }
        });
        assert_eq!(found, 0, "under {tier:?}");
    }
}

// A flood of requests over a limit must not be a flood of allocations.
#[test]
fn a_refused_request_with_its_answer_does_not_allocate() {
    let mut office = scene::office(Tier::Control);
    for number in 0..1_000 {
        office.serve_refused(number);
    }
    office.empty_ring();
    let mut out = Vec::with_capacity(4_096);
    let found = allocations(|| {
        for number in 1_000..2_000 {
            let exchange = office.serve_refused(number);
            let Course::Answer(answer) = exchange.course() else {
                panic!("request {number} was not refused");
            };
            assert_eq!(answer.status, 429);
            out.clear();
            answer.write_http1(exchange.decision_id(), true, &[], &mut out);
        }
    });
    assert!(out.ends_with(b"\"violated-policies\":[\"contract\"]}"));
    assert_eq!(found, 0);
}

#[test]
fn a_tick_allocates_two_pieces_a_route_and_minute_at_most() {
    let registry = scene::registry(Tier::Control);
    let rulebook = registry.active().load_full();
    let mut ticker = Ticker::default();
    let mut minutes = |first: u64, last: u64| {
        for tick in first * 600..last * 600 {
            for route in 0..scene::BUSY_ROUTES {
                let totals = rulebook.board().touch(0, route).expect("a route");
                totals.note_offered(Offered::Ordinary);
                totals.note_outcome(tick * 100, false, tick.is_multiple_of(11), false);
            }
            let now = scene::at(0).plus_nanos(tick * TICK_NS);
            pipeline::tick(&rulebook, &mut ticker, now);
        }
    };
    minutes(0, 1);
    // Room for latencies of every size.
    for route in 0..scene::BUSY_ROUTES {
        let totals = rulebook.board().touch(0, route).expect("a route");
        (0..40).for_each(|power| totals.note_outcome(1 << power, false, false, false));
    }
    // What a minute brings takes its place in the windows, which hold no more than they need.
    let most = 3 * 2 * scene::BUSY_ROUTES as u64;
    let found = allocations(|| minutes(1, 4));
    assert!((1..=most).contains(&found), "{found} of {most}");
}

#[test]
fn what_allocates_by_design_stays_bounded() {
    let mut office = scene::office(Tier::Control);
    for (what, method, path, most) in [
        ("a path that is rewritten", "GET", "/api/v1/svc1/res%30", 3),
        ("an unknown path", "GET", "/nobody/knows/this", 4),
        ("a wrong method", "DELETE", "/api/v1/svc1/res0", 0),
    ] {
        let mut serve = |number| {
            let mut facts = scene::facts(&office.headers, path, number);
            facts.method = method;
            let exchange = black_box(office.desk.admit(&facts));
            let token = OpenToken::of(exchange.ticket());
            office.desk.complete(token, &scene::ended(number));
        };
        serve(0);
        let found = allocations(|| serve(1));
        println!("{what}: {found} allocations");
        assert!(found <= most, "{what}: {found} allocations");
    }
}
