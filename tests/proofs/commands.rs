//! The verbs `prove`, `keygen` and `export-tiles` of the program itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::made::Made;

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn ledger(verb: &str, args: &[&str]) -> Ran {
    let out = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["ledger", verb])
        .args(args)
        .output()
        .unwrap();
    Ran {
        code: out.status.code().unwrap(),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_proof_uses_the_note_that_covers_its_record() {
    let made = Made::new(500, &[0, 300]);
    made.sign(100);
    let note = made.sign(400);
    let dir = path(made.dir());
    let ran = ledger("prove", &[dir, "42", "--consistency-from", "100"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let proof: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(proof["format"], "tidegate-proof 1");
    assert_eq!((&proof["index"], &proof["size"]), (&42.into(), &400.into()));
    assert_eq!(proof["note"], note);
    assert_eq!(proof["leaf"], hex::encode(made.leaves[42]));
    assert_eq!(proof["root"], hex::encode(made.root(400)));
    let line = String::from_utf8(made.lines[42].clone()).unwrap();
    assert_eq!(proof["record"], line.trim_end());
    assert_eq!(proof["consistency"]["from"], 100);
    assert!(proof["consistency"]["from_note"].is_string());
    assert!(proof["vkey"].as_str().unwrap().starts_with(&made.origin));
    // An older note by its size; a size without a note; a record that no note covers.
    let ran = ledger("prove", &[dir, "42", "--size", "100"]);
    let proof: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(proof["note"].as_str().unwrap().contains("\n100\n"));
    for args in [&[dir, "42", "--size", "101"][..], &[dir, "450"]] {
        let ran = ledger("prove", args);
        let proof: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &proof["note"]), (0, &Value::Null));
        assert!(ran.stderr.contains("no signed head"), "{}", ran.stderr);
    }
    let ran = ledger("prove", &[dir, "42", "--format", "pretty"]);
    assert!(ran.stdout.contains(&note), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_proved_ends_with_its_reason_and_code() {
    let made = Made::new(500, &[0, 300]);
    made.sign(400);
    let dir = path(made.dir());
    for (args, code, word) in [
        (&[dir, "500"][..], 1, "record 500"),
        (&[dir, "400", "--size", "400"], 1, "among the first 400"),
        (&[dir, "1", "--size", "501"], 1, "holds 500 records"),
        (&[dir, "1", "--size", "99999999"], 1, "leave it away"),
        (&[dir, "1", "--consistency-from", "0"], 1, "at least 1"),
        (&["/nowhere", "1"], 1, "/nowhere"),
        (&[dir, "x"], 2, "invalid value"),
    ] {
        let ran = ledger("prove", args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(word), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
    // A note that was signed by nobody who is known here, and one of another log.
    let checkpoint = made.dir().join("checkpoint");
    let note = fs::read_to_string(&checkpoint).unwrap();
    for altered in [
        note.replace("\n400\n", "\n399\n"),
        note.replace("gateway-1", "gateway-2"),
    ] {
        fs::write(&checkpoint, altered).unwrap();
        assert_eq!(ledger("prove", &[dir, "1"]).code, 65);
    }
}

#[test]
fn a_key_is_made_once_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ledger.key");
    let name = "gateway-1/0123456789abcdef";
    let ran = ledger("keygen", &[path(&file), "--name", name]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = tidegate::ledger::LedgerKey::read(&file).unwrap();
    let vkey = key.verifier(name).unwrap().to_text();
    assert_eq!(ran.stdout, format!("{}{vkey}\n", key.public_pem()));
    assert!(ran.stderr.contains(&key.public_id()), "{}", ran.stderr);
    let before = fs::read(&file).unwrap();
    let ran = ledger("keygen", &[path(&file)]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("LEDGER_KEY"), "{}", ran.stderr);
    assert_eq!(fs::read(&file).unwrap(), before);
    let other = dir.path().join("other.key");
    let ran = ledger("keygen", &[path(&other), "--name", "a b"]);
    assert_eq!(ran.code, 2);
    assert!(!other.exists());
}

#[test]
fn an_export_says_what_it_wrote() {
    let made = Made::new(600, &[0, 300]);
    made.sign(512);
    let out = tempfile::tempdir().unwrap();
    let args = [path(made.dir()), path(out.path()), "--format", "json"];
    let ran = ledger("export-tiles", &args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&report["size"], &report["tiles"]),
        (&512.into(), &3.into())
    );
    let ran = ledger("export-tiles", &args[..2]);
    assert!(ran.stdout.contains("512 of them before"), "{}", ran.stdout);
}

#[test]
fn what_never_was_a_ledger_is_no_damaged_one() {
    let made = Made::new(10, &[0]);
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let bytes = fs::read(made.segment(0)).unwrap();
    fs::create_dir(at("empty")).unwrap();
    for (name, content) in [
        ("text", &b"not a record\n{}\n"[..]),
        ("nothing", b""),
        ("binary", &[0xff; 5_000]),
        ("copy", &bytes),
        ("broken-copy", &bytes[30..]),
        ("seg-0000000000000000.jsonl", b"x\n"),
        ("torn-off", &bytes[..40]),
    ] {
        fs::write(at(name), content).unwrap();
    }
    for trace in ["origin", "LOCK", "heads.log"] {
        fs::create_dir(at(&format!("with-{trace}"))).unwrap();
        fs::write(at(&format!("with-{trace}")).join(trace), "").unwrap();
    }
    for (verb, name, code, word) in [
        ("verify", "empty", 1, "is not a ledger"),
        ("verify", "text", 1, "is not a ledger"),
        ("verify", "nothing", 1, "is not a ledger"),
        ("verify", "binary", 1, "is not a ledger"),
        ("verify", "torn-off", 1, "is not a ledger"),
        ("verify", "broken-copy", 65, ""),
        ("verify", "seg-0000000000000000.jsonl", 65, ""),
        ("verify", "with-origin", 65, ""),
        ("verify", "with-LOCK", 65, ""),
        ("verify", "with-heads.log", 65, ""),
        ("recover", "nowhere", 1, "no such directory"),
        ("recover", "copy", 1, "this is a file"),
        ("recover", "empty", 1, "is not a ledger"),
        ("recover", "with-origin", 65, "REPAIR_ERROR"),
    ] {
        let ran = ledger(verb, &[path(&at(name))]);
        assert_eq!(ran.code, code, "{verb} {name}: {}", ran.stderr);
        assert!(ran.stderr.contains(word), "{verb} {name}: {}", ran.stderr);
    }
    assert_eq!(fs::read_dir(at("empty")).unwrap().count(), 0);
}

#[test]
fn a_range_of_which_nothing_is_there_is_not_called_intact() {
    // Its records 0 to 6 were pruned.
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    for (from, to, code, verdict) in [
        ("0", "6", 1, "nothing_checked"),
        ("3", "5", 1, "nothing_checked"),
        ("99999998", "99999999", 1, "nothing_checked"),
        ("5", "20", 0, "intact"),
        ("7", "7", 0, "intact"),
        ("331", "331", 0, "intact"),
    ] {
        let dir = path(&golden);
        let args = [dir, "--from", from, "--to", to, "--format", "json"];
        let ran = ledger("verify", &args);
        assert_eq!(ran.code, code, "{from}: {} {}", ran.stdout, ran.stderr);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(report["verdict"], verdict, "{from}");
        let notes = report["not_checked"].to_string();
        assert!(notes.contains("in segments outside the range"), "{notes}");
        let gone = notes.contains("their segments are gone, the oldest record here is 7");
        assert_eq!(gone, ["0", "3", "5"].contains(&from), "{from}: {notes}");
    }
}

#[test]
fn each_refusal_names_place_rule_and_remedy() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| path(&root.path().join(name)).to_owned();
    let (golden, empty, key) = (path(&golden), at("empty"), at("key"));
    fs::create_dir(&empty).unwrap();
    assert_eq!(ledger("keygen", &[&key]).code, 0);
    let (nowhere, tiles) = (at("nowhere"), at("tiles"));
    let redact = |dir, seq| {
        [
            dir, "--seq", seq, "--actor", "a", "--reason", "b", "--key", &key,
        ]
    };
    for (verb, args, code, words) in [
        (
            "prove",
            &[golden, "2"][..],
            1,
            "record 2 is gone: its segment was pruned, the oldest record in",
        ),
        ("prove", &[golden, "99999999"], 1, "no record 99999999"),
        (
            "redact",
            &redact(golden, "99999999"),
            1,
            "there is no record 99999999",
        ),
        (
            "redact",
            &redact(&empty, "1"),
            1,
            "has no segment of a ledger",
        ),
        (
            "prune",
            &[&empty, "--days", "1", "--reason", "r"],
            1,
            "has no segment of a ledger",
        ),
        (
            "verify",
            &[golden, "--key", &key],
            2,
            "this is a private key",
        ),
        ("export-tiles", &[&nowhere, &tiles], 1, "cannot read"),
        ("export-tiles", &[&empty, &tiles], 1, "no signed head"),
    ] {
        let ran = ledger(verb, args);
        assert_eq!(ran.code, code, "{verb} {args:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(words),
            "{verb} {args:?}: {}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("ASN.1"), "{}", ran.stderr);
    }
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    let mut explain = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let out = explain
        .args(["explain", "zzz", "--ledger", golden])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2), "{out:?}");
}
