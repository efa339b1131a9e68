//! The request as its upstream gets it: the bytes of the client, without what does not pass.
//!
//! Invariant: an upstream is sent the fields that the full proxy would send it, in the order in which
//! they came, head and body in one piece. Deliberately not here: which fields those are; that is said
//! in `gateway::fields`, but for those of a single hop, which the full proxy leaves to its engine.

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use httparse::Header;

use crate::gateway::common::QUARANTINE;
use crate::gateway::edge::Parsed;
use crate::gateway::fields;
use crate::gateway::folded::is;
use crate::gateway::governor::Forward;

/// What decides which fields pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// Whether the peer is one of the trusted proxies.
    pub(super) trusted: bool,
    /// Where callers are named by a field: the field, and whether it is believed.
    pub(super) caller: Option<(&'a str, bool)>,
}

/// More than what is added to a head.
const ADDED_BYTES: usize = 64;
/// Names up to here are looked at without an allocation; hardly any is longer.
const NAME_BYTES: usize = 64;

/// Writes a request and its body.
pub(super) fn write(
    parsed: &Parsed<'_, '_>,
    body: &[u8],
    forward: &Forward,
    rules: Rules<'_>,
) -> BytesMut {
    let path = forward.path.as_deref().unwrap_or(parsed.target);
    let case = forward.case.as_deref().unwrap_or_default();
    let most = parsed.head.len + path.len() + case.len() + ADDED_BYTES + body.len();
    let mut wire = BytesMut::with_capacity(most);
    wire.put_slice(parsed.method.as_bytes());
    wire.put_u8(b' ');
    wire.put_slice(path);
    wire.put_slice(b" HTTP/1.1\r\n");
    put_fields(&mut wire, parsed, forward.strict, rules);
    if !case.is_empty() {
        put(&mut wire, QUARANTINE, case.as_bytes());
    }
    wire.put_slice(b"\r\n");
    wire.put_slice(body);
    wire
}

/// The fields that pass. Neighbours that came in the form in which they go on are copied in one
/// piece: nearly always all of them, and a copy of each part of each field costs more than all else
/// here.
fn put_fields(wire: &mut BytesMut, parsed: &Parsed<'_, '_>, strict: bool, rules: Rules<'_>) {
    let mut run = 0..0;
    for field in parsed.fields {
        if !passes(field.name, strict, rules) {
            continue;
        }
        let line = line_of(parsed.raw, field);
        if let Some(line) = &line
            && line.start == run.end
        {
            run.end = line.end;
            continue;
        }
        put_run(wire, parsed.raw, run);
        run = line.unwrap_or_else(|| {
            put(wire, field.name, field.value);
            0..0
        });
    }
    put_run(wire, parsed.raw, run);
}

fn put_run(wire: &mut BytesMut, raw: &[u8], run: Range<usize>) {
    if !run.is_empty() {
        wire.put_slice(raw.get(run).unwrap_or_default());
    }
}

/// Where the line of a field lies in the head that it was read from, if it came as it goes on: the
/// name, a colon, one space, the value and the end of the line.
fn line_of(raw: &[u8], field: &Header<'_>) -> Option<Range<usize>> {
    let place_of = |part: &[u8]| part.as_ptr().addr().checked_sub(raw.as_ptr().addr());
    let (name, value) = (field.name.as_bytes(), field.value);
    let (start, value_start) = (place_of(name)?, place_of(value)?);
    let value_end = value_start + value.len();
    let is_plain = value_start == start + name.len() + 2
        && raw.get(start + name.len()..value_start)? == b": "
        && raw.get(value_end..value_end + 2)? == b"\r\n";
    is_plain.then_some(start..value_end + 2)
}

fn put(wire: &mut BytesMut, name: &str, value: &[u8]) {
    wire.put_slice(name.as_bytes());
    wire.put_slice(b": ");
    wire.put_slice(value);
    wire.put_slice(b"\r\n");
}

fn passes(name: &str, strict: bool, rules: Rules<'_>) -> bool {
    if rules.caller.is_none() && is_usual(name.as_bytes()) {
        return true;
    }
    // Nearly all names are told from those that do not pass by their first letter.
    let first = name.as_bytes().first().map_or(0, u8::to_ascii_lowercase);
    let is_suspect = matches!(first, b'c' | b'f' | b'h' | b'k' | b'p' | b't' | b'u' | b'x');
    if !is_suspect && rules.caller.is_none() && !name.contains('_') {
        return true;
    }
    let mut small = [0; NAME_BYTES];
    let Some(lower) = small.get_mut(..name.len()) else {
        return passes_in_lower_case(&name.to_ascii_lowercase(), strict, rules);
    };
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    // The name of a field is ASCII; were it not, it would not pass.
    std::str::from_utf8(lower).is_ok_and(|lower| passes_in_lower_case(lower, strict, rules))
}

/// Names that begin like some that do not pass, that nearly every request has, and that always do.
fn is_usual(name: &[u8]) -> bool {
    match name.len() {
        4 => is(name, b"host"),
        6 => is(name, b"cookie"),
        12 => is(name, b"content-type"),
        14 => is(name, b"content-length"),
        _ => false,
    }
}

