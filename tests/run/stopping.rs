//! How a gateway ends, and what a start finds after an end of either kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::held::holding;
use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Client, Upstream, eventually};

/// The kinds of the records, but for those that sign the others, and the ends of requests that took
/// long: on a machine that stands still any may.
fn kinds(records: &[Value]) -> Vec<&str> {
    let kinds = records
        .iter()
        .map(|record| record["kind"].as_str().unwrap());
    kinds
        .filter(|kind| !["key", "checkpoint", "outcome"].contains(kind))
        .collect()
}

/// A client whose request is held.
fn busy(process: &Process) -> Client {
    let mut busy = process.connect();
    busy.send("GET /api/v1/status HTTP/1.1\r\nHost: test\r\n\r\n");
    process.until_in_flight("status_v1", 1);
    busy
}

#[test]
fn term_lets_a_running_request_finish() {
    let (upstream, release) = holding("");
    let installation = Installation::in_front_of(upstream.address).draining_for_long();
    let process = Process::start(&installation);
    let mut idle = process.connect();
    let mut busy = busy(&process);
    process.signal(Signal::TERM);
    // An idle connection ends, nobody new is let in, and the load balancer is told.
    eventually("the drain", || process.ask("/readyz").status() == 503);
    let readiness = process.ask("/readyz");
    assert!(readiness.text().contains("drain"), "{}", readiness.text());
    assert_eq!(process.ask("/livez").status(), 200);
    let released = Instant::now();
    release.send(()).unwrap();
    let answer = busy.response();
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    idle.is_closed();
    let (status, log) = process.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    // It does not wait for the end of the time that a request might have had.
    assert!(released.elapsed() < Duration::from_secs(30));
    assert_eq!(log.last().unwrap()["event"], "stopped");
    let records = installation.records();
    assert_eq!(kinds(&records), ["open", "decision", "close"]);
    assert_eq!(installation.decisions()[0]["status"], 200);
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn int_ends_at_once_and_in_order() {
    let (upstream, _release) = holding("");
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let mut busy = busy(&process);
    process.signal(Signal::INT);
    busy.is_closed();
    let (status, log) = process.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    assert_eq!(log.last().unwrap()["cut_off"], 1);
    // The request that was cut off is written down all the same.
    assert_eq!(
        kinds(&installation.records()),
        ["open", "decision", "close"]
    );
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn a_stop_is_announced_before_nobody_is_let_in() {
    let upstream = Upstream::ok();
    let installation =
        Installation::in_front_of(upstream.address).and("timeouts: {drain_notice_ms: 60000}");
    let process = Process::start(&installation);
    process.signal(Signal::TERM);
    eventually("the notice", || process.ask("/readyz").status() == 503);
    // Who has not noticed yet is served, on new connections too.
    for _ in 0..20 {
        assert_eq!(process.get("/api/v1/status").status(), 200);
    }
    // The second one is in a hurry.
    let begun = Instant::now();
    process.signal(Signal::TERM);
    let (status, log) = process.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(log.last().unwrap()["event"], "stopped");
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn int_cuts_a_drain_short() {
    let (upstream, _release) = holding("");
    let installation = Installation::in_front_of(upstream.address).draining_for_long();
    let process = Process::start(&installation);
    let mut busy = busy(&process);
    process.signal(Signal::TERM);
    eventually("the drain", || process.ask("/readyz").status() == 503);
    let begun = Instant::now();
    process.signal(Signal::INT);
    busy.is_closed();
    let (status, log) = process.ended();
    // Half of what the drain would have taken.
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(status.code(), Some(0), "{log:?}");
    assert_eq!(installation.records().last().unwrap()["kind"], "close");
}

/// How long this machine stands still from here on, in microseconds: by how much naps that are to be
/// short are too long.
fn standstill() -> Arc<AtomicU64> {
    const NAP: Duration = Duration::from_millis(10);
    const USUAL: Duration = Duration::from_millis(200);
    let sum_us = Arc::new(AtomicU64::new(0));
    let noted = Arc::clone(&sum_us);
    std::thread::spawn(move || {
        loop {
            let begun = Instant::now();
            std::thread::park_timeout(NAP);
            let took = begun.elapsed();
            if took > USUAL {
                noted.fetch_add((took - NAP).as_micros() as u64, Ordering::Relaxed);
            }
        }
    });
    sum_us
}

#[test]
fn a_request_that_never_ends_does_not_hold_up_a_stop() {
    // However still the machine stands, this test ends.
    const STILL_MAX: Duration = Duration::from_secs(10);
    // Container runtimes kill after 10 s, and that would cost the end of the ledger.
    let (upstream, _release) = holding("");
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let _busy = busy(&process);
    let stood_still_us = standstill();
    let begun = Instant::now();
    process.signal(Signal::TERM);
    let (status, log) = process.ended();
    // It is 8 s and a bit; how long the machine itself stood still is measured beside it.
    let still = Duration::from_micros(stood_still_us.load(Ordering::Relaxed)).min(STILL_MAX);
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(10) + still,
        "{took:?}, {still:?} of it still"
    );
    assert_eq!(status.code(), Some(0), "{log:?}");
    assert_eq!(log.last().unwrap()["cut_off"], 1);
    let records = installation.records();
    assert_eq!(kinds(&records), ["open", "decision", "close"]);
    let told = |kind| records.iter().filter(|it| it["kind"] == kind).count();
    assert_eq!(told("outcome"), 1, "it took long");
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn who_waits_to_be_accepted_at_a_stop_is_served() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    // The kernel lets clients in while nobody accepts.
    process.signal(Signal::STOP);
    let mut clients: Vec<Client> = (0..40).map(|_| process.connect()).collect();
    for client in &mut clients {
        client.send("GET /api/v1/status HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    process.signal(Signal::TERM);
    process.signal(Signal::CONT);
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    let (status, log) = process.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    assert_eq!(installation.decisions().len(), clients.len());
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn without_descriptors_nobody_is_let_in_until_there_are_some_again() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let mut kept = process.connect();
    assert_eq!(kept.get("/api/v1/status").status(), 200);
    let pid = Pid::from_raw(process.id() as i32);
    let open = std::fs::read_dir(format!("/proc/{}/fd", process.id()))
        .unwrap()
        .count();
    let before = rustix::process::getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(open as u64),
        maximum: before.maximum,
    };
    prlimit(pid, Resource::Nofile, few).unwrap();
    let comers: Vec<Client> = (0..50).map(|_| process.connect()).collect();
    eventually("the shortage", || process.said("descriptors_exhausted"));
    assert_eq!(kept.get("/api/v1/status").status(), 200);
    drop(comers);
    prlimit(pid, Resource::Nofile, before).unwrap();
    eventually("descriptors", || process.said("descriptors_free_again"));
    for _ in 0..5 {
        assert_eq!(process.get("/api/v1/status").status(), 200);
    }
    assert!(process.metric("tidegate_descriptors_exhausted_total", "") >= 1.0);
    let said = |entry: &&Value| entry["event"] == "descriptors_exhausted";
    assert_eq!(process.log().iter().filter(said).count(), 1);
    process.stop();
}

#[test]
fn hup_does_not_end_the_process() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let mut process = Process::start(&installation);
    let reloads = |process: &Process| {
        let log = process.log();
        log.iter()
            .filter(|entry| entry["event"] == "reload_unchanged")
            .count()
    };
    for count in 1..=3 {
        process.signal(Signal::HUP);
        eventually("the signal to be taken", || reloads(&process) == count);
        assert!(process.runs());
        assert_eq!(process.get("/api/v1/status").status(), 200);
    }
    assert_eq!(
        process.metric("tidegate_config_last_reload_successful", ""),
        1.0
    );
    process.stop();
}

#[test]
fn a_ledger_survives_kill_under_load() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .with("threads: 1", "threads: 2");
    let mut served = 0;
    for round in 0..3 {
        let process = match round {
            0 => Process::start(&installation),
            _ => Process::start_again(&installation),
        };
        let before = installation.decisions().len();
        let stop = Arc::new(AtomicBool::new(false));
        let address = process.addresses[0];
        let load: Vec<_> = (0..4)
            .map(|_| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || load(address, &stop))
            })
            .collect();
        eventually("records", || installation.decisions().len() > before + 300);
        process.signal(Signal::KILL);
        let (status, _) = process.ended();
        assert_eq!(status.code(), None, "killed");
        stop.store(true, Ordering::Relaxed);
        served += load
            .into_iter()
            .map(|load| load.join().unwrap())
            .sum::<usize>();
        let torn = installation.verify(&["--allow-torn-tail"]);
        assert_eq!(torn.code, Some(0), "{torn:?}");
    }
    // The next start cuts a torn tail off and goes on with the chain.
    let process = Process::start_again(&installation);
    assert_eq!(process.get("/api/v1/status").status(), 200);
    process.stop();
    let verified = installation.verify(&[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let records = installation.records();
    assert_eq!(
        records
            .iter()
            .filter(|record| record["kind"] == "open")
            .count(),
        4
    );
    assert_eq!(records.last().unwrap()["kind"], "close");
    let decisions = installation.replay();
    assert!(decisions > 900 && served > 0, "{decisions} of {served}");
}

/// Sends requests until it is told to stop or nobody answers; returns how many were answered.
fn load(address: std::net::SocketAddr, stop: &AtomicBool) -> usize {
    use std::io::{Read, Write};
    let mut answered = 0;
    let mut client = Client::connect(address);
    while !stop.load(Ordering::Relaxed) {
        let request = b"GET /api/v1/status HTTP/1.1\r\nHost: test\r\n\r\n";
        let mut piece = [0; 4096];
        if client.stream.write_all(request).is_err() {
            break;
        }
        loop {
            match client.stream.read(&mut piece) {
                Ok(1..) => break answered += 1,
                // It was stopped meanwhile and goes on.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return answered,
            }
        }
    }
    answered
}

#[test]
fn a_ledger_has_one_writer() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let before = installation.records();
    let second = installation.run_in_vain();
    assert_eq!(second.code, Some(1), "{second:?}");
    let told = second.stderr;
    assert!(told.contains("LEDGER_LOCKED"), "{told}");
    assert!(
        told.contains(installation.ledger().to_str().unwrap()),
        "{told}"
    );
    assert!(
        told.contains("stop that process, or give this one another ledger.dir"),
        "{told}"
    );
    // The first one may have signed a head meanwhile.
    let after = installation.records();
    assert_eq!(after[..before.len()], before);
    let signed = |record: &serde_json::Value| record["kind"] == "checkpoint";
    assert!(after[before.len()..].iter().all(signed), "{after:?}");
    assert_eq!(process.get("/api/v1/status").status(), 200);
    process.stop();
}
