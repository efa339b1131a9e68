//! Starts that fail: what is told, with which exit code, and that nothing is left behind.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::installation::{Installation, Ran, program};
use crate::process::Process;
use crate::wire::{Upstream, eventually, nobody};

fn installation() -> Installation {
    let installation = Installation::in_front_of(nobody());
    installation.write();
    installation
}

/// R031: a bad file ends `run` as it ends `check`, before anything is made.
fn bad_file(name: &str, content: &[u8], told: &[&str]) {
    let installation = installation();
    let path = installation.path(name);
    std::fs::write(&path, content).unwrap();
    let run = installation.run_in_vain();
    let check = Ran::of(installation.command("check").output().unwrap());
    for ran in [&run, &check] {
        assert_eq!(ran.code, Some(78), "{name}: {ran:?}");
        let text = format!("{}{}", ran.stdout, ran.stderr);
        for part in told.iter().chain([&path.to_str().unwrap()]) {
            assert!(text.contains(part), "{name}: '{part}' is not in:\n{text}");
        }
    }
    assert!(
        !installation.path("state").exists(),
        "{name}: nothing was made"
    );
}

#[test]
fn bad_files_end_the_start_with_place_rule_and_remedy() {
    let contracts = |items: &str| format!("version: 1\ncontracts:\n{items}");
    let huge = vec![b'#'; (1 << 20) + 1];
    let a = "  - {id: a, owner: me, endpoint: \"GET /a/{x}\"}\n";
    let table: [(&str, Vec<u8>, &[&str]); 9] = [
        ("contracts/a.yaml", Vec::new(), &["C005", "begin with 'version: 1'"]),
        ("contracts/a.yaml", huge, &["C0"]),
        ("contracts/a.yaml", b"version: 1\nname: caf\xe9\n".to_vec(), &[":2:10", "C0"]),
        ("policy.yaml", b"version: 1\nname: a\nname: b\n".to_vec(), &[":3:1", "C0"]),
        (
            "contracts/a.yaml",
            contracts("  - {id: a, owner: me, endpoint: \"GET /a\", max_latency: 5}\n").into(),
            &[":3:44", "did you mean 'max_latency_ms'?", "C009"],
        ),
        (
            "contracts/a.yaml",
            contracts(&format!("{a}{}", a.replace("id: a", "id: b").replace("{x}", "{y}"))).into(),
            &["a.yaml:4:", "a.yaml:3:"],
        ),
        (
            "contracts/a.yaml",
            contracts("  - {id: a, owner: me, endpoint: \"GET /a\", error_budget: 1.5}\n").into(),
            &[":3:", "error_budget"],
        ),
        (
            "tidegate.yaml",
            b"version: 1\nthreads: 0\nlisteners: [{bind: \"127.0.0.1:0\"}]\nupstreams: {m: {servers: [\"127.0.0.1:1\"]}}\ncontracts: contracts\n".to_vec(),
            &[":2:10", "threads"],
        ),
        ("tidegate.yaml", b"\0\0\0".to_vec(), &[":1:1"]),
    ];
    for (name, content, told) in table {
        bad_file(name, &content, told);
    }
}

/// A self-test of `GET /probe` that passes where the path is in a contract.
pub(crate) const PROBE_TEST: &str = "version: 1
tests:
  - name: a probe has a contract
    request: { url: /probe }
    expect: { decision: ALLOW, contract: probe }
";

#[test]
fn a_start_is_refused_whose_self_tests_fail() {
    let installation = Installation::in_front_of(nobody()).and("self_tests: self-tests.yaml");
    installation.write();
    let path = installation.path("self-tests.yaml");
    std::fs::write(&path, PROBE_TEST).unwrap();
    let ran = installation.run_in_vain();
    assert_eq!(ran.code, Some(78), "{ran:?}");
    for part in [
        path.to_str().unwrap(),
        "C406",
        "SELF_TEST_FAILED: 1 of 1",
        "'a probe has a contract'",
        "tidegate test",
    ] {
        assert!(ran.stderr.contains(part), "'{part}' is not in: {ran:?}");
    }
    assert!(!installation.path("state").exists(), "nothing was made");
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_name() {
    let installation = installation();
    std::fs::remove_file(installation.path("policy.yaml")).unwrap();
    std::fs::create_dir(installation.path("policy.yaml")).unwrap();
    let ran = installation.run_in_vain();
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.stderr.contains("policy.yaml"), "{ran:?}");
    std::fs::remove_file(installation.path("tidegate.yaml")).unwrap();
    let ran = installation.run_in_vain();
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.stderr.contains("tidegate.yaml"), "{ran:?}");
}

