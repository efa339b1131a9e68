//! Another process takes over from one that serves, and nobody who asks notices.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::held::holding;
use crate::installation::{Installation, Ran};
use crate::process::Process;
use crate::secure::Site;
use crate::signing;
use crate::wire::{Client, PATIENCE, Upstream, eventually};

/// Boot ids of the records of one kind, in the order of the ledger.
fn boots(records: &[Value], kind: &str) -> Vec<String> {
    let of_kind = records.iter().filter(|record| record["kind"] == kind);
    of_kind
        .map(|record| match record["decision_id"].as_str() {
            Some(id) => id[..8].to_owned(),
            None => record["boot"].as_str().unwrap().to_owned(),
        })
        .collect()
}

#[test]
fn a_running_request_finishes_in_the_old_process_while_the_new_one_serves() {
    let (upstream, release) = holding("/upload");
    let installation = Installation::in_front_of(upstream.address).draining_for_long();
    let old = Process::start(&installation);
    let mut asked = one(old.addresses[0], None).unwrap();
    let mut busy = old.connect();
    busy.send("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    old.until_in_flight("upload_v1", 1);
    let new = Process::upgrade(&installation);
    assert_eq!((new.addresses[0], new.admin), (old.addresses[0], old.admin));
    eventually("the hand-over", || old.said("handed_over"));
    // A kept connection has its last answer, which says so; new ones go to the new process.
    let mut on_old = 2;
    while let Asked::Answered { kept, last } = asked {
        if last {
            Client::new(kept.stream).is_closed();
            break;
        }
        assert!(on_old < 10_000, "no answer is the last one");
        asked = one(old.addresses[0], Some(kept)).unwrap();
        on_old += usize::from(matches!(asked, Asked::Answered { .. }));
    }
    eventually("the old one to let nobody in", || !old.lets_in());
    for _ in 0..20 {
        assert_eq!(new.get("/api/v1/status").status(), 200);
    }
    assert_eq!(new.ask("/readyz").status(), 200);
    // The ledger is the old one's as long as it has a request.
    assert!(!new.said("ledger_taken_over"));
    release.send(()).unwrap();
    assert_eq!(busy.response().status(), 200);
    let (status, log) = old.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    assert_eq!(log.last().unwrap()["event"], "stopped");
    eventually("the ledger", || new.said("ledger_taken_over"));
    new.stop();
    let records = installation.records();
    let open = boots(&records, "open");
    assert_eq!(open.len(), 2);
    assert_eq!(boots(&records, "close"), open);
    let decisions = boots(&records, "decision");
    let of = |boot: &String| decisions.iter().filter(|other| *other == boot).count();
    assert_eq!((of(&open[0]), of(&open[1])), (on_old, 20));
    let opened = records.iter().rfind(|record| record["kind"] == "open");
    assert_eq!(opened.unwrap()["previous_closed"], true);
    assert_eq!(installation.verify(&[]).code, Some(0));
    assert_eq!(installation.replay(), on_old as u64 + 20);
}

#[test]
fn a_new_process_that_cannot_start_changes_nothing() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let mut old = Process::start(&installation);
    let good = std::fs::read_to_string(installation.path("tidegate.yaml")).unwrap();
    // Its file is bad; its ledger cannot be had; its port is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let more = format!("listeners: [{{bind: \"{}\"}}]", taken.local_addr().unwrap());
    let listeners = "listeners: [{bind: \"127.0.0.1:0\"}]";
    for (bad, code) in [
        (good.replace("tier: observe_only", "tier: nonsense"), 78),
        (good.replace(listeners, &more), 1),
    ] {
        std::fs::write(installation.path("tidegate.yaml"), bad).unwrap();
        installation.until_it_can_be_taken_over();
        let mut command = installation.command("run");
        let ran = Ran::of(command.arg("--upgrade").output().unwrap());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        std::fs::write(installation.path("tidegate.yaml"), &good).unwrap();
        assert!(old.runs() && !old.said("handed_over"));
        assert_eq!(old.get("/api/v1/status").status(), 200);
        assert_eq!(old.ask("/readyz").status(), 200);
    }
    // And it can still be taken over from.
    let new = Process::upgrade(&installation);
    let (status, log) = old.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    assert_eq!(new.get("/api/v1/status").status(), 200);
    new.stop();
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn without_a_gateway_to_take_over_from_it_is_an_ordinary_start() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let killed = Process::start(&installation);
    killed.signal(Signal::KILL);
    killed.ended();
    let process = Process::upgrade_at_once(&installation);
    assert!(process.said("nothing_to_take_over"));
    assert_eq!(process.get("/api/v1/status").status(), 200);
    process.stop();
    assert!(!installation.path("state/upgrade.sock").exists());
}

