//! Emergency measures: what follows them, how long they hold, and what holds where state was lost.

use super::*;

const A_AND_B: [(&str, Option<&str>); 2] = [("a", Some("api")), ("b", None)];

/// Both contracts of the first bundle, with this limit of `a`.
fn limited(per_minute: u32) -> Vec<Contract> {
    let [(a, owner), (b, none)] = A_AND_B;
    vec![contract(a, owner, per_minute), contract(b, none, 60)]
}

fn after_of(before: &VerifiedBundle, serial: u64) -> Manifest {
    Manifest {
        parent: Some(before.digest().to_owned()),
        ..manifest(serial)
    }
}

fn measure_until(before: &VerifiedBundle, serial: u64, until_us: u64) -> Manifest {
    Manifest {
        breakglass: Some(Breakglass {
            reason: "fire".to_owned(),
            until_us,
        }),
        ..after_of(before, serial)
    }
}

fn measure(before: &VerifiedBundle, serial: u64) -> Manifest {
    measure_until(before, serial, NOW + 4 * HOUR)
}

fn outcome(result: Result<VerifiedBundle, Refused>) -> String {
    result.map_or_else(|refused| refused.to_string(), |_| "ok".to_owned())
}

/// A measure in force, with or without what was before it.
fn under<'a>(
    root: &'a VerifiedRoot,
    measure: &'a VerifiedBundle,
    before: Option<&'a VerifiedBundle>,
) -> Surroundings<'a> {
    let around = after(root, measure);
    let in_force = around.in_force.map(|in_force| InForce {
        before_measure: before.map(VerifiedBundle::side),
        ..in_force
    });
    Surroundings { in_force, ..around }
}

#[test]
fn what_a_measure_broke_takes_its_owner_before_it_stays() {
    let root = root();
    let before = first(&root);
    let bytes = bundle(&measure(&before, 2), &limited(6), &["alice", "dave"]);
    let glass = verify(&bytes, &after(&root, &before)).unwrap();
    let check = |known: bool, contracts: &[Contract], signers: &[&str], told: &str| {
        let bytes = bundle(&after_of(&glass, 3), contracts, signers);
        let known = known.then_some(&before);
        let found = outcome(verify(&bytes, &under(&root, &glass, known)));
        assert!(found.contains(told), "{signers:?}: {found}");
    };
    let owner = "APPROVALS_MISSING: it takes 1 more approver, one of the group 'api' (bob)";
    check(true, &limited(6), &["alice", "carol", "dave"], owner);
    check(
        true,
        &limited(6),
        &["alice", "bob"],
        "it takes 1 more approver;",
    );
    check(true, &limited(6), &["alice", "bob", "dave"], "ok");
    // Back to what was before it is a loosening of the measure.
    let security = "1 more approver, one with the role security";
    check(true, &limited(60), &["alice", "bob", "dave"], security);
    check(true, &limited(60), &["alice", "carol", "dave"], "ok");
    // Nobody knows what was before: any change could be in it.
    check(false, &limited(6), &["alice", "bob", "dave"], security);
    check(
        false,
        &limited(6),
        &["alice", "bob", "carol"],
        "1 more approver;",
    );
    check(false, &[], &["alice", "carol", "dave"], owner);
    check(false, &limited(6), &["alice", "bob", "carol", "dave"], "ok");
    // Whoever only looks, and does not know it, is told no classes.
    let bytes = bundle(&after_of(&glass, 3), &limited(6), &["alice", "dave"]);
    let looked = inspect(&bytes, &under(&root, &glass, None)).unwrap();
    assert_eq!((looked.classified, looked.missing), (None, None));
}

#[test]
fn no_measure_follows_a_measure() {
    let root = root();
    let before = first(&root);
    let bytes = bundle(&measure(&before, 2), &limited(6), &["alice", "bob"]);
    let glass = verify(&bytes, &after(&root, &before)).unwrap();
    let all = ["alice", "bob", "carol", "dave"];
    let next = bundle(&measure(&glass, 3), &limited(3), &all);
    for known in [None, Some(&before)] {
        let found = outcome(verify(&next, &under(&root, &glass, known)));
        let told = "BREAKGLASS_TOO_WIDE: an emergency measure is in force already";
        assert!(found.starts_with(told), "{found}");
    }
}

#[test]
fn a_measure_does_one_thing() {
    let root = root();
    let high = Manifest {
        tier_max: Tier::Control,
        ..manifest(1)
    };
    let all = ["alice", "bob", "carol", "dave"];
    let before = verify(&bundle(&high, &limited(60), &all), &around(&root)).unwrap();
    let check = |tier_max: Tier, contracts: &[Contract], told: &str| {
        let manifest = Manifest {
            tier_max,
            ..measure(&before, 2)
        };
        let bytes = bundle(&manifest, contracts, &["alice", "bob"]);
        let found = outcome(verify(&bytes, &after(&root, &before)));
        assert!(found.contains(told), "{found}");
    };
    check(Tier::ObserveOnly, &limited(60), "ok");
    check(Tier::Control, &limited(6), "ok");
    check(
        Tier::ObserveOnly,
        &limited(6),
        "rate_limit_rpm of a and tier_max",
    );
    check(Tier::Control, &limited(60), "it changes nothing");
    check(
        Tier::Control,
        &limited(90),
        "it loosens rate_limit_rpm of a",
    );
    check(
        Tier::Autonomous,
        &limited(60),
        "it loosens tier_max of bundle",
    );
}

