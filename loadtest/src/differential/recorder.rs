//! The upstream of one gateway: raw sockets, a listener per group, scripts by case; it keeps every
//! byte that reaches it.
//!
//! Threads instead of a runtime: it must go on reading while a script does its worst. They end
//! with the process.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::exchange::{Answer, CASE, End, Exchange, Script};
use super::message::{self, Body, Framing, Head};

/// How long gateways are given to notice that kept connections end, and to end them too.
const NOTICED: Duration = Duration::from_secs(2);
/// Within this time all that a gateway has written has been read.
const SETTLED: Duration = Duration::from_millis(500);
/// The longest that an answer is held back, so that a failing run ends.
const HELD: Duration = Duration::from_secs(5);

/// One attempt of a request, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The value of [`CASE`]; empty where there is none.
    pub(super) case: String,
    pub(super) head: Head,
    pub(super) framing: Framing,
    pub(super) body: Body,
    /// Its connection, and how many requests came before it there.
    pub(super) place: (usize, usize),
    /// Why the connection was not to be used any more.
    pub(super) tainted: Option<&'static str>,
    /// Bytes that are no whole request.
    pub(super) rest: Vec<u8>,
}

#[derive(Default)]
struct State {
    scripts: HashMap<String, Script>,
    fallback: Option<Script>,
    attempts: HashMap<String, usize>,
    log: Vec<Arrival>,
    /// Open connections, and whether their thread waits for bytes.
    open: HashMap<usize, (TcpStream, bool)>,
    connections: usize,
    /// Connections that the upstream ends and the gateway has not ended yet.
    ending: usize,
    released: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A listening upstream.
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    /// Several exchanges use it at once, so only named cases are theirs.
    is_common: bool,
}

impl Recorder {
    /// Listens on a free loopback port.
    pub(super) fn start(is_common: bool) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("bind the recorder")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                std::thread::spawn(move || attend(stream, &shared));
            }
        });
        Ok(Self {
            address,
            shared,
            is_common,
        })
    }

    /// Takes the scripts of an exchange.
    pub(super) fn begin(&self, exchange: &Exchange) {
        let mut state = locked(&self.shared.state);
        state.scripts.extend(exchange.scripts.iter().cloned());
        if self.is_common {
            return;
        }
        state.log.clear();
        state.fallback.clone_from(&exchange.fallback);
        state.released = false;
        if exchange.fresh {
            for (stream, _) in state.open.values() {
                // Fails only where the gateway has closed already.
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
        // Each leaves when the gateway has closed its end too, which then cannot use it again: no
        // exchange is met by a closing that another one's answer asked for.
        let fresh = exchange.fresh;
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, NOTICED, |state| {
                state.ending > 0 || (fresh && !state.open.is_empty())
            });
        drop(waited);
    }

    /// Lets go what is held back.
    pub(super) fn release(&self) {
        locked(&self.shared.state).released = true;
        self.shared.changed.notify_all();
    }

    /// Whether a request of the running exchange has come.
    pub(super) fn has_arrival(&self) -> bool {
        !locked(&self.shared.state).log.is_empty()
    }

    /// What has come of the exchange.
    pub(super) fn end(&self, exchange: &Exchange) -> Vec<Arrival> {
        self.settle();
        let mut state = locked(&self.shared.state);
        for (case, _) in &exchange.scripts {
            state.scripts.remove(case);
            state.attempts.remove(case);
        }
        let prefix = format!("{}-", exchange.number);
        let log = std::mem::take(&mut state.log);
        // What another exchange left behind comes late at times, and is not this one's.
        let is_own = |arrival: &Arrival| {
            arrival.case.starts_with(&prefix) || (!self.is_common && !is_numbered(&arrival.case))
        };
        let (own, others) = log.into_iter().partition(is_own);
        if self.is_common {
            state.log = others;
        }
        own
    }

    /// Waits until its threads have read all that the gateway has written.
    fn settle(&self) {
        let began = Instant::now();
        while began.elapsed() < SETTLED {
            let busy = |(stream, waits): &(TcpStream, bool)| {
                !waits || rustix::io::ioctl_fionread(stream).unwrap_or(0) > 0
            };
            // Looked at twice: a thread that has read may not have said so yet.
            let calm = !locked(&self.shared.state).open.values().any(busy);
            std::thread::sleep(Duration::from_micros(200));
            if self.is_common || (calm && !locked(&self.shared.state).open.values().any(busy)) {
                return;
            }
        }
    }
}

/// Whether it is the name of some exchange's request.
fn is_numbered(case: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    case.split_once('-')
        .is_some_and(|(number, n)| digits(number) && digits(n))
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection of a gateway.
struct Connection<'a> {
    stream: TcpStream,
    shared: &'a Shared,
    number: usize,
    unread: Vec<u8>,
    nth: usize,
    tainted: Option<&'static str>,
    /// Whether an answer that is told to end in order has begun.
    ends: bool,
}

fn attend(stream: TcpStream, shared: &Shared) {
    let Ok(second) = stream.try_clone() else {
        return;
    };
    // Pieces of an answer are to be read apart.
    let _ = stream.set_nodelay(true);
    let number = {
        let mut state = locked(&shared.state);
        state.connections += 1;
        let number = state.connections;
        state.open.insert(number, (second, true));
        number
    };
    let mut connection = Connection {
        stream,
        shared,
        number,
        unread: Vec::new(),
        nth: 0,
        tainted: None,
        ends: false,
    };
    while connection.serve_one().is_some() {}
    connection.note_rest();
    if connection.ends {
        connection.end();
    }
    let mut state = locked(&shared.state);
    state.ending -= usize::from(connection.ends);
    state.open.remove(&number);
    drop(state);
    shared.changed.notify_all();
}

