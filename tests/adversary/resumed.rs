//! Cut and gone on with, copied and continued twice: what the real writer makes of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidegate::ledger::{
    BootId, EntryBuilder, KnownHead, Lane, Ledger, OpenFacts, Settings, Source, Verdict,
    VerifyOptions, ring,
};

use super::site::{POLICY_HASH, RULEBOOK};
use super::{check, check_with, damage};

const PATIENCE: Duration = Duration::from_secs(60);

fn encode(entry: &mut EntryBuilder<'_>, source: Source, n: &u64) {
    let id = format!("{}{:02x}{n:012x}", source.boot, source.worker);
    entry.text("decision_id", &id);
    entry.text("kind", "decision");
    entry.uint("n", *n);
    entry.uint("ts_us", *n);
    entry.uint("worker", u64::from(source.worker));
}

fn boot(dir: &Path, boot: u32, count: u64) {
    let boot = BootId::from_u32(boot);
    let (mut producer, consumer) = ring(Source { boot, worker: 0 }, 1 << 10);
    let facts = OpenFacts {
        boot,
        instance: "gateway-1".to_owned(),
        version: "1".to_owned(),
        policy_hash: POLICY_HASH.to_owned(),
        client_key_id: None,
        bundle: None,
    };
    let settings = Settings::new(dir);
    let ledger = Ledger::start(&settings, &facts, RULEBOOK, vec![consumer], encode).unwrap();
    for _ in 0..count {
        let n = producer.next_number();
        producer.push(Lane::Ordinary, Some(n), n);
    }
    drop(producer);
    ledger.flush(PATIENCE).unwrap();
    ledger.close().unwrap();
}

fn head_of(dir: &Path) -> VerifyOptions {
    let report = check(dir);
    let pair = format!("{}:{}", report.last_seq.unwrap(), report.head);
    VerifyOptions {
        head: Some(KnownHead::parse(pair.as_bytes()).unwrap()),
        ..VerifyOptions::default()
    }
}

const SEGMENT: &str = "seg-0000000000000000.jsonl";

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to.join("rulebooks")).unwrap();
    let rulebook = format!("rulebooks/{POLICY_HASH}.json");
    for name in ["origin", SEGMENT, &rulebook] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

// R085
#[test]
fn a_ledger_that_was_cut_and_gone_on_with_is_told_by_a_head_kept_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    boot(dir.path(), 1, 20);
    let kept = head_of(dir.path());
    let bytes = fs::read(dir.path().join(SEGMENT)).unwrap();
    let ends: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at] == b'\n')
        .map(|at| at + 1)
        .collect();
    for lines in [2, 10, ends.len() - 1] {
        let cut = tempfile::tempdir().unwrap();
        copy(dir.path(), cut.path());
        fs::write(cut.path().join(SEGMENT), &bytes[..ends[lines - 1]]).unwrap();
        boot(cut.path(), 2, 40);
        // Without a signature nothing inside can show it: this is what heads are for.
        assert_eq!(check(cut.path()).verdict, Verdict::Intact, "{lines}");
        let report = check_with(cut.path(), &kept);
        assert!(
            damage(&report).unwrap().rule.contains("kept elsewhere"),
            "{report:?}"
        );
    }
    assert_eq!(check_with(dir.path(), &kept).verdict, Verdict::Intact);
}

#[test]
fn two_continued_copies_do_not_vouch_for_each_other() {
    let one = tempfile::tempdir().unwrap();
    boot(one.path(), 1, 5);
    let two = tempfile::tempdir().unwrap();
    copy(one.path(), two.path());
    let before = head_of(one.path());
    boot(one.path(), 2, 5);
    boot(two.path(), 3, 5);
    for (dir, other) in [(&one, &two), (&two, &one)] {
        assert_eq!(check(dir.path()).verdict, Verdict::Intact);
        assert_eq!(check_with(dir.path(), &before).verdict, Verdict::Intact);
        let report = check_with(dir.path(), &head_of(other.path()));
        assert!(damage(&report).is_some(), "{report:?}");
    }
}
