//! The chain of roots.

use super::*;

fn signed(parts: RootParts, signers: &[&str]) -> Vec<u8> {
    sign(
        ROOT_TYPE,
        Root::new(parts).unwrap().to_payload().unwrap(),
        signers,
    )
}

/// The successor: bob leaves, eve comes.
fn next() -> RootParts {
    let mut parts = root_parts();
    parts.version = 2;
    parts.principals.retain(|p| p.name != "bob");
    parts.groups.clear();
    parts
        .principals
        .push(principal("eve", &[Role::Approver, Role::Root]));
    parts
}

#[test]
fn a_first_root_is_signed_by_its_own_threshold() {
    let check = |signers: &[&str], expected: Result<(), RefusalCode>| {
        let found = verify_root(&signed(root_parts(), signers), None);
        assert_eq!(
            found.map(|_| ()).map_err(|r| r.code),
            expected,
            "{signers:?}"
        );
    };
    check(&["alice", "bob"], Ok(()));
    check(&["alice"], Err(RootThreshold));
    check(&["alice", "dave"], Err(RootThreshold));
    check(&["alice", "bob", "eve"], Err(UnknownKey));
    check(&[], Err(RootThreshold));
}

#[test]
fn the_next_root_takes_both_thresholds() {
    let before = root();
    let check = |change: fn(&mut RootParts), signers: &[&str], expected| {
        let mut parts = next();
        change(&mut parts);
        let found = verify_root(&signed(parts, signers), Some(&before));
        let found = found.map(|_| ()).map_err(|refused| refused.code);
        assert_eq!(found, expected, "{signers:?}");
    };
    let same: fn(&mut RootParts) = |_| ();
    check(same, &["alice", "carol"], Ok(()));
    check(same, &["alice", "bob", "eve"], Ok(()));
    // The old threshold is missing, then the new one.
    check(same, &["alice", "eve"], Err(RootThreshold));
    check(same, &["alice", "bob"], Err(RootThreshold));
    let both = &["alice", "carol"];
    check(|parts| parts.version = 3, both, Err(RootSkipped));
    check(|parts| parts.version = 1, both, Err(RootSkipped));
    check(
        |parts| parts.audience = "other".to_owned(),
        both,
        Err(AudienceMismatch),
    );
    check(|parts| parts.epoch = 2, both, Err(RollbackRejected));
    check(|parts| parts.epoch = 4, both, Ok(()));
    check(|parts| parts.expires_at_us = 1, both, Ok(()));
}

#[test]
fn a_later_root_can_be_pinned_with_signatures_of_those_who_left() {
    let bytes = signed(next(), &["alice", "bob", "eve"]);
    let pinned = verify_root(&bytes, None).unwrap();
    assert_eq!(pinned.signers(), ["alice", "eve"]);
    let bytes = signed(next(), &["alice", "bob"]);
    assert_eq!(verify_root(&bytes, None).unwrap_err().code, RootThreshold);
}

#[test]
fn two_keys_of_one_principal_count_once() {
    let mut parts = root_parts();
    parts.principals[0].keys.push(key("spare").verifying_key());
    let found = verify_root(&signed(parts, &["alice", "spare"]), None);
    assert_eq!(found.unwrap_err().code, RootThreshold);
}

#[test]
fn a_root_that_a_stranger_changed_is_refused() {
    let good = signed(root_parts(), &["alice", "bob"]);
    let envelope = Envelope::parse(&good, ROOT_TYPE).unwrap();
    let text = String::from_utf8(envelope.unverified_payload().to_vec()).unwrap();
    let check = |from: &str, to: &str, expected| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        let mut forged = Envelope::unsigned(ROOT_TYPE, changed.into_bytes());
        for signature in envelope.signatures() {
            forged.push(signature.clone()).unwrap();
        }
        let found = verify_root(&forged.to_bytes(), None).unwrap_err();
        assert_eq!(found.code, expected, "{found}");
    };
    check("\"epoch\":3", "\"epoch\":4", SignatureInvalid);
    check("\"epoch\":3", "\"epoch\": 3", NotCanonical);
    check("\"epoch\":3", "\"epoch\":3.0", PayloadMalformed);
    check("\"epoch\":3", "\"epoch\":3,\"epoch\":3", PayloadMalformed);
    let bundle = sign(BUNDLE_TYPE, text.into_bytes(), &["alice", "bob"]);
    assert_eq!(verify_root(&bundle, None).unwrap_err().code, PayloadType);
}
