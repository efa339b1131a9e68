//! The shared words alone. A take that were a look and then a write would lose here, within
//! a few thousand rounds, what another thread wrote in between.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use tidegate::observation::{Backoff, Circuit, GcraWord, Limit, Mode, PROBES, Passage, RouteState};
use tidegate::units::{Millis, PerMinute};

use crate::{THREADS, on_all_workers};

const ROUNDS: u32 = 200_000;

/// How many hold something now, and how many at most may.
struct Holders {
    now: AtomicU32,
    max: u32,
}

/// Asks until it is granted. How many are refused in between is the scheduler's affair: a holder
/// may lose its core while it holds. A place that never came back would leave this asking for
/// ever, and the runner's time limit tells.
fn await_grant(ask: impl Fn() -> bool) {
    while !ask() {
        std::thread::yield_now();
    }
}

impl Holders {
    const fn at_most(max: u32) -> Self {
        Self {
            now: AtomicU32::new(0),
            max,
        }
    }

    /// Held for as short as a look at it takes.
    fn hold(&self) {
        let together = self.now.fetch_add(1, SeqCst) + 1;
        assert!(together <= self.max, "{together} of {} at once", self.max);
        self.now.fetch_sub(1, SeqCst);
    }

    fn all_back(self) {
        assert_eq!(self.now.into_inner(), 0);
    }
}

// R038, R073, R194
#[test]
fn places_are_never_shared_and_all_come_back() {
    const PLACES: u32 = 3;
    let route = RouteState::new("api", THREADS);
    let holders = Holders::at_most(PLACES);
    on_all_workers(|_| {
        for _ in 0..ROUNDS {
            await_grant(|| route.take_in_flight(Mode::Real, PLACES));
            holders.hold();
            route.release_in_flight(Mode::Real);
        }
    });
    holders.all_back();
    assert_eq!(route.in_flight(Mode::Real), 0);
    let fit = (0..=PLACES).filter(|_| route.take_in_flight(Mode::Real, PLACES));
    assert_eq!(fit.count(), PLACES as usize);
}

// R015, R073, R194
#[test]
fn a_rate_admits_its_share_however_many_ask_at_once() {
    const BURST: u32 = 10;
    let limit = Limit::new(PerMinute::new(1_000_000).unwrap(), NonZeroU32::new(BURST));
    // Three ask where two may.
    let step_ns = limit.period_ns() * 2 / 3;
    let begin_ns = 1_000_000_000_000;
    let (word, clock) = (GcraWord::default(), AtomicU64::new(begin_ns));
    let admitted = AtomicU64::new(0);
    on_all_workers(|_| {
        for _ in 0..ROUNDS {
            let now_ns = clock.fetch_add(step_ns, SeqCst);
            admitted.fetch_add(u64::from(word.take(&limit, now_ns)), SeqCst);
        }
    });
    let elapsed_ns = clock.into_inner() - begin_ns;
    let share = u64::from(BURST) + elapsed_ns / limit.period_ns();
    let admitted = admitted.into_inner();
    // The clock runs on by a step after the last one asked.
    assert!(admitted <= share + 1, "{admitted} of {share}");
    assert!(admitted >= share * 9 / 10, "{admitted} of {share}");
}

// R073, R194
#[test]
fn what_is_given_back_is_whole_however_many_take_at_once() {
    const BURST: u32 = 3;
    let limit = Limit::new(PerMinute::new(60).unwrap(), NonZeroU32::new(BURST));
    let word = GcraWord::default();
    let holders = Holders::at_most(BURST);
    let now_ns = 1_000_000_000_000;
    on_all_workers(|_| {
        for _ in 0..ROUNDS {
            await_grant(|| word.take(&limit, now_ns));
            holders.hold();
            word.give_back(&limit);
        }
    });
    holders.all_back();
    let left = (0..=BURST).filter(|_| word.take(&limit, now_ns));
    assert_eq!(left.count(), BURST as usize, "the burst is whole");
}

// R073, R076, R194
#[test]
fn probes_are_never_more_than_five_at_once() {
    let backoff = Backoff {
        first: Millis::new(1_000),
        longest: Millis::new(60_000),
    };
    let circuit = Circuit::new("api");
    let begin_ns = 1_000_000_000_000;
    assert!(circuit.trip(0, begin_ns, backoff));
    let now_ns = begin_ns + 1_200_000_000;
    let epoch = circuit.read(now_ns).epoch;
    let probes_max = PROBES as u32;
    let holders = Holders::at_most(probes_max);
    on_all_workers(|_| {
        for _ in 0..ROUNDS {
            await_grant(|| circuit.ask(now_ns, u64::MAX) == Passage::Probe);
            holders.hold();
            circuit.probe_given_back(epoch);
        }
    });
    holders.all_back();
    let fit = (0..=probes_max).filter(|_| circuit.ask(now_ns, u64::MAX) == Passage::Probe);
    assert_eq!(fit.count(), PROBES as usize);
}
