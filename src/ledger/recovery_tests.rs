//! The end of a ledger, case by case: what a start and `recover` make of it, with signed heads
//! beside the records.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory::{SegmentName, list_segments};
use super::disk::Disk;
use super::history::tree_path;
use super::recovery::Found;
use super::survey::leaf;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const RULEBOOK: &[u8] = b"{}";
const POLICY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

pub(super) fn key() -> LedgerKey {
    LedgerKey::from_seed([7; 32])
}

pub(super) fn facts(boot: u32) -> OpenFacts {
    OpenFacts {
        boot: BootId::from_u32(boot),
        instance: "test".to_owned(),
        version: "0".to_owned(),
        policy_hash: POLICY_HASH.to_owned(),
        client_key_id: None,
        bundle: None,
    }
}

pub(super) fn encode(entry: &mut EntryBuilder<'_>, source: Source, n: &u64) {
    let id = format!("{}{:02x}{n:012x}", source.boot, source.worker);
    entry.text("decision_id", &id);
    entry.text("kind", "decision");
    entry.uint("n", *n);
    entry.uint("ts_us", *n);
    entry.uint("worker", u64::from(source.worker));
}

pub(super) fn start(
    settings: &Settings,
    boot: u32,
) -> Result<(Ledger, Producer<u64>), LedgerError> {
    let source = Source {
        boot: BootId::from_u32(boot),
        worker: 0,
    };
    let (producer, consumer) = ring(source, 1_024);
    let ledger = Ledger::start(settings, &facts(boot), RULEBOOK, vec![consumer], encode)?;
    Ok((ledger, producer))
}

pub(super) fn push(producer: &mut Producer<u64>, count: u64) {
    for _ in 0..count {
        let n = producer.next_number();
        producer.push(Lane::Ordinary, Some(n), n);
    }
}

/// One boot with `count` decisions.
fn write(dir: &Path, boot: u32, count: u64) -> Ledger {
    let (ledger, mut producer) = start(&Settings::new(dir), boot).unwrap();
    push(&mut producer, count);
    drop(producer);
    ledger.flush(PATIENCE).unwrap();
    ledger
}

/// Hashes of all lines, by number.
pub(super) fn leaves(dir: &Path) -> Vec<Hash> {
    let mut lines = DirectoryLines::open(dir).unwrap();
    let (mut leaves, mut scratch) = (Vec::new(), Vec::new());
    while let Some((_, line)) = lines.next().unwrap() {
        let record = Record::check(line.bytes, &mut scratch).unwrap();
        assert_eq!(record.seq, leaves.len() as u64);
        leaves.push(leaf(&record.hash));
    }
    leaves
}

/// Signs the first `size` records and publishes the note as the writer does.
pub(super) fn publish(disk: &Disk, dir: &Path, size: u64) {
    let mut tree = Frontier::new();
    let leaves = leaves(dir);
    assert!(size <= leaves.len() as u64);
    for leaf in leaves.into_iter().take(size as usize) {
        tree.push(leaf);
    }
    let origin = fs::read_to_string(dir.join("origin")).unwrap();
    let checkpoint = Checkpoint {
        origin: origin.trim().to_owned(),
        size,
        root: tree.root(),
    };
    let note = key().sign(&checkpoint).unwrap().to_text();
    let vkey = key().verifier(&checkpoint.origin).unwrap().to_text() + "\n";
    if !dir.join("log.vkey").exists() {
        disk.put(dir, "log.vkey", vkey.as_bytes()).unwrap();
    }
    let log = disk.append_to(&dir.join("heads.log")).unwrap();
    log.write_all(format!("{note}\n").as_bytes()).unwrap();
    log.sync().unwrap();
    disk.sync_folder(dir).unwrap();
    disk.put(dir, "checkpoint", note.as_bytes()).unwrap();
}

/// Records 0 to 11 (`open`, ten decisions, `close`), the first `signed` of them under a note.
struct Case {
    dir: tempfile::TempDir,
    segment: PathBuf,
    lines: Vec<Vec<u8>>,
}

