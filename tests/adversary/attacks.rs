//! The table: attack, and the rule that it breaks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tidegate::ledger::{
    Chain, Frontier, KnownHead, LedgerKey, Report, TrustedKey, Verdict, VerifyOptions, entry_hash,
    hex64,
};

use super::site::{Site, put_all};
use super::{check, check_with, damage};

const SELF_HASH: &str = "hash is SHA-256";
const CHAIN: &str = "prev is the hash of the line before";
const NUMBERS: &str = "numbered without gaps";
const HEAD_ROOT: &str = "the root of a signed head is that of the records";
const RECORD_ROOT: &str = "the root of a checkpoint is that of the records";
const CUT: &str = "no fewer records than were signed";
const IN_FORCE: &str = "signed by the key in force";
const LISTED: &str = "signed by a key of log.vkey";
const STUBS: &str = "stubs stand only where";
const MISSING: &str = "a segment is missing only where";
const PRUNE: &str = "a prune names a segment as it is";
const TREE: &str = "the hashes of a tree file are those";

type Files = BTreeMap<String, Vec<u8>>;

/// Two segments, two boots, three heads, and a few of every account.
pub(crate) fn ordinary() -> Site {
    let mut site = Site::new(1, 1);
    site.decisions(5);
    site.checkpoint();
    site.rollup(3);
    site.loss(2);
    site.decisions(3);
    site.checkpoint();
    site.rotate();
    site.decisions(4);
    site.forget();
    site.close();
    site.open(true);
    site.decisions(4);
    site.checkpoint();
    site.decisions(2);
    site
}

const FIRST: &str = "seg-0000000000000000.jsonl";

