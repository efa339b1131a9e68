//! Swaps, what is kept of older rulebooks, and each instance's share of the limits.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{LocalParts, Registry, Rulebook, RulebookParts};
use crate::contract::{Catalogue, Contract, ContractId, ContractParts, Method, MethodSet, Terms};
use crate::observation::Mode;
use crate::policy::rules::Rules;
use crate::units::{Moment, PerMinute, Tier};

fn parts(ids: &[&str], tier: Tier, terms: &Terms) -> RulebookParts {
    let contract = |id: &&str| {
        let endpoint = format!("GET /{id}");
        let methods = MethodSet::EMPTY.with(Method::Get);
        let id = ContractId::new(id).expect("an id");
        Contract::new(ContractParts::new(id, &endpoint, methods, *terms))
    };
    RulebookParts::unsigned_local(LocalParts {
        catalogue: Catalogue::build(ids.iter().map(contract).collect()).expect("no collision"),
        rules: Rules::default(),
        tier,
        content_digest: [0; 32],
        default_upstream: "main".into(),
        workers: 1,
    })
}

fn plain(ids: &[&str]) -> RulebookParts {
    parts(ids, Tier::Control, &Terms::default())
}

#[test]
fn an_older_rulebook_is_found_until_it_is_forgotten() {
    let registry = Registry::new(plain(&["a"]));
    let held = registry.active().load_full();
    let next = registry.swap(plain(&["a", "b"]), Moment::default());
    assert_eq!((held.serial(), next.serial()), (0, 1));
    assert_eq!(registry.active().load().serial(), 1);
    assert!(registry.unused().is_empty(), "somebody works under it");
    drop(held);
    assert_eq!(registry.unused(), [0]);
    assert!(registry.by_serial(0).is_some(), "an event may name it");
    registry.forget(0);
    assert!(registry.by_serial(0).is_none());
    assert_eq!(registry.by_serial(1).map(|found| found.serial()), Some(1));
    drop(next);
    registry.forget(1);
    assert!(registry.by_serial(1).is_some(), "the active one stays");
}

#[test]
fn one_held_for_long_keeps_no_other_one() {
    let registry = Registry::new(plain(&["a"]));
    let held = registry.active().load_full();
    for _ in 0..1_000 {
        registry.swap(plain(&["a"]), Moment::default());
        for serial in registry.unused() {
            registry.forget(serial);
        }
    }
    assert_eq!(registry.kept_count(), 2);
    assert_eq!(
        registry.by_serial(0).map(|found| found.serial()),
        Some(held.serial())
    );
}

#[test]
fn the_kill_switch_holds_against_every_swap() {
    let registry = Registry::new(plain(&["a"]));
    let before = registry.active().load_full();
    let lowered = registry.set_ceiling(Tier::ObserveOnly);
    assert_eq!((lowered.serial(), lowered.tier()), (1, Tier::ObserveOnly));
    assert!(
        Arc::ptr_eq(before.board(), lowered.board()),
        "the same state"
    );
    assert_eq!(lowered.digest_hex(), before.digest_hex());
    let swapped = registry.swap(plain(&["b"]), Moment::default());
    assert_eq!(swapped.tier(), Tier::ObserveOnly);
    let same = registry.set_ceiling(Tier::ObserveOnly);
    assert_eq!(same.serial(), swapped.serial(), "nothing changed");
    let reset = registry.set_ceiling(Tier::Autonomous);
    assert_eq!((reset.serial(), reset.tier()), (3, Tier::Control));
    assert!(
        reset
            .catalogue()
            .contracts()
            .iter()
            .all(|c| c.id().as_str() == "b")
    );
}

