//! The ledger from outside: other people's tools verify it, every damage is found and named, and
//! a start refuses what it cannot continue.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use tidegate::ledger::{
    BootId, Chain, EntryBuilder, Lane, Ledger, Members, OpenFacts, Producer, Record, Report,
    Settings, Source, Verdict, ring, verify,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// The rulebook in force, and its SHA-256.
const RULEBOOK: &[u8] = b"{}";
const POLICY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn facts(boot: u32) -> OpenFacts {
    OpenFacts {
        boot: BootId::from_u32(boot),
        instance: "gateway-1".to_owned(),
        version: "0.1.0".to_owned(),
        policy_hash: POLICY_HASH.to_owned(),
        client_key_id: Some("k1".to_owned()),
        bundle: None,
    }
}

fn source(boot: u32, worker: u8) -> Source {
    Source {
        boot: BootId::from_u32(boot),
        worker,
    }
}

fn encode(entry: &mut EntryBuilder<'_>, source: Source, n: &u64) {
    let id = format!("{}{:02x}{n:012x}", source.boot, source.worker);
    entry.text("decision_id", &id);
    entry.counts("factors", [("error_rate", 12), ("latency", *n)]);
    entry.text("kind", "decision");
    entry.uint("n", *n);
    entry.uint("ts_us", 1_700_000_000_000_000 + *n);
    entry.text("unmatched_shape", "/a\"b\\c\u{7f}\u{e9}");
    entry.uint("worker", u64::from(source.worker));
}

fn push(producer: &mut Producer<u64>, count: u64) {
    for _ in 0..count {
        let n = producer.next_number();
        producer.push(Lane::Ordinary, Some(n), n);
    }
}

/// Adds one boot with `count` decisions to a ledger.
fn write(dir: &Path, boot: u32, count: u64) -> Ledger {
    let (mut producer, consumer) = ring(source(boot, 0), 1 << 14);
    let settings = Settings::new(dir);
    let ledger = Ledger::start(&settings, &facts(boot), RULEBOOK, vec![consumer], encode).unwrap();
    push(&mut producer, count);
    drop(producer);
    ledger.flush(PATIENCE).unwrap();
    ledger
}

fn small(dir: &Path) -> (PathBuf, Vec<u8>) {
    write(dir, 1, 4).close().unwrap();
    let segment = dir.join("seg-0000000000000000.jsonl");
    let bytes = fs::read(&segment).unwrap();
    (segment, bytes)
}

fn check(dir: &Path) -> Report {
    verify(dir).unwrap()
}

fn damage_at(dir: &Path) -> Option<u64> {
    match check(dir).verdict {
        Verdict::Intact | Verdict::NothingChecked => None,
        Verdict::TornTail(damage) | Verdict::Damaged(damage) => Some(damage.seq),
    }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn sh(script: &str, stdin: &[u8]) -> String {
    use std::io::Write;
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{script}");
    String::from_utf8(out.stdout).unwrap()
}

// R080
#[test]
fn jq_and_sha256sum_verify_any_line() {
    let jq = Command::new("jq").arg("--version").output();
    assert!(
        jq.is_ok(),
        "this test needs jq: install it (for example: apt-get install jq)"
    );
    let dir = tempfile::tempdir().unwrap();
    let (_, bytes) = small(dir.path());
    let mut head = "0".repeat(64);
    for line in lines(&bytes) {
        let own = sh(
            "(printf '\\0'; jq -cj 'del(.hash)') | sha256sum | cut -d' ' -f1",
            &line,
        );
        let carried = sh("jq -r .hash", &line);
        let prev = sh("jq -r .prev", &line);
        assert_eq!(own, carried, "{}", String::from_utf8_lossy(&line));
        assert_eq!(prev.trim(), head);
        head = own.trim().to_owned();
    }
    assert_eq!(check(dir.path()).head, head);
}

// R080, R084
#[test]
fn every_flipped_byte_is_found_and_its_record_named() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    let mut seq = 0;
    for at in 0..bytes.len() {
        for bit in [0x01_u8, 0x80] {
            let mut bad = bytes.clone();
            bad[at] ^= bit;
            fs::write(&segment, &bad).unwrap();
            assert_eq!(damage_at(dir.path()), Some(seq), "byte {at} ^ {bit:#x}");
        }
        if bytes[at] == b'\n' {
            seq += 1;
        }
    }
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(damage_at(dir.path()), None);
    let origin = fs::read(dir.path().join("origin")).unwrap();
    let id = origin.iter().position(|b| *b == b'/').unwrap();
    for at in id..origin.len() {
        let mut bad = origin.clone();
        bad[at] ^= 1;
        fs::write(dir.path().join("origin"), &bad).unwrap();
        assert_eq!(damage_at(dir.path()), Some(0), "origin byte {at}");
    }
}

