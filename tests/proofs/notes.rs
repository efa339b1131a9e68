//! Notes before the crates signed_note and tlog_tiles, and before openssl.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use signed_note::{Note, StandardVerifier, VerifierList};
use tidegate::ledger::LedgerKey;

use crate::made::Made;
use crate::tools::{needs, sh};

fn verifiers(vkey: &str) -> VerifierList {
    VerifierList::new(vec![Box::new(StandardVerifier::new(vkey).unwrap())])
}

#[test]
fn other_implementations_read_and_verify_a_note() {
    let made = Made::new(100, &[0]);
    let note = made.sign(77);
    let vkey = made.key.verifier(&made.origin).unwrap().to_text();
    let read = Note::from_bytes(note.as_bytes()).unwrap();
    let (known, unknown) = read.verify(&verifiers(&vkey)).unwrap();
    assert_eq!((known.len(), unknown.len()), (1, 0));
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(read.text()).unwrap();
    assert_eq!(checkpoint.origin(), made.origin);
    assert_eq!(checkpoint.size(), 77);
    assert_eq!(checkpoint.hash().0, made.root(77));
    // Altered, or under another key: refused.
    let altered = note.replace("\n77\n", "\n78\n");
    let altered = Note::from_bytes(altered.as_bytes()).unwrap();
    assert!(altered.verify(&verifiers(&vkey)).is_err());
    let other = LedgerKey::from_seed([8; 32]).verifier(&made.origin);
    assert!(read.verify(&verifiers(&other.unwrap().to_text())).is_err());
}

/// The raw signature in a note's only signature line.
fn raw_signature(note: &str) -> Vec<u8> {
    let base64 = note.trim_end().rsplit_once(' ').unwrap().1;
    STANDARD.decode(base64).unwrap()[4..].to_vec()
}

fn openssl_accepts(dir: &Path, text: &str, signature: &[u8], public: &str) -> bool {
    fs::write(dir.join("text"), text).unwrap();
    fs::write(dir.join("signature"), signature).unwrap();
    fs::write(dir.join("key.pem"), public).unwrap();
    let script = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in text -sigfile signature";
    let (code, out) = sh(dir, script);
    assert_eq!(code == 0, out.contains("Verified Successfully"), "{out}");
    code == 0
}

#[test]
fn openssl_accepts_a_checkpoint_and_refuses_an_altered_one() {
    needs("openssl");
    let made = Made::new(100, &[0]);
    let note = made.sign(77);
    let (text, _) = note.split_once("\n\n").unwrap();
    let text = format!("{text}\n");
    let signature = raw_signature(&note);
    let public = made.key.public_pem();
    let dir = tempfile::tempdir().unwrap();
    assert!(openssl_accepts(dir.path(), &text, &signature, &public));
    let altered = text.replace("\n77\n", "\n78\n");
    assert!(!openssl_accepts(dir.path(), &altered, &signature, &public));
    let mut broken = signature.clone();
    broken[10] ^= 1;
    assert!(!openssl_accepts(dir.path(), &text, &broken, &public));
    let other = LedgerKey::from_seed([8; 32]).public_pem();
    assert!(!openssl_accepts(dir.path(), &text, &signature, &other));
}

#[test]
fn keys_of_openssl_are_keys_of_ours() {
    needs("openssl");
    let dir = tempfile::tempdir().unwrap();
    let script = "umask 077 && openssl genpkey -algorithm ed25519 -out k.pem && openssl pkey -in k.pem -pubout";
    let (code, public) = sh(dir.path(), script);
    assert_eq!(code, 0);
    let key = LedgerKey::read(&dir.path().join("k.pem")).unwrap();
    assert_eq!(key.public_pem(), public);
    LedgerKey::create(&dir.path().join("ours.pem")).unwrap();
    let (code, public) = sh(dir.path(), "openssl pkey -in ours.pem -pubout");
    assert_eq!(code, 0);
    let ours = LedgerKey::read(&dir.path().join("ours.pem")).unwrap();
    assert_eq!(ours.public_pem(), public);
}
