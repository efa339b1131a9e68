//! PROXY headers: whose word is taken for who the client is.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tidegate::gateway::ProxyRefusal;
use tidegate::gateway::governor::Course;
use tidegate::gateway::settings::GatewaySettings;

use crate::harness::{Running, UNHURRIED, Upstream, eventually, forward, settings};
use crate::script::Script;
use crate::secure::{Authority, Secure, secured};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}

fn v4(last: u8) -> Vec<u8> {
    header(
        0x21,
        0x11,
        &[192, 0, 2, last, 10, 0, 0, 1, 0x1f, 0x90, 0, 80],
    )
}

/// The peers that the governor was told, and whether they are trusted.
type Peers = Arc<Mutex<Vec<(SocketAddr, bool)>>>;

fn behind_proxy(mut settings: GatewaySettings, trusted: bool) -> (Running, Peers) {
    settings.listeners[0].proxy_protocol = true;
    let network = if trusted { "127.0.0.0/8" } else { "10.0.0.0/8" };
    settings.trusted_proxies = vec![network.parse().unwrap()];
    let peers = Peers::default();
    let notes = Arc::clone(&peers);
    let script = Script::scripted(Box::new(move |facts| {
        notes
            .lock()
            .unwrap()
            .push((facts.peer.unwrap(), facts.peer_trusted));
        Course::Forward(forward())
    }));
    (Running::start(settings, script), peers)
}

fn refused(gateway: &Running, refusal: ProxyRefusal) -> u64 {
    gateway.control.connections().handshakes().proxy(refusal)
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    let upstream = Upstream::ok();
    let (gateway, peers) = behind_proxy(settings(&[upstream.address]), true);
    let mut v6 = vec![0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    v6.extend([0; 16]);
    v6.extend([0x1f, 0x90, 0, 80]);
    let mut with_fields = v4(1)[16..].to_vec();
    with_fields.extend([3, 0, 4, 0xde, 0xad, 0xbe, 0xef, 4, 0, 2, 0, 0]);
    let check = |header: &[u8], expected: Option<&str>| {
        let mut client = gateway.connect();
        let own = client.stream.local_addr().unwrap();
        client.send([header, GET, GET].concat());
        for _ in 0..2 {
            assert_eq!(client.response().status(), 200);
        }
        let told = peers.lock().unwrap().drain(..).collect::<Vec<_>>();
        let expected = match expected {
            Some(peer) => (peer.parse().unwrap(), false),
            // The proxy's own connection: itself, and so one of the trusted.
            None => (own, true),
        };
        assert_eq!(told, [expected, expected]);
    };
    check(&v4(1), Some("192.0.2.1:8080"));
    check(&header(0x21, 0x11, &with_fields), Some("192.0.2.1:8080"));
    check(&header(0x21, 0x21, &v6), Some("[2001:db8::1]:8080"));
    check(&header(0x20, 0x00, &[]), None);
    check(&header(0x20, 0x11, &v4(1)[16..]), None);
    check(&header(0x21, 0x00, &[]), None);
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let upstream = Upstream::ok();
    let (gateway, peers) = behind_proxy(settings(&[upstream.address]), true);
    let mut client = gateway.connect();
    for byte in [&v4(7)[..], GET].concat() {
        client.send([byte]);
    }
    assert_eq!(client.response().status(), 200);
    let peer: SocketAddr = "192.0.2.7:8080".parse().unwrap();
    assert_eq!(*peers.lock().unwrap(), [(peer, false)]);
}

#[test]
fn what_is_no_header_of_version_2_closes_the_connection() {
    let upstream = Upstream::ok();
    let (gateway, peers) = behind_proxy(settings(&[upstream.address]), true);
    let version_1 = b"PROXY TCP4 192.0.2.1 10.0.0.1 8080 80\r\n".to_vec();
    let cases = [
        (GET.to_vec(), ProxyRefusal::Malformed),
        (header(0x11, 0x11, &[0; 12]), ProxyRefusal::Malformed),
        (header(0x21, 0x11, &[0; 3]), ProxyRefusal::Malformed),
        (header(0x21, 0x11, &[0; 5_000]), ProxyRefusal::Malformed),
        (version_1, ProxyRefusal::Version1),
    ];
    for (bytes, refusal) in cases {
        let before = refused(&gateway, refusal);
        let mut client = gateway.connect();
        client.send(&bytes);
        client.is_closed();
        assert_eq!(refused(&gateway, refusal), before + 1, "{bytes:?}");
    }
    drop(gateway.connect());
    eventually("a peer that left", || {
        refused(&gateway, ProxyRefusal::Gone) == 1
    });
    assert!(peers.lock().unwrap().is_empty());
}

#[test]
fn nobody_else_is_believed() {
    let upstream = Upstream::ok();
    let (gateway, peers) = behind_proxy(settings(&[upstream.address]), false);
    let mut client = gateway.connect();
    client.is_closed();
    assert_eq!(refused(&gateway, ProxyRefusal::Untrusted), 1);
    assert!(peers.lock().unwrap().is_empty());
}

#[test]
fn a_header_has_a_deadline_that_tls_shares() {
    let (authority, upstream) = (Authority::new(), Upstream::ok());
    let (mut settings, _) = secured(upstream.address, &authority.files(&["localhost"]));
    // The second client has to come to its end within it.
    settings.timeouts.handshake = UNHURRIED;
    let (gateway, peers) = behind_proxy(settings, true);
    let mut slow = gateway.connect();
    slow.send(&v4(1)[..20]);
    slow.is_closed();
    assert_eq!(refused(&gateway, ProxyRefusal::Timeout), 1);
    let mut client = gateway.connect();
    client.send(v4(9));
    let config = authority.client(&[]);
    let mut client = Secure::over(client.stream, &config, "localhost").unwrap();
    assert_eq!(client.get("/").unwrap(), 200);
    let peer: SocketAddr = "192.0.2.9:8080".parse().unwrap();
    assert_eq!(*peers.lock().unwrap(), [(peer, false)]);
}

#[test]
fn connections_count_for_the_address_that_is_believed() {
    let upstream = Upstream::ok();
    let mut settings = settings(&[upstream.address]);
    settings.limits.connections_per_address_max = 1;
    let (gateway, _) = behind_proxy(settings, true);
    let connect = |last: u8| {
        let mut client = gateway.connect();
        client.send([&v4(last)[..], GET].concat());
        client
    };
    let mut open = [connect(1), connect(2)];
    for client in &mut open {
        assert_eq!(client.response().status(), 200);
    }
    let mut third = connect(1);
    third.is_closed();
    assert_eq!(gateway.control.connections().refused_address(), 1);
    drop(open);
    let connections = gateway.control.connections();
    eventually("a place", || connections.open() == 0);
    assert_eq!(connect(1).response().status(), 200);
}
