//! docs/ledger-proofs.md is a promise that a stranger can check a proof by hand: so it is run here.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tidegate::ledger::{LedgerKey, prove};

use crate::commands::ledger;
use crate::made::{Made, Numbers};
use crate::tools::{needs, sh};

/// All bash of the page, in order.
fn script() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ledger-proofs.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("```bash\n").skip(1);
    let blocks: Vec<&str> = blocks
        .map(|block| block.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 5, "the page has five steps");
    blocks.concat()
}

fn proof(made: &Made, seq: u64, size: u64, from: u64) -> Value {
    let (seq, size, from) = (seq.to_string(), size.to_string(), from.to_string());
    let dir = made.dir().to_str().unwrap();
    let args = [dir, &seq, "--size", &size, "--consistency-from", &from];
    let ran = ledger("prove", &args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn holds(dir: &Path, proof: &Value, steps: &str) -> bool {
    fs::write(dir.join("proof.json"), proof.to_string()).unwrap();
    let (code, out) = sh(dir, steps);
    let lines = [
        "has the hash",
        "under the root",
        "this tree",
        "Verified",
        "its beginning",
    ];
    let all = lines.iter().all(|line| out.contains(line));
    assert_eq!(code == 0, all, "{out}");
    code == 0
}

// R102
#[test]
fn a_stranger_can_check_a_proof_with_ordinary_tools() {
    ["jq", "sha256sum", "openssl", "base64"]
        .iter()
        .for_each(|tool| needs(tool));
    let made = Made::new(700, &[0, 300]);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("public.pem"), made.key.public_pem()).unwrap();
    let steps = script();
    let mut numbers = Numbers(3);
    let mut cases = vec![(0, 1, 1), (6, 7, 4), (511, 512, 512), (699, 700, 256)];
    for _ in 0..2 {
        let size = 2 + numbers.below(699);
        cases.push((numbers.below(size), size, 1 + numbers.below(size)));
    }
    for (seq, size, from) in cases {
        made.sign(size);
        let proof = proof(&made, seq, size, from);
        assert!(holds(dir.path(), &proof, &steps), "{seq} {size} {from}");
    }
}

#[test]
fn a_stranger_sees_what_was_altered() {
    ["jq", "sha256sum", "openssl", "base64"]
        .iter()
        .for_each(|tool| needs(tool));
    let made = Made::new(700, &[0, 300]);
    let dir = tempfile::tempdir().unwrap();
    let public = dir.path().join("public.pem");
    fs::write(&public, made.key.public_pem()).unwrap();
    let steps = script();
    made.sign(600);
    let right = proof(&made, 42, 600, 500);
    let zeros = "0".repeat(64);
    let other = hex::encode(prove(made.dir(), 43, None, None).unwrap().leaf);
    let note = right["note"].as_str().unwrap();
    for (pointer, value) in [
        (
            "/record",
            json!(right["record"].as_str().unwrap().replace("42", "43")),
        ),
        ("/leaf", json!(other)),
        ("/index", json!(43)),
        ("/size", json!(601)),
        ("/root", json!(zeros)),
        ("/path/0", json!(zeros)),
        ("/note", json!(note.replace("\n600\n", "\n601\n"))),
        ("/consistency/from", json!(499)),
        ("/consistency/from_root", json!(zeros)),
        ("/consistency/path/1", json!(zeros)),
    ] {
        let mut wrong = right.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        assert!(!holds(dir.path(), &wrong, &steps), "{pointer}");
    }
    assert!(holds(dir.path(), &right, &steps));
    // The right proof under a key that did not sign it.
    fs::write(&public, LedgerKey::from_seed([9; 32]).public_pem()).unwrap();
    assert!(!holds(dir.path(), &right, &steps));
}

#[test]
fn a_verifier_key_becomes_a_pem_as_the_page_says() {
    needs("openssl");
    let made = Made::new(1, &[0]);
    let vkey = made.key.verifier(&made.origin).unwrap().to_text();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ledger-proofs.md");
    let page = fs::read_to_string(page).unwrap();
    let start = page.find("{ printf '\\x30").unwrap();
    let (command, _) = page[start..].split_once("```").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (code, _) = sh(dir.path(), &format!("vkey='{vkey}'\n{command}"));
    assert_eq!(code, 0);
    let pem = fs::read_to_string(dir.path().join("public.pem")).unwrap();
    assert_eq!(pem, made.key.public_pem());
}
