//! A contract and a policy that say everything that can be said, and every edit of them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};

use serde_json::Value;

use super::super::*;
use super::expected;
use crate::contract::Stage as ContractStage;
use crate::contract::compare::Mode;
use crate::contract::{
    ContractId, ContractParts, Lifecycle, LifecycleParts, Method, MethodSet, Quarantine, Refusal,
    Stability, Status, Terms, Throttle, Version,
};
use crate::policy::canonical;
use crate::policy::charter::Deployment;
use crate::policy::rules::{Severity, Stage};
use crate::units::{Action, ActionSet, BasisPoints, Factor, Millis, PartsPerMillion, PerMinute};

pub(super) type Edit<T> = fn(&mut T);

pub(super) fn day(text: &str) -> Date {
    Date::parse(text).unwrap()
}

/// The day of all comparisons here.
pub(super) fn today() -> Date {
    day("2026-01-01")
}

/// A lifecycle that says everything that can be said, with one edit.
pub(super) fn life(edit: Edit<LifecycleParts>) -> Lifecycle {
    let mut parts = LifecycleParts {
        status: Status::Deprecated,
        deprecated_on: Some(day("2026-01-01")),
        sunset_on: Some(day("2027-01-01")),
        successor: ContractId::new("b"),
        stability: Stability::Stable,
        migration_guide: Some("/moving".into()),
    };
    edit(&mut parts);
    Lifecycle::try_from(parts).unwrap()
}

pub(super) fn without_end(parts: &mut LifecycleParts, status: Status) {
    *parts = LifecycleParts {
        status,
        ..LifecycleParts::default()
    };
}

/// A contract that says everything that can be said.
pub(super) fn parts() -> ContractParts {
    let terms = Terms {
        rate_limit: PerMinute::new(600),
        burst: NonZeroU32::new(60),
        client_rate_limit: PerMinute::new(60),
        client_burst: NonZeroU32::new(6),
        max_in_flight: NonZeroU32::new(10),
        body_bytes_max: NonZeroU64::new(1_000),
        websocket: true,
        tier: Some(Tier::Control),
        quarantine: Quarantine::Divert,
        throttle: Throttle::Delay {
            wait_max: Millis::new(500),
            held_max: NonZeroU32::new(5).unwrap(),
        },
        ledger_required: true,
        stage: ContractStage::Canary(bp(500)),
        ..Terms::default()
    };
    let methods = MethodSet::EMPTY.with(Method::Get).with(Method::Head);
    let id = ContractId::new("a").unwrap();
    ContractParts {
        upstream: Some("one".into()),
        divert_upstream: Some("aside".into()),
        client_header: Some("x-key".into()),
        owner: Some("team".into()),
        backup_owner: Some("others".into()),
        service: Some("shop".into()),
        consumers: vec!["cart".into(), "web".into()],
        version: Version::parse("1.2.0").unwrap(),
        lifecycle: life(|_| ()),
        ..ContractParts::new(id, "GET /a/{id}", methods, terms)
    }
}

