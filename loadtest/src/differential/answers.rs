//! Answers of an upstream, drawn from a grammar: most are legal, some no upstream should give.

use super::choice::{cut, filler, pick, weighted};
use super::exchange::{Answer, End, Script};
use crate::random::Random;

/// What the answer is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct For {
    /// No body follows.
    pub(super) is_head: bool,
    /// It may push back (429, or 503 with Retry-After), which is remembered per upstream.
    pub(super) may_push_back: bool,
    /// It may break off or be malformed.
    pub(super) may_break: bool,
}

const STATUSES: &[(u64, &str)] = &[
    (60, "200 OK"),
    (4, "201 Created"),
    (2, "202 "),
    (2, "203"),
    (3, "206 Partial Content"),
    (3, "301 Moved Permanently"),
    (2, "302 Found"),
    (2, "307 Temporary Redirect"),
    (3, "400 Bad Request"),
    (2, "401 Unauthorized"),
    (3, "404 Not Found"),
    (1, "405 Method Not Allowed"),
    (1, "407 Proxy Authentication Required"),
    (1, "408 Request Timeout"),
    (1, "410 Gone"),
    (1, "418 I'm a teapot"),
    (1, "421 Misdirected Request"),
    (3, "500 Internal Server Error"),
    (2, "501 Not Implemented"),
    (1, "502 Bad Gateway"),
    (1, "504 Gateway Timeout"),
    (1, "505 HTTP Version Not Supported"),
    (1, "599 Odd"),
    (1, "600 Beyond"),
    (1, "999 Far Beyond"),
];

const FIELDS: &[&str] = &[
    "Content-Type: application/json",
    "content-type: text/plain; charset=utf-8",
    "CONTENT-TYPE: x",
    "Server: upstream/1.0",
    "server: ",
    "Date: Tue, 15 Nov 1994 08:12:31 GMT",
    "Via: 1.1 inner",
    "Set-Cookie: a=1; Path=/",
    "Set-Cookie: b=2; HttpOnly",
    "set-cookie: c=3",
    "Cache-Control: no-store",
    "Cache-Control: private, max-age=0",
    "ETag: \"abc\"",
    "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT",
    "Vary: Accept-Encoding, Origin",
    "Location: /elsewhere?x=1",
    "Location: http://other/elsewhere",
    "WWW-Authenticate: Basic realm=\"a\"",
    "WWW-Authenticate: Bearer",
    "Link: </a>; rel=next",
    "Content-Encoding: gzip",
    "Accept-Ranges: bytes",
    "Content-Range: bytes 0-4/10",
    "Age: 7",
    "Alt-Svc: h3=\":443\"",
    "Strict-Transport-Security: max-age=1",
    "Connection: keep-alive",
    "Connection: Keep-Alive, X-Hop",
    "Connection: x-hop, , X-Second",
    "Connection: content-length",
    "Connection: date, server",
    "connection: ",
    "X-Hop: 1",
    "X-Second: 2",
    "Keep-Alive: timeout=5, max=100",
    "Proxy-Connection: keep-alive",
    "Proxy-Authenticate: Basic",
    "Upgrade: h2c",
    "Upgrade: websocket",
    "Trailer: X-Sum",
    "Tidegate-Risk: 0.0001",
    "Tidegate-Decision-Id: forged",
    "tidegate-contract: forged",
    "Tidegate_Decision: forged",
    "RateLimit: \"x\";r=1;t=1",
    "RateLimit-Policy: \"x\";q=1;w=1",
    "Deprecation: @1",
    "Sunset: Tue, 15 Nov 1994 08:12:31 GMT",
    "Proxy-Status: inner; error=x",
    "Warning: 199 - \"x\"",
    "X-Empty:",
    "X-Blank:   \t ",
    "x-lower: Value",
    "X-MiXeD: vAlUe",
    "X-Tab: a\tb",
    "X-Twice: 1",
    "X-Twice: 2",
    "x-twice: 3",
    "X_Under: 1",
    "X-Padded:    padded   ",
    "X-Tight:tight",
    "X-Obs: caf\u{e9}",
    "!#$%&'*+.^_`|~: token",
    "X-Colon: a:b:c",
    "X-Comma: a,,b , c",
    "Content-Disposition: attachment; filename=\"a b\"",
    "Access-Control-Allow-Origin: *",
    "Content-Language: de",
    "Content-Location: /x",
    "Allow: GET",
    "Retry-After: 0",
    "grpc-status: 0",
    "TE: trailers",
    "Host: forged",
    "Priority: u=1",
];

