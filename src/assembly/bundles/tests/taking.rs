//! What is handed in: taken or refused, recorded, and told.

use super::super::activation::From;
use super::super::*;
use super::signed::{HOUR, NOW, bundle, bundle_by, digest, manifest};
use super::site::{Site, apply, by_hand, check_refused, serial, tier};
use crate::bundle::manifest::Manifest;

// R065 R122
#[test]
fn what_is_refused_changes_nothing_and_is_recorded() {
    let site = Site::new();
    let mut bundles = site.start(NOW);
    assert_eq!(serial(&bundles), None);
    assert!(bundles.doors.are_closed());
    let one = bundle(&manifest(5, None), &["a"]);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    assert!(!bundles.doors.are_closed());
    assert_eq!(serial(&bundles), Some(5));
    assert_eq!(tier(&bundles), Tier::Control);
    let same = bundles.attempt_at(Some(&one), &by_hand(), NOW);
    assert_eq!(same.result, Reload::Unchanged);
    let two = bundle(&manifest(6, Some(&one)), &["a", "b"]);
    let of = |serial: u64, parent: Option<&[u8]>| bundle(&manifest(serial, parent), &["b"]);
    for (bytes, now_us, code) in [
        (forged(&one), NOW, RefusalCode::SignatureInvalid),
        (of(4, Some(&one)), NOW, RefusalCode::RollbackRejected),
        (of(5, Some(&one)), NOW, RefusalCode::SerialReused),
        (of(6, None), NOW, RefusalCode::ParentUnknown),
        (two.clone(), NOW - 1, RefusalCode::ClockBehindLedger),
        (two.clone(), NOW + 25 * HOUR, RefusalCode::Expired),
    ] {
        check_refused(&mut bundles, &bytes, now_us, code);
    }
    let if_match = |digest: String| From {
        if_match: Some(digest),
        ..by_hand()
    };
    let raced = bundles.attempt_at(Some(&two), &if_match("0".repeat(64)), NOW);
    assert_eq!(raced.refused.unwrap().code, RefusalCode::StateChanged);
    let large = bundles.attempt_at(None, &by_hand(), NOW);
    assert_eq!(large.refused.unwrap().code, RefusalCode::TooLarge);
    assert_eq!(serial(&bundles), Some(5));
    let expected = if_match(digest(&one));
    assert_eq!(bundles.attempt_at(Some(&two), &expected, NOW).refused, None);
    assert_eq!(serial(&bundles), Some(6));
    bundles.ledger.close().unwrap();
    check_recorded(&site.records("bundle"));
}

/// The same content in an envelope that somebody changed.
fn forged(bundle: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(bundle.to_vec()).unwrap();
    let at = text.find("\"sig\":\"").unwrap() + 8;
    let mut forged = bundle.to_vec();
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    forged
}

fn check_recorded(records: &[String]) {
    let count = |text: &str| records.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        (records.len(), count("\"activated\"")),
        (10, 2),
        "{records:#?}"
    );
    for code in [
        "SIGNATURE_INVALID",
        "ROLLBACK_REJECTED",
        "STATE_CHANGED",
        "BUNDLE_TOO_LARGE",
    ] {
        assert_eq!(count(&format!("\"code\":\"{code}\"")), 1, "{code}");
    }
    assert_eq!(
        count("\"signers\":[\"alice\",\"bob\",\"carol\",\"dave\"]"),
        2
    );
}

#[test]
fn a_record_says_of_a_stranger_only_what_its_bytes_are() {
    let site = Site::new();
    let mut bundles = site.start(NOW);
    let mut check = |bytes: &[u8], code: RefusalCode, place: Option<(u64, u64)>| {
        let attempt = bundles.attempt_at(Some(bytes), &by_hand(), NOW);
        assert_eq!(attempt.refused.map(|refused| refused.code), Some(code));
        assert_eq!(
            (attempt.digest, attempt.place),
            (Some(digest(bytes)), place)
        );
    };
    let of = |signers: &[&str]| bundle_by(&manifest(7, None), &["a"], signers);
    check(&of(&["alice", "erin"]), RefusalCode::UnknownKey, None);
    check(&of(&["alice"]), RefusalCode::ThresholdNotMet, None);
    check(
        &of(&["alice", "bob", "carol"]),
        RefusalCode::ApprovalsMissing,
        Some((1, 7)),
    );
}

#[test]
fn what_cannot_be_recorded_is_not_in_force() {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let two = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    bundles.ledger.close().unwrap();
    check_refused(&mut bundles, &two, NOW, RefusalCode::NotRecorded);
    assert_eq!(serial(&bundles), Some(1));
    assert_eq!(bundles.mark.as_ref().map(|mark| mark.serial), Some(1));
    drop(bundles);
    assert_eq!(serial(&site.start(NOW)), Some(1));
    let mut bundles = site.start(NOW);
    let blocked = site.path("state/bundle/current.json.tmp");
    std::fs::create_dir(&blocked).unwrap();
    check_refused(&mut bundles, &two, NOW, RefusalCode::NotPersisted);
    assert_eq!(serial(&bundles), Some(1));
    drop(bundles);
    std::fs::remove_dir(&blocked).unwrap();
    let mut bundles = site.start(NOW);
    assert_eq!(serial(&bundles), Some(1));
    assert_eq!(apply(&mut bundles, &two, NOW), None);
}

#[test]
fn the_lowest_of_file_bundle_clock_and_kill_switch_holds() {
    let site = Site::new();
    let one = Manifest {
        tier_max: Tier::ObserveOnly,
        ..manifest(1, None)
    };
    let one = bundle(&one, &["a"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    assert_eq!(tier(&bundles), Tier::ObserveOnly);
    assert!(
        bundles.troubles()[0].contains("tier control"),
        "{:?}",
        bundles.troubles()
    );
    let two = bundle(&manifest(2, Some(&one)), &["a"]);
    assert_eq!(apply(&mut bundles, &two, NOW), None);
    assert_eq!(
        (tier(&bundles), bundles.troubles().len()),
        (Tier::Control, 0)
    );
    let main = std::fs::read_to_string(site.path("tidegate.yaml")).unwrap();
    let lower = main.replace("tier: control", "tier: observe_only");
    std::fs::write(site.path("tidegate.yaml"), lower).unwrap();
    bundles.reload(Trigger::Signal);
    assert_eq!(
        (tier(&bundles), serial(&bundles)),
        (Tier::ObserveOnly, Some(2))
    );
    std::fs::write(site.path("tidegate.yaml"), "version: 1\n").unwrap();
    let refused = bundles.reload(Trigger::Signal);
    assert_eq!(refused.result, Reload::Refused);
    std::fs::write(site.path("tidegate.yaml"), main).unwrap();
    assert_eq!(bundles.reload(Trigger::Signal).result, Reload::Activated);
    std::fs::write(site.path("state/tier_ceiling"), "observe_only").unwrap();
    bundles.reload(Trigger::Signal);
    assert_eq!(tier(&bundles), Tier::ObserveOnly);
}
