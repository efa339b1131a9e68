//! How the upstream meets connections: it serves them, or it does not.
//!
//! A shut gate keeps its port: the socket stays bound and does not listen, so that a connection is
//! refused and nobody else can take the address. Kept connections are reset when the gate shuts.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};

/// Connections that the system holds for a listener which does not accept them yet.
const BACKLOG: u32 = 1024;
/// How often a gate that is shut looks whether it still is.
const STEP: Duration = Duration::from_millis(10);
/// How long a slow accept takes.
const SLOW: Duration = Duration::from_millis(200);
/// Within this connections have ended when the gate changes.
const ENDED: Duration = Duration::from_secs(2);
/// Half a period of a flap: a second has both.
const FLAP: Duration = Duration::from_millis(500);

/// What becomes of connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gate {
    /// They are served.
    #[default]
    Open,
    /// They are refused.
    Refuse,
    /// They are accepted and closed at once.
    CloseAtOnce,
    /// They are accepted, and nothing is read or answered.
    BlackHole,
    /// Each is accepted after a while only.
    AcceptSlowly,
    /// They are refused and served in turn, once a second each.
    Flap,
}

/// The gate of one upstream; shared by its connections.
#[derive(Default)]
pub(super) struct Gates {
    gate: watch::Sender<Gate>,
    severed: Notify,
    open: AtomicUsize,
}

/// A connection that is open; counted until it goes out of scope.
pub(super) struct Kept<'a>(&'a AtomicUsize);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What came of waiting at the gate.
pub(super) enum Met {
    /// A connection to serve.
    Served(TcpStream),
    /// A connection that nobody reads; it ends when the gate changes.
    Swallowed(TcpStream),
    /// Nothing to do.
    Nothing,
}

impl Gates {
    /// Changes it, and waits until connections that were open have ended: what is asked afterwards
    /// meets the new gate.
    pub(super) fn set(&self, gate: Gate) {
        if self.gate.send_replace(gate) == gate {
            return;
        }
        let began = Instant::now();
        while self.open.load(Ordering::SeqCst) > 0 && began.elapsed() < ENDED {
            self.severed.notify_waiters();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Counts a connection.
    pub(super) fn keep(&self) -> Kept<'_> {
        self.open.fetch_add(1, Ordering::SeqCst);
        Kept(&self.open)
    }

    /// Ends when kept connections have to.
    pub(super) async fn severed(&self) {
        self.severed.notified().await;
    }

    /// Waits for the next connection, and says what becomes of it.
    pub(super) async fn meet(&self, door: &mut Door, began: Instant) -> io::Result<Met> {
        let gate = *self.gate.borrow();
        let shut = match gate {
            Gate::Refuse => true,
            Gate::Flap => began.elapsed().as_millis() / FLAP.as_millis() % 2 == 1,
            _ => false,
        };
        if shut {
            if door.shut()? {
                self.severed.notify_waiters();
            }
            tokio::time::sleep(STEP).await;
            return Ok(Met::Nothing);
        }
        if gate == Gate::AcceptSlowly {
            tokio::time::sleep(SLOW).await;
        }
        let Ok(accepted) = tokio::time::timeout(STEP, door.listener()?.accept()).await else {
            return Ok(Met::Nothing);
        };
        let (stream, _) = accepted?;
        Ok(match *self.gate.borrow() {
            Gate::CloseAtOnce | Gate::Refuse => Met::Nothing,
            Gate::BlackHole => Met::Swallowed(stream),
            _ => Met::Served(stream),
        })
    }
}

/// The upstream's address: with a listener, or only bound.
pub(super) struct Door {
    address: SocketAddr,
    listener: Option<TcpListener>,
    bound: Option<TcpSocket>,
}

impl Door {
    /// An open one.
    pub(super) fn new(listener: TcpListener) -> io::Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            listener: Some(listener),
            bound: None,
        })
    }

    /// Stops listening; true where it did until now.
    fn shut(&mut self) -> io::Result<bool> {
        let was_open = self.listener.take().is_some();
        if self.bound.is_none() {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(self.address)?;
            self.bound = Some(socket);
        }
        Ok(was_open)
    }

    fn listener(&mut self) -> io::Result<&TcpListener> {
        if self.listener.is_none() {
            if self.bound.is_none() {
                self.shut()?;
            }
            let bound = self.bound.take();
            let socket = bound.ok_or(io::ErrorKind::AddrNotAvailable)?;
            self.listener = Some(socket.listen(BACKLOG)?);
        }
        let none = io::Error::from(io::ErrorKind::AddrNotAvailable);
        self.listener.as_ref().ok_or(none)
    }
}