#[test]
fn quit_starts_the_program_again_and_gives_way() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let old = Process::start(&installation);
    let address = old.addresses[0];
    let admin = old.admin;
    installation.until_it_can_be_taken_over();
    old.signal(Signal::QUIT);
    eventually("the hand-over", || old.said("handed_over"));
    let pid = old.log().iter().find_map(|entry| {
        let taken = entry["event"] == "handed_over";
        taken.then(|| entry["pid"].as_u64().unwrap())
    });
    let mut client = Client::connect(address);
    assert_eq!(client.get("/api/v1/status").status(), 200);
    let pid = rustix::process::Pid::from_raw(pid.unwrap() as i32).unwrap();
    eventually("the ledger", || old.said("ledger_taken_over"));
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    // Both speak to the same stream: it ends with the second of them.
    let (status, log) = old.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    let stopped = log.iter().filter(|entry| entry["event"] == "stopped");
    assert_eq!(stopped.count(), 2, "{log:?}");
    assert!(TcpStream::connect(admin).is_err());
    assert_eq!(installation.verify(&[]).code, Some(0));
}

/// A client in a closed loop, with a kept or with fresh connections; how many of its requests came
/// too late for their connection, and what failed.
fn client(
    address: SocketAddr,
    fresh: bool,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
) -> JoinHandle<(usize, Vec<String>)> {
    std::thread::spawn(move || {
        let (mut late, mut failures) = (0, Vec::new());
        let mut kept: Option<Kept> = None;
        while !stop.load(Ordering::Relaxed) {
            match one(address, kept.take()) {
                Ok(Asked::Answered { kept: next, last }) => {
                    served.fetch_add(1, Ordering::Relaxed);
                    kept = (!fresh && !last).then_some(next);
                }
                Ok(Asked::TooLate) => late += 1,
                Err(error) => failures.push(error),
            }
        }
        (late, failures)
    })
}

/// How long a gateway that stops waits for the next request of a connection.
const LAST_REQUEST: Duration = Duration::from_millis(250);

/// A connection on which a request may be sent.
struct Kept {
    stream: TcpStream,
    /// The gateway did not stop before this moment.
    since: Instant,
}

/// What came of a request.
enum Asked {
    /// An answer, and whether it says that it is the last one.
    Answered { kept: Kept, last: bool },
    /// The connection ended without one, longer than [`LAST_REQUEST`] after the moment from which on
    /// the gateway may have been stopping: only a client that stood still comes so late, and has to
    /// ask again.
    TooLate,
}

