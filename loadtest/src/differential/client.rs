//! The client of an exchange: does its steps, and keeps what comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::exchange::{Exchange, Step};
use super::message::{self, Body, Framing, Head};
use super::recorder::{Recorder, reset_on_close};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long the upstream is waited for; what is refused never comes.
const ARRIVAL: Duration = Duration::from_millis(60);

/// One answer, interim ones included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) head: Head,
    pub(super) framing: Framing,
    pub(super) body: Body,
}

/// How the connection stands when the client is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is open.
    Open,
    /// The gateway has closed it. An end in order and a reset are told apart by what was unread
    /// at that moment, which is chance.
    Closed,
    /// An answer was due and did not come.
    Silent,
    /// The client itself left.
    Left,
}

/// What a client has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) answers: Vec<Got>,
    pub(super) ended: Ended,
    /// Bytes that are no whole answer.
    pub(super) rest: Vec<u8>,
}

struct Client<'a> {
    stream: Option<TcpStream>,
    recorder: &'a Recorder,
    /// Pauses and silences take so many times longer.
    patience: u32,
    bytes: Vec<u8>,
    answers: Vec<Got>,
    /// Which answers to requests of HEAD are due, in order; further ones are not.
    heads: Vec<bool>,
    finals: usize,
    ended: Ended,
}

/// Does the steps as somebody at `source`, whom nobody else is.
pub(super) async fn run(
    exchange: &Exchange,
    gateway: SocketAddr,
    source: Ipv4Addr,
    recorder: &Recorder,
    patience: u32,
) -> std::io::Result<Seen> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let stream = socket.connect(gateway).await?;
    stream.set_nodelay(true)?;
    let mut client = Client {
        stream: Some(stream),
        recorder,
        patience,
        bytes: Vec::new(),
        answers: Vec::new(),
        heads: all_heads(exchange),
        finals: 0,
        ended: Ended::Open,
    };
    let mut due = 0;
    for step in &exchange.steps {
        if let Step::Expect(heads) = step {
            due += heads.len();
        }
        client.step(step, due).await;
    }
    recorder.release();
    client.take(client.ended == Ended::Closed);
    Ok(Seen {
        answers: client.answers,
        ended: client.ended,
        rest: client.bytes,
    })
}

/// What is known of the methods; where a step reads without counting, by the bytes that were sent.
fn all_heads(exchange: &Exchange) -> Vec<bool> {
    let mut heads = Vec::new();
    let mut first = None;
    for step in &exchange.steps {
        match step {
            Step::Expect(expected) => heads.extend(expected),
            Step::Send(bytes) => _ = first.get_or_insert(bytes.starts_with(b"HEAD ")),
            _ => {}
        }
    }
    if heads.is_empty() {
        heads.extend(first);
    }
    heads
}

impl Client<'_> {
    async fn step(&mut self, step: &Step, due: usize) {
        match step {
            Step::Send(bytes) => self.send(bytes).await,
            Step::Pause(ms) => tokio::time::sleep(self.patiently(*ms)).await,
            Step::Expect(_) => self.expect(due).await,
            Step::Interim(ms) => {
                let before = self.answers.len();
                self.read_while(self.patiently(*ms), |client| client.answers.len() == before)
                    .await;
            }
            Step::Quiet(ms) => {
                self.read_while(self.patiently(*ms), |_| true).await;
            }
            Step::AwaitUpstream => {
                for _ in 0..(ARRIVAL * self.patience).as_millis() {
                    if self.recorder.has_arrival() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            Step::HalfClose => {
                if let Some(stream) = &mut self.stream {
                    // Fails only where the gateway has closed already, which reading shows.
                    let _ = stream.shutdown().await;
                }
            }
            Step::Close => self.leave(false),
            Step::Reset => self.leave(true),
            Step::Release => self.recorder.release(),
        }
    }

    fn patiently(&self, ms: u64) -> Duration {
        Duration::from_millis(ms) * self.patience
    }

    async fn send(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream {
            // A gateway that has refused already may have closed; reading shows it.
            let _ = timeout(PATIENCE, stream.write_all(bytes)).await;
        }
    }

    fn leave(&mut self, resets: bool) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        if resets && let Ok(stream) = stream.into_std() {
            reset_on_close(&stream);
        }
        self.ended = Ended::Left;
    }

    async fn expect(&mut self, due: usize) {
        let silent = self
            .read_while(PATIENCE, |client| client.finals < due)
            .await;
        if silent {
            self.ended = Ended::Silent;
            self.stream = None;
        }
    }

    /// Reads while it is wanted; true where nothing came for so long.
    async fn read_while(&mut self, silence: Duration, wanted: impl Fn(&Self) -> bool) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            self.take(false);
            if !wanted(self) {
                return false;
            }
            let Some(stream) = &mut self.stream else {
                return false;
            };
            match timeout(silence, stream.read(&mut buffer)).await {
                Ok(Ok(read @ 1..)) => self.bytes.extend(&buffer[..read]),
                Ok(_) => {
                    self.ended = Ended::Closed;
                    self.stream = None;
                    self.take(true);
                    return false;
                }
                Err(_) => return true,
            }
        }
    }

    /// Takes whole answers off the front.
    fn take(&mut self, ended: bool) {
        while let Some(head) = message::head(&self.bytes) {
            let to_head = self.heads.get(self.finals).copied().unwrap_or(false);
            let framing = head.answer_framing(to_head);
            let rest = self.bytes.get(head.len..).unwrap_or_default();
            let body = message::body(rest, framing, ended);
            let used = match &body {
                Body::Whole(_, _, len) => head.len + len,
                Body::Part(_) if ended => self.bytes.len(),
                Body::Part(_) => return,
                Body::Broken(_) => self.bytes.len(),
            };
            self.finals += usize::from(head.status() >= 200 || head.status() == 0);
            self.bytes.drain(..used);
            self.answers.push(Got {
                head,
                framing,
                body,
            });
        }
    }
}
