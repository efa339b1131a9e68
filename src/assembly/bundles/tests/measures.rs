//! Emergency measures: how long they hold, and what comes back.

use super::super::*;
use super::signed::{HOUR, NOW, bundle, digest, manifest};
use super::site::{Site, apply, check_refused, serial, tier};
use crate::bundle::manifest::{Breakglass, Manifest};

#[test]
fn an_emergency_measure_ends_by_itself() {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let until = NOW + 2 * HOUR;
    let measure = emergency_of(2, &one, &["a"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    assert_eq!(apply(&mut bundles, &measure, NOW), None);
    assert_eq!(
        (serial(&bundles), tier(&bundles)),
        (Some(2), Tier::ObserveOnly)
    );
    bundles.on_time(until - 1);
    assert_eq!(serial(&bundles), Some(2));
    drop(bundles);
    // Before its end a start keeps it, after its end it does not.
    let mut bundles = site.start(until - 1);
    assert_eq!(serial(&bundles), Some(2));
    bundles.on_time(until);
    assert_eq!((serial(&bundles), tier(&bundles)), (Some(1), Tier::Control));
    check_refused(&mut bundles, &measure, NOW, RefusalCode::RollbackRejected);
    drop(bundles);
    let mut bundles = site.start(until);
    assert_eq!(serial(&bundles), Some(1));
    bundles.begin();
    let acts = site.records("governance");
    assert_eq!(acts.len(), 2, "{acts:?}");
    assert!(acts[0].contains("breakglass_reverted"), "{acts:?}");
    // What is built on the one that came back, above the mark.
    let low = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    check_refused(&mut bundles, &low, NOW, RefusalCode::SerialReused);
    let three = bundle(&manifest(3, Some(&one)), &["a", "b"]);
    assert_eq!(apply(&mut bundles, &three, NOW), None);
    drop(bundles);
    let mut bundles = site.start(until);
    assert_eq!(serial(&bundles), Some(3));
    // Ratified in time: nothing comes back.
    let measure = emergency_of(4, &three, &["a", "b"]);
    assert_eq!(apply(&mut bundles, &measure, NOW), None);
    let ratified = Manifest {
        tier_max: Tier::ObserveOnly,
        ..manifest(5, Some(&measure))
    };
    let ratified = bundle(&ratified, &["a", "b"]);
    assert_eq!(apply(&mut bundles, &ratified, NOW), None);
    // Compared with what was before the measure too, where the tier was higher.
    let classified = bundles.in_force.as_ref().unwrap().classified();
    let classes = &classified.unwrap().classes;
    assert_eq!(*classes, [crate::bundle::change::Class::Loosen].into());
    bundles.on_time(until);
    assert_eq!(serial(&bundles), Some(5));
}

/// An emergency measure of two hours that only observes.
fn emergency_of(serial: u64, parent: &[u8], ids: &[&str]) -> Vec<u8> {
    let manifest = Manifest {
        tier_max: Tier::ObserveOnly,
        breakglass: Some(Breakglass {
            reason: "too many refusals".to_owned(),
            until_us: NOW + 2 * HOUR,
        }),
        ..manifest(serial, Some(parent))
    };
    bundle(&manifest, ids)
}

fn measure(serial: u64, parent: &[u8]) -> Vec<u8> {
    emergency_of(serial, parent, &["a"])
}

/// A gateway with a measure in force, and the bundle before it.
fn during_a_measure(site: &Site) -> (Bundles, Vec<u8>) {
    let one = bundle(&manifest(1, None), &["a"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    assert_eq!(apply(&mut bundles, &measure(2, &one), NOW), None);
    (bundles, one)
}

#[test]
fn a_deleted_file_keeps_no_measure_in_force() {
    let site = Site::new();
    let until = NOW + 2 * HOUR;
    let previous = site.path("state/bundle/previous.json");
    let (mut bundles, _) = during_a_measure(&site);
    std::fs::remove_file(&previous).unwrap();
    bundles.on_time(until);
    assert_eq!((serial(&bundles), &bundles.stuck), (Some(1), &None));
    drop(bundles);
    // A start comes to the same, for the file was written again.
    assert_eq!(serial(&site.start(until)), Some(1));
    // After a restart during the measure as well, where the file was there at the start.
    let mut bundles = site.start(NOW);
    assert_eq!(serial(&bundles), Some(2));
    bundles.find_behind(NOW);
    std::fs::remove_file(&previous).unwrap();
    bundles.on_time(until);
    assert_eq!(serial(&bundles), Some(1));
}

#[test]
fn a_measure_that_cannot_end_is_told_and_tried_again_later() {
    let site = Site::new();
    let until = NOW + 2 * HOUR;
    let previous = site.path("state/bundle/previous.json");
    let (bundles, one) = during_a_measure(&site);
    drop(bundles);
    std::fs::remove_file(&previous).unwrap();
    let mut bundles = site.start(NOW);
    bundles.find_behind(NOW);
    assert_eq!(bundles.emergency().unwrap().returns_place, None);
    bundles.on_time(until);
    let check = |bundles: &mut Bundles, at: u64, want: u64| {
        bundles.on_time(at);
        assert_eq!(serial(bundles), Some(want), "{at}");
        let is_told = bundles
            .troubles()
            .iter()
            .any(|told| told.contains("cannot come back"));
        assert_eq!(is_told, want == 2, "{:?}", bundles.troubles());
    };
    std::fs::write(&previous, &one).unwrap();
    check(&mut bundles, until + 1, 2);
    check(&mut bundles, until + emergency::RETRY_US - 1, 2);
    check(&mut bundles, until + emergency::RETRY_US, 1);
}

#[test]
fn an_emergency_measure_is_told_while_it_lasts() {
    let site = Site::new();
    let (mut bundles, one) = during_a_measure(&site);
    let want = crate::admin::Emergency {
        reason: "too many refusals".to_owned(),
        until_us: NOW + 2 * HOUR,
        returns: digest(&one),
        returns_place: Some((1, 1)),
    };
    bundles.publish();
    let told = bundles.shared.last().bundle.clone().unwrap();
    assert_eq!(told.emergency, Some(want));
    assert_eq!(
        told.troubles,
        Vec::<String>::new(),
        "the tier is above that of the measure"
    );
    // It lies in the folder all the time, and comes back.
    std::fs::write(site.path("bundles/bundle.json"), &one).unwrap();
    let found = bundles.take_folder(Trigger::Watch);
    assert_eq!(found, [], "no rollback");
    assert_eq!(
        bundles.last_attempt.as_ref().unwrap().result,
        Reload::Unchanged
    );
    assert_eq!(serial(&bundles), Some(2));
    // Who asks for it by hand is told that it does not come now.
    check_refused(&mut bundles, &one, NOW, RefusalCode::RollbackRejected);
    // What lies there and follows the one that comes back is looked at again then.
    bundles.folder.refused(RefusalCode::ParentUnknown, NOW);
    bundles.on_time(NOW + 2 * HOUR);
    assert!(bundles.folder.look(NOW + 2 * HOUR));
    assert_eq!(bundles.emergency(), None);
}

// R120
#[test]
fn the_expected_policy_is_asked_of_bundles_and_not_of_what_comes_back() {
    let site = Site::new();
    let (mut bundles, one) = during_a_measure(&site);
    let content = bundles.in_force.as_ref().unwrap().content().digest_hex();
    let expect = |policy: &str| Demands {
        policy: Some(policy.to_owned()),
        ..Demands::default()
    };
    let two = bundle(&manifest(3, Some(&measure(2, &one))), &["a"]);
    for other in ["9.9.9", &content[..11]] {
        bundles.demands = expect(other);
        assert_eq!(
            bundles.is_as_expected().map_err(|refused| refused.code),
            Err(RefusalCode::PolicyUnexpected)
        );
        let refused = apply(&mut bundles, &two, NOW);
        assert_eq!(refused, Some(RefusalCode::PolicyUnexpected));
    }
    assert_eq!(serial(&bundles), Some(2));
    bundles.on_time(NOW + 2 * HOUR);
    assert_eq!(serial(&bundles), Some(1));
    assert_eq!(bundles.is_as_expected(), Ok(()));
    let three = bundle(&manifest(3, Some(&one)), &["a"]);
    bundles.demands = expect(&content[..12]);
    assert_eq!(apply(&mut bundles, &three, NOW), None);
}