/// One request.
fn one(address: SocketAddr, kept: Option<Kept>) -> Result<Asked, String> {
    let begun = Instant::now();
    let Kept { mut stream, since } = match kept {
        Some(kept) => kept,
        None => Kept {
            stream: TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?,
            since: begun,
        },
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent = stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: test\r\n\r\n");
    let asked_after = since.elapsed();
    let unanswered = |why: String| match asked_after < LAST_REQUEST {
        true => Err(format!("{why} after {asked_after:?}")),
        false => Ok(Asked::TooLate),
    };
    if let Err(error) = sent {
        return unanswered(format!("send: {error}"));
    }
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    while !bytes.ends_with(b"ok") {
        match stream.read(&mut piece) {
            Ok(read @ 1..) => bytes.extend_from_slice(&piece[..read]),
            // It was stopped meanwhile and goes on.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            ended if bytes.is_empty() => return unanswered(format!("{ended:?}")),
            ended => return Err(format!("{ended:?} after {} bytes", bytes.len())),
        }
    }
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    if !text.starts_with("http/1.1 200") {
        return Err(text);
    }
    let last = text.contains("connection: close");
    // Else this answer would have been the last one.
    let kept = Kept {
        stream,
        since: begun,
    };
    Ok(Asked::Answered { kept, last })
}

#[test]
fn upgrades_under_load_fail_no_request_and_the_accounts_are_whole() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .with("threads: 1", "threads: 2");
    let mut process = Process::start(&installation);
    let (stop, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let address = process.addresses[0];
            client(
                address,
                number % 3 == 0,
                Arc::clone(&stop),
                Arc::clone(&served),
            )
        })
        .collect();
    for _ in 0..3 {
        let before = served.load(Ordering::Relaxed);
        eventually("load", || served.load(Ordering::Relaxed) > before + 200);
        let next = Process::upgrade(&installation);
        let (status, log) = std::mem::replace(&mut process, next).ended();
        assert_eq!(status.code(), Some(0), "{log:?}");
        let last = log.last().unwrap();
        assert!(
            last["event"] == "stopped" && last["cut_off"].is_null(),
            "{last}"
        );
    }
    stop.store(true, Ordering::Relaxed);
    let ended = clients.into_iter().map(|client| client.join().unwrap());
    let (late, failures): (Vec<usize>, Vec<Vec<String>>) = ended.unzip();
    let (late, failures) = (late.iter().sum::<usize>(), failures.concat());
    println!("{late} came too late for their connection");
    assert!(
        failures.is_empty(),
        "{} of {}: {failures:?}",
        failures.len(),
        served.load(Ordering::Relaxed)
    );
    process.stop();
    let verified = installation.verify(&[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let records = installation.records();
    let served = served.load(Ordering::Relaxed) as u64;
    let closes = records.iter().filter(|record| record["kind"] == "close");
    let made: u64 = closes
        .flat_map(|close| close["made"].as_object().unwrap().values())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(made, served, "each answer is a decision of one boot");
    let lines = boots(&records, "decision").len() as u64;
    let counted: u64 = records
        .iter()
        .filter(|record| record["kind"] == "rollup" || record["kind"] == "loss")
        .map(|record| record["count"].as_u64().unwrap())
        .sum();
    assert_eq!(lines + counted, made);
    assert_eq!(boots(&records, "open"), boots(&records, "close"));
}

#[test]
fn behind_tls_and_on_bundles_a_stream_finishes_in_the_old_process() {
    let (upstream, release) = holding("/upload");
    let mut site = Site::new(upstream.address);
    site.installation = site
        .installation
        .with("contracts: contracts\npolicy: policy.yaml\n", "")
        .and("bundle: {root: root.json, dir: bundles}")
        .draining_for_long();
    let path = |name: &str| site.installation.path(name);
    std::fs::write(path("root.json"), signing::root()).unwrap();
    std::fs::create_dir(path("bundles")).unwrap();
    let one = signing::bundle(1, None, &["a", "upload"], signing::ALL);
    std::fs::write(path("bundles/bundle.json"), &one).unwrap();
    let old = Process::start(&site.installation);
    assert_eq!(site.curl(&old, "/a", &["--http2"]), "2 200");
    let mut streaming = site.command(&old, "/upload", &["--http2"]);
    let streaming = streaming.stdout(std::process::Stdio::piped()).spawn();
    old.until_in_flight("upload", 1);
    // The new one begins with what is in force, not with what lay there first.
    let two = signing::bundle(2, Some(&one), &["a", "b", "upload"], signing::ALL);
    std::fs::write(path("bundles/.new"), &two).unwrap();
    std::fs::rename(path("bundles/.new"), path("bundles/bundle.json")).unwrap();
    let serial = |process: &Process| process.status()["bundle"]["active"]["serial"].clone();
    eventually("the second bundle", || serial(&old) == 2);
    let new = Process::upgrade(&site.installation);
    eventually("the hand-over", || old.said("handed_over"));
    assert_eq!(serial(&new), 2);
    for (version, told) in [("--http1.1", "1.1 200"), ("--http2", "2 200")] {
        assert_eq!(site.curl(&new, "/a", &[version]), told);
        assert_eq!(site.curl(&new, "/b", &[version]), told);
    }
    release.send(()).unwrap();
    let streamed = streaming.unwrap().wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&streamed.stdout), "2 200");
    let (status, log) = old.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    eventually("the ledger", || new.said("ledger_taken_over"));
    new.stop();
    assert_eq!(site.installation.verify(&[]).code, Some(0));
    assert_eq!(site.installation.decisions().len(), 6);
}

