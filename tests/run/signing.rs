//! Keys of four people, a root of theirs, and bundles that they sign.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use tidegate::bundle::envelope::{BUNDLE_TYPE, Envelope, ROOT_TYPE};
use tidegate::bundle::manifest::Manifest;
use tidegate::bundle::root::{Principal, Role, Root, RootParts, Thresholds};
use tidegate::bundle::{digest_hex, payload};
use tidegate::contract::{Contract, ContractId, ContractParts, Method, MethodSet, Terms};
use tidegate::policy::canonical;
use tidegate::policy::rules::Rules;
use tidegate::units::Tier;

/// Everybody; the first one is the author.
pub(crate) const ALL: &[&str] = &["alice", "bob", "carol", "dave"];

/// An hour in microseconds.
const HOUR: u64 = 3_600_000_000;

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

fn key(name: &str) -> SigningKey {
    let mut seed = [9; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    SigningKey::from_bytes(&seed)
}

fn sign(kind: &str, payload: Vec<u8>, signers: &[&str]) -> Vec<u8> {
    let mut envelope = Envelope::unsigned(kind, payload);
    for signer in signers {
        envelope.sign(&key(signer)).unwrap();
    }
    envelope.to_bytes()
}

/// Their root; carol is of security.
pub(crate) fn root() -> Vec<u8> {
    let principal = |name: &str| {
        let own = if name == "carol" {
            Role::Security
        } else {
            Role::Approver
        };
        Principal {
            name: name.to_owned(),
            keys: vec![key(name).verifying_key()],
            roles: [Role::Author, own, Role::Root].into(),
        }
    };
    let parts = RootParts {
        version: 1,
        audience: "edge".to_owned(),
        epoch: 1,
        is_production: false,
        expires_at_us: now_us() + 1_000 * HOUR,
        principals: ALL.iter().map(|name| principal(name)).collect(),
        groups: BTreeMap::new(),
        thresholds: Thresholds::default(),
    };
    let payload = Root::new(parts).unwrap().to_payload().unwrap();
    sign(ROOT_TYPE, payload, ALL)
}

/// A bundle with a `GET` contract of each of these ids.
pub(crate) fn bundle(
    serial: u64,
    parent: Option<&[u8]>,
    ids: &[&str],
    signers: &[&str],
) -> Vec<u8> {
    let manifest = Manifest {
        name: "edge".to_owned(),
        epoch: 1,
        serial,
        parent: parent.map(digest),
        author: "alice".to_owned(),
        audience: "edge".to_owned(),
        created_at_us: now_us() - HOUR,
        not_before_us: now_us() - HOUR,
        expires_at_us: now_us() + 24 * HOUR,
        engine_min: "0.1.0".to_owned(),
        tier_max: Tier::Control,
        revert_of: None,
        change_request: None,
        breakglass: None,
    };
    let contract = |id: &&str| {
        let methods = MethodSet::EMPTY.with(Method::Get);
        let endpoint = format!("GET /{id}");
        let id = ContractId::new(id).unwrap();
        Contract::new(ContractParts::new(id, &endpoint, methods, Terms::default()))
    };
    let contracts: Vec<Contract> = ids.iter().map(contract).collect();
    let content = canonical::write(&contracts, &Rules::default()).unwrap();
    sign(
        BUNDLE_TYPE,
        payload::write(&manifest, &content).unwrap(),
        signers,
    )
}

/// The bundle digest.
pub(crate) fn digest(envelope: &[u8]) -> String {
    let envelope = Envelope::parse(envelope, BUNDLE_TYPE).unwrap();
    digest_hex(envelope.unverified_payload())
}
