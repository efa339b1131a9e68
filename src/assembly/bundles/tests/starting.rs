//! What a start finds, after an end of any kind and after somebody changed the files.

use std::path::PathBuf;

use super::super::memory::{Memory, newest_record};
use super::super::*;
use super::signed::{HOUR, NOW, bundle, bundle_by, digest, manifest};
use super::site::{Site, apply, check_refused, serial};
use crate::bundle::manifest::{Breakglass, Manifest};

/// A gateway that applied two bundles, one upon the other, and ended; and those bundles.
fn ended_after_two() -> (Site, Vec<u8>, Vec<u8>) {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let two = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    assert_eq!(apply(&mut bundles, &two, NOW), None);
    drop(bundles);
    (site, one, two)
}

#[test]
fn a_start_takes_what_stands_at_the_mark_and_nothing_else() {
    let (site, one, two) = ended_after_two();
    let check = |what: &str, want: Option<u64>, is_told: bool| {
        let bundles = site.start(NOW);
        let found = &bundles.found;
        assert_eq!(serial(&bundles), want, "{what}: {found:?}");
        assert_eq!(!found.is_empty(), is_told, "{what}: {found:?}");
    };
    check("nothing", Some(2), false);
    // Ended long ago: it stays in force.
    let mut late = site.start(NOW + 100 * HOUR);
    assert_eq!(serial(&late), Some(2));
    late.on_time(NOW + 100 * HOUR);
    assert!(late.told_ended);
    drop(late);
    std::fs::remove_file(site.path("state/bundle/high_water.json")).unwrap();
    check("no mark in the file", Some(2), true);
    check("made good", Some(2), false);
    site.put_state("current.json", b"{");
    check("damaged", None, true);
    site.put_state("current.json", &one);
    check("an older one in its place", None, true);
    site.put_mark(&one, 1);
    check("a mark put back", None, true);
    std::fs::remove_dir_all(site.path("state/bundle")).unwrap();
    check("all gone", None, true);
    // Whoever deletes the files has not disarmed the gateway, and the same bundle heals it.
    let mut bundles = site.start(NOW);
    let three = bundle(&manifest(1, None), &["c"]);
    check_refused(&mut bundles, &three, NOW, RefusalCode::RollbackRejected);
    assert!(bundles.doors.are_closed());
    std::fs::write(site.path("bundles/bundle.json"), &two).unwrap();
    assert!(bundles.take_folder(Trigger::Start).is_empty());
    assert_eq!(serial(&bundles), Some(2));
}

#[test]
fn a_crash_leaves_the_bundle_before_or_the_one_after() {
    let one = bundle(&manifest(1, None), &["a"]);
    let two = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    for is_marked in [false, true] {
        let site = Site::new();
        let mut bundles = site.start(NOW);
        assert_eq!(apply(&mut bundles, &one, NOW), None);
        let mark = HighWater {
            epoch: 1,
            serial: if is_marked { 2 } else { 1 },
            digest: digest(if is_marked { &two } else { &one }),
        };
        // Kept, and then nothing more: neither record nor swap.
        bundles.store.keep(Some(&one), &two, &mark, None).unwrap();
        drop(bundles);
        let mut bundles = site.start(NOW);
        bundles.take_kept(NOW);
        assert_eq!(serial(&bundles), Some(if is_marked { 2 } else { 1 }));
        let again = apply(&mut bundles, &two, NOW);
        assert_eq!((again, serial(&bundles)), (None, Some(2)));
        drop(bundles);
        // Nothing was in force that no record names, and none is recorded twice.
        let activated = site.activated();
        assert_eq!(activated, [digest(&one), digest(&two)], "{is_marked}");
        assert_eq!(serial(&site.start(NOW)), Some(2));
    }
}