/// Heads and framings that no upstream should send.
const FAULTY: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 005\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloxx\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\n: empty\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\n\xff\xfe: a\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 abc OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 000 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 O\0K\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 caf\xe9\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/0.9 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"http/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"ICY 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b" HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"this is not HTTP\r\n\r\n",
    b"\x16\x03\x01\x02\x00\r\n\r\n",
    b"<html>no head</html>",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 205 Reset\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
];

/// Draws the answers to one request, the same for each attempt.
pub(super) fn script(random: &mut Random, of: For) -> Script {
    let answer = match random.below(100) {
        0..=69 => legal(random, of),
        70..=76 => interim(random, of),
        77..=83 => bodiless(random),
        84..=88 => in_pieces(random, of),
        92 if of.may_push_back => pushing_back(random),
        93..=95 if of.may_break => broken(random),
        96 => extra(random, of),
        97..=98 if of.may_break => faulty(random),
        _ => legal(random, of),
    };
    vec![answer]
}

/// An ordinary answer of a status, with a body of so many bytes.
pub(super) fn plain(status: &str, body: &[u8], is_head: bool) -> Answer {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut bytes = head.into_bytes();
    if !is_head {
        bytes.extend(body);
    }
    Answer {
        pieces: vec![bytes],
        ..Answer::default()
    }
}

fn fields(random: &mut Random) -> Vec<u8> {
    let count = weighted(random, &[(3, 0), (4, 1), (4, 2), (4, 4), (2, 8), (1, 30)]);
    let mut bytes = Vec::new();
    for _ in 0..count {
        let line = pick(random, FIELDS);
        // One byte a letter: what is above 0x7f stands for itself.
        bytes.extend(line.chars().map(|letter| letter as u8));
        bytes.extend(b"\r\n");
    }
    if random.chance(0.02) {
        let size = weighted(random, &[(3, 3_000), (1, 20_000), (1, 70_000), (1, 200)]);
        bytes.extend(format!("X-Large: {}\r\n", "x".repeat(size)).into_bytes());
    }
    bytes
}

fn body(random: &mut Random) -> Vec<u8> {
    let sizes = [
        (10, 0),
        (20, 1),
        (50, 23),
        (20, 300),
        (6, 4_095),
        (6, 16 * 1024),
        (3, 64 * 1024),
        (1, 300 * 1024),
    ];
    filler(weighted(random, &sizes))
}

/// Head, body and end of a legal answer.
fn legal(random: &mut Random, of: For) -> Answer {
    let status = weighted(random, STATUSES);
    let version = weighted(random, &[(30, "HTTP/1.1"), (1, "HTTP/1.0")]);
    let mut bytes = format!("{version} {status}\r\n").into_bytes();
    let fields = fields(random);
    let body = body(random);
    let framing = weighted(random, &[(60, 'l'), (30, 'c'), (8, 'e')]);
    let (front, closing) = (random.chance(0.5), random.chance(0.08));
    if front {
        bytes.extend(&fields);
    }
    let mut end = End::Keep;
    let keeps = String::from_utf8_lossy(&fields)
        .to_ascii_lowercase()
        .contains("keep-alive");
    let mut taints = (version == "HTTP/1.0" && !keeps).then_some("HTTP/1.0 without keep-alive");
    match framing {
        'c' if version == "HTTP/1.1" => bytes.extend(b"Transfer-Encoding: chunked\r\n"),
        'e' => end = End::Close,
        _ => bytes.extend(format!("Content-Length: {}\r\n", body.len()).as_bytes()),
    }
    if closing || end == End::Close {
        let how = [
            "Connection: close",
            "connection: Close",
            "Connection: close, x-hop",
        ];
        bytes.extend(format!("{}\r\n", pick(random, &how)).as_bytes());
        taints = Some("Connection: close");
    }
    if !front {
        bytes.extend(&fields);
    }
    bytes.extend(b"\r\n");
    if !of.is_head {
        match framing {
            'c' if version == "HTTP/1.1" => bytes.extend(chunked(random, &body)),
            _ => bytes.extend(&body),
        }
    }
    Answer {
        pieces: vec![bytes],
        end,
        taints,
        ..Answer::default()
    }
}

