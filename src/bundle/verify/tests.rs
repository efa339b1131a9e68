//! A gateway of three people and its bundles, and the scenarios of docs/bundle-format.md.

use std::collections::BTreeMap;

use super::*;
use crate::bundle::envelope::ROOT_TYPE;
use crate::bundle::fixture::{self, HOUR, NOW, key, sign};
use crate::bundle::manifest::Breakglass;
use crate::bundle::payload;
use crate::bundle::refusal::RefusalCode::{self, *};
use crate::bundle::root::{Principal, Role, Root, RootParts, Thresholds};
use crate::contract::{Contract, ContractId, ContractParts, Method, MethodSet, Terms};
use crate::policy::canonical;
use crate::policy::rules::Rules;
use crate::units::{PerMinute, Tier};

mod approvals;
mod bits;
mod emergency;
mod order;
mod roots;
mod sunsets;

const UPSTREAMS: &[&str] = &["main"];

fn principal(name: &str, roles: &[Role]) -> Principal {
    Principal {
        name: name.to_owned(),
        keys: vec![key(name).verifying_key()],
        roles: roles.iter().copied().collect(),
    }
}

/// Alice makes bundles, bob and dave approve, carol is of security; `api` is bob's.
fn root_parts() -> RootParts {
    RootParts {
        version: 1,
        audience: "edge".to_owned(),
        epoch: 3,
        is_production: false,
        expires_at_us: NOW + 1_000 * HOUR,
        principals: vec![
            principal("alice", &[Role::Author, Role::Approver, Role::Root]),
            principal("bob", &[Role::Approver, Role::Root]),
            principal("carol", &[Role::Security, Role::Root]),
            principal("dave", &[Role::Approver, Role::Author]),
        ],
        groups: BTreeMap::from([("api".to_owned(), ["bob".to_owned()].into())]),
        thresholds: Thresholds::default(),
    }
}

fn root_of(parts: RootParts) -> VerifiedRoot {
    let payload = Root::new(parts).unwrap().to_payload().unwrap();
    verify_root(&sign(ROOT_TYPE, payload, &["alice", "bob", "carol"]), None).unwrap()
}

fn root() -> VerifiedRoot {
    root_of(root_parts())
}

/// A contract of an owner, with a rate limit.
fn contract(id: &str, owner: Option<&str>, per_minute: u32) -> Contract {
    let methods = MethodSet::EMPTY.with(Method::Get);
    let terms = Terms {
        rate_limit: PerMinute::new(per_minute),
        burst: std::num::NonZeroU32::new(10),
        ..Terms::default()
    };
    Contract::new(ContractParts {
        owner: owner.map(Into::into),
        ..ContractParts::new(
            ContractId::new(id).unwrap(),
            &format!("GET /{id}"),
            methods,
            terms,
        )
    })
}

fn manifest(serial: u64) -> Manifest {
    Manifest {
        epoch: 3,
        ..fixture::manifest(serial)
    }
}

fn payload_of(manifest: &Manifest, contracts: &[Contract]) -> Vec<u8> {
    let content = canonical::write(contracts, &Rules::default()).unwrap();
    payload::write(manifest, &content).unwrap()
}

fn bundle(manifest: &Manifest, contracts: &[Contract], signers: &[&str]) -> Vec<u8> {
    sign(BUNDLE_TYPE, payload_of(manifest, contracts), signers)
}

fn around(root: &VerifiedRoot) -> Surroundings<'_> {
    Surroundings {
        root,
        now_us: NOW + HOUR,
        newest_record_us: NOW,
        in_force: None,
        mark: None,
        place: Place {
            upstreams: UPSTREAMS,
            default_upstream: "main",
            contracts_max: 100,
            lookup_steps_max: 100,
        },
        is_production: false,
        engine: Engine {
            version: "0.1.0",
            self_tests: |_, _, _| Ok(()),
        },
    }
}

/// The first bundle of the line, in force.
fn first(root: &VerifiedRoot) -> VerifiedBundle {
    let contracts = [contract("a", Some("api"), 60), contract("b", None, 60)];
    let bytes = bundle(&manifest(1), &contracts, &["alice", "bob", "carol"]);
    verify(&bytes, &around(root)).unwrap()
}

fn after<'a>(root: &'a VerifiedRoot, before: &'a VerifiedBundle) -> Surroundings<'a> {
    Surroundings {
        in_force: Some(before.into()),
        mark: Some(mark_of(before)),
        ..around(root)
    }
}

fn mark_of(bundle: &VerifiedBundle) -> Mark<'_> {
    Mark {
        position: bundle.position(),
        digest: bundle.digest(),
    }
}

fn code(result: Result<VerifiedBundle, Refused>) -> RefusalCode {
    result.unwrap_err().code
}
