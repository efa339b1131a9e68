//! Whole requests on all workers at once: what is taken is undone exactly, and nothing is lost.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use tidegate::contract::{
    Catalogue, Contract, ContractId, ContractIndex, ContractParts, Method, MethodSet, Pairing,
    Terms, Throttle,
};
use tidegate::observation::{
    Arrival, Backoff, CircuitState, ClientKey, Completion, Ending, Lateness, Mode, PROBES,
    RequestKey, Take, Ticker,
};
use tidegate::pipeline::{Admission, abandon, admit, complete, tick, turn_came};
use tidegate::policy::rules::Rules;
use tidegate::rulebook::{LocalParts, Rulebook, RulebookParts};
use tidegate::units::{BasisPoints, Factor, Millis, Moment, PerMinute, Tier};

use crate::{THREADS, on_all_workers};

const SECOND_NS: u64 = 1_000_000_000;
/// As many probes as pass at once.
const PROBES_MAX: u32 = PROBES as u32;

fn rulebook(terms: Terms) -> Rulebook {
    let mut rules = Rules::default();
    // A full route is in distress as well; without this a part of its requests is shed.
    let low = BasisPoints::saturating(1_000);
    rules.weights.set(Factor::Concurrency, low);
    let contract = Contract::new(ContractParts::new(
        ContractId::new("api").unwrap(),
        "GET /api",
        MethodSet::EMPTY.with(Method::Get),
        terms,
    ));
    let parts = RulebookParts::unsigned_local(LocalParts {
        catalogue: Catalogue::build(vec![contract]).unwrap(),
        rules,
        tier: Tier::Control,
        content_digest: [0; 32],
        default_upstream: "api".into(),
        workers: THREADS,
    });
    Rulebook::new(0, parts)
}

const fn at(ns: u64) -> Moment {
    Moment {
        monotonic_ns: 1_000 * SECOND_NS + ns,
        wall_us: 1_767_225_600_000_000 + ns / 1_000,
    }
}

fn arrive(rulebook: &Rulebook, worker: usize, client: u64, ns: u64) -> Admission {
    let arrival = Arrival {
        method: Method::Get,
        client: ClientKey(client),
        at: at(ns),
        listener_tier: Tier::Control,
        address: None,
        request: RequestKey::default(),
        privileged: false,
        declared_retries: 0,
        has_body: false,
        ledger: tidegate::observation::LedgerStanding::Available,
        undeclared: false,
    };
    let pairing = Pairing::Contracted(ContractIndex(0));
    admit(rulebook, worker, pairing, &arrival)
}

fn answered(rulebook: &Rulebook, worker: usize, admission: &Admission, status: u16) {
    let completion = Completion {
        at: at(0),
        status,
        upstream_status: status,
        latency_us: 1_000,
        ending: Ending::Answered,
    };
    complete(rulebook, worker, admission, Lateness::InTime, &completion);
}

// R038, R073, R194
#[test]
fn no_more_are_in_flight_than_may_be_and_the_count_never_falls_below_zero() {
    const PLACES: u32 = 5;
    let rulebook = rulebook(Terms {
        max_in_flight: NonZeroU32::new(PLACES),
        ..Terms::default()
    });
    let (held, granted, refused) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    on_all_workers(|worker| {
        for round in 0..2_000 {
            let admission = arrive(&rulebook, worker, worker as u64, 0);
            if !admission.is_forwarded() {
                assert_eq!(admission.signals.take, Take::Concurrency);
                refused.fetch_add(1, SeqCst);
                abandon(&rulebook, worker, &admission, Lateness::InTime);
                continue;
            }
            granted.fetch_add(1, SeqCst);
            let together = held.fetch_add(1, SeqCst) + 1;
            assert!(together <= PLACES, "{together} at once");
            // A count below zero would be an enormous one.
            let counted = rulebook.board().in_flight(0, Mode::Real);
            assert!(counted <= PLACES + THREADS as u32, "{counted} counted");
            std::thread::yield_now();
            held.fetch_sub(1, SeqCst);
            match round % 3 {
                0 => abandon(&rulebook, worker, &admission, Lateness::InTime),
                _ => answered(&rulebook, worker, &admission, 200),
            }
        }
    });
    let total = granted.into_inner() + refused.into_inner();
    assert_eq!(total, 2_000 * THREADS as u32);
    assert_eq!(rulebook.board().in_flight(0, Mode::Real), 0);
    // All places are whole: so many fit, and no more.
    let again: Vec<Admission> = (0..=PLACES).map(|_| arrive(&rulebook, 0, 1, 0)).collect();
    let fit = again.iter().filter(|one| one.is_forwarded()).count();
    assert_eq!(fit, PLACES as usize);
}

