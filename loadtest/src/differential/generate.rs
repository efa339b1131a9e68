//! Exchanges, drawn from a seed: the same seed and number give the same one.
//!
//! Exchanges of one slot run one after the other and share upstreams with nobody, so that what is
//! kept open is the same for both gateways.

use super::answers::{self, For};
use super::choice::{cut, pick, weighted};
use super::exchange::{Answer, Door, End, Exchange, Step};
use super::requests::{self, Request, Target};
use crate::random::Random;

/// Sets of contracts and upstreams.
pub(super) const SLOTS: usize = 16;
/// After this silence nothing more is expected of what may be no request.
const SILENCE_MS: u64 = 200;
/// Between two writes that are to be read apart.
const APART_MS: u64 = 3;
/// How long a client is away before the upstream says the rest.
const AWAY_MS: u64 = 25;

#[derive(Debug, Clone, Copy)]
enum Class {
    InTurn,
    Pipelined,
    Kept,
    Fresh,
    Mangled,
    HalfClosed,
    LeavesInRequest,
    LeavesInAnswer,
    Expects,
    Upgrades,
    Early,
    Slow,
}

const CLASSES: &[(u64, Class)] = &[
    (480, Class::InTurn),
    (190, Class::Pipelined),
    (40, Class::Kept),
    (20, Class::Fresh),
    (110, Class::Mangled),
    (20, Class::HalfClosed),
    (20, Class::LeavesInRequest),
    (15, Class::LeavesInAnswer),
    (30, Class::Expects),
    (20, Class::Upgrades),
    (30, Class::Early),
    (4, Class::Slow),
];

/// The exchange of this number.
pub(super) fn exchange(seed: u64, number: u64) -> Exchange {
    let mut random = Random::item(seed, number);
    let random = &mut random;
    let class = weighted(random, CLASSES);
    let mut exchange = Exchange {
        number,
        class: format!("{class:?}"),
        slot: (number % SLOTS as u64) as usize,
        fresh: random.chance(0.1),
        door: weighted(random, &[(4, Door::Control), (1, Door::Observe)]),
        ..Exchange::default()
    };
    match class {
        Class::InTurn => in_turn(random, &mut exchange),
        Class::Pipelined => pipelined(random, &mut exchange),
        Class::Kept => kept(random, &mut exchange),
        Class::Fresh => fresh(random, &mut exchange),
        Class::Mangled => mangled(random, &mut exchange),
        Class::HalfClosed => half_closed(random, &mut exchange),
        Class::LeavesInRequest => leaves_in_request(random, &mut exchange),
        Class::LeavesInAnswer => leaves_in_answer(random, &mut exchange),
        Class::Expects => expects(random, &mut exchange),
        Class::Upgrades => upgrades(random, &mut exchange),
        Class::Early => early(random, &mut exchange),
        Class::Slow => slow(random, &mut exchange),
    }
    exchange
}

/// One ordinary request more, which shows whether the connection is kept and whose answers it
/// brings.
fn sentinel(exchange: &mut Exchange) {
    let case = exchange.case(exchange.scripts.len());
    let target = requests::plain_target(exchange.slot);
    let request = requests::plain(&case, &target, "GET", b"");
    let last = answers::plain("200 OK", format!("last of {case}").as_bytes(), false);
    exchange.scripts.push((case, vec![last]));
    exchange.steps.push(Step::Send(request.bytes));
    exchange.steps.push(Step::Expect(vec![false]));
    exchange.requests += 1;
}

/// A request with its answer, drawn.
fn drawn(random: &mut Random, exchange: &mut Exchange) -> Request {
    let case = exchange.case(exchange.scripts.len());
    let target = requests::target(random, exchange.slot);
    let request = requests::request(random, &case, &target);
    let of = For {
        is_head: request.is_head,
        may_push_back: target.may_push_back,
        may_break: target.is_own,
    };
    let script = answers::script(random, of);
    exchange.scripts.push((case, script));
    exchange.requests += 1;
    request
}

fn in_turn(random: &mut Random, exchange: &mut Exchange) {
    let count = weighted(random, &[(3, 1), (3, 2), (2, 3), (1, 5)]);
    for _ in 0..count {
        let request = drawn(random, exchange);
        send(random, exchange, &request);
        exchange.steps.push(Step::Expect(vec![request.is_head]));
        if request.closes {
            break;
        }
    }
    sentinel(exchange);
}