fn second(site: &Site) -> String {
    format!("seg-{:016}.jsonl", site.segments[1].0)
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

/// Changes one record and all that follow, so that hashes and links agree again.
fn rewrite(files: &mut Files, names: &[&str], from: u64, change: impl Fn(&mut String)) {
    let mut head: Option<String> = None;
    for name in names {
        let mut out = Vec::new();
        for line in lines(&files[*name]) {
            let mut text = String::from_utf8(line).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let seq = value["seq"].as_u64().unwrap();
            if seq >= from {
                let (entry, _) = text.rsplit_once(",\"hash\"").unwrap();
                let mut entry = entry.to_owned() + "}";
                if seq == from {
                    change(&mut entry);
                }
                if let Some(head) = &head {
                    entry = entry.replace(value["prev"].as_str().unwrap(), head);
                }
                let hash = hex64(&entry_hash(entry.as_bytes()));
                let hash = String::from_utf8(hash.to_vec()).unwrap();
                text = format!("{},\"hash\":\"{hash}\"}}\n", &entry[..entry.len() - 1]);
                head = Some(hash);
            }
            out.extend(text.bytes());
        }
        files.insert((*name).to_owned(), out);
    }
}

fn options_with_key(seed: u8, origin: &str) -> VerifyOptions {
    let vkey = LedgerKey::from_seed([seed; 32])
        .verifier(origin)
        .unwrap()
        .to_text();
    VerifyOptions {
        keys: TrustedKey::parse(&vkey).unwrap(),
        ..VerifyOptions::default()
    }
}

fn options_with_head(note: &str) -> VerifyOptions {
    VerifyOptions {
        head: Some(KnownHead::parse(note.as_bytes()).unwrap()),
        ..VerifyOptions::default()
    }
}

/// One attack: how the files are changed, how the check is asked, the rule that must be named.
struct Attack {
    name: &'static str,
    files: Files,
    options: VerifyOptions,
    /// `None`: nothing inside the files can show it.
    rule: Option<&'static str>,
}

#[derive(Default)]
struct Attacks(Vec<Attack>);

impl Attacks {
    fn on(&mut self, name: &'static str, rule: &'static str, files: Files) {
        self.with(name, Some(rule), files, VerifyOptions::default());
    }

    fn with(
        &mut self,
        name: &'static str,
        rule: Option<&'static str>,
        files: Files,
        options: VerifyOptions,
    ) {
        self.0.push(Attack {
            name,
            files,
            options,
            rule,
        });
    }
}

fn changed(site: &Site, change: impl FnOnce(&mut Files)) -> Files {
    let mut files = site.files();
    change(&mut files);
    files
}

fn relined(site: &Site, name: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Files {
    changed(site, |files| {
        let mut all = lines(&files[name]);
        change(&mut all);
        files.insert(name.to_owned(), all.concat());
    })
}

fn without_notes(files: &mut Files, site: &Site, keep: usize) {
    let kept = &site.notes[..keep];
    let heads: String = kept.iter().map(|note| format!("{note}\n")).collect();
    files.insert("heads.log".to_owned(), heads.into_bytes());
    files.insert("checkpoint".to_owned(), kept[keep - 1].clone().into_bytes());
}

fn lines_attacked(attacks: &mut Attacks) {
    let site = ordinary();
    let second = second(&site);
    attacks.on(
        "a line edited",
        SELF_HASH,
        relined(&site, FIRST, |all| {
            let text = String::from_utf8(all[3].clone()).unwrap();
            all[3] = text.replace("ALLOW", "DROP-").into_bytes();
        }),
    );
    attacks.on(
        "a line edited and rehashed",
        CHAIN,
        relined(&site, FIRST, |all| {
            let mut one = Files::from([("x".to_owned(), all[3].clone())]);
            rewrite(&mut one, &["x"], 3, |entry| {
                *entry = entry.replace("ALLOW", "DROP-")
            });
            all[3] = one["x"].clone();
        }),
    );
    attacks.on(
        "a line removed",
        NUMBERS,
        relined(&site, FIRST, |all| drop(all.remove(3))),
    );
    attacks.on(
        "a line doubled",
        NUMBERS,
        relined(&site, FIRST, |all| all.insert(3, all[3].clone())),
    );
    attacks.on(
        "a line moved",
        NUMBERS,
        relined(&site, FIRST, |all| all.swap(3, 4)),
    );
    attacks.on(
        "a line inserted",
        NUMBERS,
        relined(&site, &second, |all| {
            let text = String::from_utf8(all[1].clone()).unwrap();
            let mut one = Files::from([("x".to_owned(), text.into_bytes())]);
            rewrite(&mut one, &["x"], 0, |_| {});
            all.insert(1, one["x"].clone());
        }),
    );
    let suffix = |keep: usize| {
        changed(&site, |files| {
            rewrite(files, &[FIRST, &second], 10, |entry| {
                *entry = entry.replace("ALLOW", "DROP-")
            });
            files.retain(|name, _| !name.ends_with(".tree"));
            without_notes(files, &site, keep);
        })
    };
    attacks.on(
        "the suffix rewritten without the key",
        RECORD_ROOT,
        suffix(3),
    );
    attacks.on(
        "the same, and the notes over it removed",
        RECORD_ROOT,
        suffix(1),
    );
    attacks.on(
        "two segments exchanged",
        "named after its first record",
        changed(&site, |files| {
            let (one, two) = (files[FIRST].clone(), files[&second].clone());
            files.insert(FIRST.to_owned(), two);
            files.insert(second.clone(), one);
        }),
    );
    attacks.on(
        "a segment renamed",
        NUMBERS,
        changed(&site, |files| {
            let bytes = files.remove(&second).unwrap();
            files.insert("seg-0000000000000099.jsonl".to_owned(), bytes);
        }),
    );
    attacks.on(
        "the first segment missing",
        MISSING,
        changed(&site, |files| {
            files.remove(FIRST);
        }),
    );
    attacks.on(
        "the first segment and its tree file missing",
        "the tree file of a removed segment",
        changed(&site, |files| {
            files.remove(FIRST);
            files.remove("seg-0000000000000000.tree");
        }),
    );
    attacks.on(
        "the last segment missing",
        CUT,
        changed(&site, |files| drop(files.remove(&second))),
    );
    attacks.on(
        "a tree file edited",
        TREE,
        changed(&site, |files| {
            let text = String::from_utf8(files["seg-0000000000000000.tree"].clone()).unwrap();
            let line = text.lines().nth(5).unwrap().to_owned();
            let other = text.lines().nth(6).unwrap().split(' ').nth(2).unwrap();
            let digits = line.split(' ').nth(2).unwrap();
            files.insert(
                "seg-0000000000000000.tree".to_owned(),
                text.replace(digits, other).into_bytes(),
            );
        }),
    );
    attacks.on(
        "two ledgers one after the other",
        NUMBERS,
        changed(&site, |files| {
            let mut bytes = files[&second].clone();
            bytes.extend(&Site::new(2, 1).files()[FIRST]);
            files.insert(second.clone(), bytes);
        }),
    );
    attacks.on(
        "an instance of another ledger in its origin",
        "origin is the name",
        changed(&site, |files| {
            files.insert(
                "origin".to_owned(),
                b"gateway-2/0123456789abcdef\n".to_vec(),
            );
            files.remove("log.vkey");
            files.retain(|name, _| name != "heads.log" && name != "checkpoint");
            strip(files, &[FIRST, &second]);
        }),
    );
}

/// Makes an unsigned ledger of a signed one: what somebody does who wants no signature looked at.
fn strip(files: &mut Files, names: &[&str]) {
    let (mut chain, mut out) = (Chain::genesis(), BTreeMap::new());
    for name in names {
        let mut bytes = Vec::new();
        for line in lines(&files[*name]) {
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            if matches!(value["kind"].as_str(), Some("key" | "checkpoint")) {
                continue;
            }
            let text = String::from_utf8(line).unwrap();
            let (entry, _) = text.rsplit_once(",\"hash\"").unwrap();
            let head = String::from_utf8(chain.head().to_vec()).unwrap();
            let entry = format!("{entry}}}")
                .replace(value["prev"].as_str().unwrap(), &head)
                .replace(
                    &format!("\"seq\":{}", value["seq"]),
                    &format!("\"seq\":{}", chain.next_seq()),
                );
            let hash = hex64(&entry_hash(entry.as_bytes()));
            bytes.extend(
                format!(
                    "{},\"hash\":\"{}\"}}\n",
                    &entry[..entry.len() - 1],
                    String::from_utf8(hash.to_vec()).unwrap()
                )
                .bytes(),
            );
            chain = Chain::resume(chain.next_seq() + 1, hash);
        }
        out.insert((*name).to_owned(), bytes);
    }
    let all: Vec<u8> = names.iter().flat_map(|name| out[*name].clone()).collect();
    for name in names {
        files.remove(*name);
    }
    files.retain(|name, _| !name.ends_with(".tree"));
    files.insert(FIRST.to_owned(), all);
}

fn heads_attacked(attacks: &mut Attacks) {
    let site = ordinary();
    let second = second(&site);
    let cut = |keep: usize| {
        let mut files = relined(&site, &second, |all| all.truncate(3));
        without_notes(&mut files, &site, keep);
        files
    };
    attacks.on("the tail cut off", CUT, cut(3));
    attacks.with(
        "the tail cut off together with its notes",
        None,
        cut(2),
        VerifyOptions::default(),
    );
    let kept = options_with_head(&site.notes[2]);
    attacks.with(
        "the same, with a head kept elsewhere",
        Some(CUT),
        cut(2),
        kept,
    );
    let pair = format!("{}:{}", site.next_seq() - 1, site.head());
    attacks.with(
        "the same, with SEQ:HASH kept elsewhere",
        Some(CUT),
        cut(2),
        options_with_head(&pair),
    );

    let mut other = Site::new(1, 1);
    other.decisions(3);
    other.sign_with(9);
    other.decisions(4);
    other.checkpoint();
    attacks.on(
        "signed with a key that no record names",
        IN_FORCE,
        other.files(),
    );
    let mut forged = Site::new(1, 1);
    forged.decisions(5);
    forged.checkpoint();
    forged.use_key(9);
    forged.decisions(3);
    forged.checkpoint();
    attacks.with(
        "rewritten with another key",
        Some("signed by a trusted key"),
        forged.files(),
        options_with_key(1, &site.origin),
    );
    attacks.with(
        "rewritten with another key, only its own trusted",
        Some("signed by a trusted key"),
        ordinary().files(),
        options_with_key(9, &site.origin),
    );
    let kept = options_with_head(&site.notes[1]);
    attacks.with(
        "rewritten with another key, a head kept elsewhere",
        Some("root of a signed head"),
        forged.files(),
        kept,
    );
    attacks.on(
        "another key, left out of log.vkey",
        "which log.vkey lists",
        changed(&forged, |files| {
            let text = String::from_utf8(files["log.vkey"].clone()).unwrap();
            let first = text.lines().next().unwrap().to_owned() + "\n";
            files.insert("log.vkey".to_owned(), first.into_bytes());
        }),
    );

    let mut epochs = Site::new(1, 1);
    epochs.decisions(3);
    epochs.checkpoint();
    epochs.use_key(2);
    epochs.decisions(3);
    epochs.checkpoint();
    assert_eq!(check(epochs.write().path()).verdict, Verdict::Intact);
    let mut old = epochs.clone();
    old.sign_with(1);
    old.decisions(1);
    old.checkpoint();
    attacks.on(
        "a checkpoint by a key of an epoch that is over",
        IN_FORCE,
        old.files(),
    );
    let mut early = Site::new(1, 1);
    early.decisions(3);
    early.sign_with(2);
    early.checkpoint();
    early.use_key(2);
    attacks.on(
        "a checkpoint by a key before its epoch",
        IN_FORCE,
        early.files(),
    );
    let old_note = old.notes.last().unwrap().clone();
    attacks.on(
        "a note by a key of an epoch that is over",
        "the key in force at its size",
        changed(&epochs, |files| {
            let mut more = epochs.clone();
            more.decisions(1);
            files.extend(more.files());
            files
                .get_mut("heads.log")
                .unwrap()
                .extend(format!("{old_note}\n").bytes());
        }),
    );

    let stranger = {
        let mut site = Site::new(7, 1);
        site.decisions(9);
        site.checkpoint();
        site
    };
    attacks.on(
        "the notes of another ledger",
        "a signed head is of this log",
        changed(&site, |files| {
            files.insert(
                "heads.log".to_owned(),
                stranger.files()["heads.log"].clone(),
            );
        }),
    );
    attacks.on(
        "the newest note of another ledger",
        "a signed head is of this log",
        changed(&site, |files| {
            files.insert(
                "checkpoint".to_owned(),
                stranger.files()["checkpoint"].clone(),
            );
        }),
    );
    attacks.on(
        "a note by a key that nobody knows",
        LISTED,
        changed(&site, |files| {
            let mut site = ordinary();
            site.sign_with(5);
            let note = site.checkpoint();
            files
                .get_mut("heads.log")
                .unwrap()
                .extend(format!("{note}\n").bytes());
            files.insert(second.clone(), site.files()[&second].clone());
            let kept = lines(&files[&second]);
            files.insert(second.clone(), kept[..kept.len() - 1].concat());
        }),
    );
    let mut fork = ordinary();
    fork.rollup(2);
    let forked = fork.checkpoint();
    let mut here = ordinary();
    here.decisions(2);
    here.checkpoint();
    attacks.with(
        "a note of a fork",
        Some(HEAD_ROOT),
        here.files(),
        options_with_head(&forked),
    );
    attacks.on(
        "a note of a fork in heads.log",
        HEAD_ROOT,
        changed(&here, |files| {
            files
                .get_mut("heads.log")
                .unwrap()
                .extend(format!("{forked}\n").bytes());
        }),
    );
    let mut lie = ordinary();
    lie.checkpoint_of([7; 32]);
    attacks.on("a checkpoint with a false root", RECORD_ROOT, lie.files());
    let mut miscounted = ordinary();
    miscounted.forget();
    miscounted.close();
    attacks.on("decisions kept back before writing", "made = lines", {
        let mut hidden = ordinary();
        hidden.decisions(1);
        let mut files = hidden.files();
        // The line is gone and the chain was made again with the key's owner looking away.
        let mut again = ordinary();
        again.forget();
        again.close();
        let text = String::from_utf8(again.files()[&second].clone()).unwrap();
        let all: Vec<&str> = text.lines().collect();
        let last = all
            .last()
            .unwrap()
            .replace("\"unaccounted\":{\"00\":1}", "\"unaccounted\":{}");
        let kept: String = all[..all.len() - 1]
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        let mut one = Files::from([("x".to_owned(), (last + "\n").into_bytes())]);
        rewrite(&mut one, &["x"], 0, |_| {});
        files.insert(
            second.clone(),
            [kept.into_bytes(), one["x"].clone()].concat(),
        );
        files
    });
}

/// A ledger whose first segment lost two records by a prune.
fn pruned() -> Site {
    let mut site = ordinary();
    let bounds = site.bounds(0);
    site.prune(&bounds, Some(&[2, 3]));
    site.checkpoint();
    site.decisions(1);
    site.stub(2);
    site.stub(3);
    site
}

fn removals_attacked(attacks: &mut Attacks) {
    assert_eq!(check(pruned().write().path()).verdict, Verdict::Intact);
    let mut none = ordinary();
    none.stub(4);
    attacks.on("a stub that no record names", STUBS, none.files());
    let mut more = pruned();
    more.stub(4);
    attacks.on("a stub more than the record names", STUBS, more.files());
    let mut other = ordinary();
    let bounds = other.bounds(0);
    other.prune(&bounds, Some(&[2, 3]));
    other.checkpoint();
    other.stub(3);
    other.stub(4);
    attacks.on("other stubs than the record names", STUBS, other.files());
    let mut unsigned = ordinary();
    let bounds = unsigned.bounds(0);
    unsigned.prune(&bounds, Some(&[2]));
    unsigned.stub(2);
    attacks.on("a prune that no signature covers", STUBS, unsigned.files());
    let mut wide = ordinary();
    let (first, next, head) = wide.bounds(0);
    wide.prune(&(first, next + 2, head), Some(&[2]));
    wide.checkpoint();
    attacks.on(
        "a prune that names more than the segment",
        PRUNE,
        wide.files(),
    );
    let mut many = ordinary();
    let bounds = many.bounds(0);
    let seqs: Vec<u64> = (0..40).collect();
    many.prune(&bounds, Some(&seqs));
    attacks.on(
        "a prune with more stubs than records",
        "a prune or redact names",
        many.files(),
    );
    let mut gone = ordinary();
    let bounds = gone.bounds(0);
    gone.prune(&bounds, None);
    gone.checkpoint();
    let without = changed(&gone, |files| drop(files.remove(FIRST)));
    let dir = tempfile::tempdir().unwrap();
    put_all(dir.path(), &without);
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert_eq!(report.pruned, bounds.1);
    let tree = "seg-0000000000000000.tree";
    attacks.on("the tree file of a removed segment edited", "root of a", {
        let mut files = without.clone();
        let text = String::from_utf8(files[tree].clone()).unwrap();
        let digits = text
            .lines()
            .nth(5)
            .unwrap()
            .split(' ')
            .nth(2)
            .unwrap()
            .to_owned();
        files.insert(
            tree.to_owned(),
            text.replace(&digits, &"ab".repeat(32)).into_bytes(),
        );
        files
    });
}

fn all() -> Vec<Attack> {
    let mut attacks = Attacks::default();
    lines_attacked(&mut attacks);
    heads_attacked(&mut attacks);
    removals_attacked(&mut attacks);
    attacks.0
}

// R084, R085, R102
#[test]
fn every_attack_is_found_by_its_rule() {
    let site = ordinary();
    let report = check(site.write().path());
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert_eq!(report.not_checked, [""; 0], "{report:?}");
    assert_eq!((report.checkpoints, report.heads), (3, 3));
    assert_eq!(
        (report.rolled_up, report.lost, report.unaccounted),
        (3, 3, 1)
    );
    let (mut right, mut wrong) = (0, Vec::new());
    let attacks = all();
    for attack in &attacks {
        let dir = tempfile::tempdir().unwrap();
        put_all(dir.path(), &attack.files);
        let report = check_with(dir.path(), &attack.options);
        let found = damage(&report).map(|damage| damage.rule.clone());
        let fits = match (&found, attack.rule) {
            (Some(found), Some(rule)) => found.contains(rule),
            (found, rule) => found.is_none() && rule.is_none(),
        };
        println!(
            "{:<60} {}",
            attack.name,
            found.as_deref().unwrap_or("not seen from inside")
        );
        if fits {
            right += 1;
        } else {
            wrong.push(format!(
                "{}: expected {:?}, found {:?}",
                attack.name,
                attack.rule,
                damage(&report)
            ));
        }
    }
    println!("detected {right} / expected {}", attacks.len());
    assert_eq!(wrong, [""; 0], "{right} of {}", attacks.len());
}

// R085
#[test]
fn a_head_kept_elsewhere_is_all_that_shows_a_cut_tail() {
    let site = ordinary();
    let dir = site.write();
    for note in &site.notes {
        let report = check_with(dir.path(), &options_with_head(note));
        assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    }
    let pair = format!("{}:{}", site.next_seq() - 1, site.head());
    assert_eq!(
        check_with(dir.path(), &options_with_head(&pair)).verdict,
        Verdict::Intact
    );
    let wrong = format!("{}:{}", site.next_seq() - 2, site.head());
    let report = check_with(dir.path(), &options_with_head(&wrong));
    assert!(
        damage(&report).unwrap().rule.contains("kept elsewhere"),
        "{report:?}"
    );
}

// R102
#[test]
fn a_key_can_be_given_in_every_form() {
    let site = ordinary();
    let dir = site.write();
    let report = check_with(dir.path(), &options_with_key(1, &site.origin));
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert_eq!(report.heads, 3);
    assert!(TrustedKey::parse("nonsense").is_err());
    assert!(TrustedKey::parse("\n").is_err());
}

fn lone(dir: &Path, site: &Site) -> (PathBuf, tempfile::TempDir) {
    let alone = tempfile::tempdir().unwrap();
    let file = alone.path().join(second(site));
    fs::copy(dir.join(second(site)), &file).unwrap();
    (file, alone)
}

fn said(report: &Report, what: &str) -> bool {
    report.not_checked.iter().any(|said| said.contains(what))
}

#[test]
fn a_part_is_checked_as_far_as_it_goes_and_says_how_far() {
    let site = ordinary();
    let dir = site.write();
    let part = |from, to| {
        let options = VerifyOptions {
            from,
            to,
            ..VerifyOptions::default()
        };
        check_with(dir.path(), &options)
    };
    let whole = check(dir.path());
    let last = whole.last_seq.unwrap();
    for from in 0..=last {
        let report = part(Some(from), None);
        assert_eq!(report.verdict, Verdict::Intact, "from {from}: {report:?}");
        assert_eq!(
            (report.first_seq, report.last_seq),
            (Some(from), Some(last))
        );
        assert!(said(&report, "outside the range of --from"));
        let report = part(None, Some(from));
        assert_eq!(report.verdict, Verdict::Intact, "to {from}: {report:?}");
        assert_eq!((report.first_seq, report.last_seq), (Some(0), Some(from)));
    }
    let (file, _alone) = lone(dir.path(), &site);
    let report = check_with(&file, &options_with_head(&site.notes[2]));
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert!(
        said(&report, "roots of signed heads") && said(&report, "files beside"),
        "{report:?}"
    );
    // With the tree files beside it, the root as well.
    let report = check_with(
        &dir.path().join(second(&site)),
        &options_with_head(&site.notes[2]),
    );
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert!(!said(&report, "roots of signed heads"), "{report:?}");
    let mut fork = ordinary();
    fork.rollup(2);
    let forked = fork.checkpoint();
    let mut here = ordinary();
    here.decisions(2);
    let there = here.write();
    let report = check_with(
        &there.path().join(second(&here)),
        &options_with_head(&forked),
    );
    assert!(damage(&report).is_some(), "{report:?}");
}

#[test]
fn a_compressed_segment_counts_as_its_text_and_a_bad_frame_is_damage() {
    let site = ordinary();
    let compressed = |change: fn(&mut Vec<u8>)| {
        let mut files = site.files();
        let plain = files.remove(FIRST).unwrap();
        let mut frame = zstd::encode_all(&plain[..], 3).unwrap();
        change(&mut frame);
        files.insert(format!("{FIRST}.zst"), frame);
        let dir = tempfile::tempdir().unwrap();
        put_all(dir.path(), &files);
        check(dir.path())
    };
    let report = compressed(|_| {});
    assert_eq!(report, check(site.write().path()));
    for change in [
        |frame: &mut Vec<u8>| frame.truncate(frame.len() - 1),
        |frame: &mut Vec<u8>| frame[60] ^= 1,
        |frame: &mut Vec<u8>| frame[0] ^= 1,
        |frame: &mut Vec<u8>| frame.extend(b"more"),
        |frame: &mut Vec<u8>| frame.clear(),
    ] {
        let report = compressed(change);
        assert!(matches!(report.verdict, Verdict::Damaged(_)), "{report:?}");
    }
}

// The verifier's roots are those of another tree: the writer's.
#[test]
fn the_roots_are_those_of_the_writers_tree() {
    let mut site = Site::new(1, 1);
    let mut tree = Frontier::new();
    for round in 0..40 {
        site.decisions(round * 7 % 13);
        site.checkpoint();
        if round % 9 == 8 {
            site.rotate();
            site.decisions(1);
        }
    }
    tree.push([0; 32]);
    let report = check(site.write().path());
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert_eq!((report.checkpoints, report.heads), (40, 40));
    // Without heads.log the sizes are known only from the records.
    let dir = site.write();
    fs::remove_file(dir.path().join("heads.log")).unwrap();
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert!(said(&report, "heads.log is not there"), "{report:?}");
}

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