#[test]
fn marks_of_an_older_rulebook_reach_the_active_board() {
    let registry = Registry::new(plain(&["a", "b"]));
    let older = registry.active().load_full();
    let active = registry.swap(plain(&["b"]), Moment::default());
    older.board().touch(0, 1).expect("b is route 1");
    registry.hand_marks_on();
    let mut ticker = crate::observation::Ticker::default();
    older
        .route(1)
        .totals_of(0)
        .expect("there")
        .note_offered(crate::observation::Offered::Ordinary);
    let now = crate::units::Moment::default();
    crate::pipeline::tick(&active, &mut ticker, now);
    assert_eq!(ticker.view(0).map(|view| view.short.offered), Some(1));
}

#[test]
fn instances_share_the_limits_of_rate() {
    // R073
    let terms = Terms {
        rate_limit: PerMinute::new(100),
        burst: NonZeroU32::new(10),
        client_rate_limit: PerMinute::new(4),
        client_burst: NonZeroU32::new(1),
        ..Terms::default()
    };
    for (instances, period_ms, burst, client_period_ms) in [
        (1, 600, 10, 15_000),
        (3, 1_764, 4, 30_000),
        (200, 60_000, 1, 60_000),
        (10_000, 60_000, 1, 60_000),
    ] {
        let instances = NonZeroU32::new(instances).expect("above 0");
        let parts = parts(&["a"], Tier::Control, &terms);
        let mut rulebook = Rulebook::for_instances(0, parts, instances);
        for _ in 0..2 {
            let limit = rulebook.limit_of(0).expect("it has one");
            assert_eq!(limit.period_ns() / 1_000_000, period_ms, "{instances}");
            assert_eq!(limit.remaining(0), burst, "{instances}");
            let own = rulebook.client_limits_of(0).expect("it has them").own;
            assert_eq!(own.period_ns() / 1_000_000, client_period_ms, "{instances}");
            let unknown = Rules::default().unknown_endpoint.rate_limit.get();
            let want = 60_000_000_000 / u64::from(unknown.div_ceil(instances.get()));
            assert_eq!(rulebook.unknown_limit().period_ns(), want, "{instances}");
            // Also those of the rulebooks to come.
            rulebook = rulebook.successor(1, self::parts(&["a"], Tier::Control, &terms));
        }
    }
}

#[test]
fn what_is_used_up_counts_under_the_new_limits() {
    // R073
    let terms = |rpm: u32, burst| Terms {
        rate_limit: PerMinute::new(rpm),
        burst: NonZeroU32::new(burst),
        ..Terms::default()
    };
    let now = Moment {
        monotonic_ns: 700_000_000_000,
        ..Moment::default()
    };
    // The limits one after the other, how many are taken under the first, and what the last leaves.
    type Limits = &'static [(u32, u32)];
    let table: [(Limits, u64, u64); 6] = [
        (&[(1, 60), (6_000, 600)], 30, 570),
        (&[(60, 10), (6, 10)], 10, 0),
        (&[(60, 10), (6, 10)], 4, 6),
        (&[(60, 10), (0, 0), (6, 10)], 10, 0),
        (&[(60, 10), (6, 10), (60, 10)], 4, 6),
        (&[(0, 0), (6, 10)], 0, 10),
    ];
    for (limits, taken, left) in table {
        let of = |(rpm, burst)| parts(&["a"], Tier::Control, &terms(rpm, burst));
        let (first, then) = limits.split_first().expect("a first one");
        let registry = Registry::new(of(*first));
        for mode in [Mode::Dry, Mode::Real] {
            let active = registry.active().load();
            let word = active.route(0).rate(mode);
            assert!((0..taken).all(|_| word.take(active.limit_of(0).unwrap(), now.monotonic_ns)));
        }
        for next in then {
            registry.swap(of(*next), now);
        }
        let active = registry.active().load();
        let limit = active.limit_of(0).expect("it has one");
        for mode in [Mode::Dry, Mode::Real] {
            let tat_ns = active.route(0).rate(mode).peek(limit, now.monotonic_ns);
            assert_eq!(limit.remaining(tat_ns), left, "{limits:?} {mode:?}");
        }
    }
}