/// Writes a request: mostly at once, else in pieces.
fn send(random: &mut Random, exchange: &mut Exchange, request: &Request) {
    let (head, body) = request.bytes.split_at(request.head);
    let pieces = match random.below(10) {
        0 if !body.is_empty() => vec![head.to_vec(), body.to_vec()],
        1 => cut(random, &request.bytes, 3),
        2 => [cut(random, head, 2), vec![body.to_vec()]].concat(),
        3 if !body.is_empty() => {
            // All but the last byte.
            let (most, last) = request.bytes.split_at(request.bytes.len() - 1);
            vec![most.to_vec(), last.to_vec()]
        }
        _ => vec![request.bytes.clone()],
    };
    for (n, piece) in pieces.into_iter().filter(|p| !p.is_empty()).enumerate() {
        if n > 0 {
            exchange.steps.push(Step::Pause(APART_MS));
        }
        exchange.steps.push(Step::Send(piece));
    }
}

fn pipelined(random: &mut Random, exchange: &mut Exchange) {
    let count = 2 + random.below(4);
    let mut bytes = Vec::new();
    let mut heads = Vec::new();
    for _ in 0..count {
        let request = drawn(random, exchange);
        bytes.extend(&request.bytes);
        heads.push(request.is_head);
        if request.closes && random.chance(0.8) {
            break;
        }
    }
    let cuts = weighted(random, &[(4, 0), (1, 1), (1, 3)]);
    for (n, piece) in cut(random, &bytes, cuts).into_iter().enumerate() {
        if n > 0 {
            exchange.steps.push(Step::Pause(APART_MS));
        }
        exchange.steps.push(Step::Send(piece));
    }
    exchange.steps.push(Step::Expect(heads));
    sentinel(exchange);
}

/// What an upstream does with a connection instead of answering.
fn silent_end(random: &mut Random) -> Answer {
    Answer {
        end: weighted(random, &[(2, End::Close), (1, End::Reset)]),
        ..Answer::default()
    }
}

const PLAIN: &[&str] = &["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH"];

fn plain_request(
    random: &mut Random,
    exchange: &Exchange,
    method: &str,
    body: &[u8],
) -> (String, Request) {
    let case = exchange.case(exchange.scripts.len());
    let target = requests::plain_target(exchange.slot);
    let mut request = requests::plain(&case, &target, method, body);
    if random.chance(0.3) {
        request.add_fields("User-Agent: x\r\n");
    }
    (case, request)
}

/// A kept connection closes as the next request of the same kind comes, or before.
fn kept(random: &mut Random, exchange: &mut Exchange) {
    exchange.fresh = true;
    let method = pick(random, PLAIN);
    let body: &[u8] = if matches!(method, "POST" | "PUT" | "PATCH") {
        b"abc"
    } else {
        b""
    };
    let (case, request) = plain_request(random, exchange, method, body);
    let is_head = request.is_head;
    let closes_unasked = random.chance(0.3);
    let mut first = answers::plain("200 OK", b"first", is_head);
    if closes_unasked {
        first.end = End::Close;
    }
    exchange.scripts.push((case, vec![first]));
    exchange.steps.push(Step::Send(request.bytes));
    exchange.steps.push(Step::Expect(vec![is_head]));
    if closes_unasked {
        exchange.steps.push(Step::Pause(APART_MS));
    }
    let (case, request) = plain_request(random, exchange, method, body);
    let again = answers::plain("200 OK", b"again", is_head);
    let script = match (closes_unasked, random.below(3)) {
        (true, _) => vec![again],
        (false, 0) => vec![silent_end(random), silent_end(random), again],
        (false, _) => vec![silent_end(random), again],
    };
    exchange.scripts.push((case, script));
    exchange.steps.push(Step::Send(request.bytes));
    exchange.steps.push(Step::Expect(vec![is_head]));
    exchange.requests += 2;
    sentinel(exchange);
}

/// A connection that was made for the request closes without a byte.
fn fresh(random: &mut Random, exchange: &mut Exchange) {
    exchange.fresh = true;
    let method = pick(random, PLAIN);
    let (case, request) = plain_request(random, exchange, method, b"");
    let again = answers::plain("200 OK", b"again", request.is_head);
    let script = vec![silent_end(random), again];
    exchange.scripts.push((case, script));
    exchange.steps.push(Step::Send(request.bytes));
    exchange.steps.push(Step::Expect(vec![request.is_head]));
    exchange.requests += 1;
    sentinel(exchange);
}

/// A request with a few bytes changed.
fn mangled(random: &mut Random, exchange: &mut Exchange) {
    const INSERTED: &[&[u8]] = &[
        b"\0",
        b"\r",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b":",
        b"\x7f",
        b"\xff",
        b"\x0b",
        b"\r\n ",
        b"\r\n\r\n",
        b"HTTP/1.1",
        b"#",
        b"?",
        b"%",
        b",",
        b"\x1b",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    let request = drawn(random, exchange);
    let mut bytes = request.bytes;
    for _ in 0..=random.below(2) {
        // Bytes that were taken out before may have been of the head.
        let at = random.below(request.head.min(bytes.len()) as u64) as usize;
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => _ = bytes.remove(at),
            2 => bytes[at] = random.below(256) as u8,
            _ => _ = bytes.splice(at..at, pick(random, INSERTED).iter().copied()),
        }
    }
    exchange.fallback = Some(vec![answers::plain("200 OK", b"unnamed", false)]);
    let cuts = weighted(random, &[(5, 0), (1, 2)]);
    for (n, piece) in cut(random, &bytes, cuts).into_iter().enumerate() {
        if n > 0 {
            exchange.steps.push(Step::Pause(APART_MS));
        }
        exchange.steps.push(Step::Send(piece));
    }
    exchange.steps.push(Step::Quiet(SILENCE_MS));
}