#[test]
fn lines_removed_swapped_doubled_or_inserted_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    let whole = lines(&bytes);
    for at in 0..whole.len() {
        let mut removed = whole.clone();
        removed.remove(at);
        let mut doubled = whole.clone();
        doubled.insert(at, whole[at].clone());
        let mut swapped = whole.clone();
        swapped.swap(at, (at + 1) % whole.len());
        let last = at + 1 == whole.len();
        for (change, lines, expected) in [
            // Only a head kept elsewhere shows that the end was cut off at a line.
            ("removed", removed, (!last).then_some(at as u64)),
            ("doubled", doubled, Some(at as u64 + 1)),
            ("swapped", swapped, Some(if last { 0 } else { at as u64 })),
        ] {
            fs::write(&segment, lines.concat()).unwrap();
            assert_eq!(damage_at(dir.path()), expected, "{change} at {at}");
        }
    }
}

#[test]
fn an_edited_line_with_its_hash_recomputed_breaks_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    let mut whole = lines(&bytes);
    let entry = String::from_utf8(whole[2].clone()).unwrap();
    let (entry, _) = entry.rsplit_once(",\"hash\"").unwrap();
    let entry = entry.replace("\"latency\":1", "\"latency\":2") + "}";
    let hash = tidegate::ledger::hex64(&tidegate::ledger::entry_hash(entry.as_bytes()));
    let hash = std::str::from_utf8(&hash).unwrap();
    let line = format!("{},\"hash\":\"{hash}\"}}\n", &entry[..entry.len() - 1]);
    whole[2] = line.into_bytes();
    fs::write(&segment, whole.concat()).unwrap();
    assert_eq!(damage_at(dir.path()), Some(3));
}

// R198, R282
#[test]
fn a_tail_torn_at_any_byte_is_kept_reported_and_continued() {
    let origin = tempfile::tempdir().unwrap();
    let (_, bytes) = small(origin.path());
    let whole = lines(&bytes);
    let genesis = whole[0].len();
    let last_two: usize = whole[..whole.len() - 2].iter().map(Vec::len).sum();
    for cut in last_two..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        let segment = dir.path().join("seg-0000000000000000.jsonl");
        copy_around(origin.path(), dir.path());
        fs::write(&segment, &bytes[..cut]).unwrap();
        let good = bytes[..cut].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        assert!(good > genesis);
        let torn = cut > good;
        let verdict = check(dir.path()).verdict;
        assert_eq!(
            matches!(verdict, Verdict::TornTail(_)),
            torn,
            "cut at {cut}: {verdict:?}"
        );
        let ledger = write(dir.path(), 2, 1);
        assert!(ledger.recovered().unclosed);
        let tail = ledger.recovered().torn.clone();
        assert_eq!(tail.as_ref().map_or(0, |t| t.bytes), (cut - good) as u64);
        if let Some(tail) = tail {
            assert_eq!(
                fs::read(dir.path().join(&tail.file)).unwrap(),
                &bytes[good..cut]
            );
            let after = fs::read_to_string(&segment).unwrap();
            assert!(after.contains(&format!("\"torn_sha256\":\"{}\"", tail.sha256)));
        }
        ledger.close().unwrap();
        assert_eq!(check(dir.path()).verdict, Verdict::Intact, "cut at {cut}");
    }
}

#[test]
fn damage_before_the_tail_refuses_the_start_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, bytes) = small(dir.path());
    for (seq, at) in [(0, 10), (2, lines(&bytes)[..2].concat().len() + 10)] {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        fs::write(&segment, &bad).unwrap();
        let refused = start(dir.path()).unwrap_err();
        assert_eq!(refused.code(), "LEDGER_DAMAGED", "{refused}");
        assert!(
            refused.to_string().contains(&format!("record {seq}")),
            "{refused}"
        );
        assert_eq!(fs::read(&segment).unwrap(), bad);
        assert!(!dir.path().join("quarantine").exists());
    }
}

