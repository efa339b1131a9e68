//! Requests, drawn from a grammar: most are legal, some no client should send.

use super::choice::{filler, pick, weighted};
use super::exchange::CASE;
use crate::accept::hostile::spellings::spellings;
use crate::random::Random;

/// A request as bytes, and what a driver has to know of it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// The whole message.
    pub(super) bytes: Vec<u8>,
    /// Where its head ends.
    pub(super) head: usize,
    pub(super) is_head: bool,
    /// The client says that it is the last one.
    pub(super) closes: bool,
}

impl Request {
    /// Puts field lines, each with its end, behind those of the head.
    pub(super) fn add_fields(&mut self, lines: &str) {
        let at = self.head - 2;
        self.bytes.splice(at..at, lines.bytes());
        self.head += lines.len();
    }
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) text: Vec<u8>,
    /// Its contract has an upstream that nobody else uses.
    pub(super) is_own: bool,
    /// Its upstream's pushing back disturbs nobody else.
    pub(super) may_push_back: bool,
}

const METHODS: &[(u64, &str)] = &[
    (40, "GET"),
    (6, "HEAD"),
    (20, "POST"),
    (8, "PUT"),
    (4, "PATCH"),
    (6, "DELETE"),
    (3, "OPTIONS"),
    (1, "TRACE"),
    (1, "get"),
    (1, "PROPFIND"),
    (1, "PURGE"),
    (1, "X-UNUSUAL!"),
];

const IDS: &[&str] = &[
    "7",
    "abc",
    "a-b_c.d~e",
    "0",
    "550e8400-e29b-41d4-a716-446655440000",
    "caf%C3%A9",
    "%41%42",
    "%7euser",
    "a%20b",
    "a+b",
    "a;v=1",
    "a:b@c",
    "x'y(z)*!$&,=",
    "a%2Fb",
    "a%2fb",
    ".hidden",
    "...",
    "UPPER",
];

const QUERIES: &[(u64, &str)] = &[
    (12, ""),
    (4, "?a=b"),
    (2, "?"),
    (1, "?q=/../%2e%2e;x&r=%zz"),
    (1, "?a=b?c=d&&=&x"),
    (1, "?{}|^"),
    (1, "?q=%00%ff"),
    (1, "?/"),
];

/// The places of a slot; `{}` is an identifier. With whether its upstream is the slot's own.
const PLACES: &[(u64, &str)] = &[
    (40, "/w@/o/{}"),
    (8, "/w@/g/{}"),
    (5, "/w@/small/{}"),
    (3, "/w@/e/{}"),
    (3, "/w@/m/{}"),
    (4, "/w@/r/{}/x/{}"),
    (6, "/w@/push/{}"),
    (2, "/w@/shut/{}"),
    (3, "/w@/old/{}"),
    (3, "/w@/obs/{}"),
    (3, "/w@/who/{}"),
    (3, "/w@/lim/{}"),
    (2, "/w@/ws/{}"),
    (2, "/w@/st/{}"),
    (2, "/w@/fix"),
];
const UNKNOWN: &[&str] = &[
    "/",
    "/nowhere",
    "/w@",
    "/w@/o",
    "/w@/o/",
    "/w@/o/7/",
    "/w@/O/7",
    "/w@/o/7/8",
    "/W@/o/7",
    "/favicon.ico",
    "/w@/unknown/7",
];

/// A target of the slot.
pub(super) fn target(random: &mut Random, slot: usize) -> Target {
    let kind = random.below(100);
    let place = match kind {
        0..=5 => pick(random, UNKNOWN),
        _ => weighted(random, PLACES),
    };
    let mut text = place.replace('@', &slot.to_string());
    while text.contains("{}") {
        text = text.replacen("{}", pick(random, IDS), 1);
    }
    let mut own = kind > 5;
    let may_push_back = place.contains("/push/");
    let mut text = text.into_bytes();
    if (6..=13).contains(&kind) {
        let path = String::from_utf8_lossy(&text).into_owned();
        text = spellings(&[path.as_str()], 1, random.bits()).concat();
        own = false;
    }
    text.extend(weighted(random, QUERIES).as_bytes());
    let authority: &[u8] = match random.below(60) {
        0 => b"http://load",
        1 => b"HTTP://LOAD",
        2 => b"http://other",
        _ => b"",
    };
    text.splice(0..0, authority.iter().copied());
    Target {
        text,
        is_own: own,
        may_push_back,
    }
}

