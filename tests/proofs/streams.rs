//! Where stdout or stderr cannot be written: nothing is lost with exit code 0, nothing panics.

use std::fs::{self, OpenOptions};
use std::io::pipe;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::made::Made;

fn ran(args: &[&str], stdout: Stdio, stderr: Stdio) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let child = command.args(args).stdout(stdout).stderr(stderr).spawn();
    let out = child.unwrap().wait_with_output().unwrap();
    let code = out.status.code().expect("no signal");
    (code, String::from_utf8(out.stderr).unwrap())
}

/// A device on which every write fails for want of space.
fn full() -> Stdio {
    OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// A pipe whose reader is gone.
fn closed() -> Stdio {
    let (_, writer) = pipe().unwrap();
    writer.into()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_cannot_be_written_to_stdout_is_no_success() {
    let made = Made::new(500, &[0, 300]);
    made.sign(400);
    let dir = path(made.dir());
    let other = tempfile::tempdir().unwrap();
    let (tiles, key) = (other.path().join("tiles"), other.path().join("key"));
    let read = |args: &[&str]| {
        // These records are made up, so that not every verb finds them in order.
        let (whole, _) = ran(args, Stdio::null(), Stdio::null());
        let (code, told) = ran(args, full(), Stdio::piped());
        assert_eq!(code, if whole == 0 { 1 } else { whole }, "{args:?}: {told}");
        assert!(told.contains("stdout: No space left"), "{args:?}: {told}");
        assert!(!told.contains("cannot read"), "{args:?}: {told}");
        let (code, told) = ran(args, closed(), Stdio::piped());
        assert_eq!(code, whole, "{args:?}: {told}");
        assert!(!told.contains("stdout"), "{args:?}: {told}");
    };
    read(&["ledger", "prove", dir, "42"]);
    read(&["ledger", "verify", dir]);
    read(&["ledger", "stats", dir]);
    read(&["ledger", "tail", dir]);
    read(&["ledger", "export-tiles", dir, path(&tiles)]);
    read(&["replay", dir]);
    read(&["reasons"]);
    read(&["version"]);
    let args = ["ledger", "keygen", path(&key)];
    let (code, told) = ran(&args, full(), Stdio::piped());
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("was made all the same"), "{told}");
    assert!(fs::exists(&key).unwrap());
}

#[test]
fn a_message_that_nobody_takes_is_no_panic() {
    let made = Made::new(10, &[0]);
    let dir = path(made.dir());
    for (args, expected) in [
        // It says that no head signs this size.
        (&["ledger", "prove", dir, "4", "--size", "7"][..], 0),
        (&["ledger", "prove", dir, "40"], 1),
        (&["ledger", "verify", "/nowhere"], 1),
        (&["ledger", "recover", "/nowhere"], 1),
        (&["replay", "/nowhere"], 1),
        (&["check", "-c", "/nowhere"], 78),
        (&["run", "-c", "/nowhere"], 78),
        (&["no-such-verb"], 2),
    ] {
        for stderr in [full(), closed()] {
            assert_eq!(ran(args, Stdio::null(), stderr).0, expected, "{args:?}");
        }
    }
}