impl Case {
    fn signed(signed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 1, 10).close().unwrap();
        if signed > 0 {
            publish(&Disk::default(), dir.path(), signed);
        }
        let segment = SegmentName::new(dir.path(), 0).path;
        let bytes = fs::read(&segment).unwrap();
        let lines = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec);
        let lines = lines.collect();
        Self {
            dir,
            segment,
            lines,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the lines as `change` leaves them.
    fn changed(self, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Self {
        let mut lines = self.lines.clone();
        change(&mut lines);
        fs::write(&self.segment, lines.concat()).unwrap();
        self
    }

    fn start(&self) -> Result<Recovered, LedgerError> {
        let (ledger, _) = start(&Settings::new(self.path()), 2)?;
        let recovered = ledger.recovered().clone();
        ledger.close().unwrap();
        Ok(recovered)
    }

    /// A start is refused with this code, and changes nothing.
    fn refuses(&self, code: &str) -> String {
        let before = files(self.path());
        let refused = self.start().unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert_eq!(files(self.path()), before);
        let repair = recover(&Settings::new(self.path()), "0", None).unwrap_err();
        assert!(repair.is_about_evidence(), "{repair}");
        assert!(repair.to_string().starts_with("REPAIR_ERROR: "), "{repair}");
        assert_eq!(files(self.path()), before);
        refused.to_string()
    }
}

/// Everything in a directory but `LOCK`.
pub(super) fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("LOCK") {
            let bytes = fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

fn flip(line: &mut [u8]) {
    line[20] ^= 1;
}

// R198, R282
#[test]
fn what_no_head_covers_is_a_torn_tail() {
    // Complete lines behind the bad one: without heads this would be damage.
    let case = Case::signed(6).changed(|lines| flip(&mut lines[7]));
    let found = case.start().unwrap();
    let torn = found.torn.unwrap();
    assert_eq!(found.records, 7);
    let kept = fs::read(case.path().join(&torn.file)).unwrap();
    let mut expected = case.lines[7..].concat();
    expected[20] ^= 1;
    assert_eq!(kept, expected);
    assert_eq!(verify(case.path()).unwrap().verdict, Verdict::Intact);
    Case::signed(0)
        .changed(|lines| flip(&mut lines[7]))
        .refuses("LEDGER_DAMAGED");
}

// R198
#[test]
fn damage_to_promised_records_stays_and_a_new_segment_begins() {
    for at in [1, 4, 5] {
        let case = Case::signed(12).changed(|lines| flip(&mut lines[at]));
        let before = fs::read(&case.segment).unwrap();
        let refused = recover(&Settings::new(case.path()), "0", Some("why")).unwrap_err();
        let text = refused.to_string();
        assert!(
            text.starts_with("REPAIR_ERROR: seg-0000000000000000.jsonl"),
            "{text}"
        );
        assert!(text.contains(&format!("record {at}:")), "{text}");
        let found = case.start().unwrap();
        let damaged = found.damaged.unwrap();
        assert_eq!(
            (damaged.seq, found.records, found.torn),
            (at as u64, 12, None)
        );
        assert_eq!(damaged.offset, case.lines[..at].concat().len() as u64);
        assert_eq!(fs::read(&case.segment).unwrap(), before);
        let new = SegmentName::new(case.path(), 12);
        let text = fs::read_to_string(&new.path).unwrap();
        assert!(text.contains(&format!(r#""damaged_seq":{at}"#)), "{text}");
        assert!(
            text.contains(r#""damaged_segment":"seg-0000000000000000.jsonl""#),
            "{text}"
        );
        // The chain and the tree go on: a later start finds the same leaves in the tree file.
        assert!(tree_path(case.path(), 0).exists());
        assert!(matches!(
            verify(case.path()).unwrap().verdict,
            Verdict::Damaged(_)
        ));
        let again = case.start_third();
        assert_eq!((again.records, again.damaged), (14, None));
    }
}

impl Case {
    fn start_third(&self) -> Recovered {
        let settings = Settings::new(self.path()).signed_by(key());
        let (ledger, _) = start(&settings, 3).unwrap();
        let recovered = ledger.recovered().clone();
        ledger.close().unwrap();
        recovered
    }
}

#[test]
fn damage_that_no_root_vouches_for_is_refused() {
    // No good line after it.
    let last = Case::signed(12).changed(|lines| flip(&mut lines[11]));
    last.refuses("LEDGER_DAMAGED");
    // Two lines whose own hashes are gone as well.
    let blank = |line: &mut Vec<u8>| {
        let len = line.len();
        line[..len - 1].fill(0);
    };
    let two = Case::signed(12).changed(|lines| {
        blank(&mut lines[4]);
        blank(&mut lines[5]);
    });
    two.refuses("LEDGER_DAMAGED");
    let first = Case::signed(12).changed(|lines| flip(&mut lines[0]));
    first.refuses("LEDGER_DAMAGED");
    // One blank line is known from the line behind it.
    let one = Case::signed(12).changed(|lines| blank(&mut lines[4]));
    assert_eq!(one.start().unwrap().damaged.unwrap().seq, 4);
}

// R085
#[test]
fn a_suffix_written_again_is_refused() {
    let case = Case::signed(12).changed(|lines| {
        let mut scratch = Vec::new();
        let last = lines[3].strip_suffix(b"\n").unwrap();
        let record = Record::check(last, &mut scratch).unwrap();
        let mut chain = Chain::resume(4, record.hash);
        lines.truncate(4);
        for n in 3..20 {
            let mut line = Vec::new();
            let source = Source {
                boot: BootId::from_u32(1),
                worker: 0,
            };
            chain.append(&mut line, |entry| encode(entry, source, &(n + 100)));
            lines.push(line);
        }
    });
    let told = case.refuses("LEDGER_DAMAGED");
    assert!(told.contains("not the one that was signed"), "{told}");
}

// R085, R198
#[test]
fn fewer_records_than_signed_need_an_accepted_rollback() {
    for cut in [0, 5] {
        let case = Case::signed(12).changed(|lines| {
            lines.truncate(7);
            let keep = if cut == 0 { lines[6].len() } else { cut };
            lines[6].truncate(keep);
        });
        let records = if cut == 0 { 7 } else { 6 };
        let told = case.refuses("LEDGER_ROLLBACK");
        assert!(told.contains(&format!("has {records} records")), "{told}");
        assert!(told.contains("covers 12"), "{told}");
        let settings = Settings::new(case.path());
        let accepting = settings.clone().signed_by(key());
        let repair = recover(&accepting, "0", Some("disk \"1\" replaced")).unwrap();
        assert_eq!(repair.rolled_back, Some(12));
        assert_eq!(repair.found.torn.is_some(), cut > 0);
        // `open`, the fault, `close`.
        assert_eq!(
            (repair.found.records, repair.records),
            (records, records + 3)
        );
        let text = fs::read_to_string(&case.segment).unwrap();
        assert!(
            text.contains(r#""code":"LEDGER_ROLLBACK_ACCEPTED""#),
            "{text}"
        );
        assert!(text.contains(r#""signed_size":12"#), "{text}");
        assert!(text.contains(r#""reason":"disk \"1\" replaced""#), "{text}");
        // From then on starts go on, also when the new history has grown over the old head.
        for boot in 2..5 {
            let (ledger, mut producer) = start(&settings, boot).unwrap();
            push(&mut producer, 2);
            drop(producer);
            ledger.close().unwrap();
        }
        assert_eq!(verify(case.path()).unwrap().verdict, Verdict::Intact);
        let size = leaves(case.path()).len() as u64;
        assert!(size > 12);
        publish(&Disk::default(), case.path(), size);
        case.changed_to(size - 1).refuses("LEDGER_ROLLBACK");
    }
}

impl Case {
    /// Leaves that many lines.
    fn changed_to(&self, count: u64) -> &Self {
        let bytes = fs::read(&self.segment).unwrap();
        let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
        fs::write(&self.segment, lines[..count as usize].concat()).unwrap();
        self
    }
}

// R085
#[test]
fn a_rollback_is_accepted_by_a_key_of_the_log_alone() {
    let case = Case::signed(12).changed(|lines| lines.truncate(7));
    let before = fs::read(&case.segment).unwrap();
    let stranger = LedgerKey::from_seed([66; 32]);
    let bare = Settings::new(case.path());
    for settings in [bare.clone(), bare.clone().signed_by(stranger.clone())] {
        let refused = recover(&settings, "0", Some("mine")).unwrap_err();
        assert!(refused.to_string().contains("--key FILE"), "{refused}");
        assert!(!refused.is_about_evidence());
        assert_eq!(fs::read(&case.segment).unwrap(), before);
    }
    // Written by hand: without a signature, with a stranger's, and with that one in log.vkey.
    let origin = fs::read_to_string(case.path().join("origin")).unwrap();
    let origin = origin.trim();
    let note = fs::read_to_string(case.path().join("checkpoint")).unwrap();
    let root = Checkpoint::from_text(&note).unwrap().root;
    let text = format!(
        "tidegate-rollback-accepted\n{origin}\n7\n12\n{}\nmine\n",
        hex::encode(root)
    );
    let acceptance = |key: &LedgerKey| key.sign_text(origin, text.clone()).unwrap();
    let forge = |signed: Option<&LedgerKey>| {
        let mut scratch = Vec::new();
        let record = Record::check(&case.lines[6][..case.lines[6].len() - 1], &mut scratch);
        let mut chain = super::chain::Chain::resume(7, record.unwrap().hash);
        let mut line = Vec::new();
        chain.append(&mut line, |e| {
            if let Some(key) = signed {
                e.text("acceptance", &acceptance(key).signatures[0].base64);
            }
            e.text("code", "LEDGER_ROLLBACK_ACCEPTED");
            e.uint("kept", 7);
            e.text("kind", "fault");
            e.text("reason", "mine");
            e.hex("signed_root", &root);
            e.uint("signed_size", 12);
        });
        fs::write(&case.segment, [&before[..], &line].concat()).unwrap();
    };
    let refuses = |settings: &Settings| {
        let refused = start(settings, 9).unwrap_err();
        assert_eq!(refused.code(), "LEDGER_ROLLBACK", "{refused}");
    };
    let signing = bare.clone().signed_by(key());
    forge(None);
    refuses(&bare);
    refuses(&signing);
    forge(Some(&stranger));
    refuses(&bare);
    refuses(&signing);
    let vkeys = case.path().join("log.vkey");
    let listed = fs::read_to_string(&vkeys).unwrap();
    let other = stranger.verifier(origin).unwrap().to_text();
    fs::write(&vkeys, format!("{listed}{other}\n")).unwrap();
    refuses(&signing);
    fs::write(&vkeys, listed).unwrap();
    // The same words under the key of the log are an acceptance.
    forge(Some(&key()));
    for settings in [bare, signing] {
        start(&settings, 9).unwrap().0.close().unwrap();
    }
}

// R085
#[test]
fn without_its_notes_a_signed_ledger_is_still_a_signed_one() {
    let ledger = Losing::new();
    let settings = Settings::new(ledger.dir.path());
    let lines = ledger.lines();
    let newest = lines.iter().rposition(|line| {
        let line = String::from_utf8_lossy(line);
        line.contains(r#""kind":"checkpoint""#)
    });
    let signed = newest.unwrap();
    let again = || {
        let (ledger, producer) = start(&settings, 9).unwrap();
        let found = ledger.recovered().clone();
        drop(producer);
        ledger.close().unwrap();
        found
    };
    assert!(!again().heads_missing);
    for file in ["heads.log", "checkpoint"] {
        fs::remove_file(ledger.dir.path().join(file)).unwrap();
    }
    assert!(again().heads_missing);
    // Other records below one that was signed, well chained.
    let mut chain = super::chain::Chain::genesis();
    let mut forged = Vec::new();
    for (at, line) in lines.iter().enumerate().take(signed + 1) {
        if at < 3 {
            forged.extend_from_slice(line);
            let mut scratch = Vec::new();
            let record = Record::check(&line[..line.len() - 1], &mut scratch).unwrap();
            chain = super::chain::Chain::resume(record.seq + 1, record.hash);
        } else if at < signed {
            chain.append(&mut forged, |e| e.text("kind", "governance"));
        } else {
            let value: serde_json::Value = serde_json::from_slice(line).unwrap();
            let text = |key: &str| {
                value["entry"][key]
                    .as_str()
                    .or(value[key].as_str())
                    .unwrap()
            };
            chain.append(&mut forged, |e| {
                e.text("kind", "checkpoint");
                e.text("root", text("root"));
                e.text("signature", text("signature"));
                e.uint(
                    "size",
                    value["size"]
                        .as_u64()
                        .or(value["entry"]["size"].as_u64())
                        .unwrap(),
                );
            });
        }
    }
    fs::write(&ledger.segment, forged).unwrap();
    let refused = start(&settings, 9).unwrap_err();
    assert!(
        refused.to_string().contains("not the one that was signed"),
        "{refused}"
    );
}

// R282
#[test]
fn recover_does_what_a_start_does_and_tells() {
    let case = Case::signed(6).changed(|lines| {
        lines[10].truncate(9);
        lines.truncate(11);
    });
    let settings = Settings::new(case.path());
    let repair = recover(&settings, "1.2", None).unwrap();
    assert_eq!((repair.found.records, repair.records), (10, 12));
    assert_eq!(repair.found.torn.map(|torn| torn.bytes), Some(9));
    assert!(repair.changed && repair.found.unclosed);
    let text = fs::read_to_string(&case.segment).unwrap();
    assert!(text.contains(r#""torn_bytes":9"#), "{text}");
    assert!(text.contains(r#""version":"1.2""#), "{text}");
    assert_eq!(verify(case.path()).unwrap().verdict, Verdict::Intact);
    let again = recover(&settings, "1.2", None).unwrap();
    assert!(!again.changed && again.records == 12);
    let nothing = tempfile::tempdir().unwrap();
    let refused = recover(&Settings::new(nothing.path()), "0", None).unwrap_err();
    assert!(
        refused.to_string().contains("at least one segment"),
        "{refused}"
    );
    let nowhere = recover(&Settings::new("/nowhere"), "0", None).unwrap_err();
    assert!(
        nowhere.to_string().contains("no such directory"),
        "{nowhere}"
    );
}

#[test]
fn older_segments_count_by_their_tree_files_or_their_lines() {
    let case = Case::signed(0);
    let cut = case.lines[..5].concat();
    let rest = case.lines[5..].concat();
    fs::write(&case.segment, &cut).unwrap();
    fs::write(SegmentName::new(case.path(), 5).path, &rest).unwrap();
    publish(&Disk::default(), case.path(), 12);
    let settings = Settings::new(case.path()).signed_by(key());
    let found = || {
        let dir = super::directory::Directory::lock(case.path()).unwrap();
        super::recovery::find(&settings, &dir)
    };
    let whole = |found: Result<Option<Found>, LedgerError>| {
        let mut tree = Frontier::new();
        let leaves = leaves(case.path());
        for leaf in leaves {
            tree.push(leaf);
        }
        let found = found.unwrap().unwrap();
        assert_eq!(found.frontier, tree);
        let file = found.builder.finish(found.chain.head());
        assert_eq!((file.first_seq, file.next_seq), (5, 12));
        assert_eq!(found.note.map(|note| note.size), Some(12));
    };
    whole(found());
    // A tree file that fits and is wrong: the signed root shows it, and the lines are read.
    let mut builder = TreeBuilder::new(0);
    (0..5).for_each(|n| builder.push([n; 32]));
    let mut scratch = Vec::new();
    let last = case.lines[4].strip_suffix(b"\n").unwrap();
    let head = Record::check(last, &mut scratch).unwrap().hash;
    let wrong = builder.finish(&head).to_text();
    fs::write(tree_path(case.path(), 0), wrong).unwrap();
    whole(found());
    // The lines are gone, and the tree file is wrong.
    let aside = case.path().join("aside");
    fs::rename(&case.segment, &aside).unwrap();
    assert_eq!(found().unwrap_err().code(), "LEDGER_DAMAGED");
    fs::remove_file(tree_path(case.path(), 0)).unwrap();
    let nothing = found().unwrap_err();
    assert_eq!(nothing.code(), "LEDGER_NOT_A_LEDGER", "{nothing}");
    assert_eq!(list_segments(case.path()).unwrap().len(), 1);
}

// R083
#[test]
fn what_a_killed_boot_made_is_told_exactly() {
    let check = |counts: &[u64], boot: u32, moved: bool, expected: &str, left: Option<u64>| {
        // Without its `close`.
        let case = Case::signed(0).changed(|lines| {
            lines.pop();
        });
        let mut made = made::sample(case.path(), boot, counts);
        // A digit of the inode.
        made[32] ^= u8::from(moved);
        fs::write(case.path().join("made"), made).unwrap();
        let found = case.start().unwrap();
        assert_eq!((found.unaccounted, found.moved), (left, moved && boot == 1));
        let text = fs::read_to_string(&case.segment).unwrap();
        let open = text.lines().nth(11).unwrap();
        assert!(open.contains(expected), "{open}");
        assert_eq!(
            open.contains("previous_made"),
            expected.contains("previous_made"),
            "{open}"
        );
    };
    let told = r#""previous_made":{"00":13},"previous_unaccounted":{"00":3}"#;
    check(&[13], 1, false, told, Some(3));
    let told = r#""previous_made":{"00":10,"02":4},"previous_unaccounted":{"02":4}"#;
    check(&[10, 0, 4], 1, false, told, Some(4));
    // After a power loss the counters may be older than the lines.
    let told = r#""previous_made":{"00":10},"previous_unaccounted":{}"#;
    check(&[2], 1, false, told, Some(0));
    // The records were there before that boot, and it is not among them.
    let told = r#""missing_boot":"00000009","missing_made":{"00":13}"#;
    check(&[13], 9, false, told, None);
    check(&[13], 9, true, r#""previous_closed":false"#, None);
    check(&[13], 1, true, r#""moved":true"#, None);
}

/// A boot over several segments: the newest checkpoint has the sum of what is older.
#[test]
fn accounts_go_back_to_a_checkpoint_or_an_open() {
    let decision = |chain: &mut Chain, out: &mut Vec<u8>, n: u64| {
        let source = Source {
            boot: BootId::from_u32(1),
            worker: 0,
        };
        chain.append(out, |entry| encode(entry, source, &n));
    };
    for (checkpoint, expected) in [(None, 9), (Some(4), 10)] {
        let case = Case::signed(0);
        let mut chain = {
            let mut scratch = Vec::new();
            let line = case.lines[0].strip_suffix(b"\n").unwrap();
            Chain::resume(1, Record::check(line, &mut scratch).unwrap().hash)
        };
        fs::write(&case.segment, &case.lines[0]).unwrap();
        let mut n = 0;
        for first in [1, 4, 8] {
            let mut out = Vec::new();
            if first == 4 {
                chain.append(&mut out, |entry| {
                    entry.counts("accounted", checkpoint.map(|sum| ("00", sum)));
                    entry.text("boot", "00000001");
                    entry.text(
                        "kind",
                        if checkpoint.is_some() {
                            "checkpoint"
                        } else {
                            "governance"
                        },
                    );
                });
            }
            for _ in 0..3 {
                decision(&mut chain, &mut out, n);
                n += 1;
            }
            fs::write(SegmentName::new(case.path(), first).path, out).unwrap();
        }
        let made = made::sample(case.path(), 1, &[16]);
        fs::write(case.path().join("made"), made).unwrap();
        // 9 lines, or 4 by the checkpoint and 6 after it.
        assert_eq!(case.start().unwrap().unaccounted, Some(16 - expected));
    }
}

/// The newest segment as it is once it was compressed.
fn compress(case: &Case, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let plain = fs::read(&case.segment).unwrap();
    let mut frame = zstd::encode_all(&plain[..], 3).unwrap();
    change(&mut frame);
    let path = case.segment.with_extension("jsonl.zst");
    fs::write(&path, frame).unwrap();
    fs::remove_file(&case.segment).unwrap();
    path
}

// R198
#[test]
fn behind_a_compressed_newest_segment_a_new_one_begins() {
    for signed in [12, 6, 0] {
        let case = Case::signed(signed);
        let compressed = compress(&case, |_| {});
        let before = fs::read(&compressed).unwrap();
        let found = case.start().unwrap();
        assert_eq!((found.records, found.torn, found.damaged), (12, None, None));
        assert_eq!(fs::read(&compressed).unwrap(), before);
        assert!(tree_path(case.path(), 0).exists());
        let new = SegmentName::new(case.path(), 12).path;
        let text = fs::read_to_string(new).unwrap();
        assert!(text.starts_with(r#"{"boot":"00000002","#), "{text}");
        let again = case.start_third();
        assert_eq!((again.records, again.unclosed), (14, false));
        let report = verify(case.path()).unwrap();
        assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    }
    // Those behind it were lost, and that is accepted.
    let case = Case::signed(12).changed(|lines| lines.truncate(7));
    let compressed = compress(&case, |_| {});
    let before = fs::read(&compressed).unwrap();
    let told = case.refuses("LEDGER_ROLLBACK");
    assert!(told.contains("has 7 records"), "{told}");
    let settings = Settings::new(case.path()).signed_by(key());
    let repair = recover(&settings, "0", Some("restored")).unwrap();
    assert_eq!((repair.rolled_back, repair.records), (Some(12), 10));
    assert_eq!(fs::read(&compressed).unwrap(), before);
    assert_eq!(case.start().unwrap().records, 10);
    assert_eq!(verify(case.path()).unwrap().verdict, Verdict::Intact);
}

// R198
#[test]
fn damage_in_a_compressed_newest_segment_changes_nothing() {
    let torn = Case::signed(12);
    compress(&torn, |frame| frame.truncate(frame.len() - 9));
    torn.refuses("LEDGER_DAMAGED");
    // No head covers the bad line, but no crash tears a compressed file.
    let line = Case::signed(6).changed(|lines| flip(&mut lines[8]));
    compress(&line, |_| {});
    line.refuses("LEDGER_DAMAGED");
    // The signed root vouches for the bad line's leaf.
    let promised = Case::signed(12).changed(|lines| flip(&mut lines[4]));
    compress(&promised, |_| {});
    let found = promised.start().unwrap();
    assert_eq!((found.records, found.damaged.unwrap().seq), (12, 4));
}

/// A signed ledger that loses its end again and again.
struct Losing {
    dir: tempfile::TempDir,
    segment: PathBuf,
}

impl Losing {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let segment = SegmentName::new(dir.path(), 0).path;
        let this = Self { dir, segment };
        this.run(1, 5, 7);
        this
    }

    /// One boot, signed by the key of this seed: decisions, a note, as many decisions more.
    fn run(&self, boot: u32, count: u64, seed: u8) {
        let settings = Settings::new(self.dir.path()).signed_by(LedgerKey::from_seed([seed; 32]));
        let (ledger, mut producer) = start(&settings, boot).unwrap();
        for _ in 0..2 {
            push(&mut producer, count);
            let records = ledger.flush(PATIENCE).unwrap();
            ledger.await_signed(records - 1, PATIENCE).unwrap();
        }
        drop(producer);
        ledger.close().unwrap();
    }

    fn lines(&self) -> Vec<Vec<u8>> {
        let bytes = fs::read(&self.segment).unwrap();
        let lines = bytes.split_inclusive(|b| *b == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    }

    fn keep(&self, lines: usize) {
        fs::write(&self.segment, self.lines()[..lines].concat()).unwrap();
    }

    /// A start is refused; gives up what is gone, and gives how many heads that were.
    fn accept(&self, records: u64) -> usize {
        self.accept_by(records, 7)
    }

    fn accept_by(&self, records: u64, seed: u8) -> usize {
        let settings = Settings::new(self.dir.path()).signed_by(LedgerKey::from_seed([seed; 32]));
        let refused = start(&settings, 90).unwrap_err();
        assert_eq!(refused.code(), "LEDGER_ROLLBACK", "{refused}");
        let repair = recover(&settings, "0", Some("lost")).unwrap();
        assert_eq!(repair.found.records, records);
        let told = self.intact();
        assert!(told.heads_superseded > 0, "{told:?}");
        (repair.records - records - 2) as usize
    }

    fn intact(&self) -> Report {
        let report = verify(self.dir.path()).unwrap();
        assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
        report
    }
}

// R085, R198
#[test]
fn rollbacks_follow_each_other() {
    let ledger = Losing::new();
    let whole = ledger.lines().len();
    ledger.keep(6);
    assert_eq!(ledger.accept(6), 1);
    ledger.run(2, 30, 7);
    let first = ledger.intact();
    assert!(first.records > whole as u64 && first.heads > 1, "{first:?}");
    // Behind the acceptance: it goes on to count.
    ledger.keep(20);
    assert_eq!(ledger.accept(20), 1);
    ledger.run(3, 1, 7);
    let second = ledger.intact();
    assert!(second.heads_superseded > first.heads_superseded);
    // Before both: the notes of three histories count again, and are given up together.
    ledger.keep(4);
    assert_eq!(ledger.accept(4), 2);
    ledger.run(4, 1, 7);
    ledger.run(5, 50, 7);
    let third = ledger.intact();
    assert!(third.heads_superseded > second.heads_superseded);
    assert!(third.signed_size > 100, "{third:?}");
}

// R198
#[test]
fn a_rollback_that_was_interrupted_is_accepted_again() {
    let ledger = Losing::new();
    ledger.keep(4);
    ledger.accept(4);
    // Its `open` is durable, the rest is not.
    ledger.keep(5);
    assert_eq!(ledger.accept(5), 1);
    ledger.run(2, 3, 7);
    ledger.intact();
}

// R198
#[test]
fn a_key_that_came_into_force_in_what_is_gone_does_so_again() {
    let ledger = Losing::new();
    let before = ledger.lines().len();
    ledger.run(2, 3, 8);
    ledger.keep(before);
    assert_eq!(ledger.accept_by(before as u64, 8), 1);
    ledger.run(3, 3, 8);
    ledger.intact();
}

// R198
#[test]
fn damage_in_signed_records_is_told_and_stays_damage() {
    let ledger = Losing::new();
    let lines = ledger.lines();
    let mut bytes = lines.concat();
    let offset = lines[..4].concat().len();
    flip(&mut bytes[offset..]);
    fs::write(&ledger.segment, &bytes).unwrap();
    let settings = Settings::new(ledger.dir.path()).signed_by(key());
    let (started, mut producer) = start(&settings, 2).unwrap();
    let damaged = started.recovered().damaged.clone().unwrap();
    assert_eq!((damaged.seq, damaged.offset), (4, offset as u64));
    // The gauges know from the first moment, and the writer is well.
    let gauges = started.snapshot();
    let kept = gauges.kept.damage.clone().unwrap();
    assert_eq!((kept.seq, kept.file), (4, ledger.segment.clone()));
    assert!(gauges.ok && !gauges.is_ok());
    push(&mut producer, 5);
    drop(producer);
    started.close().unwrap();
    // What was there is as it was, and the chain goes on behind it under a new note.
    assert_eq!(fs::read(&ledger.segment).unwrap(), bytes);
    let report = verify(ledger.dir.path()).unwrap();
    let Verdict::Damaged(found) = &report.verdict else {
        panic!("{report:?}");
    };
    assert_eq!((found.seq, found.offset, found.line), (4, offset as u64, 5));
    let open = lines.len() as u64;
    assert_eq!(report.told_by, Some(open), "{report:?}");
    // Further damage is told by nobody.
    flip(&mut bytes[lines[..2].concat().len()..]);
    fs::write(&ledger.segment, &bytes).unwrap();
    let report = verify(ledger.dir.path()).unwrap();
    assert!(matches!(&report.verdict, Verdict::Damaged(found) if found.seq == 2));
    assert_eq!(report.told_by, None, "{report:?}");
}
