//! Clients that ask for much and take nothing: how many answers they may leave standing, and for
//! how long.

use std::time::{Duration, Instant};

use tidegate::gateway::governor::Failure;

use super::raw::{CALM, DATA, GET, HEADERS, RST_STREAM, Raw, SETTINGS, block, frame};
use crate::harness::{Running, UNHURRIED, Upstream, eventually, settings};
use crate::script::Script;

const REFUSED_STREAM: u32 = 7;
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

fn much() -> Upstream {
    let body = vec![b'x'; 300_000];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    Upstream::answering([head.as_bytes(), &body].concat())
}

/// A client whose windows are closed from the beginning.
fn closed(gateway: &Running) -> Raw {
    let mut raw = Raw::open(gateway.address);
    raw.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    raw
}

#[test]
fn streams_count_like_connections() {
    let upstream = much();
    let mut settings = settings(&[upstream.address]);
    settings.limits.connections_per_address_max = 3;
    let gateway = Running::start(settings, Script::forwarding());
    let mut raw = closed(&gateway);
    for stream in [1, 3, 5, 7] {
        raw.head(stream, true, GET);
    }
    let reset = raw.until(|frame| frame.kind == RST_STREAM);
    assert_eq!(
        (reset.stream, reset.code()),
        (7, REFUSED_STREAM),
        "the connection has one place, two streams the others"
    );
    assert_eq!(gateway.control.connections().counts().streams_refused, 1);
    // A place that comes back is given away again, a moment after its request has ended; what was
    // refused until then may be sent again.
    eventually("the others", || gateway.control.in_flight() == 3);
    raw.send(&frame(RST_STREAM, 0, 3, &8_u32.to_be_bytes()));
    eventually("its end", || gateway.control.in_flight() == 2);
    let refused = || gateway.control.connections().counts().streams_refused;
    let (mut stream, mut sent) = (7, 0);
    eventually("the next", || {
        if refused() > sent {
            sent += 1;
            stream += 2;
            raw.head(stream, true, GET);
        }
        gateway.control.in_flight() == 3
    });
    drop(raw);
    eventually("all to end", || gateway.control.connections().open() == 0);
    let mut again = Raw::open(gateway.address);
    again.head(1, true, GET);
    again.until(|frame| frame.kind == DATA);
}

#[test]
fn much_that_nobody_takes_ends_its_connection_soon() {
    let upstream = much();
    let mut settings = settings(&[upstream.address]);
    settings.timeouts.rate_grace = SHORT;
    settings.timeouts.client_write = LONG;
    let gateway = Running::start(settings, Script::forwarding());
    let mut raw = closed(&gateway);
    let began = Instant::now();
    // In one piece, or the first of them might end the connection before the last has come.
    let heads = (0..100).flat_map(|stream| frame(HEADERS, 5, stream * 2 + 1, &block(GET)));
    raw.send(&heads.collect::<Vec<u8>>());
    assert_eq!(raw.gone_away(), CALM);
    assert!(began.elapsed() >= SHORT && began.elapsed() < LONG / 2);
    eventually("their records", || {
        gateway.governor.completions().len() == 100
    });
    let completions = gateway.governor.completions();
    let blamed: Vec<_> = completions
        .iter()
        .filter(|ended| ended.failure != Some(Failure::ClientAbort))
        .collect();
    assert!(
        blamed.is_empty(),
        "a client that takes nothing is no failure of the upstream: {blamed:?}"
    );
    eventually("their places", || gateway.control.in_flight() == 0);
}

#[test]
fn one_that_is_not_taken_beside_one_that_is() {
    let upstream = much();
    let mut settings = settings(&[upstream.address]);
    settings.timeouts.rate_grace = Duration::from_millis(40);
    // In which others are taken.
    settings.timeouts.client_write = UNHURRIED;
    let gateway = Running::start(settings, Script::forwarding());
    let mut raw = Raw::open(gateway.address);
    // All of the connection's window, and of the first stream's nothing beyond what it begins with.
    raw.send(&frame(8, 0, 0, &0x7f00_0000_u32.to_be_bytes()));
    raw.head(1, true, GET);
    let mut stream = 3;
    let reset = loop {
        raw.head(stream, true, GET);
        raw.send(&frame(8, 0, stream, &0x00ff_0000_u32.to_be_bytes()));
        let frame = raw.until(|frame| {
            frame.kind == RST_STREAM || (frame.stream == stream && frame.flags & 1 == 1)
        });
        if frame.kind == RST_STREAM {
            break frame;
        }
        stream += 2;
    };
    assert_eq!(reset.stream, 1, "and nobody else");
    assert!(stream > 3);
}
