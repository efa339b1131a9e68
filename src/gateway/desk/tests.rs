//! A desk without sockets, for what no client can bring about.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http::HeaderMap;

use super::opening::Target;
use super::{Desk, DeskSettings};
use crate::config::OnUnavailable;
use crate::contract::{
    Catalogue, Contract, ContractId, ContractParts, Method, MethodSet, Refusal, Terms,
};
use crate::gateway::clock;
use crate::gateway::governor::{Course, HeadFacts};
use crate::ledger::fixture::facts_of;
use crate::ledger::{BootId, Consumer, EntryBuilder, Ledger, Settings, Source, ring};
use crate::observation::{Backoff, CircuitState, ClientHasher, Mode};
use crate::policy::rules::Rules;
use crate::record::{Event, Outcome};
use crate::rulebook::{LocalParts, Registry, RulebookParts};
use crate::telemetry::WorkerTally;
use crate::units::{Millis, Reason, Tier};

fn registry() -> Arc<Registry> {
    registry_of(Terms {
        max_in_flight: NonZeroU32::new(1_000),
        ..Terms::default()
    })
}

fn registry_of(terms: Terms) -> Arc<Registry> {
    let id = ContractId::new("api_v1").expect("a valid id");
    let methods = MethodSet::EMPTY.with(Method::Get);
    let contract = Contract::new(ContractParts::new(id, "GET /api", methods, terms));
    Arc::new(Registry::new(RulebookParts::unsigned_local(LocalParts {
        catalogue: Catalogue::build(vec![contract]).expect("no collision"),
        rules: Rules::default(),
        tier: Tier::Control,
        content_digest: [0; 32],
        default_upstream: "main".into(),
        workers: 1,
    })))
}

fn desk(registry: &Registry) -> (Desk, Consumer<Event>) {
    desk_with(registry, OnUnavailable::Continue)
}

fn desk_with(registry: &Registry, on_unavailable: OnUnavailable) -> (Desk, Consumer<Event>) {
    let settings = DeskSettings {
        listener_tiers: vec![Tier::Autonomous],
        clients: ClientHasher::new([3; 16]),
        trusted_proxies: Vec::new(),
        upstream_names: vec!["main".to_owned()],
        expose: false,
        on_unavailable,
    };
    let source = Source {
        boot: BootId::from_u32(7),
        worker: 0,
    };
    let (producer, consumer) = ring::<Event>(source, 64);
    let (tally, _) = WorkerTally::new(100);
    let desk = Desk::new(0, 7, Arc::new(settings), registry, producer, tally);
    (desk, consumer)
}

fn facts(headers: &HeaderMap) -> HeadFacts<'_> {
    HeadFacts {
        listener: 0,
        worker: 0,
        peer: None,
        peer_trusted: false,
        identity: None,
        method: "GET",
        raw_target: b"/api",
        origin_form: true,
        host: b"test",
        headers: headers.into(),
        has_body: false,
        caller: None,
        at: clock::now(),
    }
}

// R038
#[test]
fn what_a_panic_breaks_off_gives_back_what_it_took() {
    let registry = registry();
    let rulebook = registry.active().load_full();
    let (mut desk, mut consumer) = desk(&registry);
    let route = rulebook.route(0);
    let circuit = route.circuit(Mode::Real);
    let at_once = Backoff {
        first: Millis::new(0),
        longest: Millis::new(0),
    };
    assert!(circuit.trip(0, clock::now().monotonic_ns, at_once));
    let headers = HeaderMap::new();
    for _ in 0..3 {
        let broken = catch_unwind(AssertUnwindSafe(|| {
            let facts = facts(&headers);
            let target = Target::of(&facts, desk.books.active());
            desk.judge(&facts, &target);
            panic!("after the judgement");
        }));
        assert!(broken.is_err());
        let probes = circuit.read(clock::now().monotonic_ns).probes;
        assert_eq!((route.in_flight(Mode::Real), probes.issued), (1, 1));
        desk.tick(clock::now());
        let reading = circuit.read(clock::now().monotonic_ns);
        assert_eq!(reading.state, CircuitState::HalfOpen);
        assert_eq!((route.in_flight(Mode::Real), reading.probes.issued), (0, 0));
        assert!(desk.open.is_empty());
    }
    let ended = std::iter::from_fn(|| consumer.pop()).filter(
        |event| matches!(event, Event::Decision(event) if event.ending.outcome == Outcome::Done),
    );
    assert_eq!(ended.count(), 3, "each has its record");
}

/// The status of the answer; `None` where the request is sent on.
fn answered(on_unavailable: OnUnavailable, ledger_required: bool, ended: bool) -> Option<u16> {
    let registry = registry_of(Terms {
        ledger_required,
        // A dropped request would be closed: this one is told to come back.
        refusal: Refusal::Close,
        ..Terms::default()
    });
    let (mut desk, consumer) = desk_with(&registry, on_unavailable);
    let dir = tempfile::tempdir().expect("a folder");
    let digest = crate::telemetry::fixture::content().digest_hex();
    let facts_of_start = facts_of(BootId::from_u32(7), &digest);
    let ledger = Ledger::start(
        &Settings::new(dir.path()),
        &facts_of_start,
        crate::telemetry::fixture::content().bytes(),
        vec![consumer],
        |_: &mut EntryBuilder<'_>, _: Source, _: &Event| {},
    );
    let ledger = ledger.expect("a new ledger");
    if ended {
        ledger.close().expect("an orderly end");
    }
    let headers = HeaderMap::new();
    let exchange = desk.admit(&facts(&headers));
    let course = exchange.course();
    match course {
        Course::Forward(_) => None,
        Course::Answer(answer) => {
            assert!(answer.retry_after_s.is_some_and(|seconds| seconds >= 10));
            assert_eq!(answer.kind, "urn:tidegate:problem:ledger-unavailable");
            assert!(answer.reasons.contains(Reason::LedgerUnavailable));
            Some(answer.status)
        }
        Course::Close => panic!("closed without an answer"),
    }
}

// R090, R199
#[test]
fn without_a_ledger_requests_are_answered_as_the_settings_say() {
    use OnUnavailable::{Continue, FailClosed, ObserveOnly};
    for on_unavailable in OnUnavailable::ALL {
        for required in [false, true] {
            assert_eq!(answered(on_unavailable, required, false), None);
        }
    }
    assert_eq!(answered(Continue, false, true), None);
    assert_eq!(answered(Continue, true, true), Some(503));
    assert_eq!(answered(ObserveOnly, false, true), None);
    assert_eq!(
        answered(ObserveOnly, true, true),
        None,
        "nothing is enforced"
    );
    assert_eq!(answered(FailClosed, false, true), Some(503));
    assert_eq!(answered(FailClosed, true, true), Some(503));
}
