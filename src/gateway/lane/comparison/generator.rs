//! Answers of upstreams, ordinary and not, from a seed.

use std::fmt;

use super::Said;

/// Numbers that a seed gives (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// One exchange: what the upstream sends in which reads, and how it was asked.
pub(super) struct Upstream {
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) to_head: bool,
    pub(super) client_keeps: bool,
    pub(super) said: Said,
}

impl Upstream {
    /// Whether a head says `close` behind its first `Connection` field.
    pub(super) fn says_close_later(&self) -> bool {
        let all = self.pieces.concat().to_ascii_lowercase();
        let text = String::from_utf8_lossy(&all);
        // Lines may end with LF alone; each head begins anew.
        text.split("http/1.").any(|head| {
            let mut fields = head
                .lines()
                .filter_map(|line| line.strip_prefix("connection"));
            fields.next();
            fields.any(|value| value.contains("close"))
        })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "HEAD {} {:?}", self.to_head, self.said)?;
        for piece in &self.pieces {
            writeln!(f, "[{}]", piece.escape_ascii())?;
        }
        Ok(())
    }
}

const LINES: &[&str] = &[
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 Fine, thanks",
    "HTTP/1.1 200 ",
    "HTTP/1.1 200",
    "HTTP/1.1 201 Created",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 205 Reset Content",
    "HTTP/1.1 206 Partial Content",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 404 Not Found",
    "HTTP/1.1 429 Too Many Requests",
    "HTTP/1.1 503 Service Unavailable",
    "HTTP/1.1 503 B\u{fc}sy",
    "HTTP/1.0 200 OK",
    "HTTP/1.0 200 OK",
    "HTTP/1.0 204 No Content",
    "HTTP/1.1 999 Odd",
    "HTTP/1.1 799",
];
const ODD_LINES: &[&str] = &[
    "HTTP/1.1 099 Low",
    "HTTP/1.1 000",
    "HTTP/2.0 200 OK",
    "HTTP/1.2 200 OK",
    "HTTP/1.1 101 Switching Protocols",
    "HTTP/1.1 20 OK",
    "HTTP/1.1  200 OK",
    "HTTP/1.1 2000 OK",
    "http/1.1 200 OK",
    "\r\nHTTP/1.1 200 OK",
    "HTTP/1.1\t200 OK",
    "HTTP/1.1 200 O\u{1}K",
];
const INTERIMS: &[&str] = &[
    "HTTP/1.1 103 Early Hints",
    "HTTP/1.1 100 Continue",
    "HTTP/1.0 102 Processing",
    "HTTP/1.1 199",
];
/// What answers say, and what the gateway looks at.
const FIELDS: &[&str] = &[
    "Server: nginx/1.22.1",
    "server: other",
    "Content-Type: application/json",
    "content-type: text/plain; charset=utf-8",
    "Cache-Control: no-store",
    "CACHE-CONTROL: private",
    "ETag: \"63-1\"",
    "Set-Cookie: a=1; Path=/",
    "Set-Cookie: b=2",
    "set-cookie: c=3",
    "Vary: Accept",
    "X-Empty:",
    "X-Space : 1",
    "X-Spaces:   \t padded \t ",
    "X-Bytes: \u{e9}\u{fc}",
    "Date: Mon, 01 Jan 2024 00:00:00 GMT",
    "date: twice",
    "Connection: keep-alive",
    "Connection: close",
    "connection: Close",
    "Connection: X-Hop, Server",
    "Connection: close, x-hop, content-length, date, transfer-encoding",
    "Connection: upgrade",
    "Connection: keep-alive, x-second",
    "Connection: , ,,x hop, \u{e9}, connection, set-cookie",
    "Connection: retry-after, tidegate-risk",
    "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,server,vary",
    "Connection: close, close, keep-alive,a,,c,d,e,f,g,h,i,j,k,l,m,n,vary,server",
    "Keep-Alive: timeout=5, max=100",
    "keep-alive: timeout=0",
    "Proxy-Connection: keep-alive",
    "X-Hop: 1",
    "x-hop: 2",
    "X-Second: 1",
    "Upgrade: websocket",
    "Trailer: X-Sum",
    "Retry-After: 5",
    "retry-after: 7",
    "Tidegate-Risk: forged",
    "tidegate-risk: twice",
    "TIDEGATE-Decision-Id: forged",
    "Tidegate-Contract: forged",
    "RateLimit: upstream",
    "ratelimit: twice",
    "RateLimit-Policy: upstream",
    "Deprecation: @1",
    "Sunset: never",
    "Link: </a>; rel=\"next\"",
    "link: </b>; rel=\"last\"",
    "X-Folded: one\r\n two\r\n\tthree",
    "X-Folded: \r\n  late",
    "X-Folded: early \r\n ",
    "Connection: close,\r\n x-hop",
    "Retry-After:\r\n 9",
];
const ODD_FIELDS: &[&str] = &[
    "no colon",
    ": no name",
    " leading: space",
    "X-Nul: a\0b",
    "X-Cr: a\rb",
    "X-Del: a\u{7f}b",
    "X-\"Quote: 1",
    "X(Y): 1",
    "Content-Length: 5, 6",
    "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 5,",
    "Content-Length:",
    "Content-Length: \u{e9}",
    "Content-Length: 5 5",
    "Content-Length: 18446744073709551616",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding:",
    "Transfer-Encoding: identity",
];

