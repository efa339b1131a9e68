//! What lies beside the records: rulebooks and tails in quarantine.

use super::*;

#[test]
fn rulebooks_and_other_records_are_durable_on_return() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = write(dir.path(), 1, 1);
    assert_eq!(fs::read(rulebook(dir.path())).unwrap(), RULEBOOK);
    let digest = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";
    let other = dir.path().join(format!("rulebooks/{digest}.json"));
    for _ in 0..2 {
        ledger.persist_rulebook(digest, b"[]").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"[]");
    }
    for (digest, bytes) in [("../x", b"{}"), (digest, b"{}")] {
        assert!(ledger.persist_rulebook(digest, bytes).is_err(), "{digest}");
    }
    let durable = ledger
        .record(
            |entry| {
                entry.text("kind", "bundle");
                entry.text("result", "activated");
                entry.uint("ts_us", 1);
            },
            PATIENCE,
        )
        .unwrap();
    assert_eq!(durable, 3);
    assert_eq!(ledger.snapshot().durable, 3);
    assert!(ledger.snapshot().ok);
    ledger.close().unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
}

/// The damage that a check names, by file: the record that vouches for it, and the rule.
fn damage_of(dir: &Path, file: &Path) -> Option<(u64, String)> {
    match check(dir).verdict {
        Verdict::Damaged(damage) => {
            assert_eq!(damage.file, file, "{damage:?}");
            assert!(damage.remedy.contains("evidence"), "{damage:?}");
            Some((damage.seq, damage.rule))
        }
        _ => None,
    }
}

// R084
#[test]
fn a_rulebook_that_records_name_is_part_of_what_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    let rulebook = rulebook(dir.path());
    let rule = "a rulebook that records name lies in rulebooks/ under its SHA-256";
    let named = Some((0, rule.to_owned()));
    // Also where the last line is torn, which alone would be acceptable.
    for len in [bytes.len(), bytes.len() - 1] {
        fs::write(&segment, &bytes[..len]).unwrap();
        for at in 0..RULEBOOK.len() {
            let mut bad = RULEBOOK.to_vec();
            bad[at] ^= 1;
            fs::write(&rulebook, &bad).unwrap();
            assert_eq!(damage_of(dir.path(), &rulebook), named, "byte {at}");
        }
        fs::remove_file(&rulebook).unwrap();
        assert_eq!(damage_of(dir.path(), &rulebook), named, "missing");
        fs::write(&rulebook, RULEBOOK).unwrap();
        assert_eq!(damage_of(dir.path(), &rulebook), None);
    }
    // Nobody names this one.
    fs::write(&segment, &bytes).unwrap();
    fs::write(dir.path().join("rulebooks/other.json"), "").unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
    // A lone segment has no files beside it.
    fs::remove_file(&rulebook).unwrap();
    assert_eq!(check(&segment).verdict, Verdict::Intact);
}

#[test]
fn a_rulebook_that_only_a_decision_names_counts_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, _) = small(dir.path());
    let again = |hash: &str| {
        let mut chain = Chain::genesis();
        let mut forged = Vec::new();
        chain.append(&mut forged, |entry| {
            entry.text("boot", "00000001");
            entry.text("instance", "a");
            entry.text("kind", "open");
            entry.text("policy_hash", POLICY_HASH);
        });
        chain.append(&mut forged, |entry| {
            entry.text("kind", "bundle");
            entry.text("policy_hash", hash);
        });
        fs::write(&segment, &forged).unwrap();
        let genesis: serde_json::Value = serde_json::from_slice(&lines(&forged)[0]).unwrap();
        let id = &genesis["hash"].as_str().unwrap()[..16];
        fs::write(dir.path().join("origin"), format!("a/{id}\n")).unwrap();
    };
    let other = "ef".repeat(32);
    again(&other);
    let file = dir.path().join(format!("rulebooks/{other}.json"));
    assert_eq!(damage_of(dir.path(), &file).unwrap().0, 1);
    again("../../outside");
    let (seq, rule) = damage_of(dir.path(), &segment).unwrap();
    assert_eq!((seq, rule.as_str()), (1, "policy_hash is 64 hex digits"));
    again(POLICY_HASH);
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
}

#[test]
fn a_quarantined_tail_is_what_its_record_says() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
    let next = start(dir.path()).unwrap();
    let torn = next.recovered().torn.clone().unwrap();
    let opened = next.recovered().records;
    next.close().unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
    let kept = dir.path().join(&torn.file);
    fs::write(&kept, "something else").unwrap();
    let (seq, rule) = damage_of(dir.path(), &kept).unwrap();
    assert_eq!(seq, opened);
    assert!(rule.contains("quarantined"), "{rule}");
    // No record is judged by it, so it may be kept elsewhere.
    fs::remove_file(&kept).unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
}

#[test]
fn a_rulebook_file_is_not_trusted_for_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    fs::write(rulebook(dir.path()), "{}\n").unwrap();
    let refused = start(dir.path()).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_NOT_A_LEDGER", "{refused}");
    for part in [POLICY_HASH, "SHA-256", "move the file out"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    assert_eq!(fs::read(rulebook(dir.path())).unwrap(), b"{}\n");
    assert_eq!(
        fs::read(&segment).unwrap(),
        bytes,
        "no record names it anew"
    );
    // What the message says helps.
    fs::remove_file(rulebook(dir.path())).unwrap();
    start(dir.path()).unwrap().close().unwrap();
    assert_eq!(fs::read(rulebook(dir.path())).unwrap(), RULEBOOK);
}
