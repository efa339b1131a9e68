//! A client's socket, which the runtime watches from the first time on that it has to be waited for.
//!
//! Invariant: each direction is asked at once until it would have to wait for the first time; so
//! nobody is thought to be slow before he was asked. From then on the runtime says when it is worth
//! asking: it tells a new watcher how things stand, so that nothing is missed. Who asks once and gets
//! an answer at once is never watched, which spares two calls and the waking of a task for nothing.
//! Deliberately not here: what is held back before it is sent.

use std::io::{self, IoSlice};
use std::mem;
use std::net::TcpStream as Plain;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;

/// Room that is cleared for a read that the runtime has not announced: as much as the edge reads of a
/// head at once.
const FIRST_READ_BYTES: usize = 4 * 1024;

#[cfg(target_os = "linux")]
const MORE: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const MORE: SendFlags = SendFlags::empty();

/// The last bytes wait for the end behind them, which follows at once: one segment carries both.
#[cfg(target_os = "linux")]
const LAST: SendFlags = SendFlags::MORE.union(SendFlags::NOSIGNAL);
#[cfg(not(target_os = "linux"))]
const LAST: SendFlags = SendFlags::empty();

/// A socket, and for which directions the runtime is asked first.
#[derive(Debug)]
pub(super) struct Socket {
    handle: Handle,
    reads_wait: bool,
    writes_wait: bool,
}

#[derive(Debug)]
enum Handle {
    /// Nobody has had to wait for it.
    Unwatched(Plain),
    Watched(TcpStream),
    /// The runtime would not watch it.
    Lost,
}

impl Socket {
    /// A socket that does not block.
    pub(super) const fn new(socket: Plain) -> Self {
        Self {
            handle: Handle::Unwatched(socket),
            reads_wait: false,
            writes_wait: false,
        }
    }

    pub(super) const fn is_watched(&self) -> bool {
        !matches!(self.handle, Handle::Unwatched(_))
    }

    pub(super) fn raw(&self) -> RawFd {
        self.fd().map_or(-1, |fd| fd.as_raw_fd())
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.reads_wait {
            let room = out.remaining().min(FIRST_READ_BYTES);
            let read = |fd: BorrowedFd<'_>| {
                let (read, _) = recv(fd, out.initialize_unfilled_to(room), RecvFlags::empty())?;
                Ok(read)
            };
            if let Some(read) = ready!(self.poll_at_once(cx, read)) {
                let read = read?;
                out.advance(read);
                // Of much there is more to come, and what the runtime announces is read in larger
                // pieces.
                self.reads_wait = read == FIRST_READ_BYTES;
                return Poll::Ready(Ok(()));
            }
            self.reads_wait = true;
        }
        Pin::new(self.watched()?).poll_read(cx, out)
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = |fd: BorrowedFd<'_>| send(fd, bytes, MORE);
        if let Some(written) = ready!(self.poll_write_at_once(cx, write)) {
            return Poll::Ready(written);
        }
        Pin::new(self.watched()?).poll_write(cx, bytes)
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = |fd: BorrowedFd<'_>| rustix::io::writev(fd, pieces);
        if let Some(written) = ready!(self.poll_write_at_once(cx, write)) {
            return Poll::Ready(written);
        }
        Pin::new(self.watched()?).poll_write_vectored(cx, pieces)
    }

    /// Sends bytes behind which nothing follows but [`Self::end`].
    pub(super) fn poll_write_last(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = |fd: BorrowedFd<'_>| send(fd, bytes, LAST);
        if let Some(written) = ready!(self.poll_write_at_once(cx, write)) {
            return Poll::Ready(written);
        }
        let socket = self.watched()?;
        loop {
            ready!(socket.poll_write_ready(cx))?;
            let write = || Ok(send(socket.as_fd(), bytes, LAST)?);
            match socket.try_io(Interest::WRITABLE, write) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// Reads what is there; `None` where nothing is.
    pub(super) fn try_read(&self, room: &mut [u8]) -> io::Result<Option<usize>> {
        match recv(self.fd().ok_or_else(lost)?, room, RecvFlags::empty()) {
            Ok((read, _)) => Ok(Some(read)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the client that nothing more follows.
    pub(super) fn end(&self) -> io::Result<()> {
        Ok(shutdown(self.fd().ok_or_else(lost)?, Shutdown::Write)?)
    }

    /// Sends what it takes now.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.fd().ok_or_else(lost)?, bytes, MORE)?)
    }

    /// What `write` sends now; `None` from the first time on that it has to be waited for.
    #[inline]
    fn poll_write_at_once(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<Option<io::Result<usize>>> {
        if self.writes_wait {
            return Poll::Ready(None);
        }
        let written = ready!(self.poll_at_once(cx, write));
        self.writes_wait = written.is_none();
        Poll::Ready(written)
    }

    /// What comes of `work` now; `None` where it has to be waited for.
    fn poll_at_once<T>(
        &self,
        cx: &mut Context<'_>,
        work: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<Option<io::Result<T>>> {
        let Some(fd) = self.fd() else {
            return Poll::Ready(Some(Err(lost())));
        };
        // Whoever is always ready lets others have their turn, as the runtime sees to otherwise.
        let turn = ready!(coop::poll_proceed(cx));
        match work(fd) {
            Err(Errno::AGAIN) => Poll::Ready(None),
            done => {
                turn.made_progress();
                Poll::Ready(Some(done.map_err(io::Error::from)))
            }
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.handle {
            Handle::Unwatched(socket) => Some(socket.as_fd()),
            Handle::Watched(socket) => Some(socket.as_fd()),
            Handle::Lost => None,
        }
    }

    fn watched(&mut self) -> io::Result<&mut TcpStream> {
        if !self.is_watched()
            && let Handle::Unwatched(socket) = mem::replace(&mut self.handle, Handle::Lost)
        {
            self.handle = Handle::Watched(TcpStream::from_std(socket)?);
        }
        match &mut self.handle {
            Handle::Watched(socket) => Ok(socket),
            Handle::Unwatched(_) | Handle::Lost => Err(lost()),
        }
    }
}

fn lost() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
