//! What a ledger may say of records that are not there: accepted rollbacks, rollups.

use tidegate::ledger::{LedgerKey, TrustedKey, Verdict, VerifyOptions};

use super::attacks::{HEAD_ROOT, options_with_head};
use super::site::Site;
use super::{check, check_with, damage, said};

#[test]
fn an_accepted_rollback_supersedes_the_notes_it_names_and_no_others() {
    let mut kept = Site::new(1, 1);
    kept.decisions(3);
    kept.checkpoint();
    let mut lost = kept.clone();
    lost.decisions(4);
    let root = lost.root();
    let size = lost.next_seq();
    lost.checkpoint();
    let mut site = kept.clone();
    site.notes.push(lost.notes[1].clone());
    site.open(true);
    let without = {
        let mut site = site.clone();
        site.decisions(9);
        site.checkpoint();
        site
    };
    let report = check(without.write().path());
    assert!(
        damage(&report).unwrap().rule.contains(HEAD_ROOT),
        "{report:?}"
    );
    site.rolled_back(size, &root);
    let report = check(site.write().path());
    assert!(said(&report, "no signature covers it yet"), "{report:?}");
    site.decisions(9);
    site.checkpoint();
    let dir = site.write();
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert_eq!((report.heads, report.heads_superseded), (2, 1));
    assert_eq!(report.not_checked, [""; 0]);
    // A head kept elsewhere still shows what is no longer there.
    let report = check_with(dir.path(), &options_with_head(&lost.notes[1]));
    assert!(
        damage(&report).unwrap().rule.contains(HEAD_ROOT),
        "{report:?}"
    );
}

// Whoever may write to the directory can write the record, and has no key of the log.
#[test]
fn a_forged_acceptance_of_a_rollback_voids_nothing() {
    let mut kept = Site::new(1, 1);
    kept.decisions(3);
    kept.checkpoint();
    let mut lost = kept.clone();
    lost.decisions(4);
    let (size, root) = (lost.next_seq(), lost.root());
    lost.checkpoint();
    kept.notes.push(lost.notes[1].clone());
    kept.open(true);
    let forged = |forge: &dyn Fn(&mut Site)| {
        let mut site = kept.clone();
        forge(&mut site);
        check(site.write().path())
    };
    let good = forged(&|site| site.rolled_back(size, &root));
    assert_eq!(good.verdict, Verdict::Intact, "{good:?}");
    let stranger = LedgerKey::from_seed([66; 32]);
    let report = forged(&|site| site.rolled_back_by(&stranger, size, &root));
    let rule = &damage(&report).unwrap().rule;
    assert!(rule.contains("signed by a key of log.vkey"), "{report:?}");
    let report = forged(&|site| site.fault("LEDGER_ROLLBACK_ACCEPTED"));
    let rule = &damage(&report).unwrap().rule;
    assert!(rule.contains("an accepted rollback names"), "{report:?}");
    // A good one says nothing about another place, and its words are those that were signed.
    let report = forged(&|site| {
        site.decisions(1);
        site.open(true);
        site.rolled_back(size - 1, &root);
    });
    assert!(damage(&report).is_some(), "{report:?}");
    // With the key at hand, a stranger's line in log.vkey helps nobody.
    let mut site = kept.clone();
    site.rolled_back_by(&stranger, size, &root);
    site.vkeys
        .push(stranger.verifier(&site.origin).unwrap().to_text());
    let trusted = TrustedKey::parse(&site.vkeys[0]).unwrap();
    let report = check_with(
        site.write().path(),
        &VerifyOptions {
            keys: trusted,
            ..VerifyOptions::default()
        },
    );
    assert!(damage(&report).is_some(), "{report:?}");
}

#[test]
fn a_rollup_may_stand_for_outcomes_and_says_so_only_then() {
    for (count, outcomes, rule) in [
        (3, None, None),
        (3, Some(2), None),
        (0, Some(2), None),
        (
            3,
            Some(0),
            Some("names the outcomes it left out only where"),
        ),
        (
            0,
            Some(0),
            Some("names the outcomes it left out only where"),
        ),
        (0, None, Some("a rollup counts its ranges")),
    ] {
        let mut site = Site::new(1, 1);
        site.decisions(2);
        site.rollup_with(count, outcomes);
        site.decisions(2);
        site.close();
        let report = check(site.write().path());
        let found = damage(&report).map(|damage| damage.rule.clone());
        match rule {
            Some(rule) => assert!(
                found.is_some_and(|found| found.contains(rule)),
                "{report:?}"
            ),
            None => {
                assert_eq!(found, None, "{count} {outcomes:?}");
                let told = (report.rolled_up, report.outcomes_rolled_up);
                assert_eq!(told, (count, outcomes.unwrap_or(0)));
            }
        }
    }
}
