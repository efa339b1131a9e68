//! Which requests the lane takes: a list of what it understands, and nothing else.
//!
//! Invariant: the lane never repairs a request; whatever is not plainly on the list goes to the full
//! proxy, which is also where all that is rare is handled. Deliberately not here: where the request
//! goes; that is known only after it was admitted.

use crate::gateway::edge::{Framing, Parsed};
use crate::gateway::folded::is;

/// What the lane has to know of a request that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// Bytes of the body, all of which have come.
    pub(super) body: usize,
    /// HEAD: the answer has no body.
    pub(super) is_head: bool,
    /// Whether doing it twice is the same as doing it once.
    pub(super) is_idempotent: bool,
    /// Whether the client keeps the connection.
    pub(super) keeps: bool,
}

/// Takes a request whose head has come, with `behind` bytes behind it; or leaves it.
pub(super) fn take(parsed: &Parsed<'_, '_>, behind: usize) -> Option<Asked> {
    let Framing::Length(body) = parsed.head.framing else {
        return None;
    };
    let body = usize::try_from(body).ok().filter(|body| *body <= behind)?;
    let (may_have_body, is_idempotent) = match parsed.method {
        "GET" | "HEAD" | "DELETE" => (false, true),
        "PUT" => (true, true),
        "POST" | "PATCH" => (true, false),
        _ => return None,
    };
    let is_plain = parsed.http_11 && !parsed.head.may_switch && parsed.target.starts_with(b"/");
    if !is_plain || (body > 0 && !may_have_body) {
        return None;
    }
    Some(Asked {
        body,
        is_head: parsed.method == "HEAD",
        is_idempotent,
        keeps: keeps(parsed)?,
    })
}

/// Whether the client keeps the connection; `None` where it says more than that, or waits to be
/// told to go on.
fn keeps(parsed: &Parsed<'_, '_>) -> Option<bool> {
    let mut said = None;
    for field in parsed.fields {
        let name = field.name.as_bytes();
        match name.len() {
            6 if is(name, b"expect") => return None,
            10 if is(name, b"connection") => {
                let keeps = is(field.value, b"keep-alive");
                let closes = is(field.value, b"close");
                if said.is_some() || !(keeps || closes) {
                    return None;
                }
                said = Some(keeps);
            }
            _ => {}
        }
    }
    Some(said.unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use super::{Asked, take};
    use crate::gateway::edge::{parse, slots};
    use crate::gateway::settings::Limits;

    /// The list, as what is taken of a head and the body behind it.
    fn check(head: &str, behind: usize, expected: Option<Asked>) {
        let mut slots = slots();
        let parsed = parse(head.as_bytes(), &Limits::default(), &mut slots);
        let parsed = parsed.unwrap().unwrap();
        assert_eq!(take(&parsed, behind), expected, "{head:?}");
    }

    const PLAIN: Asked = Asked {
        body: 0,
        is_head: false,
        is_idempotent: true,
        keeps: true,
    };

    #[test]
    fn ordinary_requests_are_taken() {
        let get = |fields: &str| format!("GET /a?b HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        check(&get(""), 0, Some(PLAIN));
        check(&get("Connection: Keep-Alive\r\n"), 0, Some(PLAIN));
        let closes = Asked {
            keeps: false,
            ..PLAIN
        };
        check(&get("connection: close\r\n"), 9, Some(closes));
        check(&get("Content-Length: 0\r\n"), 0, Some(PLAIN));
        let head = Asked {
            is_head: true,
            ..PLAIN
        };
        check("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 0, Some(head));
        for (method, is_idempotent) in [("POST", false), ("PUT", true), ("PATCH", false)] {
            let post = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
            let asked = Asked {
                body: 3,
                is_idempotent,
                ..PLAIN
            };
            check(&post, 3, Some(asked));
            check(&post, 2, None);
        }
    }

    #[test]
    fn all_else_is_left_to_the_full_proxy() {
        for head in [
            "GET / HTTP/1.0\r\nHost: a\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\n",
            "get / HTTP/1.1\r\nHost: a\r\n",
            "TRACE / HTTP/1.1\r\nHost: a\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-a\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: close\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection:\r\n",
        ] {
            check(&format!("{head}\r\n"), 9, None);
        }
    }
}
