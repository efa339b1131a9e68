//! Lines before jq and sha256sum: each kind there is, with every form of value there is.

use std::path::Path;
use std::process::Command;

use tidegate::ledger::{EntryBuilder, KINDS};

use crate::made::Made;

/// Fails, and says what to do, where a program is missing: a check that was left out is no check.
pub(crate) fn needs(program: &str) {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    assert!(
        found.is_ok_and(|found| found.status.success()),
        "this test needs {program}: install it with 'make tools' or: apt-get install {program}"
    );
}

/// Runs a script in a folder; gives exit code and stdout.
pub(crate) fn sh(dir: &Path, script: &str) -> (i32, String) {
    let out = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    (out.status.code().unwrap_or(-1), text)
}

/// The kinds whose records carry their own hash: all but `stub`.
pub(crate) fn own_kinds() -> Vec<&'static str> {
    KINDS.into_iter().filter(|kind| *kind != "stub").collect()
}

/// A record of each kind of [`own_kinds`] in turn, its members of every type.
pub(crate) fn any_kind(entry: &mut EntryBuilder<'_>, seq: u64) {
    entry.counts("accounted", [("00", seq), ("01", 9_007_199_254_740_991)]);
    entry.ints("balance", [-1, 0, -9_007_199_254_740_991]);
    entry.bytes("error", b"no \"space\" \\ \x00\x7f\xff\n\xc3\xa4");
    let kinds = own_kinds();
    entry.text("kind", kinds[seq as usize % kinds.len()]);
    entry.names("names", ["a", "b\"c", ""]);
    entry.hex("nonce", &[0, 255]);
    entry.flag("previous_closed", seq.is_multiple_of(2));
    entry.pairs("ranges", [(0, 0), (3, seq)]);
    entry.int("signed", -7);
    entry.uint("ts_us", 1_700_000_000_000_000 + seq);
    entry.uints("values", std::iter::empty());
}

// R081
#[test]
fn jq_and_sha256sum_accept_a_line_of_every_kind() {
    needs("jq");
    needs("sha256sum");
    let count = own_kinds().len() as u64 * 2;
    let made = Made::with(count, &[0], any_kind);
    // One process for all lines would be another check than the one that the format promises.
    let script = r#"
        prev=$(printf '0%.0s' {1..64})
        while IFS= read -r line; do
            own=$({ printf '\0'; printf '%s' "$line" | jq -cj 'del(.hash)'; } | sha256sum | cut -d' ' -f1)
            [ "$own" = "$(printf '%s' "$line" | jq -r .hash)" ] || { echo "hash of $line"; exit 1; }
            [ "$prev" = "$(printf '%s' "$line" | jq -r .prev)" ] || { echo "prev of $line"; exit 1; }
            prev=$own
        done < seg-0000000000000000.jsonl
        echo "$prev"
    "#;
    let (code, head) = sh(made.dir(), script);
    assert_eq!(code, 0, "{head}");
    assert_eq!(head.trim(), hex::encode(made.leaves.last().unwrap()));
    // And an altered one is not accepted.
    let mut lines = made.lines.concat();
    let at = lines.iter().position(|byte| *byte == b'7').unwrap();
    lines[at] = b'8';
    std::fs::write(made.segment(0), lines).unwrap();
    assert_eq!(sh(made.dir(), script).0, 1);
}
