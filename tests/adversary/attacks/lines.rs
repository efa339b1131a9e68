//! Lines and whole files of a ledger that were changed, moved or taken away.

use super::super::site::Site;
use super::files::{FIRST, Files, changed, relined, rewrite, second, strip, without_notes};
use super::{Attacks, CHAIN, CUT, MISSING, NUMBERS, RECORD_ROOT, SELF_HASH, TREE, ordinary};

pub(super) fn lines_attacked(attacks: &mut Attacks) {
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
}

pub(super) fn files_attacked(attacks: &mut Attacks) {
    segments_attacked(attacks);
    beside_segments(attacks);
}

fn segments_attacked(attacks: &mut Attacks) {
    let site = ordinary();
    let second = second(&site);
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
}

fn beside_segments(attacks: &mut Attacks) {
    let site = ordinary();
    let second = second(&site);
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
