//! The upstream of a run: keeps every byte, answers what it can read strictly.
//!
//! Threads instead of a runtime: it must go on reading while a probe does its worst.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::strict;

/// Between two pieces of an answer.
pub(super) const PAUSE: Duration = Duration::from_millis(30);
/// Within this all that proxies have written has been read; it takes a moment.
const REST: Duration = Duration::from_secs(20);
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
    /// Who has connected, in the order of connecting.
    peers: Vec<Option<SocketAddr>>,
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
                // Before the thread exists: what is connected is known, however late it runs.
                let number = noted(&stream, &shared);
                std::thread::spawn(move || attend(stream, number, &shared));
            }
        });
        Ok(Self { address, state })
    }

    /// Begins a probe: what arrived before does not count any more.
    ///
    /// # Errors
    /// When it does not come to rest.
    pub(super) fn begin(&self, answers: &[Vec<u8>], closes: bool) -> anyhow::Result<()> {
        self.settle()?;
        let mut state = locked(&self.state);
        state.marks = state.connections.iter().map(Vec::len).collect();
        state.script = (!answers.is_empty()).then(|| Script {
            answers: answers.to_vec(),
            closes,
        });
        Ok(())
    }

    /// Waits until its threads have kept all that proxies have written: whatever is kept later would
    /// count for the next probe.
    fn settle(&self) -> anyhow::Result<()> {
        // Connections are accepted in their order, so those that came before this one are known
        // when it is.
        let last = TcpStream::connect(self.address).context("connect to the recorder")?;
        let last = Some(last.local_addr()?);
        let began = Instant::now();
        let waiting = |stream: &TcpStream| rustix::io::ioctl_fionread(stream).unwrap_or(0) > 0;
        loop {
            // Bytes are taken from the system and kept under this lock.
            let state = locked(&self.state);
            let busy = state.streams.iter().flatten().any(waiting);
            if state.peers.contains(&last) && !busy {
                return Ok(());
            }
            drop(state);
            anyhow::ensure!(began.elapsed() < REST, "the recorder does not come to rest");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What has arrived since, by connection.
    ///
    /// # Errors
    /// When it does not come to rest.
    pub(super) fn arrived(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        self.settle()?;
        let state = locked(&self.state);
        let marks = state.marks.iter().copied().chain(std::iter::repeat(0));
        let fresh = state.connections.iter().zip(marks);
        let fresh = fresh
            .filter_map(|(bytes, mark)| bytes.get(mark..).map(<[u8]>::to_vec))
            .filter(|bytes| !bytes.is_empty());
        Ok(fresh.collect())
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room for what a connection brings; its number.
fn noted(stream: &TcpStream, state: &Mutex<State>) -> usize {
    let mut state = locked(state);
    state.connections.push(Vec::new());
    state.streams.push(stream.try_clone().ok());
    state.peers.push(stream.peer_addr().ok());
    state.connections.len() - 1
}

fn attend(mut stream: TcpStream, number: usize, state: &Mutex<State>) {
    serve(&mut stream, number, state);
    if let Some(second) = locked(state).streams.get_mut(number) {
        *second = None;
    }
}

fn serve(stream: &mut TcpStream, number: usize, state: &Mutex<State>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut unread = Vec::new();
    // Waits without taking anything, so that nothing is taken and not yet kept.
    while let Ok(1..) = stream.peek(&mut [0]) {
        let mut kept = locked(state);
        let Ok(read @ 1..) = stream.read(&mut buffer) else {
            return;
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        if let Some(all) = kept.connections.get_mut(number) {
            all.extend(bytes);
        }
        drop(kept);
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
