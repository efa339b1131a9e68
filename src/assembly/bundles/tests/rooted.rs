//! Roots: how one follows another, and what that means for bundles.

use super::super::*;
use super::signed::{ALL, HOUR, NOW, bundle, bundle_by, manifest, root, root_of};
use super::site::{Site, apply, serial};
use crate::bundle::manifest::Manifest;

#[test]
fn a_bundle_is_tried_again_when_the_root_comes_that_knows_its_signers() {
    let site = Site::new();
    let mut bundles = site.start(NOW);
    let people = [ALL, &["erin"]].concat();
    let one = bundle_by(&manifest(1, None), &["a"], &people);
    std::fs::write(site.path("bundles/bundle.json"), one).unwrap();
    let codes = |found: Vec<crate::admin::Finding>| -> Vec<&str> {
        found.iter().map(|finding| finding.code).collect()
    };
    assert_eq!(codes(bundles.take_folder(Trigger::Watch)), ["UNKNOWN_KEY"]);
    assert!(bundles.take_folder(Trigger::Watch).is_empty());
    std::fs::write(site.path("bundles/root.2.json"), root_of(2, &people)).unwrap();
    // Its keys are known now; what is asked next is the clock, and that is not the test's.
    assert_eq!(codes(bundles.take_folder(Trigger::Watch)), ["ROOT_EXPIRED"]);
}

#[test]
fn roots_follow_each_other_and_survive() {
    let site = Site::new();
    let mut bundles = site.start(NOW);
    let put = |version: u64, bytes: Vec<u8>| {
        std::fs::write(site.path(&format!("bundles/root.{version}.json")), bytes).unwrap();
    };
    put(2, root(3));
    let found = bundles.take_folder(Trigger::Watch);
    assert_eq!(found[0].code, "ROOT_SKIPPED");
    assert!(bundles.take_folder(Trigger::Watch).is_empty(), "told once");
    put(2, root(2));
    put(3, root(3));
    assert!(bundles.take_folder(Trigger::Watch).is_empty());
    assert_eq!(bundles.root.root().parts().version, 3);
    drop(bundles);
    let bundles = site.start(NOW);
    assert_eq!(bundles.root.root().parts().version, 3);
    assert_eq!(site.records("governance").len(), 2);
}

#[test]
fn a_root_that_held_is_not_forgotten() {
    let one = bundle(&manifest(1, None), &["a"]);
    let two = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    let damages: [fn(&Site); 3] = [
        |site| std::fs::remove_file(site.path("state/bundle/root.2.json")).unwrap(),
        |site| site.put_state("root.2.json", b"{"),
        // With all that the state directory knew.
        |site| {
            std::fs::remove_file(site.path("state/bundle/root.2.json")).unwrap();
            std::fs::remove_file(site.path("state/bundle/high_water.json")).unwrap();
        },
    ];
    for damage in damages {
        let site = Site::new();
        let path = site.path("bundles/root.2.json");
        let mut bundles = site.start(NOW);
        assert_eq!(apply(&mut bundles, &one, NOW), None);
        std::fs::write(&path, root(2)).unwrap();
        assert!(bundles.take_folder(Trigger::Watch).is_empty());
        drop(bundles);
        std::fs::remove_file(&path).unwrap();
        damage(&site);
        for _ in 0..2 {
            let mut bundles = site.start(NOW);
            assert_eq!(serial(&bundles), Some(1), "what is in force stays");
            let troubles = bundles.troubles().join("\n");
            assert!(troubles.contains("version 2"), "{troubles}");
            let refused = apply(&mut bundles, &two, NOW);
            assert_eq!(refused, Some(RefusalCode::RootSkipped));
        }
        let mut bundles = site.start(NOW);
        // Another root of that version, which as many signed, is not the one that held.
        std::fs::write(&path, root_of(2, &["alice", "bob", "carol"])).unwrap();
        assert!(!bundles.take_folder(Trigger::Watch).is_empty());
        std::fs::write(&path, root(2)).unwrap();
        assert!(bundles.take_folder(Trigger::Watch).is_empty());
        assert_eq!(apply(&mut bundles, &two, NOW), None);
        assert_eq!(bundles.standing.behind, None);
    }
}

#[test]
fn what_the_next_start_would_refuse_is_told_now() {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    // The author left.
    let path = site.path("bundles/root.2.json");
    let left = ["bob", "carol", "dave"];
    std::fs::write(path, root_of(2, &left)).unwrap();
    assert!(bundles.take_folder(Trigger::Watch).is_empty());
    let troubles = bundles.troubles().join("\n");
    assert!(
        troubles.contains("signed by people of root 2"),
        "{troubles}"
    );
    assert_eq!(serial(&bundles), Some(1));
    let by_bob = Manifest {
        author: "bob".to_owned(),
        ..manifest(2, Some(&one))
    };
    let two = bundle_by(&by_bob, &["a", "b"], &left);
    assert_eq!(apply(&mut bundles, &two, NOW), None);
    assert!(bundles.troubles().is_empty(), "{:?}", bundles.troubles());
    drop(bundles);
    assert_eq!(serial(&site.start(NOW)), Some(2));
}

#[test]
fn the_end_of_the_root_is_told() {
    let site = Site::new();
    let mut bundles = site.start(NOW);
    let end = NOW + 1_000 * HOUR;
    bundles.on_time(end - 1);
    assert!(bundles.troubles_of_root().is_empty());
    bundles.on_time(end);
    assert!(bundles.troubles_of_root()[0].contains("has ended"));
    let active = bundles.shared.registry.active().load_full();
    let text = bundles
        .telemetry
        .render(&active, &bundles.ledger.snapshot());
    let line = format!(
        "tidegate_bundle_root_expires_timestamp_seconds {}",
        end / 1_000_000
    );
    assert!(text.contains(&line), "{text}");
}
