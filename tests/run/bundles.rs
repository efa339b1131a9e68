//! A gateway that takes its rules from signed bundles alone.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::installation::{Installation, Ran, program};
use crate::process::Process;
use crate::signing::{ALL, bundle, digest, root};
use crate::wire::{Client, Upstream, eventually};

/// Files of a gateway with a root; no contract is read.
fn site(upstream: &Upstream, more: &str) -> Installation {
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .with("contracts: contracts\npolicy: policy.yaml\n", "")
        .and(&format!("bundle: {{root: root.json, dir: bundles{more}}}"));
    installation.write();
    fs::write(installation.path("root.json"), root()).unwrap();
    fs::create_dir(installation.path("bundles")).unwrap();
    installation
}

/// `tidegate bundle apply` of these bytes.
fn apply(installation: &Installation, process: &Process, bytes: &[u8], more: &[&str]) -> Ran {
    let file = installation.path("applied.json");
    fs::write(&file, bytes).unwrap();
    let mut command = program();
    command.args(["bundle", "apply"]).arg(&file).arg("-c");
    command.arg(installation.path("tidegate.yaml"));
    command.arg(format!("--admin={}", process.admin)).args(more);
    Ran::of(command.output().unwrap())
}

fn put(installation: &Installation, bytes: &[u8]) {
    // Whole at once, as a deployment does it.
    let new = installation.path("bundles/.new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, installation.path("bundles/bundle.json")).unwrap();
}

fn serial(process: &Process) -> Value {
    process.status()["bundle"]["active"]["serial"].clone()
}

fn is_in_force(process: &Process, wanted: u64) {
    eventually(&format!("serial {wanted}"), || serial(process) == wanted);
}

fn code(process: &Process) -> Value {
    process.status()["bundle"]["last_attempt"]["code"].clone()
}

fn records(installation: &Installation, kind: &str) -> Vec<Value> {
    let mut records = installation.records();
    records.retain(|record| record["kind"] == kind);
    records
}

fn logged(process: &Process, event: &str) {
    eventually(event, || {
        process.log().iter().any(|entry| entry["event"] == event)
    });
}

#[test]
fn the_port_is_closed_until_the_first_bundle() {
    let upstream = Upstream::ok();
    let installation = site(&upstream, "");
    let process = Process::start_waiting(&installation);
    let address = process.addresses[0];
    assert!(TcpStream::connect(address).is_err(), "nobody is let in");
    assert_eq!(process.ask("/readyz").status(), 503);
    let status = process.status();
    assert_eq!(status["bundle"]["is_waiting"], true);
    assert_eq!(process.metric("tidegate_bundle_signed", ""), 0.0);
    let one = bundle(1, None, &["a"], ALL);
    let few = bundle(1, None, &["a"], &["alice", "bob", "carol"]);
    let refused = apply(&installation, &process, &few, &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("APPROVALS_MISSING"), "{refused:?}");
    assert!(TcpStream::connect(address).is_err());
    let ran = apply(&installation, &process, &one, &["--if-match", "none"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("activated: bundle "), "{ran:?}");
    eventually("the port to open", || TcpStream::connect(address).is_ok());
    logged(&process, "listening");
    assert_eq!(Client::connect(address).get("/a").status(), 200);
    // Ready is said when the last worker lets clients in.
    eventually("ready", || process.ask("/readyz").status() == 200);
    let status = process.status();
    let active = &status["bundle"]["active"];
    assert_eq!(active["digest"], digest(&one));
    assert_eq!(active["content_digest"], status["policy_hash"]);
    assert_eq!(active["signers"], json!(ALL));
    assert_eq!(active["classes"], json!(["AUTHORITY"]));
    assert_eq!(process.metric("tidegate_bundle_signed", ""), 1.0);
    assert_eq!(process.metric("tidegate_bundle_info", "serial=\"1\""), 1.0);
    assert!(process.metric("tidegate_bundle_expires_timestamp_seconds", "") > 1.7e9);
    process.stop();
    // In force from the start, and said in the first record.
    let process = Process::start_again(&installation);
    assert_eq!(process.get("/a").status(), 200);
    assert_eq!(serial(&process), 1);
    process.stop();
    let opens = records(&installation, "open");
    assert_eq!(opens[0]["bundle"], "none");
    assert_eq!(opens[1]["bundle"], digest(&one));
    assert_eq!(opens[1]["high_water_serial"], 1);
    let changes = records(&installation, "bundle");
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(changes[0]["code"], "APPROVALS_MISSING");
    assert_eq!(changes[1]["bundle_digest"], digest(&one));
    assert_eq!(changes[1]["source"], "admin");
    assert_eq!(installation.replay(), 2);
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn without_a_bundle_everything_is_forwarded_where_the_file_says_so() {
    let upstream = Upstream::ok();
    let installation = site(&upstream, ", on_none: observe");
    let process = Process::start_again(&installation);
    assert_eq!(process.get("/nowhere").status(), 200);
    assert_eq!(process.status()["tier"], "OBSERVE_ONLY");
    assert_eq!(process.status()["bundle"]["active"], Value::Null);
    put(&installation, &bundle(1, None, &["a"], ALL));
    is_in_force(&process, 1);
    assert_eq!(process.status()["tier"], "CONTROL");
    assert_eq!(process.get("/nowhere").status(), 404);
    process.stop();
    assert_eq!(installation.decisions().len(), 2, "both are recorded");
    assert_eq!(installation.replay(), 2);
}

/// An old serial is refused after a restart too, with the state deleted: the ledger knows.
fn check_old_after_a_restart(installation: &Installation, old: &[u8], newest: &[u8]) {
    fs::remove_dir_all(installation.path("state/bundle")).unwrap();
    put(installation, old);
    let process = Process::start_waiting(installation);
    assert_eq!(code(&process), "ROLLBACK_REJECTED");
    let troubles = process.status()["bundle"]["troubles"].to_string();
    assert!(troubles.contains("deleted or put back"), "{troubles}");
    logged(&process, "bundle_state");
    put(installation, newest);
    process.signal(Signal::HUP);
    is_in_force(&process, 4);
    eventually("ready", || process.ask("/readyz").status() == 200);
    process.stop();
}

#[test]
fn a_refusal_is_told_everywhere_and_changes_nothing() {
    let upstream = Upstream::ok();
    let installation = site(&upstream, "").and("watch: false");
    installation.write();
    let one = bundle(3, None, &["a"], ALL);
    put(&installation, &one);
    let process = Process::start_again(&installation);
    assert_eq!(serial(&process), 3);
    let before = process.status()["policy_hash"].clone();
    let two = bundle(4, Some(&one), &["a", "b"], ALL);
    let mut flipped = two.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 1;
    let alone = bundle(4, Some(&one), &["a", "b"], &["alice"]);
    let no_security = bundle(4, Some(&one), &["a", "b"], &["alice", "bob", "dave"]);
    let old = bundle(2, Some(&one), &["c"], ALL);
    let mut told = Vec::new();
    for (bytes, code_told, exit) in [
        (&flipped, None, 65),
        (&alone, Some("THRESHOLD_NOT_MET"), 1),
        (&no_security, Some("APPROVALS_MISSING"), 1),
        (&old, Some("ROLLBACK_REJECTED"), 1),
        (&b"{}".to_vec(), Some("ENVELOPE_MALFORMED"), 65),
    ] {
        let ran = apply(&installation, &process, bytes, &[]);
        let code_now = code(&process);
        assert_eq!(ran.code, Some(exit), "{code_told:?}: {ran:?}");
        let name = code_now.as_str().unwrap().to_owned();
        assert_eq!(code_told.unwrap_or(&name), name);
        assert!(ran.stderr.contains(&name), "{ran:?}");
        let label = format!("code=\"{name}\"");
        assert!(process.metric("tidegate_bundle_refusals_total", &label) >= 1.0);
        told.push(name);
    }
    // Of two who change the same bundle the second is told.
    let expected = digest(&one);
    let matching = || apply(&installation, &process, &two, &["--if-match", &expected]);
    assert_eq!(matching().code, Some(0));
    let ran = matching();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("STATE_CHANGED"), "{ran:?}");
    let ran = apply(&installation, &process, &two, &[]);
    assert!(ran.stdout.starts_with("unchanged: "), "{ran:?}");
    assert_ne!(process.status()["policy_hash"], before);
    told.push("STATE_CHANGED".to_owned());
    eventually("a line for each", || {
        let log = process.log();
        let logged = log
            .iter()
            .filter(|entry| entry["event"] == "bundle_refused");
        logged
            .map(|entry| entry["code"].as_str().unwrap())
            .eq(told.iter())
    });
    process.stop();
    let changes = records(&installation, "bundle");
    let refused = changes.iter().filter_map(|change| change["code"].as_str());
    assert!(refused.eq(told.iter()), "{changes:?}");
    check_old_after_a_restart(&installation, &old, &two);
}

// R122
#[test]
fn the_kill_switch_has_a_reason_and_is_reset_beside_a_refused_bundle() {
    let upstream = Upstream::ok();
    let installation = site(&upstream, "").and("watch: false");
    installation.write();
    put(&installation, &bundle(3, None, &["a"], ALL));
    let process = Process::start_again(&installation);
    let tier = |more: &[&str]| {
        let mut command = program();
        command.arg("tier").args(more).arg("-c");
        command.arg(installation.path("tidegate.yaml"));
        command.arg(format!("--admin={}", process.admin));
        Ran::of(command.output().unwrap())
    };
    let long = "x".repeat(501);
    for reason in [long.as_str(), "two\nlines"] {
        let ran = tier(&["lower", "observe_only", "--reason", reason]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
    }
    let ran = tier(&["lower", "observe_only", "--reason", "too many refusals"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(process.status()["tier"], "OBSERVE_ONLY");
    put(&installation, b"{}");
    let ran = tier(&["reset"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.starts_with("the kill switch is reset\n"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("ENVELOPE_MALFORMED"), "{ran:?}");
    assert!(ran.stderr.contains("note: "), "{ran:?}");
    assert_eq!(process.status()["tier"], "CONTROL");
    // A file that cannot be read decides nothing, and the switch holds.
    assert_eq!(tier(&["lower", "observe_only"]).code, Some(0));
    fs::write(
        installation.path("tidegate.yaml"),
        installation_broken(&installation),
    )
    .unwrap();
    let ran = tier(&["reset"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    logged(&process, "reload_failed");
    let log = process.log();
    let events = log.iter().filter_map(|entry| entry["event"].as_str());
    let failed = events.filter(|event| *event == "reload_failed").count();
    assert_eq!(failed, 1, "a refused bundle is told once, as a bundle");
    process.stop();
    let acts = records(&installation, "governance");
    assert_eq!(acts[0]["reason"], "too many refusals", "{acts:?}");
    assert_eq!(acts[1]["reason"], "", "{acts:?}");
}

/// Its file, with a fault that leaves admin listener and state directory readable.
fn installation_broken(installation: &Installation) -> String {
    let main = fs::read_to_string(installation.path("tidegate.yaml")).unwrap();
    main.replace("tier: control", "tier: whatever")
}

#[test]
fn the_folder_is_watched_whatever_way_it_changes() {
    let upstream = Upstream::ok();
    let installation = site(&upstream, "");
    let bundles = [1_u64, 2, 3]
        .iter()
        .fold(Vec::<Vec<u8>>::new(), |mut all, number| {
            let ids: Vec<String> = (0..*number).map(|id| format!("r{id}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let next = bundle(*number, all.last().map(Vec::as_slice), &ids, ALL);
            all.push(next);
            all
        });
    // As Kubernetes does it: bundle.json is a link into a folder behind a link that is exchanged.
    for (release, bytes) in bundles.iter().enumerate() {
        let folder = installation.path(&format!("bundles/..{release}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("bundle.json"), bytes).unwrap();
    }
    let exchange = |release: usize| {
        let link = installation.path("bundles/..new");
        symlink(format!("..{release}"), &link).unwrap();
        fs::rename(link, installation.path("bundles/..data")).unwrap();
    };
    exchange(0);
    symlink(
        "..data/bundle.json",
        installation.path("bundles/bundle.json"),
    )
    .unwrap();
    let process = Process::start_again(&installation);
    assert_eq!(serial(&process), 1);
    exchange(1);
    is_in_force(&process, 2);
    assert_eq!(process.get("/r1").status(), 200);
    // Half of a file is refused, and the whole one is taken.
    fs::remove_file(installation.path("bundles/bundle.json")).unwrap();
    let (half, _) = bundles[2].split_at(bundles[2].len() / 2);
    fs::write(installation.path("bundles/bundle.json"), half).unwrap();
    eventually("half a file to be refused", || {
        code(&process) == "ENVELOPE_MALFORMED"
    });
    assert_eq!(serial(&process), 2);
    fs::write(installation.path("bundles/bundle.json"), &bundles[2]).unwrap();
    is_in_force(&process, 3);
    eventually("that to be told", || code(&process) == Value::Null);
    // Something that would never end being read.
    fs::remove_file(installation.path("bundles/bundle.json")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        installation.path("bundles/bundle.json"),
        rustix::fs::Mode::RUSR,
    )
    .unwrap();
    eventually("a pipe to be refused", || {
        code(&process) == "ENVELOPE_MALFORMED"
    });
    assert_eq!(serial(&process), 3);
    process.stop();
    assert_eq!(records(&installation, "open")[0]["bundle"], "none");
    let changes = records(&installation, "bundle");
    assert_eq!(changes[0]["trigger"], "start");
    assert_eq!(changes[1]["trigger"], "watch");
}

#[test]
fn plain_files_are_unsigned_and_say_so() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    assert_eq!(
        process.status()["bundle"],
        json!({"signed": false, "active": null})
    );
    assert_eq!(process.metric("tidegate_bundle_signed", ""), 0.0);
    let ran = apply(&installation, &process, &bundle(1, None, &["a"], ALL), &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("SIGNATURE_EXPECTED"), "{ran:?}");
    let mut command = installation.command("status");
    let told = Ran::of(
        command
            .arg(format!("--admin={}", process.admin))
            .output()
            .unwrap(),
    );
    assert!(
        told.stdout.contains("none: unsigned local files"),
        "{told:?}"
    );
    process.stop();
    assert_eq!(records(&installation, "open")[0]["bundle"], "unsigned");
}

#[test]
fn a_root_that_is_not_signed_by_its_own_starts_nothing() {
    let upstream = Upstream::ok();
    let installation = site(&upstream, "");
    let mut root: Value = serde_json::from_slice(&root()).unwrap();
    root["signatures"] = json!([]);
    fs::write(installation.path("root.json"), root.to_string()).unwrap();
    let ran = installation.run_in_vain();
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.stderr.contains("ROOT_THRESHOLD"), "{ran:?}");
}

#[test]
fn swaps_under_load_lose_no_request_and_no_count() {
    let upstream = Upstream::ok();
    let installation = site(&upstream, "");
    let mut last = bundle(1, None, &["a", "b"], ALL);
    put(&installation, &last);
    let process = Process::start_again(&installation);
    let mut client = process.connect();
    for number in 2..=12 {
        let ids: &[&str] = if number % 2 == 0 {
            &["a", "b", "c"]
        } else {
            &["a", "b"]
        };
        let next = bundle(number, Some(&last), ids, ALL);
        let ran = apply(
            &installation,
            &process,
            &next,
            &["--if-match", &digest(&last)],
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        last = next;
        for _ in 0..5 {
            assert_eq!(client.get("/a").status(), 200);
        }
    }
    // An answer may be here a moment before it is counted there.
    eventually("the counts of a contract that stays go on", || {
        process.metric("tidegate_requests_total", "contract=\"a\"") >= 54.5
    });
    drop(client);
    process.stop();
    assert_eq!(
        installation.replay(),
        55,
        "each under one policy, that of its time"
    );
}