/// A client that says nothing more once it has asked; the upstream answers behind that.
fn half_closed(random: &mut Random, exchange: &mut Exchange) {
    // Whether the end of the client is read before its body has gone on is chance.
    exchange.body_races = true;
    let method = pick(random, PLAIN);
    let body: &[u8] = weighted(random, &[(1, b"".as_slice()), (1, b"abc")]);
    let (case, request) = plain_request(random, exchange, method, body);
    let mut answer = answers::plain("200 OK", b"hello", request.is_head);
    answer.held = true;
    exchange.scripts.push((case, vec![answer]));
    exchange.requests += 1;
    exchange.steps.push(Step::Send(request.bytes));
    if random.chance(0.5) {
        exchange.steps.push(Step::AwaitUpstream);
    }
    exchange.steps.push(Step::HalfClose);
    exchange.steps.push(Step::Pause(AWAY_MS));
    exchange.steps.push(Step::Release);
    exchange.steps.push(Step::Quiet(SILENCE_MS));
    exchange.settle_ms = AWAY_MS;
    exchange.fresh = true;
}

/// A client that leaves before its request is whole.
fn leaves_in_request(random: &mut Random, exchange: &mut Exchange) {
    let request = drawn(random, exchange);
    let at = 1 + random.below(request.bytes.len() as u64 - 1) as usize;
    exchange
        .steps
        .push(Step::Send(request.bytes[..at].to_vec()));
    exchange.steps.push(Step::Pause(AWAY_MS));
    exchange
        .steps
        .push(weighted(random, &[(2, Leaving::Close), (1, Leaving::Reset)]).step());
    exchange.body_races = true;
    exchange.settle_ms = AWAY_MS;
}

#[derive(Clone, Copy)]
enum Leaving {
    Close,
    Reset,
}

impl Leaving {
    const fn step(self) -> Step {
        match self {
            Self::Close => Step::Close,
            Self::Reset => Step::Reset,
        }
    }
}

/// A client that leaves while the upstream has not said everything.
fn leaves_in_answer(random: &mut Random, exchange: &mut Exchange) {
    let method = pick(random, PLAIN);
    let (case, request) = plain_request(random, exchange, method, b"");
    let has_begun = random.chance(0.5) && method != "HEAD";
    let whole: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhellohello";
    let pieces = match (has_begun, method) {
        (true, _) => vec![whole[..whole.len() - 5].to_vec(), b"hello".to_vec()],
        (false, "HEAD") => vec![whole[..whole.len() - 10].to_vec()],
        (false, _) => vec![whole.to_vec()],
    };
    let answer = Answer {
        pieces,
        held: true,
        ..Answer::default()
    };
    exchange.scripts.push((case, vec![answer]));
    exchange.requests += 1;
    exchange.steps.push(Step::Send(request.bytes));
    exchange.steps.push(Step::AwaitUpstream);
    if has_begun {
        exchange.steps.push(Step::Quiet(SILENCE_MS));
    }
    exchange
        .steps
        .push(weighted(random, &[(2, Leaving::Close), (1, Leaving::Reset)]).step());
    exchange.steps.push(Step::Pause(AWAY_MS));
    exchange.steps.push(Step::Release);
    exchange.settle_ms = AWAY_MS;
    exchange.fresh = true;
}

/// A client that waits for leave to send its body.
fn expects(random: &mut Random, exchange: &mut Exchange) {
    let case = exchange.case(exchange.scripts.len());
    let target = requests::plain_target(exchange.slot);
    let method = pick(random, &["POST", "PUT", "GET"]);
    let mut request = requests::plain(&case, &target, method, b"0123456789");
    let field = pick(
        random,
        &[
            "Expect: 100-continue\r\n",
            "expect: 100-Continue\r\n",
            "Expect: 100-continue\r\nExpect: 100-continue\r\n",
            "Expect: \r\n",
            "Expect: x\r\n",
        ],
    );
    request.add_fields(field);
    let mut answer = answers::plain("200 OK", b"taken", request.is_head);
    match random.below(4) {
        0 => {}
        1 => {
            answer = answers::plain("417 Expectation Failed", b"no", request.is_head);
            answer.early = true;
            exchange.body_races = true;
        }
        _ => answer.greeting = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
    }
    let whole = random.chance(0.3);
    exchange.scripts.push((case, vec![answer]));
    exchange.requests += 1;
    let (head, body) = request.bytes.split_at(request.head);
    if whole {
        exchange.steps.push(Step::Send(request.bytes.clone()));
    } else {
        exchange.steps.push(Step::Send(head.to_vec()));
        exchange.steps.push(Step::Interim(SILENCE_MS));
        exchange.steps.push(Step::Send(body.to_vec()));
    }
    exchange.steps.push(Step::Expect(vec![request.is_head]));
    sentinel(exchange);
}

