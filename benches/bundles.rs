//! How long it takes to verify a bundle of 10,000 contracts and make it ready to match.
//!
//! `cargo bench --bench bundles`; the bound is 100 ms for all of it, off the hot path: three
//! signatures, canonical form, comparison with the bundle in force, compilation. The parts are
//! measured apart, to say where the time goes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod bounds;

use std::collections::BTreeMap;
use std::process::ExitCode;

use bounds::{Bounds, times};
use ed25519_dalek::SigningKey;
use tidegate::bundle::envelope::{BUNDLE_TYPE, Envelope, ROOT_TYPE};
use tidegate::bundle::manifest::Manifest;
use tidegate::bundle::payload::{self, Payload};
use tidegate::bundle::root::{Principal, Role, Root, RootParts, Thresholds};
use tidegate::bundle::verify::{
    Engine, InForce, Mark, Place, Surroundings, VerifiedRoot, verify, verify_root,
};
use tidegate::contract::{
    Catalogue, Contract, ContractId, ContractParts, Method, MethodSet, Terms,
};
use tidegate::policy::canonical::{self, CanonicalContent};
use tidegate::policy::rules::Rules;
use tidegate::units::{PerMinute, Tier};

const CONTRACTS: u32 = 10_000;
const ROUNDS: usize = 15;
const VERIFY_MS: u64 = 100;
const NOW: u64 = 1_700_000_000_000_000;
const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

fn key(number: usize) -> SigningKey {
    SigningKey::from_bytes(&[number as u8 + 1; 32])
}

fn sign(kind: &str, payload: Vec<u8>) -> Vec<u8> {
    let mut envelope = Envelope::unsigned(kind, payload);
    for number in 0..PEOPLE.len() {
        envelope.sign(&key(number)).unwrap();
    }
    envelope.to_bytes()
}

fn root() -> VerifiedRoot {
    let roles = [Role::Approver, Role::Author, Role::Root, Role::Security];
    let principal = |(number, name): (usize, &&str)| Principal {
        name: (*name).to_owned(),
        keys: vec![key(number).verifying_key()],
        roles: roles.into(),
    };
    let root = Root::new(RootParts {
        version: 1,
        audience: "edge".to_owned(),
        epoch: 1,
        is_production: true,
        expires_at_us: 2 * NOW,
        principals: PEOPLE.iter().enumerate().map(principal).collect(),
        groups: BTreeMap::new(),
        thresholds: Thresholds {
            authority: 2,
            ..Thresholds::default()
        },
    });
    let payload = root.unwrap().to_payload().unwrap();
    verify_root(&sign(ROOT_TYPE, payload), None).unwrap()
}

fn contract(number: u32) -> Contract {
    let terms = Terms {
        rate_limit: PerMinute::new(600),
        burst: std::num::NonZeroU32::new(60),
        ..Terms::default()
    };
    let endpoint = format!("GET /api/v{}/resource{number}/{{id}}/items", number % 3 + 1);
    let id = ContractId::new(&format!("resource{number}_items_get_v1")).unwrap();
    let methods = MethodSet::EMPTY.with(Method::Get);
    Contract::new(ContractParts {
        owner: Some("platform".into()),
        ..ContractParts::new(id, &endpoint, methods, terms)
    })
}

fn bundle(serial: u64, parent: Option<String>, content: &CanonicalContent) -> Vec<u8> {
    let manifest = Manifest {
        name: "main".to_owned(),
        epoch: 1,
        serial,
        parent,
        author: "alice".to_owned(),
        audience: "edge".to_owned(),
        created_at_us: NOW,
        not_before_us: NOW,
        expires_at_us: 2 * NOW,
        engine_min: "0.1.0".to_owned(),
        tier_max: Tier::ObserveOnly,
        revert_of: None,
        change_request: None,
        breakglass: None,
    };
    sign(BUNDLE_TYPE, payload::write(&manifest, content).unwrap())
}

/// A part, to say where the time goes; nothing is asked of it alone.
fn time<T>(name: &str, work: impl FnMut() -> T) {
    let [median, fastest] = times(ROUNDS, work);
    println!("{name:<22} median {median:.1} ms, fastest {fastest:.1} ms");
}

fn main() -> ExitCode {
    let rules = Rules::default();
    let contracts: Vec<Contract> = (0..CONTRACTS).map(contract).collect();
    let content = canonical::write(&contracts, &rules).unwrap();
    let root = root();
    let around = Surroundings {
        root: &root,
        now_us: NOW,
        newest_record_us: 0,
        in_force: None,
        mark: None,
        place: Place {
            upstreams: &["api"],
            default_upstream: "api",
            contracts_max: 100_000,
            lookup_steps_max: 1_024,
        },
        is_production: true,
        engine: Engine {
            version: "0.1.0",
            self_tests: tidegate::selftest::for_bundles,
        },
    };
    let first = verify(&bundle(1, None, &content), &around).unwrap();
    let around = Surroundings {
        in_force: Some(InForce::from(&first)),
        mark: Some(Mark {
            position: first.position(),
            digest: first.digest(),
        }),
        ..around
    };
    let next = bundle(2, Some(first.digest().to_owned()), &content);
    println!(
        "{CONTRACTS} contracts, {} bytes, {} signatures",
        next.len(),
        PEOPLE.len()
    );
    let envelope = Envelope::parse(&next, BUNDLE_TYPE).unwrap();
    let payload = envelope.unverified_payload().to_vec();
    time("envelope", || Envelope::parse(&next, BUNDLE_TYPE).unwrap());
    let signed = envelope.signed_bytes();
    let signature = envelope.signatures().first().unwrap();
    let public = key(0).verifying_key();
    time("one signature", || {
        assert!(signature.is_by(&public, &signed))
    });
    time("payload", || Payload::read(&payload).unwrap());
    time("content read", || canonical::read(content.bytes()).unwrap());
    time("content written", || {
        canonical::write(&contracts, &rules).unwrap()
    });
    time("routes", || Catalogue::build(contracts.clone()).unwrap());
    let mut bounds = Bounds::new();
    bounds.at_most("verify_and_compile", VERIFY_MS, ROUNDS, || {
        verify(&next, &around).unwrap()
    });
    bounds.end()
}
