//! The upstream of a run: keeps every byte, answers what it can read strictly.
//!
//! Threads instead of a runtime: it must go on reading while a probe does its worst.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;

use super::strict;

/// Between two pieces of an answer.
pub(super) const PAUSE: Duration = Duration::from_millis(30);
/// A path that is always answered in the ordinary way.
pub(super) const SECOND: &str = "/second/";

/// What the upstream says instead of its ordinary answer.
#[derive(Debug, Clone, Default)]
struct Script {
    answers: Vec<Vec<u8>>,
    closes: bool,
}

#[derive(Default)]
struct State {
    connections: Vec<Vec<u8>>,
    /// Second handles, to ask the system what waits there; none once a connection has ended.
    streams: Vec<Option<TcpStream>>,
    marks: Vec<usize>,
    script: Option<Script>,
}

/// A listening upstream; its threads end with the process.
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Recorder {
    /// Listens on a free loopback port.
    pub(super) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("bind the recorder")?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || attend(stream, &shared));
            }
        });
        Ok(Self { address, state })
    }

    /// Begins a probe: what arrived before does not count any more.
    pub(super) fn begin(&self, answers: &[Vec<u8>], closes: bool) {
        self.settle();
        let mut state = locked(&self.state);
        state.marks = state.connections.iter().map(Vec::len).collect();
        state.script = (!answers.is_empty()).then(|| Script {
            answers: answers.to_vec(),
            closes,
        });
    }

    /// Waits until its threads have read all that proxies have written.
    fn settle(&self) {
        for _ in 0..1_000 {
            let waiting = |stream: &TcpStream| rustix::io::ioctl_fionread(stream).unwrap_or(0) > 0;
            let busy = locked(&self.state).streams.iter().flatten().any(waiting);
            // One moment more for what is read and not yet kept.
            std::thread::sleep(Duration::from_millis(1));
            if !busy {
                return;
            }
        }
    }

    /// What has arrived since, by connection.
    pub(super) fn arrived(&self) -> Vec<Vec<u8>> {
        self.settle();
        let state = locked(&self.state);
        let marks = state.marks.iter().copied().chain(std::iter::repeat(0));
        let fresh = state.connections.iter().zip(marks);
        fresh
            .filter_map(|(bytes, mark)| bytes.get(mark..).map(<[u8]>::to_vec))
            .filter(|bytes| !bytes.is_empty())
            .collect()
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn attend(mut stream: TcpStream, state: &Mutex<State>) {
    let number = {
        let mut state = locked(state);
        state.connections.push(Vec::new());
        state.streams.push(stream.try_clone().ok());
        state.connections.len() - 1
    };
    serve(&mut stream, number, state);
    if let Some(second) = locked(state).streams.get_mut(number) {
        *second = None;
    }
}

fn serve(stream: &mut TcpStream, number: usize, state: &Mutex<State>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut unread = Vec::new();
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        let bytes = buffer.get(..read).unwrap_or_default();
        if let Some(all) = locked(state).connections.get_mut(number) {
            all.extend(bytes);
        }
        unread.extend(bytes);
        loop {
            match strict::request(&unread) {
                Ok(Some(request)) => {
                    unread.drain(..request.len);
                    if answer(stream, &request, state).is_none() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    _ = stream.write_all(b"HTTP/1.1 400 Broken\r\nContent-Length: 0\r\n\r\n");
                    return;
                }
            }
        }
    }
}

/// Answers; none where the connection ends.
fn answer(stream: &mut TcpStream, request: &strict::Request, state: &Mutex<State>) -> Option<()> {
    let target = String::from_utf8_lossy(&request.target).into_owned();
    let script = locked(state).script.clone();
    if let Some(script) = script.filter(|_| !target.contains(SECOND)) {
        for (n, piece) in script.answers.iter().enumerate() {
            if n > 0 {
                std::thread::sleep(PAUSE);
            }
            stream.write_all(piece).ok()?;
        }
        return (!script.closes).then_some(());
    }
    let length = target.len();
    let mut text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    if request.method != "HEAD" {
        text.push_str(&target);
    }
    stream.write_all(text.as_bytes()).ok()
}