#[test]
fn no_date_of_the_author_makes_a_measure_longer() {
    let root = root();
    let before = first(&root);
    let check = |made: u64, until: u64, now_us: u64, told: &str| {
        let manifest = Manifest {
            created_at_us: made,
            not_before_us: made,
            expires_at_us: NOW + 10_000 * HOUR,
            ..measure_until(&before, 2, until)
        };
        let bytes = bundle(&manifest, &limited(6), &["alice", "bob"]);
        let around = Surroundings {
            now_us,
            ..after(&root, &before)
        };
        let found = outcome(verify(&bytes, &around));
        assert!(found.starts_with(told), "{found}");
    };
    let minute = HOUR / 60;
    check(NOW, NOW + 4 * HOUR, NOW, "ok");
    check(NOW + minute, NOW + minute + 4 * HOUR, NOW, "NOT_YET_VALID");
    check(NOW + minute, NOW + minute + 4 * HOUR, NOW + minute, "ok");
    let far = NOW + 300 * 24 * HOUR;
    check(far, far + 4 * HOUR, NOW, "NOT_YET_VALID");
}

#[test]
fn what_is_made_in_the_future_is_not_valid_yet() {
    let root = root();
    let check = |made: u64, not_before: u64, expected: Option<RefusalCode>| {
        let manifest = Manifest {
            created_at_us: made,
            not_before_us: not_before,
            ..manifest(1)
        };
        let bytes = bundle(&manifest, &limited(60), &["alice", "bob", "carol"]);
        let around = Surroundings {
            now_us: NOW,
            ..around(&root)
        };
        let found = verify(&bytes, &around).err().map(|refused| refused.code);
        assert_eq!(found, expected);
    };
    let minute = HOUR / 60;
    check(NOW, NOW, None);
    check(NOW + minute, NOW + minute, Some(NotYetValid));
    check(NOW - minute, NOW, None);
    let early = Manifest {
        not_before_us: NOW - 1,
        ..manifest(1)
    };
    let rule = "not_before_us is not before created_at_us";
    assert_eq!(early.fault(), Some(rule));
}

#[test]
fn after_a_loss_every_owner_and_every_role_signs() {
    let root = root();
    let before = first(&root);
    let lost = Surroundings {
        in_force: None,
        ..after(&root, &before)
    };
    let check = |manifest: &Manifest, contracts: &[Contract], signers: &[&str], told: &str| {
        let found = outcome(verify(&bundle(manifest, contracts, signers), &lost));
        assert!(found.contains(told), "{signers:?}: {found}");
    };
    let orphan = manifest(2);
    check(
        &orphan,
        &limited(1),
        &["alice", "bob", "carol"],
        "1 more approver;",
    );
    check(
        &orphan,
        &limited(1),
        &["alice", "carol", "dave"],
        "group 'api' (bob)",
    );
    let all = ["alice", "bob", "carol", "dave"];
    check(&orphan, &limited(1), &all, "ok");
    check(
        &after_of(&before, 2),
        &limited(60),
        &["alice", "bob", "carol"],
        "1 more approver;",
    );
    check(&after_of(&before, 2), &limited(60), &all, "ok");
    check(
        &measure(&before, 2),
        &limited(6),
        &all,
        "BREAKGLASS_TOO_WIDE",
    );
    // The bundle at the mark comes back as it is.
    assert!(verify_again(&before.envelope(), &lost).is_ok());
}

#[test]
fn a_payload_that_was_made_after_its_beginning_is_none() {
    let root = root();
    let before = first(&root);
    let good = measure(&before, 2);
    let payload = String::from_utf8(payload_of(&good, &limited(6))).unwrap();
    // Made in 300 days, and holding from now on: 300 days and 4 hours.
    let far = NOW + 300 * 24 * HOUR;
    let mut late = payload.clone();
    for (name, value, to) in [
        ("created_at_us", NOW, far),
        ("expires_at_us", NOW + 24 * HOUR, far + 24 * HOUR),
        ("until_us", NOW + 4 * HOUR, far + 4 * HOUR),
    ] {
        let (from, to) = (format!("\"{name}\":{value}"), format!("\"{name}\":{to}"));
        assert_eq!(late.matches(&from).count(), 1, "{from}");
        late = late.replace(&from, &to);
    }
    let check = |payload: String, told: &str| {
        let bytes = sign(BUNDLE_TYPE, payload.into_bytes(), &["alice", "bob"]);
        let found = outcome(verify(&bytes, &after(&root, &before)));
        assert!(found.starts_with(told), "{found}");
    };
    check(payload, "ok");
    check(late, "PAYLOAD_MALFORMED: not_before_us");
}
