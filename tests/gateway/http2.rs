//! HTTP/2 without TLS: the same rules as over HTTP/1, and bounds for what only HTTP/2 can do.

#[path = "http2/bodies.rs"]
mod bodies;
#[path = "http2/calls.rs"]
mod calls;
#[path = "http2/client.rs"]
mod client;
#[path = "http2/floods.rs"]
mod floods;
#[path = "http2/heads.rs"]
mod heads;
#[path = "http2/lives.rs"]
mod lives;
#[path = "http2/parity.rs"]
mod parity;
#[path = "http2/raw.rs"]
mod raw;
#[path = "http2/readers.rs"]
mod readers;
#[path = "http2/secured.rs"]
mod secured;
#[path = "http2/stalls.rs"]
mod stalls;

use crate::harness::{Running, Upstream, settings};
use crate::script::Script;
use client::{ask, connect, get, run};
use tidegate::gateway::governor::ParseRefusal;

#[test]
fn a_request_in_http2_is_governed_and_forwarded() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    run(async {
        let mut client = connect(gateway.address).await;
        let answer = ask(&mut client, get("http://test/"), None).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"));
    });
    let seen = &upstream.seen()[0];
    assert_eq!(
        (seen.line(), seen.field("host")),
        ("GET / HTTP/1.1", Some("test"))
    );
    assert_eq!(gateway.completions(1)[0].status_sent, 200);
}

#[test]
fn http2_can_be_switched_off() {
    let upstream = Upstream::ok();
    let mut settings = settings(&[upstream.address]);
    settings.listeners[0].h2c = false;
    let gateway = Running::start(settings, Script::forwarding());
    let mut client = gateway.connect();
    client.send(raw::PREFACE);
    assert_eq!(client.response().status(), 400);
    assert_eq!(gateway.governor.refusals()[0].reason, ParseRefusal::Version);
}