impl Upstream {
    /// An answer to an ordinary request, in these reads.
    pub(super) fn plain(pieces: Vec<Vec<u8>>) -> Self {
        Self {
            pieces,
            to_head: false,
            client_keeps: true,
            said: Said {
                quotas: false,
                notice: false,
                exposed: false,
            },
        }
    }

    pub(super) fn of(dice: &mut Dice) -> Self {
        let mut bytes = Vec::new();
        if dice.one_in(6) {
            for _ in 0..=dice.below(2) {
                head(dice, INTERIMS, "", &mut bytes);
            }
        }
        let lines = if dice.one_in(12) { ODD_LINES } else { LINES };
        let (framing, body) = body(dice);
        head(dice, lines, &framing, &mut bytes);
        bytes.extend_from_slice(&body);
        Self {
            pieces: pieces(dice, &bytes),
            to_head: dice.one_in(8),
            client_keeps: !dice.one_in(4),
            said: Said {
                quotas: dice.one_in(2),
                notice: dice.one_in(2),
                exposed: dice.one_in(2),
            },
        }
    }
}

fn head(dice: &mut Dice, lines: &[&str], framing: &str, out: &mut Vec<u8>) {
    let end = if dice.one_in(20) { "\n" } else { "\r\n" };
    let mut fields: Vec<String> = vec![];
    if !framing.is_empty() {
        fields.extend(framing.split('|').map(str::to_owned));
    }
    for _ in 0..dice.below(9) {
        let at = dice.below(fields.len() + 1);
        fields.insert(at, dice.of(FIELDS).to_owned());
    }
    if dice.one_in(20) {
        let at = dice.below(fields.len() + 1);
        fields.insert(at, dice.of(ODD_FIELDS).to_owned());
    }
    if dice.one_in(60) {
        // Around the most fields that one head may have.
        let more = 240 + dice.below(20);
        fields.extend((0..more).map(|n| format!("X-{}: {n}", n % 230)));
    }
    let line = dice.of(lines);
    for line in std::iter::once(line).chain(fields.iter().map(String::as_str)) {
        // Letters beyond ASCII as the one byte that old servers send for them.
        if dice.one_in(2) {
            out.extend(line.chars().map(|c| u8::try_from(u32::from(c)).unwrap()));
        } else {
            out.extend_from_slice(line.as_bytes());
        }
        out.extend_from_slice(end.as_bytes());
    }
    out.extend_from_slice(end.as_bytes());
}