fn start(dir: &Path) -> Result<Ledger, tidegate::ledger::LedgerError> {
    Ledger::start(&Settings::new(dir), &facts(9), RULEBOOK, Vec::new(), encode)
}

// R087
#[test]
fn a_second_writer_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = write(dir.path(), 1, 1);
    let refused = start(dir.path()).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_LOCKED");
    assert!(
        refused
            .to_string()
            .contains(&std::process::id().to_string())
    );
    ledger.close().unwrap();
    start(dir.path()).unwrap().close().unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
}

#[test]
fn what_is_not_a_ledger_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let segment = dir.path().join("seg-0000000000000000.jsonl");
    fs::write(&segment, "").unwrap();
    let refused = start(dir.path()).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_NOT_A_LEDGER", "{refused}");
    assert!(
        refused.to_string().contains("empty file is not a ledger"),
        "{refused}"
    );
    assert_eq!(fs::read(&segment).unwrap(), b"");
    assert!(matches!(check(dir.path()).verdict, Verdict::Damaged(_)));

    fs::write(&segment, "not a ledger\n").unwrap();
    assert_eq!(start(dir.path()).unwrap_err().code(), "LEDGER_DAMAGED");

    fs::remove_file(&segment).unwrap();
    fs::write(dir.path().join("origin"), "a/0123456789abcdef\n").unwrap();
    let refused = start(dir.path()).unwrap_err();
    assert!(
        refused.to_string().contains("none of its segments"),
        "{refused}"
    );
    fs::write(dir.path().join("origin"), "").unwrap();

    let other = tempfile::tempdir().unwrap();
    let (_, bytes) = small(other.path());
    fs::write(&segment, bytes).unwrap();
    let refused = start(dir.path()).unwrap_err();
    assert!(refused.to_string().contains("origin ends in"), "{refused}");
}

#[test]
fn every_byte_of_the_origin_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let file = dir.path().join("origin");
    let origin = fs::read(&file).unwrap();
    for place in 0..origin.len() {
        let mut changed = origin.clone();
        changed[place] ^= 1;
        fs::write(&file, changed).unwrap();
        let report = verify(dir.path()).unwrap();
        assert!(
            matches!(report.verdict, Verdict::Damaged(_)),
            "byte {place}"
        );
    }
    fs::write(&file, origin).unwrap();
    assert_eq!(verify(dir.path()).unwrap().verdict, Verdict::Intact);
}

#[test]
fn a_directory_that_cannot_be_written_is_a_clear_error() {
    // No user, not even root, creates files there.
    let refused = start(Path::new("/sys/tidegate-test")).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_NOT_WRITABLE", "{refused}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = start(&file).unwrap_err();
    assert_eq!(refused.code(), "LEDGER_NOT_A_LEDGER", "{refused}");
    let refused = start(Path::new("/proc/tidegate-test")).unwrap_err();
    assert!(refused.to_string().contains("ledger.dir"), "{refused}");
}

#[test]
fn two_workers_and_two_boots_balance() {
    let dir = tempfile::tempdir().unwrap();
    for boot in [1, 2] {
        let (mut one, first) = ring(source(boot, 0), 64);
        let (mut two, second) = ring(source(boot, 1), 64);
        let settings = Settings::new(dir.path());
        let ledger = Ledger::start(
            &settings,
            &facts(boot),
            RULEBOOK,
            vec![first, second],
            encode,
        )
        .unwrap();
        let other = std::thread::spawn(move || push(&mut two, 20_000));
        push(&mut one, 20_000);
        other.join().unwrap();
        drop(one);
        ledger.close().unwrap();
    }
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!(report.decisions + report.lost, 80_000);
    assert_eq!(report.unaccounted, 0);
    assert_eq!(report.records, report.last_seq.unwrap() + 1);
}

