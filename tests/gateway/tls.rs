//! TLS on listeners: protocols, names, exchanges, clients with certificates, and those who dawdle.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate::gateway::TlsEnd;
use tidegate::gateway::governor::Course;
use tidegate::tls::{ClientAuth, Material};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::harness::{Client, Running, UNHURRIED, Upstream, eventually, forward};
use crate::script::Script;
use crate::secure::{Authority, Secure, secured};

fn ended(gateway: &Running, end: TlsEnd) -> u64 {
    gateway.control.connections().handshakes().tls(end)
}

#[test]
fn requests_over_tls_are_governed_and_forwarded() {
    let (authority, upstream) = (Authority::new(), Upstream::ok());
    let (settings, _) = secured(upstream.address, &authority.files(&["localhost"]));
    let gateway = Running::start(settings, Script::forwarding());
    for version in [&TLS12, &TLS13] {
        let config = authority.client_speaking(version);
        let mut client = Secure::connect(gateway.address, &config, "localhost").unwrap();
        for _ in 0..3 {
            assert_eq!(client.get("/").unwrap(), 200);
        }
    }
    assert_eq!(gateway.completions(6).len(), 6);
    assert_eq!(ended(&gateway, TlsEnd::Completed), 2);
    assert_eq!(gateway.control.connections().handshakes().under_way(), 0);
}

