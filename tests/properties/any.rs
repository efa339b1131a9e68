//! Any signals, any policy, any terms.

use std::num::NonZeroU32;

use proptest::prelude::*;
use proptest::sample::select;
use tidegate::contract::{Quarantine, Refusal, Terms, Throttle};
use tidegate::observation::{
    BurnPair, CircuitState, Regression, RetryKind, SLOW_START_MAX_BP, Share, Signals, Standing,
    Take, Traffic,
};
use tidegate::policy::rules::{
    Band, Bands, CircuitRules, PerFactor, RetryRules, Rules, Severity, Stage, UnknownEndpoint,
};
use tidegate::units::{
    Action, ActionSet, BasisPoints, FACTOR_COUNT, Factor, FactorSet, Millis, PartsPerMillion,
    PerMinute, Tier,
};

fn share() -> impl Strategy<Value = Share> {
    // Small wholes lie on both sides of every minimum sample.
    (prop_oneof![0..120_u32, 0..3_000_000_000_u32], 0..=1_000_u64).prop_map(
        |(whole, thousandth)| {
            let part = (u64::from(whole) * thousandth / 1_000) as u32;
            Share { part, whole }
        },
    )
}

fn burn() -> impl Strategy<Value = BurnPair> {
    (share(), share()).prop_map(|(short, long)| BurnPair { short, long })
}

fn class_mix() -> impl Strategy<Value = (u8, [u16; 3])> {
    (0..3_u8, 0..=10_000_u16, 0..=10_000_u16).prop_map(|(class, first, second)| {
        let second = second.min(10_000 - first);
        (class, [first, second, 10_000 - first - second])
    })
}

prop_compose! {
    fn of_request()(
        standing in select(vec![
            Standing::Contracted, Standing::Contracted, Standing::MethodNotAllowed,
            Standing::Unknown, Standing::Ambiguous, Standing::Malformed,
        ]),
        tier in select(Tier::ALL.to_vec()),
        known in 0..1_u16 << FACTOR_COUNT,
        all_known in any::<bool>(),
        take in select(vec![
            Take::NotAsked, Take::Granted, Take::ClientRate, Take::ContractRate,
            Take::Concurrency, Take::Probe,
        ]),
        (class, class_share_bp) in class_mix(),
        shed_hash in 0..10_000_u16,
        retry in select(vec![RetryKind::First, RetryKind::Declared, RetryKind::Seen]),
        client_over in any::<bool>(),
        client_refusals in 0..5_000_u32,
        client_tat_ns in -1_000_000_000_000..1_000_000_000_000_i64,
        contract_tat_ns in -1_000_000_000_000..1_000_000_000_000_i64,
    ) -> Signals {
        let bits = if all_known { u16::MAX } else { known };
        Signals {
            standing, tier, known: FactorSet::from_bits(bits), take, class, class_share_bp,
            shed_hash, retry, client_over, client_refusals, client_tat_ns, contract_tat_ns,
            ..Signals::default()
        }
    }
}

prop_compose! {
    /// Any signals that the observation could give.
    pub(crate) fn signals()(
        of_request in of_request(),
        (slow, failed, retries) in (share(), share(), share()),
        in_flight in 0..200_u32,
        overdue in 0..200_u32,
        route_band in select(Band::ALL.to_vec()),
        circuit in select(vec![CircuitState::Closed, CircuitState::Open, CircuitState::HalfOpen]),
        circuit_epoch in 0..9_u32,
        (p95_us, baseline_us) in (0..9_000_000_u32, 0..9_000_000_u32),
        offered in 0..1_000_000_u32,
        (mean_1024, variance_1024) in (0..1_u64 << 40, 0..1_u64 << 50),
        burn in [burn(), burn(), burn()],
        slow_start_bp in 0..=SLOW_START_MAX_BP,
    ) -> Signals {
        Signals {
            slow_start_bp, slow, failed, retries, in_flight, overdue, route_band, circuit, circuit_epoch, burn,
            regression: Regression { p95_us, baseline_us },
            traffic: Traffic { offered, mean_1024, variance_1024 },
            ..of_request
        }
    }
}

pub(crate) fn basis_points() -> impl Strategy<Value = BasisPoints> {
    prop_oneof![Just(0), Just(10_000), 0..=10_000_u64].prop_map(BasisPoints::saturating)
}

fn bands() -> impl Strategy<Value = Bands> {
    proptest::collection::btree_set(1..=10_000_u64, 4).prop_map(|bounds| {
        let bounds: Vec<_> = bounds.into_iter().map(BasisPoints::saturating).collect();
        Bands::new(bounds[0], bounds[1], bounds[2], bounds[3]).unwrap()
    })
}

fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![
        4 => Just(Stage::Enforced),
        1 => Just(Stage::Shadow),
        1 => (1..10_000_u64).prop_map(|share| Stage::Canary(BasisPoints::saturating(share))),
    ]
}

fn actions() -> impl Strategy<Value = ActionSet> {
    proptest::sample::subsequence(Action::ALL.to_vec(), 0..=Action::ALL.len())
        .prop_map(|actions| actions.into_iter().fold(ActionSet::EMPTY, ActionSet::with))
}

