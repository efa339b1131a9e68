//! What a running gateway measures of itself.

use std::sync::{Mutex, mpsc};

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{OK, Upstream, eventually};

// R263: the time of a decision is that of the decision, not of the exchange.
#[test]
fn the_time_of_a_decision_leaves_the_upstream_out() {
    let (answer, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let upstream = Upstream::start(move |mut conn, _| {
        while conn.request().is_some() {
            _ = gate.lock().unwrap().recv();
            conn.send(OK);
        }
    });
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    let mut client = process.connect();
    client.send("GET /api/v1/status HTTP/1.1\r\nHost: test\r\n\r\n");
    let metric = |name: &str| process.metric(name, "");
    // It is known while the upstream still has the request.
    eventually("a decision to be measured", || {
        metric("tidegate_decision_duration_seconds_count") == 1.0
    });
    assert_eq!(metric("tidegate_requests_total"), 0.0);
    assert_eq!(metric("tidegate_inflight_requests"), 1.0);
    answer.send(()).unwrap();
    assert_eq!(client.response().status(), 200);
    for _ in 0..640 {
        answer.send(()).unwrap();
        assert_eq!(client.get("/api/v1/status").status(), 200);
    }
    // One of 64 is measured.
    let measured = metric("tidegate_decision_duration_seconds_count");
    assert!((10.0..=11.0).contains(&measured), "{measured}");
    // A busy machine may take the core away from one or two of them, but not from most.
    let below = process.metric("tidegate_decision_duration_seconds_bucket", "le=\"0.001\"");
    assert!(below >= measured - 2.0, "{below} of {measured} within 1 ms");
}

// R274
#[test]
fn the_process_is_measured() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let process = Process::start(&installation);
    assert_eq!(process.get("/api/v1/status").status(), 200);
    let metric = |name: &str| process.metric(name, "");
    let mebibyte = 1_048_576.0;
    assert!(metric("process_cpu_seconds_total") > 0.0);
    assert!(metric("process_resident_memory_bytes") > mebibyte);
    assert!(metric("process_virtual_memory_bytes") >= metric("process_resident_memory_bytes"));
    let open = metric("process_open_fds");
    assert!((5.0..metric("process_max_fds")).contains(&open), "{open}");
    // 2023, in seconds since 1970.
    assert!(metric("process_start_time_seconds") > 1_672_531_200.0);
    // The start, its key, the decision; then what is signed.
    eventually("the record to be written", || {
        metric("tidegate_ledger_records_total") >= 3.0
    });
    assert_eq!(metric("tidegate_ledger_ok"), 1.0);
}