/// Asks for another protocol, where the contract lets it and where it does not.
fn upgrades(random: &mut Random, exchange: &mut Exchange) {
    let case = exchange.case(exchange.scripts.len());
    let place = pick(random, &["ws", "o"]);
    let target = Target {
        text: format!("/w{}/{place}/7", exchange.slot).into_bytes(),
        is_own: true,
        may_push_back: false,
    };
    let mut request = requests::plain(&case, &target, "GET", b"");
    let fields = pick(
        random,
        &[
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
            "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
            "Upgrade: websocket\r\n",
            "Upgrade: other, websocket\r\nConnection: Upgrade\r\n",
        ],
    );
    request.add_fields(fields);
    let answer = match random.below(3) {
        0 => Answer {
            pieces: vec![b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n".to_vec()],
            end: End::Close,
            taints: Some("another protocol"),
            ..Answer::default()
        },
        1 => answers::plain("426 Upgrade Required", b"no", false),
        _ => answers::plain("200 OK", b"plain", false),
    };
    exchange.scripts.push((case, vec![answer]));
    exchange.requests += 1;
    exchange.steps.push(Step::Send(request.bytes));
    exchange.steps.push(Step::Quiet(SILENCE_MS));
    exchange.settle_ms = AWAY_MS;
}

/// An answer that does not wait for the body, and a body that comes all the same, or not.
fn early(random: &mut Random, exchange: &mut Exchange) {
    let case = exchange.case(exchange.scripts.len());
    let target = requests::plain_target(exchange.slot);
    let body = super::choice::filler(weighted(random, &[(3, 20), (1, 5_000)]));
    let request = requests::plain(&case, &target, pick(random, &["POST", "PUT"]), &body);
    let mut answer = answers::plain("403 Forbidden", b"early", false);
    answer.early = true;
    if random.chance(0.5) {
        answer.end = End::Close;
        answer.taints = Some("an early answer");
    }
    exchange.body_races = true;
    exchange.scripts.push((case, vec![answer]));
    exchange.requests += 1;
    let (head, body) = request.bytes.split_at(request.head);
    exchange.steps.push(Step::Send(head.to_vec()));
    exchange.steps.push(Step::Interim(SILENCE_MS));
    match random.below(3) {
        0 => exchange.steps.push(Step::Close),
        _ => exchange.steps.push(Step::Send(body.to_vec())),
    }
    exchange.steps.push(Step::Quiet(SILENCE_MS));
    exchange.settle_ms = AWAY_MS;
    exchange.fresh = true;
}

/// An answer that comes later than the contract allows, at all or in its middle.
fn slow(random: &mut Random, exchange: &mut Exchange) {
    let case = exchange.case(exchange.scripts.len());
    let method = pick(random, PLAIN);
    let target = Target {
        text: format!("/w{}/slow/7", exchange.slot).into_bytes(),
        is_own: true,
        may_push_back: false,
    };
    let request = requests::plain(&case, &target, method, b"");
    let mut answer = answers::plain("200 OK", b"hello", request.is_head);
    if random.chance(0.5) {
        answer.wait_ms = 600;
    } else {
        let whole = answer.pieces.concat();
        let at = whole.len() - 3;
        answer.pieces = vec![whole[..at].to_vec(), whole[at..].to_vec()];
        answer.pause_ms = 600;
    }
    answer.end = End::Close;
    exchange.scripts.push((case, vec![answer]));
    exchange.requests += 1;
    exchange.door = Door::Control;
    exchange.fresh = true;
    exchange.steps.push(Step::Send(request.bytes));
    exchange.steps.push(Step::Expect(vec![request.is_head]));
    sentinel(exchange);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gives_the_same_exchange_and_all_classes_occur() {
        let mut classes = std::collections::BTreeSet::new();
        for number in 0..3_000 {
            let one = exchange(7, number);
            assert_eq!(one, exchange(7, number));
            assert!(one.requests > 0 && !one.steps.is_empty(), "{}", one.told());
            assert_eq!(one.scripts.len(), one.requests, "{}", one.told());
            classes.insert(one.class);
        }
        assert_eq!(classes.len(), CLASSES.len());
        assert_ne!(exchange(7, 1), exchange(8, 1));
    }
}
