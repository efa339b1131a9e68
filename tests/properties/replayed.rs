//! Any traffic under any policy: every record follows from its own inputs.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use tidegate::contract::{
    Catalogue, Contract, ContractId, ContractParts, Method, MethodSet, Quarantine, Refusal, Stage,
    Terms, Throttle,
};
use tidegate::gateway::refusal;
use tidegate::ledger::{Chain, Record};
use tidegate::policy::canonical;
use tidegate::policy::rules::Rules;
use tidegate::record::{Comparison, DecisionLine, Difference, Encoder, Event, contradictions};
use tidegate::replay::RuleSet;
use tidegate::rulebook::{LocalParts, Registry, RulebookParts};
use tidegate::simulate::{Engine, TrafficLine};
use tidegate::units::{BasisPoints, Millis, PerMinute, Tier};

use crate::any::rules;

fn contracts() -> Vec<Contract> {
    let contract = |id: &str, endpoint: &str, terms| {
        let methods = MethodSet::EMPTY.with(Method::Get);
        let id = ContractId::new(id).unwrap();
        Contract::new(ContractParts::new(id, endpoint, methods, terms))
    };
    let fast = Terms {
        max_latency: Millis::new(50),
        ..Terms::default()
    };
    let limited = Terms {
        rate_limit: PerMinute::new(120),
        max_in_flight: std::num::NonZeroU32::new(3),
        ..fast
    };
    let waiting = Terms {
        client_rate_limit: PerMinute::new(60),
        throttle: Throttle::Delay {
            wait_max: Millis::new(1_500),
            held_max: std::num::NonZeroU32::new(2).unwrap(),
        },
        quarantine: Quarantine::Shadow,
        refusal: Refusal::Close,
        ..limited
    };
    let observed = Terms {
        tier: Some(Tier::ObserveOnly),
        ..limited
    };
    let canary = Terms {
        stage: Stage::Canary(BasisPoints::saturating(5_000)),
        ..waiting
    };
    let retired = Terms {
        stage: Stage::Retired,
        ..limited
    };
    vec![
        contract("fast", "GET /fast", fast),
        contract("limited", "GET /limited/{id}", limited),
        contract("waiting", "GET /waiting", waiting),
        contract("observed", "GET /observed", observed),
        contract("canary", "GET /canary", canary),
        contract("retired", "GET /retired", retired),
    ]
}

prop_compose! {
    fn traffic()(
        steps in proptest::collection::vec((
            prop_oneof![8 => 0..40_u64, 1 => 0..20_000_u64],
            select(vec!["/fast", "/fast", "/limited/7", "/waiting", "/observed", "/canary", "/retired", "/nothing", "/a/../b", "/%zz"]),
            select(vec!["GET", "GET", "GET", "POST", "BREW"]),
            0..12_u8,
            select(vec![200_u16, 200, 404, 500, 503, 0]),
            prop_oneof![4 => 0..20_u32, 1 => 40..90_u32, 1 => 0..5_000_u32],
            0..3_u8,
        ), 1..160)
    ) -> Vec<TrafficLine> {
        let mut at_ms = 0;
        steps.into_iter().map(|(pause, url, method, client, status, latency_ms, retries)| {
            at_ms += pause;
            let retries = (retries > 1).then(|| ("x-retry-count".to_owned(), "1".to_owned()));
            TrafficLine {
                at_ms, status, latency_ms,
                method: method.to_owned(),
                url: url.to_owned(),
                client: format!("10.0.0.{client}"),
                caller: None,
                headers: retries.into_iter().collect(),
            }
        }).collect()
    }
}

/// Rules as a file may say them, so that they have a canonical form.
fn writable(mut rules: Rules) -> Rules {
    rules.tiers = Rules::default().tiers;
    rules
}

/// Not of this test: times and ids that the chain of a test makes up.
fn is_ours(difference: &Difference) -> bool {
    [
        "tier",
        "inputs[3]",
        "inputs[5]",
        "inputs[44]",
        "method",
        "contract_id",
    ]
    .contains(&&*difference.member)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    // R047, R071
    #[test]
    fn every_simulated_record_replays(
        rules in rules().prop_map(writable),
        traffic in traffic(),
        tier in select(vec![Tier::ObserveOnly, Tier::Control]),
        plain in any::<bool>(),
    ) {
        let rules = if plain { Rules::default() } else { rules };
        let content = canonical::write(&contracts(), &rules).unwrap();
        let (again, rules_again) = canonical::read(content.bytes()).unwrap();
        let registry = Arc::new(Registry::new(RulebookParts::unsigned_local(LocalParts {
            catalogue: Catalogue::build(contracts()).unwrap(),
            rules,
            tier,
            content_digest: *content.digest(),
            default_upstream: "api".into(),
            workers: 1,
        })));
        let rulebook = registry.active().load_full();
        let mut engine = Engine::new(&rulebook, refusal::status);
        for line in &traffic {
            engine.run(line);
        }
        engine.finish();
        let rule_set = RuleSet::new(rules_again, again);
        let mut encoder = Encoder::new(Arc::clone(&registry), "simulate");
        let mut comparison = Comparison::default();
        let (mut chain, mut line, mut scratch) = (Chain::genesis(), Vec::new(), Vec::new());
        let mut count = 0;
        while let Some(event) = engine.next_ended() {
            count += 1;
            line.clear();
            chain.append(&mut line, |entry| encoder.encode(entry, 0, 0, &Event::Decision(event)));
            let record = Record::check(line.trim_ascii_end(), &mut scratch).unwrap();
            let read = DecisionLine::read(&record).unwrap();
            let judged = rule_set.judge(&read).unwrap();
            prop_assert_eq!(comparison.differences(&read, &judged), vec![]);
            let contract = read.contract_id.and_then(|id| rule_set.contract(id));
            let found = contradictions(&read, &judged, rule_set.rules(), contract);
            prop_assert_eq!(found.into_iter().filter(is_ours).collect::<Vec<_>>(), vec![]);
            // The phase is where this request got to: 5 when it was answered by the gateway.
            prop_assert_eq!(record.uint("phase"), Some(if event.is_forwarded() { 6 } else { 5 }));
            prop_assert!(event.is_forwarded() || tier == Tier::Control);
        }
        prop_assert_eq!(count, traffic.len());
    }
}
