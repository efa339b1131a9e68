//! Opens the listening sockets before anything else starts.
//!
//! Invariant: a port that cannot be had is an error of the start, with the address and a remedy,
//! and leaves nothing behind; Pingora would retry for half a minute and then panic. Each worker
//! gets a socket of its own, so the kernel spreads connections and no worker wakes another.
//! Sockets that a process before hands over are used as they are: who waits in one of them waits for
//! this process then, and none of them is left without somebody who accepts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};

use tokio::net::TcpSocket;

use super::settings::ListenerSettings;

/// Connections the kernel holds while the workers are busy.
const BACKLOG: i32 = 4_096;

/// What the kernel may hold of an answer that it cannot send yet. By default it is as much as the
/// buffer may grow to, 4 MiB: a client that reads nothing would fill that, through the gateway and at
/// the expense of everybody else. What is sent and not acknowledged does not count, so that a fast
/// client far away is not held up.
pub(crate) const UNSENT_BYTES_MAX: u32 = 64 * 1024;

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
    /// At least one per worker.
    pub(crate) sockets: Vec<Door>,
}

/// The socket of a port.
#[derive(Debug)]
pub(crate) enum Door {
    /// Whoever connects waits in the kernel until it is accepted.
    Open(OwnedFd),
    /// Nobody can connect: the kernel refuses. Another process that is started by mistake could
    /// still take the port, and then opening it fails.
    Closed(OwnedFd),
}

impl Door {
    /// The socket that listens.
    pub(crate) fn open(self) -> io::Result<OwnedFd> {
        match self {
            Self::Open(socket) => Ok(socket),
            Self::Closed(socket) => {
                rustix::net::listen(&socket, BACKLOG)?;
                Ok(socket)
            }
        }
    }

    fn again(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Open(socket) => Self::Open(socket.try_clone()?),
            Self::Closed(socket) => Self::Closed(socket.try_clone()?),
        })
    }

    const fn socket(&self) -> &OwnedFd {
        match self {
            Self::Open(socket) | Self::Closed(socket) => socket,
        }
    }
}

/// The socket of a listener, as one process hands it to the next.
#[derive(Debug)]
pub struct ListeningSocket {
    /// The address that the settings ask for.
    pub asked: SocketAddr,
    /// The address, with the port the kernel chose.
    pub address: SocketAddr,
    /// Refers to the same open socket as those of the process it comes from.
    pub socket: OwnedFd,
}

impl ListeningSocket {
    /// The same socket once more.
    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            ..*self
        })
    }
}

/// The sockets of all listeners, to be handed on.
pub(crate) fn to_hand_on(
    listeners: &[ListenerSettings],
    bound: &[Bound],
) -> io::Result<Vec<ListeningSocket>> {
    let pairs = listeners.iter().zip(bound);
    let all = pairs.flat_map(|(listener, bound)| {
        bound.sockets.iter().map(|door| {
            Ok(ListeningSocket {
                asked: listener.bind,
                address: bound.address,
                socket: door.socket().try_clone()?,
            })
        })
    });
    all.collect()
}

/// Opens all listeners, or none; closed ones take their ports and let nobody in. Sockets of `handed`
/// that no listener asks for are closed.
pub(crate) fn bind(
    listeners: &[ListenerSettings],
    workers: usize,
    is_closed: bool,
    mut handed: Vec<ListeningSocket>,
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
            let ready = of_handed(address, workers, is_closed, &mut handed);
            let bound = ready.unwrap_or_else(|| bind_one(address, workers, is_closed));
            let bound = bound.and_then(|bound| bounded(&bound.sockets).map(|()| bound));
            bound.map_err(|source| BindError { address, source })
        })
        .collect()
}

/// Bounds what may wait in the kernel for a client, and lets small answers leave at once.
/// Connections have both from the socket that they are accepted from, so it costs them no call.
fn bounded(sockets: &[Door]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    for door in sockets {
        let socket = socket2::SockRef::from(door.socket());
        socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        socket.set_tcp_nodelay(true)?;
    }
    Ok(())
}