/// The start fails with exit code 1 and tells these parts in one line.
fn fails(installation: &Installation, told: &[&str]) {
    ends(installation, 1, told);
}

/// What lies in the ledger's directory is the reason: exit code 65.
fn refuses_the_ledger(installation: &Installation, told: &[&str]) {
    ends(installation, 65, told);
}

fn ends(installation: &Installation, code: i32, told: &[&str]) {
    let ran = installation.run_in_vain();
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert_eq!(ran.stdout, "");
    let message = ran.stderr.lines().last().unwrap();
    for part in told {
        assert!(message.contains(part), "'{part}' is not in: {}", ran.stderr);
    }
}

#[test]
fn a_port_in_use_leaves_no_ledger() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (key, remedy) in [
        (
            "listeners: [{bind: ",
            "stop the process that holds the port",
        ),
        ("admin: {bind: ", "admin.bind"),
    ] {
        for threads in ["threads: 1", "threads: 2"] {
            let free = format!("{key}\"127.0.0.1:0\"");
            let busy = format!("{key}\"{address}\"");
            let installation = Installation::in_front_of(nobody())
                .with(&free, &busy)
                .with("threads: 1", threads);
            installation.write();
            fails(&installation, &[&address, remedy]);
            assert!(!installation.ledger().exists(), "{key}: a ledger was begun");
        }
    }
}

#[test]
fn a_port_in_use_does_not_disturb_a_ledger() {
    let installation = Installation::in_front_of(nobody());
    Process::start(&installation).stop();
    let before = installation.records();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let again = Installation::in_front_of(nobody())
        .with(
            "listeners: [{bind: \"127.0.0.1:0\"",
            &format!("listeners: [{{bind: \"{address}\""),
        )
        .and(&format!(
            "ledger: {{dir: \"{}\"}}",
            installation.ledger().display()
        ));
    again.write();
    fails(&again, &[&address.to_string()]);
    drop(taken);
    assert_eq!(installation.records(), before);
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn a_ledger_that_cannot_be_made_is_told() {
    let installation = installation();
    std::fs::create_dir(installation.path("state")).unwrap();
    std::fs::write(installation.ledger(), "").unwrap();
    let path = installation.ledger();
    refuses_the_ledger(
        &installation,
        &["LEDGER_NOT_A_LEDGER", path.to_str().unwrap(), "ledger.dir"],
    );
}

#[test]
fn a_state_directory_that_cannot_be_made_is_told() {
    let installation = installation();
    std::fs::write(installation.path("state"), "").unwrap();
    let path = installation.path("state");
    fails(&installation, &[path.to_str().unwrap(), "set state_dir to"]);
}

#[test]
fn a_client_key_that_others_can_read_is_refused() {
    let installation = installation();
    std::fs::create_dir(installation.path("state")).unwrap();
    let key = installation.path("state/client.key");
    std::fs::write(&key, [7; 16]).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    fails(&installation, &[&format!("chmod 600 {}", key.display())]);
    assert!(!installation.ledger().exists());
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&key, [7; 3]).unwrap();
    fails(
        &installation,
        &["3 bytes instead of 16", "delete it to make a new one"],
    );
    assert!(!installation.ledger().exists());
    // What the message says helps.
    std::fs::write(&key, [7; 16]).unwrap();
    Process::start_again(&installation).stop();
}

