//! Our envelopes and payloads, read by securesystemslib and rfc8785.
//!
//! openssl's reading is in docs/bundles.md, whose commands a test runs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::place::Place;

/// Whether the packages are there. A missing Python, or no way to get them, is said loudly; nothing
/// else leaves this check out. With `TIDEGATE_TEST_ORACLES` it is a failure.
fn is_there() -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = Command::new(root.join(".ci/python-oracles"))
        .output()
        .unwrap();
    if !installed.status.success() {
        // Past the capture of the test runner, so that it is seen in a run that passes.
        let told = String::from_utf8_lossy(&installed.stderr);
        assert!(
            std::env::var_os("TIDEGATE_TEST_ORACLES").is_none(),
            "{told}"
        );
        let line =
            format!("SKIPPED: bundles were NOT read by securesystemslib and rfc8785: {told}");
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
    }
    installed.status.success()
}

/// The ids of the signatures of a file.
fn key_ids(place: &Place, file: &str) -> Vec<String> {
    let envelope: Value =
        serde_json::from_slice(&std::fs::read(place.path(file)).unwrap()).unwrap();
    let signatures = envelope["signatures"].as_array().unwrap().iter();
    signatures
        .map(|signature| signature["keyid"].as_str().unwrap().to_owned())
        .collect()
}

/// The public half of a key as openssl reads it, in hex.
fn public_hex(place: &Place, name: &str) -> String {
    let script = format!(
        "openssl pkey -in {name}.key -pubout -outform DER | tail -c 32 | od -An -v -tx1 | tr -d ' \\n'"
    );
    let out = Command::new("bash")
        .args(["-c", &script])
        .current_dir(place.dir())
        .output();
    String::from_utf8(out.unwrap().stdout).unwrap()
}

#[test]
fn other_peoples_tools_read_what_we_write() {
    let place = Place::new();
    if !is_there() {
        return;
    }
    place.write(
        "contracts/b.yaml",
        "version: 1\ncontracts:\n  - { id: b, endpoint: 'GET /b/{x}', owner: \"\u{e4}\u{1f600}\\\"\\\\/<\" }\n",
    );
    place.bundle("b.json", "", &["alice", "bob", "carol"]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["b.json", "root.json"] {
        let names = ["alice", "bob", "carol"].iter();
        let keys: Vec<String> = names
            .zip(key_ids(&place, file))
            .map(|(name, id)| format!("{id}={}", public_hex(&place, name)))
            .collect();
        let out = Command::new("python3")
            .arg(root.join("tests/bundles/oracle.py"))
            .arg(place.path(file))
            .args(&keys)
            .env("PYTHONPATH", root.join("target/python"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&out.stderr);
        assert_eq!(
            String::from_utf8_lossy(&out.stdout),
            "ok\n",
            "{file}: {told}"
        );
    }
}
