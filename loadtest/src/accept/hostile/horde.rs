//! Many connections that each take as long as they may.
//!
//! One thread opens them, moves each a little every second, and opens anew whatever was closed.

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::interrupted;

/// What each of them does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A head, byte by byte.
    Head,
    /// The same behind a request that was answered.
    ReusedHead,
    /// A body, byte by byte.
    Body,
    /// Reads nothing of a large answer.
    Reader,
}

impl Way {
    fn begins(self) -> &'static str {
        match self {
            Self::Head | Self::ReusedHead => "GET /api/v1/none HTTP/1.1\r\nHost: load\r\nX-Slow: ",
            Self::Body => "POST /slow HTTP/1.1\r\nHost: load\r\nContent-Length: 1000000\r\n\r\n",
            Self::Reader => "GET /bytes/16777216 HTTP/1.1\r\nHost: load\r\n\r\n",
        }
    }
}

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Open now.
    pub(super) open: AtomicUsize,
    /// Closed by the gateway so far.
    pub(super) closed: AtomicUsize,
}

/// Keeps `count` of them busy until told to stop.
pub(super) fn keep(
    target: SocketAddr,
    way: Way,
    count: usize,
    held: &Held,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let open = |number: usize| runtime.block_on(opened(target, way, number)).ok();
    let mut all: Vec<Option<TcpStream>> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for number in 0..count {
            if all.len() <= number {
                all.push(open(number));
            }
            let Some(slot) = all.get_mut(number) else {
                continue;
            };
            let alive = slot.as_mut().is_some_and(|stream| is_alive(stream, way));
            if !alive {
                held.closed
                    .fetch_add(usize::from(slot.is_some()), Ordering::Relaxed);
                *slot = open(number);
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        held.open
            .store(all.iter().flatten().count(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

async fn opened(target: SocketAddr, way: Way, number: usize) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if way == Way::Reader {
        socket.set_recv_buffer_size(4_096)?;
    }
    // Each address may have so many; the gateway's own cap is not what is asked about here.
    let from = Ipv4Addr::new(127, 0, 3, 1 + (number / 500) as u8);
    socket.bind(SocketAddr::from((from, 0)))?;
    let stream = socket.connect(target).await?.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut stream = stream;
    if way == Way::ReusedHead {
        stream.write_all(b"GET /api/v1/clean HTTP/1.1\r\nHost: load\r\n\r\n")?;
        answered(&mut stream)?;
    }
    stream.write_all(way.begins().as_bytes())?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Reads an answer whose body is not longer than what comes with it.
fn answered(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut seen = Vec::new();
    let mut piece = [0; 2_048];
    while !seen.ends_with(b"}") {
        match interrupted::read(stream, &mut piece)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => seen.extend_from_slice(piece.get(..read).unwrap_or_default()),
        }
    }
    Ok(())
}

/// Moves it a little; whether it is still open.
fn is_alive(stream: &mut TcpStream, way: Way) -> bool {
    if way != Way::Reader && stream.write(b"x").is_err() {
        return false;
    }
    if way == Way::Reader {
        let mut one = [0];
        return !matches!(stream.peek(&mut one), Ok(0))
            && stream.take_error().is_ok_and(|error| error.is_none());
    }
    // An answer here is the gateway's, and behind it the connection ends.
    matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}
