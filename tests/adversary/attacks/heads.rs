//! Signed heads that were cut off, forged, exchanged or made by another key.

use tidegate::ledger::{Verdict, VerifyOptions};

use super::super::check;
use super::super::site::Site;
use super::files::{Files, changed, lines, relined, rewrite, second, without_notes};
use super::{
    Attacks, CUT, HEAD_ROOT, IN_FORCE, LISTED, RECORD_ROOT, options_with_head, options_with_key,
    ordinary,
};

pub(super) fn heads_attacked(attacks: &mut Attacks) {
    cut_off(attacks);
    signed_by_others(attacks);
    signed_out_of_time(attacks);
    strange_notes(attacks);
    forks(attacks);
    kept_back(attacks);
}

fn add_note(files: &mut Files, note: &str) {
    let heads = files.get_mut("heads.log").unwrap();
    heads.extend(format!("{note}\n").bytes());
}

/// The end cut off, and what is kept elsewhere.
fn cut_off(attacks: &mut Attacks) {
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
}

/// Signed again with a key that is not the log's.
fn signed_by_others(attacks: &mut Attacks) {
    let site = ordinary();
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
}

/// Signed with a key of the log, at another time than its own.
fn signed_out_of_time(attacks: &mut Attacks) {
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
            add_note(files, &old_note);
        }),
    );
}

/// Notes of other ledgers and of nobody.
fn strange_notes(attacks: &mut Attacks) {
    let site = ordinary();
    let second = second(&site);
    let mut stranger = Site::new(7, 1);
    stranger.decisions(9);
    stranger.checkpoint();
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
            add_note(files, &note);
            files.insert(second.clone(), site.files()[&second].clone());
            let kept = lines(&files[&second]);
            files.insert(second.clone(), kept[..kept.len() - 1].concat());
        }),
    );
}

/// Two ledgers with one beginning, and a root that is none.
fn forks(attacks: &mut Attacks) {
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
            add_note(files, &forked);
        }),
    );
    let mut lie = ordinary();
    lie.checkpoint_of([7; 32]);
    attacks.on("a checkpoint with a false root", RECORD_ROOT, lie.files());
}

fn kept_back(attacks: &mut Attacks) {
    let second = second(&ordinary());
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
