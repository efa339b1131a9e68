//! Clients that do not take their answers: on one stream, which is cut alone, and on the whole
//! connection.

use std::time::Duration;

use tidegate::gateway::governor::Failure;

use super::raw::{DATA, END_STREAM, GET, GOAWAY, RST_STREAM, Raw, WINDOW_UPDATE, frame};
use crate::harness::{OK, Running, UNHURRIED, Upstream, eventually, settings};
use crate::script::Script;

const SHORT: Duration = Duration::from_millis(200);
const SMALL: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/small"),
    (":authority", "test"),
];

/// A server of answers that no window holds, and of small ones.
fn large() -> Upstream {
    Upstream::replying(|request| {
        if request.line().contains("/small") {
            return OK.as_bytes().to_vec();
        }
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n";
        [head, vec![b'x'; 10_000_000].as_slice()].concat()
    })
}

/// A closed window of one stream is that stream's own affair: no clock of the connection runs.
#[test]
fn a_client_that_never_opens_a_window_loses_that_stream_alone() {
    let upstream = large();
    let mut settings = settings(&[upstream.address]);
    // Behind the stream's clock comes that of the connection as a whole, by a quarter of its time:
    // more than a machine stands still.
    settings.timeouts.client_write = 4 * UNHURRIED;
    // The connection's own pace would cut long before the stream's clock does, and not while this
    // client waits for a processor.
    settings.timeouts.rate_grace = UNHURRIED;
    settings.limits.response_rate_min = 1 << 20;
    let gateway = Running::start(settings, Script::forwarding());
    let mut raw = Raw::open(gateway.address);
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()));
    raw.head(1, true, GET);
    let mut taken = 0;
    while taken < 65_535 {
        let data = raw.until(|frame| frame.kind == DATA && frame.stream == 1);
        taken += data.payload.len();
    }
    raw.head(3, true, SMALL);
    raw.until(|frame| frame.stream == 3 && frame.flags & END_STREAM != 0);
    let reset = raw.until(|frame| frame.kind == RST_STREAM || frame.kind == GOAWAY);
    assert_eq!((reset.kind, reset.stream), (RST_STREAM, 1));
    raw.head(5, true, SMALL);
    raw.until(|frame| frame.stream == 5 && frame.flags & END_STREAM != 0);
    let ends = gateway.completions(3);
    let failures: Vec<_> = ends.iter().map(|ended| ended.failure).collect();
    assert_eq!(failures, [None, Some(Failure::AnswerTooSlow), None]);
    assert!(ends[1].response_body_bytes <= 65_535, "{:?}", ends[1]);
}

/// With open windows it is the connection that is not read, and no stream of it can go on.
#[test]
fn a_client_that_reads_nothing_loses_its_connection() {
    let upstream = large();
    let mut settings = settings(&[upstream.address]);
    settings.timeouts.rate_grace = SHORT;
    settings.limits.response_rate_min = 1 << 20;
    let gateway = Running::start(settings, Script::forwarding());
    let mut raw = Raw::open(gateway.address);
    let wide = (1_u32 << 30).to_be_bytes();
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &wide));
    raw.head(1, true, GET);
    raw.send(&frame(WINDOW_UPDATE, 0, 1, &wide));
    let ended = gateway.completions(1)[0];
    assert_eq!(ended.failure, Some(Failure::ClientAbort));
    eventually("its end", || gateway.control.connections().open() == 0);
    drop(raw);
}