/// A target of the slot's first contract, without anything special.
pub(super) fn plain_target(slot: usize) -> Target {
    Target {
        text: format!("/w{slot}/o/7").into_bytes(),
        is_own: true,
        may_push_back: false,
    }
}

const FIELDS: &[&str] = &[
    "User-Agent: probe/1.0",
    "user-agent: Mozilla/5.0 (X11; Linux x86_64)",
    "Accept: */*",
    "ACCEPT: text/html, application/json;q=0.9",
    "Accept-Encoding: gzip, br",
    "accept-encoding: identity;q=0",
    "Accept-Language: de,en;q=0.5",
    "Authorization: Bearer abc.def.ghi",
    "Cookie: a=1; b=2",
    "Cookie: c=3",
    "cookie: d=4",
    "Content-Type: application/json",
    "content-type: application/x-www-form-urlencoded",
    "Content-Type: application/grpc",
    "Content-Encoding: gzip",
    "Range: bytes=0-4",
    "If-None-Match: \"abc\"",
    "If-Modified-Since: Tue, 15 Nov 1994 08:12:31 GMT",
    "Cache-Control: no-cache",
    "Pragma: no-cache",
    "Referer: http://a/b?c",
    "Origin: http://a",
    "Connection: keep-alive",
    "Connection: Keep-Alive",
    "connection: keep-alive, x-hop",
    "Connection: x-hop, , X-Second",
    "Connection: TE",
    "Connection: upgrade",
    "Connection: content-length",
    "Connection: host",
    "Connection: authorization",
    "Connection:",
    "Connection: a b",
    "Connection: \"close\"",
    "X-Hop: 1",
    "X-Second: 2",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Proxy-Connection: close",
    "Proxy-Authorization: Basic YTpi",
    "TE: trailers",
    "TE: gzip",
    "te: ",
    "Trailer: X-Sum",
    "Upgrade: h2c",
    "Upgrade: websocket",
    "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    "Max-Forwards: 0",
    "Max-Forwards: 10",
    "Max-Forwards: x",
    "X-Forwarded-For: 1.2.3.4",
    "x-forwarded-for: 5.6.7.8, 9.9.9.9",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil",
    "Forwarded: for=1.2.3.4",
    "X-Real-IP: 1.2.3.4",
    "X_Forwarded_For: 1.2.3.4",
    "Client-Cert: :x:",
    "Via: 1.0 fred",
    "Tidegate-Quarantine: forged",
    "tidegate-risk: 0",
    "Tidegate_Risk: 0",
    "X-Tidegate-Priority: high",
    "X-HTTP-Method-Override: DELETE",
    "X-Method-Override: PUT",
    "X-Original-URL: /admin",
    "X-Rewrite-URL: /admin",
    "X_Under: 1",
    "Content_Length: 5",
    "Transfer_Encoding: chunked",
    "x-retry-count: 2",
    "X-Retry-Count: x",
    "x-envoy-attempt-count: 3",
    "grpc-previous-rpc-attempts: 1",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "Traceparent: 00-ffffffffffffffffffffffffffffffff-0000000000000000-01",
    "traceparent: garbage",
    "tracestate: a=b",
    "X-Request-Id: 1234",
    "X-Caller: somebody",
    "Expect: 200-ok",
    "X-Empty:",
    "X-Blank:  \t ",
    "X-Obs: caf\u{e9}",
    "X-Tab: a\tb",
    "X-Twice: 1",
    "X-Twice: 2",
    "x-twice: 3",
    "X-MiXeD: vAlUe",
    "X-Padded:    padded   ",
    "X-Tight:tight",
    "!#$%&'*+.^_`|~: token",
    "X-Colon: a:b:c",
    "DNT: 1",
    "Sec-Fetch-Mode: cors",
    "Priority: u=1, i",
    "Early-Data: 1",
    "Upgrade-Insecure-Requests: 1",
    "Date: Tue, 15 Nov 1994 08:12:31 GMT",
    "Content-Length: 0",
    "Transfer-Encoding: identity",
];