/// The listener made of what was handed over; `None` where nothing of it was.
fn of_handed(
    asked: SocketAddr,
    workers: usize,
    is_closed: bool,
    handed: &mut Vec<ListeningSocket>,
) -> Option<io::Result<Bound>> {
    let address = handed.iter().find(|socket| socket.asked == asked)?.address;
    let own = handed.extract_if(.., |socket| socket.address == address);
    let doors = own.map(|socket| Door::Closed(socket.socket));
    let mut sockets: Vec<Door> = doors.collect();
    // A worker without a socket of its own shares one: a new one would have a queue of its own, which
    // the kernel may not allow beside those of the process before.
    let more = workers.saturating_sub(sockets.len());
    let opened = move || {
        let again: io::Result<Vec<_>> =
            sockets.iter().cycle().take(more).map(Door::again).collect();
        sockets.extend(again?);
        if !is_closed {
            let open = sockets.into_iter().map(|door| door.open().map(Door::Open));
            sockets = open.collect::<io::Result<_>>()?;
        }
        Ok(Bound { address, sockets })
    };
    Some(opened())
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
            let door = Door::Closed(shared(address)?.as_fd().try_clone_to_owned()?);
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
        // More sockets than workers where the process before had more of them.
        for (number, socket) in listener.sockets.into_iter().enumerate() {
            if let Some(of_worker) = sorted.get_mut(number % workers.max(1)) {
                of_worker.push((listener.address, socket));
            }
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{Bound, ListenerSettings, bind, by_worker, to_hand_on};

    #[test]
    fn a_taken_port_is_an_error_with_address_and_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        for workers in [1, 2] {
            let listener = ListenerSettings::plain(address);
            let error = bind(&[listener], workers, false, Vec::new()).unwrap_err();
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
            let listener = ListenerSettings::plain(any);
            let mut bound = bind(&[listener], workers, true, Vec::new()).unwrap();
            let bound = bound.pop().unwrap();
            let connected = || std::net::TcpStream::connect(bound.address).is_ok();
            assert!(!connected());
            let _within = runtime.enter();
            let open: Vec<_> = bound.sockets.into_iter().map(|door| door.open()).collect();
            assert!(open.iter().all(Result::is_ok) && connected());
        }
    }

    #[test]
    fn what_is_handed_over_is_used_whole_by_any_number_of_workers() {
        let any = "127.0.0.1:0".parse().unwrap();
        let listeners = [ListenerSettings::plain(any), ListenerSettings::plain(any)];
        for (before, after) in [(1, 1), (1, 3), (3, 1), (2, 2), (4, 3)] {
            let old = bind(&listeners, before, false, Vec::new()).unwrap();
            let handed = to_hand_on(&listeners, &old).unwrap();
            assert_eq!(handed.len(), 2 * before);
            let new = bind(&listeners, after, false, handed).unwrap();
            let addresses = |bound: &[Bound]| bound.iter().map(|b| b.address).collect::<Vec<_>>();
            assert_eq!(addresses(&old), addresses(&new));
            assert!(new.iter().all(|b| b.sockets.len() == before.max(after)));
            // Who waits when the old one goes is still there.
            let client = std::net::TcpStream::connect(new[0].address).unwrap();
            let own = client.local_addr().unwrap();
            drop(old);
            let mut accepted =
                by_worker(new, after)
                    .into_iter()
                    .flatten()
                    .filter_map(|(_, door)| {
                        let listener = TcpListener::from(door.open().unwrap());
                        listener.set_nonblocking(true).unwrap();
                        listener.accept().ok()
                    });
            assert_eq!(accepted.next().unwrap().1, own);
        }
    }

    #[test]
    fn workers_share_a_port_that_nobody_else_can_have() {
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = ListenerSettings::plain(any);
        let bound = bind(&[listener], 3, false, Vec::new()).unwrap();
        let bound = bound.first().unwrap();
        assert_eq!(bound.sockets.len(), 3);
        assert_ne!(bound.address.port(), 0);
        let again = ListenerSettings::plain(bound.address);
        assert!(bind(&[again], 3, false, Vec::new()).is_err());
    }
}
