//! Clients in closed loops that follow the rules of HTTP and forgive nothing: kept connections until an
//! answer says `Connection: close`, fresh ones for each request, and no retry that is not counted.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::interrupted;

const PATIENCE: Duration = Duration::from_secs(20);
/// For so long after the last request an ending gateway waits for the next one of a kept connection.
const AWAITED: Duration = Duration::from_millis(250);
const REQUEST: &[u8] = b"GET /one HTTP/1.1\r\nHost: loadtest\r\n\r\n";

/// What they saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Requests with an answer of 200, whole.
    pub(super) good: AtomicU64,
    /// Kept connections that were closed before any byte of an answer: asked again, as RFC 9110
    /// section 9.2.2 allows.
    pub(super) again: AtomicU64,
    /// The same where the client itself came so late that an ending gateway need not have waited for it.
    pub(super) late: AtomicU64,
    /// New connections of a gateway that goes which ended before any byte of an answer.
    pub(super) unmet: AtomicU64,
}

/// The running clients.
pub(super) struct Clients {
    pub(super) seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Clients {
    /// Every third one makes a connection for each request. With `may_end` the first connection that is
    /// refused ends a client: the gateway is meant to go.
    pub(super) fn start(target: SocketAddr, count: usize, may_end: bool) -> Self {
        let (seen, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let threads = (0..count)
            .map(|number| {
                let client = Client {
                    target,
                    fresh: number % 3 == 0,
                    may_end,
                    seen: Arc::clone(&seen),
                };
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || client.run(&stop))
            })
            .collect();
        Self {
            seen,
            stop,
            threads,
        }
    }

    pub(super) fn good(&self) -> u64 {
        self.seen.good.load(Ordering::Relaxed)
    }

    /// Waits until so many more were served.
    pub(super) fn serve(&self, more: u64) -> anyhow::Result<()> {
        let (before, began) = (self.good(), std::time::Instant::now());
        while self.good() < before + more {
            anyhow::ensure!(began.elapsed() < PATIENCE, "no requests are served");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Ends them; what failed, one text each.
    pub(super) fn end(self) -> anyhow::Result<Vec<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failed = Vec::new();
        for thread in self.threads {
            let ended = thread.join().ok().context("a client panicked")?;
            failed.extend(ended);
        }
        Ok(failed)
    }
}

struct Client {
    target: SocketAddr,
    fresh: bool,
    may_end: bool,
    seen: Arc<Seen>,
}

impl Client {
    fn run(&self, stop: &AtomicBool) -> Vec<String> {
        let (mut failed, mut kept) = (Vec::new(), None);
        while !stop.load(Ordering::Relaxed) && failed.len() < 100 {
            let stream = match kept.take() {
                Some((stream, since)) => Ok((stream, Some(since))),
                None => TcpStream::connect(self.target).map(|stream| (stream, None)),
            };
            let begun = Instant::now();
            match stream {
                Ok((stream, before)) => match exchange(stream) {
                    Ok(stream) => {
                        self.seen.good.fetch_add(1, Ordering::Relaxed);
                        kept = stream.filter(|_| !self.fresh).map(|stream| (stream, begun));
                    }
                    Err((0, _)) if before.is_some() => {
                        let is_late = before.is_some_and(|before| begun - before >= AWAITED);
                        let seen = &self.seen;
                        let count = if is_late { &seen.late } else { &seen.again };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    // It came behind the last look at the queue of a gateway that goes.
                    Err((0, _)) if self.may_end => {
                        self.seen.unmet.fetch_add(1, Ordering::Relaxed);
                        return failed;
                    }
                    Err((bytes, error)) => failed.push(format!("after {bytes} bytes: {error}")),
                },
                Err(_) if self.may_end => return failed,
                Err(error) => failed.push(format!("connect: {error}")),
            }
        }
        failed
    }
}

/// One request and its answer; the connection where it may be used again. An error comes with the bytes
/// of the answer that had come.
fn exchange(mut stream: TcpStream) -> Result<Option<TcpStream>, (usize, String)> {
    let mut bytes = Vec::new();
    let told = |bytes: &Vec<u8>, error: std::io::Error| (bytes.len(), error.to_string());
    let bound = stream.set_read_timeout(Some(PATIENCE));
    let sent = bound.and_then(|()| stream.write_all(REQUEST));
    sent.map_err(|error| told(&bytes, error))?;
    let mut piece = [0; 4096];
    loop {
        if let Some((head, length)) = whole(&bytes) {
            let last = head.contains("connection: close");
            if !head.starts_with("http/1.1 200") {
                return Err((length, head));
            }
            return Ok((!last).then_some(stream));
        }
        match interrupted::read(&mut stream, &mut piece) {
            Ok(0) => return Err((bytes.len(), "closed".to_owned())),
            Ok(read) => bytes.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) => return Err(told(&bytes, error)),
        }
    }
}

/// The head in small letters, where the answer is whole.
fn whole(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(bytes.get(..end)?).to_lowercase();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name == "content-length";
        is_length.then(|| value.trim().parse().ok()).flatten()
    });
    let body: usize = length.unwrap_or(0);
    (bytes.len() >= end + body).then_some((head, bytes.len()))
}