// R015, R073, R194
#[test]
fn a_burst_is_granted_once_whoever_asks_and_whatever_is_given_back() {
    const BURST: u32 = 100;
    let limited = |max_in_flight| Terms {
        rate_limit: PerMinute::new(60),
        burst: NonZeroU32::new(BURST),
        max_in_flight,
        ..Terms::default()
    };
    let own = Terms {
        client_rate_limit: PerMinute::new(60),
        client_burst: NonZeroU32::new(BURST),
        ..Terms::default()
    };
    // With two places most tokens are taken and given back again.
    for terms in [limited(None), limited(NonZeroU32::new(2)), own] {
        let rulebook = rulebook(terms);
        let forwarded = AtomicU32::new(0);
        let ask = |worker| {
            let admission = arrive(&rulebook, worker, 7, 0);
            forwarded.fetch_add(u32::from(admission.is_forwarded()), SeqCst);
            std::thread::yield_now();
            abandon(&rulebook, worker, &admission, Lateness::InTime);
        };
        on_all_workers(|worker| (0..500).for_each(|_| ask(worker)));
        let under_load = forwarded.load(SeqCst);
        assert!(under_load <= BURST, "{under_load} of {BURST}: {terms:?}");
        // A refusal for want of a place gave its token back: the rest of the burst is still there.
        (0..2 * BURST).for_each(|_| ask(0));
        assert_eq!(forwarded.into_inner(), BURST, "{terms:?}");
    }
}

// R050, R073
#[test]
fn who_waits_has_taken_all_and_who_is_refused_nothing() {
    const SOON: u32 = 2;
    const LATER: u32 = 3;
    let terms = Terms {
        rate_limit: PerMinute::new(60),
        burst: NonZeroU32::new(SOON),
        client_rate_limit: PerMinute::new(60),
        client_burst: NonZeroU32::new(1),
        max_in_flight: NonZeroU32::new(2),
        throttle: Throttle::Delay {
            wait_max: Millis::new(1_000 * LATER),
            held_max: NonZeroU32::new(2).unwrap(),
        },
        ..Terms::default()
    };
    for _ in 0..20 {
        let rulebook = rulebook(terms);
        let passed = AtomicU32::new(0);
        let ask = |worker: usize, client: u64| {
            let mut admission = arrive(&rulebook, worker, client, 0);
            let is_late = admission.signals.take != Take::Granted;
            let waits = admission.is_forwarded() && is_late;
            assert_eq!(admission.hold_ns() > 0, waits, "{admission:?}");
            assert!(admission.hold_ns() <= u64::from(LATER) * SECOND_NS);
            passed.fetch_add(u32::from(admission.is_forwarded()), SeqCst);
            std::thread::yield_now();
            turn_came(&rulebook, &mut admission);
            answered(&rulebook, worker, &admission, 200);
        };
        on_all_workers(|worker| (0..20).for_each(|_| ask(worker, worker as u64)));
        // What was refused gave its token back: whoever comes now gets what is left.
        (100..110).for_each(|client| ask(0, client));
        assert_eq!(passed.into_inner(), SOON + LATER);
        assert_eq!(rulebook.route(0).held(), 0);
        assert_eq!(rulebook.board().in_flight(0, Mode::Real), 0);
    }
}

// R073, R076, R194
#[test]
fn probes_that_are_asked_for_at_once_are_at_most_five() {
    let backoff = Backoff {
        first: Millis::new(1_000),
        longest: Millis::new(60_000),
    };
    for _ in 0..20 {
        let rulebook = rulebook(Terms::default());
        let circuit = rulebook.route(0).circuit(Mode::Real);
        assert!(circuit.trip(0, at(0).monotonic_ns, backoff));
        assert!(!arrive(&rulebook, 0, 1, 0).is_forwarded());
        // Its wait is at most a tenth longer than the second of the back-off.
        let later = 1_200_000_000;
        let (probes, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        on_all_workers(|worker| {
            for _ in 0..10 {
                let admission = arrive(&rulebook, worker, worker as u64, later);
                let counter = if admission.is_forwarded() {
                    &probes
                } else {
                    assert_eq!(admission.signals.take, Take::Probe);
                    &refused
                };
                counter.fetch_add(1, SeqCst);
            }
        });
        assert_eq!(probes.into_inner(), PROBES_MAX);
        assert_eq!(refused.into_inner(), 10 * THREADS as u32 - PROBES_MAX);
        let state = circuit.read(at(later).monotonic_ns).state;
        assert_eq!(state, CircuitState::HalfOpen);
    }
}

// R073: the ticker reads while all workers count.
#[test]
fn no_count_is_lost_while_the_ticker_reads() {
    const EACH: u32 = 3_000;
    let rulebook = rulebook(Terms::default());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ticking = scope.spawn(|| {
            let mut ticker = Ticker::default();
            let mut seen = 0;
            while !done.load(SeqCst) {
                tick(&rulebook, &mut ticker, at(0));
                let counted = rulebook.board().totals(0).completed;
                assert!(counted >= seen, "a total fell from {seen} to {counted}");
                seen = counted;
            }
        });
        on_all_workers(|worker| {
            for number in 0..EACH {
                let admission = arrive(&rulebook, worker, worker as u64, 0);
                // The tenth of ten fails: at no time enough to open the circuit.
                let status = if number % 10 == 9 { 500 } else { 200 };
                answered(&rulebook, worker, &admission, status);
            }
        });
        done.store(true, SeqCst);
        ticking.join().unwrap();
    });
    let all = EACH * THREADS as u32;
    let counted = rulebook.board().totals(0);
    assert_eq!((counted.completed, counted.failed), (all, all / 10));
}
