//! Connections to upstreams that wait for another request.
//!
//! Invariant: a connection is kept only between two requests, on the worker that made it, and is given
//! away once; one that has been closed, or on which bytes came that nobody asked for, is not given away
//! at all. As a rule the newest is taken first, so that what is not needed grows old and goes.
//! Deliberately not here: connections of the full proxy, whose engine keeps its own. What a server sends
//! unasked in the moment in which a request goes to it cannot be told from an answer; see the threat
//! model.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::units::Moment;

thread_local! {
    static KEPT: RefCell<Pool> = const { RefCell::new(Pool::new()) };
}

/// The kept connections of a worker.
struct Pool {
    /// By server: as many as a gateway has upstream addresses, so a walk finds one sooner than a hash.
    shelves: Vec<Shelf>,
    kept: usize,
}

struct Shelf {
    group: usize,
    server: SocketAddr,
    /// The oldest in front.
    streams: VecDeque<Kept>,
}

struct Kept {
    stream: TcpStream,
    since: Moment,
}

/// Takes a kept connection to a server of a group: the newest, for a request that may be sent once more
/// if it has been closed meanwhile. For one that may not (`once`) it is the one that has rested for the
/// longest, and the system is asked whether anything came on it since the runtime last looked.
pub(super) fn take(group: usize, server: SocketAddr, once: bool) -> Option<TcpStream> {
    KEPT.with_borrow_mut(|pool| {
        let mut shelf = pool.shelf(group, server)?;
        while let Some(kept) = match once {
            true => shelf.streams.pop_front(),
            false => shelf.streams.pop_back(),
        } {
            pool.kept = pool.kept.saturating_sub(1);
            if seems_quiet(&kept.stream) && (!once || is_quiet(&kept.stream)) {
                return Some(kept.stream);
            }
            // The borrow of the shelf ends with each turn of the loop.
            shelf = pool.shelf(group, server)?;
        }
        None
    })
}

/// Keeps a connection for the next request; the oldest goes where `most` are kept already.
pub(super) fn keep(group: usize, server: SocketAddr, stream: TcpStream, at: Moment, most: usize) {
    KEPT.with_borrow_mut(|pool| {
        if pool.kept >= most {
            pool.drop_oldest();
        }
        if most == 0 {
            return;
        }
        pool.kept += 1;
        let kept = Kept { stream, since: at };
        if let Some(shelf) = pool.shelf(group, server) {
            shelf.streams.push_back(kept);
            return;
        }
        pool.shelves.push(Shelf {
            group,
            server,
            streams: VecDeque::from([kept]),
        });
    });
}

/// Closes the connections that nobody has needed for so long.
pub(crate) fn expire(now: Moment, after: Duration) {
    KEPT.with_borrow_mut(|pool| {
        if pool.kept == 0 {
            return;
        }
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        for shelf in &mut pool.shelves {
            // What was closed meanwhile would hold a descriptor, and a place, for nothing.
            shelf
                .streams
                .retain(|kept| now.nanos_since(kept.since) < after && seems_quiet(&kept.stream));
        }
        // Names move from server to server, and nobody comes back to those that they have left.
        pool.shelves.retain(|shelf| !shelf.streams.is_empty());
        pool.count();
    });
}

/// Closes them all; before the worker's runtime ends, which they belong to.
pub(crate) fn clear() {
    KEPT.with_borrow_mut(|pool| *pool = Pool::new());
}

impl Pool {
    const fn new() -> Self {
        Self {
            shelves: Vec::new(),
            kept: 0,
        }
    }

    fn shelf(&mut self, group: usize, server: SocketAddr) -> Option<&mut Shelf> {
        let mut shelves = self.shelves.iter_mut();
        shelves.find(|shelf| shelf.group == group && shelf.server == server)
    }

    /// Makes room for a newer one.
    fn drop_oldest(&mut self) {
        let oldest = self
            .shelves
            .iter_mut()
            .filter(|shelf| !shelf.streams.is_empty());
        let oldest =
            oldest.min_by_key(|shelf| shelf.streams.front().map(|kept| kept.since.monotonic_ns));
        if let Some(shelf) = oldest {
            shelf.streams.pop_front();
            self.kept = self.kept.saturating_sub(1);
        }
    }

    fn count(&mut self) {
        self.kept = self.shelves.iter().map(|shelf| shelf.streams.len()).sum();
    }
}

/// Whether nothing has been heard on a connection, as far as the runtime knows.
fn seems_quiet(stream: &TcpStream) -> bool {
    let heard = stream.try_read(&mut [0; 1]);
    heard.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether nothing has been heard on a connection. The system is asked: what arrived since the
/// runtime last looked would be taken for the answer to the next request.
fn is_quiet(stream: &TcpStream) -> bool {
    use rustix::net::{RecvFlags, recv};
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let mut byte = [0; 1];
    recv(stream, &mut byte, flags).is_err_and(|error| error == rustix::io::Errno::AGAIN)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener, TcpStream as Server};
    use std::os::fd::AsFd as _;

    use tokio::net::TcpStream;

    use super::{KEPT, clear, keep, take};
    use crate::gateway::clock;

    async fn pair() -> (TcpStream, Server, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().unwrap();
        (stream, server, address)
    }

    /// One more hand on a socket: it sees what has arrived without the runtime's help.
    fn witness(stream: &TcpStream) -> Server {
        stream.as_fd().try_clone_to_owned().unwrap().into()
    }

    /// Waits until something has arrived, though the runtime does not know.
    fn arrived(witness: &Server) {
        while witness.peek(&mut [0]).is_err() {
            std::thread::yield_now();
        }
    }

    /// Waits until the runtime knows that the other side has closed.
    async fn closed(stream: &TcpStream) {
        stream.readable().await.unwrap();
    }

    #[tokio::test]
    async fn what_came_since_the_runtime_last_looked_is_heard() {
        for is_closed in [false, true] {
            let (stream, mut server, address) = pair().await;
            let witness = witness(&stream);
            keep(0, address, stream, clock::now(), 9);
            if is_closed {
                drop(server);
            } else {
                server.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
            }
            arrived(&witness);
            // The runtime has not asked the system since.
            assert!(take(0, address, true).is_none(), "closed: {is_closed}");
            clear();
        }
    }

    #[tokio::test]
    async fn dead_connections_take_no_place_from_live_ones() {
        let (dead, server, gone) = pair().await;
        let witness = witness(&dead);
        keep(0, gone, dead, clock::now(), 1);
        drop(server);
        arrived(&witness);
        let (live, _server, address) = pair().await;
        keep(0, address, live, clock::now(), 1);
        assert!(take(0, address, false).is_some());
        clear();
    }

    #[tokio::test]
    async fn those_that_are_thrown_away_are_not_counted() {
        let (live, _live_server, address) = pair().await;
        let (dead, server, _) = pair().await;
        keep(0, address, live, clock::now(), 9);
        drop(server);
        closed(&dead).await;
        keep(0, address, dead, clock::now(), 9);
        assert!(take(0, address, false).is_some());
        assert_eq!(KEPT.with_borrow(|pool| pool.kept), 0);
        clear();
    }
}
