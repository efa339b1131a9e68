//! Frames that cost work without being requests: each flood ends its own connection, soon, and
//! nobody else notices.

use tidegate::gateway::governor::ParseRefusal;

use super::client::{ask, connect, get, run};
use super::raw::{
    CALM, CONTINUATION, DATA, END_STREAM, GET, HEADERS, PING, POST, PRIORITY, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, block, frame,
};
use crate::harness::{Running, Upstream, eventually};

/// Sends `piece(n)` for n in 0..times behind `before`, and expects to be sent away.
fn flood(what: &str, before: &[u8], times: u32, piece: impl Fn(u32) -> Vec<u8>) {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut clean = connect(gateway.address).await;
        let mut raw = Raw::open(gateway.address);
        let mut wire = before.to_vec();
        wire.extend((0..times).flat_map(piece));
        // A part may stay unsent, because the other side has closed by then.
        let attacker = std::thread::spawn(move || {
            raw.send(&wire);
            raw.gone_away()
        });
        for _ in 0..20 {
            let answer = ask(&mut clean, get("http://test/"), None).await;
            assert_eq!(answer.status, 200, "{what}");
        }
        assert_eq!(attacker.join().unwrap(), CALM, "{what}");
    });
    eventually("the record", || {
        let refusals = gateway.governor.refusals();
        let last = refusals.last().map(|refusal| refusal.reason);
        last == Some(ParseRefusal::Http2Connection)
    });
    eventually("its end", || gateway.control.connections().open() == 0);
    eventually("their places", || gateway.control.in_flight() == 0);
}

fn head(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags, stream, &block(fields))
}

#[test]
fn streams_that_are_taken_back_at_once() {
    flood("rapid reset", &[], 1_000, |n| {
        let stream = n * 2 + 1;
        [
            head(stream, 5, GET),
            frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
        ]
        .concat()
    });
}

/// The client lets the server do the resetting, by frames that no open stream may get.
#[test]
fn streams_that_the_server_is_made_to_reset() {
    flood("made you reset", &[], 200, |n| {
        let stream = n * 2 + 1;
        [
            head(stream, 4, POST),
            frame(WINDOW_UPDATE, 0, stream, &(u32::MAX >> 1).to_be_bytes()),
        ]
        .concat()
    });
}

#[test]
fn streams_above_the_number_that_was_offered() {
    flood("too many streams", &[], 1_000, |n| head(n * 2 + 1, 4, POST));
}

#[test]
fn heads_that_never_end() {
    flood("continuation", &head(1, 0, GET), 2_000, |_| {
        frame(CONTINUATION, 0, 1, &block(&[("x", "1")]))
    });
    flood("empty continuation", &head(1, 0, GET), 2_000, |_| {
        frame(CONTINUATION, 0, 1, &[])
    });
}

#[test]
fn frames_without_a_request() {
    flood("settings", &[], 5_000, |_| frame(SETTINGS, 0, 0, &[]));
    flood("ping", &[], 5_000, |_| frame(PING, 0, 0, &[0; 8]));
    flood("priority", &[], 5_000, |n| {
        frame(PRIORITY, 0, n * 2 + 3, &[0, 0, 0, 1, 1])
    });
    flood("window updates", &[], 5_000, |_| {
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())
    });
    flood("unknown frames", &[], 5_000, |_| frame(200, 0, 0, &[]));
}

#[test]
fn data_without_bytes() {
    let open = head(1, 4, POST);
    flood("empty data", &open, 5_000, |_| frame(DATA, 0, 1, &[]));
    flood("padding", &open, 5_000, |_| {
        frame(DATA, 8, 1, &[3, 0, 0, 0])
    });
}

/// An honest client sends many frames too, in answer to what it gets.
#[test]
fn an_honest_client_is_not_taken_for_a_flood() {
    let upstream = Upstream::answering(
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n",
            vec![b'x'; 300_000].as_slice(),
        ]
        .concat(),
    );
    let gateway = Running::forwarding_to(upstream.address);
    let mut raw = Raw::open(gateway.address);
    let wide = (1_u32 << 30).to_be_bytes();
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &wide));
    let mut pings = 0;
    for n in 0..20 {
        let stream = n * 2 + 1;
        raw.head(stream, true, GET);
        raw.send(&frame(WINDOW_UPDATE, 0, stream, &wide));
        loop {
            let came = raw.next().expect("no end");
            if came.kind == DATA && !came.payload.is_empty() {
                // As a client does that measures the line with every piece.
                pings += 1;
                assert!(raw.send(&frame(PING, 0, 0, &[1; 8])));
            }
            if came.kind == DATA && came.flags & END_STREAM != 0 {
                break;
            }
        }
    }
    assert!(pings > 300, "{pings}");
    assert_eq!(gateway.governor.refusals().len(), 0);
    assert_eq!(gateway.completions(20).len(), 20);
}