#[test]
fn what_a_kill_under_load_leaves_is_continued() {
    let dir = tempfile::tempdir().unwrap();
    let (mut producer, consumer) = ring(source(1, 0), 64);
    let settings = Settings::new(dir.path());
    let ledger = Ledger::start(&settings, &facts(1), RULEBOOK, vec![consumer], encode).unwrap();
    let segment = "seg-0000000000000000.jsonl";
    for _ in 0..30 {
        push(&mut producer, 500);
        // What other processes see of the file now is what would be left of a killed one.
        let left = tempfile::tempdir().unwrap();
        copy_around(dir.path(), left.path());
        fs::copy(dir.path().join(segment), left.path().join(segment)).unwrap();
        let verdict = check(left.path()).verdict;
        assert!(!matches!(verdict, Verdict::Damaged(_)), "{verdict:?}");
        let next = start(left.path()).unwrap();
        assert!(next.recovered().unclosed);
        next.close().unwrap();
        let text = fs::read_to_string(left.path().join(segment)).unwrap();
        assert!(text.contains(r#""previous_boot":"00000001","previous_closed":false"#));
        assert_eq!(check(left.path()).verdict, Verdict::Intact);
    }
    drop(producer);
    ledger.close().unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Intact);
}

/// The variable that makes a second copy of this program write until it is killed.
const WRITE_FOR_EVER: &str = "TIDEGATE_TEST_WRITE_FOR_EVER";

// R282
#[test]
fn a_killed_writer_leaves_a_ledger_that_goes_on() {
    if let Some(dir) = std::env::var_os(WRITE_FOR_EVER) {
        let (mut producer, consumer) = ring(source(1, 0), 1 << 12);
        let settings = Settings::new(dir);
        let _ledger =
            Ledger::start(&settings, &facts(1), RULEBOOK, vec![consumer], encode).unwrap();
        // It ends by itself should the parent be gone.
        let began = std::time::Instant::now();
        while began.elapsed() < PATIENCE {
            push(&mut producer, 1);
        }
        return;
    }
    for round in 1..=5_u64 {
        let dir = tempfile::tempdir().unwrap();
        let segment = dir.path().join("seg-0000000000000000.jsonl");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_writer_leaves_a_ledger_that_goes_on"])
            .env(WRITE_FOR_EVER, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while fs::metadata(&segment).map_or(0, |file| file.len()) < round * 300_000 {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the writer ended by itself"
            );
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let before = check(dir.path());
        assert!(!matches!(before.verdict, Verdict::Damaged(_)), "{before:?}");
        let torn = matches!(before.verdict, Verdict::TornTail(_));
        let next = start(dir.path()).unwrap();
        assert_eq!(next.recovered().torn.is_some(), torn);
        assert_eq!(next.recovered().records, before.records);
        assert!(next.recovered().unclosed);
        next.close().unwrap();
        assert_eq!(check(dir.path()).verdict, Verdict::Intact);
    }
}

#[test]
fn a_close_while_a_worker_still_pushes_balances() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    let dir = tempfile::tempdir().unwrap();
    let (mut producer, consumer) = ring(source(1, 0), 32);
    let settings = Settings::new(dir.path());
    let ledger = Ledger::start(&settings, &facts(1), RULEBOOK, vec![consumer], encode).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let worker = std::thread::spawn(move || {
        while !seen.load(SeqCst) {
            push(&mut producer, 100);
        }
        producer.made()
    });
    ledger.flush(PATIENCE).unwrap();
    ledger.close().unwrap();
    stop.store(true, SeqCst);
    let made = worker.join().unwrap();
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact);
    assert!(report.decisions + report.lost + report.unaccounted <= made);
}