/// The fields that frame, divided by `|`, and what follows the head.
fn body(dice: &mut Dice) -> (String, Vec<u8>) {
    let len = [0, 1, 5, 23, 23, 60, 60, 300, 300, 5_000][dice.below(10)];
    let mut bytes: Vec<u8> = (0..len)
        .map(|n| b'a' + u8::try_from(n % 26).unwrap())
        .collect();
    let said = bytes.len();
    let framing = match dice.below(12) {
        0..=4 => format!("Content-Length: {said}"),
        5 => format!("content-length: {said}|Content-Length: {said}"),
        6 => format!("Content-Length: {said}, 0{said}"),
        7 => String::new(),
        8 => {
            bytes = chunked(dice, &bytes);
            format!("Content-Length: {said}|Transfer-Encoding: chunked")
        }
        9 => {
            bytes = chunked(dice, &bytes);
            "transfer-encoding: Chunked".to_owned()
        }
        10 => {
            bytes = chunked(dice, &bytes);
            let doubled = "Transfer-Encoding: chunked|Transfer-Encoding: chunked";
            doubled[..if dice.one_in(4) { doubled.len() } else { 26 }].to_owned()
        }
        _ => {
            bytes = chunked(dice, &bytes);
            "Transfer-Encoding: chunked".to_owned()
        }
    };
    if dice.one_in(8) {
        bytes.truncate(dice.below(bytes.len() + 1));
    }
    if dice.one_in(8) {
        bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
    }
    if dice.one_in(12) && !bytes.is_empty() {
        let at = dice.below(bytes.len());
        bytes[at] = [b'\r', b'\n', b';', b' ', b'0', b'f', 0xff][dice.below(7)];
    }
    (framing, bytes)
}

fn chunked(dice: &mut Dice, bytes: &[u8]) -> Vec<u8> {
    const ENDS: &[&str] = &[
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n",
        ";a=b\r\n",
        " \r\n",
        " ;\"x y\r\n",
        "\t;\n\r\n",
        "; \r \n",
    ];
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let most = if dice.one_in(2) { 8 } else { rest.len() };
        let (chunk, behind) = rest.split_at(1 + dice.below(most.min(rest.len())));
        rest = behind;
        let zeros = ["", "", "", "0", "00000000000", "000000000000000000"][dice.below(6)];
        out.extend_from_slice(format!("{zeros}{:x}", chunk.len()).as_bytes());
        out.extend_from_slice(dice.of(ENDS).as_bytes());
        if dice.one_in(200) {
            out.truncate(out.len() - 2);
            out.extend(std::iter::repeat_n(b' ', 8_190 + dice.below(5)));
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    const LAST: &[&str] = &[
        "0\r\n\r\n",
        "0\r\n\r\n",
        "0\r\n\r\n",
        "0\r\n\r\n",
        "000;x\r\n\r\n",
        "\r\n\r\n",
        "0\r\nX-Sum: 1\r\n\r\n",
        "0\r\nA: 1\r\nB: 2\r\n\r\n",
        "0\r\nA: 1\nB: 2\r\n\r\n",
        "0\r\nA: 1\rB: 2\r\n\r\n",
        "0\r\n\n",
        "0\n\r\n",
        "0\r\n\rx",
        "ffffffffffffffff\r\n",
        "fffffffffffffff0\r\nab",
    ];
    out.extend_from_slice(dice.of(LAST).as_bytes());
    if dice.one_in(60) {
        out.truncate(out.len().saturating_sub(2));
        out.extend_from_slice(b"T: ");
        let long = 65_530 + dice.below(10);
        out.extend(std::iter::repeat_n(b't', long));
        out.extend_from_slice(b"\r\n\r\n");
    }
    out
}

/// What is read at once, never more than Pingora has room for.
fn pieces(dice: &mut Dice, bytes: &[u8]) -> Vec<Vec<u8>> {
    const READ_MAX: usize = 4_000;
    let few = dice.below(3);
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let most = rest.len().min(READ_MAX);
        let len = match few {
            0 => most,
            1 => 1 + dice.below(most),
            // A byte at a time where that is not too slow.
            _ if bytes.len() < 2_000 => 1 + dice.below(3).min(most - 1),
            _ => 1 + dice.below(most.min(400)),
        };
        let (piece, behind) = rest.split_at(len);
        pieces.push(piece.to_vec());
        rest = behind;
    }
    pieces
}
