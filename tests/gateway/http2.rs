//! HTTP/2 without TLS, with the little of the protocol that one request needs.

use std::io::{Read, Write};

use crate::script::Script;
use tidegate::gateway::governor::ParseRefusal;

use crate::harness::{Running, Upstream, settings};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut wire = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    wire.extend([kind, flags]);
    wire.extend(stream.to_be_bytes());
    wire.extend(payload);
    wire
}

#[test]
fn a_request_in_http2_is_governed_and_forwarded() {
    let upstream = Upstream::ok();
    let gateway = Running::forwarding_to(upstream.address);
    let mut client = gateway.connect();
    client.send(PREFACE);
    client.send(frame(4, 0, 0, &[]));
    // :method GET, :scheme http and :path / from the static table, :authority as a literal.
    let head = [&[0x82, 0x86, 0x84, 0x41, 4][..], b"test"].concat();
    client.send(frame(1, 0x5, 1, &head));
    let mut body = Vec::new();
    while body != b"ok" {
        let mut header = [0; 9];
        client.stream.read_exact(&mut header).unwrap();
        let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let mut payload = vec![0; len];
        client.stream.read_exact(&mut payload).unwrap();
        match header[3] {
            0 => body.extend(payload),
            4 if header[4] == 0 => client.stream.write_all(&frame(4, 1, 0, &[])).unwrap(),
            _ => {}
        }
    }
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
    client.send(PREFACE);
    assert_eq!(client.response().status(), 400);
    assert_eq!(gateway.governor.refusals()[0].reason, ParseRefusal::Version);
}