/// How the body of a request is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Not,
    Length,
    Chunks,
    Both,
    Wrong,
}

/// A request for the target, named as the case.
pub(super) fn request(random: &mut Random, case: &str, target: &Target) -> Request {
    let method = weighted(random, METHODS);
    of_method(random, case, target, method)
}

/// The same with a method.
pub(super) fn of_method(random: &mut Random, case: &str, target: &Target, method: &str) -> Request {
    let version = weighted(random, &[(60, "HTTP/1.1"), (3, "HTTP/1.0")]);
    let told = told(random, method);
    let body = body(random, told);
    let mut lines = fields(random);
    let mut insert = |random: &mut Random, line: String| {
        let place = random.below(lines.len() as u64 + 1) as usize;
        lines.insert(place, line.into_bytes());
    };
    insert(random, format!("{CASE}: {case}"));
    for line in framing(random, told, body.len()) {
        insert(random, line);
    }
    host(random, version, &mut lines);
    let closes = random.chance(0.05);
    if closes {
        lines.push(pick(random, CLOSING).as_bytes().to_vec());
    }
    let mut bytes = [method.as_bytes(), b" ", &target.text, b" "].concat();
    bytes.extend(version.bytes());
    for line in lines {
        bytes.extend(b"\r\n");
        bytes.extend(line);
    }
    bytes.extend(b"\r\n\r\n");
    let head = bytes.len();
    match told {
        Told::Chunks | Told::Both => bytes.extend(chunks(random, &body)),
        _ => bytes.extend(&body),
    }
    Request {
        bytes,
        head,
        is_head: method == "HEAD",
        closes: closes || version == "HTTP/1.0",
    }
}

/// How clients say that it is the last request of a connection.
const CLOSING: &[&str] = &[
    "Connection: close",
    "connection: Close",
    "Connection: keep-alive, close",
];

/// How clients say that a body comes in chunks.
const CHUNKED: &[&str] = &["Transfer-Encoding: chunked", "transfer-encoding: Chunked"];

fn told(random: &mut Random, method: &str) -> Told {
    let wants_body = matches!(method, "POST" | "PUT" | "PATCH");
    match (wants_body, random.below(40)) {
        (true, 0..=27) | (false, 0..=1) => Told::Length,
        (true, 28..=36) | (false, 2) => Told::Chunks,
        (_, 37) => Told::Both,
        (_, 38) => Told::Wrong,
        _ => Told::Not,
    }
}

/// Of few bytes mostly, around the bound of a contract, and sometimes of many.
fn body(random: &mut Random, told: Told) -> Vec<u8> {
    const LENGTHS: &[(u64, usize)] = &[
        (6, 0),
        (6, 1),
        (20, 30),
        (6, 999),
        (6, 1001),
        (3, 20_000),
        (1, 200_000),
    ];
    match told {
        Told::Not => Vec::new(),
        _ => filler(weighted(random, LENGTHS)),
    }
}

/// The fields that tell of a body of `bytes`.
fn framing(random: &mut Random, told: Told, bytes: usize) -> Vec<String> {
    let length = format!("Content-Length: {bytes}");
    match told {
        Told::Not => Vec::new(),
        Told::Length => vec![length],
        Told::Chunks => vec![pick(random, CHUNKED).to_owned()],
        Told::Both => vec![length, "Transfer-Encoding: chunked".to_owned()],
        Told::Wrong => vec![wrong_length(random, bytes)],
    }
}

