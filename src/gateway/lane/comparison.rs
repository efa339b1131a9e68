//! The lane's answers beside those of Pingora's own sessions and the hooks' functions, byte for byte.
//!
//! Invariant: the oracle is what the full proxy runs, fed with the same reads. Deliberately not
//! here: rules one by one; they stand beside the code.

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::v1::{client, server};
use pingora::{Error, ErrorType};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::answer::{self, BodyEnd, FIELDS_MAX, OurFields};
use super::body::Relay;
use crate::gateway::answer_fields::AnswerFields;
use crate::gateway::failure::classify;
use crate::gateway::fields::{deprecate, expose, strip_response};
use crate::gateway::framing::mend;
use crate::gateway::governor::{Exposed, Failure};
use crate::gateway::quota::{self, Quota, Quotas};
use crate::gateway::respond::DECISION_ID;
use crate::rulebook::DeprecationNotice;

mod generator;
use generator::{Dice, Upstream};

/// What the client got and what became of the exchange.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    sent: String,
    failure: Option<Failure>,
    /// Whether the upstream's connection is used again; not looked at after a failure.
    keeps: bool,
    body_bytes: u64,
    /// `Retry-After` of each final head.
    retry_after: Option<String>,
}

/// What the gateway says of its own on an answer.
#[derive(Debug, Clone, Copy)]
struct Said {
    quotas: bool,
    notice: bool,
    exposed: bool,
}

impl Said {
    fn put(self, fields: &mut impl AnswerFields) -> pingora::Result<()> {
        let quota = Quota {
            per_minute: 600,
            remaining: 42,
            next_s: 1,
        };
        let quotas = Quotas {
            contract: self.quotas.then_some(quota),
            client: self.quotas.then_some(quota),
            address: None,
        };
        let notice = self.notice.then(DeprecationNotice::example);
        let exposed = self.exposed.then(|| Exposed {
            contract: Some("orders-read".into()),
            decision: "ALLOW",
            risk_bp: 421,
        });
        fields.insert(DECISION_ID, b"0198c0de")?;
        quota::tell(fields, quotas)?;
        deprecate(fields, notice.as_ref())?;
        expose(fields, exposed.as_ref())
    }
}

/// What the hooks do with a head.
fn hooks(head: &mut ResponseHeader, said: Said, outcome: &mut Outcome) -> pingora::Result<()> {
    mend(head, false)?;
    strip_response(head);
    if head.status.is_informational() {
        return Ok(());
    }
    let retry_after = head.headers.get(http::header::RETRY_AFTER);
    outcome.retry_after = retry_after.map(|value| text(value.as_bytes()));
    said.put(head)
}

/// What Pingora does with a head behind the hooks.
fn unbounded(head: &mut ResponseHeader, to_head: bool, end: bool) -> pingora::Result<()> {
    let no_body = to_head || matches!(head.status.as_u16(), 204 | 304);
    if !no_body
        && !head.status.is_informational()
        && !head.headers.contains_key(TRANSFER_ENCODING)
        && !head.headers.contains_key(CONTENT_LENGTH)
        && !end
    {
        head.set_version(http::Version::HTTP_11);
        head.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    Ok(())
}

async fn relayed(
    upstream: &mut client::HttpSession,
    client: &mut server::HttpSession,
    case: &Upstream,
    outcome: &mut Outcome,
) -> Result<(), Box<Error>> {
    loop {
        let (body, end) = match upstream
            .read_response_task()
            .await
            .map_err(Error::into_up)?
        {
            HttpTask::Header(mut head, end) => {
                hooks(&mut head, case.said, outcome)?;
                unbounded(&mut head, case.to_head, end)?;
                client.write_response_header(head).await?;
                (None, end)
            }
            HttpTask::Body(body, end) => (body, end),
            HttpTask::Done => (None, true),
            HttpTask::Failed(error) => return Err(error),
            HttpTask::UpgradedBody(..) | HttpTask::Trailer(_) => unreachable!("no switch"),
        };
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            client.write_body(&body).await?;
        }
        if end {
            client.finish_body().await?;
            return Ok(());
        }
    }
}