fn passes_in_lower_case(name: &str, strict: bool, rules: Rules<'_>) -> bool {
    let names_caller = rules
        .caller
        .is_some_and(|(field, believed)| fields::names_caller(name, field, believed));
    !is_of_one_hop(name) && !names_caller && !fields::is_stripped(name, rules.trusted, strict)
}

/// What speaks of the client's connection and not of the request.
fn is_of_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Rules, write};
    use crate::gateway::edge::{parse, slots};
    use crate::gateway::governor::Forward;
    use crate::gateway::settings::Limits;

    const FORWARD: Forward = Forward {
        upstream: 0,
        path: None,
        hold: Duration::ZERO,
        case: None,
        timeout: Duration::ZERO,
        may_retry: false,
        body_bytes_max: None,
        is_stream: false,
        may_upgrade: false,
        strict: true,
    };
    const NOBODY: Rules<'_> = Rules {
        trusted: false,
        caller: None,
    };

    /// What becomes of the fields of a request.
    fn check(fields: &str, rules: Rules<'_>, expected: &str) {
        let head = format!("PUT /a?b HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let mut slots = slots();
        let parsed = parse(head.as_bytes(), &Limits::default(), &mut slots);
        let wire = write(&parsed.unwrap().unwrap(), b"body", &FORWARD, rules);
        let expected = format!("PUT /a?b HTTP/1.1\r\nHost: h\r\n{expected}\r\nbody");
        assert_eq!(String::from_utf8_lossy(&wire), expected);
    }

    #[test]
    fn fields_pass_as_they_came() {
        let all = "ACCEPT: a\r\nX-A: 1\r\nx-a: 2\r\ncookie: b\r\nCookie: c\r\nEmpty: \r\n";
        check(all, NOBODY, all);
        let long = format!("x-{}: 1\r\n", "a".repeat(99));
        check(&long, NOBODY, &long);
    }

    #[test]
    fn fields_go_on_in_one_form() {
        check(
            "A:1\r\nB:  2\r\nC: 3 \r\nD: 4\r\nTE: x\r\nE: 5\r\nF:\r\nG: 6\r\nI: 7\t\r\nJ:8\r\n",
            NOBODY,
            "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: \r\nG: 6\r\nI: 7\r\nJ: 8\r\n",
        );
        check("A: 1\r\nConnection: close\r\n", NOBODY, "A: 1\r\n");
        check("B:1\r\nA: 1\r\n", NOBODY, "B: 1\r\nA: 1\r\n");
    }

    #[test]
    fn the_usual_names_always_pass() {
        for name in ["host", "cookie", "content-type", "content-length"] {
            assert!(super::is_usual(name.to_uppercase().as_bytes()));
            for (strict, trusted) in [(true, true), (true, false), (false, true), (false, false)] {
                let rules = Rules { trusted, ..NOBODY };
                assert!(super::passes_in_lower_case(name, strict, rules), "{name}");
            }
        }
        assert!(!super::is_usual(b"connection"));
    }

    #[test]
    fn some_do_not_pass() {
        let hops = "Connection: close\r\nKEEP-ALIVE: 5\r\nTE: trailers\r\nTrailer: a\r\n\
                    Proxy-Authorization: b\r\nproxy-connection: c\r\nHTTP2-Settings: d\r\n";
        check(hops, NOBODY, "");
        check("Tidegate-Quarantine: a\r\nX-HTTP-Method: b\r\n", NOBODY, "");
        check("X_Forwarded_For: a\r\nTidegate_Case: a\r\n", NOBODY, "");
        let long = format!("tidegate-{}: 1\r\n", "a".repeat(99));
        check(&long, NOBODY, "");
        let forwarded = "X-Forwarded-For: a\r\nForwarded: b\r\nX-Real-IP: c\r\n";
        check(forwarded, NOBODY, "");
        let trusted = Rules {
            trusted: true,
            ..NOBODY
        };
        check(forwarded, trusted, forwarded);
        for (believed, expected) in [(true, "Service: a\r\n"), (false, "")] {
            let rules = Rules {
                caller: Some(("service", believed)),
                ..NOBODY
            };
            check("Service: a\r\n", rules, expected);
        }
        let rules = Rules {
            caller: Some(("my-service", true)),
            ..NOBODY
        };
        check("My_Service: a\r\n", rules, "");
    }

    #[test]
    fn the_decision_may_change_path_and_case() {
        let head = "GET //a HTTP/1.1\r\nHost: h\r\n\r\n";
        let mut slots = slots();
        let parsed = parse(head.as_bytes(), &Limits::default(), &mut slots);
        let forward = Forward {
            path: Some("/a".into()),
            case: Some("c1".into()),
            ..FORWARD
        };
        let wire = write(&parsed.unwrap().unwrap(), b"", &forward, NOBODY);
        let expected = "GET /a HTTP/1.1\r\nHost: h\r\nTidegate-Quarantine: c1\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&wire), expected);
    }
}