#[test]
fn what_a_new_process_decided_is_told_though_it_was_killed_before_it_had_the_ledger() {
    let (upstream, release) = holding("/upload");
    let installation = Installation::in_front_of(upstream.address).draining_for_long();
    let old = Process::start(&installation);
    let mut busy = old.connect();
    busy.send("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    old.until_in_flight("upload_v1", 1);
    let new = Process::upgrade(&installation);
    eventually("the hand-over", || old.said("handed_over"));
    for _ in 0..7 {
        assert_eq!(new.get("/api/v1/status").status(), 200);
    }
    new.signal(Signal::KILL);
    new.ended();
    release.send(()).unwrap();
    assert_eq!(busy.response().status(), 200);
    let (status, log) = old.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    let doctor = Ran::of(installation.command("doctor").output().unwrap());
    assert!(doctor.stdout.contains("DOCTOR_BOOT_LOST"), "{doctor:?}");
    let next = Process::start_again(&installation);
    let told = next.log();
    let told = told
        .iter()
        .find(|entry| entry["event"] == "ledger_boot_lost");
    let told = told.expect("the log tells");
    next.stop();
    let records = installation.records();
    // The old process may serve one whose connection it had taken when it gave its socket away.
    let by_old = records
        .iter()
        .filter(|record| record["kind"] == "decision" && record["contract_id"] == "status_v1");
    let by_new = 7 - by_old.count();
    assert!(by_new > 0, "{records:?}");
    assert_eq!(told["made"], by_new);
    let faults: Vec<_> = records
        .iter()
        .filter(|record| record["kind"] == "fault")
        .collect();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0]["code"], "LEDGER_BOOT_LOST");
    assert_eq!(faults[0]["lost_boot"], told["boot"]);
    assert_eq!(faults[0]["lost_made"]["00"], by_new);
    let verified = installation.verify(&["--format", "json"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let report: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(report["unaccounted"], by_new, "{report}");
    let doctor = Ran::of(installation.command("doctor").output().unwrap());
    assert!(!doctor.stdout.contains("DOCTOR_BOOT_LOST"), "{doctor:?}");
}

#[test]
fn who_asks_and_says_nothing_holds_up_no_stop() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    installation.until_it_can_be_taken_over();
    let silent = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    let bell = SocketAddrUnix::new(installation.path("state/upgrade.sock")).unwrap();
    connect(&silent, &bell).unwrap();
    eventually("the question", || process.said("upgrade_asked"));
    assert_eq!(process.get("/api/v1/status").status(), 200);
    let begun = Instant::now();
    process.signal(Signal::TERM);
    let (status, log) = process.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(
        log.iter().any(|entry| entry["event"] == "upgrade_failed"),
        "{log:?}"
    );
}
