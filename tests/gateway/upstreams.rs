//! Several servers of one upstream: shares, ejections, checks, panic and the way back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tidegate::config::{Balance, Ejection, HealthCheck};
use tidegate::gateway::governor::{Course, Forward};
use tidegate::gateway::settings::GatewaySettings;
use tidegate::telemetry::{ServerState, UpstreamView};
use tidegate::units::Millis;

use crate::harness::{
    OK, PATIENCE, Running, UNHURRIED, Upstream, eventually, forward, nobody, settings,
};
use crate::script::Script;

const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";

/// Left out after two failures, for a tenth of a second.
const QUICK: Ejection = Ejection {
    failures: 2,
    base: Millis::new(100),
    max_percent: 50,
};

/// A gateway that tries again where it may.
fn run(settings: GatewaySettings) -> Running {
    run_within(settings, PATIENCE)
}

/// The same where servers have so long to answer.
fn run_within(settings: GatewaySettings, timeout: Duration) -> Running {
    let script = Script::scripted(Box::new(move |_| {
        Course::Forward(Forward {
            may_retry: true,
            timeout,
            ..forward()
        })
    }));
    Running::start(settings, script)
}

fn view(gateway: &Running) -> UpstreamView {
    gateway.control.upstreams().remove(0)
}

fn state(gateway: &Running, server: usize) -> ServerState {
    view(gateway).servers[server].state
}

/// The status of an answer, whatever becomes of its body.
fn get(gateway: &Running) -> u16 {
    let mut client = gateway.connect();
    client.send("GET /a HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let head = client.head().unwrap();
    client.rest();
    head[9..12].parse().unwrap()
}

/// A server that is well while `well` says so, else what `ill` says.
fn moody(well: &Arc<AtomicBool>, ill: &'static str) -> Upstream {
    let well = Arc::clone(well);
    Upstream::replying(move |_| {
        let answer = if well.load(Ordering::SeqCst) { OK } else { ill };
        answer.as_bytes().to_vec()
    })
}

#[test]
fn shares_are_as_the_weights_say_on_every_worker() {
    let servers = [Upstream::ok(), Upstream::ok(), Upstream::ok()];
    let mut settings = settings(&[servers[0].address, servers[1].address, servers[2].address]);
    for (server, weight) in settings.upstreams[0].servers.iter_mut().zip([1, 2, 3]) {
        server.weight = weight;
    }
    let gateway = run(settings);
    let mut client = gateway.connect();
    for _ in 0..600 {
        assert_eq!(client.get("/a").status(), 200);
    }
    let seen = servers.map(|server| server.seen().len());
    assert_eq!(seen, [100, 200, 300]);
}

#[test]
fn requests_in_flight_are_evened_out_where_the_load_is_looked_at() {
    let arrived = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let servers = arrived.clone().map(|arrived| {
        Upstream::start(move |mut conn, _| {
            conn.request();
            arrived.fetch_add(1, Ordering::SeqCst);
            conn.stream.set_read_timeout(None).unwrap();
            conn.rest();
        })
    });
    let mut settings = settings(&[servers[0].address, servers[1].address]);
    settings.upstreams[0].balance = Balance::LeastRequest;
    let gateway = Running::start(settings, Script::forwarding());
    let counts = || arrived.clone().map(|count| count.load(Ordering::SeqCst));
    let mut held = Vec::new();
    for number in 1..=20 {
        let mut client = gateway.connect();
        client.send("GET /a HTTP/1.1\r\nHost: test\r\n\r\n");
        held.push(client);
        eventually("the request", || counts().iter().sum::<usize>() == number);
        assert!(counts()[0].abs_diff(counts()[1]) <= 1, "{:?}", counts());
    }
}

#[test]
fn who_refuses_connections_is_left_out_and_tried_again() {
    let well = Upstream::ok();
    let mut settings = settings(&[nobody(), well.address]);
    settings.upstreams[0].eject = QUICK;
    let gateway = run(settings);
    let mut asked = 20;
    for _ in 0..asked {
        assert_eq!(get(&gateway), 200, "the second attempt goes elsewhere");
    }
    let completions = gateway.completions(asked);
    let retried = completions.iter().filter(|it| it.attempts == 2).count();
    // However often its time outside has passed by now: each ejection is earned by failures.
    let (failures, ejections) = (QUICK.failures as usize, view(&gateway).ejections as usize);
    assert!(retried >= failures && ejections >= 1, "{retried}");
    assert!(
        retried < failures * (ejections + 1),
        "{retried}, {ejections}"
    );
    eventually("a further ejection", || {
        get(&gateway);
        asked += 1;
        view(&gateway).ejections >= 3
    });
    // What upstreams got is what was sent on, less what never was.
    let completions = gateway.completions(asked);
    let got = |sum: fn(u32, u32) -> u32| {
        completions
            .iter()
            .map(|it| sum(u32::from(it.attempts), u32::from(it.never_sent)))
            .sum::<u32>() as usize
    };
    assert_eq!(well.seen().len(), got(|attempts, never| attempts - never));
}

#[test]
fn failures_of_every_kind_count_and_answers_of_the_application_do_not() {
    let check_within = |timeout, answer: &'static str, is_out: bool| {
        let (bad, good) = (Upstream::answering(answer), Upstream::ok());
        let mut settings = settings(&[bad.address, good.address]);
        settings.upstreams[0].eject = Ejection {
            base: Millis::new(60_000),
            ..QUICK
        };
        let gateway = run_within(settings, timeout);
        for _ in 0..8 {
            get(&gateway);
        }
        gateway.completions(8);
        let expected = if is_out {
            ServerState::Ejected
        } else {
            ServerState::Healthy
        };
        eventually("the judgement", || state(&gateway, 0) == expected);
        assert_eq!(view(&gateway).ejections, u64::from(is_out), "{answer}");
        assert_eq!(state(&gateway, 1), ServerState::Healthy);
    };
    let check = |answer, is_out| check_within(PATIENCE, answer, is_out);
    check(BUSY, true);
    check("HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", true);
    check("HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n", true);
    check("SSH-2.0-server\r\n\r\n", true);
    // Cut when its time is over, in which the other server answers.
    check_within(
        UNHURRIED,
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnothing more",
        true,
    );
    check("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", false);
    check("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", false);
    check("HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", false);
}