/// What can be done to a contract, and whether nothing protects less in either direction.
pub(super) const CONTRACT_EDITS: &[(&str, Edit<ContractParts>, bool)] = &[
    ("id", |p| p.id = ContractId::new("a2").unwrap(), false),
    ("template", |p| p.endpoint_key = "GET /b/{id}".into(), false),
    ("parameter", |p| p.endpoint_key = "GET /a/{x}".into(), true),
    (
        "method",
        |p| p.methods = MethodSet::EMPTY.with(Method::Get),
        false,
    ),
    ("upstream", |p| p.upstream = None, false),
    ("divert", |p| p.divert_upstream = Some("b".into()), false),
    ("client key", |p| p.client_header = None, false),
    ("a caller less", |p| p.consumers = vec!["web".into()], false),
    ("anybody", |p| p.consumers = Vec::new(), false),
    ("owner", |p| p.owner = Some("other".into()), false),
    ("latency", |p| p.terms.max_latency = Millis::new(1), false),
    ("timeout", |p| p.terms.timeout = Millis::new(1), false),
    (
        "budget",
        |p| p.terms.error_budget = PartsPerMillion::saturating(1),
        false,
    ),
    (
        "circuit",
        |p| p.terms.circuit_threshold = BasisPoints::saturating(1),
        false,
    ),
    ("rate", |p| p.terms.rate_limit = PerMinute::new(599), false),
    ("no rate", |p| p.terms.rate_limit = None, false),
    ("burst", |p| p.terms.burst = NonZeroU32::new(59), false),
    (
        "client rate",
        |p| p.terms.client_rate_limit = PerMinute::new(59),
        false,
    ),
    (
        "no client rate",
        |p| p.terms.client_rate_limit = None,
        false,
    ),
    (
        "client burst",
        |p| p.terms.client_burst = NonZeroU32::new(5),
        false,
    ),
    (
        "in flight",
        |p| p.terms.max_in_flight = NonZeroU32::new(9),
        false,
    ),
    ("no in flight", |p| p.terms.max_in_flight = None, false),
    (
        "body",
        |p| p.terms.body_bytes_max = NonZeroU64::new(999),
        false,
    ),
    ("no body", |p| p.terms.body_bytes_max = None, false),
    ("upgrade", |p| p.terms.websocket = false, false),
    ("stream", |p| p.terms.stream = true, false),
    ("tier", |p| p.terms.tier = Some(Tier::ObserveOnly), false),
    ("no tier", |p| p.terms.tier = None, false),
    (
        "slash",
        |p| p.terms.path_rules.allow_encoded_slash = true,
        false,
    ),
    (
        "slashes",
        |p| p.terms.path_rules.merge_slashes = true,
        false,
    ),
    (
        "quarantine",
        |p| {
            p.terms.quarantine = Quarantine::Reject;
            p.divert_upstream = None;
        },
        false,
    ),
    ("throttle", |p| p.terms.throttle = Throttle::Reject, false),
    (
        "wait",
        |p| {
            p.terms.throttle = Throttle::Delay {
                wait_max: Millis::new(499),
                held_max: NonZeroU32::new(5).unwrap(),
            }
        },
        false,
    ),
    (
        "held",
        |p| {
            p.terms.throttle = Throttle::Delay {
                wait_max: Millis::new(500),
                held_max: NonZeroU32::new(4).unwrap(),
            }
        },
        false,
    ),
    ("drop", |p| p.terms.refusal = Refusal::Close, false),
    ("ledger", |p| p.terms.ledger_required = false, false),
    ("stage", |p| p.terms.stage = ContractStage::Shadow, false),
    ("retired", |p| p.terms.stage = ContractStage::Retired, false),
    ("backup", |p| p.backup_owner = None, true),
    ("service", |p| p.service = None, true),
    ("version", |p| p.version = Version::FIRST, true),
    (
        "draft",
        |p| p.lifecycle = life(|l| without_end(l, Status::Draft)),
        false,
    ),
    (
        "stays",
        |p| p.lifecycle = life(|l| without_end(l, Status::Active)),
        true,
    ),
    (
        "sunset",
        |p| p.lifecycle = life(|l| l.status = Status::Sunset),
        true,
    ),
    (
        "no end",
        |p| p.lifecycle = life(|l| l.sunset_on = None),
        true,
    ),
    (
        "deprecated",
        |p| p.lifecycle = life(|l| l.deprecated_on = Some(day("2025-01-01"))),
        true,
    ),
    (
        "successor",
        |p| p.lifecycle = life(|l| l.successor = None),
        true,
    ),
    (
        "guide",
        |p| p.lifecycle = life(|l| l.migration_guide = None),
        true,
    ),
    (
        "stability",
        |p| p.lifecycle = life(|l| l.stability = Stability::Beta),
        true,
    ),
];

/// Mode and deployment of the base, which are not the default, and of charters beside it.
pub(super) const CHARTERS: &[(&str, Mode, Deployment, bool)] = &[
    ("strict", Mode::Strict, Deployment::Atomic, false),
    ("backward", Mode::Backward, Deployment::Atomic, false),
    ("rolling", Mode::Forward, Deployment::Rolling, true),
];

pub(super) fn charter() -> Charter {
    Charter::new(Mode::Forward, Deployment::Atomic).unwrap()
}

pub(super) const fn bp(value: u64) -> BasisPoints {
    BasisPoints::saturating(value)
}

/// The same for the policy.
pub(super) const POLICY_EDITS: &[(&str, Edit<Rules>, bool)] = &[
    ("name", |r| r.name = "other".into(), true),
    ("version", |r| r.version = "9".into(), true),
    (
        "bands",
        |r| r.bands = crate::units::Bands::new(bp(1), bp(2), bp(3), bp(4)).unwrap(),
        false,
    ),
    (
        "weights",
        |r| r.weights = crate::policy::rules::PerFactor::all(bp(1)),
        false,
    ),
    (
        "no weight",
        |r| r.weights.set(Factor::Latency, bp(0)),
        false,
    ),
    (
        "stages",
        |r| r.stages = crate::policy::rules::PerFactor::all(Stage::Shadow),
        false,
    ),
    (
        "canary",
        |r| r.stages.set(Factor::Latency, Stage::Canary(bp(9))),
        false,
    ),
    (
        "unknown",
        |r| r.unknown_endpoint.action = Severity::Drop,
        false,
    ),
    ("answer", |r| r.unknown_endpoint.answer_status = 403, true),
    (
        "unknown rate",
        |r| r.unknown_endpoint.rate_limit = PerMinute::new(1).unwrap(),
        false,
    ),
    (
        "unknown burst",
        |r| r.unknown_endpoint.burst = NonZeroU32::MIN,
        false,
    ),
    (
        "method",
        |r| r.method_disallowed = Severity::Quarantine,
        false,
    ),
    (
        "consumer",
        |r| r.consumer_not_declared = Severity::Quarantine,
        false,
    ),
    (
        "rights",
        |r| r.tiers[1] = ActionSet::of(&[Action::Log]),
        false,
    ),
    (
        "notes",
        |r| r.tiers[0] = ActionSet::of(&[Action::Log]),
        false,
    ),
    (
        "more notes",
        |r| r.tiers[2] = r.tiers[2].minus(ActionSet::of(&[Action::Report])),
        false,
    ),
    (
        "broken",
        |r| r.circuit.broken_in_a_row = NonZeroU32::MIN,
        false,
    ),
    (
        "samples",
        |r| r.circuit.samples_min = NonZeroU32::MIN,
        false,
    ),
    ("slow share", |r| r.circuit.slow_share = bp(1), false),
    ("open", |r| r.circuit.open = Millis::new(2_000), false),
    (
        "open max",
        |r| r.circuit.open_max = Millis::new(90_000),
        false,
    ),
    (
        "slow start",
        |r| r.circuit.slow_start = Millis::new(1),
        false,
    ),
    (
        "retry fields",
        |r| r.retry.headers = ["x-other".into()].into(),
        false,
    ),
    ("retry order", |r| r.retry.headers.reverse(), true),
    ("retry budget", |r| r.retry.budget = bp(1), false),
];