prop_compose! {
    /// Any policy, also those that no file could say: a tier may be given anything.
    pub(crate) fn rules()(
        bands in bands(),
        weights in proptest::collection::vec(basis_points(), FACTOR_COUNT),
        stages in proptest::collection::vec(stage(), FACTOR_COUNT),
        action in select(Severity::ALL.to_vec()),
        method_disallowed in select(Severity::ALL.to_vec()),
        tiers in [actions(), actions(), actions()],
        (unknown_rate, unknown_burst) in (1..2_000_u32, 1..100_u32),
        circuit in circuit(),
        retry in retry(),
    ) -> Rules {
        Rules {
            bands,
            weights: PerFactor::from_fn(|factor| weights[factor as usize]),
            stages: PerFactor::from_fn(|factor| stages[factor as usize]),
            unknown_endpoint: UnknownEndpoint {
                action,
                rate_limit: PerMinute::new(unknown_rate).unwrap(),
                burst: NonZeroU32::new(unknown_burst).unwrap(),
                ..UnknownEndpoint::default()
            },
            method_disallowed,
            tiers,
            circuit,
            retry,
            ..Rules::default()
        }
    }
}

prop_compose! {
    /// Circuits that open soon and late, within what a file may say.
    fn circuit()(
        broken_in_a_row in 1..10_u32,
        samples_min in prop_oneof![1..30_u32, Just(1_000_000)],
        slow_share in 1..=10_000_u64,
        (open, longer) in (10..5_000_u32, 0..60_000_u32),
        slow_start in 1..20_000_u32,
    ) -> CircuitRules {
        CircuitRules {
            broken_in_a_row: NonZeroU32::new(broken_in_a_row).unwrap(),
            samples_min: NonZeroU32::new(samples_min).unwrap(),
            slow_share: BasisPoints::saturating(slow_share),
            open: Millis::new(open),
            open_max: Millis::new(open + longer),
            slow_start: Millis::new(slow_start),
        }
    }
}

fn retry() -> impl Strategy<Value = RetryRules> {
    let names = vec!["x-retry-count", "x-envoy-attempt-count", "x-attempt"];
    (proptest::sample::subsequence(names, 0..=3), basis_points()).prop_map(|(names, budget)| {
        RetryRules {
            headers: names.into_iter().map(Box::from).collect(),
            budget,
        }
    })
}

fn throttle() -> impl Strategy<Value = Throttle> {
    let delay = (1..5_000_u32, 1..20_u32).prop_map(|(wait, held)| Throttle::Delay {
        wait_max: Millis::new(wait),
        held_max: NonZeroU32::new(held).unwrap(),
    });
    prop_oneof![2 => Just(Throttle::Reject), 1 => delay]
}

prop_compose! {
    pub(crate) fn terms()(
        max_latency in 1..60_000_u32,
        error_budget in 0..=1_000_000_u64,
        circuit_threshold in 1..=10_000_u64,
        client_rate_limit in proptest::option::of(1..5_000_u32),
        client_burst in proptest::option::of(1..500_u32),
        max_in_flight in proptest::option::of(1..150_u32),
        quarantine in select(vec![Quarantine::Reject, Quarantine::Divert, Quarantine::Shadow]),
        throttle in throttle(),
        refusal in select(vec![Refusal::Respond, Refusal::Close]),
    ) -> Terms {
        Terms {
            max_latency: Millis::new(max_latency),
            error_budget: PartsPerMillion::saturating(error_budget),
            circuit_threshold: BasisPoints::saturating(circuit_threshold),
            client_rate_limit: client_rate_limit.and_then(PerMinute::new),
            client_burst: client_burst.and_then(NonZeroU32::new),
            max_in_flight: max_in_flight.and_then(NonZeroU32::new),
            quarantine,
            throttle,
            refusal,
            ..Terms::default()
        }
    }
}

/// The same signals with one factor's evidence worse by `step`.
pub(crate) fn worsened(mut signals: Signals, factor: Factor, step: u32) -> Signals {
    let worse = |share: &mut Share| share.part = share.part.saturating_add(step).min(share.whole);
    match factor {
        Factor::Latency => worse(&mut signals.slow),
        Factor::LatencyRegression => {
            let p95_us = &mut signals.regression.p95_us;
            *p95_us = p95_us.saturating_add(step);
        }
        Factor::ErrorRate => worse(&mut signals.failed),
        Factor::ErrorBudgetBurn => {
            for pair in &mut signals.burn {
                worse(&mut pair.short);
                worse(&mut pair.long);
            }
        }
        Factor::Circuit => signals.circuit = CircuitState::Open,
        Factor::Concurrency => signals.in_flight = signals.in_flight.saturating_add(step),
        Factor::TrafficAnomaly => {
            let offered = &mut signals.traffic.offered;
            *offered = offered.saturating_add(step);
        }
        Factor::RateLimit => {
            let refusals = &mut signals.client_refusals;
            *refusals = refusals.saturating_add(step);
            signals.client_over = true;
        }
        Factor::UnknownEndpoint => {
            if signals.standing == Standing::Contracted {
                signals.standing = Standing::Unknown;
            }
        }
        Factor::MethodDisallowed => {
            if signals.standing == Standing::Contracted {
                signals.standing = Standing::MethodNotAllowed;
            }
        }
        Factor::RetryStorm => worse(&mut signals.retries),
    }
    signals
}

/// The same signals, and one factor not known.
pub(crate) fn without(mut signals: Signals, factor: Factor) -> Signals {
    let bits = signals.known.bits() & !(1 << factor as u16);
    signals.known = FactorSet::from_bits(bits);
    signals
}