fn chunked(random: &mut Random, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let cuts = random.below(6);
    let extension = weighted(random, &[(8, ""), (1, ";a=b"), (1, " ;x=\"y z\"")]);
    let upper = random.chance(0.3);
    for chunk in cut(random, body, cuts) {
        let size = match upper {
            true => format!("{:X}", chunk.len()),
            false => format!("{:x}", chunk.len()),
        };
        bytes.extend(format!("{size}{extension}\r\n").as_bytes());
        bytes.extend(&chunk);
        bytes.extend(b"\r\n");
    }
    let trailers = weighted(
        random,
        &[(8, ""), (1, "X-Sum: 1\r\n"), (1, "A: 1\r\nb: 2\r\n")],
    );
    bytes.extend(format!("0\r\n{trailers}\r\n").as_bytes());
    bytes
}

/// Interim answers before a final one.
fn interim(random: &mut Random, of: For) -> Answer {
    const INTERIM: &[&str] = &[
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink: </b>\r\nTidegate-Risk: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n",
        "HTTP/1.1 199 Odd\r\nX: y\r\n\r\n",
        "HTTP/1.0 100 \r\n\r\n",
    ];
    let count = weighted(random, &[(10, 1), (3, 2), (1, 12)]);
    let mut front = Vec::new();
    for _ in 0..count {
        front.extend(pick(random, INTERIM).as_bytes());
    }
    let mut answer = legal(random, of);
    if random.chance(0.5) {
        answer.pieces.insert(0, front);
        answer.pause_ms = 2;
    } else {
        front.append(&mut answer.pieces[0]);
        answer.pieces[0] = front;
    }
    answer
}

/// 204 and 304, with and without what they may or may not have.
fn bodiless(random: &mut Random) -> Answer {
    let status = weighted(
        random,
        &[(3, "204 No Content"), (3, "304 Not Modified"), (1, "205 ")],
    );
    let length = match status {
        "204 No Content" => "",
        "205 " => "Content-Length: 0\r\n",
        _ => weighted(
            random,
            &[
                (2, ""),
                (1, "Content-Length: 0\r\n"),
                (1, "Content-Length: 77\r\n"),
            ],
        ),
    };
    let mut bytes = format!("HTTP/1.1 {status}\r\n{length}").into_bytes();
    bytes.extend(fields(random));
    bytes.extend(b"\r\n");
    Answer {
        pieces: vec![bytes],
        ..Answer::default()
    }
}

/// A legal answer over many writes.
fn in_pieces(random: &mut Random, of: For) -> Answer {
    let mut answer = legal(random, of);
    let whole = answer.pieces.concat();
    let first = random.below(80).min(whole.len() as u64) as usize;
    let (head, rest) = whole.split_at(first);
    let mut pieces = cut(random, head, 3);
    pieces.extend(cut(random, rest, 2));
    answer.pieces = pieces;
    answer.pause_ms = 2;
    answer
}

/// What asks for fewer requests.
fn pushing_back(random: &mut Random) -> Answer {
    const HEADS: &[&str] = &[
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n",
        "HTTP/1.1 429 Too Many Requests\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n",
        "HTTP/1.1 503 Service Unavailable\r\n",
        "HTTP/1.1 503 \r\nretry-after: Tue, 15 Nov 1994 08:12:31 GMT\r\n",
        "HTTP/1.1 429 \r\nRetry-After: never\r\nRetry-After: 1\r\n",
    ];
    let head = pick(random, HEADS);
    Answer {
        pieces: vec![format!("{head}Content-Length: 0\r\n\r\n").into_bytes()],
        ..Answer::default()
    }
}

/// Breaks off in the head or in the body.
fn broken(random: &mut Random) -> Answer {
    // Not one byte: whether that is tried again depends on the connection, which has its own class.
    const BROKEN: &[&[u8]] = &[
        b"H",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200",
    ];
    Answer {
        pieces: vec![pick(random, BROKEN).to_vec()],
        end: weighted(random, &[(3, End::Close), (1, End::Reset)]),
        ..Answer::default()
    }
}

/// A whole answer, and bytes behind it that nobody asked for.
fn extra(random: &mut Random, of: For) -> Answer {
    const EXTRA: &[&[u8]] = &[
        b"x",
        b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-Smuggled: 1\r\nContent-Length: 8\r\n\r\nsmuggled",
    ];
    let mut answer = plain("200 OK", b"hello", of.is_head);
    let behind = pick(random, EXTRA).to_vec();
    if random.chance(0.5) {
        answer.pieces[0].extend(behind);
    } else {
        answer.pieces.push(behind);
    }
    answer.taints = Some("bytes behind the answer");
    answer
}

fn faulty(random: &mut Random) -> Answer {
    Answer {
        pieces: vec![pick(random, FAULTY).to_vec()],
        end: End::Close,
        taints: Some("a faulty answer"),
        ..Answer::default()
    }
}
