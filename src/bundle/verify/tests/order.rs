//! Each check with its code, and which of two comes first.

use super::*;
use crate::contract::Quarantine;

/// A candidate that is right but for one thing.
fn check(change: fn(&mut Manifest), surround: fn(&mut Surroundings<'_>), expected: RefusalCode) {
    let root = root();
    let before = first(&root);
    let mut around = after(&root, &before);
    surround(&mut around);
    let mut manifest = Manifest {
        parent: Some(before.digest().to_owned()),
        ..manifest(2)
    };
    change(&mut manifest);
    let contracts = [contract("a", Some("api"), 60), contract("b", None, 60)];
    let bytes = bundle(&manifest, &contracts, &["alice", "bob", "carol"]);
    let refused = verify(&bytes, &around).unwrap_err();
    assert_eq!(refused.code, expected, "{refused}");
}

fn same(_: &mut Manifest) {}

fn here(_: &mut Surroundings<'_>) {}

// R110
#[test]
fn each_reason_has_its_code() {
    check(same, |a| a.now_us = NOW + 1_000 * HOUR, RootExpired);
    check(
        |m| m.engine_min = "0.1.1".to_owned(),
        here,
        FormatUnsupported,
    );
    check(|m| m.audience = "other".to_owned(), here, AudienceMismatch);
    check(|m| m.epoch = 4, here, AudienceMismatch);
    check(|m| m.epoch = 2, here, RollbackRejected);
    check(|m| m.serial = 1, here, SerialReused);
    check(|m| m.parent = Some("0".repeat(64)), here, ParentUnknown);
    check(|m| m.parent = None, here, ParentUnknown);
    check(|m| m.name = "other".to_owned(), here, ParentUnknown);
    check(
        same,
        |a| a.newest_record_us = a.now_us + 1,
        ClockBehindLedger,
    );
    check(|m| m.not_before_us = NOW + 2 * HOUR, here, NotYetValid);
    check(|m| m.expires_at_us = NOW + HOUR, here, Expired);
    check(|m| m.author = "bob".to_owned(), here, AuthorMissing);
    check(|m| m.author = "dave".to_owned(), here, AuthorMissing);
    check(|m| m.author = "nobody".to_owned(), here, AuthorMissing);
    check(same, |a| a.place.contracts_max = 1, ContentRefused);
    let glass = |m: &mut Manifest| {
        m.breakglass = Some(Breakglass {
            reason: "fire".to_owned(),
            until_us: NOW + HOUR,
        });
    };
    check(glass, here, Expired);
}

/// The order of the table: of two faults the first one is told.
#[test]
fn of_two_faults_the_earlier_is_told() {
    check(
        |m| (m.author, m.audience) = ("dave".to_owned(), "other".to_owned()),
        here,
        AuthorMissing,
    );
    check(
        |m| (m.engine_min, m.audience) = ("9.0.0".to_owned(), "other".to_owned()),
        here,
        FormatUnsupported,
    );
    check(
        |m| (m.audience, m.serial) = ("other".to_owned(), 1),
        here,
        AudienceMismatch,
    );
    check(
        |m| (m.serial, m.parent) = (1, Some("0".repeat(64))),
        here,
        SerialReused,
    );
    check(
        |m| m.parent = None,
        |a| a.newest_record_us = a.now_us + 1,
        ParentUnknown,
    );
    check(
        |m| m.not_before_us = NOW + 2 * HOUR,
        |a| a.newest_record_us = a.now_us + 1,
        ClockBehindLedger,
    );
    check(
        |m| m.expires_at_us = NOW + HOUR,
        |a| a.place.contracts_max = 1,
        Expired,
    );
    check(
        |m| m.serial = 1,
        |a| a.now_us = NOW + 1_000 * HOUR,
        RootExpired,
    );
}

#[test]
fn a_lower_serial_is_a_rollback_also_for_the_same_bytes() {
    let root = root();
    let before = first(&root);
    let around = after(&root, &before);
    assert_eq!(code(verify(&before.envelope(), &around)), RollbackRejected);
    let mark = Mark {
        position: Position {
            epoch: 3,
            serial: 9,
        },
        digest: before.digest(),
    };
    let around = Surroundings {
        mark: Some(mark),
        ..around
    };
    let manifest = Manifest {
        parent: Some(before.digest().to_owned()),
        ..manifest(8)
    };
    let bytes = bundle(&manifest, &[], &["alice", "bob", "carol"]);
    assert_eq!(code(verify(&bytes, &around)), RollbackRejected);
}

#[test]
fn a_root_of_a_higher_epoch_frees_burned_serials() {
    let root = root();
    let before = first(&root);
    let raised = root_of(RootParts {
        epoch: 4,
        ..root_parts()
    });
    let burned = Mark {
        position: Position {
            epoch: 3,
            serial: 9_000,
        },
        digest: before.digest(),
    };
    let around = Surroundings {
        mark: Some(burned),
        ..after(&raised, &before)
    };
    let manifest = Manifest {
        epoch: 4,
        parent: Some(before.digest().to_owned()),
        ..manifest(1)
    };
    let contracts = before.catalogue().contracts();
    let bytes = bundle(&manifest, contracts, &["alice", "bob", "carol"]);
    let found = verify(&bytes, &around).unwrap();
    assert_eq!(found.position().epoch, 4);
}

// R105
#[test]
fn signatures_are_judged_before_anything_they_cover() {
    let root = root();
    let around = around(&root);
    let payload = payload_of(&manifest(1), &[contract("a", None, 60)]);
    let check = |payload: &[u8], signers: &[&str], expected: RefusalCode| {
        let bytes = sign(BUNDLE_TYPE, payload.to_vec(), signers);
        let refused = verify(&bytes, &around).unwrap_err();
        assert_eq!(refused.code, expected, "{refused}");
    };
    check(&payload, &["alice", "bob", "mallory"], UnknownKey);
    check(&payload, &["bob", "carol"], AuthorMissing);
    check(&payload, &["alice"], ThresholdNotMet);
    check(&payload, &[], AuthorMissing);
    let text = String::from_utf8(payload.clone()).unwrap();
    let all = ["alice", "bob", "carol"];
    for (from, to, expected) in [
        ("\"epoch\":3", "\"epoch\":3.0", PayloadMalformed),
        ("\"epoch\":3", "\"epoch\":3,\"epoch\":3", PayloadMalformed),
        ("\"epoch\":3", "\"epoch\": 3", NotCanonical),
        ("\"epoch\":3", "\"epoch\":3,\"extra\":1", PayloadMalformed),
        (
            "\"format_version\":1",
            "\"format_version\":2",
            FormatUnsupported,
        ),
        ("\"stream\":false", "\"stream\": false", NotCanonical),
        ("\"stream\":false", "\"stream\":0", PayloadMalformed),
        (
            "\"max_latency_ms\":1000",
            "\"max_latency_ms\":0",
            ContentInvalid,
        ),
        (
            "\"audience\":\"edge\"",
            "\"audience\":\"Edge\"",
            PayloadMalformed,
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        check(changed.as_bytes(), &all, expected);
        // Whoever did not sign enough is told that first, whatever is wrong with the rest.
        check(changed.as_bytes(), &["alice"], ThresholdNotMet);
        // What was not signed so is not even read.
        let mut forged = Envelope::unsigned(BUNDLE_TYPE, changed.into_bytes());
        let good = Envelope::parse(&sign(BUNDLE_TYPE, payload.clone(), &all), BUNDLE_TYPE);
        for signature in good.unwrap().signatures() {
            forged.push(signature.clone()).unwrap();
        }
        assert_eq!(code(verify(&forged.to_bytes(), &around)), SignatureInvalid);
    }
    let deep = format!("{{\"author\":\"alice\",\"x\":{}", "[".repeat(1_000_000));
    check(deep.as_bytes(), &all, PayloadMalformed);
    check(b"", &all, PayloadMalformed);
}

#[test]
fn what_is_no_bundle_is_told_before_any_signature() {
    let root = root();
    let around = around(&root);
    let check = |bytes: &[u8], expected| assert_eq!(code(verify(bytes, &around)), expected);
    check(&vec![b' '; (16 << 20) + 1], TooLarge);
    let long = format!("{{\"{}\":1}}", "A".repeat(15_000_000));
    let refused = verify(long.as_bytes(), &around).unwrap_err();
    assert_eq!(refused.code, EnvelopeMalformed);
    assert!(refused.to_string().len() < 500, "what is quoted is short");
    assert!(refused.detail.contains("unknown field"), "{refused}");
    check(b"{}", EnvelopeMalformed);
    check("[".repeat(100_000).as_bytes(), EnvelopeMalformed);
    check(root.envelope(), PayloadType);
    let payload = payload_of(&manifest(1), &[]);
    let good = String::from_utf8(sign(BUNDLE_TYPE, payload, &["alice"])).unwrap();
    let from = good.find("{\"keyid\"").unwrap();
    let one = &good[from..good.len() - 3];
    let twice = good.replace(one, &format!("{one},{one}"));
    check(twice.as_bytes(), SignatureTwice);
}

#[test]
fn contracts_that_do_not_fit_here_are_refused() {
    let root = root();
    let check = |contracts: &[Contract], told: &str| {
        let bytes = bundle(&manifest(1), contracts, &["alice", "bob", "carol"]);
        let refused = verify(&bytes, &around(&root)).unwrap_err();
        assert_eq!(refused.code, ContentRefused);
        assert!(refused.detail.contains(told), "{refused}");
    };
    let to = |upstream: &str, divert: bool| {
        let parts = ContractParts::new(
            ContractId::new("a").unwrap(),
            "GET /a",
            MethodSet::EMPTY.with(Method::Get),
            Terms {
                quarantine: if divert {
                    Quarantine::Divert
                } else {
                    Quarantine::Reject
                },
                ..Terms::default()
            },
        );
        let name = Some(upstream.into());
        Contract::new(if divert {
            ContractParts {
                divert_upstream: name,
                ..parts
            }
        } else {
            ContractParts {
                upstream: name,
                ..parts
            }
        })
    };
    check(
        &[to("other", false)],
        "upstream 'other'; this gateway has: main",
    );
    check(&[to("aside", true)], "upstream 'aside'");
    let route = |id: &str| {
        Contract::new(ContractParts::new(
            ContractId::new(id).unwrap(),
            "GET /same",
            MethodSet::EMPTY.with(Method::Get),
            Terms::default(),
        ))
    };
    check(
        &[route("x"), route("y")],
        "'x' and 'y' claim the same route for GET",
    );
}

#[test]
fn a_start_takes_the_bundle_at_the_mark_and_no_other() {
    let root = root();
    let before = first(&root);
    let around = after(&root, &before);
    let again = verify_again(&before.envelope(), &around).unwrap();
    assert_eq!(again.digest(), before.digest());
    assert_eq!(again.classified(), None);
    // Long after its end, with a clock before its beginning, under an expired root.
    for now_us in [0, NOW + 10_000 * HOUR] {
        let late = Surroundings { now_us, ..around };
        let again = verify_again(&before.envelope(), &late).unwrap();
        assert_eq!(again.is_expired(now_us), now_us > 0);
    }
    let marked = |serial: u64, digest: &'static str| Surroundings {
        mark: Some(Mark {
            position: Position { epoch: 3, serial },
            digest,
        }),
        ..around
    };
    let check = |around: &Surroundings<'_>, expected| {
        assert_eq!(code(verify_again(&before.envelope(), around)), expected);
    };
    check(&marked(2, "other"), RollbackRejected);
    check(&marked(1, "other"), SerialReused);
    let unmarked = Surroundings {
        mark: None,
        ..around
    };
    check(&unmarked, StateChanged);
    let low = Mark {
        position: Position::default(),
        digest: "",
    };
    let above = Surroundings {
        mark: Some(low),
        ..around
    };
    check(&above, StateChanged);
}

#[test]
fn a_start_counts_only_keys_that_the_root_still_has() {
    let old = root();
    let before = first(&old);
    let without = |names: &[&str]| {
        let mut parts = root_parts();
        parts.groups.clear();
        parts.thresholds.authority = 2;
        let gone = |name: &String| names.contains(&name.as_str());
        for principal in &mut parts.principals {
            if gone(&principal.name) {
                principal.keys = vec![key("new").verifying_key()];
            }
        }
        let payload = Root::new(parts).unwrap().to_payload().unwrap();
        let signers: Vec<&str> = ["alice", "bob", "carol"]
            .into_iter()
            .filter(|name| !names.contains(name))
            .collect();
        verify_root(&sign(ROOT_TYPE, payload, &signers), None).unwrap()
    };
    let root = without(&["bob"]);
    let again = verify_again(&before.envelope(), &after(&root, &before)).unwrap();
    assert_eq!(again.signers(), ["alice", "carol"]);
    // The author's has to be there, whoever else signed.
    let others = without(&["alice"]);
    let refused = verify_again(&before.envelope(), &after(&others, &before));
    assert_eq!(code(refused), AuthorMissing);
    let production = Surroundings {
        is_production: true,
        ..after(&root, &before)
    };
    let refused = verify_again(&before.envelope(), &production);
    assert_eq!(code(refused), ThresholdNotMet);
}

#[test]
fn a_lost_bundle_is_followed_from_its_mark_or_from_nothing() {
    let root = root();
    let digest = "a".repeat(64);
    let mark = Mark {
        position: Position {
            epoch: 3,
            serial: 4,
        },
        digest: &digest,
    };
    let lost = Surroundings {
        mark: Some(mark),
        ..around(&root)
    };
    let check = |parent: Option<String>, is_taken: bool| {
        let manifest = Manifest {
            parent,
            ..manifest(5)
        };
        let bytes = bundle(&manifest, &[], &["alice", "bob", "carol", "dave"]);
        assert_eq!(verify(&bytes, &lost).is_ok(), is_taken);
        // As of a first bundle is not enough: nobody knows what it loosens.
        let bytes = bundle(&manifest, &[], &["alice", "bob", "carol"]);
        assert!(verify(&bytes, &lost).is_err());
    };
    check(None, true);
    check(Some("a".repeat(64)), true);
    check(Some("b".repeat(64)), false);
}
