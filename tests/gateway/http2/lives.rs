//! How long a connection lives: deadlines, silence, age, numbers, and a stop.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tidegate::gateway::governor::ParseRefusal;
use tidegate::gateway::settings::GatewaySettings;

use super::client::{Answer, ask, connect, get, run};
use super::raw::{CALM, DATA, GET, GOAWAY, HEADERS, PREFACE, Raw, SETTINGS, block, frame};
use crate::harness::{OK, Running, UNHURRIED, Upstream, eventually, settings};
use crate::script::Script;

const SHORT: Duration = Duration::from_millis(200);

fn start(upstream: &Upstream, change: impl FnOnce(&mut GatewaySettings)) -> Running {
    let mut settings = settings(&[upstream.address]);
    change(&mut settings);
    Running::start(settings, Script::forwarding())
}

/// As over HTTP/1: one deadline from the first byte of a head to its last.
#[test]
fn half_a_head_has_a_deadline() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream, |settings| settings.timeouts.head = UNHURRIED);
    for half in [
        frame(HEADERS, 0, 3, &block(GET)),
        frame(HEADERS, 4, 3, &block(GET))[..12].to_vec(),
    ] {
        let before = gateway.governor.refusals().len();
        let mut raw = Raw::open(gateway.address);
        raw.head(1, true, GET);
        raw.until(|frame| frame.stream == 1 && frame.flags & 1 == 1);
        let began = Instant::now();
        raw.send(&half);
        assert_eq!(raw.gone_away(), CALM);
        assert!(began.elapsed() >= UNHURRIED);
        eventually("the record", || {
            gateway.governor.refusals().len() == before + 2
        });
        let refusal = gateway.governor.refusals()[before];
        assert_eq!(
            (refusal.reason, refusal.status),
            (ParseRefusal::HeadTimeout, 0)
        );
    }
}

#[test]
fn settings_have_a_deadline_and_come_first() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream, |settings| settings.timeouts.head = UNHURRIED);
    let mut raw = Raw::silent(gateway.address);
    raw.send(PREFACE);
    assert_eq!(raw.gone_away(), 4, "SETTINGS_TIMEOUT");
    let mut raw = Raw::silent(gateway.address);
    raw.send(&PREFACE[..20]);
    assert!(!raw.rest_bytes().is_empty(), "as over HTTP/1: 408");
    let mut raw = Raw::silent(gateway.address);
    raw.send(PREFACE);
    raw.head(1, true, GET);
    assert_eq!(raw.gone_away(), 1);
    assert_eq!(gateway.governor.admitted(), 0);
}

#[test]
fn silence_ends_a_connection_but_not_one_with_streams() {
    let (send, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        while conn.request().is_some() {
            gate.lock().unwrap().recv().unwrap();
            conn.send(OK);
        }
    });
    let gateway = start(&upstream, |settings| settings.timeouts.idle = SHORT);
    let mut raw = Raw::open(gateway.address);
    assert_eq!(raw.gone_away(), 0, "nothing was asked");
    // In one piece, or it might be idle before its request.
    let mut raw = Raw::open_with(gateway.address, &frame(HEADERS, 5, 1, &block(GET)));
    eventually("the request", || gateway.control.in_flight() == 1);
    let mut other = Raw::open(gateway.address);
    assert_eq!(other.gone_away(), 0, "a whole idle time has passed");
    let answered = Instant::now();
    send.send(()).unwrap();
    raw.until(|frame| frame.kind == DATA && frame.flags & 1 == 1);
    assert_eq!(raw.gone_away(), 0);
    assert!(answered.elapsed() >= SHORT);
    assert_eq!(gateway.governor.refusals().len(), 0);
    eventually("their end", || gateway.control.connections().open() == 0);
}

#[test]
fn an_old_connection_is_told_to_go_and_its_streams_end() {
    let (send, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.request();
        gate.lock().unwrap().recv().unwrap();
        conn.send(OK);
    });
    let gateway = start(&upstream, |settings| settings.timeouts.age = SHORT);
    // In one piece, or it might be old before its request.
    let mut raw = Raw::open_with(gateway.address, &frame(HEADERS, 5, 1, &block(GET)));
    let told = raw.until(|frame| frame.kind == GOAWAY);
    assert_eq!(told.code(), 0);
    send.send(()).unwrap();
    raw.until(|frame| frame.kind == DATA && frame.flags & 1 == 1);
    assert_eq!(gateway.completions(1)[0].status_sent, 200);
}

#[test]
fn requests_of_one_connection_are_counted() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream, |settings| {
        settings.limits.requests_per_connection_max = 3;
    });
    run(async {
        let mut client = connect(gateway.address).await;
        for _ in 0..3 {
            let answer = ask(&mut client, get("http://test/"), None).await;
            assert_eq!(answer.status, 200);
        }
        // What libraries do with a connection that says it will take no more: open another.
        let mut asked = 3;
        while let Ok(answer) = super::client::try_ask(&mut client, get("http://test/"), None).await
        {
            assert_eq!(answer.status, 200);
            asked += 1;
            assert!(asked < 10, "it is told to go");
        }
    });
    eventually("its end", || gateway.control.connections().open() == 0);
    assert_eq!(gateway.governor.refusals().len(), 0);
}

#[test]
fn a_client_that_does_not_go_is_cut_off() {
    let upstream = Upstream::ok();
    let gateway = start(&upstream, |settings| {
        settings.limits.requests_per_connection_max = 3;
        settings.limits.h2_streams_max = 2;
    });
    let mut raw = Raw::open(gateway.address);
    for n in 0..100 {
        let stream = n * 2 + 1;
        if !raw.head(stream, true, GET) {
            break;
        }
        if raw.next_of(stream).is_none() {
            break;
        }
    }
    eventually("its end", || gateway.control.connections().open() == 0);
    let admitted = gateway.governor.admitted();
    assert!((3..=24).contains(&admitted), "{admitted}");
}

#[test]
fn a_stop_lets_open_streams_finish() {
    let (send, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let upstream = Upstream::start(move |mut conn, _| {
        conn.request();
        gate.lock().unwrap().recv().unwrap();
        conn.send(OK);
    });
    let mut gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut client = connect(gateway.address).await;
        let mut idle = Raw::open(gateway.address);
        idle.until(|frame| frame.kind == SETTINGS);
        let (answer, _) = client.send_request(get("http://test/"), true).unwrap();
        let asked = tokio::spawn(async move { Answer::read(answer.await.unwrap()).await });
        while gateway.control.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        gateway.control.stop();
        let told = tokio::task::spawn_blocking(move || idle.until(|frame| frame.kind == GOAWAY));
        assert_eq!(told.await.unwrap().code(), 0);
        send.send(()).unwrap();
        let answer = asked.await.unwrap().unwrap();
        assert_eq!((answer.status, answer.text()), (200, "ok"));
    });
    assert_eq!(gateway.stop().cut_off, 0);
    assert_eq!(gateway.governor.completions().len(), 1);
}