impl Connection<'_> {
    fn is_waiting(&self, waits: bool) {
        if let Some(open) = locked(&self.shared.state).open.get_mut(&self.number) {
            open.1 = waits;
        }
    }

    /// More bytes; none at the end.
    fn read(&mut self) -> Option<()> {
        let mut buffer = vec![0; 64 * 1024];
        self.is_waiting(true);
        let read = self.stream.read(&mut buffer).ok();
        // Between the read and this the bytes are nobody's; the flag is set before they are kept.
        self.is_waiting(false);
        let read = read.filter(|read| *read > 0)?;
        self.unread.extend(buffer.get(..read)?);
        Some(())
    }

    /// Reads and answers one request; none where the connection ends.
    fn serve_one(&mut self) -> Option<()> {
        let head = loop {
            match message::head(&self.unread) {
                Some(head) => break head,
                None => self.read()?,
            }
        };
        let case = head.values(CASE).next();
        let case = String::from_utf8_lossy(case.unwrap_or_default()).into_owned();
        let answer = self.answer(&case, &head);
        let framing = head.request_framing();
        self.unread.drain(..head.len);
        let arrival = Arrival {
            case,
            framing,
            body: Body::Part(Vec::new()),
            place: (self.number, self.nth),
            tainted: self.tainted,
            rest: Vec::new(),
            head,
        };
        let place = arrival.place;
        self.nth += 1;
        // Noted before its body has come: of some the rest never comes.
        locked(&self.shared.state).log.push(arrival);
        self.stream.write_all(&answer.greeting).ok()?;
        if answer.early {
            self.play(&answer)?;
            return self.skip_body(framing);
        }
        let taken = loop {
            match message::body(&self.unread, framing, false) {
                Body::Part(_) => {
                    if self.read().is_none() {
                        self.unread.clear();
                        return None;
                    }
                }
                whole => break whole,
            }
        };
        if let Body::Whole(_, _, len) = &taken {
            self.unread.drain(..*len);
        }
        let is_broken = matches!(taken, Body::Broken(_));
        let mut state = locked(&self.shared.state);
        if let Some(noted) = state.log.iter_mut().find(|noted| noted.place == place) {
            noted.body = taken;
        }
        drop(state);
        if is_broken {
            return None;
        }
        self.play(&answer)
    }

    fn skip_body(&mut self, framing: Framing) -> Option<()> {
        loop {
            match message::body(&self.unread, framing, false) {
                Body::Whole(_, _, len) => {
                    self.unread.drain(..len);
                    return Some(());
                }
                Body::Broken(_) => return None,
                Body::Part(_) => self.read()?,
            }
        }
    }

    /// The answer to this attempt.
    fn answer(&self, case: &str, head: &Head) -> Answer {
        let mut state = locked(&self.shared.state);
        let attempt = state.attempts.entry(case.to_owned()).or_default();
        let place = *attempt;
        *attempt += 1;
        let script = state.scripts.get(case).or(state.fallback.as_ref());
        let answer = script.and_then(|script| script.get(place).or(script.last()));
        answer.cloned().unwrap_or_else(|| ordinary(head))
    }

    fn play(&mut self, answer: &Answer) -> Option<()> {
        if answer.end == End::Close && !self.ends {
            // Before the client can have the answer and begin something else.
            locked(&self.shared.state).ending += 1;
            self.ends = true;
        }
        std::thread::sleep(Duration::from_millis(answer.wait_ms));
        for (n, piece) in answer.pieces.iter().enumerate() {
            if n > 0 {
                std::thread::sleep(Duration::from_millis(answer.pause_ms));
            }
            if answer.held && n + 1 == answer.pieces.len() {
                self.hold();
            }
            self.stream.write_all(piece).ok()?;
        }
        self.tainted = self.tainted.or(answer.taints);
        match answer.end {
            End::Keep => Some(()),
            End::Close => None,
            End::Reset => {
                // What is on the way arrives before the reset, which would take it back.
                std::thread::sleep(Duration::from_millis(10));
                reset_on_close(&self.stream);
                None
            }
        }
    }

    /// Ends its own direction and waits for the gateway to do so. What the gateway still sends stays
    /// unread, which makes the closing a reset as it would have been at once.
    fn end(&self) {
        self.is_waiting(true);
        if rustix::io::ioctl_fionread(&self.stream).unwrap_or(0) == 0 {
            // Each fails only where the gateway has closed already.
            let _ = self.stream.shutdown(Shutdown::Write);
            let _ = self.stream.set_read_timeout(Some(NOTICED));
            let _ = self.stream.peek(&mut [0]);
        }
    }

    fn hold(&self) {
        let state = locked(&self.shared.state);
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, HELD, |state| !state.released);
        drop(waited);
    }

    fn note_rest(&mut self) {
        if self.unread.is_empty() {
            return;
        }
        let rest = std::mem::take(&mut self.unread);
        locked(&self.shared.state).log.push(Arrival {
            case: String::new(),
            head: Head {
                start: Vec::new(),
                fields: Vec::new(),
                len: 0,
                fault: Some("no whole head"),
            },
            framing: Framing::None,
            body: Body::Part(Vec::new()),
            place: (self.number, self.nth),
            tainted: self.tainted,
            rest,
        });
    }
}

/// The answer where nothing else is said.
fn ordinary(head: &Head) -> Answer {
    let body = if head.start.starts_with(b"HEAD ") {
        ""
    } else {
        "hello"
    };
    Answer {
        pieces: vec![format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}").into_bytes()],
        ..Answer::default()
    }
}

/// Makes the close of a connection a reset.
pub(super) fn reset_on_close(stream: &TcpStream) {
    // Where it fails the connection is closed in order, which the comparison shows.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}
