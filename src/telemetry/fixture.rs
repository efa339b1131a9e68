//! A small gateway without sockets, for tests: two contracts, one worker, its tables.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::contract::{
    Catalogue, Contract, ContractId, ContractIndex, ContractParts, Lifecycle, LifecycleParts,
    Method, MethodSet, Pairing, Status, Terms, Throttle,
};
use crate::observation::{Arrival, ClientKey, Completion, Ending, Lateness};
use crate::pipeline::{Admission, admit, complete};
use crate::policy::canonical::{self, CanonicalContent};
use crate::policy::rules::Rules;
use crate::rulebook::{LocalParts, Registry, Rulebook, RulebookParts};
use crate::telemetry::{
    CertificateExpiry, ConnectionCounts, ServerState, ServerView, Tally, Telemetry, UpstreamView,
    WorkerTally,
};
use crate::units::{Date, Millis, Moment, PartsPerMillion, PerMinute, Tier};

pub(crate) const REFUSALS: &[&str] = &["head_timeout", "request_line"];

pub(crate) fn contracts() -> Vec<Contract> {
    let contract = |id, endpoint: &str, owner: Option<&str>, lifecycle: LifecycleParts| {
        let id = ContractId::new(id).expect("a valid id");
        let methods = MethodSet::EMPTY.with(Method::Get);
        let terms = Terms {
            // Of sixty requests just one may fail.
            error_budget: PartsPerMillion::saturating(20_000),
            // Only requests over a rate can wait; nothing here comes near this one.
            rate_limit: PerMinute::new(1_000_000_000),
            throttle: Throttle::Delay {
                wait_max: Millis::new(500),
                held_max: NonZeroU32::MIN,
            },
            ..Terms::default()
        };
        Contract::new(ContractParts {
            owner: owner.map(Box::from),
            lifecycle: Lifecycle::try_from(lifecycle).expect("a valid lifecycle"),
            ..ContractParts::new(id, endpoint, methods, terms)
        })
    };
    vec![
        contract(
            "deploy_get_v1",
            "GET /api/v1/deployments/{id}",
            Some("api-team"),
            LifecycleParts {
                status: Status::Deprecated,
                deprecated_on: Date::parse("2025-01-01"),
                sunset_on: Date::parse("2025-07-01"),
                ..LifecycleParts::default()
            },
        ),
        contract(
            "status_v1",
            "GET /api/v1/status",
            None,
            LifecycleParts::default(),
        ),
    ]
}

pub(crate) fn content() -> CanonicalContent {
    canonical::write(&contracts(), &Rules::default()).expect("contracts and rules have a form")
}

pub(crate) fn registry(tier: Tier) -> Arc<Registry> {
    Arc::new(Registry::new(RulebookParts::unsigned_local(LocalParts {
        catalogue: Catalogue::build(contracts()).expect("no collision"),
        rules: Rules::default(),
        tier,
        content_digest: *content().digest(),
        default_upstream: "orders".into(),
        workers: 1,
    })))
}

pub(crate) fn telemetry(tallies: Vec<Arc<Tally>>) -> Telemetry {
    let connections = || ConnectionCounts {
        accepted: 20,
        closed: vec![("served", 12), ("idle", 1)],
        reading_head: 1,
        tunnels: 1,
        open: 7,
        in_flight: 3,
        refused_all: 2,
        refused_address: 1,
        refused_streams: 4,
        handshakes: 1,
        refused_handshakes: 1,
        tls: ["completed", "failed", "not_tls", "timeout", "gone"].map(|end| (end, 1)),
        proxy: ["untrusted", "version_1", "malformed", "timeout", "gone"].map(|end| (end, 1)),
    };
    let started = Moment {
        monotonic_ns: 0,
        wall_us: 1_767_225_600_000_000,
    };
    let telemetry = Telemetry::new(tallies, REFUSALS, Box::new(connections), started)
        .with_upstreams(Box::new(|| vec![upstream()]));
    let expiry = CertificateExpiry {
        listener: "127.0.0.1:8443".to_owned(),
        file: "tls/shop.pem".to_owned(),
        not_after_s: 1_800_000_000,
    };
    telemetry.note_certificates(vec![expiry], true);
    telemetry.threads().set("ticker", true);
    telemetry
}

/// One of three servers is left out.
fn upstream() -> UpstreamView {
    let server = |number: u16, state| ServerView {
        server: "orders.internal:80".to_owned(),
        address: ([10, 0, 0, number as u8], 80).into(),
        state,
        weight: 1,
        in_flight: 2,
    };
    UpstreamView {
        name: "orders".to_owned(),
        servers: vec![
            server(1, ServerState::Healthy),
            server(2, ServerState::Ejected),
            server(3, ServerState::Healthy),
        ],
        in_panic: false,
        ejections: 4,
        checks_failed: 5,
    }
}

pub(crate) fn known(index: u32) -> Pairing {
    Pairing::Contracted(ContractIndex(index))
}

pub(crate) fn arrival() -> Arrival {
    Arrival {
        method: Method::Get,
        client: ClientKey(0x0123_4567_89ab_cdef),
        at: Moment {
            monotonic_ns: 5_000_000_000,
            wall_us: 1_767_225_600_000_000,
        },
        listener_tier: Tier::Autonomous,
        address: None,
        request: crate::observation::RequestKey::default(),
        privileged: false,
        declared_retries: 0,
        has_body: false,
        ledger: crate::observation::LedgerStanding::Available,
        undeclared: false,
    }
}

/// One request from head to end, as a worker counts it.
pub(crate) fn serve(
    rulebook: &Rulebook,
    worker: &WorkerTally,
    pairing: Pairing,
    latency_us: u64,
) -> (Admission, Completion) {
    let timed = worker.times_next();
    let admission = admit(rulebook, 0, pairing, &arrival());
    let number = rulebook.route(admission.route).number();
    worker.decision(number, &admission);
    if rulebook.notice_of(admission.route).is_some() {
        worker.deprecated(number, arrival().client);
    }
    if timed {
        worker.decision_took(240);
    }
    let forwarded = admission.is_forwarded();
    let status = if forwarded { 200 } else { 404 };
    let completion = Completion {
        at: arrival().at.plus_nanos(latency_us * 1_000),
        status,
        upstream_status: if forwarded { 200 } else { 0 },
        latency_us,
        ending: if forwarded {
            Ending::Answered
        } else {
            Ending::Refused
        },
    };
    complete(rulebook, 0, &admission, Lateness::InTime, &completion);
    worker.ended(number, &admission, Method::Get, status, latency_us);
    (admission, completion)
}
