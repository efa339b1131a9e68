//! Who the kernel has let in and nobody has accepted yet, when a gateway stops.
//!
//! Closing a socket resets everybody in its queue, and their requests fail though nobody refused them. So
//! the queue is emptied first: each is met like any other, and its answer says that it is the last one.
//! Who arrives between the last look and the close, a moment of microseconds, is reset all the same.
//! Not here: a gateway that hands over, whose queues are emptied by its successor.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::acceptor::{self, Entrance};

/// No more are taken from one queue: as many as it can hold, or a flood would put the stop off.
const MAX: usize = 4_096;

/// The sockets of a worker, kept beside those that accept.
pub(crate) struct Queues(Vec<(TcpListener, Arc<Entrance>)>);

impl Queues {
    pub(crate) fn new(sockets: Vec<(OwnedFd, Arc<Entrance>)>) -> Self {
        let sockets = sockets.into_iter();
        Self(
            sockets
                .map(|(socket, entrance)| (socket.into(), entrance))
                .collect(),
        )
    }

    /// Serves whoever waits in them, and closes them; within the worker's runtime.
    pub(crate) fn empty(self) {
        let mut met = 0_usize;
        for (listener, entrance) in self.0 {
            for _ in 0..MAX {
                match acceptor::accept(&listener) {
                    Ok((socket, peer)) => met += usize::from(entrance.serve(socket, peer)),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    // None is left, or none can be had.
                    Err(_) => break,
                }
            }
        }
        if met > 0 {
            tracing::info!(event = "queue_emptied", connections = met);
        }
    }
}
