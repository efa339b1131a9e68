//! Opens the listening sockets before anything else starts.
//!
//! Invariant: a port that cannot be had is an error of the start, with the address and a remedy,
//! and leaves nothing behind; Pingora would retry for half a minute and then panic. Each worker
//! gets a socket of its own, so the kernel spreads connections and no worker wakes another.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use tokio::net::TcpSocket;

use super::settings::ListenerSettings;

/// Connections the kernel holds while the workers are busy.
const BACKLOG: u32 = 4_096;

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; {}", remedy(.source))]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// What the kernel said.
    pub source: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop the process that holds the port, or choose another one",
        io::ErrorKind::PermissionDenied => {
            "choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => "choose an address that this host has",
        _ => "check the address of the listener",
    }
}

/// One open listener.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The address, with the port the kernel chose.
    pub(crate) address: SocketAddr,
    /// One socket per worker.
    pub(crate) sockets: Vec<Door>,
}

/// The socket of a port.
#[derive(Debug)]
pub(crate) enum Door {
    /// Whoever connects waits in the kernel until it is accepted.
    Open(OwnedFd),
    /// Nobody can connect: the kernel refuses. Another process that is started by mistake could
    /// still take the port, and then opening it fails.
    Closed(TcpSocket),
}

impl Door {
    /// The socket that listens; to be called within a runtime.
    pub(crate) fn open(self) -> io::Result<OwnedFd> {
        match self {
            Self::Open(socket) => Ok(socket),
            Self::Closed(socket) => Ok(socket.listen(BACKLOG)?.into_std()?.into()),
        }
    }
}

/// Opens all listeners, or none; closed ones take their ports and let nobody in.
pub(crate) fn bind(
    listeners: &[ListenerSettings],
    workers: usize,
    is_closed: bool,
) -> Result<Vec<Bound>, BindError> {
    // Sockets of the runtime want one while they are made.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    listeners
        .iter()
        .map(|listener| {
            let address = listener.bind;
            let runtime = match &runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    return Err(BindError {
                        address,
                        source: error.kind().into(),
                    });
                }
            };
            let _guard = runtime.enter();
            bind_one(address, workers, is_closed).map_err(|source| BindError { address, source })
        })
        .collect()
}

fn bind_one(address: SocketAddr, workers: usize, is_closed: bool) -> io::Result<Bound> {
    // Alone on the port first: sockets that share a port would also share it with a second
    // gateway that was started by mistake.
    let alone = TcpListener::bind(address)?;
    let address = alone.local_addr()?;
    if workers <= 1 && !is_closed {
        alone.set_nonblocking(true)?;
        return Ok(Bound {
            address,
            sockets: vec![Door::Open(alone.into())],
        });
    }
    drop(alone);
    let sockets = (0..workers)
        .map(|_| {
            let door = Door::Closed(shared(address)?);
            if is_closed {
                Ok(door)
            } else {
                door.open().map(Door::Open)
            }
        })
        .collect::<io::Result<_>>()?;
    Ok(Bound { address, sockets })
}

fn shared(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// The sockets sorted by worker.
pub(crate) fn by_worker(bound: Vec<Bound>, workers: usize) -> Vec<Vec<(SocketAddr, Door)>> {
    let mut sorted = Vec::new();
    sorted.resize_with(workers, Vec::new);
    for listener in bound {
        for (of_worker, socket) in sorted.iter_mut().zip(listener.sockets) {
            of_worker.push((listener.address, socket));
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{ListenerSettings, bind};

    #[test]
    fn a_taken_port_is_an_error_with_address_and_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        for workers in [1, 2] {
            let error = bind(&[ListenerSettings::plain(address)], workers, false).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&address.to_string()), "{text}");
            assert!(
                text.contains("stop the process that holds the port"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_closed_port_lets_nobody_in_until_it_is_opened() {
        let any = "127.0.0.1:0".parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        for workers in [1, 2] {
            let mut bound = bind(&[ListenerSettings::plain(any)], workers, true).unwrap();
            let bound = bound.pop().unwrap();
            let connected = || std::net::TcpStream::connect(bound.address).is_ok();
            assert!(!connected());
            let _within = runtime.enter();
            let open: Vec<_> = bound.sockets.into_iter().map(|door| door.open()).collect();
            assert!(open.iter().all(Result::is_ok) && connected());
        }
    }

    #[test]
    fn workers_share_a_port_that_nobody_else_can_have() {
        let any = "127.0.0.1:0".parse().unwrap();
        let bound = bind(&[ListenerSettings::plain(any)], 3, false).unwrap();
        let bound = bound.first().unwrap();
        assert_eq!(bound.sockets.len(), 3);
        assert_ne!(bound.address.port(), 0);
        assert!(bind(&[ListenerSettings::plain(bound.address)], 3, false).is_err());
    }
}