#[test]
fn the_protocol_is_agreed_on() {
    let (authority, upstream) = (Authority::new(), Upstream::ok());
    let files = authority.files(&["localhost"]);
    let (settings, tls) = secured(upstream.address, &files);
    let gateway = Running::start(settings, Script::forwarding());
    let connect = |alpn: &[&str]| {
        let config = authority.client(alpn);
        Secure::connect(gateway.address, &config, "localhost")
    };
    let agreed = |alpn: &[&str]| connect(alpn).unwrap().protocol().map(str::to_owned);
    assert_eq!(agreed(&["h2", "http/1.1"]).as_deref(), Some("h2"));
    assert_eq!(agreed(&["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(agreed(&[]), None);
    let mut client = connect(&["h2"]).unwrap();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let mut settings_frame = [0; 9];
    client.0.read_exact(&mut settings_frame).unwrap();
    assert_eq!(settings_frame[3], 4, "settings come first");
    assert_eq!(connect(&["http/1.1"]).unwrap().get("/").unwrap(), 200);
    // The preface without the agreement is no way in.
    let mut client = connect(&[]).unwrap();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.status().unwrap(), 400);
    tls.exchange(&Material::read(&files, false).unwrap());
    assert_eq!(agreed(&["h2", "http/1.1"]).as_deref(), Some("http/1.1"));
    assert!(connect(&["h2"]).is_err());
}

#[test]
fn a_client_is_shown_the_certificate_of_the_name_it_asks_for() {
    let (authority, upstream) = (Authority::new(), Upstream::ok());
    let files = authority.files(&["first.test", "second.test", "*.third.test"]);
    let (settings, _) = secured(upstream.address, &files);
    let gateway = Running::start(settings, Script::forwarding());
    let connect = |host: &str| Secure::connect(gateway.address, &authority.client(&[]), host);
    let shown: Vec<Vec<u8>> = ["first.test", "second.test", "a.third.test"]
        .map(|host| connect(host).unwrap().shown())
        .into();
    assert!(shown[0] != shown[1] && shown[1] != shown[2] && shown[0] != shown[2]);
    // An unknown name gets the first, which the client does not accept for it.
    assert!(connect("fourth.test").is_err());
    assert_eq!(ended(&gateway, TlsEnd::Completed), 3);
}

#[test]
fn certificates_are_exchanged_under_open_connections() {
    let (authority, upstream) = (Authority::new(), Upstream::ok());
    let files = authority.files(&["localhost"]);
    let (settings, tls) = secured(upstream.address, &files);
    let gateway = Running::start(settings, Script::forwarding());
    let config = authority.client(&[]);
    let connect = || Secure::connect(gateway.address, &config, "localhost").unwrap();
    let mut open = connect();
    let first = open.shown();
    for _ in 0..3 {
        authority.server("localhost");
        tls.exchange(&Material::read(&files, true).unwrap());
        assert_eq!(open.get("/").unwrap(), 200);
        let mut fresh = connect();
        assert_ne!(fresh.shown(), first);
        assert_eq!(fresh.get("/").unwrap(), 200);
    }
}

#[test]
fn a_client_is_who_its_certificate_says() {
    let (authority, stranger, upstream) = (Authority::new(), Authority::new(), Upstream::ok());
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        let (settings, _) = secured(upstream.address, &authority.files_asking(auth));
        let named: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
        let notes = Arc::clone(&named);
        let script = Script::scripted(Box::new(move |facts| {
            notes
                .lock()
                .unwrap()
                .push(facts.identity.map(str::to_owned));
            Course::Forward(forward())
        }));
        let gateway = Running::start(settings, script);
        let get = |config| {
            let client = Secure::connect(gateway.address, &config, "localhost");
            client.and_then(|mut client| client.get("/"))
        };
        let known = authority.client_with(&authority, "spiffe://tests/shop");
        assert_eq!(get(known).unwrap(), 200);
        assert!(get(authority.client_with(&stranger, "spiffe://tests/shop")).is_err());
        let without = get(authority.client(&[]));
        let mut expected = vec![Some("uri:spiffe://tests/shop".to_owned())];
        if auth == ClientAuth::Optional {
            assert_eq!(without.unwrap(), 200);
            expected.push(None);
        } else {
            assert!(without.is_err());
        }
        assert_eq!(*named.lock().unwrap(), expected);
    }
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    let (authority, upstream) = (Authority::new(), Upstream::ok());
    let (mut settings, _) = secured(upstream.address, &authority.files(&["localhost"]));
    // The last of the handshakes below has to be over within it.
    settings.timeouts.handshake = UNHURRIED;
    settings.timeouts.head = Duration::from_secs(60);
    let gateway = Running::start(settings, Script::forwarding());
    // Nothing at all, and half a record.
    let mut slow = [&b""[..], &[0x16, 3, 1, 2, 0, 1, 0, 1]].map(|begun| {
        let mut client = gateway.connect();
        client.send(begun);
        client
    });
    slow.iter_mut().for_each(Client::is_closed);
    eventually("two timeouts", || ended(&gateway, TlsEnd::Timeout) == 2);
    eventually("the connections' end", || {
        gateway.control.connections().open() == 0
    });
    let mut client = Secure::connect(gateway.address, &authority.client(&[]), "localhost").unwrap();
    assert_eq!(client.get("/").unwrap(), 200);
}

#[test]
fn handshakes_are_capped_and_places_come_back() {
    let (authority, upstream) = (Authority::new(), Upstream::ok());
    let (mut settings, _) = secured(upstream.address, &authority.files(&["localhost"]));
    settings.limits.handshakes_max = 2;
    let gateway = Running::start(settings, Script::forwarding());
    let connect = || Secure::connect(gateway.address, &authority.client(&[]), "localhost");
    // Those that are done do not count.
    let _done: Vec<Secure> = (0..3).map(|_| connect().unwrap()).collect();
    // A client may be done a moment before its server.
    eventually("their end", || ended(&gateway, TlsEnd::Completed) == 3);
    let slow = [gateway.connect(), gateway.connect()];
    let connections = gateway.control.connections();
    let handshakes = connections.handshakes();
    eventually("two handshakes", || handshakes.under_way() == 2);
    assert!(connect().is_err());
    assert_eq!(handshakes.refused(), 1);
    drop(slow);
    eventually("a place", || handshakes.under_way() == 0);
    assert_eq!(connect().unwrap().get("/").unwrap(), 200);
    eventually("two that left", || ended(&gateway, TlsEnd::Gone) == 2);
}

#[test]
fn plain_http_on_a_port_of_tls_is_closed_and_counted() {
    let (authority, upstream) = (Authority::new(), Upstream::ok());
    let (settings, _) = secured(upstream.address, &authority.files(&["localhost"]));
    let gateway = Running::start(settings, Script::forwarding());
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = client.rest();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    eventually("the count", || ended(&gateway, TlsEnd::NotTls) == 1);
    assert_eq!(gateway.governor.admitted(), 0);
}

#[test]
fn the_end_of_a_connection_is_told() {
    let (authority, upstream) = (Authority::new(), Upstream::ok());
    let (mut settings, _) = secured(upstream.address, &authority.files(&["localhost"]));
    settings.timeouts.idle = Duration::from_millis(100);
    let gateway = Running::start(settings, Script::forwarding());
    let connect = || Secure::connect(gateway.address, &authority.client(&[]), "localhost").unwrap();
    let mut idle = connect();
    assert_eq!(idle.get("/").unwrap(), 200);
    assert!(idle.is_told_the_end(), "after waiting for a request");
    let mut last = connect();
    last.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    assert_eq!(last.status().unwrap(), 200);
    assert!(last.is_told_the_end(), "after the last answer");
    let mut refused = connect();
    refused.send("GET / HTTP/9.9\r\n\r\n");
    let mut answer = Vec::new();
    refused.0.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "after a refusal");
}

#[test]
fn a_stop_waits_for_no_handshake() {
    let (authority, upstream) = (Authority::new(), Upstream::ok());
    let (settings, _) = secured(upstream.address, &authority.files(&["localhost"]));
    let mut gateway = Running::start(settings, Script::forwarding());
    let mut slow = gateway.connect();
    let control = gateway.control.clone();
    let connections = control.connections();
    eventually("a handshake", || connections.handshakes().under_way() == 1);
    gateway.stop();
    // It may be reset, or ended.
    let _ = slow.stream.write_all(&[0x16]);
    assert_eq!(connections.open(), 0);
}