#[test]
fn check_warns_of_default_keys_that_a_start_refuses() {
    let installation = installation();
    installation.write();
    let warned = || {
        let checked = Ran::of(installation.command("check").output().unwrap());
        assert_eq!(checked.code, Some(0), "{checked:?}");
        checked.stdout.contains("C310")
    };
    assert!(!warned(), "none is there yet");
    Process::start_again(&installation).stop();
    for (name, code) in [("state/ledger.key", 78), ("state/client.key", 1)] {
        assert!(!warned());
        let key = installation.path(name);
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(warned(), "{name}");
        ends(&installation, code, &["chmod 600"]);
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_named_ledger_key_must_be_there_and_for_its_owner_alone() {
    let installation = installation().and("ledger: {key: mine.key}");
    installation.write();
    let key = installation.path("mine.key");
    let path = key.to_str().unwrap();
    let refused = |told: &[&str]| {
        ends(&installation, 78, told);
        assert!(!installation.ledger().exists());
        let checked = Ran::of(installation.command("check").output().unwrap());
        assert_eq!(checked.code, Some(0), "{checked:?}");
        assert!(checked.stdout.contains("C310"), "{checked:?}");
    };
    refused(&["LEDGER_KEY", path, "there is no such file", "ledger keygen"]);
    let made = program().args(["ledger", "keygen", path]).output().unwrap();
    assert!(made.status.success());
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    refused(&["LEDGER_KEY", path, "0640", "chmod 600"]);
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let checked = Ran::of(installation.command("check").output().unwrap());
    assert!(!checked.stdout.contains("C310"), "{checked:?}");
    Process::start_again(&installation).stop();
    assert!(!installation.path("state/ledger.key").exists());
}

#[test]
fn the_default_ledger_key_is_made_at_the_first_start_and_stays() {
    let installation = installation();
    Process::start(&installation).stop();
    let key = installation.path("state/ledger.key");
    let made = std::fs::read(&key).unwrap();
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let process = Process::start_again(&installation);
    let id = tidegate::ledger::LedgerKey::read(&key).unwrap().public_id();
    let log = process.log();
    let told = log.iter().find(|entry| entry["event"] == "ledger_key");
    assert_eq!(told.unwrap()["public_key_id"], id, "{log:?}");
    process.stop();
    assert_eq!(std::fs::read(&key).unwrap(), made);
    let keys = installation.records();
    let keys = keys.iter().filter(|record| record["kind"] == "key");
    assert_eq!(keys.count(), 1);
}

#[test]
fn an_empty_file_is_no_ledger() {
    let installation = installation();
    std::fs::create_dir_all(installation.ledger()).unwrap();
    let segment = installation.ledger().join("seg-0000000000000000.jsonl");
    std::fs::write(&segment, "").unwrap();
    refuses_the_ledger(
        &installation,
        &["LEDGER_NOT_A_LEDGER", segment.to_str().unwrap(), "; "],
    );
    assert_eq!(
        std::fs::read(&segment).unwrap(),
        b"",
        "it was left as it was"
    );
    std::fs::remove_file(&segment).unwrap();
    Process::start_again(&installation).stop();
}

/// A ledger with a few decisions, stopped in order; its segment and the segment's bytes.
fn used() -> (Upstream, Installation, PathBuf, Vec<u8>) {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    for _ in 0..5 {
        process.get("/api/v1/status");
    }
    process.stop();
    let segment = installation.ledger().join("seg-0000000000000000.jsonl");
    let whole = std::fs::read(&segment).unwrap();
    (upstream, installation, segment, whole)
}

#[test]
fn a_ledger_with_a_hole_is_not_continued() {
    let (_upstream, installation, segment, mut holed) = used();
    let folder = installation.ledger();
    let aside = folder.with_extension("damaged");
    // As a power loss leaves it that kept newer blocks and lost older ones: of several records in a
    // row not even the hashes are left.
    let middle = holed.len() / 3;
    holed[middle..middle + 2_500].fill(0);
    std::fs::write(&segment, &holed).unwrap();
    let verified = installation.verify(&[]);
    assert_eq!(verified.code, Some(65), "{verified:?}");
    let remedy = format!("`mv {} {}`", folder.display(), aside.display());
    let words = ["LEDGER_DAMAGED", segment.to_str().unwrap(), &remedy];
    refuses_the_ledger(&installation, &words);
    let left = std::fs::read(&segment).unwrap();
    assert_eq!(left, holed, "it stays as evidence");
    // What the message says helps, and the evidence is still there.
    std::fs::rename(&folder, &aside).unwrap();
    Process::start_again(&installation).stop();
    assert_eq!(installation.verify(&[]).code, Some(0));
    assert!(aside.join("seg-0000000000000000.jsonl").exists());
}

#[test]
fn behind_one_changed_record_the_ledger_goes_on_in_a_new_segment() {
    let (_upstream, installation, segment, mut flipped) = used();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&segment, &flipped).unwrap();
    let process = Process::start_again(&installation);
    assert_eq!(process.get("/api/v1/status").status(), 200);
    eventually("the alarm", || {
        process
            .log()
            .iter()
            .any(|line| line["event"] == "ledger_damaged")
    });
    process.stop();
    let left = std::fs::read(&segment).unwrap();
    assert_eq!(left, flipped, "it stays as evidence");
    // It is told by the next record, and no verifier overlooks it for that.
    let newest = std::fs::read_dir(installation.ledger())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .max()
        .unwrap();
    assert_ne!(newest, segment);
    let told = std::fs::read_to_string(newest).unwrap();
    let open: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!(open["kind"], "open");
    assert_eq!(open["damaged_segment"], "seg-0000000000000000.jsonl");
    assert_eq!(installation.verify(&[]).code, Some(65));
}

#[test]
fn a_log_filter_that_cannot_be_read_is_told() {
    let installation = installation();
    let mut run = installation.command("run");
    let ran = Ran::of(run.env("TIDEGATE_LOG", "lib=nonsense").output().unwrap());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("TIDEGATE_LOG=lib=nonsense"), "{ran:?}");
    assert!(!installation.path("state").exists());
}