/// The same request in the plainest form, of a method, with a body where there is one.
pub(super) fn plain(case: &str, target: &Target, method: &str, body: &[u8]) -> Request {
    let length = match (method, body.len()) {
        ("GET" | "HEAD" | "DELETE", 0) => String::new(),
        (_, length) => format!("Content-Length: {length}\r\n"),
    };
    let front = [method.as_bytes(), b" ", &target.text].concat();
    let rest = format!(" HTTP/1.1\r\nHost: load\r\n{CASE}: {case}\r\n{length}\r\n");
    let mut bytes = [front, rest.into_bytes()].concat();
    let head = bytes.len();
    bytes.extend(body);
    Request {
        bytes,
        head,
        is_head: method == "HEAD",
        closes: false,
    }
}

fn fields(random: &mut Random) -> Vec<Vec<u8>> {
    let count = weighted(random, &[(4, 0), (6, 1), (6, 2), (6, 4), (4, 8), (1, 30)]);
    let mut lines: Vec<Vec<u8>> = (0..count)
        .map(|_| pick(random, FIELDS))
        // One byte a letter: what is above 0x7f stands for itself.
        .map(|line| line.chars().map(|letter| letter as u8).collect())
        .collect();
    match random.below(120) {
        0 => lines.extend((0..130).map(|n| format!("X-Many-{n}: {n}").into_bytes())),
        1 => lines.extend((0..94).map(|n| format!("X-Many: {n}").into_bytes())),
        2 => lines.push([b"X-Long: ".as_slice(), &filler(33_000)].concat()),
        3 => lines.push([b"X-Long: ".as_slice(), &filler(9_000)].concat()),
        _ => {}
    }
    lines
}

fn host(random: &mut Random, version: &str, lines: &mut Vec<Vec<u8>>) {
    let host = match random.below(60) {
        0 => return,
        1 => "Host:",
        2 => "Host: load:80",
        3 => "HOST: LOAD",
        4 => "Host: a, b",
        5 => "Host: [::1]:80",
        6 => "Host: us er@load",
        7 if version == "HTTP/1.0" => return,
        _ => "Host: load",
    };
    let place = match random.chance(0.8) {
        true => 0,
        false => random.below(lines.len() as u64 + 1) as usize,
    };
    lines.insert(place, host.as_bytes().to_vec());
    if random.chance(0.01) {
        lines.push(b"Host: load".to_vec());
    }
}

fn wrong_length(random: &mut Random, length: usize) -> String {
    match random.below(8) {
        0 => format!("Content-Length: +{length}"),
        1 => format!("Content-Length: {length}, {length}"),
        2 => format!("Content-Length: {length}\r\nContent-Length: {length}"),
        3 => "Content-Length: ".to_owned(),
        4 => "Content-Length: 0x5".to_owned(),
        5 => "Content-Length: 99999999999999999999".to_owned(),
        6 => format!("Content-Length: 00{length}"),
        _ => "Transfer-Encoding: gzip, chunked".to_owned(),
    }
}

fn chunks(random: &mut Random, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let extension = weighted(random, &[(8, ""), (1, ";a=b"), (1, ";")]);
    let cuts = random.below(4);
    for chunk in super::choice::cut(random, body, cuts) {
        bytes.extend(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        bytes.extend(&chunk);
        bytes.extend(b"\r\n");
    }
    let end = weighted(
        random,
        &[
            (20, "0\r\n\r\n"),
            (2, "0\r\nX-Sum: 1\r\n\r\n"),
            (1, "0\r\nContent-Length: 5\r\n\r\n"),
            (1, "00000\r\n\r\n"),
            (1, "zz\r\n\r\n"),
            (1, "0\n\n"),
            (1, "-0\r\n\r\n"),
        ],
    );
    bytes.extend(end.as_bytes());
    bytes
}
