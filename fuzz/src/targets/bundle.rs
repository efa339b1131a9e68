//! Bundles: any bytes are refused or read in one way, and nothing but what was signed verifies.
//!
//! The first byte says how the rest is read: as an envelope, as a payload, as a root, as signed
//! content, or as changes of a good bundle. Ed25519 takes a hundred times as long as all else, so
//! where nothing but a forged signature could break a law, one input of sixteen pays for it; where
//! the signed bytes are whole, each does.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ed25519_dalek::SigningKey;
use tidegate::bundle::envelope::{BUNDLE_TYPE, Envelope, ROOT_TYPE};
use tidegate::bundle::manifest::Manifest;
use tidegate::bundle::payload::{self, Payload};
use tidegate::bundle::root::{Principal, Role, Root, RootParts, Thresholds};
use tidegate::bundle::verify::{Engine, Place, Surroundings, VerifiedRoot, verify, verify_root};
use tidegate::policy::{canonical, rules::Rules};
use tidegate::units::Tier;

use super::changes::changed;

/// Noon of some day, microseconds since 1970.
const NOW: u64 = 1_700_000_000_000_000;
const HOUR: u64 = 3_600_000_000;

/// The laws of one input.
pub fn run(bytes: &[u8]) {
    let Some((way, rest)) = bytes.split_first() else {
        return;
    };
    let pays = way / 8 % 16 == 0;
    match way % 8 {
        0 => envelope(rest),
        1 => payload_alone(rest),
        2 => root_alone(rest),
        3 => {
            let _ = verify_root(rest, None);
            assert!(
                verify(rest, &site().around()).is_err(),
                "unsigned bytes verify"
            );
        }
        4 => signed(rest, pays),
        _ => mutated(rest, pays),
    }
}

/// Read, written and read again: one spelling.
fn envelope(bytes: &[u8]) {
    for kind in [BUNDLE_TYPE, ROOT_TYPE] {
        let Ok(read) = Envelope::parse(bytes, kind) else {
            continue;
        };
        let again = Envelope::parse(&read.to_bytes(), kind).expect("what was written is read");
        assert_eq!(again, read);
    }
}

/// A payload that is read is the bytes that its parts give.
fn payload_alone(bytes: &[u8]) {
    let Ok(read) = Payload::read(bytes) else {
        return;
    };
    let written = payload::write(read.manifest(), read.content()).expect("it was read");
    assert_eq!(written, bytes, "two spellings of one payload");
}

fn root_alone(bytes: &[u8]) {
    let Ok(read) = Root::read(bytes) else {
        return;
    };
    assert_eq!(read.to_payload().expect("it was read"), bytes);
}

/// Behind true signatures: no panic, and what verifies is a payload by itself.
fn signed(bytes: &[u8], pays: bool) {
    let is_payload = Payload::read(bytes).is_ok();
    // What is no payload is read no further behind its signatures than it was here.
    if !is_payload && !pays {
        return;
    }
    let envelope = sign(BUNDLE_TYPE, bytes.to_vec());
    if verify(&envelope, &site().around()).is_ok() {
        assert!(is_payload, "verified, and no payload");
    }
}

/// Whatever is changed of a good bundle, it is refused, or it says and shows the same.
fn mutated(bytes: &[u8], pays: bool) {
    let site = site();
    let other = changed(&site.bundle, bytes);
    let read = Envelope::parse(&other, BUNDLE_TYPE);
    let is_forged = read
        .as_ref()
        .is_ok_and(|read| read.unverified_payload() != site.envelope.unverified_payload());
    if is_forged && !pays {
        return;
    }
    if let Ok(verified) = verify(&other, &site.around()) {
        assert_eq!(verified.digest(), site.digest, "another bundle verifies");
        assert!(!is_forged, "another payload verifies");
        let read = read.expect("it verified");
        let is_known = |one| site.envelope.signatures().contains(one);
        assert!(
            read.signatures().iter().all(is_known),
            "another signature counts"
        );
    }
}

/// A root, and a bundle that everybody has signed.
struct Site {
    root: VerifiedRoot,
    bundle: Vec<u8>,
    /// The same, read.
    envelope: Envelope,
    digest: String,
}

impl Site {
    fn around(&self) -> Surroundings<'_> {
        Surroundings {
            root: &self.root,
            now_us: NOW + HOUR,
            newest_record_us: NOW,
            in_force: None,
            mark: None,
            place: Place {
                upstreams: &["main"],
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
}

fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| {
        let root = Root::new(root_parts()).and_then(|root| root.to_payload());
        let root = verify_root(&sign(ROOT_TYPE, root.expect("a root")), None).expect("signed");
        let content = canonical::write(&[], &Rules::default()).expect("no contracts");
        let payload = payload::write(&manifest(), &content).expect("a payload");
        let digest = Payload::read(&payload)
            .expect("a payload")
            .digest()
            .to_owned();
        let bundle = sign(BUNDLE_TYPE, payload);
        let site = Site {
            envelope: Envelope::parse(&bundle, BUNDLE_TYPE).expect("an envelope"),
            bundle,
            root,
            digest,
        };
        verify(&site.bundle, &site.around()).expect("the good bundle verifies");
        site
    })
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn sign(kind: &str, payload: Vec<u8>) -> Vec<u8> {
    let mut envelope = Envelope::unsigned(kind, payload);
    for seed in 1..=3 {
        envelope.sign(&key(seed)).expect("each key once");
    }
    envelope.to_bytes()
}

fn root_parts() -> RootParts {
    let principal = |name: &str, seed, roles: &[Role]| Principal {
        name: name.to_owned(),
        keys: vec![key(seed).verifying_key()],
        roles: roles.iter().copied().collect(),
    };
    RootParts {
        version: 1,
        audience: "edge".to_owned(),
        epoch: 3,
        is_production: false,
        expires_at_us: NOW + 1_000 * HOUR,
        principals: vec![
            principal("alice", 1, &[Role::Author, Role::Approver, Role::Root]),
            principal("bob", 2, &[Role::Approver, Role::Root]),
            principal("carol", 3, &[Role::Security, Role::Root]),
        ],
        groups: BTreeMap::new(),
        thresholds: Thresholds::default(),
    }
}

fn manifest() -> Manifest {
    Manifest {
        name: "line".to_owned(),
        epoch: 3,
        serial: 1,
        parent: None,
        author: "alice".to_owned(),
        audience: "edge".to_owned(),
        created_at_us: NOW,
        not_before_us: NOW,
        expires_at_us: NOW + 24 * HOUR,
        engine_min: "0.1.0".to_owned(),
        tier_max: Tier::ObserveOnly,
        revert_of: None,
        change_request: None,
        breakglass: None,
    }
}