// R122
#[test]
fn a_mark_that_no_record_names_puts_nothing_in_force() {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    drop(bundles);
    // One approver, who is not the author, calls it an emergency and writes the files.
    let evil = Manifest {
        tier_max: Tier::Autonomous,
        breakglass: Some(Breakglass {
            reason: "so they say".to_owned(),
            until_us: NOW + 4 * HOUR,
        }),
        ..manifest(2, Some(&one))
    };
    let evil = bundle_by(&evil, &["a", "b"], &["bob"]);
    let authored = bundle_by(&manifest(2, Some(&one)), &["a", "b"], &["alice", "bob"]);
    for forged in [&evil, &authored] {
        site.put_state("previous.json", &one);
        site.put_state("current.json", forged);
        site.put_mark(forged, 2);
        // Nor does the second start take the word of the first.
        for _ in 0..2 {
            let mut bundles = site.start(NOW);
            bundles.take_kept(NOW);
            assert_eq!(serial(&bundles), Some(1));
            assert!(bundles.troubles().len() > 1, "{:?}", bundles.troubles());
            assert_eq!(bundles.mark.as_ref().map(|mark| mark.serial), Some(1));
        }
    }
    let mut bundles = site.start(NOW);
    let two = bundle(&manifest(2, Some(&one)), &["a", "c"]);
    let held = Some(RefusalCode::SerialReused);
    assert_eq!(apply(&mut bundles, &two, NOW), held);
    let three = bundle(&manifest(3, Some(&one)), &["a", "b"]);
    assert_eq!(apply(&mut bundles, &three, NOW), None);
    drop(bundles);
    let bundles = site.start(NOW);
    assert_eq!((serial(&bundles), bundles.found.len()), (Some(3), 0));
    assert_eq!(site.activated(), [digest(&one), digest(&three)]);
}

#[test]
fn a_mark_without_any_record_is_told_and_has_to_pass_every_check() {
    let one = bundle(&manifest(5, None), &["a"]);
    let alone = bundle_by(&manifest(5, None), &["a"], &["alice", "bob"]);
    for (kept, want) in [(&one, Some(5)), (&alone, None)] {
        let site = Site::new();
        drop(site.start(NOW));
        site.put_state("current.json", kept);
        site.put_mark(kept, 5);
        let mut bundles = site.start(NOW);
        assert!(!bundles.found.is_empty());
        assert_eq!(serial(&bundles), None);
        bundles.take_kept(NOW);
        assert_eq!(serial(&bundles), want);
        assert_eq!(bundles.doors.are_closed(), want.is_none());
        assert_eq!(site.activated().len(), usize::from(want.is_some()));
        if want.is_none() {
            let low = bundle(&manifest(4, None), &["a"]);
            let held = Some(RefusalCode::RollbackRejected);
            assert_eq!(apply(&mut bundles, &low, NOW), held);
        }
    }
}

#[test]
fn a_damaged_record_of_a_bundle_lets_nothing_older_back() {
    let (site, one, two) = ended_after_two();
    let mark = std::fs::read(site.path("state/bundle/high_water.json")).unwrap();
    site.forge_ledger("\"serial\":2", "\"serial\":3");
    let place = |mark: &HighWater| (mark.epoch, mark.serial);
    // The files are as they were: the bundle has to pass every check again, and does.
    let begun = site.begun(NOW);
    assert_eq!(begun.mark.as_ref().map(place), Some((1, 1)));
    assert_eq!(begun.held.as_ref().map(place), Some((1, 3)));
    assert!(begun.unrecorded.is_some() && begun.in_force.is_some());
    let told = begun.troubles.join("\n");
    assert!(told.contains("not as they were written"), "{told}");
    // The files were put back as well: the older bundle is not in force again.
    let older = String::from_utf8(mark).unwrap();
    let older = older.replace(&digest(&two), &digest(&one));
    let older = older.replace("\"serial\":2", "\"serial\":1");
    site.put_state("high_water.json", older.as_bytes());
    site.put_state("current.json", &one);
    for _ in 0..2 {
        let begun = site.begun(NOW);
        assert!(begun.in_force.is_none() && begun.unrecorded.is_none());
        assert_eq!(begun.held.as_ref().map(place), Some((1, 3)));
        let told = begun.troubles.join("\n");
        assert!(told.contains("damaged record"), "{told}");
    }
}

#[test]
fn a_ledger_whose_newest_time_is_not_known_is_told() {
    let mut troubles = Vec::new();
    let mut memory = Memory::default();
    let nowhere = PathBuf::from("/nowhere/at/all");
    assert_eq!(newest_record(&nowhere, &memory, &mut troubles), 0);
    assert!(troubles.is_empty(), "no record is there yet");
    memory.is_begun = true;
    assert_eq!(newest_record(&nowhere, &memory, &mut troubles), 0);
    assert!(troubles[0].contains("not known"), "{troubles:?}");
}