#[test]
fn one_server_alone_is_never_left_out() {
    let upstream = Upstream::answering(BUSY);
    let mut settings = settings(&[upstream.address]);
    settings.upstreams[0].eject = QUICK;
    let gateway = run(settings);
    for _ in 0..10 {
        assert_eq!(get(&gateway), 503);
    }
    assert_eq!(state(&gateway, 0), ServerState::Healthy);
}

#[test]
fn a_server_that_is_well_again_gets_its_share_again() {
    let well = Arc::new(AtomicBool::new(false));
    let (flapping, steady) = (moody(&well, BUSY), Upstream::ok());
    let mut settings = settings(&[flapping.address, steady.address]);
    settings.upstreams[0].eject = QUICK;
    let gateway = run(settings);
    eventually("an ejection", || {
        get(&gateway);
        state(&gateway, 0) == ServerState::Ejected
    });
    well.store(true, Ordering::SeqCst);
    eventually("the way back", || {
        state(&gateway, 0) == ServerState::Healthy
    });
    let before = flapping.seen().len();
    for _ in 0..20 {
        assert_eq!(get(&gateway), 200);
    }
    assert_eq!(flapping.seen().len() - before, 10);
}

/// A check in a tenth of a second, each with all the time it needs.
fn checked(servers: &[SocketAddr], path: Option<&str>) -> GatewaySettings {
    let mut settings = settings(servers);
    settings.upstreams[0].eject.failures = 0;
    settings.upstreams[0].health = Some(HealthCheck {
        path: path.map(Into::into),
        interval: Millis::new(100),
        timeout: Millis::new(PATIENCE.as_millis() as u32),
        healthy: 2,
        unhealthy: 2,
        ..HealthCheck::default()
    });
    settings
}

#[test]
fn checks_find_who_is_down_before_a_request_does() {
    let well = Arc::new(AtomicBool::new(true));
    let (server, other) = (moody(&well, BUSY), Upstream::ok());
    let gateway = run(checked(&[server.address, other.address], Some("/healthz")));
    eventually("the first check", || !server.seen().is_empty());
    let request = &server.seen()[0];
    assert_eq!(request.line(), "GET /healthz HTTP/1.1");
    assert_eq!(request.field("host"), Some(&*server.address.to_string()));
    assert_eq!(state(&gateway, 0), ServerState::Healthy);
    well.store(false, Ordering::SeqCst);
    eventually("it to be found", || {
        state(&gateway, 0) == ServerState::Unhealthy
    });
    for _ in 0..20 {
        assert_eq!(get(&gateway), 200);
    }
    let requests = |of: &Upstream| {
        of.seen()
            .iter()
            .filter(|it| it.line() == "GET /a HTTP/1.1")
            .count()
    };
    assert_eq!((requests(&server), requests(&other)), (0, 20));
    assert!(view(&gateway).checks_failed >= 2);
    well.store(true, Ordering::SeqCst);
    eventually("the way back", || {
        state(&gateway, 0) == ServerState::Healthy
    });
}

#[test]
fn a_connection_is_check_enough_where_no_path_is_named() {
    let upstream = Upstream::ok();
    let gateway = run(checked(&[nobody(), upstream.address], None));
    eventually("it to be found", || {
        state(&gateway, 0) == ServerState::Unhealthy
    });
    assert_eq!(state(&gateway, 1), ServerState::Healthy);
}

#[test]
fn a_check_that_hangs_is_a_failed_one() {
    let hole = Upstream::start(|mut conn, _| {
        conn.stream.set_read_timeout(None).unwrap();
        conn.rest();
    });
    let mut settings = checked(&[hole.address], Some("/"));
    settings.upstreams[0].health.as_mut().unwrap().timeout = Millis::new(100);
    let gateway = run(settings);
    eventually("it to be found", || {
        state(&gateway, 0) == ServerState::Unhealthy
    });
}

#[test]
fn where_all_are_unhealthy_all_are_asked() {
    let well = Arc::new(AtomicBool::new(false));
    // The checks are wrong: requests are answered well.
    let wrong = Arc::clone(&well);
    let upstream = Upstream::replying(move |request| {
        let is_check = request.line().contains("/healthz");
        let answer = if is_check && !wrong.load(Ordering::SeqCst) {
            BUSY
        } else {
            OK
        };
        answer.as_bytes().to_vec()
    });
    let gateway = run(checked(&[upstream.address], Some("/healthz")));
    eventually("panic", || view(&gateway).in_panic);
    assert_eq!(get(&gateway), 200);
    well.store(true, Ordering::SeqCst);
    eventually("its end", || !view(&gateway).in_panic);
}

#[test]
fn in_flight_counts_go_back_to_nothing() {
    let (server, hole) = (
        Upstream::ok(),
        Upstream::start(|mut conn, _| {
            conn.request();
        }),
    );
    let gateway = run(settings(&[server.address, hole.address, nobody()]));
    for _ in 0..30 {
        get(&gateway);
    }
    eventually("nothing in flight", || {
        view(&gateway)
            .servers
            .iter()
            .all(|server| server.in_flight == 0)
    });
}
