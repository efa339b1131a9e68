//! Start and stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::script::Script;
use tidegate::gateway::Gateway;
use tidegate::gateway::governor::Governor;

use crate::harness::{OK, PATIENCE, Running, Upstream, eventually, settings};

#[test]
fn a_stop_lets_a_running_request_finish() {
    let (send, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.request();
        gate.lock().unwrap().recv().unwrap();
        conn.send(OK);
    });
    let mut gateway = Running::forwarding_to(upstream.address);
    let mut idle = gateway.connect();
    let mut busy = gateway.connect();
    busy.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request", || gateway.control.in_flight() == 1);
    gateway.control.stop();
    // An idle connection ends at once, the busy one does not.
    idle.is_closed();
    assert!(gateway.control.is_draining());
    assert_eq!(gateway.control.in_flight(), 1);
    send.send(()).unwrap();
    let answer = busy.response();
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    assert_eq!(gateway.stop().cut_off, 0);
    assert_eq!(gateway.governor.completions().len(), 1);
    assert!(
        std::net::TcpStream::connect(gateway.address).is_err(),
        "the port is free"
    );
}

#[test]
fn an_idle_gateway_stops_at_once() {
    let upstream = Upstream::ok();
    let mut settings = settings(&[upstream.address]);
    let stop = PATIENCE;
    settings.timeouts.stop = stop;
    let mut gateway = Running::start(settings, Script::forwarding());
    assert_eq!(gateway.connect().get("/").status(), 200);
    let begun = Instant::now();
    assert_eq!(gateway.stop().cut_off, 0);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_request_that_does_not_finish_is_cut_off_and_counted() {
    let upstream = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    });
    let mut settings = settings(&[upstream.address]);
    settings.timeouts.stop = Duration::from_millis(50);
    let mut gateway = Running::start(settings, Script::forwarding());
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request", || gateway.control.in_flight() == 1);
    assert_eq!(gateway.stop().cut_off, 1);
    client.is_closed();
    assert_eq!(gateway.governor.dropped(), 1, "its drop guard ran");
    assert_eq!(gateway.control.in_flight(), 0);
}

#[test]
fn a_port_in_use_is_an_error_before_anything_starts() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let mut settings = settings(&[upstream.address]);
    settings.listeners[0].bind = gateway.address;
    let error = Gateway::bind(settings, vec![Script::forwarding() as Arc<dyn Governor>])
        .err()
        .unwrap();
    assert!(error.to_string().contains(&gateway.address.to_string()));
    assert!(error.to_string().contains("stop the process"), "{error}");
}