#[test]
fn a_full_ring_becomes_an_exact_loss_record() {
    let dir = tempfile::tempdir().unwrap();
    let (mut producer, consumer) = ring(source(1, 0), 8);
    // Pushed before the writer exists: nothing is taken out meanwhile.
    push(&mut producer, 20);
    assert!(!producer.push(Lane::Ordinary, None, 0));
    drop(producer);
    let settings = Settings::new(dir.path());
    let ledger = Ledger::start(&settings, &facts(1), RULEBOOK, vec![consumer], encode).unwrap();
    ledger.close().unwrap();
    let text = fs::read_to_string(dir.path().join("seg-0000000000000000.jsonl")).unwrap();
    let loss = text
        .lines()
        .find(|line| line.contains("\"kind\":\"loss\""))
        .unwrap();
    assert!(loss.starts_with(r#"{"boot":"00000001","count":12,"kind":"loss","others":1,"#));
    assert!(loss.contains(r#""ranges":[[8,19]]"#), "{loss}");
    assert!(loss.contains(r#""unplaced":0"#), "{loss}");
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!((report.decisions, report.lost), (8, 13));
}

#[test]
fn a_number_that_is_made_but_never_pushed_is_unaccounted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut producer, consumer) = ring(source(1, 3), 8);
    push(&mut producer, 2);
    producer.next_number();
    drop(producer);
    let settings = Settings::new(dir.path());
    let ledger = Ledger::start(&settings, &facts(1), RULEBOOK, vec![consumer], encode).unwrap();
    ledger.close().unwrap();
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!((report.decisions, report.unaccounted), (2, 1));
}

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

/// Copies what lies beside the segments.
fn copy_around(from: &Path, to: &Path) {
    fs::create_dir(to.join("rulebooks")).unwrap();
    fs::copy(from.join("origin"), to.join("origin")).unwrap();
    fs::copy(rulebook(from), rulebook(to)).unwrap();
}

/// Where the rulebook in force lies.
fn rulebook(dir: &Path) -> PathBuf {
    dir.join(format!("rulebooks/{POLICY_HASH}.json"))
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

#[test]
fn a_path_without_a_ledger_is_told_and_ends_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let both = "name the directory in ledger.dir, or one of its segments";
    let folder = "name the directory in ledger.dir\n";
    for (verb, path, told) in [
        ("verify", missing.as_path(), [both, "No such file"]),
        ("tail", &missing, [folder, "No such file"]),
        ("tail", &file, [folder, "Not a directory"]),
        ("tail", dir.path(), [folder, "has no ledger segments"]),
    ] {
        let ran = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["ledger", verb])
            .arg(path)
            .output()
            .unwrap();
        let text = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{verb}: {text}");
        assert_eq!(ran.stdout, b"", "{verb}");
        for part in told.iter().chain([&path.to_str().unwrap()]) {
            assert!(text.contains(part), "{verb}: '{part}' is not in: {text}");
        }
    }
    assert!(!missing.exists(), "looking makes nothing");
}

#[test]
fn tail_gives_the_last_lines_and_those_that_follow() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = write(dir.path(), 1, 10);
    let mut tail = tidegate::ledger::Tail::open(dir.path(), 2).unwrap();
    let mut seqs = Vec::new();
    let take = |tail: &mut tidegate::ledger::Tail, seqs: &mut Vec<u64>| {
        while let Some(line) = tail.next_line().unwrap() {
            seqs.push(Record::check(&line, &mut Vec::new()).unwrap().seq);
        }
    };
    take(&mut tail, &mut seqs);
    assert_eq!(seqs, [9, 10]);
    ledger.close().unwrap();
    take(&mut tail, &mut seqs);
    assert_eq!(seqs, [9, 10, 11]);
}

fn canonical(entry: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(entry).ok()?;
    serde_json_canonicalizer::to_vec(&value).ok()
}

proptest! {
    /// Whatever the builder is given, RFC 8785 gives the same bytes, and the scanner takes them.
    #[test]
    fn the_builder_writes_the_canonical_form(
        text in any::<Vec<u8>>(),
        names in prop::collection::vec(".{0,12}", 0..4),
        uint in any::<u64>(),
        ints in prop::collection::vec(any::<i64>(), 0..6),
        counts in prop::collection::btree_map("[a-z_]{1,8}", 0_u64..1 << 53, 0..5),
        pairs in prop::collection::vec((0_u64..1 << 53, 0_u64..1 << 53), 0..4),
    ) {
        let mut line = Vec::new();
        Chain::genesis().append(&mut line, |entry| {
            entry.bytes("a_bytes", &text);
            entry.counts("b_counts", counts.iter().map(|(k, v)| (k.as_str(), *v)));
            entry.ints("c_ints", ints.iter().copied());
            entry.text("kind", "decision");
            entry.names("q_names", names.iter().map(String::as_str));
            entry.pairs("t_pairs", pairs.iter().copied());
            entry.uint("w_uint", uint);
        });
        prop_assert!(line.is_ascii());
        let mut scratch = Vec::new();
        let record = Record::check(line.strip_suffix(b"\n").unwrap(), &mut scratch).unwrap();
        prop_assert_eq!(canonical(record.entry()).unwrap(), record.entry());
    }

    /// What the scanner takes, RFC 8785 would have written; changed bytes included.
    #[test]
    fn the_scanner_takes_nothing_else(at in 0_usize..90, byte in 0x20_u8..0x7f) {
        let mut entry =
            br#"{"a":{"b":[1,-20,"x\\x7f"],"c":true},"d":[[1,2],[3,4]],"e":9007199254740991,"f":"\"q\""}"#
                .to_vec();
        let at = at % entry.len();
        entry[at] = byte;
        if Members::new(&entry).all(|member| member.is_ok()) {
            prop_assert_eq!(canonical(&entry).unwrap(), entry);
        }
    }
}