#[derive(Clone)]
pub(super) struct Content {
    pub(super) contracts: Vec<Contract>,
    pub(super) rules: Rules,
    pub(super) charter: Charter,
    pub(super) self_tests: SelfTests,
}

impl Content {
    pub(super) fn base() -> Self {
        Self::of(parts())
    }

    /// The base with another first contract.
    pub(super) fn of(parts: ContractParts) -> Self {
        Self {
            contracts: vec![Contract::new(parts), successor()],
            rules: Rules {
                consumer_not_declared: Severity::Drop,
                ..Rules::default()
            },
            charter: charter(),
            self_tests: expected::self_tests(&[]),
        }
    }

    pub(super) fn side(&self) -> Side<'_> {
        Side {
            contracts: &self.contracts,
            rules: &self.rules,
            charter: &self.charter,
            self_tests: &self.self_tests,
            tier_max: Tier::Control,
            content_digest: self.digest(),
        }
    }

    pub(super) fn classified(&self, after: &Self) -> Classified {
        classify(Some(self.side()), after.side(), today())
    }

    pub(super) fn written(&self) -> canonical::CanonicalContent {
        let (contracts, charter) = (&self.contracts, &self.charter);
        canonical::write_with(contracts, &self.rules, charter, &self.self_tests).unwrap()
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        *self.written().digest()
    }

    pub(super) fn canonical(&self) -> Value {
        let content = self.written();
        canonical::read(content.bytes()).expect("what a file could say");
        serde_json::from_slice(content.bytes()).unwrap()
    }
}

/// What replaces the contract of the edits.
pub(super) fn successor() -> Contract {
    let id = ContractId::new("b").unwrap();
    let methods = MethodSet::EMPTY.with(Method::Get);
    let parts = ContractParts::new(id, "GET /other", methods, Terms::default());
    Contract::new(parts)
}

/// All contents that differ from the base by one edit.
pub(super) fn edited() -> Vec<(&'static str, Content, bool)> {
    let contracts = CONTRACT_EDITS.iter().map(|(name, edit, is_neutral)| {
        let mut parts = parts();
        edit(&mut parts);
        (*name, Content::of(parts), *is_neutral)
    });
    let policies = POLICY_EDITS.iter().map(|(name, edit, is_neutral)| {
        let mut content = Content::base();
        edit(&mut content.rules);
        (*name, content, *is_neutral)
    });
    let charters = CHARTERS.iter().map(|(name, mode, deployment, is_neutral)| {
        let content = Content {
            charter: Charter::new(*mode, *deployment).unwrap(),
            ..Content::base()
        };
        (*name, content, *is_neutral)
    });
    let tests = expected::EDITS.iter().map(|edit| {
        let content = Content {
            self_tests: expected::self_tests(edit),
            ..Content::base()
        };
        ("self-test", content, false)
    });
    let all = contracts.chain(policies).chain(charters);
    all.chain(tests).collect()
}

/// Every leaf by its path: `policy.circuit.open_ms`.
pub(super) fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                leaves(value, &format!("{path}{name}."), found);
            }
        }
        Value::Array(items) if ["contracts.", "self_tests."].contains(&path) => {
            items.iter().for_each(|item| leaves(item, path, found));
        }
        // The first contract is the one that is edited.
        leaf => {
            let path = path.trim_end_matches('.').to_owned();
            found.entry(path).or_insert_with(|| leaf.clone());
        }
    }
}

pub(super) fn leaves_of(content: &Content) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    leaves(&content.canonical(), "", &mut found);
    found
}

pub(super) fn differing(one: &Content, other: &Content) -> BTreeSet<String> {
    let (one, other) = (leaves_of(one), leaves_of(other));
    let names = one.keys().chain(other.keys());
    names
        .filter(|name| one.get(*name) != other.get(*name))
        .cloned()
        .collect()
}

/// The member that a leaf or a change is about, without its place and its unit.
pub(super) fn member(text: &str) -> String {
    let first = text.split('.').next().unwrap();
    let plain = first.trim_end_matches("_bp").trim_end_matches("_ppm");
    // A burst comes and goes with its rate.
    plain.replace("burst", "rate_limit_rpm")
}