async fn feed(mut far: DuplexStream, pieces: &[Vec<u8>]) {
    for piece in pieces {
        far.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    drop(far);
}

async fn of_proxy(case: &Upstream) -> Outcome {
    let mut outcome = Outcome::nothing();
    let (near, far) = tokio::io::duplex(1 << 20);
    let mut upstream = client::HttpSession::new(Box::new(near));
    let method = if case.to_head { "HEAD" } else { "GET" };
    let request = RequestHeader::build(method, b"/", None).unwrap();
    upstream
        .write_request_header(Box::new(request))
        .await
        .unwrap();
    let (near, mut user) = tokio::io::duplex(1 << 22);
    let connection = if case.client_keeps { "x" } else { "close" };
    let asked = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
    user.write_all(asked.as_bytes()).await.unwrap();
    let mut client = server::HttpSession::new(Box::new(near));
    client.read_request().await.unwrap();
    client.respect_keepalive();
    let run = relayed(&mut upstream, &mut client, case, &mut outcome);
    let (result, ()) = tokio::join!(biased; run, feed(far, &case.pieces));
    outcome.body_bytes = client.body_bytes_sent() as u64;
    drop(client);
    let mut sent = Vec::new();
    user.read_to_end(&mut sent).await.unwrap();
    outcome.sent = text(&sent);
    match result {
        Ok(()) => {
            upstream.respect_keepalive();
            outcome.keeps = upstream.reuse().await.is_some();
        }
        Err(error) => outcome.failure = Some(classify(&error)),
    }
    outcome
}

impl Outcome {
    fn nothing() -> Self {
        Self {
            sent: String::new(),
            failure: None,
            keeps: false,
            body_bytes: 0,
            retry_after: None,
        }
    }
}

fn of_lane(case: &Upstream, date: &str) -> Outcome {
    let mut outcome = Outcome::nothing();
    let mut out = BytesMut::new();
    let result = through_lane(case, date, &mut out, &mut outcome);
    outcome.failure = result.err();
    outcome.sent = text(&out);
    outcome
}

fn through_lane(
    case: &Upstream,
    date: &str,
    out: &mut BytesMut,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let mut ours = OurFields::default();
    case.said.put(&mut ours).unwrap();
    let mut pieces = case.pieces.iter();
    let mut bytes: Vec<u8> = Vec::new();
    let (mut relay, to, keeps) = loop {
        let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let read = answer::read(&bytes, &mut slots, case.to_head);
        match read.map_err(|_| Failure::Garbage)? {
            None => bytes.extend(pieces.next().ok_or(Failure::Reset)?),
            Some(head) if head.is_interim() => {
                answer::write_interim(&head, out);
                let len = head.len;
                bytes.drain(..len);
            }
            Some(head) => {
                outcome.retry_after = head.retry_after().map(|value| text(&value));
                let to = answer::write(&head, &ours, date.as_bytes(), case.client_keeps, out);
                let (len, body, keeps) = (head.len, head.body, head.keeps);
                assert!(!keeps || body != BodyEnd::Close);
                bytes.drain(..len);
                break (Relay::new(body), to, keeps);
            }
        }
    };
    outcome.keeps = keeps;
    let mut piece = bytes.as_slice();
    loop {
        let forwarded = relay.forward(piece, to, out);
        outcome.body_bytes = relay.bytes();
        let left = forwarded.map_err(|_| Failure::Reset)?;
        if relay.is_complete() {
            outcome.keeps &= left.is_empty();
            return Ok(());
        }
        assert!(left.is_empty());
        match pieces.next() {
            Some(next) => piece = next,
            None => {
                relay.ended().map_err(|_| Failure::Reset)?;
                to.end(out);
                return Ok(());
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The line of the date that Pingora wrote.
fn date_in(sent: &str) -> String {
    const NAME: &str = r"\r\nDate: ";
    let at = sent.rfind(NAME).map(|at| at + NAME.len());
    at.map_or_else(String::new, |at| {
        format!("Date: {}\r\n", &sent[at..at + 29])
    })
}

async fn check(case: &Upstream) {
    let expected = of_proxy(case).await;
    let mut got = of_lane(case, &date_in(&expected.sent));
    if got.failure.is_some() {
        // Nobody asks after a failure.
        got.keeps = expected.keeps;
        got.retry_after.clone_from(&expected.retry_after);
    }
    // The lane listens to every `Connection: close`, Pingora to the first field alone.
    got.keeps |= expected.keeps && case.says_close_later();
    assert_eq!(got, expected, "{case}");
}

#[tokio::test]
async fn answers_are_those_of_the_full_proxy() {
    let mut failures = 0;
    let mut kept = 0;
    for seed in 0..3_000 {
        let case = Upstream::of(&mut Dice::new(seed));
        check(&case).await;
        let outcome = of_lane(&case, "");
        failures += usize::from(outcome.failure.is_some());
        kept += usize::from(outcome.failure.is_none() && outcome.keeps);
    }
    // The comparison says something only where both happen.
    assert!((300..2_700).contains(&failures), "{failures}");
    assert!(kept > 300, "{kept}");
}

#[tokio::test]
async fn bounds_are_those_of_the_full_proxy() {
    let long = |byte: char, times: usize| byte.to_string().repeat(times);
    let bodies = [
        // The bytes of a chunk's head that come in more than one read.
        vec![
            format!("5;{}", long('x', 8_190)),
            "\r\nhello\r\n0\r\n\r\n".into(),
        ],
        vec![
            format!("5;{}", long('x', 8_191)),
            "\r\nhello\r\n0\r\n\r\n".into(),
        ],
        vec![format!("5;{}\r\nhello\r\n0\r\n\r\n", long('x', 8_191))],
        // Those of trailers, with line ends between them.
        vec![format!("0\r\nA: {}\r\n\r\n", long('t', 65_531))],
        vec![format!("0\r\nA: {}\r\n\r\n", long('t', 65_530))],
        vec![format!("0\r\nA: {}\r\nB:1\r\n\r\n", long('t', 65_526))],
        vec![format!("0\r\nA: {}\r\nB:1\r\n\r\n", long('t', 65_527))],
        vec![format!("0\r\nA: {}\r\nB:1\r\n\r\n", long('t', 65_528))],
        // The digits of a size.
        vec!["0000000000000005\r\nhello\r\n0\r\n\r\n".into()],
        vec!["00000000000000005\r\nhello\r\n0\r\n\r\n".into()],
        vec!["ffffffffffffffff\r\na".into()],
        vec!["ffffffffffffffea\r\na".into()],
        vec!["ffffffffffffffeb\r\na".into()],
        vec!["ffffffffffffffec\r\na".into()],
        // A line end that comes late, and wrong.
        vec!["5\r\nhello".into(), "\r\n0\r\n\r\n".into()],
        vec!["5\r\nhello\r".into(), "\n0\r\n\r\n".into()],
        vec!["5\r\nhello\r".into(), "x0\r\n\r\n".into()],
        vec!["5\r\nhel".into(), "lox".into()],
        vec!["5\r\nhellox".into()],
        vec!["5\r\nhello".into(), "\n".into()],
        vec!["5\r\nhello\r\n0\r\n\r\nHTTP/1.1".into()],
        vec!["5\r\nhello\r\n0\r\n\r\n".into(), "HTTP/1.1".into()],
        vec!["5\r\nhello\r\n0\r\n".into()],
        vec![],
    ];
    for body in bodies {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let reads = std::iter::once(head.to_owned()).chain(body);
        check(&Upstream::plain(reads.map(String::into_bytes).collect())).await;
    }
    for fields in [255, 256, 257] {
        let fields: String = (0..fields).map(|n| format!("X-{n}: {n}\r\n")).collect();
        let head = format!("HTTP/1.1 204 No Content\r\n{fields}\r\n");
        let reads = head.as_bytes().chunks(1_000).map(<[u8]>::to_vec);
        check(&Upstream::plain(reads.collect())).await;
    }
    for name in [65_535, 65_536] {
        let head = format!("HTTP/1.1 204 No Content\r\n{}: 1\r\n\r\n", long('n', name));
        let reads = head.as_bytes().chunks(4_000).map(<[u8]>::to_vec);
        check(&Upstream::plain(reads.collect())).await;
    }
}

#[test]
fn the_error_of_a_head_is_the_upstreams_garbage() {
    let garbage = Error::explain(ErrorType::InvalidHTTPHeader, "").into_up();
    assert_eq!(classify(&garbage), Failure::Garbage);
}
