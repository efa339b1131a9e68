//! Four people, and the roots and bundles that they sign.

use std::collections::BTreeMap;

use super::super::*;
use crate::bundle::envelope::{BUNDLE_TYPE, Envelope, ROOT_TYPE};
use crate::bundle::manifest::Manifest;
use crate::bundle::root::{Principal, Role, Root, RootParts, Thresholds};
use crate::bundle::{digest_hex, fixture, payload};
use crate::contract::{Contract, ContractId, ContractParts, Method, MethodSet, Terms};

pub(super) use crate::bundle::fixture::{HOUR, NOW, key, sign};

pub(super) const ALL: &[&str] = &["alice", "bob", "carol", "dave"];

pub(super) fn root(version: u64) -> Vec<u8> {
    root_of(version, ALL)
}

pub(super) fn root_of(version: u64, people: &[&str]) -> Vec<u8> {
    let principal = |name: &str| Principal {
        name: name.to_owned(),
        keys: vec![key(name).verifying_key()],
        roles: [Role::Author, Role::Approver, Role::Security, Role::Root].into(),
    };
    let parts = RootParts {
        version,
        audience: "edge".to_owned(),
        epoch: 1,
        is_production: false,
        expires_at_us: NOW + 1_000 * HOUR,
        principals: people.iter().map(|name| principal(name)).collect(),
        groups: BTreeMap::new(),
        thresholds: Thresholds::default(),
    };
    let payload = Root::new(parts).unwrap().to_payload().unwrap();
    sign(ROOT_TYPE, payload, ALL)
}

pub(super) fn manifest(serial: u64, parent: Option<&[u8]>) -> Manifest {
    Manifest {
        parent: parent.map(digest),
        tier_max: Tier::Control,
        ..fixture::manifest(serial)
    }
}

pub(super) fn bundle(manifest: &Manifest, ids: &[&str]) -> Vec<u8> {
    bundle_by(manifest, ids, ALL)
}

pub(super) fn bundle_by(manifest: &Manifest, ids: &[&str], signers: &[&str]) -> Vec<u8> {
    let contract = |id: &&str| {
        let methods = MethodSet::EMPTY.with(Method::Get);
        let endpoint = format!("GET /{id}");
        let id = ContractId::new(id).unwrap();
        Contract::new(ContractParts::new(id, &endpoint, methods, Terms::default()))
    };
    let contracts: Vec<_> = ids.iter().map(contract).collect();
    let content = canonical::write(&contracts, &Rules::default()).unwrap();
    sign(
        BUNDLE_TYPE,
        payload::write(manifest, &content).unwrap(),
        signers,
    )
}

pub(super) fn digest(envelope: &[u8]) -> String {
    let envelope = Envelope::parse(envelope, BUNDLE_TYPE).unwrap();
    digest_hex(envelope.unverified_payload())
}
