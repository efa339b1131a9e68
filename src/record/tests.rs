//! From judgement to line and back, through the real chain.

use std::sync::Arc;

use crate::contract::{
    Catalogue, Contract, ContractId, ContractParts, Method, MethodSet, Pairing, Terms,
};
use crate::ledger::{Chain, Record};
use crate::observation::{Arrival, ClientKey, Completion, Ending, Lateness, Share};
use crate::pipeline::{admit, complete, judge};
use crate::policy::rules::Rules;
use crate::record::{Comparison, DecisionEvent, DecisionLine, Encoder, Event};
use crate::rulebook::{LocalParts, Registry, RulebookParts};
use crate::units::{FactorSet, Moment, Tier};

/// The longest ordinary line: allowed, forwarded, every factor with enough to read.
const ORDINARY_LINE_BYTES_MAX: usize = 1_000;

/// The same while no factor can be read yet, which names them all.
const COLD_LINE_BYTES_MAX: usize = 1_100;

fn registry(tier: Tier) -> Arc<Registry> {
    let contract = Contract::new(ContractParts::new(
        ContractId::new("deploy_get_v1").expect("a valid id"),
        "GET /api/v1/deployments/{id}",
        MethodSet::EMPTY.with(Method::Get),
        Terms::default(),
    ));
    Arc::new(Registry::new(RulebookParts::unsigned_local(LocalParts {
        catalogue: Catalogue::build(vec![contract]).expect("one contract"),
        rules: Rules::default(),
        tier,
        content_digest: [0xab; 32],
        default_upstream: "orders".into(),
        workers: 1,
    })))
}

fn event(registry: &Registry, pairing: Pairing) -> DecisionEvent {
    let rulebook = registry.active().load();
    let at = Moment {
        monotonic_ns: 5_000_000_000,
        wall_us: 1_767_225_600_000_000,
    };
    let arrival = Arrival {
        method: Method::Get,
        client: ClientKey(0x0123_4567_89ab_cdef),
        at,
        listener_tier: Tier::Autonomous,
        address: None,
        request: crate::observation::RequestKey::default(),
        privileged: false,
        declared_retries: 0,
        has_body: false,
        ledger: crate::observation::LedgerStanding::Available,
        undeclared: false,
    };
    let admission = admit(&rulebook, 0, pairing, &arrival);
    let completion = Completion {
        at: at.plus_nanos(12_345_000),
        status: 200,
        upstream_status: 200,
        latency_us: 12_345,
        ending: if admission.is_forwarded() {
            Ending::Answered
        } else {
            Ending::Refused
        },
    };
    complete(&rulebook, 0, &admission, Lateness::InTime, &completion);
    let mut event = DecisionEvent::of(1_234_567, at.wall_us, 0, &admission);
    event.method = Method::Get;
    event.client = arrival.client;
    event.ended(&completion)
}

fn line_of(registry: &Arc<Registry>, event: &DecisionEvent) -> Vec<u8> {
    let mut encoder = Encoder::new(Arc::clone(registry), "gateway-1");
    let mut line = Vec::new();
    // A ledger of some age: seq has seven digits.
    Chain::resume(9_999_999, [b'a'; 64]).append(&mut line, |entry| {
        encoder.encode(entry, 0xdead_beef, 1, &Event::Decision(*event));
    });
    line
}

fn known() -> Pairing {
    Pairing::Contracted(crate::contract::ContractIndex(0))
}

fn check_members(line: &[u8], present: &[&str], absent: &[&str]) {
    let text = std::str::from_utf8(line).expect("ASCII");
    for member in present {
        assert!(text.contains(member), "{member} in {text}");
    }
    for member in absent {
        assert!(!text.contains(member), "{member} not in {text}");
    }
}

#[test]
fn an_ordinary_line_is_short_and_complete() {
    // R082
    let registry = registry(Tier::ObserveOnly);
    let line = line_of(&registry, &event(&registry, known()));
    check_members(
        &line,
        &[
            "\"contract_id\":\"deploy_get_v1\"",
            "\"endpoint_key\":\"GET /api/v1/deployments/{id}\"",
            "\"decision\":\"ALLOW\"",
            "\"decision_id\":\"deadbeef0100000012d687\"",
            "\"latency_us\":12345",
            "\"outcome\":\"done\"",
            "\"upstream\":\"orders\"",
        ],
        &["trace_id", "unmatched_shape", "case_id"],
    );
    assert!(line.len() <= COLD_LINE_BYTES_MAX, "{} bytes", line.len());

    let mut warm = event(&registry, known());
    warm.signals.known = FactorSet::from_bits(u16::MAX);
    warm.signals.slow = Share {
        part: 3,
        whole: 60_000,
    };
    warm.signals.failed = Share {
        part: 2,
        whole: 10_000,
    };
    warm.signals.in_flight = 12;
    let rulebook = registry.active().load();
    warm.judgement = judge(rulebook.rules(), None, &warm.signals);
    let line = line_of(&registry, &warm);
    let text = String::from_utf8_lossy(&line);
    assert!(!text.contains("insufficient"), "{text}");
    assert!(
        line.len() <= ORDINARY_LINE_BYTES_MAX,
        "{} bytes: {text}",
        line.len()
    );
}

#[test]
fn an_unknown_path_has_a_case_and_no_contract() {
    let registry = registry(Tier::Control);
    let line = line_of(&registry, &event(&registry, Pairing::Unknown));
    check_members(
        &line,
        &["\"case_id\":\"q-", "\"outcome\":\"refused\"", "\"phase\":5"],
        &["contract_id", "endpoint_key", "\"upstream\":"],
    );
}

#[test]
fn every_record_follows_from_its_own_inputs() {
    // R047
    for tier in [Tier::ObserveOnly, Tier::Control] {
        for pairing in [
            known(),
            Pairing::Unknown,
            Pairing::MethodNotAllowed(crate::contract::ContractIndex(0)),
            Pairing::Ambiguous(crate::contract::PathFault::DotSegment),
        ] {
            let registry = registry(tier);
            let line = line_of(&registry, &event(&registry, pairing));
            let mut buffer = Vec::new();
            let body = line.strip_suffix(b"\n").expect("a whole line");
            let record = Record::check(body, &mut buffer).expect("a valid record");
            let read = DecisionLine::read(&record).expect("a decision");
            let rulebook = registry.active().load();
            let terms = rulebook.contract_of(0).map(Contract::terms);
            let terms = terms.filter(|_| read.contract_id.is_some());
            let judged = judge(rulebook.rules(), terms, &read.signals);
            let mut comparison = Comparison::default();
            assert_eq!(comparison.differences(&read, &judged), [], "{pairing:?}");

            // And a record that claims something else is found out.
            let mut lenient = read;
            lenient.signals.standing = crate::observation::Standing::Malformed;
            let other = judge(rulebook.rules(), terms, &lenient.signals);
            assert!(!comparison.differences(&lenient, &other).is_empty());
        }
    }
}
